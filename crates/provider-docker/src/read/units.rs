//! Which systemd units run which containers: a unit that calls the engine's client names its container. (Units of
//! Podman, Quadlet's among them, are told by a label.)
//!
//! Only units that are active count: systemd keeps a link for each, by which it also tells that it runs at all.

use std::collections::BTreeMap;
use std::path::Path;

/// Where systemd keeps the links of active units.
const ACTIVE: &str = "run/systemd/units";
/// What such a link is called before the unit's name.
const INVOCATION: &str = "invocation:";
/// Where units are read from, the first that has one counts (systemd.unit(5)).
const FOLDERS: [&str; 5] = [
    "etc/systemd/system",
    "run/systemd/system",
    "usr/local/lib/systemd/system",
    "usr/lib/systemd/system",
    "lib/systemd/system",
];
/// The largest unit file that is read, in bytes.
const LIMIT: u64 = 256 * 1024;
/// Clients that take these words.
const CLIENTS: [&str; 3] = ["docker", "podman", "nerdctl"];

/// Containers, and the unit that runs each.
#[derive(Debug, Default)]
pub(super) struct Units(BTreeMap<String, String>);

impl Units {
    /// Of this machine.
    pub fn read() -> Self {
        Self::below(Path::new("/"))
    }

    fn below(root: &Path) -> Self {
        let mut runs = BTreeMap::new();
        for link in std::fs::read_dir(root.join(ACTIVE)).into_iter().flatten().flatten() {
            let Ok(name) = link.file_name().into_string() else { continue };
            let Some(unit) = name.strip_prefix(INVOCATION).filter(|unit| unit.ends_with(".service")) else {
                continue;
            };
            for container in file(root, unit).iter().flat_map(|text| containers(text, unit)) {
                runs.entry(container).or_insert_with(|| unit.to_owned());
            }
        }
        Self(runs)
    }

    /// The unit that runs a container.
    pub fn of(&self, container: &str) -> Option<&str> {
        self.0.get(container).map(String::as_str)
    }
}

/// The text of a unit, of its template where it is an instance of one.
fn file(root: &Path, unit: &str) -> Option<String> {
    let template = unit.split_once('@').map(|(name, _)| format!("{name}@.service"));
    let names = [Some(unit.to_owned()), template];
    let places = FOLDERS.iter().flat_map(|folder| names.iter().flatten().map(move |name| (folder, name)));
    places.map(|(folder, name)| root.join(folder).join(name)).find_map(|path| {
        let is_small = std::fs::metadata(&path).is_ok_and(|file| file.is_file() && file.len() <= LIMIT);
        is_small.then(|| std::fs::read_to_string(&path).ok()).flatten()
    })
}

/// The containers that a unit starts. What systemd would expand from its environment is not known here.
fn containers(text: &str, unit: &str) -> Vec<String> {
    let text = text.replace("\\\n", " ");
    let started = text.lines().filter_map(|line| line.trim().strip_prefix("ExecStart=")).flat_map(started);
    started.filter_map(|name| expanded(&name, unit)).collect()
}

/// The names in one command line: `docker run --name web …`, `docker start -a web`.
fn started(line: &str) -> Vec<String> {
    // Names have no quotes in them.
    let line = line.replace(['"', '\''], "");
    let words: Vec<&str> = line.split_whitespace().collect();
    let is_client = |word: &&str| {
        // systemd's own marks come before a path.
        let program = word.trim_start_matches(['-', '@', ':', '+', '!']);
        CLIENTS.contains(&program.rsplit('/').next().unwrap_or_default())
    };
    let Some(at) = words.iter().position(is_client) else { return Vec::new() };
    let mut rest =
        words[at + 1..].iter().copied().skip_while(|word| !matches!(*word, "run" | "start" | "create"));
    match rest.next() {
        Some("start") => rest.filter(|word| !word.starts_with('-')).map(str::to_owned).collect(),
        Some(_) => {
            let rest: Vec<&str> = rest.collect();
            let joined = rest.iter().find_map(|word| word.strip_prefix("--name="));
            let apart = || rest.windows(2).find(|pair| pair[0] == "--name").map(|pair| pair[1]);
            joined.or_else(apart).map(str::to_owned).into_iter().collect()
        }
        None => Vec::new(),
    }
}

/// A name with the specifiers of systemd.unit(5) that stand for the unit's own.
fn expanded(name: &str, unit: &str) -> Option<String> {
    let stem = unit.strip_suffix(".service").unwrap_or(unit);
    let (prefix, instance) = stem.split_once('@').unwrap_or((stem, ""));
    let mut out = String::new();
    let mut letters = name.chars();
    while let Some(letter) = letters.next() {
        match letter {
            '$' => return None,
            '%' => match letters.next()? {
                'n' => out.push_str(unit),
                'N' => out.push_str(stem),
                'p' => out.push_str(prefix),
                'i' | 'I' => out.push_str(instance),
                '%' => out.push('%'),
                _ => return None,
            },
            letter => out.push(letter),
        }
    }
    (!out.is_empty()).then_some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every row: the unit, its command, and the containers that it starts.
    #[test]
    fn a_unit_names_the_container_that_it_starts() {
        for (unit, command, expected) in [
            ("web.service", "/usr/bin/docker run --rm --name web -p 80:80 nginx", &["web"][..]),
            ("web.service", "-docker run -d \\\n  --name=\"web\" nginx", &["web"]),
            ("web.service", "/usr/bin/docker start -a web", &["web"]),
            ("web.service", "/usr/bin/env docker --host unix:///run/x.sock start web db", &["web", "db"]),
            ("web.service", "/usr/bin/podman run --name %N nginx", &["web"]),
            ("web@1.service", "docker run --name %p-%i nginx", &["web-1"]),
            ("web.service", "docker run --name $NAME nginx", &[]),
            ("web.service", "docker run nginx", &[]),
            ("docker.service", "/usr/sbin/dockerd -H fd://", &[]),
        ] {
            let text = format!(
                "[Unit]\nDescription=x\n[Service]\nExecStartPre=-docker rm -f other\nExecStart={command}\n"
            );
            assert_eq!(containers(&text, unit), expected, "{command}");
        }
    }

    #[test]
    fn only_an_active_unit_runs_anything() {
        let root = tempfile::tempdir().unwrap();
        let write = |path: &str, text: &str| {
            let path = root.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        };
        write("etc/systemd/system/web.service", "[Service]\nExecStart=docker start -a web\n");
        write("usr/lib/systemd/system/db@.service", "[Service]\nExecStart=docker start -a db-%i\n");
        assert_eq!(Units::below(root.path()).of("web"), None, "nothing tells that systemd runs");
        let links = root.path().join(ACTIVE);
        std::fs::create_dir_all(&links).unwrap();
        for unit in ["web.service", "db@2.service", "gone.service", "x.socket"] {
            std::os::unix::fs::symlink("0a1b", links.join(format!("{INVOCATION}{unit}"))).unwrap();
        }
        let units = Units::below(root.path());
        assert_eq!((units.of("web"), units.of("db-2")), (Some("web.service"), Some("db@2.service")));
        assert_eq!(units.0.len(), 2);
    }
}
