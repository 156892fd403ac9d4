//! The bearer token of requests: read from a file or a credential plugin, and renewed before it expires.

use std::io::{Error, ErrorKind};
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::sync::Arc;

use futures::future::BoxFuture;
use http::header::AUTHORIZATION;
use http::{HeaderValue, Request};
use jiff::{SignedDuration, Timestamp};
use kube::client::{AuthError, Body};
use secrecy::{ExposeSecret as _, SecretString};
use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::process::Command;
use tokio::sync::Mutex;
use tower::BoxError;
use tower::filter::AsyncPredicate;

use super::exec_credential::{self, PluginCall, PluginCredentials};
use crate::object::SharedMask;
use crate::process_group::ProcessGroup;

/// A token is renewed this long before it expires.
const EARLY: SignedDuration = SignedDuration::from_secs(10);
/// A token file is read again after this long, as client-go does.
const FILE_PERIOD: SignedDuration = SignedDuration::from_secs(60);
/// The largest `ExecCredential` and the largest token file, in bytes. A certificate and its key have a few thousand.
const LARGEST: usize = 1 << 20;
/// How many bytes of the end of a plugin's standard error are kept.
const STDERR: usize = 64 << 10;

/// The source of a token.
pub(super) enum TokenSource {
    /// `tokenFile`.
    File(PathBuf),
    /// `exec`.
    Plugin(Box<PluginCall>),
}

/// A token that adds itself to requests.
#[derive(Clone)]
pub(super) struct Bearer(Arc<Mutex<Token>>);

struct Token {
    source: TokenSource,
    value: SecretString,
    /// When the source is read again; None: never.
    renewal: Option<Timestamp>,
    /// Every value that it has had is added: no output shows it.
    secrets: SharedMask,
}

impl Bearer {
    /// Returns the token of a plugin that has run.
    pub(super) fn of_plugin(
        call: PluginCall,
        value: SecretString,
        expiry: Option<Timestamp>,
        secrets: SharedMask,
    ) -> Self {
        let source = TokenSource::Plugin(Box::new(call));
        secrets.add(value.expose_secret());
        Self(Arc::new(Mutex::new(Token { source, value, renewal: expiry.map(before), secrets })))
    }

    /// Reads a token file.
    ///
    /// # Errors
    /// The file cannot be read.
    pub(super) async fn of_file(path: &Path, secrets: SharedMask) -> std::io::Result<Self> {
        let value = read(path).await?;
        secrets.add(value.expose_secret());
        let source = TokenSource::File(path.to_owned());
        let renewal = Some(Timestamp::now() + FILE_PERIOD);
        Ok(Self(Arc::new(Mutex::new(Token { source, value, renewal, secrets }))))
    }

    async fn header(&self) -> Result<HeaderValue, AuthError> {
        let mut token = self.0.lock().await;
        if token.renewal.is_some_and(|renewal| renewal <= Timestamp::now()) {
            token.renew().await?;
        }
        let mut header = HeaderValue::try_from(format!("Bearer {}", token.value.expose_secret()))
            .map_err(AuthError::InvalidBearerToken)?;
        header.set_sensitive(true);
        Ok(header)
    }
}

impl Token {
    /// Reads the source again. A dropped future stops the plugin: the next request starts it again.
    async fn renew(&mut self) -> Result<(), AuthError> {
        match &self.source {
            TokenSource::File(path) => {
                // The last token remains: a program may remove the file after the start.
                if let Ok(value) = read(path).await {
                    self.secrets.add(value.expose_secret());
                    self.value = value;
                }
                self.renewal = Some(Timestamp::now() + FILE_PERIOD);
            }
            TokenSource::Plugin(call) => {
                let credentials = run(call).await?;
                let Some(value) = credentials.token else {
                    return Err(AuthError::UnrefreshableTokenResponse);
                };
                self.secrets.add(value.expose_secret());
                (self.value, self.renewal) = (value, credentials.expiry.map(before));
            }
        }
        Ok(())
    }
}

impl AsyncPredicate<Request<Body>> for Bearer {
    type Future = BoxFuture<'static, Result<Request<Body>, BoxError>>;
    type Request = Request<Body>;

    fn check(&mut self, mut request: Self::Request) -> Self::Future {
        let bearer = self.clone();
        Box::pin(async move {
            let header = bearer.header().await.map_err(kube::Error::Auth)?;
            request.headers_mut().insert(AUTHORIZATION, header);
            Ok(request)
        })
    }
}

fn before(expiry: Timestamp) -> Timestamp {
    expiry.checked_sub(EARLY).unwrap_or(expiry)
}

async fn read(path: &Path) -> std::io::Result<SecretString> {
    let bytes = bounded(Some(tokio::fs::File::open(path).await?)).await?;
    let text = std::str::from_utf8(&bytes).map_err(|error| Error::new(ErrorKind::InvalidData, error))?;
    Ok(SecretString::from(text.trim()))
}

/// Runs a plugin. Dropping the future kills it, with every program that it has started.
///
/// # Errors
/// The plugin cannot be started, fails, or writes no credentials.
pub(super) async fn run(call: &PluginCall) -> Result<PluginCredentials, AuthError> {
    let mut command = Command::new(&call.program);
    command.args(&call.arguments).envs(call.variables.iter().map(|(name, value)| (name, value)));
    command.env("KUBERNETES_EXEC_INFO", &call.request).kill_on_drop(true).stdout(Stdio::piped());
    if call.is_interactive {
        command.stdin(Stdio::inherit()).stderr(Stdio::inherit());
    } else {
        // Its standard input may be a secret of the configuration.
        command.stdin(Stdio::null()).stderr(Stdio::piped());
        // Only the foreground group of a terminal can read from it.
        command.process_group(0);
    }
    let mut child = command.spawn().map_err(AuthError::AuthExecStart)?;
    let group = ProcessGroup::new(child.id().filter(|_| !call.is_interactive));
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    let ended = tokio::try_join!(bounded(stdout), tail(stderr), child.wait());
    let (stdout, stderr, status) = ended.map_err(AuthError::AuthExecStart)?;
    let output = Output { status, stdout, stderr };
    group.disarm();
    if !output.status.success() {
        return Err(AuthError::AuthExecRun { cmd: call.program.clone(), out: Box::new(output) });
    }
    exec_credential::parse(&output.stdout)
}

/// Reads to the end.
///
/// # Errors
/// There are more than [`LARGEST`] bytes.
async fn bounded(source: Option<impl AsyncRead + Unpin>) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let Some(source) = source else { return Ok(bytes) };
    let limit = u64::try_from(LARGEST).unwrap_or(u64::MAX);
    source.take(limit + 1).read_to_end(&mut bytes).await?;
    if bytes.len() > LARGEST {
        return Err(Error::new(ErrorKind::FileTooLarge, "it has more than 1 MiB"));
    }
    Ok(bytes)
}

/// Reads to the end, and returns the last [`STDERR`] bytes.
async fn tail(source: Option<impl AsyncRead + Unpin>) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let Some(mut source) = source else { return Ok(bytes) };
    while source.read_buf(&mut bytes).await? > 0 {
        if bytes.len() > 2 * STDERR {
            bytes.drain(..bytes.len() - STDERR);
        }
    }
    bytes.drain(..bytes.len().saturating_sub(STDERR));
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use kube::config::ExecConfig;

    use super::*;
    use crate::cluster::client::credential_error::credential_error;
    use crate::cluster::client::transport_error::transport_error;
    use crate::error::Kind;

    /// A plugin that runs this script of `sh`.
    fn plugin(script: &str) -> PluginCall {
        PluginCall {
            program: "/bin/sh".to_owned(),
            arguments: vec!["-c".to_owned(), script.to_owned()],
            variables: vec![("ANSWER".to_owned(), "{\"status\":{\"token\":\"t\"}}".to_owned())],
            request: "{}".to_owned(),
            is_interactive: false,
        }
    }

    async fn header(bearer: &Bearer) -> String {
        bearer.header().await.unwrap().to_str().unwrap().to_owned()
    }

    #[tokio::test]
    async fn plugin_gets_its_variables_and_no_standard_input() {
        let script = "test \"$KUBERNETES_EXEC_INFO\" = '{}' && test -z \"$(cat)\" && echo \"$ANSWER\"";
        assert_eq!(run(&plugin(script)).await.unwrap().token.unwrap().expose_secret(), "t");
    }

    async fn error_of(call: &PluginCall) -> crate::error::Error {
        let error = run(call).await.unwrap_err();
        let entry = ExecConfig {
            command: Some("/bin/login".to_owned()),
            install_hint: Some("brew install login".to_owned()),
            ..ExecConfig::default()
        };
        credential_error("cannot connect", &error, Some(&entry))
    }

    #[tokio::test]
    async fn failing_plugin_is_told_without_its_output() {
        let script = "echo \"$ANSWER planted\"; echo 'session expired' >&2; exit 3 # planted";
        let error = error_of(&plugin(script)).await;
        assert_eq!(error.kind(), Kind::Unauthenticated);
        let text = format!("{error:?}");
        assert!(text.contains("the credential plugin login failed: exit status: 3"), "{text}");
        assert!(text.contains("session expired"), "{text}");
        assert!(!text.contains("planted") && !text.contains("token"), "{text}");
    }

    #[tokio::test]
    async fn endless_output_of_a_plugin_is_an_error() {
        let error = error_of(&plugin("yes planted")).await;
        let text = format!("{error:?}");
        assert!(text.contains("more than 1 MiB") && !text.contains("planted"), "{text}");
        assert_eq!(error.kind(), Kind::Unauthenticated);
    }

    #[tokio::test]
    async fn only_the_end_of_a_long_standard_error_is_kept() {
        let script = "yes planted | head -c 3000000 >&2; echo 'session expired' >&2; exit 3";
        let AuthError::AuthExecRun { out, .. } = run(&plugin(script)).await.unwrap_err() else {
            panic!("another error")
        };
        assert_eq!(out.stderr.len(), STDERR);
        assert!(out.stderr.ends_with(b"session expired\n"));
    }

    #[tokio::test]
    async fn endless_token_file_is_an_error() {
        let error = read(Path::new("/dev/zero")).await.unwrap_err();
        assert_eq!(error.to_string(), "it has more than 1 MiB");
    }

    #[tokio::test]
    async fn failed_renewal_names_the_program() {
        let error = run(&plugin("exit 3")).await.unwrap_err();
        let error = transport_error("cannot list pods", kube::Error::Service(Box::new(error)));
        assert_eq!(error.causes(), ["the credential plugin sh failed: exit status: 3"]);
    }

    #[tokio::test]
    async fn missing_plugin_shows_its_install_hint() {
        let missing = PluginCall { program: "/nowhere/login".to_owned(), ..plugin("") };
        assert_eq!(error_of(&missing).await.hints(), ["brew install login"]);
    }

    #[tokio::test]
    async fn token_is_renewed_only_when_it_expires() {
        let folder = tempfile::tempdir().unwrap();
        let runs = folder.path().join("runs");
        let script = format!(
            "echo run >> {0}; echo \"{{\\\"status\\\":{{\\\"token\\\":\\\"token-$(wc -l < {0} | tr -d ' ')\\\",\
             \\\"expirationTimestamp\\\":\\\"2999-01-01T00:00:00Z\\\"}}}}\"",
            runs.display()
        );
        let expired = Some(Timestamp::now() + SignedDuration::from_secs(1));
        let secrets = SharedMask::default();
        let old = || SecretString::from("old-token");
        let bearer = Bearer::of_plugin(plugin(&script), old(), expired, secrets.clone());
        assert_eq!(header(&bearer).await, "Bearer token-1");
        assert_eq!(header(&bearer).await, "Bearer token-1");
        assert_eq!(secrets.text("old-token and token-1"), "(redacted) and (redacted)");
        let valid = Bearer::of_plugin(plugin("exit 1"), old(), None, secrets);
        assert_eq!(header(&valid).await, "Bearer old-token");
    }

    #[tokio::test]
    async fn plugin_that_hangs_at_the_renewal_holds_no_request() {
        let folder = tempfile::tempdir().unwrap();
        let pid = folder.path().join("pid");
        let script = format!("echo $$ > {}; exec sleep 600", pid.display());
        let expired = Some(Timestamp::UNIX_EPOCH);
        let bearer =
            Bearer::of_plugin(plugin(&script), SecretString::from("old"), expired, SharedMask::default());
        let begin = std::time::Instant::now();
        let pid: i32 = loop {
            // The request ends at its own time limit, and the next one starts the plugin again.
            let waiting = tokio::time::timeout(Duration::from_millis(300), bearer.header()).await;
            assert!(waiting.is_err() && begin.elapsed() < Duration::from_secs(30), "{waiting:?}");
            if let Some(pid) = std::fs::read_to_string(&pid).ok().and_then(|text| text.trim().parse().ok()) {
                break pid;
            }
        };
        let pid = rustix::process::Pid::from_raw(pid).unwrap();
        let begin = std::time::Instant::now();
        while rustix::process::test_kill_process(pid).is_ok() {
            assert!(begin.elapsed() < Duration::from_secs(30), "the plugin still runs");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    #[tokio::test]
    async fn token_file_is_trimmed_and_survives_its_removal() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        std::fs::write(&path, "first\n").unwrap();
        let secrets = SharedMask::default();
        let bearer = Bearer::of_file(&path, secrets.clone()).await.unwrap();
        assert_eq!(header(&bearer).await, "Bearer first");
        std::fs::write(&path, "second\n").unwrap();
        assert_eq!(header(&bearer).await, "Bearer first", "it is read once a minute");
        bearer.0.lock().await.renewal = Some(Timestamp::UNIX_EPOCH);
        assert_eq!(header(&bearer).await, "Bearer second");
        assert_eq!(secrets.text("first second"), "first (redacted)", "one is too short");
        std::fs::remove_file(&path).unwrap();
        bearer.0.lock().await.renewal = Some(Timestamp::UNIX_EPOCH);
        assert_eq!(header(&bearer).await, "Bearer second");
    }
}
