//! Neighbours: who calls a container while it is being started need not wait longer than it takes to start.
//!
//! A container has its address some tenths of a second before it can answer. A call that comes in between has the
//! kernel ask who has that address, in vain, and ask again only a second later (`retrans_time_ms`, arp(7)): measured,
//! 0.8 s of the 1.2 s that Docker 20.10 takes to stop and start a container. Engines from 28 on have the container
//! announce itself. For the others we ask, once it runs, whose address it is (RFC 826): the answer reaches the
//! kernel too, and ends its wait. Nothing is changed, and nothing depends on it: without the right to ask, or with an
//! engine elsewhere, callers wait as they do without us.

use std::net::Ipv4Addr;
use std::os::fd::AsRawFd;

use nix::ifaddrs::{InterfaceAddress, getifaddrs};
use nix::sys::socket::{AddressFamily, LinkAddr, MsgFlags, SockFlag, SockType, SockaddrIn, sendto, socket};

use super::container::Container;
use crate::read::json::text;

/// An Ethernet frame with an ARP packet in it.
const FRAME: usize = 42;

/// Asks for every address that a container has on a bridge of this machine.
pub(super) fn ask_for(container: &Container) {
    let interfaces: Vec<InterfaceAddress> = getifaddrs().into_iter().flatten().collect();
    let endpoints = container.0["NetworkSettings"]["Networks"].as_object();
    for endpoint in endpoints.into_iter().flat_map(|endpoints| endpoints.values()) {
        let address = |key: &str| text(&endpoint[key]).parse::<Ipv4Addr>().ok();
        if let (Some(gateway), Some(wanted)) = (address("Gateway"), address("IPAddress"))
            && let Some((bridge, mac)) = bridge(&interfaces, gateway)
        {
            // Its use is time alone.
            let _ = send(bridge, &question(mac, gateway, wanted));
        }
    }
}

/// The interface of this machine that has an address, and its own hardware address.
fn bridge(interfaces: &[InterfaceAddress], gateway: Ipv4Addr) -> Option<(&LinkAddr, [u8; 6])> {
    let ip = |interface: &InterfaceAddress| interface.address.as_ref()?.as_sockaddr_in().map(SockaddrIn::ip);
    let named = interfaces.iter().find(|interface| ip(interface) == Some(gateway))?;
    let of_it = interfaces.iter().filter(|interface| interface.interface_name == named.interface_name);
    let link = of_it.filter_map(|interface| interface.address.as_ref()?.as_link_addr()).next()?;
    Some((link, link.addr()?))
}

fn send(to: &LinkAddr, frame: &[u8; FRAME]) -> nix::Result<usize> {
    // Of no protocol: it receives nothing.
    let socket = socket(AddressFamily::Packet, SockType::Raw, SockFlag::SOCK_CLOEXEC, None)?;
    sendto(socket.as_raw_fd(), frame, to, MsgFlags::MSG_DONTWAIT)
}

/// "Who has this address?", to everybody on the bridge, from the bridge itself.
fn question(mac: [u8; 6], gateway: Ipv4Addr, wanted: Ipv4Addr) -> [u8; FRAME] {
    let mut frame = [0; FRAME];
    let parts: [&[u8]; 8] = [
        &[0xff; 6],
        &mac,
        &[0x08, 0x06],                                     // ARP
        &[0x00, 0x01, 0x08, 0x00, 0x06, 0x04, 0x00, 0x01], // Ethernet, IPv4, the lengths of their addresses, a request
        &mac,
        &gateway.octets(),
        &[0; 6],
        &wanted.octets(),
    ];
    let mut at = 0;
    for part in parts {
        frame[at..at + part.len()].copy_from_slice(part);
        at += part.len();
    }
    frame
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_question_is_laid_out_as_rfc_826_has_it() {
        let frame =
            question([2, 0x42, 1, 2, 3, 4], Ipv4Addr::new(172, 17, 0, 1), Ipv4Addr::new(172, 17, 0, 9));
        let hex: String = frame.iter().map(|byte| format!("{byte:02x}")).collect();
        let (to, from, kind) = ("ffffffffffff", "024201020304", "0806");
        let (request, sender, wanted) = ("0001080006040001", "024201020304ac110001", "000000000000ac110009");
        assert_eq!(hex, [to, from, kind, request, sender, wanted].concat());
    }

    #[test]
    fn nobody_is_asked_where_no_interface_has_the_gateway() {
        let interfaces: Vec<InterfaceAddress> = getifaddrs().unwrap().collect();
        assert!(bridge(&interfaces, Ipv4Addr::new(192, 0, 2, 1)).is_none());
        let (_, mac) = bridge(&interfaces, Ipv4Addr::LOCALHOST).unwrap();
        assert_eq!(mac, [0; 6]);
    }
}
