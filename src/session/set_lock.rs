//! The set's lock as commands hold it: taken by this process, given back however the command ends.

use std::future::Future;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::catalogue::Id;
use crate::cluster::apply::lock::{self, Asking, Lock};
use crate::cluster::client::api::Api;
use crate::error::{Kind, Result};
use crate::event::Events;
use crate::plan::inventory::apply_set::ApplySet;
use crate::plan::inventory::lease::{Holder, Terms};
use crate::provider::{self, Process};

/// An interrupted command has to be out soon: CI kills a few seconds after it asked.
const RELEASE: Duration = Duration::from_secs(3);
/// Seconds for which a lock is believed; for tests.
const TEST_LEASE: &str = "HANDSCTL_TEST_LEASE";

/// What has to be given back when the command ends.
#[derive(Clone, Default)]
pub(crate) struct Held(Arc<Mutex<Lockable>>);

/// How far a command is with the lock.
#[derive(Default)]
enum Lockable {
    /// It has none, and asks for none.
    #[default]
    Free,
    /// It asks: whether the server has made the Lease is not known.
    Asked { api: Api, set: ApplySet, holder: Holder },
    /// It has it.
    Held(Lock),
}

impl Held {
    fn is_now(&self, lockable: Lockable) -> Lockable {
        self.0.lock().map(|mut held| std::mem::replace(&mut *held, lockable)).unwrap_or_default()
    }

    /// Gives back what is held. A server that does not answer is not waited for: the Lease expires by itself.
    pub(crate) async fn release(&self, events: &Events) {
        let release = async {
            match self.is_now(Lockable::Free) {
                Lockable::Free => Ok(()),
                Lockable::Asked { api, set, holder } => lock::withdraw(&api, &set, &holder).await,
                Lockable::Held(lock) => lock.release().await,
            }
        };
        let reason = match tokio::time::timeout(RELEASE, release).await {
            Ok(Ok(())) => return,
            Ok(Err(error)) => error.causes().first().cloned().unwrap_or_else(|| error.to_string()),
            Err(_elapsed) => format!("no answer within {} s", RELEASE.as_secs()),
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
    held: &Held,
    events: &Events,
    work: impl Future<Output = Result<T>>,
) -> Result<T> {
    let asking = Asking { holder: this_process(), is_gone: &is_gone, terms: terms() };
    let holder = asking.holder.clone();
    held.is_now(Lockable::Asked { api: api.clone(), set: set.clone(), holder });
    let lock = match lock::take(api, set, &asking, events).await {
        Ok(lock) => lock,
        Err(error) => {
            if error.kind() == Kind::Locked {
                held.is_now(Lockable::Free);
            }
            return Err(error);
        }
    };
    let lost = lock.lost();
    held.is_now(Lockable::Held(lock));
    tokio::select! {
        biased;
        error = lost => Err(error),
        outcome = work => outcome,
    }
}

/// `ana@laptop`, as revisions name who made them.
pub(crate) fn person() -> String {
    this_process().person()
}

fn this_process() -> Holder {
    let Process { user, host, boot, pid, start } = Process::current();
    Holder { user, host, boot, pid, start }
}

fn is_gone(holder: &Holder) -> bool {
    let Holder { user, host, boot, pid, start } = holder.clone();
    provider::is_gone(&Process { user, host, boot, pid, start })
}

fn terms() -> Terms {
    let seconds = std::env::var(TEST_LEASE).ok().and_then(|text| text.parse().ok());
    seconds.map_or_else(Terms::default, |seconds| Terms(Duration::from_secs(seconds)))
}
