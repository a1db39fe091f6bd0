#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may panic")]
use std::num::NonZeroU32;
use std::os::unix::ffi::OsStringExt as _;

use super::*;

fn run(words: &[&str]) -> Result<Action, String> {
    parse(["pocketftpd"].iter().chain(words).map(OsString::from))
}

fn config(words: &[&str]) -> Config {
    match run(&[&["--share", "/srv"], words].concat()) {
        Ok(Action::Serve(config)) => config,
        other => panic!("{words:?}: {other:?}"),
    }
}

fn said(words: &[&str]) -> String {
    match run(words) {
        Ok(Action::Say(text)) => text,
        other => panic!("{words:?}: {other:?}"),
    }
}

#[test]
fn share_alone_is_enough_and_gives_the_defaults() {
    let config = config(&[]);
    assert_eq!(config.share, PathBuf::from("/srv"));
    assert_eq!(
        config.listen,
        [Listen {
            address: None,
            port: 21
        }]
    );
    assert_eq!(
        (config.anonymous, config.users, config.run_as),
        (Some(Rights::ReadOnly), None, None)
    );
    assert_eq!((config.max_clients, config.max_per_ip), (32, 8));
    let policy = config.policy;
    assert_eq!((policy.passive_ports, policy.public_address), (None, None));
    assert_eq!(
        (
            policy.active,
            policy.passive,
            policy.epsv,
            policy.active_from_20
        ),
        (true, true, true, false)
    );
    assert_eq!(
        (
            policy.idle_timeout.as_secs(),
            policy.login_timeout.as_secs()
        ),
        (300, 60)
    );
    assert_eq!((policy.data_timeout.as_secs(), policy.umask), (60, 0o022));
    assert_eq!(policy.banner, "pocketftpd ready");
    assert_eq!(policy.rates, Rates::default());
    assert_eq!(
        config.log,
        Log {
            level: LevelFilter::Info,
            target: LogTarget::Stderr
        }
    );
    assert_eq!(
        (config.lifetime, config.pid_file),
        (Lifetime::Foreground, None)
    );
}

#[test]
fn every_form_of_listen_is_taken() {
    let forms = [
        ("2121", None, 2121),
        ("0", None, 0),
        ("192.168.1.1:21", Some("192.168.1.1"), 21),
        ("[::1]:2121", Some("::1"), 2121),
        ("0.0.0.0:21", Some("0.0.0.0"), 21),
        ("[::]:21", Some("::"), 21),
        ("[::ffff:192.0.2.1]:21", Some("192.0.2.1"), 21),
    ];
    for (text, address, port) in forms {
        let address = address.map(|address| address.parse().unwrap());
        assert_eq!(
            config(&["--listen", text]).listen,
            [Listen { address, port }],
            "{text}"
        );
    }
    assert_eq!(config(&["--listen", "1", "--listen=2"]).listen.len(), 2);
    assert_eq!(config(&["--listen", "0", "--listen", "0"]).listen.len(), 2);
}

#[test]
fn values_reach_their_place_with_a_space_or_an_equals_sign() {
    let words = [
        ("--umask", "007"),
        ("--banner", "a = b"),
        ("--passive-ports", "5000-5010"),
        ("--public-address", "203.0.113.7"),
        ("--run-as", "ftp:users"),
        ("--max-clients", "4"),
        ("--idle-timeout", "86400"),
        ("--login-timeout", "1"),
        ("--data-timeout", "5"),
        ("--limit-rate", "500k:2M"),
        ("--log-level", "debug"),
        ("--log-file", "/var/log/ftp=log"),
        ("--pid-file", "/run/p"),
    ];
    let spaced: Vec<&str> = words
        .iter()
        .flat_map(|(flag, value)| [*flag, *value])
        .collect();
    let joined: Vec<String> = words
        .iter()
        .map(|(flag, value)| format!("{flag}={value}"))
        .collect();
    let joined: Vec<&str> = joined.iter().map(String::as_str).collect();
    let config = config(&spaced);
    assert_eq!(config, self::config(&joined));
    assert_eq!(
        (config.policy.umask, config.policy.banner.as_str()),
        (0o007, "a = b")
    );
    assert_eq!(config.policy.passive_ports, Some(5000..=5010));
    assert_eq!(
        config.policy.public_address,
        Some(Ipv4Addr::new(203, 0, 113, 7))
    );
    assert_eq!(
        config.run_as,
        Some(RunAs {
            user: "ftp".into(),
            group: Some("users".into())
        })
    );
    assert_eq!((config.max_clients, config.max_per_ip), (4, 4));
    assert_eq!(
        (
            config.policy.idle_timeout.as_secs(),
            config.policy.login_timeout.as_secs()
        ),
        (86400, 1)
    );
    assert_eq!(config.policy.data_timeout.as_secs(), 5);
    let rates = config.policy.rates;
    assert_eq!(rates.up.map(NonZeroU32::get), Some(500_000));
    assert_eq!(rates.down.map(NonZeroU32::get), Some(2_000_000));
    assert_eq!(
        (config.log.level, config.log.target),
        (
            LevelFilter::Debug,
            LogTarget::File("/var/log/ftp=log".into())
        )
    );
    assert_eq!(config.pid_file, Some("/run/p".into()));
    assert_eq!(
        self::config(&["--passive-ports", "5000"])
            .policy
            .passive_ports,
        Some(5000..=5000)
    );
}

#[test]
fn who_may_do_what_follows_from_three_flags() {
    let table: [(&[&str], Option<Rights>); 5] = [
        (&[], Some(Rights::ReadOnly)),
        (&["--writable"], Some(Rights::ReadWrite)),
        (&["--users", "u"], None),
        (&["--users", "u", "--anonymous"], Some(Rights::ReadOnly)),
        (
            &["--users", "u", "--anonymous", "--writable"],
            Some(Rights::ReadWrite),
        ),
    ];
    for (words, anonymous) in table {
        assert_eq!(config(words).anonymous, anonymous, "{words:?}");
    }
}

#[test]
fn switches_reach_their_place() {
    assert!(!config(&["--no-active"]).policy.active);
    assert!(!config(&["--no-epsv"]).policy.epsv);
    let passive = config(&["--no-passive"]).policy;
    assert_eq!(
        (passive.active, passive.passive, passive.epsv),
        (true, false, false)
    );
    assert!(config(&["--active-from-20"]).policy.active_from_20);
    assert_eq!(config(&["--inetd"]).lifetime, Lifetime::Inetd);
    assert_eq!(config(&["--syslog"]).log.target, LogTarget::Syslog);
    let daemon = config(&["--daemon"]);
    assert_eq!(
        (daemon.lifetime, daemon.log.target),
        (Lifetime::Daemon, LogTarget::Syslog)
    );
    assert_eq!(
        config(&["--daemon", "--log-file", "f"]).log.target,
        LogTarget::File("f".into())
    );
    assert_eq!(config(&[DETACHED, "--daemon"]).lifetime, Lifetime::Detached);
}

#[test]
#[rustfmt::skip] // a table is read by columns
fn every_refusal_is_one_line_that_names_flag_value_and_remedy() {
    let share = &["--share", "/srv"][..];
    let table: [(&[&str], &str); 53] = [
        (&[], "--share DIR is missing: name the directory to share"),
        (&["--share"], "--share: the value is missing"),
        (&["--share="], "--share : expected a path, not nothing"),
        (&["--share", "a", "--share", "b"], "--share b: given twice"),
        (&["--frob"], "--frob: unknown argument; --help lists the flags"),
        (&["--frob=1"], "--frob: unknown argument; --help lists the flags"),
        (&["-w"], "-w: unknown argument; --help lists the flags"),
        (&["a\nb"], "a\\x0ab: unknown argument; --help lists the flags"),
        (&["--", "--share=x"], "--share=x: unknown argument; --help lists the flags"),
        (&["--writable=yes"], "--writable yes: this flag takes no value"),
        (&["--listen", "localhost:21"], "--listen localhost:21: expected PORT, IPV4:PORT or [IPV6]:PORT, in numbers, the port up to 65535"),
        (&["--listen", "65536"], "--listen 65536: expected PORT, IPV4:PORT or [IPV6]:PORT, in numbers, the port up to 65535"),
        (&["--listen", "::1"], "--listen ::1: expected PORT, IPV4:PORT or [IPV6]:PORT, in numbers, the port up to 65535"),
        (&["--listen", "[fe80::1%2]:21"], "--listen [fe80::1%2]:21: an address with a zone cannot be listened at; use [::] instead"),
        (&["--proxy-protocol", "balancer"], "--proxy-protocol balancer: expected an address, or a network such as 192.0.2.0/24"),
        (&["--proxy-protocol", "192.0.2.0/33"], "--proxy-protocol 192.0.2.0/33: expected a length of the prefix from 0 to 32"),
        (&["--passive-ports", "0-5"], "--passive-ports 0-5: expected LO-HI with LO at least 1 and not above HI"),
        (&["--passive-ports", "6-5"], "--passive-ports 6-5: expected LO-HI with LO at least 1 and not above HI"),
        (&["--passive-ports", "a"], "--passive-ports a: expected LO-HI or one port, from 1 to 65535"),
        (&["--passive-ports", "1-70000"], "--passive-ports 1-70000: expected LO-HI or one port, from 1 to 65535"),
        (&["--public-address", "example.org"], "--public-address example.org: expected an IPv4 address in numbers, such as 203.0.113.7; names are not looked up"),
        (&["--public-address", "::1"], "--public-address ::1: expected an IPv4 address; IPv6 clients need none, they use EPSV"),
        (&["--public-address", "0.0.0.0"], "--public-address 0.0.0.0: no client can connect to this address; give the router's outer one"),
        (&["--run-as", "root"], "--run-as root: the server never serves as root; name another user, such as nobody"),
        (&["--run-as", "00:ftp"], "--run-as 00:ftp: the server never serves as root; name another user, such as nobody"),
        (&["--run-as", "ftp:"], "--run-as ftp:: expected USER or USER:GROUP, names or numbers"),
        (&["--run-as", ":ftp"], "--run-as :ftp: expected USER or USER:GROUP, names or numbers"),
        (&["--idle-timeout", "0"], "--idle-timeout 0: expected whole seconds from 1 to 86400"),
        (&["--login-timeout", "1.5"], "--login-timeout 1.5: expected whole seconds from 1 to 86400"),
        (&["--data-timeout", "86401"], "--data-timeout 86401: expected whole seconds from 1 to 86400"),
        (&["--max-clients", "0"], "--max-clients 0: expected a number from 1 to 10000"),
        (&["--max-clients", "+5"], "--max-clients +5: expected a number from 1 to 10000"),
        (&["--max-clients", "99999999999999999999"], "--max-clients 99999999999999999999: expected a number from 1 to 10000"),
        (&["--umask", "088"], "--umask 088: expected octal digits from 0 to 777, such as 022"),
        (&["--umask", "1000"], "--umask 1000: expected octal digits from 0 to 777, such as 022"),
        (&["--umask", "+22"], "--umask +22: expected octal digits from 0 to 777, such as 022"),
        (&["--limit-rate", "2M"], "--limit-rate 2M: expected UP:DOWN, such as 500k:2M, or :2M for the way down alone; a rate is 0 for no limit, or octets a second from 1k to 1000M, where k is 1000 and M is 1000000"),
        (&["--limit-rate", "999:0"], "--limit-rate 999:0: a rate is 0 for no limit, or octets a second from 1k to 1000M, where k is 1000 and M is 1000000"),
        (&["--limit-rate", "1M:1.5M"], "--limit-rate 1M:1.5M: a rate is 0 for no limit, or octets a second from 1k to 1000M, where k is 1000 and M is 1000000"),
        (&["--limit-rate", ""], "--limit-rate : expected UP:DOWN, such as 500k:2M, or :2M for the way down alone; a rate is 0 for no limit, or octets a second from 1k to 1000M, where k is 1000 and M is 1000000"),
        (&["--banner", "a\r\nb"], "--banner a\\x0d\\x0ab: expected one line of 1 to 200 printable ASCII characters"),
        (&["--banner", "it's: ': \n"], "--banner it's: ': \\x0a: expected one line of 1 to 200 printable ASCII characters"),
        (&["--banner", ""], "--banner : expected one line of 1 to 200 printable ASCII characters"),
        (&["--log-level", "INFO"], "--log-level INFO: expected off, error, warn, info, debug or trace"),
        (&["--max-per-ip", "33"], "--max-per-ip 33: at most --max-clients, which is 32"),
        (&["--listen", "21", "--listen", "21"], "--listen 21: given twice"),
        (&["--listen", "[::1]:2121", "--passive-ports", "2000-3000"], "--passive-ports 2000-3000: contains the port of --listen [::1]:2121, leave it out of the range"),
        (&["--syslog", "--log-file", "f"], "--syslog and --log-file exclude each other: choose one place for the log"),
        (&["--daemon", "--inetd"], "--daemon and --inetd exclude each other: inetd is the daemon"),
        (&["--inetd", "--pid-file", "f"], "--pid-file and --inetd exclude each other: there is one process a client"),
        (&["--no-active", "--no-passive"], "--no-active and --no-passive together leave no way to open a data connection: drop one"),
        (&["--no-active", "--active-from-20"], "--active-from-20 and --no-active exclude each other: drop one"),
        (&["--users", "u", "--writable"], "--writable is about anonymous clients, whom --users shuts out; add --anonymous or give rights in the users file"),
    ];
    for (words, expected) in table {
        let about_share = words.first().is_none_or(|word| word.starts_with("--share"));
        let words = if about_share { words.to_vec() } else { [share, words].concat() };
        assert_eq!(run(&words), Err(expected.to_owned()), "{words:?}");
    }
}

#[test]
fn an_argument_that_is_not_text_is_named() {
    let args = [
        OsString::from("p"),
        OsString::from_vec(b"--share=/a\xff\n".to_vec()),
    ];
    assert_eq!(
        parse(args),
        Err(r"argument --share=/a\xff\n: not UTF-8; rename what it names".to_owned())
    );
}

#[test]
fn version_help_and_hash_need_no_share() {
    assert_eq!(
        said(&["--version"]),
        concat!("pocketftpd ", env!("CARGO_PKG_VERSION"), "\n")
    );
    assert_eq!(run(&["--hash-password"]), Ok(Action::HashPassword));
    assert_eq!(said(&["--help"]), said(&["--writable", "--help", "--frob"]));
    assert!(run(&[]).is_err());
}

#[test]
fn check_takes_the_flags_of_a_start() {
    let words = ["--share", "/srv", "--listen", "2121", "--daemon"];
    let start = match run(&words) {
        Ok(Action::Serve(config)) => config,
        other => panic!("{other:?}"),
    };
    let checked = run(&[&words[..], &["--check"]].concat());
    assert_eq!(checked, Ok(Action::Check(start)));
    assert!(run(&["--check"]).unwrap_err().contains("--share DIR"));
    assert!(run(&["--share", "/srv", "--check", "--daemon", "--inetd"]).is_err());
}

#[test]
fn the_help_names_each_flag_on_a_narrow_line() {
    let help = said(&["--help"]);
    assert!(help.lines().all(|line| line.len() <= 80), "{help}");
    assert!(!help.contains(DETACHED), "{help}");
    assert!(
        help.ends_with('\n') && help.starts_with("Usage: pocketftpd --share DIR"),
        "{help}"
    );
    let flags = "share listen writable users anonymous run-as passive-ports public-address proxy-protocol active-from-20 no-active \
                 no-passive no-epsv max-clients max-per-ip idle-timeout login-timeout data-timeout limit-rate umask banner \
                 log-level log-file syslog daemon pid-file inetd check hash-password version help";
    for flag in flags.split_whitespace() {
        assert!(help.contains(&format!("\n  --{flag} ")), "--{flag}: {help}");
    }
}
