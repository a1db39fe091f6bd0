//! Who comes in, and how: behind a load balancer (PROXY protocol), through a socket of the service manager, and many
//! through one passive port.

#![allow(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test may panic"
)]

mod common;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::{AsRawFd, OwnedFd};
use std::process::{Child, Command, Stdio};
use std::thread;

use nix::sys::signal::{Signal, kill};
use nix::sys::socket::{AddressFamily, SockFlag, SockType, SockaddrStorage, bind, connect, socket};
use nix::unistd::Pid;

use common::server::PROGRAM;
use common::{Client, PATIENCE, Server, Share, noise};

/// A connection from an address of the loopback network.
fn connect_from(source: &str, to: SocketAddr) -> TcpStream {
    let source: SocketAddr = format!("{source}:0").parse().unwrap();
    let flags = SockFlag::SOCK_CLOEXEC;
    let socket = socket(AddressFamily::Inet, SockType::Stream, flags, None).unwrap();
    bind(socket.as_raw_fd(), &SockaddrStorage::from(source)).unwrap();
    connect(socket.as_raw_fd(), &SockaddrStorage::from(to)).unwrap();
    let stream = TcpStream::from(socket);
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
}

/// A client that a load balancer on this host brings with these octets in front.
fn brought(server: &Server, header: &[u8]) -> TcpStream {
    let mut stream = connect_from("127.0.0.1", server.address());
    stream.write_all(header).unwrap();
    stream
}

fn version_one(client: &str) -> Vec<u8> {
    format!("PROXY TCP4 {client} 198.51.100.1 56324 21\r\n").into_bytes()
}

fn version_two(client: [u8; 4]) -> Vec<u8> {
    let mut header = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x13".to_vec();
    header.extend(client);
    header.extend([198, 51, 100, 1, 0xdc, 0x04, 0, 21]);
    // An extension, whose octets would be Telnet.
    header.extend([0xea, 0, 4, 0xff, 0xfd, 0xff, 0xf4]);
    header
}

fn log_in(stream: TcpStream) -> Client {
    let mut client = Client::over(stream);
    client.hear(220);
    client.say("USER a").hear(331);
    client.say("PASS b").hear(230);
    client
}

#[test]
fn a_header_of_either_version_names_the_client() {
    let share = Share::new();
    let server = Server::start(&share, &["--proxy-protocol", "127.0.0.0/8"]);
    for (header, port_line) in [
        (version_one("192.0.2.1"), "PORT 192,0,2,1,200,1"),
        (version_two([192, 0, 2, 7]), "PORT 192,0,2,7,200,1"),
    ] {
        let mut client = log_in(brought(&server, &header));
        client.say("PORT 127,0,0,1,200,1").hear(501);
        client.say(port_line).hear(200);
    }
    server.wait_for_log("192.0.2.1:56324 a logged in");
    server.wait_for_log("192.0.2.7:56324 a logged in");
}

#[test]
fn a_header_may_come_one_octet_at_a_time_and_together_with_commands() {
    let share = Share::new();
    let server = Server::start(&share, &["--proxy-protocol", "127.0.0.1"]);
    let mut stream = connect_from("127.0.0.1", server.address());
    stream.set_nodelay(true).unwrap();
    for octet in version_two([192, 0, 2, 7]) {
        stream.write_all(&[octet]).unwrap();
    }
    log_in(stream);
    let mut header = version_one("192.0.2.1");
    header.extend(b"NOOP\r\nSYST\r\n");
    let mut client = Client::over(brought(&server, &header));
    client.hear(220);
    client.expect(&["NOOP", "SYST"]).hear(200);
    client.hear(215);
}

#[test]
fn without_a_header_that_can_be_read_nobody_is_served() {
    let share = Share::new();
    let flags = ["--proxy-protocol", "127.0.0.1", "--login-timeout", "1"];
    let server = Server::start(&share, &flags);
    for header in [
        &b"USER anonymous\r\n"[..],
        b"PROXY TCP4 192.0.2.1\r\n",
        b"PROXY TCP4 192.0.2.1 198.51.100.1 99999 21\r\n",
        // It never comes whole.
        b"PROXY TCP4 192.0.2.1",
        b"",
    ] {
        let mut heard = Vec::new();
        // It may end with a reset, since octets were left unread.
        let _ = brought(&server, header).read_to_end(&mut heard);
        assert_eq!(heard, b"", "{}", header.escape_ascii());
    }
    server.wait_for_log("no PROXY header that can be read");
    // The balancer's own look whether the server lives is served as its own.
    log_in(brought(&server, b"PROXY UNKNOWN\r\n"));
}

#[test]
fn nobody_else_may_say_who_he_is() {
    let share = Share::new();
    let server = Server::start(&share, &["--proxy-protocol", "192.0.2.0/24"]);
    let mut client = Client::login(&server);
    client.raw(&version_one("203.0.113.9"));
    client.expect(&["NONE"]).hear(500);
    client.say("PORT 203,0,113,9,200,1").hear(501);
}

#[test]
fn seats_are_counted_for_the_client_and_not_for_the_balancer() {
    let share = Share::new();
    let flags = ["--proxy-protocol", "127.0.0.1", "--max-per-ip", "1"];
    let server = Server::start(&share, &flags);
    let _first = log_in(brought(&server, &version_one("192.0.2.1")));
    let _other = log_in(brought(&server, &version_one("192.0.2.2")));
    let mut heard = String::new();
    brought(&server, &version_one("192.0.2.1"))
        .read_to_string(&mut heard)
        .unwrap();
    assert!(heard.starts_with("421 Too many connections"), "{heard}");
}

#[test]
fn data_connections_of_either_mode_are_the_clients() {
    let share = Share::new();
    let file = noise(100_000);
    share.write("f", &file);
    let flags = ["--proxy-protocol", "127.0.0.1", "--data-timeout", "5"];
    let server = Server::start(&share, &flags);
    let mut client = log_in(brought(&server, &version_one("127.0.0.3")));
    client.say("TYPE I").hear(200);

    let listener = TcpListener::bind("127.0.0.3:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    client
        .say(format!("PORT 127,0,0,3,{},{}", port / 256, port % 256))
        .hear(200);
    client.say("RETR f").hear(150);
    let (mut data, _) = listener.accept().unwrap();
    let mut found = Vec::new();
    data.read_to_end(&mut found).unwrap();
    assert!(found == file);
    client.hear(226);

    let address = client.pasv();
    // The balancer is a stranger here.
    let _stranger = connect_from("127.0.0.1", address);
    let mut data = connect_from("127.0.0.3", address);
    client.say("RETR f").hear(150);
    let mut found = Vec::new();
    data.read_to_end(&mut found).unwrap();
    assert!(found == file);
    client.hear(226);
}

/// A process that does not outlive the test.
struct Bounded(Child);

impl Drop for Bounded {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn a_socket_of_the_service_manager_comes_before_listen() {
    let share = Share::new();
    share.write("f", "data");
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    // As systemd hands it over: descriptor 3, and whom it is for.
    let script = "exec 3<&0 0</dev/null; LISTEN_FDS=1 LISTEN_PID=$$ exec \"$@\"";
    let server = Command::new("sh")
        .args(["-c", script, "sh", PROGRAM, "--listen", "1", "--share"])
        .arg(share.top())
        .stdin(Stdio::from(OwnedFd::from(listener)))
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut server = Bounded(server);
    let mut lines = BufReader::new(server.0.stderr.take().unwrap()).lines();
    let listening = lines.find(|line| line.as_ref().unwrap().contains("listening on"));
    assert!(listening.unwrap().unwrap().contains(&address.to_string()));
    let mut client = log_in(TcpStream::connect(address).unwrap());
    assert_eq!(client.get("f"), b"data");
    drop(client);
    kill(
        Pid::from_raw(i32::try_from(server.0.id()).unwrap()),
        Signal::SIGTERM,
    )
    .unwrap();
    assert!(server.0.wait().unwrap().success());
}

#[test]
fn one_passive_port_serves_many_without_mixing_them_up() {
    let share = Share::new();
    let files: Vec<Vec<u8>> = (1..=4).map(|number| vec![number; 50_000]).collect();
    for (number, file) in files.iter().enumerate() {
        share.write(format!("f{number}"), file);
    }
    let port = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let server = Server::start(&share, &["--passive-ports", &port.to_string()]);
    thread::scope(|scope| {
        for (number, file) in files.iter().enumerate() {
            let server = &server;
            scope.spawn(move || {
                let mut client = Client::login(server);
                client.say("TYPE I").hear(200);
                for _ in 0..20 {
                    assert!(client.get(format!("f{number}")) == *file, "another's file");
                }
            });
        }
    });
}

#[test]
fn a_port_that_nobody_came_for_is_given_back() {
    let share = Share::new();
    let port = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let flags = ["--passive-ports", &port.to_string(), "--data-timeout", "1"];
    let server = Server::start(&share, &flags);
    let (mut first, mut second) = (Client::login(&server), Client::login(&server));
    assert_eq!(first.pasv().port(), port);
    // It is given back when the data timeout has passed; a little later the other one has it.
    second.say("PASV").hear_one_of(&[227, 425]);
    second.say("PASV").hear(227);
    first.say("NOOP").hear(200);
    first.say("NLST").hear(425);
}
