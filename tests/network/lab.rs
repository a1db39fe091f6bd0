//! Hosts of a network that exists only while a test runs: each is a network namespace of the kernel.
//!
//! A namespace has no name, only a descriptor that this process holds, so the kernel removes it with all its links
//! when the test ends, in whatever way.  No address outside these namespaces can be reached from them.

use std::fs::{self, File};
use std::io::Write;
use std::os::fd::AsRawFd;
use std::panic::resume_unwind;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::thread;

use nix::sched::{CloneFlags, setns, unshare};

use crate::common::{Launch, Server, Share, is_root, program, skip};

/// Where hosts are made.
#[derive(Debug)]
pub struct Lab {
    ip: PathBuf,
    nft: PathBuf,
}

/// One host, with its loopback up and nothing else.
#[derive(Debug)]
pub struct Host {
    name: &'static str,
    namespace: File,
    ip: PathBuf,
    nft: PathBuf,
}

impl Lab {
    /// `None`, and a skip that says why, where no hosts can be made.
    pub fn open() -> Option<Self> {
        if !is_root() {
            skip("network namespaces want root");
            return None;
        }
        let lab = Self {
            ip: program("ip")?,
            nft: program("nft")?,
        };
        if let Err(why) = lab.trial() {
            skip(&format!("no network lab here: {why}"));
            return None;
        }
        Some(lab)
    }

    /// Makes one host and a firewall on it.
    fn trial(&self) -> Result<(), String> {
        let host = thread::spawn(namespace)
            .join()
            .unwrap()
            .map_err(|error| format!("no namespace: {error}"))?;
        let host = self.with("trial", host);
        host.at(|| fs::write(FORWARDING, "1"))
            .map_err(|error| format!("{FORWARDING}: {error}"))?;
        host.try_nft("table inet trial { chain trial { type nat hook postrouting priority 100; tcp dport 21 ct state new masquerade; }; }")
            .map_err(|error| format!("nft: {error}"))
    }

    pub fn host(&self, name: &'static str) -> Host {
        let host = self.with(name, thread::spawn(namespace).join().unwrap().unwrap());
        host.at(|| fs::write("/proc/sys/net/ipv6/conf/default/accept_dad", "0").ok());
        host.ip("link set lo up");
        host
    }

    /// A host that forwards packets.
    pub fn router(&self, name: &'static str) -> Host {
        let host = self.host(name);
        host.at(|| fs::write(FORWARDING, "1")).unwrap();
        host
    }

    fn with(&self, name: &'static str, namespace: File) -> Host {
        Host {
            name,
            namespace,
            ip: self.ip.clone(),
            nft: self.nft.clone(),
        }
    }

    /// A cable between two hosts; at each end an interface that has the name of the host at the other end, and the
    /// addresses given (`192.0.2.1/24`, several with spaces between).
    pub fn link(&self, one: &Host, addresses: &str, other: &Host, other_addresses: &str) {
        one.ip(&format!(
            "link add {} type veth peer name {} netns /proc/{}/fd/{}",
            other.name,
            one.name,
            std::process::id(),
            other.namespace.as_raw_fd()
        ));
        for (host, peer, addresses) in [(one, other, addresses), (other, one, other_addresses)] {
            for address in addresses.split_whitespace() {
                host.ip(&format!("address add {address} dev {} nodad", peer.name));
            }
            host.ip(&format!("link set {} up", peer.name));
        }
    }
}

const FORWARDING: &str = "/proc/sys/net/ipv4/ip_forward";

fn namespace() -> std::io::Result<File> {
    unshare(CloneFlags::CLONE_NEWNET)?;
    File::open("/proc/thread-self/ns/net")
}

impl Host {
    /// Does something on this host: sockets that are made there and programs that are started there stay there.
    pub fn at<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        let name = thread::current().name().unwrap_or("a test").to_owned();
        thread::scope(|scope| {
            let there = thread::Builder::new()
                .name(name)
                .spawn_scoped(scope, || {
                    setns(&self.namespace, CloneFlags::CLONE_NEWNET).unwrap();
                    work()
                })
                .unwrap();
            there.join().unwrap_or_else(|panic| resume_unwind(panic))
        })
    }

    pub fn name(&self) -> &'static str {
        self.name
    }

    /// `ip WORDS`, which must go well.
    #[track_caller]
    pub fn ip(&self, words: &str) {
        let output = self.at(|| {
            Command::new(&self.ip)
                .args(words.split_whitespace())
                .output()
                .unwrap()
        });
        let complained = String::from_utf8_lossy(&output.stderr);
        assert!(
            output.status.success(),
            "{}: ip {words}: {complained}",
            self.name
        );
    }

    /// Loads rules into this host's firewall.
    #[track_caller]
    pub fn nft(&self, rules: &str) {
        if let Err(error) = self.try_nft(rules) {
            panic!("{}: nft: {error}\n{rules}", self.name);
        }
    }

    /// Loads rules that this kernel may not know.
    pub fn try_nft(&self, rules: &str) -> Result<(), String> {
        let mut nft = self
            .at(|| {
                Command::new(&self.nft)
                    .args(["-f", "-"])
                    .stdin(Stdio::piped())
                    .stderr(Stdio::piped())
                    .spawn()
            })
            .unwrap();
        let mut input = nft.stdin.take().unwrap();
        input.write_all(rules.as_bytes()).unwrap();
        drop(input);
        let output = nft.wait_with_output().unwrap();
        if output.status.success() {
            return Ok(());
        }
        Err(String::from_utf8_lossy(&output.stderr).trim().to_owned())
    }

    /// A server on port 21 of this host, over IPv4 and IPv6, that waits two seconds for data.
    pub fn serve(&self, share: &Share, flags: &[&str]) -> Server {
        let launch = Launch::new()
            .listen("21")
            .flags(&["--data-timeout", "2", "--writable"])
            .flags(flags);
        self.at(|| launch.start(share))
    }
}

/// Whether a router's kernel follows FTP, and may say why not.
pub fn ftp_helper(router: &Host) -> Result<(), String> {
    // Where they are modules; where they are built in, or there are no modules at all, this does nothing.
    for module in ["nf_conntrack_ftp", "nf_nat_ftp"] {
        Command::new("modprobe")
            .args(["-q", module])
            .stderr(Stdio::null())
            .status()
            .ok();
    }
    router
        .try_nft("table inet helper { ct helper ftp { type \"ftp\" protocol tcp; }; }; delete table inet helper")
        .map_err(|why| format!("no nf_conntrack_ftp in this kernel: {why}"))?;
    let symbols = fs::read_to_string("/proc/kallsyms").unwrap_or_default();
    if symbols.contains("nf_nat_ftp") {
        Ok(())
    } else {
        Err("no nf_nat_ftp in this kernel".to_owned())
    }
}
