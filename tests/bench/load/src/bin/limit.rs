//! The least program that speaks enough FTP to be measured: what no server can be faster than on this kernel.
//!
//! `limit ADDRESS:PORT PLACE` serves the files of PLACE, whose name is `in` and which has no other: a thread a session,
//! sendfile down, splice up through a pipe of 1 MiB, no confinement, no deadlines, no log, no checks.  Never let anybody
//! else reach it.

use std::env;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::thread;

use nix::fcntl::{FcntlArg, SpliceFFlags, fcntl, splice};
use nix::sys::sendfile::sendfile64;
use nix::sys::socket::{Backlog, listen};
use nix::unistd::pipe;

const PIPE: usize = 1 << 20;

fn main() -> io::Result<()> {
    let words: Vec<String> = env::args().collect();
    let [_, address, place] = words.as_slice() else {
        return Err(io::Error::other("usage: limit ADDRESS:PORT PLACE"));
    };
    env::set_current_dir(place)?;
    let listener = TcpListener::bind(address)?;
    listen(&listener, Backlog::new(4096)?)?;
    for control in listener.incoming().flatten() {
        let _ = thread::Builder::new()
            .stack_size(64 << 10)
            .spawn(move || Session::new(control).map(Session::converse));
    }
    Ok(())
}

/// Where the next data connection comes from.
enum Endpoint {
    None,
    Passive(TcpListener),
    Active(SocketAddr),
}

struct Session {
    control: TcpStream,
    endpoint: Endpoint,
    restart_at: i64,
    pipe: Option<(OwnedFd, OwnedFd)>,
}

impl Session {
    fn new(control: TcpStream) -> io::Result<Self> {
        control.set_nodelay(true)?;
        Ok(Self {
            control,
            endpoint: Endpoint::None,
            restart_at: 0,
            pipe: None,
        })
    }

    fn converse(mut self) -> io::Result<()> {
        self.say("220 .\r\n")?;
        let (mut heard, mut len) = ([0; 512], 0);
        loop {
            let mut start = 0;
            while let Some(end) = heard[start..len].iter().position(|octet| *octet == b'\n') {
                let line = String::from_utf8_lossy(&heard[start..start + end]);
                start += end + 1;
                let (verb, argument) = line
                    .trim_end()
                    .split_once(' ')
                    .unwrap_or((line.trim_end(), ""));
                if !self.answer(verb, argument)? {
                    return Ok(());
                }
            }
            heard.copy_within(start..len, 0);
            len -= start;
            match self.control.read(&mut heard[len..])? {
                0 => return Ok(()),
                count => len += count,
            }
        }
    }

    fn say(&mut self, words: &str) -> io::Result<()> {
        self.control.write_all(words.as_bytes())
    }

    /// Whether the session goes on.
    fn answer(&mut self, verb: &str, argument: &str) -> io::Result<bool> {
        match verb {
            "USER" => self.say("331 .\r\n")?,
            "PASS" => self.say("230 .\r\n")?,
            "TYPE" if argument == "A" => self.say("504 .\r\n")?,
            "TYPE" | "NOOP" => self.say("200 .\r\n")?,
            // There is one directory, and whoever names another is told it is that one.
            "CWD" if argument.starts_with("in/") => self.say("550 .\r\n")?,
            "CWD" => self.say("250 .\r\n")?,
            "PWD" => self.say("257 \"/in\"\r\n")?,
            "SIZE" => {
                let size = fs::metadata(argument)?.len();
                self.say(&format!("213 {size}\r\n"))?;
            }
            "EPSV" => {
                let listener = TcpListener::bind((self.control.local_addr()?.ip(), 0))?;
                let port = listener.local_addr()?.port();
                self.endpoint = Endpoint::Passive(listener);
                self.say(&format!("229 (|||{port}|)\r\n"))?;
            }
            "PORT" => {
                let octets: Vec<u8> = argument.split(',').flat_map(str::parse).collect();
                if let [a, b, c, d, high, low] = octets[..] {
                    let (ip, port) = (Ipv4Addr::new(a, b, c, d), u16::from_be_bytes([high, low]));
                    self.endpoint = Endpoint::Active(SocketAddrV4::new(ip, port).into());
                }
                self.say("200 .\r\n")?;
            }
            "REST" => {
                self.restart_at = argument.parse().unwrap_or(0);
                self.say("350 .\r\n")?;
            }
            "RETR" => {
                let data = self.data()?;
                self.say("150 .\r\n")?;
                let file = File::open(argument)?;
                let (mut at, size) = (self.restart_at, file.metadata()?.len().cast_signed());
                self.restart_at = 0;
                while at < size {
                    sendfile64(&data, &file, Some(&mut at), usize::MAX >> 33)?;
                }
                drop(data);
                self.say("226 .\r\n")?;
            }
            "STOR" => {
                let data = self.data()?;
                self.say("150 .\r\n")?;
                self.store(&data, &File::create(argument)?)?;
                self.say("226 .\r\n")?;
            }
            "QUIT" => {
                self.say("221 .\r\n")?;
                return Ok(false);
            }
            _ => self.say("502 .\r\n")?,
        }
        Ok(true)
    }

    fn data(&mut self) -> io::Result<TcpStream> {
        match std::mem::replace(&mut self.endpoint, Endpoint::None) {
            Endpoint::Passive(listener) => Ok(listener.accept()?.0),
            Endpoint::Active(address) => TcpStream::connect(address),
            Endpoint::None => Err(io::ErrorKind::NotConnected.into()),
        }
    }

    /// The pipe is made once a session.
    fn store(&mut self, data: &TcpStream, file: &File) -> io::Result<()> {
        if self.pipe.is_none() {
            let (from, to) = pipe()?;
            fcntl(
                &to,
                FcntlArg::F_SETPIPE_SZ(PIPE.try_into().map_err(io::Error::other)?),
            )?;
            self.pipe = Some((from, to));
        }
        let (from, to) = self.pipe.as_ref().ok_or(io::ErrorKind::NotFound)?;
        loop {
            let mut left = splice(data, None, to, None, PIPE, SpliceFFlags::SPLICE_F_MOVE)?;
            if left == 0 {
                return Ok(());
            }
            while left > 0 {
                left -= splice(from, None, file, None, left, SpliceFFlags::SPLICE_F_MOVE)?;
            }
        }
    }
}
