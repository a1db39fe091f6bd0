//! One address, two ways in, so that a flood from one client keeps nobody else out.
//!
//! A listening socket holds so many who knock, first come, first served; whoever knocks beyond that is dropped by the
//! kernel, and waits a second before his system tries again.  So there is a second socket at the same address, a side
//! door.  As soon as most of many clients in a short time were one address, the kernel sends that address there (a
//! filter of classic BPF looks at each SYN), and clients at the main door go first.  It is answered all the same.
//!
//! Where the kernel has no such filters (before 4.6), or the socket comes from a service manager, there is one door.

use std::io;
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::os::fd::{AsFd, AsRawFd};
use std::sync::Arc;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::libc::{sock_filter, sock_fprog};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{self, SockFlag, SockType, SockaddrStorage, setsockopt, sockopt};

use crate::control;

/// How many clients are looked at together.
const WINDOW: u32 = 256;

/// A window that passes faster is one of a flood.
const FAST: Duration = Duration::from_millis(500);

/// How long after its last fast window a flood is over.
const CALM: Duration = Duration::from_secs(10);

/// How long somebody may still come through the side door afterwards: whose SYN was there, and whose last ACK was lost.
const STRAGGLERS: Duration = Duration::from_secs(70);

/// The doors of one address.
#[derive(Debug)]
pub struct Entrance {
    main: Arc<TcpListener>,
    side: Option<TcpListener>,
    census: Census,
    /// Who is sent to the side door, and when he was last seen in a flood.
    aside: Option<(Home, Instant)>,
    /// Until when the side door is looked at.
    until: Option<Instant>,
}

impl From<TcpListener> for Entrance {
    /// An entrance without a side door.
    fn from(main: TcpListener) -> Self {
        Self {
            main: Arc::new(main),
            side: None,
            census: Census::default(),
            aside: None,
            until: None,
        }
    }
}

impl Entrance {
    /// Adds a side door to a listener that was bound with [`may_have_a_side_door`], if the kernel lets us.
    pub fn with_side_door(main: TcpListener, unread: Duration) -> Self {
        let side = side_door(&main, unread).ok();
        Self {
            side,
            ..Self::from(main)
        }
    }

    /// The main door.
    pub fn main(&self) -> &Arc<TcpListener> {
        &self.main
    }

    /// Waits for somebody at either door, at the side door only if somebody was sent there.
    ///
    /// # Errors
    /// As accept(2).
    pub fn accept(&mut self) -> io::Result<(TcpStream, SocketAddr)> {
        let at_the_side = match self.until {
            Some(until) => self.looks_at_both(until),
            None => false,
        };
        let accepted = match &self.side {
            Some(side) if at_the_side => side.accept(),
            _ => self.main.accept(),
        };
        if let Ok((_, peer)) = &accepted {
            self.count(control::canonical(*peer).ip());
        }
        accepted
    }

    /// Waits until somebody is there.
    pub fn wait(&mut self) {
        match self.until {
            Some(until) => {
                self.looks_at_both(until);
            }
            None => {
                let mut door = [PollFd::new(self.main.as_fd(), PollFlags::POLLIN)];
                let _ = poll(&mut door, PollTimeout::NONE);
            }
        }
    }

    /// Waits for somebody; whether he is to be let in by the side door.
    fn looks_at_both(&mut self, until: Instant) -> bool {
        let Some(side) = &self.side else { return false };
        let mut until = until;
        loop {
            let mut doors = [
                PollFd::new(self.main.as_fd(), PollFlags::POLLIN),
                PollFd::new(side.as_fd(), PollFlags::POLLIN),
            ];
            let found = poll(&mut doors, control::until(until));
            let [main, side_door] =
                doors.map(|door| door.revents().is_some_and(|events| !events.is_empty()));
            if main {
                return false;
            }
            if side_door {
                return true;
            }
            let now = Instant::now();
            match found {
                Ok(0) if now >= until => {}
                Ok(_) | Err(Errno::EINTR) => continue,
                // The main door can be waited at without poll(2).
                Err(_) => return false,
            }
            // Nobody has come: the flood is over, and later the last straggler has come.
            if self.aside.take().is_none() {
                self.until = None;
                return false;
            }
            let _ = attach(&self.main, None);
            until = now + STRAGGLERS;
            self.until = Some(until);
        }
    }

    /// Counts a client, and sends aside whoever floods.
    fn count(&mut self, peer: IpAddr) {
        if self.side.is_none() {
            return;
        }
        let Some(fast) = self.census.count(Home::of(peer)) else {
            return;
        };
        let now = Instant::now();
        match (fast, self.aside) {
            (Some(home), aside) => {
                let is_new = aside.is_none_or(|(other, _)| other != home);
                if is_new && attach(&self.main, Some(home)).is_err() {
                    return;
                }
                self.aside = Some((home, now));
                self.until = Some(now + CALM);
            }
            (None, Some((_, last))) if now.saturating_duration_since(last) >= CALM => {
                let _ = attach(&self.main, None);
                self.aside = None;
                self.until = Some(now + STRAGGLERS);
            }
            (None, _) => {}
        }
    }
}

/// Lets a bound socket that does not listen yet share its address; nobody could bind it too before.
pub fn may_have_a_side_door(main: impl AsFd) {
    // An old kernel: there will be none.
    let _ = setsockopt(&main, sockopt::ReusePort, &true);
}

fn side_door(main: &TcpListener, unread: Duration) -> io::Result<TcpListener> {
    // First of all: from the moment that the side door listens, everybody is sent to the main one.
    attach(main, None)?;
    let address = main.local_addr()?;
    let place = SockaddrStorage::from(address);
    let family = if address.is_ipv4() {
        socket::AddressFamily::Inet
    } else {
        socket::AddressFamily::Inet6
    };
    let side = socket::socket(family, SockType::Stream, SockFlag::SOCK_CLOEXEC, None)?;
    setsockopt(&side, sockopt::ReuseAddr, &true)?;
    setsockopt(&side, sockopt::ReusePort, &true)?;
    if address.is_ipv6() {
        let alone = socket::getsockopt(main, sockopt::Ipv6V6Only)?;
        setsockopt(&side, sockopt::Ipv6V6Only, &alone)?;
    }
    socket::bind(side.as_raw_fd(), &place)?;
    socket::listen(&side, super::BACKLOG)?;
    control::prepare(side.as_fd(), unread)?;
    Ok(TcpListener::from(side))
}

/// What counts as one client: an IPv4 address, or the first half of an IPv6 one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Home {
    V4(u32),
    V6(u32, u32),
}

impl Home {
    fn of(peer: IpAddr) -> Self {
        match peer {
            IpAddr::V4(v4) => Self::V4(v4.to_bits()),
            IpAddr::V6(v6) => {
                let [a, b, c, d, ..] = v6.segments().map(u32::from);
                Self::V6(a << 16 | b, c << 16 | d)
            }
        }
    }
}

/// Who comes most often, if that is more than half of all (Boyer and Moore's majority vote).
#[derive(Debug, Default)]
struct Census {
    candidate: Option<Home>,
    votes: u32,
    counted: u32,
    since: Option<Instant>,
}

impl Census {
    /// Counts one; at the end of a window says whether it was fast, and who came most.
    fn count(&mut self, home: Home) -> Option<Option<Home>> {
        match self.candidate {
            Some(candidate) if candidate == home => self.votes += 1,
            _ if self.votes == 0 => (self.candidate, self.votes) = (Some(home), 1),
            _ => self.votes -= 1,
        }
        self.counted += 1;
        if self.counted < WINDOW {
            return None;
        }
        let now = Instant::now();
        let fast = self
            .since
            .is_some_and(|since| now.saturating_duration_since(since) < FAST);
        // As many votes left over as this are a clear majority.
        let found = self.candidate.filter(|_| fast && self.votes > WINDOW / 4);
        *self = Self {
            since: Some(now),
            ..Self::default()
        };
        Some(found)
    }
}

/// Tells the kernel whom to send to the side door; everybody else comes to the main one.
fn attach(main: &TcpListener, home: Option<Home>) -> nix::Result<()> {
    let mut program = filter(home);
    let program = sock_fprog {
        len: u16::try_from(program.len()).unwrap_or_default(),
        filter: program.as_mut_ptr(),
    };
    setsockopt(main, sockopt::AttachReusePortCbpf, &program)
}

/// Returns the number of the door: 0 is the main one, which has listened first.
fn filter(home: Option<Home>) -> [sock_filter; 8] {
    // linux/filter.h: what a packet is, and where its network header begins.
    const PROTOCOL: u32 = 0xffff_f000;
    const HEADER: u32 = 0xfff0_0000;
    const IPV4: u32 = 0x0800;
    const IPV6: u32 = 0x86dd;
    const MAIN: sock_filter = answer(0);
    const SIDE: sock_filter = answer(1);
    match home {
        None => [MAIN; 8],
        Some(Home::V4(source)) => [
            load(PROTOCOL),
            if_equal(IPV4, 0, 3),
            load(HEADER + 12),
            if_equal(source, 0, 1),
            SIDE,
            MAIN,
            MAIN,
            MAIN,
        ],
        Some(Home::V6(high, low)) => [
            load(PROTOCOL),
            if_equal(IPV6, 0, 5),
            load(HEADER + 8),
            if_equal(high, 0, 3),
            load(HEADER + 12),
            if_equal(low, 0, 1),
            SIDE,
            MAIN,
        ],
    }
}

/// BPF_LD | BPF_W | BPF_ABS
const fn load(at: u32) -> sock_filter {
    sock_filter {
        code: 0x20,
        jt: 0,
        jf: 0,
        k: at,
    }
}

/// BPF_JMP | BPF_JEQ | BPF_K
const fn if_equal(value: u32, jt: u8, jf: u8) -> sock_filter {
    sock_filter {
        code: 0x15,
        jt,
        jf,
        k: value,
    }
}

/// BPF_RET | BPF_K
const fn answer(door: u32) -> sock_filter {
    sock_filter {
        code: 0x06,
        jt: 0,
        jf: 0,
        k: door,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_comes_most_in_a_fast_window_is_found() {
        let mut census = Census::default();
        let (flood, other) = (Home::V4(1), Home::V4(2));
        let window = |census: &mut Census, of: &[Home]| {
            (0..WINDOW)
                .zip(of.iter().cycle())
                .filter_map(|(_, home)| census.count(*home))
                .last()
        };
        // when the first window began nobody knows
        assert_eq!(window(&mut census, &[flood]), Some(None));
        assert_eq!(window(&mut census, &[flood]), Some(Some(flood)));
        assert_eq!(
            window(&mut census, &[other, flood, flood, flood]),
            Some(Some(flood))
        );
        assert_eq!(window(&mut census, &[other, flood]), Some(None));
    }

    #[test]
    fn a_network_of_64_bits_is_one_client() {
        let home = |text: &str| text.parse().map(Home::of);
        assert_eq!(home("2001:db8:0:1::1"), home("2001:db8:0:1::2"));
        assert_ne!(home("2001:db8:0:1::1"), home("2001:db8:0:2::1"));
    }
}
