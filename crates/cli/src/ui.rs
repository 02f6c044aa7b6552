//! Where output goes: results to stdout, messages to stderr, colours where they are wanted.
//!
//! A reader that has gone away is no reason to die in the middle of a rollout: what cannot be written
//! is dropped.

use std::borrow::Cow;
use std::io::{BufRead, IsTerminal, Write};

use anstream::AutoStream;
use anstyle::{AnsiColor, Style};
use clap::ColorChoice;

use crate::wrap::fit;

/// Narrower terminals than this are treated as this wide: there is no way to say anything in less.
const NARROWEST: usize = 40;

/// The user's side of a verb.
#[derive(Debug, Clone, Copy)]
pub struct Ui {
    color: ColorChoice,
    /// One JSON document on stdout instead of text.
    pub json: bool,
    /// Answer every question with yes.
    pub yes: bool,
    /// Columns of the terminal that results go to; `None` when it is none: nothing is cut then.
    pub width: Option<usize>,
    /// Somebody can answer a question.
    pub interactive: bool,
    /// Messages go to a terminal: progress may be drawn there.
    pub animated: bool,
}

impl Ui {
    pub fn new(color: ColorChoice, json: bool, yes: bool) -> Self {
        let stdout = std::io::stdout();
        let width = stdout.is_terminal().then(|| columns().max(NARROWEST));
        let stderr = std::io::stderr().is_terminal();
        let interactive = std::io::stdin().is_terminal() && stderr;
        let dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
        Self { color, json, yes, width, interactive, animated: stderr && !json && !dumb }
    }

    /// Prints a result, so that it fits the terminal.
    pub fn result(&self, text: &str) {
        let text = match self.width {
            Some(width) => Cow::Owned(fit(text, width)),
            None => Cow::Borrowed(text),
        };
        let mut out = AutoStream::new(std::io::stdout().lock(), choice(self.color, &std::io::stdout()));
        let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
    }

    /// Prints a JSON document as one line.
    pub fn document(&self, document: &impl serde::Serialize) {
        self.line(&crate::json::line(document));
    }

    /// Prints a line that is JSON already.
    pub fn line(&self, text: &str) {
        let mut out = std::io::stdout().lock();
        let _ = writeln!(out, "{text}").and_then(|()| out.flush());
    }

    /// Prints a message.
    pub fn say(&self, text: &str) {
        let mut out = AutoStream::new(std::io::stderr().lock(), choice(self.color, &std::io::stderr()));
        let _ = writeln!(out, "{text}").and_then(|()| out.flush());
    }

    /// Asks for a yes.
    pub fn confirm(&self, question: &str) -> bool {
        {
            let mut out = AutoStream::new(std::io::stderr().lock(), choice(self.color, &std::io::stderr()));
            let _ = write!(out, "{question} [y/N] ").and_then(|()| out.flush());
        }
        let mut answer = String::new();
        let read = std::io::stdin().lock().read_line(&mut answer);
        read.is_ok() && matches!(answer.trim().to_ascii_lowercase().as_str(), "y" | "yes")
    }
}

fn choice(color: ColorChoice, stream: &impl anstream::stream::RawStream) -> anstream::ColorChoice {
    match color {
        ColorChoice::Always => anstream::ColorChoice::Always,
        ColorChoice::Never => anstream::ColorChoice::Never,
        ColorChoice::Auto => AutoStream::choice(stream),
    }
}

fn columns() -> usize {
    let asked = rustix::termios::tcgetwinsize(rustix::stdio::stdout()).ok();
    let told = || std::env::var("COLUMNS").ok()?.parse().ok();
    asked.map(|size| usize::from(size.ws_col)).filter(|columns| *columns > 0).or_else(told).unwrap_or(80)
}

/// Text in a style.
pub fn paint(style: Style, text: &str) -> String {
    if text.is_empty() { String::new() } else { format!("{style}{text}{style:#}") }
}

/// What matters most.
pub const BOLD: Style = Style::new().bold();
/// What matters least.
pub const DIM: Style = Style::new().dimmed();
/// Good.
pub const GREEN: Style = AnsiColor::Green.on_default();
/// Worth a look.
pub const YELLOW: Style = AnsiColor::Yellow.on_default();
/// Bad.
pub const RED: Style = AnsiColor::Red.on_default();
/// Nothing special.
pub const PLAIN: Style = Style::new();
