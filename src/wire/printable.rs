//! What a client sent, made fit for a log line or a terminal.
//!
//! A stranger's octets must not end a line, steer the administrator's terminal, or show other text than
//! they hold (by turning the direction of writing, or by characters that nobody sees).

use std::fmt::{self, Display, Formatter, Write};

/// Shows octets in one line: what is harmless as it is, all else as `\xNN`, octet by octet.
///
/// Harmless is printable ASCII and each character from U+00A1 up that can be seen.  A backslash is
/// doubled, so that what was sent can be told from what is shown.
#[derive(Clone, Copy, Debug)]
pub struct Printable<'a>(pub &'a [u8]);

impl Display for Printable<'_> {
    fn fmt(&self, out: &mut Formatter<'_>) -> fmt::Result {
        for chunk in self.0.utf8_chunks() {
            let mut rest = chunk.valid();
            while let Some((at, odd)) = rest.char_indices().find(|&(_, each)| !is_plain(each)) {
                let (plain, from_odd) = rest.split_at_checked(at).unwrap_or((rest, ""));
                out.write_str(plain)?;
                if odd == '\\' {
                    out.write_str("\\\\")?;
                } else {
                    escaped(odd.encode_utf8(&mut [0; 4]).as_bytes(), out)?;
                }
                rest = from_odd.get(odd.len_utf8()..).unwrap_or_default();
            }
            out.write_str(rest)?;
            escaped(chunk.invalid(), out)?;
        }
        Ok(())
    }
}

/// Whether a character is shown as it is.
fn is_plain(character: char) -> bool {
    match character {
        '\\' => false,
        ' '..='~' => true,
        ..'\u{a1}' => false,
        // Soft hyphen; the mark that turns the direction to Arabic.
        '\u{ad}' | '\u{61c}' => false,
        // Spaces of no width, joiners, marks, separators of lines, embeddings and overrides.
        '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' => false,
        // Word joiner, operators nobody sees, isolates; the mark of byte order.
        '\u{2060}'..='\u{206f}' | '\u{feff}' => false,
        // Annotations, replacements; tags and selectors of variants.
        '\u{fff9}'..='\u{ffff}' | '\u{e0000}'..='\u{e0fff}' => false,
        _ => true,
    }
}

fn escaped(octets: &[u8], out: &mut Formatter<'_>) -> fmt::Result {
    for &octet in octets {
        out.write_str("\\x")?;
        for half in [octet >> 4, octet & 15] {
            out.write_char(char::from_digit(half.into(), 16).unwrap_or('?'))?;
        }
    }
    Ok(())
}

/// Calls `take` with the pieces of `octets` in order: stretches without a control character, and each control
/// character alone, for which it gets true.
///
/// A terminal reads octets as UTF-8 or one by one, and nobody knows which.  So these are control characters: those of
/// ASCII, DEL, U+0080 to U+009F as UTF-8 writes them, and the octets 0x80 to 0x9F where they are no part of a
/// character.
pub fn pieces<'o>(octets: &'o [u8], mut take: impl FnMut(&'o [u8], bool)) {
    // Nearly every name is this simple.
    if octets.iter().all(|octet| matches!(octet, b' '..=b'~')) {
        return take(octets, false);
    }
    for chunk in octets.utf8_chunks() {
        let mut rest = chunk.valid();
        while let Some((at, odd)) = rest.char_indices().find(|(_, each)| each.is_control()) {
            let (plain, from_odd) = rest.split_at_checked(at).unwrap_or((rest, ""));
            let (odd, behind) = from_odd
                .split_at_checked(odd.len_utf8())
                .unwrap_or((from_odd, ""));
            take(plain.as_bytes(), false);
            take(odd.as_bytes(), true);
            rest = behind;
        }
        take(rest.as_bytes(), false);
        let is_control = |octet: &u8| matches!(octet, 0x80..=0x9f);
        for run in chunk
            .invalid()
            .chunk_by(|a, b| !is_control(a) && !is_control(b))
        {
            take(run, run.first().is_some_and(is_control));
        }
    }
}

/// Whether a control character, as [`pieces`] tells them, is among `octets`; a tab is none here.
pub fn has_controls(octets: &[u8]) -> bool {
    let mut found = false;
    pieces(octets, |piece, control| found |= control && piece != b"\t");
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cut(octets: &[u8]) -> Vec<(&[u8], bool)> {
        let mut all = Vec::new();
        pieces(octets, |piece, control| {
            if !piece.is_empty() {
                all.push((piece, control));
            }
        });
        all
    }

    #[test]
    fn control_characters_are_told_however_a_terminal_reads_them() {
        assert_eq!(cut(b""), []);
        assert_eq!(cut(b"a b"), [(&b"a b"[..], false)]);
        assert_eq!(
            cut(b"a\x1b[2J\x7f"),
            [
                (&b"a"[..], false),
                (b"\x1b", true),
                (b"[2J", false),
                (b"\x7f", true)
            ]
        );
        assert_eq!(
            cut(b"\xc2\x9b1m\x9b\x9d0m"),
            [
                (&b"\xc2\x9b"[..], true),
                (b"1m", false),
                (b"\x9b", true),
                (b"\x9d", true),
                (b"0m", false)
            ]
        );
        // In these characters such an octet is but a part.
        for text in ["\u{c0}", "\u{20ac}", "\u{1f600}", "\u{ff}\u{a0}"] {
            assert_eq!(cut(text.as_bytes()), [(text.as_bytes(), false)]);
        }
        // Latin-1 beyond them, and the beginning of a character that is cut off by one of them.
        assert_eq!(cut(b"caf\xe9"), [(&b"caf"[..], false), (b"\xe9", false)]);
        assert_eq!(
            cut(b"\xe2\x82\x07\xff\xc2"),
            [
                (&b"\xe2"[..], false),
                (b"\x82", true),
                (b"\x07", true),
                (b"\xff", false),
                (b"\xc2", false)
            ]
        );
    }

    #[test]
    fn a_tab_steers_no_terminal() {
        assert!(!has_controls(b"a\tb"));
        assert!(has_controls(b"a\x0bb"));
    }

    fn shown(octets: &[u8]) -> String {
        Printable(octets).to_string()
    }

    #[test]
    fn plain_text_is_shown_as_it_is() {
        let ascii: Vec<u8> = (b' '..=b'~').filter(|&octet| octet != b'\\').collect();
        assert_eq!(shown(&ascii).as_bytes(), ascii);
        let text = "\u{a1}\u{e4}\u{20ac}\u{3042}\u{1f600}";
        assert_eq!(shown(text.as_bytes()), text);
        assert_eq!(shown(b""), "");
    }

    #[test]
    fn a_line_cannot_be_forged() {
        assert_eq!(shown(b"x\n[INFO] y"), "x\\x0a[INFO] y");
        assert_eq!(shown(b"x\r\ny"), "x\\x0d\\x0ay");
        assert_eq!(
            shown("x\u{2028}y\u{85}".as_bytes()),
            "x\\xe2\\x80\\xa8y\\xc2\\x85"
        );
    }

    #[test]
    fn no_control_character_is_shown_raw() {
        assert_eq!(shown(b"\0\x1b[2J\x7f"), "\\x00\\x1b[2J\\x7f");
        assert_eq!(shown("\u{9b}\u{a0}".as_bytes()), "\\xc2\\x9b\\xc2\\xa0");
        for octet in (0..=0x1f).chain(0x7f..=0xff) {
            assert_eq!(shown(&[octet]), format!("\\x{octet:02x}"));
        }
    }

    #[test]
    fn characters_that_hide_or_turn_text_are_shown_by_their_octets() {
        for each in [
            '\u{ad}',
            '\u{61c}',
            '\u{200b}',
            '\u{200f}',
            '\u{202a}',
            '\u{202e}',
            '\u{2060}',
            '\u{2066}',
            '\u{206f}',
            '\u{feff}',
            '\u{fff9}',
            '\u{fffd}',
            '\u{ffff}',
            '\u{e0001}',
            '\u{e0fff}',
        ] {
            let text = each.to_string();
            let expected: String = text
                .bytes()
                .map(|octet| format!("\\x{octet:02x}"))
                .collect();
            assert_eq!(shown(text.as_bytes()), expected);
        }
    }

    #[test]
    fn octets_that_are_no_text_are_shown_one_by_one() {
        assert_eq!(shown(b"a\xffb\xe2\x82c\xe4"), "a\\xffb\\xe2\\x82c\\xe4");
        // The long form of a slash, and half of a pair that only UTF-16 has.
        assert_eq!(shown(b"\xc0\xaf\xed\xa0\x80"), "\\xc0\\xaf\\xed\\xa0\\x80");
    }

    #[test]
    fn what_was_sent_can_be_told_from_what_is_shown() {
        assert_eq!(shown(b"\\x0a"), "\\\\x0a");
        assert_eq!(shown(b"\\\n"), "\\\\\\x0a");
    }
}
