//! The front door: accept, find a seat or say 421, hand over to a thread.

mod entrance;

use std::fmt::Write as _;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use listenfd::ListenFd;
use nix::errno::Errno;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::socket::{
    self, AddressFamily, Backlog, MsgFlags, Shutdown, SockFlag, SockType, SockaddrStorage, listen,
    send, setsockopt, shutdown, sockopt,
};

use crate::config::{Config, Listen};
use crate::control;
use crate::interpreter;
use crate::logging::GOODBYE;
use crate::logging::trouble::Trouble;
use crate::pool::headroom;
use crate::pool::{self, Guest, NoSeat, Pool};
use crate::sandbox::Confined;
use crate::sandbox::fences::Role;
use crate::session::House;
use crate::signals::{Signals, Wish};
use crate::wire::octets::Cursor;
use crate::wire::printable::Printable;
use crate::wire::reply::{self, Reply};

pub use entrance::Entrance;

/// How many clients the kernel may hold for us while the front door is busy: as many as it allows.  A number of our own
/// would be refused by nix above the C library's SOMAXCONN, which is 128 in musl.
const BACKLOG: Backlog = Backlog::MAXALLOWABLE;

/// How long the front door rests when the system is out of descriptors or memory: it must not spin.
const OUT_OF_BREATH: Duration = Duration::from_millis(100);

/// Descriptors of one session at most: control, data, passive port, file, directory, a pipe's two ends, a user's root.
const DESCRIPTORS_PER_SEAT: u64 = 8;

/// What the process needs beside its sessions.
const DESCRIPTORS_BESIDE: u64 = 32;

/// Listens wherever the settings say.
///
/// # Errors
/// One line that names the address, the reason and the way out.
pub fn bind_all(config: &Config) -> Result<Vec<Entrance>, String> {
    let unread = config.policy.data_timeout;
    let given = given(unread)?;
    if !given.is_empty() {
        return Ok(given.into_iter().map(Entrance::from).collect());
    }
    let places = config.listen.iter();
    places
        .map(|place| {
            bind(*place, &config.listen, unread)
                .map(|listener| Entrance::with_side_door(listener, unread))
        })
        .collect()
}

/// How many sockets the service manager has opened for us.
///
/// Only looks: taking them over, in [`bind_all`], also takes the variables out of the environment.
pub fn given_sockets() -> usize {
    let number = |name: &str| std::env::var(name).ok()?.parse::<u32>().ok();
    let ours = number("LISTEN_PID").is_none_or(|pid| pid == std::process::id());
    let count = number("LISTEN_FDS").filter(|_| ours).unwrap_or(0);
    usize::try_from(count).unwrap_or(0)
}

/// Sockets that the service manager has opened for us (systemd's LISTEN_FDS); they come before `--listen`.
///
/// # Errors
/// One line if they are not what a server can use.
pub fn given(unread: Duration) -> Result<Vec<TcpListener>, String> {
    let failed = |error: io::Error| {
        format!("take over sockets (LISTEN_FDS): {error}; they must be listening TCP sockets")
    };
    let mut given = ListenFd::from_env();
    let mut listeners = Vec::new();
    for index in 0..given.len() {
        let Some(listener) = given.take_tcp_listener(index).map_err(failed)? else {
            continue;
        };
        listener.set_nonblocking(false).map_err(failed)?;
        control::prepare(listener.as_fd(), unread).map_err(failed)?;
        listeners.push(listener);
    }
    Ok(listeners)
}

/// Listens at one place, out of all that are listened at.
///
/// # Errors
/// One line that names the address, the reason and the way out.
pub fn bind(place: Listen, all: &[Listen], unread: Duration) -> Result<TcpListener, String> {
    // Where an IPv4 address is listened at on its own, IPv6 must leave it alone.
    let alone = all
        .iter()
        .any(|other| other.port == place.port && other.address.is_some_and(|ip| ip.is_ipv4()));
    let everywhere = SocketAddr::new(IpAddr::V6(Ipv6Addr::UNSPECIFIED), place.port);
    let everywhere_v4 = SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), place.port);
    let (address, result) = match place.address {
        Some(ip) => {
            let address = SocketAddr::new(ip, place.port);
            (address, listener(address, alone))
        }
        None => match listener(everywhere, alone) {
            // A kernel without IPv6.
            Err(Errno::EAFNOSUPPORT | Errno::EADDRNOTAVAIL | Errno::EPROTONOSUPPORT) => {
                (everywhere_v4, listener(everywhere_v4, alone))
            }
            result => (everywhere, result),
        },
    };
    let listener = result
        .map_err(|errno| format!("listen on {address}: {}{}", errno.desc(), way_out(errno)))?;
    // Every control connection inherits these.
    control::prepare(listener.as_fd(), unread)
        .map_err(|error| format!("listen on {address}: {error}"))?;
    Ok(listener)
}

fn way_out(errno: Errno) -> &'static str {
    match errno {
        Errno::EADDRINUSE => {
            ": another server has this port; stop it, or choose another with --listen"
        }
        Errno::EACCES | Errno::EPERM => {
            ": ports below 1024 need root; start as root, or choose another with --listen"
        }
        Errno::EADDRNOTAVAIL => ": no interface of this box has this address",
        _ => "",
    }
}

fn listener(address: SocketAddr, alone: bool) -> nix::Result<TcpListener> {
    let family = if address.is_ipv4() {
        AddressFamily::Inet
    } else {
        AddressFamily::Inet6
    };
    let socket = socket::socket(family, SockType::Stream, SockFlag::SOCK_CLOEXEC, None)?;
    setsockopt(&socket, sockopt::ReuseAddr, &true)?;
    if address.is_ipv6() {
        setsockopt(
            &socket,
            sockopt::Ipv6V6Only,
            &(alone || !address.ip().is_unspecified()),
        )?;
    }
    socket::bind(socket.as_raw_fd(), &SockaddrStorage::from(address))?;
    entrance::may_have_a_side_door(&socket);
    listen(&socket, BACKLOG)?;
    Ok(TcpListener::from(socket))
}

/// Raises the limit of descriptors to what full seats need, as far as the system allows; returns how many they need.
///
/// # Errors
/// One line where that is more than the system allows; it can be served all the same.
pub fn make_room_for_descriptors(seats: usize) -> Result<u64, String> {
    let wanted = u64::try_from(seats)
        .unwrap_or(u64::MAX)
        .saturating_mul(DESCRIPTORS_PER_SEAT)
        + DESCRIPTORS_BESIDE;
    let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE) else {
        return Ok(wanted);
    };
    #[allow(
        clippy::useless_conversion,
        reason = "rlim_t has 32 bits on some targets"
    )]
    let (soft, hard) = (u64::from(soft), u64::from(hard));
    if soft >= wanted {
        return Ok(wanted);
    }
    let limit = wanted.min(hard);
    let raised = rlimit(limit)
        .zip(rlimit(hard))
        .is_some_and(|(limit, hard)| setrlimit(Resource::RLIMIT_NOFILE, limit, hard).is_ok());
    if raised && limit == wanted {
        return Ok(wanted);
    }
    Err(format!(
        "{seats} clients may need {wanted} open files, the system allows {limit}: raise it (ulimit -n), or lower \
         --max-clients"
    ))
}

fn rlimit(value: u64) -> Option<nix::libc::rlim_t> {
    nix::libc::rlim_t::try_from(value).ok()
}

/// The service, once it runs.
pub struct Server {
    pool: Arc<Pool>,
    house: Arc<House>,
    listeners: Vec<Arc<TcpListener>>,
    closing: Arc<AtomicBool>,
}

impl Server {
    /// Opens the doors: from here on clients are served.
    ///
    /// # Errors
    /// One line if the system gives no thread.
    pub fn open(
        config: &Config,
        house: House,
        entrances: Vec<Entrance>,
        confined: &Confined,
    ) -> Result<Self, String> {
        let pool = Pool::new(config.max_clients, config.max_per_ip, confined)?;
        let house = Arc::new(house);
        let mut listeners = Vec::new();
        let closing = Arc::new(AtomicBool::new(false));
        let mut ready = Vec::with_capacity(entrances.len());
        let not_held = |error| format!("hold a thread to its system calls: {error}");
        let mut held = confined.fences().hold(Role::Any).map_err(not_held)?;
        for entrance in entrances {
            let listener = entrance.main().clone();
            let door = Door {
                pool: pool.clone(),
                house: house.clone(),
                serve: Arc::new({
                    let house = house.clone();
                    move |guest: Guest| interpreter::serve(guest, &house)
                }),
                closing: closing.clone(),
                spare: spare(&listener),
                entrance,
                full: Trouble::default(),
                trouble: Trouble::default(),
            };
            let address = listener
                .local_addr()
                .map_err(|error| format!("listen: {error}"))?;
            if !headroom::for_a_thread() {
                return Err("start a thread: there is no memory for it".to_owned());
            }
            pool::start_thread(Box::new(move || door.keep()))
                .map_err(|error| format!("start a thread: {error}"))?;
            listeners.push(listener);
            ready.push(address);
        }
        held &= confined.fences().hold(Role::Main).map_err(not_held)?;
        log::info!("second wall: {}", confined.fences().told(held));
        for address in ready {
            log::info!("listening on {address}");
        }
        Ok(Self {
            pool,
            house,
            listeners,
            closing,
        })
    }

    /// Serves until a signal says stop.
    pub fn run(self, signals: &Signals) {
        loop {
            match signals.wait() {
                Wish::Stop => break,
                Wish::Reload => self.house.accounts.reload(),
                Wish::Report => self.report(),
            }
        }
        log::info!(
            "stopping: running transfers have {} s",
            pool::LAST_WORDS.as_secs()
        );
        self.closing.store(true, Ordering::Release);
        for listener in &self.listeners {
            // Wakes up whoever waits in accept(2).
            let _ = shutdown(listener.as_raw_fd(), Shutdown::Both);
        }
        self.pool.stop();
        match self.pool.wait_until_empty() {
            0 => log::info!("{GOODBYE}"),
            left => log::warn!("{GOODBYE}, {left} sessions cut off"),
        }
    }

    fn report(&self) {
        let mut count = 0;
        self.pool.report(|number, peer, doing| {
            count += 1;
            let mut room = [0; 64];
            let mut user = Cursor::new(&mut room);
            let name = doing.user.0.get(..doing.user.1).unwrap_or_default();
            let _ = write!(
                user,
                "{}",
                Printable(if name.is_empty() { b"-" } else { name })
            );
            log::info!(
                "[{number}] {peer} {} {}: {} octets, {} s",
                String::from_utf8_lossy(user.written()),
                doing.verb,
                doing.octets,
                doing.since.elapsed().as_secs()
            );
        });
        log::info!("{count} sessions");
    }
}

/// A descriptor in reserve: giving it up makes it possible to accept a client just to tell it that the house is full.
fn spare(listener: &TcpListener) -> Option<OwnedFd> {
    listener.as_fd().try_clone_to_owned().ok()
}

/// One listener's thread.
struct Door<F> {
    entrance: Entrance,
    pool: Arc<Pool>,
    house: Arc<House>,
    serve: Arc<F>,
    closing: Arc<AtomicBool>,
    spare: Option<OwnedFd>,
    /// No seat was to be had.
    full: Trouble,
    /// The system has run out of something; a flood of clients must not keep that from being told.
    trouble: Trouble,
}

impl<F: Fn(Guest) + Send + Sync + 'static> Door<F> {
    fn keep(mut self) {
        while !self.closing.load(Ordering::Acquire) {
            match self.entrance.accept() {
                Ok((stream, peer)) => self.admit(stream, control::canonical(peer)),
                Err(error) => self.not_accepted(&error),
            }
        }
    }

    fn admit(&mut self, stream: TcpStream, peer: SocketAddr) {
        let counted = !self
            .house
            .proxies
            .iter()
            .any(|network| network.contains(peer.ip()));
        let guest = match self.pool.seat(stream, peer, counted) {
            Ok(guest) => guest,
            Err((why, stream)) => {
                let reply = match why {
                    NoSeat::Full => reply::FULL,
                    NoSeat::FullForAddress => reply::FULL_FOR_YOU,
                    NoSeat::Stopping => reply::CLOSING_DOWN,
                    NoSeat::NoMemory => reply::EXHAUSTED,
                };
                self.full.tell(|| log::warn!("{peer} turned away: {why}"));
                return turn_away(&stream, &reply);
            }
        };
        if let Err((errno, guest)) = self.pool.serve(guest, &self.serve) {
            self.trouble.tell(|| {
                log::error!(
                    "{peer} turned away: no thread to be had: {}",
                    match errno {
                        // "Try again" is what the C library calls it.
                        Errno::EAGAIN =>
                            "the limit is reached; raise it (ulimit -u, TasksMax, pids.max)",
                        errno => errno.desc(),
                    }
                )
            });
            turn_away(&guest.control, &reply::EXHAUSTED);
        }
    }

    fn not_accepted(&mut self, error: &io::Error) {
        // The words of an `io::Error` are made on the heap, where there may be nothing left.
        match Errno::from_raw(error.raw_os_error().unwrap_or_default()) {
            // The client has thought better of it; or the network has something to say that concerns nobody else.
            Errno::ECONNABORTED
            | Errno::EINTR
            | Errno::EPROTO
            | Errno::ENETDOWN
            | Errno::EHOSTUNREACH => {}
            errno @ (Errno::EMFILE | Errno::ENFILE) => self.without_descriptors(errno),
            _ if self.closing.load(Ordering::Acquire) => {}
            errno => {
                self.trouble
                    .tell(|| log::error!("cannot accept clients: {}", errno.desc()));
                thread::sleep(OUT_OF_BREATH);
            }
        }
    }

    /// Turns one client away with the descriptor in reserve.
    ///
    /// accept(2) looks for a descriptor before it waits for a client, so the wait comes first: by the time that somebody
    /// knocks there may be descriptors again, and the client is served.
    fn without_descriptors(&mut self, errno: Errno) {
        self.entrance.wait();
        if self.closing.load(Ordering::Acquire) {
            return;
        }
        match self.entrance.accept() {
            Ok((stream, peer)) => return self.admit(stream, control::canonical(peer)),
            Err(error) if !is_out_of_descriptors(&error) => return,
            Err(_) => {}
        }
        self.trouble.tell(|| {
            log::error!(
                "a client turned away: {}; raise the limit (ulimit -n)",
                errno.desc()
            )
        });
        drop(self.spare.take());
        if let Ok((stream, _)) = self.entrance.accept() {
            turn_away(&stream, &reply::FULL);
        } else {
            thread::sleep(OUT_OF_BREATH);
        }
        self.spare = spare(self.entrance.main());
    }
}

fn is_out_of_descriptors(error: &io::Error) -> bool {
    [Errno::EMFILE, Errno::ENFILE]
        .iter()
        .any(|errno| error.raw_os_error() == Some(*errno as i32))
}

/// Says a last word without waiting for anybody.
fn turn_away(stream: &TcpStream, reply: &Reply<'_>) {
    let mut room = [0; 128];
    let mut out = Cursor::new(&mut room);
    reply.write(&mut out);
    let _ = send(
        stream.as_raw_fd(),
        out.written(),
        MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_NOSIGNAL,
    );
    let _ = stream.shutdown(std::net::Shutdown::Write);
}

/// Serves the one client on standard input (inetd); a signal to stop ends that as it ends a server.
///
/// # Errors
/// One line if standard input is no connection, or the system gives no thread.
pub fn serve_standard_input(
    config: &Config,
    house: House,
    confined: &Confined,
    signals: Signals,
) -> Result<(), String> {
    let failed = |error: io::Error| {
        format!("serve standard input: it is no network connection ({error}); start me from inetd")
    };
    let stream = TcpStream::from(
        rustix::stdio::stdin()
            .try_clone_to_owned()
            .map_err(failed)?,
    );
    let peer = control::canonical(stream.peer_addr().map_err(failed)?);
    // inetd's connection inherited nothing from a listener of ours.
    control::prepare(stream.as_fd(), config.policy.data_timeout).map_err(failed)?;
    stream.set_nonblocking(false).map_err(failed)?;
    let pool = Pool::new(1, 1, confined)?;
    let house = Arc::new(house);
    let server = Server {
        pool: pool.clone(),
        house: house.clone(),
        listeners: Vec::new(),
        closing: Arc::new(AtomicBool::new(false)),
    };
    let fences = confined.fences().clone();
    let not_held = |error| format!("hold a thread to its system calls: {error}");
    confined.fences().hold(Role::Any).map_err(not_held)?;
    let work = move || {
        if let Err(error) = fences.hold(Role::Main) {
            log::error!("hold a thread to its system calls: {error}");
            std::process::exit(1);
        }
        server.run(&signals);
        // The session has had its time, and may still wait for something.
        std::process::exit(0);
    };
    pool::start_thread(Box::new(work)).map_err(|error| format!("start a thread: {error}"))?;
    confined.fences().hold(Role::Session).map_err(not_held)?;
    match pool.seat(stream, peer, false) {
        Ok(guest) => interpreter::serve(guest, &house),
        Err((why, stream)) => {
            log::error!("{peer} turned away: {why}");
            turn_away(&stream, &reply::FULL);
        }
    }
    Ok(())
}
