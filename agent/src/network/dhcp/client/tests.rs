//! The client against a scripted server, and against the real one, which is pure as well.

use std::net::Ipv4Addr;
use std::time::Duration;

use boot_config::Pool;
use proptest::prelude::{ProptestConfig, proptest};

use super::{Client, Identity, Jitter, Kind, Mac, Output, Packet, To};
use crate::network::dhcp::lease_table::LeaseTable;
use crate::network::dhcp::mark;
use crate::network::dhcp::rival::Rival;
use crate::network::dhcp::server::{Audience, Server};
use crate::trust::{Seal, Trust};

const MASTER: Ipv4Addr = Ipv4Addr::new(192, 168, 200, 1);

fn server_mac() -> Mac {
    Mac::from([2, 0, 0, 0, 0, 99])
}

fn address(last: u8) -> Ipv4Addr {
    Ipv4Addr::new(192, 168, 200, last)
}

fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn client(last: Option<Ipv4Addr>) -> Client {
    let who = Identity {
        mac: Mac::from([2, 0, 0, 0, 0, 1]),
        hostname: Some("n1".parse().unwrap()),
        master: MASTER,
        subnet: "192.168.200.0/24".parse().unwrap(),
    };
    Client::new(who, Jitter::new(1), last)
}

fn server() -> Server {
    let lease = secs(600);
    Server {
        address: MASTER,
        subnet: "192.168.200.0/24".parse().unwrap(),
        lease,
        audience: Audience::Agents,
        network: crate::network::dhcp::message::Network::default(),
        seal: seal(),
        rival: Rival::new(Duration::ZERO),
        table: LeaseTable::new(
            Pool::new(address(20), address(29)).unwrap(),
            boot_config::Reservations::default(),
            lease,
        ),
    }
}

fn seal() -> Seal {
    let cluster = boot_config::Settings::default().cluster;
    let secret = boot_config::ClusterSecret::from_bytes([1; 32]);
    Trust::decide(Some(secret), &cluster).unwrap().seal()
}

/// Lets the two talk until neither has anything to say; what the client did besides sending.
fn talk(client: &mut Client, server: &mut Server, now: Duration, outputs: Vec<Output>) -> Vec<Output> {
    let mut done = Vec::new();
    let mut queue = outputs;
    while !queue.is_empty() {
        for output in std::mem::take(&mut queue) {
            match output {
                Output::Send(_, mut packet) => {
                    mark::put(&mut packet, &seal());
                    if let Some((reply, _)) = server.answer(now, &packet) {
                        queue.extend(client.receive(now, server_mac(), &reply));
                    }
                }
                other => done.push(other),
            }
        }
    }
    done
}

/// From start to bound; the time when it is.
fn bind(client: &mut Client, server: &mut Server, mut now: Duration) -> Duration {
    let outputs = client.start(now);
    talk(client, server, now, outputs);
    while client.address().is_none() {
        now = client.deadline().expect("a deadline");
        let outputs = client.tick(now);
        talk(client, server, now, outputs);
    }
    now
}

fn only_send(outputs: &[Output]) -> (To, Packet) {
    let [Output::Send(to, packet)] = outputs else {
        panic!("{outputs:?}")
    };
    (*to, packet.clone())
}

#[test]
fn it_gets_an_address_in_less_than_a_second_and_says_its_name() {
    let (mut client, mut server) = (client(None), server());
    let now = bind(&mut client, &mut server, secs(5));
    assert_eq!(client.address(), Some(address(20)));
    assert!(now < secs(6), "{now:?}");
    let lease = server.table.active(now).next().unwrap();
    assert_eq!(lease.client.hostname.unwrap().as_str(), "n1");
    assert!(lease.client.node);
}

#[test]
fn it_asks_for_its_last_address_first() {
    let (mut client, mut server) = (client(Some(address(27))), server());
    let (to, packet) = only_send(&client.start(secs(0)));
    assert_eq!(
        (to, packet.kind, packet.requested),
        (To::All, Kind::Request, Some(address(27)))
    );
    assert_eq!((packet.server, packet.ciaddr), (None, Ipv4Addr::UNSPECIFIED));
    client.stop();
    bind(&mut client, &mut server, secs(1));
    assert_eq!(client.address(), Some(address(27)));
}

#[test]
fn a_last_address_that_is_taken_or_of_another_network_is_given_up() {
    for last in [address(20), Ipv4Addr::new(10, 0, 0, 1), MASTER] {
        let mut server = server();
        let mut other = client(None);
        other.who.mac = Mac::from([2, 0, 0, 0, 0, 7]);
        bind(&mut other, &mut server, secs(0));
        let mut client = client(Some(last));
        bind(&mut client, &mut server, secs(0));
        assert_eq!(client.address(), Some(address(21)), "last {last}");
    }
}

#[test]
fn without_a_server_it_asks_less_and_less_often_and_at_once_when_hurried() {
    let mut client = client(None);
    client.start(secs(0));
    let mut times = vec![Duration::ZERO];
    for _ in 0..8 {
        let now = client.deadline().unwrap();
        let (_, packet) = only_send(&client.tick(now));
        assert_eq!(packet.kind, Kind::Discover);
        times.push(now);
    }
    let waits: Vec<u64> = times
        .windows(2)
        .map(|pair| (pair[1] - pair[0]).as_millis() as u64)
        .collect();
    assert!(waits[0] < 1200 && waits[7] > 7000 && waits[7] < 9000, "{waits:?}");
    let now = times[8] + Duration::from_millis(1);
    assert_eq!(only_send(&client.hurry(now)).1.kind, Kind::Discover);
}

#[test]
fn other_servers_and_other_clients_answers_are_left_alone() {
    for change in [
        |packet: &mut Packet| packet.server = Some(Ipv4Addr::new(192, 168, 1, 1)),
        |packet: &mut Packet| packet.server = None,
        |packet: &mut Packet| packet.xid ^= 1,
        |packet: &mut Packet| packet.chaddr = Mac::from([2, 0, 0, 0, 0, 2]),
    ] {
        let mut client = client(None);
        let (_, discover) = only_send(&client.start(secs(0)));
        let (mut offer, _) = server().answer(secs(0), &discover).unwrap();
        change(&mut offer);
        assert_eq!(client.receive(secs(0), server_mac(), &offer), []);
    }
}

#[test]
fn an_address_in_use_is_declined_and_another_taken_later() {
    let (mut client, mut server) = (client(None), server());
    let outputs = client.start(secs(0));
    let done = talk(&mut client, &mut server, secs(0), outputs);
    assert!(done.contains(&Output::Probe(address(20))), "{done:?}");
    let outputs = client.in_use(secs(0), address(20), Mac::from([2, 0, 0, 0, 0, 50]));
    assert_eq!(only_send(&outputs).1.kind, Kind::Decline);
    talk(&mut client, &mut server, secs(0), outputs);
    let now = bind(&mut client, &mut server, secs(0));
    assert_eq!(client.address(), Some(address(21)));
    assert!(now >= secs(10));
}

#[test]
fn it_renews_with_its_server_then_with_any_and_then_gives_up() {
    let (mut client, mut server) = (client(None), server());
    let bound = bind(&mut client, &mut server, secs(0));
    let t1 = client.deadline().unwrap();
    let (to, packet) = only_send(&client.tick(t1));
    assert!(t1 > secs(295) && t1 < bound + secs(301));
    assert_eq!(
        to,
        To::Server {
            from: address(20),
            address: MASTER,
            mac: server_mac()
        }
    );
    assert_eq!(
        (packet.kind, packet.ciaddr, packet.requested),
        (Kind::Request, address(20), None)
    );
    let mut broadcast = false;
    loop {
        let now = client.deadline().unwrap();
        match client.tick(now).as_slice() {
            [Output::Send(to, _)] => {
                broadcast |= *to == To::All;
                assert_eq!(*to == To::All, now >= secs(524), "{now:?}");
            }
            [Output::Lost(lost), Output::Send(To::All, packet)] => {
                assert_eq!((*lost, packet.kind), (address(20), Kind::Discover));
                assert!(broadcast && now >= secs(599) && now < secs(602), "{now:?}");
                break;
            }
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn a_new_master_is_told_of_the_lease_at_once() {
    let (mut client, mut old, mut new) = (client(None), server(), server());
    let now = bind(&mut client, &mut old, secs(0));
    let outputs = client.hurry(now);
    assert_eq!(only_send(&outputs).0, To::All);
    assert_eq!(talk(&mut client, &mut new, now, outputs), [Output::MasterSeen]);
    assert_eq!(new.table.active(now).count(), 1);
    assert_eq!(client.address(), Some(address(20)));
    assert!(client.deadline().unwrap() > now + secs(200));
}

#[test]
fn a_nak_takes_the_address_away() {
    let (mut client, mut server) = (client(None), server());
    let now = bind(&mut client, &mut server, secs(0));
    let (_, request) = only_send(&client.hurry(now));
    let mut nak = Packet::new(Kind::Nak, request.xid, request.chaddr);
    nak.server = Some(MASTER);
    let outputs = client.receive(now, server_mac(), &nak);
    assert_eq!(outputs[..2], [Output::MasterSeen, Output::Lost(address(20))]);
    assert_eq!(client.address(), None);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]
    #[test]
    fn no_times_of_a_server_make_it_panic_or_flood(lease: u32, renew: u32, rebind: u32, now in 0u64..1_000_000) {
        let mut client = client(None);
        let mut server = server();
        let (_, discover) = only_send(&client.start(secs(now)));
        let (offer, _) = server.answer(secs(now), &discover).unwrap();
        let outputs = client.receive(secs(now), server_mac(), &offer);
        let Output::Send(_, request) = outputs[1].clone() else { panic!("{outputs:?}") };
        let (mut ack, _) = server.answer(secs(now), &request).unwrap();
        let time = |seconds: u32| Some(secs(u64::from(seconds)));
        (ack.lease, ack.renew, ack.rebind) = (time(lease), time(renew), time(rebind));
        client.receive(secs(now), server_mac(), &ack);
        let mut sent = 0;
        while let Some(next) = client.deadline().filter(|next| *next < secs(now + 60)) {
            sent += client.tick(next).len();
        }
        assert!(sent < 20, "{sent}");
    }
}
