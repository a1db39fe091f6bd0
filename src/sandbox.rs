//! Confinement: from a process that may do much to one that sees the share alone and can never go back.
//!
//! With privilege the share becomes the process's root and the privilege is given up for good.  A plain user gets the
//! same inside a user namespace of its own, where the kernel lets it have one.  Where it does not, `openat2` with
//! RESOLVE_IN_ROOT confines each single look-up, and where that is missing too the server does not start.  Behind that
//! wall stands a second one, as far as the kernel has it: [`fences`].

#[cfg(all(
    feature = "sandbox",
    any(
        target_arch = "x86_64",
        target_arch = "aarch64",
        target_arch = "riscv64"
    )
))]
mod calls;
#[cfg(not(all(
    feature = "sandbox",
    any(
        target_arch = "x86_64",
        target_arch = "aarch64",
        target_arch = "riscv64"
    )
)))]
#[path = "sandbox/no_calls.rs"]
mod calls;
pub mod fences;
#[cfg_attr(not(feature = "sandbox"), path = "sandbox/no_places.rs")]
mod places;

use std::fs;
use std::mem::MaybeUninit;
use std::os::fd::BorrowedFd;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use nix::errno::Errno;
use nix::sched::{CloneFlags, unshare};
use nix::sys::prctl;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::stat::{Mode, umask};
use nix::unistd::{self, Gid, Group, Uid, User};
use rustix::fs::{Access, AtFlags, CWD, OFlags, RawDir, ResolveFlags};
use rustix::thread::{self, CapabilitySet, CapabilitySets};

use crate::config::RunAs;

use fences::Fences;
use fences::Reach;

/// Whom files belong to and whose rights hold.
#[derive(Debug, Clone)]
pub struct Identity {
    /// The user.
    pub uid: Uid,
    /// The group.
    pub gid: Gid,
    /// Further groups; empty where the server was started by root.
    pub groups: Vec<Gid>,
    /// How messages call the user: name and number.
    pub name: String,
}

/// What keeps the process within the share.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wall {
    /// The share is the root of the process; done with root's privilege.
    Chroot,
    /// The same, done inside a user namespace of a plain user.
    UserNamespace,
    /// Every look-up goes through openat2(2) with RESOLVE_IN_ROOT.
    Openat2,
}

impl Wall {
    /// A word for the log.
    pub fn name(self) -> &'static str {
        match self {
            Self::Chroot => "chroot",
            Self::UserNamespace => "chroot in a user namespace",
            Self::Openat2 => "openat2",
        }
    }
}

/// Proof that the process has been confined.  Only [`enter`] makes one, and no thread starts without it.
#[derive(Debug)]
pub struct Confined {
    wall: Wall,
    fences: Fences,
}

impl Confined {
    /// What keeps the process within the share.
    pub fn wall(&self) -> Wall {
        self.wall
    }

    /// The second wall, once it stands.
    pub fn fences(&self) -> &Fences {
        &self.fences
    }

    /// Puts up the second wall.  What lies outside of it is looked at before; no thread may run yet.
    pub fn fence(&mut self, reach: &Reach) {
        self.fences = Fences::put_up(reach);
    }

    /// The same for a process that does more than serve: sessions alone are held to their system calls.
    pub fn fence_sessions(&mut self) {
        self.fences = Fences::around_calls();
    }
}

/// Closes what whoever started this process has left open, but standard input, output and error, and `kept` sockets
/// from descriptor 3 on (LISTEN_FDS): a directory among them would be a way out of the chroot.
///
/// Call it before anything is opened.  Without /proc the numbers are tried one by one, as far as one may hold.
///
/// # Errors
/// One line if there is always something left to close.
pub fn close_inherited(kept: usize) -> Result<(), String> {
    /// More than any caller leaves open, where the limit is a million and nothing tells which are.
    const MOST: i32 = 65536;
    let first = i32::try_from(kept).map_or(i32::MAX, |kept| kept.saturating_add(3));
    let Some(numbers) = open_descriptors() else {
        let limit = getrlimit(Resource::RLIMIT_NOFILE).map_or(MOST, |(soft, _)| {
            i32::try_from(soft).map_or(MOST, |soft| soft.min(MOST))
        });
        close_from(first, first..limit);
        return Ok(());
    };
    close_from(first, numbers);
    // Looked at once more, as a proof.
    if close_from(first, open_descriptors().unwrap_or_default()) {
        return Err(
            "close what was left open: there is always more; somebody opens files in this process"
                .to_owned(),
        );
    }
    Ok(())
}

/// Closes those of `numbers` from `first` on; true if one was open.
fn close_from(first: i32, numbers: impl IntoIterator<Item = i32>) -> bool {
    let numbers = numbers.into_iter().filter(|number| *number >= first);
    // All of them: `any` would stop at the first.
    let closed = numbers.filter(|number| unistd::close(*number).is_ok());
    closed.count() > 0
}

/// The numbers of all that is open, that of the look at them included; `None` without /proc.
fn open_descriptors() -> Option<Vec<i32>> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let entries = rustix::fs::open("/proc/self/fd", flags, rustix::fs::Mode::empty()).ok()?;
    let mut room = [MaybeUninit::uninit(); 1024];
    let mut entries = RawDir::new(&entries, &mut room);
    let mut numbers = Vec::new();
    while let Some(entry) = entries.next() {
        let entry = entry.ok()?;
        let name = entry.file_name().to_str().unwrap_or_default();
        numbers.extend(name.parse::<i32>());
    }
    Some(numbers)
}

/// Settles whom the server runs as: the user that was asked for, else the owner of the share, else `nobody`.
///
/// # Errors
/// One line if the share is no directory, the user is unknown, is root, or cannot be had without root's privilege.
pub fn identity(share: &Path, run_as: Option<&RunAs>) -> Result<Identity, String> {
    let shown = share.display();
    let owner = fs::metadata(share).map_err(|error| {
        format!("look at the share: {shown}: {error}; mount the disk or make the directory first")
    })?;
    if !owner.is_dir() {
        return Err(format!(
            "look at the share: {shown}: it is no directory; name one with --share"
        ));
    }
    if !Uid::effective().is_root() {
        return plain_identity(run_as);
    }
    let (uid, gid) = match run_as {
        Some(run_as) => asked(run_as)?,
        None if owner.uid() != 0 => (Uid::from_raw(owner.uid()), Gid::from_raw(owner.gid())),
        None => match User::from_name("nobody").ok().flatten() {
            Some(nobody) => (nobody.uid, nobody.gid),
            None => (Uid::from_raw(65534), Gid::from_raw(65534)),
        },
    };
    if run_as.is_some_and(|run_as| run_as.group.is_some()) && gid.as_raw() == 0 {
        return Err(
            "choose the group: --run-as must not name root's group; name another".to_owned(),
        );
    }
    if uid.is_root() {
        return Err(
            "choose the user: --run-as must not be root; name an unprivileged user".to_owned(),
        );
    }
    // Group 0 opens many a file on a router; a share that belongs to USER:root is served with USER's own group.
    let gid = if gid.as_raw() != 0 {
        gid
    } else {
        own_group(uid)
    };
    Ok(Identity {
        uid,
        gid,
        groups: Vec::new(),
        name: shown_user(uid),
    })
}

fn plain_identity(run_as: Option<&RunAs>) -> Result<Identity, String> {
    let (uid, gid) = (Uid::effective(), Gid::effective());
    if let Some(run_as) = run_as {
        let (wanted, group) = asked(run_as)?;
        if wanted != uid || (run_as.group.is_some() && group != gid) {
            return Err(format!(
                "choose the user: only root can become {}; start as root, or leave out --run-as",
                run_as.user
            ));
        }
    }
    let groups = unistd::getgroups().unwrap_or_default();
    Ok(Identity {
        uid,
        gid,
        groups,
        name: shown_user(uid),
    })
}

fn asked(run_as: &RunAs) -> Result<(Uid, Gid), String> {
    let unknown = |kind: &str, name: &str| {
        format!("choose the user: --run-as: no {kind} {name}; use one of this system, or a number")
    };
    let user = User::from_name(&run_as.user).ok().flatten();
    let (uid, gid) = match (user, run_as.user.parse::<u32>()) {
        (Some(user), _) => (user.uid, user.gid),
        (None, Ok(number)) => (Uid::from_raw(number), own_group(Uid::from_raw(number))),
        (None, Err(_)) => return Err(unknown("user", &run_as.user)),
    };
    let Some(name) = &run_as.group else {
        return Ok((uid, gid));
    };
    let group = Group::from_name(name).ok().flatten();
    match (group, name.parse::<u32>()) {
        (Some(group), _) => Ok((uid, group.gid)),
        (None, Ok(number)) => Ok((uid, Gid::from_raw(number))),
        (None, Err(_)) => Err(unknown("group", name)),
    }
}

fn own_group(uid: Uid) -> Gid {
    match User::from_uid(uid).ok().flatten() {
        Some(user) if user.gid.as_raw() != 0 => user.gid,
        _ => Gid::from_raw(uid.as_raw()),
    }
}

fn shown_user(uid: Uid) -> String {
    match User::from_uid(uid).ok().flatten() {
        Some(user) => format!("{} ({uid})", user.name),
        None => uid.to_string(),
    }
}

/// Confines the process to `share` and gives up every privilege, in the order that leaves no way back.
///
/// `keep_port_20` leaves CAP_NET_BIND_SERVICE, and nothing else.  No thread may run yet.
///
/// # Errors
/// One line that names the step that failed.
pub fn enter(share: &Path, identity: &Identity, keep_port_20: bool) -> Result<Confined, String> {
    let step = |name: &'static str| {
        move |errno: Errno| format!("confine the server: {name}: {}", errno.desc())
    };
    unistd::chdir(share)
        .map_err(|errno| format!("enter the share: {}: {}", share.display(), errno.desc()))?;
    // New files get their mode from the session's own mask; see `tree`.
    umask(Mode::empty());
    let mut bounded = may_empty_bounding_set();
    let wall = if Uid::effective().is_root() {
        unistd::chroot(".").map_err(step("chroot"))?;
        unistd::chdir("/").map_err(step("chdir to the new root"))?;
        become_identity(identity, keep_port_20).map_err(|(name, errno)| step(name)(errno))?;
        Wall::Chroot
    } else {
        plain_wall(identity)?
    };
    // A user namespace of one's own comes with every privilege in it.
    bounded |= wall == Wall::UserNamespace;
    let kept = if wall == Wall::Chroot && keep_port_20 {
        CapabilitySet::NET_BIND_SERVICE
    } else {
        CapabilitySet::empty()
    };
    let sets = CapabilitySets {
        effective: kept,
        permitted: kept,
        inheritable: CapabilitySet::empty(),
    };
    thread::set_capabilities(None, sets)
        .map_err(|errno| format!("confine the server: drop capabilities: {errno}"))?;
    // Absent before Linux 3.5; nothing is ever executed from here, so that loses little.
    if let Err(errno) = prctl::set_no_new_privs()
        && errno != Errno::EINVAL
    {
        return Err(step("no_new_privs")(errno));
    }
    prctl::set_dumpable(false).map_err(step("forbid core dumps"))?;
    setrlimit(Resource::RLIMIT_CORE, 0, 0).map_err(step("forbid core dumps"))?;
    prove(identity, wall, kept, bounded)?;
    Ok(Confined {
        wall,
        fences: Fences::none(),
    })
}

type NamedStep = (&'static str, Errno);

fn become_identity(identity: &Identity, keep_port_20: bool) -> Result<(), NamedStep> {
    let named = |name: &'static str| move |errno: Errno| (name, errno);
    empty_further_sets();
    if keep_port_20 {
        prctl::set_keepcaps(true).map_err(named("keep the right to port 20"))?;
    }
    unistd::setgroups(&[]).map_err(named("setgroups"))?;
    unistd::setresgid(identity.gid, identity.gid, identity.gid).map_err(named("setresgid"))?;
    unistd::setresuid(identity.uid, identity.uid, identity.uid).map_err(named("setresuid"))
}

/// Empties the bounding and the ambient set, while there is the privilege to; [`prove`] looks whether they are.
fn empty_further_sets() {
    for capability in CapabilitySet::all().iter() {
        let _ = thread::remove_capability_from_bounding_set(capability);
    }
    let _ = thread::clear_ambient_capability_set();
}

/// Whether the process may empty its bounding set: neither every plain user may, nor a service whose own set was cut
/// down to less.  What is left in it is of no use then, since no_new_privs keeps it from ever being gained.
fn may_empty_bounding_set() -> bool {
    thread::capabilities(None).is_ok_and(|sets| sets.effective.contains(CapabilitySet::SETPCAP))
}

/// The walls that a plain user can have.
fn plain_wall(identity: &Identity) -> Result<Wall, String> {
    match own_namespace(identity) {
        Ok(()) => Ok(Wall::UserNamespace),
        Err(reason) if has_openat2() => {
            log::info!("no user namespace to be had ({reason}); openat2 confines every look-up");
            Ok(Wall::Openat2)
        }
        Err(reason) => Err(format!(
            "confine the server: no chroot without root, no user namespace ({reason}), no openat2 before Linux 5.6: \
             start it as root; it gives root up at once"
        )),
    }
}

fn own_namespace(identity: &Identity) -> Result<(), String> {
    let failed = |step: &'static str| move |error: std::io::Error| format!("{step}: {error}");
    let errno = |step: &'static str| move |errno: Errno| format!("{step}: {}", errno.desc());
    unshare(CloneFlags::CLONE_NEWUSER).map_err(errno("unshare"))?;
    // Absent before Linux 3.19, where it is not needed either.
    let _ = fs::write("/proc/self/setgroups", "deny");
    fs::write("/proc/self/uid_map", format!("{0} {0} 1", identity.uid))
        .map_err(failed("uid_map"))?;
    fs::write("/proc/self/gid_map", format!("{0} {0} 1", identity.gid))
        .map_err(failed("gid_map"))?;
    empty_further_sets();
    unistd::chroot(".").map_err(errno("chroot"))?;
    unistd::chdir("/").map_err(errno("chdir"))
}

fn has_openat2() -> bool {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    rustix::fs::openat2(
        CWD,
        c".",
        flags,
        rustix::fs::Mode::empty(),
        ResolveFlags::IN_ROOT,
    )
    .is_ok()
}

/// Tries to get back what was given up: it must fail.
fn prove(
    identity: &Identity,
    wall: Wall,
    kept: CapabilitySet,
    bounded: bool,
) -> Result<(), String> {
    let broken = |what: &str| Err(format!("confine the server: {what}; refusing to serve"));
    let (uid, gid) = (identity.uid, identity.gid);
    if (
        Uid::current(),
        Uid::effective(),
        Gid::current(),
        Gid::effective(),
    ) != (uid, uid, gid, gid)
        && wall != Wall::Openat2
    {
        return broken("user or group did not change");
    }
    let root = Uid::from_raw(0);
    if unistd::setresuid(root, root, root).is_ok() {
        return broken("root could be had back");
    }
    match thread::capabilities(None) {
        Ok(sets)
            if sets.effective == kept && sets.permitted == kept && sets.inheritable.is_empty() => {}
        _ => return broken("capabilities are left"),
    }
    let left = |is_in: fn(CapabilitySet) -> rustix::io::Result<bool>| {
        CapabilitySet::all()
            .iter()
            .any(|capability| is_in(capability) == Ok(true))
    };
    if bounded && left(thread::capability_is_in_bounding_set)
        || left(thread::capability_is_in_ambient_set)
    {
        return broken("capabilities could be had again");
    }
    if thread::no_new_privs() == Ok(false) {
        return broken("a program that is started could get privileges");
    }
    if prctl::get_dumpable() != Ok(false) || getrlimit(Resource::RLIMIT_CORE) != Ok((0, 0)) {
        return broken("memory could be dumped");
    }
    if unistd::chroot(".").is_ok() {
        return broken("the root directory could be changed again");
    }
    if wall == Wall::Chroot && !unistd::getgroups().unwrap_or_default().is_empty() {
        return broken("groups are left");
    }
    Ok(())
}

/// Whether the confined process may read `directory`, the share, and write it where `writable`.
///
/// # Errors
/// One line with the remedy.
pub fn may_use(
    share: &Path,
    directory: BorrowedFd<'_>,
    identity: &Identity,
    writable: bool,
) -> Result<(), String> {
    let shown = share.display();
    let name = &identity.name;
    if rustix::fs::accessat(
        directory,
        c".",
        Access::READ_OK | Access::EXEC_OK,
        AtFlags::empty(),
    )
    .is_err()
    {
        return Err(format!(
            "check the share: user {name} cannot read {shown}: chmod o+rx it, or name another user with --run-as"
        ));
    }
    if !writable {
        return Ok(());
    }
    match rustix::fs::accessat(directory, c".", Access::WRITE_OK, AtFlags::empty()) {
        Ok(()) => Ok(()),
        Err(rustix::io::Errno::ROFS) => Err(format!(
            "check the share: {shown} is mounted read-only: mount it writable, or allow no writing"
        )),
        Err(_) => Err(format!(
            "check the share: user {name} cannot write {shown}: chown it to that user, or name its owner with --run-as"
        )),
    }
}

/// The names of /etc/passwd or /etc/group by their numbers, in order; read before the walls go up.
///
/// Broken lines are passed over, and of several names of one number the first counts, as the C library has it.
pub fn names(file: &str) -> Vec<(u32, String)> {
    /// More than any small box has, and a bound where a directory service has dumped thousands.
    const MOST: usize = 1024;
    let Ok(text) = fs::read(file) else {
        return Vec::new();
    };
    let mut names: Vec<(u32, String)> = text
        .split(|octet| *octet == b'\n')
        .filter_map(|line| {
            let mut fields = line.split(|octet| *octet == b':');
            let name = std::str::from_utf8(fields.next()?).ok()?;
            let number = std::str::from_utf8(fields.nth(1)?).ok()?.parse().ok()?;
            (!name.is_empty()).then(|| (number, name.to_owned()))
        })
        .take(MOST)
        .collect();
    names.sort_by_key(|(number, _)| *number);
    names.dedup_by_key(|(number, _)| *number);
    names
}
