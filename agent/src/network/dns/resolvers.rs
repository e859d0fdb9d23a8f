//! The uplink's resolvers, as the system knows them. They may change at any time, so the files are looked at again.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use ipnet::Ipv4Net;

/// The files are looked at so often.
const LOOK_EVERY: Duration = Duration::from_secs(5);
/// As the C library: more are not asked.
const SERVERS_MAX: usize = 3;
/// Larger files are none of a resolver's.
const FILE_MAX: u64 = 64 * 1024;

/// Where they stand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Files {
    /// Of the C library: `/etc/resolv.conf`.
    pub system: PathBuf,
    /// Of systemd-resolved, with those behind its own stub: `/run/systemd/resolve/resolv.conf`.
    pub resolved: PathBuf,
}

/// The resolvers as last read.
#[derive(Debug)]
pub struct Resolvers {
    files: Files,
    subnet: Ipv4Net,
    looked: Option<Duration>,
    stamps: [Option<SystemTime>; 2],
    servers: Vec<SocketAddr>,
    is_fixed: bool,
}

impl Resolvers {
    /// Those of these files, without those of the cluster network: that may be ourselves, now or later.
    pub fn new(files: Files, subnet: Ipv4Net) -> Self {
        Self {
            files,
            subnet,
            looked: None,
            stamps: [None; 2],
            servers: Vec::new(),
            is_fixed: false,
        }
    }

    /// These and no others, whatever the system uses.
    pub fn fixed(files: Files, subnet: Ipv4Net, servers: &[IpAddr]) -> Self {
        let at_port = |address: &IpAddr| SocketAddr::new(*address, 53);
        Self {
            servers: servers.iter().map(at_port).collect(),
            is_fixed: true,
            ..Self::new(files, subnet)
        }
    }

    /// Looks at the files, if it is time; whether the resolvers are others than before.
    pub fn look(&mut self, now: Duration) -> bool {
        if self.is_fixed || self.looked.is_some_and(|at| now < at + LOOK_EVERY) {
            return false;
        }
        let first = self.looked.replace(now).is_none();
        let files = [&self.files.system, &self.files.resolved];
        let stamps = files.map(|file| file.metadata().ok()?.modified().ok());
        if stamps == self.stamps && !first {
            return false;
        }
        self.stamps = stamps;
        let [system, resolved] = files.map(|file| {
            let small = file.metadata().is_ok_and(|found| found.len() <= FILE_MAX);
            let text = small.then(|| std::fs::read_to_string(file).ok()).flatten();
            text.unwrap_or_default()
        });
        let servers = choose(&system, &resolved, self.subnet);
        let changed = servers != self.servers;
        self.servers = servers;
        changed
    }

    /// Whom to ask, best first.
    pub fn servers(&self) -> &[SocketAddr] {
        &self.servers
    }
}

/// The resolvers in the two files' texts.
fn choose(system: &str, resolved: &str, subnet: Ipv4Net) -> Vec<SocketAddr> {
    let usable = |text: &str| -> Vec<IpAddr> {
        let words = text.lines().filter_map(|line| {
            let mut words = line.split_whitespace();
            words.next().filter(|word| *word == "nameserver")?;
            // A link-local address needs its interface, which a socket address takes as a number only.
            words.next()?.parse::<IpAddr>().ok()
        });
        let strange = |address: &IpAddr| match address {
            IpAddr::V4(address) => !subnet.contains(address) && !address.is_unspecified(),
            IpAddr::V6(address) => !address.is_unspecified() && !address.is_unicast_link_local(),
        };
        words.filter(strange).collect()
    };
    let mut servers = usable(system);
    // The stub of systemd-resolved takes no part in the work but waiting.
    let stub = |address: &IpAddr| ["127.0.0.53", "127.0.0.54"].contains(&address.to_string().as_str());
    if servers.iter().all(stub) {
        let behind = usable(resolved);
        if !behind.is_empty() {
            servers = behind;
        }
    }
    servers.truncate(SERVERS_MAX);
    servers
        .into_iter()
        .map(|address| SocketAddr::new(address, 53))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn resolvers_are_those_that_the_system_uses_but_never_of_the_cluster() {
        let resolved = "# by systemd\nnameserver 10.0.0.1\nnameserver 10.0.0.2\n";
        let stub = "nameserver 127.0.0.53\noptions edns0\n";
        for (system, resolved, expected) in [
            ("nameserver 192.168.1.1\n", "", &["192.168.1.1:53"][..]),
            (
                "search a\n nameserver\t8.8.8.8 # x\nnameservers 1.1.1.1\n",
                resolved,
                &["8.8.8.8:53"],
            ),
            (stub, resolved, &["10.0.0.1:53", "10.0.0.2:53"]),
            (stub, "", &["127.0.0.53:53"]),
            ("", resolved, &["10.0.0.1:53", "10.0.0.2:53"]),
            ("nameserver 127.0.0.1\n", resolved, &["127.0.0.1:53"]),
            (
                "nameserver 192.168.200.1\nnameserver 2001:db8::1\n",
                "",
                &["[2001:db8::1]:53"],
            ),
            (
                "nameserver fe80::1%eth0\nnameserver fe80::1\nnameserver 0.0.0.0\nnameserver x\nnameserver\n",
                "",
                &[],
            ),
            (
                "nameserver 1.0.0.1\nnameserver 1.0.0.2\nnameserver 1.0.0.3\nnameserver 1.0.0.4\n",
                "",
                &["1.0.0.1:53", "1.0.0.2:53", "1.0.0.3:53"],
            ),
        ] {
            let chosen = choose(system, resolved, "192.168.200.0/24".parse().unwrap());
            assert_eq!(
                chosen.iter().map(SocketAddr::to_string).collect::<Vec<_>>(),
                expected,
                "{system}"
            );
        }
    }

    #[test]
    fn a_changed_file_is_read_again() {
        let folder = tempfile::tempdir().unwrap();
        let system = folder.path().join("resolv.conf");
        let files = Files {
            system: system.clone(),
            resolved: folder.path().join("none"),
        };
        let mut resolvers = Resolvers::new(files, "192.168.200.0/24".parse().unwrap());
        let secs = Duration::from_secs;
        assert!(!resolvers.look(secs(0)) && resolvers.servers().is_empty());
        std::fs::write(&system, "nameserver 10.0.0.1\n").unwrap();
        assert!(!resolvers.look(secs(4)), "not so soon");
        assert!(resolvers.look(secs(5)));
        assert!(!resolvers.look(secs(10)));
        assert_eq!(resolvers.servers(), ["10.0.0.1:53".parse().unwrap()]);
    }
}
