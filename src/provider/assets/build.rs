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

/// One program, with all of its modules still to be downloaded, on a slow computer.
const BUILD: Duration = Duration::from_secs(3600);

/// A module does not say which commit it was made from; without this, programs print `$Format:%H$`.
const NO_COMMIT: &str = "0000000000000000000000000000000000000000";

/// The Go toolchain on PATH.
pub(super) fn toolchain(environment: &Environment) -> Option<PathBuf> {
    environment.program("go")
}

/// Writes the module's files. Go builds in this folder and changes nothing in it.
pub(super) fn workspace(shelf: &CacheEntry, module: Module) -> Result<PathBuf> {
    let folder = shelf.folder.join("module");
    let write = || {
        std::fs::create_dir_all(&folder)?;
        std::fs::write(folder.join("go.mod"), module.manifest)?;
        std::fs::write(folder.join("go.sum"), module.sums)
    };
    write().map_err(|error| Error::io(format!("cannot write {}", folder.display()), error))?;
    Ok(folder)
}

/// Builds one program into [`Bin::incomplete`].
pub(super) async fn build(
    go: &Path,
    workspace: &Path,
    bin: &CacheDir,
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
        // Whatever the user builds for, this is for here.
        .without(["GOOS", "GOARCH"].map(str::to_owned))
        .arguments(["build", "-ldflags", &flags, "-o"])
        .arguments([bin.incomplete(program)])
        .arguments([program.package()])
        .run()
        .await
        .map(drop)
        .map_err(|failure| {
            let message = format!("{program} {version} could not be built");
            failure.into_error(Id::AssetMissing, Kind::Prerequisite, message)
        })
}

/// Kubernetes learns its version from the linker; the other sets know theirs.
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
