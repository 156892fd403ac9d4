//! The result of one check, and the exit code that follows from all of them. Pure.

use serde_json::Value;

use crate::catalogue::Id;
use crate::error::{Error, Kind};

/// A list of the API server, or why it cannot be had.
pub(super) type Listed = Result<Vec<Value>, String>;

/// What a check is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Category {
    /// config.toml and the secrets it refers to.
    Configuration,
    /// This computer and its container engine.
    Computer,
    /// The API server.
    Api,
    /// What the account may do.
    Rights,
    /// Storage classes and claims.
    Storage,
    /// DNS, ingress, policies, webhooks.
    Network,
    /// Nodes and the images on them.
    Nodes,
    /// What conversations need.
    Sandboxes,
    /// The application: whether its pod is admitted, and what is deployed of it.
    App,
}

impl Category {
    /// All categories, in the order of the report.
    pub(crate) const ALL: &'static [Self] = &[
        Self::Configuration,
        Self::Computer,
        Self::Api,
        Self::Rights,
        Self::Storage,
        Self::Network,
        Self::Nodes,
        Self::Sandboxes,
        Self::App,
    ];

    /// Returns the category's name in the report.
    pub(crate) const fn label(self) -> &'static str {
        match self {
            Self::Configuration => "config",
            Self::Computer => "computer",
            Self::Api => "api",
            Self::Rights => "rights",
            Self::Storage => "storage",
            Self::Network => "network",
            Self::Nodes => "nodes",
            Self::Sandboxes => "sandboxes",
            Self::App => "app",
        }
    }
}

/// What a check found.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// It is as it should be; the text says how it is.
    Passed(String),
    /// It is not there, and nothing needs it; the text says what that means.
    Noted(String),
    /// It could not be checked; the text says why.
    Unknown(String),
    /// A deploy works, but something will not.
    Warning(Error),
    /// A deploy, or the first conversation, would fail.
    Failed(Error),
}

/// One check with its result.
#[derive(Debug)]
pub(crate) struct Check {
    pub(crate) category: Category,
    /// What was checked: `ingress class`.
    pub(crate) name: &'static str,
    pub(crate) outcome: Outcome,
}

impl Check {
    pub(crate) fn passed(category: Category, name: &'static str, detail: impl Into<String>) -> Self {
        Self { category, name, outcome: Outcome::Passed(detail.into()) }
    }

    pub(crate) fn noted(category: Category, name: &'static str, detail: impl Into<String>) -> Self {
        Self { category, name, outcome: Outcome::Noted(detail.into()) }
    }

    pub(crate) fn unknown(category: Category, name: &'static str, reason: impl Into<String>) -> Self {
        Self { category, name, outcome: Outcome::Unknown(reason.into()) }
    }

    pub(crate) fn warning(category: Category, name: &'static str, error: Error) -> Self {
        Self { category, name, outcome: Outcome::Warning(error) }
    }

    /// Returns the check with the commands in its texts changed.
    #[must_use]
    pub(crate) fn map_commands(self, change: impl Fn(&str) -> String) -> Self {
        let outcome = match self.outcome {
            Outcome::Passed(text) => Outcome::Passed(change(&text)),
            Outcome::Noted(text) => Outcome::Noted(change(&text)),
            Outcome::Unknown(reason) => Outcome::Unknown(reason),
            Outcome::Warning(error) => Outcome::Warning(error.map_hints(change)),
            Outcome::Failed(error) => Outcome::Failed(error.map_hints(change)),
        };
        Self { outcome, ..self }
    }

    /// Whether the check found that the cluster's DNS does not run.
    pub(super) fn is_dns_down(&self) -> bool {
        matches!(&self.outcome, Outcome::Failed(error) if error.id() == Id::ClusterDnsDown)
    }

    pub(crate) fn failed(category: Category, name: &'static str, error: Error) -> Self {
        Self { category, name, outcome: Outcome::Failed(error) }
    }
}

/// Returns the exit code of the worst result: that of the first failed check, 11 if there are warnings only, else 0.
pub(crate) fn exit_code(checks: &[Check]) -> u8 {
    let failed = checks.iter().find_map(|check| match &check.outcome {
        Outcome::Failed(error) => Some(error.kind().exit_code()),
        _ => None,
    });
    let has_warning = checks.iter().any(|check| matches!(check.outcome, Outcome::Warning(_)));
    failed.unwrap_or(if has_warning { Kind::Degraded.exit_code() } else { 0 })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exit_code_is_that_of_the_worst_result() {
        let error = |kind| Error::new(Id::Unreachable, kind, "no");
        let passed = || Check::passed(Category::Api, "version", "v1.34.4");
        let unknown = || Check::unknown(Category::Nodes, "nodes", "forbidden");
        let warning = || Check::warning(Category::Storage, "class", error(Kind::Prerequisite));
        let failed = |kind| Check::failed(Category::Api, "server", error(kind));
        assert_eq!(exit_code(&[passed(), unknown()]), 0);
        assert_eq!(exit_code(&[passed(), warning()]), 11);
        assert_eq!(exit_code(&[warning(), failed(Kind::Prerequisite)]), 14);
        assert_eq!(exit_code(&[warning(), failed(Kind::Unreachable), failed(Kind::Prerequisite)]), 4);
    }
}
