//! Octets a second as people write them: `500k`, `2M`, and `UP:DOWN` for the two directions.

use std::num::NonZeroU32;

/// The least limit, in octets a second: below that a transfer looks broken to every client.
pub const LEAST: u32 = 1000;

/// The greatest limit, in octets a second: eight gigabits, and far from where kernels take a rate for a negative one.
pub const GREATEST: u32 = 1_000_000_000;

/// What a rate must look like, for refusals.
pub const WANTED: &str = "a rate is 0 for no limit, or octets a second from 1k to 1000M, where k is 1000 and M is 1000000";

/// One rate; `None` is no limit, written as 0 or as nothing at all.
///
/// The multiples are decimal, as on every wire.  Capitals do not matter: whoever writes `2m` means no thousandth.
///
/// # Errors
/// [`WANTED`].
pub fn one(text: &[u8]) -> Result<Option<NonZeroU32>, &'static str> {
    let (digits, multiple) = match text {
        [digits @ .., b'k' | b'K'] => (digits, 1000),
        [digits @ .., b'm' | b'M'] => (digits, 1_000_000),
        digits => (digits, 1),
    };
    if text.is_empty() {
        return Ok(None);
    }
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return Err(WANTED);
    }
    let rate = std::str::from_utf8(digits)
        .ok()
        .and_then(|digits| digits.parse::<u32>().ok())
        .and_then(|number| number.checked_mul(multiple))
        .ok_or(WANTED)?;
    match NonZeroU32::new(rate) {
        Some(rate) if !(LEAST..=GREATEST).contains(&rate.get()) => Err(WANTED),
        rate => Ok(rate),
    }
}

/// `UP:DOWN`: what the client sends, what it is sent.
///
/// # Errors
/// What is wanted instead.
pub fn pair(text: &[u8]) -> Result<(Option<NonZeroU32>, Option<NonZeroU32>), String> {
    let mut sides = text.splitn(2, |octet| *octet == b':');
    let (Some(up), Some(down)) = (sides.next(), sides.next()) else {
        return Err(format!(
            "expected UP:DOWN, such as 500k:2M, or :2M for the way down alone; {WANTED}"
        ));
    };
    Ok((one(up)?, one(down)?))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may panic")]
    use super::*;

    #[test]
    fn every_form_of_a_rate_is_read() {
        let table: [(&str, u32); 10] = [
            ("", 0),
            ("0", 0),
            ("0k", 0),
            ("1000", 1000),
            ("1k", 1000),
            ("1K", 1000),
            ("500k", 500_000),
            ("2M", 2_000_000),
            ("2m", 2_000_000),
            ("1000M", 1_000_000_000),
        ];
        for (text, rate) in table {
            assert_eq!(one(text.as_bytes()), Ok(NonZeroU32::new(rate)), "{text}");
        }
    }

    #[test]
    fn what_is_no_rate_is_refused_and_not_guessed_at() {
        for text in [
            "999",
            "1001M",
            "1000000001",
            "4294967296",
            "5000M",
            "99999999999999999999k",
            "k",
            "M",
            "-1",
            "+1k",
            "1.5M",
            "1 k",
            " 1k",
            "1k ",
            "1kk",
            "1G",
            "1kB",
            "0x10",
            "1_000",
            "fast",
            "1k:1k",
            "\u{661}k",
        ] {
            assert_eq!(one(text.as_bytes()), Err(WANTED), "{text}");
        }
        assert_eq!(one(b"\xff"), Err(WANTED));
    }

    #[test]
    fn a_pair_has_two_sides_of_which_each_may_be_empty() {
        let rate = NonZeroU32::new;
        for (text, sides) in [
            ("500k:2M", (rate(500_000), rate(2_000_000))),
            (":2M", (None, rate(2_000_000))),
            ("500k:", (rate(500_000), None)),
            ("0:2M", (None, rate(2_000_000))),
            (":", (None, None)),
            ("0:0", (None, None)),
        ] {
            assert_eq!(pair(text.as_bytes()).unwrap(), sides, "{text}");
        }
        for text in ["", "2M", "1k:2k:3k", "1k:x", "x:1k", "1k;2k", "1:1"] {
            let why = pair(text.as_bytes()).unwrap_err();
            assert!(why.contains(WANTED), "{text}: {why}");
        }
    }
}
