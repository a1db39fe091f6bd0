//! Data connections through NAT and firewalls, with other people's clients on real hosts: network namespaces of the
//! kernel, veth pairs and nftables.  As root; a printed SKIP elsewhere.
//!
//! 203.0.113.0/24 and 198.51.100.0/24 (RFC 5737) are the internet here, 192.168.1.0/24 is somebody's home.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may panic")]

mod common;

mod network {
    pub mod lab;
    pub mod user;
}

use std::time::{Duration, Instant};

use common::{Mode, Share, assert_same_octets, noise, skip};
use network::lab::{self, Host, Lab};
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
