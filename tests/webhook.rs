//! An admission webhook of a test's own, which the API server calls at a URL.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};

use crate::bed::Namespace;

/// The webhook's certificate, and the bundle that the API server trusts.
pub(crate) struct Authority(rcgen::CertifiedKey<rcgen::KeyPair>);

impl Authority {
    pub(crate) fn new() -> Self {
        Self(rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap())
    }

    pub(crate) fn bundle(&self) -> String {
        STANDARD.encode(self.0.cert.pem())
    }
}

/// What the webhook answers to a call.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Answer {
    Allow,
    /// Denies the request with this message.
    Deny(&'static str),
    /// Nothing: the API server's call times out.
    Silence,
}

/// Chooses the answer to a call from its number; the first is 1.
type Choice = dyn Fn(usize) -> Answer + Send + Sync;

/// A running webhook. Dropping the value stops it.
pub(crate) struct Webhook {
    address: SocketAddr,
    calls: Arc<AtomicUsize>,
    runtime: Option<Runtime>,
}

impl Webhook {
    pub(crate) fn new(
        authority: &Authority,
        choose: impl Fn(usize) -> Answer + Send + Sync + 'static,
    ) -> Self {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
        let address = listener.local_addr().unwrap();
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(authority.0.signing_key.serialize_der()));
        let provider = Arc::new(tokio_rustls::rustls::crypto::ring::default_provider());
        let tls = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![authority.0.cert.der().clone()], key)
            .unwrap();
        let calls = Arc::new(AtomicUsize::new(0));
        let tls = TlsAcceptor::from(Arc::new(tls));
        runtime.spawn(listen(listener, tls, Arc::clone(&calls), Arc::new(choose)));
        Self { address, calls, runtime: Some(runtime) }
    }

    pub(crate) fn url(&self) -> String {
        format!("https://{}/", self.address)
    }

    /// The number of calls so far.
    pub(crate) fn calls(&self) -> usize {
        self.calls.load(Ordering::Relaxed)
    }
}

impl Drop for Webhook {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

async fn listen(listener: TcpListener, tls: TlsAcceptor, calls: Arc<AtomicUsize>, choose: Arc<Choice>) {
    while let Ok((stream, _)) = listener.accept().await {
        let (tls, calls, choose) = (tls.clone(), Arc::clone(&calls), Arc::clone(&choose));
        tokio::spawn(async move {
            let Ok(stream) = tls.accept(stream).await else { return };
            let service = service_fn(|request| {
                let call = calls.fetch_add(1, Ordering::Relaxed) + 1;
                answer(request, choose(call))
            });
            let _closed = hyper::server::conn::http1::Builder::new()
                .serve_connection(TokioIo::new(stream), service)
                .await;
        });
    }
}

async fn answer(request: Request<Incoming>, answer: Answer) -> Result<Response<Full<Bytes>>, Infallible> {
    let body = request.into_body().collect().await.unwrap().to_bytes();
    let review: Value = serde_json::from_slice(&body).unwrap();
    let uid = &review["request"]["uid"];
    let response = match answer {
        Answer::Allow => json!({ "uid": uid, "allowed": true }),
        Answer::Deny(message) => json!({ "uid": uid, "allowed": false, "status": { "message": message } }),
        Answer::Silence => std::future::pending().await,
    };
    let review =
        json!({ "apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "response": response });
    let response = Response::builder().header("content-type", "application/json");
    Ok(response.body(Full::new(review.to_string().into())).unwrap())
}

/// The configuration of a webhook for the pods of a namespace. Dropping the value deletes it.
pub(crate) struct PodWebhook<'a>(&'a Namespace);

impl<'a> PodWebhook<'a> {
    /// Its service does not exist.
    pub(crate) fn without_service(namespace: &'a Namespace) -> Self {
        let service = json!({ "namespace": namespace.name, "name": "gone" });
        Self::with_client(namespace, &json!({ "service": service }))
    }

    pub(crate) fn new(namespace: &'a Namespace, authority: &Authority, webhook: &Webhook) -> Self {
        Self::with_client(namespace, &json!({ "url": webhook.url(), "caBundle": authority.bundle() }))
    }

    fn with_client(namespace: &'a Namespace, client: &Value) -> Self {
        let name = format!("pods.{}.example.com", namespace.name);
        let object = json!({
            "apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingWebhookConfiguration",
            "metadata": { "name": namespace.name },
            "webhooks": [{
                "name": name, "clientConfig": client, "sideEffects": "None", "timeoutSeconds": 1,
                "admissionReviewVersions": ["v1"],
                "rules": [{ "apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods"] }],
                "namespaceSelector": { "matchLabels": { "kubernetes.io/metadata.name": namespace.name } },
            }],
        });
        let webhook = Self(namespace);
        namespace.bed.kubectl_with(&["create", "-f", "-"], &object.to_string());
        webhook
    }
}

impl Drop for PodWebhook<'_> {
    fn drop(&mut self) {
        let delete = ["delete", "validatingwebhookconfiguration", &self.0.name, "--ignore-not-found"];
        let _already_deleted = self.0.bed.try_kubectl(&delete, "");
    }
}
