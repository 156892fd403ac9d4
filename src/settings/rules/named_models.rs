//! Models of `[llm.NAME]` that cannot be profiles of an application without config.toml.

use super::checker::RuleChecker;
use crate::catalogue::Id;
use crate::diagnostic::Severity;
use crate::settings::api_settings::{DEFAULT_PROFILE, is_profile_name, why_not_carried};
use crate::settings::load::toml_key::dotted;
use crate::settings::load::tree::Data;

impl RuleChecker<'_> {
    /// Checks the table of a named model: its name, its model, and each key.
    pub(super) fn profile_of_named_model(&mut self, name: &str) {
        let (product, table) = (self.settings.edition().product, dotted(&["llm", name]));
        if !is_profile_name(name) {
            let message = format!("`{table}` has a name that a profile of {product} cannot have");
            let label = "use up to 64 letters, digits, `.`, `_` and `-`, first a letter or digit";
            self.report(Id::BadValue, Severity::Error, &["llm", name], message, label);
        } else if name == DEFAULT_PROFILE {
            let message = format!("`{table}` has the name of the profile that {product} gets for [llm]");
            self.contradiction(&["llm", name], message, "use another name, or write its keys into [llm]");
        } else if !self.has_model(name) {
            self.has_no_place(&["llm", name], "a profile needs a model: set model here or in [llm]");
        } else {
            self.keys_of_named_model(name);
        }
    }

    fn has_model(&self, name: &str) -> bool {
        let llm = &self.settings.openhands.llm;
        let own = llm.named.get(name).is_some_and(|options| options.model.is_some());
        // The default of a wrong value is no model, but the user wrote one.
        own || llm.options.model.is_some() || self.is_wrong("llm.model")
    }

    fn keys_of_named_model(&mut self, name: &str) {
        let keys = match self.settings.entry(&["llm", name]).map(|entry| &entry.node.data) {
            Some(Data::Table(table)) => table.keys().cloned().collect(),
            _ => Vec::new(),
        };
        for key in keys {
            let Some(reason) = why_not_carried(self.settings, "llm", &key) else { continue };
            self.has_no_place(&["llm", name, &key], reason);
        }
    }
}
