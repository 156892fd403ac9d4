//! Every form of a kubeconfig that client-go reads, with real connections: TLS, proxies, credentials.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rcgen::{BasicConstraints, CertificateParams, IsCa, KeyPair};
use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, UnixTime};
use rustls::server::NoClientAuth;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, ServerConfig, ServerConnection,
    SignatureScheme, StreamOwned,
};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::connect::{ContextArgs, connect};
use super::kubeconfig::PodAccount;
use super::version;
use crate::catalogue::Id;
use crate::damage::{Xorshift, rounds};
use crate::error::{Error, Kind, Result};
use crate::proxy::ProxyVariables;

/// What stands between the client and the API server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    Direct,
    /// As `Direct`, but the server demands a client certificate.
    Mutual,
    /// As `Direct`, but each TLS handshake begins after 11 s.
    Late,
    /// An HTTP proxy.
    Connect,
    /// An HTTP proxy over TLS.
    TlsConnect,
    Socks5,
}

/// An API server with TLS, behind a proxy that answers for every host name.
struct Server {
    address: SocketAddr,
    certificate: String,
    requests: Receiver<Request>,
}

/// What the server has received.
#[derive(Debug)]
struct Request {
    path: String,
    /// What the client said to the proxy.
    to_proxy: String,
    headers: BTreeMap<String, String>,
}

/// Accepts every client certificate whose key has signed the handshake.
#[derive(Debug)]
struct AnyClient(CryptoProvider);

/// A certificate of version 1 is one that webpki cannot read; its signature is not verified.
fn if_readable(
    verified: std::result::Result<HandshakeSignatureValid, rustls::Error>,
) -> std::result::Result<HandshakeSignatureValid, rustls::Error> {
    match verified {
        Err(rustls::Error::InvalidCertificate(CertificateError::Other(_))) => {
            Ok(HandshakeSignatureValid::assertion())
        }
        verified => verified,
    }
}

impl ClientCertVerifier for AnyClient {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: UnixTime,
    ) -> std::result::Result<ClientCertVerified, rustls::Error> {
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> std::result::Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        if_readable(verify_tls12_signature(message, certificate, signature, algorithms))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> std::result::Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        if_readable(verify_tls13_signature(message, certificate, signature, algorithms))
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

const VERSION: &str = "{\"major\":\"1\",\"minor\":\"34\",\"gitVersion\":\"v1.34.4\"}";

impl Server {
    /// Starts a server for these names, with a self-signed certificate.
    fn start(ip: IpAddr, names: &[&str], way: Way) -> Self {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut params = CertificateParams::new(names).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap();
        let private = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let clients: Arc<dyn ClientCertVerifier> = match way {
            Way::Mutual => Arc::new(AnyClient(ring::default_provider())),
            _ => Arc::new(NoClientAuth),
        };
        let tls = ServerConfig::builder()
            .with_client_cert_verifier(clients)
            .with_single_cert(vec![certificate.der().clone()], private)
            .unwrap();
        let tls = Arc::new(tls);
        let listener = TcpListener::bind((ip, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let (sender, requests) = channel();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                // A client that rejects the certificate closes the connection.
                if let Some(request) = stream.ok().and_then(|stream| serve(stream, &tls, way))
                    && sender.send(request).is_err()
                {
                    return;
                }
            }
        });
        Self { address, certificate: STANDARD.encode(certificate.pem()), requests }
    }

    fn request(&self) -> Request {
        self.requests.recv_timeout(Duration::from_secs(30)).unwrap()
    }
}

fn serve(stream: TcpStream, tls: &Arc<ServerConfig>, way: Way) -> Option<Request> {
    let session = |stream| Some(StreamOwned::new(ServerConnection::new(tls.clone()).ok()?, stream));
    match way {
        Way::Direct | Way::Mutual => answer(session(stream)?, String::new()),
        Way::Late => {
            std::thread::sleep(Duration::from_secs(11));
            answer(session(stream)?, String::new())
        }
        Way::Connect => {
            let (stream, to_proxy) = accept_connect(stream)?;
            answer(session(stream)?, to_proxy)
        }
        Way::TlsConnect => {
            let (stream, to_proxy) = accept_connect(session(stream)?)?;
            answer(StreamOwned::new(ServerConnection::new(tls.clone()).ok()?, stream), to_proxy)
        }
        Way::Socks5 => {
            let (stream, to_proxy) = accept_socks(stream)?;
            answer(session(stream)?, to_proxy)
        }
    }
}

/// Reads up to the empty line behind the headers.
fn read_head(stream: &mut impl Read) -> Option<String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).ok()?;
        head.push(byte[0]);
    }
    String::from_utf8(head).ok()
}

fn accept_connect<S: Read + Write>(mut stream: S) -> Option<(S, String)> {
    let head = read_head(&mut stream)?;
    stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").ok()?;
    stream.flush().ok()?;
    Some((stream, head))
}

/// RFC 1928 and RFC 1929: greeting, user and password, request by name.
fn accept_socks(mut stream: TcpStream) -> Option<(TcpStream, String)> {
    fn bytes(stream: &mut TcpStream, count: usize) -> Option<Vec<u8>> {
        let mut read = vec![0; count];
        stream.read_exact(&mut read).ok()?;
        Some(read)
    }
    fn text(stream: &mut TcpStream) -> Option<String> {
        let length = bytes(stream, 1)?[0];
        String::from_utf8(bytes(stream, length.into())?).ok()
    }
    let greeting = bytes(&mut stream, 2)?;
    let methods = bytes(&mut stream, greeting[1].into())?;
    let mut said = String::new();
    if methods.contains(&2) {
        stream.write_all(&[5, 2]).ok()?;
        bytes(&mut stream, 1)?;
        said = format!("{}:{}@", text(&mut stream)?, text(&mut stream)?);
        stream.write_all(&[1, 0]).ok()?;
    } else {
        stream.write_all(&[5, 0]).ok()?;
    }
    bytes(&mut stream, 4)?;
    said += &text(&mut stream)?;
    let port = bytes(&mut stream, 2)?;
    said += &format!(":{}", u16::from_be_bytes([port[0], port[1]]));
    stream.write_all(&[5, 0, 0, 1, 0, 0, 0, 0, 0, 0]).ok()?;
    Some((stream, said))
}

fn answer(mut stream: impl Read + Write, to_proxy: String) -> Option<Request> {
    let head = read_head(&mut stream)?;
    let mut headers: BTreeMap<String, String> = BTreeMap::new();
    for (name, value) in head.lines().skip(1).filter_map(|line| line.split_once(": ")) {
        let joined = headers.entry(name.to_ascii_lowercase()).or_default();
        *joined = if joined.is_empty() { value.to_owned() } else { format!("{joined}, {value}") };
    }
    let path = head.split(' ').nth(1).unwrap_or_default().to_owned();
    let response = format!(
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{VERSION}",
        VERSION.len()
    );
    stream.write_all(response.as_bytes()).ok()?;
    stream.flush().ok()?;
    Some(Request { path, to_proxy, headers })
}

/// Writes a kubeconfig with one context; its file is `config`.
fn write_kubeconfig(folder: &Path, cluster: &Value, user: &Value) -> ContextArgs {
    let kubeconfig = json!({
        "apiVersion": "v1", "kind": "Config", "current-context": "c",
        "clusters": [{ "name": "c", "cluster": cluster }],
        "users": [{ "name": "u", "user": user }],
        "contexts": [{ "name": "c", "context": { "cluster": "c", "user": "u" } }],
    });
    let path = folder.join("config");
    std::fs::write(&path, kubeconfig.to_string()).unwrap();
    // The dead proxy is used for nothing on loopback.
    let proxies =
        ProxyVariables { https: Some("http://127.0.0.1:9".to_owned()), ..ProxyVariables::default() };
    ContextArgs { kubeconfigs: vec![path], proxies, ..ContextArgs::default() }
}

/// Gets the server's version.
async fn reach(args: &ContextArgs) -> Result<String> {
    let connection = connect(args).await?;
    let version = version::get_server_version(&connection.api).await;
    version.map(|version| version.text).map_err(|error| error.into_error("cannot reach the cluster"))
}

fn folder() -> TempDir {
    tempfile::tempdir().unwrap()
}

const V4: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

/// A server on loopback, and a cluster entry for it.
fn local_server() -> (Server, Value) {
    let server = Server::start(V4, &["127.0.0.1", "localhost"], Way::Direct);
    let cluster = json!({
        "server": format!("https://{}", server.address), "certificate-authority-data": server.certificate,
    });
    (server, cluster)
}

#[tokio::test(flavor = "multi_thread")]
async fn loopback_server_is_reached_without_the_dead_proxy() {
    let folder = folder();
    let (server, mut cluster) = local_server();
    assert_eq!(reach(&write_kubeconfig(folder.path(), &cluster, &json!({}))).await.unwrap(), "v1.34.4");
    cluster["server"] = json!(format!("https://localhost:{}", server.address.port()));
    assert_eq!(reach(&write_kubeconfig(folder.path(), &cluster, &json!({}))).await.unwrap(), "v1.34.4");
}

#[tokio::test(flavor = "multi_thread")]
async fn server_at_an_ipv6_address_is_reached() {
    let folder = folder();
    let server = Server::start(IpAddr::V6(Ipv6Addr::LOCALHOST), &["::1"], Way::Direct);
    let cluster = json!({
        "server": format!("https://[::1]:{}", server.address.port()), "certificate-authority-data": server.certificate,
    });
    assert_eq!(reach(&write_kubeconfig(folder.path(), &cluster, &json!({}))).await.unwrap(), "v1.34.4");
}

#[tokio::test(flavor = "multi_thread")]
async fn tls_server_name_and_skipped_verification_are_followed() {
    let folder = folder();
    let server = Server::start(V4, &["k8s.example"], Way::Direct);
    let url = format!("https://{}", server.address);
    let verified = json!({ "server": url, "certificate-authority-data": server.certificate });
    let error = reach(&write_kubeconfig(folder.path(), &verified, &json!({}))).await.unwrap_err();
    assert_eq!(error.id(), Id::Untrusted, "{error:?}");
    assert!(error.hints()[0].contains("`tls-server-name`"), "{error:?}");
    let mut named = verified.clone();
    named["tls-server-name"] = json!("k8s.example");
    assert_eq!(reach(&write_kubeconfig(folder.path(), &named, &json!({}))).await.unwrap(), "v1.34.4");
    let insecure = json!({ "server": url, "insecure-skip-tls-verify": true });
    assert_eq!(reach(&write_kubeconfig(folder.path(), &insecure, &json!({}))).await.unwrap(), "v1.34.4");
    std::fs::write(folder.path().join("ca.crt"), STANDARD.decode(&server.certificate).unwrap()).unwrap();
    let file = json!({ "server": url, "certificate-authority": "ca.crt", "tls-server-name": "k8s.example" });
    assert_eq!(reach(&write_kubeconfig(folder.path(), &file, &json!({}))).await.unwrap(), "v1.34.4");
}

#[tokio::test(flavor = "multi_thread")]
async fn proxy_url_of_every_scheme_is_used() {
    let folder = folder();
    let rows = [
        (Way::Connect, "http://ana:p%40w@", "CONNECT k8s.example:6443 HTTP/1.1\r\n"),
        (Way::TlsConnect, "https://ana:p%40w@", "CONNECT k8s.example:6443 HTTP/1.1\r\n"),
        (Way::Socks5, "socks5://ana:p%40w@", "ana:p@w@k8s.example:6443"),
        (Way::Socks5, "socks5h://", "k8s.example:6443"),
    ];
    for (way, prefix, expected) in rows {
        let server = Server::start(V4, &["k8s.example", "127.0.0.1"], way);
        let cluster = json!({
            "server": "https://k8s.example:6443", "certificate-authority-data": server.certificate,
            "proxy-url": format!("{prefix}{}", server.address),
        });
        let mut args = write_kubeconfig(folder.path(), &cluster, &json!({}));
        args.proxies.no = Some("*".to_owned());
        assert_eq!(reach(&args).await.unwrap(), "v1.34.4", "{way:?}");
        let request = server.request();
        assert!(request.to_proxy.starts_with(expected), "{way:?}: {request:?}");
        if matches!(way, Way::Connect | Way::TlsConnect) {
            let credentials = format!("Basic {}", STANDARD.encode("ana:p@w"));
            assert!(request.to_proxy.to_lowercase().contains(&credentials.to_lowercase()), "{request:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn proxy_of_the_environment_is_used_unless_no_proxy_names_the_server() {
    let folder = folder();
    let server = Server::start(V4, &["k8s.invalid"], Way::Connect);
    let cluster =
        json!({ "server": "https://k8s.invalid", "certificate-authority-data": server.certificate });
    let mut args = write_kubeconfig(folder.path(), &cluster, &json!({}));
    // An entry for the proxy itself has no effect.
    args.proxies.https = Some(server.address.to_string());
    args.proxies.no = Some("127.0.0.1, not/a/network".to_owned());
    assert_eq!(reach(&args).await.unwrap(), "v1.34.4");
    assert!(server.request().to_proxy.starts_with("CONNECT k8s.invalid:443 "));
    args.proxies.no = Some(".invalid".to_owned());
    assert_eq!(reach(&args).await.unwrap_err().id(), Id::Unreachable, "the name does not exist");
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_proxy_url_names_the_cluster_without_the_password() {
    let folder = folder();
    let cluster = json!({ "server": "https://k8s.example", "proxy-url": "ftp://ana:planted@p" });
    let error = reach(&write_kubeconfig(folder.path(), &cluster, &json!({}))).await.unwrap_err();
    assert_eq!(error.id(), Id::KubeconfigInvalid);
    let text = format!("{error:?}");
    assert!(
        text.contains("proxy-url of cluster `c`: the scheme `ftp`") && !text.contains("planted"),
        "{text}"
    );
}

/// A credential plugin that prints this status; it also notes each run in the file `runs`.
fn plugin(version: &str, status: &Value) -> Value {
    let answer = json!({ "kind": "ExecCredential", "apiVersion": version, "status": status }).to_string();
    json!({ "exec": {
        "apiVersion": version, "command": "./plugin", "args": ["-"], "interactiveMode": "Never",
        "provideClusterInfo": true, "env": [{ "name": "ANSWER", "value": answer }],
    } })
}

fn write_plugin(folder: &Path) {
    use std::os::unix::fs::PermissionsExt as _;
    let script = "#!/bin/sh\ncd \"$(dirname \"$0\")\"\necho \"$KUBERNETES_EXEC_INFO\" >> runs\nprintf '%s\\n' \"$ANSWER\"\n";
    let path = folder.join("plugin");
    std::fs::write(&path, script).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o700)).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn credentials_of_every_form_are_sent() {
    let folder = folder();
    let (server, cluster) = local_server();
    std::fs::write(folder.path().join("token"), "from-file\n").unwrap();
    write_plugin(folder.path());
    let [v1, beta] = ["client.authentication.k8s.io/v1", "client.authentication.k8s.io/v1beta1"];
    let [basic, alone] = ["ana:pw", "ana:"].map(|user| format!("Basic {}", STANDARD.encode(user)));
    let rows = [
        (json!({}), None),
        (json!({ "token": "inline" }), Some("Bearer inline")),
        (json!({ "token": "" }), None),
        (json!({ "tokenFile": "token" }), Some("Bearer from-file")),
        (json!({ "tokenFile": "token", "token": "inline" }), Some("Bearer from-file")),
        (json!({ "tokenFile": "absent", "token": "inline" }), Some("Bearer inline")),
        (json!({ "username": "ana", "password": "pw" }), Some(basic.as_str())),
        (json!({ "username": "ana" }), Some(alone.as_str())),
        (json!({ "client-key-data": "bm8ga2V5" }), None),
        (plugin(v1, &json!({ "token": "t1" })), Some("Bearer t1")),
        (
            plugin(beta, &json!({ "token": "t2", "expirationTimestamp": "2999-01-01T00:00:00Z" })),
            Some("Bearer t2"),
        ),
    ];
    for (user, expected) in rows {
        reach(&write_kubeconfig(folder.path(), &cluster, &user)).await.unwrap();
        let request = server.request();
        assert_eq!(request.headers.get("authorization").map(String::as_str), expected, "{user}");
    }
    let runs = std::fs::read_to_string(folder.path().join("runs")).unwrap();
    let runs: Vec<Value> = runs.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(runs.len(), 2, "each plugin runs once: {runs:?}");
    for (run, version) in runs.iter().zip([v1, beta]) {
        assert_eq!(run["apiVersion"], version);
        assert_eq!(run["spec"]["cluster"]["server"], cluster["server"]);
        assert_eq!(run["spec"]["cluster"].get("proxy-url"), None, "{run}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn plugin_with_a_client_certificate_is_accepted() {
    let folder = folder();
    let (server, cluster) = local_server();
    write_plugin(folder.path());
    let key = KeyPair::generate().unwrap();
    let certificate = CertificateParams::new(vec!["ana".to_owned()]).unwrap().self_signed(&key).unwrap();
    let status = json!({
        "clientCertificateData": certificate.pem(), "clientKeyData": key.serialize_pem(), "token": "t",
    });
    let user = plugin("client.authentication.k8s.io/v1", &status);
    reach(&write_kubeconfig(folder.path(), &cluster, &user)).await.unwrap();
    assert_eq!(server.request().headers["authorization"], "Bearer t");
}

#[tokio::test(flavor = "multi_thread")]
async fn broken_client_key_is_told_without_its_bytes() {
    let folder = folder();
    let (_server, cluster) = local_server();
    let user = json!({
        "client-certificate-data": STANDARD.encode("-----BEGIN CERTIFICATE-----\nplanted"),
        "client-key-data": STANDARD.encode("-----BEGIN PRIVATE KEY-----\nplanted\n"),
    });
    let error = reach(&write_kubeconfig(folder.path(), &cluster, &user)).await.unwrap_err();
    assert_eq!(error.id(), Id::KubeconfigInvalid);
    let text = format!("{error:?}");
    assert!(text.contains("the client certificate or its key is not valid PEM"), "{text}");
    assert!(!text.contains("112, 108, 97"), "the bytes of `pla`: {text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn impersonation_headers_are_sent() {
    let folder = folder();
    let (server, cluster) = local_server();
    let user = json!({
        "token": "t", "as": "bob", "as-uid": "7", "as-groups": ["dev", "ops"],
        "as-user-extra": { "Scope/a": ["x", "y"], "b": ["z"] },
    });
    reach(&write_kubeconfig(folder.path(), &cluster, &user)).await.unwrap();
    let headers = server.request().headers;
    let rows =
        [("user", "bob"), ("uid", "7"), ("group", "dev, ops"), ("extra-scope%2fa", "x, y"), ("extra-b", "z")];
    for (name, value) in rows {
        assert_eq!(headers[&format!("impersonate-{name}")], value);
    }
    assert!(headers["user-agent"].starts_with("handsctl/"));
}

#[tokio::test(flavor = "multi_thread")]
async fn failing_or_absent_plugin_exits_5_with_its_install_hint() {
    let folder = folder();
    let (_server, cluster) = local_server();
    let exec = |command: &str| {
        json!({ "exec": {
            "apiVersion": "client.authentication.k8s.io/v1", "command": command, "args": ["planted"],
            "installHint": "brew install login", "interactiveMode": "Never",
        } })
    };
    let error_of = async |user: Value| -> Error {
        reach(&write_kubeconfig(folder.path(), &cluster, &user)).await.unwrap_err()
    };
    let error = error_of(exec("false")).await;
    assert_eq!((error.id(), error.kind()), (Id::Unauthenticated, Kind::Unauthenticated));
    assert!(!format!("{error:?}").contains("planted"), "{error:?}");
    let error = error_of(exec("handsctl-no-such-login")).await;
    assert_eq!(
        (error.kind(), error.hints()),
        (Kind::Unauthenticated, &["brew install login".to_owned()][..])
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn service_account_of_a_pod_is_used_on_request_only() {
    let folder = folder();
    let (server, _) = local_server();
    std::fs::write(folder.path().join("token"), "of-the-pod\n").unwrap();
    std::fs::write(folder.path().join("ca.crt"), STANDARD.decode(&server.certificate).unwrap()).unwrap();
    let pod = PodAccount {
        host: Some("127.0.0.1".to_owned()),
        port: Some(server.address.port().to_string()),
        folder: folder.path().to_owned(),
    };
    let unasked = ContextArgs { pod, ..ContextArgs::default() };
    let error = reach(&unasked).await.unwrap_err();
    assert_eq!(error.id(), Id::KubeconfigMissing);
    assert_eq!(error.hints(), ["--in-cluster uses the service account of this pod"]);
    assert_eq!(reach(&ContextArgs { in_cluster: true, ..unasked }).await.unwrap(), "v1.34.4");
    assert_eq!(server.request().headers["authorization"], "Bearer of-the-pod");
    let absent = vec![folder.path().join("absent")];
    let outside = reach(&ContextArgs { kubeconfigs: absent, ..ContextArgs::default() }).await.unwrap_err();
    assert!(outside.facts()[0].text.ends_with("/absent"), "{outside:?}");
    assert!(!outside.hints().iter().any(|hint| hint.contains("--in-cluster")), "{outside:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn server_without_tls_at_an_https_url_is_told() {
    let folder = folder();
    let listener = TcpListener::bind((V4, 0)).unwrap();
    let cluster = json!({
        "server": format!("https://{}", listener.local_addr().unwrap()), "insecure-skip-tls-verify": true,
    });
    std::thread::spawn(move || {
        // Closing a connection with unread bytes would reset it.
        let mut open = Vec::new();
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let _client_hello = stream.read(&mut [0; 4096]);
            let _closed_already = stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n");
            open.push(stream);
        }
    });
    let error = reach(&write_kubeconfig(folder.path(), &cluster, &json!({}))).await.unwrap_err();
    assert_eq!(error.id(), Id::Unreachable);
    assert!(error.hints()[0].contains("may not use TLS"), "{error:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn web_page_instead_of_the_api_exits_4_and_says_so() {
    let folder = folder();
    let listener = TcpListener::bind((V4, 0)).unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let _request = read_head(&mut stream);
            let page = "HTTP/1.1 200 OK\r\ncontent-type: text/html\r\nconnection: close\r\ncontent-length: 13\r\n\r\n<html></html>";
            stream.write_all(page.as_bytes()).unwrap();
        }
    });
    let error =
        reach(&write_kubeconfig(folder.path(), &json!({ "server": url }), &json!({}))).await.unwrap_err();
    assert_eq!((error.id(), error.kind()), (Id::NotKubernetes, Kind::Unreachable));
    assert!(
        format!("{error:?}").contains("a web page (200): not a Kubernetes API, or a login is needed"),
        "{error:?}"
    );
}

/// A kubeconfig with a secret in every place that has one.
const SECRETS: &str = "\
apiVersion: v1
kind: Config
current-context: c
clusters:
- name: c
  cluster: {server: 'https://127.0.0.1:1', proxy-url: 'http://ana:planted@127.0.0.1:1', tls-server-name: k8s}
contexts:
- {name: c, context: {cluster: c, user: u}}
users:
- name: u
  user:
    token: planted
    password: planted
    client-key-data: cGxhbnRlZA==
    client-certificate-data: cGxhbnRlZA==
    auth-provider: {name: oidc, config: {id-token: planted, refresh-token: planted}}
- name: v
  user:
    exec:
      apiVersion: client.authentication.k8s.io/v1
      command: login
      args: [planted]
      env: [{name: TOKEN, value: planted}]
";

/// Changes some bytes, lines or words of a kubeconfig.
fn mutated(numbers: &mut Xorshift) -> Vec<u8> {
    const PIECES: [&str; 14] =
        ["", "'", "\"", ":", "- ", "{", "]", "&a ", "*a", "\t", "\n", "\u{0}", "!!binary ", "<<: "];
    let mut bytes = SECRETS.as_bytes().to_vec();
    for _ in 0..=numbers.below(4) {
        let start = numbers.below(bytes.len());
        let end = (start + numbers.below(12)).min(bytes.len());
        let piece = PIECES[numbers.below(PIECES.len())];
        bytes.splice(start..end, piece.bytes());
        if numbers.below(8) == 0 {
            bytes.truncate(numbers.below(bytes.len()).max(1));
        }
        if numbers.below(8) == 0 {
            let at = numbers.below(bytes.len());
            bytes[at] = u8::try_from(numbers.below(256)).unwrap();
        }
    }
    bytes
}

#[tokio::test]
async fn mutated_kubeconfigs_cause_no_panic_and_show_no_secret() {
    let folder = folder();
    let path = folder.path().join("config");
    let args = ContextArgs {
        kubeconfigs: vec![path.clone()],
        context: Some("c".to_owned()),
        ..ContextArgs::default()
    };
    let (mut numbers, rounds) = (Xorshift::from_environment(), rounds(1500));
    let (mut usable, mut shown) = (0, Vec::new());
    for round in 0..rounds {
        std::fs::write(&path, mutated(&mut numbers)).unwrap();
        // Choosing reads all of it; opening would run a plugin.
        match super::connect::choose(&args).await {
            Ok(_) => usable += 1,
            Err(error) => {
                assert_ne!(error.kind(), Kind::Internal, "round {round}: {error:?}");
                let text = format!("{error:?}{}", error.causes().join("\n"));
                if text.contains("planted") || text.contains("cGxhbnRl") {
                    shown.push(text);
                }
            }
        }
    }
    assert!(usable > rounds / 15 && usable < rounds - rounds / 15, "{usable} of {rounds} are usable");
    assert!(shown.is_empty(), "{} messages show a secret, the first:\n{}", shown.len(), shown[0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn connection_that_takes_11_s_needs_a_longer_timeout() {
    let reach_late = async |connect_limit: Option<Duration>, limit: Duration| {
        let server = Server::start(V4, &["127.0.0.1"], Way::Late);
        let folder = folder();
        let cluster = json!({
            "server": format!("https://{}", server.address), "certificate-authority-data": server.certificate,
        });
        let args = ContextArgs { connect_limit, ..write_kubeconfig(folder.path(), &cluster, &json!({})) };
        let api = connect(&args).await.unwrap().api.until(tokio::time::Instant::now() + limit);
        version::get_server_version(&api).await
    };
    let minute = Duration::from_secs(60);
    let (default, longer) = tokio::join!(reach_late(None, minute), reach_late(Some(minute), minute));
    assert_eq!(longer.unwrap().text, "v1.34.4");
    let error = default.unwrap_err().into_error("cannot reach the cluster");
    assert_eq!(
        (error.kind(), error.causes()[0].as_str()),
        (Kind::Unreachable, "the API server did not respond within 10 s")
    );
    assert!(error.hints().iter().any(|hint| hint.starts_with("--timeout DURATION")), "{error:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn token_with_a_line_break_exits_5_and_is_not_shown() {
    let folder = folder();
    let (_server, cluster) = local_server();
    let args = write_kubeconfig(folder.path(), &cluster, &json!({ "token": "sk-planted\n" }));
    let error = reach(&args).await.unwrap_err();
    assert_eq!(
        (error.kind(), error.message()),
        (Kind::Unauthenticated, "cannot use the token of context `c`")
    );
    assert!(!format!("{error:?}").contains("planted"), "{error:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn removed_auth_provider_runs_no_command_exit_5() {
    let folder = folder();
    let (_server, cluster) = local_server();
    let ran = folder.path().join("ran");
    for (name, successor) in
        [("gcp", "gke-gcloud-auth-plugin"), ("azure", "kubelogin"), ("openstack", "exec")]
    {
        let user = json!({ "auth-provider": { "name": name, "config": {
            "cmd-path": "/bin/sh", "cmd-args": format!("-c 'echo planted; touch {}; sleep 600'", ran.display()),
            "access-token": "planted",
        } } });
        let error = reach(&write_kubeconfig(folder.path(), &cluster, &user)).await.unwrap_err();
        assert_eq!((error.id(), error.kind().exit_code()), (Id::Unauthenticated, 5), "{error:?}");
        assert!(error.hints()[0].contains(successor), "{error:?}");
        assert!(!format!("{error:?}").contains("planted"), "{error:?}");
        assert!(!ran.exists(), "the command of {name} ran");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn oidc_without_a_token_is_a_failed_login_exit_5() {
    let folder = folder();
    let (_server, cluster) = local_server();
    let config =
        json!({ "idp-issuer-url": "https://idp.example", "refresh-token": "planted", "client-id": "c" });
    let user = json!({ "auth-provider": { "name": "oidc", "config": config } });
    let error = reach(&write_kubeconfig(folder.path(), &cluster, &user)).await.unwrap_err();
    assert_eq!((error.id(), error.kind().exit_code()), (Id::Unauthenticated, 5), "{error:?}");
    assert!(!format!("{error:?}").contains("planted"), "{error:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn secrets_that_are_not_in_the_kubeconfig_are_hidden() {
    let folder = folder();
    let (_server, cluster) = local_server();
    write_plugin(folder.path());
    let key = KeyPair::generate().unwrap();
    let certificate = CertificateParams::new(vec!["ana".to_owned()]).unwrap().self_signed(&key).unwrap();
    std::fs::write(folder.path().join("token"), "planted-token-file\n").unwrap();
    std::fs::write(folder.path().join("tls.crt"), certificate.pem()).unwrap();
    std::fs::write(folder.path().join("tls.key"), key.serialize_pem()).unwrap();
    let version = "client.authentication.k8s.io/v1";
    let key_of_plugin =
        json!({ "clientCertificateData": certificate.pem(), "clientKeyData": key.serialize_pem() });
    let of_key = key.serialize_pem().lines().nth(1).unwrap().to_owned();
    let inline = json!({
        "client-certificate": "tls.crt", "client-key-data": STANDARD.encode(key.serialize_pem()),
    });
    for (user, secret) in [
        (json!({ "tokenFile": "token" }), "planted-token-file"),
        (plugin(version, &json!({ "token": "planted-of-plugin" })), "planted-of-plugin"),
        (json!({ "client-certificate": "tls.crt", "client-key": "tls.key" }), of_key.as_str()),
        (plugin(version, &key_of_plugin), of_key.as_str()),
        (inline, of_key.as_str()),
    ] {
        let args = write_kubeconfig(folder.path(), &cluster, &user);
        reach(&args).await.unwrap();
        assert_eq!(args.secrets.text(&format!("log: {secret}!")), "log: (redacted)!", "{user}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn secrets_of_a_failed_connection_are_hidden() {
    let folder = folder();
    let (_server, cluster) = local_server();
    std::fs::write(folder.path().join("token"), "planted with\u{7}control").unwrap();
    let user = json!({ "tokenFile": "token", "client-certificate": "absent", "client-key": "absent" });
    let args = write_kubeconfig(folder.path(), &cluster, &user);
    let error = connect(&args).await.map(|_| ()).unwrap_err();
    assert!(error.causes()[0].starts_with("cannot read client-certificate "), "{error:?}");
    assert_eq!(args.secrets.text("planted with\u{7}control"), "(redacted)");
}

#[tokio::test(flavor = "multi_thread")]
async fn client_certificate_of_every_key_form_is_accepted() {
    let files = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/tls");
    let folder = folder();
    for (certificate, key) in [
        ("ec.crt", "ec-sec1.key"),
        ("ec.crt", "ec-pkcs8.key"),
        ("rsa.crt", "rsa-pkcs1.key"),
        ("rsa.crt", "rsa-pkcs8.key"),
        ("ed25519.crt", "ed25519.key"),
        // X.509 version 1: openssl writes it, and Go sends it.
        ("ec-v1.crt", "ec-sec1.key"),
    ] {
        let server = Server::start(V4, &["127.0.0.1"], Way::Mutual);
        let cluster = json!({
            "server": format!("https://{}", server.address), "certificate-authority-data": server.certificate,
        });
        let read = |name: &str| STANDARD.encode(std::fs::read(files.join(name)).unwrap());
        let of_files =
            json!({ "client-certificate": files.join(certificate), "client-key": files.join(key) });
        let of_data = json!({ "client-certificate-data": read(certificate), "client-key-data": read(key) });
        for user in [of_files, of_data] {
            let reached = reach(&write_kubeconfig(folder.path(), &cluster, &user)).await;
            assert_eq!(reached.unwrap(), "v1.34.4", "{certificate} {key}");
        }
    }
    let server = Server::start(V4, &["127.0.0.1"], Way::Mutual);
    let cluster = json!({
        "server": format!("https://{}", server.address), "certificate-authority-data": server.certificate,
    });
    let api = connect(&write_kubeconfig(folder.path(), &cluster, &json!({}))).await.unwrap().api;
    let api = api.until(tokio::time::Instant::now() + Duration::from_secs(1));
    assert!(version::get_server_version(&api).await.is_err(), "the server demands a certificate");
}

#[tokio::test(flavor = "multi_thread")]
async fn key_of_another_certificate_is_told() {
    let files = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/tls");
    let folder = folder();
    let (_server, cluster) = local_server();
    let user = json!({ "client-certificate": files.join("ec.crt"), "client-key": files.join("ed25519.key") });
    let error = reach(&write_kubeconfig(folder.path(), &cluster, &user)).await.unwrap_err();
    assert_eq!(error.causes(), ["client-key is not the key of the client certificate"]);
    let alone = json!({ "client-certificate": files.join("ec.crt") });
    let error = reach(&write_kubeconfig(folder.path(), &cluster, &alone)).await.unwrap_err();
    assert_eq!(error.causes(), ["the client certificate has no client-key"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn broken_certificate_of_a_bundle_is_skipped() {
    let folder = folder();
    let (server, mut cluster) = local_server();
    let good = String::from_utf8(STANDARD.decode(&server.certificate).unwrap()).unwrap();
    let bundles = ["bm9uZQ==", "?", ""].map(|broken| {
        format!("a comment\n-----BEGIN CERTIFICATE-----\n{broken}\n-----END CERTIFICATE-----\n{good}")
    });
    for bundle in bundles {
        cluster["certificate-authority-data"] = json!(STANDARD.encode(&bundle));
        let args = write_kubeconfig(folder.path(), &cluster, &json!({}));
        assert_eq!(reach(&args).await.unwrap(), "v1.34.4", "{bundle}");
        std::fs::write(folder.path().join("ca.crt"), &bundle).unwrap();
        let file = json!({ "server": cluster["server"], "certificate-authority": "ca.crt" });
        let args = write_kubeconfig(folder.path(), &file, &json!({}));
        assert_eq!(reach(&args).await.unwrap(), "v1.34.4", "{bundle}");
    }
    cluster["certificate-authority-data"] = json!(STANDARD.encode("no certificate"));
    assert!(reach(&write_kubeconfig(folder.path(), &cluster, &json!({}))).await.is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn path_of_the_server_url_precedes_every_request() {
    let folder = folder();
    let (server, mut cluster) = local_server();
    cluster["server"] = json!(format!("https://{}/k8s/clusters/c-1/", server.address));
    assert_eq!(reach(&write_kubeconfig(folder.path(), &cluster, &json!({}))).await.unwrap(), "v1.34.4");
    assert_eq!(server.request().path, "/k8s/clusters/c-1/version");
}

#[tokio::test(flavor = "multi_thread")]
async fn http_server_without_a_port_is_tunnelled_to_port_80() {
    let folder = folder();
    let listener = TcpListener::bind((V4, 0)).unwrap();
    let proxy = format!("http://{}", listener.local_addr().unwrap());
    let head = std::thread::spawn(move || read_head(&mut listener.accept().unwrap().0).unwrap());
    let cluster = json!({ "server": "http://k8s.example/a", "proxy-url": proxy });
    assert!(reach(&write_kubeconfig(folder.path(), &cluster, &json!({}))).await.is_err());
    let head = head.join().unwrap();
    assert!(head.starts_with("CONNECT k8s.example:80 "), "{head}");
}
