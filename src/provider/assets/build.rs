//! Builds a program with the Go toolchain, from the modules that `kind/assets` pins.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::cache::{CacheDir, CacheEntry};
use super::pinned::Module;
use super::program::{Program, ProgramSet};
use crate::catalogue::Id;
use crate::error::{Error, Kind, Result};
use crate::provider::command::ChildCommand;
use crate::provider::environment::Environment;

/// Timeout of one build: on a slow computer, with all of its modules still to be downloaded.
const BUILD: Duration = Duration::from_secs(3600);

/// Placeholder for the commit, which a Go module does not contain. Without it programs print `$Format:%H$`.
const NO_COMMIT: &str = "0000000000000000000000000000000000000000";

/// Returns the Go toolchain on PATH.
pub(super) fn toolchain(environment: &Environment) -> Option<PathBuf> {
    environment.program("go")
}

/// Writes the module's files into a folder. Go builds in it without changing it.
pub(super) fn workspace(entry: &CacheEntry, module: Module) -> Result<PathBuf> {
    let folder = entry.folder.join("module");
    let write = || {
        std::fs::create_dir_all(&folder)?;
        std::fs::write(folder.join("go.mod"), module.manifest)?;
        std::fs::write(folder.join("go.sum"), module.sums)
    };
    write().map_err(|error| Error::file(format!("cannot write {}", folder.display()), error))?;
    Ok(folder)
}

/// Builds one program into [`CacheDir::incomplete`].
pub(super) async fn build(
    go: &Path,
    workspace: &Path,
    dir: &CacheDir,
    set: ProgramSet,
    program: Program,
    version: &str,
) -> Result<()> {
    let flags = format!("-s -w{}", version_flags(set, version));
    ChildCommand::new(go, BUILD)
        .directory(workspace)
        .variable("GOFLAGS", "-mod=readonly -trimpath -buildvcs=false")
        .variable("GOTOOLCHAIN", "local")
        .variable("GOWORK", "off")
        .variable("CGO_ENABLED", "0")
        // The program must run on this computer, whatever platform the user's environment selects for Go.
        .without_variables(["GOOS", "GOARCH"].map(str::to_owned))
        .arguments(["build", "-ldflags", &flags, "-o"])
        .arguments([dir.incomplete(program)])
        .arguments([program.package()])
        .run()
        .await
        .map(drop)
        .map_err(|failure| {
            let message = format!("cannot build {program} {version}");
            failure.into_error(Id::AssetMissing, Kind::Prerequisite, message)
        })
}

/// Linker flags that set the version of Kubernetes. The other sets have their version in the source.
fn version_flags(set: ProgramSet, version: &str) -> String {
    if set != ProgramSet::Kubernetes {
        return String::new();
    }
    let mut numbers = version.trim_start_matches('v').split('.');
    let (major, minor) = (numbers.next().unwrap_or_default(), numbers.next().unwrap_or_default());
    ["k8s.io/component-base/version", "k8s.io/client-go/pkg/version"]
        .map(|package| {
            format!(
                " -X {package}.gitVersion={version} -X {package}.gitMajor={major} -X {package}.gitMinor={minor} \
                 -X {package}.gitTreeState=clean -X {package}.gitCommit={NO_COMMIT}"
            )
        })
        .concat()
}
