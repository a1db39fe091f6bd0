//! After log-in no command allocates: a counting allocator watches the whole process while a client that allocates
//! nothing itself drives every verb.
//!
//! One test alone in its process, since it confines that process as the server does.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test may panic"
)]

use std::alloc::System;
use std::ffi::OsString;
use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::time::Duration;

use pocketftpd::accounts::Accounts;
use pocketftpd::cli::{self, Action};
use pocketftpd::config::Config;
use pocketftpd::logging;
use pocketftpd::sandbox;
use pocketftpd::server::{self, Server};
use pocketftpd::start::Outside;
use pocketftpd::verbs::VERBS;
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// Reads replies and data without allocating.
struct Client {
    stream: TcpStream,
    heard: Vec<u8>,
    len: usize,
}

impl Client {
    /// Says a line and reads until a last line of a reply has come; returns its code.
    fn say(&mut self, line: &[u8]) -> u16 {
        self.stream.write_all(line).unwrap();
        self.hear()
    }

    fn hear(&mut self) -> u16 {
        self.len = 0;
        loop {
            let count = self.stream.read(&mut self.heard[self.len..]).unwrap();
            assert!(count > 0, "the server hung up");
            self.len += count;
            let heard = &self.heard[..self.len];
            let last = heard[..heard.len() - 1]
                .iter()
                .rposition(|octet| *octet == b'\n')
                .map_or(0, |at| at + 1);
            let line = &heard[last..];
            if heard.ends_with(b"\n")
                && line.len() > 3
                && line[3] == b' '
                && line[..3].iter().all(u8::is_ascii_digit)
            {
                return line[..3]
                    .iter()
                    .fold(0, |code, digit| code * 10 + u16::from(digit - b'0'));
            }
        }
    }

    /// The address in the last reply to EPSV.
    fn data(&mut self) -> TcpStream {
        assert_eq!(self.say(b"EPSV\r\n"), 229);
        let heard = &self.heard[..self.len];
        let start = heard.iter().position(|octet| *octet == b'|').unwrap() + 3;
        let digits = heard[start..]
            .iter()
            .take_while(|octet| octet.is_ascii_digit());
        let port = digits.fold(0u16, |port, digit| port * 10 + u16::from(digit - b'0'));
        let mut address = self.stream.peer_addr().unwrap();
        address.set_port(port);
        TcpStream::connect(address).unwrap()
    }

    /// A transfer: `send` goes up, or what comes down is thrown away.
    fn transfer(&mut self, line: &[u8], send: &[u8]) -> u16 {
        let mut data = self.data();
        self.stream.write_all(line).unwrap();
        if send.is_empty() {
            let mut room = [0; 4096];
            while data.read(&mut room).unwrap() > 0 {}
        } else {
            data.write_all(send).unwrap();
        }
        drop(data);
        loop {
            // 150 and 226 may come in one piece, or in two.
            let code = self.hear();
            if code != 150 {
                return code;
            }
        }
    }
}

fn start(share: &Path, log: &Path) -> SocketAddr {
    let args = [
        "pocketftpd",
        "--share",
        share.to_str().unwrap(),
        "--listen",
        "127.0.0.1:0",
        "--writable",
        // High enough that nothing waits, low enough that every transfer keeps its account.
        "--limit-rate",
        "100M:100M",
    ];
    let more = ["--log-level", "debug", "--log-file", log.to_str().unwrap()];
    let medium: &[&str] = if std::env::var_os(ON_A_MEDIUM).is_some() {
        &["--removable", "--sync"]
    } else {
        &[]
    };
    let args = args.iter().chain(&more).chain(medium).map(OsString::from);
    let Ok(Action::Serve(config)) = cli::parse(args) else {
        panic!("the flags are good")
    };
    let config: Config = config;
    logging::start(&config.log).unwrap();
    let identity = sandbox::identity(&config.share, None).unwrap();
    let listeners = server::bind_all(&config).unwrap();
    let address = listeners[0].main().local_addr().unwrap();
    let accounts = Accounts::open(None, config.anonymous).unwrap();
    let (house, confined) = Outside::look(accounts, identity).confine(&config).unwrap();
    // Its threads serve until the process ends.
    Box::leak(Box::new(
        Server::open(&config, house, listeners, &confined).unwrap(),
    ));
    address
}

/// Set where this test runs once more, with its share on a medium that comes and goes.
const ON_A_MEDIUM: &str = "POCKETFTPD_TEST_ON_A_MEDIUM";

/// The same test in a process of its own, since a process is confined once, with a disk mounted as its share.
fn once_more_on_a_medium() {
    let share = std::env::temp_dir().join(format!("pocketftpd-medium-{}", std::process::id()));
    fs::create_dir_all(share.join("share")).unwrap();
    let mount = "mount -t tmpfs none \"$0/share\" && exec \"$@\"";
    let output = std::process::Command::new("unshare")
        .args(["-m", "--propagation", "private", "sh", "-c", mount])
        .arg(&share)
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", "no_verb_allocates_after_log_in", "--nocapture"])
        .env(ON_A_MEDIUM, &share)
        .output()
        .unwrap();
    fs::remove_dir_all(&share).unwrap();
    assert!(output.status.success(), "{output:?}");
}

#[test]
fn no_verb_allocates_after_log_in() {
    let place = match std::env::var_os(ON_A_MEDIUM) {
        Some(place) => place.into(),
        None => {
            if nix::unistd::Uid::effective().is_root() {
                once_more_on_a_medium();
            }
            std::env::temp_dir().join(format!("pocketftpd-allocations-{}", std::process::id()))
        }
    };
    let share = place.join("share");
    fs::create_dir_all(share.join("many")).unwrap();
    fs::write(share.join("file"), vec![b'x'; 300_000]).unwrap();
    std::os::unix::fs::symlink("file", share.join("link")).unwrap();
    for number in 0..3000 {
        fs::write(
            share.join(format!("many/a name that is not short {number}")),
            "",
        )
        .unwrap();
    }
    if nix::unistd::Uid::effective().is_root() {
        let nobody = Some(65534);
        std::os::unix::fs::chown(&share, nobody, nobody).unwrap();
        std::os::unix::fs::chown(share.join("file"), nobody, nobody).unwrap();
    }
    // From inside the share nothing outside it can be removed; a process of its own sweeps up.
    let mut sweeper = std::process::Command::new("sh")
        .args(["-c", "read ended; rm -rf \"$1\"", "sh"])
        .arg(&place)
        .stdin(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let address = start(&share, &place.join("log"));
    let stream = TcpStream::connect(address).unwrap();
    stream
        .set_read_timeout(Some(Duration::from_secs(10)))
        .unwrap();
    let mut client = Client {
        stream,
        heard: vec![0; 1 << 20],
        len: 0,
    };
    assert_eq!(client.hear(), 220);
    assert_eq!(client.say(b"USER anonymous\r\n"), 331);
    assert_eq!(client.say(b"PASS x\r\n"), 230);
    let large = vec![b'\n'; 1_000_000];
    let mut long = b"MKD ".to_vec();
    long.extend([b'n'; 250]);
    long.extend(b"\r\n");
    let mut too_long = b"CWD ".to_vec();
    too_long.extend([b'/'; 3900]);
    too_long.extend(b"\r\n");

    let region = Region::new(ALLOCATOR);
    assert_eq!(client.say(b"TYPE I\r\n"), 200);
    let transfers: [(&[u8], &[u8], u16); 13] = [
        (b"RETR file\r\n", b"", 226),
        (b"STOR up\r\n", &large, 226),
        (b"STOR small\r\n", b"small", 226),
        (b"APPE up\r\n", b"more", 226),
        (b"STOU up\r\n", b"other", 226),
        (b"LIST\r\n", b"", 226),
        (b"LIST -R\r\n", b"", 226),
        (b"LIST many\r\n", b"", 226),
        (b"NLST many/*1\r\n", b"", 226),
        (b"NLST many\r\n", b"", 226),
        (b"MLSD\r\n", b"", 226),
        (b"MLSD many\r\n", b"", 226),
        (b"RETR up\r\n", b"", 226),
    ];
    for representation in [&b"TYPE A\r\n"[..], b"TYPE I\r\n"] {
        assert_eq!(client.say(representation), 200);
        for (line, send, code) in transfers {
            assert_eq!(client.transfer(line, send), code, "{}", line.escape_ascii());
        }
    }
    for (line, code) in [
        (&b"CWD many\r\n"[..], 250),
        (b"CDUP\r\n", 200),
        (b"PWD\r\n", 257),
        (&long, 257),
        (&too_long, 250),
        (b"MKD d\r\n", 257),
        (b"RMD d\r\n", 250),
        (b"RNFR up\r\n", 350),
        (b"RNTO down\r\n", 250),
        (b"DELE down\r\n", 250),
        (b"DELE absent\r\n", 550),
        (b"SIZE file\r\n", 213),
        (b"MDTM file\r\n", 213),
        (b"MFMT 20200102030405 file\r\n", 213),
        (b"MFF UNIX.mode=0644; file\r\n", 213),
        (b"AVBL\r\n", 213),
        (b"MLST file\r\n", 250),
        (b"STAT\r\n", 211),
        (b"STAT many\r\n", 212),
        (b"STAT file\r\n", 213),
        (b"STRU F\r\n", 200),
        (b"MODE S\r\n", 200),
        (b"ALLO 1\r\n", 200),
        (b"REST 1\r\n", 350),
        (b"ABOR\r\n", 225),
        (b"PASV\r\n", 227),
        (b"PORT 127,0,0,1,200,1\r\n", 200),
        (b"EPRT |1|127.0.0.1|51201|\r\n", 200),
        (b"SYST\r\n", 215),
        (b"HELP\r\n", 214),
        (b"HELP RETR\r\n", 214),
        (b"NOOP\r\n", 200),
        (b"FEAT\r\n", 211),
        (b"OPTS UTF8 ON\r\n", 200),
        (b"OPTS MLST size;\r\n", 200),
        (b"LANG EN\r\n", 200),
        (b"CLNT x\r\n", 200),
        (b"HOST x\r\n", 503),
        (b"ACCT x\r\n", 202),
        (b"AUTH TLS\r\n", 502),
        (b"SMNT x\r\n", 502),
        (b"SITE HELP\r\n", 214),
        (b"SITE CHMOD 600 file\r\n", 200),
        (b"SITE UMASK\r\n", 200),
        (b"SITE IDLE\r\n", 200),
        (b"XPWD\r\n", 257),
        (b"XCWD many\r\n", 250),
        (b"XCUP\r\n", 200),
        (b"XMKD e\r\n", 257),
        (b"XRMD e\r\n", 250),
        (b"NONE\r\n", 500),
    ] {
        assert_eq!(client.say(line), code, "{}", line.escape_ascii());
    }
    let change = region.change();
    assert_eq!(
        (change.allocations, change.reallocations),
        (0, 0),
        "{change:?}"
    );

    // Beside log-in and goodbye nothing of the table was left out.
    let source = include_str!("allocations.rs");
    for verb in VERBS
        .iter()
        .filter(|verb| !["USER", "PASS", "REIN", "QUIT"].contains(&verb.name))
    {
        assert!(
            source.contains(&format!("b\"{}", verb.name)),
            "{} is not driven",
            verb.name
        );
    }
    drop(sweeper.stdin.take());
    sweeper.wait().unwrap();
}
