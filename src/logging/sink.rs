//! The far end of the log: gathers simplelog's pieces to a line, and writes the line at once.

use std::fs::File;
use std::io;
use std::io::Write as _;

use super::syslog::Syslog;

/// The longest line, its newline included; longer ones are cut.  A pathname of `PATH_MAX` need not fit.
pub const LINE_MAX: usize = 1024;

/// Where `2026-11-22T15:04:05` ends and the fraction of the second begins.
const FRACTION: usize = 19;

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
            rustix::fs::fstat(io::stdin()),
            rustix::fs::fstat(io::stderr()),
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

    /// Makes `05.123456789Z` at the head of the line `05Z`: nobody reads nanoseconds, and flash memory is small.
    fn round_time(&mut self) {
        let line = self.line.get(..self.len).unwrap_or_default();
        if line.get(FRACTION) != Some(&b'.') {
            return;
        }
        let fraction = line.get(FRACTION + 1..).unwrap_or_default();
        let digits = fraction
            .iter()
            .take_while(|octet| octet.is_ascii_digit())
            .count();
        if fraction.get(digits) == Some(&b'Z') {
            self.line
                .copy_within(FRACTION + 1 + digits..self.len, FRACTION);
            self.len -= digits + 1;
        }
    }

    /// Ends the line and writes it.
    fn emit(&mut self) {
        self.round_time();
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
        self.len = 0;
        self.cut = false;
    }
}

impl io::Write for Sink {
    /// Takes everything, always: a log that fails must not fail whoever logs.
    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        for piece in octets.split_inclusive(|&octet| octet == b'\n') {
            match piece.split_last() {
                Some((b'\n', text)) => {
                    self.gather(text);
                    self.emit();
                }
                _ => self.gather(piece),
            }
        }
        Ok(octets.len())
    }

    fn flush(&mut self) -> io::Result<()> {
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

    #[test]
    fn pieces_become_one_write_a_line() {
        let (mut sink, socket) = sink();
        for piece in ["2026", " INFO", " a", "\n", "b\nc"] {
            sink.write_all(piece.as_bytes()).unwrap();
        }
        assert_eq!(heard(&socket).unwrap(), b"2026 INFO a\n");
        assert_eq!(heard(&socket).unwrap(), b"b\n");
        assert_eq!(heard(&socket), None);
    }

    #[test]
    fn the_fraction_of_the_second_is_left_out() {
        let (mut sink, socket) = sink();
        for (given, written) in [
            (
                "2026-11-22T15:04:05.123456789Z INFO a.9Z\n",
                "2026-11-22T15:04:05Z INFO a.9Z\n",
            ),
            (
                "2026-11-22T15:04:05.1Z INFO\n",
                "2026-11-22T15:04:05Z INFO\n",
            ),
            (
                "2026-11-22T15:04:05Z INFO a\n",
                "2026-11-22T15:04:05Z INFO a\n",
            ),
            ("an odd line of text.123\n", "an odd line of text.123\n"),
        ] {
            sink.write_all(given.as_bytes()).unwrap();
            assert_eq!(heard(&socket).unwrap(), written.as_bytes());
        }
    }

    #[test]
    fn a_long_line_is_cut_and_the_next_is_whole() {
        let (mut sink, socket) = sink();
        sink.write_all(&[b'x'; LINE_MAX - CUT.len()]).unwrap();
        sink.write_all(b"\n").unwrap();
        assert_eq!(
            heard(&socket).unwrap(),
            [&[b'x'; LINE_MAX - CUT.len()][..], b"\n"].concat()
        );
        sink.write_all(&[b'x'; 5000]).unwrap();
        sink.write_all(b"y\nz\n").unwrap();
        assert_eq!(
            heard(&socket).unwrap(),
            [&[b'x'; LINE_MAX - CUT.len()][..], CUT].concat()
        );
        assert_eq!(heard(&socket).unwrap(), b"z\n");
    }

    #[test]
    fn a_log_that_went_away_fails_nobody() {
        let (mut sink, socket) = sink();
        drop(socket);
        assert_eq!(sink.write(b"a\n").unwrap(), 2);
    }

    #[test]
    fn a_file_is_appended_to_and_not_for_others_to_read() {
        use std::os::unix::fs::PermissionsExt as _;
        let path = std::env::temp_dir().join(format!("pocketftpd-log-{}", std::process::id()));
        let _ = std::fs::remove_file(&path);
        for line in ["a\n", "b\n"] {
            let file = super::super::append(&path).unwrap();
            Sink::new(Target::File(file), Stderr { ours: false })
                .write_all(line.as_bytes())
                .unwrap();
        }
        let mut text = String::new();
        File::open(&path)
            .unwrap()
            .read_to_string(&mut text)
            .unwrap();
        assert_eq!(text, "a\nb\n");
        assert_eq!(
            std::fs::metadata(&path).unwrap().permissions().mode() & 0o137,
            0
        );
        std::fs::remove_file(&path).unwrap();
    }
}
