//! Builds kube's client: TCP, proxy, TLS, credentials, and the layers that count its traffic.

use std::sync::Arc;

use http::Uri;
use http_body_util::BodyExt as _;
use hyper::rt::{Read, Write};
use hyper_rustls::{FixedServerNameResolver, HttpsConnector, HttpsConnectorBuilder};
use hyper_timeout::TimeoutConnector;
use hyper_util::client::legacy;
use hyper_util::client::legacy::connect::proxy::{SocksV5, Tunnel};
use hyper_util::client::legacy::connect::{Connection, HttpConnector};
use hyper_util::rt::TokioExecutor;
use kube::client::{Body, ConfigExt as _};
use kube::{Client, Config};
use rustls::ClientConfig;
use rustls::client::ResolvesClientCert;
use rustls::pki_types::ServerName;
use tower::filter::AsyncFilterLayer;
use tower::util::{MapRequestLayer, MapResponseLayer};
use tower::{BoxError, Service, ServiceBuilder};

use super::certificate::PinnedOrSigned;
use super::credentials::Bearer;
use super::traffic::Traffic;
use crate::error::Source;
use crate::proxy::{Protocol, Proxy};

/// What a connection needs besides kube's configuration.
pub(super) struct Options {
    pub(super) proxy: Option<Proxy>,
    /// The token that is renewed, from a file or a credential plugin.
    pub(super) bearer: Option<Bearer>,
    /// The client certificate.
    pub(super) identity: Option<Arc<dyn ResolvesClientCert>>,
    pub(super) traffic: Arc<Traffic>,
}

/// Builds the client.
///
/// # Errors
/// A certificate or a header is invalid.
pub(super) fn client(config: &Config, options: Options) -> Result<Client, Source> {
    let tls = Tls::new(config, options.identity.clone())?;
    let mut tcp = HttpConnector::new();
    tcp.enforce_http(false);
    match options.proxy.clone() {
        None => assemble(config, &tls, tcp, options),
        Some(proxy) if proxy.protocol == Protocol::Socks5 => {
            let mut socks = SocksV5::new(proxy.uri, tcp);
            if let Some((user, password)) = proxy.credentials {
                socks = socks.with_auth(user, password);
            }
            assemble(config, &tls, socks, options)
        }
        Some(proxy) if proxy.protocol == Protocol::Https => {
            assemble(config, &tls, tunnel(proxy, tls.around(tcp))?, options)
        }
        Some(proxy) => assemble(config, &tls, tunnel(proxy, tcp)?, options),
    }
}

fn tunnel<C>(proxy: Proxy, connector: C) -> Result<Tunnel<C>, Source> {
    let credentials = proxy.authorization()?;
    let tunnel = Tunnel::new(proxy.uri, connector);
    Ok(match credentials {
        Some(credentials) => tunnel.with_auth(credentials),
        None => tunnel,
    })
}

/// The settings of TLS connections to the server, and to a proxy that uses TLS.
struct Tls {
    config: ClientConfig,
    server_name: Option<ServerName<'static>>,
}

impl Tls {
    fn new(config: &Config, identity: Option<Arc<dyn ResolvesClientCert>>) -> Result<Self, Source> {
        let mut tls = config.rustls_client_config()?;
        if let Some(identity) = identity {
            tls.client_auth_cert_resolver = identity;
        }
        if !config.accept_invalid_certs
            && let Some(verifier) = config.root_cert.as_deref().and_then(PinnedOrSigned::new)
        {
            tls.dangerous().set_certificate_verifier(Arc::new(verifier));
        }
        let server_name = config.tls_server_name.clone().map(ServerName::try_from).transpose()?;
        Ok(Self { config: tls, server_name })
    }

    fn around<C>(&self, connector: C) -> HttpsConnector<C> {
        let mut builder = HttpsConnectorBuilder::new().with_tls_config(self.config.clone()).https_or_http();
        if let Some(name) = &self.server_name {
            builder = builder.with_server_name_resolver(FixedServerNameResolver::new(name.clone()));
        }
        builder.enable_http1().wrap_connector(connector)
    }
}

fn assemble<C>(config: &Config, tls: &Tls, connector: C, options: Options) -> Result<Client, Source>
where
    C: Service<Uri> + Clone + Send + Sync + 'static,
    C::Response: Connection + Read + Write + Send + Unpin + 'static,
    C::Future: Send + 'static,
    C::Error: Into<BoxError>,
{
    let mut connector = TimeoutConnector::new(tls.around(connector));
    connector.set_connect_timeout(config.connect_timeout);
    connector.set_write_timeout(config.write_timeout);
    let http: legacy::Client<_, Body> = legacy::Client::builder(TokioExecutor::new()).build(connector);
    let Options { bearer, traffic, .. } = options;
    let (sent, received) = (traffic.clone(), traffic);
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
    let service = ServiceBuilder::new()
        .layer(responses)
        .layer(requests)
        .layer(config.base_uri_layer())
        .option_layer(config.auth_layer()?)
        .option_layer(bearer.map(AsyncFilterLayer::new))
        .layer(config.extra_headers_layer()?)
        .map_err(BoxError::from)
        .service(http);
    Ok(Client::new(service, config.default_namespace.clone()))
}
