//! What the self-test has put into the share, and that it is gone afterwards, on every path.

use std::cell::RefCell;
use std::time::SystemTime;
use std::time::UNIX_EPOCH;

use rustix::io::Errno;

use crate::check::client::Told;
use crate::tree::Tree;
use crate::wire::pathname::PATH_MAX;
use crate::wire::pathname::Pathname;

/// Names that the test has made; dropping this removes what bears them.
#[derive(Debug)]
pub struct Litter<'t> {
    tree: &'t Tree,
    names: RefCell<Vec<String>>,
}

impl<'t> Litter<'t> {
    /// Nothing so far.
    pub fn new(tree: &'t Tree) -> Self {
        Self {
            tree,
            names: RefCell::new(Vec::new()),
        }
    }

    /// A name at the top of the share that nothing bears.
    ///
    /// # Errors
    /// In words.
    pub fn name(&self) -> Told<String> {
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_or(0, |time| u64::try_from(time.as_nanos()).unwrap_or(0));
        let name = format!("pocketftpd-check-{}-{now}", std::process::id());
        match at(&name, |pathname| self.tree.stat_link(pathname)) {
            Err(Errno::NOENT) => {
                self.names.borrow_mut().push(name.clone());
                Ok(name)
            }
            Ok(_) => Err(format!("{name} is taken, and was not touched")),
            Err(errno) => Err(format!("{name}: {errno}")),
        }
    }

    /// The server chose this name, so it is the test's as well.
    pub fn add(&self, name: &str) {
        let mut names = self.names.borrow_mut();
        if !names.iter().any(|known| known == name) {
            names.push(name.to_owned());
        }
    }

    /// Removes all that is there still; returns what stays.
    pub fn clear(&self) -> Vec<String> {
        let mut names = self.names.borrow_mut();
        names.retain(|name| {
            let removed = at(name, |pathname| self.tree.remove_file(pathname));
            !matches!(removed, Ok(()) | Err(Errno::NOENT))
        });
        names.clone()
    }
}

impl Drop for Litter<'_> {
    fn drop(&mut self) {
        self.clear();
    }
}

/// Calls `act` with a pathname.
///
/// # Errors
/// What the kernel says; `NAMETOOLONG` also for what is no pathname.
pub fn at<T>(
    name: impl AsRef<[u8]>,
    act: impl FnOnce(&Pathname<'_>) -> rustix::io::Result<T>,
) -> rustix::io::Result<T> {
    let mut room = [0; PATH_MAX];
    let mut pathname = Pathname::root(&mut room);
    pathname
        .enter(name.as_ref())
        .map_err(|_| Errno::NAMETOOLONG)?;
    act(&pathname)
}
