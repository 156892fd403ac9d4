//! The server that the user chose instead of an engine's default one. Pure.

use serde_json::Value;

use super::location;
use super::program::Engine;
use crate::object::assignment;

/// The server that the user chose, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum ServerChoice {
    /// A variable names its address, its context or its connection.
    Variable { name: &'static str, value: String },
    /// The client's current context, or its default connection, leads to this address of another computer.
    OtherComputer { address: String },
    /// The chosen context does not exist.
    MissingContext,
}

impl ServerChoice {
    /// Returns the choice that the variables make; None: they choose none.
    pub(super) fn of_variables(engine: Engine, variables: &[(&'static str, String)]) -> Option<Self> {
        let (name, value) = engine
            .server_variables()
            .iter()
            .find_map(|name| variables.iter().find(|(variable, _)| variable == name))?;
        Some(Self::Variable { name, value: value.clone() })
    }

    /// Returns the choice of an address; None: it is on this computer, as by default.
    pub(super) fn of_address(address: &str) -> Option<Self> {
        location::is_other_computer(address)
            .then(|| Self::OtherComputer { address: location::without_user(address) })
    }

    /// Whether the server is on another computer, as far as the choice tells.
    pub(super) fn is_other_computer(&self) -> bool {
        match self {
            Self::Variable { value, .. } => location::is_other_computer(value),
            Self::OtherComputer { .. } => true,
            Self::MissingContext => false,
        }
    }

    /// Returns a hint to fix a server that does not respond as it should. `verb`: `start` or `restart`.
    pub(super) fn hint(&self, engine: Engine, verb: &str) -> String {
        match (self, engine) {
            (Self::Variable { name, value }, _) => {
                let target = match *name {
                    "DOCKER_CONTEXT" => "of this context",
                    "CONTAINER_CONNECTION" => "of this connection",
                    _ => "at this address",
                };
                let value = assignment::masked(value);
                format!("{name} is {value}: {verb} the engine {target}, or unset {name}")
            }
            (Self::OtherComputer { address }, Engine::Podman) => format!(
                "podman's default connection leads to {address}: {verb} the engine there, \
                 or podman system connection default NAME selects another one"
            ),
            (Self::OtherComputer { address }, _) => format!(
                "{engine}'s context leads to {address}: {verb} the engine there, \
                 or docker context use default selects the engine of this computer"
            ),
            (Self::MissingContext, _) => {
                "docker context ls lists the contexts; docker context use, or DOCKER_CONTEXT, selects one"
                    .to_owned()
            }
        }
    }
}

/// Parses `podman system connection list --format json`: returns the address of the connection with this name, or of the
/// default one; None: there is no such connection.
pub(super) fn connection_address(list: &str, name: Option<&str>) -> Option<String> {
    let list: Vec<Value> = serde_json::from_str(list).ok()?;
    let is_meant = |connection: &&Value| match name {
        Some(name) => connection["Name"] == name,
        None => connection["Default"] == true,
    };
    Some(list.iter().find(is_meant)?["URI"].as_str()?.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_engine_has_its_own_variables() {
        let variables = [
            ("DOCKER_HOST", "tcp://192.0.2.1:2376".to_owned()),
            ("DOCKER_CONTEXT", "build".to_owned()),
            ("CONTAINER_HOST", "ssh://me:planted@build.test/run/podman.sock".to_owned()),
        ];
        let hint = |engine| ServerChoice::of_variables(engine, &variables).unwrap().hint(engine, "start");
        assert_eq!(
            hint(Engine::Docker),
            "DOCKER_HOST is tcp://192.0.2.1:2376: start the engine at this address, or unset DOCKER_HOST"
        );
        assert!(hint(Engine::Podman).starts_with("CONTAINER_HOST is ssh://me:(redacted)@build.test/"));
        assert_eq!(ServerChoice::of_variables(Engine::Nerdctl, &variables), None);
        let context = ServerChoice::of_variables(Engine::Docker, &variables[1..]).unwrap();
        assert!(context.hint(Engine::Docker, "start").contains("of this context, or unset DOCKER_CONTEXT"));
    }

    #[test]
    fn connection_of_podman_is_found_by_name_or_default() {
        let list = r#"[
            {"Name":"a","URI":"ssh://core@localhost:5213/run/podman.sock","Identity":"","Default":false},
            {"Name":"b","URI":"ssh://ana@build.test/run/podman.sock","Identity":"","Default":true}
        ]"#;
        let default = connection_address(list, None).unwrap();
        assert_eq!(default, "ssh://ana@build.test/run/podman.sock");
        let named = connection_address(list, Some("a")).unwrap();
        assert_eq!(named, "ssh://core@localhost:5213/run/podman.sock");
        assert_eq!(connection_address(list, Some("c")), None);
        assert_eq!(connection_address("[]", None), None);
        assert!(ServerChoice::of_address(&default).is_some_and(|choice| choice.is_other_computer()));
        assert_eq!(ServerChoice::of_address(&named), None, "podman's virtual machine is the default");
    }
}
