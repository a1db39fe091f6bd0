//! From what the kernel says to what the client hears: the one place that decides.
//!
//! RFC 959 5.4 lists other codes for RNTO and for uploads than for the rest, and 450 for a few, so there are four tables.
//! Where the box itself has run out of something, all of them say 421, which ends the session: that gives back what it
//! holds.

use rustix::io::Errno;

use crate::tree::is_disk_failure;
use crate::wire::reply::{self, Reply};

/// For CWD, MKD, RMD and whatever RFC 959 5.4 leaves no other code but 550.
pub fn of_name(errno: Errno) -> Reply<'static> {
    match errno {
        Errno::MFILE | Errno::NFILE | Errno::NOMEM => reply::EXHAUSTED,
        Errno::EXIST => reply::EXISTS,
        Errno::NOTEMPTY => reply::NOT_EMPTY,
        Errno::ISDIR => reply::NOT_A_FILE,
        Errno::BUSY | Errno::NOSPC | Errno::DQUOT | Errno::MLINK => reply::CANNOT_CHANGE,
        Errno::ROFS => reply::READ_ONLY_DISK,
        Errno::NOMEDIUM => reply::NO_MEDIUM_HERE,
        errno if is_disk_failure(errno) => reply::DISK_FAILS_HERE,
        _ => reply::NOT_THERE,
    }
}

/// For RETR, DELE, RNFR and listings: 450 where it may be there later.
pub fn of_file(errno: Errno) -> Reply<'static> {
    match errno {
        Errno::NOMEDIUM => reply::NO_MEDIUM,
        errno if is_disk_failure(errno) => reply::DISK_FAILS,
        errno => of_name(errno),
    }
}

/// For RNTO: 553, but others where the new name is not at fault.
pub fn of_new_name(errno: Errno) -> Reply<'static> {
    match errno {
        Errno::MFILE | Errno::NFILE | Errno::NOMEM => reply::EXHAUSTED,
        Errno::XDEV => reply::OTHER_DISK,
        Errno::ROFS => reply::READ_ONLY_DISK,
        Errno::NOSPC | Errno::DQUOT => reply::NO_SPACE,
        Errno::NOMEDIUM => reply::NO_MEDIUM,
        errno if is_disk_failure(errno) => reply::DISK_FAILS,
        _ => reply::CANNOT_NAME,
    }
}

/// For STOR, APPE and STOU.
pub fn of_upload(errno: Errno) -> Reply<'static> {
    match errno {
        Errno::MFILE | Errno::NFILE | Errno::NOMEM => reply::EXHAUSTED,
        Errno::AGAIN => reply::BUSY,
        Errno::NOSPC | Errno::DQUOT => reply::NO_SPACE,
        Errno::FBIG => reply::TOO_LARGE,
        Errno::ISDIR => reply::NOT_A_FILE,
        Errno::ROFS => reply::READ_ONLY_DISK,
        Errno::NOMEDIUM => reply::NO_MEDIUM,
        errno if is_disk_failure(errno) => reply::WRITE_ERROR,
        _ => reply::CANNOT_NAME,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_refusal_of_the_kernel_has_its_code() {
        for (errno, code) in [
            (Errno::NOENT, 550),
            (Errno::ACCESS, 550),
            (Errno::EXIST, 550),
            (Errno::NOTEMPTY, 550),
            (Errno::ISDIR, 550),
            (Errno::BUSY, 550),
            (Errno::ROFS, 550),
            (Errno::NOSPC, 550),
            (Errno::NAMETOOLONG, 550),
            (Errno::MFILE, 421),
            (Errno::NFILE, 421),
            (Errno::NOMEM, 421),
            (Errno::IO, 550),
            (Errno::NOMEDIUM, 550),
        ] {
            assert_eq!(of_name(errno).code(), code, "{errno}");
        }
        for (errno, code) in [
            (Errno::NOENT, 550),
            (Errno::ACCESS, 550),
            (Errno::ROFS, 550),
            (Errno::IO, 450),
            (Errno::NOTCONN, 450),
            (Errno::STALE, 450),
            (Errno::NOMEDIUM, 450),
        ] {
            assert_eq!(of_file(errno).code(), code, "{errno}");
        }
        for (errno, code) in [
            (Errno::ROFS, 550),
            (Errno::NOSPC, 452),
            (Errno::DQUOT, 452),
            (Errno::IO, 450),
            (Errno::NOMEDIUM, 450),
            (Errno::XDEV, 550),
            (Errno::EXIST, 553),
            (Errno::NOENT, 553),
            (Errno::ACCESS, 553),
        ] {
            assert_eq!(of_new_name(errno).code(), code, "{errno}");
        }
        for (errno, code) in [
            (Errno::AGAIN, 450),
            (Errno::NOSPC, 452),
            (Errno::DQUOT, 452),
            (Errno::FBIG, 552),
            (Errno::IO, 451),
            (Errno::NODEV, 451),
            (Errno::NOMEDIUM, 450),
            (Errno::ROFS, 550),
            (Errno::ISDIR, 550),
            (Errno::ACCESS, 553),
            (Errno::NAMETOOLONG, 553),
        ] {
            assert_eq!(of_upload(errno).code(), code, "{errno}");
        }
    }

    #[test]
    fn absent_and_forbidden_sound_the_same() {
        let mut rooms = [[0; 100]; 2];
        let texts = rooms
            .each_mut()
            .map(|room| crate::wire::octets::Cursor::new(room));
        let written =
            texts
                .into_iter()
                .zip([Errno::NOENT, Errno::ACCESS])
                .map(|(mut out, errno)| {
                    of_name(errno).write(&mut out);
                    out.written().to_vec()
                });
        let written: Vec<_> = written.collect();
        assert_eq!(written.first(), written.last());
    }
}
