use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::engine::swarm::{LEAVING_LABEL, Raft};

fn address(last: u8) -> Ipv4Addr {
    Ipv4Addr::new(192, 168, 200, last)
}

fn at(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// `w`: worker, `m`: manager, `L`: leader, `p`: promoted, but not with the other managers yet; behind it `-` when it is
/// gone. Number n has the address .n and the name n<n>.
fn nodes(text: &str) -> Vec<Node> {
    let raft = |kind: char, here: bool| match kind {
        'w' => None,
        'p' => Some(Raft::default()),
        _ => Some(Raft {
            reachable: here,
            leader: kind == 'L',
            member: true,
        }),
    };
    let words = text.split_whitespace().zip(1..);
    words
        .map(|(word, number): (&str, u8)| {
            let here = !word.ends_with('-');
            let kind = word.chars().next().unwrap();
            Node {
                id: format!("{number}"),
                hostname: format!("n{number}"),
                address: Some(address(number)),
                ready: here,
                manager: raft(kind, here),
                labels: role(if number == 1 { "master" } else { "node" }),
                told: BTreeMap::new(),
            }
        })
        .collect()
}

fn role(role: &str) -> BTreeMap<String, String> {
    BTreeMap::from([(ROLE_LABEL.to_owned(), role.to_owned())])
}

fn promote(id: &str) -> Option<Action> {
    Some(Action::Promote(id.to_owned()))
}

fn demote(id: &str) -> Option<Action> {
    Some(Action::Demote(id.to_owned()))
}

#[test]
fn the_number_of_managers_follows_the_number_of_nodes() {
    // The master is number 1; what is done at once, and what when who is gone has been gone for long.
    for (swarm, at_once, later) in [
        ("L", None, None),
        ("L w", None, None),
        ("L w w", promote("2"), promote("2")),
        ("L m w", promote("3"), promote("3")),
        ("L m m w w w", None, None),
        ("L m m w w w w", promote("4"), promote("4")),
        ("L m m m m w w w w", None, None),
        // One gone for a reboot is waited for, then replaced, then demoted.
        ("L m m- w", None, promote("4")),
        ("L m m- m", demote("3"), demote("3")),
        // Nobody is left to replace it, and with two nodes one manager is as good as two.
        ("L m m-", None, demote("3")),
        ("L m w-", None, demote("2")),
        // The leader may be another than the master for a while; the master is a manager first.
        ("w L", promote("1"), promote("1")),
        ("m L", demote("2"), demote("2")),
        // Without a majority of the rest nobody is demoted.
        ("L m- m-", None, None),
        // Promoted and gone before it was one: it cannot be demoted, only forgotten.
        ("L w w p-", promote("2"), promote("2")),
        ("L m m p-", None, Some(Action::Remove("4".to_owned()))),
    ] {
        let nodes = nodes(swarm);
        let mut plane = ControlPlane::default();
        let master = Some(address(1));
        assert_eq!(plane.next(at(0), &nodes, master), at_once, "{swarm} at once");
        assert_eq!(plane.next(at(1000), &nodes, master), later, "{swarm} later");
    }
}

#[test]
fn a_card_flashed_anew_takes_the_place_of_its_old_self() {
    let next = |swarm: &[Node]| ControlPlane::default().next(at(0), swarm, Some(address(1)));
    let twin = |text: &str| {
        let mut swarm = nodes(text);
        (swarm[2].hostname, swarm[2].address) = (swarm[1].hostname.clone(), swarm[1].address);
        swarm
    };
    assert_eq!(next(&twin("L w- w")), Some(Action::Remove("2".to_owned())));
    assert_eq!(
        next(&twin("L m- w m")),
        demote("2"),
        "a manager is demoted before it is removed"
    );
    assert_eq!(next(&twin("L p- w m")), Some(Action::Remove("2".to_owned())));
    assert_eq!(
        next(&twin("L m- w m-")),
        None,
        "without a majority of the rest it stays"
    );
}

#[test]
fn two_pis_of_one_name_are_two_nodes() {
    let mut swarm = nodes("L w- w");
    swarm[2].hostname = "n2".to_owned();
    let mut plane = ControlPlane::default();
    assert_eq!(plane.next(at(0), &swarm, Some(address(1))), promote("3"));
    assert_eq!(plane.next(at(899), &swarm, Some(address(1))), promote("3"));
    let removed = Some(Action::Remove("2".to_owned()));
    assert_eq!(
        plane.next(at(900), &swarm, Some(address(1))),
        removed,
        "gone for good"
    );
    swarm[1].ready = true;
    assert_eq!(plane.next(at(1000), &swarm, Some(address(1))), promote("2"));
}

#[test]
fn labels_follow_the_master() {
    let swarm = nodes("L w");
    let mut plane = ControlPlane::default();
    assert_eq!(plane.next(at(0), &swarm, None), None);
    assert_eq!(plane.next(at(0), &swarm, Some(address(2))), promote("2"));
    let mut fresh = nodes("L w");
    fresh[1].labels.clear();
    fresh[1].told = BTreeMap::from([("room".to_owned(), "attic".to_owned())]);
    let mut labels = role("node");
    labels.extend(fresh[1].told.clone());
    let label = Action::Label("2".to_owned(), labels);
    assert_eq!(plane.next(at(0), &fresh, Some(address(1))), Some(label));
}

#[test]
fn who_leaves_gets_no_part_and_is_forgotten_when_it_is_gone() {
    let mut swarm = nodes("L m w");
    swarm[2]
        .labels
        .insert(LEAVING_LABEL.to_owned(), "true".to_owned());
    let mut plane = ControlPlane::default();
    assert_eq!(
        plane.next(at(0), &swarm, Some(address(1))),
        demote("2"),
        "two nodes are left, of which one decides"
    );
    swarm[1].manager = None;
    assert_eq!(plane.next(at(1), &swarm, Some(address(1))), None);
    swarm[2].ready = false;
    let removed = Some(Action::Remove("3".to_owned()));
    assert_eq!(plane.next(at(2), &swarm, Some(address(1))), removed);
}

/// Does what was said, as the engine would.
fn apply(nodes: &mut Vec<Node>, action: &Action) {
    let find = |id: &String, nodes: &[Node]| nodes.iter().position(|node| node.id == *id).unwrap();
    match action {
        Action::Promote(id) => {
            let at = find(id, nodes);
            nodes[at].manager = Some(Raft {
                reachable: nodes[at].ready,
                leader: false,
                member: true,
            });
        }
        Action::Demote(id) => {
            let at = find(id, nodes);
            nodes[at].manager = None;
        }
        Action::Remove(id) => {
            let at = find(id, nodes);
            nodes.remove(at);
        }
        Action::Label(id, labels) => {
            let at = find(id, nodes);
            nodes[at].labels.extend(labels.clone());
        }
        other => panic!("{other:?} is not the control plane's"),
    }
}

proptest! {
    /// Whatever is there: a few steps and it rests, no step loses the majority, the master stays a manager.
    #[test]
    fn every_control_plane_comes_to_rest_without_losing_its_majority(
        kinds in prop::collection::vec((0..2_u8, prop::bool::ANY), 0..12),
        seconds in prop::sample::select(vec![0_u64, 200, 2000]),
    ) {
        let words: Vec<_> = kinds
            .iter()
            .map(|(kind, here)| format!("{}{}", if *kind == 0 { 'w' } else { 'm' }, if *here { "" } else { "-" }))
            .collect();
        let mut swarm = nodes(&format!("L {}", words.join(" ")));
        let majority = |swarm: &[Node]| {
            let managers: Vec<_> = swarm.iter().filter_map(|node| node.manager).collect();
            managers.iter().filter(|raft| raft.reachable).count() > managers.len() / 2
        };
        prop_assume!(majority(&swarm));
        let mut plane = ControlPlane::default();
        plane.next(at(0), &swarm, Some(address(1)));
        let mut steps = 0;
        while let Some(action) = plane.next(at(seconds), &swarm, Some(address(1))) {
            apply(&mut swarm, &action);
            prop_assert!(majority(&swarm), "{action:?} lost the majority: {swarm:?}");
            prop_assert!(swarm[0].manager.is_some());
            steps += 1;
            prop_assert!(steps < 40, "no rest: {action:?} {swarm:?}");
        }
    }
}
