//! Landlock: which files and TCP ports this process and all its threads can reach at all (landlock(7)).
//!
//! What is open already stays so: the log, the users file, the listeners.  A client never meets this fence: the wall
//! in front of it has refused before.

use std::os::fd::OwnedFd;

use landlock::ABI;
use landlock::Access;
use landlock::AccessFs;
use landlock::AccessNet;
use landlock::BitFlags;
use landlock::CompatLevel;
use landlock::Compatible;
use landlock::LandlockStatus;
use landlock::NetPort;
use landlock::PathBeneath;
use landlock::RestrictionStatus;
use landlock::Ruleset;
use landlock::RulesetAttr;
use landlock::RulesetCreatedAttr;
use landlock::RulesetError;
use landlock::Scope;
use rustix::fs::Mode;
use rustix::fs::OFlags;

use crate::sandbox::fences::Reach;

/// The newest set of rights that is asked for; the kernel gives what it has of them.
const NEWEST: ABI = ABI::V7;

/// More ports than these are not told one by one: each is a rule in the kernel.
const PORTS_MAX: usize = 1024;

/// Restricts this thread and those it will start to the directory that it stands in.
///
/// Returns in words what holds.
///
/// # Errors
/// In words, why there is no such fence.
pub fn restrict(reach: &Reach) -> Result<String, String> {
    let ports = ports(reach);
    let flags = OFlags::PATH | OFlags::CLOEXEC;
    let here = rustix::fs::open(".", flags, Mode::empty())
        .map_err(|error| format!("Landlock: open the directory: {error}"))?;
    let status = restricted(reach, ports.as_deref(), here).map_err(|error| match error {
        RulesetError::HandleAccesses(_) if reach.writable => {
            "Landlock: not in this kernel, or before Linux 5.19, where it would forbid renames"
                .to_owned()
        }
        error => format!("Landlock: {error}"),
    })?;
    match status.landlock {
        LandlockStatus::Available { effective_abi, .. } => {
            let mut text = format!("Landlock {}: files of the share", effective_abi as i32);
            if effective_abi >= ABI::V4 {
                text.push_str(match (ports.is_some(), reach.connects) {
                    (true, true) => ", TCP ports to listen at",
                    (true, false) => ", TCP ports to listen at, no connects",
                    (false, true) => "",
                    (false, false) => ", no connects",
                });
            }
            Ok(text)
        }
        LandlockStatus::NotEnabled => Err("Landlock: switched off in this kernel".to_owned()),
        LandlockStatus::NotImplemented => Err("Landlock: not in this kernel".to_owned()),
    }
}

fn restricted(
    reach: &Reach,
    ports: Option<&[u16]>,
    here: OwnedFd,
) -> Result<RestrictionStatus, RulesetError> {
    let mut rights = AccessFs::ReadFile | AccessFs::ReadDir;
    let mut rules = Ruleset::default();
    if reach.writable {
        rights |= changes();
        // Before Linux 5.19 a ruleset forbids every rename from one directory to another: then rather none.
        (&mut rules)
            .set_compatibility(CompatLevel::HardRequirement)
            .handle_access(AccessFs::Refer)?
            .set_compatibility(CompatLevel::BestEffort);
    }
    (&mut rules)
        .handle_access(AccessFs::from_all(NEWEST))?
        .scope(Scope::from_all(NEWEST))?;
    let mut net = BitFlags::<AccessNet>::empty();
    if ports.is_some() {
        net |= AccessNet::BindTcp;
    }
    if !reach.connects {
        net |= AccessNet::ConnectTcp;
    }
    if !net.is_empty() {
        (&mut rules).handle_access(net)?;
    }
    let mut rules = rules.create()?;
    (&mut rules).add_rule(PathBeneath::new(here, rights))?;
    for port in ports.unwrap_or_default() {
        (&mut rules).add_rule(NetPort::new(*port, AccessNet::BindTcp))?;
    }
    rules.restrict_self()
}

/// What writers do.  Renaming needs the right to make what is renamed, be it a device; nothing but files and directories
/// is made, since there is no call and no privilege for more.
fn changes() -> BitFlags<AccessFs> {
    AccessFs::WriteFile
        | AccessFs::Truncate
        | AccessFs::RemoveDir
        | AccessFs::RemoveFile
        | AccessFs::MakeDir
        | AccessFs::MakeReg
        | AccessFs::MakeSym
        | AccessFs::MakeFifo
        | AccessFs::MakeSock
        | AccessFs::MakeChar
        | AccessFs::MakeBlock
        | AccessFs::Refer
}

/// The ports that data connections are bound to, 0 for those that the kernel chooses; `None` if they are too many.
fn ports(reach: &Reach) -> Option<Vec<u16>> {
    let mut ports = Vec::new();
    if let Some(range) = &reach.passive {
        if range.len() > PORTS_MAX {
            return None;
        }
        ports.extend(range.clone());
    }
    if reach.any_port {
        ports.push(0);
    }
    if reach.port_20 {
        ports.push(20);
    }
    Some(ports)
}
