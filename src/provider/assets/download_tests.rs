//! Downloads from a fake release server on loopback.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::Path;

use base16ct::lower;
use flate2::Compression;
use flate2::write::GzEncoder;
use sha2::{Digest as _, Sha256};

use super::download::{NotFetched, fetch, fetch_up_to};
use super::locate::{Locator, locate};
use super::pinned::{Pin, Pinned};
use super::program::{Program, ProgramSet};
use super::release::{Mirror, Platform, Release, release};
use crate::catalogue::Id;
use crate::event::{Event, Events, Progress};
use crate::provider::environment::Environment;
use crate::provider::transfer::TransferredBytes;
use crate::proxy::ProxyVariables;

const LINUX: Platform = Platform { os: "linux", arch: "amd64" };

/// The server's response for a path.
#[derive(Clone)]
enum Answer {
    Whole(Vec<u8>),
    /// The full content length, but only half of the body.
    Half(Vec<u8>),
    /// A redirect to this URL.
    Moved(String),
}

/// Serves until the test process exits. Returns the address.
fn serve(answers: BTreeMap<String, Answer>) -> String {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for connection in listener.incoming() {
            answer(connection.unwrap(), &answers);
        }
    });
    address
}

fn answer(mut connection: TcpStream, answers: &BTreeMap<String, Answer>) {
    let mut lines = BufReader::new(connection.try_clone().unwrap()).lines();
    let mut head = || {
        let lines: Vec<String> =
            lines.by_ref().map(Result::unwrap).take_while(|line| !line.is_empty()).collect();
        lines[0].clone()
    };
    let mut request = head();
    // It is the proxy of every server, too.
    if request.starts_with("CONNECT ") {
        write!(connection, "HTTP/1.1 200 OK\r\n\r\n").unwrap();
        request = head();
    }
    let path = request.split(' ').nth(1).unwrap();
    if let Some(Answer::Moved(url)) = answers.get(path) {
        let head = format!(
            "HTTP/1.1 302 Found\r\nlocation: {url}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
        );
        return connection.write_all(head.as_bytes()).unwrap();
    }
    let (status, length, body) = match answers.get(path) {
        Some(Answer::Whole(body)) => ("200 OK", body.len(), body.as_slice()),
        Some(Answer::Half(body)) => ("200 OK", body.len(), &body[..body.len() / 2]),
        Some(Answer::Moved(_)) | None => ("404 Not Found", 0, &[][..]),
    };
    write!(connection, "HTTP/1.1 {status}\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n").unwrap();
    connection.write_all(body).unwrap();
}

/// The variables of a proxy for every server but those on loopback.
fn proxy(address: &str, no: &str) -> ProxyVariables {
    let address = Some(address.to_owned());
    ProxyVariables { https: address.clone(), http: address, no: Some(no.to_owned()), is_cgi: false }
}

/// A proxy that fails whoever uses it: a server on loopback has none.
fn dead_proxy() -> ProxyVariables {
    proxy("http://127.0.0.1:9", "")
}

fn sum(content: &[u8]) -> String {
    lower::encode_string(&Sha256::digest(content))
}

fn archive(member: &str, content: &[u8]) -> Vec<u8> {
    let mut tar = tar::Builder::new(GzEncoder::new(Vec::new(), Compression::fast()));
    let mut header = tar::Header::new_gnu();
    header.set_size(content.len() as u64);
    header.set_mode(0o644);
    tar.append_data(&mut header, member, content).unwrap();
    tar.into_inner().unwrap().finish().unwrap()
}

fn pin() -> Pin {
    Pin { version: "v1".into(), sha256: BTreeMap::new() }
}

fn kubectl(base: &str) -> Release {
    release(&Mirror::new(Some(base)), Program::Kubectl, "v1", LINUX, &pin())
}

const KUBECTL: &str = "/kubernetes/v1/bin/linux/amd64/kubectl";

/// Serves kubectl with a checksum file that contains `sum`.
fn with_kubectl(file: Answer, sum: &str) -> String {
    let sums = Answer::Whole(format!("{sum}\n").into_bytes());
    serve([(KUBECTL.to_owned(), file), (format!("{KUBECTL}.sha256"), sums)].into())
}

fn entries(folder: &Path) -> Vec<String> {
    let names =
        std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.collect()
}

#[tokio::test]
async fn file_with_matching_checksum_is_downloaded() {
    let folder = tempfile::tempdir().unwrap();
    let to = folder.path().join("kubectl");
    let content = vec![7; 300_000];
    let base = with_kubectl(Answer::Whole(content.clone()), &sum(&content));
    fetch(kubectl(&base), to.clone(), &TransferredBytes::default(), &dead_proxy()).await.unwrap();
    assert_eq!(std::fs::read(&to).unwrap(), content);
}

#[tokio::test]
async fn archive_member_is_extracted() {
    let folder = tempfile::tempdir().unwrap();
    let packed = archive("etcd-v1-linux-amd64/etcd", b"the program");
    let sums = format!("{}  other.tar.gz\n{}  etcd-v1-linux-amd64.tar.gz\n", "0".repeat(64), sum(&packed));
    let base = serve(
        [
            ("/etcd/v1/etcd-v1-linux-amd64.tar.gz".to_owned(), Answer::Whole(packed)),
            ("/etcd/v1/SHA256SUMS".to_owned(), Answer::Whole(sums.into_bytes())),
        ]
        .into(),
    );
    let release = release(&Mirror::new(Some(&base)), Program::Etcd, "v1", LINUX, &pin());
    fetch(release, folder.path().join("etcd"), &TransferredBytes::default(), &dead_proxy()).await.unwrap();
    assert_eq!(std::fs::read(folder.path().join("etcd")).unwrap(), b"the program");
    assert_eq!(entries(folder.path()), ["etcd"], "the archive is not kept");
}

#[tokio::test]
async fn checksum_mismatch_is_an_error_and_removes_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let base = with_kubectl(Answer::Whole(b"something else".to_vec()), &sum(b"the program"));
    let NotFetched::Failed(error) =
        fetch(kubectl(&base), folder.path().join("kubectl"), &TransferredBytes::default(), &dead_proxy())
            .await
            .unwrap_err()
    else {
        panic!("a wrong checksum must not fall back to a build")
    };
    assert_eq!((error.id(), error.kind().exit_code()), (Id::AssetChecksum, 14));
    assert_eq!(error.facts()[0].text, format!("sha256 {}", sum(b"the program")));
    assert!(entries(folder.path()).is_empty());
}

#[tokio::test]
async fn failed_download_is_unavailable_and_leaves_no_file() {
    let content = vec![7; 300_000];
    for (base, reason) in [
        (serve(BTreeMap::new()), "404"),
        (serve([(format!("{KUBECTL}.sha256"), Answer::Whole(sum(&content).into_bytes()))].into()), "404"),
        (
            serve([(format!("{KUBECTL}.sha256"), Answer::Whole(b"<html>".to_vec()))].into()),
            "has no SHA-256 of kubectl",
        ),
        (with_kubectl(Answer::Half(content.clone()), &sum(&content)), "kubectl: "),
        ("http://127.0.0.1:1".to_owned(), "refused"),
    ] {
        let folder = tempfile::tempdir().unwrap();
        match fetch(
            kubectl(&base),
            folder.path().join("kubectl"),
            &TransferredBytes::default(),
            &dead_proxy(),
        )
        .await
        {
            Err(NotFetched::Unavailable(why)) => assert!(why.contains(reason), "{why}"),
            other => panic!("{reason}: {other:?}"),
        }
        assert!(entries(folder.path()).is_empty(), "{reason}");
    }
}

#[tokio::test]
async fn file_larger_than_the_limit_is_not_kept() {
    let content = vec![7; 3 << 20];
    let folder = tempfile::tempdir().unwrap();
    let base = with_kubectl(Answer::Whole(content.clone()), &sum(&content));
    let fetched = fetch_up_to(
        1 << 20,
        kubectl(&base),
        folder.path().join("kubectl"),
        &TransferredBytes::default(),
        &dead_proxy(),
    )
    .await;
    let Err(NotFetched::Unavailable(why)) = fetched else { panic!("{fetched:?}") };
    assert!(why.contains("larger than 1.0 MiB"), "{why}");

    let packed = archive("etcd-v1-linux-amd64/etcd", &content);
    let sums = format!("{}  etcd-v1-linux-amd64.tar.gz\n", sum(&packed));
    assert!(packed.len() < 1 << 20, "only the unpacked program is too large");
    let base = serve(
        [
            ("/etcd/v1/etcd-v1-linux-amd64.tar.gz".to_owned(), Answer::Whole(packed)),
            ("/etcd/v1/SHA256SUMS".to_owned(), Answer::Whole(sums.into_bytes())),
        ]
        .into(),
    );
    let release = release(&Mirror::new(Some(&base)), Program::Etcd, "v1", LINUX, &pin());
    let fetched = fetch_up_to(
        1 << 20,
        release,
        folder.path().join("etcd"),
        &TransferredBytes::default(),
        &dead_proxy(),
    )
    .await;
    assert!(matches!(fetched, Err(NotFetched::Failed(_))), "{fetched:?}");
    assert!(entries(folder.path()).is_empty());
}

#[tokio::test]
async fn proxy_is_chosen_for_each_server_by_the_rules_of_go() {
    let content = b"the program".to_vec();
    let answers = |url: &str| {
        let answer = |text: Vec<u8>| Answer::Whole(text);
        let moved = Answer::Moved(url.to_owned());
        [
            (KUBECTL.to_owned(), moved),
            ("/moved".to_owned(), answer(content.clone())),
            (format!("{KUBECTL}.sha256"), answer(sum(&content).into_bytes())),
        ]
    };
    let fetched = async |base: &str, proxies: &ProxyVariables| {
        let folder = tempfile::tempdir().unwrap();
        let to = folder.path().join("kubectl");
        fetch(kubectl(base), to, &TransferredBytes::default(), proxies).await
    };
    let server = serve(answers("http://other.invalid/moved").into());
    let proxies = |no: &str| proxy(&server, no);
    assert!(fetched("http://releases.invalid", &proxies("")).await.is_ok());
    for no in ["releases.invalid", ".invalid", "*", "other.invalid:80"] {
        let Err(NotFetched::Unavailable(why)) = fetched("http://releases.invalid", &proxies(no)).await else {
            panic!("{no}: only the proxy knows the name");
        };
        assert!(why.contains("releases.invalid"), "{why}");
    }
    let relative = serve(answers("/moved").into());
    assert!(fetched(&relative, &dead_proxy()).await.is_ok(), "the server is on loopback");
    let again = serve(answers(KUBECTL).into());
    let Err(NotFetched::Unavailable(why)) = fetched(&again, &dead_proxy()).await else { panic!("a circle") };
    assert!(why.contains("too often"), "{why}");
}

#[tokio::test]
async fn https_release_is_not_read_over_http() {
    // The redirect of a proxy in between would have this address.
    let content = b"the program".to_vec();
    let base = with_kubectl(Answer::Whole(content.clone()), &sum(&content));
    let folder = tempfile::tempdir().unwrap();
    let release = Release {
        url: "https://127.0.0.1:1/kubectl".to_owned(),
        checksum: super::release::Checksum::Published {
            url: format!("{base}{KUBECTL}.sha256"),
            file: "kubectl".to_owned(),
        },
        ..kubectl(&base)
    };
    let fetched =
        fetch(release, folder.path().join("kubectl"), &TransferredBytes::default(), &dead_proxy()).await;
    let Err(NotFetched::Unavailable(why)) = fetched else { panic!("{fetched:?}") };
    assert!(why.contains(".sha256") && why.contains("https"), "{why}");
}

/// An environment that allows only downloads: without PATH there is no Go.
fn fake_environment(folder: &Path, base: String) -> Environment {
    Environment { path: std::ffi::OsString::new(), releases: Some(base), ..Environment::for_tests(folder) }
}

/// All programs of Kubernetes, each with its checksum file.
fn kubernetes(version: &str) -> BTreeMap<String, Answer> {
    let Platform { os, arch } = Platform::current();
    let mut answers = BTreeMap::new();
    for program in ProgramSet::Kubernetes.programs() {
        let path = format!("/kubernetes/{version}/bin/{os}/{arch}/{program}");
        let content = format!("#!/bin/sh\necho {program} {version}\n").into_bytes();
        answers.insert(format!("{path}.sha256"), Answer::Whole(sum(&content).into_bytes()));
        answers.insert(path, Answer::Whole(content));
    }
    answers
}

#[tokio::test]
async fn concurrent_searches_download_a_set_once() {
    let folder = tempfile::tempdir().unwrap();
    let pinned = Pinned::read().unwrap();
    let pin = pinned.pin(ProgramSet::Kubernetes);
    let environment = fake_environment(folder.path(), serve(kubernetes("v1.99.0")));
    let (events, mut receiver) = Events::channel();
    let search = || Locator::new(&environment, ProgramSet::Kubernetes, Some("v1.99.0"), pin, &events).run();
    let (one, two) = tokio::join!(search(), search());
    let dir = one.unwrap();
    assert_eq!(dir, two.unwrap());
    assert_eq!(dir.version, "v1.99.0");
    let output = std::process::Command::new(dir.folder.join("kubectl")).output().unwrap();
    assert_eq!(output.stdout, b"kubectl v1.99.0\n");

    let mut messages = Vec::new();
    while let Some(event) = receiver.try_recv() {
        if let Event::Step { progress: Progress::Started, message, .. } = event {
            messages.push(message);
        }
    }
    messages.retain(|message| message != "another handsctl is preparing kubernetes v1.99.0");
    assert_eq!(messages.len(), 4, "{messages:?}");
    assert_eq!(messages[0], "downloading kube-apiserver v1.99.0 (2 of 7)");

    // Others may have changed a program in a cache that they can write to.
    let writable = |mode| std::os::unix::fs::PermissionsExt::from_mode(mode);
    std::fs::set_permissions(dir.folder.join("kubectl"), writable(0o777)).unwrap();
    let locator = Locator::new(&environment, ProgramSet::Kubernetes, Some("v1.99.0"), pin, &events);
    let error = locator.run().await.unwrap_err();
    assert!(error.message().contains("others may have changed"), "{error:?}");
    std::fs::set_permissions(dir.folder.join("kubectl"), writable(0o755)).unwrap();

    // Without a server the set comes from the cache.
    let offline = Environment { releases: Some("http://127.0.0.1:1".into()), ..environment.clone() };
    let cached =
        Locator::new(&offline, ProgramSet::Kubernetes, Some("v1.99.0"), pin, &events).run().await.unwrap();
    assert_eq!(cached, dir);
}

#[tokio::test]
async fn checksum_mismatch_ends_the_search() {
    let folder = tempfile::tempdir().unwrap();
    let version = Pinned::read().unwrap().pin(ProgramSet::Etcd).version.clone();
    let Platform { os, arch } = Platform::current();
    let file = format!("etcd-{version}-{os}-{arch}.tar.gz");
    let sums = format!("{}  {file}\n", "0".repeat(64)).into_bytes();
    let base = serve(
        [
            (format!("/etcd/{version}/{file}"), Answer::Whole(b"changed on the way".to_vec())),
            (format!("/etcd/{version}/SHA256SUMS"), Answer::Whole(sums)),
        ]
        .into(),
    );
    let error = locate(&fake_environment(folder.path(), base), None, &Events::channel().0).await.unwrap_err();
    assert_eq!(error.id(), Id::AssetChecksum);
}
