//! One GET request to a URL outside the API server, through the proxy that the environment names for it.

use std::convert::Infallible;
use std::future::ready;
use std::iter;
use std::net::SocketAddr;
use std::pin::pin;

use bytes::Bytes;
use futures::future::{Either, select};
use http::header::{HOST, PROXY_AUTHORIZATION, USER_AGENT};
use http::response::Parts;
use http::uri::Scheme;
use http::{HeaderValue, Request, Uri};
use http_body_util::Empty;
use hyper::client::conn::http1;
use hyper::rt::{Read, Write};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder, MaybeHttpsStream};
use hyper_util::client::legacy::connect::dns::{GaiResolver, Name};
use hyper_util::client::legacy::connect::proxy::{SocksV5, Tunnel};
use hyper_util::client::legacy::connect::{Connection, HttpConnector};
use rustls::crypto::ring;
use tower::{Service, ServiceExt as _, service_fn};

use crate::proxy::{self, Protocol, Proxy, ProxyVariables};

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// The way to reach the server of a URL.
pub(super) enum Destination<'a> {
    /// At this address, without DNS and without a proxy.
    Address(SocketAddr),
    /// By name, through the proxy that these variables choose for the URL.
    Name(&'a ProxyVariables),
}

/// Requests the URL and returns the head of the response. Follows no redirect.
///
/// # Errors
/// Fails if there is no response: resolution, connection, proxy, TLS or HTTP.
pub(super) async fn get_head(url: &Uri, destination: &Destination<'_>) -> Result<Parts, BoxError> {
    match destination {
        Destination::Address(address) => {
            let address = *address;
            let resolver = service_fn(move |_: Name| ready(Ok::<_, Infallible>(iter::once(address))));
            let mut connector = HttpConnector::new_with_resolver(resolver);
            connector.enforce_http(false);
            send(connect(connector, url).await?, origin_form(url)?).await
        }
        Destination::Name(variables) => match proxy::from_variables(variables, url) {
            None => send(connect(tcp(), url).await?, origin_form(url)?).await,
            Some(proxy) => get_head_through(&proxy, url).await,
        },
    }
}

async fn get_head_through(proxy: &Proxy, url: &Uri) -> Result<Parts, BoxError> {
    if proxy.protocol == Protocol::Socks5 {
        let mut socks = SocksV5::new(proxy.uri.clone(), tcp());
        if let Some((user, password)) = proxy.credentials.clone() {
            socks = socks.with_auth(user, password);
        }
        return send(connect(socks, url).await?, origin_form(url)?).await;
    }
    let credentials = proxy.authorization()?;
    if url.scheme() == Some(&Scheme::HTTPS) {
        let mut tunnel = Tunnel::new(proxy.uri.clone(), with_tls(tcp())?);
        if let Some(credentials) = credentials {
            tunnel = tunnel.with_auth(credentials);
        }
        return send(connect(tunnel, url).await?, origin_form(url)?).await;
    }
    send(connect(tcp(), &proxy.uri).await?, absolute_form(url, credentials.as_ref())?).await
}

fn tcp() -> HttpConnector<GaiResolver> {
    let mut connector = HttpConnector::new();
    connector.enforce_http(false);
    connector
}

/// Connects to the server of the URL; uses TLS if it is `https`.
async fn connect<C>(connector: C, url: &Uri) -> Result<MaybeHttpsStream<C::Response>, BoxError>
where
    C: Service<Uri> + Send,
    C::Response: Connection + Read + Write + Send + Unpin + 'static,
    C::Future: Send + 'static,
    C::Error: Into<BoxError>,
{
    if url.scheme() == Some(&Scheme::HTTPS) {
        return with_tls(connector)?.oneshot(url.clone()).await;
    }
    Ok(MaybeHttpsStream::Http(connector.oneshot(url.clone()).await.map_err(Into::into)?))
}

/// Adds TLS for `https` URLs. Reads the certificate authorities of this computer, which takes longer than a request to
/// it: only for connections that need them.
fn with_tls<C>(connector: C) -> std::io::Result<HttpsConnector<C>> {
    let builder = HttpsConnectorBuilder::new().with_provider_and_native_roots(ring::default_provider())?;
    Ok(builder.https_or_http().enable_http1().wrap_connector(connector))
}

/// Builds the request for a connection to the server itself, RFC 9112 section 3.2.1.
fn origin_form(url: &Uri) -> http::Result<Request<Empty<Bytes>>> {
    request(url, url.path_and_query().map_or("/", |path| path.as_str()), None)
}

/// Builds the request for a connection to a proxy that requests the URL, RFC 9112 section 3.2.2.
fn absolute_form(url: &Uri, credentials: Option<&HeaderValue>) -> http::Result<Request<Empty<Bytes>>> {
    request(url, &url.to_string(), credentials)
}

fn request(
    url: &Uri,
    target: &str,
    credentials: Option<&HeaderValue>,
) -> http::Result<Request<Empty<Bytes>>> {
    let mut request = Request::get(target)
        .header(HOST, url.authority().map_or("", |authority| authority.as_str()))
        .header(USER_AGENT, concat!("handsctl/", env!("CARGO_PKG_VERSION")));
    if let Some(credentials) = credentials {
        request = request.header(PROXY_AUTHORIZATION, credentials);
    }
    request.body(Empty::new())
}

async fn send<T>(stream: T, request: Request<Empty<Bytes>>) -> Result<Parts, BoxError>
where
    T: Read + Write + Send + Unpin + 'static,
{
    let (mut sender, connection) = http1::handshake(stream).await?;
    let response = sender.send_request(request);
    match select(pin!(response), pin!(connection)).await {
        Either::Left((response, _)) => Ok(response?.into_parts().0),
        Either::Right((_closed, response)) => Ok(response.await?.into_parts().0),
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::net::TcpListener;
    use std::thread::JoinHandle;

    use super::*;

    async fn get_status(url: &Uri, destination: &Destination<'_>) -> Result<http::StatusCode, BoxError> {
        get_head(url, destination).await.map(|head| head.status)
    }

    /// A server that answers one request with 204; returns its address and the received request.
    fn server() -> (SocketAddr, JoinHandle<String>) {
        server_with("204 No Content")
    }

    fn server_with(status: &'static str) -> (SocketAddr, JoinHandle<String>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let received = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut buffer = [0; 4096];
            let read = stream.read(&mut buffer).unwrap();
            let response = format!("HTTP/1.1 {status}\r\nconnection: close\r\n\r\n");
            stream.write_all(response.as_bytes()).unwrap();
            String::from_utf8_lossy(&buffer[..read]).to_lowercase()
        });
        (address, received)
    }

    /// The variables of a proxy for every URL.
    fn variables(proxy: &str, no: &str) -> ProxyVariables {
        let proxy = Some(proxy.to_owned());
        ProxyVariables { https: proxy.clone(), http: proxy, no: Some(no.to_owned()), is_cgi: false }
    }

    fn url(text: &str) -> Uri {
        text.parse().unwrap()
    }

    #[tokio::test]
    async fn address_is_requested_under_the_urls_name() {
        let (address, received) = server();
        let url = url(&format!("http://hands.test:{}/alive?x=1", address.port()));
        assert_eq!(get_status(&url, &Destination::Address(address)).await.unwrap(), 204);
        let received = received.join().unwrap();
        assert!(received.starts_with("get /alive?x=1 http/1.1\r\n"), "{received}");
        assert!(received.contains(&format!("host: hands.test:{}\r\n", address.port())), "{received}");
    }

    #[tokio::test]
    async fn http_proxy_is_sent_the_whole_url_with_credentials() {
        let (address, received) = server();
        let proxies = variables(&format!("http://ana:pw@{address}"), "");
        let url = url("http://hands.test/alive");
        assert_eq!(get_status(&url, &Destination::Name(&proxies)).await.unwrap(), 204);
        let received = received.join().unwrap();
        assert!(received.starts_with("get http://hands.test/alive http/1.1\r\n"), "{received}");
        assert!(received.contains("proxy-authorization: basic yw5honb3\r\n"), "{received}");
    }

    #[tokio::test]
    async fn https_url_is_tunnelled_through_the_proxy() {
        let (address, received) = server();
        let proxies = variables(&format!("http://{address}"), "");
        let refused = get_status(&url("https://hands.test/"), &Destination::Name(&proxies)).await;
        assert!(refused.is_err(), "a 204 without TLS behind it is not a tunnel: {refused:?}");
        assert!(received.join().unwrap().starts_with("connect hands.test:443 http/1.1\r\n"));
    }

    #[tokio::test]
    async fn proxy_that_opens_no_tunnel_is_told_in_words() {
        for (status, words) in [
            ("407 Proxy Authentication Required", "the proxy requires a login"),
            ("302 Found", "the proxy did not open a connection to the server"),
            ("511 Network Authentication Required", "the proxy did not open a connection to the server"),
        ] {
            let (address, _received) = server_with(status);
            let proxies = variables(&format!("http://{address}"), "");
            let refused = get_status(&url("https://hands.test/"), &Destination::Name(&proxies)).await;
            let error = refused.unwrap_err();
            assert_eq!(crate::reason::of_connection(error.as_ref()), words, "{status}");
        }
    }

    #[tokio::test]
    async fn loopback_url_is_requested_without_the_proxy() {
        let (address, received) = server();
        let proxies = variables("http://127.0.0.1:9", "");
        let url = url(&format!("http://{address}/alive"));
        assert_eq!(get_status(&url, &Destination::Name(&proxies)).await.unwrap(), 204);
        assert!(received.join().unwrap().starts_with("get /alive "));
    }

    /// As for kubectl: an entry of `NO_PROXY` for the port, and no `ALL_PROXY`.
    #[tokio::test]
    async fn no_proxy_host_is_requested_directly() {
        let proxies = |no: &str| variables("http://127.0.0.1:9", no);
        let direct = url("http://hands.invalid:8080/alive");
        for (no, is_direct) in [("hands.invalid:8080", true), (".invalid", true), ("hands.invalid:81", false)]
        {
            let chosen = proxy::from_variables(&proxies(no), &direct);
            assert_eq!(chosen.is_none(), is_direct, "{no}");
            let error = get_status(&direct, &Destination::Name(&proxies(no))).await.unwrap_err();
            let text = crate::reason::of_connection(error.as_ref());
            assert_eq!(text.contains("refuse"), !is_direct, "{no}: {text}");
        }
    }
}
