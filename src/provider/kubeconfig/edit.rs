//! Edits the text of a kubeconfig. Entries are inserted and removed as lines, so that the comments, order and quoting
//! of the other lines stay. The result is parsed and compared with the same change to the parsed values. Where the two
//! differ (a file in flow style, anchors), the values are serialized instead, as kubectl always does.

use serde_json::{Map, Value, json};

use crate::object::yaml;

/// Name of the extension that marks the entries of handsctl.
const MARK: &str = "handsctl.dev";
/// The lists of a kubeconfig, and the key of their items' content.
const LISTS: [(&str, &str); 3] = [("clusters", "cluster"), ("contexts", "context"), ("users", "user")];

/// A cluster, its context and its user, all with the same name. The certificates and the key are in base64.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in super::super) struct ContextEntry {
    pub(in super::super) name: String,
    /// Name of the cluster's provider, stored in the mark.
    pub(super) provider: &'static str,
    pub(super) server: String,
    pub(super) certificate_authority: String,
    pub(super) client_certificate: String,
    pub(super) client_key: String,
}

/// Who wrote a context.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) enum ContextOwner {
    /// There is no context with this name.
    Nobody,
    /// handsctl wrote it.
    Ours,
    /// Another program or a user wrote it.
    Foreign,
}

impl ContextEntry {
    fn item(&self, list: &str) -> Value {
        let mark = json!([{"name": MARK, "extension": {"provider": self.provider}}]);
        match list {
            "clusters" => json!({"name": self.name, "cluster": {
                "certificate-authority-data": self.certificate_authority,
                "extensions": mark,
                "server": self.server,
            }}),
            "contexts" => json!({"name": self.name, "context": {
                "cluster": self.name,
                "extensions": mark,
                "user": self.name,
            }}),
            _ => json!({"name": self.name, "user": {
                "client-certificate-data": self.client_certificate,
                "client-key-data": self.client_key,
            }}),
        }
    }
}

/// Parses a kubeconfig; an empty text is an empty mapping.
pub(super) fn parse(text: &str) -> Result<Value, String> {
    if text.trim().is_empty() {
        return Ok(json!({}));
    }
    match serde_saphyr::from_str(text).map_err(|error| yaml::reason(&error))? {
        Value::Null => Ok(json!({})),
        value @ Value::Object(_) => Ok(value),
        _ => Err("it is not a mapping".to_owned()),
    }
}

/// Returns the owner of the context with this name. A cluster or user with the name but without a context counts, too:
/// a merge would replace it.
pub(super) fn owner(config: &Value, name: &str) -> ContextOwner {
    let marked = |inner: &Value| {
        let extensions = inner["extensions"].as_array().into_iter().flatten();
        extensions.into_iter().any(|extension| extension["name"] == MARK)
    };
    let marks = LISTS.map(|(list, inner)| find(config, list, name).map(|item| marked(&item[inner])));
    match marks {
        [None, None, None] => ContextOwner::Nobody,
        // The user has no mark of its own: it belongs to the marked cluster or context.
        [Some(true) | None, Some(true), _] | [Some(true), None, _] => ContextOwner::Ours,
        _ => ContextOwner::Foreign,
    }
}

/// Whether the context of the entry's name leads to the entry's cluster, whoever wrote it: `kind export kubeconfig`
/// replaces our entry with one of the same cluster.
pub(super) fn leads_to_cluster(config: &Value, entry: &ContextEntry) -> bool {
    let context = find(config, "contexts", &entry.name);
    let cluster = context.and_then(|context| context["context"]["cluster"].as_str());
    let Some(cluster) = cluster.and_then(|name| find(config, "clusters", name)) else { return false };
    let cluster = &cluster["cluster"];
    cluster["server"] == entry.server && cluster["certificate-authority-data"] == entry.certificate_authority
}

/// Whether the kubeconfig contains the complete entry as [`merged`] would write it.
pub(super) fn contains(config: &Value, entry: &ContextEntry) -> bool {
    LISTS.iter().all(|(list, _)| find(config, list, &entry.name) == Some(&entry.item(list)))
}

/// Returns the current context, if one is set.
pub(super) fn current(config: &Value) -> Option<&str> {
    config["current-context"].as_str().filter(|name| !name.is_empty())
}

/// Whether the kubeconfig has no cluster, context, user or current context.
pub(super) fn is_empty(config: &Value) -> bool {
    let no_items = LISTS.iter().all(|(list, _)| config[*list].as_array().is_none_or(Vec::is_empty));
    no_items && current(config).is_none()
}

/// Returns the text with the entry added; an entry of the same name is replaced.
pub(super) fn merged(text: &str, entry: &ContextEntry, make_current: bool) -> Result<String, String> {
    let mut expected = parse(text)?;
    remove_items(&mut expected, &entry.name);
    for (list, _) in LISTS {
        items(&mut expected, list)?.push(entry.item(list));
    }
    set_default(&mut expected, "apiVersion", "v1");
    set_default(&mut expected, "kind", "Config");
    if make_current {
        expected["current-context"] = json!(entry.name);
    }

    let mut lines = Lines::new(text);
    lines.remove(&entry.name);
    for (list, _) in LISTS {
        lines.add(list, &to_yaml(&json!([entry.item(list)]))?);
    }
    lines.set_default("apiVersion", "v1");
    lines.set_default("kind", "Config");
    if make_current {
        lines.set("current-context", &entry.name);
    }
    verified_text(lines, &expected)
}

/// Returns the text without the entries of this name. Clears the current context if it has this name.
pub(super) fn removed(text: &str, name: &str) -> Result<String, String> {
    let mut expected = parse(text)?;
    remove_items(&mut expected, name);
    let was_current = current(&expected) == Some(name);
    if was_current {
        expected["current-context"] = json!("");
    }
    let mut lines = Lines::new(text);
    lines.remove(name);
    if was_current {
        lines.set("current-context", "\"\"");
    }
    verified_text(lines, &expected)
}

fn find<'a>(config: &'a Value, list: &str, name: &str) -> Option<&'a Value> {
    config[list].as_array()?.iter().find(|item| item["name"] == name)
}

fn remove_items(config: &mut Value, name: &str) {
    for (list, _) in LISTS {
        if let Some(items) = config.get_mut(list).and_then(Value::as_array_mut) {
            items.retain(|item| item["name"] != name);
        }
    }
}

fn items<'a>(config: &'a mut Value, list: &str) -> Result<&'a mut Vec<Value>, String> {
    if config[list].is_null() {
        config[list] = json!([]);
    }
    config[list].as_array_mut().ok_or_else(|| format!("{list} is not a list"))
}

fn set_default(config: &mut Value, key: &str, value: &str) {
    if config[key].is_null() {
        config[key] = json!(value);
    }
}

fn to_yaml(value: &Value) -> Result<String, String> {
    serde_saphyr::to_string_with_options(value, options()).map_err(|error| error.to_string())
}

/// Serializes like kubectl: lists are not indented below their key.
fn options() -> serde_saphyr::SerializerOptions {
    let mut options = serde_saphyr::SerializerOptions::default();
    options.compact_list_indent = true;
    options.prefer_block_scalars = false;
    options
}

/// Returns the edited text if it parses to the expected values, else serializes those values.
fn verified_text(lines: Lines, expected: &Value) -> Result<String, String> {
    let text = lines.text();
    if parse(&text).is_ok_and(|parsed| without_nulls(&parsed) == without_nulls(expected)) {
        return Ok(text);
    }
    to_yaml(expected)
}

/// Removes empty values: `users: null`, `users: []` and no `users` at all are equivalent.
fn without_nulls(config: &Value) -> Value {
    let empty =
        |value: &Value| value.is_null() || value.as_array().is_some_and(Vec::is_empty) || *value == "";
    let kept = config.as_object().into_iter().flatten().filter(|(_, value)| !empty(value));
    Value::Object(kept.map(|(key, value)| (key.clone(), value.clone())).collect::<Map<_, _>>())
}

/// The lines of a kubeconfig in block style.
struct Lines(Vec<String>);

impl Lines {
    fn new(text: &str) -> Self {
        Self(text.lines().map(str::to_owned).collect())
    }

    fn text(self) -> String {
        let mut text = self.0.join("\n");
        if !text.is_empty() {
            text.push('\n');
        }
        text
    }

    /// Returns the line of a top-level key.
    fn key(&self, key: &str) -> Option<usize> {
        self.0.iter().position(|line| line.strip_prefix(key).is_some_and(|rest| rest.starts_with(':')))
    }

    fn set(&mut self, key: &str, value: &str) {
        let line = format!("{key}: {value}");
        match self.key(key) {
            Some(at) => self.0[at] = line,
            None => self.0.push(line),
        }
    }

    fn set_default(&mut self, key: &str, value: &str) {
        if self.key(key).is_none() {
            self.set(key, value);
        }
    }

    /// Returns the lines of a list's items: after its key, up to the next top-level key.
    fn block(&self, list: &str) -> Option<std::ops::Range<usize>> {
        let start = self.key(list)? + 1;
        let is_item = |line: &String| line.is_empty() || line.starts_with([' ', '-', '#', '\t']);
        let mut end =
            self.0[start..].iter().position(|line| !is_item(line)).map_or(self.0.len(), |len| start + len);
        // Comments and blank lines between two keys belong to the second one.
        while end > start && (self.0[end - 1].trim().is_empty() || self.0[end - 1].starts_with('#')) {
            end -= 1;
        }
        Some(start..end)
    }

    /// Returns the indentation of a list's dashes.
    fn indent(&self, block: &std::ops::Range<usize>) -> usize {
        let first = self.0[block.clone()].iter().find(|line| line.trim_start().starts_with('-'));
        first.map_or(0, |line| line.len() - line.trim_start().len())
    }

    /// Appends an item to a list. `item` is the YAML of a list with this one item.
    fn add(&mut self, list: &str, item: &str) {
        let block = self.block(list).unwrap_or_else(|| {
            self.0.push(format!("{list}:"));
            self.0.len()..self.0.len()
        });
        if block.is_empty() {
            // `clusters: []` or `clusters: null`.
            self.0[block.start - 1] = format!("{list}:");
        }
        let indent = " ".repeat(self.indent(&block));
        let item = item.lines().map(|line| format!("{indent}{line}"));
        self.0.splice(block.end..block.end, item);
    }

    /// Removes the items of this name.
    fn remove(&mut self, name: &str) {
        for (list, _) in LISTS {
            let Some(block) = self.block(list) else { continue };
            let dash = format!("{}-", " ".repeat(self.indent(&block)));
            let starts: Vec<usize> = block.clone().filter(|at| self.0[*at].starts_with(&dash)).collect();
            for (index, start) in starts.iter().enumerate().rev() {
                let end = starts.get(index + 1).copied().unwrap_or(block.end);
                if self.item_name(*start..end, dash.len() + 1) == Some(name) {
                    self.0.drain(*start..end);
                }
            }
            if self.block(list).is_some_and(|block| block.is_empty()) && !starts.is_empty() {
                self.set(list, "[]");
            }
        }
    }

    /// Returns the item's own `name`, which has this indentation; nested names are indented further.
    fn item_name(&self, item: std::ops::Range<usize>, indent: usize) -> Option<&str> {
        let name = self.0[item].iter().find_map(|line| line.get(indent..)?.strip_prefix("name:"))?;
        Some(name.trim().trim_matches(['"', '\'']))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(name: &str) -> ContextEntry {
        ContextEntry {
            name: name.into(),
            provider: "kwok",
            server: "https://127.0.0.1:20000".into(),
            certificate_authority: "Q0E=".into(),
            client_certificate: "Q0VSVA==".into(),
            client_key: "S0VZ".into(),
        }
    }

    /// Kubeconfigs as kubectl and as people write them.
    const FILES: [&str; 3] = [
        "apiVersion: v1\nclusters:\n- cluster:\n    server: https://prod\n  name: prod\ncontexts:\n- context:\n    cluster: prod\n    user: me\n  name: prod\ncurrent-context: prod\nkind: Config\nusers:\n- name: me\n  user:\n    token: abc\n",
        "# mine\nkind: Config\napiVersion: v1\npreferences: {colors: true}\n\nclusters:\n  # the only one\n  - name: \"prod\"\n    cluster: {server: 'https://prod'}\n\n# who I am\nusers:\n  - name: me\n    user:\n      exec:\n        command: login\n        args:\n        - name: kwok-x\ncontexts:\n  - name: prod\n    context: {cluster: prod, user: me, namespace: \"no\"}\ncurrent-context: 'prod'  # careful\nx-own: on\n",
        "apiVersion: v1\nkind: Config\nclusters:\n-   name: prod\n    cluster:\n        server: https://prod\ncontexts:\n-   name: prod\n    context:\n        cluster: prod\n        user: me\nusers:\n-   name: me\n    user: {}\ncurrent-context: prod\n",
    ];

    #[test]
    fn merge_and_remove_restore_the_original_text() {
        for text in FILES {
            let edited = merged(text, &entry("kwok-x"), false).unwrap();
            assert!(contains(&parse(&edited).unwrap(), &entry("kwok-x")), "{edited}");
            for line in text.lines() {
                assert!(edited.lines().any(|it| it == line), "{line:?} is lost in\n{edited}");
            }
            assert_eq!(removed(&edited, "kwok-x").unwrap(), text);
        }
    }

    #[test]
    fn two_clusters_are_removed_in_any_order() {
        for text in FILES {
            let one = merged(text, &entry("kwok-a"), false).unwrap();
            let two = merged(&one, &entry("kwok-b"), false).unwrap();
            assert!(contains(&parse(&two).unwrap(), &entry("kwok-a")));
            assert_eq!(removed(&removed(&two, "kwok-a").unwrap(), "kwok-b").unwrap(), text);
        }
    }

    #[test]
    fn merge_is_idempotent_and_replaces_a_changed_server() {
        let once = merged("", &entry("kwok-x"), true).unwrap();
        assert_eq!(merged(&once, &entry("kwok-x"), true).unwrap(), once);
        let with_other_server = ContextEntry { server: "https://127.0.0.1:20001".into(), ..entry("kwok-x") };
        let twice = merged(&once, &with_other_server, false).unwrap();
        assert!(contains(&parse(&twice).unwrap(), &with_other_server));
        assert_eq!(parse(&twice).unwrap()["clusters"].as_array().unwrap().len(), 1);
    }

    #[test]
    fn new_file_is_complete_and_empty_after_removal() {
        let text = merged("", &entry("kwok-x"), true).unwrap();
        let config = parse(&text).unwrap();
        assert_eq!((config["kind"].as_str(), current(&config)), (Some("Config"), Some("kwok-x")));
        assert_eq!(owner(&config, "kwok-x"), ContextOwner::Ours);
        let after = parse(&removed(&text, "kwok-x").unwrap()).unwrap();
        assert!(is_empty(&after));
        assert_eq!(owner(&after, "kwok-x"), ContextOwner::Nobody);
    }

    #[test]
    fn files_that_line_edits_cannot_change_are_rewritten() {
        for text in [
            r#"{"apiVersion":"v1","kind":"Config","clusters":[{"name":"prod","cluster":{"server":"https://prod"}}],"contexts":[],"users":null,"x":{"y":"no"}}"#,
            "clusters: [{name: prod, cluster: {server: https://prod}}]\nkind: Config\n",
            "apiVersion: v1\nclusters: null\ncontexts: []\nusers: {}\n",
        ] {
            match merged(text, &entry("kwok-x"), true) {
                Ok(edited) => {
                    let config = parse(&edited).unwrap();
                    assert!(contains(&config, &entry("kwok-x")), "{edited}");
                    let before = parse(text).unwrap();
                    assert_eq!(config["x"], before["x"]);
                    let original = find(&before, "clusters", "prod");
                    assert_eq!(find(&config, "clusters", "prod"), original, "{edited}");
                }
                Err(why) => assert_eq!(why, "users is not a list"),
            }
        }
        assert!(merged("- a list\n", &entry("kwok-x"), true).is_err());
        assert!(merged("a: [", &entry("kwok-x"), true).is_err());
    }

    #[test]
    fn context_without_our_mark_is_foreign() {
        let theirs = "clusters:\n- name: kwok-x\n  cluster: {server: https://y}\ncontexts:\n- name: kwok-x\n  context: {cluster: kwok-x, user: kwok-x}\n";
        assert_eq!(owner(&parse(theirs).unwrap(), "kwok-x"), ContextOwner::Foreign);
        let user = "users:\n- name: kwok-x\n  user: {token: t}\n";
        assert_eq!(owner(&parse(user).unwrap(), "kwok-x"), ContextOwner::Foreign);
        assert_eq!(owner(&json!({}), "kwok-x"), ContextOwner::Nobody);
    }

    #[test]
    fn context_of_the_same_cluster_leads_to_it() {
        let exported = |server: &str, authority: &str| {
            let text = merged("", &entry("kwok-x"), true).unwrap();
            let text = text.replace("https://127.0.0.1:20000", server).replace("Q0E=", authority);
            parse(&text.replace(MARK, "example.com")).unwrap()
        };
        let same = exported("https://127.0.0.1:20000", "Q0E=");
        assert_eq!(owner(&same, "kwok-x"), ContextOwner::Foreign);
        assert!(leads_to_cluster(&same, &entry("kwok-x")));
        for other in [
            exported("https://127.0.0.1:20001", "Q0E="),
            exported("https://127.0.0.1:20000", "T1RIRVI="),
            json!({ "users": [{ "name": "kwok-x", "user": {} }] }),
        ] {
            assert!(!leads_to_cluster(&other, &entry("kwok-x")), "{other}");
        }
    }

    #[test]
    fn current_context_is_cleared_only_with_its_entry() {
        let edited = merged(FILES[0], &entry("kwok-x"), false).unwrap();
        assert_eq!(current(&parse(&removed(&edited, "kwok-x").unwrap()).unwrap()), Some("prod"));
        let current_ours = merged("", &entry("kwok-x"), true).unwrap();
        assert_eq!(current(&parse(&removed(&current_ours, "kwok-x").unwrap()).unwrap()), None);
    }
}
