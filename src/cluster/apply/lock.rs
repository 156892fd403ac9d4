//! The lock of a set: a Lease, acquired before the first write, renewed while the command runs, released when it ends.
//!
//! An outage of the API server does not end the lock: while it cannot be renewed, writes are held back, because the Lease
//! may expire and another run may acquire it. The renewal carries the Lease's resourceVersion, so it succeeds afterwards
//! only if nobody did. The same holds after a suspend of the computer and after a stop of the process: each write checks the
//! age of the last renewal.

use std::convert::Infallible;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::namespaces;
use crate::catalogue::Id;
use crate::cluster::client::api::{Api, ApiError};
use crate::cluster::client::boot_instant::BootInstant;
use crate::cluster::client::request::if_unchanged;
use crate::cluster::client::status_error;
use crate::error::{Error, Kind, Result};
use crate::event::{Events, Phase};
use crate::object::ObjectId;
use crate::object::kind::{Collection, LEASE};
use crate::phrase;
use crate::plan::inventory::apply_set::ApplySet;
use crate::plan::inventory::lease::{self, Holder, LeaseDuration, LeaseInfo};

/// How many times to retry when the Lease changes between reading and writing it.
const ATTEMPTS: usize = 5;
/// The pause before retrying a renewal that got no response.
const RETRY_PAUSE: Duration = Duration::from_millis(500);
/// The time limit of one request to renew or to release the lock.
const CALL_LIMIT: Duration = Duration::from_secs(10);

/// The parameters for acquiring the lock.
pub struct LockRequest<'a> {
    /// This process.
    pub holder: Holder,
    /// Reports whether a holder is a process of this computer that no longer runs.
    pub has_exited: &'a (dyn Fn(&Holder) -> bool + Sync),
    /// How long the lock is valid without a renewal.
    pub lease_duration: LeaseDuration,
}

/// The held lock. Dropping it stops the renewal, so the Lease expires; [`Lock::release`] deletes the Lease.
pub struct Lock {
    api: Api,
    lease: LeaseHandle,
    condition: watch::Receiver<LockCondition>,
    renewal: JoinHandle<()>,
}

/// Whether this run still has the lock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LockCondition {
    /// The Lease was renewed in time.
    Held,
    /// The Lease could not be renewed for this long: another run may have acquired it. Writes are held back.
    Unconfirmed(Duration),
    /// Another run holds the Lease, or it was deleted; with the reason.
    Lost(String),
}

/// Observes the lock's condition.
pub struct LockObserver {
    id: ObjectId,
    condition: watch::Receiver<LockCondition>,
}

/// The Lease as last read from or written to the server, shared with the renewal task.
#[derive(Debug, Clone)]
struct LeaseHandle {
    id: ObjectId,
    leases: Collection,
    holder: Holder,
    last: Arc<Mutex<Value>>,
}

/// Acquires the lock.
///
/// # Errors
/// Exit 13 if another run holds the lock; the error names the holder and the time at which the lock expires.
pub async fn acquire(api: &Api, set: &ApplySet, request: &LockRequest<'_>, events: &Events) -> Result<Lock> {
    events.begin(Phase::Lock, "lock", "").await;
    let id = LEASE.id(&set.namespace, &set.parent_name());
    let leases = LEASE.in_namespace(&set.namespace);
    let held = |lease: Value, sent_at: BootInstant| HeldLease {
        handle: LeaseHandle {
            id: id.clone(),
            leases: leases.clone(),
            holder: request.holder.clone(),
            last: Arc::new(Mutex::new(lease)),
        },
        renewed_at: sent_at,
    };
    let began = BootInstant::now();
    for _ in 0..ATTEMPTS {
        let sent_at = BootInstant::now();
        let now = api.clock().monotonic();
        let manifest = lease::manifest(set, &request.holder, request.lease_duration, now, now);
        match api.create(&leases, &manifest).await {
            Ok(response) => return Ok(hold(api, held(response.body, sent_at), request, "", events).await),
            Err(error) if error.code() == Some(409) => {}
            Err(error) => return Err(write_error(error, &id, set)),
        }
        let live = read_lease(api, &leases, &id).await?;
        let Some(live) = live else { continue };
        let info = LeaseInfo::read(&live);
        if info.identity == request.holder.identity() {
            // An earlier attempt created the Lease and its response was lost.
            return Ok(hold(api, held(live, began), request, "", events).await);
        }
        let Some(until) = info.until else { return Err(foreign_lease_error(&id, set)) };
        let (sent_at, now) = (BootInstant::now(), api.clock().monotonic());
        let Some(why) = takeover_reason(&info, request, now) else {
            return Err(locked_error(set, &info, until, now));
        };
        let mut manifest = lease::manifest(set, &request.holder, request.lease_duration, now, now);
        manifest["metadata"]["resourceVersion"] = live["metadata"]["resourceVersion"].clone();
        manifest["metadata"]["uid"] = live["metadata"]["uid"].clone();
        match api.replace(&leases, &manifest).await {
            Ok(response) => {
                let message = format!("taken over from {}, {why}", info.holder());
                return Ok(hold(api, held(response.body, sent_at), request, &message, events).await);
            }
            Err(error) if matches!(error.code(), Some(404 | 409)) => {}
            Err(error) => return Err(write_error(error, &id, set)),
        }
    }
    Err(Error::new(
        Id::Locked,
        Kind::Locked,
        format!("cannot acquire the lock {id}: the Lease kept changing"),
    )
    .hint("run the command again"))
}

/// Reads the Lease; None: it does not exist.
pub(super) async fn read_lease(api: &Api, leases: &Collection, id: &ObjectId) -> Result<Option<Value>> {
    let live = api.get_opt(leases, &id.name).await;
    live.map_err(|error| error.into_error(&format!("cannot read {id}")))
}

/// Releases a lock that may or may not have been acquired: the command was interrupted while it was acquiring it.
///
/// # Errors
/// Fails if the server is unreachable; the Lease then expires by itself.
pub async fn release_unconfirmed(api: &Api, set: &ApplySet, holder: &Holder) -> Result<()> {
    let id = LEASE.id(&set.namespace, &set.parent_name());
    let leases = LEASE.in_namespace(&set.namespace);
    let api = api.for_lock(CALL_LIMIT);
    let live = read_lease(&api, &leases, &id).await?;
    let Some(live) = live.filter(|live| LeaseInfo::read(live).identity == holder.identity()) else {
        return Ok(());
    };
    // A takeover keeps the UID, so only the resourceVersion protects the lock of the next holder.
    match api.delete(&leases, &id.name, &if_unchanged(&live)).await {
        Ok(_) => Ok(()),
        Err(error) if matches!(error.code(), Some(404 | 409)) => Ok(()),
        Err(error) => Err(error.into_error(&format!("cannot delete {id}"))),
    }
}

/// Returns why the lock may be taken over; None while its holder must be respected.
pub(super) fn takeover_reason(
    info: &LeaseInfo,
    request: &LockRequest<'_>,
    now: Timestamp,
) -> Option<&'static str> {
    let has_exited = Holder::parse(&info.identity).is_some_and(|holder| (request.has_exited)(&holder));
    if has_exited {
        Some("which has exited")
    } else if info.is_expired(now) {
        Some("which did not renew it in time")
    } else {
        None
    }
}

/// A Lease that this process has just acquired.
struct HeldLease {
    handle: LeaseHandle,
    /// A time before its `renewTime`: its request was sent then.
    renewed_at: BootInstant,
}

async fn hold(api: &Api, held: HeldLease, request: &LockRequest<'_>, message: &str, events: &Events) -> Lock {
    events.done(Phase::Lock, "lock", message).await;
    let api = api.for_lock(CALL_LIMIT.min(request.lease_duration.renew_interval()));
    api.writes().on_renewal(held.renewed_at, request.lease_duration.renew_deadline());
    let (sender, condition) = watch::channel(LockCondition::Held);
    let lease = held.handle.clone();
    let renewal = Renewals { api: api.clone(), lease: held.handle, duration: request.lease_duration, sender };
    Lock { api, lease, condition, renewal: tokio::spawn(renewal.run(held.renewed_at)) }
}

impl LeaseHandle {
    fn read(&self) -> Value {
        self.last.lock().map(|last| last.clone()).unwrap_or_default()
    }

    fn keep(&self, lease: Value) {
        if let Ok(mut last) = self.last.lock() {
            *last = lease;
        }
    }

    fn is_ours(&self, lease: &Value) -> bool {
        LeaseInfo::read(lease).identity == self.holder.identity()
            && lease["metadata"]["uid"] == self.read()["metadata"]["uid"]
    }
}

/// The renewal of the held Lease.
struct Renewals {
    api: Api,
    lease: LeaseHandle,
    duration: LeaseDuration,
    sender: watch::Sender<LockCondition>,
}

/// Why a renewal failed.
enum RenewalError {
    /// Another process holds the Lease, or it was deleted; with the reason.
    Lost(String),
    /// No response, or an error unrelated to the Lease.
    Unanswered,
}

impl Renewals {
    /// Renews the Lease until it is lost. While it cannot be renewed in time, writes are held back.
    async fn run(self, mut renewed_at: BootInstant) {
        loop {
            tokio::select! {
                () = tokio::time::sleep_until(renewed_at.on_timer() + self.duration.renew_interval()) => {}
                // A write found the last renewal too old. Timers stand still during a suspend.
                () = self.api.writes().closed() => {}
            }
            let renewal = tokio::select! {
                renewal = self.renew() => renewal,
                never = self.hold_back_writes(renewed_at) => match never {},
            };
            match renewal {
                Ok(sent_at) => {
                    renewed_at = sent_at;
                    self.api.writes().on_renewal(sent_at, self.duration.renew_deadline());
                    self.api.writes().open();
                    self.set(LockCondition::Held);
                }
                Err(reason) => {
                    self.api.writes().close();
                    self.set(LockCondition::Lost(reason));
                    return;
                }
            }
        }
    }

    /// Holds back writes from the deadline of the renewal on.
    async fn hold_back_writes(&self, renewed_at: BootInstant) -> Infallible {
        tokio::select! {
            () = tokio::time::sleep_until(renewed_at.on_timer() + self.duration.renew_deadline()) => {
                self.api.writes().close();
            }
            () = self.api.writes().closed() => {}
        }
        self.set(LockCondition::Unconfirmed(renewed_at.elapsed()));
        std::future::pending().await
    }

    /// Repeats the renewal until the server answers it. Returns a time before the new `renewTime`, or why the lock is
    /// lost.
    async fn renew(&self) -> Result<BootInstant, String> {
        loop {
            match self.renew_once().await {
                Ok(sent_at) => return Ok(sent_at),
                Err(RenewalError::Lost(reason)) => return Err(reason),
                Err(RenewalError::Unanswered) => {
                    tokio::time::sleep(RETRY_PAUSE.min(self.duration.renew_interval())).await;
                }
            }
        }
    }

    async fn renew_once(&self) -> Result<BootInstant, RenewalError> {
        let Self { api, lease, .. } = self;
        for _ in 0..ATTEMPTS {
            let sent_at = BootInstant::now();
            let mut manifest = lease.read();
            manifest["spec"]["renewTime"] = json!(lease::micro(api.clock().monotonic()));
            match api.replace(&lease.leases, &manifest).await {
                Ok(response) => {
                    lease.keep(response.body);
                    return Ok(sent_at);
                }
                Err(error) if matches!(error.code(), Some(404 | 409)) => {}
                Err(_) => return Err(RenewalError::Unanswered),
            }
            match api.get_opt(&lease.leases, &lease.id.name).await {
                // An earlier renewal succeeded and its response was lost, or someone annotated the Lease.
                Ok(Some(live)) if lease.is_ours(&live) => lease.keep(live),
                Ok(Some(live)) => {
                    let holder = LeaseInfo::read(&live).holder();
                    return Err(RenewalError::Lost(format!("{holder} holds it now")));
                }
                Ok(None) => return Err(RenewalError::Lost("the Lease was deleted".to_owned())),
                Err(_) => return Err(RenewalError::Unanswered),
            }
        }
        Err(RenewalError::Unanswered)
    }

    fn set(&self, condition: LockCondition) {
        self.sender.send_if_modified(|current| {
            let is_new = *current != condition;
            *current = condition;
            is_new
        });
    }
}

impl LockObserver {
    /// Waits for the next change of the condition.
    pub async fn changed(&mut self) -> LockCondition {
        match self.condition.changed().await {
            Ok(()) => self.condition.borrow_and_update().clone(),
            Err(_renewal_ended) => LockCondition::Lost("the renewal ended".to_owned()),
        }
    }

    /// Waits until the lock is lost. Pending while it is held, and during an outage.
    pub async fn lost(mut self) -> Error {
        loop {
            if let LockCondition::Lost(reason) = self.changed().await {
                return self.lost_error(reason);
            }
        }
    }

    /// Returns the error of a lost lock, after which the command must not write any more.
    #[must_use]
    pub fn lost_error(&self, reason: String) -> Error {
        let message = format!("lost the lock {}; no further changes are sent", self.id);
        Error::new(Id::LockLost, Kind::Locked, message)
            .fact("evidence", reason)
            .hint("handsctl status shows the state of the installation; running the command again continues from here")
    }
}

impl Lock {
    /// Returns an observer of the lock's condition.
    #[must_use]
    pub fn observer(&self) -> LockObserver {
        LockObserver { id: self.lease.id.clone(), condition: self.condition.clone() }
    }

    /// Releases the lock by deleting the Lease, unless another process has acquired it meanwhile.
    ///
    /// # Errors
    /// Fails if the server is unreachable; the Lease then expires by itself.
    pub async fn release(self) -> Result<()> {
        self.renewal.abort();
        let id = &self.lease.id;
        for _ in 0..ATTEMPTS {
            let last = self.lease.read();
            match self.api.delete(&self.lease.leases, &id.name, &if_unchanged(&last)).await {
                Ok(_) => return Ok(()),
                Err(error) if error.code() == Some(404) => return Ok(()),
                Err(error) if error.code() == Some(409) => {}
                Err(error) => return Err(error.into_error(&format!("cannot delete {id}"))),
            }
            // A renewal was in flight, or another process acquired the lock.
            match self.api.get_opt(&self.lease.leases, &id.name).await {
                Ok(Some(live)) if self.lease.is_ours(&live) => self.lease.keep(live),
                Ok(_) => return Ok(()),
                Err(error) => return Err(error.into_error(&format!("cannot read {id}"))),
            }
        }
        Err(Error::new(
            Id::LockNotReleased,
            Kind::Locked,
            format!("cannot delete {id}: it changed at every attempt"),
        ))
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        self.renewal.abort();
        self.api.writes().on_unlock();
    }
}

fn write_error(error: ApiError, id: &ObjectId, set: &ApplySet) -> Error {
    let error = match error {
        ApiError::Status(status)
            if status.code == 404 && status_error::is_missing_namespace(&status.message) =>
        {
            namespaces::missing_namespace(&set.namespace)
        }
        error => error.into_error(&format!("cannot acquire the lock {id} in namespace {}", set.namespace)),
    };
    error.state("the installation was not changed")
}

/// Returns the error of a run that does not get the lock: it names the holder and the time at which the lock expires.
pub(super) fn locked_error(set: &ApplySet, info: &LeaseInfo, until: Timestamp, now: Timestamp) -> Error {
    let holder = match info.since {
        Some(since) => format!("{}, for {}", info.holder(), phrase::span(phrase::elapsed(since, now))),
        None => info.holder(),
    };
    Error::new(
        Id::Locked,
        Kind::Locked,
        format!(
            "another run is changing the installation `{}` in namespace {}; nothing was changed",
            set.name, set.namespace
        ),
    )
    .fact("holder", holder)
    .fact(
        "expires",
        format!(
            "{} unless it is renewed (in {})",
            until.strftime("%H:%M:%S UTC"),
            phrase::span(phrase::elapsed(now, until))
        ),
    )
    .hint("--lock-wait 10m waits for that run to end; or run the command again then")
    .hint(format!(
        "if that run no longer exists: kubectl delete lease {} -n {}",
        set.parent_name(),
        set.namespace
    ))
}

fn foreign_lease_error(id: &ObjectId, set: &ApplySet) -> Error {
    Error::new(
        Id::ForeignObject,
        Kind::Ownership,
        format!("{id} in namespace {} is not a handsctl lock", set.namespace),
    )
    .hint("choose another name with --name or [deploy].name")
}

#[cfg(test)]
mod tests {
    use jiff::SignedDuration;
    use tokio::time::Instant;

    use super::*;
    use crate::cluster::client::boot_instant::simulated::suspend;
    use crate::cluster::scripted::{Exchange, ScriptedServer, scripted};
    use crate::object::kind::CONFIG_MAP;
    use crate::object::labels;

    const LEASES: &str = "/apis/coordination.k8s.io/v1/namespaces/n/leases";
    const LEASE_PATH: &str = "/apis/coordination.k8s.io/v1/namespaces/n/leases/handsctl-oh";

    fn set() -> ApplySet {
        ApplySet { name: "oh".into(), namespace: "n".into(), ..ApplySet::default() }
    }

    fn holder(user: &str, pid: u32) -> Holder {
        let (host, computer) = ("laptop".into(), "m.b.1".into());
        Holder { user: user.into(), host, computer, pid, start: "1".into(), nonce: "5eed".into() }
    }

    fn request(has_exited: &(dyn Fn(&Holder) -> bool + Sync)) -> LockRequest<'_> {
        LockRequest { holder: holder("ana", 1), has_exited, lease_duration: LeaseDuration::default() }
    }

    fn never_exited(_: &Holder) -> bool {
        false
    }

    /// The Lease of this holder as the server has it, renewed `age` ago.
    fn stored(server: &ScriptedServer, holder: &Holder, age: u64) -> Value {
        let renewed = server.now() - SignedDuration::from_secs(age.cast_signed());
        let mut lease = lease::manifest(&set(), holder, LeaseDuration::default(), renewed, renewed);
        lease["metadata"]["uid"] = json!("u-1");
        lease["metadata"]["resourceVersion"] = json!("7");
        lease
    }

    /// Acquires the free lock.
    async fn held(api: &Api, server: &mut ScriptedServer) -> Lock {
        let (events, _receiver) = Events::channel();
        let (set, request) = (set(), request(&never_exited));
        let (lock, ()) = tokio::join!(acquire(api, &set, &request, &events), async {
            let exchange = server.expect(&format!("POST {LEASES}")).await;
            let lease = stored(server, &holder("ana", 1), 0);
            exchange.created(&lease);
        });
        lock.unwrap()
    }

    /// Answers a read of the Lease: bob holds one with this UID.
    async fn expect_read_of_bobs_lease(server: &mut ScriptedServer, uid: &str) {
        let mut taken = stored(server, &holder("bob", 2), 0);
        taken["metadata"]["uid"] = json!(uid);
        server.expect(&format!("GET {LEASE_PATH}")).await.ok(&taken);
    }

    /// The outcome of acquiring the lock while `script` answers.
    async fn acquire_against(script: impl AsyncFnOnce(&mut ScriptedServer)) -> Result<Lock> {
        let (api, mut server) = scripted();
        let (events, _receiver) = Events::channel();
        let (set, request) = (set(), request(&never_exited));
        let (lock, ()) = tokio::join!(acquire(&api, &set, &request, &events), script(&mut server));
        lock
    }

    /// The outcome of acquiring a lock whose Lease is this old and bob's.
    async fn acquire_from_bob(age: u64, has_exited: &(dyn Fn(&Holder) -> bool + Sync)) -> Result<Lock> {
        let (api, mut server) = scripted();
        let (events, _receiver) = Events::channel();
        let (set, request) = (set(), request(has_exited));
        let server = async {
            server.expect(&format!("POST {LEASES}")).await.status(409, "AlreadyExists", "exists");
            let exchange = server.expect(&format!("GET {LEASE_PATH}")).await;
            exchange.ok(&stored(&server, &holder("bob", 2), age));
            let exchange = server.expect(&format!("PUT {LEASE_PATH}")).await;
            assert_eq!(exchange.body["metadata"]["resourceVersion"], "7");
            assert_eq!(exchange.body["metadata"]["uid"], "u-1");
            assert_eq!(exchange.body["spec"]["holderIdentity"], holder("ana", 1).identity());
            let lease = exchange.body.clone();
            exchange.ok(&lease);
            std::future::pending::<()>().await;
        };
        tokio::select! {
            lock = acquire(&api, &set, &request, &events) => lock,
            () = server => unreachable!("the script does not end"),
        }
    }

    #[tokio::test(start_paused = true)]
    async fn lease_of_another_holder_is_respected_for_60s() {
        for age in [0, 1, 30, 59] {
            let Err(error) = acquire_from_bob(age, &never_exited).await else {
                panic!("taken after {age} s");
            };
            assert_eq!(error.id(), Id::Locked);
            assert!(
                error.message().contains("another run is changing the installation `oh`"),
                "{}",
                error.message()
            );
        }
        for age in [61, 3600] {
            assert!(acquire_from_bob(age, &never_exited).await.is_ok(), "not taken after {age} s");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn lease_of_an_exited_process_is_taken_at_once() {
        assert!(acquire_from_bob(1, &|holder| holder.pid == 2).await.is_ok());
        assert!(acquire_from_bob(1, &|holder| holder.pid == 1).await.is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn lease_without_times_belongs_to_another_tool() {
        let lock = acquire_against(async |server| {
            server.expect(&format!("POST {LEASES}")).await.status(409, "AlreadyExists", "exists");
            let lease = json!({ "spec": { "holderIdentity": "controller-1" } });
            server.expect(&format!("GET {LEASE_PATH}")).await.ok(&lease);
        })
        .await;
        assert_eq!(lock.err().map(|error| error.id()), Some(Id::ForeignObject));
    }

    #[tokio::test(start_paused = true)]
    async fn lease_that_changes_at_every_attempt_is_locked() {
        let lock = acquire_against(async |server| {
            for _ in 0..ATTEMPTS {
                server.expect(&format!("POST {LEASES}")).await.status(409, "AlreadyExists", "exists");
                let exchange = server.expect(&format!("GET {LEASE_PATH}")).await;
                exchange.ok(&stored(server, &holder("bob", 2), 61));
                server.expect(&format!("PUT {LEASE_PATH}")).await.status(409, "Conflict", "modified");
            }
        })
        .await;
        assert_eq!(lock.err().map(|error| error.id()), Some(Id::Locked));
    }

    #[tokio::test(start_paused = true)]
    async fn lost_response_to_the_creation_is_recognized() {
        let lock = acquire_against(async |server| {
            let exchange = server.expect(&format!("POST {LEASES}")).await;
            let mut created = exchange.body.clone();
            created["metadata"]["managedFields"] = json!([{ "manager": labels::MANAGER }]);
            exchange.lost();
            server.expect(&format!("POST {LEASES}")).await.status(409, "AlreadyExists", "exists");
            server.expect(&format!("GET {LEASE_PATH}")).await.ok(&created);
        })
        .await;
        lock.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn lock_is_renewed_every_20s_and_deleted_unchanged() {
        let (api, mut server) = scripted();
        let lock = held(&api, &mut server).await;
        for round in 1..=20 {
            server.expect_none_for(Duration::from_secs(19)).await;
            let exchange = server.expect(&format!("PUT {LEASE_PATH}")).await;
            assert_eq!(
                exchange.body["spec"]["renewTime"],
                json!(lease::micro(server.now())),
                "round {round}"
            );
            let mut lease = exchange.body.clone();
            lease["metadata"]["resourceVersion"] = json!(round.to_string());
            exchange.ok(&lease);
        }
        server.expect_none_for(Duration::from_secs(1)).await;
        let (released, ()) = tokio::join!(lock.release(), async {
            let exchange = server.expect(&format!("DELETE {LEASE_PATH}")).await;
            assert_eq!(exchange.body["preconditions"], json!({ "uid": "u-1", "resourceVersion": "20" }));
            exchange.ok(&json!({}));
        });
        released.unwrap();
    }

    /// The Lease after a renewal.
    fn renewed(exchange: &Exchange, version: u64) -> Value {
        let mut lease = exchange.body.clone();
        lease["metadata"]["resourceVersion"] = json!(version.to_string());
        lease
    }

    /// Loses every response for this long.
    async fn outage(server: &mut ScriptedServer, time: Duration) {
        let end = Instant::now() + time;
        while Instant::now() < end {
            server.expect(&format!("PUT {LEASE_PATH}")).await.lost();
        }
    }

    #[tokio::test(start_paused = true)]
    async fn writes_wait_for_the_lock_through_an_outage() {
        let (api, mut server) = scripted();
        let lock = held(&api, &mut server).await;
        let mut observer = lock.observer();
        let begin = Instant::now();
        outage(&mut server, Duration::from_secs(600)).await;
        assert!(matches!(observer.changed().await, LockCondition::Unconfirmed(_)));
        let maps = CONFIG_MAP.in_namespace("n");
        let map = json!({ "metadata": { "name": "a" } });
        let write = api.create(&maps, &map);
        let script = async {
            // The write is not sent before the Lease is renewed.
            let renewal = server.expect(&format!("PUT {LEASE_PATH}")).await;
            let lease = renewed(&renewal, 8);
            renewal.ok(&lease);
            let write = server.expect("POST /api/v1/namespaces/n/configmaps").await;
            let created = write.body.clone();
            write.created(&created);
        };
        let (written, ()) = tokio::join!(write, script);
        written.unwrap();
        assert_eq!(observer.changed().await, LockCondition::Held);
        assert!(begin.elapsed() >= Duration::from_secs(600));
    }

    #[tokio::test(start_paused = true)]
    async fn writes_are_held_back_40s_after_the_last_renewal() {
        let (api, mut server) = scripted();
        let lock = held(&api, &mut server).await;
        let mut observer = lock.observer();
        let begin = Instant::now();
        tokio::select! {
            condition = observer.changed() => {
                let LockCondition::Unconfirmed(time) = condition else { panic!("{condition:?}") };
                assert_eq!(time.as_secs(), 40);
            }
            () = outage(&mut server, Duration::from_secs(100)) => unreachable!("nobody reports the outage"),
        }
        assert_eq!(begin.elapsed().as_secs(), 40);
        assert!(!api.writes().is_open());
    }

    #[tokio::test(start_paused = true)]
    async fn write_after_a_suspend_waits_for_the_renewal() {
        let (api, mut server) = scripted();
        let lock = held(&api, &mut server).await;
        let mut observer = lock.observer();
        let begin = Instant::now();
        suspend(Duration::from_secs(3600));
        let (maps, map) = (CONFIG_MAP.in_namespace("n"), json!({ "metadata": { "name": "a" } }));
        let script = async {
            let renewal = server.expect(&format!("PUT {LEASE_PATH}")).await;
            assert_eq!(renewal.body["spec"]["renewTime"], json!(lease::micro(server.now())));
            assert_eq!(renewal.body["metadata"]["resourceVersion"], "7");
            let lease = renewed(&renewal, 8);
            renewal.ok(&lease);
            let write = server.expect("POST /api/v1/namespaces/n/configmaps").await;
            let created = write.body.clone();
            write.created(&created);
        };
        let (written, (), condition) =
            tokio::join!(api.create(&maps, &map), script, async { observer.changed().await });
        written.unwrap();
        assert_eq!(condition, LockCondition::Unconfirmed(Duration::from_secs(3600)));
        assert_eq!(begin.elapsed(), Duration::ZERO, "the write waits for nothing else");
        // The computer is awake: the next renewal is due after the interval.
        server.expect_none_for(Duration::from_secs(19)).await;
        server.expect(&format!("PUT {LEASE_PATH}")).await;
    }

    #[tokio::test(start_paused = true)]
    async fn lock_taken_during_a_suspend_lets_no_write_pass() {
        let (api, mut server) = scripted();
        let lock = held(&api, &mut server).await;
        let mut observer = lock.observer();
        suspend(Duration::from_secs(100));
        let command = api.until(Instant::now() + Duration::from_secs(3600));
        let (maps, map) = (CONFIG_MAP.in_namespace("n"), json!({ "metadata": { "name": "a" } }));
        let script = async {
            server.expect(&format!("PUT {LEASE_PATH}")).await.status(409, "Conflict", "modified");
            // The takeover keeps the UID.
            expect_read_of_bobs_lease(&mut server, "u-1").await;
            while !matches!(observer.changed().await, LockCondition::Lost(_)) {}
            server.expect_none_for(Duration::from_secs(600)).await;
        };
        tokio::select! {
            written = command.create(&maps, &map) => panic!("{written:?}"),
            () = script => {}
        }
    }

    #[tokio::test(start_paused = true)]
    async fn released_lock_holds_back_no_later_write() {
        let (api, mut server) = scripted();
        let lock = held(&api, &mut server).await;
        drop(lock);
        suspend(Duration::from_secs(3600));
        assert!(api.writes().is_open());
        server.expect_none_for(Duration::from_secs(120)).await;
    }

    #[tokio::test(start_paused = true)]
    async fn unconfirmed_release_keeps_the_lock_of_the_next_holder() {
        let (api, mut server) = scripted();
        let ana = holder("ana", 1);
        let set = set();
        let (released, ()) = tokio::join!(release_unconfirmed(&api, &set, &ana), async {
            let read = server.expect(&format!("GET {LEASE_PATH}")).await;
            read.ok(&stored(&server, &ana, 100));
            let delete = server.expect(&format!("DELETE {LEASE_PATH}")).await;
            assert_eq!(delete.body["preconditions"], json!({ "uid": "u-1", "resourceVersion": "7" }));
            delete.status(409, "Conflict", "bob has taken it over");
        });
        released.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn write_in_flight_is_sent_again_after_the_outage() {
        let (api, mut server) = scripted();
        let _lock = held(&api, &mut server).await;
        let (maps, map) = (CONFIG_MAP.in_namespace("n"), json!({ "metadata": { "name": "a" } }));
        let command = api.until(Instant::now() + Duration::from_secs(600));
        let script = async {
            let mut silent = Vec::new();
            tokio::time::sleep(Duration::from_secs(15)).await;
            let began = Instant::now();
            // The write of a webhook that takes long, and every renewal, get no response until the writes are held back.
            while began.elapsed() < Duration::from_secs(60) {
                silent.push(server.next().await);
            }
            let writes = silent.iter().filter(|exchange| exchange.call.starts_with("POST")).count();
            assert_eq!(writes, 1, "no write is sent while the lock is unconfirmed");
            let renewal = server.expect(&format!("PUT {LEASE_PATH}")).await;
            let lease = renewed(&renewal, 8);
            renewal.ok(&lease);
            let write = server.expect("POST /api/v1/namespaces/n/configmaps").await;
            let created = write.body.clone();
            write.created(&created);
        };
        let write = async {
            tokio::time::sleep(Duration::from_secs(15)).await;
            command.create(&maps, &map).await
        };
        let (written, ()) = tokio::join!(write, script);
        written.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn lock_taken_by_another_run_during_an_outage_is_lost() {
        let (api, mut server) = scripted();
        let lock = held(&api, &mut server).await;
        let mut observer = lock.observer();
        outage(&mut server, Duration::from_secs(120)).await;
        assert!(matches!(observer.changed().await, LockCondition::Unconfirmed(_)));
        server.expect(&format!("PUT {LEASE_PATH}")).await.status(409, "Conflict", "modified");
        let mut taken = stored(&server, &holder("bob", 2), 0);
        taken["metadata"]["resourceVersion"] = json!("9");
        server.expect(&format!("GET {LEASE_PATH}")).await.ok(&taken);
        let LockCondition::Lost(reason) = observer.changed().await else { panic!("not lost") };
        assert_eq!(reason, "bob@laptop, process 2 holds it now");
        assert!(!api.writes().is_open());
    }

    #[tokio::test(start_paused = true)]
    async fn lock_deleted_during_an_outage_is_lost() {
        let (api, mut server) = scripted();
        let lock = held(&api, &mut server).await;
        let mut observer = lock.observer();
        server.expect(&format!("PUT {LEASE_PATH}")).await.not_found();
        server.expect(&format!("GET {LEASE_PATH}")).await.not_found();
        assert_eq!(observer.changed().await, LockCondition::Lost("the Lease was deleted".to_owned()));
    }

    #[tokio::test(start_paused = true)]
    async fn annotated_lease_is_read_and_renewed_again() {
        let (api, mut server) = scripted();
        let _lock = held(&api, &mut server).await;
        server.expect(&format!("PUT {LEASE_PATH}")).await.status(409, "Conflict", "modified");
        let mut annotated = stored(&server, &holder("ana", 1), 20);
        annotated["metadata"]["resourceVersion"] = json!("8");
        annotated["metadata"]["annotations"] = json!({ "velero.io/backup": "nightly" });
        server.expect(&format!("GET {LEASE_PATH}")).await.ok(&annotated);
        let renewal = server.expect(&format!("PUT {LEASE_PATH}")).await;
        assert_eq!(renewal.body["metadata"]["resourceVersion"], "8");
        assert_eq!(renewal.body["spec"]["renewTime"], json!(lease::micro(server.now())));
    }

    #[tokio::test(start_paused = true)]
    async fn lease_created_late_is_renewed_at_once() {
        let (api, mut server) = scripted();
        let (events, _receiver) = Events::channel();
        let (set, request) = (set(), request(&never_exited));
        let script = async {
            let exchange = server.expect(&format!("POST {LEASES}")).await;
            tokio::time::sleep(Duration::from_secs(30)).await;
            let lease = stored(&server, &holder("ana", 1), 30);
            exchange.created(&lease);
            tokio::time::sleep(Duration::from_secs(1)).await;
            server.expect(&format!("PUT {LEASE_PATH}")).await
        };
        let began = Instant::now();
        let (lock, _renewal) = tokio::join!(acquire(&api, &set, &request, &events), script);
        lock.unwrap();
        assert!(began.elapsed() < Duration::from_secs(32), "{:?}", began.elapsed());
    }

    #[tokio::test(start_paused = true)]
    async fn lock_that_another_holder_took_is_lost() {
        let (api, mut server) = scripted();
        let lock = held(&api, &mut server).await;
        server.expect(&format!("PUT {LEASE_PATH}")).await.status(409, "Conflict", "modified");
        expect_read_of_bobs_lease(&mut server, "u-2").await;
        let mut observer = lock.observer();
        let LockCondition::Lost(reason) = observer.changed().await else { panic!("not lost") };
        let error = format!("{:?}", observer.lost_error(reason));
        assert!(error.contains("bob@laptop, process 2 holds it now"), "{error}");
    }

    #[tokio::test(start_paused = true)]
    async fn release_leaves_the_lease_of_another_holder_alone() {
        let (api, mut server) = scripted();
        let lock = held(&api, &mut server).await;
        let (released, ()) = tokio::join!(lock.release(), async {
            server.expect(&format!("DELETE {LEASE_PATH}")).await.status(409, "Conflict", "modified");
            expect_read_of_bobs_lease(&mut server, "u-2").await;
        });
        released.unwrap();
        server.expect_none_for(Duration::from_secs(120)).await;
    }
}
