//! A user of the server: says lines, hears whole replies, and holds each against the RFC.

use std::collections::VecDeque;
use std::fmt::Write as _;
use std::io::{ErrorKind, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::os::fd::{AsFd, AsRawFd};
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{
    AddressFamily, MsgFlags, SockFlag, SockType, SockaddrStorage, bind, send, setsockopt, socket,
    sockopt,
};

use super::{PATIENCE, Server, replies};

/// One whole reply, its lines without CRLF.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    pub code: u16,
    pub lines: Vec<Vec<u8>>,
}

impl Reply {
    /// The last line with its code, as octets.
    pub fn octets(&self) -> &[u8] {
        self.lines.last().unwrap()
    }

    /// The last line with its code.
    pub fn line(&self) -> String {
        String::from_utf8_lossy(self.octets()).into_owned()
    }

    /// The last line without its code.
    pub fn text(&self) -> String {
        self.line()[4..].to_owned()
    }

    /// The lines between the first and the last.
    pub fn inner(&self) -> Vec<String> {
        let lines = self.lines.get(1..self.lines.len() - 1).unwrap_or_default();
        lines
            .iter()
            .map(|line| String::from_utf8_lossy(line).into_owned())
            .collect()
    }

    /// What stands between the quotes of a 257, doubled quotes undone.
    pub fn quoted(&self) -> Vec<u8> {
        let line = self.octets();
        assert!(
            line.starts_with(b"257 \""),
            "no quote right after the code: {}",
            self.line()
        );
        let mut path = Vec::new();
        let mut rest = line[5..].iter();
        while let Some(octet) = rest.next() {
            if *octet == b'"' && rest.next() != Some(&b'"') {
                return path;
            }
            path.push(*octet);
        }
        panic!("the quote does not end: {}", self.line());
    }
}

/// How data connections are made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    Pasv,
    Epsv,
    Port,
    Eprt,
}

/// A data connection that has been agreed upon.
#[derive(Debug)]
pub enum Data {
    Passive(TcpStream),
    Active(TcpListener),
}

impl Data {
    /// The connection itself; an active one is accepted now.
    #[track_caller]
    pub fn stream(self) -> TcpStream {
        let stream = match self {
            Self::Passive(stream) => stream,
            Self::Active(listener) => accept(&listener),
        };
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        stream
    }
}

/// Accepts one connection, within [`PATIENCE`].
#[track_caller]
pub fn accept(listener: &TcpListener) -> TcpStream {
    assert!(
        readable(listener, PATIENCE),
        "the server did not connect to {:?}",
        listener.local_addr()
    );
    listener.accept().unwrap().0
}

/// Whether something can be read, or accepted, within that time.
pub fn readable(what: impl AsFd, within: Duration) -> bool {
    let mut one = [PollFd::new(what.as_fd(), PollFlags::POLLIN)];
    let timeout = PollTimeout::try_from(within).unwrap();
    loop {
        match poll(&mut one, timeout) {
            Err(nix::errno::Errno::EINTR) => {}
            ready => return ready.unwrap() > 0,
        }
    }
}

/// All octets up to the end of the connection, which must be an orderly one.
#[track_caller]
pub fn drain(stream: &mut TcpStream) -> Vec<u8> {
    let mut octets = Vec::new();
    if let Err(error) = stream.read_to_end(&mut octets) {
        panic!(
            "the data connection ended with {error} after {} octets",
            octets.len()
        );
    }
    octets
}

/// Drops a connection with a RST instead of a FIN.
pub fn reset(stream: TcpStream) {
    let at_once = nix::libc::linger {
        l_onoff: 1,
        l_linger: 0,
    };
    setsockopt(&stream, sockopt::Linger, &at_once).unwrap();
    drop(stream);
}

/// A client on its control connection.
#[derive(Debug)]
pub struct Client {
    control: TcpStream,
    unread: VecDeque<u8>,
    /// The verbs that still wait for their last reply, each with whether its opening reply has come.
    pending: VecDeque<(String, bool)>,
    /// Raw octets were sent: nobody knows what verbs they hold.
    unchecked: bool,
    dialogue: String,
    pub mode: Mode,
}

impl Client {
    /// Connects and hears the greeting.
    #[track_caller]
    pub fn connect(server: &Server) -> Self {
        let mut client = Self::knock(server.address());
        client.hear(220);
        client
    }

    /// Connects and hears nothing yet.
    #[track_caller]
    pub fn knock(address: SocketAddr) -> Self {
        let control = TcpStream::connect_timeout(&address, PATIENCE).unwrap();
        Self::over(control)
    }

    /// A client on a connection that has been made already.
    pub fn over(control: TcpStream) -> Self {
        control.set_read_timeout(Some(PATIENCE)).unwrap();
        control.set_write_timeout(Some(PATIENCE)).unwrap();
        control.set_nodelay(true).unwrap();
        Self {
            control,
            unread: VecDeque::new(),
            pending: VecDeque::from([("(connection)".to_owned(), false)]),
            unchecked: false,
            dialogue: String::new(),
            mode: Mode::Epsv,
        }
    }

    /// Connects and logs in as anonymous.
    #[track_caller]
    pub fn login(server: &Server) -> Self {
        let mut client = Self::connect(server);
        client.say("USER anonymous").hear(331);
        client.say("PASS guest@").hear(230);
        client
    }

    /// Connects and logs in by name, in binary.
    #[track_caller]
    pub fn login_as(server: &Server, name: &str, password: &str) -> Self {
        let mut client = Self::connect(server);
        client.say(format!("USER {name}")).hear(331);
        client.say(format!("PASS {password}")).hear(230);
        client
    }

    /// Makes data connections that way from now on.
    pub fn by(mut self, mode: Mode) -> Self {
        self.mode = mode;
        self
    }

    pub fn local_address(&self) -> SocketAddr {
        self.control.local_addr().unwrap()
    }

    pub fn peer_address(&self) -> SocketAddr {
        self.control.peer_addr().unwrap()
    }

    /// Waits at most that long for each reply from now on.
    pub fn patience(&mut self, within: Duration) -> &mut Self {
        self.control.set_read_timeout(Some(within)).unwrap();
        self
    }

    /// Sends one line with CRLF, and remembers its verb.
    #[track_caller]
    pub fn say(&mut self, line: impl AsRef<[u8]>) -> &mut Self {
        let line = line.as_ref();
        let verb = line
            .split(|octet| *octet == b' ')
            .next()
            .unwrap_or_default()
            .to_ascii_uppercase();
        self.pending
            .push_back((String::from_utf8_lossy(&verb).into_owned(), false));
        let mut octets = line.to_vec();
        octets.extend_from_slice(b"\r\n");
        self.send(&octets)
    }

    /// Sends octets as they are. What is heard up to the next [`say`](Self::say) is not held against a verb, for
    /// nobody knows which it was.
    #[track_caller]
    pub fn raw(&mut self, octets: &[u8]) -> &mut Self {
        self.unchecked = true;
        self.pending.clear();
        self.send(octets)
    }

    /// Notes that these verbs went out by [`raw`](Self::raw), so that the replies are checked after all.
    pub fn expect(&mut self, verbs: &[&str]) -> &mut Self {
        self.pending
            .extend(verbs.iter().map(|verb| ((*verb).to_owned(), false)));
        self.unchecked = false;
        self
    }

    /// Sends one octet as urgent data.
    pub fn urgent(&mut self, octet: u8) -> &mut Self {
        self.urgent_all(&[octet])
    }

    /// Sends octets, of which the last is marked urgent, as Python's `ftplib` does with a whole line.
    pub fn urgent_all(&mut self, octets: &[u8]) -> &mut Self {
        let _ = writeln!(self.dialogue, "> (urgent) {}", octets.escape_ascii());
        send(self.control.as_raw_fd(), octets, MsgFlags::MSG_OOB).unwrap();
        self
    }

    #[track_caller]
    fn send(&mut self, octets: &[u8]) -> &mut Self {
        let _ = writeln!(self.dialogue, "> {}", shown(octets));
        if let Err(error) = self.control.write_all(octets) {
            self.fail(&format!("cannot say it: {error}"));
        }
        self
    }

    /// Hears one whole reply, which must carry this code.
    #[track_caller]
    pub fn hear(&mut self, code: u16) -> Reply {
        self.hear_one_of(&[code])
    }

    /// Hears one whole reply, which must carry one of these codes.
    #[track_caller]
    pub fn hear_one_of(&mut self, codes: &[u16]) -> Reply {
        let reply = self.hear_any();
        if !codes.contains(&reply.code) {
            self.fail(&format!("{} where {codes:?} was due", reply.code));
        }
        reply
    }

    /// Hears one whole reply of any code that is legal for its verb.
    #[track_caller]
    pub fn hear_any(&mut self) -> Reply {
        let first = self.line();
        let Some((code, mark)) = opening(&first) else {
            self.fail("that is no reply: three digits, then a space or a hyphen");
        };
        let mut lines = vec![first];
        if mark == b'-' {
            loop {
                let line = self.line();
                let last = opening(&line) == Some((code, b' '));
                if !last && opening(&line).is_some() {
                    self.fail("an inner line of a reply looks like a reply line");
                }
                lines.push(line);
                if last {
                    break;
                }
            }
        }
        let reply = Reply { code, lines };
        self.check(&reply);
        reply
    }

    /// Holds a reply against the verb that it answers.
    #[track_caller]
    fn check(&mut self, reply: &Reply) {
        let octets = reply.lines.concat();
        if octets.starts_with(b"227 ") && reply.code != 227
            || octets.starts_with(b"229 ") && reply.code != 229
        {
            self.fail("only PASV is answered with 227, only EPSV with 229");
        }
        let Some((front, opened)) = self.pending.front().cloned() else {
            if !self.unchecked && reply.code != 421 {
                self.fail("a reply to nothing");
            }
            return;
        };
        // STAT is answered at once while a transfer runs (RFC 959 4.1.3).
        let overtaking = opened && !replies::legal(&front).contains(&reply.code);
        let at = if overtaking {
            self.pending
                .iter()
                .position(|(verb, _)| verb == "STAT")
                .unwrap_or(0)
        } else {
            0
        };
        let verb = self.pending[at].0.clone();
        if !replies::legal(&verb).contains(&reply.code) {
            self.fail(&format!("{} is no legal reply to {verb}", reply.code));
        }
        if opened && at == 0 && reply.code < 200 && reply.code != 110 {
            self.fail(&format!("a second opening reply to {verb}"));
        }
        // Names come back as they are stored; everything else is plain ASCII.
        if !matches!(reply.code, 150 | 211 | 212 | 213 | 250 | 257) && !octets.is_ascii() {
            self.fail("octets beyond ASCII in a text of the server's own");
        }
        if replies::is_final(reply.code) {
            self.pending.remove(at);
        } else {
            self.pending[at].1 = true;
        }
    }

    /// Hears nothing more: what comes next is the answer to a NOOP sent now.
    #[track_caller]
    pub fn hear_nothing(&mut self) -> &mut Self {
        self.say("NOOP").hear(200);
        self
    }

    /// Hears the end of the connection: orderly, no RST, and no words before it.
    #[track_caller]
    pub fn hear_end(&mut self) {
        let mut octet = [0];
        match self.read(&mut octet) {
            Ok(0) if self.unread.is_empty() => {}
            Ok(_) => self.fail(&format!(
                "more words where the end was due, first {:?}",
                char::from(octet[0])
            )),
            Err(error) => self.fail(&format!("no orderly end: {error}")),
        }
    }

    /// Hears that many octets that belong to no reply (Telnet's answers).
    #[track_caller]
    pub fn hear_octets(&mut self, count: usize) -> Vec<u8> {
        while self.unread.len() < count {
            let mut some = [0; 64];
            match self.read(&mut some) {
                Ok(len) if len > 0 => self.unread.extend(&some[..len]),
                other => self.fail(&format!("{count} octets were due: {other:?}")),
            }
        }
        let octets: Vec<u8> = self.unread.drain(..count).collect();
        let _ = writeln!(self.dialogue, "< (octets) {}", octets.escape_ascii());
        octets
    }

    /// Whether the connection ends, in whatever way, before it says anything more.
    pub fn ends(&mut self) -> bool {
        let mut octet = [0];
        match self.read(&mut octet) {
            Ok(len) => len == 0,
            Err(error) => !matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut),
        }
    }

    /// Whether something is to be heard within that time.
    pub fn hears_within(&self, within: Duration) -> bool {
        !self.unread.is_empty() || readable(&self.control, within)
    }

    /// Closes this side for writing, as `nc` does at the end of its input.
    pub fn hang_up(&mut self) -> &mut Self {
        self.control.shutdown(Shutdown::Write).unwrap();
        self
    }

    /// Drops the control connection with a RST.
    pub fn reset(self) {
        reset(self.control);
    }

    /// Everything said and heard so far.
    pub fn dialogue(&self) -> &str {
        &self.dialogue
    }

    /// Reads on where a signal came in between: the kernel may wake any thread of the test for a child that has ended
    /// while the thread that it belongs to was starting the next one.
    fn read(&mut self, some: &mut [u8]) -> std::io::Result<usize> {
        loop {
            match self.control.read(some) {
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                result => return result,
            }
        }
    }

    /// One line, which must end in CRLF and hold no other CR; without it.
    #[track_caller]
    fn line(&mut self) -> Vec<u8> {
        let end = Instant::now() + Duration::from_secs(60);
        loop {
            if let Some(at) = self.unread.iter().position(|octet| *octet == b'\n') {
                let mut line: Vec<u8> = self.unread.drain(..=at).collect();
                let _ = writeln!(self.dialogue, "< {}", shown(&line));
                line.pop();
                if line.pop() != Some(b'\r') || line.contains(&b'\r') {
                    self.fail("a line must end in one CRLF");
                }
                return line;
            }
            let mut some = [0; 4096];
            match self.read(&mut some) {
                Ok(0) => self.fail("the server closed the connection"),
                Ok(len) => self.unread.extend(&some[..len]),
                Err(error)
                    if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) =>
                {
                    self.fail("no reply");
                }
                Err(error) => self.fail(&format!("no reply: {error}")),
            }
            if Instant::now() > end {
                self.fail("the reply has no end");
            }
        }
    }

    #[track_caller]
    fn fail(&self, what: &str) -> ! {
        panic!("{what}\nthe dialogue was:\n{}", self.dialogue);
    }

    // data connections

    /// `PASV`: the address to connect to, from a reply of exactly the form that clients and firewalls parse.
    #[track_caller]
    pub fn pasv(&mut self) -> SocketAddr {
        let line = self.say("PASV").hear(227).line();
        let numbers = line
            .strip_prefix("227 Entering Passive Mode (")
            .and_then(|rest| rest.strip_suffix(")"))
            .unwrap_or_else(|| panic!("nobody can parse {line:?}"));
        let digits: Vec<&str> = numbers.split(',').collect();
        assert!(
            digits
                .iter()
                .all(|it| (1..=3).contains(&it.len()) && it.bytes().all(|it| it.is_ascii_digit())),
            "{line}"
        );
        let numbers: Vec<u8> = digits
            .iter()
            .map(|number| number.parse().unwrap())
            .collect();
        let &[a, b, c, d, high, low] = numbers.as_slice() else {
            panic!("six numbers were due: {line}")
        };
        SocketAddr::from((Ipv4Addr::new(a, b, c, d), u16::from_be_bytes([high, low])))
    }

    /// `EPSV`: the server's own address and the port from the reply.
    #[track_caller]
    pub fn epsv(&mut self) -> SocketAddr {
        let line = self.say("EPSV").hear(229).line();
        let port = line
            .strip_prefix("229 Entering Extended Passive Mode (|||")
            .and_then(|rest| rest.strip_suffix("|)"))
            .unwrap_or_else(|| panic!("nobody can parse {line:?}"));
        SocketAddr::new(self.peer_address().ip(), port.parse().unwrap())
    }

    /// `PORT` with a listener of this client's.
    #[track_caller]
    pub fn port(&mut self) -> TcpListener {
        let listener = self.listener();
        let line = port_line(listener.local_addr().unwrap());
        self.say(line).hear(200);
        listener
    }

    /// `EPRT` with a listener of this client's.
    #[track_caller]
    pub fn eprt(&mut self) -> TcpListener {
        let listener = self.listener();
        let line = eprt_line(listener.local_addr().unwrap());
        self.say(line).hear(200);
        listener
    }

    /// A listener on this client's own address.
    pub fn listener(&self) -> TcpListener {
        TcpListener::bind((self.local_address().ip(), 0)).unwrap()
    }

    /// Agrees on a data connection in this client's mode.
    #[track_caller]
    pub fn data(&mut self) -> Data {
        match self.mode {
            Mode::Pasv => {
                let address = self.pasv();
                Data::Passive(self.reach(address))
            }
            Mode::Epsv => {
                let address = self.epsv();
                Data::Passive(self.reach(address))
            }
            Mode::Port => Data::Active(self.port()),
            Mode::Eprt => Data::Active(self.eprt()),
        }
    }

    /// Connects to a passive port, from the address of the control connection.
    #[track_caller]
    fn reach(&self, address: SocketAddr) -> TcpStream {
        let local = self.local_address().ip();
        if local == address.ip() {
            return connect(address);
        }
        connect_from(local, address)
            .unwrap_or_else(|error| panic!("cannot connect to {address} from {local}: {error}"))
    }

    // whole transfers

    /// A command that sends data here: 150, all of it up to its end, 226.
    #[track_caller]
    pub fn fetch(&mut self, line: impl AsRef<[u8]>) -> Vec<u8> {
        let data = self.data();
        self.say(line).hear(150);
        let octets = drain(&mut data.stream());
        self.hear(226);
        octets
    }

    /// A command that takes data: 150, all of it, 226. Returns the opening reply.
    #[track_caller]
    pub fn give(&mut self, line: impl AsRef<[u8]>, octets: &[u8]) -> Reply {
        let data = self.data();
        let opening = self.say(line).hear(150);
        let mut stream = data.stream();
        stream.write_all(octets).unwrap();
        drop(stream);
        self.hear(226);
        opening
    }

    #[track_caller]
    pub fn get(&mut self, path: impl AsRef<[u8]>) -> Vec<u8> {
        self.fetch(joined("RETR", path.as_ref()))
    }

    #[track_caller]
    pub fn put(&mut self, path: impl AsRef<[u8]>, octets: &[u8]) {
        self.give(joined("STOR", path.as_ref()), octets);
    }

    /// The lines of a listing, each checked for its CRLF, without it.
    #[track_caller]
    pub fn listing(&mut self, line: impl AsRef<[u8]>) -> Vec<Vec<u8>> {
        let octets = self.fetch(line);
        let mut lines = Vec::new();
        for line in octets.split_inclusive(|octet| *octet == b'\n') {
            let bare = line.strip_suffix(b"\r\n");
            let bare = bare.unwrap_or_else(|| {
                panic!("a listing's line must end in CRLF: {}", line.escape_ascii())
            });
            lines.push(bare.to_vec());
        }
        lines
    }

    #[track_caller]
    pub fn list(&mut self, argument: &str) -> Vec<String> {
        as_text(self.listing(joined("LIST", argument.as_bytes())))
    }

    #[track_caller]
    pub fn nlst(&mut self, argument: &str) -> Vec<String> {
        as_text(self.listing(joined("NLST", argument.as_bytes())))
    }

    #[track_caller]
    pub fn mlsd(&mut self, argument: &str) -> Vec<String> {
        as_text(self.listing(joined("MLSD", argument.as_bytes())))
    }

    /// `PWD`, the path alone.
    #[track_caller]
    pub fn pwd(&mut self) -> String {
        String::from_utf8_lossy(&self.say("PWD").hear(257).quoted()).into_owned()
    }
}

/// Connects to a port that a server has just named.
#[track_caller]
pub fn connect(address: SocketAddr) -> TcpStream {
    TcpStream::connect_timeout(&address, PATIENCE)
        .unwrap_or_else(|error| panic!("cannot connect to {address}: {error}"))
}

/// Connects from one of this machine's own addresses.
pub fn connect_from(from: IpAddr, to: SocketAddr) -> nix::Result<TcpStream> {
    let family = if from.is_ipv4() {
        AddressFamily::Inet
    } else {
        AddressFamily::Inet6
    };
    let made = socket(family, SockType::Stream, SockFlag::SOCK_CLOEXEC, None)?;
    bind(
        made.as_raw_fd(),
        &SockaddrStorage::from(SocketAddr::new(from, 0)),
    )?;
    nix::sys::socket::connect(made.as_raw_fd(), &SockaddrStorage::from(to))?;
    Ok(TcpStream::from(made))
}

pub fn port_line(address: SocketAddr) -> String {
    let SocketAddr::V4(address) = address else {
        panic!("PORT is for IPv4: {address}")
    };
    let [a, b, c, d] = address.ip().octets();
    let [high, low] = address.port().to_be_bytes();
    format!("PORT {a},{b},{c},{d},{high},{low}")
}

pub fn eprt_line(address: SocketAddr) -> String {
    let family = if address.is_ipv4() { 1 } else { 2 };
    format!("EPRT |{family}|{}|{}|", address.ip(), address.port())
}

/// The name at the end of a LIST line, after its eight columns.
pub fn listed_name(line: &str) -> &str {
    let mut rest = line;
    for _ in 0..8 {
        rest = rest.trim_start_matches(' ');
        rest = rest
            .split_once(' ')
            .unwrap_or_else(|| panic!("fewer than nine columns: {line:?}"))
            .1;
    }
    rest
}

/// The name of an MLSD line, after its facts and one space.
pub fn mlsd_name(line: &str) -> &str {
    line.split_once("; ")
        .unwrap_or_else(|| panic!("no facts: {line:?}"))
        .1
}

/// One fact of an MLSx line.
pub fn fact<'a>(line: &'a str, name: &str) -> Option<&'a str> {
    let facts = line.trim_start_matches(' ').split_once("; ")?.0;
    facts.split(';').find_map(|fact| {
        let (found, value) = fact.split_once('=')?;
        found.eq_ignore_ascii_case(name).then_some(value)
    })
}

/// A verb and its argument, where there is one.
pub fn joined(verb: &str, argument: &[u8]) -> Vec<u8> {
    let mut line = verb.as_bytes().to_vec();
    if !argument.is_empty() {
        line.push(b' ');
        line.extend_from_slice(argument);
    }
    line
}

fn as_text(lines: Vec<Vec<u8>>) -> Vec<String> {
    lines
        .into_iter()
        .map(|line| String::from_utf8_lossy(&line).into_owned())
        .collect()
}

/// The code of a line and what follows it, where it has the form of a reply's first or last line.
fn opening(line: &[u8]) -> Option<(u16, u8)> {
    let (digits, rest) = line.split_at_checked(3)?;
    let mark = *rest.first()?;
    let legal = digits.iter().all(u8::is_ascii_digit)
        && (b'1'..=b'5').contains(&digits[0])
        && matches!(mark, b' ' | b'-');
    legal.then(|| {
        (
            digits
                .iter()
                .fold(0, |code, digit| code * 10 + u16::from(digit - b'0')),
            mark,
        )
    })
}

/// Octets for a person to read, not too many.
fn shown(octets: &[u8]) -> String {
    const ENOUGH: usize = 400;
    let more = octets.len().saturating_sub(ENOUGH);
    let text = octets[..octets.len() - more].escape_ascii().to_string();
    if more == 0 {
        text
    } else {
        format!("{text} ... and {more} octets more")
    }
}
