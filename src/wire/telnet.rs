//! What remains of Telnet on the control connection (RFC 959 3.3 and 8, RFC 854, RFC 1123 4.1.2.12).
//!
//! Clients send `IAC IP IAC DM` before ABOR, and hardly anything else; each option offered is refused,
//! so none is ever in force.  What an IAC makes a command is taken out and all else is left as it is:
//! octets from 0xF0 up also begin characters in UTF-8, and Latin-1 clients send a single 0xFF in names.

use crate::wire::octets::Cursor;

/// End of subnegotiation; the first of the commands, too.
const SE: u8 = 0xf0;
/// Begin of subnegotiation.
const SB: u8 = 0xfa;
const WILL: u8 = 0xfb;
const WONT: u8 = 0xfc;
const DO: u8 = 0xfd;
const DONT: u8 = 0xfe;
/// Interpret as command.
const IAC: u8 = 0xff;

/// Takes Telnet's commands out of what a client sends, across the pieces in which it arrives.
#[derive(Debug, Default)]
pub struct Telnet {
    state: State,
}

/// What the octets before have left open.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    #[default]
    Data,
    /// An IAC.
    Command,
    /// WILL, WONT, DO or DONT: an option follows.
    Option(u8),
    /// Between SB and SE.
    Subnegotiation,
    /// An IAC there.
    SubnegotiationCommand,
}

impl Telnet {
    /// What was kept back of the pieces before, to stand before the next one: an IAC or nothing.
    pub fn held(&self) -> &'static [u8] {
        match self.state {
            State::Command => &[IAC],
            _ => &[],
        }
    }

    /// Filters the octets just read, in place: moves the data to the front and returns its length.
    ///
    /// To each option that the client wants or offers, a refusal is appended to `answer`, to be sent
    /// before the next reply; if it does not fit it is left out (RFC 854, page 2: an option that nobody
    /// confirms is not in force).
    ///
    /// An IAC before an octet below 0xF0 is no command, and both are data.  An IAC that comes last is
    /// kept back, since the next octet tells what it is: `buffer` begins with what was [`Telnet::held`]
    /// before, so that no command acts on another name, however the octets were cut into pieces.
    pub fn filter(&mut self, buffer: &mut [u8], answer: &mut Cursor<'_>) -> usize {
        if self.state == State::Command {
            self.state = State::Data;
        }
        let first = match self.state {
            State::Data => buffer.iter().position(|&octet| octet == IAC),
            _ => Some(0),
        };
        let Some(first) = first else {
            return buffer.len();
        };
        let mut kept = first;
        for at in first..buffer.len() {
            let Some(&octet) = buffer.get(at) else { break };
            let mut keep = |octet: u8| {
                if let Some(place) = buffer.get_mut(kept) {
                    *place = octet;
                    kept += 1;
                }
            };
            self.state = match (self.state, octet) {
                (State::Data, IAC) => State::Command,
                (State::Data, _) => {
                    keep(octet);
                    State::Data
                }
                (State::Command, IAC) => {
                    keep(IAC);
                    State::Data
                }
                (State::Command, WILL | WONT | DO | DONT) => State::Option(octet),
                (State::Command, SB) => State::Subnegotiation,
                (State::Command, SE..) => State::Data,
                (State::Command, _) => {
                    keep(IAC);
                    keep(octet);
                    State::Data
                }
                (State::Option(command), option) => {
                    match command {
                        WILL => answer.push(&[IAC, DONT, option]),
                        DO => answer.push(&[IAC, WONT, option]),
                        _ => {}
                    }
                    State::Data
                }
                (State::Subnegotiation, IAC) => State::SubnegotiationCommand,
                (State::SubnegotiationCommand, SE) => State::Data,
                (State::Subnegotiation | State::SubnegotiationCommand, _) => State::Subnegotiation,
            };
        }
        kept
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may panic")]
    use super::*;

    /// The data and the answers for `octets`, arriving in pieces of `piece`.
    fn filtered(octets: &[u8], piece: usize) -> (Vec<u8>, Vec<u8>) {
        let mut room = [0; 64];
        let mut answer = Cursor::new(&mut room);
        let mut telnet = Telnet::default();
        let mut data = Vec::new();
        for part in octets.chunks(piece) {
            let mut buffer = [telnet.held(), part].concat();
            let kept = telnet.filter(&mut buffer, &mut answer);
            data.extend_from_slice(buffer.get(..kept).unwrap());
        }
        (data, answer.written().to_vec())
    }

    /// However the octets are cut into pieces, this is what remains and what is answered.
    fn check(octets: &[u8], data: &[u8], answer: &[u8]) {
        for piece in 1..=octets.len() {
            assert_eq!(
                filtered(octets, piece),
                (data.to_vec(), answer.to_vec()),
                "{piece}"
            );
        }
    }

    #[test]
    fn a_line_without_telnet_is_left_alone() {
        check(b"USER anonymous\r\n", b"USER anonymous\r\n", b"");
        check(
            "RETR \u{1f600}\u{e4}\r\n".as_bytes(),
            "RETR \u{1f600}\u{e4}\r\n".as_bytes(),
            b"",
        );
        let high: Vec<u8> = (0..=0xfe).collect();
        check(&high, &high, b"");
    }

    #[test]
    fn the_interrupt_before_an_abort_is_taken_out() {
        check(b"\xff\xf4\xff\xf2ABOR\r\n", b"ABOR\r\n", b"");
        check(b"NO\xff\xf1OP\xff\xf9\r\n", b"NOOP\r\n", b"");
    }

    #[test]
    fn every_command_without_an_option_is_swallowed() {
        for command in 0xf0..=0xf9 {
            check(&[b'a', IAC, command, b'b'], b"ab", b"");
        }
    }

    #[test]
    fn every_option_is_refused_once() {
        check(b"a\xff\xfb\x01b", b"ab", b"\xff\xfe\x01");
        check(b"a\xff\xfd\x06b", b"ab", b"\xff\xfc\x06");
        check(b"a\xff\xfc\x01\xff\xfe\x01b", b"ab", b"");
        check(
            b"\xff\xfd\xff\xff\xfb\x0d",
            b"",
            b"\xff\xfc\xff\xff\xfe\x0d",
        );
    }

    #[test]
    fn a_subnegotiation_is_swallowed_to_its_end() {
        check(b"a\xff\xfa\x18\x01\xff\xff\xf0\r\n\xff\xf0b", b"ab", b"");
        check(b"a\xff\xfa\x18never ended\r\n", b"a", b"");
    }

    #[test]
    fn a_doubled_iac_is_one_octet_of_data() {
        check(b"RETR \xff\xff.txt\r\n", b"RETR \xff.txt\r\n", b"");
        check(b"\xff\xff\xff\xff", b"\xff\xff", b"");
    }

    #[test]
    fn an_iac_that_begins_no_command_is_data() {
        for line in [
            &b"RETR a\xffb\xff\r\n"[..],
            b"DELE a\xff\n",
            b"\xff\xef\xff\0",
        ] {
            check(line, line, b"");
        }
    }

    #[test]
    fn an_answer_that_does_not_fit_is_left_out() {
        let mut room = [0; 4];
        let mut answer = Cursor::new(&mut room);
        let mut buffer = *b"\xff\xfd\x01\xff\xfd\x02x";
        assert_eq!(Telnet::default().filter(&mut buffer, &mut answer), 1);
        assert_eq!(buffer.first(), Some(&b'x'));
        assert_eq!(answer.written(), b"\xff\xfc\x01");
    }
}
