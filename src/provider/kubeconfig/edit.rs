//! Edits the text of a kubeconfig. The entries are inserted and cut out as lines, so that comments, order and quoting of
//! the rest stay; the result is parsed and compared with the same change made to the values. Where the two differ (a file
//! in flow style, anchors) the values are written out anew instead, as kubectl always does.

use serde_json::{Map, Value, json};

/// The name of the extension that marks what handsctl wrote.
const MARK: &str = "handsctl.dev";
/// The lists of a kubeconfig, and what their items carry.
const LISTS: [(&str, &str); 3] = [("clusters", "cluster"), ("contexts", "context"), ("users", "user")];

/// A cluster, its context and its user, all of one name. The certificates and the key are in base64.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in super::super) struct ContextEntry {
    pub(in super::super) name: String,
    /// What made the cluster; it stands in the mark.
    pub(super) provider: &'static str,
    pub(super) server: String,
    pub(super) certificate_authority: String,
    pub(super) client_certificate: String,
    pub(super) client_key: String,
}

/// Whose a context is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) enum ContextOwner {
    /// There is none of this name.
    Nobody,
    /// handsctl wrote it.
    Ours,
    /// Somebody else wrote it.
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

/// The values of a kubeconfig; an empty text has none.
pub(super) fn parse(text: &str) -> Result<Value, String> {
    if text.trim().is_empty() {
        return Ok(json!({}));
    }
    match serde_saphyr::from_str(text).map_err(|error| error.to_string())? {
        Value::Null => Ok(json!({})),
        value @ Value::Object(_) => Ok(value),
        _ => Err("it is not a mapping".to_owned()),
    }
}

/// Whose the context of this name is. A cluster or user of the name without a context counts too: it would be replaced.
pub(super) fn owner(config: &Value, name: &str) -> ContextOwner {
    let marked = |inner: &Value| {
        let extensions = inner["extensions"].as_array().into_iter().flatten();
        extensions.into_iter().any(|extension| extension["name"] == MARK)
    };
    let found = LISTS.map(|(list, inner)| find(config, list, name).map(|item| marked(&item[inner])));
    match found {
        [None, None, None] => ContextOwner::Nobody,
        // The user carries no mark of its own: it goes with the others.
        [Some(true) | None, Some(true), _] | [Some(true), None, _] => ContextOwner::Ours,
        _ => ContextOwner::Foreign,
    }
}

/// Whether everything of the entry is there as it would be written.
pub(super) fn has(config: &Value, entry: &ContextEntry) -> bool {
    LISTS.iter().all(|(list, _)| find(config, list, &entry.name) == Some(&entry.item(list)))
}

/// The current context, where one is set.
pub(super) fn current(config: &Value) -> Option<&str> {
    config["current-context"].as_str().filter(|name| !name.is_empty())
}

/// Whether it names nothing.
pub(super) fn is_empty(config: &Value) -> bool {
    let no_items = LISTS.iter().all(|(list, _)| config[*list].as_array().is_none_or(Vec::is_empty));
    no_items && current(config).is_none()
}

/// The text with the entry in it, in place of one of the same name.
pub(super) fn merged(text: &str, entry: &ContextEntry, make_current: bool) -> Result<String, String> {
    let mut wanted = parse(text)?;
    remove_items(&mut wanted, &entry.name);
    for (list, _) in LISTS {
        items(&mut wanted, list)?.push(entry.item(list));
    }
    set_default(&mut wanted, "apiVersion", "v1");
    set_default(&mut wanted, "kind", "Config");
    if make_current {
        wanted["current-context"] = json!(entry.name);
    }

    let mut lines = Lines::new(text);
    lines.cut(&entry.name);
    for (list, _) in LISTS {
        lines.add(list, &written(&json!([entry.item(list)]))?);
    }
    lines.set_default("apiVersion", "v1");
    lines.set_default("kind", "Config");
    if make_current {
        lines.set("current-context", &entry.name);
    }
    agreed(lines, &wanted)
}

/// The text without the entries of this name; the current context is cleared if it is the one that goes.
pub(super) fn removed(text: &str, name: &str) -> Result<String, String> {
    let mut wanted = parse(text)?;
    remove_items(&mut wanted, name);
    let was_current = current(&wanted) == Some(name);
    if was_current {
        wanted["current-context"] = json!("");
    }
    let mut lines = Lines::new(text);
    lines.cut(name);
    if was_current {
        lines.set("current-context", "\"\"");
    }
    agreed(lines, &wanted)
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

fn written(value: &Value) -> Result<String, String> {
    serde_saphyr::to_string_with_options(value, options()).map_err(|error| error.to_string())
}

/// As kubectl writes: lists are not indented below their key.
fn options() -> serde_saphyr::SerializerOptions {
    let mut options = serde_saphyr::SerializerOptions::default();
    options.compact_list_indent = true;
    options.prefer_block_scalars = false;
    options
}

/// The edited text where it says what is wanted, else the values written anew.
fn agreed(lines: Lines, wanted: &Value) -> Result<String, String> {
    let text = lines.text();
    if parse(&text).is_ok_and(|edited| without_nulls(&edited) == without_nulls(wanted)) {
        return Ok(text);
    }
    written(wanted)
}

/// `users: null` and `users: []` mean the same, and so does no `users` at all.
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

    /// The line of a key of the top level.
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

    /// The lines of a list's items: after its key, up to the next key of the top level.
    fn block(&self, list: &str) -> Option<std::ops::Range<usize>> {
        let start = self.key(list)? + 1;
        let is_item = |line: &String| line.is_empty() || line.starts_with([' ', '-', '#', '\t']);
        let mut end =
            self.0[start..].iter().position(|line| !is_item(line)).map_or(self.0.len(), |len| start + len);
        // What stands between two keys belongs to the second one.
        while end > start && (self.0[end - 1].trim().is_empty() || self.0[end - 1].starts_with('#')) {
            end -= 1;
        }
        Some(start..end)
    }

    /// How far the dashes of a list are indented.
    fn indent(&self, block: &std::ops::Range<usize>) -> usize {
        let first = self.0[block.clone()].iter().find(|line| line.trim_start().starts_with('-'));
        first.map_or(0, |line| line.len() - line.trim_start().len())
    }

    /// Appends a list's item, given as a list of one.
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

    /// Cuts out the items of this name.
    fn cut(&mut self, name: &str) {
        for (list, _) in LISTS {
            let Some(block) = self.block(list) else { continue };
            let dash = format!("{}-", " ".repeat(self.indent(&block)));
            let starts: Vec<usize> = block.clone().filter(|at| self.0[*at].starts_with(&dash)).collect();
            for (index, start) in starts.iter().enumerate().rev() {
                let end = starts.get(index + 1).copied().unwrap_or(block.end);
                if self.named(*start..end, dash.len() + 1) == Some(name) {
                    self.0.drain(*start..end);
                }
            }
            if self.block(list).is_some_and(|block| block.is_empty()) && !starts.is_empty() {
                self.set(list, "[]");
            }
        }
    }

    /// The item's own `name`, at this indentation.
    fn named(&self, item: std::ops::Range<usize>, indent: usize) -> Option<&str> {
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

    /// As kubectl writes one, and as a person does.
    const FILES: [&str; 3] = [
        "apiVersion: v1\nclusters:\n- cluster:\n    server: https://prod\n  name: prod\ncontexts:\n- context:\n    cluster: prod\n    user: me\n  name: prod\ncurrent-context: prod\nkind: Config\nusers:\n- name: me\n  user:\n    token: abc\n",
        "# mine\nkind: Config\napiVersion: v1\npreferences: {colors: true}\n\nclusters:\n  # the only one\n  - name: \"prod\"\n    cluster: {server: 'https://prod'}\n\n# who I am\nusers:\n  - name: me\n    user:\n      exec:\n        command: login\n        args:\n        - name: kwok-x\ncontexts:\n  - name: prod\n    context: {cluster: prod, user: me, namespace: \"no\"}\ncurrent-context: 'prod'  # careful\nx-own: on\n",
        "apiVersion: v1\nkind: Config\nclusters:\n-   name: prod\n    cluster:\n        server: https://prod\ncontexts:\n-   name: prod\n    context:\n        cluster: prod\n        user: me\nusers:\n-   name: me\n    user: {}\ncurrent-context: prod\n",
    ];

    #[test]
    fn what_was_there_stays_to_the_byte() {
        for text in FILES {
            let with = merged(text, &entry("kwok-x"), false).unwrap();
            assert!(has(&parse(&with).unwrap(), &entry("kwok-x")), "{with}");
            for line in text.lines() {
                assert!(with.lines().any(|it| it == line), "{line:?} is lost in\n{with}");
            }
            assert_eq!(removed(&with, "kwok-x").unwrap(), text);
        }
    }

    #[test]
    fn two_clusters_come_and_go_in_any_order() {
        for text in FILES {
            let one = merged(text, &entry("kwok-a"), false).unwrap();
            let two = merged(&one, &entry("kwok-b"), false).unwrap();
            assert!(has(&parse(&two).unwrap(), &entry("kwok-a")));
            assert_eq!(removed(&removed(&two, "kwok-a").unwrap(), "kwok-b").unwrap(), text);
        }
    }

    #[test]
    fn merging_again_changes_nothing_and_another_server_replaces() {
        let once = merged("", &entry("kwok-x"), true).unwrap();
        assert_eq!(merged(&once, &entry("kwok-x"), true).unwrap(), once);
        let moved = ContextEntry { server: "https://127.0.0.1:20001".into(), ..entry("kwok-x") };
        let twice = merged(&once, &moved, false).unwrap();
        assert!(has(&parse(&twice).unwrap(), &moved));
        assert_eq!(parse(&twice).unwrap()["clusters"].as_array().unwrap().len(), 1);
    }

    #[test]
    fn a_new_file_is_a_whole_kubeconfig_and_is_empty_again() {
        let text = merged("", &entry("kwok-x"), true).unwrap();
        let config = parse(&text).unwrap();
        assert_eq!((config["kind"].as_str(), current(&config)), (Some("Config"), Some("kwok-x")));
        assert_eq!(owner(&config, "kwok-x"), ContextOwner::Ours);
        let after = parse(&removed(&text, "kwok-x").unwrap()).unwrap();
        assert!(is_empty(&after));
        assert_eq!(owner(&after, "kwok-x"), ContextOwner::Nobody);
    }

    #[test]
    fn files_that_lines_cannot_describe_are_written_anew() {
        for text in [
            r#"{"apiVersion":"v1","kind":"Config","clusters":[{"name":"prod","cluster":{"server":"https://prod"}}],"contexts":[],"users":null,"x":{"y":"no"}}"#,
            "clusters: [{name: prod, cluster: {server: https://prod}}]\nkind: Config\n",
            "apiVersion: v1\nclusters: null\ncontexts: []\nusers: {}\n",
        ] {
            match merged(text, &entry("kwok-x"), true) {
                Ok(with) => {
                    let config = parse(&with).unwrap();
                    assert!(has(&config, &entry("kwok-x")), "{with}");
                    let before = parse(text).unwrap();
                    assert_eq!(config["x"], before["x"]);
                    let kept = find(&before, "clusters", "prod");
                    assert_eq!(find(&config, "clusters", "prod"), kept, "{with}");
                }
                Err(why) => assert_eq!(why, "users is not a list"),
            }
        }
        assert!(merged("- a list\n", &entry("kwok-x"), true).is_err());
        assert!(merged("a: [", &entry("kwok-x"), true).is_err());
    }

    #[test]
    fn a_context_without_our_mark_is_foreign() {
        let theirs = "clusters:\n- name: kwok-x\n  cluster: {server: https://y}\ncontexts:\n- name: kwok-x\n  context: {cluster: kwok-x, user: kwok-x}\n";
        assert_eq!(owner(&parse(theirs).unwrap(), "kwok-x"), ContextOwner::Foreign);
        let user = "users:\n- name: kwok-x\n  user: {token: t}\n";
        assert_eq!(owner(&parse(user).unwrap(), "kwok-x"), ContextOwner::Foreign);
        assert_eq!(owner(&json!({}), "kwok-x"), ContextOwner::Nobody);
    }

    #[test]
    fn the_current_context_is_cleared_only_if_it_goes() {
        let with = merged(FILES[0], &entry("kwok-x"), false).unwrap();
        assert_eq!(current(&parse(&removed(&with, "kwok-x").unwrap()).unwrap()), Some("prod"));
        let current_ours = merged("", &entry("kwok-x"), true).unwrap();
        assert_eq!(current(&parse(&removed(&current_ours, "kwok-x").unwrap()).unwrap()), None);
    }
}
