//! The client that is built in: as much of a user-PI and user-DTP as the self-test needs (RFC 959 2.3).
//!
//! Every wait has an end, and every failure is words: what was said, and what came back.

use std::io;
use std::io::Read as _;
use std::io::Write as _;
use std::net::IpAddr;
use std::net::SocketAddr;
use std::net::TcpListener;
use std::net::TcpStream;
use std::os::fd::AsFd as _;
use std::time::Duration;
use std::time::Instant;

use nix::poll::PollFd;
use nix::poll::PollFlags;
use nix::poll::poll;

use crate::control;
use crate::wire::address;

/// How long one answer or one data connection may take; longer than the server's own timeouts in the self-test, so
/// that its words are heard.
const PATIENCE: Duration = Duration::from_secs(4);

/// The longest reply and the largest file that are taken, in octets.
const REPLY_MAX: usize = 64 * 1024;
const FILE_MAX: u64 = 4 * 1024 * 1024;

/// What was wanted, or in words why it failed.
pub type Told<T> = Result<T, String>;

/// How data connections come about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    Pasv,
    Epsv,
    Port,
    Eprt,
}

impl Mode {
    /// The verb.
    pub fn verb(self) -> &'static str {
        match self {
            Self::Pasv => "PASV",
            Self::Epsv => "EPSV",
            Self::Port => "PORT",
            Self::Eprt => "EPRT",
        }
    }

    /// Whether the client connects.
    pub fn is_passive(self) -> bool {
        matches!(self, Self::Pasv | Self::Epsv)
    }
}

/// A whole reply: its code, and its last line without the code.
#[derive(Debug)]
pub struct Reply {
    pub code: u16,
    pub text: String,
}

/// A data connection that is agreed upon.
#[derive(Debug)]
pub enum Data {
    Passive(TcpStream),
    Active(TcpListener),
}

/// A client on its control connection.
#[derive(Debug)]
pub struct Client {
    control: TcpStream,
    unread: Vec<u8>,
    by: Instant,
}

impl Client {
    /// Speaks on a connection, and is done by then.
    pub fn new(control: TcpStream, by: Instant) -> Self {
        Self {
            control,
            unread: Vec::new(),
            by,
        }
    }

    fn patience(&self) -> Told<Duration> {
        let left = self.by.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err("the time for the whole self-test is over".to_owned());
        }
        Ok(left.min(PATIENCE))
    }

    /// Says a line and hears the answer, which must have one of these codes.
    pub fn ask(&mut self, line: impl AsRef<[u8]>, codes: &[u16]) -> Told<Reply> {
        self.ask_octets(line.as_ref(), codes)
    }

    fn ask_octets(&mut self, line: &[u8], codes: &[u16]) -> Told<Reply> {
        self.say(line)?;
        let reply = self.hear()?;
        if codes.contains(&reply.code) {
            return Ok(reply);
        }
        Err(unexpected(line, &reply))
    }

    /// Says a line.
    pub fn say(&mut self, line: &[u8]) -> Told<()> {
        let octets = [line, b"\r\n"].concat();
        let timeout = self.patience()?;
        self.control
            .set_write_timeout(Some(timeout))
            .and_then(|()| self.control.write_all(&octets))
            .map_err(|error| format!("{} could not be said: {error}", shown(line)))
    }

    /// Hears one whole reply.
    pub fn hear(&mut self) -> Told<Reply> {
        let first = self.line()?;
        let code = first
            .get(..3)
            .and_then(|code| code.parse::<u16>().ok())
            .ok_or_else(|| format!("the server said what is no reply: {first}"))?;
        let mut last = first;
        let end = format!("{code} ");
        while !last.starts_with(&end) {
            last = self.line()?;
        }
        let text = last.strip_prefix(&end).unwrap_or_default().to_owned();
        Ok(Reply { code, text })
    }

    /// Hears one whole reply, which must have this code; `line` is what it answers.
    pub fn hear_code(&mut self, line: &str, code: u16) -> Told<Reply> {
        let reply = self.hear()?;
        if reply.code == code {
            return Ok(reply);
        }
        Err(unexpected(line.as_bytes(), &reply))
    }

    fn line(&mut self) -> Told<String> {
        loop {
            if let Some(at) = self.unread.iter().position(|octet| *octet == b'\n') {
                let line: Vec<u8> = self.unread.drain(..=at).collect();
                return Ok(String::from_utf8_lossy(line.trim_ascii_end()).into_owned());
            }
            let timeout = self.patience()?;
            let mut some = [0; 1024];
            let read = self
                .control
                .set_read_timeout(Some(timeout))
                .and_then(|()| self.control.read(&mut some));
            match read {
                Ok(0) => return Err("the server hung up".to_owned()),
                Ok(len) => self
                    .unread
                    .extend_from_slice(some.get(..len).unwrap_or_default()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => return Err("the server did not answer in time".to_owned()),
            }
            if self.unread.len() > REPLY_MAX {
                return Err("the server's answer has no end".to_owned());
            }
        }
    }

    /// Agrees upon a data connection; a passive one is connected at once.
    pub fn agree(&mut self, mode: Mode) -> Told<Data> {
        if mode.is_passive() {
            let address = self.passive(mode)?;
            let stream = TcpStream::connect_timeout(&address, self.patience()?)
                .map_err(|error| format!("{}: no connection to {address}: {error}", mode.verb()))?;
            return Ok(Data::Passive(stream));
        }
        let own = self.own()?;
        let listener = TcpListener::bind(SocketAddr::new(own, 0))
            .and_then(|listener| listener.set_nonblocking(true).map(|()| listener))
            .map_err(|error| format!("{}: no port to listen at: {error}", mode.verb()))?;
        let port = listener.local_addr().map_or(0, |address| address.port());
        let line = match (mode, own) {
            (Mode::Port, _) => {
                let [high, low] = port.to_be_bytes();
                let address = own.to_string().replace('.', ",");
                format!("PORT {address},{high},{low}")
            }
            (_, IpAddr::V4(own)) => format!("EPRT |1|{own}|{port}|"),
            (_, IpAddr::V6(own)) => format!("EPRT |2|{own}|{port}|"),
        };
        self.ask(line, &[200])?;
        Ok(Data::Active(listener))
    }

    fn own(&self) -> Told<IpAddr> {
        let own = self.control.local_addr();
        own.map(|address| address.ip())
            .map_err(|error| format!("the control connection is lost: {error}"))
    }

    /// Asks for a passive port, and does not connect yet.
    pub fn passive(&mut self, mode: Mode) -> Told<SocketAddr> {
        let peer = self
            .control
            .peer_addr()
            .map_err(|error| format!("the control connection is lost: {error}"))?;
        let code = if mode == Mode::Pasv { 227 } else { 229 };
        let reply = self.ask(mode.verb(), &[code])?;
        let inner = reply
            .text
            .split_once('(')
            .and_then(|(_, rest)| rest.split_once(')'))
            .map_or("", |(inner, _)| inner);
        let address = match mode {
            Mode::Pasv => address::parse_port(inner.as_bytes()).map(SocketAddr::V4),
            _ => inner
                .strip_prefix("|||")
                .and_then(|port| port.strip_suffix('|'))
                .and_then(|port| port.parse().ok())
                .map(|port| SocketAddr::new(peer.ip(), port)),
        };
        match address {
            Some(address) if address.ip() == peer.ip() && address.port() != 0 => Ok(address),
            _ => Err(unexpected(mode.verb().as_bytes(), &reply)),
        }
    }

    /// The data connection itself, once the server has said that it is there.
    pub fn stream(&self, data: Data) -> Told<TcpStream> {
        let stream = match data {
            Data::Passive(stream) => stream,
            Data::Active(listener) => {
                let mut one = [PollFd::new(listener.as_fd(), PollFlags::POLLIN)];
                let by = Instant::now() + self.patience()?;
                let _ = poll(&mut one, control::until(by));
                let accepted = listener.accept();
                let (stream, _) = accepted
                    .map_err(|error| format!("the server made no data connection: {error}"))?;
                stream
            }
        };
        let timeout = self.patience()?;
        stream
            .set_nonblocking(false)
            .and_then(|()| stream.set_read_timeout(Some(timeout)))
            .and_then(|()| stream.set_write_timeout(Some(timeout)))
            .map_err(|error| format!("the data connection is lost: {error}"))?;
        Ok(stream)
    }

    /// Fetches what a command sends; with it comes the port that the data came from.
    pub fn download(&mut self, mode: Mode, line: &[u8]) -> Told<(Vec<u8>, u16)> {
        let data = self.agree(mode)?;
        self.ask(line, &[150])?;
        let stream = self.stream(data)?;
        let from = stream.peer_addr().map_or(0, |address| address.port());
        let mut octets = Vec::new();
        stream
            .take(FILE_MAX)
            .read_to_end(&mut octets)
            .map_err(|error| format!("{}: the data ended with: {error}", shown(line)))?;
        self.hear_code(&shown(line), 226)?;
        Ok((octets, from))
    }

    /// Sends octets by STOU, which never touches what is there; returns the name that the server has chosen.
    pub fn upload(&mut self, mode: Mode, name: &str, octets: &[u8]) -> Told<String> {
        let (mut stream, made) = self.begin_upload(mode, name)?;
        stream
            .write_all(octets)
            .map_err(|error| format!("STOU: the data could not be sent: {error}"))?;
        drop(stream);
        self.hear_code("STOU", 226)?;
        Ok(made)
    }

    /// An upload whose data connection is open.
    pub fn begin_upload(&mut self, mode: Mode, name: &str) -> Told<(TcpStream, String)> {
        let data = self.agree(mode)?;
        let opening = self.ask(format!("STOU {name}"), &[150])?;
        let made = opening.text.strip_prefix("FILE: ").unwrap_or(name);
        Ok((self.stream(data)?, made.to_owned()))
    }
}

fn shown(line: &[u8]) -> String {
    String::from_utf8_lossy(line).into_owned()
}

fn unexpected(line: &[u8], reply: &Reply) -> String {
    format!(
        "{} was answered: {} {}",
        shown(line),
        reply.code,
        reply.text
    )
}
