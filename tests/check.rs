//! `--check`: every line of the report on good and on bad set-ups, its exit status, and nothing left behind.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test may panic"
)]

mod common;

#[cfg(not(feature = "check"))]
#[test]
fn a_build_without_the_feature_says_so() {
    let output = common::server::run_to_end(&["--share", ".", "--check"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(output.stdout.is_empty());
    assert_eq!(
        String::from_utf8(output.stderr).unwrap(),
        "pocketftpd: this build has no --check: it was made without the cargo feature check\n"
    );
}

#[cfg(feature = "check")]
mod report {
    use std::fs;
    use std::io::Write;
    use std::net::{TcpListener, TcpStream};
    use std::process::{Command, Stdio};
    use std::time::{Duration, Instant};

    use nix::sys::signal::{Signal, kill};
    use nix::unistd::Pid;

    use crate::common::share::{NOBODY, fresh_directory, remove};
    use crate::common::{Launch, Server, Share, has_ipv6, is_root, program, skip};

    /// The password is `hidden`.
    const ALICE: &str = "alice:$5$pocketftpd$ZoveL4HoPULReMSoNj3Mo311p4BoMyO3QgXuA5Tgeg/:rw\n";

    /// What a check has printed.
    struct Report {
        text: String,
        status: Option<i32>,
    }

    impl Report {
        #[track_caller]
        fn of(share: &Share, launch: Launch) -> Self {
            let began = Instant::now();
            let output = launch.flags(&["--check"]).run_to_end(share);
            let took = began.elapsed();
            assert!(took < Duration::from_secs(10), "it took {took:?}");
            let text = String::from_utf8(output.stdout).unwrap();
            let complaints = String::from_utf8_lossy(&output.stderr);
            assert_eq!(complaints, "", "{text}");
            assert!(text.is_ascii(), "{text}");
            // A share that nobody may read holds nothing that the check could have made.
            let names = fs::read_dir(share.top()).into_iter().flatten().flatten();
            for name in names.map(|entry| entry.file_name()) {
                let litter = name.to_string_lossy().starts_with("pocketftpd-check");
                assert!(!litter, "{name:?}");
            }
            Self {
                text,
                status: output.status.code(),
            }
        }

        #[track_caller]
        fn good(self) -> Self {
            assert!(!self.text.contains("[FAIL]"), "{}", self.text);
            assert!(self.last().starts_with("All is well"), "{}", self.text);
            assert_eq!(self.status, Some(0), "{}", self.text);
            self
        }

        /// It fails in these lines and in no others.
        #[track_caller]
        fn bad(self, lines: &[&str]) -> Self {
            let failed: Vec<&str> = self
                .text
                .lines()
                .filter(|line| line.starts_with("[FAIL] "))
                .collect();
            assert_eq!(failed.len(), lines.len(), "{}", self.text);
            for (failed, line) in failed.iter().zip(lines) {
                assert!(failed.contains(line), "{line}: {}", self.text);
            }
            assert!(self.last().contains("will fail"), "{}", self.text);
            assert_eq!(self.status, Some(1), "{}", self.text);
            self
        }

        #[track_caller]
        fn has(self, line: &str) -> Self {
            assert!(self.text.contains(line), "{line}: {}", self.text);
            self
        }

        #[track_caller]
        fn lacks(self, line: &str) -> Self {
            assert!(!self.text.contains(line), "{line}: {}", self.text);
            self
        }

        fn last(&self) -> &str {
            self.text.lines().last().unwrap_or_default()
        }
    }

    /// A share with a file, a file in a directory, and a name that a report must tame.
    fn share() -> Share {
        let share = Share::new();
        share.write("empty", "");
        share.write("sub/file", "what is in the file");
        share.write("sub/\u{e4}\u{1b}[2J", "");
        share
    }

    /// A free port of loopback; another program may still take it first.
    fn free_port() -> u16 {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.local_addr().unwrap().port()
    }

    /// Listeners on so many ports in a row.
    fn row(count: u16) -> (u16, Vec<TcpListener>) {
        for _ in 0..200 {
            let low = free_port();
            let row: Vec<TcpListener> = (0..count)
                .filter_map(|offset| {
                    TcpListener::bind(("127.0.0.1", low.checked_add(offset)?)).ok()
                })
                .collect();
            if row.len() == usize::from(count) {
                return (low, row);
            }
        }
        panic!("no {count} free ports in a row");
    }

    fn range(low: u16, count: u16) -> String {
        format!("{low}-{}", low + count - 1)
    }

    fn modes(text: &str, how: &str) -> usize {
        let lines = text
            .lines()
            .filter(|line| line.starts_with("[ ok ] self-test, IPv") && line.contains(how));
        lines.count()
    }

    #[test]
    fn a_good_share_for_reading_is_well_and_stays_as_it_is() {
        let share = share();
        let before = share.fingerprint();
        let report = Report::of(&share, Launch::new())
            .good()
            .has("[ ok ] log: to standard error\n")
            .has("[ ok ] users: anyone may read, nobody may write\n")
            .has("[ ok ] port 0: any free port, a new one each time, at 127.0.0.1\n")
            .has("[ ok ] open files: 32 clients need 288 at most")
            .has("[ ok ] memory: all clients together take ")
            .has("[ ok ] confinement: ")
            .has("may read it: files 3, directories 1, all were looked at\n")
            .has("[ ok ] share: nobody may write, as the flags say\n")
            .has("[ ok ] passive ports: any that is free")
            .has("[ ok ] self-test: greeting, log-in as anonymous\n")
            .has("[ ok ] self-test: ABOR: a listing was broken off, and the session went on\n")
            .has("[ ok ] self-test: uploads are refused, as the flags say\n")
            .has("[ ok ] self-test: out of the share: CWD .. stays at the top, RETR ../../etc/passwd is refused\n")
            .lacks("[warn] self-test");
        let wanted = if has_ipv6() { 6 } else { 4 };
        let how = "/sub/file downloaded, 19 octets, the same";
        assert_eq!(modes(&report.text, how), wanted, "{}", report.text);
        assert_eq!(share.fingerprint(), before);
        if is_root() {
            report
                .has("started by root")
                .has(&format!("({NOBODY}), group {NOBODY}\n"))
                .has("[ ok ] confinement: chroot; ");
        }
    }

    #[test]
    fn a_good_share_for_writing_is_written_to_and_nothing_stays() {
        let share = share();
        let names = (share.names(""), share.names("sub"));
        // It is not held to a limit, which at this rate would take all its time.
        let flags = ["--writable", "--limit-rate", "1k:1k"];
        let report = Report::of(&share, Launch::new().flags(&flags))
            .good()
            .has("may write it, ")
            .has("[ ok ] self-test: ABOR: an upload was broken off, and the session went on\n")
            .has("RETR ../../etc/passwd and of a link to /etc/passwd are refused\n");
        let wanted = if has_ipv6() { 6 } else { 4 };
        let how = "50000 octets uploaded, downloaded, the same, and deleted";
        assert_eq!(modes(&report.text, how), wanted, "{}", report.text);
        assert_eq!((share.names(""), share.names("sub")), names);
    }

    #[test]
    fn a_plain_user_is_confined_by_a_namespace_or_by_openat2() {
        let share = share();
        let launch = || Launch::as_plain_user(&share).flags(&["--writable"]);
        Report::of(&share, launch())
            .good()
            .has("started by a plain user")
            .has("[ ok ] confinement: ");
        let Some(strace) = Launch::failing(&share, "unshare", "error=EPERM") else {
            return;
        };
        Report::of(&share, launch().within(strace))
            .good()
            .has("[ ok ] confinement: openat2; no user namespace to be had")
            .has("of a link to /etc/passwd are refused\n");
    }

    #[test]
    fn where_nothing_confines_it_does_not_start_and_says_what_to_do() {
        let share = share();
        let Some(strace) = Launch::failing(&share, "unshare,openat2", "error=ENOSYS") else {
            return;
        };
        Report::of(&share, Launch::as_plain_user(&share).within(strace))
            .bad(&["start it as root; it gives root up at once"])
            .has("[warn] self-test: not done");
    }

    #[test]
    fn a_port_that_is_taken_fails_with_who_has_it() {
        let share = share();
        let other = TcpListener::bind("127.0.0.1:0").unwrap();
        let place = other.local_addr().unwrap().to_string();
        let greeter = std::thread::spawn(move || {
            let (mut stream, _) = other.accept().unwrap();
            stream
                .write_all(b"220 another \x1b[1mserver\r\nmore")
                .unwrap();
        });
        let report = Report::of(&share, Launch::new().listen(&place));
        greeter.join().unwrap();
        report
            .bad(&["another server has this port; stop it, or choose another with --listen; it greets with: 220 another \\x1b[1mserver"])
            // The rest is told all the same.
            .has("[ ok ] self-test: greeting, log-in as anonymous\n");
    }

    #[test]
    fn a_server_that_runs_already_is_known_by_its_greeting() {
        let share = share();
        let server = Server::start(&share, &[]);
        let place = server.address().to_string();
        Report::of(&share, Launch::new().listen(&place))
            .bad(&["it may be running already: stop it, then check again"]);
    }

    #[test]
    fn a_free_port_and_an_address_of_nobody_are_told_apart() {
        let share = share();
        let place = format!("127.0.0.1:{}", free_port());
        Report::of(&share, Launch::new().listen(&place))
            .good()
            .has("free, at 127.0.0.1\n");
        Report::of(&share, Launch::new().listen("192.0.2.77:0"))
            .bad(&["no interface of this box has this address"]);
    }

    #[test]
    fn a_share_that_cannot_be_read_fails_with_the_remedy() {
        let share = share();
        share.set_mode("", 0o300);
        let report = Report::of(&share, Launch::new());
        share.set_mode("", 0o755);
        report
            .bad(&["chmod o+rx"])
            .has("[warn] self-test: not done, since nothing would be served");
        share.set_mode("", 0o000);
        let report = Report::of(&share, Launch::as_plain_user(&share));
        share.set_mode("", 0o755);
        report.bad(&[": Permission denied: chmod o+x it and the directories above it, or"]);
    }

    #[test]
    fn a_share_that_is_not_there_fails() {
        let outer = fresh_directory();
        let output = Command::new(crate::common::server::PROGRAM)
            .arg("--share")
            .arg(outer.join("nothing"))
            .args(["--listen", "127.0.0.1:0", "--check"])
            .output()
            .unwrap();
        remove(&outer);
        let text = String::from_utf8(output.stdout).unwrap();
        assert_eq!(output.status.code(), Some(1), "{text}");
        assert!(text.contains("[FAIL] look at the share: "), "{text}");
        assert!(
            text.contains("mount the disk or make the directory first"),
            "{text}"
        );
    }

    #[test]
    fn a_share_that_cannot_be_written_fails_where_it_should_be() {
        let share = share();
        share.set_mode("", 0o555);
        let writable = Report::of(&share, Launch::new().flags(&["--writable"]));
        let readable = Report::of(&share, Launch::new());
        share.set_mode("", 0o755);
        writable
            .bad(&["cannot write"])
            .has("chown it to that user, or name its owner with --run-as")
            .has("[warn] self-test: not done");
        readable.good();
    }

    #[test]
    fn files_that_the_user_may_not_touch_are_named() {
        let share = share();
        for name in ["secret-a", "secret-b", "sub/secret-c", "secret-d"] {
            share.write(name, "x");
            share.set_mode(name, 0o000);
        }
        share.mkdir("closed");
        share.set_mode("closed", 0o000);
        let report = Report::of(&share, Launch::new().flags(&["--writable"]));
        share.set_mode("closed", 0o755);
        report
            .good()
            .has("may not read 5 of these (files 7, directories 2): ")
            .has("and 2 more: clients hear 550; chmod -R o+rX")
            .has("may not change 5 names: ");
    }

    #[test]
    fn a_range_that_is_too_small_is_a_warning() {
        let share = share();
        let (low, listeners) = row(3);
        drop(listeners);
        let ports = range(low, 3);
        Report::of(&share, Launch::new().flags(&["--passive-ports", &ports]))
            .good()
            .has(&format!("[warn] passive ports {ports}: "))
            .has("ports for 32 clients (--max-clients): where all transfer at once some have to wait");
        Report::of(
            &share,
            Launch::new().flags(&["--passive-ports", &ports, "--max-clients", "1"]),
        )
        .good()
        .lacks("[warn] passive ports");
        Report::of(
            &share,
            Launch::new().flags(&["--passive-ports", "5000-5099"]),
        )
        .good()
        .has("5060 and 5061 are those of telephony");
    }

    #[test]
    fn a_range_that_is_busy_fails_and_one_that_is_half_busy_says_which() {
        let share = share();
        let (low, mut listeners) = row(4);
        let ports = range(low, 4);
        let launch = || Launch::new().flags(&["--passive-ports", &ports, "--max-clients", "2"]);
        Report::of(&share, launch())
            .bad(&[&format!(
                "passive ports {ports}: all 4 are taken by other programs: choose another range"
            )])
            .has("[warn] self-test, IPv4: PASV: not tried, since no passive port is to be had\n")
            .has("[ ok ] self-test, IPv4: PORT: ");
        listeners.truncate(2);
        Report::of(&share, launch())
            .good()
            .has(&format!(
                "[ ok ] passive ports {ports}: 2 of the first 4 are free; taken by other programs just now, and \
                 passed over: {low}-{}\n",
                low + 1
            ))
            .has("[ ok ] self-test, IPv4: PASV: ");
    }

    #[test]
    fn ports_below_1024_fail_as_passive_ports() {
        let share = share();
        // Where the kernel lets everybody have them there is nothing to find.
        let first = fs::read_to_string("/proc/sys/net/ipv4/ip_unprivileged_port_start");
        if first.is_ok_and(|first| first.trim().parse::<u16>().is_ok_and(|first| first < 1024)) {
            return skip("ports below 1024 are free for all here");
        }
        Report::of(&share, Launch::new().flags(&["--passive-ports", "600-640"]))
            .bad(&["ports below 1024 need root, which the server gives up"]);
    }

    #[test]
    fn a_bad_users_file_fails_with_its_line() {
        let share = share();
        let users = share.outside("users");
        fs::write(&users, "# users\nalice:plain\n").unwrap();
        let users = users.to_str().unwrap();
        Report::of(&share, Launch::new().flags(&["--users", users]))
            .bad(&[&format!("users: {users}:2: the hash is not $5$ or $6$")])
            .has("[ ok ] self-test, IPv4: PASV: ");
        Report::of(
            &share,
            Launch::new().flags(&["--users", "/nonexistent/users"]),
        )
        .bad(&["cannot read the users file /nonexistent/users"]);
    }

    #[test]
    fn named_users_are_stood_in_for_by_a_one_time_account() {
        let share = share();
        let users = share.outside("users");
        fs::write(&users, ALICE.replace(":rw", ":rw:/home/alice")).unwrap();
        let flags = ["--users", users.to_str().unwrap()];
        let report = Report::of(&share, Launch::new().flags(&flags))
            .good()
            .has("is read; named users only, some may write\n")
            .has("[ ok ] self-test: greeting, log-in with a one-time account, since it knows no password of yours\n")
            .has("octets uploaded, downloaded, the same, and deleted\n")
            // What the start would tell the log.
            .has("everybody on this machine can read the hashes; chmod o-r it")
            .has("[warn] /home/alice: ");
        assert!(!report.text.contains("$5$"), "{}", report.text);
        fs::write(&users, ALICE.replace(":rw", ":ro")).unwrap();
        Report::of(&share, Launch::new().flags(&flags))
            .good()
            .has("/sub/file downloaded");
    }

    #[test]
    fn what_is_switched_off_is_refused_and_not_tried() {
        let share = share();
        Report::of(&share, Launch::new().flags(&["--no-passive"]))
            .good()
            .has("[ ok ] passive mode: off (--no-passive)")
            .has("[ ok ] self-test, IPv4: PASV is refused, as --no-passive says\n")
            .has("[ ok ] self-test, IPv4: EPSV is refused, as --no-passive says\n")
            .has("[ ok ] self-test, IPv4: PORT: /sub/file")
            .has("[ ok ] self-test: ABOR: answered; nothing could be running\n");
        Report::of(&share, Launch::new().flags(&["--no-passive", "--writable"]))
            .good()
            .has("[ ok ] self-test: ABOR: an upload was broken off");
        Report::of(&share, Launch::new().flags(&["--no-active"]))
            .good()
            .has("[ ok ] self-test, IPv4: PORT is refused, as --no-active says\n")
            .has("[ ok ] self-test, IPv4: EPRT is refused, as --no-active says\n")
            .has("[ ok ] self-test, IPv4: EPSV: /sub/file")
            .lacks("active mode, only where");
        Report::of(&share, Launch::new().flags(&["--no-epsv"]))
            .good()
            .has("[ ok ] self-test, IPv4: EPSV is refused, as --no-epsv says\n")
            .has("[ ok ] self-test, IPv4: PASV: /sub/file");
    }

    #[test]
    fn port_20_is_used_where_asked_and_root_starts() {
        let share = share();
        let flags = ["--active-from-20"];
        if is_root() {
            Report::of(&share, Launch::new().flags(&flags))
                .good()
                .has("[ ok ] port 20: active data connections may leave from it\n")
                .has("octets, the same; from port 20\n");
        }
        let report = Report::of(&share, Launch::as_plain_user(&share).flags(&flags));
        if report.text.contains("[ ok ] port 20") {
            return skip("port 20 is free for all here");
        }
        report.has("[FAIL] use port 20: --active-from-20: Permission denied: start as root");
    }

    #[test]
    fn an_empty_share_is_listed_and_a_share_with_its_own_etc_is_no_way_out() {
        let share = Share::new();
        Report::of(&share, Launch::new())
            .good()
            .has("a listing of ")
            .has("no file of up to 1 MiB is there to download");
        share.write("etc/passwd", "a backup");
        Report::of(&share, Launch::new())
            .good()
            .has("RETR ../../proc/version is refused\n");
    }

    #[test]
    fn log_and_pid_file_are_tried_and_not_left_behind() {
        let share = share();
        let (log, pid) = (share.outside("log"), share.outside("pid"));
        let words = [
            "--log-file",
            log.to_str().unwrap(),
            "--pid-file",
            pid.to_str().unwrap(),
        ];
        Report::of(&share, Launch::new().flags(&words).flags(&["--daemon"]))
            .good()
            .has("log, which can be written\n")
            .has("pid can be had\n");
        assert!(!log.exists() && !pid.exists());
        fs::write(&log, "old\n").unwrap();
        let server = Server::start(&share, &words[2..]);
        server.wait_for_log("listening on");
        Report::of(&share, Launch::new().flags(&words)).bad(&["holds it; stop that one"]);
        assert_eq!(fs::read_to_string(&log).unwrap(), "old\n");
        assert!(pid.exists());
        Report::of(
            &share,
            Launch::new().flags(&["--log-file", "/nonexistent/log"]),
        )
        .bad(&["cannot open the log file /nonexistent/log"]);
    }

    #[test]
    fn under_inetd_no_port_is_bound() {
        let share = share();
        Report::of(&share, Launch::new().flags(&["--inetd"]))
            .good()
            .has("[ ok ] ports: inetd has the port");
    }

    #[test]
    fn too_few_descriptors_are_a_warning() {
        let share = share();
        let Some(limit) = program("prlimit") else {
            return;
        };
        let limit = [limit.to_str().unwrap(), "--nofile=100:100"];
        Report::of(&share, Launch::new().under(&limit))
            .good()
            .has("[warn] open files: 32 clients may need 288 open files, the system allows 100: raise it");
    }

    /// In a network of its own: an inner address, and no way out.
    fn behind_a_router(address: &str) -> Option<Launch> {
        if !is_root() {
            skip("needs root for a network namespace");
            return None;
        }
        program("ip")?;
        let script =
            format!("ip link set lo up && ip address add {address}/24 dev lo && exec \"$@\"");
        let launch = Launch::new().under(&["unshare", "-n", "sh", "-c", &script, "sh"]);
        Some(launch.listen("2121"))
    }

    #[test]
    fn behind_a_router_it_says_what_to_forward() {
        let share = share();
        let Some(launch) = behind_a_router("192.168.7.5") else {
            return;
        };
        Report::of(&share, launch)
            .good()
            .has("[ ok ] port 2121: free, at all addresses")
            .has("[ ok ] addresses: 192.168.7.5 (private)\n")
            .has(
                "[warn] from outside: 192.168.7.5 is private, so clients of this network alone reach it as it is; for \
                 others, on the router forward TCP ports 2121 and 50000-50099 to 192.168.7.5, to the same port \
                 numbers, add --passive-ports 50000-50099, and add --public-address with the router's outer IPv4 \
                 address (its status page shows it)\n",
            )
            .has("Firewall lines; they hold with --passive-ports 50000-50099 added to the flags:\n")
            .has("    uci set firewall.pocketftpd_1.src_dport='50000-50099'\n")
            .has("    uci set firewall.pocketftpd_1.dest_ip='192.168.7.5'\n");
        let launch = |address| behind_a_router(address).unwrap();
        let flags = ["--passive-ports", "40000-40063", "--public-address"];
        Report::of(
            &share,
            launch("192.168.7.5").flags(&flags).flags(&["203.0.113.7"]),
        )
        .good()
        .lacks("[warn]")
        .has(
            "[ ok ] from outside: clients are told 203.0.113.7; on the router forward TCP ports 2121 and 40000-40063 \
             to 192.168.7.5, to the same port numbers\n",
        )
        .has("[ ok ] passive ports 40000-40063: all 64 are free\n")
        .has("Firewall lines for these flags:\n");
        Report::of(
            &share,
            launch("192.168.7.5").flags(&flags).flags(&["10.0.0.1"]),
        )
        .good()
        .has("[warn] from outside: --public-address 10.0.0.1 is private itself");
        Report::of(&share, launch("192.168.7.5").flags(&["--no-passive"]))
            .good()
            .has("forward TCP ports 2121 to 192.168.7.5");
        Report::of(&share, launch("100.64.3.4").flags(&["--no-passive"]))
            .good()
            .has("[warn] from outside: 100.64.3.4 is shared among customers by the provider");
        Report::of(&share, launch("198.51.100.9"))
            .good()
            .has("[ ok ] from outside: 198.51.100.9 is public, no router has to forward anything; let in TCP ports");
    }

    #[test]
    fn the_lines_for_nftables_are_taken_by_nft() {
        let share = share();
        let (Some(launch), Some(nft)) = (behind_a_router("192.168.7.5"), program("nft")) else {
            return;
        };
        let report = Report::of(&share, launch.flags(&["--active-from-20"])).good();
        let lines = report.text.lines();
        let rules: Vec<&str> = lines
            .filter_map(|line| line.strip_prefix("    nft "))
            .collect();
        assert_eq!(
            rules,
            [
                "insert rule inet filter input tcp dport { 2121, 50000-50099 } accept",
                "insert rule inet filter output tcp sport 20 tcp dport 1024-65535 accept",
            ]
        );
        let mut script = "add table inet filter\n".to_owned();
        for chain in ["input", "output"] {
            script.push_str(&format!(
                "add chain inet filter {chain} {{ type filter hook {chain} priority 0; }}\n"
            ));
        }
        script.push_str(&rules.join("\n"));
        let mut child = Command::new("unshare")
            .arg("-n")
            .arg(nft)
            .args(["-f", "-"])
            .stdin(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        child
            .stdin
            .take()
            .unwrap()
            .write_all(script.as_bytes())
            .unwrap();
        let output = child.wait_with_output().unwrap();
        let complaint = String::from_utf8_lossy(&output.stderr).into_owned();
        if complaint.contains("Protocol not supported") || complaint.contains("netlink") {
            return skip("this kernel has no nftables");
        }
        assert!(output.status.success(), "{script}: {complaint}");
    }

    #[test]
    fn a_part_that_fails_is_told_and_what_was_uploaded_is_gone() {
        let share = share();
        // Files end after a thousand octets here, as on a disk that is full.
        let Some(limit) = program("prlimit") else {
            return;
        };
        let limit = [limit.to_str().unwrap(), "--fsize=1000"];
        let launch = Launch::new().flags(&["--writable"]).under(&limit);
        let report = Report::of(&share, launch);
        assert_eq!(report.status, Some(1), "{}", report.text);
        report
            .has("[FAIL] self-test: IPv4, PASV: STOU was answered: 552 ")
            .has("[warn] self-test: ABOR and the ways out of the share: not tried")
            .has(" things will fail: see [FAIL] above");
        assert_eq!(share.names(""), [&b"empty"[..], b"sub"]);
    }

    #[test]
    fn ctrl_c_leaves_nothing_behind() {
        let share = share();
        let mut child = Launch::new()
            .flags(&["--writable", "--check"])
            .spawn(&share);
        let pid = Pid::from_raw(i32::try_from(child.id()).unwrap());
        for _ in 0..20 {
            // Once it has ended it has nothing to hear it with.
            let _ = kill(pid, Signal::SIGINT);
            std::thread::sleep(Duration::from_millis(2));
        }
        child.wait().unwrap();
        assert_eq!(share.names(""), [&b"empty"[..], b"sub"]);
    }

    #[test]
    fn nobody_else_is_served_and_a_reader_may_leave() {
        let share = share();
        let place = format!("127.0.0.1:{}", free_port());
        let mut child = Launch::new()
            .listen(&place)
            .flags(&["--check"])
            .spawn(&share);
        let address: std::net::SocketAddr = place.parse().unwrap();
        let mut served = false;
        while child.try_wait().unwrap().is_none() {
            if let Ok(mut stream) = TcpStream::connect_timeout(&address, Duration::from_secs(1)) {
                let mut heard = String::new();
                stream
                    .set_read_timeout(Some(Duration::from_secs(1)))
                    .unwrap();
                let _ = std::io::Read::read_to_string(&mut stream, &mut heard);
                served |= heard.contains("220");
            }
        }
        assert!(!served);
        assert!(child.wait().unwrap().success());
        // Standard output is closed before the first line.
        let program = crate::common::server::PROGRAM;
        let line = format!(
            "'{program}' --share '{}' --listen 127.0.0.1:0 --writable --check >&-",
            share.top().display()
        );
        let status = Command::new("sh").args(["-c", &line]).status().unwrap();
        assert!(status.success());
    }
}
