//! The folders and variables of this computer, read from the process's environment once per command and passed down, so
//! that tests can run in parallel with folders of their own.

use std::env;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use crate::catalogue::Id;
use crate::error::{Error, Kind, Result};
use crate::provider::engine::Engine;
use crate::proxy::ProxyVariables;

/// The folders and variables that locate clusters, programs and contexts.
#[derive(Debug, Clone)]
pub struct Environment {
    /// Clusters: `$XDG_STATE_HOME/handsctl`, else `~/.local/state/handsctl`.
    pub state: PathBuf,
    /// Programs that were downloaded or built: `$XDG_CACHE_HOME/handsctl`, else `~/.cache/handsctl`.
    pub cache: PathBuf,
    /// Folders of programs that the user names, in the order in which they are searched.
    pub assets: Vec<ExplicitFolder>,
    /// `PATH` without empty and relative entries: they mean the current folder, which may be somebody else's.
    pub path: OsString,
    /// The files of `KUBECONFIG`, else `~/.kube/config`; empty if the home folder is unknown.
    pub kubeconfigs: Vec<PathBuf>,
    /// The variable that would replace the home folder, which is unknown: local clusters cannot be used. None: all
    /// folders are known.
    pub without_home: Option<&'static str>,
    /// The URL of a mirror of the official releases: `HANDSCTL_TEST_RELEASES`.
    pub releases: Option<String>,
    /// The container engine that kind uses: `KIND_EXPERIMENTAL_PROVIDER`.
    pub engine: Option<String>,
    /// Names and values of the variables that locate the engines' servers, such as `DOCKER_HOST`.
    pub engine_servers: Vec<(&'static str, String)>,
    /// The nodes' image: `KIND_NODE_IMAGE`.
    pub node_image: Option<String>,
    /// The variables that choose a proxy.
    pub proxies: ProxyVariables,
}

/// A folder of programs and the variable that names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExplicitFolder {
    /// `HANDSCTL_ASSETS`.
    pub variable: &'static str,
    /// Its value.
    pub folder: PathBuf,
}

impl Environment {
    /// Reads the process's environment. A pod may run as a user without a home folder: only local clusters need one.
    #[must_use]
    pub fn read() -> Self {
        let state = base("XDG_STATE_HOME", ".local/state");
        let cache = base("XDG_CACHE_HOME", ".cache");
        let kubeconfigs = kubeconfigs();
        let without_home =
            state.as_ref().err().or(cache.as_ref().err()).or(kubeconfigs.as_ref().err()).copied();
        Self {
            without_home,
            state: state.unwrap_or_default().join("handsctl"),
            cache: cache.unwrap_or_default().join("handsctl"),
            assets: ["HANDSCTL_ASSETS", "KUBEBUILDER_ASSETS"].into_iter().filter_map(explicit).collect(),
            path: absolute_entries(&env::var_os("PATH").unwrap_or_default()),
            kubeconfigs: kubeconfigs.unwrap_or_default(),
            releases: variable("HANDSCTL_TEST_RELEASES"),
            engine: variable("KIND_EXPERIMENTAL_PROVIDER"),
            engine_servers: Engine::ALL
                .into_iter()
                .flat_map(Engine::server_variables)
                .filter_map(|name| Some((*name, variable(name)?)))
                .collect(),
            node_image: variable("KIND_NODE_IMAGE"),
            proxies: proxies(variable),
        }
    }

    /// Returns the value of a variable that locates an engine's server.
    pub(super) fn engine_server(&self, name: &str) -> Option<&str> {
        self.engine_servers.iter().find(|(variable, _)| *variable == name).map(|(_, value)| value.as_str())
    }

    /// Checks that the folders of local clusters are known.
    ///
    /// # Errors
    /// `HC9003` if neither HOME nor the variable that would replace it is set.
    pub(super) fn ensure_folders(&self) -> Result<()> {
        match self.without_home {
            None => Ok(()),
            Some(instead) => Err(Error::new(
                Id::Io,
                Kind::Prerequisite,
                "local clusters need the home folder, which is unknown",
            )
            .hint(format!("set HOME, or {instead}"))),
        }
    }

    /// The first executable file of this name on `PATH`.
    #[must_use]
    pub fn program(&self, name: &str) -> Option<PathBuf> {
        which::which_in_global(name, Some(&self.path)).ok()?.next()
    }

    /// Returns an environment below one folder, which is also the only entry of `PATH`.
    #[cfg(test)]
    pub(crate) fn for_tests(folder: &Path) -> Self {
        Self {
            state: folder.join("state"),
            cache: folder.join("cache"),
            assets: Vec::new(),
            path: folder.as_os_str().to_owned(),
            kubeconfigs: vec![folder.join("config")],
            without_home: None,
            releases: None,
            engine: None,
            engine_servers: Vec::new(),
            node_image: None,
            proxies: ProxyVariables::default(),
        }
    }

    /// Returns the file that a context is merged into: the explicit one, else the first of `KUBECONFIG`.
    #[must_use]
    pub fn kubeconfig<'a>(&'a self, explicit: Option<&'a Path>) -> &'a Path {
        explicit.or_else(|| self.kubeconfigs.first().map(PathBuf::as_path)).unwrap_or(Path::new("config"))
    }
}

fn absolute_entries(path: &OsStr) -> OsString {
    let entries = env::split_paths(path).filter(|entry| entry.is_absolute());
    // An entry that `split_paths` returned has no separator, so it can be joined.
    env::join_paths(entries).unwrap_or_default()
}

/// Returns the user who runs the process, without the characters `/` and `@`.
pub(super) fn user_name() -> String {
    ["USER", "LOGNAME"]
        .into_iter()
        .find_map(|name| env::var(name).ok().filter(|user| !user.is_empty()))
        .unwrap_or_else(|| match rustix::process::getuid() {
            root if root.is_root() => "root".to_owned(),
            uid => format!("uid-{}", uid.as_raw()),
        })
        .replace(['/', '@'], "_")
}

/// Returns the name that makes this computer another one for tests of the lock and of clusters: `HANDSCTL_TEST_COMPUTER`.
pub(super) fn test_computer() -> Option<String> {
    variable("HANDSCTL_TEST_COMPUTER")
}

/// Returns those of the process's variables that are set.
pub(super) fn variables(names: &[&str]) -> Vec<(String, OsString)> {
    names.iter().filter_map(|name| Some(((*name).to_owned(), env::var_os(name)?))).collect()
}

/// Returns the value of a variable that is set and not empty.
fn variable(name: &str) -> Option<String> {
    env::var(name).ok().filter(|value| !value.is_empty())
}

/// Returns the variables that choose a proxy. As for Go, the name in capitals has priority.
fn proxies(variable: impl Fn(&str) -> Option<String>) -> ProxyVariables {
    let first = |names: [&str; 2]| names.into_iter().find_map(&variable);
    ProxyVariables {
        https: first(["HTTPS_PROXY", "https_proxy"]),
        http: first(["HTTP_PROXY", "http_proxy"]),
        no: first(["NO_PROXY", "no_proxy"]),
        is_cgi: variable("REQUEST_METHOD").is_some(),
    }
}

/// Returns a folder of this user; the error is the variable that would replace the unknown home folder.
fn base(variable: &'static str, below_home: &str) -> Result<PathBuf, &'static str> {
    // The XDG specification: a relative path is invalid and is ignored.
    if let Some(path) = env::var_os(variable).map(PathBuf::from).filter(|path| path.is_absolute()) {
        return Ok(path);
    }
    Ok(home().ok_or(variable)?.join(below_home))
}

fn home() -> Option<PathBuf> {
    env::home_dir().filter(|home| home.is_absolute())
}

fn explicit(variable: &'static str) -> Option<ExplicitFolder> {
    let folder = env::var_os(variable).filter(|value| !value.is_empty())?;
    // The cluster's links to its programs must not depend on the folder that handsctl was started in.
    let folder = std::path::absolute(folder).ok()?;
    Some(ExplicitFolder { variable, folder })
}

fn kubeconfigs() -> Result<Vec<PathBuf>, &'static str> {
    let listed: Vec<PathBuf> = env::var_os("KUBECONFIG")
        .map(|list| env::split_paths(&list).filter(|path| !path.as_os_str().is_empty()).collect())
        .unwrap_or_default();
    if !listed.is_empty() {
        return Ok(listed);
    }
    Ok(vec![home().ok_or("KUBECONFIG")?.join(".kube/config")])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn proxy_variable_in_capitals_has_priority() {
        let set = |names: &'static [&'static str]| {
            proxies(|name| names.contains(&name).then(|| format!("value of {name}")))
        };
        let all = ["HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy", "NO_PROXY", "no_proxy"];
        for (names, expected) in [
            (&all[..], ["HTTPS_PROXY", "HTTP_PROXY", "NO_PROXY"]),
            (&["https_proxy", "http_proxy", "no_proxy"], ["https_proxy", "http_proxy", "no_proxy"]),
        ] {
            let ProxyVariables { https, http, no, is_cgi } = set(names.to_vec().leak());
            assert_eq!([https, http, no], expected.map(|name| Some(format!("value of {name}"))));
            assert!(!is_cgi);
        }
        assert!(set(&["REQUEST_METHOD"]).is_cgi && set(&["ALL_PROXY"]) == ProxyVariables::default());
    }

    #[test]
    fn empty_and_relative_path_entries_are_ignored() {
        for (path, expected) in [
            ("/bin::/usr/bin", "/bin:/usr/bin"),
            (":/bin:", "/bin"),
            (".:bin:/bin:../x:~/y", "/bin"),
            ("", ""),
            (".", ""),
        ] {
            assert_eq!(absolute_entries(OsStr::new(path)), OsStr::new(expected), "{path}");
        }
    }
}
