//! Instants in UTC, as listings and facts write them (RFC 3659 2.3), without the C library.
//!
//! The C library would want time zone files, which a confined process cannot see, and on old 32-bit
//! boards it stops in 2038.  Here an instant is an `i64` of seconds since 1970 wherever it runs.

use crate::wire::octets::Cursor;

/// Seconds in a day; UTC as Unix counts it has no others.
const DAY: i64 = 86_400;
/// Days in the 400 years after which the Gregorian calendar repeats.
const CYCLE: i64 = 146_097;
/// Days from 0000-03-01 to 1970-01-01.
const EPOCH: i64 = 719_468;
/// The day of a year that begins with March, so that a leap day comes last, on which each month begins.
const MONTH_STARTS: [u32; 12] = [0, 31, 61, 92, 122, 153, 184, 214, 245, 275, 306, 337];
/// 0000-01-01 00:00:00 and 9999-12-31 23:59:59: what four digits of year can say.
const FOUR_DIGITS: (i64, i64) = (-62_167_219_200, 253_402_300_799);
/// Age in seconds up to which LIST tells the time of day: 182 days.
const RECENT: i64 = 182 * DAY;
/// How far in the future, in seconds, still counts as recent: clocks of two boxes are never the same.
const AHEAD: i64 = 3600;

/// A date and a time of day in UTC, in the Gregorian calendar extended to all years; 0 is 1 BC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Civil {
    /// The astronomical year.
    pub year: i64,
    /// 1 to 12.
    pub month: u8,
    /// 1 to 31.
    pub day: u8,
    /// 0 to 23.
    pub hour: u8,
    /// 0 to 59.
    pub minute: u8,
    /// 0 to 59; [`unix`] also takes the leap second 60.
    pub second: u8,
}

/// The date and time of `unix`, in seconds since 1970-01-01 00:00:00 UTC.
pub fn civil(unix: i64) -> Civil {
    let days = unix.div_euclid(DAY) + EPOCH;
    let cycle = days.div_euclid(CYCLE);
    // From here on everything is small, and 32-bit processors divide small numbers much faster.
    let mut day = narrow(days.rem_euclid(CYCLE));
    let second = narrow(unix.rem_euclid(DAY));

    // The last century of a cycle and the last year of four are each a day longer: hence `min`.
    let centuries = (day / 36_524).min(3);
    day -= centuries * 36_524;
    let fours = day / 1461;
    day -= fours * 1461;
    let years = (day / 365).min(3);
    day -= years * 365;

    let index = MONTH_STARTS.iter().rposition(|&start| start <= day);
    let index = index.unwrap_or(0);
    let start = MONTH_STARTS.get(index).copied().unwrap_or(0);
    let (month, next_year) = if index < 10 {
        (index + 3, 0)
    } else {
        (index - 9, 1)
    };
    Civil {
        year: cycle * 400 + i64::from(centuries * 100 + fours * 4 + years) + next_year,
        month: u8::try_from(month).unwrap_or(1),
        day: octet(day - start + 1),
        hour: octet(second / 3600),
        minute: octet(second / 60 % 60),
        second: octet(second % 60),
    }
}

/// The seconds since 1970-01-01 00:00:00 UTC of a date and time.
///
/// `None` if there is no such day or time, or if 64 bits do not reach that far.  A leap second counts
/// as the second after it, as the kernel counts.
pub fn unix(civil: &Civil) -> Option<i64> {
    let real = (1..=days_in_month(civil.year, civil.month)).contains(&civil.day)
        && civil.hour < 24
        && civil.minute < 60
        && civil.second <= 60;
    if !real {
        return None;
    }
    let index = (usize::from(civil.month) + 9) % 12;
    let year = civil.year.checked_sub(i64::from(civil.month < 3))?;
    let in_cycle = year.rem_euclid(400);
    let day = in_cycle * 365 + in_cycle / 4 - in_cycle / 100
        + i64::from(MONTH_STARTS.get(index).copied()?)
        + i64::from(civil.day)
        - 1;
    let days = year.div_euclid(400).checked_mul(CYCLE)?;
    let days = days.checked_add(day - EPOCH)?;
    let second = i64::from(civil.hour) * 3600 + i64::from(civil.minute) * 60;
    let second = second + i64::from(civil.second);
    // The first day that 64 bits reach does not begin within their reach, but it ends there.
    if days < 0 {
        let end = (days + 1).checked_mul(DAY)?;
        end.checked_add(second - DAY)
    } else {
        days.checked_mul(DAY)?.checked_add(second)
    }
}

/// Reads a `time-val`, such as `20240101120000.123`: seconds since 1970 and nanoseconds (RFC 3659 2.3).
///
/// `None` if it is not 14 digits of a real date, then perhaps a point and at least one digit.  Digits
/// past the nanoseconds are read and dropped.
pub fn parse_time_val(text: &[u8]) -> Option<(i64, u32)> {
    let (date, fraction) = text.split_at_checked(14)?;
    let nanoseconds = match fraction.split_first() {
        None => 0,
        Some((b'.', digits)) if !digits.is_empty() => {
            let value = digits.get(..9).unwrap_or(digits);
            let missing = u32::try_from(9 - value.len()).ok()?;
            number(digits.get(9..).unwrap_or_default())?;
            u32::try_from(number(value)?).ok()? * 10u32.pow(missing)
        }
        Some(_) => return None,
    };
    let field = |from: usize| {
        let value = number(date.get(from..from + 2)?)?;
        u8::try_from(value).ok()
    };
    let seconds = unix(&Civil {
        year: number(date.get(..4)?)?,
        month: field(4)?,
        day: field(6)?,
        hour: field(8)?,
        minute: field(10)?,
        second: field(12)?,
    })?;
    Some((seconds, nanoseconds))
}

/// Writes the `time-val` of `unix` seconds: 14 digits (RFC 3659 2.3).
///
/// What lies before the year 0 or after 9999 is written as the first or last second of those.
pub fn time_val(unix: i64, out: &mut Cursor<'_>) {
    out.push(&digits(unix));
}

/// What a log line begins with: `2026-11-22T15:04:05Z` (RFC 3339), bounded as a `time-val` is.
pub fn stamp(unix: i64) -> [u8; 20] {
    let mut stamp = *b"0000-00-00T00:00:00Z";
    let places = stamp.iter_mut().filter(|octet| **octet == b'0');
    for (place, digit) in places.zip(digits(unix)) {
        *place = digit;
    }
    stamp
}

fn digits(unix: i64) -> [u8; 14] {
    let civil = written(unix);
    let mut digits = [0u8; 14];
    let pairs = [
        century(&civil),
        year_of_century(&civil),
        civil.month,
        civil.day,
        civil.hour,
        civil.minute,
        civil.second,
    ];
    for (place, value) in digits.chunks_exact_mut(2).zip(pairs) {
        place.copy_from_slice(&pair(value));
    }
    digits
}

/// Writes the date column of a LIST line: always 12 octets, `Jan 02 15:04` or `Jan 02  2023`.
///
/// The first form is for what was modified at most 182 days before `now` (both in seconds since 1970).
/// Anything older, or more than an hour ahead, has its year told: that is how clients read the column,
/// since they must guess the year of the first form.
pub fn list_date(modified: i64, now: i64, out: &mut Cursor<'_>) {
    let oldest = now.saturating_sub(RECENT);
    let newest = now.saturating_add(AHEAD);
    let civil = written(modified);
    let (month, day) = (month_name(civil.month), pair(civil.day));
    let (left, between, right) = if (oldest..=newest).contains(&modified) {
        (pair(civil.hour), *b":", pair(civil.minute))
    } else {
        // One octet further right, to keep the column's width.
        let [a, b] = pair(century(&civil));
        let [c, d] = pair(year_of_century(&civil));
        ([b' ', a], [b], [c, d])
    };
    let mut column = *b"Jan 02 15:04";
    let parts: [(usize, &[u8]); 5] = [
        (0, month),
        (4, &day),
        (7, &left),
        (9, &between),
        (10, &right),
    ];
    for (at, part) in parts {
        if let Some(place) = column.get_mut(at..at + part.len()) {
            place.copy_from_slice(part);
        }
    }
    out.push(&column);
}

/// The date of `unix`, brought into the years that four digits can say.
fn written(unix: i64) -> Civil {
    civil(unix.clamp(FOUR_DIGITS.0, FOUR_DIGITS.1))
}

fn century(civil: &Civil) -> u8 {
    u8::try_from(civil.year / 100).unwrap_or(0)
}

fn year_of_century(civil: &Civil) -> u8 {
    u8::try_from(civil.year % 100).unwrap_or(0)
}

fn month_name(month: u8) -> &'static [u8] {
    match month {
        1 => b"Jan",
        2 => b"Feb",
        3 => b"Mar",
        4 => b"Apr",
        5 => b"May",
        6 => b"Jun",
        7 => b"Jul",
        8 => b"Aug",
        9 => b"Sep",
        10 => b"Oct",
        11 => b"Nov",
        _ => b"Dec",
    }
}

/// 0 for a month that is none, so that no day lies in it.
fn days_in_month(year: i64, month: u8) -> u8 {
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    match month {
        1 | 3 | 5 | 7 | 8 | 10 | 12 => 31,
        4 | 6 | 9 | 11 => 30,
        2 if leap => 29,
        2 => 28,
        _ => 0,
    }
}

/// Two decimal digits.
fn pair(value: u8) -> [u8; 2] {
    [b'0' + value / 10 % 10, b'0' + value % 10]
}

/// The value of `digits`; 0 if there are none, `None` if one of them is no digit.
fn number(digits: &[u8]) -> Option<i64> {
    digits.iter().try_fold(0i64, |value, &digit| {
        let digit = digit.is_ascii_digit().then(|| digit - b'0')?;
        Some(value.wrapping_mul(10).wrapping_add(i64::from(digit)))
    })
}

fn narrow(value: i64) -> u32 {
    u32::try_from(value).unwrap_or(0)
}

fn octet(value: u32) -> u8 {
    u8::try_from(value).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may panic")]
    use super::*;

    fn text(write: impl FnOnce(&mut Cursor<'_>)) -> String {
        let mut room = [0; 32];
        let mut cursor = Cursor::new(&mut room);
        write(&mut cursor);
        assert!(!cursor.is_full());
        String::from_utf8(cursor.written().to_vec()).unwrap()
    }

    fn val(unix: i64) -> String {
        text(|out| time_val(unix, out))
    }

    fn date(modified: i64, now: i64) -> String {
        text(|out| list_date(modified, now, out))
    }

    #[test]
    fn well_known_instants_have_their_dates() {
        assert_eq!(val(0), "19700101000000");
        assert_eq!(val(-1), "19691231235959");
        assert_eq!(val(951_782_400), "20000229000000");
        assert_eq!(val(951_868_800), "20000301000000");
        assert_eq!(val(1_709_251_199), "20240229235959");
        assert_eq!(val(2_147_483_648), "20380119031408");
        assert_eq!(val(4_107_542_399), "21000228235959");
        assert_eq!(val(4_107_542_400), "21000301000000");
        assert_eq!(val(253_402_300_799), "99991231235959");
    }

    #[test]
    fn a_stamp_is_a_time_val_with_marks_between() {
        for (unix, wanted) in [
            (0, "1970-01-01T00:00:00Z"),
            (2_147_483_648, "2038-01-19T03:14:08Z"),
            (253_402_300_799, "9999-12-31T23:59:59Z"),
            (i64::MIN, "0000-01-01T00:00:00Z"),
        ] {
            assert_eq!(stamp(unix), wanted.as_bytes());
        }
    }

    #[test]
    fn years_of_more_than_four_digits_are_clamped() {
        assert_eq!(val(253_402_300_800), "99991231235959");
        assert_eq!(val(i64::MAX), "99991231235959");
        assert_eq!(val(-62_167_219_200), "00000101000000");
        assert_eq!(val(i64::MIN), "00000101000000");
        assert_eq!(date(i64::MAX, 0), "Dec 31  9999");
        assert_eq!(date(i64::MIN, 0), "Jan 01  0000");
        assert_eq!(date(i64::MAX, i64::MAX), "Dec 31 23:59");
        assert_eq!(date(i64::MIN, i64::MIN), "Jan 01 00:00");
    }

    #[test]
    fn every_day_of_two_cycles_follows_the_one_before() {
        let mut expected = Civil {
            year: 1600,
            month: 1,
            day: 1,
            hour: 7,
            minute: 8,
            second: 9,
        };
        let first = unix(&expected).unwrap();
        for day in 0..2 * CYCLE {
            let instant = first + day * DAY;
            assert_eq!(civil(instant), expected);
            assert_eq!(unix(&expected), Some(instant));
            if expected.day < days_in_month(expected.year, expected.month) {
                expected.day += 1;
            } else {
                expected.day = 1;
                expected.month = expected.month % 12 + 1;
                expected.year += i64::from(expected.month == 1);
            }
        }
        assert_eq!(expected.year, 2400);
    }

    #[test]
    fn the_ends_of_64_bits_go_there_and_back() {
        for instant in [
            i64::MIN,
            i64::MIN + 1,
            i64::MAX - 1,
            i64::MAX,
            -DAY,
            -1,
            0,
            1,
            DAY,
        ] {
            assert_eq!(unix(&civil(instant)), Some(instant));
        }
        for year in [i64::MIN, i64::MAX, 292_277_026_597, -292_277_022_658] {
            for month in 1..=12 {
                let far = Civil {
                    year,
                    month,
                    day: 1,
                    hour: 0,
                    minute: 0,
                    second: 0,
                };
                assert_eq!(unix(&far), None);
            }
        }
    }

    #[test]
    fn a_date_that_is_none_has_no_instant() {
        for text in [
            "20230229000000",
            "20240230000000",
            "21000229000000",
            "20240431000000",
            "20240001000000",
            "20241301000000",
            "20240100000000",
            "20240132000000",
            "20240101240000",
            "20240101006000",
            "20240101000061",
        ] {
            assert_eq!(parse_time_val(text.as_bytes()), None, "{text}");
        }
        assert!(parse_time_val(b"20240229000000").is_some());
        assert!(parse_time_val(b"20000229000000").is_some());
    }

    #[test]
    fn a_leap_second_is_the_second_after_it() {
        let leap = parse_time_val(b"20161231235960").unwrap();
        assert_eq!(leap, parse_time_val(b"20170101000000").unwrap());
    }

    #[test]
    fn a_fraction_is_read_to_the_nanosecond() {
        assert_eq!(parse_time_val(b"19700101000001"), Some((1, 0)));
        assert_eq!(parse_time_val(b"19700101000001.5"), Some((1, 500_000_000)));
        assert_eq!(parse_time_val(b"19700101000001.000000009"), Some((1, 9)));
        assert_eq!(
            parse_time_val(b"19700101000001.1234567899"),
            Some((1, 123_456_789))
        );
        let long = [b"19700101000001.".as_slice(), &[b'9'; 300]].concat();
        assert_eq!(parse_time_val(&long), Some((1, 999_999_999)));
    }

    #[test]
    fn what_is_no_time_val_is_refused() {
        for text in [
            "",
            "2024",
            "2024010112000",
            "202401011200000",
            "20240101120000.",
            "20240101120000,5",
            "20240101120000.5x",
            "20240101120000.1234567890x",
            "+0240101120000",
            "2024 101120000",
            " 20240101120000",
            "20240101120000 ",
        ] {
            assert_eq!(parse_time_val(text.as_bytes()), None, "{text:?}");
        }
    }

    #[test]
    fn what_is_old_or_ahead_shows_its_year() {
        let now = 1_704_207_840; // 2024-01-02 15:04:00
        assert_eq!(date(now, now), "Jan 02 15:04");
        assert_eq!(date(now - RECENT, now), "Jul 04 15:04");
        assert_eq!(date(now - RECENT - 1, now), "Jul 04  2023");
        assert_eq!(date(now + AHEAD, now), "Jan 02 16:04");
        assert_eq!(date(now + AHEAD + 1, now), "Jan 02  2024");
        assert_eq!(date(0, now), "Jan 01  1970");
    }

    #[test]
    fn every_month_has_its_english_name() {
        let names = "Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec";
        let written: Vec<_> = (1..=12)
            .map(|month| {
                unix(&Civil {
                    year: 1999,
                    month,
                    day: 9,
                    hour: 0,
                    minute: 0,
                    second: 0,
                })
            })
            .map(|instant| date(instant.unwrap(), 0).get(..3).unwrap().to_owned())
            .collect();
        assert_eq!(written.join(" "), names);
    }
}
