//! Media that come and go: a mount point that is looked up anew for each command (`--removable`).
//!
//! The process's root is the directory above it, since whoever has a root in a file system keeps that file system: it
//! could be neither unmounted nor seen when it is mounted again.  Nothing of the medium is held between two commands.

use std::ffi::CString;
use std::fs;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, Mode, OFlags, ResolveFlags};
use rustix::io::{Errno, Result};

/// A mount point below the process's own directory.
#[derive(Debug)]
pub struct Medium {
    name: CString,
}

impl Medium {
    /// The medium that is, or will be, mounted at `share`, and the directory above it, where the process has to stand.
    ///
    /// # Errors
    /// One line if there is no directory above it that confines anything.
    pub fn at(share: &Path) -> std::result::Result<(PathBuf, Self), String> {
        let shown = share.display();
        let real = fs::canonicalize(share)
            .map_err(|error| format!("look for the medium: {shown}: {error}"))?;
        let (Some(above), Some(name)) = (real.parent(), real.file_name()) else {
            return Err(format!(
                "look for the medium: {shown} cannot come and go; leave out --removable"
            ));
        };
        // With the system's own root as root there would be no chroot.
        if above.parent().is_none() {
            return Err(format!(
                "look for the medium: with --removable the server is confined to the directory above {shown}, and that is \
                 the whole system: mount the medium one directory deeper"
            ));
        }
        let name = CString::new(name.as_bytes()).map_err(|error| error.to_string())?;
        Ok((above.to_owned(), Self { name }))
    }

    /// Opens the top of what is mounted there now.
    ///
    /// # Errors
    /// `NOMEDIUM` if nothing is: the directory underneath is never served, nor filled.  `NOSYS` before Linux 5.6.
    pub fn open(&self) -> Result<OwnedFd> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let opened = rustix::fs::openat(CWD, &self.name, flags | OFlags::NOFOLLOW, Mode::empty());
        let top = opened.map_err(|errno| match errno {
            // Where desktops mount, the mount point goes with the medium.
            Errno::NOENT | Errno::NOTDIR | Errno::LOOP => Errno::NOMEDIUM,
            errno => errno,
        })?;
        // Asked of the descriptor itself, so that nobody can mount something in between.  The device number would not do:
        // a bind mount may have the one of the directory above, and a subvolume has another without being mounted.
        match rustix::fs::openat2(&top, c"..", flags, Mode::empty(), ResolveFlags::NO_XDEV) {
            Err(Errno::XDEV) => Ok(top),
            Ok(_) => Err(Errno::NOMEDIUM),
            Err(errno) => Err(errno),
        }
    }
}
