//! Listings: LIST, NLST and MLSD over a data connection, STAT with a pathname over the control connection.
//!
//! A directory of a million entries costs the same memory as one of ten: names are sorted while they fit the session's
//! desk, and come in the directory's own order beyond that.

use std::ffi::CStr;
use std::mem::MaybeUninit;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use rustix::io::Errno;

use crate::pool::Desk;
use crate::session::{Account, Owners};
use crate::transfer::flow::{End, Sink};
use crate::tree::{self, Directory};
use crate::wire::glob;
use crate::wire::listing::{self, Entry, Facts, Kind, LINE_MAX};
use crate::wire::octets::Cursor;
use crate::wire::pathname::Pathname;
use crate::wire::reply;

/// How many directories deep `LIST -R` goes.
const DEPTH: usize = 16;

/// After how many names the clock is looked at.
const NAMES_A_LOOK: u32 = 64;

/// After what time somebody has to want the rest still, and what there is goes out.  Whether there was output does not
/// tell: sockets hold megabytes of lines that nobody reads.
const PATIENCE: Duration = Duration::from_millis(50);

/// After how many octets the first lines go out, so that the client need not wait for a whole block of them.
const FIRST: usize = 24 * 1024;

/// How the lines look.
#[derive(Debug, Clone, Copy)]
pub enum Style<'s> {
    /// LIST, as `ls -l` writes it.
    Long,
    /// NLST: names alone, with what the client put before them.
    Names(&'s [u8]),
    /// MLSD.
    Facts(Facts),
}

/// What is listed.
#[derive(Debug)]
pub enum Subject {
    /// The names in a directory.
    Inside(Directory),
    /// The names in a directory that match the pattern in `scratch`.
    Matching(Directory),
    /// The thing itself.
    Itself,
}

/// A listing that is ready to be sent.
#[derive(Debug)]
pub struct Listing<'s, 'm> {
    /// Who wants it.
    pub account: &'s Account,
    /// Names of users and groups.
    pub owners: &'s Owners,
    /// What is listed.
    pub subject: Subject,
    /// The directory, or the thing itself.
    pub at: &'s mut Pathname<'m>,
    /// The pattern; else room for the pathname of a name in the directory.
    pub scratch: &'s mut Pathname<'m>,
    /// How the lines look.
    pub style: Style<'s>,
    /// `-R`.
    pub recursive: bool,
    /// The code of the reply that the lines stand in, each behind a space; `None` on a data connection.
    pub inside: Option<u16>,
}

/// How much of the desk is for names that are to be sorted, in octets; positions in it fit 16 bits.
const NAMES: usize = 64 * 1024;

impl Listing<'_, '_> {
    /// Sends it all.
    ///
    /// # Errors
    /// Why it ended early; 451 if the directory cannot be read to its end.
    pub fn send(&mut self, sink: &mut dyn Sink, desk: &mut Desk) -> Result<(), End> {
        // MLSD is not sorted.
        let sorts = !matches!(self.style, Style::Facts(_));
        let (names, out) = desk.block.split_at_mut(if sorts { NAMES } else { 0 });
        let mut page = Page {
            out: Cursor::new(out),
            sink,
            now: now(),
            // A reply is one write where it can be.
            early: self.inside.is_none(),
            enough: if self.inside.is_none() {
                FIRST
            } else {
                usize::MAX
            },
            names: 0,
            looked: Instant::now(),
        };
        if let Some(code) = self.inside {
            reply::begin_lines(code, &mut page.out);
        }
        let result = self.lines(&mut page, names, desk.entries);
        if let Some(code) = self.inside {
            // Also where it ended early: what could be read has been told, and the reply must be ended.
            page.line(false)?;
            reply::end_lines(code).write(&mut page.out);
        }
        if self.inside.is_some() || result.is_ok() {
            page.sink.send_last(page.out.written())?;
        }
        result
    }

    fn lines(
        &mut self,
        page: &mut Page<'_>,
        names: &mut [u8],
        entries: &mut [MaybeUninit<u8>],
    ) -> Result<(), End> {
        match std::mem::replace(&mut self.subject, Subject::Itself) {
            Subject::Itself => self.itself(page),
            Subject::Matching(directory) => self.names(&directory, true, page, names, entries),
            Subject::Inside(directory) => {
                self.names(&directory, false, page, names, entries)?;
                if self.recursive {
                    self.descend(page, names, entries)?;
                }
                Ok(())
            }
        }
    }

    fn itself(&mut self, page: &mut Page<'_>) -> Result<(), End> {
        let Ok(stat) = self.account.tree.stat_link(self.at) else {
            return Ok(());
        };
        let name = if self.at.is_root() {
            b"/"
        } else {
            self.at.name()
        };
        page.line(self.inside.is_some())?;
        match self.style {
            Style::Names(prefix) => {
                listing::bare_line(name, prefix, &mut page.out);
            }
            Style::Long | Style::Facts(_) => self.long(tree::entry(name, &stat), page),
        }
        Ok(())
    }

    /// Sends the names of one directory.
    fn names(
        &mut self,
        directory: &Directory,
        matching: bool,
        page: &mut Page<'_>,
        names: &mut [u8],
        entries: &mut [MaybeUninit<u8>],
    ) -> Result<(), End> {
        let writable = match self.style {
            Style::Facts(_) => self.account.may_write && directory.is_writable(),
            _ => false,
        };
        if !matches!(self.style, Style::Facts(_))
            && let Some(sorted) = sorted(directory, names, entries).map_err(unreadable)?
        {
            for name in sorted {
                self.name(directory, matching, writable, name, page)?;
            }
            return Ok(());
        }
        let mut result = Ok(());
        let read = directory.names(0, entries, |name, _| {
            result = self.name(directory, matching, writable, name, page);
            result.is_ok()
        });
        result?;
        read.map_err(unreadable)
    }

    /// Sends the line of one name, unless it has vanished or does not match.
    fn name(
        &mut self,
        directory: &Directory,
        matching: bool,
        writable: bool,
        name: &CStr,
        page: &mut Page<'_>,
    ) -> Result<(), End> {
        page.count()?;
        let octets = name.to_bytes();
        if matching && !glob::matches(self.scratch.name(), octets) {
            return Ok(());
        }
        if let Style::Names(prefix) = self.style {
            page.line(self.inside.is_some())?;
            listing::bare_line(octets, prefix, &mut page.out);
            return Ok(());
        }
        let Ok(stat) = directory.stat(name) else {
            return Ok(());
        };
        let mut entry = tree::entry(octets, &stat);
        page.line(self.inside.is_some())?;
        let Style::Facts(chosen) = self.style else {
            if entry.kind == Kind::Link {
                self.long_link(entry, directory, name, page);
            } else {
                self.long(entry, page);
            }
            return Ok(());
        };
        if entry.kind == Kind::Link
            && self.scratch.resolve(self.at, octets).is_ok()
            && let Ok(stat) = self.account.tree.stat(self.scratch)
        {
            // Clients want to know whether a link leads to a file or a directory.
            entry = tree::entry(octets, &stat);
        }
        let perm = self
            .account
            .tree
            .perm(&entry, self.account.may_write, writable);
        listing::fact_line(&entry, perm, chosen, &mut page.out);
        Ok(())
    }

    fn long(&self, entry: Entry<'_>, page: &mut Page<'_>) {
        let (owner, group) = (
            self.owners.user(entry.owner),
            self.owners.group(entry.group),
        );
        listing::long_line(&entry, owner, group, page.now, &mut page.out);
    }

    /// Apart from [`Listing::long`], so that its room for a target is on the stack only while it is needed.
    #[inline(never)]
    fn long_link(&self, entry: Entry<'_>, directory: &Directory, name: &CStr, page: &mut Page<'_>) {
        let mut room = [const { MaybeUninit::uninit() }; TARGET];
        let target = directory.link_target(name, &mut room);
        self.long(Entry { target, ..entry }, page);
    }

    /// `-R`: every directory below, depth first, without following links.
    fn descend(
        &mut self,
        page: &mut Page<'_>,
        names: &mut [u8],
        entries: &mut [MaybeUninit<u8>],
    ) -> Result<(), End> {
        let base = self.at.octets().len();
        // Where the search for the next directory goes on, at each depth.
        let mut positions = [0u64; DEPTH];
        let mut depth = 0;
        loop {
            let Some(position) = positions.get_mut(depth) else {
                return Ok(());
            };
            let found = match self.account.tree.directory(self.at) {
                Ok(directory) => {
                    let scratch = &mut *self.scratch;
                    let at = &*self.at;
                    next_directory(&directory, position, entries, page, |name| {
                        scratch.resolve(at, name).is_ok()
                    })?
                }
                // A listing that only seems whole is none.
                Err(errno @ (Errno::MFILE | Errno::NFILE | Errno::NOMEM)) => {
                    return Err(unreadable(errno));
                }
                Err(_) => false,
            };
            if !found {
                if depth == 0 {
                    return Ok(());
                }
                depth -= 1;
                self.at.leave();
                continue;
            }
            self.at.copy(self.scratch);
            let Ok(directory) = self.account.tree.directory(self.at) else {
                self.at.leave();
                continue;
            };
            let below = self.at.octets().get(base..).unwrap_or_default();
            let below = below.strip_prefix(b"/").unwrap_or(below);
            page.line(self.inside.is_some())?;
            page.out.push(b"\r\n");
            page.line(self.inside.is_some())?;
            page.out.push(b"./");
            reply::escape(below, &mut page.out);
            page.out.push(b":\r\n");
            self.names(&directory, false, page, names, entries)?;
            if depth + 1 < DEPTH {
                depth += 1;
                if let Some(position) = positions.get_mut(depth) {
                    *position = 0;
                }
            } else {
                self.at.leave();
            }
        }
    }
}

/// Room for a link's target, in octets.
const TARGET: usize = 4095;

fn unreadable(errno: Errno) -> End {
    End::Failed(
        reply::READ_ERROR,
        nix::errno::Errno::from_raw(errno.raw_os_error()),
    )
}

fn now() -> i64 {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}

/// Looks for the next directory from `position` on, which it moves behind it; `enter` takes its name.
fn next_directory(
    directory: &Directory,
    position: &mut u64,
    entries: &mut [MaybeUninit<u8>],
    page: &mut Page<'_>,
    mut enter: impl FnMut(&[u8]) -> bool,
) -> Result<bool, End> {
    let (mut found, mut result) = (false, Ok(()));
    let read = directory.names(*position, entries, |name, behind| {
        *position = behind;
        result = page.count();
        found = result.is_ok()
            && directory
                .stat(name)
                .is_ok_and(|stat| tree::entry(b"", &stat).kind == Kind::Directory)
            && enter(name.to_bytes());
        !found && result.is_ok()
    });
    result?;
    read.map_err(unreadable)?;
    Ok(found)
}

/// The names of a directory in order, if they fit `room`.
fn sorted<'n>(
    directory: &Directory,
    room: &'n mut [u8],
    entries: &mut [MaybeUninit<u8>],
) -> rustix::io::Result<Option<impl Iterator<Item = &'n CStr>>> {
    // Names fill the room from the front, their positions (two octets each) from the back.
    let (mut front, mut back, mut fits) = (0usize, room.len(), true);
    directory.names(0, entries, |name, _| {
        let octets = name.to_bytes_with_nul();
        let (end, cell) = (front + octets.len(), back.saturating_sub(2));
        fits = end <= cell;
        if fits
            && let Some(place) = room.get_mut(front..end)
            && let Ok(position) = u16::try_from(front)
        {
            place.copy_from_slice(octets);
            if let Some(place) = room.get_mut(cell..back) {
                place.copy_from_slice(&position.to_ne_bytes());
            }
            (front, back) = (end, cell);
        }
        fits
    })?;
    if !fits {
        return Ok(None);
    }
    let (strings, positions) = room.split_at_mut(back);
    let strings = &*strings;
    let name = move |cell: &[u8; 2]| {
        let from = strings
            .get(usize::from(u16::from_ne_bytes(*cell))..)
            .unwrap_or_default();
        CStr::from_bytes_until_nul(from).unwrap_or_default()
    };
    let (cells, _) = positions.as_chunks_mut::<2>();
    cells.sort_unstable_by(|a, b| name(a).cmp(name(b)));
    Ok(Some(cells.iter().map(name)))
}

/// Lines on their way to the client.
struct Page<'p> {
    out: Cursor<'p>,
    sink: &'p mut dyn Sink,
    now: i64,
    /// Lines may go out before there is no room for more.
    early: bool,
    /// At how many octets they do.
    enough: usize,
    /// Names since the clock was looked at.
    names: u32,
    /// When the client was last listened to, or got something.
    looked: Instant,
}

impl Page<'_> {
    /// Makes sure that the next line fits.
    fn line(&mut self, indented: bool) -> Result<(), End> {
        if self.out.left() <= LINE_MAX || self.out.len() >= self.enough {
            self.enough = usize::MAX;
            self.flush()?;
        }
        if indented {
            self.out.octet(b' ');
        }
        Ok(())
    }

    fn flush(&mut self) -> Result<(), End> {
        self.sink.send(self.out.written())?;
        self.out.truncate(0);
        Ok(())
    }

    /// Counts work that may bring no output for long.
    fn count(&mut self) -> Result<(), End> {
        self.names += 1;
        if self.names < NAMES_A_LOOK {
            return Ok(());
        }
        self.names = 0;
        if self.looked.elapsed() < PATIENCE {
            return Ok(());
        }
        if self.early {
            self.flush()?;
        }
        self.sink.glance()?;
        self.looked = Instant::now();
        Ok(())
    }
}
