//! The computer that an engine runs on. Pure.

use std::net::IpAddr;

use super::info::Info;

/// The computer that an engine runs on, as far as its address and its `info` tell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::provider) enum EngineLocation {
    /// This computer.
    ThisComputer,
    /// A virtual machine of this computer, or a tunnel: its ports may be this computer's, its disk and kernel are not.
    AnotherKernel,
    /// Another computer, with the engine's address.
    AnotherComputer(String),
}

/// Returns the location of an engine. `address` is that of its server, if it is known; `kernel` is the release of this
/// computer's kernel.
pub(in crate::provider) fn locate(address: Option<&str>, info: &Info, kernel: &str) -> EngineLocation {
    let is_other_kernel = info.kernel.as_ref().is_some_and(|other| other != kernel);
    match address {
        Some(address) if is_other_computer(address) => EngineLocation::AnotherComputer(without_user(address)),
        Some(address) if network_host(address).is_some() => EngineLocation::AnotherKernel,
        _ if info.is_remote || is_other_kernel => EngineLocation::AnotherKernel,
        _ => EngineLocation::ThisComputer,
    }
}

/// Whether an address is that of another computer.
pub(super) fn is_other_computer(address: &str) -> bool {
    network_host(address).is_some_and(|host| !is_loopback(host))
}

/// Returns the host of an address; None for a socket of this computer: `unix:///var/run/docker.sock`,
/// `npipe:////./pipe/docker_engine`, `fd://`.
fn network_host(address: &str) -> Option<&str> {
    let (scheme, rest) = address.split_once("://")?;
    if !matches!(scheme, "tcp" | "ssh" | "http" | "https") {
        return None;
    }
    let authority = rest.split('/').next().unwrap_or_default();
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    match host.strip_prefix('[') {
        Some(ipv6) => ipv6.split(']').next(),
        None => host.split(':').next(),
    }
}

fn is_loopback(host: &str) -> bool {
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// Returns the address without its user, who may have a password.
pub(super) fn without_user(address: &str) -> String {
    match address.split_once("://") {
        Some((scheme, rest)) => {
            format!("{scheme}://{}", rest.rsplit_once('@').map_or(rest, |(_, host)| host))
        }
        None => address.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KERNEL: &str = "6.8.0-45-generic";

    #[test]
    fn address_and_kernel_decide_the_location() {
        let on = |kernel: Option<&str>, is_remote: bool| Info {
            kernel: kernel.map(str::to_owned),
            is_remote,
            ..Info::default()
        };
        let (same, machine) = (on(Some(KERNEL), false), on(Some("6.6.12-linuxkit"), false));
        let other = |address: &str| EngineLocation::AnotherComputer(address.to_owned());
        for (address, info, expected) in [
            (None, &same, EngineLocation::ThisComputer),
            (None, &on(None, false), EngineLocation::ThisComputer),
            (Some("unix:///var/run/docker.sock"), &same, EngineLocation::ThisComputer),
            (Some("unix:///home/a/.docker/desktop/docker.sock"), &machine, EngineLocation::AnotherKernel),
            (Some("npipe:////./pipe/docker_engine"), &machine, EngineLocation::AnotherKernel),
            (None, &on(None, true), EngineLocation::AnotherKernel),
            (Some("tcp://127.0.0.1:2375"), &same, EngineLocation::AnotherKernel),
            (Some("ssh://core@localhost:5213/run/podman.sock"), &same, EngineLocation::AnotherKernel),
            (Some("tcp://[::1]:2375"), &same, EngineLocation::AnotherKernel),
            (Some("ssh://ana@build.test"), &same, other("ssh://build.test")),
            (Some("ssh://ana:pw@build.test:22/run/x.sock"), &same, other("ssh://build.test:22/run/x.sock")),
            (Some("tcp://192.0.2.7:2376"), &same, other("tcp://192.0.2.7:2376")),
            (Some("tcp://[2001:db8::1]:2376"), &same, other("tcp://[2001:db8::1]:2376")),
        ] {
            assert_eq!(locate(address, info, KERNEL), expected, "{address:?} {info:?}");
        }
    }
}
