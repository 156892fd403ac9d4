//! The application as its users reach it: at its URL, from this computer.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// How long one answer may take.
const ANSWER: Duration = Duration::from_secs(5);
/// How often a door that does not open is tried again.
const PAUSE: Duration = Duration::from_millis(250);

/// Where people go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProbeTarget {
    /// `http://localhost:8080/`.
    pub url: String,
    /// Where a local cluster's ingress is, whatever the name resolves to here: `127.0.0.1:8080`.
    pub local: Option<SocketAddr>,
}

/// What came of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ProbeResponse {
    /// Somebody answers as the application does.
    Answers {
        /// HTTP status.
        status: u16,
        /// How long it took.
        took: Duration,
    },
    /// Nobody does.
    Unreachable(String),
}

/// Asks until it is answered or the time is over: an ingress controller takes a second to notice a new Ingress.
pub async fn probe_url(door: &ProbeTarget, within: Duration) -> ProbeResponse {
    let begun = Instant::now();
    loop {
        let answer = ask_once(door.clone()).await;
        if matches!(answer, ProbeResponse::Answers { .. }) || begun.elapsed() >= within {
            return answer;
        }
        tokio::time::sleep(PAUSE).await;
    }
}

async fn ask_once(door: ProbeTarget) -> ProbeResponse {
    let asked = tokio::task::spawn_blocking(move || get(&door));
    asked.await.unwrap_or_else(|error| ProbeResponse::Unreachable(error.to_string()))
}

fn get(door: &ProbeTarget) -> ProbeResponse {
    let mut config = ureq::Agent::config_builder()
        .timeout_global(Some(ANSWER))
        .http_status_as_error(false)
        .max_redirects(0)
        .max_redirects_will_error(false)
        .user_agent(concat!("handsctl/", env!("CARGO_PKG_VERSION")));
    if door.local.is_some() {
        // What is on this computer is behind no proxy.
        config = config.proxy(None);
    }
    let agent = ureq::Agent::new_with_config(config.build());
    let (address, host) = address(door);
    let mut request = agent.get(address);
    if let Some(host) = host {
        request = request.header("Host", host);
    }
    let begun = Instant::now();
    match request.call() {
        Ok(response) => judged(response.status().as_u16(), begun.elapsed()),
        Err(error) => ProbeResponse::Unreachable(error.to_string()),
    }
}

/// `/alive` behind the door: the page itself may be switched off. A local one is asked by its address, in its name.
fn address(door: &ProbeTarget) -> (String, Option<String>) {
    let url = format!("{}alive", door.url);
    match (door.local, door.url.strip_prefix("http://")) {
        (Some(local), Some(rest)) => {
            let host = rest.split('/').next().unwrap_or_default().to_owned();
            (format!("http://{local}/alive"), Some(host))
        }
        _ => (url, None),
    }
}

/// 404 is an ingress controller's word for a host that it does not know, 5xx for a backend that it does not reach.
fn judged(status: u16, took: Duration) -> ProbeResponse {
    match status {
        404 => ProbeResponse::Unreachable("404: the ingress controller does not know this host".to_owned()),
        500.. => ProbeResponse::Unreachable(format!(
            "{status}: the ingress controller does not reach the application"
        )),
        _ => ProbeResponse::Answers { status, took },
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};

    use super::*;

    #[test]
    fn a_local_door_is_asked_by_address_in_its_name() {
        let local = Some("127.0.0.1:8080".parse().unwrap());
        let door = ProbeTarget { url: "http://hands.example.org:8080/".into(), local };
        assert_eq!(
            address(&door),
            ("http://127.0.0.1:8080/alive".into(), Some("hands.example.org:8080".into()))
        );
        let remote = ProbeTarget { url: "https://hands.example.org/".into(), local: None };
        assert_eq!(address(&remote), ("https://hands.example.org/alive".into(), None));
    }

    #[tokio::test]
    async fn a_door_is_tried_until_it_opens() {
        let server = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let local = server.local_addr().unwrap();
        let answers = std::thread::spawn(move || {
            let mut hosts = Vec::new();
            for status in ["404 Not Found", "200 OK"] {
                let (mut stream, _) = server.accept().unwrap();
                let mut buffer = [0; 4096];
                let read = stream.read(&mut buffer).unwrap();
                hosts.push(String::from_utf8_lossy(&buffer[..read]).to_lowercase());
                let answer = format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
                stream.write_all(answer.as_bytes()).unwrap();
            }
            hosts
        });
        let door = ProbeTarget { url: format!("http://hands.test:{}/", local.port()), local: Some(local) };
        let opened = probe_url(&door, Duration::from_secs(5)).await;
        assert!(matches!(opened, ProbeResponse::Answers { status: 200, .. }), "{opened:?}");
        let hosts = answers.join().unwrap();
        assert!(hosts.iter().all(|host| host.contains("host: hands.test")), "{hosts:?}");
        let closed = probe_url(&door, Duration::ZERO).await;
        assert!(matches!(closed, ProbeResponse::Unreachable(_)), "{closed:?}");
    }
}
