//! From what the kernel says to what the client hears: the one place that decides.
//!
//! RFC 959 5.4 lists other codes for RNTO and for uploads than for the rest, so there are three tables.  Where the box
//! itself has run out of something, all three say 421, which ends the session: that gives back what it holds.

use rustix::io::Errno;

use crate::wire::reply::{self, Reply};

/// For commands that name something which is there, or make a directory: 550 always.
pub fn of_name(errno: Errno) -> Reply<'static> {
    match errno {
        Errno::MFILE | Errno::NFILE | Errno::NOMEM => reply::EXHAUSTED,
        Errno::EXIST => reply::EXISTS,
        Errno::NOTEMPTY => reply::NOT_EMPTY,
        Errno::ISDIR => reply::NOT_A_FILE,
        Errno::BUSY | Errno::ROFS | Errno::NOSPC | Errno::DQUOT | Errno::MLINK => {
            reply::CANNOT_CHANGE
        }
        _ => reply::NOT_THERE,
    }
}

/// For RNTO: 553, but 550 where the old name is at fault.
pub fn of_new_name(errno: Errno) -> Reply<'static> {
    match errno {
        Errno::MFILE | Errno::NFILE | Errno::NOMEM => reply::EXHAUSTED,
        Errno::XDEV => reply::OTHER_DISK,
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
        Errno::IO => reply::WRITE_ERROR,
        Errno::ISDIR => reply::NOT_A_FILE,
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
        ] {
            assert_eq!(of_name(errno).code(), code, "{errno}");
        }
        for (errno, code) in [
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
