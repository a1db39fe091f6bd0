//! What the machine runs out of: descriptors, threads, memory, disk.  Each time the client who comes too much hears
//! 421 or 4xx, the log says so once and not once a client, nothing spins, nothing ends, and when there is enough again
//! all is as before.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a test may panic, and says what it measured"
)]

mod common;

use std::time::Duration;

use common::crowd::{Holdings, cpu_while_at_rest, is_served, limit, long};
use common::{Client, Launch, PATIENCE, Server, Share, eventually, is_root, skip};

const SECOND: Duration = Duration::from_secs(1);

/// `openssl passwd -6` of `secret`.
const SECRET: &str = "$6$pocketftpd$4ZNfGz/ABcmoC1jSk8dbkqrRnjRarxqM9UiG1u5jp3q1BdorkiKNWEpk1s6oM7iaW2ewUcAwrFGKDmKjygMOg0";

fn virtual_kib(server: &Server) -> u64 {
    let size = server.status("VmSize");
    size.split_whitespace().next().unwrap().parse().unwrap()
}

#[test]
fn where_memory_ends_a_client_is_turned_away_and_nothing_else_ends() {
    // Each step leaves the server a little more address space than it has: first nothing can be had, then the stack of
    // a thread but not what else it needs, then all.
    const STEP: u64 = 8;
    const MOST: u64 = 720;
    const CLIENTS: u64 = 30;
    let (mut served, mut refused) = (0, 0);
    let steps: Vec<u64> = (0..=MOST / STEP).map(|step| step * STEP).collect();
    for batch in steps.chunks(usize::try_from(CLIENTS).unwrap()) {
        let share = Share::new();
        share.write("f", "x");
        let users = share.outside("users");
        std::fs::write(&users, format!("ann:{SECRET}\n")).unwrap();
        let flags = ["--max-per-ip", "32", "--anonymous", "--users"];
        let mut server = Launch::new()
            .flags(&flags)
            .flags(&[users.to_str().unwrap()])
            .start(&share);
        let mut guests = Vec::new();
        // the door's own thread has begun by then
        assert!(is_served(&server, "127.0.0.2"));
        for more in batch {
            limit(
                &server,
                &format!("as={}:", (virtual_kib(&server) + more) << 10),
            );
            let mut client = Client::knock(server.address());
            let mut stays = client.hear_one_of(&[220, 421]).code == 220;
            if stays {
                // the check of a password needs memory too
                let name = if guests.len() % 4 == 0 {
                    "ann"
                } else {
                    "anonymous"
                };
                client.say(format!("USER {name}")).hear(331);
                stays = client.say("PASS secret").hear_one_of(&[230, 421]).code == 230;
            }
            if stays {
                assert_eq!(client.nlst(""), ["f"]);
                guests.push(client);
                served += 1;
            } else {
                refused += 1;
            }
        }
        assert!(server.runs(), "{:#?}", server.log());
        limit(&server, "as=unlimited:");
        for guest in &mut guests {
            guest.hear_nothing();
        }
        assert!(is_served(&server, "127.0.0.2"));
        drop(guests);
        let told = server
            .log()
            .iter()
            .filter(|line| line.contains("turned away"))
            .count();
        assert!(told <= 2, "{:#?}", server.log());
    }
    println!("memory: {served} served, {refused} turned away between 0 and {MOST} KiB of room");
    assert!(served > 0 && refused > 0);
}

/// Lines that a log has about `what`.
fn told(server: &Server, what: &str) -> usize {
    server
        .log()
        .iter()
        .filter(|line| line.contains(what))
        .count()
}

/// It rests while nobody does anything, and does not turn in circles.
#[track_caller]
fn it_rests(name: &str, server: &Server) {
    let cpu = cpu_while_at_rest(server, SECOND);
    println!("{name}: {cpu:?} of processor time in a second of want");
    assert!(cpu <= SECOND / 10, "{cpu:?} for nothing");
}

/// Comes again and again, as clients do who are told to try later; how many were greeted and how many turned away.
fn knock(server: &Server, times: u32) -> (u32, u32) {
    let (mut greeted, mut refused) = (0, 0);
    for _ in 0..times {
        let mut client = Client::knock(server.address());
        match client.hear_one_of(&[220, 421]).code {
            220 => greeted += 1,
            _ => refused += 1,
        }
    }
    (greeted, refused)
}

#[test]
fn where_descriptors_end_a_client_is_turned_away_and_the_door_opens_again() {
    let share = Share::new();
    share.write("f", "x");
    let mut server = Launch::new().flags(&["--max-per-ip", "32"]).start(&share);
    assert!(is_served(&server, "127.0.0.2"));
    let before = Holdings::of(&server);
    let mut guest = Client::login(&server);
    // room for five more
    limit(
        &server,
        &format!("nofile={}:", before.descriptors.max(5) + 6),
    );
    let mut crowd: Vec<Client> = Vec::new();
    let mut refused = 0;
    for _ in 0..20 {
        let mut client = Client::knock(server.address());
        match client.hear_one_of(&[220, 421]).code {
            220 => crowd.push(client),
            _ => refused += 1,
        }
    }
    let (greeted, more) = knock(&server, 100 * long(10));
    println!(
        "descriptors: {} greeted, {} turned away with 421",
        crowd.len(),
        refused + more
    );
    assert!(refused > 0 && greeted == 0 && !crowd.is_empty());
    // whoever was there hears 4xx where a descriptor is needed, and the rest as ever
    guest.hear_nothing();
    for _ in 0..100 {
        guest.say("PASV").hear(425);
    }
    for client in &mut crowd {
        client.say("USER anonymous").hear(331);
        client.say("PASS x").hear(230);
    }
    let mut shed = crowd.pop().unwrap();
    shed.say("STAT /").hear(421);
    shed.hear_end();
    let mut last = Client::knock(server.address());
    last.hear(220);
    crowd.push(last);
    it_rests("descriptors", &server);
    assert!(server.runs());
    let lines = told(&server, "turned away") + told(&server, "no passive port");
    println!("descriptors: {lines} log lines");
    assert!((2..=4).contains(&lines), "{:#?}", server.log());
    // the cause is over: the very next client is served, and the guest too
    limit(&server, "nofile=200:");
    assert!(is_served(&server, "127.0.0.2"));
    assert_eq!(guest.nlst(""), ["f"]);
    limit(
        &server,
        &format!("nofile={}:", before.descriptors.max(5) + 6),
    );
    // accept(2) has its descriptor before it waits, so one may still come in
    assert!(knock(&server, 10).1 >= 9);
    // or somebody leaves
    drop((crowd, guest));
    eventually("the descriptors are back", PATIENCE, || {
        Holdings::of(&server).descriptors <= before.descriptors
    });
    assert!(is_served(&server, "127.0.0.2"));
    println!("descriptors: before: {before}");
    println!("descriptors: after:  {}", Holdings::of(&server));
}

#[test]
fn where_threads_end_a_client_is_turned_away_and_the_door_opens_again() {
    if !is_root() {
        skip("needs root to be another user, whose threads are counted");
        return;
    }
    let share = Share::new();
    // a user of its own, whose other processes do not count
    const USER: u32 = 52_417;
    std::os::unix::fs::chown(share.top(), Some(USER), Some(USER)).unwrap();
    let mut server = Launch::new()
        .flags(&["--max-per-ip", "32", "--run-as", &USER.to_string()])
        .start(&share);
    let before = Holdings::of(&server);
    // three more than there are
    limit(&server, &format!("nproc={}:", server.threads() + 3));
    let mut crowd: Vec<Client> = Vec::new();
    let mut refused = 0;
    for _ in 0..20 {
        let mut client = Client::knock(server.address());
        match client.hear_one_of(&[220, 421]).code {
            220 => crowd.push(client),
            _ => refused += 1,
        }
    }
    let (greeted, more) = knock(&server, 100 * long(10));
    println!(
        "threads: {} greeted, {} turned away with 421",
        crowd.len(),
        refused + more
    );
    assert_eq!((crowd.len(), greeted), (3, 0));
    it_rests("threads", &server);
    assert!(server.runs());
    let lines = told(&server, "no thread to be had");
    println!("threads: {lines} log lines");
    assert!((1..=2).contains(&lines), "{:#?}", server.log());
    for client in &mut crowd {
        client.hear_nothing();
    }
    // the cause is over
    limit(&server, "nproc=1000:");
    assert!(is_served(&server, "127.0.0.2"));
    limit(&server, &format!("nproc={}:", server.threads()));
    // or somebody leaves, and leaves a thread
    drop(crowd);
    eventually("the descriptors are back", PATIENCE, || {
        Holdings::of(&server).descriptors <= before.descriptors
    });
    assert!(is_served(&server, "127.0.0.2"));
    println!("threads: before: {before}");
    println!("threads: after:  {}", Holdings::of(&server));
}

#[test]
fn a_disk_that_is_full_refuses_the_upload_and_nothing_else() {
    if !is_root() {
        skip("needs root to mount a small disk");
        return;
    }
    let share = Share::new();
    share.mkdir("mnt");
    let mut server = Launch::with_small_disk(&share)
        .flags(&["--writable"])
        .start(&share);
    let mut client = Client::login(&server);
    client.say("TYPE I").hear(200);
    let before = Holdings::of(&server);
    let half = vec![7; 512 << 10];
    client.put("mnt/half", &half);
    let times = 20 * long(10);
    for _ in 0..times {
        let data = client.data();
        client.say("STOR mnt/more").hear(150);
        let mut stream = data.stream();
        // the server hangs up in the middle
        let _ = std::io::Write::write_all(&mut stream, &[7; 2 << 20]);
        drop(stream);
        client.hear_one_of(&[452, 552]);
    }
    it_rests("disk", &server);
    let after = Holdings::of(&server);
    println!("disk: {times} uploads refused; before: {before}\ndisk: after:  {after}");
    assert!(after.descriptors <= before.descriptors);
    assert!(server.runs());
    assert!(is_served(&server, "127.0.0.2"));
    assert_eq!(client.get("mnt/half"), half);
    // the cause is over
    client.say("DELE mnt/more").hear(250);
    client.put("mnt/less", &[7; 256 << 10]);
    assert_eq!(told(&server, "ERROR"), 0, "{:#?}", server.log());
}
