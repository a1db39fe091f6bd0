//! Kernels older than the compiler's: a system call that is absent there (ENOSYS) is done without, or the start is
//! refused in one line that says why.  Linux 3.10 is the oldest that is served, by root and chroot.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may panic")]

mod common;

use std::fs;

use common::{Client, Launch, Server, Share, assert_same_octets, is_root, noise, skip};

/// `openssl passwd -5` of `hidden`.
const HIDDEN: &str = "$5$pocketftpd$ZoveL4HoPULReMSoNj3Mo311p4BoMyO3QgXuA5Tgeg/";

/// What came after Linux 3.10 and before 6.12, as far as a C library or Rust's library may ask for it.  The question
/// mark lets pass what this strace does not know.
const NEWER_THAN_3_10: [&str; 27] = [
    "sched_getattr",
    "renameat2",
    "getrandom",
    "seccomp",
    "memfd_create",
    "execveat",
    "membarrier",
    "mlock2",
    "copy_file_range",
    "preadv2",
    "pwritev2",
    "statx",
    "rseq",
    "pidfd_send_signal",
    "pidfd_open",
    "clone3",
    "close_range",
    "openat2",
    "faccessat2",
    "epoll_pwait2",
    "landlock_create_ruleset",
    "landlock_add_rule",
    "landlock_restrict_self",
    "futex_waitv",
    "fchmodat2",
    "mseal",
    "statmount",
];

/// What 3.10 has, and a sandbox, an emulator or a file system may still refuse.
const OPTIONAL: [&str; 7] = [
    "sendfile",
    "splice",
    "pipe2",
    "flock",
    "utimensat",
    "set_robust_list",
    "fadvise64",
];

fn absent(share: &Share, calls: &[&str]) -> Option<Launch> {
    let calls: Vec<String> = calls.iter().map(|call| format!("?{call}")).collect();
    Launch::failing(share, &calls.join(","), "error=ENOSYS")
}

/// Everything that a client wants of a box: lists, downloads, uploads, names, times.
fn is_served(share: &Share, server: &Server, sets_times: bool) {
    let big = noise(300_000);
    share.write("big", &big);
    let mut client = Client::login(server);
    client.say("TYPE I").hear(200);
    assert_same_octets(&client.get("big"), &big);
    client.put("new", &big);
    assert_same_octets(&share.read("new"), &big);
    assert!(client.list("").iter().any(|line| line.ends_with(" big")));
    assert!(client.nlst("").iter().any(|name| name == "new"));
    assert!(client.mlsd("").iter().any(|line| line.ends_with(" new")));
    client.say("MKD folder").hear(257);
    client.say("CWD folder").hear(250);
    client.say("RNFR /new").hear(350);
    client.say("RNTO moved").hear(250);
    client.say("SIZE moved").hear(213);
    client.say("AVBL").hear(213);
    client
        .say("MFMT 20200202020202 moved")
        .hear(if sets_times { 213 } else { 550 });
    client.say("SITE CHMOD 600 moved").hear(200);
    client.say("DELE moved").hear(250);
    client.say("CDUP").hear(200);
    client.say("RMD folder").hear(250);
    client.say("QUIT").hear(221);
}

fn serves_without(calls: &[&str]) {
    if !is_root() {
        skip("on an old kernel only root can confine the server");
        return;
    }
    let share = Share::new();
    let Some(launch) = absent(&share, calls) else {
        return;
    };
    let mut server = launch.flags(&["--writable"]).start(&share);
    server.wait_for_log("confined by chroot");
    is_served(&share, &server, !calls.contains(&"utimensat"));
    assert!(server.stop().success(), "without {calls:?}");
}

#[test]
fn each_newer_call_may_be_absent() {
    for call in NEWER_THAN_3_10 {
        serves_without(&[call]);
    }
}

#[test]
fn all_newer_calls_may_be_absent_at_once_as_on_linux_3_10() {
    serves_without(&NEWER_THAN_3_10);
}

#[test]
fn each_call_that_may_be_refused_is_done_without() {
    for call in OPTIONAL {
        serves_without(&[call]);
    }
}

#[test]
fn the_faults_are_really_injected() {
    let share = Share::new();
    let Some(launch) = absent(&share, &["sendfile", "splice"]) else {
        return;
    };
    let mut server = launch.flags(&["--writable"]).start(&share);
    is_served(&share, &server, true);
    server.stop();
    let trace = fs::read_to_string(share.outside("trace")).unwrap();
    for call in ["sendfile", "splice"] {
        let failed = |line: &str| line.contains(call) && line.contains("(INJECTED)");
        assert!(trace.lines().any(failed), "{call}: {trace}");
    }
}

/// Linux before 3.12 does not say how much room there is by a descriptor that only names a place (O_PATH).
#[test]
fn the_room_on_the_disk_is_told_without_fstatfs() {
    if !is_root() {
        skip("on an old kernel only root can confine the server");
        return;
    }
    let share = Share::new();
    let Some(launch) = Launch::failing(&share, "fstatfs", "error=EBADF") else {
        return;
    };
    let mut server = launch.flags(&["--writable"]).start(&share);
    is_served(&share, &server, true);
    assert!(server.stop().success());
}

/// A user's own directory is held by openat2(2) alone, which came with Linux 5.6.
#[test]
fn a_users_directory_without_openat2_is_refused_at_the_start() {
    let share = Share::new();
    share.mkdir("sub");
    let users = share.outside("users");
    fs::write(&users, format!("ann:{HIDDEN}:rw:/sub\n")).unwrap();
    let Some(launch) = absent(&share, &["openat2"]) else {
        return;
    };
    let output = launch
        .flags(&["--users", users.to_str().unwrap()])
        .run_to_end(&share);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("5.6"), "{said}");
}
