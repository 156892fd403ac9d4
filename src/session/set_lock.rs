//! The set's lock as commands hold it: acquired by this process and released however the command ends.

use std::future::Future;
use std::pin::pin;
use std::sync::Mutex;
use std::time::Duration;

use tokio::time::Instant;

use super::revision_slot::RevisionSlot;
use super::step::{Deadline, LONGER_LIMIT};
use crate::catalogue::Id;
use crate::cluster::apply::lock::{self, Lock, LockCondition, LockObserver, LockRequest};
use crate::cluster::apply::lock_wait::{self, LockWait};
use crate::cluster::client::api::Api;
use crate::error::{Error, Kind, Result};
use crate::event::Events;
use crate::phrase;
use crate::plan::inventory::apply_set::ApplySet;
use crate::plan::inventory::lease::{Holder, LeaseDuration, LeaseInfo};
use crate::provider::{self, Process};

/// Time limit of the release. CI systems kill a process a few seconds after SIGTERM.
const RELEASE: Duration = Duration::from_secs(3);
/// Environment variable with the lease duration in seconds, for tests.
const TEST_LEASE: &str = "HANDSCTL_TEST_LEASE";

/// The set's lock of a command: released at every exit.
#[derive(Default)]
pub(crate) struct LockSlot(Mutex<LockState>);

/// The state of the command's lock.
#[derive(Default)]
enum LockState {
    /// The command neither holds nor requests the lock.
    #[default]
    Free,
    /// The command has requested the lock; the server may already have created the Lease.
    Requested { api: Api, set: ApplySet, holder: Holder },
    /// The command holds the lock.
    Held(Lock),
}

impl LockSlot {
    fn replace(&self, new: LockState) -> LockState {
        self.0.lock().map(|mut state| std::mem::replace(&mut *state, new)).unwrap_or_default()
    }

    /// Marks an unfinished revision as interrupted and releases the lock. Gives up after three seconds without a
    /// response, or shortly after the deadline, because the Lease expires by itself, and the next run decides about the
    /// revision.
    pub(crate) async fn release(&self, revision: &RevisionSlot, deadline: Deadline, events: &Events) {
        let limit = RELEASE.min(deadline.for_release().saturating_duration_since(Instant::now()));
        let release = async {
            if let Err(error) = revision.mark_interrupted().await {
                events.warn(Id::ResultNotRecorded, error.with_causes()).await;
            }
            match self.replace(LockState::Free) {
                LockState::Free => Ok(()),
                LockState::Requested { api, set, holder } => {
                    lock::release_unconfirmed(&api, &set, &holder).await
                }
                LockState::Held(lock) => lock.release().await,
            }
        };
        let reason = match tokio::time::timeout(limit, release).await {
            Ok(Ok(())) => return,
            Ok(Err(error)) => error.causes().first().cloned().unwrap_or_else(|| error.to_string()),
            Err(_elapsed) => format!("no response within {}", phrase::span(limit)),
        };
        let message = format!("the lock was not released ({reason}); it expires by itself");
        events.warn(Id::LockNotReleased, message).await;
    }
}

/// Acquires the set's lock and runs `work` under it. While the lock cannot be renewed, the work's writes wait. If the
/// lock is lost, the work is dropped and sends no more requests.
///
/// # Errors
/// Exit 13 if another run holds the lock or acquires it meanwhile; otherwise those of the work.
pub(crate) async fn under_lock<T>(
    api: &Api,
    set: &ApplySet,
    process: &Holder,
    slot: &LockSlot,
    events: &Events,
    work: impl Future<Output = Result<T>>,
) -> Result<T> {
    let request = lock_request(process);
    slot.replace(LockState::Requested { api: api.clone(), set: set.clone(), holder: process.clone() });
    let lock = match lock::acquire(api, set, &request, events).await {
        Ok(lock) => lock,
        Err(error) => {
            if error.kind() == Kind::Locked {
                slot.replace(LockState::Free);
            }
            return Err(error);
        }
    };
    let observer = lock.observer();
    slot.replace(LockState::Held(lock));
    while_held(observer, events, work).await
}

fn lock_request(process: &Holder) -> LockRequest<'static> {
    LockRequest { holder: process.clone(), has_exited: &has_exited, lease_duration: lease_duration() }
}

/// Waits until no other run holds the set's lock, for at most `limit` and until the command's deadline. Then runs `work`,
/// which acquires it. If another run is faster, waits again: nothing was changed.
///
/// # Errors
/// Exit 13 if another run holds the lock after `limit`, exit 10 if it does at the deadline; otherwise those of the work.
pub(super) async fn waiting_for_lock<T>(
    api: &Api,
    set: &ApplySet,
    process: &Holder,
    limit: Duration,
    deadline: Deadline,
    events: &Events,
    work: impl AsyncFn() -> Result<T>,
) -> Result<T> {
    let request = lock_request(process);
    let began = Instant::now();
    let end = began + limit;
    let wait = LockWait { began, limit, until: end.min(deadline.at) };
    loop {
        let waited = lock_wait::wait_until_free(api, set, &request, wait, events).await;
        waited.map_err(|error| if deadline.at < end { at_deadline(error, deadline) } else { error })?;
        match Box::pin(work()).await {
            Err(error) if error.id() == Id::Locked && Instant::now() < wait.until => {}
            outcome => return outcome,
        }
    }
}

/// Returns the error of a wait that the command's deadline has ended.
fn at_deadline(error: Error, deadline: Deadline) -> Error {
    if error.kind() != Kind::Locked {
        return error;
    }
    let passed = deadline.passed(Some("another run holds the lock")).hint(LONGER_LIMIT);
    error.facts().iter().fold(passed, |passed, fact| passed.fact(fact.label, fact.text.clone()))
}

/// Runs `work` until the lock is lost, and warns when the work's writes have to wait.
async fn while_held<T>(
    mut observer: LockObserver,
    events: &Events,
    work: impl Future<Output = Result<T>>,
) -> Result<T> {
    let mut work = pin!(work);
    loop {
        tokio::select! {
            biased;
            condition = observer.changed() => match condition {
                LockCondition::Held => {}
                LockCondition::Unconfirmed(time) => {
                    let message = format!(
                        "the lock was not renewed for {}: no changes are sent until the API server confirms it",
                        phrase::span(time)
                    );
                    events.warn(Id::LockUnconfirmed, message).await;
                }
                LockCondition::Lost(reason) => return Err(observer.lost_error(reason)),
            },
            outcome = &mut work => return outcome,
        }
    }
}

/// Returns this process as the holder of a lock.
pub(super) fn this_process() -> Holder {
    let Process { user, host, computer, pid, start, nonce } = Process::current();
    Holder { user, host, computer, pid, start, nonce }
}

/// Returns whether the holder of a lock is a process of this computer that no longer runs. The next run takes its lock at
/// once.
pub(crate) fn is_abandoned(lease: &LeaseInfo) -> bool {
    Holder::parse(&lease.identity).is_some_and(|holder| has_exited(&holder))
}

fn has_exited(holder: &Holder) -> bool {
    let Holder { user, host, computer, pid, start, nonce } = holder.clone();
    provider::has_exited(&Process { user, host, computer, pid, start, nonce })
}

fn lease_duration() -> LeaseDuration {
    let seconds = std::env::var(TEST_LEASE).ok().and_then(|text| text.parse().ok());
    seconds.map_or_else(LeaseDuration::default, |seconds| LeaseDuration(Duration::from_secs(seconds)))
}
