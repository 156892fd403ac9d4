//! The data in a claim is never gone unless `--delete-data` is given: random sequences of commands, and somebody who
//! deletes the claim at a random moment, also in the middle of a command. The UID of the claim stands for its data.
//!
//! `HANDSCTL_TEST_SEED=7 HANDSCTL_TEST_ROUNDS=1` runs one sequence again, with the ignored test.

use std::fmt::Write as _;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::Child;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use crate::bed::{Bed, Namespace, Run, finish};
use crate::fault::{Proxy, Request};

const CLAIM: &str = "oh-state";
const OTHER_CLAIM: &str = "other";
/// The steps of a sequence after the first deploy.
const STEPS: usize = 5;
/// The highest number of the request before which the claim is deleted. A deploy sends about so many.
const LAST_REQUEST: usize = 60;
const PARALLEL: usize = 4;
/// Every exit code is usual.
const ANY: &[i32] = &[];

/// One command, with what somebody else does before it.
#[derive(Debug, Clone, Copy)]
enum Step {
    Deploy,
    Change,
    NoWait,
    Broken,
    ShortHistory,
    OtherClaim,
    Forced,
    Interrupted(Target),
    Restart,
    Rollback,
    RollbackToFirst,
    Diff,
    Status,
    Teardown,
}

/// The command that a signal interrupts.
#[derive(Debug, Clone, Copy)]
enum Target {
    Change,
    Restart,
    Teardown,
}

const ALL_STEPS: [Step; 19] = [
    Step::Deploy,
    Step::Deploy,
    Step::Change,
    Step::Change,
    Step::Change,
    Step::NoWait,
    Step::Broken,
    Step::ShortHistory,
    Step::OtherClaim,
    Step::Forced,
    Step::Interrupted(Target::Change),
    Step::Interrupted(Target::Restart),
    Step::Interrupted(Target::Teardown),
    Step::Restart,
    Step::Rollback,
    Step::RollbackToFirst,
    Step::Diff,
    Step::Status,
    Step::Teardown,
];

/// When somebody deletes the claim.
#[derive(Debug, Clone, Copy)]
enum Moment {
    BeforeCommand,
    /// Before this request of the command is forwarded; the first is 1.
    BeforeRequest(usize),
}

/// Whose the claim's deletion is.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Deletion {
    /// Nobody has deleted the claim yet.
    None,
    /// The pod with this UID kept the claim, and no command had begun to stop it: handsctl has to keep it.
    Kept { pod: Value },
    /// No pod kept the claim, or a command was stopping the pod already: it proves nothing.
    Own,
}

struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap() % limit
    }
}

/// What keeps the claim: its UID, the Deployment with its generation, and the pod.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Keeper {
    claim: Value,
    deployment: (Value, Value),
    pod: Value,
}

struct Sequence<'a> {
    namespace: &'a Namespace,
    /// Carries the requests of the commands.
    proxy: Proxy,
    /// Carries the requests of the test.
    direct: Proxy,
    random: Random,
    /// The settings of the last deploy that succeeded.
    settings: Vec<String>,
    changes: usize,
    claim: Value,
    deletion: Deletion,
    log: &'a Mutex<String>,
}

impl<'a> Sequence<'a> {
    /// Deploys the set, beside another claim.
    fn begin(namespace: &'a Namespace, seed: u64, log: &'a Mutex<String>) -> Self {
        namespace.create(&[]);
        let other = json!({
            "apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": { "name": OTHER_CLAIM },
            "spec": { "accessModes": ["ReadWriteOnce"], "resources": { "requests": { "storage": "1Gi" } } },
        });
        namespace.bed.kubectl_with(&["create", "-n", &namespace.name, "-f", "-"], &other.to_string());
        let mut random = Random(seed);
        random.below(2);
        let mut sequence = Self {
            namespace,
            proxy: Proxy::for_cluster(namespace.bed),
            direct: Proxy::for_cluster(namespace.bed),
            random,
            settings: Vec::new(),
            changes: 0,
            claim: Value::Null,
            deletion: Deletion::None,
            log,
        };
        sequence.proxy.command(namespace, &["deploy"]).run().exits(0);
        sequence.claim = sequence.claim_uid();
        sequence
    }

    fn note(&self, line: &str) {
        writeln!(self.log.lock().unwrap(), "{line}").unwrap();
    }

    fn object(&self, api: &str, name: &str) -> Option<Value> {
        self.direct.get(&format!("/{api}/namespaces/{}/{name}", self.namespace.name))
    }

    fn claim_uid(&self) -> Value {
        let claim = self.object("api/v1", &format!("persistentvolumeclaims/{CLAIM}"));
        claim.map_or(Value::Null, |claim| claim["metadata"]["uid"].clone())
    }

    fn items(&self, api: &str, plural: &str) -> Vec<Value> {
        self.object(api, plural).unwrap()["items"].as_array().unwrap().clone()
    }

    /// Returns what keeps the claim; None while nothing does, or while the pods are being replaced.
    fn keeper(&self) -> Option<Keeper> {
        let deployment = self.object("apis/apps/v1", "deployments/oh")?;
        let is_settled = deployment["metadata"]["generation"] == deployment["status"]["observedGeneration"];
        let revision = |object: &Value| {
            object["metadata"]["annotations"]["deployment.kubernetes.io/revision"].as_str().map(str::to_owned)
        };
        let sets = self.items("apis/apps/v1", "replicasets");
        let current = sets.iter().find(|set| {
            revision(set) == revision(&deployment)
                && set["spec"]["replicas"] != 0
                && set["metadata"]["generation"] == set["status"]["observedGeneration"]
                && is_alive(set)
        })?;
        let pods = self.items("api/v1", "pods");
        let pod = pods.iter().find(|pod| {
            let owners = pod["metadata"]["ownerReferences"].as_array();
            let is_current = owners
                .is_some_and(|owners| owners.iter().any(|owner| owner["uid"] == current["metadata"]["uid"]));
            // The controller of the finalizer ignores pods without a node.
            is_current && is_alive(pod) && uses_claim(pod) && pod["spec"]["nodeName"].is_string()
        })?;
        let keeper = Keeper {
            claim: self.claim_uid(),
            deployment: (deployment["metadata"]["uid"].clone(), deployment["metadata"]["generation"].clone()),
            pod: pod["metadata"]["uid"].clone(),
        };
        (is_settled && is_alive(&deployment) && keeper.claim.is_string()).then_some(keeper)
    }

    /// Somebody deletes the claim.
    fn delete_claim(&mut self) {
        let before = self.keeper();
        let name = &self.namespace.name;
        let delete = ["delete", "pvc", CLAIM, "-n", name, "--wait=false", "--ignore-not-found"];
        self.namespace.bed.kubectl(&delete);
        let is_stopping = self.proxy.requests().iter().any(|it| stops_pods(it) && it.status.is_none());
        let after = self.keeper();
        self.deletion = match before {
            Some(keeper) if !is_stopping && Some(&keeper) == after.as_ref() => {
                Deletion::Kept { pod: keeper.pod }
            }
            _ => Deletion::Own,
        };
        self.note(&format!("  the claim is deleted: {:?}", self.deletion));
    }

    /// Runs one step. At `moment` somebody deletes the claim.
    fn step(&mut self, step: Step, moment: Option<Moment>) {
        self.note(&format!("{step:?} {}", moment.map_or(String::new(), |moment| format!("{moment:?}"))));
        if let Step::Forced = step {
            let scale = ["scale", "deployment/oh", "--replicas=2", "-n", &self.namespace.name];
            let _no_deployment = self.namespace.bed.try_kubectl(&scale, "");
        }
        if let Some(Moment::BeforeCommand) = moment {
            self.delete_claim();
        }
        let kept_before = self.deletion.clone();
        let settings = self.settings_of(step);
        let arguments = arguments(step, &settings);
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let first_request = self.proxy.requests().len();
        let run = self.run(step, &arguments, moment, first_request);
        self.note(&format!("  exit {:?}: {}", run.code, run.stderr.lines().last().unwrap_or_default()));
        self.check(step, &run, &kept_before, first_request);
        if run.code == Some(0) && matches!(arguments[0], "deploy") {
            self.settings = settings;
        }
    }

    /// Returns the settings of a step's deploy.
    fn settings_of(&mut self, step: Step) -> Vec<String> {
        self.changes += 1;
        let change = format!("deploy.env={{A=\"{}\"}}", self.changes);
        match step {
            Step::Change | Step::NoWait | Step::Interrupted(_) => vec![change],
            Step::Broken => {
                vec![change, "deploy.image=\"example.com/simulate-image-pull-backoff:0.59\"".to_owned()]
            }
            Step::ShortHistory => vec![change, "deploy.revision_history=1".to_owned()],
            Step::OtherClaim => vec![change, format!("deploy.existing_claim=\"{OTHER_CLAIM}\"")],
            _ => self.settings.clone(),
        }
    }

    fn run(&mut self, step: Step, arguments: &[&str], moment: Option<Moment>, first_request: usize) -> Run {
        let held = match moment {
            Some(Moment::BeforeRequest(number)) => Some(self.proxy.on(|_| true).nth(number).hold()),
            _ => None,
        };
        let mut child = self.proxy.command(self.namespace, arguments).spawn();
        if let Some(held) = held {
            // Its output fits into the pipe.
            while !held.has_request() && child.try_wait().unwrap().is_none() {
                std::thread::sleep(Duration::from_millis(5));
            }
            let begun = Instant::now();
            self.delete_claim();
            let deleted = Instant::now();
            held.release();
            let run = self.finish(step, child);
            if self.had_read_claim(first_request, begun, deleted) {
                self.note("  the command had read the claim right before it was deleted");
                self.deletion = Deletion::Own;
            }
            return run;
        }
        self.finish(step, child)
    }

    /// Waits for the end of the command. An interrupted one gets a signal at a random time first.
    fn finish(&mut self, step: Step, child: Child) -> Run {
        if let Step::Interrupted(_) = step {
            let time = self.random.below(1500);
            std::thread::sleep(Duration::from_millis(u64::try_from(time).unwrap()));
            let pid = Pid::from_raw(i32::try_from(child.id()).unwrap()).unwrap();
            let _ended_already = kill_process(pid, Signal::TERM);
        }
        finish(child)
    }

    /// Returns whether the command stopped the pods right after it had read the claim, before the claim was deleted. No
    /// precondition of a request can rule that out.
    fn had_read_claim(&self, first_request: usize, begun: Instant, deleted: Instant) -> bool {
        let requests = self.proxy.requests();
        let own = |request: &&Request| !request.path.contains("/leases/") && !request.path.contains("watch=");
        let requests: Vec<&Request> = requests[first_request..].iter().filter(own).collect();
        requests.windows(2).any(|pair| {
            let reads = pair[0].is("GET", &format!("/persistentvolumeclaims/{CLAIM}"));
            reads && pair[0].received < deleted && stops_pods(pair[1]) && pair[1].received > begun
        })
    }

    /// Checks the claim and the command's result.
    fn check(&self, step: Step, run: &Run, kept_before: &Deletion, first_request: usize) {
        let refused = run.stderr.contains("error[HC2045]");
        match (&self.deletion, kept_before) {
            (Deletion::None, _) => {
                assert!(!refused, "{}", run.stderr);
                assert_eq!(self.claim_uid(), self.claim, "the claim is gone");
                assert_code(run, usual_codes(step));
            }
            (Deletion::Own, _) => assert!(!matches!(run.code, Some(70 | 101)), "{run:?}"),
            (Deletion::Kept { pod }, before) => {
                self.assert_kept(pod, run);
                if *before == Deletion::None {
                    let codes = usual_codes(step);
                    let is_usual = codes.is_empty() || run.code.is_some_and(|code| codes.contains(&code));
                    assert!(is_usual || refused, "{run:?}");
                } else if always_stops(step) {
                    assert!(refused, "{run:?}");
                }
                if refused {
                    assert_eq!(run.code, Some(2), "{run:?}");
                }
                if refused && *before != Deletion::None {
                    let requests = self.proxy.requests();
                    let writes: Vec<&Request> =
                        requests[first_request..].iter().filter(|it| writes(it)).collect();
                    assert!(writes.is_empty(), "{run:?}\n{writes:?}");
                }
            }
        }
    }

    fn assert_kept(&self, pod: &Value, run: &Run) {
        assert_eq!(self.claim_uid(), self.claim, "the claim is gone\n{run:?}");
        let pods = self.items("api/v1", "pods");
        let is_kept = |it: &Value| it["metadata"]["uid"] == *pod && is_alive(it) && uses_claim(it);
        assert!(pods.iter().any(is_kept), "the pod was stopped\n{run:?}");
    }

    /// Gives the data up, as HC2045 suggests.
    fn give_up(&self) {
        let settings = self.settings.iter().flat_map(|setting| ["--set", setting]);
        let arguments: Vec<&str> =
            ["deploy", "--delete-data", "--yes", "--force-conflicts"].into_iter().chain(settings).collect();
        self.note("deploy --delete-data");
        self.proxy.command(self.namespace, &arguments).run().exits(0);
        let claim = self.claim_uid();
        let uses_other = self.settings.iter().any(|setting| setting.contains("existing_claim"));
        assert_eq!(
            claim.is_null(),
            uses_other,
            "the configuration creates a claim unless it names another one"
        );
        assert_ne!(claim, self.claim, "the claim is not new");
    }
}

fn is_alive(object: &Value) -> bool {
    object["metadata"]["deletionTimestamp"].is_null()
}

fn uses_claim(pod: &Value) -> bool {
    let volumes = pod["spec"]["volumes"].as_array().unwrap();
    volumes.iter().any(|volume| volume["persistentVolumeClaim"]["claimName"] == CLAIM)
}

fn stops_pods(request: &Request) -> bool {
    request.is("PATCH", "/deployments/oh") || request.is("DELETE", "/deployments/oh")
}

/// Returns whether the request stores anything but the lock.
fn writes(request: &Request) -> bool {
    let path = &request.path;
    request.method != "GET"
        && !request.is_dry_run()
        && !path.contains("/leases")
        && !path.contains("/selfsubject")
}

/// Returns the arguments of a step's command.
fn arguments(step: Step, settings: &[String]) -> Vec<String> {
    let words: &[&str] = match step {
        Step::NoWait => &["deploy", "--no-wait"],
        Step::Forced => &["deploy", "--force-conflicts"],
        Step::Restart | Step::Interrupted(Target::Restart) => &["restart"],
        Step::Rollback => &["rollback"],
        Step::RollbackToFirst => &["rollback", "--to", "1"],
        Step::Diff => &["diff"],
        Step::Status => &["status"],
        Step::Teardown | Step::Interrupted(Target::Teardown) => &["teardown"],
        _ => &["deploy"],
    };
    let settings = settings.iter().flat_map(|setting| ["--set".to_owned(), setting.clone()]);
    words.iter().map(|word| (*word).to_owned()).chain(settings).collect()
}

/// Returns the exit codes of the command while the claim is not being deleted; none: any.
fn usual_codes(step: Step) -> &'static [i32] {
    match step {
        Step::Deploy | Step::Change | Step::NoWait | Step::ShortHistory | Step::OtherClaim | Step::Forced => {
            &[0]
        }
        Step::Broken => &[9],
        Step::Restart => &[0, 9, 12],
        Step::Rollback | Step::RollbackToFirst => &[0, 2, 9],
        Step::Diff => &[0, 1],
        Step::Teardown => &[0],
        Step::Interrupted(_) | Step::Status => ANY,
    }
}

/// Returns whether the command stops the pod of every set that is deployed.
fn always_stops(step: Step) -> bool {
    matches!(
        step,
        Step::Change
            | Step::NoWait
            | Step::Broken
            | Step::ShortHistory
            | Step::OtherClaim
            | Step::Restart
            | Step::Teardown
    )
}

fn assert_code(run: &Run, codes: &[i32]) {
    let is_usual = codes.is_empty() || run.code.is_some_and(|code| codes.contains(&code));
    assert!(is_usual, "exit code is not one of {codes:?}: {run:?}");
}

/// Runs one sequence. Returns whether handsctl had to keep the claim.
fn sequence(seed: u64, log: &Mutex<String>) -> bool {
    let namespace = Bed::shared().namespace("claims");
    let mut sequence = Sequence::begin(&namespace, seed, log);
    let deleted_at = sequence.random.below(STEPS - 1);
    for number in 0..STEPS {
        let step = ALL_STEPS[sequence.random.below(ALL_STEPS.len())];
        let request = 1 + sequence.random.below(LAST_REQUEST);
        let moment = match sequence.random.below(3) {
            0 => Moment::BeforeCommand,
            _ => Moment::BeforeRequest(request),
        };
        sequence.step(step, (number == deleted_at).then_some(moment));
    }
    let is_kept = matches!(sequence.deletion, Deletion::Kept { .. });
    if is_kept {
        sequence.give_up();
    }
    is_kept
}

/// Runs these sequences, several at once. Returns in how many handsctl had to keep the claim.
fn sequences(seeds: std::ops::Range<u64>, parallel: usize) -> u64 {
    let next = AtomicU64::new(seeds.start);
    let kept = AtomicU64::new(0);
    let failures = Mutex::new(Vec::new());
    let work = || loop {
        let seed = next.fetch_add(1, Ordering::Relaxed);
        if seed >= seeds.end {
            break;
        }
        let begin = Instant::now();
        let log = Mutex::new(String::new());
        if let Ok(is_kept) = catch_unwind(AssertUnwindSafe(|| sequence(seed, &log))) {
            kept.fetch_add(u64::from(is_kept), Ordering::Relaxed);
            eprintln!("seed {seed}: kept {is_kept}, {:?}", begin.elapsed());
        } else {
            let text = format!("seed {seed} failed:\n{}", log.into_inner().unwrap());
            eprintln!("{text}");
            failures.lock().unwrap().push(text);
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..parallel {
            scope.spawn(work);
        }
    });
    let failures = failures.into_inner().unwrap();
    assert!(failures.is_empty(), "{} of {seeds:?} failed:\n{}", failures.len(), failures.join("\n"));
    kept.into_inner()
}

fn variable(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |value| value.parse().unwrap())
}

#[test]
fn deleted_claim_survives_random_commands() {
    assert!(sequences(0..3, 1) > 0, "no sequence proves anything");
}

#[test]
#[ignore = "200 sequences take a quarter of an hour"]
fn deleted_claim_survives_200_random_sequences() {
    let (first, rounds) = (variable("HANDSCTL_TEST_SEED", 1000), variable("HANDSCTL_TEST_ROUNDS", 200));
    let kept = sequences(first..first + rounds, PARALLEL);
    eprintln!("in {kept} of {rounds} sequences handsctl had to keep the claim");
    assert!(rounds < 10 || 2 * kept >= rounds, "only {kept} of {rounds} sequences prove anything");
}
