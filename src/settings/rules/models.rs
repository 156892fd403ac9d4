//! Names of models without a table, and keys of condensers that do not apply to their `type`
//! (`openhands/core/config/condenser_config.py`).

use super::checker::RuleChecker;
use crate::catalogue::Id;
use crate::diagnostic::Severity;
use crate::settings::load::suggest::closest;
use crate::settings::load::toml_key::quoted;
use crate::settings::openhands::{Condenser, CondenserModel, CondenserType};

/// The name of the `[llm]` table itself.
const DEFAULT_MODEL: &str = "llm";
/// First release with `type = "conversation_window"`.
const CONVERSATION_WINDOW: (u32, u32) = (0, 48);

impl RuleChecker<'_> {
    pub(crate) fn models(&mut self) {
        let openhands = &self.settings.openhands;
        let agents = openhands.agent.named.iter();
        let agents: Vec<_> = agents
            .map(|(name, agent)| (name.clone(), agent.options.llm_config.clone(), agent.condenser.clone()))
            .collect();
        let default = openhands.agent.options.llm_config.clone();
        let condenser = openhands.condenser.clone();
        self.model(&["agent", "llm_config"], default.as_deref());
        self.condenser(&["condenser"], &condenser, true);
        for (name, model, condenser) in agents {
            self.model(&["agent", &name, "llm_config"], model.as_deref());
            if let Some(condenser) = condenser {
                self.condenser(&["agent", &name, "condenser"], &condenser, false);
            }
        }
    }

    fn model(&mut self, path: &[&str], name: Option<&str>) {
        let Some(name) = name.filter(|name| !self.has_table(name)) else { return };
        let problem = format!("`{}` names a model without a table [llm.{name}]", path.join("."));
        let named = self.settings.openhands.llm.named.keys().map(String::as_str);
        let label = closest(name, named.clone()).map_or_else(
            || match named.map(|name| format!("[llm.{name}]")).collect::<Vec<_>>() {
                tables if tables.is_empty() => format!("add a table [llm.{name}]"),
                tables => format!("existing tables: {}", tables.join(", ")),
            },
            |suggestion| format!("did you mean {}?", quoted(suggestion)),
        );
        // A condenser finds [llm] only if the file has a table of models.
        if path[0] == "condenser" && !self.settings.writes_table(DEFAULT_MODEL) {
            self.contradiction(path, format!("{problem}{NO_CONDENSER}"), &label);
        } else {
            let message = format!("{problem}; the application uses [llm] instead");
            self.report(Id::IgnoredByApp, Severity::Warning, path, message, &label);
        }
    }

    fn has_table(&self, name: &str) -> bool {
        // An invalid table was removed from the tree, but the file has it.
        name == DEFAULT_MODEL
            || self.settings.openhands.llm.named.contains_key(name)
            || self.is_wrong(&format!("llm.{name}"))
    }

    /// Checks one condenser. `names`: whether `llm_config` may be the name of a model here.
    fn condenser(&mut self, table: &[&str], condenser: &Condenser, accepts_name: bool) {
        let at = |key: &'static str| [table, &[key]].concat();
        if self.is_wrong(&at("type").join(".")) {
            return;
        }
        let condenser_type = condenser.condenser_type.unwrap_or(CondenserType::Noop);
        self.condenser_keys(table, condenser_type);
        if condenser_type == CondenserType::ConversationWindow {
            let version = self.settings.app_version();
            let (major, minor) = CONVERSATION_WINDOW;
            if !version.is_at_least(major, minor) && !self.is_version_wrong() {
                let message =
                    format!("OpenHands {version} does not support the type {}", text(condenser_type));
                let key = self.version_key();
                let label = format!("supported since {major}.{minor}; the version comes from [deploy].{key}");
                self.contradiction(&at("type"), message, &label);
            }
        }
        if !condenser_type.needs_model() || self.is_wrong(&at("llm_config").join(".")) {
            return;
        }
        let by_name = accepts_name && condenser_type != CondenserType::Structured;
        match &condenser.llm_config {
            Some(CondenserModel::Named(name)) if by_name => self.model(&at("llm_config"), Some(name)),
            Some(CondenserModel::Named(_)) => {
                let message = format!("`{}` must be a table here{NO_CONDENSER}", at("llm_config").join("."));
                self.contradiction(
                    &at("llm_config"),
                    message,
                    "as in { model = \"…\" }; a name is not supported here",
                );
            }
            Some(CondenserModel::Inline(_)) => {}
            // A table with a key was moved to a Secret.
            None if self.settings.is_set(&at("llm_config")) => {}
            None => {
                let message = format!(
                    "`{}` of type {} needs `llm_config`{NO_CONDENSER}",
                    table.join("."),
                    text(condenser_type)
                );
                let label = if by_name {
                    "add llm_config = \"llm\", or the NAME of an [llm.NAME]"
                } else {
                    "add llm_config = { … }"
                };
                self.contradiction(&at("type"), message, label);
            }
        }
    }

    fn condenser_keys(&mut self, table: &[&str], condenser_type: CondenserType) {
        let allowed_keys = condenser_type.keys();
        for key in CondenserType::ALL_KEYS {
            let path = [table, &[*key]].concat();
            if allowed_keys.contains(key) || !self.settings.is_set(&path) {
                continue;
            }
            let label = match allowed_keys {
                [] => format!("{} has no other keys", text(condenser_type)),
                keys => format!("keys of {}: {}", text(condenser_type), keys.join(", ")),
            };
            let problem = format!("`{}` does not apply to type {}", path.join("."), text(condenser_type));
            // The only condenser class that does not forbid unknown keys.
            if condenser_type == CondenserType::BrowserOutputMasking {
                let message = format!("{problem}; the application would ignore it");
                self.report(Id::IgnoredByApp, Severity::Warning, &path, message, &label);
            } else {
                self.contradiction(&path, format!("{problem}{NO_CONDENSER}"), &label);
            }
        }
    }
}

const NO_CONDENSER: &str = "; the application would not shorten conversations at all";

/// The type as in config.toml: `"llm"`.
fn text(condenser_type: CondenserType) -> String {
    toml::Value::try_from(condenser_type)
        .ok()
        .and_then(|value| value.as_str().map(quoted))
        .unwrap_or_default()
}
