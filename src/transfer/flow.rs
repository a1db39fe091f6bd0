//! Octets over one data connection, each wait with a deadline, and an ear for the control connection.

use std::fmt;
use std::net::TcpStream;
use std::os::fd::{AsFd, AsRawFd};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{self, MsgFlags};

use crate::control::{Control, Interruption, LEFT, Lost};
use crate::pool::Seat;
use crate::transfer::pace::Pace;
use crate::wire::reply::{self, Reply};

/// After how many octets without a wait the control connection is listened to.
pub const EAR: u64 = 8 * 1024 * 1024;

/// How long a client whose control connection has ended may leave data unread: most likely nobody is there any more.
const ALONE: Duration = Duration::from_secs(5);

/// Why a transfer ended early.
#[derive(Debug)]
pub enum End {
    /// ABOR.
    Aborted,
    /// The server is stopping and the transfer took too long.
    Stopping,
    /// Nothing moved for too long.
    Stalled,
    /// The client closed the data connection, or it broke.
    Gone,
    /// The file could not be read or written on; this is what the client hears.
    Refused(Reply<'static>),
    /// The same, and what the kernel said, which the log tells.
    Failed(Reply<'static>, Errno),
    /// The control connection is gone.
    Lost(Lost),
}

impl fmt::Display for End {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Aborted => out.write_str("aborted by the client"),
            Self::Stopping => out.write_str("cut off, the server is stopping,"),
            Self::Stalled => out.write_str("stalled"),
            Self::Gone => out.write_str("data connection lost"),
            Self::Refused(reply) => write!(out, "failed ({})", reply.code()),
            Self::Failed(reply, errno) => {
                write!(out, "failed ({}: {})", reply.code(), errno.desc())
            }
            Self::Lost(_) => out.write_str("control connection lost"),
        }
    }
}

/// Something that a listing is written to.
pub trait Sink {
    /// Sends octets, all of them.
    ///
    /// # Errors
    /// Why the rest does not matter any more.
    fn send(&mut self, octets: &[u8]) -> Result<(), End>;

    /// The same for the last of them: what they are sent on ends next.
    ///
    /// # Errors
    /// As [`Sink::send`].
    fn send_last(&mut self, octets: &[u8]) -> Result<(), End> {
        self.send(octets)
    }

    /// Looks whether anybody still wants the rest; called every now and then in long work.
    ///
    /// # Errors
    /// If not.
    fn glance(&mut self) -> Result<(), End>;
}

/// The data connection of a transfer that runs.
pub struct Flow<'f, 'm> {
    control: &'f mut Control<'m>,
    seat: &'f Seat,
    stream: TcpStream,
    patience: Duration,
    moved: u64,
    of: Option<u64>,
    heard_at: u64,
    pace: &'f mut Pace,
}

impl<'f, 'm> Flow<'f, 'm> {
    /// A flow over `stream`; `of` is how many octets there will be, if that is known.
    pub fn new(
        control: &'f mut Control<'m>,
        seat: &'f Seat,
        stream: TcpStream,
        patience: Duration,
        of: Option<u64>,
        pace: &'f mut Pace,
    ) -> Self {
        Self {
            control,
            seat,
            stream,
            patience,
            moved: 0,
            of,
            heard_at: 0,
            pace,
        }
    }

    /// The data connection.
    pub fn stream(&self) -> &TcpStream {
        &self.stream
    }

    /// Whether the data connection still stands, as far as this end knows.
    pub fn has_peer(&self) -> bool {
        self.stream.peer_addr().is_ok()
    }

    /// The seat of the session.
    pub fn seat(&self) -> &'f Seat {
        self.seat
    }

    /// Closes the data connection, which tells the client that this was all; returns how many octets have moved.
    pub fn close(self) -> u64 {
        self.moved
    }

    /// How many of `wanted` octets may move now, at least one; waits while the session is ahead of its limit.
    ///
    /// To be asked before each call that moves octets; [`Flow::moved`] then counts them.  Without a limit it costs
    /// nothing.
    ///
    /// # Errors
    /// If the client wants no more, or the server stops.
    pub fn allowance(&mut self, wanted: usize) -> Result<usize, End> {
        if self.pace.limit().is_none() {
            return Ok(wanted);
        }
        loop {
            match self.pace.allows(Instant::now(), wanted) {
                Ok(count) => return Ok(count),
                Err(until) => self.linger(until)?,
            }
        }
    }

    /// Waits for the limit's sake, which is no stall.
    fn linger(&mut self, until: Instant) -> Result<(), End> {
        self.heard_at = self.moved;
        self.note();
        let stop_by = self.seat.stop_by();
        if stop_by.is_some_and(|stop_by| Instant::now() >= stop_by) {
            return Err(End::Stopping);
        }
        let until = stop_by.map_or(until, |stop_by| stop_by.min(until));
        match self.control.linger(until).map_err(End::Lost)? {
            Some(interruption) => self.interrupted(interruption),
            None => Ok(()),
        }
    }

    /// Counts octets that have moved, and now and then listens to the control connection.
    ///
    /// # Errors
    /// If the client wants no more.
    pub fn moved(&mut self, octets: usize) -> Result<(), End> {
        self.moved = self
            .moved
            .saturating_add(u64::try_from(octets).unwrap_or(u64::MAX));
        self.pace.moved(octets);
        if self.moved - self.heard_at < EAR {
            return Ok(());
        }
        self.listen()
    }

    /// Waits until the data connection can move octets again.
    ///
    /// # Errors
    /// If it cannot in time, or the client wants no more.
    pub fn wait(&mut self, events: PollFlags) -> Result<(), End> {
        self.note();
        let patience = match self.control.has_ended() && events == PollFlags::POLLOUT {
            true => self.patience.min(ALONE),
            false => self.patience,
        };
        let patience = Instant::now() + patience + self.pace.leisure();
        let stop_by = self.seat.stop_by();
        let deadline = stop_by.map_or(patience, |stop_by| stop_by.min(patience));
        match self.control.watch(self.stream.as_fd(), events, deadline) {
            Ok(None) => {
                // The wait was for both connections.
                self.heard_at = self.moved;
                Ok(())
            }
            Ok(Some(interruption)) => self.interrupted(interruption),
            Err(Lost::TimedOut) if stop_by == Some(deadline) => Err(End::Stopping),
            Err(Lost::TimedOut) => Err(End::Stalled),
            Err(lost) => Err(End::Lost(lost)),
        }
    }

    /// Listens to the control connection.
    fn listen(&mut self) -> Result<(), End> {
        self.heard_at = self.moved;
        self.note();
        if self
            .seat
            .stop_by()
            .is_some_and(|stop_by| Instant::now() >= stop_by)
        {
            return Err(End::Stopping);
        }
        match self.control.interruption().map_err(End::Lost)? {
            Some(interruption) => self.interrupted(interruption),
            None => Ok(()),
        }
    }

    /// Whether the client has sent its last octet on both connections: either alone may be closed for writing by
    /// somebody who still reads.
    fn is_left(&self) -> bool {
        let mut data = [PollFd::new(self.stream.as_fd(), LEFT)];
        self.control.has_ended() && poll(&mut data, PollTimeout::ZERO).is_ok_and(|count| count > 0)
    }

    fn note(&self) {
        self.seat.now(|doing| doing.octets = self.moved);
    }

    fn interrupted(&mut self, interruption: Interruption) -> Result<(), End> {
        match interruption {
            Interruption::Abort => Err(End::Aborted),
            Interruption::Status => self
                .control
                .send(&reply::progress(self.moved, self.of))
                .map_err(End::Lost),
        }
    }

    /// Receives octets; 0 when the client has sent all.
    ///
    /// # Errors
    /// Why there is no more.
    pub fn receive(&mut self, room: &mut [u8]) -> Result<usize, End> {
        let allowed = self.allowance(room.len())?;
        let room = room.get_mut(..allowed).unwrap_or_default();
        loop {
            match socket::recv(self.stream.as_raw_fd(), room, MsgFlags::empty()) {
                Ok(count) => {
                    self.moved(count)?;
                    return Ok(count);
                }
                Err(Errno::EAGAIN) => self.wait(PollFlags::POLLIN)?,
                Err(Errno::EINTR) => {}
                Err(_) => return Err(End::Gone),
            }
        }
    }

    /// Sends octets, with `finally` those that are not followed by others.
    fn transmit(&mut self, mut octets: &[u8], finally: MsgFlags) -> Result<(), End> {
        while !octets.is_empty() {
            let allowed = self.allowance(octets.len())?;
            let now = octets.get(..allowed).unwrap_or_default();
            let flags = match now.len() == octets.len() {
                true => MsgFlags::MSG_NOSIGNAL | finally,
                false => MsgFlags::MSG_NOSIGNAL,
            };
            match socket::send(self.stream.as_raw_fd(), now, flags) {
                Ok(count) => {
                    octets = octets.get(count..).unwrap_or_default();
                    self.moved(count)?;
                }
                Err(Errno::EAGAIN) => self.wait(PollFlags::POLLOUT)?,
                Err(Errno::EINTR) => {}
                Err(_) => return Err(End::Gone),
            }
        }
        Ok(())
    }
}

impl Sink for Flow<'_, '_> {
    fn send(&mut self, octets: &[u8]) -> Result<(), End> {
        self.transmit(octets, MsgFlags::empty())
    }

    /// The kernel keeps the last segment until the connection is closed, and marks it as the last.
    fn send_last(&mut self, octets: &[u8]) -> Result<(), End> {
        self.transmit(octets, MsgFlags::from_bits_retain(nix::libc::MSG_MORE))
    }

    fn glance(&mut self) -> Result<(), End> {
        self.listen()?;
        if self.is_left() {
            return Err(End::Gone);
        }
        Ok(())
    }
}
