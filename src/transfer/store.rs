//! STOR, APPE and STOU: a file from the client (RFC 959 4.1.3).
//!
//! 226 is a promise: it comes after the last octet is in the file and the file is closed without error; under `--sync`,
//! after the disk has both the octets and the name.

use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, SpliceFFlags, fcntl, splice};
use nix::poll::PollFlags;
use nix::unistd::{self, pipe2};

use crate::transfer::flow::{End, Flow};
use crate::tree::Upload;
use crate::wire::ascii::FromNetwork;
use crate::wire::octets::Cursor;
use crate::wire::reply::{self, Reply};

/// Takes the file in.
///
/// # Errors
/// Why it ended early; 452 where the disk is full.
pub fn store(
    flow: &mut Flow<'_, '_>,
    upload: &mut Upload,
    ascii: bool,
    block: &mut [u8],
) -> Result<Reply<'static>, End> {
    let (file, old) = upload.begin().map_err(from_tree)?;
    if ascii {
        cut(&file, old)?;
        take_ascii(flow, &file, block)?;
    } else {
        take_image(flow, &file, old, block)?;
    }
    upload.flush_contents(&file).map_err(from_tree)?;
    // Some file systems tell only now that the disk is full (NFS).
    unistd::close(file).map_err(failed)?;
    upload.flush_name().map_err(from_tree)?;
    Ok(reply::MOVED)
}

/// What the client hears, and the log, where the disk takes no more.
fn failed(errno: Errno) -> End {
    let reply = match errno {
        Errno::ENOSPC | Errno::EDQUOT => reply::NO_SPACE,
        Errno::EFBIG => reply::TOO_LARGE,
        _ => reply::WRITE_ERROR,
    };
    End::Failed(reply, errno)
}

/// The same errors from the room below.
fn from_tree(errno: rustix::io::Errno) -> End {
    failed(Errno::from_raw(errno.raw_os_error()))
}

/// Takes octets as they are; `old` is how many of the file's own are to be replaced.
fn take_image(flow: &mut Flow<'_, '_>, file: &File, old: u64, block: &mut [u8]) -> Result<(), End> {
    let mut filled = 0;
    while filled < block.len() {
        let count = match flow.receive(block.get_mut(filled..).unwrap_or_default()) {
            Ok(count) => count,
            Err(end) => {
                // What has come is kept, so that the client can go on from there (REST, APPE).
                cut(file, old)?;
                write_all(file, block.get(..filled).unwrap_or_default())?;
                return Err(end);
            }
        };
        if count == 0 {
            return replace(file, old, block.get(..filled).unwrap_or_default());
        }
        filled += count;
    }
    cut(file, old)?;
    write_all(file, block)?;
    // It is no small file: from here on a pipe in the kernel pays.
    let share = flow.seat().pipe();
    if let Ok(pipe) = Pipe::new(share.octets)
        && matches!(pipe.pour(flow, file, block)?, Poured::All)
    {
        return Ok(());
    }
    take_plain(flow, file, block)
}

/// Writes the whole of a small file over its `old` octets.  If there are no more of them than come, no cut is needed:
/// one call less, and the blocks stay where they are.
fn replace(file: &File, old: u64, whole: &[u8]) -> Result<(), End> {
    if u64::try_from(whole.len()).is_ok_and(|length| length < old) {
        cut(file, old)?;
        return write_all(file, whole);
    }
    let written = write_all(file, whole);
    if old > 0 && written.is_err() {
        // Nothing of old stays behind what could be written.
        let end = rustix::fs::tell(file).unwrap_or(0);
        rustix::fs::ftruncate(file, end).map_err(from_tree)?;
    }
    written
}

/// Empties the file, unless nothing is in it.
fn cut(file: &File, old: u64) -> Result<(), End> {
    if old == 0 {
        return Ok(());
    }
    rustix::fs::ftruncate(file, 0).map_err(from_tree)
}

fn take_plain(flow: &mut Flow<'_, '_>, file: &File, block: &mut [u8]) -> Result<(), End> {
    loop {
        let count = flow.receive(block)?;
        if count == 0 {
            return Ok(());
        }
        write_all(file, block.get(..count).unwrap_or_default())?;
    }
}

fn take_ascii(flow: &mut Flow<'_, '_>, file: &File, block: &mut [u8]) -> Result<(), End> {
    let (input, output) = block.split_at_mut(block.len() / 2 - 1);
    let mut lines = FromNetwork::default();
    loop {
        let count = flow.receive(input)?;
        let mut rest = input.get(..count).unwrap_or_default();
        let mut out = Cursor::new(output);
        while !rest.is_empty() {
            let taken = lines.convert(rest, &mut out);
            rest = rest.get(taken..).unwrap_or_default();
            write_all(file, out.written())?;
            out.truncate(0);
        }
        if count == 0 {
            lines.finish(&mut out);
            return write_all(file, out.written());
        }
    }
}

fn write_all(file: &File, mut octets: &[u8]) -> Result<(), End> {
    while !octets.is_empty() {
        match unistd::write(file, octets) {
            Ok(0) => return Err(End::Refused(reply::WRITE_ERROR)),
            Ok(count) => octets = octets.get(count..).unwrap_or_default(),
            Err(Errno::EINTR) => {}
            Err(errno) => return Err(failed(errno)),
        }
    }
    Ok(())
}

/// A pipe that octets pass through without ever entering this process.
struct Pipe {
    out: OwnedFd,
    into: OwnedFd,
    size: usize,
}

enum Poured {
    All,
    CannotSplice,
}

impl Pipe {
    fn new(octets: usize) -> nix::Result<Self> {
        let (out, into) = pipe2(OFlag::O_CLOEXEC | OFlag::O_NONBLOCK)?;
        let wanted = i32::try_from(octets).unwrap_or(i32::MAX);
        // A plain user may have used up its share of pipe memory: a small pipe serves, only slower.
        let size = fcntl(&into, FcntlArg::F_SETPIPE_SZ(wanted))
            .or_else(|_| fcntl(&into, FcntlArg::F_GETPIPE_SZ))?;
        Ok(Self {
            out,
            into,
            size: usize::try_from(size).unwrap_or(4096),
        })
    }

    /// Moves the rest of the transfer through the pipe.
    fn pour(&self, flow: &mut Flow<'_, '_>, file: &File, block: &mut [u8]) -> Result<Poured, End> {
        let mut waited = false;
        loop {
            let size = flow.allowance(self.size)?;
            let count = match Self::move_once(flow.stream().as_fd(), self.into.as_fd(), size) {
                Err(Errno::EAGAIN) if !waited => {
                    flow.wait(PollFlags::POLLIN)?;
                    waited = true;
                    continue;
                }
                // An urgent octet is no part of the data, and splice(2) stops before it for good: poll(2) says again and
                // again that there is more, and once the client has sent all it looks like the end.  recv(2) gets past.
                Ok(0) | Err(Errno::EAGAIN) => {
                    let count = flow.receive(block)?;
                    if count == 0 {
                        return Ok(Poured::All);
                    }
                    write_all(file, block.get(..count).unwrap_or_default())?;
                    waited = false;
                    continue;
                }
                Ok(count) => count,
                Err(Errno::EINTR) => continue,
                Err(Errno::EINVAL | Errno::ENOSYS | Errno::EOPNOTSUPP) => {
                    return Ok(Poured::CannotSplice);
                }
                Err(_) => return Err(End::Gone),
            };
            waited = false;
            let mut left = count;
            while left > 0 {
                match Self::move_once(self.out.as_fd(), file.as_fd(), left) {
                    Ok(0) => return Err(End::Refused(reply::WRITE_ERROR)),
                    Ok(count) => left = left.saturating_sub(count),
                    Err(Errno::EINTR) => {}
                    Err(Errno::EINVAL | Errno::ENOSYS | Errno::EOPNOTSUPP) => {
                        self.empty(left, file, block)?;
                        flow.moved(count)?;
                        return Ok(Poured::CannotSplice);
                    }
                    Err(errno) => return Err(failed(errno)),
                }
            }
            flow.moved(count)?;
            // Little has come since the last time: the network is the slower one, and the next call would only say so.
            if count < self.size / 2 {
                flow.wait(PollFlags::POLLIN)?;
                waited = true;
            }
        }
    }

    fn move_once(from: BorrowedFd<'_>, to: BorrowedFd<'_>, count: usize) -> nix::Result<usize> {
        splice(
            from,
            None,
            to,
            None,
            count,
            SpliceFFlags::SPLICE_F_MOVE | SpliceFFlags::SPLICE_F_NONBLOCK,
        )
    }

    /// Writes what is left in the pipe the plain way: this file system takes no splice.
    fn empty(&self, mut left: usize, file: &File, block: &mut [u8]) -> Result<(), End> {
        while left > 0 {
            let count = match unistd::read(&self.out, block) {
                Ok(0) => return Err(End::Refused(reply::WRITE_ERROR)),
                Ok(count) => count,
                Err(Errno::EINTR) => continue,
                Err(errno) => return Err(failed(errno)),
            };
            write_all(file, block.get(..count).unwrap_or_default())?;
            left = left.saturating_sub(count);
        }
        Ok(())
    }
}
