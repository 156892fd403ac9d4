//! The command lines of the documentation that need no cluster of their own, in their order, on a real API server.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use tempfile::TempDir;

use crate::bed::{Bed, HANDSCTL, Namespace, finish};
use crate::binary::documented::{Line, blocks, examples, home, script, shell, shell_blocks};

/// What a documented line does in these tests, if it is not run with exit code 0.
enum Outcome {
    /// It is run, and has this exit code.
    Exits(i32),
    /// It is run in a folder without a config.toml.
    WithoutConfig,
    /// It is not run here; handsctl accepts its words (`binary/documented.rs`).
    Parsed(&'static str),
}

use Outcome::{Exits, Parsed, WithoutConfig};

/// Lines that create or delete a local cluster: `cluster` in `api_server/state.rs` and `containers/kind.rs` runs them.
const LOCAL_CLUSTER: Outcome = Parsed("it changes a local cluster");
/// `api_server/terminal.rs` and `containers/kind.rs` run `open`.
const FOLLOWS: Outcome = Parsed("it runs until somebody ends it");

const ENGINE: Outcome = Parsed("it needs a container engine");
/// `api_server/status_views.rs` runs it.
const OF_ALL_TESTS: Outcome = Parsed("its exit code is that of the worst installation of all tests");
const NO_LOCAL_CLUSTER: Outcome = Exits(12);
const DIFFERENCES: Outcome = Exits(1);
/// On simulated nodes no container writes a log.
const SIMULATED: Outcome = Exits(14);
/// A simulated application has no files that a backup could contain.
const NO_FILE: Outcome = Exits(14);
/// No driver has made the volume of a simulated node. `api_server/snapshots.rs` takes and restores snapshots.
const NO_DRIVER: Outcome = Exits(14);
/// The deletion of data needs a terminal, or `--yes`.
const UNCONFIRMED: Outcome = Exits(2);
const NO_CONVERSATION: Outcome = Exits(2);
/// OpenHands 0.45 to 1.6 has no login.
const NO_KEY: Outcome = Exits(2);
/// The installation has no workload but the application.
const NO_WORKLOAD: Outcome = Exits(2);

const README: &[(&str, Outcome)] = &[
    ("handsctl up", LOCAL_CLUSTER),
    ("handsctl open", FOLLOWS),
    ("handsctl logs -f --since 10m", FOLLOWS),
    ("handsctl logs app sandbox --level warning --merge", SIMULATED),
    ("handsctl logs deployment/db --grep ERROR -o json", NO_WORKLOAD),
    ("handsctl backup before.tar.gz", SIMULATED),
    ("handsctl restore before.tar.gz", NO_FILE),
    ("handsctl backup --snapshot", NO_DRIVER),
    ("handsctl exec", SIMULATED),
    ("handsctl sandbox exec 0f1c2d3e", NO_CONVERSATION),
    ("handsctl status -w", FOLLOWS),
    ("handsctl status -A", OF_ALL_TESTS),
    ("handsctl config init", WithoutConfig),
    ("handsctl image load acme/runtime:dev", ENGINE),
    ("handsctl cluster up --recreate", LOCAL_CLUSTER),
    ("handsctl cluster status", NO_LOCAL_CLUSTER),
    ("handsctl cluster down trial", LOCAL_CLUSTER),
];
const EXAMPLES: &[(&str, Outcome)] = &[
    ("handsctl up", LOCAL_CLUSTER),
    ("handsctl up --config team.toml --set cluster.name=trial", LOCAL_CLUSTER),
    ("handsctl up --timeout 5m -o json", LOCAL_CLUSTER),
    ("handsctl open", FOLLOWS),
    ("handsctl open --forward --port 3000", FOLLOWS),
    ("handsctl logs -f", FOLLOWS),
    ("handsctl status --watch", FOLLOWS),
    ("handsctl status --all-namespaces", OF_ALL_TESTS),
    ("handsctl dev -- make run", Parsed("it needs mirrord")),
    ("handsctl dev -- kubectl get pods", Parsed("it needs mirrord")),
    ("handsctl cluster up", LOCAL_CLUSTER),
    ("handsctl cluster up trial", LOCAL_CLUSTER),
    ("handsctl cluster up --recreate --yes", LOCAL_CLUSTER),
    ("handsctl cluster down --yes", LOCAL_CLUSTER),
    ("handsctl cluster down trial", LOCAL_CLUSTER),
    ("handsctl cluster status", NO_LOCAL_CLUSTER),
    ("handsctl cluster status trial", NO_LOCAL_CLUSTER),
    ("handsctl cluster status -o json | jq .condition", NO_LOCAL_CLUSTER),
    ("handsctl restart --rotate-key", NO_KEY),
    ("handsctl diff --revision 5", DIFFERENCES),
    ("handsctl render | kubectl diff --server-side --field-manager=handsctl -f -", DIFFERENCES),
    ("handsctl logs -f app sandbox --level warning", FOLLOWS),
    ("handsctl logs deployment/postgres --since 10m --tail 100", NO_WORKLOAD),
    ("handsctl logs --since-deploy --merge --with-events", SIMULATED),
    ("handsctl logs --grep 'conversation [0-9a-f]+' -o json", SIMULATED),
    ("handsctl logs --previous", SIMULATED),
    ("handsctl backup", SIMULATED),
    ("handsctl backup before-upgrade.tar.gz --stop", SIMULATED),
    ("handsctl backup - > copy.tar.gz", SIMULATED),
    ("handsctl backup --snapshot --stop", NO_DRIVER),
    ("handsctl restore openhands.tar.gz --dry-run", NO_FILE),
    ("handsctl restore openhands.tar.gz", NO_FILE),
    ("handsctl restore openhands.tar.gz --delete-data --yes", NO_FILE),
    ("handsctl restore --snapshot openhands-state-20261130-090000 --delete-data", UNCONFIRMED),
    ("handsctl exec", SIMULATED),
    ("handsctl exec -- ls -l /.openhands", SIMULATED),
    ("echo id | handsctl exec -i -- sh", SIMULATED),
    ("handsctl sandbox logs 0f1c2d3e", NO_CONVERSATION),
    ("handsctl sandbox logs 0f1c2d3e -f --tail 100", NO_CONVERSATION),
    ("handsctl sandbox describe 0f1c2d3e", NO_CONVERSATION),
    ("handsctl sandbox describe 0f1c2d3e -o json | jq .pod.conditions", NO_CONVERSATION),
    ("handsctl sandbox exec 0f1c2d3e", NO_CONVERSATION),
    ("handsctl sandbox exec 0f1c2d3e -- ls -l /workspace", NO_CONVERSATION),
    // The host of README's configuration does not exist.
    ("handsctl open --no-forward --no-browser", Exits(12)),
    ("handsctl open --key", Exits(2)),
    ("handsctl config init", WithoutConfig),
    ("handsctl config init --yes", WithoutConfig),
    ("handsctl image load", ENGINE),
    ("handsctl image load acme/openhands:0.59 acme/runtime:dev", ENGINE),
];

/// An installation for documented lines, its home and its programs.
struct Reader {
    namespace: Namespace,
    home: TempDir,
    kubeconfig: PathBuf,
}

impl Reader {
    /// Deploys five revisions of README's configuration to the context `prod`.
    fn new(test: &str) -> Self {
        let (namespace, home) = (Bed::shared().namespace(test), home());
        let bin = home.path().join("bin");
        std::os::unix::fs::symlink(HANDSCTL, bin.join("handsctl")).unwrap();
        let kubectl = namespace.bed.kubectl_command(&[]);
        let kubectl = format!("#!/bin/sh\nexec '{}' \"$@\"\n", kubectl.get_program().to_str().unwrap());
        script(&bin.join("kubectl"), &kubectl);
        let kubeconfig = home.path().join("kubeconfig");
        std::fs::copy(&namespace.bed.kubeconfig, &kubeconfig).unwrap();
        let mut rename = namespace.bed.kubectl_command(&["config", "rename-context"]);
        // The last of two flags holds.
        rename.args([&namespace.bed.context, "prod", "--kubeconfig"]).arg(&kubeconfig);
        assert!(rename.output().unwrap().status.success());
        std::fs::write(home.path().join("config.toml"), &blocks("README.md", "toml")[0]).unwrap();
        // Files that examples name.
        for name in ["base.toml", "prod.toml"] {
            std::fs::copy(home.path().join("config.toml"), home.path().join(name)).unwrap();
        }
        let reader = Self { namespace, home, kubeconfig };
        for revision in 1..=5 {
            let text = format!("handsctl deploy --set 'deploy.env={{ N = \"{revision}\" }}'");
            let line = Line { origin: "a test".to_owned(), text };
            finish(reader.command(&line).spawn().unwrap()).exits(0);
        }
        reader
    }

    /// A line as a reader of the documentation types it. The environment chooses cluster and namespace.
    fn command(&self, line: &Line) -> Command {
        let mut bash = shell(self.home.path(), line);
        bash.env("KUBECONFIG", &self.kubeconfig).env("NO_COLOR", "1").env("EDITOR", "true");
        bash.env("LLM_API_KEY", "sk-documented").env("OPENAI_API_KEY", "sk-documented");
        let path = [self.home.path().join("bin"), "/usr/bin".into(), "/bin".into()];
        bash.env("PATH", std::env::join_paths(path).unwrap());
        bash.env("HANDSCTL_DEPLOY__NAMESPACE", &self.namespace.name);
        // Every namespace of the shared cluster would have the default host, and `doctor` warns of that.
        bash.env("HANDSCTL_DEPLOY__HOST", format!("{}.localhost", self.namespace.name));
        // Examples of `history` and `rollback` name the revisions 3 and 5.
        bash.env("HANDSCTL_DEPLOY__REVISION_HISTORY", "20");
        bash.env("HANDSCTL_CLUSTER__CONTEXT", "prod");
        bash.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        bash
    }

    /// Runs the lines. Panics with every line that ended with another exit code.
    fn follow(&self, lines: &[Line], outcomes: &[(&str, Outcome)]) {
        let known: BTreeSet<&str> = lines.iter().map(|line| line.text.as_str()).collect();
        let stale: Vec<&str> =
            outcomes.iter().map(|(text, _)| *text).filter(|text| !known.contains(text)).collect();
        assert_eq!(stale, Vec::<&str>::new(), "no documentation has these lines");
        let mut wrong = Vec::new();
        for line in lines {
            let mut command = self.command(line);
            let empty = TempDir::new().unwrap();
            let expected = match outcomes.iter().find(|(text, _)| *text == line.text) {
                None => 0,
                Some((_, Exits(code))) => *code,
                Some((_, WithoutConfig)) => {
                    command.current_dir(&empty);
                    0
                }
                Some((_, Parsed(why))) => {
                    eprintln!("not run, {why}: {}", line.text);
                    continue;
                }
            };
            let run = finish(command.spawn().unwrap());
            if run.code != Some(expected) {
                wrong.push(format!("{}: {}\n{:?}: {}", line.origin, line.text, run.code, run.stderr));
            }
        }
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    }
}

impl Drop for Reader {
    /// Deletes what `rbac | kubectl apply` creates outside of the namespace.
    fn drop(&mut self) {
        let (bed, name) = (self.namespace.bed, &self.namespace.name);
        let role = format!("{name}-openhands-deployer");
        for (kind, name) in [
            ("namespace", &format!("{name}-deployer")),
            ("clusterrole", &role),
            ("clusterrolebinding", &role),
        ] {
            let _already_deleted =
                bed.try_kubectl(&["delete", kind, name, "--ignore-not-found", "--wait=false"], "");
        }
    }
}

#[test]
fn lines_of_the_readme_run_in_their_order() {
    Reader::new("readme").follow(&shell_blocks("README.md"), README);
}

#[test]
fn examples_of_help_run() {
    let mut lines = examples();
    // A rollback replaces revisions that other examples name, and nothing works after a teardown.
    lines.sort_by_key(|line| (line.text.contains("teardown"), line.text.contains("rollback")));
    Reader::new("examples").follow(&lines, EXAMPLES);
}
