//! Parses the `info` output of an engine. Pure.

use serde_json::Value;

use super::program::Engine;

/// Facts about an engine's server.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(in crate::provider) struct Info {
    /// `28.2.2`.
    pub(in crate::provider) version: String,
    /// Number of CPUs that containers can use.
    pub(in crate::provider) cpus: Option<u64>,
    /// Memory that containers can use, in bytes.
    pub(in crate::provider) memory: Option<u64>,
    /// Folder of its images and volumes on the computer that it runs on: with Docker Desktop that is a virtual machine.
    pub(in crate::provider) root: Option<String>,
    /// Release of its kernel: `6.8.0-45-generic`. That of Docker Desktop's virtual machine differs from this computer's.
    pub(in crate::provider) kernel: Option<String>,
    /// Whether podman's client is connected to another computer or a virtual machine.
    pub(in crate::provider) is_remote: bool,
    /// Version of the client.
    pub(in crate::provider) client_version: Option<String>,
    /// Whether docker keeps its images in containerd's store, the default of new installations since Docker 29
    /// (<https://docs.docker.com/engine/storage/containerd/>).
    pub(in crate::provider) has_containerd_store: bool,
}

impl Info {
    /// Parses the output; None: it has no version.
    pub(super) fn read(engine: Engine, text: &str) -> Option<Self> {
        let value: Value = serde_json::from_str(text).ok()?;
        let paths = match engine {
            Engine::Docker | Engine::Nerdctl => {
                ["/ServerVersion", "/NCPU", "/MemTotal", "/DockerRootDir", "/KernelVersion"]
            }
            Engine::Podman => {
                ["/version/Version", "/host/cpus", "/host/memTotal", "/store/graphRoot", "/host/kernel"]
            }
        };
        let [version, cpus, memory, root, kernel] = paths.map(|path| value.pointer(path));
        let string = |value: Option<&Value>| {
            value.and_then(Value::as_str).filter(|text| !text.is_empty()).map(str::to_owned)
        };
        let number = |value: Option<&Value>| value.and_then(Value::as_u64).filter(|number| *number > 0);
        Some(Self {
            version: string(version)?.trim_start_matches('v').to_owned(),
            cpus: number(cpus),
            memory: number(memory),
            root: string(root),
            kernel: string(kernel),
            is_remote: value["host"]["serviceIsRemote"] == true,
            client_version: string(value.pointer("/ClientInfo/Version")),
            has_containerd_store: engine == Engine::Docker && has_containerd_store(&value),
        })
    }

    /// Whether the version is older than `minimum`. False if it cannot be parsed.
    pub(super) fn is_older_than(&self, minimum: (u32, u32)) -> bool {
        is_older_than(&self.version, minimum)
    }

    /// Whether `docker save` must be given the platform, and can be: containerd's store has an image of several
    /// platforms, but the layers of one (<https://github.com/kubernetes-sigs/kind/issues/3795>). The flag is part of
    /// docker's client and server since 28.0.
    pub(super) fn saves_by_platform(&self) -> bool {
        let client = self.client_version.as_deref().unwrap_or(&self.version);
        let versions = [client, &self.version];
        self.has_containerd_store && !versions.iter().any(|version| is_older_than(version, (28, 0)))
    }
}

fn is_older_than(version: &str, minimum: (u32, u32)) -> bool {
    let mut numbers = version.trim_start_matches('v').split(['.', '-', '+']).map(str::parse::<u32>);
    match (numbers.next(), numbers.next()) {
        (Some(Ok(major)), Some(Ok(minor))) => (major, minor) < minimum,
        _ => false,
    }
}

/// Whether docker's driver status names containerd's snapshotter: `[["driver-type", "io.containerd.snapshotter.v1"]]`.
fn has_containerd_store(info: &Value) -> bool {
    let entries = info["DriverStatus"].as_array().into_iter().flatten();
    entries
        .into_iter()
        .any(|entry| entry[1].as_str().is_some_and(|value| value.starts_with("io.containerd.snapshotter")))
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
        assert!(!info.is_remote && info.kernel.is_none());
        let machine =
            r#"{"host":{"kernel":"6.1-fcos","serviceIsRemote":true},"version":{"Version":"5.4.1"}}"#;
        let info = Info::read(Engine::Podman, machine).unwrap();
        assert!(info.is_remote && info.kernel.as_deref() == Some("6.1-fcos"));
        let nerdctl = r#"{"ID":"b7b0","Driver":"overlayfs","Plugins":{"Log":["fluentd","json-file"],"Storage":["overlayfs"]},"LoggingDriver":"json-file","CgroupDriver":"systemd","CgroupVersion":"2","KernelVersion":"6.8.0-45-generic","OperatingSystem":"Ubuntu 24.04","OSType":"linux","Architecture":"x86_64","NCPU":2,"MemTotal":25000,"Name":"a","ServerVersion":"v2.1.3","SecurityOptions":["name=seccomp,profile=builtin"],"Warnings":null}"#;
        let info = Info::read(Engine::Nerdctl, nerdctl).unwrap();
        assert_eq!((info.version.as_str(), info.cpus, info.memory), ("2.1.3", Some(2), Some(25000)));
        assert_eq!(info.kernel.as_deref(), Some("6.8.0-45-generic"));
        assert!(info.root.is_none() && !info.is_remote && !info.saves_by_platform());
        assert_eq!(Info::read(Engine::Docker, "{}"), None);
        assert_eq!(server_errors(r#"{"ServerErrors":["a","b"]}"#).as_deref(), Some("a; b"));
        assert_eq!(server_errors(docker), None);
    }

    #[test]
    fn containerd_image_store_of_docker_29_saves_by_platform() {
        let info = |server: &str, client: &str, driver: &str| {
            let text = format!(
                r#"{{"ServerVersion":"{server}","DriverStatus":[["driver-type","{driver}"]],"ClientInfo":{{"Version":"{client}"}}}}"#
            );
            Info::read(Engine::Docker, &text).unwrap()
        };
        let containerd = "io.containerd.snapshotter.v1";
        assert!(info("29.0.1", "29.0.1", containerd).saves_by_platform());
        assert!(!info("29.0.1", "29.0.1", "overlay2").saves_by_platform());
        assert!(!info("29.0.1", "27.3.1", containerd).saves_by_platform(), "the client has no such flag");
        let old = info("27.3.1", "27.3.1", containerd);
        assert!(!old.saves_by_platform() && old.has_containerd_store);
    }
}
