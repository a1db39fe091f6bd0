//! pocketftpd shares one directory over FTP from a small Linux box.
//!
//! This is the map.  A file imports from floors below its own only; `tests/layering.rs` reads the map and every
//! import, so it cannot go stale.
//!
//! ```text
//! 6 main         the process: flags, log, bind, confine, serve, stop
//! 5 server       the front door: accept, find a seat or say 421, start a thread
//! 4 interpreter  server-PI: greeting; a line in, a verb, a reply out; goodbye
//! 3 verbs        one function per command; it answers, it never speaks
//! 2 session      what this client has said so far: login, directory, type, endpoint, restart, rename
//! 2 transfer     server-DTP: opens the data connection, moves octets, peeks for ABOR, returns the last reply
//! 1 accounts     name and password in, what is granted out
//! 1 cli          argh flags to a Config; the only file that knows a flag's name
//! 1 control      the control connection: one line in, one reply out, both bounded
//! 1 data         data connections: listen, connect, and which peer is let in (RFC 2577 3, 8)
//! 1 logging      simplelog set-up, and where its lines go
//! 1 pool         seats, given back on drop; the stack of a session, with its measured reason
//! 1 tree         the served tree (RFC 959's NVFS): every filesystem call, beneath one directory
//! 0 config       settings as plain data, already valid
//! 0 daemon       detaching from the terminal, and the pid file
//! 0 sandbox      chroot, groups, gid, uid, no_new_privs, capabilities, check
//! 0 signals      a thread that waits for signals
//! 0 wire         octets <-> values, no I/O
//! ```
//!
//! What holds everywhere, and the test that holds it, is listed in `README.md` under "Guarantees".

pub mod accounts;
pub mod cli;
pub mod config;
pub mod daemon;
pub mod logging;
pub mod wire;
