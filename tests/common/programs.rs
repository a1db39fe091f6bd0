//! Other people's clients: where they are, and how they are run within bounds.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use super::share::{fresh_directory, remove};
use super::{in_ci, skip};

/// Finds a program; where there is none the test is skipped, and in CI it fails.
pub fn program(name: &str) -> Option<PathBuf> {
    // The system's own places first: a version manager's stand-in earlier on PATH wants its user's home.
    let own = ["/usr/bin", "/bin", "/usr/sbin", "/sbin", "/usr/local/bin"].map(PathBuf::from);
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = own
        .into_iter()
        .chain(std::env::split_paths(&path))
        .map(|place| place.join(name))
        .find(|it| it.is_file());
    if found.is_none() {
        assert!(!in_ci(), "{name} is not installed, and CI requires it");
        skip(&format!("{name} is not installed"));
    }
    found
}

/// A client's side: a home and working directory of its own.
#[derive(Debug)]
pub struct Desk(PathBuf);

impl Desk {
    pub fn new() -> Self {
        Self(fresh_directory())
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    pub fn top(&self) -> &Path {
        &self.0
    }

    pub fn write(&self, name: &str, contents: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, contents).unwrap();
        path
    }

    pub fn read(&self, name: &str) -> Vec<u8> {
        std::fs::read(self.path(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    pub fn holds(&self, name: &str) -> bool {
        self.path(name).exists()
    }

    /// The program as a command at this desk, with half a minute to do its work.
    pub fn command(&self, program: &Path) -> Command {
        let mut command = Command::new("timeout");
        command.args(["-k", "2", "30"]).arg(program);
        command
            .current_dir(&self.0)
            .env("HOME", &self.0)
            .env("LC_ALL", "C.UTF-8")
            .env("TERM", "dumb");
        for name in [
            "ftp_proxy",
            "FTP_PROXY",
            "all_proxy",
            "ALL_PROXY",
            "http_proxy",
            "HTTP_PROXY",
            "XDG_CONFIG_HOME",
        ] {
            command.env_remove(name);
        }
        command.stdin(Stdio::null());
        command
    }

    /// Runs it with a script on its standard input.
    pub fn feed(&self, mut command: Command, script: &str) -> Output {
        let input = self.write(".script", script);
        command.stdin(std::fs::File::open(input).unwrap());
        command.output().unwrap()
    }
}

impl Drop for Desk {
    fn drop(&mut self) {
        remove(&self.0);
    }
}

/// The output of a command that must have gone well.
#[track_caller]
pub fn finished(output: Output) -> String {
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let complained = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success(),
        "{}\nstdout: {said}\nstderr: {complained}",
        output.status
    );
    said
}
