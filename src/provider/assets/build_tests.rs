//! Builds with a fake Go toolchain that records its calls.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use super::locate::Locator;
use super::pinned::Pinned;
use super::program::ProgramSet;
use super::search::ProgramDir;
use crate::catalogue::Id;
use crate::error::{Error, Result};
use crate::event::Events;
use crate::provider::environment::Environment;

/// A fake Go that writes an empty program, or fails like Go if the file `fail` is next to it.
const GO: &str = r#"#!/bin/sh
here=$(dirname "$0")
echo "$GOFLAGS|$GOTOOLCHAIN|$CGO_ENABLED|$(ls | tr '\n' ' ')|$*" >>"$here/calls"
[ ! -e "$here/fail" ] || { echo "go: module lookup disabled" >&2; exit 1; }
while [ "$1" != -o ]; do shift; done
printf '#!/bin/sh\n' >"$2"
"#;

fn fake_environment(folder: &Path) -> Environment {
    let go = folder.join("go");
    std::fs::write(&go, GO).unwrap();
    std::fs::set_permissions(&go, std::fs::Permissions::from_mode(0o755)).unwrap();
    Environment { releases: Some("http://127.0.0.1:1".to_owned()), ..Environment::for_tests(folder) }
}

async fn locate(environment: &Environment, set: ProgramSet, version: Option<&str>) -> Result<ProgramDir> {
    let pinned = Pinned::read().unwrap();
    Locator::new(environment, set, version, pinned.pin(set), &Events::channel().0).run().await
}

fn calls(folder: &Path) -> Vec<String> {
    let text = std::fs::read_to_string(folder.join("calls")).unwrap_or_default();
    text.lines().map(str::to_owned).collect()
}

fn fact(error: &Error, label: &str) -> String {
    error.facts().iter().find(|fact| fact.label == label).unwrap().text.clone()
}

#[tokio::test]
async fn program_without_download_is_built_once_from_pinned_module() {
    let folder = tempfile::tempdir().unwrap();
    let environment = fake_environment(folder.path());
    let dir = locate(&environment, ProgramSet::Kwok, None).await.unwrap();
    assert!(dir.folder.join("kwok").exists() && dir.folder.join("kwokctl").exists());
    assert_eq!(locate(&environment, ProgramSet::Kwok, None).await.unwrap(), dir);
    let calls = calls(folder.path());
    assert_eq!(calls.len(), 2, "{calls:?}");
    let expected = "-mod=readonly -trimpath -buildvcs=false|local|0|go.mod go.sum |build -ldflags -s -w -o ";
    assert!(calls[0].starts_with(expected), "{}", calls[0]);
    assert!(calls[1].ends_with(" sigs.k8s.io/kwok/cmd/kwokctl"), "{}", calls[1]);
}

#[tokio::test]
async fn kubernetes_is_built_with_its_version() {
    let folder = tempfile::tempdir().unwrap();
    locate(&fake_environment(folder.path()), ProgramSet::Kubernetes, None).await.unwrap();
    let calls = calls(folder.path());
    assert_eq!(calls.len(), 4, "{calls:?}");
    for call in calls {
        assert!(call.contains(" -X k8s.io/component-base/version.gitVersion=v1."), "{call}");
    }
}

#[tokio::test]
async fn failed_build_reports_stderr_of_go_and_is_retried() {
    let folder = tempfile::tempdir().unwrap();
    let environment = fake_environment(folder.path());
    std::fs::write(folder.path().join("fail"), "").unwrap();
    let error = locate(&environment, ProgramSet::Etcd, None).await.unwrap_err();
    assert_eq!((error.id(), error.kind().exit_code()), (Id::AssetMissing, 14));
    assert_eq!(fact(&error, "stderr"), "go: module lookup disabled");
    assert!(fact(&error, "command").contains("/go build "), "{error:?}");
    assert!(fact(&error, "tried").contains("download: http://127.0.0.1:1/etcd/"), "{error:?}");
    std::fs::remove_file(folder.path().join("fail")).unwrap();
    assert!(locate(&environment, ProgramSet::Etcd, None).await.is_ok());
}

#[tokio::test]
async fn version_that_is_not_pinned_is_not_built() {
    let folder = tempfile::tempdir().unwrap();
    let error =
        locate(&fake_environment(folder.path()), ProgramSet::Kubernetes, Some("v1.99.0")).await.unwrap_err();
    assert!(fact(&error, "tried").contains("build: the Go module is pinned to v1."), "{error:?}");
    assert!(calls(folder.path()).is_empty());
}
