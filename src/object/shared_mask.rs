//! Secrets that become more while texts are written: a connection adds each token that it gets. Pure.

use std::borrow::Cow;
use std::fmt;
use std::sync::{Arc, OnceLock, PoisonError, RwLock};

use regex::bytes::{Regex, RegexBuilder};

use super::{Mask, api_key, assignment};

/// The largest compiled pattern, in bytes. Hundreds of secrets need less.
const LARGEST_PATTERN: usize = 64 << 20;
/// The beginning of a secret of several lines.
const KEY_FILE: &[u8] = b"-----BEGIN";

/// A mask whose clones share their secrets.
#[derive(Clone, Default)]
pub struct SharedMask(Arc<RwLock<Secrets>>);

#[derive(Default)]
struct Secrets {
    mask: Mask,
    /// Made of the mask when lines are masked for the first time.
    marks: OnceLock<Marks>,
}

/// Finds the lines that may have a secret, many times faster than the secrets themselves are found.
enum Marks {
    Pattern(Regex),
    /// There are too many secrets for a pattern: each line may have one.
    Anywhere,
}

impl Marks {
    fn new(mask: &Mask) -> Self {
        let forms = api_key::marks().chain(["://"]).map(regex::escape);
        let marks: Vec<String> = mask.marks().map(regex::escape).chain(forms).collect();
        let pattern = RegexBuilder::new(&marks.join("|")).size_limit(LARGEST_PATTERN).build();
        pattern.map_or(Self::Anywhere, Self::Pattern)
    }

    /// Returns the place of the first mark.
    fn find(&self, bytes: &[u8]) -> Option<usize> {
        match self {
            Self::Pattern(pattern) => pattern.find(bytes).map(|found| found.start()),
            Self::Anywhere => (!bytes.is_empty()).then_some(0),
        }
    }
}

impl fmt::Debug for SharedMask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SharedMask(redacted)")
    }
}

impl SharedMask {
    /// Adds the secrets of a mask.
    pub fn extend(&self, secrets: Mask) {
        self.change(|mask| mask.extend(secrets));
    }

    /// Adds a secret.
    pub fn add(&self, secret: &str) {
        self.change(|mask| mask.add(secret));
    }

    fn change(&self, change: impl FnOnce(&mut Mask)) {
        let mut secrets = self.0.write().unwrap_or_else(PoisonError::into_inner);
        change(&mut secrets.mask);
        secrets.marks = OnceLock::new();
    }

    /// Masks the copies of secrets in a text.
    #[must_use]
    pub fn text(&self, text: &str) -> String {
        self.0.read().unwrap_or_else(PoisonError::into_inner).mask.text(text).into_owned()
    }

    /// Masks the copies of secrets, passwords in URLs and the keys of known services in complete lines. All other bytes
    /// stay, also those that are no text.
    #[must_use]
    pub fn lines<'a>(&self, lines: &'a [u8]) -> Cow<'a, [u8]> {
        let secrets = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let marks = secrets.marks.get_or_init(|| Marks::new(&secrets.mask));
        let (mut masked, mut copied, mut at) = (Vec::new(), 0, 0);
        while let Some(found) = marks.find(&lines[at..]).map(|found| at + found) {
            let start = memchr::memrchr(b'\n', &lines[copied..found]).map_or(copied, |end| copied + end + 1);
            let end = if lines[found..].starts_with(KEY_FILE) {
                // Nothing tells where an unknown key file ends.
                lines.len()
            } else {
                end_of_secrets(&secrets.mask, lines, start, found)
            };
            masked.extend_from_slice(&lines[copied..start]);
            for chunk in lines[start..end].utf8_chunks() {
                let text = secrets.mask.text(chunk.valid());
                masked.extend_from_slice(assignment::without_keys(&text).as_bytes());
                masked.extend_from_slice(chunk.invalid());
            }
            (copied, at) = (end, end);
        }
        if copied == 0 {
            return Cow::Borrowed(lines);
        }
        masked.extend_from_slice(&lines[copied..]);
        Cow::Owned(masked)
    }
}

/// Returns the end of the line at `found`, or of the last line of a secret of several lines that begins after `start`.
fn end_of_secrets(mask: &Mask, lines: &[u8], start: usize, found: usize) -> usize {
    let line_end =
        |from: usize| memchr::memchr(b'\n', &lines[from..]).map_or(lines.len(), |at| from + at + 1);
    let mut end = line_end(found);
    while let Some(further) = mask.end_of_lines(lines, start..end).filter(|further| *further > end) {
        end = line_end(further - 1);
    }
    end
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_masked_as_texts_are() {
        let mask = SharedMask::default();
        mask.add("pla\"nted-secret");
        let lines = [
            "nothing here",
            "a pla\"nted-secret b",
            "json pla\\\"nted-secret",
            "base64 cGxhIm50ZWQtc2VjcmV0 end",
            "https://me:pass-word@host/ and more",
            "Authorization: Bearer abcdefgh12345678",
            "key sk-0123456789abcdefABCDEF01234 end",
            "https://host/ without",
            "user:password@host",
            "-----BEGIN PRIVATE KEY-----",
            "abcdefgh",
            "-----END PRIVATE KEY-----",
            "the end",
        ];
        let text = lines.join("\n") + "\n";
        let expected = assignment::without_keys(&mask.text(&text)).into_owned();
        assert!(expected.matches("(redacted)").count() >= 6, "{expected}");
        assert_eq!(String::from_utf8_lossy(&mask.lines(text.as_bytes())), expected);
        mask.add("nothing");
        assert!(mask.lines(b"nothing here\n").starts_with(b"(redacted)"), "a secret that is added later");
    }

    #[test]
    fn secret_of_several_lines_is_masked_as_a_whole() {
        let mask = SharedMask::default();
        mask.add("first-line-of-it\nab\n-----dashes\nlast");
        let text = "x first-line-of-it\nab\n-----dashes\nlast y\nab\n";
        let expected = "x (redacted) y\nab\n";
        assert_eq!(mask.text(text), expected);
        assert_eq!(String::from_utf8_lossy(&mask.lines(text.as_bytes())), expected);
    }

    #[test]
    fn bytes_that_are_no_text_stay() {
        let mask = SharedMask::default();
        mask.add("planted");
        assert_eq!(&*mask.lines(b"\xff planted \xfe\n\x00\n"), b"\xff (redacted) \xfe\n\x00\n");
        assert!(matches!(mask.lines(b"\xff\n"), Cow::Borrowed(b"\xff\n")));
    }
}
