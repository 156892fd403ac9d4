//! The items of a list in an object. Pure.

use serde_json::Value;

/// Returns the items of a list; none of a field that is absent or no list.
pub fn items(list: &Value) -> impl Iterator<Item = &Value> {
    list.as_array().into_iter().flatten()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn absent_list_has_no_items() {
        let object = json!({ "a": [1, 2], "b": "text" });
        assert_eq!(["a", "b", "c"].map(|key| items(&object[key]).count()), [2, 0, 0]);
    }
}
