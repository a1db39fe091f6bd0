//! Making a hash for the users file: `--hash-password`.

use std::fs::File;
use std::io;
use std::io::BufRead;
use std::io::IsTerminal as _;
use std::io::Read as _;
use std::io::Write as _;
use std::os::fd::AsFd;

use nix::sys::termios;
use nix::sys::termios::LocalFlags;
use nix::sys::termios::SetArg;
use nix::sys::termios::Termios;
use sha_crypt::PasswordHasher as _;
use sha_crypt::ShaCrypt;

use super::PASSWORD_MAX;

/// How many octets of chance make the 16 characters of a salt.
pub const SALT: usize = 12;

/// The `$6$` hash of `password`.
///
/// # Errors
/// One line: the password is empty or too long to be accepted at a log-in, or holds what FTP cannot send.
pub fn make(password: &[u8], salt: [u8; SALT]) -> Result<String, String> {
    if password.is_empty() {
        return Err("an empty password is no password".to_owned());
    }
    if password.len() > PASSWORD_MAX {
        return Err(format!("the password is longer than {PASSWORD_MAX} octets"));
    }
    if password.iter().any(|octet| b"\0\r\n".contains(octet)) {
        return Err("the password holds a character that FTP cannot send".to_owned());
    }
    let hash = ShaCrypt::SHA512.hash_password_with_salt(password, &salt);
    hash.map(|hash| hash.as_str().to_owned())
        .map_err(|why| format!("cannot hash the password: {why}"))
}

/// Asks for a password, twice and unseen on a terminal, else for one line of standard input; returns its hash.
///
/// # Errors
/// One line: no password was given, the two differ, or [`make`] refuses it.
pub fn prompt() -> Result<String, String> {
    let failed = |why: io::Error| format!("cannot read the password: {why}");
    let stdin = io::stdin();
    let password = if stdin.is_terminal() {
        let first = ask("Password: ", &stdin, stdin.lock()).map_err(failed)?;
        let again = ask("Again: ", &stdin, stdin.lock()).map_err(failed)?;
        if first != again {
            return Err("the two passwords differ".to_owned());
        }
        first
    } else {
        line(stdin.lock()).map_err(failed)?
    };
    let mut salt = [0; SALT];
    File::open("/dev/urandom")
        .and_then(|mut chance| chance.read_exact(&mut salt))
        .map_err(|why| format!("cannot make a salt: /dev/urandom: {why}"))?;
    make(&password, salt)
}

/// The first line, without its end.
fn line(from: impl BufRead) -> io::Result<Vec<u8>> {
    let mut text = Vec::new();
    for octet in from.bytes() {
        match octet? {
            b'\n' => break,
            // One over the limit is enough for `make` to refuse it.
            octet if text.len() <= PASSWORD_MAX + 1 => text.push(octet),
            _ => {}
        }
    }
    if text.last() == Some(&b'\r') {
        text.pop();
    }
    Ok(text)
}

/// A terminal that neither echoes nor turns Ctrl-C into a signal, until this is dropped.
///
/// A signal would end the process with the echo off, so Ctrl-C is read as a character instead.
struct Silent<F: AsFd> {
    terminal: F,
    before: Termios,
}

impl<F: AsFd> Silent<F> {
    fn new(terminal: F) -> io::Result<Self> {
        let before = termios::tcgetattr(&terminal)?;
        let mut silent = before.clone();
        silent
            .local_flags
            .remove(LocalFlags::ECHO | LocalFlags::ICANON | LocalFlags::ISIG);
        termios::tcsetattr(&terminal, SetArg::TCSAFLUSH, &silent)?;
        Ok(Self { terminal, before })
    }
}

impl<F: AsFd> Drop for Silent<F> {
    fn drop(&mut self) {
        let _ = termios::tcsetattr(&self.terminal, SetArg::TCSAFLUSH, &self.before);
    }
}

/// Shows `question` and reads a line that is not shown.
fn ask(question: &str, terminal: impl AsFd, keys: impl BufRead) -> io::Result<Vec<u8>> {
    let silent = Silent::new(terminal)?;
    io::stderr().write_all(question.as_bytes())?;
    let typed = typed(keys);
    drop(silent);
    io::stderr().write_all(b"\n")?;
    typed
}

/// What was typed, after the keys that correct it.
fn typed(keys: impl BufRead) -> io::Result<Vec<u8>> {
    let mut text = Vec::new();
    for key in keys.bytes() {
        match key? {
            b'\r' | b'\n' => return Ok(text),
            // Ctrl-C and Ctrl-\; Ctrl-D where nothing was typed.
            0x03 | 0x1c => return Err(io::Error::other("given up")),
            0x04 if text.is_empty() => break,
            0x04 => return Ok(text),
            0x08 | 0x7f => erase(&mut text),
            // Ctrl-U
            0x15 => text.clear(),
            key if text.len() <= PASSWORD_MAX => text.push(key),
            _ => {}
        }
    }
    Err(io::Error::other("no password was typed"))
}

/// Takes the last character away, all octets of it.
fn erase(text: &mut Vec<u8>) {
    while text.pop().is_some_and(|octet| octet & 0xc0 == 0x80) {}
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may panic")]
    use super::*;
    use sha_crypt::PasswordVerifier as _;
    use std::io::BufReader;

    #[test]
    fn hashes_that_other_programs_made_are_understood() {
        // openssl passwd -6 -salt saltstring and so on, OpenSSL 3.0.
        #[rustfmt::skip] // a table is read by columns
        let table = [
            ("Hello world!", "$6$saltstring$svn8UoSVapNtMuq1ukKS4tPQd8iKwSMHWjl/O817G3uBnIFNjnQJuesI68u4OTLiBFdcbYEdFCoEOfaS35inz1"),
            ("Hello world!", "$5$saltstring$5B8vYYiY.CVt1RlTTf8KbXBH3hsxY/GNooZaBBGWEc5"),
            ("Hello world!", "$6$rounds=20000$longersalt12345$Cf9rgzsEFeY2GP5VQzi1QUJtimj68Txu5Np6VYSrCS9zfnGayZAhaDg6moljTfniWAlm1VF8XbVvobbtdleK/1"),
            ("grün und blau", "$5$rounds=1400$anotherlongsalt$Re0Nb3GNd/b0ksUoU.PlhE4YcH71idhaDJAj.IDRG4B"),
            ("x", "$6$short$QyVoKWqPNl6RNenmBA6a/vLfaqSQjTh9uln9bU2ulhek2oiVdUAoCfuszVp.1rkl8XCLSBKCMmlydCXQ0ITpm/"),
        ];
        for (password, hash) in table {
            assert!(
                ShaCrypt::default()
                    .verify_password(password.as_bytes(), hash)
                    .is_ok(),
                "{hash}"
            );
            assert!(
                ShaCrypt::default()
                    .verify_password(b"Hello world?", hash)
                    .is_err(),
                "{hash}"
            );
        }
    }

    #[test]
    fn a_hash_that_we_made_has_the_usual_form() {
        let hash = make(b"secret", [0xa5; SALT]).unwrap();
        assert!(
            ShaCrypt::default()
                .verify_password(b"secret", hash.as_str())
                .is_ok()
        );
        let fields: Vec<usize> = hash.split('$').map(str::len).collect();
        assert_eq!(fields, [0, 1, "rounds=5000".len(), 16, 86], "{hash}");
        assert_ne!(hash, make(b"secret", [0; SALT]).unwrap());
    }

    #[test]
    fn a_password_that_could_not_be_used_is_refused() {
        for password in [&b""[..], &[b'x'; PASSWORD_MAX + 1], b"a\nb", b"a\0b"] {
            assert!(make(password, [0; SALT]).is_err());
        }
        assert!(make(&[b'x'; PASSWORD_MAX], [0; SALT]).is_ok());
    }

    #[test]
    fn one_line_is_read_from_a_pipe() {
        for (text, expected) in [
            (&b"secret\nmore\n"[..], &b"secret"[..]),
            (b"secret\r\n", b"secret"),
            (b" a ", b" a "),
        ] {
            assert_eq!(line(text).unwrap(), expected);
        }
        assert!(make(&line(&[b'x'; 9999][..]).unwrap(), [0; SALT]).is_err());
    }

    #[test]
    fn keys_that_correct_are_obeyed() {
        for (keys, expected) in [
            ("secret\r", "secret"),
            ("seX\x7fcret\n", "secret"),
            ("no\x15yes\n", "yes"),
            ("ü\x08a\n", "a"),
        ] {
            assert_eq!(typed(keys.as_bytes()).unwrap(), expected.as_bytes());
        }
        for keys in ["sec\x03", "\x04", "sec", "\x1c"] {
            assert!(typed(keys.as_bytes()).is_err());
        }
    }

    #[test]
    fn the_terminal_is_silent_while_asked_and_as_before_afterwards() {
        let pty = nix::pty::openpty(None, None).unwrap();
        let before = termios::tcgetattr(&pty.slave).unwrap();
        assert!(before.local_flags.contains(LocalFlags::ECHO));
        struct Keys<'t>(&'t std::os::fd::OwnedFd, &'static [u8]);
        impl io::Read for Keys<'_> {
            fn read(&mut self, room: &mut [u8]) -> io::Result<usize> {
                let now = termios::tcgetattr(self.0).unwrap();
                assert!(
                    !now.local_flags
                        .intersects(LocalFlags::ECHO | LocalFlags::ISIG)
                );
                self.1.read(room)
            }
        }
        assert_eq!(
            ask(
                "",
                &pty.slave,
                BufReader::new(Keys(&pty.slave, b"secret\r"))
            )
            .unwrap(),
            b"secret"
        );
        assert!(ask("", &pty.slave, BufReader::new(Keys(&pty.slave, b"sec\x03"))).is_err());
        let after = termios::tcgetattr(&pty.slave).unwrap();
        // Flag by flag: musl leaves what the kernel does not know of the rest as it was in memory.
        assert_eq!(after.local_flags, before.local_flags);
        assert_eq!(after.input_flags, before.input_flags);
        assert_eq!(after.output_flags, before.output_flags);
        assert_eq!(after.control_flags, before.control_flags);
    }
}
