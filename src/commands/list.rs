//! `list`: lists what handsctl has deployed to a cluster.

use clap::Args;
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::Serialize;

use crate::catalogue::Id;
use crate::cluster::installations;
use crate::error::{Kind, Result};
use crate::event::{Events, Finished};
use crate::flags::{Format, Global, ReadArgs};
use crate::phrase;
use crate::plan::inventory::installation::Installation;
use crate::report::{Output, ReadingProgress, Streams, table};
use crate::session::cluster_session::{self, Secrets, Session};
use crate::session::long_calls::read_until;
use crate::session::output::output_form;
use crate::session::reading::ReadInvocation;
use crate::session::step::Deadline;

/// List the installations of OpenHands in the cluster
///
/// Lists what handsctl has deployed, in all namespaces; with -n, one. Without the right to list all namespaces: the namespace of the configuration,
/// unless -A is given.
#[derive(Debug, Clone, Args)]
#[command(after_help = "Examples:\n  handsctl list\n  handsctl list -n team-a -o json")]
pub struct ListArgs {
    /// Fail if the account may not list all namespaces
    #[arg(short = 'A', long, conflicts_with = "namespace")]
    pub all_namespaces: bool,
    #[command(flatten)]
    #[expect(missing_docs, reason = "flattened into the flags of the command")]
    pub read: ReadArgs,
    /// Output format of the result
    #[arg(short, long, value_name = "FORMAT", default_value = "table")]
    pub output: Format,
}

/// Runs `list`.
///
/// With `-o json` or `-o yaml`: `[{namespace, name, ready, desired, image, created, tooling}]`.
pub(crate) async fn run(global: &Global, arguments: &ListArgs, streams: &Streams) -> anyhow::Result<u8> {
    let deadline = Deadline::of(arguments.read.timeout, ReadArgs::DEFAULT);
    let (progress, output) = (ReadingProgress::EventsOnly, output_form(Some(arguments.output)));
    let reading = ReadInvocation { global, command: "list", progress, deadline, output, streams };
    let work = async |events: &Events| {
        let loaded = cluster_session::load_until(deadline, global, Secrets::Unneeded, streams).await?;
        let session = Session::to_read(global, loaded, streams, deadline).await?;
        events.target("list", session.target()).await;
        let reading = read(&session, global.namespace.as_deref(), arguments.all_namespaces, events);
        let found = read_until(deadline, &session, streams, reading)
            .await
            .map_err(|error| session.with_credentials_hint(error))?;
        let message = phrase::count(found.len(), "installation");
        Ok(((session, found), Finished { message, ..Finished::default() }))
    };
    let (session, found) = reading.run(work).await?;
    let now = session.connection.api.clock().now();
    let _written = match output {
        Output::Human if found.is_empty() => {
            streams.err(&format!("no installations; context {}\n", session.connection.choice.context));
            return Ok(0);
        }
        Output::Human => {
            let rows: Vec<Vec<String>> = found.iter().map(|installation| row(installation, now)).collect();
            streams.text(&table(&["namespace", "name", "ready", "age", "image"], &rows, streams.width()))?
        }
        output => streams.results(&found.iter().map(value).collect::<Vec<_>>(), output)?,
    };
    Ok(0)
}

async fn read(
    session: &Session,
    namespace: Option<&str>,
    all: bool,
    events: &Events,
) -> Result<Vec<Installation>> {
    let api = &session.connection.api;
    session.server_version().await?;
    let configured = session.settings.deploy.namespace.as_str();
    match installations::list(api, namespace).await {
        Err(error) if error.kind() == Kind::Forbidden && namespace.is_none() && !all => {
            let message = format!("no right to list all namespaces: only namespace {configured} was listed");
            events.warn(Id::Forbidden, message).await;
            installations::list(api, Some(configured)).await
        }
        found => found,
    }
}

fn row(installation: &Installation, now: Timestamp) -> Vec<String> {
    let workload = installation.workload.as_ref();
    vec![
        installation.namespace.clone(),
        installation.name.clone(),
        workload.map(|workload| format!("{}/{}", workload.ready, workload.desired)).unwrap_or_default(),
        installation.created.map(|created| phrase::age(created, now)).unwrap_or_default(),
        workload.map(|workload| workload.image.clone()).unwrap_or_default(),
    ]
}

/// An item of the result.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct InstallationObject<'a> {
    namespace: &'a str,
    name: &'a str,
    /// The number of ready pods; null without a Deployment.
    ready: Option<u64>,
    desired: Option<u64>,
    image: Option<&'a str>,
    created: Option<String>,
    tooling: &'a str,
}

fn value(installation: &Installation) -> InstallationObject<'_> {
    let workload = installation.workload.as_ref();
    InstallationObject {
        namespace: &installation.namespace,
        name: &installation.name,
        ready: workload.map(|workload| workload.ready),
        desired: workload.map(|workload| workload.desired),
        image: workload.map(|workload| workload.image.as_str()),
        created: installation.created.map(|created| created.to_string()),
        tooling: &installation.tooling,
    }
}
