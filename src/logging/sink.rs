//! The far end of the log: gathers the pieces of a line, and writes the line at once.

use std::fmt;
use std::fs::File;
use std::io;
use std::io::Write as _;

use log::Level;

use super::syslog::Syslog;
use crate::wire::printable::pieces;
use crate::wire::time;

/// The longest line, its newline included; longer ones are cut.  A pathname of `PATH_MAX` need not fit.
pub const LINE_MAX: usize = 1024;

/// What marks a line that was cut.
const CUT: &[u8] = b"...\n";

/// Where lines go.
pub enum Target {
    Stderr,
    File(File),
    Syslog(Syslog),
}

/// Standard error, if it is ours to write to.
#[derive(Debug, Clone, Copy)]
pub struct Stderr {
    ours: bool,
}

impl Stderr {
    /// Finds out whether standard error is the client: inetd gives one socket to all three streams.
    ///
    /// systemd gives a socket of its own to standard error, which is the journal and is ours.
    pub fn find() -> Self {
        use rustix::fs::FileType;
        let (Ok(input), Ok(error)) = (
            rustix::fs::fstat(rustix::stdio::stdin()),
            rustix::fs::fstat(rustix::stdio::stderr()),
        ) else {
            return Self { ours: true };
        };
        let socket = FileType::from_raw_mode(error.st_mode) == FileType::Socket;
        Self {
            ours: !socket || (input.st_dev, input.st_ino) != (error.st_dev, error.st_ino),
        }
    }

    pub fn is_ours(self) -> bool {
        self.ours
    }

    /// Writes a line; there is nowhere to go with an error.
    pub fn write(self, line: &[u8]) {
        if self.ours {
            let _ = io::stderr().write_all(line);
        }
    }
}

/// A writer that holds one line.
pub struct Sink {
    line: [u8; LINE_MAX],
    len: usize,
    cut: bool,
    target: Target,
    stderr: Stderr,
}

impl Sink {
    pub fn new(target: Target, stderr: Stderr) -> Self {
        Self {
            line: [0; LINE_MAX],
            len: 0,
            cut: false,
            target,
            stderr,
        }
    }

    /// Writes a line; `unix` is its time in seconds since 1970.  No log is a reason to fail whoever logs.
    pub fn line(&mut self, unix: i64, level: Level, text: fmt::Arguments<'_>) {
        self.len = 0;
        self.cut = false;
        self.gather(&time::stamp(unix));
        for piece in [" ", level.as_str(), " "] {
            self.gather(piece.as_bytes());
        }
        let _ = fmt::write(self, text);
        self.emit();
    }

    /// Adds what fits to the line.
    fn gather(&mut self, octets: &[u8]) {
        let room = LINE_MAX.saturating_sub(CUT.len()).saturating_sub(self.len);
        let fitting = octets.get(..room).unwrap_or(octets);
        self.cut |= fitting.len() < octets.len();
        let end = self.len.saturating_add(fitting.len());
        if let Some(place) = self.line.get_mut(self.len..end) {
            place.copy_from_slice(fitting);
            self.len = end;
        }
    }

    /// Ends the line and writes it.
    fn emit(&mut self) {
        let end: &[u8] = if self.cut { CUT } else { b"\n" };
        let whole = self.len.saturating_add(end.len());
        if let Some(place) = self.line.get_mut(self.len..whole) {
            place.copy_from_slice(end);
        }
        let line = self.line.get(..whole).unwrap_or_default();
        match &mut self.target {
            Target::Stderr => self.stderr.write(line),
            Target::File(file) => {
                // A full disk, most likely; better on standard error than nowhere.
                if file.write_all(line).is_err() {
                    self.stderr.write(line);
                }
            }
            Target::Syslog(syslog) => {
                let stderr = self.stderr;
                syslog.send(line, |line| stderr.write(line));
            }
        }
    }
}

impl fmt::Write for Sink {
    /// Takes all but control characters, for which it puts `?`: the last defence against forged lines.
    fn write_str(&mut self, text: &str) -> fmt::Result {
        pieces(text.as_bytes(), |piece, control| {
            self.gather(if control { b"?" } else { piece });
        });
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may panic")]
    use super::*;
    use std::io::Read as _;
    use std::os::fd::OwnedFd;
    use std::os::unix::net::UnixDatagram;

    /// A datagram socket keeps the borders of writes, so one line in one write(2) can be seen.
    fn sink() -> (Sink, UnixDatagram) {
        let (ours, theirs) = UnixDatagram::pair().unwrap();
        theirs.set_nonblocking(true).unwrap();
        (
            Sink::new(
                Target::File(File::from(OwnedFd::from(ours))),
                Stderr { ours: false },
            ),
            theirs,
        )
    }

    fn heard(socket: &UnixDatagram) -> Option<Vec<u8>> {
        let mut line = vec![0; 2 * LINE_MAX];
        let len = socket.recv(&mut line).ok()?;
        line.truncate(len);
        Some(line)
    }

    /// A line of 1970, as it reaches the other end.
    fn line(level: Level, text: &str) -> Vec<u8> {
        let (mut sink, socket) = sink();
        sink.line(1, level, format_args!("{text}"));
        heard(&socket).unwrap()
    }

    #[test]
    fn a_line_is_time_level_and_text_in_one_write() {
        let (mut sink, socket) = sink();
        for _ in 0..2 {
            sink.line(5, Level::Info, format_args!("{} {}", "a", 1));
            assert_eq!(heard(&socket).unwrap(), b"1970-01-01T00:00:05Z INFO a 1\n");
            assert_eq!(heard(&socket), None);
        }
    }

    #[test]
    fn a_text_cannot_forge_a_second_line_or_speak_to_the_terminal() {
        assert_eq!(
            line(Level::Warn, "a\r\nb\x1b[2J\x7f\u{9b}ü\n"),
            "1970-01-01T00:00:01Z WARN a??b?[2J??ü?\n".as_bytes()
        );
    }

    #[test]
    fn a_long_line_is_cut_and_the_next_is_whole() {
        let head = "1970-01-01T00:00:01Z INFO ";
        let longest = "x".repeat(LINE_MAX - CUT.len() - head.len());
        let whole = format!("{head}{longest}\n");
        assert_eq!(line(Level::Info, &longest), whole.as_bytes());
        let (mut sink, socket) = sink();
        sink.line(1, Level::Info, format_args!("{longest}y"));
        sink.line(1, Level::Info, format_args!("z"));
        let cut = format!("{head}{longest}...\n");
        assert_eq!(heard(&socket).unwrap(), cut.as_bytes());
        assert_eq!(heard(&socket).unwrap(), format!("{head}z\n").as_bytes());
    }

    #[test]
    fn a_log_that_went_away_fails_nobody() {
        let (mut sink, socket) = sink();
        drop(socket);
        sink.line(1, Level::Info, format_args!("a"));
    }

    #[test]
    fn a_file_is_appended_to_and_not_for_others_to_read() {
        use std::os::unix::fs::PermissionsExt as _;
        let path = std::env::temp_dir().join(format!("pocketftpd-log-{}", std::process::id()));
        let _ = std::fs::remove_file(&path);
        for text in ["a", "b"] {
            let file = super::super::append(&path).unwrap();
            let mut sink = Sink::new(Target::File(file), Stderr { ours: false });
            sink.line(1, Level::Info, format_args!("{text}"));
        }
        let mut text = String::new();
        File::open(&path)
            .unwrap()
            .read_to_string(&mut text)
            .unwrap();
        let lines: Vec<_> = text.lines().map(|line| line.split_at(26).1).collect();
        assert_eq!(lines, ["a", "b"]);
        assert_eq!(
            std::fs::metadata(&path).unwrap().permissions().mode() & 0o137,
            0
        );
        std::fs::remove_file(&path).unwrap();
    }
}
