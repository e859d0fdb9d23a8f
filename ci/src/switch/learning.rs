//! Which ports a frame leaves by: a learning switch, as IEEE 802.1D clause 7 has it, without spanning tree or ageing
//! (a lab's ports never move on their own; a port that is cut forgets its addresses).

use std::collections::HashMap;

use super::frame::{Header, Mac};

/// Number of a port, from 0.
pub type Port = usize;

/// What the switch knows. Addresses are learned per VLAN, as a switch with independent learning does.
#[derive(Debug, Default)]
pub struct Table {
    seen: HashMap<(Option<u16>, Mac), Port>,
    cut: Vec<bool>,
}

impl Table {
    /// A switch of `ports` connected ports.
    pub fn new(ports: usize) -> Self {
        Self {
            seen: HashMap::new(),
            cut: vec![false; ports],
        }
    }

    /// Learns from a frame that came in by `from`, and says by which ports it leaves, in ascending order.
    pub fn decide(&mut self, from: Port, header: &Header) -> Vec<Port> {
        if self.is_cut(from) {
            return Vec::new();
        }
        if !header.source.is_group() {
            self.seen.insert((header.vlan, header.source), from);
        }
        let known = self.seen.get(&(header.vlan, header.destination)).copied();
        match known.filter(|_| !header.destination.is_group()) {
            Some(to) if to == from || self.is_cut(to) => Vec::new(),
            Some(to) => vec![to],
            None => (0..self.cut.len())
                .filter(|&to| to != from && !self.is_cut(to))
                .collect(),
        }
    }

    /// Unplugs a port, or plugs it in again.
    pub fn set_cut(&mut self, port: Port, cut: bool) {
        if let Some(state) = self.cut.get_mut(port) {
            *state = cut;
        }
        self.seen.retain(|_, at| *at != port);
    }

    /// Whether a port is unplugged (also true of a port that does not exist).
    pub fn is_cut(&self, port: Port) -> bool {
        self.cut.get(port).copied().unwrap_or(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EVERYBODY: Mac = Mac([0xff; 6]);

    fn mac(last: u8) -> Mac {
        Mac([2, 0, 0, 0, 0, last])
    }

    fn header(source: Mac, destination: Mac, vlan: Option<u16>) -> Header {
        Header {
            destination,
            source,
            vlan,
        }
    }

    #[test]
    fn floods_what_it_does_not_know_and_directs_what_it_does() {
        let mut table = Table::new(3);
        for (from, source, destination, vlan, expected) in [
            (0, mac(1), EVERYBODY, None, vec![1, 2]),
            (1, mac(2), mac(9), None, vec![0, 2]),
            (1, mac(2), mac(1), None, vec![0]),
            // The same address on another VLAN has to be learned there.
            (1, mac(2), mac(1), Some(200), vec![0, 2]),
            (0, mac(1), mac(2), Some(200), vec![1]),
            // A frame for the port that it came from stays there.
            (1, mac(3), mac(2), None, vec![]),
            // A node that was moved to another port is found there.
            (2, mac(1), EVERYBODY, None, vec![0, 1]),
            (1, mac(2), mac(1), None, vec![2]),
            // A group address is never learned as a source.
            (1, EVERYBODY, EVERYBODY, None, vec![0, 2]),
            (0, mac(4), EVERYBODY, None, vec![1, 2]),
            (7, mac(7), EVERYBODY, None, vec![]),
        ] {
            assert_eq!(
                table.decide(from, &header(source, destination, vlan)),
                expected,
                "{from} {source} {destination} {vlan:?}"
            );
        }
    }

    #[test]
    fn nothing_passes_a_cut_port() {
        let mut table = Table::new(3);
        table.decide(0, &header(mac(1), EVERYBODY, None));
        table.set_cut(0, true);
        assert_eq!(table.decide(1, &header(mac(2), mac(1), None)), [2]);
        assert_eq!(table.decide(1, &header(mac(2), EVERYBODY, None)), [2]);
        assert!(table.decide(0, &header(mac(1), EVERYBODY, None)).is_empty());
        table.set_cut(0, false);
        assert_eq!(table.decide(1, &header(mac(2), EVERYBODY, None)), [0, 2]);
    }
}
