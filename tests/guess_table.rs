//! A flood of guessers from however many addresses costs no memory: a counting allocator watches.
//!
//! One test alone in its process, since it counts what the whole process takes.

use std::alloc::System;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::{Duration, Instant};

use pocketftpd::accounts::guesses::Guesses;
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};

#[global_allocator]
static HEAP: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

#[test]
#[allow(clippy::print_stderr, reason = "a test says what it measured")]
fn ever_more_guessers_take_no_memory_and_no_time() {
    let guesses = Guesses::new();
    let now = Instant::now();
    let flood = |from: u32, count: u32| {
        for number in from..from + count {
            let later = now + Duration::from_millis(number.into());
            let v4 = Ipv4Addr::from_bits(0x0a00_0000 + number);
            let v6 = u128::from(0x2001_0db8_0000_0000 + u64::from(number)) << 64;
            let peer = match number % 2 {
                0 => IpAddr::V4(v4),
                _ => IpAddr::V6(Ipv6Addr::from_bits(v6)),
            };
            guesses.failed(peer, later);
            if number % 8 == 0 {
                assert!(guesses.turn(peer, later) > later);
            }
        }
    };
    flood(0, 1000);
    let heap = Region::new(HEAP);
    let start = Instant::now();
    let count = match std::env::var_os("POCKETFTPD_LONG") {
        Some(_) => 1_000_000,
        None => 20_000,
    };
    flood(1000, count);
    let took = start.elapsed();
    let change = heap.change();
    eprintln!(
        "{count} guessers: {took:?}, {} allocations",
        change.allocations
    );
    assert_eq!((change.allocations, change.reallocations), (0, 0));
    eprintln!("the table: {} octets", size_of::<Guesses>());
    assert!(size_of::<Guesses>() < 32 << 10);
    // debug build, shared machine: some microseconds each
    assert!(took < Duration::from_secs(200));
}
