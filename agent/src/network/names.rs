//! Which name leads to which address on the cluster network: pure, and the same on the master, which answers DNS
//! queries from it, and on every node, which writes it into its hosts file.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;

use boot_config::Hostname;

/// Names of the master's address, whoever is master. The second is that of the first Cluster Lab's documents.
pub const MASTER: [&str; 2] = ["master", "cl-master"];
/// Names that no machine is given: those that every system has for itself, and those by which browsers and Windows find
/// a proxy or a tunnel without being asked (<https://www.kb.cert.org/vuls/id/598349>).
const LOCAL: [&str; 4] = ["localhost", "ip6-localhost", "wpad", "isatap"];
/// Longest label of DNS.
const LABEL_MAX: usize = 63;

/// The names of the machines on a cluster network, in lower case. None is there twice, and none is one of [`MASTER`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Names {
    /// Names and their addresses: the machine that is master first, then the others in the order in which they were given.
    pub machines: Vec<(String, Ipv4Addr)>,
    /// The name of the machine that is master, if it has one of its own.
    pub leader: Option<String>,
    /// A line for each one that is not known by the name that it told.
    pub clashes: Vec<String>,
}

impl Names {
    /// Gives out the names. The machine that is master keeps its own; of several others with one name the first keeps it
    /// and the rest get a number.
    pub fn new(
        leader: Option<(Hostname, Ipv4Addr)>,
        others: impl IntoIterator<Item = (Option<Hostname>, Ipv4Addr)>,
    ) -> Self {
        let reserved = [&MASTER[..], &LOCAL].concat();
        let leader = leader
            .map(|(name, address)| (name.as_str().to_owned(), address))
            .filter(|(name, _)| !reserved.contains(&name.as_str()));
        let mut taken: BTreeSet<String> = reserved.iter().map(|&name| name.to_owned()).collect();
        // Where the numbers of a name go on: a hundred cards of one name would try all of them anew for each.
        let mut next: BTreeMap<String, u32> = BTreeMap::new();
        taken.extend(leader.iter().map(|(name, _)| name.clone()));
        // First everybody who can have the name told: nobody loses it to a number that somebody else got.
        let mut given: Vec<(String, bool, Ipv4Addr)> = others
            .into_iter()
            .filter_map(|(name, address)| Some((name?.as_str().to_owned(), address)))
            .map(|(name, address)| (name.clone(), taken.insert(name), address))
            .collect();
        let mut clashes = Vec::new();
        for (name, own, address) in given.iter_mut().filter(|(_, own, _)| !own) {
            let next = next.entry(name.clone()).or_insert(2);
            let mut numbered = (*next..).map(|number| (number, with_number(name, number)));
            // Ends: there are more numbers than names taken.
            if let Some((number, free)) = numbered.find(|(_, name)| taken.insert(name.clone())) {
                *next = number + 1;
                let why = if reserved.contains(&name.as_str()) {
                    format!("no node can be called {name}")
                } else {
                    format!("two nodes are called {name}")
                };
                clashes.push(format!(
                    "{why}: {address} is known as {free}; give each card a hostname of its own"
                ));
                (*name, *own) = (free, true);
            }
        }
        let others = given.into_iter().map(|(name, _, address)| (name, address));
        Self {
            leader: leader.as_ref().map(|(name, _)| name.clone()),
            machines: leader.into_iter().chain(others).collect(),
            clashes,
        }
    }
}

fn with_number(name: &str, number: u32) -> String {
    let end = format!("-{number}");
    let start: String = name.chars().take(LABEL_MAX - end.len()).collect();
    start + &end
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(leader: &str, others: &[(&str, u8)]) -> Names {
        let address = |last| Ipv4Addr::new(192, 168, 200, last);
        let leader = leader.parse().ok().map(|name| (name, address(9)));
        Names::new(
            leader,
            others
                .iter()
                .map(|(name, last)| (name.parse().ok(), address(*last))),
        )
    }

    fn shown(names: &Names) -> Vec<String> {
        let show = |(name, address): &(String, Ipv4Addr)| format!("{name}={}", address.octets()[3]);
        names.machines.iter().map(show).collect()
    }

    #[test]
    fn everybody_has_a_name_of_its_own() {
        for (leader, others, expected) in [
            (
                "N1",
                &[("N2", 20), ("n3", 21)][..],
                &["n1=9", "n2=20", "n3=21"][..],
            ),
            (
                "n1",
                &[("n1", 20), ("master", 21)],
                &["n1=9", "n1-2=20", "master-2=21"],
            ),
            ("", &[("localhost", 20), ("", 21)], &["localhost-2=20"]),
            (
                "m",
                &[("a", 20), ("a", 21), ("a-2", 22), ("A", 23)],
                &["m=9", "a=20", "a-3=21", "a-2=22", "a-4=23"],
            ),
            ("cl-master", &[("n2", 20)], &["n2=20"]),
            ("localhost", &[], &[]),
        ] {
            assert_eq!(shown(&names(leader, others)), expected, "{others:?}");
        }
        let long = "x".repeat(63);
        let both = names("m", &[(&long, 20), (&long, 21)]);
        assert_eq!(both.machines[2].0, format!("{}-2", "x".repeat(61)));
    }

    #[test]
    fn who_is_renamed_is_told_of() {
        assert_eq!(
            names("n1", &[("n1", 20)]).clashes,
            [
                "two nodes are called n1: 192.168.200.20 is known as n1-2; give each card a hostname of its own"
            ]
        );
        assert_eq!(
            names("n1", &[("wpad", 20)]).clashes,
            [
                "no node can be called wpad: 192.168.200.20 is known as wpad-2; give each card a hostname of its own"
            ]
        );
        assert_eq!(names("n1", &[("n2", 20)]).clashes, [""; 0]);
    }
}
