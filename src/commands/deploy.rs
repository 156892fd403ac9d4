//! `deploy`: makes the set in the cluster what the configuration says, and waits until it works.

use std::time::Duration;

use jiff::Timestamp;

use super::confirm;
use super::dry_run::dry_run;
use super::lock::{self, Held, under_lock};
use super::preflight::{Look, Prepared, Wanted, preflight};
use super::probe::{self, Where};
use super::rollout;
use super::run::{self, Deadline, step};
use super::session::{self, Session};
use crate::cli::{DeployArgs, DryRun, Global, OwnershipArgs, RolloutArgs};
use crate::cluster::api::Api;
use crate::cluster::apply::{self, Applied, Mode};
use crate::cluster::ground::{self, Extent};
use crate::cluster::revisions::{self, Recorded};
use crate::cluster::track::Rollout;
use crate::cluster::{live, prune};
use crate::error::{Error, Kind, Result};
use crate::event::{Action, Event, Events, Finished, Phase};
use crate::plan::ObjectId;
use crate::plan::ownership::Ownership;
use crate::plan::revision::{Content, Outcome};
use crate::report::Streams;
use crate::settings::Settings;

const TIMEOUT: Duration = Duration::from_secs(15 * 60);

/// Runs `deploy`.
pub(super) async fn run(global: &Global, arguments: &DeployArgs, streams: &Streams) -> anyhow::Result<u8> {
    let deadline = Deadline::after(arguments.apply.rollout.timeout.unwrap_or(TIMEOUT));
    run::run(global, "deploy", arguments.apply.rollout.output, streams, deadline, |events, held| async move {
        let loaded = session::load(global)?;
        session::tell(&loaded, &events).await;
        let session = Session::to_change(global, loaded, streams).await?;
        if arguments.delete_data && arguments.dry_run.is_none() {
            let what =
                format!("volume claims of {} that are no longer configured", session.settings.deploy.name);
            confirm::deletion(global, &what, &session.connection.choice.context, streams).await?;
        }
        let ownership = ownership(&session.settings, arguments.apply.ownership);
        let look = Look { wanted: Wanted::Configuration, delete_data: arguments.delete_data, ownership };
        let target = Target { command: "deploy", look, deadline, held: &held };
        let outcome = deploy(&session, &arguments.apply.rollout, arguments.dry_run, target, &events).await;
        session.tell_wire(&events).await;
        Ok(outcome.map_err(|error| session.explain(error))?)
    })
    .await
}

/// What is done about fields and objects of others: what the configuration says, and what was typed.
pub(super) fn ownership(settings: &Settings, flags: OwnershipArgs) -> Ownership {
    Ownership::new(&settings.deploy.ownership, flags.force_conflicts, flags.adopt)
}

/// What a command makes of the set, and until when.
pub(super) struct Target<'a> {
    /// `deploy`, `rollback`.
    pub(super) command: &'static str,
    pub(super) look: Look,
    pub(super) deadline: Deadline,
    pub(super) held: &'a Held,
}

/// The recipe, once the cluster is chosen.
pub(super) async fn deploy(
    session: &Session,
    arguments: &RolloutArgs,
    dry: Option<DryRun>,
    target: Target<'_>,
    events: &Events,
) -> Result<Finished> {
    let command =
        if dry.is_some() { format!("{} (dry run)", target.command) } else { target.command.to_owned() };
    events.send(Event::Started { command, target: session.target() }).await;
    let mut prepared =
        step(events, Phase::Preflight, "preflight", preflight(session, target.look, events)).await?;
    let begun = session.connection.api.wire().last_date();
    events.send(Event::Planned { objects: prepared.member_ids().cloned().collect() }).await;
    if let Some(who) = dry {
        return dry_run(session, &prepared, who, events).await;
    }
    let writes = prepared.has_work(!arguments.no_wait);
    let course = Course { session, arguments, begun, deadline: target.deadline, events, writes };
    if !writes {
        return course.run(&mut prepared).await;
    }
    let api = &session.connection.api;
    let set = prepared.set.clone();
    // The lock stands in the application's namespace.
    ground::make_namespaces(api, &prepared.plan, &prepared.survey.missing_namespaces(), events).await?;
    let work = async {
        prepared.again(session).await?;
        course.run(&mut prepared).await
    };
    under_lock(api, &set, target.held, events, work).await
}

/// A run through the set: apply, follow, prune.
struct Course<'a> {
    session: &'a Session,
    arguments: &'a RolloutArgs,
    /// When it began, on the server's clock.
    begun: Timestamp,
    deadline: Deadline,
    events: &'a Events,
    /// Whether anything has to be written: then the lock is held, and only then.
    writes: bool,
}

impl Course<'_> {
    async fn run(&self, prepared: &mut Prepared) -> Result<Finished> {
        let mut revision = prepared.present().map(|present| Recorded::existing(&prepared.set, present));
        let outcome = self.change(prepared, &mut revision).await;
        // A set that worked and was not changed now is no failed revision.
        if let (Err(error), Some(revision)) = (&outcome, &mut revision)
            && self.writes
            && is_final(error)
        {
            // The error of the rollout is the one that matters: a run that cannot say so leaves it as being applied.
            let _said = revisions::mark(self.api(), revision, Outcome::Failed).await;
        }
        outcome
    }

    fn api(&self) -> &Api {
        &self.session.connection.api
    }

    async fn change(&self, prepared: &mut Prepared, revision: &mut Option<Recorded>) -> Result<Finished> {
        let applied = step(self.events, Phase::Apply, "apply", self.send(prepared, revision)).await?;
        if self.arguments.no_wait {
            self.prune(prepared).await?;
            let message = "applied; the rollout was not waited for".to_owned();
            return Ok(finished(&applied, message, None, Undo::of(prepared, revision.as_ref())));
        }
        let place = self.follow(prepared, &applied).await?;
        self.prune(prepared).await?;
        if let Some(revision) = revision {
            revisions::mark(self.api(), revision, Outcome::Good).await?;
        }
        let message = match &place {
            Where::Simulated => {
                "deployed to simulated nodes: every object is real, no container runs".to_owned()
            }
            Where::At(url) => format!("OpenHands is ready at {url}"),
            Where::Inside => "OpenHands is ready inside the cluster".to_owned(),
        };
        let message = if prepared.note.is_empty() {
            message
        } else {
            format!(
                "{}; {message}; config.toml is as it was, and the next deploy applies it again",
                prepared.note
            )
        };
        Ok(finished(&applied, message, place.into_url(), Undo::of(prepared, revision.as_ref())))
    }

    /// Lays the ground and sends the members.
    async fn send(
        &self,
        prepared: &mut Prepared,
        revision: &mut Option<Recorded>,
    ) -> Result<(Vec<Applied>, String)> {
        let (api, events) = (self.api(), self.events);
        if self.writes {
            self.lay_ground(prepared, revision).await?;
        }
        let Prepared { plan, live, needs, ownership, .. } = prepared;
        let applied = apply::apply(api, plan, needs, &live.members, ownership, Mode::Apply, events).await?;
        let summary = counts(&applied);
        Ok((applied, summary))
    }

    /// What must be there before the first member: the key of its names, the parent that finds it again, and the
    /// revision that remembers it. Nothing of this is sent where it is there already.
    async fn lay_ground(&self, prepared: &mut Prepared, revision: &mut Option<Recorded>) -> Result<()> {
        let (api, events, set) = (self.api(), self.events, &prepared.plan.set);
        if prepared.lacks_key() {
            ground::store_key(api, set, &prepared.survey.key.0, events).await?;
        }
        let members: Vec<&ObjectId> = prepared.member_ids().collect();
        let parent = prepared.survey.parent.clone();
        let parent = ground::set_parent(api, set, Extent::AtLeast(&members), parent, events).await?;
        match revision {
            Some(revision) if prepared.sends() => {
                revisions::mark(api, revision, Outcome::Applying).await?;
            }
            Some(_) => {}
            None => {
                let content = Content::of(&prepared.plan, prepared.note.clone());
                let history = &prepared.survey.history;
                let new = revisions::record(api, set, history, &content, &lock::person(), events).await?;
                *revision = Some(new);
            }
        }
        prepared.survey.parent = Some(parent);
        Ok(())
    }

    async fn follow(&self, prepared: &mut Prepared, applied: &[Applied]) -> Result<Where> {
        let mut rollout = Rollout {
            world: std::mem::take(&mut prepared.live.world),
            expected: live::expected(applied),
            tolerance: rollout::tolerance(&self.session.settings, self.begun),
            deadline: self.deadline.at,
        };
        if rollout::is_standing_still(self.session, &rollout) {
            live::recall(self.api(), &prepared.plan.set, &mut rollout.world).await?;
        }
        let followed = rollout::follow(self.session, &mut prepared.live, &mut rollout, self.events).await;
        let place = match followed {
            Ok(()) => probe::ask(self.session, &rollout, self.arguments.probe, self.events).await,
            Err(error) => Err(error),
        };
        prepared.live.world = rollout.world;
        place
    }

    /// Deletes what is no longer in the set or in the history, and has the parent name what is left.
    async fn prune(&self, prepared: &mut Prepared) -> Result<()> {
        let (api, events, set) = (self.api(), self.events, &prepared.plan.set);
        let mut leftovers = prepared.leftovers();
        if !self.writes {
            // What has become superfluous since the beginning is the next run's: without the lock nothing is deleted.
            leftovers.retain(|leftover| !leftover.fate.is_pruned());
        }
        let goes = leftovers.iter().any(|leftover| leftover.fate.is_pruned());
        let work = async {
            let left = prune::prune(api, &prepared.set, &leftovers, &prepared.in_use(), events).await?;
            Ok((left, String::new()))
        };
        let left = if goes { step(events, Phase::Prune, "prune", work).await? } else { work.await?.0 };
        if !self.writes {
            return Ok(());
        }
        let members: Vec<&ObjectId> = prepared.member_ids().chain(&left).collect();
        if let Some(parent) = &prepared.survey.parent {
            ground::set_parent(api, set, Extent::Exactly(&members), Some(parent.clone()), events).await?;
        }
        revisions::delete(api, set, &prepared.surplus()).await
    }
}

/// Whether the revision has failed, rather than the connection or the patience.
fn is_final(error: &Error) -> bool {
    matches!(
        error.kind(),
        Kind::Rollout | Kind::Rejected | Kind::Ownership | Kind::Forbidden | Kind::Prerequisite
    )
}

/// What is deployed now, and the good revision before it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Undo {
    revision: Option<u64>,
    before: Option<u64>,
}

impl Undo {
    fn of(prepared: &Prepared, revision: Option<&Recorded>) -> Self {
        let number = revision.map(|revision| revision.number);
        let before = number.and_then(|number| prepared.survey.history.good_before(number));
        Self { revision: number, before: before.map(|before| before.number) }
    }

    /// Nothing was changed.
    pub(super) const fn nothing() -> Self {
        Self { revision: None, before: None }
    }

    fn command(&self) -> String {
        match self.before {
            Some(before) => format!("handsctl rollback --to {before}"),
            None => "handsctl teardown            (keeps the volume)".to_owned(),
        }
    }
}

/// `1 created, 1 configured, 9 unchanged`.
pub(super) fn counts(applied: &[Applied]) -> String {
    let words = [Action::Created, Action::Configured, Action::Unchanged, Action::Pruned].map(|action| {
        let count = applied.iter().filter(|applied| applied.action == action).count();
        (count > 0).then(|| format!("{count} {}", action.word()))
    });
    words.into_iter().flatten().collect::<Vec<_>>().join(", ")
}

/// The last word, with what to type next.
pub(super) fn finished(applied: &[Applied], message: String, url: Option<String>, undo: Undo) -> Finished {
    let changed = applied.iter().any(|applied| applied.action != Action::Unchanged);
    let mut next = vec![("logs".to_owned(), "handsctl logs -f".to_owned())];
    if changed {
        next.push(("undo".to_owned(), undo.command()));
    }
    Finished { revision: undo.revision, url, message, next, ..Finished::default() }
}
