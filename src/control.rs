//! The control connection (RFC 959 4.1, RFC 854): one line in, one reply out, both bounded in size and in time.

use std::io;
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::sync::Arc;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{self, MsgFlags, setsockopt, sockopt};
use nix::sys::time::{TimeVal, TimeValLike};

use crate::wire::address;
use crate::wire::command::{self, Line, VerbName};
use crate::wire::octets::Cursor;
use crate::wire::proxy::{self, Header};
use crate::wire::reply::Reply;
use crate::wire::telnet::Telnet;

/// A command line longer than this moves to the session's room.
const SHORT_LINE: usize = 512;

/// A reply longer than this is put together in the session's room; replies that go out together are no longer in all,
/// so that they fit one segment.
const SHORT_REPLY: usize = 512;

/// How long a connection without traffic is asked whether it still lives: before a NAT box forgets it.
const KEEPALIVE_AFTER: u32 = 120;

/// The client has sent its last octet.
pub const LEFT: PollFlags = PollFlags::from_bits_retain(nix::libc::POLLRDHUP);

/// Why the conversation is over.
#[derive(Debug)]
pub enum Lost {
    /// The client closed the connection, or the server is stopping.
    Closed,
    /// It said nothing for too long.
    TimedOut,
    /// It does not read what it is told.
    Deaf,
    /// The connection broke.
    Broken(io::Error),
}

impl From<Errno> for Lost {
    fn from(errno: Errno) -> Self {
        Self::Broken(errno.into())
    }
}

/// What a client said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Heard {
    /// One line; [`Control::text`] has it.
    Line,
    /// A line that was too long; it has been skipped to its end.
    TooLong,
}

/// What is said in the middle of a transfer and cannot wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Interruption {
    /// ABOR.
    Abort,
    /// STAT without an argument.
    Status,
}

/// The control connection of one session.
#[derive(Debug)]
pub struct Control<'m> {
    stream: Arc<TcpStream>,
    number: u64,
    peer: SocketAddr,
    short: [u8; SHORT_LINE],
    long: &'m mut [u8],
    reply: &'m mut [u8],
    /// Replies that wait for the next one, to go out with it; so many octets.
    replies: [u8; SHORT_REPLY],
    held: usize,
    /// Octets that were read and not yet taken: from `start` to `end`, in `long` if `spilled`.
    start: usize,
    end: usize,
    spilled: bool,
    /// The line that was taken last.
    line: (usize, usize),
    /// The rest of an overlong line is being skipped.
    skipping: bool,
    /// The client has sent its last octet, or the server is stopping.
    ended: bool,
    telnet: Telnet,
    /// What SO_RCVTIMEO is set to.
    patience: Duration,
}

/// Settings that every control connection needs; a connection inherits them from the socket that accepted it (Linux).
///
/// TCP_NODELAY, since a reply is one write and must not wait; keepalive, since NAT boxes forget silent connections;
/// urgent data in line, since ABOR comes that way (lftp, Python's ftplib); a limit on how long a reply waits for a
/// client that does not read.
///
/// # Errors
/// If the kernel refuses; only TCP_NODELAY and the limit matter.
pub fn prepare(socket: BorrowedFd<'_>, unread: Duration) -> io::Result<()> {
    setsockopt(&socket, sockopt::TcpNoDelay, &true)?;
    setsockopt(&socket, sockopt::SendTimeout, &time_val(unread))?;
    let _ = setsockopt(&socket, sockopt::OobInline, &true);
    let _ = setsockopt(&socket, sockopt::KeepAlive, &true);
    let _ = setsockopt(&socket, sockopt::TcpKeepIdle, &KEEPALIVE_AFTER);
    Ok(())
}

fn time_val(duration: Duration) -> TimeVal {
    TimeVal::microseconds(i64::try_from(duration.as_micros()).unwrap_or(i64::MAX))
}

/// How long poll(2) may wait until `deadline`; rounded up, so that it never spins.
pub fn until(deadline: Instant) -> PollTimeout {
    let left = deadline.saturating_duration_since(Instant::now());
    let millis = left.as_millis().saturating_add(u128::from(!left.is_zero()));
    PollTimeout::try_from(millis).unwrap_or(PollTimeout::MAX)
}

impl<'m> Control<'m> {
    /// Takes over a connection; `long` is for long lines, `reply` for long replies.
    // Made where it stays, as `Session::new` is.
    #[inline(never)]
    pub fn new(
        stream: Arc<TcpStream>,
        number: u64,
        peer: SocketAddr,
        long: &'m mut [u8],
        reply: &'m mut [u8],
    ) -> Self {
        Self {
            stream,
            number,
            peer,
            short: [0; SHORT_LINE],
            long,
            reply,
            replies: [0; SHORT_REPLY],
            held: 0,
            start: 0,
            end: 0,
            spilled: false,
            line: (0, 0),
            skipping: false,
            ended: false,
            telnet: Telnet::default(),
            patience: Duration::ZERO,
        }
    }

    /// The session's number, which begins its log lines.
    pub fn number(&self) -> u64 {
        self.number
    }

    /// The client's address, an IPv4 one as such even where the socket is IPv6.
    pub fn peer(&self) -> SocketAddr {
        self.peer
    }

    /// Notes that the connection comes from another client than it seems.
    pub fn is_from(&mut self, client: SocketAddr) {
        self.peer = canonical(client);
    }

    /// Reads the header of the PROXY protocol, which stands before everything else, and nothing behind it.
    ///
    /// # Errors
    /// `InvalidData` if there is none; `TimedOut` if it is not whole by `deadline`.
    pub fn introduction(&mut self, deadline: Instant) -> io::Result<Option<SocketAddr>> {
        let socket = self.stream.as_raw_fd();
        let mut header = [0; proxy::HEADER_MAX];
        let mut len = 0;
        loop {
            if !self.rest(PollFlags::POLLIN, deadline)? {
                return Err(io::ErrorKind::TimedOut.into());
            }
            // Octets behind the header are not Telnet-filtered yet: they are only looked at, and left where they are.
            let room = header.get_mut(len..).unwrap_or_default();
            let seen = socket::recv(socket, room, MsgFlags::MSG_PEEK | MsgFlags::MSG_DONTWAIT)?;
            if seen == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            let (taken, client) = match proxy::parse(header.get(..len + seen).unwrap_or_default()) {
                Header::Partial => (len + seen, None),
                Header::Whole(whole, client) => (whole, Some(client)),
                Header::Bad => return Err(io::ErrorKind::InvalidData.into()),
            };
            let room = header.get_mut(len..taken).unwrap_or_default();
            len += socket::recv(socket, room, MsgFlags::MSG_DONTWAIT)?;
            if let Some(client) = client {
                return Ok(client);
            }
        }
    }

    /// The server's address that the client has reached, in the same form.
    ///
    /// # Errors
    /// If the connection has no address any more.
    pub fn local(&self) -> io::Result<SocketAddr> {
        self.stream.local_addr().map(canonical)
    }

    fn buffer(&mut self) -> &mut [u8] {
        if self.spilled {
            self.long
        } else {
            &mut self.short
        }
    }

    /// The line that was taken last, without its line end.
    pub fn text(&self) -> &[u8] {
        let buffer: &[u8] = if self.spilled { self.long } else { &self.short };
        buffer.get(self.line.0..self.line.1).unwrap_or_default()
    }

    /// Waits for one line, which must be whole by `deadline`: a drip of octets does not extend it, nor does a stream
    /// that never lets the connection run dry, nor a heap of lines that is here already.
    ///
    /// # Errors
    /// [`Lost`] if none comes.
    pub fn line(&mut self, deadline: Instant) -> Result<Heard, Lost> {
        loop {
            if Instant::now() >= deadline {
                return Err(Lost::TimedOut);
            }
            if let Some(heard) = self.take_line() {
                return Ok(heard);
            }
            self.flush()?;
            if self.ended {
                return Err(Lost::Closed);
            }
            self.make_space();
            if self.read(deadline)? == 0 {
                self.ended = true;
            }
        }
    }

    /// Whether a whole line has come already.
    fn has_line(&mut self) -> bool {
        let (start, end) = (self.start, self.end);
        let pending = self.buffer().get(start..end).unwrap_or_default();
        pending.contains(&b'\n')
    }

    /// Takes the next whole line off the buffer.
    fn take_line(&mut self) -> Option<Heard> {
        let (start, end) = (self.start, self.end);
        let pending = self.buffer().get(start..end)?;
        let length = pending.iter().position(|octet| *octet == b'\n')?;
        let mut line = pending.get(..length).unwrap_or_default();
        while let [before @ .., b'\r'] = line {
            line = before;
        }
        self.line = (start, start + line.len());
        self.start = start + length + 1;
        if self.skipping {
            self.skipping = false;
            return Some(Heard::TooLong);
        }
        Some(Heard::Line)
    }

    /// Makes room behind what is in the buffer: moves it to the front, then to the long buffer, then skips it.
    fn make_space(&mut self) {
        let (start, end) = (self.start, self.end);
        if start == end {
            (self.start, self.end, self.spilled) = (0, 0, false);
            return;
        }
        if self.space() > 0 {
            return;
        }
        if start > 0 {
            self.buffer().copy_within(start..end, 0);
            (self.start, self.end) = (0, end - start);
        } else if !self.spilled && self.long.len() > SHORT_LINE {
            if let Some(place) = self.long.get_mut(..SHORT_LINE) {
                place.copy_from_slice(&self.short);
            }
            self.spilled = true;
        } else {
            self.skipping = true;
            (self.start, self.end) = (0, 0);
        }
    }

    /// Reads once, waiting until `deadline`; 0 at the end.
    fn read(&mut self, deadline: Instant) -> Result<usize, Lost> {
        loop {
            self.wait(deadline)?;
            match self.receive(MsgFlags::empty()) {
                Err(Errno::EAGAIN) if Instant::now() >= deadline => return Err(Lost::TimedOut),
                Err(Errno::EAGAIN | Errno::EINTR) => {}
                Err(errno) => return Err(errno.into()),
                Ok(count) => return Ok(count),
            }
        }
    }

    /// Sees to it that the next read ends at `deadline`.
    ///
    /// The socket's own time limit serves the usual case, a full idle time from now, at no cost; a shorter rest needs a
    /// poll.
    fn wait(&mut self, deadline: Instant) -> Result<(), Lost> {
        const HAIR: Duration = Duration::from_millis(20);
        let left = deadline.saturating_duration_since(Instant::now());
        // No time limit at all is what zero means to the kernel.
        if left.abs_diff(self.patience) <= HAIR && !self.patience.is_zero() {
            return Ok(());
        }
        if left > self.patience + HAIR {
            setsockopt(&*self.stream, sockopt::ReceiveTimeout, &time_val(left))?;
            self.patience = left;
            return Ok(());
        }
        if !self.rest(PollFlags::POLLIN, deadline)? {
            return Err(Lost::TimedOut);
        }
        Ok(())
    }

    /// Waits until `events` happen; false if they do not until `deadline`.
    fn rest(&self, events: PollFlags, deadline: Instant) -> Result<bool, Errno> {
        loop {
            let mut set = [PollFd::new(self.stream.as_fd(), events)];
            match poll(&mut set, until(deadline)) {
                Ok(0) if Instant::now() >= deadline => return Ok(false),
                Ok(0) | Err(Errno::EINTR) => {}
                Ok(_) => return Ok(true),
                Err(errno) => return Err(errno),
            }
        }
    }

    /// Waits until `until`, as one who has guessed wrong must; false if the client leaves before.
    pub fn pause(&mut self, until: Instant) -> bool {
        self.flush().is_ok() && matches!(self.rest(LEFT, until), Ok(false))
    }

    /// Reads what fits behind the buffered octets, and answers Telnet's questions (RFC 854).
    fn receive(&mut self, flags: MsgFlags) -> nix::Result<usize> {
        let stream = self.stream.as_raw_fd();
        let end = self.end;
        let room = if self.spilled {
            self.long.get_mut(end..)
        } else {
            self.short.get_mut(end..)
        };
        let room = room.unwrap_or_default();
        let held = self.telnet.held();
        let count = socket::recv(
            stream,
            room.get_mut(held.len()..).unwrap_or_default(),
            flags,
        )?;
        if count == 0 {
            return Ok(0);
        }
        if let Some(place) = room.get_mut(..held.len()) {
            place.copy_from_slice(held);
        }
        let mut answer = [0; 96];
        let mut answer = Cursor::new(&mut answer);
        let kept = self.telnet.filter(
            room.get_mut(..held.len() + count).unwrap_or_default(),
            &mut answer,
        );
        self.end = end + kept;
        if !answer.is_empty() {
            // Only what the socket takes at once: a client that asks without reading gets no answers.
            let _ = socket::send(
                stream,
                answer.written(),
                MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_NOSIGNAL,
            );
        }
        Ok(count)
    }

    /// Sends one reply, which goes out whole in one write, and with it what [`Control::say`] has held back.
    ///
    /// # Errors
    /// [`Lost`] if the client does not read it in the time that [`prepare`] set.
    pub fn send(&mut self, reply: &Reply<'_>) -> Result<(), Lost> {
        // Connection trackers look for these at the beginning of a segment only.
        if matches!(reply.code(), 227 | 229) {
            self.flush()?;
        }
        self.append(reply)?;
        self.flush()
    }

    /// The same, but while another command has come already the reply may wait for the next one: what one read brought
    /// is answered in one write.
    ///
    /// # Errors
    /// As [`Control::send`].
    pub fn say(&mut self, reply: &Reply<'_>) -> Result<(), Lost> {
        if matches!(reply.code(), 227 | 229) || !self.has_line() {
            return self.send(reply);
        }
        self.append(reply)
    }

    /// Puts a reply behind those that are held; one that is too long for that goes out at once, after them.
    fn append(&mut self, reply: &Reply<'_>) -> Result<(), Lost> {
        loop {
            let mut out = Cursor::new(self.replies.get_mut(self.held..).unwrap_or_default());
            reply.write(&mut out);
            if !out.is_full() {
                self.held += out.len();
                return Ok(());
            }
            if self.held == 0 {
                break;
            }
            self.flush()?;
        }
        let mut out = Cursor::new(self.reply);
        reply.write(&mut out);
        Self::send_octets(&self.stream, out.written())
    }

    /// Sends a reply without waiting: the last word to somebody who has had his time, and may read nothing any more.
    pub fn send_at_once(&mut self, reply: &Reply<'_>) {
        let mut short = [0; SHORT_REPLY];
        let mut out = Cursor::new(&mut short);
        reply.write(&mut out);
        let held = self.replies.get(..std::mem::take(&mut self.held));
        let flags = MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_NOSIGNAL;
        // Half a reply is as good as none: the connection ends here.
        for octets in [held.unwrap_or_default(), out.written()] {
            if !octets.is_empty() {
                let _ = socket::send(self.stream.as_raw_fd(), octets, flags);
            }
        }
    }

    /// Sends the replies that are held; done before every wait.
    fn flush(&mut self) -> Result<(), Lost> {
        let held = std::mem::take(&mut self.held);
        Self::send_octets(&self.stream, self.replies.get(..held).unwrap_or_default())
    }

    /// Sends lines that are part of a long reply; 0xFF is doubled, since alone it is Telnet's escape.
    ///
    /// # Errors
    /// As [`Control::send`].
    pub fn send_lines(&mut self, lines: &[u8]) -> Result<(), Lost> {
        self.flush()?;
        for part in lines.split_inclusive(|octet| *octet == 0xFF) {
            Self::send_octets(&self.stream, part)?;
            if part.ends_with(b"\xFF") {
                Self::send_octets(&self.stream, b"\xFF")?;
            }
        }
        Ok(())
    }

    fn send_octets(stream: &TcpStream, mut octets: &[u8]) -> Result<(), Lost> {
        while !octets.is_empty() {
            match socket::send(stream.as_raw_fd(), octets, MsgFlags::MSG_NOSIGNAL) {
                Ok(count) => octets = octets.get(count..).unwrap_or_default(),
                Err(Errno::EINTR) => {}
                Err(Errno::EAGAIN) => return Err(Lost::Deaf),
                Err(errno) => return Err(errno.into()),
            }
        }
        Ok(())
    }

    /// Takes what the client has sent in vain: unread octets would make the kernel answer with a reset, which may
    /// overtake the last reply.
    ///
    /// The connection itself is closed with the seat, so a client that sees its end finds the seat free.
    pub fn part(&mut self) {
        (self.start, self.end) = (0, 0);
        let _ = self.receive(MsgFlags::MSG_DONTWAIT);
    }

    /// Waits until something happens on `data`, or something that cannot wait is said here, or `deadline` passes.
    ///
    /// # Errors
    /// [`Lost::TimedOut`] at the deadline; [`Lost::Broken`] if this connection breaks.
    pub fn watch(
        &mut self,
        data: BorrowedFd<'_>,
        events: PollFlags,
        deadline: Instant,
    ) -> Result<Option<Interruption>, Lost> {
        self.flush()?;
        loop {
            // What came together with the transfer's own command is in the buffer already.
            if let Some(interruption) = self.take_interruption() {
                return Ok(Some(interruption));
            }
            // A full buffer holds no ABOR, or it would have been seen: nothing more is read until the transfer ends.
            let listening = !self.ended && self.has_space();
            let here = if listening {
                PollFlags::POLLIN
            } else {
                PollFlags::empty()
            };
            let mut set = [
                PollFd::new(data, events),
                PollFd::new(self.stream.as_fd(), here),
            ];
            match poll(&mut set, until(deadline)) {
                Ok(0) if Instant::now() >= deadline => return Err(Lost::TimedOut),
                Ok(0) | Err(Errno::EINTR) => continue,
                Err(errno) => return Err(errno.into()),
                Ok(_) => {}
            }
            let [on_data, on_control] = set.map(|one| one.revents().unwrap_or(PollFlags::empty()));
            if on_control.intersects(PollFlags::POLLERR | PollFlags::POLLNVAL) {
                return Err(Lost::Broken(io::ErrorKind::ConnectionReset.into()));
            }
            if listening && on_control.intersects(PollFlags::POLLIN | PollFlags::POLLHUP) {
                self.read_ahead()?;
                if self.ended {
                    return Ok(None);
                }
                // Telnet's own octets leave nothing behind, however many come: they neither prolong the wait nor hold
                // up the data.
                if on_data.is_empty() && Instant::now() < deadline {
                    continue;
                }
                return match self.take_interruption() {
                    None if on_data.is_empty() => Err(Lost::TimedOut),
                    heard => Ok(heard),
                };
            } else if on_control.contains(PollFlags::POLLHUP) {
                return Err(Lost::Closed);
            }
            if !on_data.is_empty() {
                return Ok(None);
            }
        }
    }

    /// Waits until something that cannot wait is said, or `until`, when nothing is to happen on a data connection.
    ///
    /// It may also end early, when the client has sent its last octet or the server is told to stop.
    ///
    /// # Errors
    /// [`Lost::Broken`] or [`Lost::Closed`] if this connection is gone.
    pub fn linger(&mut self, until: Instant) -> Result<Option<Interruption>, Lost> {
        let stream = Arc::clone(&self.stream);
        match self.watch(stream.as_fd(), PollFlags::empty(), until) {
            Err(Lost::TimedOut) => Ok(None),
            heard => heard,
        }
    }

    /// Whether the client has sent its last octet here; it may still listen.
    pub fn has_ended(&self) -> bool {
        self.ended
    }

    /// Whether more can be read without losing what is buffered.
    fn has_space(&self) -> bool {
        !self.spilled || self.start > 0 || self.space() > 0
    }

    /// How many octets can be read behind those in the buffer, and behind the one that Telnet has held back.
    fn space(&self) -> usize {
        let length = if self.spilled {
            self.long.len()
        } else {
            self.short.len()
        };
        length.saturating_sub(self.end + self.telnet.held().len())
    }

    /// Reads what has arrived, without waiting, and takes out a command that acts at once (RFC 959 4.1.3, ABOR).
    ///
    /// Everything else stays in the buffer and is answered after the transfer.
    ///
    /// # Errors
    /// [`Lost::Broken`] if the connection breaks.
    pub fn interruption(&mut self) -> Result<Option<Interruption>, Lost> {
        if !self.ended && self.has_space() {
            self.read_ahead()?;
        }
        Ok(self.take_interruption())
    }

    /// The same for ABOR alone: where a reply is being sent, STAT waits for its turn like everything else.
    ///
    /// # Errors
    /// As [`Control::interruption`].
    pub fn is_aborted(&mut self) -> Result<bool, Lost> {
        if !self.ended && self.has_space() {
            self.read_ahead()?;
        }
        Ok(self
            .take(|interruption| interruption == Interruption::Abort)
            .is_some())
    }

    fn read_ahead(&mut self) -> Result<(), Lost> {
        self.make_space();
        match self.receive(MsgFlags::MSG_DONTWAIT) {
            Ok(0) => self.ended = true,
            Ok(_) | Err(Errno::EAGAIN | Errno::EINTR) => {}
            Err(errno) => return Err(errno.into()),
        }
        Ok(())
    }

    fn take_interruption(&mut self) -> Option<Interruption> {
        self.take(|_| true)
    }

    /// Takes the first command that acts at once and that is `wanted` out of what is buffered.
    fn take(&mut self, wanted: impl Fn(Interruption) -> bool) -> Option<Interruption> {
        let (start, end) = (self.start, self.end);
        let pending = self.buffer().get(start..end).unwrap_or_default();
        let mut at = 0;
        let mut found = None;
        for line in pending.split_inclusive(|octet| *octet == b'\n') {
            if line.ends_with(b"\n")
                && let Some(interruption) = acts_at_once(line)
                && wanted(interruption)
            {
                found = Some((interruption, at, line.len()));
                break;
            }
            at += line.len();
        }
        let (interruption, at, length) = found?;
        let start = start + at;
        self.buffer().copy_within(start + length..end, start);
        self.end = end - length;
        Some(interruption)
    }
}

fn acts_at_once(line: &[u8]) -> Option<Interruption> {
    let trimmed = line.trim_ascii_end();
    match command::split(trimmed) {
        Line::Command(name, _) if name == VerbName::of("ABOR") => Some(Interruption::Abort),
        Line::Command(name, b"") if name == VerbName::of("STAT") => Some(Interruption::Status),
        _ => None,
    }
}

/// An address with an IPv4 address as such, also where the socket is IPv6 (`::ffff:192.0.2.1`).
pub fn canonical(address: SocketAddr) -> SocketAddr {
    match address::canonical(address.ip()) {
        IpAddr::V4(v4) => SocketAddr::new(IpAddr::V4(v4), address.port()),
        IpAddr::V6(_) => address,
    }
}
