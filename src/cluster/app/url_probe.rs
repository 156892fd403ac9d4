//! Probes the application at its URL, as its users reach it from this computer.

use std::net::SocketAddr;
use std::time::Duration;

use http::Uri;
use http::header::CONTENT_TYPE;
use http::response::Parts;
use tokio::time::{Instant, sleep, timeout};

use super::http_get::{self, Destination};
use crate::phrase;
use crate::proxy::ProxyVariables;
use crate::reason;

/// The limit of one request.
const RESPONSE: Duration = Duration::from_secs(5);
/// The pause between two requests of one probe.
const PAUSE: Duration = Duration::from_millis(250);

/// The URL of the application and the address to connect to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProbeTarget {
    /// `http://localhost:8080/`.
    pub url: String,
    /// Path of the request: `/alive`. The page itself may be switched off, or behind a login of the application.
    pub path: &'static str,
    /// Address of a local cluster's ingress, used without DNS and without a proxy: `127.0.0.1:8080`.
    pub local: Option<SocketAddr>,
    /// The variables that choose a proxy for any other address.
    pub proxies: ProxyVariables,
}

/// The result of a probe.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ProbeResponse {
    /// The application answers.
    Answers {
        /// HTTP status.
        status: u16,
        /// Time from the request to the response.
        duration: Duration,
    },
    /// Something else answers that a person in a browser may pass, such as a login; the response.
    LoginPage(String),
    /// Something else answers, such as a proxy; the response.
    NotTheApplication(String),
    /// No usable response; the reason.
    Unreachable(String),
}

/// Requests the URL until the application answers or the timeout passes: an ingress controller needs about a second to
/// load a new Ingress.
pub async fn probe_url(target: &ProbeTarget, within: Duration) -> ProbeResponse {
    let begin = Instant::now();
    loop {
        let response = request_once(target).await;
        if matches!(response, ProbeResponse::Answers { .. }) || begin.elapsed() >= within {
            return response;
        }
        sleep(PAUSE).await;
    }
}

async fn request_once(target: &ProbeTarget) -> ProbeResponse {
    let url = match request_url(target) {
        Ok(url) => url,
        Err(error) => return ProbeResponse::Unreachable(error.to_string()),
    };
    let destination = match target.local {
        Some(address) => Destination::Address(address),
        None => Destination::Name(&target.proxies),
    };
    let begin = Instant::now();
    match timeout(RESPONSE, http_get::get_head(&url, &destination)).await {
        Ok(Ok(head)) => classify(&head, begin.elapsed()),
        Ok(Err(error)) => ProbeResponse::Unreachable(reason::of_connection(error.as_ref())),
        Err(_elapsed) => ProbeResponse::Unreachable(format!("no response within {}", phrase::span(RESPONSE))),
    }
}

/// Returns the URL of the request.
fn request_url(target: &ProbeTarget) -> Result<Uri, http::Error> {
    let mut parts = target.url.parse::<Uri>()?.into_parts();
    parts.path_and_query = Some(target.path.parse()?);
    Ok(Uri::from_parts(parts)?)
}

/// The application's `/alive` responds with 200 and JSON, without a login, or with 429, its own limit. An ingress controller
/// responds with 404 for a host without a rule, and with 502, 503 or 504 for a backend that it cannot reach. Any other
/// 5xx is the application's.
fn classify(head: &Parts, duration: Duration) -> ProbeResponse {
    let status = head.status.as_u16();
    let login = |why: &str| ProbeResponse::LoginPage(format!("{status}: {why}"));
    let other = |why: &str| ProbeResponse::NotTheApplication(format!("{status}: {why}"));
    match status {
        200 if is_page(head) => login("a web page, such as that of a login or a captive portal"),
        status @ (200 | 429) => ProbeResponse::Answers { status, duration },
        404 => ProbeResponse::Unreachable("404: the ingress controller has no rule for this host".to_owned()),
        status @ 502..=504 => ProbeResponse::Unreachable(format!(
            "{status}: the ingress controller does not reach the application"
        )),
        511 => other("the network requires a login (a captive portal)"),
        status @ 500.. => ProbeResponse::Unreachable(format!("{status}: the application fails")),
        300..=399 => login("a redirect, such as to a login or a captive portal"),
        401 | 403 => login("a login in front of the application, or its ingress, rejects the request"),
        407 => other("the proxy requires a login"),
        _ => other("not the response of the application"),
    }
}

fn is_page(head: &Parts) -> bool {
    let content_type = head.headers.get(CONTENT_TYPE).map(|value| value.as_bytes().to_ascii_lowercase());
    content_type.is_some_and(|content_type| content_type.starts_with(b"text/html"))
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::net::TcpListener;
    use std::thread;

    use super::*;

    #[tokio::test]
    async fn probe_repeats_until_the_host_is_routed() {
        let server = TcpListener::bind("127.0.0.1:0").unwrap();
        let local = server.local_addr().unwrap();
        let requests = thread::spawn(move || {
            ["404 Not Found", "503 Service Unavailable", "200 OK"].map(|status| {
                let (mut stream, _) = server.accept().unwrap();
                let mut buffer = [0; 4096];
                let read = stream.read(&mut buffer).unwrap();
                let response = format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
                stream.write_all(response.as_bytes()).unwrap();
                String::from_utf8_lossy(&buffer[..read]).to_lowercase()
            })
        });
        let target = ProbeTarget {
            url: format!("http://hands.test:{}/page/", local.port()),
            path: "/alive",
            local: Some(local),
            proxies: ProxyVariables::default(),
        };
        let response = probe_url(&target, Duration::from_secs(5)).await;
        assert!(matches!(response, ProbeResponse::Answers { status: 200, .. }), "{response:?}");
        for request in requests.join().unwrap() {
            assert!(request.starts_with("get /alive "), "{request}");
            assert!(request.contains("host: hands.test"), "{request}");
        }
        let closed = probe_url(&target, Duration::ZERO).await;
        assert!(
            matches!(&closed, ProbeResponse::Unreachable(cause) if cause.contains("refused")),
            "{closed:?}"
        );
    }

    #[test]
    fn only_200_and_429_are_the_applications_answers() {
        for code in 200..600 {
            let response = classify(&head(code, "application/json"), Duration::ZERO);
            match code {
                200 | 429 => assert!(matches!(response, ProbeResponse::Answers { .. }), "{response:?}"),
                404 | 500..=510 | 512.. => {
                    assert!(matches!(response, ProbeResponse::Unreachable(_)), "{response:?}");
                }
                // A captive portal's 302, a login's 401.
                300..=399 | 401 | 403 => {
                    assert!(matches!(response, ProbeResponse::LoginPage(_)), "{response:?}");
                }
                // A captive portal's 204 or 511, a proxy's 407.
                _ => assert!(matches!(response, ProbeResponse::NotTheApplication(_)), "{response:?}"),
            }
        }
    }

    fn head(code: u16, content_type: &str) -> Parts {
        let response = http::Response::builder().status(code).header(CONTENT_TYPE, content_type);
        response.body(()).unwrap().into_parts().0
    }

    #[test]
    fn page_of_a_portal_is_not_the_application() {
        for content_type in ["text/html", "Text/HTML; charset=utf-8"] {
            let response = classify(&head(200, content_type), Duration::ZERO);
            assert!(matches!(&response, ProbeResponse::LoginPage(why) if why.starts_with("200: a web page")));
        }
        let unnamed = http::Response::new(()).into_parts().0;
        assert!(matches!(classify(&unnamed, Duration::ZERO), ProbeResponse::Answers { .. }));
    }

    #[tokio::test(start_paused = true)]
    async fn unresponsive_server_is_unreachable_after_5s() {
        let server = TcpListener::bind("127.0.0.1:0").unwrap();
        let local = server.local_addr().unwrap();
        let target = ProbeTarget {
            url: format!("http://{local}/"),
            path: "/alive",
            local: Some(local),
            proxies: ProxyVariables::default(),
        };
        let response = probe_url(&target, Duration::ZERO).await;
        assert_eq!(response, ProbeResponse::Unreachable("no response within 5 s".to_owned()));
    }
}
