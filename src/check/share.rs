//! What the server's user may read and write in the share, seen from inside the walls.

use std::ffi::CStr;
use std::fs;
use std::mem::MaybeUninit;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::Duration;
use std::time::Instant;

use rustix::fs::Access;

use crate::check::Out;
use crate::config::Config;
use crate::session::House;
use crate::start;
use crate::tree;
use crate::wire::listing::Kind;
use crate::wire::pathname::PATH_MAX;
use crate::wire::pathname::Pathname;
use crate::wire::printable::Printable;

/// How much of the share is looked at: the rest is most often like it.
const ENTRIES: usize = 5000;

/// How long that may take; a disk that has to wake up is slow.
const TIME: Duration = Duration::from_secs(1);

/// The largest file that the self-test downloads, in octets.
pub const SAMPLE_MAX: u64 = 1024 * 1024;

/// How many names are given as examples.
const EXAMPLES: usize = 3;

/// Names that something is wrong with.
#[derive(Debug, Default)]
struct Names {
    count: usize,
    examples: Vec<String>,
}

impl Names {
    fn add(&mut self, directory: &[u8], name: &CStr) {
        self.count += 1;
        if self.examples.len() < EXAMPLES {
            let path = below(directory, name.to_bytes());
            self.examples.push(Printable(&path).to_string());
        }
    }
}

impl std::fmt::Display for Names {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str(&self.examples.join(", "))?;
        match self.count.saturating_sub(self.examples.len()) {
            0 => Ok(()),
            more => write!(out, " and {more} more"),
        }
    }
}

/// A share that can be served.
#[derive(Debug)]
pub struct Usable {
    /// The pathname of a file for the self-test to download.
    pub sample: Option<Vec<u8>>,
}

/// What a walk through the share has seen.
#[derive(Debug, Default)]
struct Seen {
    files: usize,
    directories: usize,
    cut: bool,
    unreadable: Names,
    unwritable: Names,
    sample: Option<Vec<u8>>,
}

/// Tells those who share a mount point what happens when its medium is taken out; looked at from outside the walls.
pub fn mount_point(report: &mut Out, config: &Config) {
    let device = |path: &Path| fs::metadata(path).map(|about| about.dev());
    let (Ok(here), Ok(above)) = (device(&config.share), device(&config.share.join(".."))) else {
        return;
    };
    if here != above && !config.removable {
        report.good(format_args!(
            "share: {} is a mount point: if its medium is taken out and put back, restart the server, or start it with \
             --removable, which finds the medium by itself",
            config.share.display()
        ));
    }
}

/// Reports it; `None` if the server would not start.
pub fn examine(report: &mut Out, config: &Config, house: &House) -> Option<Usable> {
    let (shown, name) = (config.share.display(), &house.identity.name);
    let writable = house.accounts.anyone_may_write();
    match start::may_use(config, house, false) {
        Ok(true) => {}
        Ok(false) => {
            report.warning(format_args!(
                "share: no medium is mounted at {shown}: clients hear 450 or 550 until one is; mount it and check again"
            ));
            return None;
        }
        Err(why) => {
            report.bad(why);
            return None;
        }
    }
    let seen = look(house, writable);
    let part = if seen.cut {
        "and more that was not looked at"
    } else {
        "all were looked at"
    };
    let Seen {
        files, directories, ..
    } = seen;
    match seen.unreadable.count {
        0 => report.good(format_args!(
            "share: {shown}: user {name} may read it: files {files}, directories {directories}, {part}"
        )),
        count => report.warning(format_args!(
            "share: {shown}: user {name} may not read {count} of these (files {files}, directories {directories}): {}: \
             clients hear 550; chmod -R o+rX, or name their owner with --run-as",
            seen.unreadable
        )),
    }
    let usable = !writable || may_write(report, config, house, &seen.unwritable);
    if !writable {
        report.good("share: nobody may write, as the flags say");
    }
    let directories = house.check_directories();
    report.heard();
    if let Err(why) = directories {
        report.bad(why);
        return None;
    }
    usable.then_some(Usable {
        sample: seen.sample,
    })
}

fn may_write(report: &mut Out, config: &Config, house: &House, unwritable: &Names) -> bool {
    let name = &house.identity.name;
    let (shown, user) = (config.share.display(), house.identity.uid);
    let Ok(tree) = house.tree() else {
        return false;
    };
    if let Err(why) = start::may_use(config, house, true) {
        report.bad(why);
        if tree.lacks_owners() {
            report.warning(format_args!(
                "share: files on this kind of disk have no owners, so chown and chmod do nothing: mount it with the \
                 options uid={user},umask=022"
            ));
        }
        return false;
    }
    let mut room = [0; PATH_MAX];
    let space = tree.space(&Pathname::root(&mut room)).unwrap_or(0) / 1024;
    match unwritable.count {
        0 => report.good(format_args!(
            "share: {shown}: user {name} may write it, {space} KiB are free"
        )),
        count => report.warning(format_args!(
            "share: {shown}: user {name} may not change {count} names: {unwritable}: clients hear 550 there; \
             chown -R {user} them"
        )),
    }
    if space < 1024 {
        report.warning(format_args!(
            "share: {shown} is full: {space} KiB are free, uploads will end with 452"
        ));
    }
    true
}

/// Walks through the share, within bounds.
fn look(house: &House, writable: bool) -> Seen {
    let mut seen = Seen::default();
    let Ok(tree) = house.tree() else {
        return seen;
    };
    // What is mounted below may be no disk, and its files not what they seem (/proc).
    let mut room = [0; PATH_MAX];
    let device = tree
        .stat(&Pathname::root(&mut room))
        .map_or(0, |top| top.st_dev);
    let by = Instant::now() + TIME;
    let mut waiting = vec![b"/".to_vec()];
    let mut entries = vec![MaybeUninit::uninit(); 16 * 1024];
    while let Some(path) = waiting.pop() {
        let mut room = [0; PATH_MAX];
        let mut pathname = Pathname::root(&mut room);
        let Ok(directory) = pathname
            .enter(&path)
            .map_err(|_| rustix::io::Errno::NAMETOOLONG)
            .and_then(|()| tree.directory(&pathname))
        else {
            continue;
        };
        let _ = directory.names(0, &mut entries, |name, _| {
            if seen.files + seen.directories >= ENTRIES || Instant::now() > by {
                seen.cut = true;
                return false;
            }
            let Ok(stat) = directory.stat(name) else {
                return true;
            };
            match tree::entry(name.to_bytes(), &stat).kind {
                Kind::File => {
                    seen.files += 1;
                    if !directory.may(name, Access::READ_OK) {
                        seen.unreadable.add(&path, name);
                    } else if seen.sample.is_none()
                        && stat.st_dev == device
                        && (1..=SAMPLE_MAX).contains(&tree::size(&stat))
                    {
                        seen.sample = sample(&path, name);
                    }
                    if writable && !directory.may(name, Access::WRITE_OK) {
                        seen.unwritable.add(&path, name);
                    }
                }
                Kind::Directory => {
                    seen.directories += 1;
                    if !directory.may(name, Access::READ_OK | Access::EXEC_OK) {
                        seen.unreadable.add(&path, name);
                    } else {
                        waiting.push(below(&path, name.to_bytes()));
                    }
                    if writable && !directory.may(name, Access::WRITE_OK | Access::EXEC_OK) {
                        seen.unwritable.add(&path, name);
                    }
                }
                // Links lead to what is looked at elsewhere, or nowhere; the rest is not served.
                Kind::Link | Kind::Other(_) => {}
            }
            true
        });
        if seen.cut {
            break;
        }
    }
    seen
}

/// The pathname of a file that the self-test can ask for: its name must survive a command line.
fn sample(directory: &[u8], name: &CStr) -> Option<Vec<u8>> {
    let path = below(directory, name.to_bytes());
    let plain = path
        .iter()
        .all(|octet| octet.is_ascii_graphic() || *octet == b' ');
    (plain && !path.ends_with(b" ")).then_some(path)
}

fn below(directory: &[u8], name: &[u8]) -> Vec<u8> {
    let mut path = directory.to_vec();
    if path != b"/" {
        path.push(b'/');
    }
    path.extend_from_slice(name);
    path
}
