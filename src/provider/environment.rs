//! What this folder takes from the process's environment, read once and handed down: tests run side by side
//! with folders of their own.

use std::env;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use crate::catalogue::Id;
use crate::error::{Error, Kind, Result};

/// Folders and variables that decide where clusters, programs and contexts live.
#[derive(Debug, Clone)]
pub struct Environment {
    /// Clusters: `$XDG_STATE_HOME/handsctl`, else `~/.local/state/handsctl`.
    pub state: PathBuf,
    /// Programs that were downloaded or built: `$XDG_CACHE_HOME/handsctl`, else `~/.cache/handsctl`.
    pub cache: PathBuf,
    /// Folders in which the user says the programs are, in the order in which they are tried.
    pub assets: Vec<ExplicitFolder>,
    /// `PATH`, as it is.
    pub path: OsString,
    /// The files of `KUBECONFIG`, else `~/.kube/config`; never empty.
    pub kubeconfigs: Vec<PathBuf>,
    /// Where official releases are looked for instead of at their publishers: `HANDSCTL_TEST_RELEASES`.
    pub releases: Option<String>,
    /// The container engine that kind is told to use: `KIND_EXPERIMENTAL_PROVIDER`.
    pub engine: Option<String>,
    /// Where the engines' clients are told to look for their servers: `DOCKER_HOST` or `CONTAINER_HOST`, and its value.
    pub engine_host: Option<(String, String)>,
    /// The nodes' image: `KIND_NODE_IMAGE`.
    pub node_image: Option<String>,
}

/// A folder of programs, and who named it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExplicitFolder {
    /// `HANDSCTL_ASSETS`.
    pub variable: &'static str,
    /// Its value.
    pub folder: PathBuf,
}

impl Environment {
    /// Reads the process's environment.
    ///
    /// # Errors
    /// `HC9003` where neither HOME nor the variable that would replace it is set.
    pub fn read() -> Result<Self> {
        Ok(Self {
            state: base("XDG_STATE_HOME", ".local/state")?.join("handsctl"),
            cache: base("XDG_CACHE_HOME", ".cache")?.join("handsctl"),
            assets: ["HANDSCTL_ASSETS", "KUBEBUILDER_ASSETS"].into_iter().filter_map(explicit).collect(),
            path: env::var_os("PATH").unwrap_or_default(),
            kubeconfigs: kubeconfigs()?,
            releases: variable("HANDSCTL_TEST_RELEASES"),
            engine: variable("KIND_EXPERIMENTAL_PROVIDER"),
            engine_host: ["DOCKER_HOST", "CONTAINER_HOST"]
                .into_iter()
                .find_map(|name| Some((name.to_owned(), variable(name)?))),
            node_image: variable("KIND_NODE_IMAGE"),
        })
    }

    /// The first executable file of this name on `PATH`.
    #[must_use]
    pub fn program(&self, name: &str) -> Option<PathBuf> {
        which::which_in_global(name, Some(&self.path)).ok()?.next()
    }

    /// Everything in one folder, nothing of the tester's own; programs are looked for in it, too.
    #[cfg(test)]
    pub(super) fn for_tests(folder: &Path) -> Self {
        Self {
            state: folder.join("state"),
            cache: folder.join("cache"),
            assets: Vec::new(),
            path: folder.as_os_str().to_owned(),
            kubeconfigs: vec![folder.join("config")],
            releases: None,
            engine: None,
            engine_host: None,
            node_image: None,
        }
    }

    /// The file that a context is merged into: the explicit one, else the first of `KUBECONFIG`.
    #[must_use]
    pub fn kubeconfig<'a>(&'a self, explicit: Option<&'a Path>) -> &'a Path {
        explicit.or_else(|| self.kubeconfigs.first().map(PathBuf::as_path)).unwrap_or(Path::new("config"))
    }
}

/// The value of a variable that is set to something.
fn variable(name: &str) -> Option<String> {
    env::var(name).ok().filter(|value| !value.is_empty())
}

fn base(variable: &str, below_home: &str) -> Result<PathBuf> {
    // The XDG specification: a relative path is invalid and is ignored.
    if let Some(path) = env::var_os(variable).map(PathBuf::from).filter(|path| path.is_absolute()) {
        return Ok(path);
    }
    Ok(home(variable)?.join(below_home))
}

fn home(instead: &str) -> Result<PathBuf> {
    env::home_dir().filter(|home| home.is_absolute()).ok_or_else(|| {
        Error::new(Id::Io, Kind::Prerequisite, "the home folder is not known")
            .hint(format!("set HOME, or {instead}"))
    })
}

fn explicit(variable: &'static str) -> Option<ExplicitFolder> {
    let folder = env::var_os(variable).filter(|value| !value.is_empty())?;
    // The cluster's links to its programs must not depend on the folder that handsctl was started in.
    let folder = std::path::absolute(folder).ok()?;
    Some(ExplicitFolder { variable, folder })
}

fn kubeconfigs() -> Result<Vec<PathBuf>> {
    let listed: Vec<PathBuf> = env::var_os("KUBECONFIG")
        .map(|list| env::split_paths(&list).filter(|path| !path.as_os_str().is_empty()).collect())
        .unwrap_or_default();
    if listed.is_empty() { Ok(vec![home("KUBECONFIG")?.join(".kube/config")]) } else { Ok(listed) }
}
