//! Waits until no other run holds the lock of a set. It acquires nothing: the command reads the cluster after the wait, so
//! that its changes are not compared with the state before the other run.

use std::time::Duration;

use jiff::Timestamp;
use serde_json::Value;
use tokio::time::Instant;

use super::lock::{self, LockRequest};
use crate::cluster::client::api::Api;
use crate::error::Result;
use crate::event::{Events, Phase};
use crate::object::kind::LEASE;
use crate::phrase;
use crate::plan::inventory::apply_set::ApplySet;
use crate::plan::inventory::lease::LeaseInfo;

/// The time between two reads of the Lease, as the retry period of client-go's leader election.
const POLL_INTERVAL: Duration = Duration::from_secs(2);
/// The name of the step.
const STEP: &str = "lock";

/// The limit of a wait for the lock.
#[derive(Debug, Clone, Copy)]
pub struct LockWait {
    /// When the command began to wait.
    pub began: Instant,
    /// How long the command waits in total.
    pub limit: Duration,
    /// When the wait ends at the latest.
    pub until: Instant,
}

/// Waits until the lock is free, has expired, or its holder has exited. Reads the Lease at least once.
///
/// # Errors
/// Exit 13 if another run still holds the lock when the wait ends; the error names the holder.
pub async fn wait_until_free(
    api: &Api,
    set: &ApplySet,
    request: &LockRequest<'_>,
    wait: LockWait,
    events: &Events,
) -> Result<()> {
    let id = LEASE.id(&set.namespace, &set.parent_name());
    let leases = LEASE.in_namespace(&set.namespace);
    let mut shown: Option<(Instant, String)> = None;
    loop {
        let live = lock::read_lease(api, &leases, &id).await?;
        let now = api.clock().monotonic();
        let Some((info, until)) = live.and_then(|live| held_by_other(&live, request, now)) else { break };
        if Instant::now() >= wait.until {
            let error = lock::locked_error(set, &info, until, now);
            return Err(error.fact("waited", phrase::span(wait.began.elapsed())));
        }
        // An event that says nothing new would postpone the heartbeat.
        let text = waiting_text(&info, wait.limit);
        if shown.as_ref().is_none_or(|(_, last)| *last != text) {
            let began = shown.map_or_else(Instant::now, |(began, _)| began);
            events.begin(Phase::Lock, STEP, text.clone()).await;
            shown = Some((began, text));
        }
        tokio::time::sleep_until(wait.until.min(Instant::now() + POLL_INTERVAL)).await;
    }
    if let Some((began, _)) = shown {
        events.done(Phase::Lock, STEP, format!("free after {}", phrase::span(began.elapsed()))).await;
    }
    Ok(())
}

/// Returns the Lease of another run that must be respected, and when it expires. The Lease of another tool is none: the
/// command that acquires the lock reports it.
fn held_by_other(lease: &Value, request: &LockRequest<'_>, now: Timestamp) -> Option<(LeaseInfo, Timestamp)> {
    let info = LeaseInfo::read(lease);
    let until = info.until?;
    let is_held =
        info.identity != request.holder.identity() && lock::takeover_reason(&info, request, now).is_none();
    is_held.then_some((info, until))
}

/// Returns `held by ana@laptop, process 4711, since 10:04:05 UTC; waiting up to 10 m`.
fn waiting_text(info: &LeaseInfo, limit: Duration) -> String {
    let since =
        info.since.map_or_else(String::new, |since| format!(", since {}", since.strftime("%H:%M:%S UTC")));
    format!("held by {}{since}; waiting up to {}", info.holder(), phrase::span(limit))
}

#[cfg(test)]
mod tests {
    use jiff::SignedDuration;
    use serde_json::json;

    use super::*;
    use crate::catalogue::Id;
    use crate::cluster::scripted::{ScriptedServer, scripted};
    use crate::error::Error;
    use crate::event::{Event, Progress};
    use crate::plan::inventory::lease::{self, Holder, LeaseDuration};

    const LEASE_PATH: &str = "/apis/coordination.k8s.io/v1/namespaces/n/leases/handsctl-oh";

    fn set() -> ApplySet {
        ApplySet { name: "oh".into(), namespace: "n".into(), ..ApplySet::default() }
    }

    fn holder(user: &str, pid: u32) -> Holder {
        let (host, computer) = ("laptop".into(), "m.b.1".into());
        Holder { user: user.into(), host, computer, pid, start: "1".into(), nonce: "5eed".into() }
    }

    /// Waits for at most `limit` seconds while `script` answers; returns the outcome and the messages of the step.
    async fn wait_against(
        limit: u64,
        has_exited: &(dyn Fn(&Holder) -> bool + Sync),
        script: impl AsyncFnOnce(&mut ScriptedServer),
    ) -> (Result<()>, Vec<(Progress, String)>) {
        let (api, mut server) = scripted();
        let (events, mut receiver) = Events::channel();
        let limit = Duration::from_secs(limit);
        let began = Instant::now();
        let wait = LockWait { began, limit, until: began + limit };
        let lease_duration = LeaseDuration::default();
        let request = LockRequest { holder: holder("ana", 1), has_exited, lease_duration };
        let set = set();
        let waiting = wait_until_free(&api, &set, &request, wait, &events);
        let (outcome, ()) = tokio::join!(waiting, script(&mut server));
        let mut messages = Vec::new();
        while let Some(event) = receiver.try_recv() {
            if let Event::Step { progress, message, .. } = event {
                messages.push((progress, message));
            }
        }
        (outcome, messages)
    }

    /// Answers one read of the Lease: this holder renewed it `age` seconds ago.
    async fn answer_read(server: &mut ScriptedServer, holder: &Holder, age: i64) {
        let exchange = server.expect(&format!("GET {LEASE_PATH}")).await;
        let renewed = server.now() - SignedDuration::from_secs(age);
        exchange.ok(&lease::manifest(&set(), holder, LeaseDuration::default(), renewed, renewed));
    }

    fn never_exited(_: &Holder) -> bool {
        false
    }

    fn fact(error: &Error, label: &str) -> Option<String> {
        error.facts().iter().find(|fact| fact.label == label).map(|fact| fact.text.clone())
    }

    #[tokio::test(start_paused = true)]
    async fn free_lock_is_not_waited_for() {
        let (outcome, messages) = wait_against(60, &never_exited, async |server| {
            server.expect(&format!("GET {LEASE_PATH}")).await.not_found();
        })
        .await;
        outcome.unwrap();
        assert_eq!(messages, []);
    }

    #[tokio::test(start_paused = true)]
    async fn wait_ends_when_the_holder_deletes_its_lease() {
        let begin = Instant::now();
        let (outcome, messages) = wait_against(60, &never_exited, async |server| {
            for age in [0, 2, 4] {
                answer_read(server, &holder("bob", 2), age).await;
            }
            server.expect(&format!("GET {LEASE_PATH}")).await.not_found();
        })
        .await;
        outcome.unwrap();
        assert_eq!(begin.elapsed().as_secs(), 6);
        let (progress, text) = &messages[0];
        assert_eq!(*progress, Progress::Started);
        assert!(text.starts_with("held by bob@laptop, process 2, since "), "{text}");
        assert!(text.ends_with("; waiting up to 1 m"), "{text}");
        assert_eq!(messages.last(), Some(&(Progress::Done, "free after 6 s".to_owned())));
        assert_eq!(messages.len(), 2, "three reads of the same holder are one event: {messages:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn wait_that_ends_in_vain_names_the_holder() {
        let begin = Instant::now();
        let (outcome, _) = wait_against(5, &never_exited, async |server| {
            for _ in 0..4 {
                answer_read(server, &holder("bob", 2), 0).await;
            }
        })
        .await;
        assert_eq!(begin.elapsed().as_secs(), 5);
        let error = outcome.unwrap_err();
        assert_eq!(error.id(), Id::Locked);
        assert!(fact(&error, "holder").is_some_and(|text| text.starts_with("bob@laptop, process 2")));
        assert_eq!(fact(&error, "waited").as_deref(), Some("5 s"));
    }

    #[tokio::test(start_paused = true)]
    async fn expired_lock_and_exited_holder_end_the_wait() {
        for (age, pid) in [(61, 3), (1, 2)] {
            let has_exited = |holder: &Holder| holder.pid == 2;
            let (outcome, messages) = wait_against(60, &has_exited, async |server| {
                answer_read(server, &holder("bob", pid), age).await;
            })
            .await;
            outcome.unwrap();
            assert_eq!(messages, [], "{pid}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn lease_of_another_tool_is_not_waited_for() {
        let (outcome, _) = wait_against(60, &never_exited, async |server| {
            let lease = json!({ "spec": { "holderIdentity": "controller-1" } });
            server.expect(&format!("GET {LEASE_PATH}")).await.ok(&lease);
        })
        .await;
        outcome.unwrap();
    }
}
