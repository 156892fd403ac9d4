//! The part of `deploy` and `rollback` that changes the set: apply, follow, prune.

use jiff::Timestamp;

use super::app_settings::{self, AppSettingsResult};
use super::prepare::Prepared;
use super::summary::{Arrival, Undo, arrived, counts, finished};
use super::{rollout, sandbox_capacity, verify};
use crate::cluster::apply::applied::{Applied, ApplyMode};
use crate::cluster::apply::inventory::{self, InventoryScope};
use crate::cluster::apply::revisions::{self, RevisionRef};
use crate::cluster::apply::{prune, waves};
use crate::cluster::client::api::Api;
use crate::cluster::rollout::follow::RolloutWatch;
use crate::cluster::watch::observed_set;
use crate::error::{Error, Kind, Result};
use crate::event::{Events, Finished, Phase};
use crate::flags::RolloutArgs;
use crate::object::ObjectId;
use crate::plan::inventory::revision::{RevisionResult, Snapshot};
use crate::session::cluster_session::Session;
use crate::session::set_lock;
use crate::session::step::{Deadline, step};
use crate::settings::handsctl::Profile;

/// A run through the set: apply, follow, prune.
#[derive(Clone, Copy)]
pub(crate) struct Course<'a> {
    pub(crate) session: &'a Session,
    pub(crate) arguments: &'a RolloutArgs,
    /// When it began, on the server's clock.
    pub(crate) begun: Timestamp,
    pub(crate) deadline: Deadline,
    pub(crate) events: &'a Events,
    /// Whether anything has to be written: then the lock is held, and only then.
    pub(crate) writes: bool,
    /// Whether a rollout that fails may be undone.
    pub(crate) recovers: bool,
}

impl Course<'_> {
    /// Makes the set what is wanted and says what came of it.
    ///
    /// # Errors
    /// Whatever stops it; a revision that failed is marked before.
    pub(crate) async fn run(&self, prepared: &mut Prepared) -> Result<Finished> {
        let mut revision = prepared.present().map(|present| RevisionRef::existing(&prepared.set, present));
        let outcome = self.change(prepared, &mut revision).await;
        // A set that worked and was not changed now is no failed revision.
        if let (Err(error), Some(revision)) = (&outcome, &mut revision)
            && self.writes
            && is_final(error)
        {
            // The error of the rollout is the one that matters: a run that cannot say so leaves it as being applied.
            let evidence = self.session.settings.redacted(&error.evidence_text());
            let _said = revisions::set_failed(self.api(), revision, &evidence).await;
        }
        outcome
    }

    fn api(&self) -> &Api {
        &self.session.connection.api
    }

    async fn change(&self, prepared: &mut Prepared, revision: &mut Option<RevisionRef>) -> Result<Finished> {
        let applied = step(self.events, Phase::Apply, "apply", self.send(prepared, revision)).await?;
        if self.arguments.no_wait {
            self.prune(prepared, prepared.known()).await?;
            let message = "applied; the rollout was not waited for".to_owned();
            return Ok(finished(&applied, message, Undo::of(prepared, revision.as_ref())));
        }
        let arrival = self.follow(prepared, &applied).await?;
        self.prune(prepared, RevisionResult::Good).await?;
        if let Some(revision) = revision {
            revisions::set_result(self.api(), revision, RevisionResult::Good).await?;
        }
        let message = arrival.place.words();
        Ok(arrived(finished(&applied, message, Undo::of(prepared, revision.as_ref())), arrival))
    }

    /// Lays the ground and sends the members.
    async fn send(
        &self,
        prepared: &mut Prepared,
        revision: &mut Option<RevisionRef>,
    ) -> Result<(Vec<Applied>, String)> {
        let (api, events) = (self.api(), self.events);
        if self.writes {
            self.lay_ground(prepared, revision).await?;
        }
        let Prepared { plan, live, needs, ownership, .. } = prepared;
        let applied =
            waves::apply(api, plan, needs, &live.members, ownership, ApplyMode::Apply, events).await?;
        let summary = counts(&applied);
        Ok((applied, summary))
    }

    /// What must be there before the first member: the parent that finds it again, the key of its names, and the
    /// revision that remembers it. Nothing of this is sent where it is there already. The parent is first: where it
    /// is refused, nothing is left behind.
    async fn lay_ground(&self, prepared: &mut Prepared, revision: &mut Option<RevisionRef>) -> Result<()> {
        let (api, events, set) = (self.api(), self.events, &prepared.plan.set);
        let members: Vec<&ObjectId> = prepared.member_ids().collect();
        let parent = prepared.survey.parent.clone();
        let parent =
            inventory::apply_parent(api, set, InventoryScope::Superset(&members), parent, events).await?;
        // Before the revision, which names Secrets after it.
        if prepared.lacks_key() {
            inventory::create_key(api, set, &prepared.survey.key.0, events).await?;
        }
        *revision = Some(self.record(prepared, revision.take()).await?);
        prepared.survey.parent = Some(parent);
        Ok(())
    }

    /// The revision that this run is about, marked as being applied where anything is sent.
    async fn record(&self, prepared: &Prepared, present: Option<RevisionRef>) -> Result<RevisionRef> {
        let (api, set) = (self.api(), &prepared.plan.set);
        let Some(mut present) = present else {
            let content = Snapshot::from_plan(&prepared.plan, prepared.note.clone());
            let history = &prepared.survey.history;
            return revisions::record(api, set, history, &content, &set_lock::user_host(), self.events).await;
        };
        if prepared.sends() {
            revisions::set_result(api, &mut present, RevisionResult::Applying).await?;
        }
        Ok(present)
    }

    /// Waits until the set works, and finds the application.
    async fn follow(&self, prepared: &mut Prepared, applied: &[Applied]) -> Result<Arrival> {
        let mut rollout = RolloutWatch {
            state: std::mem::take(&mut prepared.live.state),
            expected: observed_set::expected(applied),
            grace: rollout::grace_periods(&self.session.settings, self.begun),
            deadline: self.deadline.at,
        };
        if rollout::is_stalled(self.session, &rollout) {
            observed_set::load_past_events(self.api(), &prepared.plan.set, &mut rollout.state).await?;
        }
        let followed = rollout::follow(self.session, &mut prepared.live, &mut rollout, self.events).await;
        let arrival = match followed {
            Ok(()) => self.arrive(prepared, &rollout).await,
            Err(error) => Err(error),
        };
        prepared.live.state = rollout.state;
        arrival
    }

    /// Finds the application, and gives it what it lacks.
    async fn arrive(&self, prepared: &Prepared, rollout: &RolloutWatch) -> Result<Arrival> {
        let (session, events) = (self.session, self.events);
        let asked = verify::probe_application(session, rollout, self.arguments.probe, events);
        let room = async {
            if session.settings.deploy.profile == Profile::Dev {
                None
            } else {
                sandbox_capacity::estimate(session, events).await
            }
        };
        let (asked, room) = tokio::join!(asked, room);
        let asked = asked?;
        // What is brought back has the settings that it had.
        let seeded = match &asked.application {
            Some(application) if prepared.is_of_configuration() => {
                app_settings::seed(session, application, events).await
            }
            _ => AppSettingsResult::default(),
        };
        Ok(Arrival { place: asked.place, seeded, room })
    }

    /// Deletes what is no longer in the set or, now that this came of it, in the history, and has the parent name what is left.
    async fn prune(&self, prepared: &mut Prepared, outcome: RevisionResult) -> Result<()> {
        let (api, events, set) = (self.api(), self.events, &prepared.plan.set);
        let mut leftovers = prepared.leftovers(outcome);
        if !self.writes {
            // What has become superfluous since the beginning is the next run's: without the lock nothing is deleted.
            leftovers.retain(|leftover| !leftover.decision.deletes());
        }
        let goes = leftovers.iter().any(|leftover| leftover.decision.deletes());
        let work = async {
            let left =
                prune::prune(api, &prepared.set, &leftovers, &prepared.in_use(outcome), events).await?;
            Ok((left, String::new()))
        };
        let left = if goes { step(events, Phase::Prune, "prune", work).await? } else { work.await?.0 };
        if !self.writes {
            return Ok(());
        }
        let members: Vec<&ObjectId> = prepared.member_ids().chain(&left).collect();
        if let Some(parent) = &prepared.survey.parent {
            inventory::apply_parent(api, set, InventoryScope::Exact(&members), Some(parent.clone()), events)
                .await?;
        }
        revisions::delete(api, set, &prepared.surplus(outcome)).await
    }
}

/// Whether the revision has failed, rather than the connection or the patience.
fn is_final(error: &Error) -> bool {
    matches!(
        error.kind(),
        Kind::Rollout | Kind::Rejected | Kind::Ownership | Kind::Forbidden | Kind::Prerequisite
    )
}
