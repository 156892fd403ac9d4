//! Secrets that become more while texts are written: a connection adds each token that it gets. Pure.

use std::borrow::Cow;
use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};

use regex::bytes::{Regex, RegexBuilder};

use super::{Mask, api_key, assignment};

/// The largest compiled pattern, in bytes. Hundreds of secrets need less.
const LARGEST_PATTERN: usize = 64 << 20;
/// The beginning of a secret of several lines.
const KEY_FILE: &[u8] = b"-----BEGIN";

/// A mask whose clones share their secrets.
#[derive(Clone, Default)]
pub struct SharedMask(Arc<RwLock<Mask>>, Arc<RwLock<Option<Marks>>>);

/// Finds the lines that may have a secret, many times faster than the secrets themselves are found.
#[derive(Clone)]
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
        self.0.write().unwrap_or_else(PoisonError::into_inner).extend(secrets);
        *self.1.write().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// Adds a secret.
    pub fn add(&self, secret: &str) {
        self.0.write().unwrap_or_else(PoisonError::into_inner).add(secret);
        *self.1.write().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// Masks the copies of secrets in a text.
    #[must_use]
    pub fn text(&self, text: &str) -> String {
        self.0.read().unwrap_or_else(PoisonError::into_inner).text(text).into_owned()
    }

    /// Masks the copies of secrets, passwords in URLs and the keys of known services in complete lines. All other bytes
    /// stay, also those that are no text.
    #[must_use]
    pub fn lines<'a>(&self, lines: &'a [u8]) -> Cow<'a, [u8]> {
        let marks = self.marks();
        let (mut masked, mut copied, mut at) = (Vec::new(), 0, 0);
        while let Some(found) = marks.find(&lines[at..]).map(|found| at + found) {
            let start = memchr::memrchr(b'\n', &lines[copied..found]).map_or(copied, |end| copied + end + 1);
            // A key file has several lines.
            let end = if lines[found..].starts_with(KEY_FILE) {
                lines.len()
            } else {
                memchr::memchr(b'\n', &lines[found..]).map_or(lines.len(), |end| found + end + 1)
            };
            masked.extend_from_slice(&lines[copied..start]);
            for chunk in lines[start..end].utf8_chunks() {
                let text = self.text(chunk.valid());
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

    fn marks(&self) -> Marks {
        if let Some(marks) = &*self.1.read().unwrap_or_else(PoisonError::into_inner) {
            return marks.clone();
        }
        let mut cached = self.1.write().unwrap_or_else(PoisonError::into_inner);
        let mask = self.0.read().unwrap_or_else(PoisonError::into_inner);
        cached.insert(Marks::new(&mask)).clone()
    }
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
    fn bytes_that_are_no_text_stay() {
        let mask = SharedMask::default();
        mask.add("planted");
        assert_eq!(&*mask.lines(b"\xff planted \xfe\n\x00\n"), b"\xff (redacted) \xfe\n\x00\n");
        assert!(matches!(mask.lines(b"\xff\n"), Cow::Borrowed(b"\xff\n")));
    }
}
