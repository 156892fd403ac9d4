//! The set's lock as commands hold it: taken by this process, given back however the command ends.

use std::future::Future;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::catalogue::Id;
use crate::cluster::apply::lock::{self, Lock, LockRequest};
use crate::cluster::client::api::Api;
use crate::error::{Kind, Result};
use crate::event::Events;
use crate::phrase;
use crate::plan::inventory::apply_set::ApplySet;
use crate::plan::inventory::lease::{Holder, LeaseDuration};
use crate::provider::{self, Process};

/// An interrupted command has to be out soon: CI kills a few seconds after it asked.
const RELEASE: Duration = Duration::from_secs(3);
/// Seconds for which a lock is believed; for tests.
const TEST_LEASE: &str = "HANDSCTL_TEST_LEASE";

/// What has to be given back when the command ends.
#[derive(Clone, Default)]
pub(crate) struct LockSlot(Arc<Mutex<LockState>>);

/// How far a command is with the lock.
#[derive(Default)]
enum LockState {
    /// It has none, and asks for none.
    #[default]
    Free,
    /// It asks: whether the server has made the Lease is not known.
    Asked { api: Api, set: ApplySet, holder: Holder },
    /// It has it.
    Held(Lock),
}

impl LockSlot {
    fn replace(&self, lockable: LockState) -> LockState {
        self.0.lock().map(|mut held| std::mem::replace(&mut *held, lockable)).unwrap_or_default()
    }

    /// Gives back what is held. A server that does not answer is not waited for: the Lease expires by itself.
    pub(crate) async fn release(&self, events: &Events) {
        let release = async {
            match self.replace(LockState::Free) {
                LockState::Free => Ok(()),
                LockState::Asked { api, set, holder } => lock::release_unconfirmed(&api, &set, &holder).await,
                LockState::Held(lock) => lock.release().await,
            }
        };
        let reason = match tokio::time::timeout(RELEASE, release).await {
            Ok(Ok(())) => return,
            Ok(Err(error)) => error.causes().first().cloned().unwrap_or_else(|| error.to_string()),
            Err(_elapsed) => format!("no answer within {}", phrase::span(RELEASE)),
        };
        let message = format!("the lock was not given back ({reason}); it expires by itself");
        events.warn(Id::LockLost, message).await;
    }
}

/// Takes the set's lock and does `work` under it. Where the lock is lost the work is dropped: nothing more is sent.
///
/// # Errors
/// Exit 13 where another run holds the lock, or has taken it meanwhile; else those of the work.
pub(crate) async fn under_lock<T>(
    api: &Api,
    set: &ApplySet,
    held: &LockSlot,
    events: &Events,
    work: impl Future<Output = Result<T>>,
) -> Result<T> {
    let asking = LockRequest { holder: this_process(), is_gone: &is_gone, terms: terms() };
    let holder = asking.holder.clone();
    held.replace(LockState::Asked { api: api.clone(), set: set.clone(), holder });
    let lock = match lock::acquire(api, set, &asking, events).await {
        Ok(lock) => lock,
        Err(error) => {
            if error.kind() == Kind::Locked {
                held.replace(LockState::Free);
            }
            return Err(error);
        }
    };
    let lost = lock.lost();
    held.replace(LockState::Held(lock));
    tokio::select! {
        biased;
        error = lost => Err(error),
        outcome = work => outcome,
    }
}

/// `ana@laptop`, as revisions name who made them.
pub(crate) fn user_host() -> String {
    this_process().user_host()
}

fn this_process() -> Holder {
    let Process { user, host, boot, pid, start } = Process::current();
    Holder { user, host, boot, pid, start }
}

fn is_gone(holder: &Holder) -> bool {
    let Holder { user, host, boot, pid, start } = holder.clone();
    provider::is_gone(&Process { user, host, boot, pid, start })
}

fn terms() -> LeaseDuration {
    let seconds = std::env::var(TEST_LEASE).ok().and_then(|text| text.parse().ok());
    seconds.map_or_else(LeaseDuration::default, |seconds| LeaseDuration(Duration::from_secs(seconds)))
}
