//! How handsctl reaches people: the archives of a release, the manifest of `kubectl hands`, the GitHub Action and the
//! GitLab component. The scripts of all of them run here, on a release in a folder.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use handsctl::object::yaml;
use serde_json::Value;
use tempfile::TempDir;

use crate::bed::HANDSCTL;

const VERSION: &str = env!("CARGO_PKG_VERSION");
const TARGETS: [&str; 4] =
    ["aarch64-apple-darwin", "aarch64-unknown-linux-gnu", "x86_64-apple-darwin", "x86_64-unknown-linux-gnu"];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn text(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn document(path: &str) -> Value {
    yaml::read(&text(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The two documents of the GitLab component: its inputs and its job.
fn component() -> [Value; 2] {
    let text = text(".gitlab/handsctl.yml");
    let (inputs, job) = text.split_once("\n---\n").unwrap();
    [inputs, job].map(|document| yaml::read(document).unwrap())
}

/// Runs a command; returns its output. Panics unless the exit code is this one.
fn run(command: &mut Command, code: i32) -> Output {
    let output = command.output().unwrap();
    let error = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{error}{}", String::from_utf8_lossy(&output.stdout));
    output
}

fn stdout(command: &mut Command) -> String {
    String::from_utf8(run(command, 0).stdout).unwrap()
}

/// The releases of a repository, as files: an archive for each target and their checksums.
struct Releases {
    folder: TempDir,
}

impl Releases {
    /// Packs the binary under test as the release workflow does. The executables of the archives call it, because a copy
    /// for each target would be large.
    fn pack() -> Self {
        let releases = Self { folder: TempDir::new().unwrap() };
        let stand_in = releases.folder.path().join("stand-in");
        fs::write(&stand_in, format!("#!/bin/sh\nexec '{HANDSCTL}' \"$@\"\n")).unwrap();
        fs::set_permissions(&stand_in, fs::Permissions::from_mode(0o755)).unwrap();
        for target in TARGETS {
            let package = root().join(".ci/package");
            let archive =
                stdout(Command::new(package).args([&stand_in, Path::new(target), &releases.version()]));
            assert_eq!(Path::new(archive.trim()), releases.archive(target));
        }
        let sums = "sha256sum -- *.tar.gz || shasum -a 256 -- *.tar.gz";
        let sums = stdout(Command::new("bash").args(["-c", sums]).current_dir(releases.version()));
        fs::write(releases.sums(), sums).unwrap();
        releases
    }

    fn version(&self) -> PathBuf {
        self.folder.path().join(format!("v{VERSION}"))
    }

    fn archive(&self, target: &str) -> PathBuf {
        self.version().join(format!("handsctl-{VERSION}-{target}.tar.gz"))
    }

    fn sums(&self) -> PathBuf {
        self.version().join("SHA256SUMS")
    }

    fn url(&self) -> String {
        format!("file://{}", self.folder.path().display())
    }

    /// Changes an archive of every target after its checksum was written.
    fn damage(&self) {
        for target in TARGETS {
            let damaged = [fs::read(self.archive(target)).unwrap(), b"!".to_vec()].concat();
            fs::write(self.archive(target), damaged).unwrap();
        }
    }
}

#[test]
fn archive_has_executable_license_readme_completions_and_pages() {
    let releases = Releases::pack();
    let name = format!("handsctl-{VERSION}-x86_64-unknown-linux-gnu");
    let listed = stdout(Command::new("tar").arg("-tzf").arg(releases.archive("x86_64-unknown-linux-gnu")));
    let files: BTreeSet<&str> = listed.lines().collect();
    for file in [
        "handsctl",
        "LICENSE",
        "README.md",
        "completions/handsctl.bash",
        "completions/_handsctl",
        "completions/handsctl.fish",
        "completions/kubectl_complete-hands",
        "man/man1/handsctl.1",
        "man/man1/handsctl-cluster-up.1",
    ] {
        assert!(files.contains(format!("{name}/{file}").as_str()), "{file}: {listed}");
    }
    let folder = TempDir::new().unwrap();
    let archive = releases.archive("x86_64-unknown-linux-gnu");
    run(Command::new("tar").arg("-xzf").arg(archive).current_dir(folder.path()), 0);
    let script = folder.path().join(name).join("completions/handsctl.bash");
    let script = fs::read_to_string(script).unwrap();
    assert!(!script.contains("/tmp/"), "the script calls the executable of the build: {script}");
}

#[test]
fn krew_manifest_has_the_checksums_of_the_archives() {
    let releases = Releases::pack();
    let krew = || {
        let mut command = Command::new(root().join(".ci/krew"));
        command.arg("acme/hands-on").arg(releases.sums());
        command
    };
    let manifest = yaml::read(&stdout(&mut krew())).unwrap();
    // https://krew.sigs.k8s.io/docs/developer-guide/plugin-manifest
    assert_eq!(manifest["apiVersion"], "krew.googlecontainertools.github.com/v1alpha2");
    assert_eq!(manifest["kind"], "Plugin");
    assert_eq!(manifest["metadata"]["name"], "hands");
    assert_eq!(manifest["spec"]["version"], format!("v{VERSION}"));
    assert_eq!(manifest["spec"]["homepage"], "https://github.com/acme/hands-on");
    assert!(manifest["spec"]["shortDescription"].as_str().unwrap().len() <= 50, "{manifest}");
    let sums = fs::read_to_string(releases.sums()).unwrap();
    let platforms = manifest["spec"]["platforms"].as_array().unwrap();
    assert_eq!(platforms.len(), TARGETS.len());
    for platform in platforms {
        let labels = &platform["selector"]["matchLabels"];
        let arch = if labels["arch"] == "amd64" { "x86_64" } else { "aarch64" };
        let system = if labels["os"] == "darwin" { "apple-darwin" } else { "unknown-linux-gnu" };
        let file = format!("handsctl-{VERSION}-{arch}-{system}.tar.gz");
        let url = format!("https://github.com/acme/hands-on/releases/download/v{VERSION}/{file}");
        assert_eq!(platform["uri"], url);
        assert!(sums.contains(&format!("{}  {file}", platform["sha256"].as_str().unwrap())), "{platform}");
        assert_eq!(platform["bin"], "handsctl");
        let from: Vec<&Value> =
            platform["files"].as_array().unwrap().iter().map(|file| &file["from"]).collect();
        assert_eq!(from, ["*/handsctl", "*/LICENSE"]);
    }
    let (_, without_one) = sums.split_once('\n').unwrap();
    fs::write(releases.sums(), without_one).unwrap();
    run(&mut krew(), 1);
}

/// A job of GitHub's runner: the files and folders that it gives to a step.
struct Runner {
    folder: TempDir,
}

impl Runner {
    fn new() -> Self {
        let runner = Self { folder: TempDir::new().unwrap() };
        fs::create_dir(runner.folder.path().join("temp")).unwrap();
        runner
    }

    fn file(&self, name: &str) -> String {
        fs::read_to_string(self.folder.path().join(name)).unwrap_or_default()
    }

    /// Runs a step of the action as the runner does. Panics unless its environment is what the step declares.
    fn step(&self, id: &str, environment: &[(&str, &str)], code: i32) -> Output {
        let action = document("action.yml");
        let steps = action["runs"]["steps"].as_array().unwrap();
        let step = steps.iter().find(|step| step["id"] == id).unwrap();
        let declared: BTreeSet<&str> = step["env"].as_object().unwrap().keys().map(String::as_str).collect();
        assert_eq!(declared, environment.iter().map(|(name, _)| *name).collect());
        assert_eq!(step["shell"], "bash");
        let script = self.folder.path().join("step.sh");
        fs::write(&script, step["run"].as_str().unwrap()).unwrap();
        let path = format!("{}:{}", self.file("path").trim(), std::env::var("PATH").unwrap());
        let mut bash = Command::new("bash");
        bash.args(["--noprofile", "--norc", "-eo", "pipefail"]).arg(&script);
        bash.env_clear().envs(environment.iter().copied()).env("PATH", path);
        bash.env("HOME", self.folder.path()).current_dir(self.folder.path());
        bash.env("RUNNER_TEMP", self.folder.path().join("temp"));
        bash.env("GITHUB_PATH", self.folder.path().join("path"));
        bash.env("GITHUB_OUTPUT", self.folder.path().join("output"));
        run(&mut bash, code)
    }
}

#[test]
fn action_installs_a_release_and_runs_its_arguments() {
    let (releases, runner) = (Releases::pack(), Runner::new());
    runner.step("install", &[("VERSION", VERSION), ("RELEASES", &releases.url())], 0);
    assert_eq!(runner.file("output"), format!("version={VERSION}\n"));
    let argument = r#"config get llm.model --set 'llm.model="a  b"'"#;
    let output = runner.step("run", &[("ARGS", argument)], 0);
    assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), "a  b");
    assert!(runner.file("output").ends_with("exit-code=0\n"), "{}", runner.file("output"));
    runner.step("run", &[("ARGS", "config check --config missing.toml")], 3);
    assert!(runner.file("output").ends_with("exit-code=3\n"), "{}", runner.file("output"));
}

#[test]
fn action_rejects_an_archive_with_another_checksum() {
    let (releases, runner) = (Releases::pack(), Runner::new());
    releases.damage();
    let output = runner.step("install", &[("VERSION", "v0.1.0"), ("RELEASES", &releases.url())], 1);
    assert!(String::from_utf8_lossy(&output.stdout).contains("::error::handsctl-"));
    assert_eq!((runner.file("path"), runner.file("output")), (String::new(), String::new()));
    let output = runner.step("install", &[("VERSION", "9.9.9"), ("RELEASES", &releases.url())], 1);
    assert!(String::from_utf8_lossy(&output.stdout).contains("::error::cannot download"));
}

/// Runs the job of the GitLab component with these inputs, and defaults for the others.
fn run_component(releases: &Releases, args: &str, code: i32) -> Output {
    let [spec, job] = component();
    let value = |name: &str| match name {
        "releases" => releases.url(),
        "args" => args.to_owned(),
        other => spec["spec"]["inputs"][other]["default"].as_str().unwrap().to_owned(),
    };
    let interpolate = |text: &str| {
        let mut parts = text.split("$[[ inputs.");
        let first = parts.next().unwrap().to_owned();
        let rest = parts.map(|part| part.split_once(" ]]").unwrap());
        rest.fold(first, |text, (name, rest)| text + &value(name) + rest)
    };
    let job = &job["$[[ inputs.job ]]"];
    let lines = |key: &str| job[key].as_array().unwrap().iter().map(|line| line.as_str().unwrap());
    let script: Vec<String> = lines("before_script").chain(lines("script")).map(interpolate).collect();
    let variables = job["variables"].as_object().unwrap();
    let variables = variables.iter().map(|(name, value)| (name, interpolate(value.as_str().unwrap())));
    let home = TempDir::new().unwrap();
    let mut shell = Command::new("bash");
    shell.args(["-eo", "pipefail", "-c", &script.join("\n")]).current_dir(home.path());
    shell.env_clear().envs(variables).env("PATH", std::env::var("PATH").unwrap()).env("HOME", home.path());
    run(&mut shell, code)
}

/// The component is for Linux, as GitLab's job images are.
#[cfg(target_os = "linux")]
#[test]
fn gitlab_component_installs_a_release_and_runs_its_arguments() {
    let releases = Releases::pack();
    let output = run_component(&releases, "version --client", 0);
    assert!(String::from_utf8_lossy(&output.stdout).contains(VERSION), "{output:?}");
    run_component(&releases, "config check --config missing.toml", 3);
    releases.damage();
    run_component(&releases, "version --client", 1);
}

/// Names behind a prefix, up to the first character that cannot be part of a name.
fn names_after<'a>(text: &'a str, prefix: &str) -> BTreeSet<&'a str> {
    let is_part = |character: char| character.is_ascii_alphanumeric() || "-_".contains(character);
    let names = text.split(prefix).skip(1);
    names.map(|rest| rest.split(|character| !is_part(character)).next().unwrap()).collect()
}

fn keys(table: &Value) -> BTreeSet<&str> {
    table.as_object().unwrap().keys().map(String::as_str).collect()
}

#[test]
fn inputs_and_outputs_that_are_used_exist() {
    let (action, used) = (document("action.yml"), text("action.yml"));
    assert_eq!(names_after(&used, "inputs."), keys(&action["inputs"]));
    let steps = action["runs"]["steps"].as_array().unwrap();
    let ids: BTreeSet<&str> = steps.iter().map(|step| step["id"].as_str().unwrap()).collect();
    assert_eq!(names_after(&used, "steps."), ids);
    assert_eq!(keys(&action["outputs"]), BTreeSet::from(["exit-code", "revision", "url", "version"]));

    let [spec, _] = component();
    let text = text(".gitlab/handsctl.yml");
    assert_eq!(names_after(&text, "$[[ inputs."), keys(&spec["spec"]["inputs"]));
}

#[test]
fn versions_agree_with_cargo_toml() {
    let [spec, _] = component();
    assert_eq!(document("action.yml")["inputs"]["version"]["default"], VERSION);
    assert_eq!(spec["spec"]["inputs"]["version"]["default"], VERSION);
    let container = text("Containerfile");
    assert!(container.contains(&format!("ARG VERSION={VERSION}\n")), "{container}");
    let rust = env!("CARGO_PKG_RUST_VERSION");
    assert!(container.contains(&format!("ARG RUST=rust:{rust}-slim-")), "{container}");
    assert_eq!(document(".github/workflows/release.yml")["env"]["RUST"], rust);
    for path in ["action.yml", ".gitlab/handsctl.yml", "README.md"] {
        let text = text(path);
        for version in ["handsctl@v", "ref: v"].iter().flat_map(|prefix| text.split(prefix).skip(1)) {
            assert!(version.starts_with(VERSION), "{path}: {}", version.lines().next().unwrap());
        }
    }
}

#[test]
fn release_has_an_archive_for_each_platform() {
    let workflow = document(".github/workflows/release.yml");
    let rows = workflow["jobs"]["build"]["strategy"]["matrix"]["include"].as_array().unwrap();
    let built: BTreeSet<&str> = rows.iter().map(|row| row["target"].as_str().unwrap()).collect();
    assert_eq!(built, BTreeSet::from(TARGETS));
    for path in ["action.yml", ".krew.yaml"] {
        let text = text(path);
        for target in TARGETS {
            assert!(text.contains(target), "{path}: {target}");
        }
    }
}

#[test]
fn workflows_pin_actions_and_run_existing_scripts() {
    for path in [".github/workflows/ci.yml", ".github/workflows/release.yml"] {
        let (workflow, text) = (document(path), text(path));
        assert!(workflow["on"]["push"].is_object(), "{path}: `on` is a text, not a boolean");
        assert_eq!(workflow["permissions"]["contents"], "read", "{path}");
        let jobs = workflow["jobs"].as_object().unwrap();
        let steps = jobs.values().flat_map(|job| job["steps"].as_array().unwrap());
        for step in steps.filter(|step| !step["uses"].is_null()) {
            let (_, tag) = step["uses"].as_str().unwrap().split_once("@v").unwrap();
            let is_number = |part: &str| part.parse::<u32>().is_ok();
            assert!(tag.split('.').count() == 3 && tag.split('.').all(is_number), "{path}: {step}");
        }
        for script in names_after(&text, ".ci/") {
            let mode = fs::metadata(root().join(".ci").join(script)).unwrap().permissions().mode();
            assert!(mode & 0o111 != 0, "{script} is not executable");
        }
    }
}
