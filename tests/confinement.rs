//! Nobody leaves the share, and nobody is root (FIELD-NOTES B41, B42; DESIGN.md, decisions 1 and 2).

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test may panic"
)]

mod common;

use std::fs;
use std::io::Read;
use std::os::unix::fs::symlink;

use common::server::status_of;
use common::share::NOBODY;
use common::{Client, Desk, Launch, Server, Share, is_root, skip};

/// `openssl passwd -5` of `hidden`.
const HIDDEN: &str = "$5$pocketftpd$ZoveL4HoPULReMSoNj3Mo311p4BoMyO3QgXuA5Tgeg/";

/// A share with traps in it: links that lead out, and a neighbour whose name begins like the share's.
fn trapped() -> Share {
    let share = Share::new();
    share.write("inside", "inside");
    share.write("sub/own", "own");
    fs::write(share.outside("secret"), "secret".repeat(999)).unwrap();
    fs::create_dir(share.outside("share2")).unwrap();
    fs::write(share.outside("share2/secret"), "secret".repeat(999)).unwrap();
    let outer = share.outside("");
    for (target, name) in [
        (outer.join("secret").to_str().unwrap(), "absolute"),
        ("../secret", "relative"),
        ("../../../../../../../../../../etc/passwd", "deep"),
        ("/etc", "etc"),
        ("/", "root"),
        ("..", "up"),
        ("../share2", "sibling"),
        ("/proc/self/cwd/../secret", "proc"),
        ("sub/../../secret", "winding"),
        ("inside", "honest"),
        ("/inside", "honest-absolute"),
    ] {
        symlink(target, share.path(name)).unwrap();
        symlink(target, share.path(format!("sub/{name}"))).unwrap();
    }
    share
}

const WAYS_OUT: [&str; 26] = [
    "../secret",
    "/../secret",
    "../../../../../../../../etc/passwd",
    "/../../../../../../../../etc/passwd",
    "/./../secret",
    "//../secret",
    "sub/../../secret",
    "sub/../../../../../../../etc/passwd",
    "../share2/secret",
    "/../share2/secret",
    "absolute",
    "relative",
    "deep",
    "etc/passwd",
    "root/etc/passwd",
    "up/secret",
    "sibling/secret",
    "proc",
    "winding",
    "root/proc/self/root/etc/passwd",
    "/proc/self/root/etc/passwd",
    "..\\secret",
    "%2e%2e/secret",
    ".../secret",
    "sub/up/up/up/secret",
    "sub/root/etc/passwd",
];

/// Tries every way out of what this client sees, reading and writing.
fn nobody_leaves(client: &mut Client, share: &Share) {
    let outside = || {
        (
            fs::read(share.outside("secret")).unwrap(),
            fs::read(share.outside("share2/secret")).unwrap(),
        )
    };
    let before = outside();
    let sizes =
        [before.0.len(), fs::read("/etc/passwd").unwrap().len()].map(|size| size.to_string());
    client.say("TYPE I").hear(200);
    for path in WAYS_OUT {
        let data = client.data();
        let first = client.say(format!("RETR {path}")).hear_any();
        if first.code == 150 {
            let mut found = Vec::new();
            data.stream().read_to_end(&mut found).unwrap();
            client.hear_any();
            assert!(
                !found.windows(6).any(|it| it == b"secret"),
                "RETR {path} leads out"
            );
            assert!(
                !found.windows(5).any(|it| it == b"root:"),
                "RETR {path} shows {}",
                found.escape_ascii()
            );
        } else {
            drop(data);
        }
        for verb in ["SIZE", "MDTM", "MLST", "STAT", "RNFR"] {
            let reply = client.say(format!("{verb} {path}")).hear_any();
            assert!(
                reply.code != 213 || !sizes.contains(&reply.text()),
                "{verb} {path}: {}",
                reply.line()
            );
        }
        let data = client.data();
        let first = client.say(format!("STOR {path}")).hear_any();
        if first.code == 150 {
            drop(data.stream());
            client.hear_any();
        }
        client.say(format!("DELE {path}")).hear_any();
        client.say(format!("MKD {path}.made")).hear_any();
        client.say("RNFR inside").hear_any();
        client.say(format!("RNTO {path}.moved")).hear_any();
        client.say(format!("SITE CHMOD 777 {path}")).hear_any();
        client.say(format!("MFMT 20200101000000 {path}")).hear_any();
        assert_eq!(outside(), before, "{path} leads out");
    }
    for path in [
        "..",
        "../..",
        "/..",
        "up",
        "root",
        "sub/../..",
        "sub/up/up",
        "/./.././..",
        "../share2",
        "sibling",
    ] {
        client.say("CWD /").hear(250);
        client.say(format!("CWD {path}")).hear_any();
        let names = client.nlst("");
        assert!(
            !names
                .iter()
                .any(|name| name == "secret"
                    || name == "etc" && !names.contains(&"honest".to_owned())),
            "CWD {path}: {names:?}"
        );
    }
    let mut names: Vec<_> = fs::read_dir(share.outside(""))
        .unwrap()
        .map(|it| it.unwrap().file_name().into_string().unwrap())
        .collect();
    names.retain(|name| !["users", "trace", "pocketftpd"].contains(&name.as_str()));
    names.sort();
    assert_eq!(
        names,
        ["secret", "share", "share2"],
        "something was made outside"
    );
}

#[test]
fn b41_nobody_leaves_a_share_by_chroot() {
    if !is_root() {
        return skip("needs root to chroot");
    }
    let share = trapped();
    let server = Server::start(&share, &["--writable"]);
    nobody_leaves(&mut Client::login(&server), &share);
    assert_eq!(
        fs::read_link(format!("/proc/{}/root", server.pid())).unwrap(),
        share.top()
    );
    assert_eq!(
        fs::read_link(format!("/proc/{}/cwd", server.pid())).unwrap(),
        share.top()
    );
}

#[test]
fn b41_a_link_inside_the_share_is_followed() {
    let share = trapped();
    let server = Server::start(&share, &[]);
    let mut client = Client::login(&server);
    client.say("TYPE I").hear(200);
    assert_eq!(client.get("honest"), b"inside");
    assert_eq!(client.get("sub/honest-absolute"), b"inside");
    client.say("CWD up").hear(250);
    client.say("CWD root").hear_one_of(&[250, 550]);
}

#[test]
fn b41_a_plain_user_shares_by_a_namespace_or_by_openat2() {
    let share = trapped();
    let server = Launch::as_plain_user(&share)
        .flags(&["--writable"])
        .start(&share);
    nobody_leaves(&mut Client::login(&server), &share);
    assert_eq!(server.status("CapEff"), "0000000000000000");
    assert_eq!(server.status("NoNewPrivs"), "1");
}

#[test]
fn b41_without_namespaces_openat2_alone_confines() {
    let share = trapped();
    let Some(strace) = Launch::failing(&share, "unshare", "error=EPERM") else {
        return;
    };
    let server = Launch::as_plain_user(&share)
        .within(strace)
        .flags(&["--writable"])
        .start(&share);
    server.wait_for_log("openat2");
    nobody_leaves(&mut Client::login(&server), &share);
    let mut client = Client::login(&server);
    client.say("CWD sub").hear(250);
    assert_eq!(client.pwd(), "/sub");
}

#[test]
fn b41_without_any_wall_it_does_not_start() {
    let share = trapped();
    let Some(strace) = Launch::failing(&share, "unshare,openat2", "error=ENOSYS") else {
        return;
    };
    let output = Launch::as_plain_user(&share)
        .within(strace)
        .run_to_end(&share);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("confine") && said.contains("root"), "{said}");
}

#[test]
fn b41_a_user_of_a_directory_below_does_not_leave_it() {
    for plain in [false, true] {
        let share = trapped();
        let users = share.outside("users");
        fs::write(&users, format!("ann:{HIDDEN}:rw:/sub\n")).unwrap();
        let launch = if plain {
            Launch::as_plain_user(&share)
        } else {
            Launch::new()
        };
        let server = launch
            .flags(&["--users", users.to_str().unwrap()])
            .start(&share);
        let mut client = Client::login_as(&server, "ann", "hidden");
        client.say("TYPE I").hear(200);
        assert_eq!(client.get("own"), b"own");
        for path in [
            "../inside",
            "/../inside",
            "up/inside",
            "root/inside",
            "honest",
            "honest-absolute",
            "/inside",
            "/sub/own",
        ] {
            client.data();
            client.say(format!("RETR {path}")).hear(550);
            client.say(format!("SIZE {path}")).hear(550);
        }
        client.say("RNFR own").hear(350);
        client.say("RNTO ../moved").hear_any();
        assert!(!share.holds("moved"), "{:?}", share.names(""));
        nobody_leaves(&mut client, &share);
        assert_eq!(share.read("inside"), b"inside");
    }
}

#[test]
fn b41_a_link_that_changes_under_way_leads_nowhere() {
    let share = trapped();
    share.write("dir/f", "inside");
    let server = Server::start(&share, &["--writable"]);
    let mut client = Client::login(&server);
    client.say("TYPE I").hear(200);
    let stop = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let (real, link, aside) = (share.path("dir"), share.path("link"), share.path("aside"));
            symlink("../share2", &link).unwrap();
            while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                // the directory and a link out of the share change places
                fs::rename(&real, &aside).unwrap();
                fs::rename(&link, &real).unwrap();
                fs::rename(&real, &link).unwrap();
                fs::rename(&aside, &real).unwrap();
            }
        });
        for _ in 0..300 {
            let data = client.data();
            if client.say("RETR dir/secret").hear_one_of(&[150, 550]).code == 150 {
                let mut found = Vec::new();
                data.stream().read_to_end(&mut found).unwrap();
                client.hear_any();
                stop.store(true, std::sync::atomic::Ordering::Relaxed);
                panic!("out of the share: {}", found.escape_ascii());
            }
        }
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
    });
}

#[test]
fn a_directory_that_is_moved_out_of_the_share_gives_nothing_away() {
    let share = Share::new();
    share.write("in/f", "inside");
    let outside = Desk::new();
    let server = Server::start(&share, &["--writable"]);
    let mut client = Client::login(&server);
    client.say("TYPE I").hear(200);
    client.say("CWD in").hear(250);
    assert_eq!(client.get("f"), b"inside");
    fs::rename(share.path("in"), outside.path("in")).unwrap();
    for line in ["RETR f", "LIST", "MLSD", "NLST", "STOR g", "APPE f"] {
        let _data = client.data();
        client.say(line).hear_one_of(&[550, 553]);
    }
    for line in [
        "SIZE f", "MDTM f", "DELE f", "MKD d", "RNFR f", "CWD .", "MLST", "STAT .",
    ] {
        client.say(line).hear_one_of(&[550, 553]);
    }
    client.say("CDUP").hear(200);
    assert!(client.nlst("").is_empty());
    // Put back, it is served again.
    fs::rename(outside.path("in"), share.path("in")).unwrap();
    assert_eq!(client.get("in/f"), b"inside");
}

#[test]
fn a_users_own_directory_that_is_moved_out_of_the_share_gives_nothing_away() {
    let share = Share::new();
    share.write("home/f", "inside");
    let outside = Desk::new();
    let users = outside.write("users", format!("ann:{HIDDEN}:rw:/home\n"));
    // Without the second wall, which holds too where the kernel has it.
    let older = Launch::failing(&share, "landlock_create_ruleset", "error=ENOSYS");
    let launch = Launch::new().flags(&["--users", users.to_str().unwrap()]);
    let server = match older {
        Some(older) => launch.within(older),
        None => launch,
    };
    let server = server.start(&share);
    let mut client = Client::login_as(&server, "ann", "hidden");
    client.say("TYPE I").hear(200);
    assert_eq!(client.get("f"), b"inside");
    fs::rename(share.path("home"), outside.path("home")).unwrap();
    for line in ["RETR f", "LIST", "STOR g"] {
        let _data = client.data();
        client.say(line).hear_one_of(&[550, 553]);
    }
    for line in ["SIZE f", "DELE f", "MKD d", "CWD /", "MLST"] {
        client.say(line).hear(550);
    }
    assert!(!outside.holds("home/g") && outside.holds("home/f"));
    fs::rename(outside.path("home"), share.path("home")).unwrap();
    assert_eq!(client.get("f"), b"inside");
}

#[test]
fn what_was_left_open_for_the_server_is_closed() {
    let share = Share::new();
    let server = Launch::new()
        .under(&["sh", "-c", "exec 7</ 8</etc/passwd; exec \"$@\"", "sh"])
        .start(&share);
    let Some(_) = server.descriptors() else {
        return skip("needs root to look into the server");
    };
    for number in [7, 8] {
        let left = fs::read_link(format!("/proc/{}/fd/{number}", server.pid()));
        let outside = left.is_ok_and(|left| left.as_os_str() == "/" || left.ends_with("passwd"));
        assert!(!outside, "{number} is held open");
    }
    let limits = fs::read_to_string(format!("/proc/{}/limits", server.pid())).unwrap();
    let core = limits
        .lines()
        .find(|line| line.starts_with("Max core file size"))
        .unwrap();
    assert_eq!(core.split_whitespace().nth(4), Some("0"), "{core}");
}

#[test]
fn the_running_server_has_no_privileges() {
    if !is_root() {
        return skip("needs root to have some to give up");
    }
    let share = Share::new();
    share.write("f", "x");
    for flags in [&[][..], &["--active-from-20"]] {
        let server = Server::start(&share, flags);
        let mut client = Client::login(&server);
        assert_eq!(client.nlst(""), ["f"]);
        // every thread, the one that serves this client too
        let threads = fs::read_dir(format!("/proc/{}/task", server.pid())).unwrap();
        let mut count = 0;
        for thread in threads {
            let pid: u32 = thread
                .unwrap()
                .file_name()
                .to_str()
                .unwrap()
                .parse()
                .unwrap();
            let four = [NOBODY.to_string().as_str(); 4].join("\t");
            assert_eq!(status_of(pid, "Uid"), four);
            assert_eq!(status_of(pid, "Gid"), four);
            assert_eq!(status_of(pid, "Groups"), "");
            let kept = if flags.is_empty() {
                "0000000000000000"
            } else {
                "0000000000000400"
            };
            assert_eq!(status_of(pid, "CapEff"), kept);
            assert_eq!(status_of(pid, "CapPrm"), kept);
            assert_eq!(status_of(pid, "CapInh"), "0000000000000000");
            assert_eq!(status_of(pid, "CapAmb"), "0000000000000000");
            assert_eq!(status_of(pid, "NoNewPrivs"), "1");
            count += 1;
        }
        assert!(count >= 2, "{count}");
        // no descriptor of a directory outside the share
        for descriptor in fs::read_dir(format!("/proc/{}/fd", server.pid())).unwrap() {
            let target = fs::read_link(descriptor.unwrap().path()).unwrap_or_default();
            assert!(
                !target.is_dir() || target.starts_with(share.top()),
                "{} is held open",
                target.display()
            );
        }
    }
}

#[test]
fn a_service_whose_capabilities_were_cut_down_is_served_behind_the_same_walls() {
    if !is_root() {
        return skip("needs root to have some to give up");
    }
    let Some(setpriv) = common::program("setpriv") else {
        return;
    };
    let share = Share::new();
    share.write("f", "x");
    // As the unit for systemd says; without SETPCAP the bounding set cannot be emptied.
    let server = Launch::new()
        .under(&[
            setpriv.to_str().unwrap(),
            "--bounding-set=-all,+net_bind_service,+sys_chroot,+setuid,+setgid",
            "--inh-caps=-all",
            "--no-new-privs",
        ])
        .start(&share);
    assert_eq!(Client::login(&server).nlst(""), ["f"]);
    for set in ["CapEff", "CapPrm", "CapInh", "CapAmb"] {
        assert_eq!(status_of(server.pid(), set), "0000000000000000", "{set}");
    }
    assert_eq!(status_of(server.pid(), "NoNewPrivs"), "1");
}

#[test]
fn active_connections_can_leave_from_port_20() {
    if !is_root() {
        return skip("needs root to use port 20");
    }
    let share = Share::new();
    share.write("f", "x");
    let server = Server::start(&share, &["--active-from-20"]);
    let mut client = Client::login(&server);
    for _ in 0..3 {
        let listener = client.port();
        client.say("NLST");
        let mut stream = common::client::accept(&listener);
        assert_eq!(stream.peer_addr().unwrap().port(), 20);
        client.hear(150);
        assert_eq!(common::client::drain(&mut stream), b"f\r\n");
        client.hear(226);
    }
}

#[test]
fn root_is_nobody_where_the_share_is_roots() {
    if !is_root() {
        return skip("needs root");
    }
    let share = Share::new();
    std::os::unix::fs::lchown(share.top(), Some(0), Some(0)).unwrap();
    fs::write(share.path("f"), "x").unwrap();
    let server = Server::start(&share, &[]);
    assert_eq!(
        server.status("Uid").split('\t').next(),
        Some(NOBODY.to_string().as_str())
    );
    assert_eq!(Client::login(&server).nlst(""), ["f"]);
}

#[test]
fn b41_owners_have_names_after_the_chroot() {
    if !is_root() {
        return skip("needs root to own files by others");
    }
    let share = Share::new();
    share.write("f", "x");
    share.write("roots", "x");
    std::os::unix::fs::lchown(share.path("roots"), Some(0), Some(0)).unwrap();
    let server = Server::start(&share, &[]);
    let lines = Client::login(&server).list("");
    let columns = |line: &str| {
        line.split_whitespace()
            .skip(2)
            .take(2)
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    assert_eq!(columns(&lines[0])[0], "nobody", "{lines:?}");
    assert_eq!(columns(&lines[1]), ["root", "root"], "{lines:?}");
}
