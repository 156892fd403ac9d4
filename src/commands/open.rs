//! `open`: leads to the application, at its URL or through a port of this computer.

use std::net::Ipv4Addr;
use std::time::Duration;

use clap::Args;
use serde_json::json;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

use crate::catalogue::Id;
use crate::cluster::app::client::{self, AppError};
use crate::cluster::app::port_forward::{self, ReadyPodName, ReadyPodWatcher};
use crate::cluster::app::probe;
use crate::cluster::app::url_probe::{self, ProbeResponse};
use crate::cluster::client::api::Api;
use crate::error::{Error, Kind, Result};
use crate::flags::{Format, Global};
use crate::object::kind::{DEPLOYMENT, POD};
use crate::object::labels;
use crate::report::{Output, Streams};
use crate::session::cluster_session::{self, Secrets, Session};
use crate::session::exposure::{self, Exposure};
use crate::session::output::output_form;

/// Open the application: at its URL, else through a port of this computer
///
/// Where the application answers at its URL, the URL is printed and a browser opened. Else a port of this computer
/// leads to it until Ctrl-C, also while its pod is replaced.
#[derive(Debug, Clone, Args)]
#[command(
    after_help = "Examples:\n  handsctl open\n  handsctl open --forward --port 3000\n  curl \"$(handsctl open)alive\""
)]
pub struct OpenArgs {
    /// Lead there through a port of this computer, whatever the URL is
    #[arg(long)]
    pub forward: bool,
    /// That port [default: 3000, or a free one]
    #[arg(long, value_name = "PORT", value_parser = clap::value_parser!(u16).range(1..))]
    pub port: Option<u16>,
    /// Only print the URL
    #[arg(long)]
    pub no_browser: bool,
    /// Form of the result
    #[arg(short, long, value_name = "FORMAT")]
    pub output: Option<Format>,
}

/// Runs `open`.
///
/// With `-o json` or `-o yaml`: `{url, via}`, where `via` is `ingress` or `port-forward`.
pub(crate) async fn run(global: &Global, arguments: &OpenArgs, streams: &Streams) -> anyhow::Result<u8> {
    let loaded = cluster_session::load(global, Secrets::Unneeded)?;
    let session = Session::to_read(global, loaded).await?;
    let version = session.server_version().await?;
    deployed(&session).await?;
    if !arguments.forward
        && let Some(url) = answering(&session, streams).await
    {
        lead_to(&url, "ingress", arguments, streams)?;
        return Ok(0);
    }
    let api = &session.connection.api;
    let deploy = &session.settings.deploy;
    let labels = labels::instance_selector(deploy.name.as_str());
    let (follower, pod) =
        ReadyPodWatcher::open(api, deploy.namespace.as_str(), labels, version.streams_lists()).await?;
    may_forward(api, deploy.namespace.as_str(), &pod).await?;
    let listener = listen(arguments.port).await?;
    let at = listener.local_addr().map_err(|error| Error::io("cannot tell the port", error))?;
    let mut interrupt =
        signal(SignalKind::interrupt()).map_err(|error| Error::io("cannot listen to signals", error))?;
    lead_to(&format!("http://{at}/"), "port-forward", arguments, streams)?;
    tokio::select! {
        ended = follower.follow() => ended?,
        ended = port_forward::serve(api, deploy.namespace.as_str(), listener, pod.clone()) => ended?,
        () = tell(pod, streams) => {}
        _ = interrupt.recv() => return Ok(Kind::Interrupted.exit_code()),
    }
    Ok(0)
}

/// # Errors
/// Exit 12 where there is nothing that could be opened.
async fn deployed(session: &Session) -> Result<()> {
    let deploy = &session.settings.deploy;
    let deployments = DEPLOYMENT.in_namespace(deploy.namespace.as_str());
    let found = session.connection.api.get_opt(&deployments, deploy.name.as_str()).await;
    let found = found.map_err(|fault| {
        session.with_credentials_hint(fault.into_error("cannot look for the application"))
    })?;
    if found.is_some() {
        return Ok(());
    }
    let message = format!("there is no `{}` in namespace {}", deploy.name, deploy.namespace);
    Err(Error::new(Id::NothingDeployed, Kind::Down, message).hint("handsctl deploy makes it"))
}

/// The application's URL, where it answers from this computer.
async fn answering(session: &Session, streams: &Streams) -> Option<String> {
    let Exposure::Url { target, .. } = exposure::for_settings(&session.settings, session.local) else {
        return None;
    };
    match url_probe::probe_url(&target, Duration::ZERO).await {
        ProbeResponse::Answers { .. } => Some(target.url),
        ProbeResponse::Unreachable(why) => {
            streams.err(&format!("{} does not answer from this computer ({why})\n", target.url));
            None
        }
    }
}

/// Makes sure that a connection can be had, where a pod is ready.
///
/// # Errors
/// Exit 6 where it is not allowed, exit 14 where no container runs.
async fn may_forward(api: &Api, namespace: &str, pod: &ReadyPodName) -> Result<()> {
    let Some(name) = pod.borrow().clone() else { return Ok(()) };
    if let Ok(Some(pod)) = api.get_opt(&POD.in_namespace(namespace), &name).await
        && let Ok(pod) = serde_json::from_value(pod)
        && probe::is_simulated(api, &pod).await
    {
        let message = "simulated nodes: no container runs, so there is nothing to open";
        return Err(Error::new(Id::SimulatedNodes, Kind::Prerequisite, message)
            .hint("[cluster] provider = \"kind\" runs containers"));
    }
    match client::through_port_forward(api, namespace, &name, client::AppRequest::get("/alive")).await {
        Err(AppError::Forbidden(why)) => {
            let message = format!("cannot lead to pod/{name} in namespace {namespace}");
            Err(Error::new(Id::Forbidden, Kind::Forbidden, message)
                .fact("server", why)
                .hint("an administrator adds {apiGroups: [\"\"], resources: [\"pods/portforward\"], verbs: [\"get\", \"create\"]} to a Role"))
        }
        // What does not answer now may when somebody comes.
        Ok(_) | Err(AppError::Unreachable(_)) => Ok(()),
    }
}

/// A port that stays the same from one time to the next, where it is free.
async fn listen(port: Option<u16>) -> Result<TcpListener> {
    let bind = |port| TcpListener::bind((Ipv4Addr::LOCALHOST, port));
    let bound = match port {
        Some(port) => bind(port).await,
        None => match bind(client::PORT).await {
            Ok(listener) => Ok(listener),
            Err(_) => bind(0).await,
        },
    };
    bound.map_err(|error| {
        let port = port.unwrap_or_default();
        Error::new(Id::PortBusy, Kind::Prerequisite, format!("cannot listen on port {port} of this computer"))
            .caused_by(error)
            .hint("another --port, or none: then a free one is chosen")
    })
}

fn lead_to(url: &str, via: &str, arguments: &OpenArgs, streams: &Streams) -> Result<()> {
    let _nobody_reads = match output_form(arguments.output) {
        Output::Human => streams.out(&format!("{url}\n"))?,
        output => streams.value(&json!({ "url": url, "via": via }), output)?,
    };
    if streams.out_is_terminal() && !arguments.no_browser {
        // Where there is no browser the URL is on the screen.
        let _no_browser = open::that_detached(url);
    }
    Ok(())
}

/// Says which pod it is, and when it is another one.
async fn tell(mut pod: ReadyPodName, streams: &Streams) {
    loop {
        let now = pod.borrow_and_update().clone();
        match now {
            Some(name) => streams.err(&format!("leads to pod/{name}; Ctrl-C ends it\n")),
            None => streams.err("no pod is ready: connections wait for one; handsctl status says why\n"),
        }
        if pod.changed().await.is_err() {
            return;
        }
    }
}
