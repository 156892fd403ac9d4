//! A listener between the binary and the API server that keeps every byte. `kubectl proxy` behind it speaks TLS with
//! the admin's certificate, so what is kept is what the binary says over plain HTTP, and what the real server answers.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Stdio};
use std::sync::{Arc, Mutex};

use serde_json::Value;
use tempfile::TempDir;

use crate::bed::Bed;

type Bytes = Arc<Mutex<Vec<u8>>>;

/// One connection: what the binary sent, and what it got.
#[derive(Clone, Default)]
struct Connection {
    sent: Bytes,
    received: Bytes,
}

/// Records until it is dropped.
pub(crate) struct Recorder {
    folder: TempDir,
    proxy: Child,
    connections: Arc<Mutex<Vec<Connection>>>,
}

/// A request as it was sent.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    pub(crate) method: String,
    /// With its query.
    pub(crate) path: String,
    pub(crate) body: Vec<u8>,
}

impl Request {
    /// The body as JSON.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }
}

impl Recorder {
    /// The context of its kubeconfig; by its name it is no local cluster.
    pub(crate) const CONTEXT: &'static str = "recorded";

    /// Begins to listen in front of this cluster.
    pub(crate) fn before(bed: &Bed) -> Self {
        let mut proxy = bed.kubectl_command(&["proxy", "--port=0"]).stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(proxy.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let behind = line.trim().rsplit(' ').next().unwrap().to_owned();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let folder = TempDir::new().unwrap();
        let kubeconfig = serde_json::json!({
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{ "name": "a", "cluster": { "server": format!("http://{}", listener.local_addr().unwrap()) } }],
            "users": [{ "name": "a", "user": {} }],
            "contexts": [{ "name": Self::CONTEXT, "context": { "cluster": "a", "user": "a" } }],
            "current-context": "",
        });
        std::fs::write(folder.path().join("config"), kubeconfig.to_string()).unwrap();
        let connections = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&connections);
        // Ends with the process: nothing but tests connects to it.
        std::thread::spawn(move || {
            for near in listener.incoming() {
                let (Ok(near), Ok(far)) = (near, TcpStream::connect(&behind)) else { return };
                let connection = Connection::default();
                kept.lock().unwrap().push(connection.clone());
                copy(&near, &far, connection.sent);
                copy(&far, &near, connection.received);
            }
        });
        Self { folder, proxy, connections }
    }

    /// A kubeconfig whose server is this recorder.
    pub(crate) fn kubeconfig(&self) -> PathBuf {
        self.folder.path().join("config")
    }

    /// Everything that was asked so far.
    pub(crate) fn requests(&self) -> Vec<Request> {
        let connections = self.connections.lock().unwrap().clone();
        connections.iter().flat_map(|connection| requests(&connection.sent.lock().unwrap())).collect()
    }

    /// The texts of all `Warning` headers so far. A line of a body never begins like that: JSON has no CRLF.
    pub(crate) fn warnings(&self) -> Vec<String> {
        let connections = self.connections.lock().unwrap().clone();
        let mut found = Vec::new();
        for connection in connections {
            let received = connection.received.lock().unwrap();
            let text = String::from_utf8_lossy(&received);
            let lines = text.split("\r\n").filter(|line| line.to_ascii_lowercase().starts_with("warning:"));
            found.extend(lines.map(str::to_owned));
        }
        found
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        self.proxy.kill().unwrap();
        self.proxy.wait().unwrap();
    }
}

/// Copies one direction and keeps it, until the connection ends.
fn copy(from: &TcpStream, to: &TcpStream, kept: Bytes) {
    let (mut from, mut to) = (from.try_clone().unwrap(), to.try_clone().unwrap());
    std::thread::spawn(move || {
        let mut buffer = [0; 16 * 1024];
        while let Ok(count @ 1..) = from.read(&mut buffer) {
            kept.lock().unwrap().extend_from_slice(&buffer[..count]);
            if to.write_all(&buffer[..count]).is_err() {
                break;
            }
        }
        let _already_closed = to.shutdown(Shutdown::Both);
        let _already_closed = from.shutdown(Shutdown::Both);
    });
}

/// The requests of one connection, one after the other.
fn requests(mut bytes: &[u8]) -> Vec<Request> {
    let mut found = Vec::new();
    while let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
        let head = std::str::from_utf8(&bytes[..end]).unwrap();
        let mut lines = head.split("\r\n");
        let mut words = lines.next().unwrap().split(' ').map(str::to_owned);
        let (method, path) = (words.next().unwrap(), words.next().unwrap());
        let headers: Vec<(String, &str)> = lines
            .filter_map(|line| line.split_once(':'))
            .map(|(name, value)| (name.to_ascii_lowercase(), value.trim()))
            .collect();
        assert!(headers.iter().all(|(name, _)| name != "transfer-encoding"), "a chunked body: {head}");
        let length = headers.iter().find(|(name, _)| name == "content-length");
        let length: usize = length.map_or(0, |(_, value)| value.parse().unwrap());
        bytes = &bytes[end + 4..];
        found.push(Request { method, path, body: bytes[..length].to_vec() });
        bytes = &bytes[length..];
    }
    found
}
