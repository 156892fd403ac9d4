//! Parses the `info` output of an engine. Pure.

use serde_json::Value;

use super::program::Engine;

/// Facts about an engine's server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::provider) struct Info {
    /// `28.2.2`.
    pub(in crate::provider) version: String,
    /// Number of CPUs that containers can use.
    pub(in crate::provider) cpus: Option<u64>,
    /// Memory that containers can use, in bytes.
    pub(in crate::provider) memory: Option<u64>,
    /// Folder of its images and volumes on the computer that it runs on: with Docker Desktop that is a virtual machine.
    pub(in crate::provider) root: Option<String>,
}

impl Info {
    /// Parses the output; None: it has no version.
    pub(super) fn read(engine: Engine, text: &str) -> Option<Self> {
        let value: Value = serde_json::from_str(text).ok()?;
        let paths = match engine {
            Engine::Docker | Engine::Nerdctl => ["/ServerVersion", "/NCPU", "/MemTotal", "/DockerRootDir"],
            Engine::Podman => ["/version/Version", "/host/cpus", "/host/memTotal", "/store/graphRoot"],
        };
        let [version, cpus, memory, root] = paths.map(|path| value.pointer(path));
        let string = |value: Option<&Value>| {
            value.and_then(Value::as_str).filter(|text| !text.is_empty()).map(str::to_owned)
        };
        let number = |value: Option<&Value>| value.and_then(Value::as_u64).filter(|number| *number > 0);
        Some(Self {
            version: string(version)?.trim_start_matches('v').to_owned(),
            cpus: number(cpus),
            memory: number(memory),
            root: string(root),
        })
    }

    /// Whether the version is older than `minimum`. False if it cannot be parsed.
    pub(super) fn is_older_than(&self, minimum: (u32, u32)) -> bool {
        let mut numbers = self.version.split(['.', '-', '+']).map(str::parse::<u32>);
        match (numbers.next(), numbers.next()) {
            (Some(Ok(major)), Some(Ok(minor))) => (major, minor) < minimum,
            _ => false,
        }
    }
}

/// Returns the server's errors, which docker's client prints in its otherwise valid output.
pub(super) fn server_errors(text: &str) -> Option<String> {
    let value: Value = serde_json::from_str(text).ok()?;
    let errors: Vec<&str> = value["ServerErrors"].as_array()?.iter().filter_map(Value::as_str).collect();
    (!errors.is_empty()).then(|| errors.join("; "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn info_of_each_engine_is_parsed() {
        let docker =
            r#"{"ServerVersion":"26.1.5+dfsg1","NCPU":2,"MemTotal":25000,"DockerRootDir":"/var/lib/docker"}"#;
        let podman = r#"{"host":{"cpus":4,"memTotal":8000},"store":{"graphRoot":"/home/a/.local"},"version":{"Version":"5.4.1"}}"#;
        let info = Info::read(Engine::Docker, docker).unwrap();
        assert_eq!((info.version.as_str(), info.cpus, info.memory), ("26.1.5+dfsg1", Some(2), Some(25000)));
        assert!(!info.is_older_than((20, 10)) && info.is_older_than((27, 0)));
        let info = Info::read(Engine::Podman, podman).unwrap();
        assert_eq!((info.version.as_str(), info.root.as_deref()), ("5.4.1", Some("/home/a/.local")));
        assert_eq!(Info::read(Engine::Docker, "{}"), None);
        assert_eq!(server_errors(r#"{"ServerErrors":["a","b"]}"#).as_deref(), Some("a; b"));
        assert_eq!(server_errors(docker), None);
    }
}
