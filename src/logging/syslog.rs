//! Lines to the log daemon: `<PRI>pocketftpd[PID]: text`, RFC 3164 as C libraries speak it to /dev/log.
//!
//! The time is the daemon's to add.  Sending never blocks: a log daemon that is stuck must not hold up a session.

use std::io;
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::path::PathBuf;

use super::sink::LINE_MAX;
use crate::wire::octets::Cursor;

/// LOG_FTP of syslog.h, in its place within the priority.
const FACILITY: u64 = 11 << 3;

/// Room for a line, and for what is put before it.
const PACKET_MAX: usize = LINE_MAX + 64;

/// A connection to the log daemon.
pub struct Syslog {
    socket: UnixDatagram,
    path: PathBuf,
    pid: u32,
    /// How many lines went elsewhere since the daemon last took one.
    diverted: u32,
}

impl Syslog {
    /// # Errors
    /// If nobody listens at `path`.
    pub fn open(path: &Path) -> io::Result<Self> {
        let socket = UnixDatagram::unbound()?;
        socket.set_nonblocking(true)?;
        socket.connect(path)?;
        Ok(Self {
            socket,
            path: path.to_owned(),
            pid: std::process::id(),
            diverted: 0,
        })
    }

    /// Sends a line of [`super::Lines`], or gives it to `elsewhere` and counts it.
    ///
    /// Once the daemon takes lines again, the first tells it how many are missing.
    pub fn send(&mut self, line: &[u8], elsewhere: impl Fn(&[u8])) {
        let (severity, text) = taken_apart(line);
        if self
            .report()
            .and_then(|()| self.packet(severity, text))
            .is_err()
        {
            self.diverted = self.diverted.saturating_add(1);
            elsewhere(line);
        }
    }

    fn report(&mut self) -> io::Result<()> {
        if self.diverted == 0 {
            return Ok(());
        }
        let mut room = [0; 100];
        let mut text = Cursor::new(&mut room);
        text.decimal(self.diverted.into());
        text.push(b" earlier lines went to standard error: the log daemon did not take them");
        self.packet(4, text.written())?;
        self.diverted = 0;
        Ok(())
    }

    fn packet(&mut self, severity: u64, text: &[u8]) -> io::Result<()> {
        let mut room = [0; PACKET_MAX];
        let mut packet = Cursor::new(&mut room);
        packet.octet(b'<');
        packet.decimal(FACILITY + severity);
        packet.push(b">pocketftpd[");
        packet.decimal(self.pid.into());
        packet.push(b"]: ");
        packet.push(text);
        match self.socket.send(packet.written()) {
            Ok(_) => Ok(()),
            // It is there and cannot keep up.
            Err(why) if why.kind() == io::ErrorKind::WouldBlock => Err(why),
            // It was started anew, most likely.  In a chroot this finds a /dev/log only if somebody put one there.
            Err(_) => {
                self.socket.connect(&self.path)?;
                self.socket.send(packet.written()).map(drop)
            }
        }
    }
}

/// The severity (syslog.h) and the text of `TIME LEVEL TEXT\n`.
fn taken_apart(line: &[u8]) -> (u64, &[u8]) {
    let line = line.strip_suffix(b"\n").unwrap_or(line);
    let mut words = line.splitn(3, |&octet| octet == b' ');
    let (_time, level, text) = (words.next(), words.next(), words.next());
    match (level, text) {
        (Some(b"ERROR"), Some(text)) => (3, text),
        (Some(b"WARN"), Some(text)) => (4, text),
        (Some(b"INFO"), Some(text)) => (6, text),
        (_, Some(text)) => (7, text),
        _ => (7, line),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may panic")]
    use super::*;
    use std::cell::RefCell;

    const LINE: &[u8] = b"2026-11-22T15:04:05Z INFO two words\n";

    struct Daemon(PathBuf);

    impl Daemon {
        fn new(name: &str) -> Self {
            Self(std::env::temp_dir().join(format!("pocketftpd-{name}-{}", std::process::id())))
        }

        fn listen(&self) -> UnixDatagram {
            let _ = std::fs::remove_file(&self.0);
            let socket = UnixDatagram::bind(&self.0).unwrap();
            socket.set_nonblocking(true).unwrap();
            socket
        }
    }

    impl Drop for Daemon {
        fn drop(&mut self) {
            let _ = std::fs::remove_file(&self.0);
        }
    }

    fn heard(socket: &UnixDatagram) -> Option<String> {
        let mut packet = [0; 2048];
        let len = socket.recv(&mut packet).ok()?;
        Some(
            String::from_utf8_lossy(packet.get(..len)?)
                .replace(&std::process::id().to_string(), "PID"),
        )
    }

    #[test]
    fn the_severity_is_that_of_the_line() {
        let table: [(&[u8], u64, &[u8]); 6] = [
            (b"t ERROR a b\n", 3, b"a b"),
            (b"t WARN a\n", 4, b"a"),
            (LINE, 6, b"two words"),
            (b"t DEBUG a\n", 7, b"a"),
            (b"t TRACE a\n", 7, b"a"),
            (b"odd\n", 7, b"odd"),
        ];
        for (line, severity, text) in table {
            assert_eq!(taken_apart(line), (severity, text));
        }
    }

    #[test]
    fn lines_are_diverted_while_the_daemon_is_away_and_it_hears_how_many() {
        let daemon = Daemon::new("away");
        let socket = daemon.listen();
        let mut syslog = Syslog::open(&daemon.0).unwrap();
        let stderr = RefCell::new(Vec::new());
        let elsewhere = |line: &[u8]| stderr.borrow_mut().push(line.to_vec());
        syslog.send(LINE, elsewhere);
        assert_eq!(heard(&socket).unwrap(), "<94>pocketftpd[PID]: two words");
        drop(socket);
        syslog.send(LINE, elsewhere);
        syslog.send(LINE, elsewhere);
        assert_eq!(stderr.borrow().as_slice(), [LINE, LINE]);
        let socket = daemon.listen();
        syslog.send(LINE, elsewhere);
        syslog.send(LINE, elsewhere);
        assert!(
            heard(&socket)
                .unwrap()
                .starts_with("<92>pocketftpd[PID]: 2 earlier lines went")
        );
        assert_eq!(heard(&socket).unwrap(), "<94>pocketftpd[PID]: two words");
        assert_eq!(heard(&socket).unwrap(), "<94>pocketftpd[PID]: two words");
        assert_eq!(heard(&socket), None);
        assert_eq!(stderr.borrow().len(), 2);
    }

    #[test]
    fn a_stuck_daemon_blocks_nobody() {
        let daemon = Daemon::new("stuck");
        let socket = daemon.listen();
        let mut syslog = Syslog::open(&daemon.0).unwrap();
        let stderr = RefCell::new(0);
        for _ in 0..100_000 {
            syslog.send(LINE, |_| *stderr.borrow_mut() += 1);
            if *stderr.borrow() > 0 {
                break;
            }
        }
        assert_eq!((*stderr.borrow(), syslog.diverted), (1, 1));
        while heard(&socket).is_some() {}
        syslog.send(LINE, |_| *stderr.borrow_mut() += 1);
        assert_eq!((*stderr.borrow(), syslog.diverted), (1, 0));
    }

    #[test]
    fn a_missing_daemon_is_an_error_at_the_start() {
        assert!(Syslog::open(Path::new("/nonexistent/log")).is_err());
    }
}
