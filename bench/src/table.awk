# A row for each contestant: medians, the spread, and the ratio to the first of its figure.
# In: FIGURE CONTESTANT WALL-MS CPU-S PEAK-KIB YIELD UNIT, tabs between them, a line for each round; 0 is nothing to tell.
BEGIN {
  FS = "\t"
  print "| figure | contestant | rounds | wall, median | least to most | ratio | CPU | peak memory | yield | commit |"
  print "|---|---|---|---|---|---|---|---|---|---|"
}
function median(list, n, i, j, t, a) {
  n = split(list, a, " ")
  for (i = 2; i <= n; i++) for (j = i; j > 1 && a[j - 1] + 0 > a[j] + 0; j--) { t = a[j]; a[j] = a[j - 1]; a[j - 1] = t }
  least = a[1]; most = a[n]; number = n
  return n % 2 ? a[(n + 1) / 2] : (a[n / 2] + a[n / 2 + 1]) / 2
}
function shown(ms) { return ms >= 10000 ? sprintf("%.1f s", ms / 1000) : ms >= 1000 ? sprintf("%.2f s", ms / 1000) : sprintf("%.0f ms", ms) }
{
  key = $1 SUBSEP $2
  if (!(key in walls)) { order[++rows] = key; figure[key] = $1; name[key] = $2 }
  walls[key] = walls[key] " " $3; cpus[key] = cpus[key] " " $4; peaks[key] = peaks[key] " " $5; yields[key] = yields[key] " " $6; unit[key] = $7
}
END {
  for (r = 1; r <= rows; r++) {
    key = order[r]; wall = median(walls[key]); spread = shown(least) " to " shown(most); n = number
    if (!(figure[key] in first)) first[figure[key]] = wall
    cpu = median(cpus[key]); peak = median(peaks[key]); yield = median(yields[key])
    printf "| %s | %s | %d | %s | %s | %.2f | %s | %s | %s | %s |\n", figure[key], name[key], n, shown(wall), spread, wall / first[figure[key]],
      cpu ? sprintf("%.2f s", cpu) : "", peak ? sprintf("%.0f MiB", peak / 1024) : "", yield ? yield + 0 " " unit[key] : "", commit
  }
}
