//! Checks whether a port of this computer is free, and finds the process that uses it.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

use super::host_checks::Port;

/// Timeout of a connection to this computer.
const CONNECT: Duration = Duration::from_millis(100);

/// Returns the state of a port.
pub(super) fn check(address: IpAddr, port: u16) -> Port {
    let Err(error) = TcpListener::bind((address, port)) else { return Port::Free };
    match error.kind() {
        io::ErrorKind::AddrInUse => Port::Busy { by: holder(port), cluster: None },
        io::ErrorKind::AddrNotAvailable => Port::NoSuchAddress,
        // This user may not listen on the port, but the engine may: a connection shows whether a process listens.
        _ if accepts_connections(address, port) => Port::Busy { by: holder(port), cluster: None },
        _ => Port::Free,
    }
}

/// Returns a port of 127.0.0.1 that was free a moment ago, chosen by the kernel, as kind does.
pub(super) fn free() -> io::Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port())
}

fn accepts_connections(address: IpAddr, port: u16) -> bool {
    let address = match address {
        IpAddr::V4(Ipv4Addr::UNSPECIFIED) => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(Ipv6Addr::UNSPECIFIED) => IpAddr::V6(Ipv6Addr::LOCALHOST),
        other => other,
    };
    TcpStream::connect_timeout(&SocketAddr::new(address, port), CONNECT).is_ok()
}

/// Returns `nginx (pid 812)`, if this user is permitted to read it.
#[cfg(target_os = "linux")]
fn holder(port: u16) -> Option<String> {
    let sockets = super::sockets::listening(
        &["/proc/net/tcp", "/proc/net/tcp6"].map(|file| std::fs::read_to_string(file).unwrap_or_default()),
        port,
    );
    let processes = std::fs::read_dir("/proc").ok()?.flatten();
    processes
        .filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok())
        .find(|pid| has_open_socket(*pid, &sockets))
        .map(|pid| {
            let name = std::fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
            format!("{} (pid {pid})", name.trim())
        })
}

#[cfg(target_os = "linux")]
fn has_open_socket(pid: u32, sockets: &[String]) -> bool {
    let files = std::fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten();
    files.filter_map(|file| std::fs::read_link(file.path()).ok()).any(|target| {
        target
            .to_str()
            .is_some_and(|target| sockets.iter().any(|socket| target == format!("socket:[{socket}]")))
    })
}

/// Not implemented on other systems: there the user can run `lsof`.
#[cfg(not(target_os = "linux"))]
fn holder(_: u16) -> Option<String> {
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn port_is_free_busy_or_without_address() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let loopback = IpAddr::V4(Ipv4Addr::LOCALHOST);
        let busy = check(loopback, port);
        #[cfg(target_os = "linux")]
        assert!(
            matches!(&busy, Port::Busy { by: Some(by), .. } if by.ends_with(&format!("(pid {})", std::process::id()))),
            "{busy:?}"
        );
        assert!(matches!(check(IpAddr::V4(Ipv4Addr::UNSPECIFIED), port), Port::Busy { .. }), "{busy:?}");
        drop(listener);
        assert_eq!(check(loopback, port), Port::Free);
        assert_eq!(check("192.0.2.1".parse().unwrap(), port), Port::NoSuchAddress);
    }
}
