//! Commands of other tools, and the command of handsctl that does the same. Pure.

use std::path::Path;

/// Words with the sentences that answer them, each on a line of its own.
type Sentences = &'static [(&'static [&'static str], &'static str)];

/// The commands of kubectl, Helm, docker and systemctl that people type first, each with the command of handsctl and
/// what it does.
const FOREIGN: Sentences = &[
    (&["ps", "get", "info", "describe", "health"], "handsctl status shows what runs and whether it works"),
    (&["ls", "installations"], "handsctl list lists the installations of the cluster"),
    (
        &["events", "watch"],
        "handsctl status shows the state with its evidence; handsctl logs -f follows the logs",
    ),
    (
        &["apply", "install", "upgrade", "update", "sync", "run", "create"],
        "handsctl deploy applies config.toml; handsctl up also creates a local cluster",
    ),
    (
        &["delete", "destroy", "uninstall", "remove", "rm", "purge"],
        "handsctl teardown deletes the application and keeps its volume; handsctl cluster down deletes the local cluster",
    ),
    (
        &["start", "resume", "unpause"],
        "handsctl up starts the local cluster, if it is stopped, and applies config.toml\n\
         handsctl cluster up starts the local cluster only",
    ),
    (
        &["stop"],
        "with Docker, docker stop CLUSTER_NAME-control-plane stops a kind cluster of one node and keeps its data\n\
         handsctl cluster up starts it again\n\
         handsctl teardown deletes the application and keeps its volume; handsctl cluster down deletes the cluster with all data",
    ),
    (
        &["down"],
        "handsctl teardown deletes the application and keeps its volume\n\
         handsctl cluster down deletes the local cluster with all data",
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
        "handsctl config set KEY=VALUE changes config.toml, handsctl config edit opens it; handsctl deploy applies it",
    ),
    (
        &["scale", "autoscale"],
        "handsctl config set deploy.replicas=2, then handsctl deploy; several pods need a bucket and a database",
    ),
    (
        &["pause", "suspend", "hibernate"],
        "with Docker, docker stop CLUSTER_NAME-control-plane stops a kind cluster of one node and keeps its data\n\
         handsctl cluster up starts it again\n\
         kubectl scale deployment/NAME -n NAMESPACE --replicas=0 stops the application only; handsctl deploy --force-conflicts starts it",
    ),
    (
        &["export", "save", "cp", "copy", "dump", "snapshot"],
        "handsctl backup FILE writes the settings and conversations to one file; --snapshot takes a VolumeSnapshot instead",
    ),
    (
        &["import", "recover"],
        "handsctl restore FILE brings back the settings and conversations of a backup; handsctl rollback restores a configuration",
    ),
    (&["sandboxes", "conversations"], "handsctl sandbox list lists the sandboxes of conversations"),
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
        &["shell", "sh", "ssh", "bash", "attach"],
        "handsctl exec opens a shell in the application's pod; handsctl exec -- COMMAND runs a command there",
    ),
];

/// The commands that people type in a group, with those of the group that do the same.
const IN_GROUPS: &[(&str, Sentences)] = &[
    (
        "cluster",
        &[
            (&["ls", "get", "ps"], "handsctl cluster list lists the local clusters"),
            (
                &["create", "start", "resume", "unpause", "new", "add", "init"],
                "handsctl cluster up creates or starts the local cluster",
            ),
            (
                &["stop", "pause", "suspend"],
                "with Docker, docker stop CLUSTER_NAME-control-plane stops a kind cluster of one node and keeps its data\n\
                 handsctl cluster up starts it again",
            ),
            (
                &["delete", "destroy", "remove", "rm"],
                "handsctl cluster down deletes the local cluster with everything in it",
            ),
            (&["info", "describe", "show"], "handsctl cluster status shows the local cluster and its parts"),
            (
                &["recreate", "reset", "restart"],
                "handsctl cluster up --recreate deletes the cluster with everything in it if it differs, and creates it again",
            ),
        ],
    ),
    (
        "config",
        &[
            (&["view", "ls", "list", "print"], "handsctl config show prints every key with its value"),
            (&["validate", "lint", "verify", "test"], "handsctl config check reports every mistake"),
            (&["new", "create", "generate"], "handsctl config init writes a config.toml"),
            (
                &["unset", "delete", "remove", "rm"],
                "handsctl config set KEY= means that the key is not set: its default counts\n\
                 handsctl config edit opens the file",
            ),
            (&["describe", "doc", "docs"], "handsctl config explain KEY describes a key"),
        ],
    ),
    (
        "image",
        &[
            (
                &["push", "import", "build"],
                "handsctl image load puts an image of this computer onto the nodes",
            ),
            (&["prepull", "fetch", "download"], "handsctl image pull makes the nodes pull the images"),
        ],
    ),
];

/// Flags of other tools, by the commands of handsctl at which people type them.
const FLAGS: &[(&[&str], &[&str], &str)] = &[
    (
        &["up", "deploy", "diff", "render", "config check", "config show", "config set"],
        &["-f", "--file", "--filename", "--values"],
        "--config FILE names the config file",
    ),
    (&["cluster status"], &["-w", "--watch"], "watch handsctl cluster status repeats it"),
];

/// Commands of an installation, at which people type the name of an object: `logs deployment/openhands`.
const WITHOUT_NAMES: &[&str] = &["deploy", "diff", "status", "restart", "open", "teardown"];

/// Returns what an argument means that a command does not have.
pub(crate) fn meant_argument(command: &str, argument: &str) -> Option<&'static str> {
    let of_flag =
        FLAGS.iter().find(|(commands, flags, _)| commands.contains(&command) && flags.contains(&argument));
    if let Some((_, _, sentence)) = of_flag {
        return Some(*sentence);
    }
    if argument.starts_with('-') {
        return None;
    }
    if Path::new(argument).extension().is_some_and(|extension| extension == "toml") {
        return Some("--config FILE names the configuration");
    }
    WITHOUT_NAMES.contains(&command).then_some("--name NAME names the installation")
}

/// Whether a word is a group of commands.
pub(crate) fn is_group(word: &str) -> bool {
    IN_GROUPS.iter().any(|(group, _)| *group == word)
}

/// Returns what does in handsctl what a command of another tool does, at the top or in a group: one or more lines.
pub(crate) fn counterpart(group: Option<&str>, word: &str) -> Option<&'static str> {
    let sentences = match group {
        None => FOREIGN,
        Some(group) => IN_GROUPS.iter().find(|(name, _)| *name == group)?.1,
    };
    sentences.iter().find(|(words, _)| words.contains(&word)).map(|(_, sentence)| *sentence)
}

/// The names that stand for the placeholders of a suggested command.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Names<'a> {
    /// The installation's name.
    pub(crate) name: &'a str,
    /// Its namespace.
    pub(crate) namespace: &'a str,
    /// The local cluster.
    pub(crate) cluster: &'a str,
}

/// Replaces the placeholders of a suggested command of kubectl or of the engine.
pub(crate) fn with_names(text: &str, names: Names<'_>) -> String {
    // The longest first: the others are parts of it.
    text.replace("CLUSTER_NAME", names.cluster)
        .replace("NAMESPACE", names.namespace)
        .replace("NAME", names.name)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::cli::definition;

    const NAMES: Names<'_> = Names { name: "mine", namespace: "two", cluster: "hands" };

    #[test]
    fn stop_stops_before_it_deletes() {
        for (group, word) in [(None, "stop"), (None, "pause"), (Some("cluster"), "stop")] {
            let answer = with_names(counterpart(group, word).unwrap(), NAMES);
            let lines: Vec<&str> = answer.lines().collect();
            assert!(lines[0].starts_with("with Docker, docker stop hands-control-plane "), "{answer}");
            assert_eq!(lines[1], "handsctl cluster up starts it again");
            assert!(lines.iter().take(2).all(|line| !line.contains("delete")), "{answer}");
        }
        let down = counterpart(None, "down").unwrap();
        assert!(down.find("teardown") < down.find("cluster down"), "{down}");
        assert!(counterpart(None, "start").unwrap().starts_with("handsctl up starts"));
    }

    #[test]
    fn suggested_commands_name_the_installation() {
        let answer = |word: &str| with_names(counterpart(None, word).unwrap(), NAMES);
        assert!(answer("sandboxes").starts_with("handsctl sandbox list"));
        assert!(answer("suspend").contains("kubectl scale deployment/mine -n two "));
    }

    #[test]
    fn foreign_words_are_no_commands_and_stand_once() {
        let words: Vec<&str> = FOREIGN.iter().flat_map(|(words, _)| words.iter().copied()).collect();
        assert_eq!(words.iter().collect::<BTreeSet<_>>().len(), words.len());
        let own = definition();
        for word in words {
            assert!(own.find_subcommand(word).is_none(), "{word} is a command");
        }
        for (group, sentences) in IN_GROUPS {
            let own = own.find_subcommand(group).unwrap();
            let words = sentences.iter().flat_map(|(words, _)| words.iter().copied());
            let mut once = BTreeSet::new();
            for word in words {
                assert!(own.find_subcommand(word).is_none() && once.insert(word), "{group} {word}");
            }
        }
    }

    #[test]
    fn argument_of_another_tool_has_an_answer() {
        let answer = |command, argument| meant_argument(command, argument).unwrap_or_default();
        assert_eq!(answer("deploy", "-f"), "--config FILE names the config file");
        assert!(answer("cluster status", "--watch").starts_with("watch handsctl cluster status "));
        assert!(answer("restart", "openhands").contains("--name NAME"));
        assert_eq!((answer("restart", "--hard"), answer("config get", "x")), ("", ""));
        let own = definition();
        for command in FLAGS.iter().flat_map(|(commands, ..)| *commands).chain(WITHOUT_NAMES) {
            let found = command.split(' ').try_fold(&own, |parent, word| parent.find_subcommand(word));
            assert!(found.is_some(), "{command}");
        }
    }

    #[test]
    fn a_word_of_a_group_has_its_own_answer() {
        assert!(counterpart(Some("cluster"), "ls").unwrap().contains("cluster list"));
        assert!(counterpart(None, "ls").unwrap().contains("handsctl list"));
        assert_eq!(counterpart(Some("image"), "ps"), None);
    }

    #[test]
    fn counterparts_name_commands_that_exist() {
        let own = definition();
        let in_groups = IN_GROUPS.iter().flat_map(|(_, sentences)| sentences.iter());
        for (_, sentence) in FOREIGN.iter().chain(in_groups) {
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
