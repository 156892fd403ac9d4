//! Ports for a new cluster, and whether an old one's are still free.

use std::net::{Ipv4Addr, TcpListener};

use super::spec::KwokPorts;
use crate::catalogue::Id;
use crate::error::{Error, Kind, Result};

/// Below what systems hand out for outgoing connections (Linux from 32768, macOS from 49152): a stopped cluster's
/// ports are still free when it is started again.
const RANGE: std::ops::Range<u16> = 20000..30000;

/// Free ports that no other cluster of ours has. The start is random so that other users of this computer rarely collide.
pub(super) fn choose(reserved: &[u16]) -> Result<KwokPorts> {
    let mut seed = [0; 2];
    getrandom::fill(&mut seed).map_err(|error| Error::internal("no random numbers").caused_by(error))?;
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

/// Whether a server could listen on the port of 127.0.0.1.
pub(super) fn is_free(port: u16) -> bool {
    TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn taken_and_reserved_ports_are_left_out() {
        let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        assert!(!is_free(taken.local_addr().unwrap().port()));
        let reserved: Vec<u16> = RANGE.filter(|port| port % 2 == 0).collect();
        let ports = choose(&reserved).unwrap().to_array();
        assert!(ports.iter().all(|port| port % 2 == 1), "{ports:?}");
        assert_eq!(ports.iter().collect::<std::collections::BTreeSet<_>>().len(), KwokPorts::COUNT);
        let all: Vec<u16> = RANGE.collect();
        assert_eq!(choose(&all).unwrap_err().id(), Id::ClusterCreateFailed);
    }
}
