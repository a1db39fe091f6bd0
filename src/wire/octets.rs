//! Byte strings of bounded length that never allocate.

/// Writes into a piece of memory that it is lent, and remembers when that was too small.
///
/// Every formatter of the wire writes through one, so a reply or a listing line costs no allocation.
#[derive(Debug)]
pub struct Cursor<'m> {
    room: &'m mut [u8],
    len: usize,
    full: bool,
}

impl<'m> Cursor<'m> {
    /// An empty cursor over `room`.
    pub fn new(room: &'m mut [u8]) -> Self {
        Self {
            room,
            len: 0,
            full: false,
        }
    }

    /// What has been written.
    pub fn written(&self) -> &[u8] {
        self.room.get(..self.len).unwrap_or_default()
    }

    /// How many octets have been written.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether nothing has been written.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// How many octets still fit.
    pub fn left(&self) -> usize {
        self.room.len().saturating_sub(self.len)
    }

    /// Whether something did not fit and was left out.
    pub fn is_full(&self) -> bool {
        self.full
    }

    /// Forgets what was written after the first `len` octets, and that anything did not fit.
    pub fn truncate(&mut self, len: usize) {
        self.len = self.len.min(len);
        self.full = false;
    }

    /// Appends `octets`, all of them or none.
    pub fn push(&mut self, octets: &[u8]) {
        let end = self.len.saturating_add(octets.len());
        match self.room.get_mut(self.len..end) {
            Some(place) => {
                place.copy_from_slice(octets);
                self.len = end;
            }
            None => self.full = true,
        }
    }

    /// Appends `octets` as far as they fit and up to the first that is `stop`; returns how many.
    ///
    /// A whole machine word is looked at and copied at a time: lines of text cost 0.18 s a GiB so, with a search and a
    /// copy after it 0.25 s.
    pub fn push_until(&mut self, stop: u8, octets: &[u8]) -> usize {
        const WORD: usize = size_of::<usize>();
        const ONES: usize = usize::MAX / 255;
        let stops = ONES * usize::from(stop);
        let place = self.room.get_mut(self.len..).unwrap_or_default();
        let (words, _) = octets.as_chunks::<WORD>();
        let (places, _) = place.as_chunks_mut::<WORD>();
        let mut count = 0;
        for (word, place) in words.iter().zip(places) {
            *place = *word;
            // Where the octet is, the difference has a zero octet, and only from zero does subtracting one borrow into a
            // top bit that was not set; octets behind the first may be marked in error.
            let difference = usize::from_le_bytes(*word) ^ stops;
            let zeros = difference.wrapping_sub(ONES) & !difference & (ONES << 7);
            if zeros != 0 {
                count += usize::try_from(zeros.trailing_zeros() / 8).unwrap_or(0);
                self.len += count;
                return count;
            }
            count += WORD;
        }
        for (octet, place) in octets.iter().zip(place).skip(count) {
            if *octet == stop {
                break;
            }
            *place = *octet;
            count += 1;
        }
        self.len += count;
        count
    }

    /// Appends one octet.
    pub fn octet(&mut self, octet: u8) {
        match self.room.get_mut(self.len) {
            Some(place) => {
                *place = octet;
                self.len += 1;
            }
            None => self.full = true,
        }
    }

    /// Appends `value` in decimal.
    pub fn decimal(&mut self, value: u64) {
        self.digits(value, 10, 1, b'0');
    }

    /// Appends `value` in decimal, filled up on the left with `fill` to `width` octets.
    pub fn decimal_wide(&mut self, value: u64, width: usize, fill: u8) {
        self.digits(value, 10, width, fill);
    }

    /// Appends `value` in octal, with at least `width` digits.
    pub fn octal(&mut self, value: u64, width: usize) {
        self.digits(value, 8, width, b'0');
    }

    /// Appends `value` in hexadecimal.
    pub fn hex(&mut self, value: u64) {
        self.digits(value, 16, 1, b'0');
    }

    fn digits(&mut self, mut value: u64, base: u64, width: usize, fill: u8) {
        // 22 octal digits hold any u64; wider fields are filled up beforehand.
        let mut digits = [0u8; 22];
        let mut count = 0usize;
        for place in digits.iter_mut().rev() {
            let digit = u8::try_from(value % base).unwrap_or(0);
            *place = if digit < 10 {
                b'0' + digit
            } else {
                b'a' + (digit - 10)
            };
            count += 1;
            value /= base;
            if value == 0 {
                break;
            }
        }
        for _ in count..width {
            self.octet(fill);
        }
        let start = digits.len().saturating_sub(count);
        self.push(digits.get(start..).unwrap_or_default());
    }
}

impl std::fmt::Write for Cursor<'_> {
    fn write_str(&mut self, text: &str) -> std::fmt::Result {
        self.push(text.as_bytes());
        Ok(())
    }
}

/// What a short byte string takes; longer ones lie in the room that they were lent.
const SHORT: usize = 128;

/// A byte string that lies in the value itself while it is short, else in the room it was lent.
///
/// A session holds a few of these.  Pathnames are short nearly always, so an idle session touches no
/// page of memory beyond its stack, although each may grow to a full `PATH_MAX`.
#[derive(Debug)]
pub struct Octets<'m> {
    short: [u8; SHORT],
    len: usize,
    long: &'m mut [u8],
}

/// The byte string does not fit where it should be stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TooLong;

impl<'m> Octets<'m> {
    /// An empty string; it may grow to the length of `long`.
    pub fn new(long: &'m mut [u8]) -> Self {
        Self {
            short: [0; SHORT],
            len: 0,
            long,
        }
    }

    /// The string.
    pub fn get(&self) -> &[u8] {
        let store: &[u8] = if self.len > SHORT {
            self.long
        } else {
            &self.short
        };
        store.get(..self.len).unwrap_or_default()
    }

    /// Whether nothing is stored.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Empties the string.
    pub fn clear(&mut self) {
        self.len = 0;
    }

    /// Cuts the string to its first `len` octets.
    pub fn truncate(&mut self, len: usize) {
        if len >= self.len {
            return;
        }
        if self.len > SHORT && len <= SHORT {
            let kept = self.long.get(..len).unwrap_or_default();
            if let Some(place) = self.short.get_mut(..len) {
                place.copy_from_slice(kept);
            }
        }
        self.len = len;
    }

    /// Replaces the string.
    ///
    /// # Errors
    /// [`TooLong`] if it does not fit; the string is then empty.
    pub fn set(&mut self, octets: &[u8]) -> Result<(), TooLong> {
        self.clear();
        self.push(octets)
    }

    /// Appends `octets`.
    ///
    /// # Errors
    /// [`TooLong`] if they do not fit; nothing is then appended.
    pub fn push(&mut self, octets: &[u8]) -> Result<(), TooLong> {
        let end = self.len.checked_add(octets.len()).ok_or(TooLong)?;
        if end <= SHORT {
            self.short
                .get_mut(self.len..end)
                .ok_or(TooLong)?
                .copy_from_slice(octets);
        } else {
            if end > self.long.len() {
                return Err(TooLong);
            }
            if self.len <= SHORT {
                let kept = self.short.get(..self.len).unwrap_or_default();
                self.long
                    .get_mut(..self.len)
                    .ok_or(TooLong)?
                    .copy_from_slice(kept);
            }
            self.long
                .get_mut(self.len..end)
                .ok_or(TooLong)?
                .copy_from_slice(octets);
        }
        self.len = end;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may panic")]
    use super::*;

    #[test]
    fn numbers_are_written_in_every_base_and_width() {
        let mut room = [0; 64];
        let mut cursor = Cursor::new(&mut room);
        cursor.decimal(0);
        cursor.octet(b' ');
        cursor.decimal_wide(7, 3, b' ');
        cursor.octet(b' ');
        cursor.octal(0o644, 4);
        cursor.octet(b' ');
        cursor.hex(0xdead);
        cursor.octet(b' ');
        cursor.decimal(u64::MAX);
        assert_eq!(cursor.written(), b"0   7 0644 dead 18446744073709551615");
        assert!(!cursor.is_full());
    }

    #[test]
    fn what_does_not_fit_is_left_out_and_remembered() {
        let mut room = [0; 4];
        let mut cursor = Cursor::new(&mut room);
        cursor.push(b"abc");
        cursor.push(b"de");
        assert_eq!(cursor.written(), b"abc");
        assert!(cursor.is_full());
    }

    #[test]
    fn octets_are_taken_up_to_a_stop_wherever_it_lies() {
        for length in 0..40 {
            for at in 0..=length {
                for other in [0u8, 9, 11, 0x8a, 0xff] {
                    let mut octets = vec![other; length];
                    if let Some(octet) = octets.get_mut(at) {
                        *octet = b'\n';
                        *octets.last_mut().unwrap() = b'\n';
                    }
                    for space in [0, at / 2, at, length, 60] {
                        let mut room = vec![1; space + 1];
                        let mut cursor = Cursor::new(&mut room);
                        cursor.octet(b'<');
                        let count = cursor.push_until(b'\n', &octets);
                        assert_eq!(count, at.min(space));
                        assert_eq!(cursor.written().get(1..), octets.get(..count));
                    }
                }
            }
        }
    }

    #[test]
    fn a_string_survives_growing_and_shrinking_across_the_short_form() {
        let mut long = [0; 300];
        let mut octets = Octets::new(&mut long);
        let expected: Vec<u8> = (0..=255).collect();
        for piece in expected.chunks(50) {
            octets.push(piece).unwrap();
        }
        assert_eq!(octets.get(), expected);
        octets.truncate(100);
        assert_eq!(octets.get(), expected.get(..100).unwrap());
        assert_eq!(octets.set(&[0; 301]), Err(TooLong));
        assert!(octets.is_empty());
    }
}
