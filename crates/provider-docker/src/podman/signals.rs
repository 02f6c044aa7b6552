//! Signals by name: Podman tells their numbers, images mostly their names.

/// The signals of Linux on the architectures that containers run on, each at the place of its number.
const NAMES: [&str; 32] = [
    "", "HUP", "INT", "QUIT", "ILL", "TRAP", "ABRT", "BUS", "FPE", "KILL", "USR1", "SEGV", "USR2", "PIPE",
    "ALRM", "TERM", "STKFLT", "CHLD", "CONT", "STOP", "TSTP", "TTIN", "TTOU", "URG", "XCPU", "XFSZ",
    "VTALRM", "PROF", "WINCH", "IO", "PWR", "SYS",
];
/// The first and the last of the real-time signals.
const REAL_TIME: (u64, u64) = (34, 64);

/// The number of a signal that is named (`SIGINT`, `int`, `SIGRTMIN+3`) or numbered.
pub(super) fn number(signal: &str) -> Option<u64> {
    let word = signal.trim().to_ascii_uppercase();
    let word = word.strip_prefix("SIG").unwrap_or(&word);
    if let Ok(number) = word.parse() {
        return Some(number);
    }
    let real_time = |word: &str, from: u64, up: bool| {
        let by = if word.is_empty() { 0 } else { word.get(1..)?.parse::<u64>().ok()? };
        if up { from.checked_add(by) } else { from.checked_sub(by) }
    };
    if let Some(by) = word.strip_prefix("RTMIN") {
        return real_time(by, REAL_TIME.0, true);
    }
    if let Some(by) = word.strip_prefix("RTMAX") {
        return real_time(by, REAL_TIME.1, false);
    }
    NAMES.iter().skip(1).position(|name| *name == word).map(|at| at as u64 + 1)
}

/// The one name of a signal, however it is told; what is none stays as it is.
pub(super) fn name(signal: &str) -> String {
    match number(signal) {
        Some(number @ 1..=31) => format!("SIG{}", NAMES[usize::try_from(number).unwrap_or(0)]),
        Some(number) if (REAL_TIME.0..=REAL_TIME.1).contains(&number) => {
            format!("SIGRTMIN+{}", number - REAL_TIME.0)
        }
        _ => signal.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signal_has_one_name_and_one_number() {
        for (told, named, numbered) in [
            ("15", "SIGTERM", 15),
            ("SIGINT", "SIGINT", 2),
            ("int", "SIGINT", 2),
            ("SIGRTMIN+3", "SIGRTMIN+3", 37),
            ("37", "SIGRTMIN+3", 37),
            ("SIGRTMAX", "SIGRTMIN+30", 64),
        ] {
            assert_eq!((name(told).as_str(), number(told)), (named, Some(numbered)), "{told}");
        }
        assert_eq!((name("SIGWHAT"), number("SIGWHAT")), ("SIGWHAT".to_owned(), None));
        assert_eq!(number("SIGRTMAX-99"), None);
    }
}
