//! Commands of other tools, and the command of handsctl that does the same. Pure.

/// The commands of kubectl, Helm, docker and systemctl that people type first, each with the command of handsctl and
/// what it does.
const FOREIGN: &[(&[&str], &str)] = &[
    (&["ps", "get", "info", "describe", "health"], "handsctl status shows what runs and whether it works"),
    (&["ls", "installations"], "handsctl list lists the installations of the cluster"),
    (
        &["events", "watch"],
        "handsctl status shows the state with its evidence; handsctl logs -f follows the logs",
    ),
    (
        &["apply", "install", "upgrade", "update", "sync", "run", "start", "create"],
        "handsctl deploy applies config.toml; handsctl up also creates a local cluster",
    ),
    (
        &["delete", "destroy", "uninstall", "remove", "rm", "purge"],
        "handsctl teardown deletes the application and keeps its volume; handsctl cluster down deletes the local cluster",
    ),
    (
        &["down", "stop"],
        "handsctl cluster down deletes the local cluster with all data; handsctl teardown deletes the application and keeps its volume",
    ),
    (
        &["undo", "revert"],
        "handsctl rollback restores the last good revision that differs from the deployed one",
    ),
    (&["revisions", "releases", "rollout"], "handsctl history lists the revisions"),
    (&["template", "manifest", "manifests", "generate"], "handsctl render prints the manifests"),
    (&["plan", "preview", "compare"], "handsctl diff shows what a deploy would change"),
    (&["lint", "validate", "check", "verify"], "handsctl config check reports every mistake of config.toml"),
    (&["init", "new", "setup"], "handsctl config init writes a config.toml"),
    (
        &["set", "edit", "configure"],
        "config.toml is the configuration: handsctl config init writes one, handsctl config explain KEY explains a key",
    ),
    (
        &["forward", "port-forward", "browse", "url", "dashboard"],
        "handsctl open opens the application at its URL, or through a port-forward",
    ),
    (&["log", "tail"], "handsctl logs prints the logs; -f follows them"),
    (&["reload", "recreate", "kill"], "handsctl restart replaces the pods"),
    (&["top", "stats", "usage"], "handsctl status shows cpu, memory and disk"),
    (
        &["load", "pull", "images", "push"],
        "handsctl image load and handsctl image pull put images on the nodes",
    ),
    (
        &["clusters", "kind", "minikube"],
        "handsctl cluster list lists the local clusters; handsctl cluster up, down and status manage one",
    ),
    (
        &["login", "auth", "role", "roles"],
        "handsctl rbac prints the roles that an account needs; the login is that of the kubeconfig",
    ),
    (
        &["exec", "shell", "sh", "ssh", "bash", "attach"],
        "kubectl exec -it deployment/NAME -n NAMESPACE -- bash opens a shell in the pod",
    ),
];

/// Returns what does in handsctl what a command of another tool does.
pub(crate) fn counterpart(word: &str) -> Option<&'static str> {
    FOREIGN.iter().find(|(words, _)| words.contains(&word)).map(|(_, sentence)| *sentence)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::cli::definition;

    #[test]
    fn foreign_words_are_no_commands_and_stand_once() {
        let words: Vec<&str> = FOREIGN.iter().flat_map(|(words, _)| words.iter().copied()).collect();
        assert_eq!(words.iter().collect::<BTreeSet<_>>().len(), words.len());
        let own = definition();
        for word in words {
            assert!(own.find_subcommand(word).is_none(), "{word} is a command");
        }
    }

    #[test]
    fn counterparts_name_commands_that_exist() {
        let own = definition();
        for (_, sentence) in FOREIGN {
            for named in sentence.split("handsctl ").skip(1) {
                let mut command = &own;
                for word in named.split(|c: char| !c.is_ascii_lowercase()).take_while(|word| !word.is_empty())
                {
                    let Some(child) = command.find_subcommand(word) else { break };
                    command = child;
                }
                assert_ne!(command.get_name(), "handsctl", "{sentence}");
            }
        }
    }
}
