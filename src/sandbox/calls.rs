//! seccomp: which system calls each kind of thread may make; any other ends the process (seccomp(2)).
//!
//! A thread hands its list down to the threads that it starts, which can only make it shorter.  So one list with all that
//! any thread does is taken on once, and each kind of thread then gives up what only the others do.  The kernel compiles a
//! list and tries it with each of its calls whenever a thread takes it on, 0.4 ms for the long one here: the short ones are
//! what every session starts with.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::io;

use nix::libc;
use nix::sys::utsname::uname;
use seccompiler::BpfProgram;
use seccompiler::Error;
use seccompiler::SeccompAction;
use seccompiler::SeccompCmpArgLen::Dword;
use seccompiler::SeccompCmpOp;
use seccompiler::SeccompCmpOp::Eq;
use seccompiler::SeccompCmpOp::MaskedEq;
use seccompiler::SeccompCondition;
use seccompiler::SeccompFilter;
use seccompiler::SeccompRule;
use seccompiler::TargetArch;

use crate::sandbox::fences::Role;

/// A call, and how its arguments must compare, each by its index; the same call may stand in several rows.
type Row = (libc::c_long, &'static [(u8, SeccompCmpOp, u64)]);

/// What a process needs to live and to end: memory, locks, clocks, the log, threads that go.
const LIFE: &[libc::c_long] = &[
    libc::SYS_brk,
    libc::SYS_clock_gettime,
    libc::SYS_clock_nanosleep,
    libc::SYS_close,
    TAKEN_OUT,
    libc::SYS_connect, // the log daemon, when it was started anew
    libc::SYS_exit,
    libc::SYS_exit_group,
    libc::SYS_futex,
    libc::SYS_getpid,
    libc::SYS_getrandom,
    libc::SYS_gettid,
    libc::SYS_gettimeofday,
    libc::SYS_madvise,
    libc::SYS_mremap,
    libc::SYS_munmap,
    libc::SYS_nanosleep,
    libc::SYS_restart_syscall,
    libc::SYS_rseq,
    libc::SYS_rt_sigprocmask,
    libc::SYS_rt_sigreturn,
    libc::SYS_sched_getaffinity,
    libc::SYS_sched_yield,
    libc::SYS_sendto,
    libc::SYS_set_robust_list,
    libc::SYS_set_tid_address,
    libc::SYS_shutdown,
    libc::SYS_sigaltstack,
    libc::SYS_write,
    libc::SYS_writev,
];

/// No memory becomes code, and the only signal that is sent is the one of abort(3); F_GETFD is how a debug build makes
/// sure that what it closes is open, and F_SETFD how musl says again that a descriptor is closed on exec.
const LIFE_WITH: &[Row] = &[
    (libc::SYS_fcntl, &[(1, Eq, libc::F_GETFD as u64)]),
    (libc::SYS_fcntl, &[(1, Eq, libc::F_SETFD as u64)]),
    (libc::SYS_mmap, &[(2, MaskedEq(PROT_EXEC), 0)]),
    (libc::SYS_mprotect, &[(2, MaskedEq(PROT_EXEC), 0)]),
    (libc::SYS_tgkill, &[(2, Eq, SIGABRT)]),
    (libc::SYS_tkill, &[(1, Eq, SIGABRT)]),
];

/// The thread that waits for signals: the users file, the pid file, letting go of the terminal.
const MAIN: &[libc::c_long] = &[
    libc::SYS_dup3,
    libc::SYS_flock,
    libc::SYS_fstat,
    libc::SYS_ftruncate,
    libc::SYS_lseek,
    libc::SYS_newfstatat,
    libc::SYS_openat, // a library put under the C library reads its settings late: the tests turn the clock like that
    libc::SYS_pread64,
    libc::SYS_pwrite64,
    libc::SYS_read,
    libc::SYS_rt_sigtimedwait,
    libc::SYS_statx,
];

/// Sockets, and files below the share.
const SESSION: &[libc::c_long] = &[
    libc::SYS_accept,
    libc::SYS_accept4,
    libc::SYS_bind,
    libc::SYS_faccessat,
    libc::SYS_faccessat2,
    libc::SYS_fchmod,
    libc::SYS_fchmodat,
    libc::SYS_fdatasync,
    libc::SYS_flock,
    libc::SYS_fstat,
    libc::SYS_fstatfs,
    libc::SYS_fsync,
    libc::SYS_ftruncate,
    libc::SYS_getdents64,
    libc::SYS_getpeername,
    libc::SYS_getsockname,
    libc::SYS_getsockopt,
    libc::SYS_listen,
    libc::SYS_lseek,
    libc::SYS_mkdirat,
    libc::SYS_newfstatat,
    libc::SYS_openat,
    libc::SYS_openat2,
    libc::SYS_pipe2,
    libc::SYS_ppoll,
    libc::SYS_pread64,
    libc::SYS_pwrite64,
    libc::SYS_read,
    libc::SYS_readlinkat,
    libc::SYS_recvfrom,
    libc::SYS_renameat2,
    libc::SYS_sendfile,
    libc::SYS_setsockopt,
    libc::SYS_splice,
    libc::SYS_statfs,
    libc::SYS_statx,
    libc::SYS_sync, // and the next: --sync
    libc::SYS_syncfs,
    libc::SYS_unlinkat,
    libc::SYS_utimensat,
];

/// What newer processors never had.
#[cfg(target_arch = "x86_64")]
const SESSION_OF_OLD: &[libc::c_long] = &[
    libc::SYS_open, // before 2.26 glibc opened by it; malloc(3) looks so how many processors there are
    libc::SYS_poll,
    libc::SYS_renameat,
];
#[cfg(target_arch = "aarch64")]
const SESSION_OF_OLD: &[libc::c_long] = &[38]; // renameat, which the libc crate knows for musl alone
#[cfg(target_arch = "riscv64")]
const SESSION_OF_OLD: &[libc::c_long] = &[];

/// The C library of x86_64 turns to the old form where both descriptors differ.
#[cfg(target_arch = "x86_64")]
const MAIN_OF_OLD: &[libc::c_long] = &[libc::SYS_dup2, libc::SYS_open];
#[cfg(not(target_arch = "x86_64"))]
const MAIN_OF_OLD: &[libc::c_long] = &[];

/// TCP and nothing else; blocking or not; how a descriptor and a pipe are set up.
const SESSION_WITH: &[Row] = &[
    (libc::SYS_socket, &[(0, Eq, libc::AF_INET as u64), STREAM]),
    (libc::SYS_socket, &[(0, Eq, libc::AF_INET6 as u64), STREAM]),
    (libc::SYS_ioctl, &[(1, Eq, FIONBIO)]),
    (libc::SYS_fcntl, &[(1, Eq, libc::F_GETFL as u64)]),
    (libc::SYS_fcntl, &[(1, Eq, libc::F_SETFL as u64)]),
    (libc::SYS_fcntl, &[(1, Eq, libc::F_GETPIPE_SZ as u64)]),
    (libc::SYS_fcntl, &[(1, Eq, libc::F_SETPIPE_SZ as u64)]),
];

/// Starting threads and giving each its own, shorter list; a descriptor in reserve.
const DOOR_WITH: &[Row] = &[
    (
        libc::SYS_clone,
        &[(0, MaskedEq(CLONE_THREAD_AND_VM), CLONE_THREAD_AND_VM)],
    ),
    (libc::SYS_fcntl, &[(1, Eq, libc::F_DUPFD_CLOEXEC as u64)]),
    (libc::SYS_prctl, &[(0, Eq, libc::PR_SET_NAME as u64)]),
    (libc::SYS_rt_sigaction, &[(0, Eq, SIGSETXID)]),
    (
        libc::SYS_prctl,
        &[(0, Eq, libc::PR_SET_NO_NEW_PRIVS as u64)],
    ),
    (
        libc::SYS_seccomp,
        &[(0, Eq, libc::SECCOMP_SET_MODE_FILTER as u64)],
    ),
];

/// What a tracer puts in the place of a call that it makes fail; it does nothing.
const TAKEN_OUT: libc::c_long = 0xffff_ffff; // -1 in 32 bits, as the kernel compares it
const PROT_EXEC: u64 = libc::PROT_EXEC as u64;
const SIGABRT: u64 = libc::SIGABRT as u64;
/// With its first thread glibc gets ready for changes of the user, which never come, by a signal that is its own.
const SIGSETXID: u64 = 33;
/// The type of a socket, whatever flags come with it.
const STREAM: (u8, SeccompCmpOp, u64) = (1, MaskedEq(0xf), libc::SOCK_STREAM as u64);
/// The same on these three processors, and of another type in each C library.
const FIONBIO: u64 = 0x5421;
const CLONE_THREAD_AND_VM: u64 = (libc::CLONE_THREAD | libc::CLONE_VM) as u64;

/// The lists, ready for the kernel.
#[derive(Debug)]
pub struct Lists {
    any: BpfProgram,
    /// What main gives up of it.
    main: BpfProgram,
    /// What a session gives up of it.
    session: BpfProgram,
    /// clone3(2) hides its flags from the filter; told that there is no such call, C libraries use clone(2).
    no_clone3: BpfProgram,
}

impl Lists {
    /// Makes them.
    ///
    /// # Errors
    /// In words, what is wrong with this processor or a list.
    pub fn new() -> Result<Self, String> {
        let main = [LIFE, MAIN, MAIN_OF_OLD].concat();
        let session = [LIFE, SESSION, SESSION_OF_OLD].concat();
        let clone3 = [libc::SYS_clone3];
        let any = [main.as_slice(), &session, &clone3].concat();
        let (not_main, not_session) = (without(&any, &main), without(&any, &session));
        let not_main_with = [SESSION_WITH, DOOR_WITH].concat();
        let any_with = [LIFE_WITH, &not_main_with].concat();
        let (allow, forbidden) = (SeccompAction::Allow, forbidden());
        Ok(Self {
            any: filter(&any, &any_with, forbidden.clone(), allow.clone())?,
            main: filter(&not_main, &not_main_with, allow.clone(), forbidden.clone())?,
            session: filter(&not_session, DOOR_WITH, allow.clone(), forbidden)?,
            no_clone3: filter(
                &clone3,
                &[],
                allow,
                SeccompAction::Errno(libc::ENOSYS.unsigned_abs()),
            )?,
        })
    }

    /// Holds the calling thread, and those that it will start, to the list of its role; false where this kernel has no
    /// such lists.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn hold(&self, role: Role) -> io::Result<bool> {
        match role {
            Role::Any => Ok(apply(&self.no_clone3)? && apply(&self.any)?),
            Role::Main => apply(&self.main),
            Role::Session => apply(&self.session),
        }
    }
}

fn without(calls: &[libc::c_long], kept: &[libc::c_long]) -> Vec<libc::c_long> {
    let calls = calls.iter().copied();
    calls.filter(|call| !kept.contains(call)).collect()
}

fn apply(program: &BpfProgram) -> io::Result<bool> {
    match seccompiler::apply_filter(program) {
        Ok(()) => Ok(true),
        // A kernel built without it, an emulator that does not know it, a service manager that forbids it.
        Err(Error::Prctl(error) | Error::Seccomp(error))
            if matches!(
                error.raw_os_error(),
                Some(libc::EINVAL | libc::ENOSYS | libc::EPERM)
            ) =>
        {
            Ok(false)
        }
        Err(Error::Prctl(error) | Error::Seccomp(error)) => Err(error),
        Err(error) => Err(io::Error::other(error.to_string())),
    }
}

/// What ends the process: before Linux 4.14 a kill took one thread and left the rest hanging, and a trap that nobody
/// catches takes them all.
fn forbidden() -> SeccompAction {
    let kills_process = uname().is_ok_and(|about| {
        let release = about.release().to_string_lossy();
        let mut numbers = release.split(|letter: char| !letter.is_ascii_digit());
        let mut number = || numbers.next().and_then(|digits| digits.parse::<u32>().ok());
        (number(), number()) >= (Some(4), Some(14))
    });
    if kills_process {
        SeccompAction::KillProcess
    } else {
        SeccompAction::Trap
    }
}

/// What happens with calls that are `found`, the latter those in `with` whose arguments are as it says; and `otherwise`.
fn filter(
    calls: &[libc::c_long],
    with: &[Row],
    otherwise: SeccompAction,
    found: SeccompAction,
) -> Result<BpfProgram, String> {
    let wrong = |error: &dyn Display| format!("seccomp: {error}");
    let mut rules: BTreeMap<i64, Vec<SeccompRule>> = BTreeMap::new();
    for (call, arguments) in with {
        let arguments = arguments.iter().map(|(index, operator, value)| {
            SeccompCondition::new(*index, Dword, operator.clone(), *value)
        });
        let arguments = arguments.collect::<Result<_, _>>();
        let rule = arguments
            .and_then(SeccompRule::new)
            .map_err(|error| wrong(&error))?;
        rules.entry(*call).or_default().push(rule);
    }
    // No rule at all is no condition.
    rules.extend(calls.iter().map(|call| (*call, Vec::new())));
    let processor = TargetArch::try_from(std::env::consts::ARCH).map_err(|error| wrong(&error))?;
    let filter =
        SeccompFilter::new(rules, otherwise, found, processor).map_err(|error| wrong(&error))?;
    BpfProgram::try_from(filter).map_err(|error| wrong(&error))
}
