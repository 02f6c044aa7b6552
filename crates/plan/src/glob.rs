//! Globs for package names: `*` any text, `?` any one character, everything else itself.

pub fn matches(glob: &str, text: &str) -> bool {
    let (glob, text) = (glob.as_bytes(), text.as_bytes());
    let (mut g, mut t) = (0, 0);
    // Where to go back to: behind the last star, and the text it has not swallowed yet.
    let mut retry = None;
    while t < text.len() {
        match glob.get(g) {
            Some(b'*') => {
                g += 1;
                retry = Some((g, t));
            }
            Some(c) if *c == b'?' || *c == text[t] => {
                g += 1;
                t += 1;
            }
            _ => match retry {
                Some((after_star, swallowed)) => {
                    g = after_star;
                    t = swallowed + 1;
                    retry = Some((after_star, t));
                }
                None => return false,
            },
        }
    }
    glob[g..].iter().all(|c| *c == b'*')
}

#[cfg(test)]
mod tests {
    use super::matches;

    #[test]
    fn stars_swallow_as_much_as_needed() {
        for (glob, text) in [
            ("*", ""),
            ("nginx*", "nginx"),
            ("nginx*", "nginx-common"),
            ("*ssl*3", "libssl3"),
            ("l?b*", "libc6"),
            ("a*b*c", "aXbXbXc"),
        ] {
            assert!(matches(glob, text), "{glob} {text}");
        }
        for (glob, text) in
            [("", "a"), ("nginx", "nginx-common"), ("?", ""), ("a*b*c", "aXcXb"), ("[a]", "a")]
        {
            assert!(!matches(glob, text), "{glob} {text}");
        }
    }
}
