//! A disk that fails when it is told to: a file system of one directory, served by this test over /dev/fuse.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, UNIX_EPOCH};

use fuser::{
    BackgroundSession, BsdFileFlags, Config, Errno, FileAttr, FileHandle, FileType, Filesystem,
    FopenFlags, Generation, INodeNo, LockOwner, MountOption, OpenFlags, ReplyAttr, ReplyCreate,
    ReplyData, ReplyDirectory, ReplyEmpty, ReplyEntry, ReplyWrite, Request, SessionACL, TimeOrNow,
    WriteFlags,
};

use super::mounts::run;
use crate::common::share::NOBODY;
use crate::common::skip;

/// Nothing is remembered by the kernel.
const NEVER: Duration = Duration::ZERO;

/// What fails, and how.
#[derive(Debug, Default, Clone, Copy)]
pub struct Faults {
    /// Everything, as when the device is gone.
    pub all: Option<Errno>,
    /// Reading from this octet on.
    pub read: Option<(u64, Errno)>,
    /// Writing from this octet on.
    pub write: Option<(u64, Errno)>,
    /// Reading the directory.
    pub list: Option<Errno>,
    /// close(2) of a file.
    pub close: Option<Errno>,
    /// fsync(2) and fdatasync(2) of a file.
    pub sync: Option<Errno>,
    /// fsync(2) of the directory.
    pub sync_directory: Option<Errno>,
}

#[derive(Debug, Default)]
struct State {
    files: BTreeMap<u64, Vec<u8>>,
    names: BTreeMap<OsString, u64>,
    faults: Faults,
    last: u64,
}

/// The disk, for the test's hands.
#[derive(Debug, Clone, Default)]
pub struct Disk(Arc<Mutex<State>>);

/// The disk, mounted.
#[derive(Debug)]
pub struct Plugged {
    session: Option<BackgroundSession>,
    place: String,
}

impl Disk {
    /// Mounts it; `None`, and a skip, where that cannot be done.
    pub fn plug_in(&self, at: &Path) -> Option<Plugged> {
        let mut config = Config::default();
        config.mount_options = vec![
            MountOption::FSName("faulty".to_owned()),
            MountOption::DefaultPermissions,
        ];
        config.acl = SessionACL::All;
        match fuser::spawn_mount(self.clone(), at, &config) {
            Ok(session) => Some(Plugged {
                session: Some(session),
                place: at.to_str().unwrap().to_owned(),
            }),
            Err(error) => {
                skip(&format!("no FUSE to be had: {error}"));
                None
            }
        }
    }

    /// From now on these fail, and nothing else.
    pub fn fails(&self, faults: Faults) {
        self.state().faults = faults;
    }

    pub fn write_file(&self, name: &str, octets: &[u8]) {
        self.state().make(name.into(), octets.to_vec());
    }

    pub fn file(&self, name: &str) -> Option<Vec<u8>> {
        let state = self.state();
        state.files.get(state.names.get(OsStr::new(name))?).cloned()
    }

    pub fn names(&self) -> Vec<String> {
        let names = self.state().names.keys().cloned().collect::<Vec<_>>();
        names
            .into_iter()
            .map(|name| name.into_string().unwrap())
            .collect()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap()
    }

    /// The state, unless everything fails.
    fn working(&self) -> Result<MutexGuard<'_, State>, Errno> {
        let state = self.state();
        match state.faults.all {
            Some(errno) => Err(errno),
            None => Ok(state),
        }
    }
}

impl Plugged {
    /// The mount goes away; whoever has it open keeps that, and hears errors once this end hangs up.
    pub fn pull(mut self) {
        self.go();
    }

    /// This end hangs up while the mount stays: every call fails with ENOTCONN.
    pub fn abort(&self) {
        let table = std::fs::read_to_string("/proc/thread-self/mountinfo").unwrap();
        let row = table
            .lines()
            .rev()
            .find(|row| row.split(' ').nth(4) == Some(&self.place))
            .unwrap();
        let minor = row.split(' ').nth(2).unwrap().split(':').nth(1).unwrap();
        let control = "/sys/fs/fuse/connections";
        if std::fs::read_dir(control).unwrap().next().is_none() {
            run("mount", &["-t", "fusectl", "none", control]);
        }
        std::fs::write(format!("{control}/{minor}/abort"), "1").unwrap();
    }

    fn go(&mut self) {
        run("umount", &["-l", &self.place]);
        // Its thread ends when the last one who has it open lets go, which may be after this test.
        drop(self.session.take());
    }
}

impl Drop for Plugged {
    fn drop(&mut self) {
        if self.session.is_some() {
            self.go();
        }
    }
}

impl State {
    fn make(&mut self, name: OsString, octets: Vec<u8>) -> u64 {
        self.last = self.last.max(1) + 1;
        self.files.insert(self.last, octets);
        self.names.insert(name, self.last);
        self.last
    }

    fn attributes(&self, inode: INodeNo) -> Result<FileAttr, Errno> {
        let (kind, perm, size) = match self.files.get(&inode.0) {
            _ if inode.0 == 1 => (FileType::Directory, 0o755, 0),
            Some(octets) => (FileType::RegularFile, 0o644, octets.len() as u64),
            None => return Err(Errno::ENOENT),
        };
        Ok(FileAttr {
            ino: inode,
            size,
            blocks: size.div_ceil(512),
            atime: UNIX_EPOCH,
            mtime: UNIX_EPOCH,
            ctime: UNIX_EPOCH,
            crtime: UNIX_EPOCH,
            kind,
            perm,
            nlink: 1,
            uid: NOBODY,
            gid: NOBODY,
            rdev: 0,
            blksize: 4096,
            flags: 0,
        })
    }
}

fn nothing(reply: ReplyEmpty, result: Result<(), Errno>) {
    match result {
        Ok(()) => reply.ok(),
        Err(errno) => reply.error(errno),
    }
}

impl Filesystem for Disk {
    fn lookup(&self, _: &Request, _: INodeNo, name: &OsStr, reply: ReplyEntry) {
        let found = self.working().and_then(|state| {
            let inode = *state.names.get(name).ok_or(Errno::ENOENT)?;
            state.attributes(INodeNo(inode))
        });
        match found {
            Ok(attributes) => reply.entry(&NEVER, &attributes, Generation(0)),
            Err(errno) => reply.error(errno),
        }
    }

    fn getattr(&self, _: &Request, inode: INodeNo, _: Option<FileHandle>, reply: ReplyAttr) {
        match self.working().and_then(|state| state.attributes(inode)) {
            Ok(attributes) => reply.attr(&NEVER, &attributes),
            Err(errno) => reply.error(errno),
        }
    }

    fn setattr(
        &self,
        _: &Request,
        inode: INodeNo,
        _: Option<u32>,
        _: Option<u32>,
        _: Option<u32>,
        size: Option<u64>,
        _: Option<TimeOrNow>,
        _: Option<TimeOrNow>,
        _: Option<std::time::SystemTime>,
        _: Option<FileHandle>,
        _: Option<std::time::SystemTime>,
        _: Option<std::time::SystemTime>,
        _: Option<std::time::SystemTime>,
        _: Option<BsdFileFlags>,
        reply: ReplyAttr,
    ) {
        let set = self.working().and_then(|mut state| {
            if let (Some(size), Some(octets)) = (size, state.files.get_mut(&inode.0)) {
                octets.resize(size as usize, 0);
            }
            state.attributes(inode)
        });
        match set {
            Ok(attributes) => reply.attr(&NEVER, &attributes),
            Err(errno) => reply.error(errno),
        }
    }

    fn open(&self, _: &Request, _: INodeNo, _: OpenFlags, reply: fuser::ReplyOpen) {
        match self.working() {
            Ok(_) => reply.opened(FileHandle(0), FopenFlags::empty()),
            Err(errno) => reply.error(errno),
        }
    }

    fn create(
        &self,
        _: &Request,
        _: INodeNo,
        name: &OsStr,
        _: u32,
        _: u32,
        _: i32,
        reply: ReplyCreate,
    ) {
        let made = self.working().and_then(|mut state| {
            let inode = state.make(name.to_owned(), Vec::new());
            state.attributes(INodeNo(inode))
        });
        match made {
            Ok(attributes) => reply.created(
                &NEVER,
                &attributes,
                Generation(0),
                FileHandle(0),
                FopenFlags::empty(),
            ),
            Err(errno) => reply.error(errno),
        }
    }

    fn read(
        &self,
        _: &Request,
        inode: INodeNo,
        _: FileHandle,
        offset: u64,
        size: u32,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyData,
    ) {
        let state = match self.working() {
            Ok(state) => state,
            Err(errno) => return reply.error(errno),
        };
        let end = offset + u64::from(size);
        if let Some((from, errno)) = state.faults.read
            && end > from
        {
            return reply.error(errno);
        }
        let Some(octets) = state.files.get(&inode.0) else {
            return reply.error(Errno::ENOENT);
        };
        let at = |octet: u64| (octet as usize).min(octets.len());
        reply.data(&octets[at(offset)..at(end)]);
    }

    fn write(
        &self,
        _: &Request,
        inode: INodeNo,
        _: FileHandle,
        offset: u64,
        data: &[u8],
        _: WriteFlags,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyWrite,
    ) {
        let mut state = match self.working() {
            Ok(state) => state,
            Err(errno) => return reply.error(errno),
        };
        let end = offset + data.len() as u64;
        if let Some((from, errno)) = state.faults.write
            && end > from
        {
            return reply.error(errno);
        }
        let Some(octets) = state.files.get_mut(&inode.0) else {
            return reply.error(Errno::ENOENT);
        };
        if octets.len() < end as usize {
            octets.resize(end as usize, 0);
        }
        octets[offset as usize..end as usize].copy_from_slice(data);
        reply.written(data.len() as u32);
    }

    fn flush(&self, _: &Request, _: INodeNo, _: FileHandle, _: LockOwner, reply: ReplyEmpty) {
        let fault = self.state().faults.close;
        nothing(reply, fault.map_or(Ok(()), Err));
    }

    fn fsync(&self, _: &Request, _: INodeNo, _: FileHandle, _: bool, reply: ReplyEmpty) {
        let fault = self.state().faults.sync;
        nothing(reply, fault.map_or(Ok(()), Err));
    }

    fn fsyncdir(&self, _: &Request, _: INodeNo, _: FileHandle, _: bool, reply: ReplyEmpty) {
        let fault = self.state().faults.sync_directory;
        nothing(reply, fault.map_or(Ok(()), Err));
    }

    fn unlink(&self, _: &Request, _: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        let gone = self
            .working()
            .and_then(|mut state| state.names.remove(name).ok_or(Errno::ENOENT));
        nothing(reply, gone.map(drop));
    }

    fn readdir(
        &self,
        _: &Request,
        _: INodeNo,
        _: FileHandle,
        offset: u64,
        mut reply: ReplyDirectory,
    ) {
        let state = match self.working() {
            Ok(state) => state,
            Err(errno) => return reply.error(errno),
        };
        if let Some(errno) = state.faults.list {
            return reply.error(errno);
        }
        for (number, (name, inode)) in (1..).zip(&state.names) {
            if number > offset && reply.add(INodeNo(*inode), number, FileType::RegularFile, name) {
                break;
            }
        }
        reply.ok();
    }
}
