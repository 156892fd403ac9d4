//! Recorded cluster states → verdict and findings: one folder under `tests/fixtures/rollout` per situation, one test per
//! folder.

mod healthy_rollouts;

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde_json::Value;

use super::evaluate::evaluate;
use super::finding::{LogRun, Lookup};
use super::grace::GracePeriods;
use super::health::{Health, HealthVerdict, health};
use super::observed::state::{ObservedState, TrackedKind};
use super::verdict::{Evaluation, Expected, Verdict};
use crate::golden;
use crate::object::ObjectId;

/// One recorded situation.
struct Situation {
    folder: PathBuf,
    objects: Vec<(TrackedKind, Value)>,
    judged: toml::Table,
}

impl Situation {
    fn read(name: &str) -> Self {
        let folder = root().join(name);
        let mut objects = Vec::new();
        let mut files: Vec<PathBuf> =
            fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
        files.sort();
        for file in files.iter().filter(|file| file.extension().is_some_and(|it| it == "json")) {
            let items: Vec<Value> = serde_json::from_str(&fs::read_to_string(file).unwrap()).unwrap();
            for item in items {
                let kind = TrackedKind::from_id(&ObjectId::from_object(&item).unwrap());
                objects.push((kind.unwrap_or_else(|| panic!("{}: not watched", file.display())), item));
            }
        }
        let judged = fs::read_to_string(folder.join("judged.toml")).unwrap().parse().unwrap();
        Self { folder, objects, judged }
    }

    fn time(&self, key: &str) -> Timestamp {
        self.judged[key].as_str().unwrap().parse().unwrap()
    }

    fn flag(&self, key: &str) -> bool {
        self.judged.get(key).and_then(toml::Value::as_bool).unwrap_or_default()
    }

    /// The set: all recorded objects without an owner.
    fn expected(&self) -> Vec<Expected> {
        let roots = self.objects.iter().filter(|(kind, object)| {
            *kind != TrackedKind::Event
                && kind.has_rollout()
                && object["metadata"].get("ownerReferences").is_none()
        });
        let generation = |object: &Value| object["metadata"]["generation"].as_i64().unwrap_or_default();
        roots
            .map(|(_, object)| Expected {
                id: ObjectId::from_object(object).unwrap(),
                uid: object["metadata"]["uid"].as_str().unwrap().to_owned(),
                generation: self
                    .judged
                    .get("generation")
                    .map_or(generation(object), |it| it.as_integer().unwrap()),
                changed: self.flag("changed"),
            })
            .collect()
    }

    fn observed(&self) -> ObservedState {
        let mut observed = ObservedState::default();
        let first_seen = self.judged.get("seen").map_or_else(|| self.time("now"), |_| self.time("seen"));
        for (kind, object) in &self.objects {
            observed.apply(0, *kind, object, first_seen).unwrap();
        }
        observed
    }

    fn evaluate(&self) -> Evaluation {
        let grace = GracePeriods::starting_at(self.time("started"));
        evaluate(&self.observed(), &self.expected(), &grace, self.time("now"))
    }
}

/// Renders the health that `handsctl status` would report.
fn render_health(health: &Health) -> String {
    let mut text = match &health.verdict {
        HealthVerdict::Healthy => "\nhealthy\n".to_owned(),
        HealthVerdict::Absent => "\nabsent\n".to_owned(),
        HealthVerdict::Degraded(reasons) => format!("\ndegraded: {}\n", reasons.join("; ")),
        HealthVerdict::Down(reasons) => format!("\ndown: {}\n", reasons.join("; ")),
    };
    for it in &health.components {
        let digest = it.digest.as_deref().map_or("no digest", |digest| &digest[..15]);
        let last = it
            .last_exit
            .as_ref()
            .map(|end| format!(", last at {}: {}", end.time, end.cause))
            .unwrap_or_default();
        writeln!(
            text,
            "  {}  {}/{}  {} ({digest})  {} restarts{last}",
            it.name, it.ready, it.desired, it.image, it.restarts
        )
        .unwrap();
    }
    for it in &health.claims {
        let capacity = it.capacity.as_deref().unwrap_or("-");
        let class = it.class.as_deref().unwrap_or("no class");
        writeln!(text, "  {}  {capacity}  {class}  {}", it.id, it.message).unwrap();
    }
    text
}

fn render_evaluation(evaluation: &Evaluation) -> String {
    let mut text = String::new();
    match evaluation.verdict {
        Verdict::Ready => text.push_str("ready\n"),
        Verdict::Failed => text.push_str("failed\n"),
        Verdict::Waiting { until: None } => text.push_str("waiting\n"),
        Verdict::Waiting { until: Some(until) } => writeln!(text, "waiting until {until}").unwrap(),
    }
    for object in &evaluation.objects {
        let mark = if object.ready { "ready" } else { "not ready" };
        writeln!(text, "{}  {mark}  {}", object.id, object.message).unwrap();
    }
    for finding in &evaluation.findings {
        let entry = finding.id.entry();
        write!(text, "\n{} {}\n  object    {}", entry.code, entry.title, finding.object).unwrap();
        if let Some(container) = &finding.container {
            write!(text, ", container {container}").unwrap();
        }
        if let Some((shown, of)) = finding.affected {
            write!(text, ", {shown}/{of} pods").unwrap();
        }
        writeln!(text, "\n  message   {}", finding.message).unwrap();
        for line in &finding.evidence {
            writeln!(text, "  evidence  {line}").unwrap();
        }
        for lookup in &finding.lookups {
            match lookup {
                Lookup::Log { pod, container, run, .. } => {
                    let which = match run {
                        LogRun::Latest => "",
                        LogRun::LatestAndPrevious => " and before this run",
                        LogRun::Previous => " before this run",
                    };
                    writeln!(text, "  lookup    log of {pod} {container}{which}").unwrap();
                }
                Lookup::Nodes(question) => {
                    let taints = question.has_untolerated_taint.then_some("taints");
                    let looked_up = taints.into_iter().chain(question.resources.iter().map(String::as_str));
                    let looked_up = looked_up.collect::<Vec<_>>().join(", ");
                    writeln!(text, "  lookup    {looked_up} of the nodes").unwrap();
                }
                Lookup::NodeFaults(node) => writeln!(text, "  lookup    faults of node {node}").unwrap(),
                Lookup::NodePlatform(node) => writeln!(text, "  lookup    platform of node {node}").unwrap(),
                Lookup::VolumeReach(claims) => {
                    writeln!(text, "  lookup    volumes of {}", claims.names.join(", ")).unwrap();
                }
                Lookup::Webhook(name) => writeln!(text, "  lookup    server of webhook {name}").unwrap(),
                Lookup::Route(ingress) => writeln!(text, "  lookup    route of {ingress}").unwrap(),
                Lookup::Namespace(namespace) => {
                    writeln!(text, "  lookup    deletion of namespace {namespace}").unwrap();
                }
                Lookup::ClaimUsers(claims) => {
                    writeln!(text, "  lookup    users of {}", claims.names.join(", ")).unwrap();
                }
            }
        }
        for hint in &finding.hints {
            writeln!(text, "  hint      {hint}").unwrap();
        }
    }
    text
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/rollout")
}

/// Evaluates the recorded objects and compares with `expected.txt`.
fn assert_evaluated(name: &str) {
    let situation = Situation::read(name);
    let health = health(&situation.observed(), &situation.expected(), &BTreeSet::new());
    golden::assert_matches(
        &situation.folder.join("expected.txt"),
        &(render_evaluation(&situation.evaluate()) + &render_health(&health)),
    );
}

#[test]
fn every_folder_has_a_test() {
    let mut folders: Vec<String> = fs::read_dir(root())
        .unwrap()
        .map(Result::unwrap)
        .filter(|entry| entry.path().is_dir())
        .map(|entry| entry.file_name().into_string().unwrap())
        .collect();
    folders.sort();
    assert_eq!(folders, FOLDERS);
}

macro_rules! situations {
    ($($test:ident: $folder:literal,)+) => {
        const FOLDERS: &[&str] = &[$($folder),+];
        $(
            #[test]
            fn $test() {
                assert_evaluated($folder);
            }
        )+
    };
}

situations! {
    certificate_issuing: "CertificateIssuing",
    certificate_not_ready: "CertificateNotReady",
    certificate_not_ready_yet: "CertificateNotReadyYet",
    claim_class_missing: "ClaimClassMissing",
    claim_lost: "ClaimLost",
    claim_provisioning: "ClaimProvisioning",
    claim_waits_for_consumer: "ClaimWaitsForConsumer",
    claim_waits_for_its_pod: "ClaimWaitsForItsPod",
    claim_without_class: "ClaimWithoutClass",
    claim_without_class_yet: "ClaimWithoutClassYet",
    command_not_found: "CommandNotFound",
    config_map_missing: "ConfigMapMissing",
    crash_loop: "CrashLoop",
    crashed_once: "CrashedOnce",
    deadline_with_its_cause: "DeadlineWithItsCause",
    deployment_deleted: "DeploymentDeleted",
    ephemeral_container_crashed: "EphemeralContainerCrashed",
    evicted_again: "EvictedAgain",
    evicted_before_run: "EvictedBeforeRun",
    evicted_once: "EvictedOnce",
    five_pods_one_cause: "FivePodsOneCause",
    generation_not_observed: "GenerationNotObserved",
    healthy: "Healthy",
    helm_release_stalled: "HelmReleaseStalled",
    image_for_other_platform: "ImageForOtherPlatform",
    image_forbidden: "ImageForbidden",
    image_invalid_name: "ImageInvalidName",
    image_never_pull: "ImageNeverPull",
    image_not_found: "ImageNotFound",
    image_not_found_old_kubelet: "ImageNotFoundOldKubelet",
    init_crash_loop: "InitCrashLoop",
    init_done: "InitDone",
    init_running: "InitRunning",
    job_complete: "JobComplete",
    job_failed: "JobFailed",
    job_running: "JobRunning",
    key_missing: "KeyMissing",
    killed_without_reason: "KilledWithoutTheWord",
    liveness_kills: "LivenessKills",
    mount_fails: "MountFails",
    mount_fails_too_long: "MountFailsTooLong",
    mount_recovered: "MountRecovered",
    mount_recovered_sandbox_up: "MountRecoveredSandboxUp",
    never_ready: "NeverReady",
    node_selector_matches_nothing: "NodeSelectorMatchesNothing",
    not_ready_beside_secret_missing: "NotReadyBesideSecretMissing",
    not_ready_yet: "NotReadyYet",
    old_deadline_is_not_ours: "OldDeadlineIsNotOurs",
    old_pod_finalizer: "OldPodFinalizer",
    old_pod_finalizer_after_its_end: "OldPodFinalizerAfterItsEnd",
    old_pod_on_lost_node: "OldPodOnLostNode",
    out_of_memory: "OutOfMemory",
    out_of_memory_once: "OutOfMemoryOnce",
    pod_security_rejects: "PodSecurityRefuses",
    policy_rejects: "PolicyDenies",
    priority_class_missing: "PriorityClassMissing",
    progress_deadline: "ProgressDeadline",
    progress_deadline_of_startup_probe: "ProgressDeadlineOfStartupProbe",
    provisioning_fails: "ProvisioningFails",
    provisioning_fails_yet: "ProvisioningFailsYet",
    quota_rejects_pods: "QuotaRefusesPods",
    readiness_after_startup: "ReadinessAfterStartup",
    readiness_after_startup_over: "ReadinessAfterStartupOver",
    readiness_first_seen_late: "ReadinessFirstSeenLate",
    recreate_stops_old: "RecreateStopsOld",
    registry_unreachable: "RegistryUnreachable",
    registry_unreachable_yet: "RegistryUnreachableYet",
    rolled: "Rolled",
    rolling: "Rolling",
    runs_as_root: "RunsAsRoot",
    scale_up_triggered: "ScaleUpTriggered",
    secret_missing: "SecretMissing",
    secret_missing_beside_crash: "SecretMissingBesideCrash",
    secret_missing_maybe_fixed: "SecretMissingMaybeMended",
    secret_not_mounted: "SecretNotMounted",
    service_account_missing: "ServiceAccountMissing",
    sidecar_crash_loop: "SidecarCrashLoop",
    starting: "Starting",
    starting_without_probes: "StartingWithoutProbes",
    startup_probe_fails: "StartupProbeFails",
    startup_window: "StartupWindow",
    startup_window_over: "StartupWindowOver",
    stateful_set_crash_loop: "StatefulSetCrashLoop",
    stateful_set_old_rejection: "StatefulSetOldRefusal",
    stateful_set_quota: "StatefulSetQuota",
    stateful_set_quota_healed: "StatefulSetQuotaHealed",
    stateful_set_ready: "StatefulSetReady",
    stateful_set_rolling: "StatefulSetRolling",
    taint_not_tolerated: "TaintNotTolerated",
    unschedulable: "Unschedulable",
    unschedulable_yet: "UnschedulableYet",
    up_without_probes: "UpWithoutProbes",
    webhook_down: "WebhookDown",
}
