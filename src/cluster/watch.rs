//! Watches: what is there, then every change, over lost connections.

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::{StreamExt as _, TryStreamExt as _};
use kube::Client;
use kube::api::{ApiResource, DynamicObject, ListParams, WatchEvent, WatchParams};
use kube::runtime::watcher;
use serde_json::Value;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::api::{Api, Fault};
use super::wire::Wire;
use crate::error::Result;
use crate::plan::kind::KindInfo;

/// A watch ends and is begun anew after this many seconds; kube notices a silent connection 5 s later.
const WATCH_SECONDS: u32 = 120;
/// The pause before a broken watch is begun anew; it doubles up to [`LONGEST_PAUSE`].
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);
/// How long a server that answers with faults is asked for the first list.
const FIRST_LIST: Duration = Duration::from_secs(10);

/// What is watched.
#[derive(Debug, Clone)]
pub struct Scope {
    /// The kind.
    pub kind: KindInfo,
    /// The namespace; None for kinds of the cluster.
    pub namespace: Option<String>,
    /// A label selector; empty for all objects.
    pub labels: String,
    /// Whether it may be missing: without the right to watch it the command goes on and knows less.
    pub optional: bool,
}

impl Scope {
    fn describe(&self) -> String {
        match &self.namespace {
            Some(namespace) => format!("cannot watch {} in namespace {namespace}", self.kind.plural),
            None => format!("cannot watch {}", self.kind.plural),
        }
    }
}

/// One thing that a watch has shown; the number is the scope's position.
#[derive(Debug)]
pub enum Seen {
    /// Everything that is there: at the beginning and after a gap.
    Listed(usize, Vec<Value>),
    /// An object was added or changed.
    Changed(usize, Value),
    /// An object is gone.
    Gone(usize, Value),
    /// The watch cannot be had.
    Failed(usize, Fault),
}

/// Running watches; they end when this is dropped.
pub struct Watches {
    scopes: Vec<Scope>,
    receiver: mpsc::UnboundedReceiver<Seen>,
    _tasks: JoinSet<()>,
}

impl Watches {
    /// Begins to watch. Streaming lists (KEP-3157) where the server has them, else list and watch.
    #[must_use]
    pub fn open(api: &Api, scopes: Vec<Scope>, streaming: bool) -> Self {
        let (sender, receiver) = mpsc::unbounded_channel();
        let mut tasks = JoinSet::new();
        for (index, scope) in scopes.iter().enumerate() {
            let follow = Follow {
                index,
                resources: resources(api.client().clone(), scope),
                labels: scope.labels.clone(),
                wire: api.wire().clone(),
                sender: sender.clone(),
                begun: Instant::now(),
            };
            if scope.kind.kind == "Event" {
                tasks.spawn(follow.new_events());
            } else {
                tasks.spawn(follow.objects(streaming));
            }
        }
        Self { scopes, receiver, _tasks: tasks }
    }

    /// What is watched.
    #[must_use]
    pub fn scopes(&self) -> &[Scope] {
        &self.scopes
    }

    /// The next thing that happened; None is impossible while a watch runs.
    pub async fn next(&mut self) -> Option<Seen> {
        self.receiver.recv().await
    }

    /// What has happened already, without waiting.
    pub fn pending(&mut self) -> Option<Seen> {
        self.receiver.try_recv().ok()
    }

    /// Waits until every watch has shown what is there; the lists stand in the order of the scopes. Scopes that
    /// are optional and refused are named in the second value.
    ///
    /// # Errors
    /// Where a watch that is needed cannot be had.
    pub async fn listed(&mut self) -> Result<(Vec<Vec<Value>>, Vec<usize>)> {
        let mut lists: Vec<Option<Vec<Value>>> = self.scopes.iter().map(|_| None).collect();
        let mut refused = Vec::new();
        while lists.iter().any(Option::is_none) {
            match self.next().await {
                Some(Seen::Listed(index, objects)) => lists[index] = Some(objects),
                Some(Seen::Changed(index, object)) => lists[index].get_or_insert_default().push(object),
                Some(Seen::Gone(index, object)) => {
                    if let Some(list) = &mut lists[index] {
                        list.retain(|other| other["metadata"]["uid"] != object["metadata"]["uid"]);
                    }
                }
                Some(Seen::Failed(index, fault))
                    if self.scopes[index].optional && fault.code() == Some(403) =>
                {
                    lists[index] = Some(Vec::new());
                    refused.push(index);
                }
                Some(Seen::Failed(index, fault)) => return Err(fault.explain(&self.scopes[index].describe())),
                None => break,
            }
        }
        Ok((lists.into_iter().map(Option::unwrap_or_default).collect(), refused))
    }
}

fn resources(client: Client, scope: &Scope) -> kube::Api<DynamicObject> {
    let kind = &scope.kind;
    let resource = ApiResource {
        group: kind.group.to_owned(),
        version: kind.version.to_owned(),
        api_version: kind.api_version(),
        kind: kind.kind.to_owned(),
        plural: kind.plural.to_owned(),
    };
    match &scope.namespace {
        Some(namespace) => kube::Api::namespaced_with(client, namespace, &resource),
        None => kube::Api::all_with(client, &resource),
    }
}

struct Follow {
    index: usize,
    resources: kube::Api<DynamicObject>,
    labels: String,
    wire: Arc<Wire>,
    sender: mpsc::UnboundedSender<Seen>,
    begun: Instant,
}

impl Follow {
    /// All objects that match, then every change.
    async fn objects(self, mut streaming: bool) {
        let mut listed = false;
        let mut pause = FIRST_PAUSE;
        'restart: loop {
            let mut config = watcher::Config::default().labels(&self.labels).timeout(WATCH_SECONDS);
            if streaming {
                config = config.streaming_lists();
            }
            let mut stream = watcher(self.resources.clone(), config).boxed();
            let mut listing = Vec::new();
            while let Some(event) = stream.next().await {
                let seen = match event {
                    Ok(watcher::Event::Init) => {
                        listing.clear();
                        continue;
                    }
                    Ok(watcher::Event::InitApply(object)) => {
                        listing.extend(value(object));
                        continue;
                    }
                    Ok(watcher::Event::InitDone) => {
                        listed = true;
                        self.wire.answered(Duration::ZERO, String::new);
                        Some(Seen::Listed(self.index, std::mem::take(&mut listing)))
                    }
                    Ok(watcher::Event::Apply(object)) => {
                        value(object).map(|object| Seen::Changed(self.index, object))
                    }
                    Ok(watcher::Event::Delete(object)) => {
                        value(object).map(|object| Seen::Gone(self.index, object))
                    }
                    Err(error) => {
                        let fault = fault_of(error);
                        if streaming && matches!(fault.code(), Some(400 | 422)) {
                            streaming = false;
                            continue 'restart;
                        }
                        if self.is_final(&fault, listed) {
                            let _nobody_listens = self.sender.send(Seen::Failed(self.index, fault));
                            return;
                        }
                        tokio::time::sleep(pause).await;
                        pause = (pause * 2).min(LONGEST_PAUSE);
                        continue;
                    }
                };
                pause = FIRST_PAUSE;
                if let Some(seen) = seen
                    && self.sender.send(seen).is_err()
                {
                    return;
                }
            }
        }
    }

    /// Events that happen from now on. What happened before would be replayed as new.
    async fn new_events(self) {
        let mut version: Option<String> = None;
        let mut listed = false;
        let mut pause = FIRST_PAUSE;
        loop {
            match self.follow_events(&mut version, &mut listed).await {
                Ok(()) => pause = FIRST_PAUSE,
                Err(fault) if fault.code() == Some(410) => version = None,
                Err(fault) if self.is_final(&fault, listed) => {
                    let _nobody_listens = self.sender.send(Seen::Failed(self.index, fault));
                    return;
                }
                Err(_lost) => {
                    tokio::time::sleep(pause).await;
                    pause = (pause * 2).min(LONGEST_PAUSE);
                }
            }
            if self.sender.is_closed() {
                return;
            }
        }
    }

    async fn follow_events(&self, version: &mut Option<String>, listed: &mut bool) -> Result<(), Fault> {
        if version.is_none() {
            let list = self.resources.list(&ListParams::default().limit(1)).await.map_err(fault_of_kube)?;
            *version = list.metadata.resource_version;
            if !std::mem::replace(listed, true) {
                let _nobody_listens = self.sender.send(Seen::Listed(self.index, Vec::new()));
            }
        }
        let from = version.clone().unwrap_or_default();
        let parameters = WatchParams::default().timeout(WATCH_SECONDS);
        let mut stream = self.resources.watch(&parameters, &from).await.map_err(fault_of_kube)?.boxed();
        while let Some(event) = stream.try_next().await.map_err(fault_of_kube)? {
            match event {
                WatchEvent::Added(object) | WatchEvent::Modified(object) => {
                    version.clone_from(&object.metadata.resource_version);
                    if let Some(object) = value(object) {
                        let _nobody_listens = self.sender.send(Seen::Changed(self.index, object));
                    }
                }
                WatchEvent::Bookmark(mark) => *version = Some(mark.metadata.resource_version),
                WatchEvent::Deleted(object) => version.clone_from(&object.metadata.resource_version),
                WatchEvent::Error(status) => return Err(Fault::Refused(status)),
            }
        }
        Ok(())
    }

    /// Whether waiting is of no use: a refusal, or no answer at all at the beginning.
    fn is_final(&self, fault: &Fault, listed: bool) -> bool {
        let out_of_patience = !listed && self.begun.elapsed() > FIRST_LIST;
        match fault {
            Fault::Refused(status) => match status.code {
                403 => !self.wire.roles_may_be_missing(),
                401 | 404 | 405 | 422 => true,
                _ => out_of_patience,
            },
            Fault::Lost(_) | Fault::TimedOut(_) => {
                self.wire.was_lost();
                out_of_patience || !listed && !self.wire.has_answered()
            }
        }
    }
}

fn value(object: DynamicObject) -> Option<Value> {
    serde_json::to_value(object).ok()
}

fn fault_of(error: watcher::Error) -> Fault {
    match error {
        watcher::Error::InitialListFailed(error)
        | watcher::Error::WatchStartFailed(error)
        | watcher::Error::WatchFailed(error) => fault_of_kube(error),
        watcher::Error::WatchError(status) => Fault::Refused(status),
        watcher::Error::NoResourceVersion => {
            Fault::Lost(kube::Error::Service("the list has no resourceVersion".into()))
        }
    }
}

fn fault_of_kube(error: kube::Error) -> Fault {
    match error {
        kube::Error::Api(status) => Fault::Refused(status),
        other => Fault::Lost(other),
    }
}
