//! simplelog set-up, and where its lines go.
//!
//! A line is `2026-11-22T15:04:05Z INFO text`, in UTC, written by one write(2), and costs no heap allocation.
//! simplelog's own writer formats the level into a `String`, and has three forms of time at hand, of which one is used
//! (19 KB on ARM).  So its lines go to a [`SharedLogger`] of ours, which also takes control characters out of the text,
//! as a last defence against forged lines.

mod sink;
mod syslog;
pub mod trouble;

use std::fmt;
use std::fs::OpenOptions;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::SystemTime;
use std::time::UNIX_EPOCH;

use log::LevelFilter;
use log::Record;
use nix::errno::Errno;
use nix::fcntl::OFlag;
use simplelog::CombinedLogger;
use simplelog::SharedLogger;

use crate::config::Log;
use crate::config::LogTarget;

use sink::Sink;
use sink::Stderr;
use sink::Target;
use syslog::Syslog;

/// An error in words that are not made on the heap, as those of an [`io::Error`] itself are: it may be the heap that is
/// full.
#[derive(Debug)]
pub struct Cause<'e>(pub &'e io::Error);

impl fmt::Display for Cause<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.raw_os_error() {
            Some(number) => f.write_str(Errno::from_raw(number).desc()),
            None => write!(f, "{}", self.0.kind()),
        }
    }
}

/// Where log daemons listen on Linux, whatever their name.
const DEV_LOG: &str = "/dev/log";

/// Opens the log and starts it.  This belongs before the chroot, and happens once.
///
/// # Errors
/// One line: what could not be opened, why, and the way out.
pub fn start(log: &Log) -> Result<(), String> {
    if log.level == LevelFilter::Off {
        return Ok(());
    }
    let stderr = Stderr::find();
    let target = match &log.target {
        // inetd puts the client on standard error too; a log line there would end up in the dialogue.
        LogTarget::Stderr if !stderr.is_ours() => match Syslog::open(Path::new(DEV_LOG)) {
            Ok(syslog) => Target::Syslog(syslog),
            Err(_) => Target::Stderr,
        },
        LogTarget::Stderr => Target::Stderr,
        LogTarget::File(path) => Target::File(append(path)?),
        LogTarget::Syslog => Target::Syslog(syslog()?),
    };
    let lines = Lines {
        level: log.level,
        sink: Mutex::new(Sink::new(target, stderr)),
    };
    CombinedLogger::init(vec![Box::new(lines)])
        .map_err(|_| "cannot start the log: it was started before")?;
    Ok(())
}

/// Looks whether the run that wrote the log file before has said goodbye; true if it has not.
///
/// False where nobody can tell: without a log file, with nothing in it, at a level that leaves the goodbye out.  Call
/// it before [`start`].
pub fn broke_off(log: &Log) -> bool {
    let LogTarget::File(path) = &log.target else {
        return false;
    };
    if log.level < LevelFilter::Info {
        return false;
    }
    let mut tail = [0; 2 * sink::LINE_MAX];
    let Ok(tail) = end_of(path, &mut tail) else {
        return false;
    };
    let last = tail.trim_ascii_end().rsplit(|octet| *octet == b'\n').next();
    let mut words = last.unwrap_or_default().splitn(3, |octet| *octet == b' ');
    // The last line of a run: an orderly end, or why it did not start.
    match (words.next(), words.next(), words.next()) {
        (Some(_), Some(b"INFO" | b"WARN"), Some(text)) => !text.starts_with(GOODBYE.as_bytes()),
        (Some(_), Some(b"ERROR"), Some(text)) => text.starts_with(b"["),
        _ => false,
    }
}

/// How the last line of a run begins.
pub const GOODBYE: &str = "stopped";

/// The end of a file, as much of it as there is room for.
fn end_of<'r>(path: &Path, room: &'r mut [u8]) -> io::Result<&'r [u8]> {
    let mut options = OpenOptions::new();
    // A FIFO must not be waited for.
    let file = options
        .read(true)
        .custom_flags(OFlag::O_NONBLOCK.bits())
        .open(path)?;
    let room_len = u64::try_from(room.len()).unwrap_or(u64::MAX);
    let from = file.metadata()?.len().saturating_sub(room_len);
    let count = file.read_at(room, from)?;
    Ok(room.get(..count).unwrap_or_default())
}

/// Opens what [`start`] would open, and lets go of it again; a file that was not there is not there afterwards.
///
/// # Errors
/// As [`start`].
pub fn try_out(log: &Log) -> Result<(), String> {
    match &log.target {
        _ if log.level == LevelFilter::Off => Ok(()),
        LogTarget::Stderr => Ok(()),
        LogTarget::File(path) => {
            let is_new = std::fs::symlink_metadata(path).is_err();
            append(path)?;
            if is_new {
                // What stays is an empty file, which the start would make too.
                let _ = std::fs::remove_file(path);
            }
            Ok(())
        }
        LogTarget::Syslog => syslog().map(drop),
    }
}

fn syslog() -> Result<Syslog, String> {
    Syslog::open(Path::new(DEV_LOG)).map_err(|why| {
        format!(
            "cannot start the log: {DEV_LOG}: {why}; start the log daemon, or give --log-file FILE"
        )
    })
}

fn append(path: &Path) -> Result<std::fs::File, String> {
    OpenOptions::new()
        .append(true)
        .create(true)
        .mode(0o640)
        .open(path)
        .map_err(|why| {
            format!(
                "cannot open the log file {}: {why}; name another with --log-file",
                path.display()
            )
        })
}

/// Where simplelog takes a line that is to be written.
struct Lines {
    level: LevelFilter,
    sink: Mutex<Sink>,
}

impl log::Log for Lines {
    fn enabled(&self, metadata: &log::Metadata<'_>) -> bool {
        metadata.level() <= self.level
    }

    fn log(&self, record: &Record<'_>) {
        // Locked before the clock is read, or lines would overtake each other.
        let mut sink = self.sink.lock().unwrap_or_else(PoisonError::into_inner);
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        let now = now.map_or(0, |now| now.as_secs());
        let now = i64::try_from(now).unwrap_or(i64::MAX);
        sink.line(now, record.level(), *record.args());
    }

    fn flush(&self) {}
}

impl SharedLogger for Lines {
    fn level(&self) -> LevelFilter {
        self.level
    }

    fn config(&self) -> Option<&simplelog::Config> {
        None
    }

    fn as_log(self: Box<Self>) -> Box<dyn log::Log> {
        self
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may panic")]
    use super::*;
    #[test]
    fn a_run_that_has_not_said_goodbye_is_noticed() {
        let path = std::env::temp_dir().join(format!("pocketftpd-end-{}", std::process::id()));
        let log = Log {
            level: LevelFilter::Info,
            target: LogTarget::File(path.clone()),
        };
        let _ = std::fs::remove_file(&path);
        assert!(!broke_off(&log), "no file");
        let table = [
            ("", false),
            ("Z INFO listening on [::]:21\n", true),
            ("Z INFO a\nZ WARN [1] 192.0.2.1:2 guessed\n", true),
            ("Z INFO a\nZ INFO stopped\n", false),
            ("Z INFO a\nZ WARN stopped, 2 sessions cut off\n", false),
            ("Z INFO a\nZ ERROR listen on [::]:21: in use\n", false),
            ("Z INFO a\nZ ERROR [3] 192.0.2.1:2 a bug\n", true),
            ("somebody else's file\n", false),
        ];
        for (text, wanted) in table {
            std::fs::write(&path, text).unwrap();
            assert_eq!(broke_off(&log), wanted, "{text}");
        }
        std::fs::remove_file(&path).unwrap();
    }

    #[test]
    fn a_line_has_the_time_and_levels_below_the_chosen_one_are_left_out() {
        use log::Log as _;
        let path = std::env::temp_dir().join(format!("pocketftpd-level-{}", std::process::id()));
        let _ = std::fs::remove_file(&path);
        let target = Target::File(append(&path).unwrap());
        let lines = Lines {
            level: LevelFilter::Info,
            sink: Mutex::new(Sink::new(target, Stderr::find())),
        };
        let logger = CombinedLogger::new(vec![Box::new(lines)]);
        for level in [log::Level::Debug, log::Level::Info] {
            let args = format_args!("hello");
            logger.log(&Record::builder().level(level).args(args).build());
        }
        let text = std::fs::read_to_string(&path).unwrap();
        let (time, rest) = text.split_once(' ').unwrap();
        assert!(time.starts_with("20") && time.len() == 20, "{time}");
        assert_eq!(rest, "INFO hello\n");
        std::fs::remove_file(&path).unwrap();
    }
}
