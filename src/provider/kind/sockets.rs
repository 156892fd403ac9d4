//! Finds listening sockets in the kernel's tables (<https://man7.org/linux/man-pages/man5/proc_pid_net.5.html>). Pure.

/// The state `TCP_LISTEN` in the tables.
const LISTEN: &str = "0A";

/// Returns the inodes of the sockets in these `/proc/net` tables that listen on a port.
pub(super) fn listening(tables: &[String], port: u16) -> Vec<String> {
    let port = format!(":{port:04X}");
    let row = |line: &str| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let is_listening = fields.get(1)?.ends_with(&port) && *fields.get(3)? == LISTEN;
        is_listening.then(|| fields.get(9).map(|inode| (*inode).to_owned())).flatten()
    };
    tables.iter().flat_map(|table| table.lines().skip(1)).filter_map(row).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_listening_sockets_of_the_port_are_found() {
        let table =
            "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:0050 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 4711 1 0
   1: 0100007F:0050 0100007F:9C40 01 00000000:00000000 00:00000000 00000000     0        0 4712 1 0
   2: 00000000:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 4713 1 0\n";
        assert_eq!(listening(&[table.to_owned()], 80), ["4711"]);
        assert_eq!(listening(&[table.to_owned()], 8080), ["4713"]);
        assert!(listening(&[String::new()], 80).is_empty());
    }
}
