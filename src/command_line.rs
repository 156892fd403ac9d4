//! The global flags of the command line: which command uses which, and how a suggested command repeats them. Pure.

use std::ffi::OsStr;
use std::path::Path;

use crate::flags::{Global, ProgramName};

/// A global flag that only some commands use. The flags of the output (`--color`, `-q`, `-v`) fit every command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum GlobalFlag {
    /// `--config`.
    Config,
    /// `--set`.
    Set,
    /// `--namespace`.
    Namespace,
    /// `--name`.
    Name,
    /// `--context`.
    Context,
    /// `--kubeconfig`.
    Kubeconfig,
    /// `--in-cluster`.
    InCluster,
    /// `--events`.
    Events,
    /// `--junit`.
    Junit,
    /// `--yes`.
    Yes,
    /// `--evidence`.
    Evidence,
    /// `--report`.
    Report,
}

impl GlobalFlag {
    /// All flags, in the order of the enum.
    pub(crate) const ALL: &'static [Self] = &[
        Self::Config,
        Self::Set,
        Self::Namespace,
        Self::Name,
        Self::Context,
        Self::Kubeconfig,
        Self::InCluster,
        Self::Events,
        Self::Junit,
        Self::Yes,
        Self::Evidence,
        Self::Report,
    ];

    /// Returns the flags from the first one to this one, in the order of [`Self::ALL`]: each kind of command uses those of a
    /// simpler kind, and some more.
    const fn through(last: Self) -> &'static [Self] {
        Self::ALL.split_at(last as usize + 1).0
    }

    /// Returns clap's id of the flag.
    pub(crate) const fn id(self) -> &'static str {
        match self {
            Self::Config => "config",
            Self::Set => "set",
            Self::Namespace => "namespace",
            Self::Name => "name",
            Self::Context => "context",
            Self::Kubeconfig => "kubeconfig",
            Self::InCluster => "in_cluster",
            Self::Events => "events",
            Self::Junit => "junit",
            Self::Evidence => "evidence",
            Self::Report => "report",
            Self::Yes => "yes",
        }
    }

    /// Returns the forms in which the flag is typed, the preferred one first.
    pub(crate) const fn forms(self) -> &'static [&'static str] {
        match self {
            Self::Config => &["--config"],
            Self::Set => &["--set"],
            Self::Namespace => &["-n", "--namespace"],
            Self::Name => &["--name"],
            Self::Context => &["--context"],
            Self::Kubeconfig => &["--kubeconfig"],
            Self::InCluster => &["--in-cluster"],
            Self::Events => &["--events"],
            Self::Junit => &["--junit"],
            Self::Evidence => &["--evidence"],
            Self::Report => &["--report"],
            Self::Yes => &["-y", "--yes"],
        }
    }
}

impl GlobalFlag {
    /// Whether a word is the flag, with or without its value: `-n`, `-ntwo`, `--namespace=two`.
    fn is_typed_as(self, word: &str) -> bool {
        let has_form = |form: &&str| match word.strip_prefix(*form) {
            Some(rest) if form.starts_with("--") => rest.is_empty() || rest.starts_with('='),
            Some(_) => true,
            None => false,
        };
        self.forms().iter().any(has_form)
    }
}

/// No global flag.
const NONE: &[GlobalFlag] = &[];
/// The flags of a command that reads the configuration only.
const SETTINGS: &[GlobalFlag] = GlobalFlag::through(GlobalFlag::Name);
/// The flags of a command that reads the configuration as it applies to the chosen cluster.
const FOR_CLUSTER: &[GlobalFlag] = GlobalFlag::through(GlobalFlag::Context);
/// The flags of a command that reads from a cluster.
const READ: &[GlobalFlag] = GlobalFlag::through(GlobalFlag::InCluster);
/// The flags of `history`: it writes the page of a kept revision.
const HISTORY: &[GlobalFlag] = &[
    GlobalFlag::Config,
    GlobalFlag::Set,
    GlobalFlag::Namespace,
    GlobalFlag::Name,
    GlobalFlag::Context,
    GlobalFlag::Kubeconfig,
    GlobalFlag::InCluster,
    GlobalFlag::Events,
    GlobalFlag::Report,
];
/// The flags of a command that reports events and has no other files: it follows until Ctrl-C, or reads.
const FOLLOW: &[GlobalFlag] = GlobalFlag::through(GlobalFlag::Events);
/// The flags of a command that reads from a cluster and reports a result.
const OBSERVE: &[GlobalFlag] = GlobalFlag::through(GlobalFlag::Junit);
/// The flags of a command that ends with a rollout, or follows a pod.
const ROLLOUT: &[GlobalFlag] = GlobalFlag::ALL;
/// The flags of another command that changes a cluster.
const CHANGE: &[GlobalFlag] = GlobalFlag::through(GlobalFlag::Yes);
/// The flags of a command that changes the local cluster: its configuration names it.
const LOCAL: &[GlobalFlag] = &[
    GlobalFlag::Config,
    GlobalFlag::Set,
    GlobalFlag::Kubeconfig,
    GlobalFlag::Events,
    GlobalFlag::Junit,
    GlobalFlag::Yes,
];
/// The flags of a command that checks the configuration.
const CHECK: &[GlobalFlag] = &[
    GlobalFlag::Config,
    GlobalFlag::Set,
    GlobalFlag::Namespace,
    GlobalFlag::Name,
    GlobalFlag::Events,
    GlobalFlag::Junit,
];

/// The global flags that each command uses. The first word, or the first two, are the command.
const USES: &[(&str, &[GlobalFlag])] = &[
    ("up", ROLLOUT),
    ("cluster up", LOCAL),
    ("cluster down", LOCAL),
    ("cluster status", &[GlobalFlag::Config, GlobalFlag::Set]),
    ("cluster list", NONE),
    ("deploy", ROLLOUT),
    ("diff", OBSERVE),
    ("status", OBSERVE),
    ("doctor", OBSERVE),
    ("logs", FOLLOW),
    ("exec", FOLLOW),
    ("open", FOLLOW),
    ("rollback", ROLLOUT),
    ("history", HISTORY),
    ("history diff", FOLLOW),
    (
        "list",
        &[
            GlobalFlag::Config,
            GlobalFlag::Set,
            GlobalFlag::Namespace,
            GlobalFlag::Context,
            GlobalFlag::Kubeconfig,
            GlobalFlag::InCluster,
            GlobalFlag::Events,
        ],
    ),
    ("restart", ROLLOUT),
    ("backup", CHANGE),
    ("restore", CHANGE),
    ("image load", CHANGE),
    ("image pull", ROLLOUT),
    ("teardown", CHANGE),
    ("render", FOR_CLUSTER),
    ("rbac", SETTINGS),
    ("dev", FOLLOW),
    ("config init", &[GlobalFlag::Yes]),
    ("config set", &[GlobalFlag::Config]),
    ("config get", FOR_CLUSTER),
    ("config edit", &[GlobalFlag::Config]),
    ("config check", CHECK),
    ("config show", FOR_CLUSTER),
    ("config explain", NONE),
    ("config schema", NONE),
    ("explain", NONE),
    ("schema", NONE),
    ("version", READ),
    ("completion", NONE),
    ("man", NONE),
    ("options", NONE),
];

/// Returns the global flags that a command uses; None: there is no command of these words.
pub(crate) fn used_flags(command: &str) -> Option<&'static [GlobalFlag]> {
    USES.iter().find(|(name, _)| *name == command).map(|(_, flags)| *flags)
}

/// Keys whose `--set` a suggested command repeats: they choose the set and the cluster.
const TARGET_KEYS: &[&str] = &["deploy.name", "deploy.namespace", "cluster."];

/// The flags that suggested commands repeat, so that they work on the same set and cluster.
#[derive(Debug, Clone, Default)]
pub(crate) struct RepeatedFlags {
    /// Each flag with its text: `-n two`.
    flags: Vec<(GlobalFlag, String)>,
    /// The name of the local cluster, which the commands of the group `cluster` take as an argument.
    cluster: Option<String>,
    /// The name under which the program was called.
    program: ProgramName,
    /// The command to repeat where a text suggests a deploy with a flag of ownership.
    again: Option<String>,
    /// The flags of kubectl, which reads no config.toml: the context that the command uses, and the kubeconfig.
    kubectl: String,
}

impl RepeatedFlags {
    /// Collects the flags of this command line that choose the set and the cluster, and the context that the command has
    /// chosen until now.
    pub(crate) fn new(global: &Global) -> Self {
        let files = global.config.iter().map(|file| (GlobalFlag::Config, file.display().to_string()));
        let is_target = |text: &&String| TARGET_KEYS.iter().any(|key| text.trim_start().starts_with(key));
        let set = global.set.iter().filter(is_target).map(|text| (GlobalFlag::Set, text.clone()));
        let one = |flag, value: &Option<String>| value.clone().map(|value| (flag, value));
        let kubeconfig = global.kubeconfig.as_ref().map(|file| file.display().to_string());
        let with_value = files.chain(set).chain(one(GlobalFlag::Namespace, &global.namespace));
        let with_value = with_value
            .chain(one(GlobalFlag::Name, &global.name))
            .chain(one(GlobalFlag::Context, &global.context))
            .chain(one(GlobalFlag::Kubeconfig, &kubeconfig));
        let with_value =
            with_value.map(|(flag, value)| (flag, format!("{} {}", flag.forms()[0], quoted(&value))));
        let context = global.chosen_context.get().or(global.context.as_ref()).cloned();
        let kubectl =
            one(GlobalFlag::Context, &context).into_iter().chain(one(GlobalFlag::Kubeconfig, &kubeconfig));
        let kubectl = kubectl
            .fold(String::new(), |all, (flag, value)| all + flag.forms()[0] + " " + &quoted(&value) + " ");
        let in_cluster =
            global.in_cluster.then(|| (GlobalFlag::InCluster, GlobalFlag::InCluster.forms()[0].to_owned()));
        let flags = with_value.chain(in_cluster).collect();
        let (cluster, again) = (global.cluster.clone(), global.again.clone());
        Self { flags, cluster, program: global.program, again, kubectl }
    }

    /// Adds the flags to every command of handsctl in a text: `handsctl logs -f` becomes `handsctl logs -n two -f`.
    /// A flag that the command does not use, or has already, is not added. The plugin of kubectl is named as it was called.
    pub(crate) fn insert_into(&self, text: &str) -> String {
        let text = self.with_command(&self.with_cluster_of_kubectl(text));
        let mut result = String::with_capacity(text.len());
        let mut rest = text.as_str();
        while let Some(at) = rest.find(PROGRAM) {
            let (before, after) = rest.split_at(at + PROGRAM.len());
            result.push_str(before);
            rest = after;
            if let Some((command, uses)) = command_at_start(after) {
                let (words, following) = after.split_at(command.len());
                result.push_str(words);
                result.push_str(&self.for_command(command, uses, following));
                rest = following;
            }
        }
        result.push_str(rest);
        if self.program == ProgramName::Plugin { as_plugin(&result) } else { result }
    }

    /// Repeats the typed command in every suggested deploy with a flag of ownership: `handsctl deploy --adopt` becomes
    /// `handsctl rollback --to 3 --adopt`. A typed flag of ownership stays, so that one suggestion does not undo another.
    fn with_command(&self, text: &str) -> String {
        let Some(again) = &self.again else { return text.to_owned() };
        let mut parts = text.split(DEPLOY_WITH_FLAG);
        let first = parts.next().unwrap_or_default().to_owned();
        parts.fold(first, |all, rest| {
            let line = format!("--{}", rest.split(['\n', ';']).next().unwrap_or_default());
            let flags: Vec<&str> = line.split_whitespace().collect();
            if !flags.first().is_some_and(|flag| OWNERSHIP_FLAGS.contains(flag)) {
                return all + DEPLOY_WITH_FLAG + rest;
            }
            let words = again.split(' ').filter(|word| !flags.contains(word));
            let command = words.fold(PROGRAM.to_owned(), |command, word| command + word + " ");
            all + &command + "--" + rest
        })
    }

    /// Adds the flags that choose the cluster to every command of kubectl in a text: `kubectl delete lease oh` becomes
    /// `kubectl --context prod delete lease oh`.
    fn with_cluster_of_kubectl(&self, text: &str) -> String {
        KUBECTL_VERBS.iter().fold(text.to_owned(), |text, verb| {
            text.replace(&format!("kubectl {verb} "), &format!("kubectl {}{verb} ", self.kubectl))
        })
    }

    /// Returns the flags of one suggested command, each after a space.
    fn for_command(&self, command: &str, uses: &[GlobalFlag], following: &str) -> String {
        // The flags of another command, behind a semicolon or on another line, are not those of this one.
        let own = following.split(['\n', ';']).next().unwrap_or_default();
        let has = |flag: GlobalFlag| own.split_whitespace().any(|word| flag.is_typed_as(word));
        // `--set` can be repeated: only one for the same key is left out.
        let is_set = |text: &str| {
            let key =
                text.trim_start_matches("--set ").trim_matches('\'').split('=').next().unwrap_or_default();
            own.contains(&format!("--set {}=", key.trim()))
        };
        // `handsctl cluster down trial` names another cluster.
        let name = own.strip_prefix(' ').unwrap_or_default();
        let names_cluster = name.starts_with(char::is_alphanumeric) && !name.contains(' ');
        let takes_name = command.starts_with("cluster ") && command != "cluster list" && !names_cluster;
        let cluster = self.cluster.iter().filter(|_| takes_name).map(String::as_str);
        // A command outside of the group gets the cluster's name by its key.
        let takes_key = uses.contains(&GlobalFlag::Set) && !command.starts_with("cluster ");
        let key =
            self.cluster.as_ref().filter(|_| takes_key).map(|name| quoted(&format!("cluster.name={name}")));
        let key = key.map(|key| format!("--set {key}"));
        let flags = self.flags.iter().filter(|(flag, text)| {
            uses.contains(flag) && if *flag == GlobalFlag::Set { !is_set(text) } else { !has(*flag) }
        });
        let flags = cluster.chain(key.as_deref()).chain(flags.map(|(_, text)| text.as_str()));
        flags.fold(String::new(), |all, text| all + " " + text)
    }
}

/// The verbs of kubectl in suggested commands.
const KUBECTL_VERBS: &[&str] = &[
    "annotate", "apply", "auth", "cp", "create", "delete", "describe", "edit", "exec", "get", "label",
    "logs", "patch", "rollout", "scale", "uncordon", "wait",
];

/// The program in a suggested command.
const PROGRAM: &str = "handsctl ";

/// The beginning of a suggested deploy with a flag.
const DEPLOY_WITH_FLAG: &str = "handsctl deploy --";

/// The flags that decide about what belongs to others.
pub(crate) const OWNERSHIP_FLAGS: [&str; 2] = ["--adopt", "--force-conflicts"];

/// The name of the program as a plugin of kubectl.
const PLUGIN: &str = "kubectl hands ";

/// The words that follow the program in texts and are no commands of their own: groups, clap's commands and placeholders.
const OTHER_WORDS: &[&str] = &["cluster", "config", "image", "help", "COMMAND", "[OPTIONS]", "-"];

/// Returns the name under which the program was called. `word` is the first one of the command line.
pub(crate) fn program(word: &OsStr) -> ProgramName {
    let file = Path::new(word).file_name().unwrap_or_default();
    match file.to_str() {
        Some(name) if name.starts_with("kubectl-hands") => ProgramName::Plugin,
        _ => ProgramName::Handsctl,
    }
}

/// Names the plugin of kubectl in every command of a text: `handsctl deploy` becomes `kubectl hands deploy`. The name
/// stays where it is that of the product.
pub(crate) fn as_plugin(text: &str) -> String {
    let mut parts = text.split(PROGRAM);
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |all, rest| {
        let is_command =
            command_at_start(rest).is_some() || OTHER_WORDS.iter().any(|word| rest.starts_with(word));
        all + if is_command { PLUGIN } else { PROGRAM } + rest
    })
}

/// Returns the command that a text begins with, and its flags. A longer word that begins like it is no command.
fn command_at_start(text: &str) -> Option<(&'static str, &'static [GlobalFlag])> {
    let ends_there = |rest: &str| {
        !rest.starts_with(|next: char| next.is_alphanumeric() || matches!(next, '-' | '_' | '.'))
    };
    let matching = USES.iter().filter(|(command, _)| text.strip_prefix(command).is_some_and(ends_there));
    matching.map(|(command, flags)| (*command, *flags)).next()
}

/// Returns the command line without `--dry-run`, as text to copy. `mask` hides secrets in the text of a `--set`.
pub(crate) fn without_dry_run(words: &[String], mask: impl Fn(&str) -> String) -> String {
    let mut line = PROGRAM.trim_end().to_owned();
    let mut is_set = false;
    for word in words {
        if word == "--dry-run" || word.starts_with("--dry-run=") {
            continue;
        }
        let word = match word.strip_prefix("--set=") {
            Some(text) => format!("--set={}", mask(text)),
            None if is_set => mask(word),
            None => word.clone(),
        };
        is_set = word == "--set";
        line = line + " " + &quoted(&word);
    }
    line
}

/// Whether a word is not empty and has no character that a shell or a terminal would execute.
pub(crate) fn is_plain_word(word: &str) -> bool {
    let is_plain = |character: char| character.is_ascii_alphanumeric() || "-_./:=,@%+".contains(character);
    !word.is_empty() && word.chars().all(is_plain)
}

/// Quotes a word for a POSIX shell if it needs quotes.
pub(crate) fn quoted(word: &str) -> String {
    if is_plain_word(word) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;

    #[derive(clap::Parser)]
    struct Flags {
        #[command(flatten)]
        global: Global,
    }

    fn repeated(words: &[&str], cluster: Option<&str>) -> RepeatedFlags {
        let mut global = Flags::parse_from(["handsctl"].iter().chain(words)).global;
        global.cluster = cluster.map(str::to_owned);
        RepeatedFlags::new(&global)
    }

    #[test]
    fn flags_are_listed_in_the_order_of_the_enum() {
        for (index, flag) in GlobalFlag::ALL.iter().enumerate() {
            assert_eq!(*flag as usize, index, "{flag:?}");
        }
    }

    #[test]
    fn suggested_commands_repeat_the_typed_target() {
        let typed = ["-n", "two", "--name", "foo", "--context", "prod", "--config", "my files/base.toml"];
        let flags = repeated(&typed, None);
        let all = "--config 'my files/base.toml' -n two --name foo --context prod";
        assert_eq!(flags.insert_into("handsctl logs -f"), format!("handsctl logs {all} -f"));
        assert_eq!(
            flags.insert_into("handsctl teardown            (keeps the volume)"),
            format!("handsctl teardown {all}            (keeps the volume)")
        );
        assert_eq!(
            flags.insert_into("`handsctl history` lists them; handsctl rollback --to 3 chooses one"),
            format!("`handsctl history {all}` lists them; handsctl rollback {all} --to 3 chooses one")
        );
    }

    #[test]
    fn suggested_key_leaves_the_typed_ones() {
        let flags = repeated(&["--set", "cluster.name=trial", "--set", "cluster.http_port=80"], None);
        assert_eq!(
            flags.insert_into("handsctl up --set cluster.http_port=8080 uses another port"),
            "handsctl up --set cluster.name=trial --set cluster.http_port=8080 uses another port"
        );
    }

    #[test]
    fn suggested_kubectl_command_names_the_cluster() {
        let flags = repeated(&["-n", "two", "--context", "prod", "--kubeconfig", "k.yaml"], None);
        assert_eq!(
            flags.insert_into("hint: kubectl delete lease oh -n two, or kubectl-hands, kubectl"),
            "hint: kubectl --context prod --kubeconfig k.yaml delete lease oh -n two, or kubectl-hands, kubectl"
        );
        let unnamed = repeated(&["-n", "two"], None);
        assert_eq!(unnamed.insert_into("kubectl get pods -n two"), "kubectl get pods -n two");
    }

    #[test]
    fn kubectl_gets_the_context_of_config_toml_and_handsctl_none() {
        let global = Flags::parse_from(["handsctl", "-n", "two"]).global;
        global.chosen_context.set("prod eu".to_owned()).unwrap();
        let flags = RepeatedFlags::new(&global);
        let text = "kubectl get pods -n two; kubectl config use-context NAME; handsctl status";
        let inserted = "kubectl --context 'prod eu' get pods -n two; kubectl config use-context NAME; handsctl status -n two";
        assert_eq!(flags.insert_into(text), inserted);
        assert_eq!(flags.insert_into(inserted), inserted, "inserted once");
        assert_eq!(
            flags.insert_into("handsctl deploy; handsctl history -n two\nhandsctl status -n two"),
            "handsctl deploy -n two; handsctl history -n two\nhandsctl status -n two"
        );
    }

    #[test]
    fn suggested_ownership_flag_repeats_the_typed_command() {
        let flags = |again: &str| {
            let mut global = Flags::parse_from(["handsctl", "-n", "two"]).global;
            global.again = Some(again.to_owned());
            RepeatedFlags::new(&global)
        };
        let [adopt, force] =
            ["handsctl deploy --adopt adopts it", "overwrite: handsctl deploy --force-conflicts"];
        let rollback = flags("rollback --to 3 --adopt");
        let text = "overwrite: handsctl rollback -n two --to 3 --adopt --force-conflicts";
        assert_eq!(rollback.insert_into(force), text);
        assert_eq!(rollback.insert_into(text), text, "inserted once");
        assert_eq!(flags("up").insert_into(adopt), "handsctl up -n two --adopt adopts it");
        let deploy = flags("deploy --adopt");
        let text = "overwrite: handsctl deploy -n two --adopt --force-conflicts";
        assert_eq!(deploy.insert_into(force), text);
        assert_eq!(deploy.insert_into(text), text, "inserted once");
        let other = "handsctl deploy --delete-data continues";
        assert_eq!(flags("up").insert_into(other), "handsctl deploy -n two --delete-data continues");
    }

    #[test]
    fn suggested_command_gets_only_flags_that_it_uses() {
        let flags = repeated(&["-n", "two", "--context", "prod", "--in-cluster"], None);
        for text in [
            "handsctl explain HC4103",
            "handsctl cluster up --recreate",
            "handsctl did not create this cluster",
            "handsctl deploys it as before",
            "this handsctl",
        ] {
            assert_eq!(flags.insert_into(text), text);
        }
        assert_eq!(flags.insert_into("handsctl rbac"), "handsctl rbac -n two");
        assert_eq!(
            flags.insert_into("handsctl deploy --context other deploys there"),
            "handsctl deploy -n two --in-cluster --context other deploys there"
        );
    }

    #[test]
    fn only_a_set_key_of_the_target_is_repeated() {
        let typed = ["--set", "llm.api_key='sk-planted'", "--set", "deploy.namespace=\"two\""];
        assert_eq!(
            repeated(&typed, None).insert_into("handsctl status"),
            "handsctl status --set 'deploy.namespace=\"two\"'"
        );
    }

    #[test]
    fn cluster_commands_repeat_the_cluster_name() {
        let flags = repeated(&["--config", "a.toml"], Some("trial"));
        assert_eq!(flags.insert_into("handsctl cluster up"), "handsctl cluster up trial --config a.toml");
        assert_eq!(flags.insert_into("handsctl up"), "handsctl up --set cluster.name=trial --config a.toml");
        let other = "it is of other: handsctl cluster down other";
        assert_eq!(flags.insert_into(other), other.replace("down", "down --config a.toml"));
    }

    #[test]
    fn plugin_of_kubectl_is_named_in_commands_only() {
        for word in ["/usr/bin/kubectl-hands", "kubectl-hands.exe"] {
            assert_eq!(program(OsStr::new(word)), ProgramName::Plugin);
        }
        assert_eq!(program(OsStr::new("handsctl")), ProgramName::Handsctl);
        let mut global = Flags::parse_from(["handsctl", "-n", "two"]).global;
        global.program = ProgramName::Plugin;
        let flags = RepeatedFlags::new(&global);
        let text = "handsctl did not create it; `handsctl status` shows it\nhandsctl COMMAND --help";
        let named = "handsctl did not create it; `kubectl hands status -n two` shows it\nkubectl hands COMMAND --help";
        assert_eq!(flags.insert_into(text), named);
        assert_eq!(flags.insert_into(named), named, "named once");
    }

    #[test]
    fn dry_run_is_applied_by_the_same_words() {
        let words = ["--dry-run=server", "deploy", "-n", "two", "--set", "deploy.host=\"a b\"", "--dry-run"];
        let words: Vec<String> = words.map(str::to_owned).to_vec();
        let line = "handsctl deploy -n two --set 'deploy.host=\"a b\"'";
        assert_eq!(without_dry_run(&words, str::to_owned), line);
        assert_eq!(repeated(&["--namespace=two"], None).insert_into(line), line);
    }

    #[test]
    fn secret_in_a_set_is_masked() {
        let mask = |text: &str| text.replace("sk-planted", "**");
        for words in
            [&["deploy", "--set", "llm.api_key=sk-planted"][..], &["deploy", "--set=llm.api_key=sk-planted"]]
        {
            let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
            let line = without_dry_run(&words, mask);
            assert!(line.ends_with("llm.api_key=**'"), "{line}");
        }
    }

    #[test]
    fn quotes_survive_a_shell() {
        assert_eq!(quoted("it's"), r"'it'\''s'");
        assert_eq!(quoted(""), "''");
        assert_eq!(quoted("a/b-c.toml"), "a/b-c.toml");
    }
}
