//! The served tree (RFC 959's NVFS): every call to the file system, beneath one directory.
//!
//! The kernel resolves and confines.  Where the share is the root of the process, a pathname is used as it is.  Where an
//! account has a directory of its own, or the process could not change its root, every look-up goes through openat2(2)
//! with RESOLVE_IN_ROOT: beneath the share, and an account's directory is looked up beneath that for each look-up anew,
//! as is a medium that comes and goes.  Pathnames are resolved from there at each use, so a directory that is moved
//! away while a client stands in it gives nothing away.

pub mod medium;

use std::cell::Cell;
use std::ffi::{CStr, CString};
use std::fs::File;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::time::Duration;

use rustix::fs::{
    Access, AtFlags, CWD, FileType, FlockOperation, Mode, OFlags, ResolveFlags, Stat, Timespec,
    Timestamps, UTIME_OMIT,
};
use rustix::io::{Errno, Result};

use crate::logging::trouble::Trouble;
use crate::sandbox::{Identity, Wall};
use crate::tree::medium::Medium;
use crate::wire::listing::{Entry, Kind, Perm};
use crate::wire::octets::Cursor;
use crate::wire::pathname::{PATH_MAX, Pathname};

/// One account's view of the share.
#[derive(Debug)]
pub struct Tree {
    root: Root,
    identity: Arc<Identity>,
    /// Whether a change is on the disk before it is said to be done.
    sync: bool,
}

/// The directory that is an account's root.
#[derive(Debug)]
struct Root {
    top: Top,
    /// A directory below the top, looked up anew at each use: whoever moves it out of the share moves it out of reach.
    below: Option<CString>,
}

/// The top of what is served.
#[derive(Debug)]
enum Top {
    /// The root of the process.
    Process,
    /// The share, where the process could not make it its root.
    Held(OwnedFd),
    /// The medium that is there at the time.
    Medium(Arc<Medium>),
}

/// A root for as long as one look-up takes.
enum Base<'t> {
    Process,
    Held(BorrowedFd<'t>),
    Opened(OwnedFd),
}

impl Base<'_> {
    /// The descriptor beneath which openat2(2) resolves; `None` where the kernel's own root confines.
    fn beneath(&self) -> Option<BorrowedFd<'_>> {
        match self {
            Self::Process => None,
            Self::Held(root) => Some(*root),
            Self::Opened(root) => Some(root.as_fd()),
        }
    }
}

/// A file that is being written, held against other uploads until it is dropped.
#[derive(Debug)]
pub struct Upload {
    file: Option<OwnedFd>,
    beginning: Beginning,
    size: u64,
    /// Whom to ask for the name to be on the disk; `None` where nobody wants to know.
    flush: Option<Flush>,
}

impl Upload {
    /// Positions the file for its first octet, and tells how many octets of old are in it that must be gone in the end;
    /// nothing of it is lost yet.
    ///
    /// # Errors
    /// What the kernel says; `BADF` the second time.
    pub fn begin(&mut self) -> Result<(File, u64)> {
        let file = self.file.take().ok_or(Errno::BADF)?;
        let (position, old) = match self.beginning {
            Beginning::Replace => (None, self.size),
            Beginning::At(octet) => (Some(rustix::fs::SeekFrom::Start(octet)), 0),
            Beginning::Append => (Some(rustix::fs::SeekFrom::End(0)), 0),
        };
        if let Some(position) = position {
            rustix::fs::seek(&file, position)?;
        }
        Ok((File::from(file), old))
    }

    /// Under `--sync`, waits until the disk has what was written.
    ///
    /// # Errors
    /// What the kernel says: what was written is not on the disk, or not all of it.
    pub fn flush_contents(&self, file: &File) -> Result<()> {
        let Some(Flush(directory)) = &self.flush else {
            return Ok(());
        };
        rustix::io::retry_on_intr(|| rustix::fs::fdatasync(file))?;
        match directory {
            Some(_) => Ok(()),
            // Instead of the directory, all of its file system, as long as there is a descriptor on it.
            None => rustix::io::retry_on_intr(|| rustix::fs::syncfs(file)),
        }
    }

    /// Under `--sync`, waits until the disk has the file's name; the file is closed by then.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn flush_name(&self) -> Result<()> {
        match &self.flush {
            Some(flush @ Flush(Some(_))) => flush.wait(),
            _ => Ok(()),
        }
    }
}

/// What makes a name outlast a power cut: its directory, where that is known and may be read.
#[derive(Debug)]
struct Flush(Option<OwnedFd>);

impl Flush {
    fn wait(&self) -> Result<()> {
        let flushed = match &self.0 {
            Some(directory) => rustix::io::retry_on_intr(|| rustix::fs::fsync(directory)),
            None => Err(Errno::NOTSUP),
        };
        match flushed {
            // A directory that may be written and not read, or a file system that flushes none alone: sync(2) needs no
            // descriptor, waits for every disk, and tells of no error.
            Err(Errno::INVAL | Errno::NOSYS | Errno::NOTSUP) => {
                rustix::fs::sync();
                Ok(())
            }
            flushed => flushed,
        }
    }
}

/// How an upload begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Beginning {
    /// STOR: whatever was there is replaced.
    Replace,
    /// STOR after REST: what lies before the octet is kept, what lies behind it is not cut off.
    At(u64),
    /// APPE.
    Append,
}

const NEW_FILE: u32 = 0o666;
const NEW_DIRECTORY: u32 = 0o777;

/// What every open adds: nothing is inherited, no terminal is taken over, no FIFO blocks.
const ALWAYS: OFlags = OFlags::CLOEXEC
    .union(OFlags::NOCTTY)
    .union(OFlags::NONBLOCK);

/// The longest pathname that is put together on the stack, in octets; longer ones take the way of more calls.
const SHORT: usize = 512;

impl Tree {
    /// The whole share, behind the wall that the process has, and on a medium if it is one that comes and goes; with `sync`
    /// no change is done before the disk has it.
    ///
    /// # Errors
    /// If the share cannot be opened.
    pub fn share(
        wall: Wall,
        medium: Option<&Arc<Medium>>,
        identity: &Arc<Identity>,
        sync: bool,
    ) -> Result<Self> {
        let top = match (medium, wall) {
            (Some(medium), _) => Top::Medium(medium.clone()),
            (None, Wall::Chroot | Wall::UserNamespace) => Top::Process,
            (None, Wall::Openat2) => Top::Held(rustix::fs::openat(
                CWD,
                c".",
                OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC,
                Mode::empty(),
            )?),
        };
        let root = Root { top, below: None };
        Ok(Self {
            root,
            identity: identity.clone(),
            sync,
        })
    }

    /// A directory of this tree as a tree of its own.  Where its medium is away, nobody can tell whether it is there.
    ///
    /// # Errors
    /// `NOSYS` before Linux 5.6; whatever the kernel says of the directory.
    pub fn below(mut self, directory: &Pathname<'_>) -> Result<Self> {
        if directory.is_root() {
            return Ok(self);
        }
        self.root.below = Some(directory.below().to_owned());
        match self.base().map(drop) {
            Ok(()) | Err(Errno::NOMEDIUM) => Ok(self),
            Err(errno) => Err(errno),
        }
    }

    /// The root for one look-up.
    fn base(&self) -> Result<Base<'_>> {
        let top = match &self.root.top {
            Top::Process => Base::Process,
            Top::Held(share) => Base::Held(share.as_fd()),
            Top::Medium(medium) => Base::Opened(medium.open()?),
        };
        let Some(below) = &self.root.below else {
            return Ok(top);
        };
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let top = top.beneath().unwrap_or(CWD);
        beneath(top, below, flags, Mode::empty()).map(Base::Opened)
    }

    /// Whether the kernel's own root is this tree's, so that a pathname can be used as it is.
    fn is_process_root(&self) -> bool {
        matches!(
            self.root,
            Root {
                top: Top::Process,
                below: None
            }
        )
    }

    /// Opens what `pathname` names, links followed, inside the tree.
    fn open(&self, pathname: &Pathname<'_>, flags: OFlags, mode: Mode) -> Result<OwnedFd> {
        self.open_below(pathname.below(), flags, mode)
    }

    fn open_below(&self, below: &CStr, flags: OFlags, mode: Mode) -> Result<OwnedFd> {
        let flags = flags | OFlags::CLOEXEC;
        let opened = self.base().and_then(|base| match base.beneath() {
            None => rustix::fs::openat(CWD, below, flags, mode),
            Some(root) => beneath(root, below, flags, mode),
        });
        self.noted(opened)
    }

    /// Tells the log of a disk that fails, now and then: a client can do nothing about it.
    fn noted<T>(&self, result: Result<T>) -> Result<T> {
        if let Err(errno) = &result {
            self.note(*errno);
        }
        result
    }

    fn note(&self, errno: Errno) {
        static TROUBLE: Trouble = Trouble::every(Duration::from_secs(60));
        if !is_disk_failure(errno) {
            return;
        }
        let remedy = match self.root.top {
            Top::Medium(_) => "it is looked for again at each command",
            _ => {
                "if it was taken out and is back, restart the server; --removable would find it by itself"
            }
        };
        TROUBLE.tell(|| {
            log::error!(
                "the disk of the share, or one below it, does not answer: {errno}; {remedy}"
            );
        });
    }

    /// Calls `act` with the directory that holds `pathname`'s last component, and that component.
    fn in_parent<T>(
        &self,
        pathname: &Pathname<'_>,
        act: impl FnOnce(BorrowedFd<'_>, &CStr) -> Result<T>,
    ) -> Result<T> {
        if pathname.is_root() {
            return Err(Errno::BUSY);
        }
        if self.is_process_root() {
            return self.noted(act(CWD, pathname.below()));
        }
        let parent = self.open_parent(pathname, OFlags::PATH)?;
        self.noted(act(parent.as_fd(), pathname.name_for_kernel()))
    }

    /// Opens the directory that holds `pathname`'s last component.  Apart, so that its room for a pathname is on the stack
    /// only while it is needed.
    #[inline(never)]
    fn open_parent(&self, pathname: &Pathname<'_>, flags: OFlags) -> Result<OwnedFd> {
        let mut room = [0; PATH_MAX];
        let parent = pathname.parent_below();
        let parent = if parent.is_empty() { b"." } else { parent };
        room.get_mut(..parent.len())
            .ok_or(Errno::NAMETOOLONG)?
            .copy_from_slice(parent);
        let parent = CStr::from_bytes_until_nul(&room).map_err(|_| Errno::NAMETOOLONG)?;
        self.open_below(parent, flags | OFlags::DIRECTORY, Mode::empty())
    }

    /// What to wait for when the name has changed, if somebody wants that.
    fn flush(&self, pathname: &Pathname<'_>) -> Option<Flush> {
        self.sync
            .then(|| Flush(self.open_parent(pathname, OFlags::RDONLY | ALWAYS).ok()))
    }

    fn is_link(&self, pathname: &Pathname<'_>) -> bool {
        self.stat_link(pathname)
            .is_ok_and(|stat| FileType::from_raw_mode(stat.st_mode).is_symlink())
    }

    /// Under `--sync`, waits until the disk has the change of a name.
    fn changed(&self, pathname: &Pathname<'_>) -> Result<()> {
        self.flush(pathname).as_ref().map_or(Ok(()), Flush::wait)
    }

    /// What is known of a name; a link is followed.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn stat(&self, pathname: &Pathname<'_>) -> Result<Stat> {
        if self.is_process_root() {
            return self.noted(rustix::fs::statat(CWD, pathname.below(), AtFlags::empty()));
        }
        rustix::fs::fstat(self.open(pathname, OFlags::PATH, Mode::empty())?)
    }

    /// What is known of a name; a link is described itself.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn stat_link(&self, pathname: &Pathname<'_>) -> Result<Stat> {
        if pathname.is_root() {
            return self.stat(pathname);
        }
        self.in_parent(pathname, |parent, name| {
            rustix::fs::statat(parent, name, AtFlags::SYMLINK_NOFOLLOW)
        })
    }

    /// Whether `pathname` is a directory that one may stand in; the kernel is asked, since access lists, groups and
    /// foreign file systems grant what permission bits do not tell.
    ///
    /// # Errors
    /// `NOTDIR` if it is no directory, `ACCES` if this user may not; else what the kernel says.
    pub fn may_enter(&self, pathname: &Pathname<'_>) -> Result<()> {
        let mut room = [0; SHORT];
        let mut inside = Cursor::new(&mut room);
        inside.push(pathname.below().to_bytes());
        inside.push(b"/.\0");
        if self.is_process_root()
            && !inside.is_full()
            && let Ok(inside) = CStr::from_bytes_with_nul(inside.written())
        {
            // What is no directory has nothing inside: one call answers both questions.
            return self.noted(rustix::fs::accessat(
                CWD,
                inside,
                Access::EXEC_OK,
                AtFlags::empty(),
            ));
        }
        let directory = self.open(pathname, OFlags::PATH | OFlags::DIRECTORY, Mode::empty())?;
        rustix::fs::accessat(directory, c".", Access::EXEC_OK, AtFlags::empty())
    }

    /// Opens a directory for listing.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn directory(&self, pathname: &Pathname<'_>) -> Result<Directory> {
        let directory = self.open(
            pathname,
            OFlags::RDONLY | OFlags::DIRECTORY | ALWAYS,
            Mode::empty(),
        )?;
        Ok(Directory {
            descriptor: directory,
            is_read: Cell::new(false),
        })
    }

    /// Opens a regular file for reading.
    ///
    /// # Errors
    /// `ISDIR` if it is anything but a regular file; else what the kernel says.
    pub fn read(&self, pathname: &Pathname<'_>) -> Result<(File, u64)> {
        let file = self.open(pathname, OFlags::RDONLY | ALWAYS, Mode::empty())?;
        let stat = rustix::fs::fstat(&file)?;
        regular(&stat)?;
        Ok((File::from(file), size(&stat)))
    }

    /// Opens a regular file for writing, makes it if need be, and locks it before anything of it is lost.
    ///
    /// # Errors
    /// `AGAIN` if another upload holds it; `ISDIR` if it is no regular file; else what the kernel says.
    pub fn write(
        &self,
        pathname: &Pathname<'_>,
        beginning: Beginning,
        mask: u16,
    ) -> Result<Upload> {
        // Before the file is made: its directory may have another name at the end of a long upload.
        let flush = match self.flush(pathname) {
            // What the link leads to may be made now, in another directory.
            Some(_) if self.is_link(pathname) => Some(Flush(None)),
            flush => flush,
        };
        let flags = OFlags::WRONLY | OFlags::CREATE | ALWAYS;
        let file = match self.open(pathname, flags, mode(NEW_FILE, mask)) {
            Err(Errno::NXIO) => return Err(Errno::ISDIR),
            result => result?,
        };
        match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
            // A file system without locks: two uploads to one name are then the clients' own affair.
            Ok(()) | Err(Errno::NOLCK | Errno::NOTSUP | Errno::NOSYS | Errno::INVAL) => {}
            Err(errno) => return Err(errno),
        }
        // Behind the lock: until then another upload may still have added to it.
        let stat = rustix::fs::fstat(&file)?;
        regular(&stat)?;
        Ok(Upload {
            file: Some(file),
            beginning,
            size: size(&stat),
            flush,
        })
    }

    /// Makes a new file, and fails if the name is taken.
    ///
    /// # Errors
    /// `EXIST` if it is; else what the kernel says.
    pub fn write_new(&self, pathname: &Pathname<'_>, mask: u16) -> Result<Upload> {
        let flush = self.flush(pathname);
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | ALWAYS;
        let file = self.open(pathname, flags, mode(NEW_FILE, mask))?;
        // Nobody else can have it open for upload and locked before us for longer than a look.
        let _ = rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive);
        Ok(Upload {
            file: Some(file),
            beginning: Beginning::Replace,
            size: 0,
            flush,
        })
    }

    /// Makes a directory.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn make_directory(&self, pathname: &Pathname<'_>, mask: u16) -> Result<()> {
        self.in_parent(pathname, |parent, name| {
            rustix::fs::mkdirat(parent, name, mode(NEW_DIRECTORY, mask))
        })?;
        self.changed(pathname)
    }

    /// Removes an empty directory.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn remove_directory(&self, pathname: &Pathname<'_>) -> Result<()> {
        self.in_parent(pathname, |parent, name| {
            rustix::fs::unlinkat(parent, name, AtFlags::REMOVEDIR)
        })?;
        self.changed(pathname)
    }

    /// Removes anything but a directory.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn remove_file(&self, pathname: &Pathname<'_>) -> Result<()> {
        self.in_parent(pathname, |parent, name| {
            rustix::fs::unlinkat(parent, name, AtFlags::empty())
        })?;
        self.changed(pathname)
    }

    /// Makes a symbolic link; no client can, `--check` tries where one leads.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn make_link(&self, target: &CStr, pathname: &Pathname<'_>) -> Result<()> {
        self.in_parent(pathname, |parent, name| {
            rustix::fs::symlinkat(target, parent, name)
        })
    }

    /// Renames; a file of the new name is replaced, a directory never.
    ///
    /// # Errors
    /// `EXIST` if the new name is a directory's; else what the kernel says.
    pub fn rename(&self, from: &Pathname<'_>, to: &Pathname<'_>) -> Result<()> {
        if let Ok(stat) = self.stat_link(to)
            && FileType::from_raw_mode(stat.st_mode).is_dir()
            && from.octets() != to.octets()
        {
            return Err(Errno::EXIST);
        }
        self.in_parent(from, |from_parent, from_name| {
            self.in_parent(to, |to_parent, to_name| {
                rustix::fs::renameat(from_parent, from_name, to_parent, to_name)
            })
        })?;
        // The new name first: after a power cut in between the file has two names rather than none.
        self.changed(to)?;
        if from.parent_below() == to.parent_below() {
            return Ok(());
        }
        self.changed(from)
    }

    /// Sets the permission bits of a file or directory.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn change_mode(&self, pathname: &Pathname<'_>, bits: u32) -> Result<()> {
        let mode = Mode::from_raw_mode(bits & 0o777);
        if self.is_process_root() {
            return rustix::fs::chmodat(CWD, pathname.below(), mode, AtFlags::empty());
        }
        rustix::fs::fchmod(self.reading(pathname)?, mode)
    }

    /// Sets the modification time of a file or directory, in seconds and nanoseconds since 1970.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn change_time(
        &self,
        pathname: &Pathname<'_>,
        seconds: i64,
        nanoseconds: u32,
    ) -> Result<()> {
        let times = Timestamps {
            last_access: Timespec {
                tv_sec: 0,
                tv_nsec: UTIME_OMIT,
            },
            last_modification: Timespec {
                tv_sec: seconds,
                // 32 bits on MIPS, 64 elsewhere.
                tv_nsec: nanoseconds as rustix::fs::Nsecs,
            },
        };
        if self.is_process_root() {
            return rustix::fs::utimensat(CWD, pathname.below(), &times, AtFlags::empty());
        }
        rustix::fs::futimens(self.reading(pathname)?, &times)
    }

    /// A descriptor for changing what is known of a file; an O_PATH one would not do.  So a file that its owner may
    /// neither read nor write stays as it is where openat2(2) confines.
    fn reading(&self, pathname: &Pathname<'_>) -> Result<OwnedFd> {
        self.open(pathname, OFlags::RDONLY | ALWAYS, Mode::empty())
            .or_else(|_| self.open(pathname, OFlags::WRONLY | ALWAYS, Mode::empty()))
    }

    /// Octets that this user may still write to the file system that holds `pathname`.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn space(&self, pathname: &Pathname<'_>) -> Result<u64> {
        // Not by an O_PATH descriptor where it can be helped: Linux before 3.12 refuses that.
        let space = if self.is_process_root() {
            rustix::fs::statvfs(pathname.below())?
        } else {
            rustix::fs::fstatvfs(self.open(pathname, OFlags::PATH, Mode::empty())?)?
        };
        Ok(space.f_bavail.saturating_mul(space.f_frsize))
    }

    /// Whether the share lies on a file system whose files have no owners, so that chown and chmod change nothing:
    /// FAT, exFAT, and NTFS as its drivers mount it.
    pub fn lacks_owners(&self) -> bool {
        const MAGICS: [u64; 5] = [0x4d44, 0x2011_bab0, 0x5346_544e, 0x7366_746e, 0x6573_5546];
        let about = if self.is_process_root() {
            rustix::fs::statfs(c".")
        } else {
            let flags = OFlags::RDONLY | OFlags::DIRECTORY;
            self.open_below(c".", flags, Mode::empty())
                .and_then(rustix::fs::fstatfs)
        };
        let Ok(about) = about else { return false };
        // It has another type on each target, with a sign on some.
        u64::try_from(about.f_type).is_ok_and(|magic| MAGICS.contains(&(magic & 0xffff_ffff)))
    }

    /// What this user may do with an entry, as far as permission bits tell (RFC 3659 7.5.5).
    ///
    /// `parent_writable` says whether names may be changed in the directory that holds it.
    pub fn perm(&self, entry: &Entry<'_>, may_write: bool, parent_writable: bool) -> Perm {
        let allowed = |bit: u32| self.allowed(entry, bit);
        let names = may_write && parent_writable;
        let writes = may_write && allowed(0o2);
        match entry.kind {
            Kind::Directory => Perm {
                create: writes && allowed(0o1),
                delete: names,
                enter: allowed(0o1),
                rename: names,
                list: allowed(0o4),
                make: writes && allowed(0o1),
                purge: writes && allowed(0o1),
                ..Perm::default()
            },
            Kind::File => Perm {
                append: writes,
                delete: names,
                rename: names,
                read: allowed(0o4),
                write: writes,
                ..Perm::default()
            },
            _ => Perm {
                delete: names,
                rename: names,
                ..Perm::default()
            },
        }
    }

    fn allowed(&self, entry: &Entry<'_>, bit: u32) -> bool {
        let identity = &self.identity;
        let shift = if entry.owner == identity.uid.as_raw() {
            6
        } else if entry.group == identity.gid.as_raw()
            || identity
                .groups
                .iter()
                .any(|group| group.as_raw() == entry.group)
        {
            3
        } else {
            0
        };
        (entry.mode >> shift) & bit != 0
    }
}

const IN_ROOT: ResolveFlags = ResolveFlags::IN_ROOT.union(ResolveFlags::NO_MAGICLINKS);

/// Opens what `below` names, as if `root` were the root of all.
///
/// openat2(2) may say EAGAIN when a rename elsewhere raced with `..` in a link; a few more tries settle it.
fn beneath(root: BorrowedFd<'_>, below: &CStr, flags: OFlags, mode: Mode) -> Result<OwnedFd> {
    let open = || rustix::fs::openat2(root, below, flags, mode, IN_ROOT);
    for _ in 0..16 {
        match open() {
            Err(Errno::AGAIN | Errno::INTR) => {}
            result => return result,
        }
    }
    open()
}

/// Whether the disk itself fails, or is gone: nothing about the name is known then.
pub fn is_disk_failure(errno: Errno) -> bool {
    matches!(
        errno,
        // A device that is gone or broken; a file system that is, or has found itself broken (ext4, XFS).
        Errno::IO | Errno::NODEV | Errno::SHUTDOWN | Errno::UCLEAN | Errno::BADMSG
        // A server behind it that is: FUSE, NFS.
        | Errno::NOTCONN | Errno::CONNABORTED | Errno::STALE | Errno::HOSTDOWN | Errno::TIMEDOUT | Errno::REMOTEIO
    )
}

fn mode(bits: u32, mask: u16) -> Mode {
    Mode::from_raw_mode(bits & !u32::from(mask))
}

/// Lets only regular files pass.  O_NONBLOCK, by which a FIFO does not hold up the open, stays set: it changes nothing
/// for a regular file (open(2)), so it is not worth a call to take it off.
fn regular(stat: &Stat) -> Result<()> {
    if FileType::from_raw_mode(stat.st_mode).is_file() {
        Ok(())
    } else {
        Err(Errno::ISDIR)
    }
}

/// The length of what a stat describes, in octets.
pub fn size(stat: &Stat) -> u64 {
    u64::try_from(stat.st_size).unwrap_or(0)
}

/// Makes a listing entry of a stat.
pub fn entry<'n>(name: &'n [u8], stat: &Stat) -> Entry<'n> {
    let kind = match FileType::from_raw_mode(stat.st_mode) {
        FileType::RegularFile => Kind::File,
        FileType::Directory => Kind::Directory,
        FileType::Symlink => Kind::Link,
        FileType::Fifo => Kind::Other(b'p'),
        FileType::Socket => Kind::Other(b's'),
        FileType::CharacterDevice => Kind::Other(b'c'),
        _ => Kind::Other(b'b'),
    };
    Entry {
        name,
        kind,
        mode: stat.st_mode & 0o7777,
        #[allow(clippy::useless_conversion, reason = "it has 32 bits on some targets")]
        links: u64::from(stat.st_nlink),
        owner: stat.st_uid,
        group: stat.st_gid,
        size: size(stat),
        modified: stat.st_mtime,
        device: stat.st_dev,
        inode: stat.st_ino,
        target: None,
    }
}

/// An open directory.
#[derive(Debug)]
pub struct Directory {
    descriptor: OwnedFd,
    /// Names were read off it, so it does not stand at its beginning any more.
    is_read: Cell<bool>,
}

impl Directory {
    /// What is known of a name in this directory; a link is described itself.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn stat(&self, name: &CStr) -> Result<Stat> {
        rustix::fs::statat(&self.descriptor, name, AtFlags::SYMLINK_NOFOLLOW)
    }

    /// Where a link in this directory points, in `room`.
    pub fn link_target<'r>(
        &self,
        name: &CStr,
        room: &'r mut [MaybeUninit<u8>],
    ) -> Option<&'r [u8]> {
        let (target, _) = rustix::fs::readlinkat_raw(&self.descriptor, name, room).ok()?;
        Some(target)
    }

    /// Whether the kernel would let this user do that with a name, which is no link.
    pub fn may(&self, name: &CStr, access: Access) -> bool {
        rustix::fs::accessat(&self.descriptor, name, access, AtFlags::empty()).is_ok()
    }

    /// Whether names may be made and removed in it.
    pub fn is_writable(&self) -> bool {
        rustix::fs::accessat(
            &self.descriptor,
            c".",
            Access::WRITE_OK | Access::EXEC_OK,
            AtFlags::empty(),
        )
        .is_ok()
    }

    /// Calls `take` for each name but `.` and `..`, from `position` on, until it returns false.
    ///
    /// `take` gets the name and the position behind it; `room` is for what the kernel writes.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn names(
        &self,
        position: u64,
        room: &mut [MaybeUninit<u8>],
        mut take: impl FnMut(&CStr, u64) -> bool,
    ) -> Result<()> {
        if self.is_read.replace(true) || position > 0 {
            rustix::fs::seek(&self.descriptor, rustix::fs::SeekFrom::Start(position))?;
        }
        let mut entries = rustix::fs::RawDir::new(&self.descriptor, room);
        while let Some(entry) = entries.next() {
            let entry = match entry {
                Err(Errno::INTR) => continue,
                entry => entry?,
            };
            let name = entry.file_name();
            if name != c"." && name != c".." && !take(name, entry.next_entry_cookie()) {
                break;
            }
        }
        Ok(())
    }
}
