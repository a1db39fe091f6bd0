//! A person at a host, with the clients that people have.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use super::lab::Host;
use crate::common::{Client, Desk, assert_same_octets, program};

/// The file that everybody fetches, and its length.
pub const FILE: &str = "noise.bin";

#[derive(Debug)]
pub struct User<'h> {
    host: &'h Host,
    desk: Desk,
}

/// What came of it.
#[derive(Debug)]
pub struct Visit {
    /// All that the client printed, the dialogue with the server included.
    pub said: String,
    pub took: Duration,
    pub success: bool,
    got: Option<Vec<u8>>,
}

impl<'h> User<'h> {
    pub fn of(host: &'h Host) -> Self {
        Self {
            host,
            desk: Desk::new(),
        }
    }

    /// curl fetches the file from `server`, an address as it stands in a URL; `None` if there is no curl.
    pub fn curl(&self, server: &str, flags: &[&str]) -> Option<Visit> {
        let url = format!("ftp://{server}/{FILE}");
        let mut curl = self.desk.command(&program("curl")?);
        curl.args([
            "-sS",
            "-v",
            "--max-time",
            "8",
            "--noproxy",
            "*",
            "-o",
            "got",
        ])
        .args(flags)
        .arg(url);
        Some(self.visit(curl))
    }

    /// curl stores a file.
    pub fn curl_stores(
        &self,
        server: &str,
        name: &str,
        octets: &[u8],
        flags: &[&str],
    ) -> Option<Visit> {
        self.desk.write("sent", octets);
        let url = format!("ftp://{server}/{name}");
        let mut curl = self.desk.command(&program("curl")?);
        curl.args([
            "-sS",
            "-v",
            "--max-time",
            "8",
            "--noproxy",
            "*",
            "-T",
            "sent",
        ])
        .args(flags)
        .arg(url);
        Some(self.visit(curl))
    }

    /// lftp fetches the file; `settings` are variables and their values, as `set` takes them.
    pub fn lftp(&self, server: &str, settings: &[&str]) -> Option<Visit> {
        let mut script =
            "debug 9;set net:max-retries 3;set net:reconnect-interval-base 1;".to_owned();
        for setting in settings {
            script.push_str(&format!("set {setting};"));
        }
        script.push_str(&format!("open ftp://{server};get {FILE} -o got"));
        let mut lftp = self.desk.command(&program("lftp")?);
        lftp.args(["--norc", "-c", &script]);
        Some(self.visit(lftp))
    }

    /// tnftp fetches the file.
    pub fn tnftp(&self, server: &str, flags: &[&str]) -> Option<Visit> {
        let mut tnftp = self.desk.command(&program("tnftp")?);
        tnftp
            .args(["-d", "-o", "got", "-q", "8"])
            .args(flags)
            .arg(format!("ftp://{server}/{FILE}"));
        Some(self.visit(tnftp))
    }

    /// The tests' own client, logged in and in binary, for the exact words.
    pub fn client(&self, server: &str) -> Client {
        let mut client = self.host.at(|| Client::knock(server.parse().unwrap()));
        client.hear(220);
        client.say("USER anonymous").hear(331);
        client.say("PASS guest@").hear(230);
        client.say("TYPE I").hear(200);
        client
    }

    fn visit(&self, mut command: Command) -> Visit {
        let got = self.desk.path("got");
        std::fs::remove_file(&got).ok();
        let began = Instant::now();
        let output = self.host.at(|| command.output().unwrap());
        Visit {
            took: began.elapsed(),
            success: output.status.success(),
            said: [output.stdout, output.stderr]
                .map(|it| String::from_utf8_lossy(&it).into_owned())
                .concat(),
            got: read(&got),
        }
    }
}

fn read(path: &Path) -> Option<Vec<u8>> {
    std::fs::read(path).ok()
}

impl Visit {
    /// It went well, and the file is the one that the server has.
    #[track_caller]
    pub fn fetched(self, wanted: &[u8]) -> Self {
        let got = self.stored().got.as_ref();
        let Some(got) = got else {
            panic!("no file:\n{}", self.said)
        };
        assert_same_octets(got, wanted);
        self
    }

    /// It went well.
    #[track_caller]
    pub fn stored(&self) -> &Self {
        assert!(self.success, "it failed:\n{}", self.said);
        self
    }

    /// It did not go well.
    #[track_caller]
    pub fn failed(self) -> Self {
        assert!(!self.success, "it went well:\n{}", self.said);
        self
    }

    /// It ended by then.
    #[track_caller]
    pub fn within(self, limit: Duration) -> Self {
        assert!(
            self.took < limit,
            "{:?} where {limit:?} are the limit:\n{}",
            self.took,
            self.said
        );
        self
    }

    /// The client printed that.
    #[track_caller]
    pub fn with(self, text: &str) -> Self {
        assert!(self.said.contains(text), "no {text:?} in:\n{}", self.said);
        self
    }

    /// How it went, for whoever reads the test's output.
    pub fn told(&self) -> String {
        let lines = self.said.lines();
        let last = lines.rev().find(|line| !line.trim().is_empty());
        format!(
            "{} after {:.1} s{}; last word: {}",
            if self.success { "went well" } else { "failed" },
            self.took.as_secs_f32(),
            if self.said.contains("> PASV") {
                ", by PASV in the end"
            } else {
                ""
            },
            last.unwrap_or_default()
        )
    }
}
