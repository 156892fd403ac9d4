//! Recorded cluster states → verdict and findings: one folder for each situation under
//! `tests/fixtures/rollout`. `HANDSCTL_TEST_RECORD=1` writes the expectations anew: read the difference.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde_json::Value;

use super::evaluate::evaluate;
use super::finding::Lookup;
use super::grace::GracePeriods;
use super::health::{Health, HealthVerdict, health};
use super::observed::state::{ObservedState, TrackedKind};
use super::verdict::{Evaluation, Expected, Verdict};
use crate::object::ObjectId;

/// One recorded situation.
struct Situation {
    folder: PathBuf,
    objects: Vec<(TrackedKind, Value)>,
    judged: toml::Table,
}

impl Situation {
    fn all() -> Vec<Self> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/rollout");
        let mut folders: Vec<PathBuf> =
            fs::read_dir(root).unwrap().map(|entry| entry.unwrap().path()).collect();
        folders.retain(|path| path.is_dir());
        folders.sort();
        folders.into_iter().map(Self::read).collect()
    }

    fn read(folder: PathBuf) -> Self {
        let mut objects = Vec::new();
        let mut files: Vec<PathBuf> =
            fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
        files.sort();
        for file in files.iter().filter(|file| file.extension().is_some_and(|it| it == "json")) {
            let items: Vec<Value> = serde_json::from_str(&fs::read_to_string(file).unwrap()).unwrap();
            for item in items {
                let kind = TrackedKind::of(&ObjectId::of_object(&item).unwrap());
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

    /// The set: everything that has no owner.
    fn expected(&self) -> Vec<Expected> {
        let roots = self.objects.iter().filter(|(kind, object)| {
            *kind != TrackedKind::Event && object["metadata"].get("ownerReferences").is_none()
        });
        let generation = |object: &Value| object["metadata"]["generation"].as_i64().unwrap_or_default();
        roots
            .map(|(_, object)| Expected {
                id: ObjectId::of_object(object).unwrap(),
                uid: object["metadata"]["uid"].as_str().unwrap().to_owned(),
                generation: self
                    .judged
                    .get("generation")
                    .map_or(generation(object), |it| it.as_integer().unwrap()),
                changed: self.flag("changed"),
            })
            .collect()
    }

    fn world(&self) -> ObservedState {
        let mut world = ObservedState::default();
        let seen = self.judged.get("seen").map_or_else(|| self.time("now"), |_| self.time("seen"));
        for (kind, object) in &self.objects {
            world.apply(0, *kind, object, seen).unwrap();
        }
        world
    }

    fn judge(&self) -> Evaluation {
        let tolerance = GracePeriods::starting_at(self.time("started"));
        evaluate(&self.world(), &self.expected(), &tolerance, self.time("now"))
    }
}

/// What `handsctl status` would say of it.
fn summary(health: &Health) -> String {
    let mut text = match &health.verdict {
        HealthVerdict::Healthy => "\nhealthy\n".to_owned(),
        HealthVerdict::Absent => "\nabsent\n".to_owned(),
        HealthVerdict::Degraded(reasons) => format!("\ndegraded: {}\n", reasons.join("; ")),
        HealthVerdict::Down(reasons) => format!("\ndown: {}\n", reasons.join("; ")),
    };
    for it in &health.components {
        let digest = it.digest.as_deref().map_or("no digest", |digest| &digest[..15]);
        let last = it.last_restart.map(|time| format!(", last at {time}")).unwrap_or_default();
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

fn text(judgement: &Evaluation) -> String {
    let mut text = String::new();
    match judgement.verdict {
        Verdict::Ready => text.push_str("ready\n"),
        Verdict::Failed => text.push_str("failed\n"),
        Verdict::Waiting { until: None } => text.push_str("waiting\n"),
        Verdict::Waiting { until: Some(until) } => writeln!(text, "waiting until {until}").unwrap(),
    }
    for object in &judgement.objects {
        let mark = if object.ready { "ready" } else { "not ready" };
        writeln!(text, "{}  {mark}  {}", object.id, object.message).unwrap();
    }
    for finding in &judgement.findings {
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
                Lookup::Log { pod, container, previous } => {
                    let which = if *previous { " before this run" } else { "" };
                    writeln!(text, "  lookup    log of {pod} {container}{which}").unwrap();
                }
                Lookup::NodeTaints => text.push_str("  lookup    taints of the nodes\n"),
            }
        }
        for hint in &finding.hints {
            writeln!(text, "  hint      {hint}").unwrap();
        }
    }
    text
}

#[test]
fn every_situation_is_judged_as_expected() {
    let record = option_env!("HANDSCTL_TEST_RECORD").is_some();
    let mut wrong = Vec::new();
    for situation in Situation::all() {
        let file = situation.folder.join("expected.txt");
        let health = health(&situation.world(), &situation.expected());
        let judged = text(&situation.judge()) + &summary(&health);
        if record {
            fs::write(&file, &judged).unwrap();
        }
        let expected = fs::read_to_string(&file).unwrap_or_default();
        if judged != expected {
            let name = situation.folder.file_name().unwrap().to_string_lossy().into_owned();
            wrong.push(format!("{name}\n--- expected\n{expected}--- judged\n{judged}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
