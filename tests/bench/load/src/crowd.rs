//! Many clients at once: what they cost in memory, and how soon each is greeted.

use std::fs::File;
use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::sendfile::sendfile64;
use nix::sys::socket::{
    AddressFamily, MsgFlags, SockFlag, SockType, SockaddrStorage, connect, recv, socket,
};

use crate::cases::Server;
use crate::ftp::Ftp;
use crate::proc;
use crate::table::Table;

/// How long a storm is watched.
const WATCHED: Duration = Duration::from_secs(4);

/// How long a server may take to let all of a crowd in.
const ENTRY: Duration = Duration::from_secs(60);

/// Memory at rest, of logged-in sessions that do nothing, and in 16 transfers that stand still half-way.
pub fn memory(servers: &[Server], counts: &[usize], large: &str, place: &Path, table: &mut Table) {
    for count in counts {
        match bare(*count) {
            Ok(one) => println!(
                "In the kernel's memory of one of {count} idle sessions, {one:.1} KiB are of the connection (both its ends)."
            ),
            Err(error) => println!("{count} connections of our own: {error}"),
        }
    }
    println!();
    for (at, server) in servers.iter().enumerate() {
        eprintln!("memory of {}", server.name);
        let kernel = proc::kernel();
        let rest = proc::memory(server.pid);
        table.set("resident at rest, KiB", at, rest.resident as f64, false);
        table.set("private at rest, KiB", at, rest.private as f64, false);
        for verb in ["RETR", "STOR"] {
            let name = format!("private in all, peak, 16 {verb} at work, KiB");
            match at_work(server, verb, large, place) {
                Ok(private) => table.set(&name, at, private as f64, false),
                Err(error) => table.failed(&name, &server.name, &error),
            }
            settle(server);
        }
        // Always against what it was at rest: threads and memory may be kept from the crowd before.
        for count in counts {
            let name = |whose| format!("{whose} memory of one of {count} idle sessions, KiB");
            let one = |now: u64, rest| now.saturating_sub(rest) as f64 / *count as f64;
            match sessions(server, *count) {
                Ok(sessions) => {
                    thread::sleep(Duration::from_millis(300));
                    // The kernel first: looking at processes takes some of its memory.
                    let kernel = one(proc::kernel(), kernel);
                    let private = one(proc::memory(server.pid).private, rest.private);
                    table.set(&name("private"), at, private, false);
                    table.set(&name("kernel"), at, kernel, false);
                    sessions.into_iter().for_each(|one| drop(one.quit()));
                }
                Err(error) => table.failed(&name("private"), &server.name, &error),
            }
            settle(server);
        }
    }
}

fn sessions(server: &Server, count: usize) -> io::Result<Vec<Ftp>> {
    let began = Instant::now();
    let mut all = Vec::with_capacity(count);
    while all.len() < count {
        if began.elapsed() > ENTRY {
            let let_in = all.len();
            return Err(io::Error::other(format!(
                "{let_in} were let in within a minute"
            )));
        }
        all.push(Ftp::log_in(server.address, &server.user, &server.password)?);
    }
    Ok(all)
}

/// What the kernel needs for a connection that no server serves, with both its ends: KiB.
fn bare(count: usize) -> io::Result<f64> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    let before = proc::kernel();
    let mut all = Vec::with_capacity(count);
    for _ in 0..count {
        all.push((TcpStream::connect(address)?, listener.accept()?));
    }
    Ok(proc::kernel().saturating_sub(before) as f64 / count as f64)
}

/// Until what its sessions used no longer runs.
fn settle(server: &Server) {
    let mut last = server.cpu();
    for _ in 0..20 {
        thread::sleep(Duration::from_millis(100));
        let now = server.cpu();
        if now.saturating_sub(last) < Duration::from_millis(1) {
            return;
        }
        last = now;
    }
}

fn at_work(server: &Server, verb: &str, large: &str, place: &Path) -> io::Result<u64> {
    let mut all = Vec::new();
    let source = File::open(place.join(large))?;
    for (number, mut ftp) in sessions(server, 16)?.into_iter().enumerate() {
        ftp.ask("CWD in", 250)?;
        let data = ftp.passive()?;
        if verb == "RETR" {
            ftp.begin(&format!("RETR {large}"))?;
        } else {
            ftp.begin(&format!("STOR up{number}"))?;
            sendfile64(&data, &source, Some(&mut 0), 8 << 20)?;
        }
        all.push((ftp, data));
    }
    thread::sleep(Duration::from_millis(200));
    Ok(proc::memory(server.pid).private)
}

/// A thousand clients in the same moment: how many hear 220 or 421 within a second, and when the last one does.
pub fn storm(servers: &[Server], count: usize, rounds: usize, table: &mut Table) {
    let (answered, last) = (
        format!("storm of {count}: answered within 1 s"),
        format!("storm of {count}: the last one, ms"),
    );
    for round in 0..rounds {
        for at in 0..servers.len() {
            let at = (at + round) % servers.len();
            let Some(server) = servers.get(at) else {
                continue;
            };
            match one_storm(server.address, count) {
                Ok((soon, late)) => {
                    table.set(&answered, at, soon as f64, true);
                    table.set(&last, at, late.as_secs_f64() * 1e3, false);
                }
                Err(error) => table.failed(&answered, &server.name, &error),
            }
            settle(server);
        }
    }
}

fn one_storm(server: SocketAddr, count: usize) -> io::Result<(usize, Duration)> {
    let began = Instant::now();
    let mut waiting: Vec<OwnedFd> = Vec::with_capacity(count);
    for _ in 0..count {
        let one = socket(
            AddressFamily::Inet,
            SockType::Stream,
            SockFlag::SOCK_NONBLOCK | SockFlag::SOCK_CLOEXEC,
            None,
        )?;
        match connect(one.as_raw_fd(), &SockaddrStorage::from(server)) {
            Ok(()) | Err(Errno::EINPROGRESS) => waiting.push(one),
            Err(errno) => return Err(errno.into()),
        }
    }
    let (mut answered, mut soon, mut late) = (Vec::new(), 0, Duration::ZERO);
    while !waiting.is_empty() && began.elapsed() < WATCHED {
        let mut set: Vec<PollFd> = waiting
            .iter()
            .map(|one| PollFd::new(one.as_fd(), PollFlags::POLLIN))
            .collect();
        poll(&mut set, PollTimeout::from(100_u16))?;
        let ready: Vec<bool> = set.iter().map(|one| one.any() == Some(true)).collect();
        drop(set);
        let mut rest = Vec::with_capacity(waiting.len());
        for (one, ready) in waiting.into_iter().zip(ready) {
            if !ready {
                rest.push(one);
                continue;
            }
            let mut room = [0; 512];
            let heard = recv(one.as_raw_fd(), &mut room, MsgFlags::MSG_DONTWAIT);
            let words = room.get(..heard.unwrap_or(0)).unwrap_or_default();
            if words.starts_with(b"220") || words.starts_with(b"421") {
                late = began.elapsed();
                soon += usize::from(late <= Duration::from_secs(1));
                answered.push(one);
            }
        }
        waiting = rest;
    }
    if waiting.is_empty() {
        Ok((soon, late))
    } else {
        Ok((soon, WATCHED))
    }
}
