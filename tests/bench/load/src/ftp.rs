//! A client that costs as little as it can: what it receives is thrown away in the kernel, what it sends comes from the
//! page cache.

use std::fs::File;
use std::io::{self, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

use nix::sys::sendfile::sendfile64;
use nix::sys::socket::{MsgFlags, recv};

/// How long anything may take before the server counts as stuck.
const PATIENCE: Duration = Duration::from_secs(30);

/// Who opens the data connections.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Mode {
    /// We do: EPSV.
    Passive,
    /// The server does: PORT, which all of them know.
    Active,
}

/// A data connection, or where it is to come.
enum Data {
    Here(TcpStream),
    Awaited(Arc<TcpListener>),
}

impl Data {
    /// After the opening reply.
    fn connection(self) -> io::Result<TcpStream> {
        match self {
            Self::Here(data) => Ok(data),
            Self::Awaited(listener) => {
                let (data, _) = listener.accept()?;
                data.set_read_timeout(Some(PATIENCE))?;
                Ok(data)
            }
        }
    }
}

/// One session.
pub struct Ftp {
    pub mode: Mode,
    control: TcpStream,
    /// Where the server connects to.  The same port each time: one that the kernel chooses for each file takes longer and
    /// longer to be found, and then that is what is measured.
    listener: Option<Arc<TcpListener>>,
    heard: Vec<u8>,
    start: usize,
    server: SocketAddr,
    sink: Vec<u8>,
}

/// When things came during a transfer to us.
pub struct Fetched {
    pub octets: u64,
    pub first: Duration,
    pub whole: Duration,
}

impl Ftp {
    /// Connects and hears the greeting.
    pub fn connect(server: SocketAddr) -> io::Result<Self> {
        let control = TcpStream::connect(server)?;
        control.set_nodelay(true)?;
        control.set_read_timeout(Some(PATIENCE))?;
        let mut ftp = Self {
            mode: Mode::Passive,
            control,
            listener: None,
            heard: Vec::with_capacity(4096),
            start: 0,
            server,
            sink: Vec::new(),
        };
        ftp.expect(220)?;
        Ok(ftp)
    }

    /// Connects and logs in, with binary type.
    pub fn log_in(server: SocketAddr, user: &str, password: &str) -> io::Result<Self> {
        let mut ftp = Self::connect(server)?;
        ftp.identify(user, password)?;
        ftp.ask("TYPE I", 200)?;
        Ok(ftp)
    }

    /// USER and PASS.
    pub fn identify(&mut self, user: &str, password: &str) -> io::Result<()> {
        self.say(&format!("USER {user}"))?;
        match self.hear()? {
            230 => Ok(()),
            331 => self.ask(&format!("PASS {password}"), 230),
            code => Err(unexpected("USER", code)),
        }
    }

    /// Sends one command line.
    pub fn say(&mut self, line: &str) -> io::Result<()> {
        self.control.write_all(format!("{line}\r\n").as_bytes())
    }

    /// Sends octets as they are.
    pub fn say_raw(&mut self, octets: &[u8]) -> io::Result<()> {
        self.control.write_all(octets)
    }

    /// Hears one whole reply; its code.
    pub fn hear(&mut self) -> io::Result<u16> {
        self.reply().map(|(code, _)| code)
    }

    /// Says `line`, and hears `code`.
    pub fn ask(&mut self, line: &str, code: u16) -> io::Result<()> {
        self.say(line)?;
        match self.hear()? {
            heard if heard == code => Ok(()),
            heard => Err(unexpected(line, heard)),
        }
    }

    fn expect(&mut self, code: u16) -> io::Result<()> {
        match self.hear()? {
            heard if heard == code => Ok(()),
            heard => Err(unexpected("connect", heard)),
        }
    }

    /// QUIT, and the server's end.
    pub fn quit(mut self) -> io::Result<()> {
        self.ask("QUIT", 221)?;
        let mut rest = [0; 64];
        match self.control.read(&mut rest) {
            Ok(_) => Ok(()),
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// One reply: its code and the text of its last line.
    fn reply(&mut self) -> io::Result<(u16, String)> {
        let mut first = None;
        loop {
            let line = self.line()?;
            let code = line.get(..3).and_then(|code| code.parse::<u16>().ok());
            let last = line.as_bytes().get(3) != Some(&b'-');
            match (first, code) {
                (None, Some(code)) if last => return Ok((code, line)),
                (None, Some(code)) => first = Some(code),
                (Some(of), Some(code)) if of == code && line.as_bytes().get(3) == Some(&b' ') => {
                    return Ok((code, line));
                }
                (None, None) => return Err(io::Error::other(format!("no reply: {line}"))),
                _ => {}
            }
        }
    }

    fn line(&mut self) -> io::Result<String> {
        loop {
            let pending = &self.heard[self.start..];
            if let Some(length) = pending.iter().position(|octet| *octet == b'\n') {
                let line = String::from_utf8_lossy(&pending[..length])
                    .trim_end()
                    .to_owned();
                self.start += length + 1;
                if self.start == self.heard.len() {
                    self.heard.clear();
                    self.start = 0;
                }
                return Ok(line);
            }
            let mut room = [0; 4096];
            match self.control.read(&mut room)? {
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                count => self.heard.extend_from_slice(&room[..count]),
            }
        }
    }

    /// A data connection, passive.
    pub fn passive(&mut self) -> io::Result<TcpStream> {
        self.say("EPSV")?;
        let (code, text) = self.reply()?;
        let port = text
            .split('|')
            .nth(3)
            .and_then(|port| port.parse().ok())
            .filter(|_| code == 229)
            .ok_or_else(|| unexpected("EPSV", code))?;
        let data = TcpStream::connect(SocketAddr::new(self.server.ip(), port))?;
        data.set_read_timeout(Some(PATIENCE))?;
        Ok(data)
    }

    fn data(&mut self) -> io::Result<Data> {
        if self.mode == Mode::Passive {
            return self.passive().map(Data::Here);
        }
        let listener = match &self.listener {
            Some(listener) => listener.clone(),
            None => Arc::new(TcpListener::bind((self.control.local_addr()?.ip(), 0))?),
        };
        self.listener = Some(listener.clone());
        let address = listener.local_addr()?;
        let (IpAddr::V4(ip), port) = (address.ip(), address.port()) else {
            return Err(io::ErrorKind::Unsupported.into());
        };
        let ([a, b, c, d], [high, low]) = (ip.octets(), port.to_be_bytes());
        self.ask(&format!("PORT {a},{b},{c},{d},{high},{low}"), 200)?;
        Ok(Data::Awaited(listener))
    }

    /// A transfer to us: RETR, LIST, MLSD.
    pub fn fetch(&mut self, line: &str) -> io::Result<Fetched> {
        let data = self.data()?;
        let began = Instant::now();
        self.begin(line)?;
        let data = data.connection()?;
        if self.sink.is_empty() {
            self.sink = vec![0; 1 << 20];
        }
        let (mut octets, mut first) = (0, None);
        loop {
            // MSG_TRUNC: the octets are counted and dropped, not copied.
            match recv(data.as_raw_fd(), &mut self.sink, MsgFlags::MSG_TRUNC)? {
                0 => break,
                count => octets += count as u64,
            }
            first.get_or_insert_with(|| began.elapsed());
        }
        drop(data);
        self.end(line)?;
        let whole = began.elapsed();
        let first = first.unwrap_or(whole);
        Ok(Fetched {
            octets,
            first,
            whole,
        })
    }

    /// A transfer from us: STOR, of the first `size` octets of `source`.
    pub fn send(&mut self, line: &str, source: &File, size: u64) -> io::Result<()> {
        let data = self.data()?;
        self.begin(line)?;
        let data = data.connection()?;
        let mut offset = 0_i64;
        while (offset as u64) < size {
            let left = (size - offset as u64).min(1 << 30) as usize;
            if sendfile64(&data, source, Some(&mut offset), left)? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
        drop(data);
        self.end(line)
    }

    /// Says a data verb and hears its 150.
    pub fn begin(&mut self, line: &str) -> io::Result<()> {
        self.say(line)?;
        match self.hear()? {
            125 | 150 => Ok(()),
            code => Err(unexpected(line, code)),
        }
    }

    fn end(&mut self, line: &str) -> io::Result<()> {
        match self.hear()? {
            226 | 250 => Ok(()),
            code => Err(unexpected(line, code)),
        }
    }
}

fn unexpected(line: &str, code: u16) -> io::Error {
    io::Error::other(format!("{line} was answered {code}"))
}
