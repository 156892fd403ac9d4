//! Names of models that nobody describes, and keys of condensers that do not go with their `type`
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
        let Some(name) = name.filter(|name| !self.is_described(name)) else { return };
        let message = format!(
            "`{}` names a model that no [llm.{name}] describes; the application would take [llm]",
            path.join(".")
        );
        let named = self.settings.openhands.llm.named.keys().map(String::as_str);
        let label = closest(name, named.clone()).map_or_else(
            || match named.map(|name| format!("[llm.{name}]")).collect::<Vec<_>>() {
                names if names.is_empty() => format!("a table [llm.{name}] describes it"),
                names => format!("there are {}", names.join(", ")),
            },
            |near| format!("did you mean {}?", quoted(near)),
        );
        self.contradiction(path, message, &label);
    }

    fn is_described(&self, name: &str) -> bool {
        // A wrong table was taken out, and is described all the same.
        name == DEFAULT_MODEL
            || self.settings.openhands.llm.named.contains_key(name)
            || self.is_wrong(&format!("llm.{name}"))
    }

    /// `names`: whether `llm_config` may be the name of a model here.
    fn condenser(&mut self, table: &[&str], condenser: &Condenser, names: bool) {
        let at = |key: &'static str| [table, &[key]].concat();
        if self.is_wrong(&at("type").join(".")) {
            return;
        }
        let way = condenser.way.unwrap_or(CondenserType::Noop);
        self.condenser_keys(table, way);
        if way == CondenserType::ConversationWindow {
            let version = self.settings.app_version();
            let (major, minor) = CONVERSATION_WINDOW;
            if !version.is_at_least(major, minor) && !self.is_wrong("deploy.image") {
                let message = format!("OpenHands {version} does not know the type {}", text(way));
                let label = format!("{major}.{minor} and later do; the version is that of [deploy].image");
                self.contradiction(&at("type"), message, &label);
            }
        }
        if !way.needs_model() || self.is_wrong(&at("llm_config").join(".")) {
            return;
        }
        let by_name = names && way != CondenserType::Structured;
        match &condenser.llm_config {
            Some(CondenserModel::Named(name)) if by_name => self.model(&at("llm_config"), Some(name)),
            Some(CondenserModel::Named(_)) => {
                let message = format!("`{}` must be a table here{NO_CONDENSER}", at("llm_config").join("."));
                self.contradiction(
                    &at("llm_config"),
                    message,
                    "as in { model = \"…\" }: no name is looked up",
                );
            }
            Some(CondenserModel::Inline(_)) => {}
            None => {
                let message =
                    format!("`{}` of type {} needs `llm_config`{NO_CONDENSER}", table.join("."), text(way));
                let label = if by_name {
                    "add llm_config = \"llm\", or the NAME of an [llm.NAME]"
                } else {
                    "add llm_config = { … }"
                };
                self.contradiction(&at("type"), message, label);
            }
        }
    }

    fn condenser_keys(&mut self, table: &[&str], way: CondenserType) {
        let fitting = way.keys();
        for key in CondenserType::ALL_KEYS {
            let path = [table, &[*key]].concat();
            if fitting.contains(key) || !self.settings.is_set(&path) {
                continue;
            }
            let label = match fitting {
                [] => format!("{} has no other keys", text(way)),
                keys => format!("keys of {}: {}", text(way), keys.join(", ")),
            };
            let what = format!("`{}` does not belong to type {}", path.join("."), text(way));
            // The one model that does not forbid further keys.
            if way == CondenserType::BrowserOutputMasking {
                let message = format!("{what}; the application would ignore it");
                self.report(Id::IgnoredByApp, Severity::Warning, &path, message, &label);
            } else {
                self.contradiction(&path, format!("{what}{NO_CONDENSER}"), &label);
            }
        }
    }
}

const NO_CONDENSER: &str = "; the application would not shorten conversations at all";

/// The way as it is written: `"llm"`.
fn text(way: CondenserType) -> String {
    toml::Value::try_from(way).ok().and_then(|value| value.as_str().map(quoted)).unwrap_or_default()
}
