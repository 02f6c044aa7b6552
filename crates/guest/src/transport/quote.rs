//! Quoting for shells: the only place where arguments become a line.
//!
//! ssh hands one line to the user's login shell on the other side, and a detached job reads its commands
//! from a file. Both go through here.

/// The arguments as one line that a shell splits into the same arguments again.
///
/// Good for sh, bash, dash, ksh, zsh and fish. Apostrophe and backslash stand in double quotes, where these shells
/// agree about them; everything else in single quotes, where nothing has a meaning.
#[must_use]
pub fn line<A: AsRef<str>>(argv: &[A]) -> String {
    let words: Vec<String> = argv.iter().map(|argument| word(argument.as_ref())).collect();
    words.join(" ")
}

/// One argument.
#[must_use]
pub fn word(text: &str) -> String {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-_./:+,@%".contains(&b);
    if !text.is_empty() && text.bytes().all(plain) {
        return text.to_owned();
    }
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('\'');
    for c in text.chars() {
        match c {
            '\'' => quoted.push_str("'\"'\"'"),
            '\\' => quoted.push_str("'\"\\\\\"'"),
            c => quoted.push(c),
        }
    }
    quoted.push('\'');
    quoted
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn what_needs_no_quotes_has_none() {
        assert_eq!(
            line(&["apt-get", "-y", "install", "g++:amd64=1:2.0+b1"]),
            "apt-get -y install 'g++:amd64=1:2.0+b1'"
        );
        assert_eq!(word(""), "''");
        // `~`, `=` and `!` mean something to some shell.
        assert_eq!(
            (word("~x"), word("=x"), word("!x")),
            ("'~x'".to_owned(), "'=x'".to_owned(), "'!x'".to_owned())
        );
    }

    /// Every byte that an argument can have, alone and beside every special one.
    #[test]
    fn real_shells_read_every_character_back() {
        let special: Vec<char> = "'\"\\$`!*?~ \t\n;&|<>(){}[]#=%^-".chars().collect();
        let mut sent: Vec<String> = (1..=127_u8).map(|b| char::from(b).to_string()).collect();
        for a in &special {
            sent.extend(special.iter().map(|b| format!("{a}{b}x{b}{a}")));
        }
        sent.extend(["äöü", "€", "\u{202e}", "\u{1f980}"].map(str::to_owned));
        let mut tried = 0;
        for shell in ["sh", "bash", "dash", "zsh", "ksh", "fish"] {
            let argv: Vec<String> =
                ["printf", "%s\\0"].map(str::to_owned).into_iter().chain(sent.clone()).collect();
            let Ok(output) = Command::new(shell).arg("-c").arg(line(&argv)).output() else { continue };
            let came: Vec<&[u8]> = output.stdout.split(|b| *b == 0).collect();
            let expected: Vec<&[u8]> = sent.iter().map(String::as_bytes).chain([&b""[..]]).collect();
            assert!(
                came == expected,
                "{shell} reads something else: {}",
                String::from_utf8_lossy(&output.stderr)
            );
            tried += 1;
        }
        assert!(tried >= 1, "no shell was tried");
    }
}
