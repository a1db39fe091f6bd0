//! What the tests over real sockets share: a directory of their own, a server on a free port, and a client that
//! hears every octet and holds each reply against the RFC.

#![allow(
    dead_code,
    unused_imports,
    reason = "each test file uses its own part of this room"
)]
#![allow(
    clippy::cast_possible_truncation,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stderr,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a test may panic, and says what it does"
)]

pub mod client;
pub mod crowd;
pub mod programs;
pub mod replies;
pub mod server;
pub mod share;

pub use client::{Client, Data, Mode, Reply};
pub use programs::{Desk, finished, program};
pub use server::{Launch, Server};
pub use share::Share;

use std::fs::OpenOptions;
use std::io::Write;
use std::time::{Duration, Instant};

/// How long a test waits for what must come.
pub const PATIENCE: Duration = Duration::from_secs(10);

/// Says that this test could not be held here, and why.
///
/// The line goes to standard output and to the file named by `POCKETFTPD_SKIPS`, which `tests/run` counts: a skip is
/// never a silent pass.
pub fn skip(reason: &str) {
    let thread = std::thread::current();
    let name = thread.name().unwrap_or("a test");
    println!("SKIP {name}: {reason}");
    if let Some(list) = std::env::var_os("POCKETFTPD_SKIPS") {
        let mut list = OpenOptions::new()
            .append(true)
            .create(true)
            .open(list)
            .unwrap();
        writeln!(list, "SKIP {name}: {reason}").unwrap();
    }
}

/// Whether this run is the one that may not skip a client.
pub fn in_ci() -> bool {
    std::env::var("CI").is_ok_and(|value| !matches!(value.as_str(), "" | "0" | "false"))
}

pub fn is_root() -> bool {
    nix::unistd::geteuid().is_root()
}

/// Looks again and again at something that raises no event (a counter in /proc), at most [`PATIENCE`] long.
pub fn eventually(what: &str, within: Duration, mut holds: impl FnMut() -> bool) {
    let end = Instant::now() + within;
    while !holds() {
        assert!(Instant::now() < end, "not within {within:?}: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// A network far from any server: whether this machine has IPv6 on its loopback.
pub fn has_ipv6() -> bool {
    std::net::TcpListener::bind("[::1]:0").is_ok()
}

/// `len` octets that repeat nowhere near a buffer's length and hold every value.
pub fn noise(len: usize) -> Vec<u8> {
    let mut state = 0x2545_f491_u32;
    let mut octets = Vec::with_capacity(len + 4);
    while octets.len() < len {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        octets.extend_from_slice(&state.to_le_bytes());
    }
    octets.truncate(len);
    octets
}

/// Compares contents without printing megabytes when they differ.
#[track_caller]
pub fn assert_same_octets(found: &[u8], wanted: &[u8]) {
    if found == wanted {
        return;
    }
    let at = found
        .iter()
        .zip(wanted)
        .position(|(a, b)| a != b)
        .unwrap_or(found.len().min(wanted.len()));
    panic!(
        "{} octets where {} were due; they part at octet {at}",
        found.len(),
        wanted.len()
    );
}
