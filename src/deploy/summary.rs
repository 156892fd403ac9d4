//! The last line of a command that changes the set, and the commands to type next.

use serde_json::Value;

use super::app_settings::AppSettingsResult;
use super::sandbox_capacity;
use super::verify::{Endpoint, Verification};
use crate::catalogue::Id;
use crate::cluster::apply::applied::Applied;
use crate::event::{Action, Finished};
use crate::object::kind::KindInfo;
use crate::plan::changes::{Changes, RevisionChange};
use crate::plan::checks::app_settings::KEY;
use crate::plan::desired::{Plan, PlanOrigin};
use crate::plan::inventory::app_keys::reads_keys;
use crate::plan::inventory::history::History;
use crate::plan::inventory::revision::{Revision, RevisionResult};
use crate::settings::edition::CANVAS;
use crate::settings::handsctl::Profile;
use crate::settings::{KeySources, Settings};

/// The command that restores the state before a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum UndoHint {
    /// None: the run changed nothing that a command restores.
    Nothing,
    /// Nothing existed before the run.
    Teardown,
    /// This good revision was deployed before the run, and is kept.
    Rollback(u64),
}

impl UndoHint {
    /// Returns the hint for a run that has made these changes to a set that had this history before.
    pub(crate) fn new(history: &History, changes: &Changes, applied: &[Applied]) -> Self {
        let RevisionChange::New(_) = changes.revision else { return Self::Nothing };
        let surplus = &changes.cleanup(RevisionResult::Good).revisions;
        match history.latest() {
            None if applied.iter().all(is_removed_by_teardown) => Self::Teardown,
            Some(Revision { number, result: RevisionResult::Good, snapshot: Some(snapshot), .. })
                if !snapshot.matches(&changes.plan)
                    && !surplus.iter().any(|revision| revision.number == *number) =>
            {
                Self::Rollback(*number)
            }
            _ => Self::Nothing,
        }
    }

    fn command(self) -> Option<String> {
        match self {
            Self::Nothing => None,
            Self::Teardown => Some("handsctl teardown            (keeps the volume)".to_owned()),
            Self::Rollback(number) => Some(format!("handsctl rollback --to {number}")),
        }
    }
}

/// Returns whether a teardown restores the state before the run. It keeps claims, and would delete what was adopted.
fn is_removed_by_teardown(applied: &Applied) -> bool {
    let holds_data = KindInfo::for_id(&applied.id).is_some_and(|kind| kind.holds_data);
    applied.action == Action::Created || holds_data
}

/// Returns the counts as text: `1 created, 1 configured, 9 unchanged`.
pub(crate) fn counts(applied: &[Applied]) -> String {
    let words = [Action::Created, Action::Configured, Action::Unchanged, Action::Pruned].map(|action| {
        let count = applied.iter().filter(|applied| applied.action == action).count();
        (count > 0).then(|| format!("{count} {}", action.as_str()))
    });
    words.into_iter().flatten().collect::<Vec<_>>().join(", ")
}

/// The note of a rollback: the configuration is still the newer one.
const CONFIG_UNCHANGED: &str = "config.toml was not changed: the next deploy applies it again";

/// Returns the note of a deploy whose `--set` no file repeats: the next one would undo it.
pub(crate) fn note_of_set(sources: KeySources) -> Option<&'static str> {
    (sources.set > 0 && !sources.has_file).then_some(
        "--set counts for this run only; to keep it: handsctl config init, then handsctl config set KEY=VALUE",
    )
}

/// Returns the note of a deploy that takes the model's key away, which the last revision had: mostly a `--set` of an
/// earlier run that was not repeated.
pub(crate) fn note_of_removed_key(history: &History, plan: &Plan) -> Option<String> {
    let before = history.latest()?.snapshot.as_ref()?;
    // An application without config.toml gets the key by its API.
    if plan.members.iter().any(|member| reads_keys(&member.manifest)) {
        return None;
    }
    let is_removed =
        before.members.iter().any(has_key) && !plan.members.iter().any(|member| has_key(&member.manifest));
    is_removed.then(|| format!("[llm] api_key is no longer set: the pods no longer have {KEY}"))
}

/// Returns the note of a first deploy whose edition nobody chose: the default is the older line of OpenHands.
pub(crate) fn note_of_default_edition(history: &History, settings: &Settings) -> Option<String> {
    let is_chosen = ["deploy.edition", "deploy.image"].iter().any(|key| settings.locate(key).is_some());
    // The image of profile `dev` is the developer's own.
    let is_first = history.latest().is_none() && settings.deploy.profile != Profile::Dev;
    (is_first && !is_chosen).then(|| {
        format!(
            "today's OpenHands is {}: [deploy] edition = \"{}\" chooses it, see handsctl explain {}",
            CANVAS.product,
            CANVAS.name,
            Id::EditionChanges.code()
        )
    })
}

/// Returns whether the pods of a Deployment get the model's key.
fn has_key(object: &Value) -> bool {
    let containers = object["spec"]["template"]["spec"]["containers"].as_array().into_iter().flatten();
    let mut variables = containers.filter_map(|container| container["env"].as_array()).flatten();
    object["kind"] == "Deployment" && variables.any(|variable| variable["name"] == KEY)
}

/// The label of the command that shows the logs.
const LOGS: &str = "logs";

/// Builds a result with the commands to type next. Simulated nodes run no container, which would have a log.
pub(crate) fn finished(message: String, undo: UndoHint, has_logs: bool) -> Finished {
    let logs = has_logs.then(|| (LOGS.to_owned(), "handsctl logs -f".to_owned()));
    let mut next: Vec<(String, String)> = logs.into_iter().collect();
    next.extend(undo.command().map(|command| ("undo".to_owned(), command)));
    Finished { message, next, ..Finished::default() }
}

/// Builds the result of `--no-wait`.
pub(crate) fn applied_only(revision: u64, undo: UndoHint, has_logs: bool) -> Finished {
    let message = "applied, without waiting for the rollout".to_owned();
    Finished { revision: Some(revision), ..finished(message, undo, has_logs) }
}

/// The commands after a verified rollout.
#[derive(Debug, Clone, Copy)]
pub(crate) struct NextSteps {
    /// The command that restores the state before the run.
    pub(crate) undo: UndoHint,
    /// Whether `cluster up --recreate` replaces a simulated cluster by one that runs containers.
    pub(crate) can_become_real: bool,
}

/// The way from a simulated cluster to one that runs containers.
const REAL_CLUSTER: &str = "once Docker or Podman runs: handsctl cluster up --recreate, then handsctl up";

/// Builds the result of a verified rollout.
pub(crate) fn verified(
    revision: u64,
    steps: NextSteps,
    verification: Verification,
    origin: PlanOrigin,
) -> Finished {
    let Verification { endpoint, edition, app_settings, capacity } = verification;
    let AppSettingsResult { model, note } = app_settings;
    let (message, restored) = match origin {
        PlanOrigin::Configuration => (endpoint.describe(), None),
        PlanOrigin::Revision(number) => (
            endpoint.result_of(&format!("rolled back to revision {number}")),
            Some(CONFIG_UNCHANGED.to_owned()),
        ),
    };
    // The pod of profile `dev` starts no sandboxes.
    let starts_sandboxes = endpoint != Endpoint::DevTarget && edition.has_sandbox_pods();
    let is_simulated = endpoint == Endpoint::Simulated;
    // Simulated nodes report room, but no sandbox runs there.
    let shows_room = starts_sandboxes && !(is_simulated && capacity.is_some());
    let room = shows_room.then(|| sandbox_capacity::describe(capacity.as_ref()));
    let login = edition.login.filter(|_| !is_simulated);
    let login = login.map(|login| format!("{login}: handsctl open --key prints it"));
    let notes = restored.into_iter().chain(room).chain(login).chain(note);
    let sandboxes = capacity.filter(|_| !is_simulated).map(|capacity| capacity.sandboxes);
    let mut finished = finished(message, steps.undo, !is_simulated);
    if is_simulated && steps.can_become_real {
        finished.next.push(("next".to_owned(), REAL_CLUSTER.to_owned()));
    }
    Finished {
        notes: notes.collect(),
        url: endpoint.into_url(),
        sandboxes,
        model,
        revision: Some(revision),
        ..finished
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::plan::checks::sandbox_capacity::SandboxCapacity;
    use crate::settings::edition::CLASSIC;
    use crate::settings::tests::settings_of;

    fn result(endpoint: Endpoint, can_become_real: bool) -> Finished {
        let capacity = Some(SandboxCapacity { sandboxes: 15, each: "250m cpu, 1Gi".to_owned() });
        let verification = Verification {
            endpoint,
            edition: &CLASSIC,
            app_settings: AppSettingsResult::default(),
            capacity,
        };
        let steps = NextSteps { undo: UndoHint::Nothing, can_become_real };
        verified(3, steps, verification, PlanOrigin::Configuration)
    }

    #[test]
    fn simulation_ends_with_the_way_to_containers_and_no_room() {
        let finished = result(Endpoint::Simulated, true);
        assert_eq!(finished.next, [("next".to_owned(), REAL_CLUSTER.to_owned())]);
        assert_eq!((finished.notes.len(), finished.sandboxes), (0, None));
        let foreign = result(Endpoint::Simulated, false);
        assert!(foreign.next.is_empty(), "{:?}", foreign.next);
    }

    #[test]
    fn key_of_the_model_is_a_variable_of_a_pod() {
        let deployment = |name: &str| {
            let containers = json!([{ "name": "app" }, { "name": "b", "env": [{ "name": name }] }]);
            json!({ "kind": "Deployment", "spec": { "template": { "spec": { "containers": containers } } } })
        };
        assert!(has_key(&deployment(KEY)));
        assert!(!has_key(&deployment("LLM_MODEL")) && !has_key(&json!({ "kind": "Secret" })));
    }

    #[test]
    fn set_without_a_file_is_noted() {
        let note = |has_file, set| note_of_set(KeySources { has_file, set, variables: 0 });
        assert!(note(false, 1).is_some_and(|note| note.starts_with("--set counts for this run only")));
        assert_eq!((note(true, 1), note(false, 0)), (None, None));
    }

    #[test]
    fn first_deploy_of_an_unchosen_edition_names_the_current_one() {
        let note = |text: &str| note_of_default_edition(&History::new(Vec::new()), &settings_of(text));
        let unchosen = note("[llm]\nmodel = \"a/m\"\n").unwrap();
        assert!(
            unchosen.starts_with("today's OpenHands is Agent Canvas: [deploy] edition = \"canvas\""),
            "{unchosen}"
        );
        for chosen in [
            "edition = \"classic\"",
            "edition = \"canvas\"",
            "image = \"registry.example/openhands:1.5\"",
            "profile = \"dev\"",
        ] {
            assert_eq!(note(&format!("[deploy]\n{chosen}\n")), None, "{chosen}");
        }
    }

    #[test]
    fn application_ends_with_its_logs_and_the_room() {
        let finished = result(Endpoint::Answers("http://localhost/".to_owned()), true);
        let labels: Vec<&str> = finished.next.iter().map(|(label, _)| label.as_str()).collect();
        assert_eq!((labels, finished.sandboxes), (vec![LOGS], Some(15)));
        assert_eq!(finished.notes, ["room for 15 sandboxes of 250m cpu, 1Gi"]);
    }
}
