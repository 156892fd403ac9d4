//! Fields of objects, in the notation of the API server's conflicts of server-side apply
//! (`PathElement.String` of structured-merge-diff).

use super::error::FormatError;
use super::name::DnsName;
use super::newtype::formatted;
use crate::object::item_selector::ItemSelector;

/// A field of an object of the set: `deployment/openhands:spec.replicas`. The kind is lowercase and may carry its
/// group, as kubectl prints it: `deployment.apps/openhands:spec.replicas`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OwnedField {
    text: String,
    /// Byte offsets of the name and of the field.
    name: usize,
    field: usize,
}

impl OwnedField {
    /// Parses `kind/name:field`.
    pub fn parse(text: &str) -> Result<Self, FormatError> {
        let Some(slash) = text.find('/') else {
            return Err(FormatError::new(text.len(), EXPECTED));
        };
        kind(&text[..slash])?;
        let Some(colon) = text[slash..].find(':').map(|at| slash + at) else {
            return Err(FormatError::new(text.len(), EXPECTED));
        };
        DnsName::check(&text[slash + 1..colon]).map_err(|error| shift(error, slash + 1))?;
        path(&text[colon + 1..]).map_err(|error| shift(error, colon + 1))?;
        Ok(Self { text: text.to_owned(), name: slash + 1, field: colon + 1 })
    }

    /// The whole string.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The kind, such as `deployment`.
    #[must_use]
    pub fn kind(&self) -> &str {
        let kind = &self.text[..self.name - 1];
        kind.split_once('.').map_or(kind, |(kind, _)| kind)
    }

    /// The group, such as `apps`; None if it was left out.
    #[must_use]
    pub fn group(&self) -> Option<&str> {
        self.text[..self.name - 1].split_once('.').map(|(_, group)| group)
    }

    /// The name of the object.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.text[self.name..self.field - 1]
    }

    /// The field, such as `spec.replicas`.
    #[must_use]
    pub fn field(&self) -> &str {
        &self.text[self.field..]
    }
}

formatted!(OwnedField, "owned-field");

const EXPECTED: &str = "kind/name:field is expected, as in deployment/openhands:spec.replicas";

fn shift(error: FormatError, by: usize) -> FormatError {
    FormatError { offset: error.offset + by, ..error }
}

fn kind(text: &str) -> Result<(), FormatError> {
    let (kind, group) = text.split_once('.').map_or((text, None), |(kind, group)| (kind, Some(group)));
    if kind.is_empty() {
        return Err(FormatError::new(0, EXPECTED));
    }
    for (at, c) in kind.char_indices() {
        if c.is_ascii_uppercase() {
            let message = format!("uppercase `{c}` is not allowed: kinds are written as kubectl prints them");
            return Err(FormatError::new(at, message));
        }
        if !c.is_ascii_lowercase() {
            return Err(FormatError::new(
                at,
                format!("`{c}` is not allowed in a kind: lowercase letters only"),
            ));
        }
    }
    group.map_or(Ok(()), |group| DnsName::check(group).map_err(|error| shift(error, kind.len() + 1)))
}

/// Checks names separated by dots, with `[…]` after the name of a list. A name may itself contain dots, which only the
/// object can resolve, so the names are not checked further.
fn path(text: &str) -> Result<(), FormatError> {
    if text.starts_with('.') {
        return Err(FormatError::new(0, "the field is written without a leading dot"));
    }
    let mut rest = text;
    loop {
        let at = text.len() - rest.len();
        let end = rest.find(['.', '[']).unwrap_or(rest.len());
        let name = &rest[..end];
        if name.is_empty() {
            return Err(FormatError::new(at, "the name of a field is expected here"));
        }
        // Names of fields and keys of maps may contain any other character.
        if let Some((inside, c)) = name.char_indices().find(|(_, c)| c.is_whitespace() || c.is_control()) {
            return Err(FormatError::new(
                at + inside,
                format!("`{}` is not allowed in a name", c.escape_default()),
            ));
        }
        rest = &rest[end..];
        while rest.starts_with('[') {
            let at = text.len() - rest.len();
            let selector = ItemSelector::read(rest);
            rest = selector.map_err(|error| FormatError::new(at + error.offset, error.message))?.1;
        }
        match rest.strip_prefix('.') {
            Some(next) => rest = next,
            None if rest.is_empty() => return Ok(()),
            None => return Err(FormatError::new(text.len() - rest.len(), "`.` or `[` is expected here")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn splits_kind_group_name_and_field() {
        let field = OwnedField::parse("deployment.apps/openhands:spec.replicas").unwrap();
        assert_eq!((field.kind(), field.group()), ("deployment", Some("apps")));
        assert_eq!((field.name(), field.field()), ("openhands", "spec.replicas"));
        let field = OwnedField::parse("service/a.b:spec.ports[port=80,protocol=\"TCP\"].name").unwrap();
        assert_eq!((field.kind(), field.group(), field.name()), ("service", None, "a.b"));
        assert_eq!(field.field(), "spec.ports[port=80,protocol=\"TCP\"].name");
    }

    #[test]
    fn error_offset_is_offending_character() {
        let offset = |text: &str| OwnedField::parse(text).err().map(|error| error.offset);
        for valid in [
            "service/a:metadata.labels.app.kubernetes.io/name",
            "service/a:metadata.finalizers[=\"x.io/hold\"]",
            "deployment/a:spec.template.spec.containers[name=\"a\"].env[name=\"B]\\\".c\"].value",
        ] {
            assert_eq!(offset(valid), None, "{valid}");
        }
        for (invalid, at) in [
            ("", 0),
            ("deployment", 10),
            ("deployment/a", 12),
            ("/a:b", 0),
            ("Deployment/a:b", 0),
            ("deploy-ment/a:b", 6),
            ("deployment.Apps/a:b", 11),
            ("deployment/A:b", 11),
            ("deployment/:b", 11),
            ("deployment/a:", 13),
            ("deployment/a:.spec", 13),
            ("deployment/a:spec..b", 18),
            ("deployment/a:spec.", 18),
            ("deployment/a:spec b", 17),
            ("deployment/a:c[0]", 15),
            ("deployment/a:c[]", 15),
            ("deployment/a:c[name=a]", 20),
            ("deployment/a:c[name=\"a]", 23),
            ("deployment/a:c[name=\"a\"", 23),
            ("deployment/a:c[name=\"a\"]d", 24),
        ] {
            assert_eq!(offset(invalid), Some(at), "{invalid}");
        }
    }
}
