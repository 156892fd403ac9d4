//! Reads the kubeconfig files, and the service account of a pod.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use kube::Config;
use kube::config::{AuthInfo, Kubeconfig};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;

use super::client_go;
use super::credential_error::invalid_kubeconfig;
use crate::catalogue::Id;
use crate::error::{Error, Kind, Result};
use crate::reason;

/// The files of `KUBECONFIG`, or the one of `--kubeconfig`.
#[derive(Debug, Clone)]
pub(super) enum KubeconfigFiles {
    /// `--kubeconfig`: it must exist.
    Explicit(PathBuf),
    /// `KUBECONFIG`, else the default: missing files are skipped.
    Listed(Vec<PathBuf>),
}

/// Reads and merges the files. Blocks: a file may be a named pipe.
///
/// # Errors
/// Exit 4 if the explicit file is missing, or a file is not a kubeconfig.
pub(super) fn read(files: &KubeconfigFiles) -> Result<Kubeconfig> {
    let files = match files {
        KubeconfigFiles::Explicit(path) => vec![read_one(path)?.ok_or_else(|| missing(path))?],
        KubeconfigFiles::Listed(paths) => {
            let read = paths.iter().map(|path| read_one(path)).collect::<Result<Vec<_>>>()?;
            read.into_iter().flatten().collect()
        }
    };
    client_go::merge(files)
        .map_err(|error| invalid_kubeconfig("cannot use the kubeconfig".to_owned(), &error))
}

/// Reads a file once, because it may be a named pipe. None: there is no file.
fn read_one(path: &Path) -> Result<Option<Kubeconfig>> {
    let message = || format!("cannot use the kubeconfig {}", path.display());
    let failed = || Error::new(Id::KubeconfigInvalid, Kind::Unreachable, message());
    let bytes = match std::fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed().caused_by(error)),
    };
    let text =
        client_go::decode(bytes).ok_or_else(|| failed().caused_by("it is not text in UTF-8 or UTF-16"))?;
    let parsed = client_go::parse(&text);
    let mut kubeconfig = parsed.map_err(|error| invalid_kubeconfig(message(), &error))?;
    if let Some(folder) = path.parent() {
        client_go::resolve_paths(&mut kubeconfig, folder);
    }
    Ok(Some(kubeconfig))
}

fn missing(path: &Path) -> Error {
    let message = format!("cannot find the kubeconfig {}", path.display());
    Error::new(Id::KubeconfigMissing, Kind::Unreachable, message)
        .hint("--kubeconfig FILE or KUBECONFIG selects another one")
        .hint("handsctl up creates a local cluster")
}

/// The service account that Kubernetes mounts into a pod, and the API server's address in the pod's variables.
#[derive(Debug, Clone, Default)]
pub struct PodAccount {
    /// `KUBERNETES_SERVICE_HOST`.
    pub host: Option<String>,
    /// `KUBERNETES_SERVICE_PORT`.
    pub port: Option<String>,
    /// The folder with `token`, `ca.crt` and `namespace`.
    pub folder: PathBuf,
}

impl PodAccount {
    /// Whether this process runs in a pod with a service account.
    pub(super) fn exists(&self) -> bool {
        self.host.is_some() && self.folder.join("token").exists()
    }

    /// Reads the account. Blocks.
    ///
    /// # Errors
    /// Exit 4 if this process does not run in a pod, or the pod has no service account.
    pub(super) fn read(&self) -> Result<Config> {
        let failed = |cause: String| {
            Error::new(Id::KubeconfigInvalid, Kind::Unreachable, "cannot use the pod's service account")
                .caused_by(cause)
        };
        let (Some(host), Some(port)) = (&self.host, &self.port) else {
            return Err(failed("KUBERNETES_SERVICE_HOST and KUBERNETES_SERVICE_PORT are not set".to_owned())
                .hint("--in-cluster only works in a pod"));
        };
        let host = if host.contains(':') { format!("[{host}]") } else { host.clone() };
        let server = format!("https://{host}:{port}");
        let server = server.parse().map_err(|_not_a_url| failed(format!("{server} is not a URL")))?;
        let token = self.folder.join("token");
        if let Err(error) = std::fs::metadata(&token) {
            return Err(failed(format!("cannot read {}: {}", token.display(), reason::of_io(&error)))
                .hint("the pod's spec may have automountServiceAccountToken: false"));
        }
        let mut config = Config::new(server);
        config.auth_info = AuthInfo { token_file: Some(token.display().to_string()), ..AuthInfo::default() };
        let authority = self.folder.join("ca.crt");
        // client-go uses the authorities of the operating system without it.
        if authority.exists() {
            let read =
                CertificateDer::pem_file_iter(&authority).and_then(Iterator::collect::<Result<Vec<_>, _>>);
            let read = read.map_err(|error| {
                failed(format!("cannot read {}: {}", authority.display(), of_pem(&error)))
            })?;
            config.root_cert = Some(read.iter().map(|certificate| certificate.to_vec()).collect());
        }
        Ok(config)
    }
}

/// Returns why a file of certificates cannot be used.
fn of_pem(error: &rustls::pki_types::pem::Error) -> String {
    match error {
        rustls::pki_types::pem::Error::Io(error) => reason::of_io(error),
        _ => "it has no valid certificates".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: &str = "{current-context: a, contexts: [{name: a, context: {cluster: a}}]}";
    const TWO: &str = "{current-context: b, contexts: [{name: b, context: {cluster: b}}]}";

    fn contexts(files: &KubeconfigFiles) -> Vec<String> {
        read(files).unwrap().contexts.into_iter().map(|context| context.name).collect()
    }

    #[test]
    fn missing_file_in_a_list_is_skipped() {
        let folder = tempfile::tempdir().unwrap();
        let [one, two, none, empty] = ["one", "two", "none", "empty"].map(|name| folder.path().join(name));
        std::fs::write(&one, ONE).unwrap();
        std::fs::write(&two, TWO).unwrap();
        std::fs::write(&empty, "").unwrap();
        let listed = |files: &[&PathBuf]| KubeconfigFiles::Listed(files.iter().copied().cloned().collect());
        assert_eq!(contexts(&listed(&[&none, &two, &empty, &one])), ["b", "a"]);
        assert_eq!(read(&listed(&[&none, &two, &one])).unwrap().current_context.as_deref(), Some("b"));
        assert_eq!(contexts(&listed(&[&none])), Vec::<String>::new());
        assert_eq!(contexts(&listed(&[])), Vec::<String>::new());
    }

    #[test]
    fn explicit_file_must_exist() {
        let folder = tempfile::tempdir().unwrap();
        let error = read(&KubeconfigFiles::Explicit(folder.path().join("none"))).unwrap_err();
        assert_eq!((error.id(), error.kind()), (Id::KubeconfigMissing, Kind::Unreachable));
        let error = read(&KubeconfigFiles::Listed(vec![folder.path().to_owned()])).unwrap_err();
        assert_eq!(error.id(), Id::KubeconfigInvalid, "a folder is no kubeconfig");
    }

    #[test]
    fn relative_paths_start_at_their_own_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("config");
        let text = "clusters: [{name: a, cluster: {certificate-authority: ca.crt}}]\n\
                    users: [{name: a, user: {client-certificate: ../c, client-key: /k, tokenFile: t}},\n\
                    {name: b, user: {exec: {command: ./login}}}, {name: c, user: {exec: {command: login}}}]\n";
        std::fs::write(&path, text).unwrap();
        let read = read(&KubeconfigFiles::Listed(vec![path])).unwrap();
        let at = |name: &str| Some(folder.path().join(name).display().to_string());
        assert_eq!(read.clusters[0].cluster.as_ref().unwrap().certificate_authority, at("ca.crt"));
        let user = |index: usize| read.auth_infos[index].auth_info.as_ref().unwrap();
        assert_eq!(user(0).client_certificate, at("../c"));
        assert_eq!(user(0).client_key.as_deref(), Some("/k"));
        assert_eq!(user(0).token_file, at("t"));
        assert_eq!(user(1).exec.as_ref().unwrap().command, at("./login"));
        assert_eq!(user(2).exec.as_ref().unwrap().command.as_deref(), Some("login"), "on PATH");
    }

    #[test]
    fn service_account_is_read_from_the_pod() {
        let folder = tempfile::tempdir().unwrap();
        let account = |host: Option<&str>| PodAccount {
            host: host.map(str::to_owned),
            port: Some("443".to_owned()),
            folder: folder.path().to_owned(),
        };
        let pod = account(Some("10.0.0.1"));
        assert!(!pod.exists());
        let error = pod.read().unwrap_err();
        assert!(error.hints()[0].contains("automountServiceAccountToken"), "{error:?}");
        std::fs::write(folder.path().join("token"), "t").unwrap();
        assert!(pod.exists() && !account(None).exists());
        let config = pod.read().unwrap();
        assert_eq!(config.cluster_url.to_string(), "https://10.0.0.1:443/");
        assert_eq!(config.root_cert, None);
        std::fs::write(folder.path().join("ca.crt"), "").unwrap();
        let config = account(Some("fd00::1")).read().unwrap();
        assert_eq!(config.cluster_url.to_string(), "https://[fd00::1]:443/");
        assert!(config.root_cert.is_some() && config.auth_info.token_file.is_some());
        assert!(account(None).read().unwrap_err().hints()[0].contains("in a pod"));
    }
}
