# A package database of a million lines: 125,000 packages of eight.
perl -e '
    for my $n (1 .. 125_000) {
        print "\nPackage: lab-filler-$n\nStatus: install ok installed\nArchitecture: all\nVersion: 1.0\n",
            "Maintainer: Lab <lab\@example.invalid>\nDescription: filler\n and nothing else\n";
    }' >>/var/lib/dpkg/status
