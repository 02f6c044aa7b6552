//! Progress on long work: a line that redraws itself on a terminal, and nothing anywhere else.

use std::io;
use std::time::Duration;

use console::Term;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle, TermLike};
use patchyard_app::{Note, Part, Progress, size};

use crate::text::remark;
use crate::ui::Ui;

/// A line on stderr for what is going on.
pub struct Line(ProgressBar);

impl Line {
    pub fn new(ui: &Ui) -> Self {
        let bar = ProgressBar::with_draw_target(None, target(ui));
        bar.set_style(spinner());
        bar.enable_steady_tick(Duration::from_millis(100));
        Self(bar)
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}

impl Progress for Line {
    fn note(&self, note: Note) {
        self.0.set_message(remark(&words(&note)));
    }
}

/// A remark with how far the work is.
pub fn words(note: &Note) -> String {
    let text = &note.text;
    match note.part {
        None => text.clone(),
        Some(Part::Count(done, whole)) => format!("{text} {done}/{whole}"),
        Some(Part::Bytes(done, whole)) => format!("{text} {} of {}", size::show(done), size::show(whole)),
    }
}

/// Where such lines are drawn.
pub fn target(ui: &Ui) -> ProgressDrawTarget {
    match ui.animated {
        true => ProgressDrawTarget::term_like(Box::new(Stderr(Term::stderr()))),
        false => ProgressDrawTarget::hidden(),
    }
}

/// A terminal that may be gone: indicatif panics when it cannot draw, and a rollout must not end with
/// its audience.
#[derive(Debug)]
struct Stderr(Term);

impl TermLike for Stderr {
    fn width(&self) -> u16 {
        self.0.size().1
    }

    fn height(&self) -> u16 {
        self.0.size().0
    }

    fn move_cursor_up(&self, n: usize) -> io::Result<()> {
        self.0.move_cursor_up(n).or(Ok(()))
    }

    fn move_cursor_down(&self, n: usize) -> io::Result<()> {
        self.0.move_cursor_down(n).or(Ok(()))
    }

    fn move_cursor_right(&self, n: usize) -> io::Result<()> {
        self.0.move_cursor_right(n).or(Ok(()))
    }

    fn move_cursor_left(&self, n: usize) -> io::Result<()> {
        self.0.move_cursor_left(n).or(Ok(()))
    }

    fn write_line(&self, text: &str) -> io::Result<()> {
        self.0.write_line(text).or(Ok(()))
    }

    fn write_str(&self, text: &str) -> io::Result<()> {
        self.0.write_str(text).or(Ok(()))
    }

    fn clear_line(&self) -> io::Result<()> {
        self.0.clear_line().or(Ok(()))
    }

    fn flush(&self) -> io::Result<()> {
        self.0.flush().or(Ok(()))
    }
}

/// How such a line looks.
pub fn spinner() -> ProgressStyle {
    // The template is a constant; a default that draws something is better than none.
    ProgressStyle::with_template("  {spinner} {msg}").unwrap_or_else(|_| ProgressStyle::default_spinner())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_told_in_units_and_things_are_counted() {
        let said = |part| words(&Note { text: "uploading packages".into(), part });
        assert_eq!(said(None), "uploading packages");
        assert_eq!(said(Some(Part::Bytes(0, 20_672))), "uploading packages 0 B of 20.1 KiB");
        assert_eq!(said(Some(Part::Count(3, 12))), "uploading packages 3/12");
    }
}
