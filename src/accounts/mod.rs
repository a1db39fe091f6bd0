//! Name and password in, what is granted out.
//!
//! Named users come from the users file (`file`), whose descriptor stays open, since SIGHUP reads it again from
//! inside the chroot.  Brakes on guessing are in `guesses`, making hashes is in `hash`.  Which reply a client hears,
//! and the waiting, belong to the session.

pub mod file;
pub mod guesses;
pub mod hash;

use std::path::Path;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;

use sha_crypt::PasswordVerifier as _;
use sha_crypt::ShaCrypt;

use crate::config::Limit;
use crate::config::Rights;

use file::Source;
use file::User;

/// The longest password that is looked at, in octets.
///
/// The hash costs time in proportion to the password, so without a bound one long line would occupy a small box.
pub const PASSWORD_MAX: usize = 256;

/// How much of a name that a stranger made up is shown.
const SHOWN_MAX: usize = 32;

/// What a client may do after logging in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant {
    /// Whether it may change things.
    pub rights: Rights,
    /// The user's own limit on what it sends; `None` leaves it to the flag.
    pub up: Option<Limit>,
    /// The same for what it is sent.
    pub down: Option<Limit>,
    /// Absolute inside the share, without `.`, `..` or a slash at the end; `/` is all of it.
    pub directory: Vec<u8>,
    /// The name for the log: printable, at most 32 characters where a stranger chose it.
    pub name: String,
    /// No password was checked, so this log-in is no reason to forget earlier failures of the address.
    pub anonymous: bool,
}

/// Everybody who may log in; shared by all sessions.
#[derive(Debug)]
pub struct Accounts {
    anonymous: Option<Rights>,
    named: Option<Named>,
}

/// The users file and what it said last.
#[derive(Debug)]
struct Named {
    /// Locked while a hash is computed too, so at most one is: a crowd of clients must not occupy every processor.
    users: Mutex<Vec<User>>,
    source: Mutex<Source>,
}

impl Named {
    fn users(&self) -> MutexGuard<'_, Vec<User>> {
        self.users.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Accounts {
    /// Reads the users file, if there is one, and keeps it open.
    ///
    /// # Errors
    /// One line: the file and, where a line is malformed, its number and the reason; or nobody could log in.
    pub fn open(users: Option<&Path>, anonymous: Option<Rights>) -> Result<Self, String> {
        let Some(path) = users else {
            return Ok(Self {
                anonymous,
                named: None,
            });
        };
        let source = Source::open(path)?;
        let users = source.read()?;
        if users.is_empty() && anonymous.is_none() {
            return Err(nobody(&source));
        }
        Ok(Self {
            anonymous,
            named: Some(Named {
                users: Mutex::new(users),
                source: Mutex::new(source),
            }),
        })
    }

    /// Reads the users file again.  A bad line leaves the old users in force; the log says what happened.
    pub fn reload(&self) {
        let Some(named) = &self.named else {
            log::info!("there is no users file to read again");
            return;
        };
        let mut source = named.source.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(warning) = source.moved() {
            log::error!("{warning}");
        }
        let read = source.read().and_then(|users| {
            let nobody_left = users.is_empty() && self.anonymous.is_none();
            if nobody_left {
                Err(nobody(&source))
            } else {
                Ok(users)
            }
        });
        match read {
            Ok(users) => {
                let count = users.len();
                *named.users() = users;
                log::info!(
                    "{}: {count} users read; sessions that are logged in keep their rights",
                    source.name()
                );
            }
            Err(why) => log::error!("{why}; the users of before stay in force"),
        }
    }

    /// What `name` with `password` is granted.
    ///
    /// With a users file this takes as long for an unknown name as for a wrong password.  Where users' hashes differ
    /// in rounds it takes as long as the costliest, so the reply is to be timed from when the check began (see
    /// [`guesses::Guesses::failed`]).
    pub fn check(&self, name: &[u8], password: &[u8]) -> Option<Grant> {
        let Some(named) = &self.named else {
            return self.anonymous.map(|rights| stranger(name, rights));
        };
        let users = named.users();
        let user = users.iter().find(|user| user.name == name);
        if user.is_none()
            && let Some(rights) = self.anonymous
            && is_anonymous(name)
        {
            return Some(stranger(name, rights));
        }
        // Whoever guesses names must not hear from the time which exist.
        let hash = user
            .or_else(|| users.iter().max_by_key(|user| user.cost))?
            .hash
            .as_str();
        let fits = password.len() <= PASSWORD_MAX;
        let tried = password.get(..PASSWORD_MAX).unwrap_or(password);
        let right = ShaCrypt::default().verify_password(tried, hash).is_ok();
        let user = user.filter(|_| right && fits)?;
        Some(Grant {
            rights: user.rights,
            up: user.up,
            down: user.down,
            directory: user.directory.clone(),
            name: String::from_utf8_lossy(&user.name).into_owned(),
            anonymous: false,
        })
    }

    /// Whether somebody may change things in the share.
    pub fn anyone_may_write(&self) -> bool {
        let named = self.named.as_ref().is_some_and(|named| {
            named
                .users()
                .iter()
                .any(|user| user.rights == Rights::ReadWrite)
        });
        named || self.anonymous == Some(Rights::ReadWrite)
    }

    /// The directories other than `/` that users are confined to, each once.
    pub fn directories(&self) -> Vec<Vec<u8>> {
        let Some(named) = &self.named else {
            return Vec::new();
        };
        let mut all: Vec<Vec<u8>> = named
            .users()
            .iter()
            .map(|user| user.directory.clone())
            .collect();
        all.retain(|directory| directory != b"/");
        all.sort_unstable();
        all.dedup();
        all
    }
}

fn nobody(source: &Source) -> String {
    format!(
        "{}: no user in it, so nobody could log in; add a line name:hash or give --anonymous",
        source.name()
    )
}

/// The two names that RFC 1635 clients use.
fn is_anonymous(name: &[u8]) -> bool {
    name.eq_ignore_ascii_case(b"anonymous") || name.eq_ignore_ascii_case(b"ftp")
}

/// The grant of a client without an account.
fn stranger(name: &[u8], rights: Rights) -> Grant {
    let shown = if is_anonymous(name) || name.is_empty() {
        "anonymous".to_owned()
    } else {
        name.escape_ascii()
            .take(SHOWN_MAX)
            .map(char::from)
            .collect()
    };
    Grant {
        rights,
        up: None,
        down: None,
        directory: b"/".to_vec(),
        name: shown,
        anonymous: true,
    }
}

#[cfg(test)]
mod tests;
