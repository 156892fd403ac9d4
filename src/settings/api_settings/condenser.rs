//! The shortening of long conversations: `[condenser]` and `enable_default_condenser`.
//!
//! agent-server 1.49.1 has one condenser that summarizes, with the model of the agent: `enabled`, `max_size` (240, at
//! least 20) and `keep_first` (2). A conversation does not start where `keep_first` is not below half of `max_size`
//! (`llm_summarizing_condenser.py` of openhands-sdk 1.49.1), although the settings accept it.

use serde_json::{Value, json};

use super::field::{Field, Group};
use crate::settings::openhands::{CondenserModel, CondenserType};
use crate::settings::resolved::Settings;

/// The key of `[core]` that counts without `[condenser]`.
pub(super) const DEFAULT_CONDENSER: &str = "enable_default_condenser";
/// The name of the model of `[llm]`, which the agent uses.
const AGENT_MODEL: &str = "llm";
/// The least `max_size` that the application accepts.
const LEAST_SIZE: i64 = 20;
/// Its `max_size` if none is configured.
const DEFAULT_SIZE: i64 = 240;

/// Returns the configured fields.
pub(super) fn fields(settings: &Settings) -> Vec<(Field, Value)> {
    let (condenser, core) = (&settings.openhands.condenser, &settings.openhands.core);
    let is_carried =
        |table, key| settings.is_set(&[table, key]) && why_not_carried(settings, table, key).is_none();
    let fields = [
        ("condenser", "type", "enabled", json!(true)),
        ("core", DEFAULT_CONDENSER, "enabled", json!(core.enable_default_condenser)),
        ("condenser", "max_size", "max_size", json!(condenser.max_size)),
        ("condenser", "keep_first", "keep_first", json!(condenser.keep_first)),
    ];
    let carried = fields.into_iter().filter(|(table, key, ..)| is_carried(table, key));
    carried.map(|(_, _, name, value)| (Field::new(Group::Condenser, name), value)).collect()
}

/// Returns why a key has no place in the application's settings; None if it has one.
pub(super) fn why_not_carried(settings: &Settings, table: &str, key: &str) -> Option<&'static str> {
    let condenser = &settings.openhands.condenser;
    if table == "core" {
        return settings.entry(&["condenser"]).map(|_| "[condenser] decides it");
    }
    if condenser.condenser_type != Some(CondenserType::Llm) {
        return Some("it shortens conversations only by summaries: type = \"llm\"");
    }
    match key {
        "type" => None,
        "max_size" => size(settings).is_none().then_some("its least is 20"),
        "keep_first" => {
            let half = size(settings).unwrap_or(DEFAULT_SIZE) / 2;
            let fits = condenser.keep_first.is_none_or(|kept| kept + 1 < half);
            (!fits).then_some("a conversation starts only with less than half of max_size")
        }
        "llm_config" => {
            let is_of_agent = condenser.llm_config == Some(CondenserModel::Named(AGENT_MODEL.to_owned()));
            (!is_of_agent).then_some("the agent's own model summarizes there")
        }
        _ => Some("its condenser has no such field"),
    }
}

fn size(settings: &Settings) -> Option<i64> {
    settings.openhands.condenser.max_size.filter(|size| *size >= LEAST_SIZE)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::tests::settings_of;

    fn carried(text: &str) -> Vec<String> {
        let settings = settings_of(&format!("[deploy]\nedition = \"canvas\"\n{text}"));
        fields(&settings).iter().map(|(field, value)| format!("{field}={value}")).collect()
    }

    #[test]
    fn condenser_that_summarizes_is_carried() {
        let text = "[condenser]\ntype = \"llm\"\nllm_config = \"llm\"\nmax_size = 100\nkeep_first = 4\n";
        let all = ["condenser.enabled=true", "condenser.max_size=100", "condenser.keep_first=4"];
        assert_eq!(carried(text), all);
        assert_eq!(
            carried(&text.replace("max_size = 100", "max_size = 10"))[1..],
            ["condenser.keep_first=4"]
        );
        assert_eq!(carried(&text.replace("keep_first = 4", "keep_first = 49")).len(), 2);
        assert_eq!(carried(&text.replace("keep_first = 4", "keep_first = 48")).len(), 3);
        assert_eq!(carried("[condenser]\ntype = \"recent\"\nkeep_first = 4\n"), [""; 0]);
        assert_eq!(carried("[condenser]\ntype = \"noop\"\n"), [""; 0]);
    }

    #[test]
    fn default_condenser_counts_without_the_table() {
        let core = "[core]\nenable_default_condenser = false\n";
        assert_eq!(carried(core), ["condenser.enabled=false"]);
        assert_eq!(carried(&format!("{core}[condenser]\ntype = \"llm\"\n")), ["condenser.enabled=true"]);
        assert_eq!(carried(""), [""; 0]);
    }
}
