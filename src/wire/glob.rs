//! Patterns of file names, which old clients leave to the server: `mget *.jpg` asks `NLST *.jpg`.
//!
//! RFC 959 leaves such pathnames to the server's conventions; these are the shell's, without braces.
//!
//! The pattern is matched against one name at a time, never across a `/`.  Octets are compared, not
//! characters: a name need not be UTF-8.  The work is bounded by the pattern's length times the
//! name's, whatever a stranger sends, and a pattern is no longer than a name.

/// The longest pattern, in octets: that of the longest name.  It bounds the work for each name of a large directory.
pub const PATTERN_MAX: usize = 255;

/// Whether `name` holds a character that could make it a pattern: `*`, `?` or `[`.
///
/// A file may bear such a name all the same; the caller looks for that first.
pub fn is_pattern(name: &[u8]) -> bool {
    name.len() <= PATTERN_MAX && name.iter().any(|octet| matches!(octet, b'*' | b'?' | b'['))
}

/// Whether the whole of `name` is described by `pattern`.
///
/// `*` is any octets or none, also a leading dot, since hidden files are shown here; `?` is one octet;
/// `[a-z]` is one out of a set and `[!a-z]` or `[^a-z]` one not in it; a backslash takes the next
/// octet as it is.  A `[` that is never closed, and a backslash at the end, stand for themselves.
pub fn matches(pattern: &[u8], name: &[u8]) -> bool {
    let mut element = Element {
        pattern,
        literal_from: usize::MAX,
    };
    let (mut at, mut seen) = (0, 0);
    // Only the last star need ever take more: an earlier one could take nothing that this cannot.
    let mut star: Option<(usize, usize)> = None;
    loop {
        match (pattern.get(at), name.get(seen)) {
            (Some(b'*'), _) => {
                at += 1;
                star = Some((at, seen));
                continue;
            }
            (None, None) => return true,
            // Each element left wants an octet, and going back would leave it fewer.
            (Some(_), None) => return false,
            (Some(_), Some(&octet)) => {
                let (fits, next) = element.meets(at, octet);
                if fits {
                    at = next;
                    seen += 1;
                    continue;
                }
            }
            (None, Some(_)) => {}
        }
        match star {
            Some((after, _)) if after == pattern.len() => return true,
            Some((after, from)) => {
                at = after;
                seen = from + 1;
                star = Some((after, seen));
            }
            None => return false,
        }
    }
}

/// What a pattern says about one octet of a name.
struct Element<'p> {
    pattern: &'p [u8],
    /// From here on `[` stands for itself: one was not closed, so no later one can be.  Not to look
    /// for the end of each again keeps `[[[[[` cheap.
    literal_from: usize,
}

impl Element<'_> {
    /// Whether `octet` meets the element at `at`, and where the next one begins.
    fn meets(&mut self, at: usize, octet: u8) -> (bool, usize) {
        match self.pattern.get(at) {
            None => (false, at),
            Some(b'?') => (true, at + 1),
            Some(b'[') if at < self.literal_from => match self.set(at + 1, octet) {
                Some(answer) => answer,
                None => {
                    self.literal_from = at;
                    (octet == b'[', at + 1)
                }
            },
            Some(_) => {
                let (literal, next) = self.literal(at);
                (octet == literal, next)
            }
        }
    }

    /// Like [`Element::meets`], for the set whose `[` lies before `at`; `None` if it is not closed.
    fn set(&self, mut at: usize, octet: u8) -> Option<(bool, usize)> {
        let inverted = matches!(self.pattern.get(at), Some(b'!' | b'^'));
        at += usize::from(inverted);
        let first = at;
        let mut found = false;
        loop {
            if *self.pattern.get(at)? == b']' && at > first {
                return Some((found != inverted, at + 1));
            }
            let (low, next) = self.literal(at);
            at = next;
            let mut high = low;
            // A minus right before the end of the set is one of its members.
            let range = self.pattern.get(at) == Some(&b'-');
            if range && self.pattern.get(at + 1).is_some_and(|&end| end != b']') {
                (high, at) = self.literal(at + 1);
            }
            found |= (low..=high).contains(&octet);
        }
    }

    /// The octet meant at `at`, a backslash before it taken off, and where the next one begins.
    fn literal(&self, at: usize) -> (u8, usize) {
        match (self.pattern.get(at), self.pattern.get(at + 1)) {
            (Some(b'\\'), Some(&escaped)) => (escaped, at + 2),
            (Some(&octet), _) => (octet, at + 1),
            (None, _) => (0, at + 1),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn yes(pattern: &str, names: &[&str]) {
        for name in names {
            assert!(
                matches(pattern.as_bytes(), name.as_bytes()),
                "{pattern} {name}"
            );
        }
    }

    fn no(pattern: &str, names: &[&str]) {
        for name in names {
            assert!(
                !matches(pattern.as_bytes(), name.as_bytes()),
                "{pattern} {name}"
            );
        }
    }

    #[test]
    fn a_name_is_a_pattern_if_it_holds_a_special_character() {
        for name in ["*", "a?c", "[x", "\\*"] {
            assert!(is_pattern(name.as_bytes()), "{name}");
        }
        for name in ["", "a.jpg", "]", "\\", "-l", "{a,b}"] {
            assert!(!is_pattern(name.as_bytes()), "{name}");
        }
        assert!(is_pattern(&[b'*'; PATTERN_MAX]));
        assert!(!is_pattern(&[b'*'; PATTERN_MAX + 1]));
    }

    #[test]
    fn a_plain_pattern_matches_itself_only() {
        yes("", &[""]);
        no("", &["a"]);
        yes("abc", &["abc"]);
        no("abc", &["", "ab", "abcd", "ABC", "xabc"]);
    }

    #[test]
    fn a_star_takes_anything_even_a_leading_dot() {
        yes("*", &["", "a", ".profile", "a b", "\u{e4}"]);
        yes("*.jpg", &[".jpg", "a.jpg", "a.jpg.jpg", ".a.jpg"]);
        no("*.jpg", &["jpg", "a.jpeg", "a.jpg "]);
        yes("a*b*c", &["abc", "axxbxxc", "abbcc", "abcbc"]);
        no("a*b*c", &["ab", "acb", "abcx"]);
        yes("**a**", &["a", "xax"]);
        no("**a**", &["", "xbx"]);
    }

    #[test]
    fn a_question_mark_takes_exactly_one_octet() {
        yes("a?c", &["abc", "a?c", "a.c"]);
        no("a?c", &["ac", "abbc"]);
        yes("??", &["\u{e4}"]);
        yes("*?", &["a", "ab"]);
        no("*?", &[""]);
        assert!(matches(b"?", &[0xff]));
    }

    #[test]
    fn a_set_takes_one_of_its_members() {
        yes("[abc]", &["a", "b", "c"]);
        no("[abc]", &["", "d", "ab", "[abc]"]);
        yes("[a-c0-9]x", &["ax", "cx", "5x"]);
        no("[a-c0-9]x", &["dx", "-x", "x"]);
        yes("[!a-c]", &["d", "-", "!"]);
        no("[!a-c]", &["a", "c", ""]);
        yes("[^a]", &["b", "^"]);
        no("[^a]", &["a"]);
        yes("*.[jJ][pP][gG]", &["a.jpg", "A.JPG"]);
        no("[c-a]", &["a", "b", "c"]);
    }

    #[test]
    fn brackets_and_minuses_can_be_members() {
        yes("[]]", &["]"]);
        yes("[]a]", &["]", "a"]);
        yes("[!]]", &["a"]);
        no("[!]]", &["]"]);
        yes("[[]", &["["]);
        yes("[a-]", &["a", "-"]);
        yes("[-a]", &["a", "-"]);
        yes("[\\]]", &["]"]);
        yes("[\\a-\\c]", &["b"]);
        yes("[a\\-c]", &["a", "-", "c"]);
        no("[a\\-c]", &["b", "\\"]);
    }

    #[test]
    fn an_unclosed_bracket_is_itself() {
        yes("[", &["["]);
        yes("[abc", &["[abc"]);
        no("[abc", &["a", "b"]);
        yes("*[a", &["x[a", "[a"]);
        yes("[]", &["[]"]);
        yes("[!]", &["[!]"]);
        yes("[a\\]", &["[a]"]);
        yes("[a][b", &["a[b"]);
        yes("[?", &["[x"]);
        yes("[a-", &["[a-"]);
    }

    #[test]
    fn a_backslash_takes_the_meaning_away() {
        yes("\\*", &["*"]);
        no("\\*", &["a", "\\*", "\\"]);
        yes("\\[a]", &["[a]"]);
        yes("a\\\\b", &["a\\b"]);
        yes("a\\", &["a\\"]);
    }

    #[test]
    fn many_stars_cost_no_more_than_pattern_times_name() {
        let name = [b'a'; 255];
        let pattern = [b"a*".repeat(120), b"b".to_vec()].concat();
        for _ in 0..1000 {
            assert!(!matches(&pattern, &name));
        }
        let open = [b"*".to_vec(), b"[".repeat(4000), b"x".to_vec()].concat();
        for _ in 0..100 {
            assert!(!matches(&open, &[b'['; 255]));
        }
        let closed = [b"*".to_vec(), b"[!x]".repeat(100), b"[xyz]".to_vec()].concat();
        for _ in 0..100 {
            assert!(!matches(&closed, &name));
        }
    }

    /// A plain recursive matcher for stars, question marks and letters, to compare with.
    fn slow(pattern: &[u8], name: &[u8]) -> bool {
        match (pattern.split_first(), name.split_first()) {
            (None, None) => true,
            (Some((b'*', rest)), None) => slow(rest, name),
            (Some((b'*', rest)), Some((_, others))) => slow(rest, name) || slow(pattern, others),
            (Some((b'?', rest)), Some((_, others))) => slow(rest, others),
            (Some((a, rest)), Some((b, others))) => a == b && slow(rest, others),
            _ => false,
        }
    }

    #[test]
    fn one_point_to_go_back_to_is_enough() {
        let words = |letters: &[u8], longest: u32| {
            let mut all = vec![Vec::new()];
            let mut last = all.clone();
            for _ in 0..longest {
                last = last
                    .iter()
                    .flat_map(|word: &Vec<u8>| letters.iter().map(|&l| [&word[..], &[l]].concat()))
                    .collect();
                all.extend(last.iter().cloned());
            }
            all
        };
        let names = words(b"ab", 5);
        for pattern in words(b"ab*?", 5) {
            for name in &names {
                assert_eq!(
                    matches(&pattern, name),
                    slow(&pattern, name),
                    "{pattern:?} {name:?}"
                );
            }
        }
    }
}
