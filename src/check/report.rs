//! The lines of the report: a mark and plain words, written as they come, so that a slow board shows its progress.

use std::fmt::Display;
use std::io::Write;

use crate::check::journal;
use crate::wire::printable::Printable;

/// What has been said so far, counted by its marks.
#[derive(Debug)]
pub struct Report<W> {
    out: W,
    warnings: usize,
    failures: usize,
}

impl<W: Write> Report<W> {
    /// A report that goes to `out`.
    pub fn new(out: W) -> Self {
        Self {
            out,
            warnings: 0,
            failures: 0,
        }
    }

    /// This works.
    pub fn good(&mut self, text: impl Display) {
        self.line("[ ok ] ", &text);
    }

    /// This works, but not for everybody, or not for long.
    pub fn warning(&mut self, text: impl Display) {
        self.warnings += 1;
        self.line("[warn] ", &text);
    }

    /// This will fail.
    pub fn bad(&mut self, text: impl Display) {
        self.failures += 1;
        self.line("[FAIL] ", &text);
    }

    /// Good or bad, whichever it is.
    pub fn result(&mut self, result: Result<impl Display, impl Display>) {
        match result {
            Ok(text) => self.good(text),
            Err(text) => self.bad(text),
        }
    }

    /// Words without a mark: headings, and lines to copy.
    pub fn text(&mut self, text: impl Display) {
        self.line("", &text);
    }

    /// What the rooms below would have told the log by now.
    pub fn heard(&mut self) {
        for warning in journal::warnings() {
            self.warning(warning);
        }
    }

    /// Sums up; true if nothing will fail.
    pub fn end(mut self) -> bool {
        let warnings = match self.warnings {
            0 => String::new(),
            1 => "; 1 warning above".to_owned(),
            many => format!("; {many} warnings above"),
        };
        match self.failures {
            0 => self.text(format_args!("All is well{warnings}.")),
            1 => self.text(format_args!(
                "1 thing will fail: see [FAIL] above{warnings}."
            )),
            many => self.text(format_args!(
                "{many} things will fail: see [FAIL] above{warnings}."
            )),
        }
        self.failures == 0
    }

    /// Names of files and greetings of strangers must neither forge a line nor speak to the terminal.
    fn line(&mut self, mark: &str, text: &dyn Display) {
        // Whoever reads this has gone (`--check | head`): what was begun is still put away, and the status counts.
        let _ = writeln!(self.out, "{mark}{}", Printable(text.to_string().as_bytes()));
        let _ = self.out.flush();
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may panic")]
    use super::*;

    #[test]
    fn each_line_has_its_mark_and_warnings_are_no_failure() {
        let mut out = Vec::new();
        let mut report = Report::new(&mut out);
        report.good("one");
        report.warning("two\r\n[ ok ] forged\x1b[2J");
        report.text("  three");
        assert!(report.end());
        assert_eq!(
            String::from_utf8(out).unwrap(),
            "[ ok ] one\n[warn] two\\x0d\\x0a[ ok ] forged\\x1b[2J\n  three\nAll is well; 1 warning above.\n"
        );
        let mut report = Report::new(Vec::new());
        report.result(Err::<&str, _>("four"));
        assert!(!report.end());
    }
}
