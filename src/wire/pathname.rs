//! Pathnames: what a client names, made absolute within the share (RFC 959 4.1.1, RFC 3659 2.2.2).
//!
//! The served tree follows TVFS (RFC 3659 6): `/` separates, `.` and `..` mean what they mean in Unix, and `..` at the
//! root is the root.  Resolving `..` as text decides what a name *means* (it makes PWD and CWD agree); it is no
//! defence.  The kernel confines, in `tree`.

use std::ffi::CStr;

use crate::wire::octets::{Octets, TooLong};

/// The longest pathname, in octets: the kernel's PATH_MAX, its NUL included.
pub const PATH_MAX: usize = 4096;

/// An absolute pathname without `.`, `..` and empty components, and with a NUL behind it for the kernel.
#[derive(Debug)]
pub struct Pathname<'m>(Octets<'m>);

/// Why an argument is no pathname.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BadPathname {
    /// It holds CR, LF or NUL, which no reply and no listing could carry (RFC 2640 3.1).
    Octet,
    /// It is longer than [`PATH_MAX`].
    TooLong,
}

impl From<TooLong> for BadPathname {
    fn from(_: TooLong) -> Self {
        Self::TooLong
    }
}

impl<'m> Pathname<'m> {
    /// The root; `room` is [`PATH_MAX`] octets or more.
    pub fn root(room: &'m mut [u8]) -> Self {
        let mut pathname = Self(Octets::new(room));
        pathname.clear();
        pathname
    }

    /// Becomes the root.
    pub fn clear(&mut self) {
        // It fits: the short form alone is longer.
        let _ = self.0.set(b"/\0");
    }

    /// The pathname, with its leading `/`.
    pub fn octets(&self) -> &[u8] {
        self.0.get().strip_suffix(b"\0").unwrap_or_default()
    }

    /// Whether this is the root.
    pub fn is_root(&self) -> bool {
        self.octets() == b"/"
    }

    /// The pathname as the kernel takes it below a directory: without the leading `/`; `.` for the root.
    pub fn below(&self) -> &CStr {
        let below = self.0.get().get(1..).unwrap_or_default();
        match CStr::from_bytes_with_nul(below) {
            Ok(name) if !name.is_empty() => name,
            _ => c".",
        }
    }

    /// The last component; empty for the root.
    pub fn name(&self) -> &[u8] {
        self.octets()
            .rsplit(|octet| *octet == b'/')
            .next()
            .unwrap_or_default()
    }

    /// The last component as the kernel takes it; empty for the root.
    pub fn name_for_kernel(&self) -> &CStr {
        let all = self.0.get();
        let start = all.len().saturating_sub(self.name().len() + 1);
        CStr::from_bytes_with_nul(all.get(start..).unwrap_or_default()).unwrap_or_default()
    }

    /// What stands before the last component, without the leading `/`: empty for a name at the top.
    pub fn parent_below(&self) -> &[u8] {
        let octets = self.octets();
        let end = octets.len().saturating_sub(self.name().len() + 1);
        octets.get(1..end).unwrap_or_default()
    }

    /// Becomes a copy of `other`.
    pub fn copy(&mut self, other: &Pathname<'_>) {
        // Both hold as much as the other.
        if self.0.set(other.0.get()).is_err() {
            self.clear();
        }
    }

    /// Becomes what `argument` means in the directory `base`.
    ///
    /// # Errors
    /// If the argument is no pathname; this pathname is then the root.
    pub fn resolve(&mut self, base: &Pathname<'_>, argument: &[u8]) -> Result<(), BadPathname> {
        self.copy(base);
        self.enter(argument).inspect_err(|_| self.clear())
    }

    /// Becomes what `argument` means in the directory that this pathname names.
    ///
    /// # Errors
    /// If the argument is no pathname; this pathname is then of no meaning.
    pub fn enter(&mut self, argument: &[u8]) -> Result<(), BadPathname> {
        if argument
            .iter()
            .any(|octet| matches!(octet, b'\0' | b'\r' | b'\n'))
        {
            return Err(BadPathname::Octet);
        }
        if argument.first() == Some(&b'/') {
            self.clear();
        }
        for component in argument.split(|octet| *octet == b'/') {
            match component {
                b"" | b"." => {}
                b".." => self.leave(),
                name => {
                    let len = self.octets().len();
                    self.0.truncate(len);
                    if len > 1 {
                        self.0.push(b"/")?;
                    }
                    self.0.push(name)?;
                    self.0.push(b"\0")?;
                }
            }
        }
        Ok(())
    }

    /// Becomes the parent directory; the root stays.
    pub fn leave(&mut self) {
        let parent = self
            .octets()
            .len()
            .saturating_sub(self.name().len() + 1)
            .max(1);
        self.0.truncate(parent);
        // Room for it was there before the cut.
        let _ = self.0.push(b"\0");
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may panic")]
    use super::*;

    fn at(text: &[u8]) -> Pathname<'static> {
        let mut pathname = Pathname::root(Box::leak(Box::new([0; PATH_MAX])));
        pathname.enter(text).unwrap();
        pathname
    }

    #[test]
    fn dots_and_slashes_mean_what_they_mean_in_unix() {
        for (base, argument, expected) in [
            ("/", "a", "/a"),
            ("/a", "b/c", "/a/b/c"),
            ("/a", "/b", "/b"),
            ("/a/b", "..", "/a"),
            ("/a", "../../../..", "/"),
            ("/a", ".//./b/", "/a/b"),
            ("/", "../../etc/passwd", "/etc/passwd"),
            ("/a", "...", "/a/..."),
            ("/a", " x ", "/a/ x "),
            ("/a/b", "", "/a/b"),
        ] {
            let mut pathname = at(b"");
            pathname
                .resolve(&at(base.as_bytes()), argument.as_bytes())
                .unwrap();
            assert_eq!(pathname.octets(), expected.as_bytes(), "{base} {argument}");
        }
    }

    #[test]
    fn a_pathname_that_no_reply_could_carry_is_refused() {
        for argument in [&b"a\rb"[..], b"a\nb", b"a\0b"] {
            assert_eq!(at(b"").enter(argument), Err(BadPathname::Octet));
        }
    }

    #[test]
    fn a_pathname_longer_than_the_kernel_takes_is_refused() {
        let mut pathname = at(b"");
        assert_eq!(pathname.enter(&[b'a'; PATH_MAX]), Err(BadPathname::TooLong));
        let mut pathname = at(b"");
        pathname.enter(&[b'a'; PATH_MAX - 2]).unwrap();
        assert_eq!(pathname.octets().len(), PATH_MAX - 1);
        pathname.leave();
        assert!(pathname.is_root());
    }

    #[test]
    fn the_kernel_gets_a_name_below_the_root() {
        assert_eq!(at(b"").below(), c".");
        assert_eq!(at(b"a/b").below(), c"a/b");
        assert_eq!(at(b"a/b").name_for_kernel(), c"b");
        assert_eq!(at(b"a/b").parent_below(), b"a");
        assert_eq!(at(b"a").parent_below(), b"");
        assert_eq!(at(b"").name(), b"");
    }
}
