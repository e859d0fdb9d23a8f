//! What the master knows itself: the cluster's names, their addresses and back, and the cluster's service. A pure value,
//! made anew whenever a node comes or goes.

use std::collections::HashMap;
use std::net::Ipv4Addr;

use boot_config::Domain;
use hickory_proto::ProtoError;
use hickory_proto::rr::rdata::{A, AAAA, NS, PTR, SOA, SRV, TXT};
use hickory_proto::rr::{Name, RData, Record, RecordType};
use ipnet::Ipv4Net;

use crate::network::names::{MASTER, Names};

/// For so many seconds an answer may be kept: a node that comes back with another address is found soon.
const TTL: u32 = 30;
/// For so many seconds it may be kept that there is no such name: the node may be about to start.
const NEGATIVE_TTL: u32 = 5;
/// The service: SSH, as the first Cluster Lab announced it.
const SERVICE_PORT: u16 = 22;
/// Ends of names that no resolver on the uplink is asked for (RFC 6761, 6762, 7686).
const NEVER_FORWARDED: [&str; 4] = ["localhost", "local", "invalid", "onion"];

/// What the zone is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct About {
    /// The domain.
    pub domain: Domain,
    /// The cluster network.
    pub subnet: Ipv4Net,
    /// The master's address.
    pub master: Ipv4Addr,
    /// The master's system, for the service's TXT record.
    pub os: String,
}

/// The names of one cluster network and what they lead to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Zone {
    subnet: Ipv4Net,
    origin: Name,
    server: Name,
    serial: u32,
    /// Every name that there is. One without records has others below it.
    records: HashMap<Name, Vec<Record>>,
}

/// What the zone says to a question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found<'a> {
    /// These records, and others that save another question.
    Records(Vec<Record>, Vec<&'a Record>),
    /// The name is there, but has no such record. With the start of authority, where there is one.
    NoData(Option<Record>),
    /// There is no such name.
    NoName(Option<Record>),
    /// It is somebody else's to say.
    Foreign,
}

impl Zone {
    /// The zone. `serial` grows with every change.
    ///
    /// # Errors
    /// When a name is too long for DNS, which those of a checked domain are not.
    pub fn new(about: &About, names: &Names, serial: u32) -> Result<Self, ProtoError> {
        let About {
            domain,
            subnet,
            master,
            os,
        } = about;
        let origin = Name::from_ascii(format!("{domain}."))?;
        let mut zone = Self {
            subnet: *subnet,
            server: origin.prepend_label(MASTER[0])?,
            origin: origin.clone(),
            serial,
            records: HashMap::new(),
        };
        let hosts = MASTER.into_iter().map(|name| (name, *master));
        let machines = names
            .machines
            .iter()
            .map(|(name, address)| (name.as_str(), *address));
        for (name, address) in hosts.chain(machines) {
            let full = origin.prepend_label(name)?;
            zone.add(&Name::from_ascii(format!("{name}."))?, RData::A(A(address)));
            zone.add(&full, RData::A(A(address)));
            // The first name of an address is its own.
            let reverse = Name::from(address);
            if !zone.records.contains_key(&reverse) {
                zone.add(&reverse, RData::PTR(PTR(full)));
            }
        }
        zone.add(&Name::from_ascii("localhost.")?, RData::A(A(Ipv4Addr::LOCALHOST)));
        zone.add(
            &Name::from_ascii("localhost.")?,
            RData::AAAA(AAAA(std::net::Ipv6Addr::LOCALHOST)),
        );
        zone.add(&origin, zone.start_data());
        zone.add(&origin, RData::NS(NS(zone.server.clone())));
        zone.add_service(names.leader.as_deref().unwrap_or(MASTER[0]), os)?;
        Ok(zone)
    }

    /// The cluster's service as DNS-SD (RFC 6763) and as plain SRV (RFC 2782).
    fn add_service(&mut self, own: &str, os: &str) -> Result<(), ProtoError> {
        let below = |labels: &[&str]| {
            let start = labels.iter().rev();
            start.copied().try_fold(self.origin.clone(), |name, label: &str| {
                name.prepend_label(label.as_bytes())
            })
        };
        let service = below(&["_cluster", "_tcp"])?;
        let host: String = own.chars().take(48).collect();
        let instance = service.prepend_label(format!("Cluster-Leader={host}").as_bytes())?;
        let services = below(&["_services", "_dns-sd", "_udp"])?;
        let browsing = [
            below(&["b", "_dns-sd", "_udp"])?,
            below(&["lb", "_dns-sd", "_udp"])?,
        ];
        let location = RData::SRV(SRV::new(0, 0, SERVICE_PORT, self.server.clone()));
        self.add(&service, RData::PTR(PTR(instance.clone())));
        self.add(&service, location.clone());
        self.add(&instance, location);
        let text = format!("os-release={os}");
        self.add(&instance, RData::TXT(TXT::from_bytes(vec![text.as_bytes()])));
        self.add(&services, RData::PTR(PTR(service)));
        for name in browsing {
            let origin = self.origin.clone();
            self.add(&name, RData::PTR(PTR(origin)));
        }
        Ok(())
    }

    fn add(&mut self, name: &Name, data: RData) {
        // The names above it are there, too (RFC 8020).
        let mut above = name.base_name();
        while self.origin.zone_of(&above) && above != self.origin {
            self.records.entry(above.clone()).or_default();
            above = above.base_name();
        }
        let record = Record::from_rdata(name.clone(), TTL, data);
        self.records.entry(name.clone()).or_default().push(record);
    }

    /// What there is for this name and type. `ANY` finds the first record only (RFC 8482).
    pub fn find(&self, name: &Name, kind: RecordType) -> Found<'_> {
        let reverse = self.reverse(name);
        if let Some(records) = self.records.get(name) {
            let fits = |record: &&Record| record.record_type() == kind || kind == RecordType::ANY;
            let mut found: Vec<Record> = records.iter().filter(fits).cloned().collect();
            if kind == RecordType::ANY {
                found.truncate(1);
            }
            if found.is_empty() {
                return Found::NoData(self.start(name, reverse));
            }
            let more = found.iter().flat_map(|record| self.more(record)).collect();
            return Found::Records(found, more);
        }
        match reverse {
            Some(octets) if octets.len() == self.reverse_octets() && is_clean(name, &octets) => {
                // The top of a reverse zone.
                let data = match kind {
                    RecordType::SOA | RecordType::ANY => self.start_data(),
                    RecordType::NS => RData::NS(NS(self.server.clone())),
                    _ => return Found::NoData(self.start(name, Some(octets))),
                };
                return Found::Records(vec![Record::from_rdata(name.clone(), TTL, data)], Vec::new());
            }
            Some(octets) if octets.len() < 4 && is_clean(name, &octets) => {
                return Found::NoData(self.start(name, Some(octets)));
            }
            Some(octets) => return Found::NoName(self.start(name, Some(octets))),
            None => {}
        }
        if self.origin.zone_of(name) {
            return Found::NoName(self.start(name, None));
        }
        let ends_with = |end: &str| {
            let last = name.iter().next_back().unwrap_or_default();
            last.eq_ignore_ascii_case(end.as_bytes())
        };
        // The name of a host that is not there, and not a domain of the internet.
        let host =
            name.num_labels() == 1 && matches!(kind, RecordType::A | RecordType::AAAA | RecordType::ANY);
        if host || NEVER_FORWARDED.into_iter().any(ends_with) {
            return Found::NoName(None);
        }
        Found::Foreign
    }

    /// The addresses of what a record leads to.
    fn more(&self, record: &Record) -> Vec<&Record> {
        let target = match &record.data {
            RData::SRV(service) => &service.target,
            RData::NS(server) => &server.0,
            _ => return Vec::new(),
        };
        let records = self.records.get(target).into_iter().flatten();
        records
            .filter(|record| record.record_type() == RecordType::A)
            .collect()
    }

    /// The start of authority for what is said about a name.
    fn start(&self, name: &Name, reverse: Option<Vec<u8>>) -> Option<Record> {
        let owner = match reverse {
            Some(mut octets) => {
                octets.truncate(self.reverse_octets());
                let labels = octets
                    .iter()
                    .rev()
                    .map(u8::to_string)
                    .collect::<Vec<_>>()
                    .join(".");
                Name::from_ascii(format!("{labels}.in-addr.arpa.")).ok()?
            }
            None if self.origin.zone_of(name) => self.origin.clone(),
            None => return None,
        };
        Some(Record::from_rdata(owner, NEGATIVE_TTL, self.start_data()))
    }

    fn start_data(&self) -> RData {
        let mailbox = self
            .origin
            .prepend_label("hostmaster")
            .unwrap_or_else(|_| self.origin.clone());
        RData::SOA(SOA::new(
            self.server.clone(),
            mailbox,
            self.serial,
            300,
            60,
            3600,
            NEGATIVE_TTL,
        ))
    }

    /// How many octets the name of a reverse zone has. A network shorter than /24 has several zones; one longer has a
    /// part of one.
    fn reverse_octets(&self) -> usize {
        usize::from(self.subnet.prefix_len().div_ceil(8).clamp(1, 3))
    }

    /// The octets of a reverse name, most significant first, when all addresses that they stand for are the cluster's.
    fn reverse(&self, name: &Name) -> Option<Vec<u8>> {
        let mut labels = name.iter().rev();
        for expected in ["arpa", "in-addr"] {
            if !labels.next()?.eq_ignore_ascii_case(expected.as_bytes()) {
                return None;
            }
        }
        let octets: Vec<u8> = labels.take(4).map_while(octet).collect();
        let mut address = [0; 4];
        address
            .iter_mut()
            .zip(&octets)
            .for_each(|(place, octet)| *place = *octet);
        let covered = Ipv4Net::new(address.into(), u8::try_from(octets.len() * 8).ok()?).ok()?;
        self.subnet.contains(&covered).then_some(octets)
    }
}

/// A label as it stands in a reverse name: decimal, without leading zeros.
fn octet(label: &[u8]) -> Option<u8> {
    let text = std::str::from_utf8(label).ok()?;
    text.parse::<u8>().ok().filter(|octet| octet.to_string() == text)
}

/// Whether a reverse name has nothing but these octets.
fn is_clean(name: &Name, octets: &[u8]) -> bool {
    usize::from(name.num_labels()) == octets.len() + 2
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(in super::super) fn zone(subnet: &str) -> Zone {
        let about = About {
            domain: "cluster.internal".parse().unwrap(),
            subnet: subnet.parse().unwrap(),
            master: Ipv4Addr::new(192, 168, 200, 1),
            os: "debian".to_owned(),
        };
        let n2 = ("n2".parse().ok(), Ipv4Addr::new(192, 168, 200, 20));
        let n1 = ("n1".parse().unwrap(), Ipv4Addr::new(192, 168, 200, 9));
        Zone::new(&about, &Names::new(Some(n1), [n2]), 9).unwrap()
    }

    /// What is found, as a zone file has it.
    fn found(zone: &Zone, name: &str, kind: &str) -> Vec<String> {
        let labels = name.split('.').filter(|label| !label.is_empty());
        let labels = labels.map(|label| label.replace('\\', "").into_bytes());
        let mut name = Name::from_labels(labels.collect::<Vec<_>>().iter().map(Vec::as_slice)).unwrap();
        name.set_fqdn(true);
        let line = |record: &Record| format!("{} {} {}", record.name, record.record_type(), record.data);
        match zone.find(&name, kind.parse().unwrap()) {
            Found::Records(records, more) => records.iter().chain(more).map(line).collect(),
            Found::NoData(start) => vec![format!(
                "no data {}",
                start.map_or_else(String::new, |r| r.name.to_string())
            )],
            Found::NoName(start) => vec![format!(
                "no name {}",
                start.map_or_else(String::new, |r| r.name.to_string())
            )],
            Found::Foreign => vec!["foreign".to_owned()],
        }
    }

    #[test]
    fn names_lead_to_addresses_and_addresses_to_names() {
        let zone = zone("192.168.200.0/24");
        let start = "SOA master.cluster.internal. hostmaster.cluster.internal. 9 300 60 3600 5";
        for (name, kind, expected) in [
            ("n2.", "A", vec!["n2. A 192.168.200.20"]),
            (
                "N2.Cluster.Internal.",
                "A",
                vec!["n2.cluster.internal. A 192.168.200.20"],
            ),
            ("n1.", "A", vec!["n1. A 192.168.200.9"]),
            (
                "master.cluster.internal.",
                "A",
                vec!["master.cluster.internal. A 192.168.200.1"],
            ),
            ("cl-master.", "A", vec!["cl-master. A 192.168.200.1"]),
            (
                "n2.cluster.internal.",
                "ANY",
                vec!["n2.cluster.internal. A 192.168.200.20"],
            ),
            (
                "20.200.168.192.in-addr.arpa.",
                "PTR",
                vec!["20.200.168.192.in-addr.arpa. PTR n2.cluster.internal."],
            ),
            (
                "1.200.168.192.in-addr.arpa.",
                "PTR",
                vec!["1.200.168.192.in-addr.arpa. PTR master.cluster.internal."],
            ),
            ("localhost.", "A", vec!["localhost. A 127.0.0.1"]),
            (
                "cluster.internal.",
                "SOA",
                vec![&*format!("cluster.internal. {start}")],
            ),
            (
                "cluster.internal.",
                "NS",
                vec![
                    "cluster.internal. NS master.cluster.internal.",
                    "master.cluster.internal. A 192.168.200.1",
                ],
            ),
            (
                "200.168.192.in-addr.arpa.",
                "SOA",
                vec![&*format!("200.168.192.in-addr.arpa. {start}")],
            ),
            (
                "200.168.192.in-addr.arpa.",
                "NS",
                vec!["200.168.192.in-addr.arpa. NS master.cluster.internal."],
            ),
        ] {
            assert_eq!(found(&zone, name, kind), expected, "{name} {kind}");
        }
    }

    #[test]
    fn the_cluster_is_found_as_a_service() {
        let zone = zone("192.168.200.0/24");
        let instance = "Cluster-Leader\\=n1._cluster._tcp.cluster.internal.";
        let address = "master.cluster.internal. A 192.168.200.1";
        for (name, kind, expected) in [
            (
                "_cluster._tcp.cluster.internal.",
                "PTR",
                vec![format!("_cluster._tcp.cluster.internal. PTR {instance}")],
            ),
            (
                "_cluster._tcp.cluster.internal.",
                "SRV",
                vec![
                    "_cluster._tcp.cluster.internal. SRV 0 0 22 master.cluster.internal.".to_owned(),
                    address.to_owned(),
                ],
            ),
            (
                instance,
                "SRV",
                vec![
                    format!("{instance} SRV 0 0 22 master.cluster.internal."),
                    address.to_owned(),
                ],
            ),
            (instance, "TXT", vec![format!("{instance} TXT os-release=debian")]),
            (
                "b._dns-sd._udp.cluster.internal.",
                "PTR",
                vec!["b._dns-sd._udp.cluster.internal. PTR cluster.internal.".to_owned()],
            ),
        ] {
            assert_eq!(found(&zone, name, kind), expected, "{name} {kind}");
        }
    }

    #[test]
    fn what_is_not_there_is_said_by_who_may_say_it() {
        let zone = zone("192.168.200.0/24");
        for (name, kind, expected) in [
            ("n2.cluster.internal.", "AAAA", "no data cluster.internal."),
            ("n2.", "AAAA", "no data "),
            ("_tcp.cluster.internal.", "A", "no data cluster.internal."),
            ("nobody.cluster.internal.", "A", "no name cluster.internal."),
            ("x.n2.cluster.internal.", "A", "no name cluster.internal."),
            ("nobody.", "A", "no name "),
            ("nobody.", "MX", "foreign"),
            ("printer.local.", "A", "no name "),
            ("x.localhost.", "A", "no name "),
            (
                "99.200.168.192.in-addr.arpa.",
                "PTR",
                "no name 200.168.192.in-addr.arpa.",
            ),
            (
                "x.20.200.168.192.in-addr.arpa.",
                "PTR",
                "no name 200.168.192.in-addr.arpa.",
            ),
            (
                "099.200.168.192.in-addr.arpa.",
                "PTR",
                "no name 200.168.192.in-addr.arpa.",
            ),
            (
                "20.200.168.192.in-addr.arpa.",
                "A",
                "no data 200.168.192.in-addr.arpa.",
            ),
            ("1.1.168.192.in-addr.arpa.", "PTR", "foreign"),
            ("168.192.in-addr.arpa.", "SOA", "foreign"),
            ("internal.", "SOA", "foreign"),
            ("notcluster.internal.", "A", "foreign"),
            ("example.org.", "A", "foreign"),
            (".", "NS", "foreign"),
        ] {
            assert_eq!(found(&zone, name, kind), [expected], "{name} {kind}");
        }
    }

    #[test]
    fn networks_of_other_sizes_have_the_reverse_zones_that_fit() {
        for (subnet, name, expected) in [
            (
                "192.168.200.0/22",
                "9.203.168.192.in-addr.arpa.",
                "no name 203.168.192.in-addr.arpa.",
            ),
            ("192.168.200.0/22", "9.204.168.192.in-addr.arpa.", "foreign"),
            (
                "192.168.0.0/16",
                "9.1.168.192.in-addr.arpa.",
                "no name 168.192.in-addr.arpa.",
            ),
            (
                "192.168.0.0/16",
                "1.168.192.in-addr.arpa.",
                "no data 168.192.in-addr.arpa.",
            ),
            (
                "192.168.200.0/25",
                "99.200.168.192.in-addr.arpa.",
                "no name 200.168.192.in-addr.arpa.",
            ),
            ("192.168.200.0/25", "200.200.168.192.in-addr.arpa.", "foreign"),
            ("192.168.200.0/25", "200.168.192.in-addr.arpa.", "foreign"),
        ] {
            assert_eq!(found(&zone(subnet), name, "PTR"), [expected], "{subnet} {name}");
        }
    }
}
