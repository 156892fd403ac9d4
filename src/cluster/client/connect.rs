//! A kubeconfig → a connection.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use http_body_util::BodyExt as _;
use jiff::Timestamp;
use kube::client::{Body, ClientBuilder};
use kube::config::{KubeConfigOptions, Kubeconfig, KubeconfigError};
use kube::{Client, Config};
use secrecy::ExposeSecret as _;
use tower::util::{MapRequestLayer, MapResponseLayer};

use super::api::Api;
use super::context::{self, ChosenContext, ContextOrigin, ContextSources};
use super::credential_error::{connection_error, invalid_kubeconfig, user_secrets};
use super::token;
use super::traffic::Traffic;
use super::transport_error::CONNECT;
use crate::catalogue::Id;
use crate::error::{Error, Kind, Result};
use crate::object::Mask;
use crate::phrase;

/// The options that select the cluster.
#[derive(Debug, Clone, Default)]
pub struct ContextArgs {
    /// `--kubeconfig`.
    pub kubeconfig: Option<std::path::PathBuf>,
    /// The files that are read without `--kubeconfig`.
    pub files: Vec<PathBuf>,
    /// `--context`.
    pub context: Option<String>,
    /// `[cluster].context`.
    pub pin: Option<String>,
    /// The context of the local cluster that handsctl created for `[cluster].name`.
    pub local_cluster: Option<String>,
    /// `--in-cluster`: use only the pod's service account.
    pub in_cluster: bool,
}

/// A connection, with the facts that every command prints first.
#[derive(Clone)]
pub struct Connection {
    /// The client for requests.
    pub api: Api,
    /// The chosen context.
    pub choice: ChosenContext,
    /// The API server's address.
    pub server: String,
    /// When the token expires, if it states that.
    pub token_expiry: Option<Timestamp>,
    /// The secrets of the kubeconfig's user, which no output may show.
    pub secrets: Mask,
}

impl Connection {
    /// Replaces an authentication error by one that names the token's expiry, if the token has expired.
    #[must_use]
    pub fn with_expiry(&self, error: Error, now: Timestamp) -> Error {
        match self.token_expiry.filter(|expiry| *expiry < now) {
            Some(expiry) if error.kind() == Kind::Unauthenticated => {
                Error::new(Id::TokenExpired, Kind::Unauthenticated, error.message())
                    .caused_by(format!(
                        "the token in context `{}` expired {} ago ({expiry})",
                        self.choice.context,
                        phrase::age(expiry, now)
                    ))
                    .hint("log in again to get a new token")
            }
            _ => error,
        }
    }
}

/// Chooses a context and prepares a connection. Sends no request yet.
///
/// # Errors
/// Exit 3 for a context that is missing or contradicts the pin, exit 4 without a usable kubeconfig.
pub async fn connect(args: &ContextArgs) -> Result<Connection> {
    if args.in_cluster {
        let config = Config::incluster().map_err(|error| {
            Error::new(Id::KubeconfigInvalid, Kind::Unreachable, "cannot use the pod's service account")
                .caused_by(error)
        })?;
        let choice = ChosenContext { context: "in-cluster".to_owned(), origin: ContextOrigin::InCluster };
        return open(config, choice, None).await;
    }
    let kubeconfig = read(args.kubeconfig.as_deref(), &args.files)?;
    let choice = context::choose_context(&ContextSources {
        flag: args.context.clone(),
        pin: args.pin.clone(),
        local_cluster: args.local_cluster.clone(),
        current: kubeconfig.current_context.clone().filter(|context| !context.is_empty()),
        contexts: kubeconfig.contexts.iter().map(|context| context.name.clone()).collect(),
    })?;
    let token_expiry = expiry_of(&kubeconfig, &choice.context);
    let options = KubeConfigOptions { context: Some(choice.context.clone()), ..KubeConfigOptions::default() };
    let config = Config::from_custom_kubeconfig(kubeconfig, &options).await.map_err(|error| {
        invalid_kubeconfig(format!("cannot use context `{}` of the kubeconfig", choice.context), &error)
    })?;
    open(config, choice, token_expiry).await
}

/// Connects with the kubeconfig of a cluster that handsctl created.
///
/// # Errors
/// Exit 4 if the kubeconfig is unusable.
pub async fn connect_to_local_cluster(kubeconfig: &Path, context: &str) -> Result<Connection> {
    let args = ContextArgs {
        kubeconfig: Some(kubeconfig.to_owned()),
        local_cluster: Some(context.to_owned()),
        ..ContextArgs::default()
    };
    connect(&args).await
}

fn read(path: Option<&Path>, files: &[PathBuf]) -> Result<Kubeconfig> {
    let result = match path {
        Some(path) => Kubeconfig::read_from(path),
        None => Kubeconfig::read(),
    };
    match result {
        Ok(kubeconfig) => Ok(kubeconfig),
        Err(KubeconfigError::ReadConfig(error, _))
            if path.is_none() && error.kind() == std::io::ErrorKind::NotFound =>
        {
            Ok(Kubeconfig::default())
        }
        Err(KubeconfigError::ReadConfig(error, path)) if error.kind() == std::io::ErrorKind::NotFound => {
            Err(Error::new(
                Id::KubeconfigMissing,
                Kind::Unreachable,
                format!("cannot find the kubeconfig {}", path.display()),
            )
            .hint("--kubeconfig FILE or KUBECONFIG selects another one")
            .hint("handsctl up creates a local cluster"))
        }
        Err(error) => {
            let file = path.or_else(|| unparsable(files).map(PathBuf::as_path));
            let file = file.map_or_else(String::new, |file| format!(" {}", file.display()));
            Err(invalid_kubeconfig(format!("cannot use the kubeconfig{file}"), &error))
        }
    }
}

/// Returns the file that is not YAML: kube's error does not name it.
fn unparsable(files: &[PathBuf]) -> Option<&PathBuf> {
    files.iter().find(|file| matches!(Kubeconfig::read_from(file), Err(KubeconfigError::Parse(_))))
}

fn expiry_of(kubeconfig: &Kubeconfig, context: &str) -> Option<Timestamp> {
    let context = kubeconfig.contexts.iter().find(|entry| entry.name == context)?.context.as_ref()?;
    let user = context.user.as_ref()?;
    let info = kubeconfig.auth_infos.iter().find(|entry| entry.name == *user)?.auth_info.as_ref()?;
    token::expiry(info.token.as_ref()?.expose_secret())
}

async fn open(
    mut config: Config,
    choice: ChosenContext,
    token_expiry: Option<Timestamp>,
) -> Result<Connection> {
    config.default_retry = false;
    config.connect_timeout = Some(CONNECT);
    let agent = format!(
        "handsctl/{} ({}/{})",
        env!("CARGO_PKG_VERSION"),
        std::env::consts::OS,
        std::env::consts::ARCH
    );
    if let Ok(value) = http::HeaderValue::from_str(&agent) {
        config.headers.push((http::header::USER_AGENT, value));
    }
    let server = config.cluster_url.to_string();
    let plugin = config.auth_info.exec.clone();
    let secrets = user_secrets(&config.auth_info);
    let traffic = Arc::new(Traffic::default());
    let counted = traffic.clone();
    // Runs the kubeconfig's credential plugin and waits for it without yielding: on a thread of its own it delays
    // neither the deadline nor a signal.
    let built = tokio::task::spawn_blocking(move || client(config, &counted)).await;
    let built = built.map_err(|error| Error::internal("the connection was aborted").caused_by(error))?;
    let client = built.map_err(|error| {
        connection_error(
            &format!("cannot use context `{}` of the kubeconfig", choice.context),
            error,
            plugin.as_ref(),
        )
    })?;
    Ok(Connection {
        api: Api::new(client, traffic),
        choice,
        server: server.trim_end_matches('/').to_owned(),
        token_expiry,
        secrets,
    })
}

/// Builds kube's client, with layers that count its traffic.
fn client(config: Config, traffic: &Arc<Traffic>) -> Result<Client, kube::Error> {
    let (sent, received) = (traffic.clone(), traffic.clone());
    let requests = MapRequestLayer::new(move |request: http::Request<Body>| {
        let size = http_body::Body::size_hint(request.body()).lower();
        sent.on_sent(usize::try_from(size).unwrap_or_default());
        request
    });
    let responses = MapResponseLayer::new(move |response: http::Response<_>| {
        received.on_response(response.status());
        let received = received.clone();
        response.map(|body| {
            http_body_util::BodyExt::map_frame(body, move |frame: http_body::Frame<bytes::Bytes>| {
                received.on_received(frame.data_ref().map_or(0, bytes::Bytes::len));
                frame
            })
            .boxed_unsync()
        })
    });
    Ok(ClientBuilder::try_from(config)?.with_layer(&requests).with_layer(&responses).build())
}
