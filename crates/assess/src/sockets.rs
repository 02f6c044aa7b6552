//! The kernel's tables of sockets (proc(5), `/proc/net/tcp` and its like): which of them wait for peers.

use patchyard_types::{Protocol, Socket};

/// State of a listening TCP socket, and of a UDP socket without a peer (`include/net/tcp_states.h`).
const LISTEN: &str = "0A";
const UNCONNECTED: &str = "07";

/// 127.0.0.11: there the engine itself resolves names for a container on a network of its own, on ports
/// that are others each time the container starts.
const RESOLVER: &str = "0B00007F";

/// `sl local_address rem_address st … inode`: a socket that waits for peers, and its inode.
#[must_use]
pub fn row(line: &str, protocol: Protocol) -> Option<(Socket, u64)> {
    let fields: Vec<&str> = line.split_ascii_whitespace().take(10).collect();
    let [_, local, _, state, ..] = fields[..] else { return None };
    let waits = match protocol {
        Protocol::Tcp => state == LISTEN,
        Protocol::Udp => state == UNCONNECTED,
    };
    let (address, port) = local.split_once(':').filter(|(address, _)| *address != RESOLVER)?;
    let port = u16::from_str_radix(port, 16).ok().filter(|_| waits)?;
    let inode = fields.get(9).and_then(|inode| inode.parse().ok()).unwrap_or(0);
    Some((Socket { protocol, port, loopback: is_loopback(address) }, inode))
}

/// Addresses are host-order words in hex: `0100007F` is 127.0.0.1 on a little-endian machine.
fn is_loopback(address: &str) -> bool {
    const V6: &str = "00000000000000000000000001000000";
    const MAPPED: &str = "0000000000000000FFFF0000";
    let v4 = address.strip_prefix(MAPPED).unwrap_or(address);
    address == V6 || (v4.len() == 8 && v4.ends_with("7F"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TCP: &str = "\
  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 00000000:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 4711 1 0 100 0 0 10 0
   1: 0100007F:0CEA 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 4712 1 0 100 0 0 10 0
   2: 0200A8C0:1F90 0300A8C0:C350 01 00000000:00000000 00:00000000 00000000     0        0 4713 1 0 20 4 30 10 -1
   3: 0B00007F:ACF3 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 4714 1 0 100 0 0 10 0
";

    #[test]
    fn listening_sockets_are_told_from_connections_and_from_the_engines_resolver() {
        let rows: Vec<_> = TCP.lines().skip(1).filter_map(|line| row(line, Protocol::Tcp)).collect();
        let socket = |port, loopback| Socket { protocol: Protocol::Tcp, port, loopback };
        assert_eq!(rows, [(socket(8080, false), 4711), (socket(3306, true), 4712)]);
    }

    #[test]
    fn loopback_is_known_in_every_spelling() {
        for address in ["0100007F", "00000000000000000000000001000000", "0000000000000000FFFF00000100007F"] {
            assert!(is_loopback(address), "{address}");
        }
        for address in ["00000000", "0200A8C0", "00000000000000000000000000000000", "7F"] {
            assert!(!is_loopback(address), "{address}");
        }
    }

    #[test]
    fn nonsense_is_no_socket() {
        for line in ["", "a b c", "0: xyz 0 0A", "0: 00000000:FFFFF 0 0A"] {
            assert_eq!(row(line, Protocol::Tcp), None);
        }
    }
}
