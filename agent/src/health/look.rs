//! Looks at the node and its surroundings; everything has a time limit.

use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::path::Path;
use std::time::Duration;

use futures_util::future::join_all;
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::Seen;
use super::consul::{ConsulSeen, EVERYWHERE, MemberSeen, RAFT};
use crate::consul::members as consul_members;
use crate::docker_endpoint;
use crate::engine::docker::Engine;
use crate::engine::swarm::{Control, Swarm};
use crate::members;
use crate::network::discovery::Discovery;
use crate::paths::Paths;
use crate::status::{Role, Status};
use crate::trust::Seal;

const PATIENCE: Duration = Duration::from_secs(4);
/// Answers are taken as proof of the internet from either: DNS servers of two companies that are known for being up.
const ANYCAST: [SocketAddr; 2] = [
    SocketAddr::V4(SocketAddrV4::new(Ipv4Addr::new(1, 1, 1, 1), 53)),
    SocketAddr::V4(SocketAddrV4::new(Ipv4Addr::new(8, 8, 8, 8), 53)),
];
/// A name that every Debian asks for.
const NAME: &str = "deb.debian.org:80";

/// Looks. `docker`: the engine's socket; `seal`: what announcements of this cluster are marked with.
pub async fn look(paths: &Paths, status: Option<&Status>, docker: &Path, seal: Option<Seal>) -> Seen {
    let engine = Engine::new(docker.to_owned());
    let own = status.and_then(|status| status.node_address);
    let (internet, dns, master_answers, announced, swarm_nodes, endpoint, consul) = tokio::join!(
        internet(),
        resolves(),
        master_answers(status),
        announced(status, seal),
        swarm_nodes(&engine),
        takes_connections(own, docker_endpoint::PORT),
        consul(own),
    );
    let uplink = default_route(&paths.at("/proc/net/route"));
    Seen {
        uplink: uplink.map(|name| {
            let has_address = !addresses(&name).is_empty();
            (name, has_address)
        }),
        internet,
        dns,
        addresses: status
            .and_then(|status| status.interface.as_deref())
            .map(addresses)
            .unwrap_or_default(),
        master_answers,
        announced,
        docker_installed: paths.docker_programs().iter().any(|program| program.exists()),
        swarm_nodes,
        endpoint,
        consul,
    }
}

/// What of Consul is on this node, whose own address this is.
async fn consul(own: Option<Ipv4Addr>) -> ConsulSeen {
    let ports = std::iter::once(RAFT).chain(EVERYWHERE);
    let taken = ports.map(async |port| takes_connections(own, port).await.then_some(port));
    let members = timeout(PATIENCE, consul_members()).await;
    let members = match members {
        Ok(Ok(members)) => Some(join_all(members.into_iter().map(member)).await),
        _ => None,
    };
    ConsulSeen {
        ports: join_all(taken).await.into_iter().flatten().collect(),
        members,
    }
}

async fn member(member: crate::consul::Member) -> MemberSeen {
    // A machine that refuses is there as well.
    let gossip = timeout(PATIENCE, TcpStream::connect((member.address, EVERYWHERE[0]))).await;
    let answers = match gossip {
        Ok(Ok(_)) => true,
        Ok(Err(error)) => error.kind() == std::io::ErrorKind::ConnectionRefused,
        Err(_) => false,
    };
    MemberSeen {
        failed: member.is_failed(),
        name: member.name,
        address: member.address,
        answers,
    }
}

async fn takes_connections(address: Option<Ipv4Addr>, port: u16) -> bool {
    let Some(address) = address else {
        return false;
    };
    matches!(
        timeout(PATIENCE, TcpStream::connect((address, port))).await,
        Ok(Ok(_))
    )
}

async fn internet() -> bool {
    let [first, second] = ANYCAST.map(|address| timeout(PATIENCE, TcpStream::connect(address)));
    let (first, second) = tokio::join!(first, second);
    [first, second]
        .into_iter()
        .any(|answer| matches!(answer, Ok(Ok(_))))
}

async fn resolves() -> bool {
    // The system's resolver, in a thread of its own: it is left alone when it takes long.
    let asked = tokio::task::spawn_blocking(|| std::net::ToSocketAddrs::to_socket_addrs(NAME).is_ok());
    matches!(timeout(PATIENCE, asked).await, Ok(Ok(true)))
}

async fn master_answers(status: Option<&Status>) -> bool {
    let Some(master) = status.and_then(|status| status.master.as_ref()) else {
        return false;
    };
    takes_connections(Some(master.address), members::PORT).await
}

async fn announced(status: Option<&Status>, seal: Option<Seal>) -> bool {
    let (Some(status), Some(seal)) = (status, seal) else {
        return false;
    };
    if status.role == Role::Master {
        // What a machine announces does not come back to it.
        return !status
            .warnings
            .iter()
            .any(|line| line.starts_with("the master is not announced"));
    }
    let Some(Ok(search)) = status
        .interface
        .as_deref()
        .map(|interface| Discovery::search(interface, seal))
    else {
        return false;
    };
    timeout(PATIENCE, search.master()).await.is_ok()
}

async fn swarm_nodes(engine: &Engine) -> Option<usize> {
    let report = timeout(PATIENCE, engine.report()).await.ok()?.ok()?;
    match report.swarm {
        Swarm::In(member) => match member.control {
            Control::Manager(view) => Some(view.nodes.iter().filter(|node| node.ready).count()),
            _ => None,
        },
        _ => None,
    }
}

/// The interface of the default route, as the kernel lists it: name, destination, ... in hexadecimal.
fn default_route(table: &Path) -> Option<String> {
    let text = std::fs::read_to_string(table).ok()?;
    let mut routes = text
        .lines()
        .skip(1)
        .map(|line| line.split_whitespace().collect::<Vec<_>>());
    let default = routes.find(|fields| fields.get(1) == Some(&"00000000"))?;
    default.first().map(|name| (*name).to_owned())
}

/// The IPv4 addresses of an interface.
fn addresses(interface: &str) -> Vec<Ipv4Addr> {
    let Ok(all) = nix::ifaddrs::getifaddrs() else {
        return Vec::new();
    };
    let own = all.filter(|entry| entry.interface_name == interface);
    own.filter_map(|entry| Some(entry.address?.as_sockaddr_in()?.ip()))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_route_names_the_uplink() {
        let folder = tempfile::tempdir().unwrap();
        let table = folder.path().join("route");
        assert_eq!(default_route(&table), None);
        let text = "Iface\tDestination\tGateway\neth0.200\t00C8A8C0\t00000000\neth0\t00000000\t0101A8C0\n";
        std::fs::write(&table, text).unwrap();
        assert_eq!(default_route(&table).as_deref(), Some("eth0"));
    }
}
