//! Reads what a look has printed.

use std::collections::{BTreeMap, BTreeSet};

use patchyard_assess::sockets::row;
use patchyard_types::{Protocol, Socket, printable};

use super::networks;

/// What was seen.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Seen {
    pub boot_id: String,
    pub listening: BTreeSet<Socket>,
    pub processes: BTreeMap<String, u32>,
    pub lasting: BTreeSet<String>,
    pub parts: BTreeSet<String>,
    pub failed_units: BTreeSet<String>,
    /// How many bytes may be written by place.
    pub room: BTreeMap<String, u64>,
    /// What its clock says, in seconds since 1970.
    pub clock: Option<i64>,
}

/// More names than this are an attack on memory.
const NAMES: usize = 4000;
/// What runs longer than this counts as lasting, in seconds.
const LONG: u64 = 60;

pub(super) fn read(text: &str) -> Seen {
    let mut seen = Seen::default();
    let (mut uptime, mut ticks) = (0_u64, 100_u64);
    let (mut enabled, mut running, mut failed) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
    let mut knows_its_services = false;
    let (mut section, mut number) = ("", 0);
    for line in text.lines() {
        if let Some(name) = line.strip_prefix("== ") {
            (section, number) = (name, 0);
            continue;
        }
        number += 1;
        match (section, number) {
            ("boot", 1) => seen.boot_id = printable(line.trim(), 60),
            ("boot", 2) => uptime = line.split('.').next().and_then(|s| s.parse().ok()).unwrap_or(0),
            ("boot", 3) => ticks = line.trim().parse().ok().filter(|ticks| *ticks > 0).unwrap_or(100),
            ("tcp" | "tcp6", _) => seen.listening.extend(listening(line, Protocol::Tcp)),
            ("udp" | "udp6", _) => seen.listening.extend(listening(line, Protocol::Udp)),
            ("processes", _) => {
                let Some((name, age)) = process(line, uptime, ticks) else { continue };
                if seen.processes.len() >= NAMES && !seen.processes.contains_key(&name) {
                    continue;
                }
                if age >= LONG || age * 2 >= uptime {
                    seen.lasting.insert(name.clone());
                }
                *seen.processes.entry(name).or_default() += 1;
            }
            ("services", _) => match line.split_once(' ') {
                Some(("init", _)) => knows_its_services = true,
                Some(("enabled", unit)) => {
                    enabled.insert(unit.trim());
                }
                Some(("running", rest)) => running.extend(rest.split_whitespace().next()),
                Some(("failed", rest)) => failed.extend(rest.split_whitespace().next()),
                _ => {}
            },
            ("mounts", _) => {
                let place = line.split(' ').nth(1).unwrap_or_default();
                seen.parts.insert(format!("mount {}", printable(place, 200)));
            }
            ("room", _) => seen.room.extend(room(line)),
            ("route", _) => seen.parts.extend(networks::v4(line)),
            ("ipv6_route", _) => seen.parts.extend(networks::v6(line)),
            ("clock", 1) => seen.clock = line.trim().parse().ok(),
            _ => {}
        }
    }
    // Beside its services there are shells, jobs and helpers of programs, whose end means nothing.
    if knows_its_services {
        seen.lasting.clear();
    }
    // What starts only when it is called ends by itself, and fails for reasons of its own.
    seen.failed_units = failed.intersection(&enabled).map(|unit| printable(unit, 200)).collect();
    seen.parts.extend(running.intersection(&enabled).map(|unit| format!("service {}", printable(unit, 200))));
    seen
}

/// First port of Linux's default range for outgoing connections (`ip_local_port_range`). Programs that do not care on which port they
/// listen get one from there, another one each time.
const EPHEMERAL: u16 = 32768;

fn listening(line: &str, protocol: Protocol) -> Option<Socket> {
    row(line, protocol).map(|(socket, _)| socket).filter(|socket| socket.port < EPHEMERAL)
}

/// Blocks that are free for everybody, their size, and the place.
fn room(line: &str) -> Option<(String, u64)> {
    let mut fields = line.splitn(3, ' ');
    let mut number = || fields.next()?.parse::<u64>().ok();
    let bytes = number()?.saturating_mul(number()?);
    Some((printable(fields.next()?, 200), bytes))
}

/// A line of proc(5)'s stat: the program's name and its age in seconds. Threads of the kernel are no programs.
fn process(line: &str, uptime: u64, ticks: u64) -> Option<(String, u64)> {
    let (head, rest) = line.rsplit_once(") ")?;
    let (pid, name) = head.split_once(" (")?;
    let fields: Vec<&str> = rest.split(' ').collect();
    let parent: u64 = fields.get(1)?.parse().ok()?;
    if parent == 2 || pid == "2" {
        return None;
    }
    let started = fields.get(19)?.parse::<u64>().ok()? / ticks;
    Some((printable(name, 64), uptime.saturating_sub(started)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_machine_is_made_of_is_read() {
        let stat = |pid: u32, name: &str, parent: u32, started: u64| {
            format!("{pid} ({name}) S {parent} 1 1 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 {started} 0 0\n")
        };
        let text = format!(
            "== boot\nb00t\n1000.50 12.3\n100\n== tcp\n   0: 00000000:1F90 00000000:0000 0A 0:0 0:0 0 0 0 4711\n   1: 00000000:9C40 00000000:0000 0A 0:0 0:0 0 0 0 4712\n== udp\n\
             == processes\n{}{}{}{}== services\nenabled web.service\nenabled old.service\nrunning web.service loaded active running Web\n\
             running hostnamed.service loaded active running Hostname\nfailed old.service loaded failed failed Old\n\
             failed apt-daily.service loaded failed failed Lists\n== mounts\n/dev/sda1 / ext4 rw 0 0\n/dev/sdb1 /srv ext4 rw 0 0\n\
             == room\n1000 4096 /\n== route\nens3 0002000A 00000000 0001 0 0 0 00FFFFFF 0 0 0\n== clock\n1700000000\n",
            stat(1, "systemd", 0, 0),
            stat(2, "kthreadd", 0, 0),
            stat(9, "kworker/0:1", 2, 0),
            stat(700, "a) b (c", 1, 99_000),
        );
        let seen = read(&text);
        assert_eq!(seen.boot_id, "b00t");
        assert_eq!(seen.listening.iter().map(|socket| socket.port).collect::<Vec<_>>(), [8080]);
        assert_eq!(seen.processes.keys().collect::<Vec<_>>(), ["a) b (c", "systemd"]);
        assert_eq!(seen.lasting.iter().collect::<Vec<_>>(), ["systemd"]);
        let with_services = text.replace("== services\n", "== services\ninit systemd\n");
        assert_eq!(
            read(&with_services).lasting,
            BTreeSet::new(),
            "services are judged, not what runs beside them"
        );
        assert_eq!(
            seen.parts.iter().collect::<Vec<_>>(),
            ["mount /", "mount /srv", "network 10.0.2.0/24", "service web.service"],
            "what is not enabled comes and goes"
        );
        assert_eq!(seen.failed_units.iter().collect::<Vec<_>>(), ["old.service"]);
        assert_eq!(seen.room, BTreeMap::from([("/".to_owned(), 4_096_000)]));
        assert_eq!(seen.clock, Some(1_700_000_000));
    }
}
