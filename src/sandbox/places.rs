//! Landlock: which files and TCP ports this process and all its threads can reach at all (landlock(7)).
//!
//! What is open already stays so: the log, the users file, the listeners.  A client never meets this fence: the wall
//! in front of it has refused before.

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
use landlock::PathFd;
use landlock::Ruleset;
use landlock::RulesetAttr;
use landlock::RulesetCreatedAttr;
use landlock::RulesetError;
use landlock::Scope;

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
    let refused = |error: RulesetError| format!("Landlock: {error}");
    let mut rights = AccessFs::ReadFile | AccessFs::ReadDir;
    if reach.writable {
        rights |= changes();
    }
    let mut rules = Ruleset::default();
    if reach.writable {
        // Before Linux 5.19 a ruleset forbids every rename from one directory to another: then rather none.
        rules = rules
            .set_compatibility(CompatLevel::HardRequirement)
            .handle_access(AccessFs::Refer)
            .map_err(|_| {
                "Landlock: not in this kernel, or before Linux 5.19, where it would forbid renames"
                    .to_owned()
            })?
            .set_compatibility(CompatLevel::BestEffort);
    }
    rules = rules
        .handle_access(AccessFs::from_all(NEWEST))
        .map_err(refused)?
        .scope(Scope::from_all(NEWEST))
        .map_err(refused)?;
    let ports = ports(reach);
    if ports.is_some() {
        rules = rules.handle_access(AccessNet::BindTcp).map_err(refused)?;
    }
    if !reach.connects {
        rules = rules
            .handle_access(AccessNet::ConnectTcp)
            .map_err(refused)?;
    }
    let here = PathFd::new(".").map_err(|error| format!("Landlock: {error}"))?;
    let mut rules = rules
        .create()
        .map_err(refused)?
        .add_rule(PathBeneath::new(here, rights))
        .map_err(refused)?;
    for port in ports.iter().flatten() {
        rules = rules
            .add_rule(NetPort::new(*port, AccessNet::BindTcp))
            .map_err(refused)?;
    }
    match rules.restrict_self().map_err(refused)?.landlock {
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
