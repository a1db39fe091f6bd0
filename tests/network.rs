//! Data connections through NAT and firewalls, with other people's clients on real hosts: network namespaces of the
//! kernel, veth pairs and nftables.  As root; a printed SKIP elsewhere.
//!
//! 203.0.113.0/24 and 198.51.100.0/24 (RFC 5737) are the internet here, 192.168.1.0/24 is somebody's home.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a test may panic, and says what it saw (--nocapture)"
)]

mod common;

mod network {
    pub mod lab;
    pub mod slow;
    pub mod uci;
    pub mod user;
}

use std::net::TcpStream;
use std::time::{Duration, Instant};

use common::client::drain;
use common::{Data, Mode, Share, assert_same_octets, noise, skip};
use network::lab::{self, Host, Lab};
use network::slow::{Wire, round_trip};
use network::uci;
use network::user::{FILE, User};

fn furnished() -> (Share, Vec<u8>) {
    let (share, octets) = (Share::new(), noise(300_000));
    share.write(FILE, &octets);
    (share, octets)
}

/// The data timeout of the servers here, and what a loaded machine may add.
const IN_TIME: Duration = Duration::from_secs(5);

// 1. nothing in the way

#[test]
fn on_a_flat_network_each_client_fetches_and_stores_over_ipv4_and_ipv6() {
    let Some(lab) = Lab::open() else { return };
    let (server, client) = (lab.host("server"), lab.host("client"));
    lab.link(
        &server,
        "192.168.1.2/24 fd00:1::2/64",
        &client,
        "192.168.1.3/24 fd00:1::3/64",
    );
    let (share, octets) = furnished();
    let running = server.serve(&share, &[]);
    let user = User::of(&client);

    let v4: [(&[&str], &str); 4] = [
        (&[], "> EPSV"),
        (&["--disable-epsv"], "> PASV"),
        (&["-P", "-"], "> EPRT |1|192.168.1.3|"),
        (&["-P", "-", "--disable-eprt"], "> PORT 192,168,1,3,"),
    ];
    let v6: [(&[&str], &str); 2] = [(&[], "> EPSV"), (&["-P", "-"], "> EPRT |2|fd00:1::3|")];
    for (address, ways) in [("192.168.1.2", &v4[..]), ("[fd00:1::2]", &v6[..])] {
        for (flags, verb) in ways {
            let Some(visit) = user.curl(address, flags) else {
                return;
            };
            visit.fetched(&octets).with(verb);
            let visit = user.curl_stores(address, "up.bin", &octets, flags).unwrap();
            visit.stored();
            common::assert_same_octets(&share.read("up.bin"), &octets);
            std::fs::remove_file(share.path("up.bin")).unwrap();
        }
        for passive in ["ftp:passive-mode on", "ftp:passive-mode off"] {
            let Some(visit) = user.lftp(address, &[passive]) else {
                return;
            };
            visit.fetched(&octets);
        }
        for mode in ["-p", "-A"] {
            let Some(visit) = user.tnftp(address, &[mode]) else {
                return;
            };
            visit.fetched(&octets);
        }
    }
    // A dual-stack listener knows its clients by their IPv4 addresses.
    assert!(running.log().iter().all(|line| !line.contains("::ffff:")));
}

#[test]
fn a_firewall_that_knows_port_20_only_is_passed_with_active_from_20() {
    let Some(lab) = Lab::open() else { return };
    let (server, client) = (lab.host("server"), lab.host("client"));
    lab.link(
        &server,
        "192.168.1.2/24 fd00:1::2/64",
        &client,
        "192.168.1.3/24 fd00:1::3/64",
    );
    // No state: what comes in must come from FTP's two ports.
    client.nft(
        "table inet stateless { chain input { type filter hook input priority 0; policy drop;
           iif lo accept; meta l4proto ipv6-icmp accept; tcp sport { 20, 21 } accept; }; }",
    );
    let (share, octets) = furnished();
    let user = User::of(&client);
    {
        let running = server.serve(&share, &["--active-from-20"]);
        for address in ["192.168.1.2", "[fd00:1::2]"] {
            // Twice: the first connection from port 20 is not forgotten yet when the second is made.
            for _ in 0..2 {
                let Some(visit) = user.curl(address, &["-P", "-"]) else {
                    return;
                };
                visit.fetched(&octets);
            }
            let Some(visit) = user.lftp(address, &["ftp:passive-mode off"]) else {
                return;
            };
            visit.fetched(&octets);
        }
        drop(running);
    }
    let running = server.serve(&share, &[]);
    let Some(visit) = user.curl("192.168.1.2", &["-P", "-"]) else {
        return;
    };
    visit.failed().within(IN_TIME).with("< 425 ");
    running.wait_for_log("cannot connect to 192.168.1.3:");
}

// 2. the client is behind a NAT that knows nothing of FTP

const SERVER: &str = "203.0.113.10";

/// A server on the internet; a client at home, behind a router that masquerades and lets nothing in.
fn client_at_home(lab: &Lab) -> (Host, Host, Host) {
    let (server, router, client) = (lab.host("server"), lab.router("router"), lab.host("client"));
    lab.link(&server, "203.0.113.10/24", &router, "203.0.113.1/24");
    lab.link(&router, "192.168.1.1/24", &client, "192.168.1.3/24");
    client.ip("route add default via 192.168.1.1");
    router.nft(
        "table inet router {
           chain leaving { type nat hook postrouting priority srcnat; oifname server masquerade; };
           chain forward { type filter hook forward priority filter; policy drop;
             ct state established,related accept; iifname client accept; };
           chain input { type filter hook input priority filter; policy drop;
             ct state established,related accept; iifname client accept; };
         }",
    );
    (server, router, client)
}

#[test]
fn behind_a_nat_active_mode_is_refused_in_words_and_passive_mode_works() {
    let Some(lab) = Lab::open() else { return };
    let (server, router, client) = client_at_home(&lab);
    let (share, octets) = furnished();
    let running = server.serve(&share, &[]);
    let user = User::of(&client);

    // Most clients name the address that they know, which is not the one that they come from.
    let mut by_hand = user.client("203.0.113.10:21");
    for line in ["PORT 192,168,1,3,195,80", "EPRT |1|192.168.1.3|50000|"] {
        let refusal = by_hand.say(line).hear(501).text();
        assert!(
            refusal.contains("NAT") && refusal.contains("passive mode"),
            "{refusal}"
        );
    }
    // A client that knows the router's address names that; the router lets nothing in.
    by_hand.say("PORT 203,0,113,1,195,80").hear(200);
    let began = Instant::now();
    let refusal = by_hand.say(format!("RETR {FILE}")).hear(425).text();
    assert!(began.elapsed() < IN_TIME);
    assert!(
        refusal.contains("NAT") && refusal.contains("passive mode"),
        "{refusal}"
    );
    let logged = running.wait_for_log("cannot connect to 203.0.113.1:50000");
    assert!(
        logged.contains("NAT") && logged.contains("passive mode"),
        "{logged}"
    );
    // A router that rejects is no different.
    router.nft("add rule inet router input tcp dport 50000 reject with tcp reset");
    by_hand.say("EPRT |1|203.0.113.1|50000|").hear(200);
    let refusal = by_hand.say(format!("RETR {FILE}")).hear(425).text();
    assert!(
        refusal.contains("NAT") && refusal.contains("passive mode"),
        "{refusal}"
    );
    running.wait_for_log("203.0.113.1:50000 refuses the data connection");
    println!("{}{:#?}", by_hand.dialogue(), running.log());

    // The session is as good as before, by passive mode.
    let mut by_hand = by_hand.by(Mode::Pasv);
    assert_same_octets(&client.at(|| by_hand.get(FILE)), &octets);

    let curl = |flags: &[&str]| user.curl(SERVER, flags);
    let Some(visit) = curl(&["-P", "-"]) else {
        return;
    };
    visit
        .failed()
        .within(IN_TIME)
        .with("> EPRT ")
        .with("> PORT ")
        .with("passive mode");
    curl(&[]).unwrap().fetched(&octets).with("> EPSV");
    curl(&["--disable-epsv"])
        .unwrap()
        .fetched(&octets)
        .with("> PASV");
    let lftp = |settings: &[&str]| user.lftp(SERVER, settings);
    let Some(visit) = lftp(&[]) else { return };
    visit.fetched(&octets);
    // lftp turns to passive mode by itself when its own address is refused.
    lftp(&["ftp:passive-mode off", "ftp:auto-passive-mode on"])
        .unwrap()
        .fetched(&octets)
        .with("---> PORT 192,168,1,3,")
        .with("---> PASV");
    let Some(visit) = user.tnftp(SERVER, &["-A"]) else {
        return;
    };
    visit.failed().within(IN_TIME);
    let visit = user.tnftp(SERVER, &[]).unwrap();
    visit.fetched(&octets);
}

// 3. the client's router has an FTP helper

#[test]
fn a_nat_with_an_ftp_helper_passes_active_and_passive_mode() {
    let Some(lab) = Lab::open() else { return };
    let (server, router, client) = client_at_home(&lab);
    if let Err(why) = lab::ftp_helper(&router) {
        return skip(&why);
    }
    // Of the client's own connections only those to port 21 pass, so that the helper must understand every way.
    router.nft(
        "flush chain inet router forward
         table inet router {
           ct helper ftp { type \"ftp\" protocol tcp; };
           chain forward { tcp dport 21 ct helper set \"ftp\";
             ct state established,related accept; iifname client tcp dport 21 accept; };
         }",
    );
    let (share, octets) = furnished();
    let running = server.serve(&share, &[]);
    let user = User::of(&client);
    let ways: [&[&str]; 4] = [
        &[],
        &["--disable-epsv"],
        &["-P", "-"],
        &["-P", "-", "--disable-eprt"],
    ];
    for flags in ways {
        let Some(visit) = user.curl(SERVER, flags) else {
            return;
        };
        visit.fetched(&octets).within(IN_TIME);
        let visit = user.curl_stores(SERVER, "up.bin", &octets, flags).unwrap();
        visit.stored();
        assert_same_octets(&share.read("up.bin"), &octets);
        std::fs::remove_file(share.path("up.bin")).unwrap();
    }
    for passive in ["ftp:passive-mode on", "ftp:passive-mode off"] {
        let Some(visit) = user.lftp(SERVER, &[passive]) else {
            return;
        };
        visit.fetched(&octets).within(IN_TIME);
    }
    for mode in ["-p", "-A"] {
        let Some(visit) = user.tnftp(SERVER, &[mode]) else {
            return;
        };
        visit.fetched(&octets).within(IN_TIME);
    }
    assert!(running.log().iter().all(|line| !line.contains(" WARN ")));
}

// 4. the server is behind a NAT

/// A server and a neighbour at home, a router that forwards port 21 and a range to the server and masquerades what
/// comes from home (also what comes back home: the hairpin), and a client on the internet.
fn server_at_home(lab: &Lab) -> [Host; 4] {
    let (server, neighbour) = (lab.host("server"), lab.host("neighbour"));
    let (router, client) = (lab.router("router"), lab.host("client"));
    lab.link(&router, "", &server, "192.168.1.2/24");
    lab.link(&router, "", &neighbour, "192.168.1.3/24");
    router.ip("link add home type bridge");
    // What stays at home does not pass the router's firewall, as on any router.
    router.at(|| std::fs::write("/proc/sys/net/bridge/bridge-nf-call-iptables", "0").ok());
    router.ip("link set server master home");
    router.ip("link set neighbour master home");
    router.ip("address add 192.168.1.1/24 dev home");
    router.ip("link set home up");
    for host in [&server, &neighbour] {
        host.ip("route add default via 192.168.1.1");
    }
    lab.link(&router, "203.0.113.1/24", &client, "203.0.113.50/24");
    router.nft(
        "table ip router {
           chain arriving { type nat hook prerouting priority dstnat;
             ip daddr 203.0.113.1 tcp dport { 21, 50000-50009 } dnat to 192.168.1.2; };
           chain leaving { type nat hook postrouting priority srcnat;
             oifname client masquerade; ip saddr 192.168.1.0/24 ct status dnat masquerade; };
           chain forward { type filter hook forward priority filter; policy drop;
             ct state established,related accept; ct status dnat accept; iifname home accept; };
         }",
    );
    [server, neighbour, router, client]
}

const ROUTER: &str = "203.0.113.1";
/// Takes the address of 227 at its word, as many clients do.
const STRICT: [&str; 4] = [
    "--disable-epsv",
    "--no-ftp-skip-pasv-ip",
    "--connect-timeout",
    "1",
];

#[test]
fn a_server_behind_a_nat_says_in_its_log_that_it_wants_public_address() {
    let Some(lab) = Lab::open() else { return };
    let [server, _, router, client] = server_at_home(&lab);
    let (share, octets) = furnished();
    let user = User::of(&client);
    {
        let running = server.serve(&share, &["--passive-ports", "50000-50009"]);
        // A client that says what it wants before it has connected hears why it does not get it.
        let mut by_hand = user.client("203.0.113.1:21");
        let line = by_hand.say("PASV").hear(227).line();
        assert!(
            line.starts_with("227 Entering Passive Mode (192,168,1,2,195,8"),
            "{line}"
        );
        let began = Instant::now();
        let refusal = by_hand.say(format!("RETR {FILE}")).hear(425).text();
        assert!(began.elapsed() < IN_TIME);
        assert!(refusal.contains("50000-50009"), "{refusal}");
        let logged = running.wait_for_log("within 2 s");
        for words in [
            "50000-50009",
            "private address 192.168.1.2",
            "--public-address",
        ] {
            assert!(logged.contains(words), "no {words:?}: {logged}");
        }
        // One that connects first says nothing at all; the log does.
        let Some(visit) = user.curl(ROUTER, &STRICT) else {
            return;
        };
        visit.failed().within(IN_TIME).with("> PASV");
        let logged = running.wait_for_log("gave it up");
        for words in [
            "50000-50009",
            "private address 192.168.1.2",
            "--public-address",
        ] {
            assert!(logged.contains(words), "no {words:?}: {logged}");
        }
        // Those that distrust a private address get the file even so.
        user.curl(ROUTER, &[])
            .unwrap()
            .fetched(&octets)
            .with("> EPSV");
        user.curl(ROUTER, &["--disable-epsv"])
            .unwrap()
            .fetched(&octets)
            .with("> PASV");
        let Some(visit) = user.lftp(ROUTER, &[]) else {
            return;
        };
        visit.fetched(&octets);
        println!("{}{:#?}", by_hand.dialogue(), running.log());
    }
    // Only port 21 is forwarded, and no flag is given: the log names both flags.
    router.nft("flush chain ip router arriving; add rule ip router arriving ip daddr 203.0.113.1 tcp dport 21 dnat to 192.168.1.2");
    let running = server.serve(&share, &[]);
    let visit = user.curl(ROUTER, &["--connect-timeout", "1"]).unwrap();
    visit.failed().within(IN_TIME);
    let logged = running.wait_for_log("gave it up");
    for words in [
        "--passive-ports LO-HI",
        "forward it on the router",
        "--public-address",
    ] {
        assert!(logged.contains(words), "no {words:?}: {logged}");
    }
    println!("{logged}");
}

#[test]
fn with_a_public_address_and_a_range_a_server_behind_a_nat_serves_outside_and_inside() {
    let Some(lab) = Lab::open() else { return };
    let [server, neighbour, _router, client] = server_at_home(&lab);
    let (share, octets) = furnished();
    let flags = ["--passive-ports", "50000-50009", "--public-address", ROUTER];
    let running = server.serve(&share, &flags);

    let outside = User::of(&client);
    let line = outside
        .client("203.0.113.1:21")
        .say("PASV")
        .hear(227)
        .line();
    assert!(
        line.starts_with("227 Entering Passive Mode (203,0,113,1,195,8"),
        "{line}"
    );
    let Some(visit) = outside.curl(ROUTER, &STRICT) else {
        return;
    };
    visit.fetched(&octets);
    outside.curl(ROUTER, &[]).unwrap().fetched(&octets);
    // Out is no trouble for active mode.
    outside.curl(ROUTER, &["-P", "-"]).unwrap().fetched(&octets);
    let Some(visit) = outside.lftp(ROUTER, &["ftp:fix-pasv-address no"]) else {
        return;
    };
    visit.fetched(&octets);
    let Some(visit) = outside.tnftp(ROUTER, &[]) else {
        return;
    };
    visit.fetched(&octets);

    let inside = User::of(&neighbour);
    let line = inside.client("192.168.1.2:21").say("PASV").hear(227).line();
    assert!(
        line.starts_with("227 Entering Passive Mode (192,168,1,2,195,8"),
        "{line}"
    );
    inside
        .curl("192.168.1.2", &STRICT)
        .unwrap()
        .fetched(&octets);
    inside
        .curl("192.168.1.2", &["-P", "-"])
        .unwrap()
        .fetched(&octets);
    inside
        .lftp("192.168.1.2", &["ftp:fix-pasv-address no"])
        .unwrap()
        .fetched(&octets);
    // By the public name from home: the router turns it back, and the server sees the router's own address.
    inside
        .curl(ROUTER, &[])
        .unwrap()
        .fetched(&octets)
        .with("> EPSV");
    inside
        .curl(ROUTER, &["--disable-epsv"])
        .unwrap()
        .fetched(&octets);
    inside.lftp(ROUTER, &[]).unwrap().fetched(&octets);
    // What cannot work: a client that takes 227 at its word goes straight to the server then, and comes from another
    // address than its control connection does. It is not let in, and the log says who it was.
    let visit = inside.curl(ROUTER, &STRICT).unwrap();
    visit.failed().within(IN_TIME).with("< 425 ");
    running.wait_for_log("a stranger, 192.168.1.3:");
}

// 5. the server's own firewall

#[test]
fn a_server_firewall_that_lets_21_in_only_is_named_with_the_range_to_open() {
    let Some(lab) = Lab::open() else { return };
    let (server, client) = (lab.host("server"), lab.host("client"));
    lab.link(&server, "203.0.113.10/24", &client, "203.0.113.50/24");
    server.nft(
        "table inet fw { chain input { type filter hook input priority filter; policy drop;
           iif lo accept; ct state established,related accept; tcp dport 21 accept; }; }",
    );
    let (share, octets) = furnished();
    let user = User::of(&client);
    let running = server.serve(&share, &["--passive-ports", "50000-50009"]);

    let mut by_hand = user.client("203.0.113.10:21");
    for (verb, code) in [("PASV", 227), ("EPSV", 229)] {
        by_hand.say(verb).hear(code);
        let began = Instant::now();
        let refusal = by_hand.say(format!("RETR {FILE}")).hear(425).text();
        assert!(began.elapsed() < IN_TIME, "{:?}", began.elapsed());
        assert!(refusal.contains("TCP ports 50000-50009"), "{refusal}");
    }
    running.wait_for_logs("open TCP ports 50000-50009 in the firewall", 2);
    println!("{}{:#?}", by_hand.dialogue(), running.log());
    assert!(
        running
            .log()
            .iter()
            .all(|line| !line.contains("--public-address"))
    );

    // Active mode works; that is what this session does, and what clients do.
    let mut by_hand = by_hand.by(Mode::Port);
    assert_same_octets(&client.at(|| by_hand.get(FILE)), &octets);
    let Some(visit) = user.curl(SERVER, &["-P", "-"]) else {
        return;
    };
    visit.fetched(&octets);
    let Some(visit) = user.lftp(SERVER, &["ftp:passive-mode off"]) else {
        return;
    };
    visit.fetched(&octets);
    let visit = user.curl(SERVER, &["--connect-timeout", "1"]).unwrap();
    visit.failed().within(IN_TIME);
    running.wait_for_log("before the client gave it up: open TCP ports 50000-50009");

    // What the log says is what helps.
    server.nft("add rule inet fw input tcp dport 50000-50009 accept");
    user.curl(SERVER, &STRICT).unwrap().fetched(&octets);
    user.curl(SERVER, &[]).unwrap().fetched(&octets);
}

// 6. the client's own firewall

#[test]
fn a_client_firewall_that_drops_ends_active_mode_with_425_in_time() {
    let Some(lab) = Lab::open() else { return };
    let (server, client) = (lab.host("server"), lab.host("client"));
    lab.link(
        &server,
        "203.0.113.10/24 2001:db8::10/64",
        &client,
        "203.0.113.50/24 2001:db8::50/64",
    );
    client.nft(
        "table inet fw { chain input { type filter hook input priority filter; policy drop;
           iif lo accept; meta l4proto ipv6-icmp accept; ct state established,related accept; }; }",
    );
    let (share, octets) = furnished();
    let user = User::of(&client);
    let running = server.serve(&share, &[]);
    for address in [SERVER, "[2001:db8::10]"] {
        let Some(visit) = user.curl(address, &["-P", "-"]) else {
            return;
        };
        visit
            .failed()
            .within(IN_TIME)
            .with("< 425 Cannot connect to you: a NAT or firewall on your side")
            .with("use passive mode");
        user.curl(address, &[]).unwrap().fetched(&octets);
    }
    running.wait_for_logs(
        "a NAT or firewall on the client's side may be in the way",
        2,
    );
    // What waits for a data connection can be ended, and the session goes on.
    let mut by_hand = user.client("203.0.113.10:21").by(Mode::Port);
    let _listener = client.at(|| by_hand.port());
    let began = Instant::now();
    by_hand.say(format!("RETR {FILE}"));
    by_hand.say("ABOR");
    by_hand.hear(426);
    by_hand.hear(226);
    assert!(began.elapsed() < Duration::from_secs(1));
    let Some(visit) = user.tnftp(SERVER, &["-A"]) else {
        return;
    };
    visit.failed().within(IN_TIME);
}

// 7. two uplinks

#[test]
fn with_two_uplinks_data_uses_the_address_that_the_control_connection_came_to() {
    let Some(lab) = Lab::open() else { return };
    let (server, client) = (lab.host("server"), lab.host("client"));
    let (first, second) = (lab.router("first"), lab.router("second"));
    lab.link(&first, "203.0.113.1/24", &server, "203.0.113.10/24");
    lab.link(&second, "198.51.100.1/24", &server, "198.51.100.10/24");
    lab.link(&first, "192.0.2.1/25", &client, "192.0.2.50/25");
    lab.link(&second, "192.0.2.129/25", &client, "192.0.2.150/25");
    // The server answers over the uplink that it was asked by; the first is its default.
    server.ip("route add default via 203.0.113.1");
    server.ip("route add default via 198.51.100.1 table 100");
    server.ip("rule add from 198.51.100.10 table 100");
    client.ip("route add 203.0.113.0/24 via 192.0.2.1");
    client.ip("route add 198.51.100.0/24 via 192.0.2.129");
    // No provider lets the other's addresses out.
    for (router, network) in [(&first, "203.0.113.0/24"), (&second, "198.51.100.0/24")] {
        router.nft(&format!(
            "table ip provider {{ chain forward {{ type filter hook forward priority filter;
               iifname server ip saddr != {network} drop; }}; }}"
        ));
    }
    let (share, octets) = furnished();
    let running = server.serve(&share, &["--active-from-20"]);
    let user = User::of(&client);
    for (address, other) in [(SERVER, SECOND), (SECOND, SERVER)] {
        for flags in [
            &STRICT[..],
            &[],
            &["-P", "-"],
            &["-P", "-", "--disable-eprt"],
        ] {
            let Some(visit) = user.curl(address, flags) else {
                return;
            };
            visit.fetched(&octets);
        }
        for passive in ["ftp:passive-mode on", "ftp:passive-mode off"] {
            let Some(visit) = user.lftp(address, &[passive]) else {
                return;
            };
            visit.fetched(&octets);
        }
        let mut by_hand = user.client(&format!("{address}:21"));
        let passive = by_hand.pasv();
        assert_eq!(passive.ip().to_string(), address);
        let elsewhere = format!("{other}:{}", passive.port()).parse().unwrap();
        client.at(|| {
            // Nobody listens at the other address; the one that was named is listened at.
            assert!(TcpStream::connect_timeout(&elsewhere, IN_TIME).is_err());
            TcpStream::connect_timeout(&passive, IN_TIME).unwrap();
            let listener = by_hand.port();
            by_hand.say(format!("RETR {FILE}")).hear(150);
            let mut data = Data::Active(listener).stream();
            assert_eq!(
                data.peer_addr().unwrap().to_string(),
                format!("{address}:20")
            );
            assert_same_octets(&drain(&mut data), &octets);
            by_hand.hear(226);
        });
    }
    assert!(running.log().iter().all(|line| !line.contains(" WARN ")));
}

const SECOND: &str = "198.51.100.10";

// 8. a firewall that has never heard of EPSV

#[test]
fn a_firewall_that_knows_pasv_only_is_passed_with_no_epsv() {
    let Some(lab) = Lab::open() else { return };
    let (server, router, client) = (lab.host("server"), lab.router("router"), lab.host("client"));
    lab.link(&server, "203.0.113.10/24", &router, "203.0.113.1/24");
    lab.link(&router, "198.51.100.1/24", &client, "198.51.100.50/24");
    server.ip("route add default via 203.0.113.1");
    client.ip("route add default via 198.51.100.1");
    // "227 " behind a TCP header with time stamps lets the client that is told so through, once.
    router.nft(
        "table ip router {
           set told { type ipv4_addr; flags dynamic; timeout 10s; };
           chain forward { type filter hook forward priority filter; policy drop;
             tcp sport 21 tcp doff 8 @th,256,32 0x32323720 add @told { ip daddr };
             ct state established,related accept; tcp dport 21 accept;
             ip saddr @told tcp dport 50000-50009 delete @told { ip saddr } accept; };
         }",
    );
    let (share, octets) = furnished();
    let user = User::of(&client);
    let patient = ["--connect-timeout", "2"];
    {
        // What clients do when the port of 229 cannot be reached.
        let running = server.serve(&share, &["--passive-ports", "50000-50009"]);
        let Some(visit) = user.curl(SERVER, &patient) else {
            return;
        };
        println!("curl: {}", visit.told());
        let visit = user
            .curl(SERVER, &[&patient[..], &["--disable-epsv"]].concat())
            .unwrap();
        visit.fetched(&octets);
        let Some(visit) = user.lftp(
            SERVER,
            &["ftp:prefer-epsv on", "net:timeout 2", "net:max-retries 1"],
        ) else {
            return;
        };
        println!("lftp, told to prefer EPSV: {}", visit.told());
        user.lftp(SERVER, &[])
            .unwrap()
            .fetched(&octets)
            .with("---> PASV");
        let Some(visit) = user.tnftp(SERVER, &["-q", "2"]) else {
            return;
        };
        println!("tnftp: {}", visit.told());
        router.nft("add rule ip router forward tcp dport 50000-50009 reject with tcp reset");
        let visit = user.curl(SERVER, &patient).unwrap();
        println!("curl, the port rejected: {}", visit.told());
        println!("{:#?}", running.log());
    }
    let running = server.serve(&share, &["--passive-ports", "50000-50009", "--no-epsv"]);
    user.curl(SERVER, &patient)
        .unwrap()
        .fetched(&octets)
        .within(IN_TIME)
        .with("> PASV");
    user.lftp(SERVER, &["ftp:prefer-epsv on"])
        .unwrap()
        .fetched(&octets)
        .within(IN_TIME);
    user.tnftp(SERVER, &[])
        .unwrap()
        .fetched(&octets)
        .within(IN_TIME);
    let mut by_hand = user.client("203.0.113.10:21");
    by_hand.say("EPSV").hear_any();
    let features = by_hand.say("FEAT").hear(211).inner();
    assert!(
        !features.iter().any(|line| line.contains("EPSV")),
        "{features:?}"
    );
    println!("{}", by_hand.dialogue());
    assert!(
        running
            .log()
            .iter()
            .all(|line| !line.contains("no data connection"))
    );
}

// 10. a long way

const HALF_A_TRIP: Duration = Duration::from_millis(50);

#[test]
fn over_a_long_way_deadlines_hold() {
    let Some(lab) = Lab::open() else { return };
    let (server, client) = (lab.host("server"), lab.host("client"));
    let ends = [(&server, "203.0.113.10/24"), (&client, "203.0.113.50/24")];
    let Some(_wire) = Wire::between(&lab, ends, HALF_A_TRIP) else {
        return;
    };
    let (share, octets) = furnished();
    share.write_sparse("large.bin", 1 << 30);
    let running = server.serve(&share, &["--idle-timeout", "2"]);
    round_trip(&client, "203.0.113.10:21"); // with the question for the link's address
    let trip = round_trip(&client, "203.0.113.10:21");
    assert!(
        trip >= 2 * HALF_A_TRIP && trip < 5 * HALF_A_TRIP,
        "{trip:?}"
    );

    let mut by_hand = User::of(&client).client("203.0.113.10:21");
    let in_two_seconds = |began: Instant| {
        let took = began.elapsed();
        assert!(
            took > Duration::from_millis(1900) && took < IN_TIME,
            "{took:?}"
        );
    };
    // A passive port that nobody comes to.
    by_hand.say("PASV").hear(227);
    let began = Instant::now();
    by_hand.say(format!("RETR {FILE}")).hear(425);
    in_two_seconds(began);
    // ABOR in the middle of a transfer, and the next one whole.
    client.at(|| {
        let data = by_hand.data();
        by_hand.say("RETR large.bin").hear(150);
        let began = Instant::now();
        by_hand.say("ABOR");
        by_hand.hear(426);
        by_hand.hear(226);
        assert!(
            began.elapsed() < Duration::from_secs(1),
            "{:?}",
            began.elapsed()
        );
        drop(data);
        assert_same_octets(&by_hand.get(FILE), &octets);
    });
    // Nothing said for too long.
    by_hand.say("NOOP").hear(200);
    let began = Instant::now();
    by_hand.hear(421);
    in_two_seconds(began);
    by_hand.hear_end();
    running.wait_for_log("timed out");
}

#[test]
fn over_a_long_and_lossy_way_no_reply_and_no_octet_is_lost() {
    let Some(lab) = Lab::open() else { return };
    let (server, client) = (lab.host("server"), lab.host("client"));
    let ends = [(&server, "203.0.113.10/24"), (&client, "203.0.113.50/24")];
    let Some(wire) = Wire::between(&lab, ends, HALF_A_TRIP) else {
        return;
    };
    let (share, octets) = furnished();
    let _running = server.serve(&share, &[]);
    let user = User::of(&client);
    let mut by_hand = user.client("203.0.113.10:21");
    wire.lose_every(30);
    for line in ["NOOP", "PWD", "SIZE noise.bin", "FEAT", "STAT", "HELP"].repeat(20) {
        by_hand.say(line);
    }
    for code in [200, 257, 213, 211, 211, 214].repeat(20) {
        by_hand.hear(code);
    }
    for flags in [&[][..], &["-P", "-"]] {
        let Some(visit) = user.curl(SERVER, flags) else {
            return;
        };
        visit.fetched(&octets);
    }
    let visit = user.curl_stores(SERVER, "up.bin", &octets, &[]).unwrap();
    visit.stored();
    assert_same_octets(&share.read("up.bin"), &octets);
}

// cross/firewall

const NFT: &str = include_str!("../cross/firewall/pocketftpd.nft");
const UCI: &str = include_str!("../cross/firewall/openwrt.uci");

#[test]
fn the_nftables_file_lets_both_modes_through_and_nothing_else() {
    let Some(lab) = Lab::open() else { return };
    let (server, client) = (lab.host("server"), lab.host("client"));
    lab.link(
        &server,
        "203.0.113.10/24 2001:db8::10/64",
        &client,
        "203.0.113.50/24 2001:db8::50/64",
    );
    server.nft(NFT);
    server.nft(NFT); // it replaces itself
    let (share, octets) = furnished();
    let flags = ["--passive-ports", "50000-50099", "--active-from-20"];
    assert!(NFT.contains(&flags.join(" ")));
    let running = server.serve(&share, &flags);
    let user = User::of(&client);
    for policy in ["accept", "drop"] {
        server.nft(&format!(
            "chain inet pocketftpd output {{ policy {policy}; }}"
        ));
        for address in [SERVER, "[2001:db8::10]"] {
            for flags in [&[][..], &["-P", "-"]] {
                let Some(visit) = user.curl(address, flags) else {
                    return;
                };
                visit.fetched(&octets);
            }
        }
    }
    assert!(
        running.log().iter().all(|line| !line.contains(" WARN ")),
        "{:#?}",
        running.log()
    );
    // The rest is shut: a port beyond the range, and active data from another port.
    drop(running);
    let running = server.serve(&share, &["--passive-ports", "50100-50100"]);
    let visit = user.curl(SERVER, &["--connect-timeout", "1"]).unwrap();
    visit.failed();
    running.wait_for_log("open TCP ports 50100-50100");
    user.curl(SERVER, &["-P", "-"])
        .unwrap()
        .failed()
        .with("< 425 ");
}

#[test]
fn the_openwrt_rules_open_the_ports_of_the_nftables_file() {
    let rules = uci::rules(UCI);
    let names: Vec<&str> = rules.iter().map(|rule| rule["name"]).collect();
    assert_eq!(
        names,
        ["FTP control", "FTP passive data", "FTP active data"]
    );
    for rule in &rules {
        assert_eq!((rule["proto"], rule["target"]), ("tcp", "ACCEPT"));
    }
    for (rule, port) in [(0, "ftp_control"), (1, "ftp_passive")] {
        assert_eq!(rules[rule]["src"], "wan");
        let ports = rules[rule]["dest_port"];
        assert!(
            NFT.contains(&format!("define {port} = {ports}\n")),
            "{ports}"
        );
        assert!(NFT.contains(&format!("tcp dport ${port} accept")));
    }
    // A rule with a destination zone only is about what leaves the router itself.
    assert_eq!(rules[2]["dest"], "wan");
    assert!(!rules[2].contains_key("src"));
    let line = format!(
        "tcp sport {} tcp dport {} accept",
        rules[2]["src_port"], rules[2]["dest_port"]
    );
    assert!(NFT.contains(&line), "{line}");
    let flags = format!("--passive-ports {} --active-from-20", rules[1]["dest_port"]);
    assert!(UCI.contains(&flags) && NFT.contains(&flags), "{flags}");
}
