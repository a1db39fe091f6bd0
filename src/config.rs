//! The settings of one run as plain data, already valid: `cli` makes them, everybody reads them.
//!
//! Nothing here knows a flag's name or touches the system.

use std::net::{IpAddr, Ipv4Addr};
use std::num::NonZeroU32;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

/// Everything that the command line settled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// The directory to share.
    pub share: PathBuf,
    /// The share is a mount point whose medium comes and goes.
    pub removable: bool,
    /// Where control connections are taken; never empty.
    pub listen: Vec<Listen>,
    /// What clients without an account of their own may do; `None` lets in named users only.
    pub anonymous: Option<Rights>,
    /// The users file, if there are named users.
    pub users: Option<PathBuf>,
    /// Whom the server runs as; `None` stands for the owner of the share.
    pub run_as: Option<RunAs>,
    /// Seats: how many clients are served at once, at least 1.
    pub max_clients: usize,
    /// How many of the seats one address may take, at least 1.
    pub max_per_ip: usize,
    /// What holds for every session.
    pub policy: Policy,
    /// Load balancers that say with the PROXY protocol who the client is: address and length of the prefix.
    pub proxies: Vec<(IpAddr, u8)>,
    /// Where log lines go.
    pub log: Log,
    /// How the process lives: in the foreground, detached, or for one client.
    pub lifetime: Lifetime,
    /// Where the process writes its number.
    pub pid_file: Option<PathBuf>,
}

/// One place to listen at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Listen {
    /// `None`: every address, IPv6 and IPv4.
    pub address: Option<IpAddr>,
    /// The port; 0 lets the kernel choose, which the tests use.
    pub port: u16,
}

/// What an account may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rights {
    /// List and download.
    ReadOnly,
    /// Change things too.
    ReadWrite,
}

/// Names or numbers as they were typed; `sandbox` looks them up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunAs {
    /// A user's name or number.
    pub user: String,
    /// A group's name or number; `None` stands for the user's own group.
    pub group: Option<String>,
}

/// What holds for every session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    /// Ports for passive data connections, both ends included; `None` lets the kernel choose.
    pub passive_ports: Option<RangeInclusive<u16>>,
    /// The address that 227 names to clients from outside.
    pub public_address: Option<Ipv4Addr>,
    /// Active data connections leave from port 20.
    pub active_from_20: bool,
    /// PORT and EPRT are offered.
    pub active: bool,
    /// PASV and EPSV are offered.
    pub passive: bool,
    /// EPSV is offered.
    pub epsv: bool,
    /// How long a logged-in client may say nothing.
    pub idle_timeout: Duration,
    /// How long a client may take to log in, all in all.
    pub login_timeout: Duration,
    /// How long a data connection may take to come about, or stand still.
    pub data_timeout: Duration,
    /// Mode bits that new files and directories do not get.
    pub umask: u16,
    /// A change is on the disk before it is said to be done.
    pub sync: bool,
    /// The text of the greeting.
    pub banner: String,
    /// How fast a session may move octets, unless its user has limits of its own.
    pub rates: Rates,
}

/// How fast a session may move octets over data connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Rates {
    /// From the client.
    pub up: Limit,
    /// To the client, listings too.
    pub down: Limit,
}

/// Octets a second; `None` is as fast as it goes.
pub type Limit = Option<NonZeroU32>;

/// Where log lines go, and how many.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Log {
    /// The least important level that is still written.
    pub level: log::LevelFilter,
    /// Where lines go.
    pub target: LogTarget,
}

/// Where log lines go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LogTarget {
    /// Standard error, where procd, systemd and people look.
    Stderr,
    /// A file, opened to append.
    File(PathBuf),
    /// The log daemon, facility ftp.
    Syslog,
}

/// How the process lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lifetime {
    /// Until a signal, in the foreground.
    Foreground,
    /// Until a signal, detached from the terminal: this process starts itself again as the one that serves.
    Daemon,
    /// Until a signal, as the process that `Daemon` started.
    Detached,
    /// For the one client on standard input.
    Inetd,
}
