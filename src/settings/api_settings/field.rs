//! A field of the application's settings.

use serde_json::Value;

use super::carried::{CONDENSER, CONVERSATION, LLM, LLM_SECRETS, PREFERENCES};

/// A group of fields in the application's settings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Group {
    /// The model that its agent uses.
    Llm,
    /// What shortens long conversations.
    Condenser,
    /// What applies to each conversation.
    Conversation,
    /// What the page keeps for itself.
    Preferences,
}

/// A field of the application's settings.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Field {
    /// Its group.
    pub group: Group,
    /// Its name there.
    pub name: String,
}

impl Group {
    /// All groups.
    const ALL: [Self; 4] = [Self::Llm, Self::Condenser, Self::Conversation, Self::Preferences];

    /// Whether config.toml has a key for this field of the group.
    fn has(self, name: &str) -> bool {
        match self {
            Self::Llm => LLM.contains(&name) || LLM_SECRETS.iter().any(|(key, _)| *key == name),
            Self::Condenser => CONDENSER.contains(&name),
            Self::Preferences => PREFERENCES.contains(&name),
            Self::Conversation => CONVERSATION.iter().any(|(_, key)| *key == name),
        }
    }

    /// The name of the group in messages.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Llm => "llm",
            Self::Condenser => "condenser",
            Self::Conversation => "conversation",
            Self::Preferences => "app_preferences",
        }
    }

    /// Returns the object of the settings and the path in it, as `GET /api/settings` answers them. A change has the same
    /// path in an object with the suffix `_diff` (`settings_router.py` of agent-server 1.49.1).
    #[must_use]
    pub const fn path(self) -> (&'static str, &'static [&'static str]) {
        match self {
            Self::Llm => ("agent_settings", &["llm"]),
            Self::Condenser => ("agent_settings", &["condenser"]),
            Self::Conversation => ("conversation_settings", &[]),
            Self::Preferences => ("misc_settings", &["app_preferences"]),
        }
    }
}

impl Field {
    /// The field of a group.
    #[must_use]
    pub fn new(group: Group, name: &str) -> Self {
        Self { group, name: name.to_owned() }
    }

    /// Reads a field from its text, such as `llm.model`; None if config.toml has no key for it.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (group, name) = text.split_once('.')?;
        let group = Group::ALL.into_iter().find(|known| known.name() == group && known.has(name))?;
        Some(Self::new(group, name))
    }

    /// Returns its value in an answer of the settings API; null if it has none.
    #[must_use]
    pub fn value_in<'a>(&self, answer: &'a Value) -> &'a Value {
        let (object, path) = self.group.path();
        let group = path.iter().fold(&answer[object], |group, name| &group[*name]);
        &group[&self.name]
    }
}

impl std::fmt::Display for Field {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}", self.group.name(), self.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_carried_fields_are_read() {
        for text in ["llm.model", "llm.aws_access_key_id", "conversation.max_iterations"] {
            assert_eq!(Field::parse(text).map(|field| field.to_string()).as_deref(), Some(text));
        }
        for text in ["", "llm", "llm.", "llm.usage_id", "conversation.model", "other.model", "llm.model.x"] {
            assert_eq!(Field::parse(text), None, "{text}");
        }
    }
}
