//! Downloads a program of an official release and discards it if it does not match its checksum.

use std::fs::File;
use std::io::{self, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use base16ct::lower;
use flate2::read::GzDecoder;
use sha2::{Digest as _, Sha256};

use super::release::{Checksum, Packing, Release, sum_of};
use crate::catalogue::Id;
use crate::error::{Error, Kind};
use crate::phrase;
use crate::provider::transfer::TransferredBytes;
use crate::proxy::{self, Protocol, ProxyVariables};
use crate::reason;

/// Timeout of name resolution and of the connection. Short: without a network, the build should start soon.
const CONNECT: Duration = Duration::from_secs(5);
/// Timeout until the response headers arrive.
const RESPONSE: Duration = Duration::from_secs(15);
/// Timeout of a whole download: the largest file has 100 MB.
const BODY: Duration = Duration::from_secs(900);
/// Size limit of a file, in bytes, before and after it is unpacked.
const FILE: u64 = 512 << 20;
/// The number of redirects that are followed.
const REDIRECTS: u8 = 10;
/// Size limit of a checksum file, in bytes.
const SUMS: u64 = 1 << 20;

/// Why a download failed.
#[derive(Debug)]
pub(super) enum NotFetched {
    /// The release is unavailable. The program can still be built.
    Unavailable(String),
    /// An error that ends the search for the program, such as a wrong checksum.
    Failed(Error),
}

impl NotFetched {
    fn io(action: String, error: io::Error) -> Self {
        Self::Failed(Error::file(action, error))
    }
}

/// Downloads a file. After Ok it is complete and matches its checksum. Dropping the future stops the download.
pub(super) async fn fetch(
    release: Release,
    to: PathBuf,
    bytes: &TransferredBytes,
    proxies: &ProxyVariables,
) -> Result<(), NotFetched> {
    fetch_up_to(FILE, release, to, bytes, proxies).await
}

/// As [`fetch`], with another size limit in bytes.
pub(super) async fn fetch_up_to(
    limit: u64,
    release: Release,
    to: PathBuf,
    bytes: &TransferredBytes,
    proxies: &ProxyVariables,
) -> Result<(), NotFetched> {
    let (bytes, proxies) = (bytes.clone(), proxies.clone());
    let stop = Arc::new(AtomicBool::new(false));
    let _stopped = StopOnDrop(Arc::clone(&stop));
    let work =
        tokio::task::spawn_blocking(move || Download { release, to, limit, stop, bytes, proxies }.run());
    work.await.unwrap_or_else(|panicked| {
        Err(NotFetched::Failed(Error::internal("the download task panicked").caused_by(panicked)))
    })
}

struct StopOnDrop(Arc<AtomicBool>);

impl Drop for StopOnDrop {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

struct Download {
    release: Release,
    to: PathBuf,
    /// Size limit in bytes.
    limit: u64,
    stop: Arc<AtomicBool>,
    bytes: TransferredBytes,
    proxies: ProxyVariables,
}

impl Download {
    fn run(&self) -> Result<(), NotFetched> {
        let agent = ureq::Agent::new_with_config(
            ureq::Agent::config_builder()
                .timeout_resolve(Some(CONNECT))
                .timeout_connect(Some(CONNECT))
                .timeout_recv_response(Some(RESPONSE))
                .timeout_recv_body(Some(BODY))
                // A redirect from https to http is not followed. Only a mirror for tests is http from the beginning.
                .https_only(self.release.url.starts_with("https://"))
                // Each server of a redirect has its own proxy: they are followed here.
                .max_redirects(0)
                .max_redirects_will_error(false)
                .user_agent(concat!("handsctl/", env!("CARGO_PKG_VERSION")))
                .build(),
        );
        let expected = self.expected(&agent)?;
        let archive = self.to.with_extension("download");
        let file = if self.release.packing == Packing::Plain { &self.to } else { &archive };
        let actual = self.body(&agent, file).inspect_err(|_| discard(file))?;
        if actual != expected {
            discard(file);
            return Err(NotFetched::Failed(self.mismatch(&expected, &actual)));
        }
        if let Packing::TarGz(member) = &self.release.packing {
            let unpacked = unpack(&archive, member, &self.to, self.limit).inspect_err(|_| discard(&self.to));
            discard(&archive);
            unpacked.map_err(|error| {
                NotFetched::io(format!("cannot unpack {member} of {}", self.release.url), error)
            })?;
        }
        Ok(())
    }

    /// Requests a URL through the proxy that the variables choose for it, by Go's rules. Follows redirects.
    fn get(&self, agent: &ureq::Agent, url: &str) -> Result<http::Response<ureq::Body>, ureq::Error> {
        let mut url = url.to_owned();
        for _ in 0..=REDIRECTS {
            let target: http::Uri = url.parse().map_err(|_| ureq::Error::BadUri(url.clone()))?;
            let proxy = proxy::from_variables(&self.proxies, &target).map(|proxy| proxy_of(&proxy));
            let response = agent.get(&url).config().proxy(proxy.transpose()?).build().call()?;
            let location =
                response.headers().get(http::header::LOCATION).filter(|_| response.status().is_redirection());
            let Some(location) = location else { return Ok(response) };
            let location = location.to_str().map_err(|_| ureq::Error::RedirectFailed)?;
            url = resolved(&target, location);
        }
        Err(ureq::Error::TooManyRedirects)
    }

    /// Returns the expected checksum. It is read before the file: without a checksum nothing is downloaded.
    fn expected(&self, agent: &ureq::Agent) -> Result<String, NotFetched> {
        match &self.release.checksum {
            Checksum::Pinned(sum) => Ok(sum.to_ascii_lowercase()),
            Checksum::Unknown => Err(NotFetched::Unavailable(format!(
                "{}: no checksum is published or pinned",
                self.release.url
            ))),
            Checksum::Published { url, file } => {
                let unavailable =
                    |error: ureq::Error| NotFetched::Unavailable(format!("{url}: {}", reason_of(&error)));
                let mut response = self.get(agent, url).map_err(unavailable)?;
                let text =
                    response.body_mut().with_config().limit(SUMS).read_to_string().map_err(unavailable)?;
                sum_of(&text, file)
                    .ok_or_else(|| NotFetched::Unavailable(format!("{url}: has no SHA-256 of {file}")))
            }
        }
    }

    /// Writes the response body to the file and returns its SHA-256.
    fn body(&self, agent: &ureq::Agent, file: &Path) -> Result<String, NotFetched> {
        let url = &self.release.url;
        let unavailable = |error: &dyn std::fmt::Display| NotFetched::Unavailable(format!("{url}: {error}"));
        let response = self.get(agent, url).map_err(|error| unavailable(&reason_of(&error)))?;
        let body = response.into_body();
        self.bytes.expect(body.content_length().unwrap_or_default());
        let mut body = body.into_reader();
        let cannot_write = |error| NotFetched::io(format!("cannot write {}", file.display()), error);
        let mut target = File::create(file).map_err(cannot_write)?;
        let mut hash = Sha256::new();
        let mut buffer = vec![0; 1 << 16];
        let mut size = 0;
        loop {
            if self.stop.load(Ordering::Relaxed) {
                return Err(unavailable(&"interrupted"));
            }
            let read = body.read(&mut buffer).map_err(|error| unavailable(&reason::of_io(&error)))?;
            if read == 0 {
                return Ok(lower::encode_string(&hash.finalize()));
            }
            size += read as u64;
            self.bytes.set(size);
            if size > self.limit {
                return Err(unavailable(&format!("larger than {}", phrase::size(self.limit))));
            }
            hash.update(&buffer[..read]);
            target.write_all(&buffer[..read]).map_err(cannot_write)?;
        }
    }

    fn mismatch(&self, expected: &str, actual: &str) -> Error {
        let message = format!("the download {} does not match its checksum", self.release.url);
        Error::new(Id::AssetChecksum, Kind::Prerequisite, message)
            .fact("expected", format!("sha256 {expected}"))
            .fact("found", format!("sha256 {actual}"))
    }
}

/// Returns a proxy in the form of ureq.
fn proxy_of(proxy: &proxy::Proxy) -> Result<ureq::Proxy, ureq::Error> {
    let mut builder = ureq::Proxy::builder(match proxy.protocol {
        Protocol::Http => ureq::ProxyProtocol::Http,
        Protocol::Https => ureq::ProxyProtocol::Https,
        Protocol::Socks5 => ureq::ProxyProtocol::Socks5,
    });
    builder = builder.host(proxy.uri.host().unwrap_or_default());
    if let Some(port) = proxy.uri.port_u16() {
        builder = builder.port(port);
    }
    if let Some((user, password)) = &proxy.credentials {
        builder = builder.username(user).password(password);
    }
    builder.build()
}

/// Returns the URL of a redirect, which may be relative to the server.
fn resolved(base: &http::Uri, location: &str) -> String {
    let scheme = base.scheme_str().unwrap_or("https");
    let authority = base.authority().map_or("", http::uri::Authority::as_str);
    if location.starts_with("//") {
        format!("{scheme}:{location}")
    } else if location.starts_with('/') {
        format!("{scheme}://{authority}{location}")
    } else {
        location.to_owned()
    }
}

/// Returns why a server did not send a file.
fn reason_of(error: &ureq::Error) -> String {
    match error {
        ureq::Error::StatusCode(404) => "the server has no such file (404)".to_owned(),
        ureq::Error::StatusCode(code) => format!("the server answers {code}"),
        ureq::Error::Io(error) => reason::of_io(error),
        ureq::Error::HostNotFound => "the server's name is not known to the resolver".to_owned(),
        ureq::Error::Timeout(_) => "the server did not respond in time".to_owned(),
        ureq::Error::ConnectionFailed => "no connection to the server can be opened".to_owned(),
        ureq::Error::TooManyRedirects | ureq::Error::RedirectFailed => {
            "the server sends to another address too often".to_owned()
        }
        ureq::Error::InvalidProxyUrl => "the proxy's URL is not valid".to_owned(),
        other => reason::of_connection(other),
    }
}

/// Removes an incomplete file. Ignores errors, because such a file is never used and only takes disk space.
fn discard(file: &Path) {
    let _it_may_not_exist = std::fs::remove_file(file);
}

fn unpack(archive: &Path, member: &str, to: &Path, limit: u64) -> io::Result<()> {
    let mut archive = tar::Archive::new(GzDecoder::new(BufReader::new(File::open(archive)?)));
    for entry in archive.entries()? {
        let entry = entry?;
        if entry.path()?.to_str() == Some(member) {
            let size = io::copy(&mut entry.take(limit + 1), &mut File::create(to)?)?;
            let too_large = || io::Error::other(format!("larger than {}", phrase::size(limit)));
            return if size > limit { Err(too_large()) } else { Ok(()) };
        }
    }
    Err(io::Error::new(io::ErrorKind::NotFound, "the archive has no such file"))
}
