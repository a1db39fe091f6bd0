//! Drives FTP servers on this machine and prints what they gave and what it cost them.
//!
//! `load table PEERS PLACE [--quick | --disk] [--rounds N] [--only TEXT]` measures the servers in the file PEERS, a line
//! `name address:port pid group user password [milliseconds...]` each (its control group or `-`, and what its starts took), the server under test first, sharing the parent of the directory PLACE,
//! which is writable for them and which they see as `/in`.
//! `load serve FILE ADDRESS:PORT TIMES COMMAND...` runs one of them, which is then known by this process's id.
//! `load repeat ADDRESS:PORT PLACE CASE TIMES` does one thing so many times in one session, for `tests/bench/counts`.

mod cases;
mod crowd;
mod ftp;
mod proc;
mod serve;
mod table;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};
use std::{env, fs};

use ftp::Mode;

use cases::{Case, Server, Sizes, Unit, Volume, Work};
use nix::sys::resource::{Resource, getrlimit, setrlimit};

/// What a quick run may take before its storm.
const QUICK: Duration = Duration::from_secs(85);

type Outcome<T> = Result<T, Box<dyn std::error::Error>>;

fn main() -> ExitCode {
    // A thousand clients are a thousand descriptors.
    if let Ok((_, hard)) = getrlimit(Resource::RLIMIT_NOFILE) {
        let _ = setrlimit(Resource::RLIMIT_NOFILE, hard, hard);
    }
    let arguments: Vec<String> = env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let outcome = match words.as_slice() {
        ["prepare", place, "--small"] => cases::prepare_small(Path::new(place)).map_err(Into::into),
        ["prepare", place, rest @ ..] => prepare(Path::new(place), rest),
        ["table", peers, place, rest @ ..] => table(peers, Path::new(place), rest),
        ["serve", told, address, times, command @ ..] => serve_one(told, address, times, command),
        ["repeat", server, place, case, times] => repeat(server, Path::new(place), case, times),
        _ => Err("usage: load prepare PLACE [--quick | --disk | --small] | load table PEERS PLACE [--quick | --disk] [--rounds N] [--only TEXT] | load serve FILE ADDRESS:PORT TIMES COMMAND... | load repeat ADDRESS:PORT PLACE CASE TIMES".into()),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("load: {error}");
            ExitCode::FAILURE
        }
    }
}

fn sizes(rest: &[&str]) -> Sizes {
    Sizes::new(rest.contains(&"--quick"), rest.contains(&"--disk"))
}

fn prepare(place: &Path, rest: &[&str]) -> Outcome<()> {
    sizes(rest).prepare(place)?;
    Ok(cases::prepare_crlf(place)?)
}

fn serve_one(told: &str, address: &str, times: &str, command: &[&str]) -> Outcome<()> {
    Ok(serve::serve(
        told,
        address.parse()?,
        times.parse()?,
        command,
    )?)
}

fn peers(file: &str) -> Outcome<Vec<Server>> {
    let mut servers = Vec::new();
    for line in fs::read_to_string(file)?.lines() {
        let words: Vec<&str> = line.split_whitespace().collect();
        let [name, address, pid, group, user, password, started @ ..] = words.as_slice() else {
            return Err(format!("not a peer: {line}").into());
        };
        servers.push(Server {
            name: (*name).to_owned(),
            address: address.parse()?,
            pid: pid.parse()?,
            group: Some(PathBuf::from(group)).filter(|group| group.is_absolute()),
            user: (*user).to_owned(),
            password: (*password).to_owned(),
            started: started.iter().flat_map(|took| took.parse()).collect(),
        });
    }
    Ok(servers)
}

fn option<'a>(rest: &[&'a str], name: &str) -> Option<&'a str> {
    let at = rest.iter().position(|word| *word == name)?;
    rest.get(at + 1).copied()
}

fn table(file: &str, place: &Path, rest: &[&str]) -> Outcome<()> {
    let quick = rest.contains(&"--quick");
    let rounds = match option(rest, "--rounds") {
        Some(rounds) => rounds.parse()?,
        None if quick => 3,
        None => 5,
    };
    let began = Instant::now();
    let servers = peers(file)?;
    let only = option(rest, "--only");
    let wanted = |name: &str| only.is_none_or(|text| name.contains(text));
    let cases: Vec<Case> = cases::all(&sizes(rest), quick)
        .into_iter()
        .filter(|case| wanted(&case.name))
        .collect();
    let mut table = table::Table::new(&servers);
    // Memory first, before anything has grown.
    if wanted("memory") {
        let counts: &[usize] = if quick { &[100] } else { &[100, 1000, 4000] };
        crowd::memory(&servers, counts, "large256", place, &mut table);
    }
    if wanted("exec to the first 220") {
        for (at, server) in servers.iter().enumerate() {
            for took in &server.started {
                table.set("exec to the first 220: ms", at, *took, false);
            }
        }
    }
    let mut round_took = Duration::ZERO;
    for round in 0..rounds {
        // A slow or busy machine gets fewer rounds rather than more time.
        if quick && began.elapsed() + round_took > QUICK {
            println!("The machine was slow: {round} rounds of {rounds}.\n");
            break;
        }
        let round_began = Instant::now();
        eprintln!("round {} of {rounds}", round + 1);
        for case in &cases {
            // Another one begins in each round, so that none is always the one after the slowest.
            for at in 0..servers.len() {
                let at = (at + round) % servers.len();
                let Some(server) = servers.get(at) else {
                    continue;
                };
                match cases::run(server, case, place) {
                    Ok(figures) => table.add(case, at, &figures),
                    Err(error) => table.failed(&case.name, &server.name, &error),
                }
            }
        }
        round_took = round_began.elapsed();
    }
    if wanted("storm") {
        crowd::storm(&servers, 1000, if quick { 1 } else { 3 }, &mut table);
    }
    table.print();
    Ok(())
}

/// One thing so many times, in one session; `log-in` in as many.
fn repeat(server: &str, place: &Path, case: &str, times: &str) -> Outcome<()> {
    let address: SocketAddr = server.parse()?;
    let (verb, argument) = case.split_once(' ').unwrap_or((case, ""));
    let work = match verb {
        "retr" => Work::Retr(argument.to_owned()),
        "stor" => Work::Stor(argument.parse()?),
        "list" => Work::List("LIST".to_owned()),
        "mlsd" => Work::List(format!("MLSD /in/d{argument}")),
        "noop" => Work::Ask("NOOP", 200),
        "pwd" => Work::Ask("PWD", 257),
        "cwd" => Work::Ask("CWD ../in", 250),
        "size" => Work::Ask("SIZE file1k", 213),
        "pipeline" => Work::Pipeline(16),
        "log-in" => Work::LogIn,
        _ => return Err(format!("no such case: {case}").into()),
    };
    let case = Case {
        name: format!("of {argument}"),
        sessions: 1,
        work,
        ascii: false,
        mode: Mode::Passive,
        unit: Unit::Operations,
        volume: Volume::Times(times.parse()?),
    };
    let server = Server {
        name: String::new(),
        address,
        pid: 0,
        group: None,
        user: "anonymous".to_owned(),
        password: "bench@".to_owned(),
        started: Vec::new(),
    };
    let place: PathBuf = place.to_owned();
    cases::run(&server, &case, &place)?;
    Ok(())
}
