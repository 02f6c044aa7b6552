//! The version order against the real thing: what `dpkg --compare-versions` says of generated pairs.
#![expect(clippy::disallowed_types, reason = "the oracle is a real program")]

use std::cmp::Ordering;
use std::io::Write as _;
use std::process::{Command, Stdio};

use patchyard_assess::version::dpkg::{Version, compare};
use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use proptest::test_runner::TestRunner;

/// How many pairs dpkg is asked about; each costs up to two processes of some milliseconds.
const PAIRS: usize = 600;

/// Versions that are close to each other: few characters, so that differences come late.
fn version() -> impl Strategy<Value = String> {
    let part = "[0-9][0-9a-z.+~]{0,5}";
    let upstream = prop_oneof![part, "[0-9][0-9aA.+~-]{0,8}[0-9a]", "[0-9]{1,25}"];
    let revision = proptest::option::of("[0-9a-zA.+~]{1,6}");
    (proptest::option::of(0..3_u8), upstream, revision).prop_map(|(epoch, upstream, revision)| {
        let epoch = epoch.map(|e| format!("{e}:")).unwrap_or_default();
        let revision = revision.map(|r| format!("-{r}")).unwrap_or_default();
        format!("{epoch}{upstream}{revision}")
    })
}

/// Pairs that share a stem half of the time: independent versions mostly differ in the first digit.
fn pair() -> impl Strategy<Value = (String, String)> {
    let cousins = ("[0-9]{1,2}[.a~+-]?[0-9]", "[0-9a~.+]{0,4}", "[0-9a~.+]{0,4}")
        .prop_map(|(stem, a, b)| (format!("{stem}{a}"), format!("{stem}{b}")));
    prop_oneof![cousins, (version(), version())]
        .prop_filter("versions", |(a, b)| Version::parse(a).is_ok() && Version::parse(b).is_ok())
}

#[test]
fn dpkg_agrees() {
    let mut runner = TestRunner::deterministic();
    let pairs: Vec<(String, String)> =
        (0..PAIRS).map(|_| pair().new_tree(&mut runner).unwrap().current()).collect();

    // One shell asks for all pairs; versions arrive on its standard input, not in its text.
    let script = r#"while read -r a b; do
        if dpkg --compare-versions "$a" lt "$b"; then echo lt
        elif dpkg --compare-versions "$a" eq "$b"; then echo eq
        else echo gt; fi
    done"#;
    let mut shell = Command::new("sh")
        .args(["-c", script])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("a shell");
    let input: String = pairs.iter().map(|(a, b)| format!("{a} {b}\n")).collect();
    let mut stdin = shell.stdin.take().unwrap();
    let writer = std::thread::spawn(move || stdin.write_all(input.as_bytes()));
    let output = shell.wait_with_output().unwrap();
    writer.join().unwrap().unwrap();
    assert!(output.status.success(), "the shell failed");
    let answers = String::from_utf8(output.stdout).unwrap();
    assert_eq!(answers.lines().count(), PAIRS, "dpkg answered for every pair");

    let mut seen = [0; 3];
    for ((a, b), answer) in pairs.iter().zip(answers.lines()) {
        let expected = match answer {
            "lt" => Ordering::Less,
            "eq" => Ordering::Equal,
            _ => Ordering::Greater,
        };
        assert_eq!(compare(a, b), Ok(expected), "{a} and {b}");
        seen[match expected {
            Ordering::Less => 0,
            Ordering::Equal => 1,
            Ordering::Greater => 2,
        }] += 1;
    }
    // A generator that yields one kind only would prove nothing.
    assert!(seen.iter().all(|n| *n > PAIRS / 50), "{seen:?}");
}

proptest! {
    #[test]
    fn the_order_is_total(a in version(), b in version(), c in version()) {
        let [a, b, c] = [&a, &b, &c].map(|text| Version::parse(text));
        if let (Ok(a), Ok(b), Ok(c)) = (a, b, c) {
            prop_assert_eq!(a.cmp(&b), b.cmp(&a).reverse());
            if a <= b && b <= c {
                prop_assert!(a <= c);
            }
        }
    }

    #[test]
    fn no_text_makes_it_panic(text in "\\PC{0,40}") {
        let _ = Version::parse(&text);
    }
}
