//! Whether memory is to be had, asked before it is needed.
//!
//! Rust ends the process where an allocation fails, and where a thread that has begun cannot map the stack for its
//! signals; pthread_create(3) itself fails in good order.  So a client for whom there is no memory is found out here,
//! while it can still be told.  Nothing is held back: what was asked for is given back at once, and needed right after.

use memmap2::MmapOptions;

use super::STACK;

/// A thread's stack, and what begins with it: a guard page, the signals' stack and the standard library's notes, for
/// which the heap may have to grow by what the C library takes at once (glibc: 132 KiB).
const THREAD: usize = STACK + 256 * 1024;

/// What greeting a client, or checking a password, takes from the heap at most, many times over.
const LITTLE: usize = 16 * 1024;

/// Whether the system has the memory for one more thread.
pub fn for_a_thread() -> bool {
    // Not from the heap, which may be full of holes while nothing more can be mapped.
    MmapOptions::new().len(THREAD).map_anon().is_ok()
}

/// Whether the heap has a little left.
pub fn on_the_heap() -> bool {
    let mut probe: Vec<u8> = Vec::new();
    probe.try_reserve_exact(LITTLE).is_ok()
}
