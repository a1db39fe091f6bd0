//! Representation type ASCII (RFC 959 3.1.1.1): lines end in CR LF on the network, in LF in files.
//!
//! Every LF of a file becomes CR LF and every CR LF becomes LF, without looking at what stands before
//! it, so that a file comes back as it went, octet for octet, whatever it holds: one with CR LF inside
//! travels as CR CR LF.  Only the type is converted here; sizes and restart markers are the callers'.

use crate::wire::octets::Cursor;

/// Appends `input`, a piece of a file, to `out` in the network's form; returns how many octets of
/// `input` were used up.
///
/// As many are used as fit wholly; nothing is lost if `out` is too small for all.  An LF needs room for
/// two octets, so `out` should have that much at least, or nothing may be used at all.
pub fn to_network(input: &[u8], out: &mut Cursor<'_>) -> usize {
    let mut rest = input;
    loop {
        (_, rest) = split(rest, out.push_until(b'\n', rest));
        match rest {
            [b'\n', after @ ..] if out.left() >= 2 => {
                out.push(b"\r\n");
                rest = after;
            }
            _ => return input.len() - rest.len(),
        }
    }
}

/// The way from the network into a file, across the pieces in which the octets arrive.
#[derive(Debug, Default)]
pub struct FromNetwork {
    /// The last octet was a CR, and what follows it will tell what it was.
    carriage_return: bool,
}

impl FromNetwork {
    /// Appends `input`, the next piece from the network, to `out` in the file's form; returns how many
    /// octets of `input` were used up.
    ///
    /// The output is at most one octet longer than the input, by a CR held back from the piece before.
    /// If `out` is too small, as much is used as fits; the caller empties it and gives the rest again.
    pub fn convert(&mut self, input: &[u8], out: &mut Cursor<'_>) -> usize {
        let mut rest = input;
        loop {
            if self.carriage_return {
                let Some(&next) = rest.first() else { break };
                if out.left() == 0 {
                    break;
                }
                if next == b'\n' {
                    out.octet(b'\n');
                    (_, rest) = split(rest, 1);
                } else {
                    out.octet(b'\r');
                }
                self.carriage_return = false;
            }
            (_, rest) = split(rest, out.push_until(b'\r', rest));
            match rest {
                [b'\r', b'\n', after @ ..] if out.left() > 0 => {
                    out.octet(b'\n');
                    rest = after;
                }
                [b'\r', after @ ..] => {
                    self.carriage_return = true;
                    rest = after;
                }
                _ => break,
            }
        }
        input.len() - rest.len()
    }

    /// Ends the file: appends a CR that was still waiting for its LF.  `out` must have room for one octet.
    pub fn finish(&mut self, out: &mut Cursor<'_>) {
        if std::mem::take(&mut self.carriage_return) {
            out.octet(b'\r');
        }
    }
}

/// Cuts `octets` after `at`, or at its end if that comes first.
fn split(octets: &[u8], at: usize) -> (&[u8], &[u8]) {
    octets.split_at_checked(at).unwrap_or((octets, &[]))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may panic")]
    use super::*;

    /// Sends `file` through windows of `room` octets.
    fn sent(file: &[u8], room: usize) -> Vec<u8> {
        let (mut all, mut rest) = (Vec::new(), file);
        while !rest.is_empty() {
            let mut memory = vec![0; room];
            let mut out = Cursor::new(&mut memory);
            let used = to_network(rest, &mut out);
            assert!(used > 0 && !out.is_full());
            all.extend_from_slice(out.written());
            rest = rest.get(used..).unwrap();
        }
        all
    }

    /// Receives `octets` in pieces of `piece`, through windows of `room` octets.
    fn received(octets: &[u8], piece: usize, room: usize) -> Vec<u8> {
        let mut all = Vec::new();
        let mut memory = vec![0; room];
        let mut state = FromNetwork::default();
        for mut rest in octets.chunks(piece) {
            let mut idle = 0;
            while !rest.is_empty() {
                let mut out = Cursor::new(&mut memory);
                let used = state.convert(rest, &mut out);
                assert!(!out.is_full());
                idle = if used == 0 { idle + 1 } else { 0 };
                assert!(idle < 2, "no progress");
                all.extend_from_slice(out.written());
                rest = rest.get(used..).unwrap();
            }
        }
        let mut out = Cursor::new(&mut memory);
        state.finish(&mut out);
        state.finish(&mut out);
        all.extend_from_slice(out.written());
        all
    }

    #[test]
    fn every_line_end_gets_a_carriage_return() {
        assert_eq!(sent(b"a\nb\n\nc", 64), b"a\r\nb\r\n\r\nc");
        assert_eq!(sent(b"a\r\nb\r", 64), b"a\r\r\nb\r");
        assert_eq!(sent(b"", 64), b"");
    }

    #[test]
    fn only_a_pair_loses_its_carriage_return() {
        assert_eq!(received(b"a\r\nb\r\n\r\nc", 64, 64), b"a\nb\n\nc");
        assert_eq!(received(b"a\rb\r\r\nc\nd\n\r", 64, 64), b"a\rb\r\nc\nd\n\r");
        assert_eq!(received(b"\r", 64, 64), b"\r");
    }

    #[test]
    fn where_the_pieces_are_cut_makes_no_difference() {
        let network = b"one\r\ntwo\r\r\n\r\r\r\nthree\rfour\nfive \xff\0\r\n\r";
        let file = b"one\ntwo\r\n\r\r\nthree\rfour\nfive \xff\0\n\r";
        for piece in 1..=network.len() {
            for room in 1..=network.len() + 1 {
                assert_eq!(received(network, piece, room), file, "{piece} {room}");
            }
        }
    }

    #[test]
    fn a_file_comes_back_as_it_went() {
        // All files of up to eight octets over the three that matter; Miri takes an hour for those.
        let longest = if cfg!(miri) { 3 } else { 8 };
        for length in 0..=longest {
            for number in 0..3usize.pow(length) {
                let digit = |place: u32| number / 3usize.pow(place) % 3;
                let file: Vec<u8> = (0..length)
                    .map(|place| *b"\r\nx".get(digit(place)).unwrap())
                    .collect();
                let network = sent(&file, 3);
                assert_eq!(received(&network, 2, 2), file);
                assert_eq!(received(&network, 100, 100), file);
            }
        }
    }

    #[test]
    fn what_does_not_fit_is_not_used_up() {
        let mut memory = [0; 4];
        let mut out = Cursor::new(&mut memory);
        assert_eq!(to_network(b"abc\ndef", &mut out), 3);
        assert_eq!(out.written(), b"abc");
        assert_eq!(to_network(b"\ndef", &mut out), 0);
        assert!(!out.is_full());
        let mut out = Cursor::new(&mut memory);
        assert_eq!(FromNetwork::default().convert(b"ab\r\ncdef", &mut out), 5);
        assert_eq!(out.written(), b"ab\nc");
    }
}
