//! Many clients at once: what they cost in memory, and how soon each is greeted.

use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::thread;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{
    AddressFamily, MsgFlags, SockFlag, SockType, SockaddrStorage, connect, recv, socket,
};

use crate::cases::Server;
use crate::ftp::Ftp;
use crate::proc;
use crate::table::Table;

/// How long a storm is watched.
const WATCHED: Duration = Duration::from_secs(4);

/// Memory at rest, in 16 transfers that stand still half-way, and a logged-in session that does nothing.
pub fn memory(servers: &[Server], counts: &[usize], large: &str, table: &mut Table) {
    for (at, server) in servers.iter().enumerate() {
        let rest = proc::memory(server.pid);
        table.set("resident at rest, KiB", at, rest.resident as f64, false);
        table.set("private at rest, KiB", at, rest.private as f64, false);
        for count in counts {
            let name = format!("private memory of one of {count} idle sessions, KiB");
            let before = proc::memory(server.pid).private;
            match sessions(server, *count) {
                Ok(sessions) => {
                    thread::sleep(Duration::from_millis(300));
                    let grown = proc::memory(server.pid).private.saturating_sub(before);
                    table.set(&name, at, grown as f64 / *count as f64, false);
                    thread::scope(|scope| {
                        scope.spawn(|| sessions.into_iter().for_each(|one| drop(one.quit())));
                    });
                }
                Err(error) => table.failed(&name, &server.name, &error),
            }
            settle(server);
        }
        let name = "private in all, peak, 16 RETR at work, KiB";
        match at_work(server, large) {
            Ok(private) => table.set(name, at, private as f64, false),
            Err(error) => table.failed(name, &server.name, &error),
        }
    }
}

fn sessions(server: &Server, count: usize) -> io::Result<Vec<Ftp>> {
    (0..count)
        .map(|_| Ftp::log_in(server.address, &server.user, &server.password))
        .collect()
}

/// Until what its sessions used no longer runs.
fn settle(server: &Server) {
    let mut last = proc::cpu(server.pid);
    for _ in 0..20 {
        thread::sleep(Duration::from_millis(100));
        let now = proc::cpu(server.pid);
        if now.saturating_sub(last) < Duration::from_millis(1) {
            return;
        }
        last = now;
    }
}

fn at_work(server: &Server, large: &str) -> io::Result<u64> {
    let mut all = Vec::new();
    for mut ftp in sessions(server, 16)? {
        ftp.ask("CWD in", 250)?;
        let data = ftp.passive()?;
        ftp.begin(&format!("RETR {large}"))?;
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
