//! What a container was created by. Some options no description of a container tells of (sysctls, addresses of its
//! own, rights on devices): the command that created it does, which Podman keeps. What was created through the API
//! has none.

use serde_json::Value;

use crate::read::json::{list, text};

/// What created a container.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    /// `podman run` or `podman create`, all of whose options a replacement gets.
    Command,
    /// The same, with an option that it would not get, or that nothing is known of.
    Option(String),
    /// Somebody else, who says nothing of what was asked for.
    Unknown,
}

/// Options with a value that the descriptions tell of, so that a replacement gets them and is compared with them.
const VALUES: [&str; 57] = [
    "add-host",
    "annotation",
    "cap-add",
    "cap-drop",
    "cgroups",
    "cpu-period",
    "cpu-quota",
    "cpu-shares",
    "cpus",
    "cpuset-cpus",
    "cpuset-mems",
    "dns",
    "dns-opt",
    "dns-option",
    "dns-search",
    "entrypoint",
    "env",
    "env-file",
    "expose",
    "group-add",
    "health-cmd",
    "health-interval",
    "health-retries",
    "health-start-period",
    "health-timeout",
    "hostname",
    "ipc",
    "label",
    "label-file",
    "log-driver",
    "log-opt",
    "memory",
    "memory-reservation",
    "memory-swap",
    "mount",
    "name",
    "net",
    "network",
    "network-alias",
    "oom-score-adj",
    "pid",
    "pids-limit",
    "publish",
    "restart",
    "sdnotify",
    "security-opt",
    "shm-size",
    "stop-signal",
    "stop-timeout",
    "timeout",
    "tmpfs",
    "tz",
    "ulimit",
    "umask",
    "user",
    "volume",
    "workdir",
];
/// Options with a value that say how it is created, and nothing of what it is.
const PASSING: [&str; 6] = ["attach", "authfile", "cidfile", "detach-keys", "platform", "pull"];
/// Options without a value: told of, or of no consequence.
const FLAGS: [&str; 16] = [
    "detach",
    "env-host",
    "http-proxy",
    "init",
    "interactive",
    "no-healthcheck",
    "passwd",
    "privileged",
    "quiet",
    "read-only",
    "read-only-tmpfs",
    "replace",
    "rm",
    "sig-proxy",
    "tls-verify",
    "tty",
];
/// Short options with a value, and what they are short for.
const SHORT_VALUES: [(char, &str); 10] = [
    ('a', "attach"),
    ('c', "cpu-shares"),
    ('e', "env"),
    ('h', "hostname"),
    ('l', "label"),
    ('m', "memory"),
    ('p', "publish"),
    ('u', "user"),
    ('v', "volume"),
    ('w', "workdir"),
];
/// Short options without a value.
const SHORT_FLAGS: [char; 4] = ['d', 'i', 'q', 't'];

/// What created a container, by the command that Podman keeps.
pub(crate) fn origin(command: &Value) -> Origin {
    let words: Vec<&str> = list(command).map(text).collect();
    let verb =
        words.iter().skip(1).position(|word| matches!(*word, "run" | "create" | "service" | "kube" | "play"));
    let Some(at) = verb.filter(|at| matches!(words[at + 1], "run" | "create")) else {
        return Origin::Unknown;
    };
    let mut rest = words[at + 2..].iter().copied();
    while let Some(word) = rest.next() {
        if let Some(long) = word.strip_prefix("--") {
            let (name, value) =
                long.split_once('=').map_or((long, None), |(name, value)| (name, Some(value)));
            if name.is_empty() {
                break;
            }
            if FLAGS.contains(&name) {
                continue;
            }
            if !VALUES.contains(&name) && !PASSING.contains(&name) {
                return Origin::Option(format!("--{name}"));
            }
            let value = value.or_else(|| rest.next()).unwrap_or_default();
            if !is_told(name, value) {
                return Origin::Option(format!("--{name} {value}"));
            }
        } else if let Some(short) = word.strip_prefix('-').filter(|short| !short.is_empty()) {
            for (at, letter) in short.char_indices() {
                if SHORT_FLAGS.contains(&letter) {
                    continue;
                }
                let Some((_, name)) = SHORT_VALUES.iter().find(|(known, _)| *known == letter) else {
                    return Origin::Option(format!("-{letter}"));
                };
                let glued = short[at + letter.len_utf8()..].trim_start_matches('=');
                let value = if glued.is_empty() { rest.next().unwrap_or_default() } else { glued };
                if !is_told(name, value) {
                    return Origin::Option(format!("-{letter} {value}"));
                }
                break;
            }
        } else {
            break;
        }
    }
    Origin::Command
}

/// Whether all of an option's value is told: of some a part is not.
fn is_told(name: &str, value: &str) -> bool {
    match name {
        "network" | "net" => value.split_once(':').is_none_or(|(mode, options)| {
            mode == "container" || options.split(',').all(|option| option.starts_with("alias="))
        }),
        "volume" => {
            let options = value.splitn(3, ':').nth(2).unwrap_or_default();
            !options
                .split(',')
                .any(|option| option == "O" || option.starts_with("idmap") || option.contains('='))
        }
        "mount" => {
            let said =
                |key: &str| value.split(',').find_map(|part| part.strip_prefix(key)?.strip_prefix('='));
            matches!(said("type"), None | Some("bind" | "volume" | "tmpfs")) && !value.contains("idmap")
        }
        "security-opt" => {
            value == "no-new-privileges" || value == "no-new-privileges:true" || value.starts_with("seccomp=")
        }
        "group-add" => value != "keep-groups",
        "cgroups" => value == "enabled",
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn of(command: &str) -> Origin {
        origin(&json!(command.split_whitespace().collect::<Vec<_>>()))
    }

    #[test]
    fn a_command_whose_options_are_all_told_is_known() {
        for command in [
            "podman run -d --name web -p 8080:80 -v data:/data:Z,ro nginx",
            "podman --root /x --runroot /y create -it -eA=1 --env B=2 --network front:alias=web --read-only nginx run --sysctl x",
            "podman run --mount type=tmpfs,dst=/t -dp 80:80 --memory=1g --init -- nginx",
            "podman --remote run --security-opt no-new-privileges --network container:db nginx",
        ] {
            assert_eq!(of(command), Origin::Command, "{command}");
        }
    }

    /// Every row: a command, and its option that a replacement would not get.
    #[test]
    fn an_option_that_nothing_tells_of_is_named() {
        for (command, option) in [
            ("podman run -d --sysctl net.core.somaxconn=1 nginx", "--sysctl"),
            ("podman run --ip 10.88.0.9 nginx", "--ip"),
            ("podman run --network=front:ip=10.1.1.1 nginx", "--network front:ip=10.1.1.1"),
            ("podman run --network slirp4netns:mtu=1400 nginx", "--network slirp4netns:mtu=1400"),
            ("podman run --device=/dev/fuse:/dev/fuse:r nginx", "--device"),
            ("podman run -dP nginx", "-P"),
            ("podman run -v /etc:/e:O nginx", "-v /etc:/e:O"),
            ("podman run --mount type=image,src=x,dst=/x nginx", "--mount type=image,src=x,dst=/x"),
            ("podman run --userns keep-id nginx", "--userns"),
            ("podman run --secret key nginx", "--secret"),
            ("podman run --security-opt mask=/proc/x nginx", "--security-opt mask=/proc/x"),
            ("podman run --new-in-a-later-podman nginx", "--new-in-a-later-podman"),
        ] {
            assert_eq!(of(command), Origin::Option(option.to_owned()), "{command}");
        }
    }

    #[test]
    fn who_came_through_the_api_says_nothing() {
        for command in [
            "podman system service --time 0 unix:///x",
            "podman kube play pod.yaml",
            "podman play kube x",
            "",
        ] {
            assert_eq!(of(command), Origin::Unknown, "{command}");
        }
    }
}
