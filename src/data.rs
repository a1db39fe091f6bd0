//! Data connections: listening, connecting, and which peer is let in (RFC 959 3.2, RFC 2428, RFC 2577 3 and 8).

use std::fs;
use std::hash::{BuildHasher, RandomState};
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::ops::RangeInclusive;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use nix::errno::Errno;
use nix::ifaddrs::getifaddrs;
use nix::poll::PollFlags;
use nix::sys::socket::{
    AddressFamily, Backlog, SockFlag, SockType, SockaddrStorage, bind, connect, getsockopt, listen,
    setsockopt, socket, sockopt,
};
use rustix::net::{SocketFlags, acceptfrom_with};

use crate::config::Limit;
use crate::control::{Control, Interruption, Lost, canonical};
use crate::logging::trouble::Trouble;
use crate::wire::address::{self, Network};

/// Where the next data connection comes about; one PASV or PORT buys one connection.
#[derive(Debug, Default)]
pub enum Endpoint {
    /// Nobody said.
    #[default]
    None,
    /// The client connects to us.
    Passive(TcpListener),
    /// We connect to the client.
    Active(SocketAddr),
}

/// Why no data connection came about.
#[derive(Debug)]
pub enum Failure {
    /// Neither PASV nor PORT was said.
    NoEndpoint,
    /// Nobody came to this passive port in time.
    NobodyCame(u16),
    /// The client's address did not answer in time, or cannot be reached.
    NotReached(SocketAddr, io::Error),
    /// Nothing listens at the client's address.
    Refused(SocketAddr),
    /// The system gives no socket.
    NoSocket(io::Error),
    /// ABOR was said while the connection was waited for.
    Aborted,
    /// The control connection is gone.
    Lost(Lost),
}

/// The ports that are listened at for passive data connections.
#[derive(Debug)]
pub struct Ports {
    range: RangeInclusive<u16>,
    /// Only these, as the flags say; else they are those that the system hands out itself.
    only: bool,
    /// Where a search begins is not to be guessed; the peer's address is checked all the same.
    chance: RandomState,
}

/// How many of the system's own ports are tried before it is left to choose.
const TRIES: u32 = 16;

impl Ports {
    /// Ports of the flags, or else those of [`ephemeral`]; made before the chroot, since chance comes from outside.
    pub fn new(only: Option<RangeInclusive<u16>>) -> Self {
        Self {
            only: only.is_some(),
            range: only.unwrap_or_else(ephemeral),
            chance: RandomState::new(),
        }
    }

    /// Listens at the address that the control connection came to, which is the one the client can reach (N6, N7).
    ///
    /// Returns the listener and its port.  `up` is the limit on what the client sends.  The port is chosen here and not by
    /// the kernel: it chooses none where the last connection is still in TIME_WAIT, and looks longer and longer for another
    /// (6 ms and more for each transfer, after as many downloads in a minute as there are ports).
    ///
    /// # Errors
    /// `AddrInUse` if every port of the flags is taken.
    pub fn listen(&self, local: SocketAddr, up: Limit) -> io::Result<(TcpListener, u16)> {
        let (low, high) = (u64::from(*self.range.start()), u64::from(*self.range.end()));
        let count = high.saturating_sub(low) + 1;
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        let start = self.chance.hash_one(now.unwrap_or_default().as_nanos()) % count;
        let tries = if self.only {
            count
        } else {
            count.min(u64::from(TRIES))
        };
        for offset in 0..tries {
            let port = u16::try_from(low + (start + offset) % count).unwrap_or_default();
            match listener(local, port, up) {
                Err(error) if error.kind() == io::ErrorKind::AddrInUse => {}
                result => return result.map(|listener| (listener, port)),
            }
        }
        if self.only {
            return Err(io::ErrorKind::AddrInUse.into());
        }
        let listener = listener(local, 0, up)?;
        let port = listener.local_addr()?.port();
        Ok((listener, port))
    }
}

/// The ports that this system hands out itself, as they are told in /proc, or as Linux comes.
fn ephemeral() -> RangeInclusive<u16> {
    let told = fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range").unwrap_or_default();
    let mut ports = told
        .split_ascii_whitespace()
        .map(|port| port.parse::<u16>().ok());
    match (ports.next().flatten(), ports.next().flatten()) {
        (Some(low), Some(high)) if low >= 1024 && low <= high => low..=high,
        _ => 32768..=60999,
    }
}

fn listener(mut local: SocketAddr, port: u16, up: Limit) -> io::Result<TcpListener> {
    local.set_port(port);
    let socket = stream_socket(local)?;
    // A connection inherits it.
    narrow(&socket, up);
    if port != 0 {
        // The last connection to this port may still be in TIME_WAIT; without this it is a port that is in use.
        let _ = setsockopt(&socket, sockopt::ReuseAddr, &true);
    }
    bind(socket.as_raw_fd(), &SockaddrStorage::from(local))?;
    listen(&socket, Backlog::new(8)?)?;
    Ok(TcpListener::from(socket))
}

/// Keeps the window of a slow upload at a quarter of a second's worth.
///
/// A client would send the first 64 KiB at once whatever the limit, show its user a wrong speed, and wait long for the
/// 226 of a small file.  It has to be done before the connection is there: a window that was offered cannot be taken
/// back.  What is more than kernels grant is left to them: their own choice follows the pace at which we read.
fn narrow(socket: &OwnedFd, up: Limit) {
    const GRANTED: u32 = 200_000;
    const LEAST: u32 = 8192;
    if let Some(rate) = up
        && rate.get() / 4 <= GRANTED
        && let Ok(window) = usize::try_from((rate.get() / 4).max(LEAST))
    {
        // The limit holds without it.
        let _ = setsockopt(socket, sockopt::RcvBuf, &window);
    }
}

/// The port that a passive listener waits at, if nobody has come to it.
pub fn untouched(listener: &TcpListener) -> Option<u16> {
    match listener.accept() {
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
            listener.local_addr().ok().map(|local| local.port())
        }
        _ => None,
    }
}

fn stream_socket(near: SocketAddr) -> nix::Result<OwnedFd> {
    let family = if near.is_ipv4() {
        AddressFamily::Inet
    } else {
        AddressFamily::Inet6
    };
    socket(
        family,
        SockType::Stream,
        SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK,
        None,
    )
}

/// Brings the data connection about, by `deadline`, which is asked for anew whenever the wait is woken: a server that
/// stops has less time.
///
/// `interrupted` is called for STAT; ABOR ends the wait.  The stream does not block.
///
/// # Errors
/// Why there is none.
pub fn open(
    endpoint: Endpoint,
    control: &mut Control<'_>,
    from_20: bool,
    up: Limit,
    deadline: impl Fn() -> Instant,
    mut interrupted: impl FnMut(&mut Control<'_>) -> Result<(), Lost>,
) -> Result<TcpStream, Failure> {
    match endpoint {
        Endpoint::None => Err(Failure::NoEndpoint),
        Endpoint::Passive(listener) => accept(&listener, control, &deadline, &mut interrupted),
        Endpoint::Active(address) => {
            reach(address, control, from_20, up, &deadline, &mut interrupted)
        }
    }
}

/// Strangers come as often as they like.
static STRANGER: Trouble = Trouble::new();

type Interrupted<'a> = &'a mut dyn FnMut(&mut Control<'_>) -> Result<(), Lost>;

fn accept(
    listener: &TcpListener,
    control: &mut Control<'_>,
    deadline: &dyn Fn() -> Instant,
    interrupted: Interrupted<'_>,
) -> Result<TcpStream, Failure> {
    loop {
        match accept_one(listener) {
            // Whoever else found the port is turned away, and the wait goes on (RFC 2577 3: port stealing).
            Ok((stream, from)) if canonical(from).ip() == control.peer().ip() => return Ok(stream),
            Ok((_, from)) => {
                STRANGER.tell(|| {
                    log::warn!(
                        "[{}] {} a stranger, {from}, came to the passive port and was turned away",
                        control.number(),
                        control.peer()
                    )
                });
                // However many come, one after the other: they do not prolong the wait.
                if Instant::now() >= deadline() {
                    return Err(nobody_came(listener));
                }
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                match wait(
                    control,
                    listener.as_fd(),
                    PollFlags::POLLIN,
                    deadline(),
                    interrupted,
                ) {
                    Err(Failure::Lost(Lost::TimedOut)) => return Err(nobody_came(listener)),
                    result => result?,
                }
            }
            // The client gave up between the two; the next one may be the right one.
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::ConnectionAborted | io::ErrorKind::Interrupted
                ) => {}
            Err(error) => return Err(Failure::NoSocket(error)),
        }
    }
}

/// Accepts a connection that does not block, in one system call.
fn accept_one(listener: &TcpListener) -> io::Result<(TcpStream, SocketAddr)> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let (socket, from) = acceptfrom_with(listener, flags)?;
    let from = from.and_then(|from| SocketAddr::try_from(from).ok());
    let from = from.ok_or(io::ErrorKind::ConnectionAborted)?;
    Ok((TcpStream::from(socket), from))
}

fn nobody_came(listener: &TcpListener) -> Failure {
    Failure::NobodyCame(listener.local_addr().map_or(0, |local| local.port()))
}

fn reach(
    address: SocketAddr,
    control: &mut Control<'_>,
    from_20: bool,
    up: Limit,
    deadline: &dyn Fn() -> Instant,
    interrupted: Interrupted<'_>,
) -> Result<TcpStream, Failure> {
    let local = control.local().map_err(Failure::NoSocket)?;
    let failed = |error: io::Error| match error.kind() {
        io::ErrorKind::ConnectionRefused => Failure::Refused(address),
        _ => Failure::NotReached(address, error),
    };
    let mut port = if from_20 { 20 } else { 0 };
    let socket = loop {
        let socket = match bound_socket(local, port) {
            // The start was without root's privilege, or somebody else listens there.
            Err(Errno::EACCES | Errno::EADDRINUSE) if port != 0 => {
                port = another_port(address, control);
                continue;
            }
            result => result.map_err(|errno| Failure::NoSocket(errno.into()))?,
        };
        narrow(&socket, up);
        match connect(socket.as_raw_fd(), &SockaddrStorage::from(address)) {
            // A connection of ours from port 20 to that very port is not over yet.
            Err(Errno::EADDRNOTAVAIL | Errno::EADDRINUSE) if port != 0 => {
                port = another_port(address, control);
            }
            Ok(()) => return Ok(TcpStream::from(socket)),
            Err(Errno::EINPROGRESS) => break socket,
            Err(errno) => return Err(failed(errno.into())),
        }
    };
    let stream = TcpStream::from(socket);
    loop {
        match wait(
            control,
            stream.as_fd(),
            PollFlags::POLLOUT,
            deadline(),
            interrupted,
        ) {
            Err(Failure::Lost(Lost::TimedOut)) => {
                return Err(Failure::NotReached(address, io::ErrorKind::TimedOut.into()));
            }
            result => result?,
        }
        match getsockopt(&stream, sockopt::SocketError) {
            // The wait also ends when the client has said its last word; the connection may still be on its way.
            Ok(0) if stream.peer_addr().is_err() => {}
            Ok(0) => return Ok(stream),
            Ok(error) => return Err(failed(io::Error::from_raw_os_error(error))),
            Err(errno) => return Err(Failure::NoSocket(errno.into())),
        }
    }
}

/// Makes sure that active data connections may leave from port 20.
///
/// # Errors
/// One line with the remedy.
pub fn check_port_20() -> Result<(), String> {
    let anywhere = SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0);
    match bound_socket(anywhere, 20) {
        // Whoever has it for the moment does not keep it from us: it is shared.
        Ok(_) | Err(Errno::EADDRINUSE) => Ok(()),
        Err(errno) => Err(format!(
            "use port 20: --active-from-20: {}: start as root (it keeps this one right), or leave the flag out",
            errno.desc()
        )),
    }
}

/// As often as a client asks for active data connections.
static NOT_PORT_20: Trouble = Trouble::new();

/// Better another port than none: says so, and returns 0, which leaves the choice to the kernel.
fn another_port(address: SocketAddr, control: &Control<'_>) -> u16 {
    NOT_PORT_20.tell(|| {
        log::warn!(
            "[{}] port 20 is not to be had for {address}; another port serves",
            control.number()
        )
    });
    0
}

/// A socket that leaves from the address that the control connection came to (N17).
fn bound_socket(mut local: SocketAddr, port: u16) -> nix::Result<OwnedFd> {
    local.set_port(port);
    let socket = stream_socket(local)?;
    if port == 0 {
        // The port is chosen when the client's is known: one that is in use towards somebody else will do (Linux 4.2).
        let _ = setsockopt(&socket, sockopt::IpBindAddressNoPort, &true);
    } else {
        setsockopt(&socket, sockopt::ReuseAddr, &true)?;
    }
    bind(socket.as_raw_fd(), &SockaddrStorage::from(local))?;
    Ok(socket)
}

/// Waits for `data`, answering what cannot wait.
fn wait(
    control: &mut Control<'_>,
    data: std::os::fd::BorrowedFd<'_>,
    events: PollFlags,
    deadline: Instant,
    interrupted: Interrupted<'_>,
) -> Result<(), Failure> {
    loop {
        match control
            .watch(data, events, deadline)
            .map_err(Failure::Lost)?
        {
            None => return Ok(()),
            Some(Interruption::Abort) => return Err(Failure::Aborted),
            Some(Interruption::Status) => interrupted(control).map_err(Failure::Lost)?,
        }
    }
}

/// The networks that this box is directly connected to, as they are now.
pub fn networks() -> Vec<Network> {
    let ip = |address: Option<SockaddrStorage>| -> Option<IpAddr> {
        let address = address?;
        let v4 = address.as_sockaddr_in().map(|v4| IpAddr::V4(v4.ip()));
        v4.or_else(|| address.as_sockaddr_in6().map(|v6| IpAddr::V6(v6.ip())))
    };
    let Ok(interfaces) = getifaddrs() else {
        return Vec::new();
    };
    interfaces
        .filter_map(|interface| {
            let address = ip(interface.address)?;
            let prefix = match ip(interface.netmask)? {
                IpAddr::V4(mask) => mask.to_bits().leading_ones(),
                IpAddr::V6(mask) => mask.to_bits().leading_ones(),
            };
            Some(Network {
                address,
                prefix: u8::try_from(prefix).unwrap_or(128),
            })
        })
        .collect()
}

/// Whether a client is near: in a network that needs no public address to reach this box (N5).
pub fn is_near(peer: IpAddr, networks: &[Network]) -> bool {
    address::is_local_scope(peer) || networks.iter().any(|network| network.contains(peer))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may panic")]
    use super::*;

    #[test]
    fn a_port_serves_again_though_its_last_connection_is_in_time_wait() {
        let here = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let port = listener(here, 0, None)
            .unwrap()
            .local_addr()
            .unwrap()
            .port();
        // As the system's own ports are used, with but one of them.
        let ports = Ports {
            range: port..=port,
            only: false,
            chance: RandomState::new(),
        };
        for _ in 0..3 {
            let (passive, _) = ports.listen(here, None).unwrap();
            assert_eq!(passive.local_addr().unwrap().port(), port);
            let mut client = TcpStream::connect(passive.local_addr().unwrap()).unwrap();
            // The server closes first, as after every download.
            drop(accept_one(&passive).unwrap());
            assert_eq!(io::Read::read(&mut client, &mut [0]).unwrap(), 0);
        }
        // Taken, it is left to the kernel to find another.
        let (_first, one) = ports.listen(here, None).unwrap();
        let (second, other) = ports.listen(here, None).unwrap();
        assert_ne!(one, other);
        assert_eq!(second.local_addr().unwrap().port(), other);
    }

    #[test]
    fn ports_are_not_taken_in_an_order_that_can_be_guessed() {
        let here = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let ports = Ports::new(None);
        let taken: Vec<_> = (0..8).map(|_| ports.listen(here, None).unwrap()).collect();
        let numbers: Vec<u16> = taken.iter().map(|(_, port)| *port).collect();
        let mut steps = numbers.iter().zip(numbers.iter().skip(1));
        assert!(
            steps.any(|(one, next)| one.abs_diff(*next) > 64),
            "{numbers:?}"
        );
        assert!(numbers.iter().all(|port| ports.range.contains(port)));
    }
}
