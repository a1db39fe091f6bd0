//! Mounts that nobody else sees: each test that mounts something has a mount namespace of its own, which ends with it.

use std::panic::resume_unwind;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;

use nix::sched::{CloneFlags, unshare};

use crate::common::{Share, is_root, skip};

/// Runs a test in a thread of its own that has its own mounts, and so have the programs that it starts.
pub fn in_own_mounts(test: impl FnOnce() + Send) {
    if !is_root() {
        return skip("needs root to mount something");
    }
    let name = thread::current().name().unwrap_or("a test").to_owned();
    let ended = thread::scope(|scope| {
        let thread = thread::Builder::new()
            .name(name)
            .spawn_scoped(scope, || {
                if let Err(errno) = unshare(CloneFlags::CLONE_NEWNS) {
                    return skip(&format!("no mount namespace to be had: {errno}"));
                }
                assert!(run("mount", &["--make-rprivate", "/"]));
                test();
            })
            .unwrap();
        thread.join()
    });
    if let Err(panic) = ended {
        resume_unwind(panic);
    }
}

/// Whether a command went well; what it says against that is told.
pub fn run(program: &str, arguments: &[&str]) -> bool {
    let output = Command::new(program).args(arguments).output().unwrap();
    if !output.status.success() {
        println!(
            "{program} {arguments:?}: {}",
            String::from_utf8_lossy(&output.stderr).trim()
        );
    }
    output.status.success()
}

/// Something mounted, at most until the test ends.
#[derive(Debug)]
pub struct Mounted(PathBuf);

impl Mounted {
    /// A disk in memory, of so many KiB, for everybody to write to.
    pub fn memory(at: &Path, kib: u32) -> Self {
        let options = format!("size={kib}k,mode=1777");
        let place = at.to_str().unwrap();
        assert!(run(
            "mount",
            &["-t", "tmpfs", "-o", &options, "none", place]
        ));
        Self(at.to_owned())
    }

    /// A disk image beside the share; `None`, and a skip, where that cannot be mounted.
    pub fn image(image: &Path, at: &Path, options: &str) -> Option<Self> {
        let options = format!("loop,{options}");
        let (image, place) = (image.to_str().unwrap(), at.to_str().unwrap());
        if !run("mount", &["-o", &options, image, place]) {
            skip("no loop device to be had, or no such file system in this kernel");
            return None;
        }
        Some(Self(at.to_owned()))
    }

    /// The device that is mounted there.
    pub fn device(&self) -> PathBuf {
        let mounts = std::fs::read_to_string("/proc/thread-self/mounts").unwrap();
        let rows = mounts.lines().map(|row| row.split(' ').collect::<Vec<_>>());
        let mut rows = rows;
        let here = rows.rfind(|row| Path::new(row[1]) == self.0);
        PathBuf::from(here.unwrap()[0])
    }

    /// Takes it away as an unplugged device goes: whoever has it open keeps that.
    pub fn pull(self) {
        assert!(run("umount", &["-l", self.0.to_str().unwrap()]));
        std::mem::forget(self);
    }

    /// Takes it away if nobody uses it.
    pub fn take_out(self) -> Result<(), Self> {
        if !run("umount", &[self.0.to_str().unwrap()]) {
            return Err(self);
        }
        std::mem::forget(self);
        Ok(())
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        run("umount", &["-l", self.0.to_str().unwrap()]);
    }
}

/// A disk image of so many MiB beside the share; `None`, and a skip, where nothing makes that file system.
pub fn image(share: &Share, mkfs: &str, mib: u64, flags: &[&str]) -> Option<PathBuf> {
    let mkfs = crate::common::program(mkfs)?;
    let image = share.outside("image");
    let file = std::fs::File::create(&image).unwrap();
    file.set_len(mib << 20).unwrap();
    let arguments = [flags, &[image.to_str().unwrap()]].concat();
    assert!(run(mkfs.to_str().unwrap(), &arguments));
    Some(image)
}
