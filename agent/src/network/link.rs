//! Which interface the cluster network is on, and what it lacks: decisions over what netlink and /sys show, pure.
//!
//! The uplink stays the operating system's business: of the wired interface only "up" is set, and on an untagged
//! network only addresses of the cluster's own subnet are touched.

use std::net::Ipv4Addr;

use boot_config::{InterfacePattern, Vlan};
use ipnet::Ipv4Net;

use super::mac::Mac;

/// Longest interface name: IFNAMSIZ less its NUL.
const NAME_MAX: usize = 15;

/// An interface as observed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    /// Kernel index.
    pub index: u32,
    /// Name.
    pub name: String,
    /// Hardware address, of Ethernet links only.
    pub mac: Option<Mac>,
    /// Whether a device stands behind it and it is no Wi-Fi.
    pub wired: bool,
    /// Kind of a virtual link, such as `vlan`, `veth`, `bridge`.
    pub kind: Option<String>,
    /// Whether it is part of a bridge or bond.
    pub enslaved: bool,
    /// Set up by an administrator.
    pub up: bool,
    /// There is a cable with something at its other end.
    pub carrier: bool,
    /// Parent's index and identifier, of VLAN links only.
    pub vlan: Option<(u32, u16)>,
}

/// What is to be done to links.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Set the link up.
    SetUp(u32),
    /// Make a VLAN link.
    CreateVlan {
        /// Its name.
        name: String,
        /// Index of the wired interface.
        parent: u32,
        /// VLAN identifier.
        id: u16,
    },
    /// Remove a link.
    Delete(u32),
}

/// The interface of the cluster network, ready for use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Interface {
    /// Kernel index.
    pub index: u32,
    /// Name.
    pub name: String,
    /// Hardware address.
    pub mac: Mac,
}

/// What to do next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Plan {
    /// Nothing: it can be used.
    Ready(Interface),
    /// Do this and look again.
    Change(Action),
    /// Nothing can be done but wait, for this.
    Wait(String),
}

/// Decides the next step towards a usable interface. `current` is the index of the one in use.
pub fn plan(links: &[Link], pattern: Option<&InterfacePattern>, vlan: Vlan, current: Option<u32>) -> Plan {
    let Some(parent) = wired(links, pattern, current) else {
        return Plan::Wait(match pattern {
            Some(pattern) => format!("an interface named {}", pattern.as_str()),
            None => "a wired network interface".to_owned(),
        });
    };
    if !parent.up {
        return Plan::Change(Action::SetUp(parent.index));
    }
    let cluster = match vlan {
        Vlan::Off => parent,
        Vlan::Id(id) => match vlan_link(links, parent, id.get()) {
            Ok(link) => link,
            Err(plan) => return plan,
        },
    };
    if !cluster.up {
        return Plan::Change(Action::SetUp(cluster.index));
    }
    match cluster.mac {
        Some(mac) if parent.carrier && cluster.carrier => Plan::Ready(Interface {
            index: cluster.index,
            name: cluster.name.clone(),
            mac,
        }),
        _ => Plan::Wait(format!("a cable with a link in {}", parent.name)),
    }
}

/// The wired interface: one that the pattern names, else one with a device; among several one with carrier, then the
/// one in use (a second cable plugged in later changes nothing), then the first by name.
fn wired<'a>(
    links: &'a [Link],
    pattern: Option<&InterfacePattern>,
    current: Option<u32>,
) -> Option<&'a Link> {
    let vlan_of = |index| links.iter().find(|link| link.index == index)?.vlan;
    let used = current.map(|index| vlan_of(index).map_or(index, |(parent, _)| parent));
    let eligible = |link: &&Link| {
        let ethernet = link.mac.is_some() && !link.enslaved && link.vlan.is_none();
        ethernet
            && pattern.map_or(link.wired && link.kind.is_none(), |pattern| {
                pattern.matches(&link.name)
            })
    };
    links
        .iter()
        .filter(eligible)
        .min_by_key(|link| (!link.carrier, Some(link.index) != used, &link.name))
}

fn vlan_link<'a>(links: &'a [Link], parent: &Link, id: u16) -> Result<&'a Link, Plan> {
    // The kernel allows one link per parent and identifier; under whatever name it is, it is the one.
    if let Some(link) = links.iter().find(|link| link.vlan == Some((parent.index, id))) {
        return Ok(link);
    }
    let name = vlan_name(&parent.name, id);
    match links.iter().find(|link| link.name == name) {
        None => Err(Plan::Change(Action::CreateVlan {
            name,
            parent: parent.index,
            id,
        })),
        // Left over from a parent or identifier that has changed.
        Some(other) if other.vlan.is_some() => Err(Plan::Change(Action::Delete(other.index))),
        Some(_) => Err(Plan::Wait(format!(
            "the interface name {name}, which something else has: rename or remove it"
        ))),
    }
}

/// `eth0.200`. A name that would be too long loses the start of the parent's: its end, mostly the end of a hardware
/// address, tells it apart, and `*.200` matches all.
pub fn vlan_name(parent: &str, id: u16) -> String {
    let suffix = format!(".{id}");
    let surplus = (parent.len() + suffix.len()).saturating_sub(NAME_MAX);
    // Interface names are bytes; a cut inside a character moves on to its end.
    let start = (surplus..=parent.len())
        .find(|at| parent.is_char_boundary(*at))
        .unwrap_or(parent.len());
    format!("{}{suffix}", &parent[start..])
}

/// The addresses that the cluster's interface should have: the node's own with the subnet's prefix, and the master's as
/// a host address. In one subnet the kernel would make the one added later secondary, and remove it with the first.
pub fn wanted_addresses(subnet: Ipv4Net, own: Option<Ipv4Addr>, master: Option<Ipv4Addr>) -> Vec<Ipv4Net> {
    let own = own.and_then(|address| Ipv4Net::new(address, subnet.prefix_len()).ok());
    own.into_iter().chain(master.map(Ipv4Net::from)).collect()
}

/// Which addresses to remove from the cluster's interface and which to add. On a VLAN all others go; untagged, only
/// others of the cluster's subnet.
pub fn address_plan(
    vlan: Vlan,
    subnet: Ipv4Net,
    held: &[Ipv4Net],
    wanted: &[Ipv4Net],
) -> (Vec<Ipv4Net>, Vec<Ipv4Net>) {
    let ours = |net: &&Ipv4Net| vlan != Vlan::Off || subnet.contains(&net.addr());
    let surplus = held.iter().filter(ours).filter(|net| !wanted.contains(net));
    let missing = wanted.iter().filter(|net| !held.contains(net));
    (surplus.copied().collect(), missing.copied().collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn link(index: u32, name: &str) -> Link {
        Link {
            index,
            name: name.to_owned(),
            mac: Some(Mac::from([2, 0, 0, 0, 0, index as u8])),
            wired: true,
            kind: None,
            enslaved: false,
            up: true,
            carrier: true,
            vlan: None,
        }
    }

    fn vlan(index: u32, name: &str, parent: u32, id: u16) -> Link {
        Link {
            wired: false,
            kind: Some("vlan".to_owned()),
            vlan: Some((parent, id)),
            ..link(index, name)
        }
    }

    fn tagged() -> Vlan {
        Vlan::Id(200.try_into().unwrap())
    }

    fn step(links: &[Link]) -> Plan {
        plan(links, None, tagged(), None)
    }

    #[test]
    fn the_vlan_is_made_on_the_wired_interface_whatever_its_name() {
        let loopback = Link {
            mac: None,
            ..link(1, "lo")
        };
        let wifi = Link {
            wired: false,
            ..link(2, "wlan0")
        };
        let bridge = Link {
            wired: false,
            kind: Some("bridge".to_owned()),
            ..link(3, "docker0")
        };
        let veth = Link {
            wired: false,
            kind: Some("veth".to_owned()),
            ..link(4, "veth12")
        };
        for (name, expected) in [
            ("eth0", "eth0.200"),
            ("end0", "end0.200"),
            ("enxb827eb000001", "827eb000001.200"),
        ] {
            let links = [
                loopback.clone(),
                wifi.clone(),
                bridge.clone(),
                veth.clone(),
                link(5, name),
            ];
            let create = Action::CreateVlan {
                name: expected.to_owned(),
                parent: 5,
                id: 200,
            };
            assert_eq!(step(&links), Plan::Change(create));
        }
    }

    #[test]
    fn step_by_step_it_becomes_ready() {
        let down = Link {
            up: false,
            carrier: false,
            ..link(2, "eth0")
        };
        assert_eq!(step(std::slice::from_ref(&down)), Plan::Change(Action::SetUp(2)));
        let made = Link {
            up: false,
            ..vlan(3, "eth0.200", 2, 200)
        };
        assert_eq!(step(&[link(2, "eth0"), made]), Plan::Change(Action::SetUp(3)));
        let expected = Interface {
            index: 3,
            name: "eth0.200".to_owned(),
            mac: Mac::from([2, 0, 0, 0, 0, 3]),
        };
        assert_eq!(
            step(&[link(2, "eth0"), vlan(3, "eth0.200", 2, 200)]),
            Plan::Ready(expected)
        );
    }

    #[test]
    fn what_it_waits_for_is_said() {
        for (links, expected) in [
            (vec![], "a wired network interface"),
            (
                vec![Link {
                    enslaved: true,
                    ..link(2, "eth0")
                }],
                "a wired network interface",
            ),
            (
                vec![
                    Link {
                        carrier: false,
                        ..link(2, "eth0")
                    },
                    vlan(3, "eth0.200", 2, 200),
                ],
                "a cable with a link in eth0",
            ),
            (
                vec![
                    link(2, "eth0"),
                    Link {
                        kind: Some("dummy".to_owned()),
                        wired: false,
                        ..link(3, "eth0.200")
                    },
                ],
                "the interface name eth0.200, which something else has: rename or remove it",
            ),
        ] {
            assert_eq!(step(&links), Plan::Wait(expected.to_owned()));
        }
        let pattern = "en*".parse().unwrap();
        assert_eq!(
            plan(&[link(2, "eth0")], Some(&pattern), tagged(), None),
            Plan::Wait("an interface named en*".to_owned())
        );
    }

    #[test]
    fn an_existing_vlan_is_used_under_any_name_and_a_stale_one_removed() {
        let ready = step(&[link(2, "eth0"), vlan(9, "cluster", 2, 200)]);
        assert!(
            matches!(ready, Plan::Ready(Interface { index: 9, .. })),
            "{ready:?}"
        );
        let stale = step(&[link(2, "eth0"), vlan(9, "eth0.200", 2, 100)]);
        assert_eq!(stale, Plan::Change(Action::Delete(9)));
    }

    #[test]
    fn an_interface_with_a_cable_is_preferred_and_a_pattern_may_name_any_ethernet() {
        let dead = Link {
            carrier: false,
            ..link(2, "eth0")
        };
        assert_eq!(
            wired(&[dead, link(3, "eth1")], None, None).map(|link| link.index),
            Some(3)
        );
        let veth = Link {
            wired: false,
            kind: Some("veth".to_owned()),
            ..link(4, "cl0")
        };
        let pattern = "cl*".parse().unwrap();
        let ready = plan(&[link(3, "eth1"), veth], Some(&pattern), Vlan::Off, None);
        assert!(
            matches!(ready, Plan::Ready(Interface { index: 4, .. })),
            "{ready:?}"
        );
        let pattern = "eth*".parse().unwrap();
        let links = [vlan(2, "eth0.200", 3, 200), link(3, "eth0")];
        assert_eq!(
            wired(&links, Some(&pattern), None).map(|link| link.index),
            Some(3),
            "never a VLAN of its own"
        );
    }

    #[test]
    fn a_second_cable_plugged_in_later_does_not_move_the_cluster() {
        let links = [link(2, "eth0"), link(3, "eth1"), vlan(4, "eth1.200", 3, 200)];
        let used = |current| wired(&links, None, current).map(|link| link.index);
        assert_eq!(used(None), Some(2));
        assert_eq!(used(Some(4)), Some(3), "by its VLAN");
        assert_eq!(used(Some(3)), Some(3), "untagged");
        assert_eq!(used(Some(9)), Some(2), "gone");
        let mut cut = links.clone();
        cut[1].carrier = false;
        assert_eq!(
            wired(&cut, None, Some(4)).map(|link| link.index),
            Some(2),
            "a cable moved to the other socket"
        );
    }

    #[test]
    fn names_fit_the_kernel() {
        for (parent, id, expected) in [
            ("eth0", 1, "eth0.1"),
            ("enxb827eb000001", 4094, "27eb000001.4094"),
            ("0123456789a", 200, "0123456789a.200"),
            ("0123456789ab", 200, "123456789ab.200"),
            ("ääääääää", 200, "äääää.200"),
        ] {
            let name = vlan_name(parent, id);
            assert_eq!(name, expected);
            assert!(name.len() <= NAME_MAX);
        }
    }

    #[test]
    fn a_vlan_keeps_the_wanted_addresses_and_an_untagged_interface_all_foreign_ones() {
        let net = |text: &str| text.parse::<Ipv4Net>().unwrap();
        let subnet = net("192.168.200.0/24");
        let (home, local, own) = (
            net("192.168.1.7/24"),
            net("169.254.3.4/16"),
            net("192.168.200.20/24"),
        );
        let (master, other) = (net("192.168.200.1/32"), net("192.168.200.1/24"));
        let of = |own: Option<Ipv4Net>, master: Option<Ipv4Net>| {
            wanted_addresses(subnet, own.map(|net| net.addr()), master.map(|net| net.addr()))
        };
        let both = of(Some(own), Some(master));
        assert_eq!(both, [own, master]);
        for (vlan, held, wanted, surplus, added) in [
            (tagged(), vec![local, own], &both, vec![local], vec![master]),
            (tagged(), vec![own, master], &both, vec![], vec![]),
            (tagged(), vec![other], &both, vec![other], vec![own, master]),
            (
                tagged(),
                vec![own, master],
                &of(Some(own), None),
                vec![master],
                vec![],
            ),
            (tagged(), vec![own], &of(None, None), vec![own], vec![]),
            (
                Vlan::Off,
                vec![home, local, own],
                &of(None, Some(master)),
                vec![own],
                vec![master],
            ),
            (Vlan::Off, vec![home, local], &of(None, None), vec![], vec![]),
        ] {
            assert_eq!(address_plan(vlan, subnet, &held, wanted), (surplus, added));
        }
    }
}
