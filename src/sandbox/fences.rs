//! The second wall: what the kernel forbids this process even where the first one fails.
//!
//! Landlock limits files and ports for the whole process, seccomp the system calls of each kind of thread.  Both are
//! best effort: a kernel that has neither is served behind the first wall alone, and the log says so.

use std::fmt;
use std::io;
use std::ops::RangeInclusive;
use std::sync::Arc;

use crate::config::Policy;

use crate::sandbox::calls::Lists;
use crate::sandbox::places;

/// What a thread is there for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Anything that a thread of this process does: held to before the first is started, which hands it down to all.
    Any,
    /// Waits for signals; no sockets and no clients any more.
    Main,
    /// Serves clients; starts no threads any more.
    Session,
}

/// What the flags let this process reach.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reach {
    /// Somebody may change the share, now or once the users file was read again.
    pub writable: bool,
    /// Ports that are listened at for passive data connections.
    pub passive: Option<RangeInclusive<u16>>,
    /// The kernel chooses the ports of active data connections.
    pub any_port: bool,
    /// Active data connections leave from port 20.
    pub port_20: bool,
    /// There are active data connections.
    pub connects: bool,
}

impl Reach {
    /// What these settings need.
    pub fn new(policy: &Policy, writable: bool) -> Self {
        // Without the flag they may be any that need no privilege.
        let passive = policy.passive_ports.clone().unwrap_or(1024..=u16::MAX);
        Self {
            writable,
            any_port: policy.active,
            passive: policy.passive.then_some(passive),
            port_20: policy.active && policy.active_from_20,
            connects: policy.active,
        }
    }
}

/// The fences of this process.
#[derive(Debug, Clone)]
pub struct Fences {
    /// What Landlock holds, in words; or why it does not.
    places: Result<String, String>,
    /// The lists of system calls; or why there are none.
    calls: Result<Arc<Lists>, String>,
    /// The process is not held as a whole, so each thread takes on the whole of its list.
    each: bool,
}

impl Fences {
    /// None at all, for tests beside the code.
    pub fn none() -> Self {
        let none = || "none asked for".to_owned();
        Self {
            places: Err(none()),
            calls: Err(none()),
            each: false,
        }
    }

    /// Restricts this thread, and those it will start, to the directory that it stands in and to what `reach` says;
    /// and makes the lists that [`Fences::hold`] takes from.
    pub fn put_up(reach: &Reach) -> Self {
        Self {
            places: places::restrict(reach),
            calls: Lists::new().map(Arc::new),
            each: false,
        }
    }

    /// The lists of system calls alone, for threads of a process that does more than serve.
    pub fn around_calls() -> Self {
        Self {
            calls: Lists::new().map(Arc::new),
            each: true,
            ..Self::none()
        }
    }

    /// Holds the calling thread, and those that it will start, to the system calls of a role; false where there is no
    /// such fence.
    ///
    /// [`Role::Any`] comes first: what the others hold is only what sets them apart from it.  A call beyond the list ends
    /// the process with SIGSYS.
    ///
    /// # Errors
    /// What the kernel says; a thread that is not held must not serve.
    pub fn hold(&self, role: Role) -> io::Result<bool> {
        match &self.calls {
            Ok(lists) if self.each && role != Role::Any => {
                Ok(lists.hold(Role::Any)? && lists.hold(role)?)
            }
            Ok(lists) => lists.hold(role),
            Err(_) => Ok(false),
        }
    }

    /// What stands, for the log; `held` is what [`Fences::hold`] has said.
    pub fn told(&self, held: bool) -> Told<'_> {
        Told { fences: self, held }
    }
}

/// The fences in words.
#[derive(Debug)]
pub struct Told<'f> {
    fences: &'f Fences,
    held: bool,
}

impl fmt::Display for Told<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.fences.places {
            Ok(what) => write!(out, "{what}; ")?,
            Err(why) => write!(out, "no {why}; ")?,
        }
        match &self.fences.calls {
            Ok(_) if self.held => {
                out.write_str("seccomp: a list of system calls for each kind of thread")
            }
            Ok(_) => out.write_str("no seccomp: not in this kernel, or not allowed here"),
            Err(why) => write!(out, "no {why}"),
        }
    }
}
