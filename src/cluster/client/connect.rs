//! A kubeconfig → a connection.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use kube::Config;
use kube::config::{Cluster, Kubeconfig};
use secrecy::ExposeSecret as _;

use super::api::Api;
use super::client_go;
use super::client_identity;
use super::context::{self, ChosenContext, ContextOrigin, ContextSources};
use super::credential_error::{credential_error, invalid_kubeconfig, server_secrets, user_secrets};
use super::credentials::{self, Bearer};
use super::exec_credential::PluginCall;
use super::kubeconfig::{self, KubeconfigFiles, PodAccount};
use super::token;
use super::traffic::Traffic;
use super::transport::{self, Options};
use super::transport_error::CONNECT;
use crate::catalogue::Id;
use crate::error::{Error, Kind, Result};
use crate::object::SharedMask;
use crate::phrase;
use crate::proxy::{self, Proxy, ProxyVariables};
use crate::reason;

/// The options that select the cluster.
#[derive(Debug, Clone, Default)]
pub struct ContextArgs {
    /// `--kubeconfig`.
    pub kubeconfig: Option<PathBuf>,
    /// The files of `KUBECONFIG`, else the default one; unused with `kubeconfig`.
    pub kubeconfigs: Vec<PathBuf>,
    /// `--context`.
    pub context: Option<String>,
    /// `[cluster].context`.
    pub pin: Option<String>,
    /// The context of the local cluster that handsctl created for `[cluster].name`.
    pub local_cluster: Option<String>,
    /// `--in-cluster`: use only the pod's service account.
    pub in_cluster: bool,
    /// The pod in which this process may run.
    pub pod: PodAccount,
    /// The variables that choose a proxy.
    pub proxies: ProxyVariables,
    /// The time limit for opening a connection, if it is longer than 10 s.
    pub connect_limit: Option<Duration>,
    /// The secrets that no output shows. Opening and using the connection adds those of the kubeconfig's user.
    pub secrets: SharedMask,
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
    /// The proxy in front of it, without credentials.
    pub proxy: Option<String>,
    /// When the token expires, if it states that.
    pub token_expiry: Option<Timestamp>,
    /// The secrets that no output shows, to add those that the cluster returns.
    pub secrets: SharedMask,
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

/// A cluster that was chosen, and that no request was sent to yet.
pub struct ChosenCluster {
    config: Config,
    choice: ChosenContext,
    proxy: Option<Proxy>,
    token_expiry: Option<Timestamp>,
    connect_limit: Duration,
    secrets: SharedMask,
}

/// Chooses a context and prepares a connection. Sends no request yet.
///
/// # Errors
/// Those of [`choose`] and [`ChosenCluster::open`].
pub async fn connect(args: &ContextArgs) -> Result<Connection> {
    choose(args).await?.open().await
}

/// Reads the kubeconfig and chooses a context.
///
/// # Errors
/// Exit 3 for a context that is missing or contradicts the pin, exit 4 without a usable kubeconfig.
pub async fn choose(args: &ContextArgs) -> Result<ChosenCluster> {
    let connect_limit = args.connect_limit.map_or(CONNECT, |limit| limit.max(CONNECT));
    let secrets = args.secrets.clone();
    if args.in_cluster {
        let pod = args.pod.clone();
        let config = blocking(move || pod.read()).await?;
        let choice = ChosenContext { context: "in-cluster".to_owned(), origin: ContextOrigin::InCluster };
        let proxy = proxy::from_variables(&args.proxies, &config.cluster_url);
        return Ok(ChosenCluster { config, choice, proxy, token_expiry: None, connect_limit, secrets });
    }
    let kubeconfig = read_kubeconfig(args).await?;
    let choice = context::choose_context(&ContextSources {
        flag: args.context.clone(),
        pin: args.pin.clone(),
        local_cluster: args.local_cluster.clone(),
        current: kubeconfig.current_context.clone().filter(|context| !context.is_empty()),
        contexts: kubeconfig.contexts.iter().map(|context| context.name.clone()).collect(),
    });
    let choice = choice.map_err(|error| if_in_pod(with_absent_files(error, args), &args.pod))?;
    let token_expiry = expiry_of(&kubeconfig, &choice.context);
    let (config, proxy) = config_of(kubeconfig, &choice.context, &args.proxies).await?;
    Ok(ChosenCluster { config, choice, proxy, token_expiry, connect_limit, secrets })
}

/// Lists the contexts of the kubeconfig.
///
/// # Errors
/// Exit 4 without a usable kubeconfig.
pub async fn context_names(args: &ContextArgs) -> Result<Vec<String>> {
    let kubeconfig = read_kubeconfig(args).await?;
    Ok(kubeconfig.contexts.into_iter().map(|context| context.name).collect())
}

async fn read_kubeconfig(args: &ContextArgs) -> Result<Kubeconfig> {
    let files = match &args.kubeconfig {
        Some(path) => KubeconfigFiles::Explicit(path.clone()),
        None => KubeconfigFiles::Listed(args.kubeconfigs.clone()),
    };
    blocking(move || kubeconfig::read(&files)).await
}

/// Names the files of `KUBECONFIG` that do not exist, where no context can be chosen.
fn with_absent_files(error: Error, args: &ContextArgs) -> Error {
    let absent = args.kubeconfigs.iter().filter(|file| args.kubeconfig.is_none() && !file.exists());
    let absent: Vec<String> = absent.map(|file| file.display().to_string()).collect();
    if absent.is_empty() { error } else { error.fact("missing", absent.join(", ")) }
}

/// Adds the hint that a pod needs no kubeconfig.
fn if_in_pod(error: Error, pod: &PodAccount) -> Error {
    if error.id() == Id::KubeconfigMissing && pod.exists() {
        return error.replace_hints("--in-cluster uses the service account of this pod");
    }
    error
}

/// Returns the settings of a context's cluster and user.
async fn config_of(
    mut kubeconfig: Kubeconfig,
    context: &str,
    variables: &ProxyVariables,
) -> Result<(Config, Option<Proxy>)> {
    let cluster = context_of(&kubeconfig, context).map(|context| context.cluster.clone());
    let entry = kubeconfig.clusters.iter_mut().find(|entry| Some(&entry.name) == cluster.as_ref());
    let written = entry.and_then(|entry| entry.cluster.as_mut()).and_then(|cluster| {
        // kube would read the variables by other rules, and end with an error about them.
        cluster.proxy_url.replace("http://proxy.invalid".to_owned())
    });
    let failed = format!("cannot use context `{context}` of the kubeconfig");
    kubeconfig.current_context = Some(context.to_owned());
    let (message, used) = (failed.clone(), cluster.clone());
    // Reads the files that the cluster names.
    let config = blocking(move || {
        let entry = kubeconfig.clusters.iter_mut().find(|entry| Some(&entry.name) == used.as_ref());
        if let Some(cluster) = entry.and_then(|entry| entry.cluster.as_mut()) {
            read_authorities(cluster);
        }
        Config::try_from(kubeconfig).map_err(|error| invalid_kubeconfig(message, &error))
    });
    let mut config = config.await?;
    config.proxy_url = None;
    if let Some(exec) = config.auth_info.exec.as_mut().and_then(|exec| exec.cluster.as_mut()) {
        exec.proxy_url.clone_from(&written);
    }
    let proxy = match written {
        None => proxy::from_variables(variables, &config.cluster_url),
        Some(url) => Some(proxy::from_kubeconfig(&url).map_err(|reason| {
            let cluster = cluster.unwrap_or_default();
            Error::new(Id::KubeconfigInvalid, Kind::Unreachable, failed)
                .caused_by(format!("proxy-url of cluster `{cluster}`: {reason}"))
        })?),
    };
    Ok((config, proxy))
}

/// Removes broken certificates from the authorities of a cluster, if others are usable. Reads their file once, because it
/// may be a named pipe. A file that cannot be read stays: kube reports it.
fn read_authorities(cluster: &mut Cluster) {
    let bundle = match (&cluster.certificate_authority_data, &cluster.certificate_authority) {
        (Some(data), _) => STANDARD.decode(data).ok(),
        (None, Some(file)) => std::fs::read(file).ok(),
        (None, None) => None,
    };
    let Some(bundle) = bundle else { return };
    let usable = client_go::usable_authorities(&String::from_utf8_lossy(&bundle));
    cluster.certificate_authority_data =
        Some(STANDARD.encode(usable.as_deref().map_or(bundle.as_slice(), str::as_bytes)));
}

fn context_of<'a>(kubeconfig: &'a Kubeconfig, context: &str) -> Option<&'a kube::config::Context> {
    kubeconfig.contexts.iter().find(|entry| entry.name == context)?.context.as_ref()
}

/// Runs work that waits for files on a thread of its own: it delays neither the deadline nor a signal.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|error| Error::internal("the connection was aborted").caused_by(error))?
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

fn expiry_of(kubeconfig: &Kubeconfig, context: &str) -> Option<Timestamp> {
    let user = context_of(kubeconfig, context)?.user.as_ref()?;
    let info = kubeconfig.auth_infos.iter().find(|entry| entry.name == *user)?.auth_info.as_ref()?;
    token::expiry(info.token.as_ref()?.expose_secret())
}

/// Returns a server's URL as messages show it: without a user, a password and a query.
fn address_of(url: &http::Uri) -> String {
    let scheme = url.scheme_str().unwrap_or("https");
    let authority = url.authority().map_or("", http::uri::Authority::as_str);
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    format!("{scheme}://{host}{}", url.path()).trim_end_matches('/').to_owned()
}

/// Adds the port to an `http` URL without one: a tunnel through a proxy would lead to 443.
fn with_port(url: http::Uri) -> http::Uri {
    let (Some("http"), None, Some(host)) = (url.scheme_str(), url.port(), url.host()) else { return url };
    let path = url.path_and_query().map_or("/", http::uri::PathAndQuery::as_str);
    format!("http://{host}:80{path}").parse().unwrap_or(url)
}

/// Checks that the kubeconfig's token can be sent.
///
/// # Errors
/// Exit 5 for a token with a line break or another character that no HTTP header can have.
fn ensure_header_token(config: &Config, context: &str) -> Result<()> {
    let token =
        config.auth_info.token.as_ref().map(|token| http::HeaderValue::from_str(token.expose_secret()));
    if matches!(token, None | Some(Ok(_))) {
        return Ok(());
    }
    let message = format!("cannot use the token of context `{context}`");
    Err(Error::new(Id::KubeconfigInvalid, Kind::Unauthenticated, message)
        .caused_by("it has a line break or a character that no HTTP header can have")
        .hint("users[].user.token of the kubeconfig ends with a line break: `|` in YAML adds one"))
}

/// Checks that the kubeconfig's user has no auth provider but `oidc`. kube would run the command of `gcp` without a time
/// limit, and client-go has removed all others.
///
/// # Errors
/// Exit 5 for another provider.
fn ensure_supported_provider(config: &Config, context: &str) -> Result<()> {
    let Some(provider) = config.auth_info.auth_provider.as_ref().filter(|provider| provider.name != "oidc")
    else {
        return Ok(());
    };
    let hint = match provider.name.as_str() {
        "gcp" => {
            "gke-gcloud-auth-plugin is its successor: gcloud container clusters get-credentials CLUSTER enters it"
        }
        "azure" => "kubelogin is its successor: kubelogin convert-kubeconfig enters it",
        _ => "users[].user.exec runs a credential plugin instead",
    };
    let message = format!("cannot use context `{context}` of the kubeconfig");
    Err(Error::new(Id::Unauthenticated, Kind::Unauthenticated, message)
        .caused_by(format!(
            "the auth provider `{}` is not supported, and kubectl has removed it",
            provider.name
        ))
        .hint(hint))
}

impl ChosenCluster {
    /// Whether only another program or an identity provider can give the user's credentials. It may take long, or ask on
    /// the terminal.
    #[must_use]
    pub fn needs_login(&self) -> bool {
        let user = &self.config.auth_info;
        user.exec.is_some() || user.auth_provider.is_some()
    }

    /// Gets the user's credentials, which may run a credential plugin, and prepares the connection.
    ///
    /// # Errors
    /// Exit 4 if the kubeconfig's certificates are unusable, exit 5 if the credential plugin fails.
    pub async fn open(mut self) -> Result<Connection> {
        ensure_supported_provider(&self.config, &self.choice.context)?;
        self.secrets.extend(user_secrets(&self.config.auth_info));
        self.secrets.extend(server_secrets(&self.config.cluster_url.to_string()));
        self.secrets.extend(self.proxy.as_ref().map(Proxy::secrets).unwrap_or_default());
        let bearer = self.bearer().await?;
        let Self { mut config, choice, proxy, token_expiry, connect_limit, secrets } = self;
        ensure_header_token(&config, &choice.context)?;
        config.connect_timeout = Some(connect_limit);
        let agent = format!(
            "handsctl/{} ({}/{})",
            env!("CARGO_PKG_VERSION"),
            std::env::consts::OS,
            std::env::consts::ARCH
        );
        if let Ok(value) = http::HeaderValue::from_str(&agent) {
            config.headers.push((http::header::USER_AGENT, value));
        }
        let server = address_of(&config.cluster_url);
        config.cluster_url = with_port(config.cluster_url);
        let traffic = Arc::new(Traffic::default());
        let proxy_address = proxy.as_ref().map(|proxy| proxy.uri.to_string());
        let sent = traffic.clone();
        let context = choice.context.clone();
        let hidden = secrets.clone();
        let runtime = tokio::runtime::Handle::current();
        let client = blocking(move || {
            // kube starts its worker in the runtime.
            let _entered = runtime.enter();
            let message = format!("cannot use context `{context}` of the kubeconfig");
            let identity = match client_identity::take(&mut config.auth_info, &secrets) {
                Ok(identity) => identity,
                Err(reason) => {
                    return Err(
                        Error::new(Id::KubeconfigInvalid, Kind::Unreachable, message).caused_by(reason)
                    );
                }
            };
            let options = Options { proxy, bearer, identity, traffic: sent };
            transport::client(&config, options).map_err(|error| match error.downcast_ref::<kube::Error>() {
                Some(kube::Error::Auth(error)) => credential_error(&message, error, None),
                _ => Error::new(Id::KubeconfigInvalid, Kind::Unreachable, message).caused_by(error),
            })
        });
        Ok(Connection {
            api: Api::new(client.await?, traffic),
            choice,
            server,
            proxy: proxy_address,
            token_expiry,
            secrets: hidden,
        })
    }

    /// Takes the source of a renewable token out of the configuration. Runs the credential plugin once.
    async fn bearer(&mut self) -> Result<Option<Bearer>> {
        let context = &self.choice.context;
        let user = &mut self.config.auth_info;
        let has_password = user.username.is_some() && user.password.is_some();
        if user.auth_provider.is_some() || has_password {
            user.exec = None;
            return Ok(None);
        }
        if let Some(path) = user.token_file.take() {
            // A token beside it is only used until the file can be read.
            match Bearer::of_file(Path::new(&path), self.secrets.clone()).await {
                Ok(bearer) => {
                    (user.token, user.exec) = (None, None);
                    return Ok(Some(bearer));
                }
                Err(_) if user.token.is_some() => {}
                Err(error) => {
                    let message = format!("cannot use context `{context}` of the kubeconfig");
                    return Err(Error::new(Id::KubeconfigInvalid, Kind::Unreachable, message)
                        .caused_by(format!("cannot read the token file {path}: {}", reason::of_io(&error))));
                }
            }
        }
        let Some(exec) = user.exec.take().filter(|_| user.token.is_none()) else { return Ok(None) };
        let action = format!("cannot use context `{context}` of the kubeconfig");
        let is_terminal = std::io::IsTerminal::is_terminal(&std::io::stdin());
        let call = PluginCall::new(&exec, is_terminal).map_err(|reason| {
            Error::new(Id::Unauthenticated, Kind::Unauthenticated, action.as_str()).caused_by(reason)
        })?;
        let given = credentials::run(&call).await;
        let given = given.map_err(|error| credential_error(&action, &error, Some(&exec)))?;
        if let Some((certificate, key)) = given.identity {
            (user.client_certificate, user.client_key) = (None, None);
            (user.client_certificate_data, user.client_key_data) = (Some(certificate), Some(key));
        }
        Ok(given.token.map(|token| Bearer::of_plugin(call, token, given.expiry, self.secrets.clone())))
    }
}
