//! Selectors of one list item, by its keys or by its value, as the API server writes them in conflicts
//! (`PathElement.String` of structured-merge-diff).

use serde_json::{Map, Value};

/// The reason why a text is not a selector.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SelectorError {
    /// Byte offset of the offending character; the text's length if the text ends too early.
    pub offset: usize,
    /// The error message; lowercase, no full stop.
    pub message: &'static str,
}

impl SelectorError {
    const fn new(offset: usize, message: &'static str) -> Self {
        Self { offset, message }
    }

    const fn shifted(self, by: usize) -> Self {
        Self { offset: self.offset + by, ..self }
    }
}

/// A selector of one list item.
#[derive(Debug, Clone, PartialEq)]
pub enum ItemSelector {
    /// By its keys: `[name="http"]`, `[containerPort=80,protocol="TCP"]`.
    Keys(Map<String, Value>),
    /// By its value, for lists that are sets: `[="example.io/hold"]`.
    Value(Value),
}

impl ItemSelector {
    /// Reads the selector at the beginning of a text and returns it with the rest of the text.
    ///
    /// # Errors
    /// If the text does not begin with a selector.
    pub fn read(text: &str) -> Result<(Self, &str), SelectorError> {
        let at = |rest: &str| text.len() - rest.len();
        let mut rest = text.strip_prefix('[').ok_or_else(|| SelectorError::new(0, "`[` is expected here"))?;
        if let Some(after) = rest.strip_prefix('=') {
            let (value, after) = scalar(after).map_err(|error| error.shifted(at(after)))?;
            let after = after
                .strip_prefix(']')
                .ok_or_else(|| SelectorError::new(at(after), "`]` is expected here"))?;
            return Ok((Self::Value(value), after));
        }
        let mut keys = Map::new();
        loop {
            let end = rest.find(['=', ']', ',', '"']).unwrap_or(rest.len());
            let Some(after) = rest[end..].strip_prefix('=').filter(|_| end > 0) else {
                return Err(SelectorError::new(
                    at(rest),
                    "an item is named by its keys, as in [name=\"openhands\"]",
                ));
            };
            let (value, after) = scalar(after).map_err(|error| error.shifted(at(after)))?;
            keys.insert(rest[..end].to_owned(), value);
            rest = match (after.strip_prefix(','), after.strip_prefix(']')) {
                (Some(next), _) => next,
                (None, Some(after)) => return Ok((Self::Keys(keys), after)),
                (None, None) => return Err(SelectorError::new(at(after), "`,` or `]` is expected here")),
            };
        }
    }
}

/// Reads a quoted string, a number, `true` or `false`, and returns it with the rest of the text.
fn scalar(text: &str) -> Result<(Value, &str), SelectorError> {
    let end = match text.strip_prefix('"') {
        Some(inside) => match closing_quote(inside) {
            Some(at) => at + 2,
            None => return Err(SelectorError::new(text.len(), "a closing quote is expected here")),
        },
        None => text.find([',', ']']).unwrap_or(text.len()),
    };
    let (literal, rest) = text.split_at(end);
    match serde_json::from_str(literal) {
        Ok(value @ (Value::String(_) | Value::Number(_) | Value::Bool(_))) => Ok((value, rest)),
        Ok(_) | Err(_) => {
            Err(SelectorError::new(0, "a quoted string, a number, true or false is expected here"))
        }
    }
}

fn closing_quote(text: &str) -> Option<usize> {
    let mut escaped = false;
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => return Some(at),
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn read_returns_the_selector_and_the_rest() {
        let (keys, rest) = ItemSelector::read("[containerPort=80,protocol=\"TCP\"].name").unwrap();
        let expected = json!({ "containerPort": 80, "protocol": "TCP" });
        assert_eq!((keys, rest), (ItemSelector::Keys(expected.as_object().unwrap().clone()), ".name"));
        let (value, rest) = ItemSelector::read("[=\"a]\"]").unwrap();
        assert_eq!((value, rest), (ItemSelector::Value(json!("a]")), ""));
    }
}
