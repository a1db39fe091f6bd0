//! What the rooms below tell the log: kept for the report, which has better words for some and the same for the rest.

use std::sync::Mutex;
use std::sync::PoisonError;

use log::Level;
use log::LevelFilter;

/// More than the check can bring about; a bound all the same.
const MOST: usize = 100;

/// Lines by their level.
struct Journal(Mutex<Vec<(Level, String)>>);

static JOURNAL: Journal = Journal(Mutex::new(Vec::new()));

impl log::Log for Journal {
    fn enabled(&self, about: &log::Metadata<'_>) -> bool {
        about.level() <= Level::Info
    }

    fn log(&self, record: &log::Record<'_>) {
        let mut lines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if lines.len() < MOST {
            lines.push((record.level(), record.args().to_string()));
        }
    }

    fn flush(&self) {}
}

/// Keeps lines from now on.
pub fn open() {
    // It fails only where there is a log already, which then has the lines.
    if log::set_logger(&JOURNAL).is_ok() {
        log::set_max_level(LevelFilter::Info);
    }
}

/// Takes out all lines.
pub fn lines() -> Vec<(Level, String)> {
    std::mem::take(&mut JOURNAL.0.lock().unwrap_or_else(PoisonError::into_inner))
}

/// Takes out all lines, and returns those that warn.
pub fn warnings() -> Vec<String> {
    let mut lines = lines();
    lines.retain(|(level, _)| *level <= Level::Warn);
    lines.into_iter().map(|(_, line)| line).collect()
}
