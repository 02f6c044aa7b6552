//! What every transport does, one function a behaviour; [`transport_suite!`](crate::transport_suite)
//! makes tests of them. The machine needs what every Debian has: `sh`, `coreutils`.

use std::sync::Arc;
use std::time::Duration;

use crate::{Command, Output, Transport, TransportError};

/// How the suite gets at a machine.
pub trait Fixture {
    /// A transport to a machine where programs run as root.
    fn open(&self) -> Arc<dyn Transport>;
}

/// Makes a `#[test]` of every behaviour of a transport. The argument is an expression that makes a new
/// [`Fixture`](crate::suite::transport::Fixture).
#[macro_export]
macro_rules! transport_suite {
    ($fixture:expr) => {
        $crate::transport_suite! { $fixture;
            arguments_arrive_as_they_are
            the_environment_arrives_and_the_standard_one_is_set
            programs_run_as_root
            bytes_go_in_and_come_out_unchanged
            exit_codes_are_told
            a_missing_program_is_told_by_its_code
            what_takes_too_long_is_ended_on_the_machine_too
            an_answer_that_is_too_long_is_none
            only_the_end_of_long_complaints_is_kept
            what_is_no_command_is_refused
            many_run_at_once
        }
    };
    ($fixture:expr; $($behaviour:ident)*) => {$(
        #[test]
        fn $behaviour() {
            let fixture = $fixture;
            $crate::suite::run(async {
                $crate::suite::transport::$behaviour(&*$crate::suite::transport::Fixture::open(&fixture)).await;
            });
        }
    )*};
}

async fn run(transport: &dyn Transport, command: Command) -> Output {
    transport.run(command).await.unwrap()
}

/// # Panics
/// When the transport does not.
pub async fn arguments_arrive_as_they_are(transport: &dyn Transport) {
    let nasty = [
        "",
        " ",
        "a b",
        "it's",
        "'",
        "\"",
        "\\",
        "\\\\'",
        "$HOME `id` $(id)",
        "; touch /tmp/owned",
        "a\nb\n",
        "\t",
        "*",
        "~",
        "!!",
        "#",
        "-n",
        "--",
        "a=b",
        "\u{1b}[0m",
        "äöü €",
        "{a,b}",
        "%s\\n",
    ];
    let argv = ["printf", "%s\\0"].into_iter().chain(nasty);
    let output = run(transport, Command::new(argv)).await;
    let came: Vec<&[u8]> = output.stdout.split(|byte| *byte == 0).collect();
    let sent: Vec<&[u8]> = nasty.iter().map(|text| text.as_bytes()).chain([&b""[..]]).collect();
    assert_eq!(came, sent, "{}", String::from_utf8_lossy(&output.stderr));
}

/// # Panics
/// When the transport does not.
pub async fn the_environment_arrives_and_the_standard_one_is_set(transport: &dyn Transport) {
    let script = "printf '%s|' \"$LAB_WORDS\" \"$LC_ALL\" \"$PATH\"";
    let command = Command::new(["sh", "-c", script]).env("LAB_WORDS", "it's $HOME; \\ and\nmore");
    let output = run(transport, command).await;
    assert_eq!(
        String::from_utf8_lossy(&output.stdout),
        "it's $HOME; \\ and\nmore|C|/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin|"
    );
}

/// # Panics
/// When the transport does not.
pub async fn programs_run_as_root(transport: &dyn Transport) {
    assert_eq!(run(transport, Command::new(["id", "-u"])).await.stdout, b"0\n");
}

/// # Panics
/// When the transport does not.
pub async fn bytes_go_in_and_come_out_unchanged(transport: &dyn Transport) {
    // More than any pipe holds: whoever only writes first and reads later waits for ever.
    let bytes: Vec<u8> = (0..1_000_003_u32).map(|n| n.to_le_bytes()[0] ^ n.to_le_bytes()[1]).collect();
    let output = run(transport, Command::new(["cat"]).stdin(bytes.clone())).await;
    assert!(output.stdout == bytes, "{} bytes of {} came back", output.stdout.len(), bytes.len());
    assert!(run(transport, Command::new(["cat"])).await.stdout.is_empty(), "no input is an end of file");
    let ignored = run(transport, Command::new(["true"]).stdin(bytes)).await;
    assert!(ignored.success(), "who reads nothing is no error");
}

/// # Panics
/// When the transport does not.
pub async fn exit_codes_are_told(transport: &dyn Transport) {
    for code in [0, 1, 2, 100, 124, 200] {
        let output = run(transport, Command::new(["sh", "-c", "exit \"$1\"", "sh", &code.to_string()])).await;
        assert_eq!(output.code, code);
        assert_eq!(output.success(), code == 0);
    }
}

/// # Panics
/// When the transport does not.
pub async fn a_missing_program_is_told_by_its_code(transport: &dyn Transport) {
    assert_eq!(run(transport, Command::new(["patchyard-no-such-program"])).await.code, 127);
}

/// # Panics
/// When the transport does not.
pub async fn what_takes_too_long_is_ended_on_the_machine_too(transport: &dyn Transport) {
    let place = run(transport, Command::new(["mktemp", "-d"])).await.stdout;
    let place = String::from_utf8(place).unwrap().trim().to_owned();
    // It ignores what it can, and says who it is.
    let script = "trap '' TERM HUP INT; echo $$ >\"$1/pid\"; while :; do sleep 0.1; done";
    let command = Command::new(["sh", "-c", script, "sh", &place]).limit(Duration::from_secs(1));
    match transport.run(command).await {
        Err(TransportError::TimedOut { program, after, .. }) => {
            assert_eq!((&*program, after), ("sh", Duration::from_secs(1)));
        }
        other => panic!("expected a time-out, got {other:?}"),
    }
    let gone = "for i in $(seq 300); do kill -0 \"$(cat \"$1/pid\")\" 2>/dev/null || exit 0; sleep 0.1; done; exit 1";
    let output = run(transport, Command::new(["sh", "-c", gone, "sh", &place])).await;
    assert!(output.success(), "the program still runs on the machine");
    run(transport, Command::new(["rm", "-r", &place])).await;
}

/// # Panics
/// When the transport does not.
pub async fn an_answer_that_is_too_long_is_none(transport: &dyn Transport) {
    let answer = transport.run(Command::new(["yes"]).most(100_000)).await;
    assert!(matches!(answer, Err(TransportError::TooMuch { limit: 100_000, .. })), "{answer:?}");
    let exactly = run(transport, Command::new(["head", "-c", "1000", "/dev/zero"]).most(1000)).await;
    assert_eq!(exactly.stdout.len(), 1000);
}

/// # Panics
/// When the transport does not.
pub async fn only_the_end_of_long_complaints_is_kept(transport: &dyn Transport) {
    let script = "head -c 300000 /dev/zero | tr '\\0' x >&2; echo end >&2";
    let output = run(transport, Command::new(["sh", "-c", script])).await;
    assert!(
        output.stderr.ends_with(b"xend\n") && output.stderr.len() <= 64 * 1024,
        "{}",
        output.stderr.len()
    );
}

/// # Panics
/// When the transport does not.
pub async fn what_is_no_command_is_refused(transport: &dyn Transport) {
    let no_program: [&str; 0] = [];
    for bad in [
        Command::new(no_program),
        Command::new([""]),
        Command::new(["-x"]),
        Command::new(["a=b"]),
        Command::new(["echo", "a\0b"]),
        Command::new(["echo"]).env("a b", "1"),
        Command::new(["echo"]).env("1a", "1"),
        Command::new(["echo"]).env("", "1"),
        Command::new(["echo"]).env("A", "\0"),
    ] {
        let answer = transport.run(bad.clone()).await;
        assert!(matches!(answer, Err(TransportError::Invalid { .. })), "{bad:?}: {answer:?}");
    }
}

/// # Panics
/// When the transport does not.
pub async fn many_run_at_once(transport: &dyn Transport) {
    let one = |n: usize| async move { run(transport, Command::new(["echo", &n.to_string()])).await.stdout };
    let (a, b, c, d) = tokio::join!(one(1), one(2), one(3), one(4));
    assert_eq!([a, b, c, d].concat(), b"1\n2\n3\n4\n");
}
