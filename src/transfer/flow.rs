//! Octets over one data connection, each wait with a deadline, and an ear for the control connection.

use std::fmt;
use std::net::TcpStream;
use std::os::fd::{AsFd, AsRawFd};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::PollFlags;
use nix::sys::socket::{self, MsgFlags};

use crate::control::{Control, Interruption, Lost};
use crate::pool::Seat;
use crate::wire::reply::{self, Reply};

/// After how many octets without a wait the control connection is listened to.
pub const EAR: u64 = 8 * 1024 * 1024;

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
}

impl<'f, 'm> Flow<'f, 'm> {
    /// A flow over `stream`; `of` is how many octets there will be, if that is known.
    pub fn new(
        control: &'f mut Control<'m>,
        seat: &'f Seat,
        stream: TcpStream,
        patience: Duration,
        of: Option<u64>,
    ) -> Self {
        Self {
            control,
            seat,
            stream,
            patience,
            moved: 0,
            of,
            heard_at: 0,
        }
    }

    /// The data connection.
    pub fn stream(&self) -> &TcpStream {
        &self.stream
    }

    /// The seat of the session.
    pub fn seat(&self) -> &'f Seat {
        self.seat
    }

    /// Closes the data connection, which tells the client that this was all; returns how many octets have moved.
    pub fn close(self) -> u64 {
        self.moved
    }

    /// Counts octets that have moved, and now and then listens to the control connection.
    ///
    /// # Errors
    /// If the client wants no more.
    pub fn moved(&mut self, octets: usize) -> Result<(), End> {
        self.moved = self
            .moved
            .saturating_add(u64::try_from(octets).unwrap_or(u64::MAX));
        if self.moved - self.heard_at < EAR {
            return Ok(());
        }
        self.glance()
    }

    /// Waits until the data connection can move octets again.
    ///
    /// # Errors
    /// If it cannot in time, or the client wants no more.
    pub fn wait(&mut self, events: PollFlags) -> Result<(), End> {
        self.note();
        let patience = Instant::now() + self.patience;
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
}

impl Sink for Flow<'_, '_> {
    fn send(&mut self, mut octets: &[u8]) -> Result<(), End> {
        while !octets.is_empty() {
            match socket::send(self.stream.as_raw_fd(), octets, MsgFlags::MSG_NOSIGNAL) {
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

    fn glance(&mut self) -> Result<(), End> {
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
}
