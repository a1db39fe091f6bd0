//! A directory of its own for each test, gone afterwards.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, UNIX_EPOCH};

/// The user that a test's files belong to when the tests run as root: `nobody`, as on any Linux.
pub const NOBODY: u32 = 65534;

/// A temporary directory `outer`, and in it the directory that is shared.
///
/// What a test puts beside the share (`outside`) must never be seen by a client.
#[derive(Debug)]
pub struct Share {
    outer: PathBuf,
    top: PathBuf,
}

impl Share {
    pub fn new() -> Self {
        Self::below(&std::env::temp_dir())
    }

    /// In memory where there is such a place, for what is made of very many files.
    pub fn in_memory() -> Self {
        let memory = Path::new("/dev/shm");
        if nix::unistd::access(memory, nix::unistd::AccessFlags::W_OK).is_ok() {
            Self::below(memory)
        } else {
            Self::new()
        }
    }

    fn below(place: &Path) -> Self {
        let outer = fresh_directory_in(place);
        let top = outer.join("share");
        fs::create_dir(&top).unwrap();
        let share = Self { outer, top };
        share.hand_over(&share.top);
        share
    }

    /// The shared directory.
    pub fn top(&self) -> &Path {
        &self.top
    }

    /// A path in the share; the name is octets, relative to the top.
    pub fn path(&self, name: impl AsRef<[u8]>) -> PathBuf {
        let name = name.as_ref();
        let name = name.strip_prefix(b"/").unwrap_or(name);
        if name.is_empty() {
            self.top.clone()
        } else {
            self.top.join(OsStr::from_bytes(name))
        }
    }

    /// A path beside the share, where no client may come.
    pub fn outside(&self, name: &str) -> PathBuf {
        self.outer.join(name)
    }

    /// Writes a file, and the directories above it.
    pub fn write(&self, name: impl AsRef<[u8]>, contents: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        self.parents(&path);
        fs::write(&path, contents).unwrap();
        self.hand_over(&path);
        path
    }

    /// A file of `len` octets that takes no room on the disk.
    pub fn write_sparse(&self, name: &str, len: u64) -> PathBuf {
        let path = self.write(name, b"");
        fs::OpenOptions::new()
            .write(true)
            .open(&path)
            .unwrap()
            .set_len(len)
            .unwrap();
        path
    }

    pub fn mkdir(&self, name: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        self.parents(&path);
        fs::create_dir(&path).unwrap();
        self.hand_over(&path);
        path
    }

    pub fn symlink(&self, target: impl AsRef<Path>, name: &str) -> PathBuf {
        let path = self.path(name);
        std::os::unix::fs::symlink(target, &path).unwrap();
        path
    }

    pub fn fifo(&self, name: &str) -> PathBuf {
        let path = self.path(name);
        nix::unistd::mkfifo(&path, nix::sys::stat::Mode::from_bits_truncate(0o666)).unwrap();
        self.hand_over(&path);
        path
    }

    pub fn socket(&self, name: &str) -> std::os::unix::net::UnixListener {
        let path = self.path(name);
        let listener = std::os::unix::net::UnixListener::bind(&path).unwrap();
        self.hand_over(&path);
        listener
    }

    /// Sets the time of last modification, in seconds since 1970, also before it.
    pub fn set_modified(&self, name: impl AsRef<[u8]>, seconds: i64) {
        let away = Duration::from_secs(seconds.unsigned_abs());
        let time = if seconds < 0 {
            UNIX_EPOCH - away
        } else {
            UNIX_EPOCH + away
        };
        fs::File::open(self.path(name))
            .unwrap()
            .set_modified(time)
            .unwrap();
    }

    /// The time of last modification, in seconds since 1970.
    pub fn modified(&self, name: impl AsRef<[u8]>) -> i64 {
        fs::symlink_metadata(self.path(name)).unwrap().mtime()
    }

    pub fn set_mode(&self, name: impl AsRef<[u8]>, mode: u32) {
        fs::set_permissions(self.path(name), fs::Permissions::from_mode(mode)).unwrap();
    }

    pub fn mode(&self, name: impl AsRef<[u8]>) -> u32 {
        fs::symlink_metadata(self.path(name)).unwrap().mode() & 0o7777
    }

    pub fn read(&self, name: impl AsRef<[u8]>) -> Vec<u8> {
        let path = self.path(name);
        fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    }

    pub fn len(&self, name: impl AsRef<[u8]>) -> u64 {
        fs::symlink_metadata(self.path(name)).unwrap().len()
    }

    pub fn holds(&self, name: impl AsRef<[u8]>) -> bool {
        fs::symlink_metadata(self.path(name)).is_ok()
    }

    /// The names in one directory, sorted.
    pub fn names(&self, directory: &str) -> Vec<Vec<u8>> {
        let mut names: Vec<_> = fs::read_dir(self.path(directory))
            .unwrap()
            .map(|entry| entry.unwrap().file_name().as_bytes().to_vec())
            .collect();
        names.sort();
        names
    }

    /// All that a write could change in the share and beside it, one line each, to compare before and after.
    pub fn fingerprint(&self) -> Vec<String> {
        let mut lines = Vec::new();
        fingerprint_below(&self.outer, &mut lines);
        lines.sort();
        lines
    }

    /// Gives a path to the user whom the server runs as.
    pub fn hand_over(&self, path: &Path) {
        if super::is_root() {
            std::os::unix::fs::lchown(path, Some(NOBODY), Some(NOBODY)).unwrap();
        }
    }

    fn parents(&self, path: &Path) {
        let parent = path.parent().unwrap();
        if parent != self.top && !parent.exists() {
            self.parents(parent);
            fs::create_dir(parent).unwrap();
            self.hand_over(parent);
        }
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        remove(&self.outer);
    }
}

fn fingerprint_below(directory: &Path, lines: &mut Vec<String>) {
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        let about = fs::symlink_metadata(&path).unwrap();
        let contents = if about.is_file() {
            fs::read(&path).unwrap_or_default()
        } else {
            Vec::new()
        };
        lines.push(format!(
            "{path:?} mode={:o} uid={} size={} mtime={}.{} {contents:?}",
            about.mode(),
            about.uid(),
            about.len(),
            about.mtime(),
            about.mtime_nsec(),
        ));
        if about.is_dir() {
            fingerprint_below(&path, lines);
        }
    }
}

/// A new directory that every user can enter.
pub fn fresh_directory() -> PathBuf {
    fresh_directory_in(&std::env::temp_dir())
}

fn fresh_directory_in(place: &Path) -> PathBuf {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let number = COUNT.fetch_add(1, Ordering::Relaxed);
    let path = place.join(format!("pocketftpd-test-{}-{number}", std::process::id()));
    remove(&path); // left by a run that was killed under the same process number
    fs::create_dir(&path).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    path
}

/// Removes a directory, also what a test made unreadable in it.
pub fn remove(directory: &Path) {
    if fs::remove_dir_all(directory).is_ok() {
        return;
    }
    open_up(directory);
    if let Err(error) = fs::remove_dir_all(directory)
        && error.kind() != std::io::ErrorKind::NotFound
    {
        println!("{} stays: {error}", directory.display());
    }
}

fn open_up(directory: &Path) {
    fs::set_permissions(directory, fs::Permissions::from_mode(0o700)).ok();
    for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            open_up(&entry.path());
        }
    }
}
