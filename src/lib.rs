//! pocketftpd shares one directory over FTP from a small Linux box.
//!
//! This is the map.  A file imports from floors below its own only; `tests/layering.rs` reads the map and every
//! import, so it cannot go stale.
//!
//! ```text
//! 9 main         the process: flags, log, bind, confine, serve, stop
//! 8 check        --check: tries what a start with these flags needs, and reports it; a cargo feature
//! 7 server       the front door: accept, find a seat or say 421, hand over to a thread
//! 6 interpreter  server-PI: greeting; a line in, a verb, a reply out; goodbye
//! 5 verbs        one function per command; it answers, it never speaks
//! 4 transfer     server-DTP: opens the data connection, moves octets, hears ABOR, returns the last reply
//! 4 start        from settings to a confined house: the steps that every start takes
//! 3 session      what this client has said so far: login, directory, type, endpoint, restart, rename
//! 2 data         data connections: listen, connect, and which peer is let in (RFC 2577 3, 8)
//! 1 accounts     name and password in, what is granted out
//! 1 cli          argh flags to a Config; the only file that knows a flag's name
//! 1 control      the control connection: one line in, one reply out, both bounded
//! 1 logging      simplelog set-up, and where its lines go
//! 2 pool         seats, given back on drop; the stack of a session, with its measured reason
//! 2 tree         the served tree (RFC 959's NVFS): every filesystem call, beneath one directory
//! 0 config       settings as plain data, already valid
//! 0 daemon       detaching from the terminal, and the pid file
//! 1 sandbox      chroot, groups, gid, uid, no_new_privs, capabilities, check; seccomp and Landlock behind it
//! 0 signals      signals, waited for by one thread
//! 0 wire         octets <-> values, no I/O
//! ```
//!
//! What holds everywhere, and the test that holds it, is listed in `README.md` under "Guarantees".

pub mod accounts;
#[cfg(feature = "check")]
pub mod check;
pub mod cli;
pub mod config;
pub mod control;
pub mod daemon;
pub mod data;
pub mod interpreter;
pub mod logging;
pub mod pool;
pub mod sandbox;
pub mod server;
pub mod session;
pub mod signals;
pub mod start;
pub mod transfer;
pub mod tree;
pub mod verbs;
pub mod wire;
