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
        let mut server = Launch::new().flags(&["--max-per-ip", "32"]).start(&share);
        let mut guests = Vec::new();
        for more in batch {
            limit(
                &server,
                &format!("as={}:", (virtual_kib(&server) + more) << 10),
            );
            let mut client = Client::knock(server.address());
            let mut stays = client.hear_one_of(&[220, 421]).code == 220;
            if stays {
                client.say("USER anonymous").hear(331);
                stays = client.say("PASS x").hear_one_of(&[230, 421]).code == 230;
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
