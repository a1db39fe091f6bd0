//! The users file: one user a line, `name:hash[:rights[:directory]]`, and what is wrong with a line.
//!
//! A directory may hold colons, so no field can follow it.  What is to be said of a user beside `ro` or `rw` stands with
//! the rights, behind commas: `rw,up=500k,down=2M`.
//!
//! A refusal names file, line and remedy, and never shows the hash: it ends up in logs and in people's mails.

use std::fs::File;
use std::fs::OpenOptions;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use nix::fcntl::OFlag;

use crate::config::Limit;
use crate::config::Rights;
use crate::wire::rate;

/// The largest file that is read, in octets.
const FILE_MAX: usize = 64 * 1024;

/// The most users.
const USERS_MAX: usize = 1000;

/// The longest name, in octets.
const NAME_MAX: usize = 32;

/// How much of a word that is refused is shown.
const SHOWN_MAX: usize = 24;

/// The most rounds of hashing.  A million take seconds on the processor of a router.
const ROUNDS_MAX: u32 = 1_000_000;

/// What crypt(3) does where the hash does not say.
const ROUNDS_DEFAULT: u32 = 5_000;

/// One line of the file.
#[derive(Clone, PartialEq, Eq)]
pub struct User {
    pub name: Vec<u8>,
    /// `$5$` or `$6$`, known to be well formed.
    pub hash: String,
    /// Compares hashes by the time they take.
    pub cost: u32,
    pub rights: Rights,
    /// The user's own limits; `None` leaves that side to the flag.
    pub up: Option<Limit>,
    pub down: Option<Limit>,
    /// Absolute inside the share, normalised.
    pub directory: Vec<u8>,
}

impl std::fmt::Debug for User {
    /// Without the hash.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "User({})", self.name.escape_ascii())
    }
}

/// The file, open since the start: inside the chroot it has no name.
#[derive(Debug)]
pub struct Source {
    file: File,
    name: String,
    stamp: Stamp,
}

/// By which a file is seen to be another one, or renamed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stamp {
    size: u64,
    written: (i64, i64),
    changed: (i64, i64),
}

impl Stamp {
    fn of(found: &std::fs::Metadata) -> Self {
        Self {
            size: found.size(),
            written: (found.mtime(), found.mtime_nsec()),
            changed: (found.ctime(), found.ctime_nsec()),
        }
    }
}

impl Source {
    /// # Errors
    /// One line that names the file.
    pub fn open(path: &Path) -> Result<Self, String> {
        let name = path.display().to_string();
        let failed = |why: io::Error| format!("cannot read the users file {name}: {why}");
        // Not to wait for the other end of a FIFO.
        let file = OpenOptions::new()
            .read(true)
            .custom_flags(OFlag::O_NONBLOCK.bits())
            .open(path)
            .map_err(failed)?;
        let found = file.metadata().map_err(failed)?;
        if !found.is_file() {
            return Err(format!(
                "cannot read the users file {name}: not a plain file; name one with --users"
            ));
        }
        if found.mode() & 0o004 != 0 {
            log::warn!("{name}: everybody on this machine can read the hashes; chmod o-r it");
        }
        Ok(Self {
            stamp: Stamp::of(&found),
            file,
            name,
        })
    }

    /// The path as it was given.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether the path seems to lead to another file by now; then what to tell.
    ///
    /// Editors write a new file and rename it over the old one, of which we hold the only trace.  A renamed file
    /// changes its ctime and nothing else.
    pub fn moved(&mut self) -> Option<String> {
        let found = self.file.metadata().ok()?;
        let before = std::mem::replace(&mut self.stamp, Stamp::of(&found));
        let renamed = Stamp {
            changed: before.changed,
            ..self.stamp
        } == before
            && self.stamp != before;
        if found.nlink() == 0 {
            return Some(format!(
                "{}: replaced by another file, which cannot be seen from here: restart",
                self.name
            ));
        }
        renamed.then(|| {
            format!(
                "{}: seems to have been renamed or replaced; if so, restart",
                self.name
            )
        })
    }

    /// Reads all users.
    ///
    /// # Errors
    /// One line; `FILE:LINE: reason` where a line is malformed.
    pub fn read(&self) -> Result<Vec<User>, String> {
        let mut text = vec![0; FILE_MAX + 1];
        let mut len = 0;
        while let Some(room) = text.get_mut(len..).filter(|room| !room.is_empty()) {
            match self
                .file
                .read_at(room, u64::try_from(len).unwrap_or(u64::MAX))
            {
                Ok(0) => break,
                Ok(more) => len += more,
                Err(why) if why.kind() == io::ErrorKind::Interrupted => {}
                Err(why) => return Err(format!("cannot read the users file {}: {why}", self.name)),
            }
        }
        if len > FILE_MAX {
            return Err(format!(
                "{}: larger than {} KiB; is it a users file?",
                self.name,
                FILE_MAX / 1024
            ));
        }
        text.truncate(len);
        users(&text).map_err(|(line, why)| format!("{}:{line}: {why}", self.name))
    }
}

/// All users of a file.
///
/// # Errors
/// The number of the first bad line and what is wrong with it.
pub fn users(text: &[u8]) -> Result<Vec<User>, (usize, String)> {
    // Windows editors begin a file with this.
    let text = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text);
    let mut all: Vec<User> = Vec::new();
    for (number, line) in (1..).zip(text.split(|&octet| octet == b'\n')) {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        let begin = line.trim_ascii_start();
        if begin.is_empty() || begin.starts_with(b"#") {
            continue;
        }
        let user = user(line).map_err(|why| (number, why))?;
        if all.iter().any(|other| other.name == user.name) {
            return Err((
                number,
                format!(
                    "user {} stands in the file twice; remove one",
                    user.name.escape_ascii()
                ),
            ));
        }
        if all.len() == USERS_MAX {
            return Err((number, format!("more than {USERS_MAX} users; remove some")));
        }
        all.push(user);
    }
    Ok(all)
}

/// The user of one line.
fn user(line: &[u8]) -> Result<User, String> {
    let mut fields = line.splitn(4, |&octet| octet == b':');
    let name = fields.next().unwrap_or_default();
    if name.is_empty() || name.len() > NAME_MAX || name.iter().any(u8::is_ascii_control) {
        return Err(format!(
            "a name has 1 to {NAME_MAX} octets and no control characters"
        ));
    }
    let hash = fields
        .next()
        .ok_or("no colon; a line is name:hash, name:hash:rights or name:hash:rights:directory")?;
    let (hash, cost) = hash_and_cost(hash)?;
    let granted = granted(fields.next().unwrap_or_default())?;
    let directory = directory(fields.next().unwrap_or_default())?;
    Ok(User {
        name: name.to_vec(),
        hash,
        cost,
        rights: granted.rights.unwrap_or(Rights::ReadWrite),
        up: granted.up,
        down: granted.down,
        directory,
    })
}

/// What the third field says.
#[derive(Default)]
struct Granted {
    rights: Option<Rights>,
    up: Option<Limit>,
    down: Option<Limit>,
}

/// `ro` or `rw`, `up=RATE` and `down=RATE`, each once at most, in any order.
fn granted(field: &[u8]) -> Result<Granted, String> {
    let mut granted = Granted::default();
    if field.is_empty() {
        return Ok(granted);
    }
    for word in field.split(|&octet| octet == b',') {
        let refused = |why: &str| {
            // Enough to find it by.
            let word = word.get(..SHOWN_MAX).unwrap_or(word).escape_ascii();
            format!("rights (the third field): {word}: {why}")
        };
        let limit = |text| rate::one(text).map_err(refused);
        let (kind, twice) = match word {
            b"ro" => (
                "ro or rw",
                granted.rights.replace(Rights::ReadOnly).is_some(),
            ),
            b"rw" => (
                "ro or rw",
                granted.rights.replace(Rights::ReadWrite).is_some(),
            ),
            [b'u', b'p', b'=', rate @ ..] => ("up=", granted.up.replace(limit(rate)?).is_some()),
            [b'd', b'o', b'w', b'n', b'=', rate @ ..] => {
                ("down=", granted.down.replace(limit(rate)?).is_some())
            }
            _ => {
                return Err(
                    "rights (the third field) are ro or rw; limits follow as ,up=RATE and ,down=RATE"
                        .to_owned(),
                );
            }
        };
        if twice {
            return Err(refused(&format!(
                "the line has said {kind} before; keep one"
            )));
        }
    }
    Ok(granted)
}

/// Checks a hash down to its last character, so that a wrong password is the only reason why one is refused later.
fn hash_and_cost(field: &[u8]) -> Result<(String, u32), String> {
    const MALFORMED: &str = "the hash is cut off or damaged: make it again with --hash-password";
    let hash = std::str::from_utf8(field).unwrap_or_default();
    // A round of SHA-512 takes about twice as long as one of SHA-256.
    let (weight, rest) = match (hash.strip_prefix("$5$"), hash.strip_prefix("$6$")) {
        (Some(rest), _) => (1, rest),
        (_, Some(rest)) => (2, rest),
        _ => return Err("the hash is not $5$ or $6$: make one with --hash-password".to_owned()),
    };
    let (rounds, rest) = match rest
        .strip_prefix("rounds=")
        .map(|rest| rest.split_once('$'))
    {
        None => (ROUNDS_DEFAULT, rest),
        Some(Some((rounds, rest))) => {
            let rounds = rounds
                .parse()
                .ok()
                .filter(|rounds| (1000..=ROUNDS_MAX).contains(rounds));
            (rounds.ok_or_else(absurd)?, rest)
        }
        Some(None) => return Err(MALFORMED.to_owned()),
    };
    let (salt, digest) = rest.split_once('$').ok_or(MALFORMED)?;
    // The last character of a digest has bits to spare, which are 0.
    let (len, last) = if weight == 1 {
        (43, &b"./0123456789ABCD"[..])
    } else {
        (86, &b"./01"[..])
    };
    let good = |text: &str| {
        text.bytes()
            .all(|octet| octet.is_ascii_alphanumeric() || b"./".contains(&octet))
    };
    let whole = digest.len() == len
        && digest
            .as_bytes()
            .last()
            .is_some_and(|octet| last.contains(octet));
    if !whole || !good(digest) || !good(salt) || !(1..=16).contains(&salt.len()) {
        return Err(MALFORMED.to_owned());
    }
    Ok((hash.to_owned(), rounds * weight))
}

fn absurd() -> String {
    format!(
        "rounds= of the hash is not from 1000 to {ROUNDS_MAX}, more would block a small machine: make it again"
    )
}

/// A directory inside the share, absolute and without `.`, doubled slashes or a slash at the end.
fn directory(field: &[u8]) -> Result<Vec<u8>, String> {
    if field.iter().any(u8::is_ascii_control) {
        return Err("the directory (the fourth field) has control characters in it".to_owned());
    }
    let mut whole = Vec::new();
    for part in field.split(|&octet| octet == b'/') {
        match part {
            b"" | b"." => {}
            b".." => {
                return Err(
                    "the directory (the fourth field) has .. in it: give it as seen from the share"
                        .to_owned(),
                );
            }
            name => {
                whole.push(b'/');
                whole.extend_from_slice(name);
            }
        }
    }
    if whole.is_empty() {
        whole.push(b'/');
    }
    Ok(whole)
}

#[cfg(test)]
#[path = "file_tests.rs"]
mod tests;
