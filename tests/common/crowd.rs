//! Many clients at once, from addresses of their own, and what a server holds while they are there.

use std::fmt;
use std::net::{SocketAddr, TcpStream};
use std::os::fd::{AsRawFd, OwnedFd};
use std::process::Command;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::socket::{
    AddressFamily, SockFlag, SockType, SockaddrStorage, bind, connect, setsockopt, socket, sockopt,
};

use super::{Client, PATIENCE, Server};

/// What a process holds.
#[derive(Debug, Clone, Copy)]
pub struct Holdings {
    /// Open descriptors; 0 where only root may look and this is somebody else.
    pub descriptors: usize,
    pub threads: usize,
    /// Resident memory, and what of it is in no file, in KiB.
    pub resident: u64,
    pub own: u64,
    /// The most that was resident at any time so far, in KiB.
    pub most: u64,
    pub cpu: Duration,
}

impl Holdings {
    pub fn of(server: &Server) -> Self {
        Self {
            descriptors: server.descriptors().unwrap_or(0),
            threads: server.threads(),
            resident: server.memory_kib(),
            own: kib(&server.status("RssAnon")),
            most: kib(&server.status("VmHWM")),
            cpu: server.cpu_time(),
        }
    }
}

impl fmt::Display for Holdings {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            out,
            "{} descriptors, {} threads, {} KiB resident ({} of its own, {} at most), {:?} of processor time",
            self.descriptors, self.threads, self.resident, self.own, self.most, self.cpu
        )
    }
}

fn kib(row: &str) -> u64 {
    row.split_whitespace()
        .next()
        .and_then(|word| word.parse().ok())
        .unwrap_or(0)
}

/// How much longer the long form of a test is: 1, unless `POCKETFTPD_LONG` asks for more.
pub fn long(factor: u32) -> u32 {
    if std::env::var_os("POCKETFTPD_LONG").is_some_and(|value| !value.is_empty() && value != "0") {
        factor
    } else {
        1
    }
}

/// Lets this process open so many descriptors; false if the system does not.
pub fn room_for_descriptors(count: u64) -> bool {
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
    soft >= count || hard >= count && setrlimit(Resource::RLIMIT_NOFILE, count, hard).is_ok()
}

fn socket_from(source: &str, flags: SockFlag) -> OwnedFd {
    let source: SocketAddr = format!("{source}:0").parse().unwrap();
    let flags = SockFlag::SOCK_CLOEXEC | flags;
    let socket = socket(AddressFamily::Inet, SockType::Stream, flags, None).unwrap();
    // the port is chosen when it connects: the same one may then go to two servers
    setsockopt(&socket, sockopt::IpBindAddressNoPort, &true).ok();
    bind(socket.as_raw_fd(), &SockaddrStorage::from(source)).unwrap();
    socket
}

/// Where a server that listens at all addresses is reached by IPv4.
fn reached(server: SocketAddr) -> SocketAddr {
    if server.ip().is_unspecified() {
        SocketAddr::from(([127, 0, 0, 1], server.port()))
    } else {
        server
    }
}

/// A connection from an address of the loopback network.
pub fn connect_from(source: &str, to: SocketAddr) -> Result<TcpStream, Errno> {
    let socket = socket_from(source, SockFlag::empty());
    connect(socket.as_raw_fd(), &SockaddrStorage::from(reached(to)))?;
    Ok(TcpStream::from(socket))
}

/// The same without waiting for the server's system: the connection comes about by itself, or not.
pub fn begin_from(source: &str, to: SocketAddr) -> TcpStream {
    let socket = socket_from(source, SockFlag::SOCK_NONBLOCK);
    match connect(socket.as_raw_fd(), &SockaddrStorage::from(reached(to))) {
        Ok(()) | Err(Errno::EINPROGRESS) => {}
        Err(errno) => panic!("cannot connect: {errno}"),
    }
    TcpStream::from(socket)
}

/// A client from that address, who connects, logs in, lists a directory and leaves; how long all that took.
#[track_caller]
pub fn honest_visit(server: &Server, source: &str) -> Duration {
    let start = Instant::now();
    let stream = connect_from(source, server.address()).unwrap();
    let mut client = Client::over(stream);
    client.hear(220);
    client.say("USER anonymous").hear(331);
    client.say("PASS guest@").hear(230);
    client.say("PWD").hear(257);
    client.say("QUIT").hear(221);
    client.hear_end();
    start.elapsed()
}

/// Whether somebody from that address finds a seat.
#[track_caller]
pub fn is_served(server: &Server, source: &str) -> bool {
    let Ok(stream) = connect_from(source, server.address()) else {
        return false;
    };
    let mut client = Client::over(stream);
    if client.hear_one_of(&[220, 421]).code != 220 {
        return false;
    }
    client.say("USER anonymous").hear(331);
    if client.say("PASS guest@").hear_one_of(&[230, 421]).code != 230 {
        return false;
    }
    client.say("QUIT").hear(221);
    true
}

/// Changes a limit of a running server (prlimit(1)): `nofile=20:`, `as=unlimited:`.
#[track_caller]
pub fn limit(server: &Server, limit: &str) {
    // As the user that the server runs as: root in a container may not.
    let user = server.status("Uid");
    let user = user.split_whitespace().next().unwrap();
    let become_it = [
        "setpriv",
        "--reuid",
        user,
        "--regid",
        user,
        "--clear-groups",
    ];
    let mut words = if super::is_root() && user != "0" {
        become_it.to_vec()
    } else {
        Vec::new()
    };
    let (pid, limit) = (server.pid().to_string(), format!("--{limit}"));
    words.extend(["prlimit", "--pid", &pid, &limit]);
    let status = Command::new(words[0]).args(&words[1..]).status().unwrap();
    assert!(status.success(), "prlimit {limit}: {status}");
}

/// Processor time that a server takes while nobody does anything for that long.
pub fn cpu_while_at_rest(server: &Server, rest: Duration) -> Duration {
    let before = server.cpu_time();
    std::thread::sleep(rest);
    server.cpu_time() - before
}

/// The largest and the middle one.
pub fn worst_and_median(times: &mut [Duration]) -> (Duration, Duration) {
    times.sort_unstable();
    let worst = times.last().copied().unwrap_or(PATIENCE);
    (
        worst,
        times.get(times.len() / 2).copied().unwrap_or(PATIENCE),
    )
}
