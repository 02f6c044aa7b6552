//! Progress on long work: a line that redraws itself on a terminal, and nothing anywhere else.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use patchyard_app::{Note, Progress};

use crate::ui::Ui;

/// A line on stderr for what is going on.
pub struct Line(ProgressBar);

impl Line {
    pub fn new(ui: &Ui) -> Self {
        let target = if ui.animated { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
        let bar = ProgressBar::with_draw_target(None, target);
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
        let part = note.part.map(|(done, whole)| format!(" {done}/{whole}")).unwrap_or_default();
        self.0.set_message(format!("{}{part}", crate::text::remark(&note.text)));
    }
}

/// How such a line looks.
pub fn spinner() -> ProgressStyle {
    // The template is a constant; a default that draws something is better than none.
    ProgressStyle::with_template("  {spinner} {msg}").unwrap_or_else(|_| ProgressStyle::default_spinner())
}
