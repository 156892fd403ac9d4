//! Chooses the ports of a new cluster and checks whether a port is free.

use std::io;
use std::net::{Ipv4Addr, TcpListener};
use std::time::Duration;

use super::spec::KwokPorts;
use crate::catalogue::Id;
use crate::error::{Error, Kind, Result};

/// Range of the ports. It is below the ephemeral ports of outgoing connections (Linux from 32768, macOS from 49152), so
/// that the ports of a stopped cluster are still free at the next start.
const RANGE: std::ops::Range<u16> = 20000..30000;

/// Returns free ports that are not `reserved`. The search starts at a random port, so that users of the same computer
/// rarely collide.
pub(super) fn choose(reserved: &[u16]) -> Result<KwokPorts> {
    let mut seed = [0; 2];
    getrandom::fill(&mut seed)
        .map_err(|error| Error::internal("cannot read random bytes").caused_by(error))?;
    let offset = u16::from_ne_bytes(seed) % (RANGE.end - RANGE.start);
    let from = RANGE.start + offset;
    let mut free =
        (from..RANGE.end).chain(RANGE.start..from).filter(|port| !reserved.contains(port) && is_free(*port));
    let mut ports = [0; KwokPorts::COUNT];
    for port in &mut ports {
        *port = free.next().ok_or_else(|| {
            Error::new(
                Id::ClusterCreateFailed,
                Kind::Prerequisite,
                "there are not enough free ports for a local cluster",
            )
            .fact("range", format!("127.0.0.1, {} to {}", RANGE.start, RANGE.end - 1))
        })?;
    }
    Ok(KwokPorts::from_array(ports))
}

/// Whether a server could listen on this port of 127.0.0.1.
pub(super) fn is_free(port: u16) -> bool {
    TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok()
}

/// How long a server of this computer may take to accept a connection.
const CONNECT: Duration = Duration::from_secs(1);

/// Whether a server listens on this port of 127.0.0.1. A server that is too busy to accept connections listens, too.
pub(super) async fn is_open(port: u16) -> bool {
    let connect = tokio::net::TcpStream::connect((Ipv4Addr::LOCALHOST, port));
    let connected = tokio::time::timeout(CONNECT, connect).await;
    !matches!(connected, Ok(Err(error)) if error.kind() == io::ErrorKind::ConnectionRefused)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn port_is_open_while_a_server_listens() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        assert!(is_open(port).await);
        drop(listener);
        assert!(!is_open(port).await);
    }

    #[test]
    fn busy_and_reserved_ports_are_not_chosen() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        assert!(!is_free(listener.local_addr().unwrap().port()));
        let reserved: Vec<u16> = RANGE.filter(|port| port % 2 == 0).collect();
        let ports = choose(&reserved).unwrap().to_array();
        assert!(ports.iter().all(|port| port % 2 == 1), "{ports:?}");
        assert_eq!(ports.iter().collect::<std::collections::BTreeSet<_>>().len(), KwokPorts::COUNT);
        let all: Vec<u16> = RANGE.collect();
        assert_eq!(choose(&all).unwrap_err().id(), Id::ClusterCreateFailed);
    }
}
