//! RETR: a file to the client (RFC 959 4.1.3).

use std::fs::File;
use std::os::unix::fs::FileExt;

use nix::errno::Errno;
use nix::poll::PollFlags;
use nix::sys::sendfile::sendfile64;
use rustix::net::sockopt::set_tcp_cork;

use crate::transfer::flow::{EAR, End, Flow, Sink};
use crate::wire::ascii;
use crate::wire::octets::Cursor;
use crate::wire::reply::{self, Reply};

/// What one sendfile(2) is asked for at most: a wait or a look at the control connection comes in between.
const CHUNK: u64 = EAR;

/// Up to how many octets a file is read and sent rather than left to sendfile(2), which cannot say that nothing follows:
/// the end of the connection then goes out in a segment of its own.  It costs one call more, and with 1 KiB on the
/// loopback interface 2 to 4 per cent less processor time; with 16 KiB it makes no difference.
const SMALL: u64 = 8 * 1024;

/// From how many octets on a file is worth a call that has the kernel send whole segments only (TCP_CORK): sendfile(2)
/// goes by 16 pages, and what these leave over would be a segment each time.  The end of the connection sends the last.
const LARGE: u64 = 1024 * 1024;

/// With how many transfers at once that still pays.  One takes 0.7 to 0.9 of the processor time so, on loopback and with
/// segments of 1,448 octets; eight, which wait for each other anyway, took up to 1.08.
const FEW: usize = 3;

/// Sends octets as they are, from `from` up to `size`; the kernel moves them.
///
/// # Errors
/// Why it ended early; 451 if the file cannot be read, or became shorter meanwhile.
pub fn image(
    flow: &mut Flow<'_, '_>,
    file: &File,
    from: u64,
    size: u64,
    block: &mut [u8],
) -> Result<Reply<'static>, End> {
    let Ok(mut offset) = i64::try_from(from) else {
        return Err(End::Refused(reply::READ_ERROR));
    };
    if size == 0 {
        // Files that the kernel makes up have no size before they are read.
        return plain(flow, file, from, None, block);
    }
    if size.saturating_sub(from) <= SMALL {
        return small(flow, file, from, size, block);
    }
    if size.saturating_sub(from) >= LARGE && flow.seat().desks_lent() <= FEW {
        // No more than faster.
        let _ = set_tcp_cork(flow.stream(), true);
    }
    loop {
        let left = size.saturating_sub(u64::try_from(offset).unwrap_or(u64::MAX));
        if left == 0 {
            return Ok(reply::MOVED);
        }
        let count = flow.allowance(usize::try_from(left.min(CHUNK)).unwrap_or(usize::MAX))?;
        match sendfile64(flow.stream(), file, Some(&mut offset), count) {
            Ok(0) => return Err(End::Refused(reply::SHRUNK)),
            Ok(sent) => {
                flow.moved(sent)?;
                // The socket takes no more, or the file has become shorter; the next call would only say so.
                if sent < count {
                    flow.wait(PollFlags::POLLOUT)?;
                }
            }
            Err(Errno::EAGAIN) => flow.wait(PollFlags::POLLOUT)?,
            Err(Errno::EINTR) => {}
            // This file system does not do it.
            Err(Errno::EINVAL | Errno::ENOSYS | Errno::EOPNOTSUPP) => {
                let from = u64::try_from(offset).unwrap_or(from);
                return plain(flow, file, from, Some(size), block);
            }
            Err(Errno::EPIPE | Errno::ECONNRESET) => return Err(End::Gone),
            // What a file on FUSE or NFS says when its server is gone, too.
            Err(Errno::ENOTCONN | Errno::ETIMEDOUT) if !flow.has_peer() => return Err(End::Gone),
            Err(errno) => return Err(End::Failed(reply::READ_ERROR, errno)),
        }
    }
}

/// Sends the whole of a small file, which shares its last segment with the end of the connection.
fn small(
    flow: &mut Flow<'_, '_>,
    file: &File,
    from: u64,
    size: u64,
    block: &mut [u8],
) -> Result<Reply<'static>, End> {
    let length = usize::try_from(size.saturating_sub(from)).unwrap_or(usize::MAX);
    let room = block.get_mut(..length).unwrap_or_default();
    let count = read(file, room, from)?;
    if count < length {
        // A piece of it, or it has become shorter meanwhile.
        flow.send(room.get(..count).unwrap_or_default())?;
        let from = from.saturating_add(u64::try_from(count).unwrap_or(0));
        return plain(flow, file, from, Some(size), block);
    }
    flow.send_last(room)?;
    Ok(reply::MOVED)
}

/// Sends octets as they are, through `block`; up to the file's end where `size` is not known.
fn plain(
    flow: &mut Flow<'_, '_>,
    file: &File,
    mut from: u64,
    size: Option<u64>,
    block: &mut [u8],
) -> Result<Reply<'static>, End> {
    while size.is_none_or(|size| from < size) {
        let left = size.map_or(u64::MAX, |size| size - from);
        let length = block.len().min(usize::try_from(left).unwrap_or(usize::MAX));
        let room = block.get_mut(..length).unwrap_or_default();
        let count = read(file, room, from)?;
        if count == 0 {
            return if size.is_none() {
                Ok(reply::MOVED)
            } else {
                Err(End::Refused(reply::SHRUNK))
            };
        }
        flow.send(room.get(..count).unwrap_or_default())?;
        from += u64::try_from(count).unwrap_or(0);
    }
    Ok(reply::MOVED)
}

/// Sends lines with CR LF at their ends (RFC 959 3.1.1.1).
///
/// # Errors
/// As [`image`].
pub fn ascii(
    flow: &mut Flow<'_, '_>,
    file: &File,
    mut from: u64,
    size: u64,
    block: &mut [u8],
) -> Result<Reply<'static>, End> {
    // Every octet may become two.
    let (input, output) = block.split_at_mut(block.len() / 3);
    loop {
        let count = read(file, input, from)?;
        if count == 0 {
            return if from < size {
                Err(End::Refused(reply::SHRUNK))
            } else {
                Ok(reply::MOVED)
            };
        }
        from += u64::try_from(count).unwrap_or(0);
        let mut rest = input.get(..count).unwrap_or_default();
        while !rest.is_empty() {
            let mut out = Cursor::new(output);
            let taken = ascii::to_network(rest, &mut out);
            flow.send(out.written())?;
            rest = rest.get(taken.max(1)..).unwrap_or_default();
        }
    }
}

fn read(file: &File, room: &mut [u8], from: u64) -> Result<usize, End> {
    loop {
        match file.read_at(room, from) {
            Ok(count) => return Ok(count),
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) => {
                let errno = Errno::from_raw(error.raw_os_error().unwrap_or_default());
                return Err(End::Failed(reply::READ_ERROR, errno));
            }
        }
    }
}
