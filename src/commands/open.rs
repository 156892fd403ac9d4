//! `open`: opens the application at its URL, or through a port-forward.

use std::net::Ipv4Addr;
use std::time::Duration;

use clap::Args;
use schemars::JsonSchema;
use serde::Serialize;
use tokio::net::TcpListener;

use crate::catalogue::Id;
use crate::cluster::app::client::{self, AppError, AppRequest};
use crate::cluster::app::node_port;
use crate::cluster::app::port_forward::{self, ReadyPodName, ReadyPodWatcher};
use crate::cluster::app::probe;
use crate::cluster::app::url_probe::{self, ProbeResponse};
use crate::cluster::apply::app_keys;
use crate::cluster::client::api::Api;
use crate::command_line::RepeatedFlags;
use crate::deploy::missing_application;
use crate::error::{Error, Kind, Result};
use crate::event::{Event, Events, Finished, Phase};
use crate::flags::{Format, Global, number, parse_duration};
use crate::object::ObjectId;
use crate::object::kind::{DEPLOYMENT, INGRESS, POD};
use crate::object::labels;
use crate::plan::inventory::app_keys::StoredAppKeys;
use crate::report::{Output, ReadingProgress, Streams};
use crate::session::cluster_session::{self, Secrets, Session};
use crate::session::exposure::{self, Exposure};
use crate::session::long_calls::read_until;
use crate::session::output::output_form;
use crate::session::reading::{Interrupts, ReadInvocation};
use crate::session::step::Deadline;
use crate::settings::edition::Edition;
use crate::settings::handsctl::{Expose, Profile};
use crate::settings::secrets::value::Redacted;

/// Open the application at its URL, else through a port-forward
///
/// In order: probe the application's URL (with expose = "nodeport", the port at the addresses of the nodes); if it
/// answers, print the URL and open a browser. Otherwise forward a port of this computer to a ready pod, print that URL,
/// open a browser, and keep forwarding until Ctrl-C, also to a replacement pod.
#[derive(Debug, Clone, Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag")]
#[command(
    after_help = "Examples:\n  handsctl open\n  handsctl open --forward --port 3000\n  handsctl open --no-forward --no-browser\n  handsctl open --key"
)]
pub struct OpenArgs {
    /// Forward a port of this computer without probing the URL
    #[arg(long)]
    pub forward: bool,
    /// Exit with 12 if no URL answers from this computer, without forwarding a port: for scripts
    #[arg(long, conflicts_with_all = ["forward", "port"])]
    pub no_forward: bool,
    /// Port of this computer to forward [default: 3000, or a free one]
    #[arg(long, value_name = "PORT", value_parser = number(1..=u16::MAX, "a port is a number from 1 to 65535"))]
    pub port: Option<u16>,
    /// Print the key that Agent Canvas or its server requires, and open nothing
    #[arg(long, conflicts_with_all = ["forward", "no_forward", "port", "no_browser", "output"])]
    pub key: bool,
    /// Print the URL without opening a browser
    #[arg(long)]
    pub no_browser: bool,
    /// Time limit until the URL is printed [default: 1m]
    #[arg(long, value_parser = parse_duration, value_name = "DURATION")]
    pub timeout: Option<Duration>,
    /// Output format of the result
    #[arg(short, long, value_name = "FORMAT")]
    pub output: Option<Format>,
}

const TIMEOUT: Duration = Duration::from_secs(60);

/// Runs `open`.
///
/// With `-o json` or `-o yaml`: `{url, via}`, where `via` is `ingress`, `nodeport` or `port-forward`.
pub(crate) async fn run(global: &Global, arguments: &OpenArgs, streams: &Streams) -> anyhow::Result<u8> {
    let deadline = Deadline::of(arguments.timeout, TIMEOUT);
    let (progress, output) = (ReadingProgress::EventsOnly, output_form(arguments.output));
    let reading = ReadInvocation { global, command: "open", progress, deadline, output, streams };
    let prepare = async |events: &Events| {
        let loaded = cluster_session::load_until(deadline, global, Secrets::Unneeded, streams).await?;
        let session = Session::to_read(global, loaded, streams, deadline).await?;
        events.target("open", session.target()).await;
        let start = start(&session, arguments, events, streams);
        let start = read_until(deadline, &session, streams, start).await?;
        Ok((session, start))
    };
    let follow = async |(session, start): (Session, Start), events: &Events| match start {
        Start::Url { url, via } => {
            show_url(&url, via, arguments, streams)?;
            Ok(Finished { message: format!("open by {via}"), url: Some(url), ..Finished::default() })
        }
        Start::Key(key) => {
            let _written = streams.out(&format!("{}\n", key.expose()))?;
            Ok(Finished { message: "the application's key".to_owned(), ..Finished::default() })
        }
        Start::Forward(forwarding) => {
            let flags = RepeatedFlags::new(global);
            forward(&session, *forwarding, arguments, &flags, events, streams).await
        }
    };
    reading.follow(Interrupts::EndCommand, prepare, follow).await
}

/// The step of the port-forward.
const FORWARD: &str = "forward";

/// Forwards the port until Ctrl-C: from here on there is no deadline.
async fn forward(
    session: &Session,
    forwarding: Forwarding,
    arguments: &OpenArgs,
    flags: &RepeatedFlags,
    events: &Events,
    streams: &Streams,
) -> Result<Finished> {
    let Forwarding { watcher, pod, listener, edition } = forwarding;
    let api = session.connection.api.without_deadline();
    let namespace = session.settings.deploy.namespace.as_str();
    let address = listener.local_addr().map_err(|error| Error::io("cannot get the listening port", error))?;
    let url = format!("http://{address}{}", edition.page);
    events.begin(Phase::Track, FORWARD, url.as_str()).await;
    show_url(&url, "port-forward", arguments, streams)?;
    tokio::select! {
        outcome = watcher.follow() => outcome?,
        outcome = port_forward::serve(&api, namespace, listener, pod.clone(), edition.port) => outcome?,
        () = report_pod(pod, namespace, flags, events, streams) => {}
    }
    Ok(Finished { url: Some(url), ..Finished::default() })
}

/// How the application is opened.
enum Start {
    /// At the URL that answers, by an ingress or a node port.
    Url { url: String, via: &'static str },
    /// Not at all: only its key is printed.
    Key(Redacted),
    /// Through a port of this computer.
    Forward(Box<Forwarding>),
}

/// A port of this computer, and the pod to forward it to.
struct Forwarding {
    watcher: ReadyPodWatcher,
    pod: ReadyPodName,
    listener: TcpListener,
    edition: &'static Edition,
}

async fn start(session: &Session, arguments: &OpenArgs, events: &Events, streams: &Streams) -> Result<Start> {
    let version = session.server_version().await?;
    let edition = deployed_edition(session).await?;
    if arguments.key {
        return Ok(Start::Key(login_key(session, edition).await?));
    }
    if !arguments.forward
        && let Some(start) = answering_url(session, edition, events, streams).await
    {
        return Ok(start);
    }
    if arguments.no_forward {
        return Err(no_url());
    }
    let api = &session.connection.api;
    let deploy = &session.settings.deploy;
    let labels = labels::instance_selector(deploy.name.as_str());
    let (watcher, pod) =
        ReadyPodWatcher::open(api, deploy.namespace.as_str(), labels, version.streams_lists()).await?;
    ensure_forwarding(api, deploy.namespace.as_str(), &pod, edition).await?;
    let listener = listen(arguments.port, edition.port).await?;
    // A pod that is pending will run no container either, so no connection would ever be served.
    if session.is_simulation && pod.borrow().is_none() {
        return Err(probe::simulated_error("there is nothing to open"));
    }
    Ok(Start::Forward(Box::new(Forwarding { watcher, pod, listener, edition })))
}

/// Returns the edition of the deployed application.
///
/// # Errors
/// Exit 12 if it does not exist, or if the pod of profile `dev` stands for it.
async fn deployed_edition(session: &Session) -> Result<&'static Edition> {
    let deploy = &session.settings.deploy;
    if deploy.profile == Profile::Dev {
        let message = "nothing to open: in the pod of profile `dev` nothing listens";
        return Err(Error::new(Id::NothingDeployed, Kind::Down, message)
            .at_config(session.settings.locate("deploy.profile"))
            .hint("handsctl dev -- COMMAND runs OpenHands on this computer as if in that pod"));
    }
    let deployments = DEPLOYMENT.in_namespace(deploy.namespace.as_str());
    let deployment = session.connection.api.get_opt(&deployments, deploy.name.as_str()).await;
    let deployment = deployment.map_err(|error| {
        session.with_credentials_hint(error.into_error(&format!("cannot get deployment/{}", deploy.name)))
    })?;
    match deployment {
        Some(deployment) => Ok(Edition::of_deployment(&deployment)),
        None => Err(missing_application::error(session, "nothing to open").await),
    }
}

/// Reads the key that the application's page asks for.
///
/// # Errors
/// Exit 2 if the application has no login; exit 14 if the Secret or the key in it is missing.
async fn login_key(session: &Session, edition: &Edition) -> Result<Redacted> {
    let set = session.set();
    if !edition.has_keys() {
        let message = format!("{} has no login: its page asks for no key", edition.product);
        return Err(Error::new(Id::Usage, Kind::Usage, message).hint("handsctl open opens it"));
    }
    let id = app_keys::secret_id(&set);
    let stored = app_keys::read(&session.connection.api, &set).await;
    match stored.map_err(|error| session.with_credentials_hint(error))? {
        StoredAppKeys::Keys(keys) => Ok(keys.api().clone()),
        StoredAppKeys::Absent | StoredAppKeys::Invalid => {
            let message = format!("{id} in namespace {} does not hold the application's keys", set.namespace);
            Err(Error::new(Id::EncryptionKeyChanged, Kind::Prerequisite, message)
                .hint("handsctl deploy tells what is missing"))
        }
    }
}

fn no_url() -> Error {
    let message = "the application answers at no URL from this computer";
    Error::new(Id::UrlUnreachable, Kind::Down, message)
        .hint("handsctl open, without --no-forward, forwards a port of this computer to it")
        .hint("handsctl status shows whether it runs")
}

/// Returns the application's URL if it answers from this computer.
async fn answering_url(
    session: &Session,
    edition: &Edition,
    events: &Events,
    streams: &Streams,
) -> Option<Start> {
    let deploy = &session.settings.deploy;
    let probed = async |target: &str, healthy: bool, message: String| {
        events.send(Event::Probe { target: target.to_owned(), healthy, message }).await;
    };
    if deploy.expose == Expose::NodePort {
        let (namespace, service) = (deploy.namespace.as_str(), deploy.name.as_str());
        let api = &session.connection.api;
        let url = node_port::answering_url(api, namespace, service, edition, Duration::ZERO).await;
        match &url {
            Some(url) => probed(url, true, "answers".to_owned()).await,
            None => probed("the node port", false, "does not answer from this computer".to_owned()).await,
        }
        return url.map(|url| Start::Url { url, via: "nodeport" });
    }
    let proxies = &session.environment.proxies;
    // Without the right to read it, the configuration counts.
    let ingresses = INGRESS.in_namespace(deploy.namespace.as_str());
    let ingress = session.connection.api.get_opt(&ingresses, deploy.name.as_str()).await.ok().flatten();
    let exposure = exposure::for_live(ingress.as_ref(), &session.settings, edition, session.local, proxies);
    let Exposure::Url { target, .. } = exposure else {
        return None;
    };
    match url_probe::probe_url(&target, Duration::ZERO).await {
        ProbeResponse::Answers { .. } => {
            probed(&target.url, true, "answers".to_owned()).await;
            Some(Start::Url { url: target.url, via: "ingress" })
        }
        // A browser can log in where the probe cannot.
        ProbeResponse::LoginPage(why) => {
            let message = format!("responds from this computer, but not the application: {why}");
            streams.err(&format!("{} {message}\n", target.url));
            probed(&target.url, false, message).await;
            Some(Start::Url { url: target.url, via: "ingress" })
        }
        ProbeResponse::NotTheApplication(why) | ProbeResponse::Unreachable(why) => {
            probed(&target.url, false, format!("does not answer from this computer: {why}")).await;
            streams.err(&format!("{} does not answer from this computer: {why}\n", target.url));
            None
        }
    }
}

/// Checks that a connection to the ready pod can be forwarded. Does nothing while no pod is ready.
///
/// # Errors
/// Exit 6 if forwarding is forbidden, exit 14 if the pod's node is simulated.
async fn ensure_forwarding(api: &Api, namespace: &str, pod: &ReadyPodName, edition: &Edition) -> Result<()> {
    let Some(name) = pod.borrow().clone() else { return Ok(()) };
    if let Ok(Some(pod)) = api.get_opt(&POD.in_namespace(namespace), &name).await
        && let Ok(pod) = serde_json::from_value(pod)
        && probe::is_simulated(api, &pod).await
    {
        return Err(probe::simulated_error("there is nothing to open"));
    }
    let request = AppRequest::get(edition.probes.liveness);
    match client::through_port_forward(api, namespace, &name, edition.port, request).await {
        Err(AppError::Forbidden(why)) => {
            let message = format!("cannot forward to pod/{name} in namespace {namespace}");
            Err(Error::new(Id::Forbidden, Kind::Forbidden, message)
                .fact("server", why)
                .hint("an administrator adds {apiGroups: [\"\"], resources: [\"pods/portforward\"], verbs: [\"get\", \"create\"]} to a Role"))
        }
        // An application that does not answer yet may answer when the first connection arrives.
        Ok(_) | Err(AppError::Unreachable(_)) => Ok(()),
    }
}

/// Listens on the requested port; without one, on the application's own port if it is free, so that the URL stays the
/// same from run to run.
async fn listen(port: Option<u16>, default: u16) -> Result<TcpListener> {
    let bind = |port| TcpListener::bind((Ipv4Addr::LOCALHOST, port));
    let listener = match port {
        Some(port) => bind(port).await,
        None => match bind(default).await {
            Ok(listener) => Ok(listener),
            Err(_) => bind(0).await,
        },
    };
    listener.map_err(|error| {
        let port = port.unwrap_or_default();
        Error::new(Id::PortBusy, Kind::Prerequisite, format!("cannot listen on port {port} of this computer"))
            .caused_by(error)
            .hint("choose another --port; without --port a free one is used")
    })
}

/// The result.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct OpenedUrl<'a> {
    url: &'a str,
    /// `ingress`, `nodeport` or `port-forward`.
    via: &'a str,
}

fn show_url(url: &str, via: &str, arguments: &OpenArgs, streams: &Streams) -> Result<()> {
    let _written = match output_form(arguments.output) {
        Output::Human => streams.out(&format!("{url}\n"))?,
        output => streams.result(&OpenedUrl { url, via }, output)?,
    };
    if streams.out_is_terminal() && !arguments.no_browser {
        // Without a browser, the printed URL is enough.
        let _no_browser = open::that_detached(url);
    }
    Ok(())
}

/// Reports the pod that connections are forwarded to, and each change of it.
async fn report_pod(
    mut pod: ReadyPodName,
    namespace: &str,
    flags: &RepeatedFlags,
    events: &Events,
    streams: &Streams,
) {
    let waiting = "no pod is ready: connections wait for one";
    let hint = flags.insert_into("handsctl status shows why");
    let state = |name: &str, ready, message: &str| {
        let object = ObjectId::namespaced("", "Pod", namespace, name);
        Event::Rollout { object, ready, message: message.to_owned(), fails_in: None }
    };
    let mut previous: Option<String> = None;
    loop {
        let ready = pod.borrow_and_update().clone();
        if let Some(name) = &ready {
            events.send(state(name, true, "connections are forwarded to it")).await;
            streams.err(&format!("forwarding to pod/{name}; Ctrl-C stops it\n"));
        } else {
            let event = match &previous {
                Some(name) => state(name, false, waiting),
                None => Event::Waiting { object: None, message: waiting.to_owned(), left: None },
            };
            events.send(event).await;
            streams.err(&format!("{waiting}; {hint}\n"));
        }
        previous = ready;
        if pod.changed().await.is_err() {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::ColorChoice;

    #[tokio::test(start_paused = true)]
    async fn each_pod_of_the_forward_is_an_event() {
        let (events, mut receiver) = Events::channel();
        let streams = Streams::from_environment(ColorChoice::Never, true, 0);
        let (sender, pod) = tokio::sync::watch::channel(None);
        let flags = RepeatedFlags::default();
        let changes = async {
            for name in [Some("a"), None, Some("b")] {
                tokio::time::sleep(Duration::from_millis(1)).await;
                sender.send(name.map(str::to_owned)).unwrap();
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
            drop(sender);
        };
        tokio::join!(report_pod(pod, "n", &flags, &events, &streams), changes);
        let mut seen = Vec::new();
        while let Some(event) = receiver.try_recv() {
            seen.push(match event {
                Event::Rollout { object, ready, .. } => (object.to_string(), ready),
                Event::Waiting { message, .. } => (message, false),
                other => panic!("{other:?}"),
            });
        }
        let row = |text: &str, ready| (text.to_owned(), ready);
        let waiting = row("no pod is ready: connections wait for one", false);
        assert_eq!(seen, [waiting, row("pod/a", true), row("pod/a", false), row("pod/b", true)]);
    }
}
