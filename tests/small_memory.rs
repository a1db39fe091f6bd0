//! A board with 32 MiB: sixteen sessions that transfer at once, in a memory cgroup that ends whoever takes more.
//!
//! `cross/boot TARGET --memory 64` is the same on a real ARM kernel, which leaves 18 MiB to the server.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a test may panic"
)]

mod common;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use common::{Client, Launch, Share, assert_same_octets, is_root, noise, skip};

const BOARD: u64 = 32 << 20;

const SESSIONS: usize = 16;

/// A memory cgroup of this test's own, of either version; removed with it.
struct Room {
    place: PathBuf,
    limit: &'static str,
    most: &'static str,
    events: &'static str,
}

impl Room {
    fn new() -> Result<Self, String> {
        let name = format!("pocketftpd-test-{}", std::process::id());
        let unified = Path::new("/sys/fs/cgroup");
        let given = fs::read_to_string(unified.join("cgroup.subtree_control")).unwrap_or_default();
        let room = if given.split_whitespace().any(|word| word == "memory") {
            Self {
                place: unified.join(name),
                limit: "memory.max",
                most: "memory.peak",
                events: "memory.events",
            }
        } else if unified.join("memory/memory.limit_in_bytes").exists() {
            Self {
                place: unified.join("memory").join(name),
                limit: "memory.limit_in_bytes",
                most: "memory.max_usage_in_bytes",
                events: "memory.oom_control",
            }
        } else {
            return Err("no memory cgroup is to be had".to_owned());
        };
        let failed = |error| format!("{}: {error}", room.place.display());
        fs::create_dir(&room.place).map_err(failed)?;
        fs::write(room.place.join(room.limit), BOARD.to_string()).map_err(failed)?;
        Ok(room)
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.place.join(name)).unwrap_or_default()
    }

    fn killed(&self) -> bool {
        let events = self.read(self.events);
        let kills = events
            .lines()
            .find_map(|line| line.strip_prefix("oom_kill "));
        kills.is_some_and(|count| count.trim() != "0")
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        // Its processes are gone; the kernel needs a moment to see that.
        for _ in 0..50 {
            if fs::remove_dir(&self.place).is_ok() {
                return;
            }
            thread::sleep(Duration::from_millis(20));
        }
    }
}

/// What the process alone holds, in KiB.
fn private(pid: u32) -> u64 {
    let rollup = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap_or_default();
    rollup
        .lines()
        .filter(|line| line.starts_with("Private_"))
        .filter_map(|line| line.split_whitespace().nth(1)?.parse::<u64>().ok())
        .sum()
}

#[test]
fn sixteen_sessions_transfer_within_32_mebibytes() {
    if !is_root() {
        skip("needs root to make a memory cgroup");
        return;
    }
    let room = match Room::new() {
        Ok(room) => room,
        Err(reason) => {
            skip(&reason);
            return;
        }
    };
    let share = Share::new();
    let (down, up) = (noise(4 << 20), noise(1 << 20));
    share.write("down", &down);
    let enter = format!(
        "echo $$ >'{}' && exec \"$@\"",
        room.place.join("cgroup.procs").display()
    );
    let mut server = Launch::new()
        .under(&["sh", "-c", &enter, "sh"])
        .flags(&["--writable", "--max-clients", "16", "--max-per-ip", "16"])
        .start(&share);
    let line = server.wait_for_log("KiB of memory for them at most");
    let bound = line
        .split_whitespace()
        .zip(line.split_whitespace().skip(1))
        .find(|(_, unit)| *unit == "KiB")
        .and_then(|(number, _)| number.parse::<u64>().ok())
        .unwrap();
    let base = private(server.pid());
    assert!(base > 0);
    let all_are_in = Barrier::new(SESSIONS);
    let done = AtomicBool::new(false);
    let most = thread::scope(|scope| {
        let watch = scope.spawn(|| {
            let mut most = 0;
            while !done.load(Ordering::Relaxed) {
                most = most.max(private(server.pid()));
                thread::sleep(Duration::from_millis(2));
            }
            most
        });
        let sessions: Vec<_> = (0..SESSIONS)
            .map(|number| {
                let (server, share, down, up, all_are_in) =
                    (&server, &share, &down, &up, &all_are_in);
                scope.spawn(move || {
                    let mut client = Client::login(server);
                    client.patience(Duration::from_secs(60));
                    client.say("TYPE I").hear(200);
                    all_are_in.wait();
                    for _ in 0..3 {
                        assert_same_octets(&client.get("down"), down);
                        client.put(format!("up{number}"), up);
                    }
                    assert_same_octets(&share.read(format!("up{number}")), up);
                })
            })
            .collect();
        let ended: Vec<bool> = sessions
            .into_iter()
            .map(|session| session.join().is_ok())
            .collect();
        done.store(true, Ordering::Relaxed);
        assert_eq!(ended, [true; SESSIONS]);
        watch.join().unwrap()
    });
    println!(
        "private memory: {base} KiB at rest, {most} KiB at most, bound {bound} KiB; cgroup: {} of {BOARD}",
        room.read(room.most).trim()
    );
    assert!(
        most <= base + bound,
        "{most} KiB, where {base} + {bound} were promised"
    );
    assert!(!room.killed(), "{}", room.read(room.events));
    assert!(server.stop().success());
}
