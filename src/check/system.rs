//! What a start needs of the system beside its ports: a log, a pid file, descriptors, memory.

use std::fs;

use log::LevelFilter;
use nix::unistd::Uid;

use crate::check::Out;
use crate::config::Config;
use crate::config::Lifetime;
use crate::config::LogTarget;
use crate::daemon::PidFile;
use crate::logging;
use crate::server;

/// What a report that somebody sends around should begin with.
pub fn title() -> String {
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let who = if Uid::effective().is_root() {
        "root"
    } else {
        "a plain user"
    };
    format!(
        "pocketftpd {} on Linux {} ({}), started by {who}: what will work with these flags?",
        env!("CARGO_PKG_VERSION"),
        kernel.trim_ascii(),
        std::env::consts::ARCH
    )
}

/// Where log lines will go.
pub fn log(report: &mut Out, config: &Config) {
    let log = &config.log;
    let place = match &log.target {
        _ if log.level == LevelFilter::Off => "off (--log-level off)".to_owned(),
        LogTarget::Stderr => "to standard error".to_owned(),
        LogTarget::File(path) => format!("to {}, which can be written", path.display()),
        LogTarget::Syslog => "to the log daemon, which listens".to_owned(),
    };
    report.result(logging::try_out(log).map(|()| format!("log: {place}")));
    report.heard();
}

/// Whether the pid file can be had; what was not there is not there afterwards.
pub fn pid_file(report: &mut Out, config: &Config) {
    let Some(path) = &config.pid_file else {
        return;
    };
    let is_new = fs::symlink_metadata(path).is_err();
    let opened = PidFile::open(path);
    // While it is held, nobody else can mean this file.
    if is_new && opened.is_ok() {
        let _ = fs::remove_file(path);
    }
    report.result(opened.map(|_| format!("pid file: {} can be had", path.display())));
}

/// Whether full seats have descriptors enough.
pub fn descriptors(report: &mut Out, seats: usize) {
    match server::make_room_for_descriptors(seats) {
        Ok(wanted) => report.good(format_args!(
            "open files: {seats} clients need {wanted} at most, and the system allows that"
        )),
        Err(warning) => report.warning(format_args!("open files: {warning}")),
    }
}

/// Whether full seats have memory enough; `bound` is in octets.
pub fn memory(report: &mut Out, bound: usize) {
    let bound = bound.div_ceil(1024);
    let about = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let Some(free) = available(&about) else {
        return report.good(format_args!(
            "memory: all clients together take {bound} KiB at most; how much is free cannot be seen"
        ));
    };
    if u64::try_from(bound).is_ok_and(|bound| bound < free) {
        report.good(format_args!(
            "memory: all clients together take {bound} KiB at most, {free} KiB are free"
        ));
    } else {
        report.warning(format_args!(
            "memory: all clients together may take {bound} KiB, only {free} KiB are free: lower --max-clients"
        ));
    }
}

/// `MemAvailable` of /proc/meminfo, in KiB.
fn available(about: &str) -> Option<u64> {
    let row = about
        .lines()
        .find_map(|line| line.strip_prefix("MemAvailable:"))?;
    row.split_ascii_whitespace().next()?.parse().ok()
}

/// Whether this start has ports of its own.
pub fn is_under_inetd(config: &Config) -> bool {
    config.lifetime == Lifetime::Inetd
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn free_memory_is_read_where_the_kernel_tells_it() {
        assert_eq!(
            available("MemTotal: 9 kB\nMemAvailable:   42 kB\n"),
            Some(42)
        );
        assert_eq!(available("MemTotal: 9 kB\nMemFree: 8 kB\n"), None);
        assert_eq!(available("MemAvailable:"), None);
    }
}
