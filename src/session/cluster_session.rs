//! The start of every command that uses a cluster: the configuration, the choice of the cluster, the connection.

use std::path::Path;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;
use serde::Deserialize as _;
use serde_json::Value;

use super::desired_cluster::desired_cluster;
use super::local_defaults::{self, ClusterChoice};
use super::local_state;
use super::step::{Deadline, LONGER_LIMIT};
use crate::catalogue::Id;
use crate::cluster::app::probe;
use crate::cluster::client::connect::{self, Connection, ContextArgs};
use crate::cluster::client::context::{self, ChangeRequest, Confirmation, ContextOrigin};
use crate::cluster::client::kubeconfig::PodAccount;
use crate::cluster::client::version::{self, ServerVersion};
use crate::error::{Error, Kind, Result};
use crate::event::{Event, Events};
use crate::flags::{Global, parse_duration};
use crate::plan::inventory::apply_set::ApplySet;
use crate::provider::{self, Environment, Ports, RECREATE_HINT};
use crate::report::{Answer, Streams};
use crate::settings::format::DnsLabel;
use crate::settings::handsctl::{ExposureConsent, Provider};
use crate::settings::{Flags, Loaded, Request, Settings};

/// A command's need for the values of the configuration's secrets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Secrets {
    /// The command sends the values, so they must be available.
    Needed,
    /// The command uses the values that are available.
    IfAvailable,
    /// The command shows the configuration without the values.
    Unread,
    /// The command checks the configuration and warns of values that are not available.
    Checked,
    /// The configuration only names the set.
    Unneeded,
}

/// Reads the configuration from files, environment and flags, until the deadline: a secret may come from standard input
/// or a named pipe. Reads on a thread of its own, so that a signal is heard meanwhile.
///
/// # Errors
/// Exit 3 with every error of the configuration, exit 10 at the deadline.
pub(crate) async fn load_until(
    deadline: Deadline,
    global: &Global,
    secrets: Secrets,
    streams: &Streams,
) -> Result<Loaded> {
    let (global, streams) = (global.clone(), streams.clone());
    let reading = tokio::task::spawn_blocking(move || load(&global, secrets, &streams));
    match tokio::time::timeout_at(deadline.for_requests(), reading).await {
        Ok(loaded) => loaded.map_err(|error| Error::internal("the reading was aborted").caused_by(error))?,
        Err(_elapsed) => Err(deadline
            .passed(Some("the configuration has not been read"))
            .hint("a secret or a file of it comes from standard input or a named pipe that was not closed")
            .hint(LONGER_LIMIT)),
    }
}

/// Reads the configuration from files, environment and flags, and hides its secrets in every output. Blocks.
///
/// # Errors
/// Exit 3 with every error of the configuration.
pub(crate) fn load(global: &Global, secrets: Secrets, streams: &Streams) -> Result<Loaded> {
    let loaded = match secrets {
        Secrets::Needed => crate::settings::read(&request(global), &variables(), Path::new(".")),
        Secrets::IfAvailable => {
            crate::settings::read_with_available_secrets(&request(global), &variables(), Path::new("."))
        }
        Secrets::Unread => {
            crate::settings::read_without_secrets(&request(global), &variables(), Path::new("."))
        }
        Secrets::Checked => {
            crate::settings::read_checking_secrets(&request(global), &variables(), Path::new("."))
        }
        Secrets::Unneeded => crate::settings::read_unapplied(&request(global), &variables(), Path::new(".")),
    }?;
    streams.hide(loaded.settings.known_secrets());
    Ok(loaded)
}

/// Returns the settings as `deploy` would use them, for commands that connect to no cluster.
///
/// # Errors
/// The state of the local cluster on this computer cannot be read.
pub(crate) fn for_chosen_cluster(global: &Global, settings: Settings) -> Result<Settings> {
    with_provider_defaults(global, settings, &read_environment())
}

fn with_provider_defaults(
    global: &Global,
    settings: Settings,
    environment: &Environment,
) -> Result<Settings> {
    let cluster = &settings.cluster;
    let pin = cluster.context.as_ref().filter(|pin| !pin.is_empty());
    let choice = match global.context.as_ref().or(pin) {
        _ if global.in_cluster => ClusterChoice::Pod,
        Some(context) => ClusterChoice::Context(context),
        None if cluster.provider != Provider::Auto => ClusterChoice::Current,
        None => match provider::recorded_context(environment, cluster.name.as_str())? {
            Some(_) => ClusterChoice::Recorded,
            None => ClusterChoice::Current,
        },
    };
    let is_local = local_defaults::apply(cluster.provider, choice);
    Ok(settings.for_local_cluster(is_local))
}

pub(super) fn request(global: &Global) -> Request {
    Request {
        files: global.config.clone(),
        set: global.set.clone(),
        flags: Flags {
            name: global.name.clone(),
            namespace: global.namespace.clone(),
            cluster: global.cluster.clone(),
        },
        edited: None,
    }
}

/// Reads the folders, programs and container engine of this computer.
pub(crate) fn read_environment() -> Environment {
    Environment::read()
}

pub(crate) fn variables() -> Vec<(String, String)> {
    std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .collect()
}

/// Reports the configuration files and their warnings. A configuration that only names the set, as in a rollback, is not
/// applied: what its app version means for its keys is not reported.
pub(crate) async fn report_config(loaded: &Loaded, secrets: Secrets, events: &Events) {
    events.send(Event::Config { message: loaded.summary.clone() }).await;
    for warning in loaded.warnings.iter().filter(|warning| is_relevant(warning.id, secrets)) {
        let (id, message) = (warning.id, warning.message.clone());
        events.send(Event::Warning { id, message, diagnostic: Some(Box::new(warning.clone())) }).await;
    }
    // A question on the terminal may follow; it must not mix with pending output.
    events.flush().await;
}

fn is_relevant(warning: Id, secrets: Secrets) -> bool {
    let is_of_version = matches!(
        warning,
        Id::VersionAssumed | Id::WithoutV1 | Id::IgnoredByApp | Id::LeftOut | Id::LocalAddress
    );
    secrets != Secrets::Unneeded || !is_of_version
}

/// A connection to the chosen cluster, and the settings that fit it.
pub(crate) struct Session {
    pub(crate) settings: Settings,
    pub(crate) connection: Connection,
    /// The host ports of the ingress, if handsctl created the cluster with kind.
    pub(crate) local: Option<Ports>,
    /// Whether the cluster is a simulated one of handsctl: no container runs there.
    pub(crate) is_simulation: bool,
    /// Whether handsctl created the cluster, and the configuration names it.
    is_own: bool,
    /// The folders, programs and container engine of this computer.
    pub(crate) environment: Environment,
}

impl Session {
    /// Connects to the cluster for a command that only reads.
    ///
    /// # Errors
    /// Exit 3 if no cluster can be chosen, or the kubeconfig is invalid; exit 10 if a credential plugin has not ended at
    /// the deadline.
    pub(crate) async fn to_read(
        global: &Global,
        loaded: Loaded,
        streams: &Streams,
        deadline: Deadline,
    ) -> Result<Self> {
        let environment = read_environment();
        let mut connection =
            open_connection(global, &loaded.settings, &environment, streams, deadline).await?;
        connection.api = connection.api.until(deadline.for_requests());
        Self::new(environment, loaded.settings, connection)
    }

    /// Connects to the cluster to complete a typed word. None: somebody would have to log in, and a credential plugin may
    /// ask on the terminal, in the middle of the line.
    ///
    /// # Errors
    /// Exit 3 if no cluster can be chosen, or the kubeconfig is invalid.
    pub(crate) async fn to_complete(
        global: &Global,
        loaded: Loaded,
        streams: &Streams,
        deadline: Deadline,
    ) -> Result<Option<Self>> {
        let environment = read_environment();
        let args = context_args(global, &loaded.settings, &environment, streams, deadline)?;
        let chosen = connect::choose(&args).await?;
        if chosen.needs_login() {
            return Ok(None);
        }
        let mut connection = chosen.open().await?;
        connection.api = connection.api.until(deadline.for_requests());
        Self::new(environment, loaded.settings, connection).map(Some)
    }

    /// Connects to the cluster for a command that changes it, and asks for a confirmation if the choice is not
    /// explicit.
    ///
    /// # Errors
    /// Exit 3 if no cluster can be chosen, or the choice is not confirmed; exit 10 if a credential plugin has not ended
    /// at the deadline.
    pub(crate) async fn to_change(
        global: &Global,
        loaded: Loaded,
        environment: Environment,
        streams: &Streams,
        deadline: Deadline,
    ) -> Result<Self> {
        let connection = open_connection(global, &loaded.settings, &environment, streams, deadline).await?;
        let change = ChangeRequest {
            choice: &connection.choice,
            server: &connection.server,
            from_file: loaded.from_file,
            set_is_named: global.namespace.is_some() && global.name.is_some(),
        };
        // --yes confirms deletions of data, not the choice of the cluster.
        if context::required_confirmation(change)? == Confirmation::Ask {
            confirm_context(&connection, streams).await?;
        }
        Self::new(environment, loaded.settings, connection)
    }

    /// Builds the session of a connected cluster.
    ///
    /// # Errors
    /// The state of the local cluster on this computer cannot be read.
    pub(crate) fn new(environment: Environment, settings: Settings, connection: Connection) -> Result<Self> {
        let is_local = context::is_local(&connection.choice.context, &connection.server);
        let name = settings.cluster.name.as_str();
        let own_context = if is_local { provider::recorded_context(&environment, name)? } else { None };
        let is_own = own_context.as_ref() == Some(&connection.choice.context);
        let local = if is_own { provider::recorded_ports(&environment, name) } else { None };
        let has_local_defaults =
            local_defaults::apply(settings.cluster.provider, (&connection.choice).into());
        let mut settings = settings.for_local_cluster(has_local_defaults);
        let is_simulation = provider::is_recorded_simulation(&environment, &connection.server)?;
        if is_simulation {
            settings = settings.with_placeholders();
        }
        Ok(Self { settings, connection, local, is_simulation, is_own, environment })
    }

    /// Returns the session for an installation of the same cluster. Another one than the configuration's has its sandboxes
    /// in its own namespace, as far as this configuration tells.
    pub(crate) fn for_installation(&self, name: DnsLabel, namespace: DnsLabel) -> Self {
        let mut settings = self.settings.clone();
        let deploy = &mut settings.deploy;
        if (&deploy.name, &deploy.namespace) != (&name, &namespace) {
            settings.openhands.kubernetes.namespace = None;
            (deploy.name, deploy.namespace) = (name, namespace);
        }
        Self {
            settings,
            connection: self.connection.clone(),
            local: self.local,
            is_simulation: self.is_simulation,
            is_own: self.is_own,
            environment: self.environment.clone(),
        }
    }

    /// Returns whether this is a kind or kwok cluster on this computer.
    fn is_local(&self) -> bool {
        let Connection { choice, server, .. } = &self.connection;
        context::is_local(&choice.context, server)
    }

    /// Checks who would reach the application on a cluster of others: the configuration may be one for a local cluster,
    /// and `--context` chose another. Reports the warnings, except those with a reported id.
    ///
    /// # Errors
    /// Exit 3 if everybody would, and the configuration does not acknowledge it.
    pub(crate) async fn check_exposure(&self, reported: &[Id], events: &Events) -> Result<()> {
        if self.is_local() {
            return Ok(());
        }
        for warning in crate::settings::check_exposure_elsewhere(&self.settings)? {
            if !reported.contains(&warning.id) {
                let (id, message) = (warning.id, warning.message.clone());
                events.send(Event::Warning { id, message, diagnostic: Some(Box::new(warning)) }).await;
            }
        }
        Ok(())
    }

    /// Returns whether it does not matter who reaches the application: a local cluster is its user's own, and the
    /// configuration may accept every exposure.
    pub(crate) fn accepts_exposure(&self) -> bool {
        self.is_local() || crate::settings::accepts_exposure(&self.settings)
    }

    /// Returns whether nobody else reaches the cluster, or the configuration accepts every exposure, even without a key.
    pub(crate) fn accepts_every_exposure(&self) -> bool {
        self.is_local() || self.settings.deploy.exposure == ExposureConsent::Acknowledged
    }

    /// Returns the set that the settings name.
    pub(crate) fn set(&self) -> ApplySet {
        crate::plan::apply_set_for(&self.settings)
    }

    /// Returns the target as text: `openhands → kwok-local-hands / openhands  (SERVER, from ORIGIN)`.
    pub(crate) fn target(&self) -> String {
        let (deploy, choice) = (&self.settings.deploy, &self.connection.choice);
        format!(
            "{} → {} / {}  ({}, from {})",
            deploy.name,
            choice.context,
            deploy.namespace,
            self.connection.server,
            choice.origin.label()
        )
    }

    /// Gets the server's version. It is the first request of every command, so its error explains a failed connection.
    pub(crate) async fn server_version(&self) -> Result<ServerVersion> {
        let error = match version::get_server_version(&self.connection.api).await {
            Ok(version) => return Ok(version),
            Err(error) => error,
        };
        let context = &self.connection.choice.context;
        let error = error.into_error(&format!("cannot reach the cluster of context `{context}`"));
        let error = self.with_credentials_hint(error).fact("server", self.connection.server.clone());
        let error = match &self.connection.proxy {
            Some(proxy) => error.fact("proxy", proxy.clone()).hint(
                "proxy-url of the kubeconfig, or HTTPS_PROXY and HTTP_PROXY, choose the proxy; NO_PROXY excepts servers",
            ),
            None => error,
        };
        let error = if self.may_be_started_by_up(&error) {
            error.hint("handsctl up starts the local cluster")
        } else {
            error
        };
        Err(self.with_local_state(error).await)
    }

    /// Adds the state of the local cluster to the error of an unreachable one, if handsctl created it.
    pub(super) async fn with_local_state(&self, error: Error) -> Error {
        let context = &self.connection.choice.context;
        local_state::explained(error, context, &self.settings.cluster, &self.environment).await
    }

    /// Waits until the API server has not responded for a while and its local cluster is stopped; pending for other
    /// clusters. Then repeated requests are useless.
    pub(super) async fn local_cluster_stopped(&self) -> Error {
        let Connection { choice, server, api, .. } = &self.connection;
        local_state::stopped(&choice.context, &self.settings.cluster, &self.environment, api.traffic()).await;
        let message = format!("cannot reach the cluster of context `{}`", choice.context);
        Error::new(Id::Unreachable, Kind::Unreachable, message).fact("server", server.clone())
    }

    /// Returns whether a pod runs no container, because its node is simulated.
    pub(crate) async fn is_simulated(&self, pod: &Value) -> bool {
        match Pod::deserialize(pod) {
            Ok(pod) => self.is_simulation || probe::is_simulated(&self.connection.api, &pod).await,
            Err(_) => self.is_simulation,
        }
    }

    /// Returns whether the nodes of the cluster are simulated, as far as its context tells without a request.
    pub(crate) fn has_simulated_nodes(&self) -> bool {
        self.connection.choice.context.starts_with("kwok-") && self.is_local()
    }

    /// Returns whether `cluster up --recreate` replaces this simulated cluster of the configuration by one that runs
    /// containers, as soon as there is an engine.
    pub(crate) fn can_become_real(&self) -> bool {
        self.is_own && self.is_simulation && self.settings.cluster.provider == Provider::Auto
    }

    /// Returns whether `handsctl up` may start the unreachable cluster: it is the local one of the configuration.
    fn may_be_started_by_up(&self, error: &Error) -> bool {
        error.id() == Id::Unreachable
            && self.settings.cluster.provider != Provider::Existing
            && self.is_local()
    }

    /// Warns of differences of the local cluster from the configuration: no other command than `up` shows them.
    ///
    /// # Errors
    /// The record of the local cluster cannot be read.
    pub(crate) async fn warn_of_cluster_differences(&self, events: &Events) -> Result<()> {
        if !self.is_own {
            return Ok(());
        }
        let desired = desired_cluster(&self.settings);
        let differences = provider::recorded_differences(&self.environment, &desired)?;
        if !differences.is_empty() {
            let message = format!(
                "the local cluster {} differs from the configuration ({}): {RECREATE_HINT}",
                desired.name,
                differences.join(", ")
            );
            events.warn(Id::ClusterDiffers, message).await;
        }
        Ok(())
    }

    /// Reports the HTTP statistics, for `-v`.
    pub(crate) async fn report_traffic(&self, events: &Events) {
        let totals = self.connection.api.traffic().totals();
        let slowest =
            totals.slowest.map_or_else(String::new, |(took, call)| format!("{call} {} ms", took.as_millis()));
        let (requests, bytes_in, bytes_out) = (totals.requests, totals.bytes_in, totals.bytes_out);
        events.send(Event::Wire { requests, bytes_in, bytes_out, slowest }).await;
    }

    /// Adds the expiry of the kubeconfig's credentials to an authentication error.
    pub(crate) fn with_credentials_hint(&self, error: Error) -> Error {
        self.connection.with_expiry(error, Timestamp::now())
    }
}

/// Names the chosen context to the texts that suggest commands of kubectl. A pod has none.
pub(crate) fn name_context(global: &Global, connection: &Connection) {
    let choice = &connection.choice;
    if choice.origin != ContextOrigin::InCluster {
        global.chosen_context.get_or_init(|| choice.context.clone());
    }
}

/// Chooses the context and prepares the connection.
///
/// # Errors
/// Exit 3 if no cluster can be chosen, or the kubeconfig is invalid.
async fn open_connection(
    global: &Global,
    settings: &Settings,
    environment: &Environment,
    streams: &Streams,
    deadline: Deadline,
) -> Result<Connection> {
    let args = context_args(global, settings, environment, streams, deadline)?;
    let end = deadline.for_requests();
    let connected = match tokio::time::timeout_at(end, connect::choose(&args)).await {
        Err(_elapsed) => return Err(not_read(deadline)),
        Ok(Ok(chosen)) => match tokio::time::timeout_at(end, chosen.open()).await {
            Err(_elapsed) => return Err(no_credentials(deadline)),
            Ok(connected) => connected,
        },
        Ok(Err(error)) => Err(error),
    };
    match connected {
        Ok(connection) => {
            ensure_recorded_server(&connection, settings, environment)?;
            name_context(global, &connection);
            Ok(connection)
        }
        Err(error) => {
            let context = args.context.or(args.pin).or(args.local_cluster).unwrap_or_default();
            Err(local_state::explained(error, &context, &settings.cluster, environment).await)
        }
    }
}

/// Checks that a context that was chosen as the local cluster's leads to it. The record may be left over from a deleted
/// cluster, and another cluster may have its name.
///
/// # Errors
/// Exit 14 if it leads to another API server.
fn ensure_recorded_server(
    connection: &Connection,
    settings: &Settings,
    environment: &Environment,
) -> Result<()> {
    let Connection { choice, server, .. } = connection;
    if choice.origin != ContextOrigin::LocalCluster {
        return Ok(());
    }
    let name = settings.cluster.name.as_str();
    let recorded = provider::recorded_server(environment, name)?;
    let Some(recorded) = recorded.filter(|recorded| !provider::is_same_server(recorded, server)) else {
        return Ok(());
    };
    let context = &choice.context;
    let message = format!("context `{context}` does not lead to the local cluster {name}");
    Err(Error::new(Id::ForeignContext, Kind::Prerequisite, message)
        .fact("server", server.clone())
        .fact("created", format!("the API server of {name} is {recorded}"))
        .hint(format!("--context {context} uses the cluster of the context"))
        .hint(format!("handsctl cluster down forgets {name}, if it no longer exists")))
}

/// Returns the error for a kubeconfig that has not been read at the deadline.
fn not_read(deadline: Deadline) -> Error {
    deadline
        .passed(Some("the kubeconfig has not been read"))
        .hint("one of its files may be a named pipe that no program writes to")
        .hint(LONGER_LIMIT)
}

/// Returns the error for a credential plugin that has not ended at the deadline. Nothing else waits before the first
/// request.
fn no_credentials(deadline: Deadline) -> Error {
    deadline
        .passed(Some("the kubeconfig's credential plugin has not ended"))
        .hint("the plugin is the program under users[].user.exec: it may wait for a login")
        .hint("a tokenFile may be a named pipe that no program writes to")
        .hint(LONGER_LIMIT)
}

/// Lists the contexts of the kubeconfig.
///
/// # Errors
/// Exit 4 without a usable kubeconfig.
pub(crate) async fn context_names(global: &Global) -> Result<Vec<String>> {
    let kubeconfigs = read_environment().kubeconfigs;
    let args = ContextArgs { kubeconfig: global.kubeconfig.clone(), kubeconfigs, ..ContextArgs::default() };
    connect::context_names(&args).await
}

/// Returns how long a completion may take: `HANDSCTL_COMPLETION_LIMIT`, such as `1s`. None: the variable is not set, or is
/// no duration.
pub(crate) fn completion_limit() -> Option<Duration> {
    parse_duration(&variable(&["HANDSCTL_COMPLETION_LIMIT"])?).ok()
}

/// Collects the sources from which the context is chosen.
///
/// # Errors
/// No context is named, and the state of the local cluster on this computer cannot be read.
fn context_args(
    global: &Global,
    settings: &Settings,
    environment: &Environment,
    streams: &Streams,
    deadline: Deadline,
) -> Result<ContextArgs> {
    let pin = settings.cluster.context.clone().filter(|pin| !pin.is_empty());
    let is_named = global.context.is_some() || pin.is_some() || global.in_cluster;
    let is_existing = settings.cluster.provider == Provider::Existing;
    let name = settings.cluster.name.as_str();
    Ok(ContextArgs {
        kubeconfig: global.kubeconfig.clone(),
        kubeconfigs: environment.kubeconfigs.clone(),
        context: global.context.clone(),
        pin,
        // With provider = "existing" a local cluster of the default name is another cluster.
        local_cluster: if is_named || is_existing {
            None
        } else {
            provider::recorded_context(environment, name)?
        },
        in_cluster: global.in_cluster,
        pod: pod_account(),
        proxies: environment.proxies.clone(),
        connect_limit: deadline.typed(),
        secrets: streams.secrets().clone(),
    })
}

/// Reads where Kubernetes has mounted the service account of a pod.
fn pod_account() -> PodAccount {
    PodAccount {
        host: variable(&["KUBERNETES_SERVICE_HOST"]),
        port: variable(&["KUBERNETES_SERVICE_PORT"]),
        folder: "/var/run/secrets/kubernetes.io/serviceaccount".into(),
    }
}

/// Returns the value of the first of these variables that is set and not empty.
fn variable(names: &[&str]) -> Option<String> {
    names.iter().find_map(|name| std::env::var(name).ok().filter(|value| !value.is_empty()))
}

async fn confirm_context(connection: &Connection, streams: &Streams) -> Result<()> {
    let context = &connection.choice.context;
    let question = format!("Use the current context `{context}` at {}?", connection.server);
    match streams.prompt(&question).await? {
        Answer::Yes => Ok(()),
        Answer::No | Answer::NotAsked => Err(Error::new(
            Id::ContextNotChosen,
            Kind::Config,
            format!("no cluster was chosen, and the current context `{context}` is not used without a confirmation"),
        )
        .hint(format!("--context {context} uses it; [cluster].context = \"{context}\" chooses it for good"))
        .hint("handsctl up creates a local cluster")),
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::cluster::client::context::{ChosenContext, ContextSources, choose_context};
    use crate::cluster::scripted::scripted;
    use crate::object::SharedMask;
    use crate::plan::{self, SecretNaming};
    use crate::report::ColorChoice;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        global: Global,
    }

    const LOOPBACK: &str = "https://127.0.0.1:6443";
    const REMOTE: &str = "https://192.0.2.1:6443";

    /// A computer with or without a record of the local cluster `local`.
    fn environment(folder: &Path, is_recorded: bool) -> Environment {
        let environment = Environment::for_tests(folder);
        let own = environment.state.join("clusters/local");
        if is_recorded {
            std::fs::create_dir_all(&own).unwrap();
            std::fs::write(own.join("handsctl.json"), r#"{"schema": 2, "provider": "kwok"}"#).unwrap();
        }
        environment
    }

    /// The manifests of a plan, and the application's cpu request.
    fn plan_of(settings: &Settings) -> (String, String) {
        let plan = plan::build(settings, SecretNaming::Placeholder, &[]).unwrap();
        let manifests = plan.members.iter().map(|member| member.manifest.to_string()).collect();
        (manifests, settings.deploy.resources.requests.cpu.as_ref().unwrap().to_string())
    }

    #[tokio::test]
    async fn render_and_deploy_have_the_same_defaults() {
        let folder = tempfile::tempdir().unwrap();
        let streams = Streams::from_environment(ColorChoice::Never, false, 0);
        let is_recorded = true;
        for (provider, recorded, flag, current, server, cpu) in [
            ("kind", !is_recorded, None, "prod", REMOTE, "250m"),
            ("kwok", !is_recorded, None, "prod", REMOTE, "250m"),
            ("kind", !is_recorded, Some("prod"), "prod", REMOTE, "500m"),
            ("existing", !is_recorded, None, "kind-x", LOOPBACK, "500m"),
            ("existing", is_recorded, None, "kwok-local", LOOPBACK, "500m"),
            ("existing", !is_recorded, Some("kind-x"), "prod", LOOPBACK, "500m"),
            ("auto", is_recorded, None, "prod", LOOPBACK, "250m"),
            ("auto", is_recorded, Some("prod"), "prod", REMOTE, "500m"),
            ("auto", !is_recorded, None, "kind-x", LOOPBACK, "500m"),
            ("auto", !is_recorded, Some("kind-x"), "prod", REMOTE, "250m"),
            ("auto", !is_recorded, Some("kind-x"), "prod", LOOPBACK, "250m"),
        ] {
            let folder = folder.path().join(recorded.to_string());
            std::fs::create_dir_all(&folder).unwrap();
            let environment = environment(&folder, recorded);
            let text = format!("[cluster]\nname = \"local\"\nprovider = \"{provider}\"\n");
            std::fs::write(folder.join("config.toml"), text).unwrap();
            let settings = crate::settings::read(&Request::default(), &[], &folder).unwrap().settings;
            let words = ["handsctl"].into_iter().chain(flag.iter().flat_map(|flag| ["--context", flag]));
            let Line { global } = Line::parse_from(words);
            let rendered =
                with_provider_defaults(&global, settings.clone(), &environment).map(|it| plan_of(&it));

            let deadline = Deadline::after(Duration::from_secs(9));
            let args = context_args(&global, &settings, &environment, &streams, deadline).unwrap();
            let choice: ChosenContext = choose_context(&ContextSources {
                flag: args.context,
                pin: args.pin,
                local_cluster: args.local_cluster,
                current: Some(current.to_owned()),
                contexts: ["prod", "kind-x", "kwok-local"].map(str::to_owned).into(),
            })
            .unwrap();
            let connection = Connection {
                api: scripted().0,
                choice,
                server: server.to_owned(),
                proxy: None,
                token_expiry: None,
                secrets: SharedMask::default(),
            };
            let session = Session::new(environment, settings, connection).unwrap();
            let deployed = plan_of(&session.settings);
            assert_eq!(deployed.1, cpu, "{provider} {recorded} {flag:?} {current}");
            assert_eq!(rendered.unwrap(), deployed, "{provider} {recorded} {flag:?} {current}");
        }
    }
}
