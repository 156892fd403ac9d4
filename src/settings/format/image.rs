//! References to images.

use super::error::FormatError;
use super::newtype::formatted;

/// A reference to an image: `registry/path:tag`, `registry/path@sha256:…`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ImageRef {
    text: String,
    repository_end: usize,
    tag: Option<(usize, usize)>,
}

impl ImageRef {
    /// Parses a reference by the grammar of distribution's `reference` package, which the kubelet uses.
    pub fn parse(text: &str) -> Result<Self, FormatError> {
        if text.is_empty() {
            return Err(FormatError::new(0, "the image may not be empty"));
        }
        if let Some(at) = text.find("://") {
            return Err(FormatError::new(
                at,
                format!("an image has no scheme: leave `{}` out", &text[..at + 3]),
            ));
        }
        let (name_and_tag, digest_at) = match text.find('@') {
            Some(at) => {
                check_digest(at + 1, &text[at + 1..])?;
                (&text[..at], Some(at))
            }
            None => (text, None),
        };
        let path_start = name_and_tag.rfind('/').map_or(0, |at| at + 1);
        let colon = name_and_tag[path_start..].find(':').map(|at| path_start + at);
        let repository_end = colon.or(digest_at).unwrap_or(text.len());
        let tag = colon.map(|at| (at + 1, name_and_tag.len()));
        check_repository(&text[..repository_end])?;
        if let Some((start, end)) = tag {
            check_tag(start, &text[start..end])?;
        }
        Ok(Self { text: text.to_owned(), repository_end, tag })
    }

    /// Returns a reference from a constant that is known to be valid.
    #[must_use]
    pub fn from_static(text: &'static str) -> Self {
        match Self::parse(text) {
            Ok(image) => image,
            Err(error) => {
                debug_assert!(false, "{text}: {error}");
                Self { text: text.to_owned(), repository_end: text.len(), tag: None }
            }
        }
    }

    /// The reference as written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Registry and path, without tag and digest.
    #[must_use]
    pub fn repository(&self) -> &str {
        &self.text[..self.repository_end]
    }

    /// The last part of the path, which mirrors keep: `openhands`.
    #[must_use]
    pub fn name(&self) -> &str {
        let repository = self.repository();
        repository.rsplit('/').next().unwrap_or(repository)
    }

    /// The tag, if there is one.
    #[must_use]
    pub fn tag(&self) -> Option<&str> {
        self.tag.map(|(start, end)| &self.text[start..end])
    }

    /// The version in the tag, if the tag is `x.y` or `x.y.z`, also after a `v` and before a suffix: `v0.59-dev`.
    #[must_use]
    pub fn version(&self) -> Option<(u32, u32)> {
        let tag = self.tag()?;
        let tag = tag.strip_prefix('v').unwrap_or(tag);
        let (version, suffix) = tag.split_at(tag.find(['-', '_']).unwrap_or(tag.len()));
        let parts: Vec<u32> = version.split('.').map(number).collect::<Option<_>>()?;
        match parts[..] {
            // Tags with a suffix are often other versions: `3.12-slim`, `2026.11-7`.
            [major, minor] | [major, minor, _] if suffix.is_empty() || major <= 1 => Some((major, minor)),
            _ => None,
        }
    }
}

formatted!(ImageRef, "image");

fn number(text: &str) -> Option<u32> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok()).flatten()
}

fn check_repository(text: &str) -> Result<(), FormatError> {
    let mut start = 0;
    let parts: Vec<&str> = text.split('/').collect();
    for (index, part) in parts.iter().enumerate() {
        let is_registry = index == 0
            && parts.len() > 1
            && (part.contains(['.', ':']) || *part == "localhost" || part.chars().any(char::is_uppercase));
        if part.is_empty() {
            return Err(FormatError::new(start, "a part of the path is empty"));
        }
        check_part(start, part, is_registry)?;
        start += part.len() + 1;
    }
    Ok(())
}

fn check_part(start: usize, part: &str, is_registry: bool) -> Result<(), FormatError> {
    let last = part.len() - part.chars().next_back().map_or(0, char::len_utf8);
    for (at, c) in part.char_indices() {
        let is_edge = at == 0 || at == last;
        let allowed = match c {
            'a'..='z' | '0'..='9' => true,
            'A'..='Z' => is_registry,
            '.' | '-' => !is_edge,
            '_' => !is_edge && !is_registry,
            ':' => is_registry && !is_edge && part[at + 1..].bytes().all(|byte| byte.is_ascii_digit()),
            _ => false,
        };
        if !allowed {
            let message = if c.is_ascii_uppercase() {
                format!("uppercase `{c}` is not allowed in the path of an image")
            } else {
                format!("`{c}` is not allowed here")
            };
            return Err(FormatError::new(start + at, message));
        }
    }
    Ok(())
}

fn check_tag(start: usize, tag: &str) -> Result<(), FormatError> {
    if tag.is_empty() {
        return Err(FormatError::new(start, "the tag may not be empty"));
    }
    for (at, c) in tag.char_indices() {
        if !(c.is_ascii_alphanumeric() || c == '_' || (at > 0 && matches!(c, '.' | '-'))) {
            return Err(FormatError::new(start + at, format!("`{c}` is not allowed here in a tag")));
        }
    }
    if tag.len() > 128 {
        return Err(FormatError::new(start + 128, "a tag has at most 128 characters"));
    }
    Ok(())
}

fn check_digest(start: usize, digest: &str) -> Result<(), FormatError> {
    let Some(hex) = digest.strip_prefix("sha256:") else {
        return Err(FormatError::new(start, "a digest begins with `sha256:`"));
    };
    let start = start + "sha256:".len();
    if let Some((at, c)) = hex.char_indices().find(|(_, c)| !matches!(c, '0'..='9' | 'a'..='f')) {
        return Err(FormatError::new(start + at, format!("`{c}` is not a lowercase hexadecimal digit")));
    }
    if hex.len() == 64 {
        return Ok(());
    }
    Err(FormatError::new(start + hex.len().min(64), "a sha256 digest has 64 hexadecimal digits"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn splits_repository_tag_and_version() {
        let parse = |text: &str| ImageRef::parse(text).expect(text);
        let image = parse("docker.all-hands.dev/all-hands-ai/openhands:0.59");
        assert_eq!(image.repository(), "docker.all-hands.dev/all-hands-ai/openhands");
        assert_eq!((image.name(), image.tag()), ("openhands", Some("0.59")));
        assert_eq!(image.version(), Some((0, 59)));
        assert_eq!(
            (parse("localhost:5000/hands").name(), parse("localhost:5000/hands").tag()),
            ("hands", None)
        );
        assert_eq!(parse("localhost:5000/hands:1.6.0").version(), Some((1, 6)));
        for version in ["a:v0.59", "a:0.59-dev", "a:v0.59.1-nikolaik", "a:0.59_3"] {
            assert_eq!(parse(version).version(), Some((0, 59)), "{version}");
        }
        for unversioned in
            ["a:latest", "a:1", "a", "a:0.59.0.1", "a:1.6rc1", "a:dev-0.59", "a:3.12-slim", "a:v", "a:-"]
        {
            let version = ImageRef::parse(unversioned).ok().and_then(|image| image.version());
            assert_eq!(version, None, "{unversioned}");
        }
        let pinned = parse(&format!("a/b:0.59@sha256:{}", "0".repeat(64)));
        assert_eq!((pinned.repository(), pinned.tag()), ("a/b", Some("0.59")));
    }

    #[test]
    fn error_offset_is_offending_character() {
        let offset = |text: &str| ImageRef::parse(text).err().map(|error| error.offset);
        assert_eq!(offset("openhands:0.59 "), Some(14));
        assert_eq!(offset("docker.io/OpenHands:1"), Some(10));
        assert_eq!(offset("a//b"), Some(2));
        assert_eq!(offset("a:"), Some(2));
        assert_eq!(offset("https://a/b"), Some(5));
        assert_eq!(offset("a@sha256:12"), Some(11));
        assert_eq!(offset("a@md5:12"), Some(2));
        assert_eq!(offset(""), Some(0));
    }
}
