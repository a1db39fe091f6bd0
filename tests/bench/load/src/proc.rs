//! What a server has used: its processes, those they started, and those of these that are gone.

use std::collections::HashMap;
use std::fs;
use std::path::Path;
use std::time::Duration;

use nix::time::clock_getcpuclockid;
use nix::unistd::{Pid, SysconfVar, sysconf};

/// Memory in KiB.
#[derive(Debug, Clone, Copy, Default)]
pub struct Memory {
    pub resident: u64,
    pub private: u64,
}

struct Stat {
    parent: i32,
    reaped: u64,
}

fn stat(pid: i32) -> Option<Stat> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let fields: Vec<&str> = text.rsplit_once(") ")?.1.split(' ').collect();
    let number = |at: usize| fields.get(at).and_then(|field| field.parse::<u64>().ok());
    Some(Stat {
        parent: fields.get(1)?.parse().ok()?,
        // cutime and cstime
        reaped: number(13)? + number(14)?,
    })
}

/// `root` and everything that descends from it.
fn tree(root: i32) -> Vec<(i32, Stat)> {
    let mut children: HashMap<i32, Vec<(i32, Stat)>> = HashMap::new();
    for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let pid = entry
            .file_name()
            .to_str()
            .and_then(|name| name.parse().ok());
        if let Some((pid, stat)) = pid.and_then(|pid| Some((pid, stat(pid)?))) {
            children.entry(stat.parent).or_default().push((pid, stat));
        }
    }
    let mut found: Vec<(i32, Stat)> = stat(root).map(|stat| (root, stat)).into_iter().collect();
    let mut at = 0;
    while let Some((pid, _)) = found.get(at) {
        found.extend(children.remove(pid).unwrap_or_default());
        at += 1;
    }
    found
}

/// All that descend from `root`, without it.
pub fn descendants(root: i32) -> Vec<i32> {
    tree(root).into_iter().skip(1).map(|(pid, _)| pid).collect()
}

/// The processor time of a control group (version 2), which everything that ever ran in it is in.
pub fn cpu_of_group(group: &Path) -> Option<Duration> {
    let text = fs::read_to_string(group.join("cpu.stat")).ok()?;
    let whole = text
        .lines()
        .find_map(|line| line.strip_prefix("usage_usec "))?;
    Some(Duration::from_micros(whole.trim().parse().ok()?))
}

/// utime and stime of the tree, children that are gone included: a thread that is gone is in its process's clock, a
/// process that is gone in the times of who reaped it, which is one of the tree since its root (see `serve`) reaps what
/// its parents leave.  The living are read off their clocks, since the ticks of /proc/PID/stat are 10 ms long; so a
/// server that has a process for each session is measured to 20 ms where sessions end, others to a microsecond.  The
/// children of a process that ignores SIGCHLD are lost (BusyBox lists with such a one): a control group is better.
pub fn cpu(root: i32) -> Duration {
    let ticks = sysconf(SysconfVar::CLK_TCK).ok().flatten().unwrap_or(100) as u64;
    let mut sum = Duration::ZERO;
    for (pid, stat) in tree(root) {
        sum += Duration::from_millis(stat.reaped * 1000 / ticks);
        let clock = clock_getcpuclockid(Pid::from_raw(pid)).and_then(|clock| clock.now());
        sum += clock.map(Duration::from).unwrap_or_default();
    }
    sum
}

/// Resident and private memory of the tree without its root, which is not of the server.
pub fn memory(root: i32) -> Memory {
    let mut sum = Memory::default();
    for pid in descendants(root) {
        let text = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap_or_default();
        for line in text.lines() {
            let mut words = line.split_whitespace();
            let (name, value) = (words.next(), words.next());
            let value = value.and_then(|value| value.parse().ok()).unwrap_or(0);
            match name {
                Some("Rss:") => sum.resident += value,
                Some("Private_Clean:" | "Private_Dirty:") => sum.private += value,
                _ => {}
            }
        }
    }
    sum
}

/// What the kernel has for all processes and sockets, in KiB: slabs, stacks of threads, tables of pages, and what
/// waits in TCP's buffers.  Other processes are in it too: differences want a quiet machine.
pub fn kernel() -> u64 {
    let text = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let slabs: u64 = text
        .lines()
        .filter_map(|line| line.split_once(':'))
        .filter(|(name, _)| ["Slab", "KernelStack", "PageTables"].contains(name))
        .filter_map(|(_, value)| value.split_whitespace().next()?.parse::<u64>().ok())
        .sum();
    let text = fs::read_to_string("/proc/net/sockstat").unwrap_or_default();
    let pages: u64 = text
        .lines()
        .find(|line| line.starts_with("TCP:"))
        .and_then(|line| line.rsplit_once(" mem ")?.1.trim().parse().ok())
        .unwrap_or(0);
    let page = sysconf(SysconfVar::PAGE_SIZE).ok().flatten();
    slabs + pages * page.unwrap_or(4096) as u64 / 1024
}
