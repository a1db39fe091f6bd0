//! Octets to values and back, without any I/O: the one place where what the network sent is taken apart.

pub mod address;
pub mod ascii;
pub mod command;
pub mod glob;
pub mod listing;
pub mod octets;
pub mod pathname;
pub mod printable;
pub mod proxy;
pub mod rate;
pub mod reply;
pub mod telnet;
pub mod time;
