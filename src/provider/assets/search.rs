//! Programs that are already on this computer: an explicit folder, or PATH.

use std::path::{Path, PathBuf};
use std::time::Duration;

use futures::future::join_all;

use super::program::{Program, ProgramSet, is_at_least, version_in};
use crate::catalogue::Id;
use crate::error::{Error, Kind, Result};
use crate::provider::command::ChildCommand;
use crate::provider::environment::{Environment, ExplicitFolder};

/// Printing a version takes a program 0.1 s.
const VERSION: Duration = Duration::from_secs(20);

/// A set of programs in one folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ProgramDir {
    pub(super) folder: PathBuf,
    /// The version of all its programs.
    pub(super) version: String,
}

/// Searches the folders that the user named. Accepts any version, unless the configuration names one.
pub(super) async fn explicit(
    environment: &Environment,
    set: ProgramSet,
    required_version: Option<&str>,
    tried: &mut Vec<String>,
) -> Result<Option<ProgramDir>> {
    for ExplicitFolder { variable, folder } in &environment.assets {
        if let Some(missing) = missing(folder, set) {
            tried.push(format!("{variable}: {} has no {missing}", folder.display()));
            continue;
        }
        let version = common_version(folder, set).await?;
        if let Some(required_version) = required_version.filter(|required| *required != version) {
            let message = format!("{variable} has {set} {version}, not {required_version}");
            return Err(Error::new(Id::AssetMissing, Kind::Prerequisite, message)
                .fact("folder", folder.display().to_string())
                .hint(format!("[cluster] kubernetes_version = \"{version}\""))
                .hint(format!("unset {variable}")));
        }
        return Ok(Some(ProgramDir { folder: folder.clone(), version }));
    }
    Ok(None)
}

/// Searches PATH. Accepts the pinned version, or for programs with a minimum version anything newer.
pub(super) async fn path(
    environment: &Environment,
    set: ProgramSet,
    required_version: &str,
    tried: &mut Vec<String>,
) -> Option<ProgramDir> {
    let complete = std::env::split_paths(&environment.path)
        .filter(|folder| folder.is_absolute() && missing(folder, set).is_none());
    let mut has_candidate = false;
    for folder in complete {
        has_candidate = true;
        match common_version(&folder, set).await {
            Ok(version) if is_accepted(set, &version, required_version) => {
                return Some(ProgramDir { folder, version });
            }
            Ok(version) => {
                let instead = set
                    .minimum_version()
                    .map_or_else(|| required_version.to_owned(), |least| format!("{least} or newer"));
                tried.push(format!("PATH: {} has {set} {version}, not {instead}", folder.display()));
            }
            Err(error) => tried.push(format!("PATH: {error}")),
        }
    }
    if !has_candidate {
        tried.push(format!("PATH: no folder with {}", names(set)));
    }
    None
}

fn is_accepted(set: ProgramSet, version: &str, required_version: &str) -> bool {
    version == required_version || set.minimum_version().is_some_and(|least| is_at_least(version, least))
}

/// `kwok, kwokctl`.
pub(super) fn names(set: ProgramSet) -> String {
    set.programs().iter().map(|program| program.name()).collect::<Vec<_>>().join(", ")
}

/// The first program of the set that the folder does not have.
pub(super) fn missing(folder: &Path, set: ProgramSet) -> Option<Program> {
    let is_installed = |program: &Program| {
        which::which_in_global(program.name(), Some(folder)).is_ok_and(|mut found| found.next().is_some())
    };
    set.programs().iter().copied().find(|program| !is_installed(program))
}

/// The version of all programs of the set; different ones are an error: they may not work together.
async fn common_version(folder: &Path, set: ProgramSet) -> Result<String> {
    let versions = set.programs().iter().map(|program| version(folder, *program));
    let versions = join_all(versions).await.into_iter().collect::<Result<Vec<String>>>()?;
    match versions.split_first() {
        Some((first, others)) if others.iter().all(|other| other == first) => Ok(first.clone()),
        _ => {
            let listed =
                set.programs().iter().zip(&versions).map(|(program, version)| format!("{program} {version}"));
            let message = format!("the {set} programs in {} differ in version", folder.display());
            Err(Error::new(Id::AssetMissing, Kind::Prerequisite, message)
                .fact("versions", listed.collect::<Vec<_>>().join("\n")))
        }
    }
}

async fn version(folder: &Path, program: Program) -> Result<String> {
    let path = folder.join(program.name());
    let message = format!("cannot read the version of {}", path.display());
    let output =
        ChildCommand::new(&path, VERSION).arguments(program.version_arguments().iter().copied()).run().await;
    let stdout = match output {
        Ok(output) => output.stdout,
        Err(failure) => return Err(failure.into_error(Id::AssetMissing, Kind::Prerequisite, message)),
    };
    version_in(&stdout)
        .ok_or_else(|| Error::new(Id::AssetMissing, Kind::Prerequisite, message).fact("answer", stdout))
}
