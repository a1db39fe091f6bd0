//! simplelog set-up, and where its lines go.
//!
//! A line is `2026-11-22T15:04:05Z INFO text`, in UTC, written by one write(2), and costs no heap allocation.  That
//! is why simplelog's own level is off: it formats it into a `String`.  [`Lines`] puts the level before the text
//! instead, and takes control characters out of the text, as a last defence against forged lines.

mod sink;
mod syslog;
pub mod trouble;

use std::fmt;
use std::fs::OpenOptions;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use log::LevelFilter;
use log::Record;
use nix::errno::Errno;
use nix::fcntl::OFlag;
use simplelog::ConfigBuilder;
use simplelog::WriteLogger;

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
    let lines = Lines::new(log.level, Sink::new(target, stderr));
    // Leaking it is what log's own set_boxed_logger does: the log lives as long as the process.
    log::set_logger(Box::leak(Box::new(lines)))
        .map_err(|_| "cannot start the log: it was started before")?;
    log::set_max_level(log.level);
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

/// simplelog's logger, its lines led by the level.
struct Lines<W: io::Write + Send + 'static> {
    logger: Box<WriteLogger<W>>,
}

impl<W: io::Write + Send + 'static> Lines<W> {
    fn new(level: LevelFilter, sink: W) -> Self {
        let form = ConfigBuilder::new()
            .set_max_level(LevelFilter::Off)
            .set_thread_level(LevelFilter::Off)
            .set_target_level(LevelFilter::Off)
            .set_location_level(LevelFilter::Off)
            // With a fraction of the second, which `sink` takes out: the macro for other forms needs a direct
            // dependency on the crate time.
            .set_time_format_rfc3339()
            .build();
        Self {
            logger: WriteLogger::new(level, form, sink),
        }
    }
}

impl<W: io::Write + Send + 'static> log::Log for Lines<W> {
    fn enabled(&self, metadata: &log::Metadata<'_>) -> bool {
        self.logger.enabled(metadata)
    }

    fn log(&self, record: &Record<'_>) {
        let text = Text(record);
        self.logger.log(
            &Record::builder()
                .level(record.level())
                .args(format_args!("{text}"))
                .build(),
        );
    }

    fn flush(&self) {
        self.logger.flush();
    }
}

/// What stands on a line after the time.
struct Text<'r>(&'r Record<'r>);

impl fmt::Display for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ", self.0.level())?;
        fmt::write(&mut Tame(f), *self.0.args())
    }
}

/// Lets everything through but control characters, for which it writes `?`.
struct Tame<'f, 'g>(&'f mut fmt::Formatter<'g>);

impl fmt::Write for Tame<'_, '_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let mut pieces = text.split(char::is_control);
        if let Some(first) = pieces.next() {
            self.0.write_str(first)?;
        }
        for piece in pieces {
            self.0.write_str("?")?;
            self.0.write_str(piece)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may panic")]
    use super::*;
    use log::Log as _;
    use std::sync::Arc;
    use std::sync::Mutex;

    #[derive(Clone, Default)]
    struct Heard(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Heard {
        fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(octets);
            Ok(octets.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn line(level: log::Level, text: &str) -> String {
        let heard = Heard::default();
        Lines::new(LevelFilter::Info, heard.clone()).log(
            &Record::builder()
                .level(level)
                .args(format_args!("{text}"))
                .build(),
        );
        String::from_utf8(heard.0.lock().unwrap().clone()).unwrap()
    }

    #[test]
    fn a_line_is_time_level_and_text() {
        let line = line(log::Level::Info, "hello");
        let (time, rest) = line.split_once(' ').unwrap();
        assert!(time.starts_with("20") && time.ends_with('Z'), "{time}");
        assert_eq!(rest, "INFO hello\n");
    }

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
    fn levels_below_the_chosen_one_are_left_out() {
        assert_eq!(line(log::Level::Debug, "hello"), "");
    }

    #[test]
    fn a_text_cannot_forge_a_second_line_or_speak_to_the_terminal() {
        let line = line(log::Level::Warn, "a\r\nb\x1b[2J\x7f\u{9b}ü\n");
        assert!(line.ends_with(" WARN a??b?[2J??ü?\n"), "{line:?}");
    }
}
