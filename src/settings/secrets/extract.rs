//! Moves secrets out of the tree: each becomes an environment variable of the application under the name that OpenHands
//! reads (`UPPER(prefix + field)`).

use std::collections::BTreeMap;

use super::value::{Redacted, Reference};
use crate::catalogue::Id;
use crate::diagnostic::{Diagnostic, Severity};
use crate::object::assignment;
use crate::object::secret_name::is_sensitive;
use crate::settings::edition::Configuration;
use crate::settings::load::check::is_visible;
use crate::settings::load::schema::{Shape, TableShape};
use crate::settings::load::toml_key::dotted;
use crate::settings::load::toml_writer;
use crate::settings::load::tree::{Data, KeyPosition, Node, Table, TreeEntry};

/// How the application receives a secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    Variable,
    File,
    /// The key itself, in a config.toml that is part of the set's Secret: no variable reaches it.
    Key,
}

/// A secret of the tree, and the variable or file that it becomes.
#[derive(Debug)]
pub(crate) struct FoundSecret {
    /// Name of the variable or the file, or the dotted key.
    pub variable: String,
    pub path: Vec<String>,
    pub form: Form,
    pub value: FoundValue,
    pub position: KeyPosition,
}

/// The secret itself, or a reference to it.
#[derive(Debug)]
pub(crate) enum FoundValue {
    Literal(Redacted),
    Reference(Reference),
    /// A list or table that contains references and becomes one Python literal.
    Composed(Node),
}

/// The extracted secrets and variables.
#[derive(Debug, Default)]
pub(crate) struct Extracted {
    pub secrets: Vec<FoundSecret>,
    /// The variables of `[deploy].env` that are not secrets.
    pub plain: BTreeMap<String, String>,
    pub diagnostics: Vec<Diagnostic>,
}

/// Moves every secret out of `tree`; `Data::Secret` replaces a literal. `configuration`: how the application gets them.
pub(crate) fn extract(schema: &TableShape, tree: &mut Table, configuration: Configuration) -> Extracted {
    let mut extractor = SecretExtractor { path: Vec::new(), extracted: Extracted::default(), configuration };
    for (name, entry) in tree.iter_mut() {
        if let (Some(Shape::Table(shape)), Data::Table(table)) = (schema.inner(name), &mut entry.node.data) {
            extractor.path = vec![name.clone()];
            if name == "deploy" {
                extractor.deploy_env(table);
                extractor.handsctl_table(shape, table);
            } else {
                extractor.table(shape, table);
            }
        }
    }
    extractor.refuse_duplicates();
    extractor.extracted
}

struct SecretExtractor {
    path: Vec<String>,
    extracted: Extracted,
    configuration: Configuration,
}

impl SecretExtractor {
    fn table(&mut self, shape: &TableShape, table: &mut Table) {
        for (name, entry) in table.iter_mut() {
            self.path.push(name.clone());
            let typed = shape.keys.get(name).map(|key| &key.shape);
            match (typed, shape.inner(name)) {
                (Some(Shape::Reference { secret: true }), _) => self.secret_key(entry),
                (None, Some(Shape::Table(inner))) => {
                    if let Data::Table(named) = &mut entry.node.data {
                        self.table(inner, named);
                    }
                }
                (Some(_), _) if has_secret(&entry.node) => self.warn_of_text(entry),
                _ if holds_secret(name, typed.is_none(), self.accepted_references(), &entry.node) => {
                    self.container(entry);
                }
                _ => {}
            }
            self.path.pop();
        }
    }

    fn secret_key(&mut self, entry: &mut TreeEntry) {
        // An empty text is no secret; the key is left out of the application's file.
        if entry.node.data.as_text() == Some("") {
            return;
        }
        let Some(variable) = variable(&self.path) else {
            if self.configuration == Configuration::File && names_secret_of_cluster(&entry.node) {
                return self.report_unreachable(&entry.node.position);
            }
            return self.extract_as(Form::Key, dotted(&self.path), &mut entry.node);
        };
        self.extract(variable, &mut entry.node);
    }

    /// Reports a secret that is only in config.toml, where the application cannot read a Secret.
    fn report_unreachable(&mut self, position: &KeyPosition) {
        let name = dotted(&self.path);
        let message = format!("`{name}` cannot be a Secret of the cluster: no variable reaches it");
        let label =
            "handsctl writes config.toml into a Secret: use { env = \"NAME\" } or { file = \"path\" }";
        self.report(Id::SecretUnavailable, Severity::Error, message, position, label.to_owned());
    }

    /// Returns where a table with the keys of a reference is one, although the schema does not type the value.
    fn accepted_references(&self) -> References {
        match self.path.first().map(String::as_str) {
            Some("mcp" | "sandbox") => References::All,
            _ => References::UnderSensitiveNames,
        }
    }

    /// Moves a list or table that the application also reads from one variable, as a Python literal.
    fn container(&mut self, entry: &mut TreeEntry) {
        if let Some((name, position, reason)) = wrong_literal("", &entry.node) {
            let message = format!("cannot use the secret {name} of `{}`", dotted(&self.path));
            self.report(Id::SecretUnavailable, Severity::Error, message, &position, reason);
            entry.node.data = Data::Secret;
            return;
        }
        let movable = match self.path.iter().map(String::as_str).collect::<Vec<_>>()[..] {
            ["core", "file_store_web_hook_headers"]
            | ["sandbox", "runtime_startup_env_vars"]
            | ["mcp", _] => variable(&self.path),
            _ => None,
        };
        let Some(variable) = movable else {
            let (name, position) = (dotted(&self.path), entry.node.position.clone());
            if names_secret_of_cluster(&entry.node) {
                return self.report_unreachable(&position);
            }
            if holds_secret(self.path.last().map_or("", String::as_str), true, References::None, &entry.node)
            {
                let label = "moved to a Secret, together with the whole config.toml".to_owned();
                self.warn_if_visible(&position, &name, label);
            }
            let data = std::mem::replace(&mut entry.node.data, Data::Secret);
            let value = FoundValue::Composed(Node { data, position: position.clone() });
            let path = self.path.clone();
            self.extracted.secrets.push(FoundSecret {
                variable: name,
                path,
                form: Form::Key,
                value,
                position,
            });
            return;
        };
        let position = entry.node.position.clone();
        if names_secret_of_cluster(&entry.node) {
            let message =
                format!("`{}` is passed to the application as one value, {variable}", dotted(&self.path));
            let label =
                "it cannot include a Secret of the cluster; use { env = \"NAME\" } or { file = \"path\" }";
            return self.report(Id::SecretUnavailable, Severity::Error, message, &position, label.to_owned());
        }
        if holds_secret("", false, References::None, &entry.node) {
            self.warn_if_visible(
                &position,
                &variable,
                format!("moved to a Secret as a whole, as {variable}"),
            );
        }
        let data = std::mem::replace(&mut entry.node.data, Data::Secret);
        let value = match data {
            Data::Text(text) => FoundValue::Literal(Redacted::new(text)),
            data => FoundValue::Composed(Node { data, position: position.clone() }),
        };
        let path = self.path.clone();
        self.extracted.secrets.push(FoundSecret { variable, path, form: Form::Variable, value, position });
    }

    fn deploy_env(&mut self, deploy: &mut Table) {
        let Some(TreeEntry { node: Node { data: Data::Table(env), .. }, .. }) = deploy.get_mut("env") else {
            return;
        };
        self.path.push("env".to_owned());
        for (name, entry) in env.iter_mut() {
            self.path.push(name.clone());
            match &entry.node.data {
                Data::Text(text) if !is_secret_text(name, text) && !assignment::has_secret(text) => {
                    self.extracted.plain.insert(name.clone(), text.clone());
                }
                _ => self.extract(name.clone(), &mut entry.node),
            }
            self.path.pop();
        }
        self.path.pop();
    }

    /// Moves the secrets of handsctl's own tables; the schema names the variable or file of each.
    fn handsctl_table(&mut self, shape: &TableShape, table: &mut Table) {
        for (name, entry) in table.iter_mut() {
            self.path.push(name.clone());
            let has_secret = contains_secret(&entry.node);
            let Some(key) = shape.keys.get(name) else {
                if has_secret {
                    self.warn_of_text(entry);
                }
                self.path.pop();
                continue;
            };
            match (&key.shape, &mut entry.node.data, key.variable.as_ref(), key.file.as_ref()) {
                (Shape::Table(inner), Data::Table(under), ..) => self.handsctl_table(inner, under),
                (Shape::Reference { secret: true }, data, variable, file) if data.as_text() != Some("") => {
                    if let Some(variable) = variable {
                        self.extract_as(Form::Variable, variable.clone(), &mut entry.node);
                    } else if let Some(file) = file {
                        self.extract_as(Form::File, file.clone(), &mut entry.node);
                    }
                }
                _ if has_secret => self.warn_of_text(entry),
                _ => {}
            }
            self.path.pop();
        }
    }

    /// A key that the application reads only from its config.toml stays there.
    fn warn_of_text(&mut self, entry: &TreeEntry) {
        let message = format!(
            "`{}` contains a password or key, which is readable in a ConfigMap or a container's specification",
            dotted(&self.path)
        );
        let label = "write the value without it, and use the key for secrets".to_owned();
        self.report(Id::UrlSecret, Severity::Warning, message, &entry.node.position, label);
    }

    fn extract(&mut self, variable: String, node: &mut Node) {
        self.extract_as(Form::Variable, variable, node);
    }

    fn extract_as(&mut self, form: Form, variable: String, node: &mut Node) {
        let position = node.position.clone();
        let value = match &node.data {
            Data::Text(text) => {
                let literal = match Redacted::trimmed(text) {
                    literal if form != Form::File => literal.checked(&variable),
                    literal => Ok(literal),
                };
                node.data = Data::Secret;
                let literal = match literal {
                    Ok(literal) => literal,
                    Err(reason) => {
                        let message = format!("cannot use the secret {variable}");
                        return self.report(
                            Id::SecretUnavailable,
                            Severity::Error,
                            message,
                            &position,
                            reason,
                        );
                    }
                };
                let hint = format!("moved to a Secret; better: {{ env = \"{}\" }}", variable_name(&variable));
                self.warn_if_visible(&position, &variable, hint);
                FoundValue::Literal(literal)
            }
            Data::Table(table) => match reference(table) {
                Some(reference) => FoundValue::Reference(reference),
                None => return,
            },
            _ => return,
        };
        let path = self.path.clone();
        self.extracted.secrets.push(FoundSecret { variable, path, form, value, position });
    }

    fn warn_if_visible(&mut self, position: &KeyPosition, variable: &str, label: String) {
        if !is_visible(&position.layer) {
            return;
        }
        let subject =
            if self.path.last().is_some_and(|name| name == variable) { "a secret" } else { "the secret" };
        let message = match position.layer {
            crate::settings::load::tree::SourceLayer::Set => {
                format!("{subject} `{}` is written on the command line", dotted(&self.path))
            }
            _ => format!("{subject} `{}` is written in the file", dotted(&self.path)),
        };
        self.report(Id::LiteralSecret, Severity::Warning, message, position, label);
    }

    fn report(&mut self, id: Id, severity: Severity, message: String, position: &KeyPosition, label: String) {
        let masked = severity == Severity::Warning;
        let location = Some(position.location.clone());
        self.extracted.diagnostics.push(Diagnostic { id, severity, message, location, label, masked });
    }

    /// Reports variables that two keys set.
    fn refuse_duplicates(&mut self) {
        let mut uses: BTreeMap<String, usize> = BTreeMap::new();
        for secret in &self.extracted.secrets {
            *uses.entry(secret.variable.clone()).or_default() += 1;
        }
        for name in self.extracted.plain.keys() {
            *uses.entry(name.clone()).or_default() += 1;
        }
        let twice: Vec<String> =
            uses.into_iter().filter(|(_, count)| *count > 1).map(|(name, _)| name).collect();
        for name in twice {
            let secret = self.extracted.secrets.iter().find(|secret| secret.variable == name);
            let location = secret.map(|secret| secret.position.location.clone());
            self.extracted.diagnostics.push(Diagnostic {
                id: Id::Contradiction,
                severity: Severity::Error,
                message: format!("{name} is set by a key of OpenHands and by [deploy].env"),
                location,
                label: "remove one of them".to_owned(),
                masked: true,
            });
        }
    }
}

/// Returns the environment variable from which the application reads a key.
pub(crate) fn variable(path: &[String]) -> Option<String> {
    match path {
        [table, key] if table == "core" => Some(key.to_ascii_uppercase()),
        [table, key] => Some(format!("{table}_{key}").to_ascii_uppercase()),
        _ => None,
    }
}

/// Returns a name for a variable of handsctl that holds the secret of a key: `LLM_EVAL_API_KEY`.
fn variable_name(key: &str) -> String {
    let letter =
        |letter: char| if letter.is_ascii_alphanumeric() { letter.to_ascii_uppercase() } else { '_' };
    key.chars().map(letter).collect()
}

/// Returns the reference that a table is, if it is one.
fn reference(table: &Table) -> Option<Reference> {
    let text = |name: &str| table.get(name).and_then(|entry| entry.node.data.as_text()).map(str::to_owned);
    let is_form =
        |form: &&[&str]| form.len() == table.len() && form.iter().all(|key| table.contains_key(*key));
    Reference::FORMS.iter().copied().find(|form| is_form(form))?;
    if let Some(env) = text("env") {
        return Some(Reference::Env { env });
    }
    if let Some(file) = text("file") {
        return Some(Reference::File { file });
    }
    Some(Reference::Secret { secret: text("secret")?, key: text("key")? })
}

/// Returns every reference in a value.
pub(crate) fn references(node: &Node) -> Vec<Reference> {
    match &node.data {
        Data::Table(table) => reference(table).map_or_else(
            || table.values().flat_map(|entry| references(&entry.node)).collect(),
            |reference| vec![reference],
        ),
        Data::List(items) => items.iter().flat_map(references).collect(),
        _ => Vec::new(),
    }
}

/// A value of config.toml that is or contains a secret.
#[derive(Clone)]
pub(crate) struct SecretData(pub Data);

impl std::fmt::Debug for SecretData {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("(redacted)")
    }
}

/// A list or table as the application reads it from a variable, and the secrets in it.
#[derive(Debug)]
pub(crate) struct Composed {
    /// A Python literal.
    pub literal: Redacted,
    /// The value with its secrets.
    pub filled: SecretData,
    /// Each secret alone: a container's output may contain one without the rest.
    pub parts: Vec<Redacted>,
}

/// Replaces every reference in a value by the secret that `look_up` returns for it and the key that it is under.
///
/// # Errors
/// The first error of `look_up`.
pub(crate) fn compose<E>(
    node: &Node,
    look_up: impl FnMut(&str, Reference) -> Result<Redacted, E>,
) -> Result<Composed, E> {
    let mut composer = Composer { look_up, parts: Vec::new() };
    let filled = composer.filled("", node)?;
    let literal = Redacted::new(toml_writer::python(&filled));
    Ok(Composed { literal, filled: SecretData(filled.data), parts: composer.parts })
}

struct Composer<F> {
    look_up: F,
    parts: Vec<Redacted>,
}

impl<E, F: FnMut(&str, Reference) -> Result<Redacted, E>> Composer<F> {
    fn filled(&mut self, name: &str, node: &Node) -> Result<Node, E> {
        let data = match &node.data {
            Data::Table(table) => match reference(table) {
                Some(reference) => {
                    let secret = (self.look_up)(name, reference)?;
                    let text = secret.expose().to_owned();
                    self.parts.push(secret);
                    Data::Text(text)
                }
                None => Data::Table(self.table(table)?),
            },
            Data::List(items) => {
                let values = items.windows(2).filter(|pair| is_flag_with_secret(&pair[0], &pair[1]));
                let values = values.filter_map(|pair| pair[1].data.as_text()).map(Redacted::new);
                self.parts.extend(values);
                let filled: Result<_, E> = items.iter().map(|item| self.filled(name, item)).collect();
                Data::List(filled?)
            }
            Data::Text(text) => {
                if is_secret_text(name, text) {
                    self.parts.push(Redacted::new(text.clone()));
                }
                let inside = assignment::ranges(text).into_iter().map(|range| Redacted::new(&text[range]));
                self.parts.extend(inside);
                Data::Text(text.clone())
            }
            data => data.clone(),
        };
        Ok(Node { data, position: node.position.clone() })
    }

    fn table(&mut self, table: &Table) -> Result<Table, E> {
        let entry = |(name, entry): (&String, &TreeEntry)| {
            let node = self.filled(name, &entry.node)?;
            Ok((name.clone(), TreeEntry { key: entry.key.clone(), node }))
        };
        table.iter().map(entry).collect()
    }
}

/// Whether a value is one string that contains a secret.
fn has_secret(node: &Node) -> bool {
    node.data.as_text().is_some_and(assignment::has_secret)
}

/// Whether a string in a value contains a secret.
fn contains_secret(node: &Node) -> bool {
    match &node.data {
        Data::List(items) => items.iter().any(contains_secret),
        Data::Table(table) => table.values().any(|entry| contains_secret(&entry.node)),
        _ => has_secret(node),
    }
}

/// Returns the first key or token in a value that has white space inside: its name, its position and the reason.
fn wrong_literal(name: &str, node: &Node) -> Option<(String, KeyPosition, String)> {
    match &node.data {
        Data::Table(table) => table.iter().find_map(|(name, entry)| wrong_literal(name, &entry.node)),
        Data::List(items) => items.iter().find_map(|item| wrong_literal(name, item)),
        Data::Text(text) if is_sensitive(name) => {
            let reason = Redacted::new(text).checked_part(name).err()?;
            Some((name.to_owned(), node.position.clone(), reason))
        }
        _ => None,
    }
}

/// Whether a value contains a reference to a Secret of the cluster.
fn names_secret_of_cluster(node: &Node) -> bool {
    references(node).iter().any(|reference| matches!(reference, Reference::Secret { .. }))
}

/// Which tables with the keys of a reference count as secrets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum References {
    None,
    UnderSensitiveNames,
    All,
}

/// Whether a value contains a string under a sensitive name, or a reference. `inside`: whether the schema does not type
/// `name`.
fn holds_secret(name: &str, inside: bool, references: References, node: &Node) -> bool {
    match &node.data {
        Data::Table(table) => {
            let counts = match references {
                References::None => false,
                References::UnderSensitiveNames => inside && is_sensitive(name),
                References::All => true,
            };
            (counts && reference(table).is_some())
                || table.iter().any(|(name, entry)| holds_secret(name, true, references, &entry.node))
        }
        Data::List(items) => {
            items.windows(2).any(|pair| is_flag_with_secret(&pair[0], &pair[1]))
                || items.iter().any(|item| holds_secret(name, inside, references, item))
        }
        Data::Text(text) => {
            (inside && !text.is_empty() && is_secret_text(name, text)) || assignment::has_secret(text)
        }
        _ => false,
    }
}

/// Whether the name of a text marks it as a secret, and it is neither a count nor a mode.
fn is_secret_text(name: &str, text: &str) -> bool {
    is_sensitive(name) && !assignment::is_count_or_mode(name, text)
}

/// Whether one word of a command line is a flag, and the next one its secret: `["--token", "…"]`.
fn is_flag_with_secret(flag: &Node, value: &Node) -> bool {
    let (Some(flag), Some(value)) = (flag.data.as_text(), value.data.as_text()) else { return false };
    assignment::is_flag_with_secret(flag, value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_and_modes_are_no_secrets() {
        for (name, text) in [
            ("MAX_BATCH_PREFILL_TOKENS", "4096"),
            ("GPU_TOKENS", "4096"),
            ("REGISTRY_AUTH", "htpasswd"),
            ("USE_JWT", "1"),
            ("ENABLE_OTP", "0"),
        ] {
            assert!(!is_secret_text(name, text), "{name}");
        }
        for (name, text) in
            [("BOT_TOKENS", "one,two"), ("REGISTRY_AUTH", "me:pass"), ("BOT_TOKEN", "1"), ("USER_JWT", "1")]
        {
            assert!(is_secret_text(name, text), "{name}");
        }
    }
}
