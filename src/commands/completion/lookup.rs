//! Names of the kubeconfig and of the cluster, within a time limit. Every failure is silent: a message would appear in the
//! middle of what is typed.

use std::time::{Duration, Instant};

use jiff::Timestamp;

use super::answer::{Candidate, is_plain};
use crate::cluster::{installations, names};
use crate::flags::Global;
use crate::logs::target::COMPONENTS;
use crate::phrase;
use crate::provider;
use crate::report::Streams;
use crate::session::cluster_session::{self, Secrets, Session};
use crate::session::step::Deadline;

/// How long a look-up may take, from the start of the process, unless a variable names another limit. The rest of 100 ms is
/// for the answer and the shell: a person does not notice a pause of 0.1 s.
const LIMIT: Duration = Duration::from_millis(70);

/// What a look-up needs.
#[derive(Clone)]
pub(super) struct NameLookup {
    /// The typed options that choose the configuration and the cluster.
    pub(super) global: Global,
    /// When the process started.
    pub(super) started: Instant,
    /// Hides the secrets of the kubeconfig.
    pub(super) streams: Streams,
}

impl NameLookup {
    /// Returns the contexts of the kubeconfig.
    pub(super) fn contexts(&self) -> Vec<Candidate> {
        let names = self.within_limit(async { cluster_session::context_names(&self.global).await.ok() });
        plain(names.unwrap_or_default())
    }

    /// Returns the namespaces of the cluster.
    pub(super) fn namespaces(&self) -> Vec<Candidate> {
        let names = self.within_limit(async {
            let session = self.session().await?;
            names::namespaces(&session.connection.api).await.ok()
        });
        plain(names.unwrap_or_default())
    }

    /// Returns the installations in the namespace.
    pub(super) fn installations(&self) -> Vec<Candidate> {
        let listed = self.within_limit(async {
            let session = self.session().await?;
            let namespace = session.settings.deploy.namespace.as_str();
            installations::list(&session.connection.api, Some(namespace)).await.ok()
        });
        plain(listed.unwrap_or_default().into_iter().map(|installation| installation.name).collect())
    }

    /// Returns the kept revisions of the installation, newest first.
    pub(super) fn revisions(&self) -> Vec<Candidate> {
        let listed = self.within_limit(async {
            let session = self.session().await?;
            names::revisions(&session.connection.api, &session.set()).await.ok()
        });
        let now = Timestamp::now();
        let candidate = |revision: names::RevisionName| {
            let age = revision.created.map(|created| phrase::age(created, now));
            let meaning = [Some(revision.result), age].into_iter().flatten().collect::<Vec<_>>().join(", ");
            Candidate::new(revision.number.to_string(), meaning)
        };
        listed.unwrap_or_default().into_iter().map(candidate).collect()
    }

    /// Returns the snapshots of the installation's volume, newest first.
    pub(super) fn volume_snapshots(&self) -> Vec<Candidate> {
        let listed = self.within_limit(async {
            let session = self.session().await?;
            names::volume_snapshots(&session.connection.api, &session.set()).await.ok()
        });
        let now = Timestamp::now();
        let candidate = |(name, created): (String, Option<Timestamp>)| {
            Candidate::new(name, created.map(|created| phrase::age(created, now)).unwrap_or_default())
        };
        listed.unwrap_or_default().into_iter().map(candidate).collect()
    }

    /// Returns the containers of the installation's pods.
    pub(super) fn containers(&self) -> Vec<Candidate> {
        let names = self.within_limit(async {
            let session = self.session().await?;
            names::containers(&session.connection.api, &session.set()).await.ok()
        });
        plain(names.unwrap_or_default())
    }

    /// Returns the components with logs, and the installation's pods.
    pub(super) fn log_targets(&self) -> Vec<Candidate> {
        let names = self.within_limit(async {
            let session = self.session().await?;
            names::pods(&session.connection.api, &session.set()).await.ok()
        });
        let components = COMPONENTS.iter().map(|(word, meaning)| Candidate::new(*word, *meaning));
        components.chain(plain(names.unwrap_or_default())).collect()
    }

    /// Returns the conversations with a pod or a volume claim in the sandboxes' namespace.
    pub(super) fn conversations(&self) -> Vec<Candidate> {
        let ids = self.within_limit(async {
            let session = self.session().await?;
            let namespace = session.settings.runtime_namespace();
            names::conversations(&session.connection.api, namespace).await.ok()
        });
        plain(ids.unwrap_or_default())
    }

    /// Returns the local clusters of this user, from their records on this computer.
    pub(super) fn local_clusters() -> Vec<Candidate> {
        plain(provider::names(&cluster_session::read_environment()).unwrap_or_default())
    }

    /// Opens the connection of the typed options. None: the configuration is invalid, no cluster can be chosen, or only a
    /// credential plugin could log in.
    async fn session(&self) -> Option<Session> {
        let deadline = Deadline::after(limit());
        let loaded = cluster_session::load_until(deadline, &self.global, Secrets::Unneeded, &self.streams)
            .await
            .ok()?;
        Session::to_complete(&self.global, loaded, &self.streams, deadline).await.ok()?
    }

    /// Runs the look-up until the limit. What it has begun is left alone: a read of a named pipe may never end.
    fn within_limit<T>(&self, work: impl Future<Output = Option<T>>) -> Option<T> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().ok()?;
        let end = tokio::time::Instant::from_std(self.started + limit());
        let found = runtime.block_on(async { tokio::time::timeout_at(end, work).await.ok().flatten() });
        runtime.shutdown_background();
        found
    }
}

fn limit() -> Duration {
    cluster_session::completion_limit().unwrap_or(LIMIT)
}

/// Returns the names that can stand on a command line.
fn plain(names: Vec<String>) -> Vec<Candidate> {
    names.into_iter().filter(|name| is_plain(name)).map(|name| Candidate::new(name, "")).collect()
}
