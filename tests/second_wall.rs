//! The wall behind the chroot: seccomp, Landlock, and what the kernel tells of every thread.

#![cfg(all(
    feature = "sandbox",
    any(
        target_arch = "x86_64",
        target_arch = "aarch64",
        target_arch = "riscv64"
    )
))]
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test may panic, and says what it found"
)]

mod common;

use std::fs;
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::Command;

use common::server::status_of;
use common::{Client, Desk, Launch, Server, Share, is_root};
use nix::sys::signal::Signal;
use pocketftpd::sandbox::fences::{Fences, Reach, Role};
use rustix::fs::{AtFlags, CWD, Mode, OFlags, open, renameat, unlinkat};

/// Which deed a copy of this test program is to do behind the wall.
const DEED: &str = "POCKETFTPD_DEED";

/// Where TCP connections are let in while the deeds are done.
const DOOR: &str = "POCKETFTPD_DOOR";

/// A user whose password is not needed here.
const USERS: &str = "alice:$6$pocketftpdReadme$8uDMDuxp/3/G71dg.cE/iVJVyRmWqDgocHF6zBAMG/O.nfw5TVFiANbgDvfwG47GDX2LnJQUMJbO7M2NX7.Qc/:rw\n";

const READER: Reach = Reach {
    writable: false,
    passive: None,
    any_port: true,
    port_20: false,
    connects: false,
};

/// A deed: its name, whose thread does it, what may be reached, and the exit status with which the deed ends; `None`
/// where it ends the process.
type Row = (&'static str, Role, Reach, Option<i32>, fn() -> bool);

fn writer() -> Reach {
    Reach {
        writable: true,
        connects: true,
        ..READER
    }
}

fn narrow() -> Reach {
    Reach {
        passive: Some(40_000..=40_001),
        any_port: false,
        ..READER
    }
}

fn door() -> String {
    std::env::var(DOOR).unwrap()
}

#[rustfmt::skip] // a table is read by columns
fn deeds() -> Vec<Row> {
    use Role::{Any, Main, Session};
    vec![
        // seccomp: what no thread does
        ("starts a program",          Any,     writer(), None,    || Command::new("/bin/true").status().is_ok()),
        ("becomes a program",         Session, writer(), None,    || Command::new("/bin/true").exec().raw_os_error().is_some()),
        ("makes datagrams",           Session, writer(), None,    || UdpSocket::bind("127.0.0.1:0").is_ok()),
        ("sends a signal",            Session, writer(), None,    || nix::sys::signal::raise(Signal::SIGKILL).is_ok()),
        ("becomes another user",      Any,     writer(), None,    || nix::unistd::setuid(nix::unistd::Uid::from_raw(1)).is_ok()),
        ("changes its root",          Session, writer(), None,    || nix::unistd::chroot(".").is_ok()),
        ("changes its directory",     Session, writer(), None,    || std::env::set_current_dir("/").is_ok()),
        ("makes a link",              Session, writer(), None,    || std::os::unix::fs::symlink("/", "link").is_ok()),
        // seccomp: what only others do
        ("a session starts a thread", Session, writer(), None,    || std::thread::Builder::new().spawn(|| ()).is_ok()),
        ("main opens a socket",       Main,    writer(), None,    || TcpListener::bind("127.0.0.1:0").is_ok()),
        ("main lists a directory",    Main,    writer(), None,    || fs::read_dir(".").is_ok_and(|names| names.count() > 0)),
        ("the door starts a thread",  Any,     writer(), Some(0), || std::thread::spawn(|| ()).join().is_ok()),
        // what sessions do
        ("reads the share",           Session, READER,   Some(0), || fs::read("in/f").unwrap() == b"x"),
        ("writes into the share",     Session, writer(), Some(0), || fs::write("in/g", "y").is_ok()),
        // open(2) itself where there is one
        ("opens as old libraries do", Session, READER,   Some(0), || open("in/f", OFlags::RDONLY, Mode::empty()).is_ok()),
        ("main opens like that, too", Main,    READER,   Some(0), || open("in/f", OFlags::RDONLY, Mode::empty()).is_ok()),
        ("renames across folders",    Session, writer(), Some(0), || renameat(CWD, "in/f", CWD, "f").is_ok()),
        ("listens",                   Session, READER,   Some(0), || TcpListener::bind("127.0.0.1:0").is_ok()),
        ("connects",                  Session, writer(), Some(0), || TcpStream::connect(door()).is_ok()),
        // Landlock
        ("reads elsewhere",           Session, writer(), Some(1), || fs::read("/etc/passwd").is_ok()),
        ("lists elsewhere",           Session, writer(), Some(1), || fs::read_dir("/etc").is_ok()),
        ("writes as a reader",        Session, READER,   Some(1), || fs::write("in/f", "y").is_ok()),
        ("removes as a reader",       Session, READER,   Some(1), || unlinkat(CWD, "in/f", AtFlags::empty()).is_ok()),
        ("connects as it must not",   Session, READER,   Some(1), || TcpStream::connect(door()).is_ok()),
        ("listens beyond its ports",  Session, narrow(), Some(1), || TcpListener::bind("127.0.0.1:0").is_ok()),
    ]
}

/// What the copies of this program run.
fn act(name: &str) -> ! {
    let (_, role, reach, _, deed) = deeds()
        .into_iter()
        .find(|(known, ..)| *known == name)
        .unwrap();
    nix::sys::resource::setrlimit(nix::sys::resource::Resource::RLIMIT_CORE, 0, 0).unwrap();
    let fences = Fences::put_up(&reach);
    assert!(fences.hold(Role::Any).unwrap());
    if role != Role::Any {
        assert!(fences.hold(role).unwrap());
    }
    let done = deed();
    // Without what a test runner does at its end, which these threads may not do.
    std::process::exit(i32::from(!done));
}

#[test]
fn what_no_thread_of_its_kind_does_is_forbidden_and_what_it_does_is_not() {
    if let Ok(name) = std::env::var(DEED) {
        act(&name);
    }
    let this = std::thread::current().name().unwrap().to_owned();
    let door = TcpListener::bind("127.0.0.1:0").unwrap();
    for (name, _, _, wanted, _) in deeds() {
        let desk = Desk::new();
        fs::create_dir(desk.path("in")).unwrap();
        fs::write(desk.path("in/f"), "x").unwrap();
        let ended = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", this.as_str(), "--nocapture"])
            .current_dir(desk.top())
            .env(DEED, name)
            .env(DOOR, door.local_addr().unwrap().to_string())
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&ended.stderr);
        match wanted {
            Some(status) => assert_eq!(ended.status.code(), Some(status), "{name}: {said}"),
            None => assert_eq!(
                ended.status.signal(),
                Some(Signal::SIGSYS as i32),
                "{name}: {said}"
            ),
        }
        assert!(
            desk.holds("in/f") != (name == "renames across folders"),
            "{name}"
        );
    }
}

#[test]
fn every_thread_is_held_and_has_nothing_left_to_give_up() {
    let share = Share::new();
    share.write_sparse("large", 1 << 30);
    let server = Server::start(&share, &["--writable"]);
    let told = server.wait_for_log("second wall");
    assert!(
        told.contains("Landlock") && told.contains("seccomp: a list of system calls"),
        "{told}"
    );
    let mut client = Client::login(&server);
    // In the middle of a transfer, too.
    let data = client.epsv();
    let stream = common::client::connect(data);
    client.say("RETR large").hear(150);
    let mut filters = Vec::new();
    let pid = server.pid();
    for thread in fs::read_dir(format!("/proc/{pid}/task")).unwrap() {
        let name = thread.unwrap().file_name();
        let id: u32 = name.to_str().unwrap().parse().unwrap();
        let of = |field: &str| status_of(id, field);
        println!(
            "thread {id}: Uid {} Gid {} Groups [{}] CapInh {} CapPrm {} CapEff {} CapBnd {} CapAmb {} NoNewPrivs {} \
             Seccomp {} Seccomp_filters {}",
            of("Uid").replace('\t', " "),
            of("Gid").replace('\t', " "),
            of("Groups"),
            of("CapInh"),
            of("CapPrm"),
            of("CapEff"),
            of("CapBnd"),
            of("CapAmb"),
            of("NoNewPrivs"),
            of("Seccomp"),
            of("Seccomp_filters"),
        );
        for set in ["CapInh", "CapPrm", "CapEff", "CapAmb"] {
            assert_eq!(of(set), "0000000000000000", "{set}");
        }
        if is_root() {
            assert_eq!(of("CapBnd"), "0000000000000000");
            assert_eq!(of("Groups"), "");
            assert!(
                !of("Uid").split('\t').any(|uid| uid == "0"),
                "{}",
                of("Uid")
            );
            assert!(
                !of("Gid").split('\t').any(|gid| gid == "0"),
                "{}",
                of("Gid")
            );
        }
        assert_eq!(of("NoNewPrivs"), "1");
        assert_eq!(of("Seccomp"), "2");
        filters.push(of("Seccomp_filters"));
    }
    // All have the list of all and what hides clone3; main and the session each have one of their own besides.
    filters.sort();
    assert_eq!(filters, ["2", "3", "3"]);
    // What belongs to root there is nobody's to read or write: the process cannot be dumped or traced by its user.
    if is_root() {
        let memory = fs::metadata(format!("/proc/{pid}/mem")).unwrap();
        assert_eq!(memory.uid(), 0);
    }
    drop(stream);
    client.hear_one_of(&[226, 426]);
}

#[test]
fn an_order_from_every_side_ends_a_held_server_with_status_0() {
    let share = Share::new();
    let desk = Desk::new();
    let users = desk.write("users", USERS);
    let pid = desk.path("pid");
    let flags = [
        "--users",
        users.to_str().unwrap(),
        "--pid-file",
        pid.to_str().unwrap(),
        "--log-level",
        "trace",
    ];
    let mut server = Launch::new().flags(&flags).start(&share);
    server.signal(Signal::SIGHUP);
    server.wait_for_log("users read");
    server.signal(Signal::SIGUSR1);
    server.wait_for_log("0 sessions");
    assert!(server.stop().success(), "{:?}", server.log());
}

#[test]
fn a_run_that_a_forbidden_call_has_ended_is_told_of_at_the_next() {
    const TOLD: &str = "the last run ended without a word";
    let share = Share::new();
    let desk = Desk::new();
    let pid = desk.path("pid");
    let flags = ["--pid-file", pid.to_str().unwrap()];
    let mut server = Server::start(&share, &flags);
    common::eventually("the number is written", common::PATIENCE, || {
        !desk.read("pid").is_empty()
    });
    // What the kernel sends for a forbidden call.
    server.signal(Signal::SIGSYS);
    let ended = server.ended(common::PATIENCE);
    assert_eq!(ended.signal(), Some(Signal::SIGSYS as i32));
    let mut server = Server::start(&share, &flags);
    server.wait_for_log(TOLD);
    assert!(server.stop().success());
    let server = Server::start(&share, &flags);
    assert!(!server.log().iter().any(|line| line.contains(TOLD)));
}

#[test]
fn a_start_in_vain_tells_of_no_end_and_is_none_for_the_next() {
    const TOLD: &str = "the last run ended without a word";
    let share = Share::new();
    let desk = Desk::new();
    let users = desk.write("users", USERS);
    // Something to warn of before the port is asked for.
    fs::set_permissions(&users, fs::Permissions::from_mode(0o644)).unwrap();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    for before in ["Z INFO listening on [::]:21\n", "Z INFO stopped\n"] {
        let log = desk.write("log", before);
        let flags = [
            "--users",
            users.to_str().unwrap(),
            "--log-file",
            log.to_str().unwrap(),
        ];
        let text = || String::from_utf8(desk.read("log")).unwrap();
        let ended = Launch::new()
            .listen(&taken.local_addr().unwrap().to_string())
            .flags(&flags)
            .run_to_end(&share);
        assert_eq!(ended.status.code(), Some(1));
        // Whoever wrote the lines before may be running still.
        assert!(!text().contains(TOLD), "{}", text());
        assert!(text().contains("ERROR listen on"), "{}", text());
        let mut child = Launch::new().flags(&flags).spawn(&share);
        common::eventually("it listens", common::PATIENCE, || {
            text().contains("INFO listening on 127")
        });
        nix::sys::signal::kill(
            nix::unistd::Pid::from_raw(child.id().try_into().unwrap()),
            Signal::SIGTERM,
        )
        .unwrap();
        assert!(child.wait().unwrap().success());
        assert!(!text().contains(TOLD), "{}", text());
    }
}

#[test]
fn a_kernel_without_landlock_is_not_called_an_old_one() {
    let share = Share::new();
    let Some(launch) = Launch::failing(
        &share,
        "landlock_create_ruleset,landlock_add_rule,landlock_restrict_self",
        "error=ENOSYS",
    ) else {
        return;
    };
    let server = launch.flags(&["--writable"]).start(&share);
    server.wait_for_log("second wall: no Landlock: not in this kernel");
}

#[test]
fn check_says_what_stands() {
    let share = Share::new();
    let output = Command::new(common::server::PROGRAM)
        .args(["--check", "--listen", "127.0.0.1:0", "--share"])
        .arg(share.top())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let line = said
        .lines()
        .find(|line| line.contains("second wall: "))
        .unwrap_or_default();
    assert!(
        line.starts_with("[ ok ]") && line.contains("Landlock") && line.contains("seccomp: a list"),
        "{said}"
    );
}
