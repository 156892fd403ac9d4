//! Whether ports of this computer are free, and who has them.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

use super::host_checks::Port;

/// How long a connection to this computer may take.
const CONNECT: Duration = Duration::from_millis(100);

/// How a port is.
pub(super) fn look(address: IpAddr, port: u16) -> Port {
    let Err(error) = TcpListener::bind((address, port)) else { return Port::Free };
    match error.kind() {
        io::ErrorKind::AddrInUse => Port::Busy { by: holder(port) },
        io::ErrorKind::AddrNotAvailable => Port::NoSuchAddress,
        // The engine may listen where this user may not; then only a connection tells.
        _ if answers(address, port) => Port::Busy { by: holder(port) },
        _ => Port::Free,
    }
}

fn answers(address: IpAddr, port: u16) -> bool {
    let address = match address {
        IpAddr::V4(Ipv4Addr::UNSPECIFIED) => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(Ipv6Addr::UNSPECIFIED) => IpAddr::V6(Ipv6Addr::LOCALHOST),
        other => other,
    };
    TcpStream::connect_timeout(&SocketAddr::new(address, port), CONNECT).is_ok()
}

/// `nginx (pid 812)`, where the system tells this user.
#[cfg(target_os = "linux")]
fn holder(port: u16) -> Option<String> {
    let sockets = super::sockets::listening(
        &["/proc/net/tcp", "/proc/net/tcp6"].map(|file| std::fs::read_to_string(file).unwrap_or_default()),
        port,
    );
    let processes = std::fs::read_dir("/proc").ok()?.flatten();
    processes
        .filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok())
        .find(|pid| has_one_of(*pid, &sockets))
        .map(|pid| {
            let name = std::fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
            format!("{} (pid {pid})", name.trim())
        })
}

#[cfg(target_os = "linux")]
fn has_one_of(pid: u32, sockets: &[String]) -> bool {
    let files = std::fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten();
    files.filter_map(|file| std::fs::read_link(file.path()).ok()).any(|target| {
        target
            .to_str()
            .is_some_and(|target| sockets.iter().any(|socket| target == format!("socket:[{socket}]")))
    })
}

/// Other systems are asked with `lsof` by whoever reads the finding.
#[cfg(not(target_os = "linux"))]
fn holder(_: u16) -> Option<String> {
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_is_free_busy_or_on_no_address_of_this_computer() {
        let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = taken.local_addr().unwrap().port();
        let loopback = IpAddr::V4(Ipv4Addr::LOCALHOST);
        let busy = look(loopback, port);
        #[cfg(target_os = "linux")]
        assert!(
            matches!(&busy, Port::Busy { by: Some(by) } if by.ends_with(&format!("(pid {})", std::process::id()))),
            "{busy:?}"
        );
        assert!(matches!(look(IpAddr::V4(Ipv4Addr::UNSPECIFIED), port), Port::Busy { .. }), "{busy:?}");
        drop(taken);
        assert_eq!(look(loopback, port), Port::Free);
        assert_eq!(look("192.0.2.1".parse().unwrap(), port), Port::NoSuchAddress);
    }
}
