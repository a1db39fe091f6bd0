//! What a board has and a PC hides: words of 32 bits, dates past 2038, files past 4 GiB, no atomics of 64 bits.
//!
//! On a PC most of this holds by itself; `tests/cross` runs the same file as a program for ARMv5TE.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may panic")]

use std::fs::{self, File};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustix::fs::{AtFlags, CWD};

mod common;
use common::Share;

/// 2040-01-01 00:00:00 UTC: 32 bits end in 2038.
const IN_2040: u64 = 2_208_988_800;

/// The first octets that 32 bits cannot count.
const FOUR_GIB: u64 = 1 << 32;

/// cross/cargo tells the project's libc crate by a `--cfg`; without it this is 4 on 32-bit musl.
#[test]
fn the_c_librarys_times_and_offsets_have_64_bits() {
    assert_eq!(size_of::<nix::libc::time_t>(), 8);
    assert_eq!(size_of::<nix::libc::off_t>(), 8);
}

/// cross/cargo tells std's own libc crate by a variable; std writes here, and rustix reads without a C library.
#[test]
fn a_date_past_2038_goes_to_the_disk_and_back() {
    let share = Share::new();
    let path = share.path("later");
    let later = UNIX_EPOCH + Duration::from_secs(IN_2040);
    File::create(&path).unwrap().set_modified(later).unwrap();
    assert_eq!(fs::metadata(&path).unwrap().modified().unwrap(), later);
    let seen = rustix::fs::statat(CWD, &path, AtFlags::empty()).unwrap();
    assert_eq!(u64::try_from(seen.st_mtime).unwrap(), IN_2040);
    assert!(SystemTime::now() > UNIX_EPOCH);
}

#[test]
fn a_file_past_four_gibibytes_is_written_and_read_at_its_end() {
    let share = Share::new();
    let path = share.path("sparse");
    let mut file = File::create_new(&path).unwrap();
    file.seek(SeekFrom::Start(FOUR_GIB + 4)).unwrap();
    file.write_all(b"beyond").unwrap();
    assert_eq!(fs::metadata(&path).unwrap().len(), FOUR_GIB + 10);
    let mut file = File::open(&path).unwrap();
    file.seek(SeekFrom::Start(FOUR_GIB + 4)).unwrap();
    let mut end = String::new();
    file.read_to_string(&mut end).unwrap();
    assert_eq!(end, "beyond");
}

/// The unwinder of a target is linked by hand: this is where a wrong one shows.
#[test]
fn a_panic_ends_its_thread_and_runs_its_drops() {
    struct Seat(Arc<Mutex<u32>>);
    impl Drop for Seat {
        fn drop(&mut self) {
            *self.0.lock().unwrap() -= 1;
        }
    }
    let taken = Arc::new(Mutex::new(1));
    let seat = Seat(Arc::clone(&taken));
    let session = thread::spawn(move || {
        let _seat = seat;
        panic!("a session's bug, made by this test");
    });
    assert!(session.join().is_err());
    assert_eq!(*taken.lock().unwrap(), 0);
}

/// ARMv5TE, MIPS and PowerPC have none; the build for ARMv5TE would fail, much later than this.
#[test]
fn no_source_asks_for_atomics_of_64_bits() {
    fn look(folder: &Path) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                look(&path);
            } else {
                let text = fs::read_to_string(&path).unwrap();
                let wide = text.contains("AtomicU64") || text.contains("AtomicI64");
                assert!(!wide, "{} asks for them", path.display());
            }
        }
    }
    let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    look(&sources);
}

/// argh's default features bring serde and its derive: code and half a minute of compiling a target.
#[test]
fn argh_does_not_bring_serde() {
    let lock = include_str!("../Cargo.lock");
    let mut argh = lock
        .split("[[package]]")
        .filter(|package| package.contains("name = \"argh"));
    assert!(argh.all(|package| !package.contains("serde")));
}
