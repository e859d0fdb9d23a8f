use std::net::Ipv4Addr;
use std::time::Duration;

use super::*;
use crate::engine::swarm::{Manager, Node, Raft};

const OWN: Ipv4Addr = Ipv4Addr::new(192, 168, 200, 20);
const OTHER: Ipv4Addr = Ipv4Addr::new(192, 168, 200, 21);

fn at(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn invitation(nodes: &[&str]) -> Invitation {
    Invitation {
        manager: OTHER,
        worker_token: "token".to_owned(),
        nodes: nodes.iter().map(|&id| id.to_owned()).collect(),
    }
}

fn master() -> Situation {
    Situation {
        own: OWN,
        part: Part::Master,
    }
}

fn node(invitation: Option<Invitation>) -> Situation {
    Situation {
        own: OWN,
        part: Part::Node {
            invitation,
            master: Some(OTHER),
        },
    }
}

fn member(managers: usize, control: Control) -> Swarm {
    Swarm::In(Membership {
        node: "me".to_owned(),
        address: Some(OWN),
        managers,
        control,
    })
}

fn alone() -> Manager {
    let raft = Raft {
        reachable: true,
        leader: true,
    };
    Manager {
        worker_token: "token".to_owned(),
        nodes: vec![Node {
            id: "me".to_owned(),
            hostname: "me".to_owned(),
            address: Some(OWN),
            ready: true,
            manager: Some(raft),
            role_label: Some("master".to_owned()),
        }],
    }
}

fn waits(step: &Step, text: &str) -> bool {
    matches!(step, Step::Wait(reason) if reason.contains(text))
}

#[test]
fn the_master_makes_the_swarm_and_the_others_join_it() {
    let mut planner = Planner::default();
    assert_eq!(
        planner.step(at(0), &master(), &Swarm::Out),
        Step::Do(Action::Init(OWN))
    );
    assert!(waits(
        &planner.step(at(1), &node(None), &Swarm::Out),
        "the master's invitation"
    ));
    let invitation = invitation(&["other"]);
    assert_eq!(
        planner.step(at(2), &node(Some(invitation.clone())), &Swarm::Out),
        Step::Do(Action::Join(OWN, invitation))
    );
    assert!(waits(
        &planner.step(at(3), &node(None), &Swarm::Joining),
        "Docker to join"
    ));
    let settled = member(1, Control::Manager(alone()));
    assert_eq!(planner.step(at(4), &master(), &settled), Step::Settled);
}

#[test]
fn a_swarm_that_the_master_does_not_know_is_left_but_not_at_once() {
    let mut planner = Planner::default();
    let known = node(Some(invitation(&["other", "me"])));
    let unknown = node(Some(invitation(&["other"])));
    let worker = member(1, Control::Worker);
    assert_eq!(planner.step(at(0), &known, &worker), Step::Settled);
    assert!(waits(
        &planner.step(at(1), &unknown, &worker),
        "to know this node"
    ));
    assert_eq!(planner.step(at(10), &known, &worker), Step::Settled);
    assert!(waits(
        &planner.step(at(11), &unknown, &worker),
        "to know this node"
    ));
    assert!(waits(
        &planner.step(at(25), &unknown, &worker),
        "to know this node"
    ));
    assert_eq!(planner.step(at(26), &unknown, &worker), Step::Do(Action::Leave));
    // A master that says nothing says nothing about the swarm either.
    assert_eq!(planner.step(at(99), &node(None), &worker), Step::Settled);
}

#[test]
fn a_lab_of_two_whose_manager_is_lost_is_made_anew_after_a_wait() {
    for (control, remedy) in [
        (Control::Worker, Action::Leave),
        (Control::NoQuorum, Action::InitFromState(OWN)),
    ] {
        let mut planner = Planner::default();
        let swarm = member(1, control);
        assert!(waits(
            &planner.step(at(0), &master(), &swarm),
            "the swarm's manager; without a change in 120 s"
        ));
        assert!(waits(
            &planner.step(at(119), &master(), &swarm),
            "the swarm's manager"
        ));
        assert_eq!(planner.step(at(120), &master(), &swarm), Step::Do(remedy));
    }
}

#[test]
fn with_three_managers_nobody_without_a_majority_makes_a_second_swarm() {
    let mut planner = Planner::default();
    for control in [Control::Worker, Control::NoQuorum] {
        for seconds in [0, 1000, 100_000] {
            let step = planner.step(at(seconds), &master(), &member(3, control.clone()));
            assert!(waits(&step, "a majority of the swarm's 3 managers"), "{step:?}");
        }
    }
}

#[test]
fn a_manager_that_answers_again_stops_the_clock() {
    let mut planner = Planner::default();
    let lost = member(1, Control::NoQuorum);
    planner.step(at(0), &master(), &lost);
    planner.step(at(100), &master(), &member(1, Control::Manager(alone())));
    assert!(waits(
        &planner.step(at(130), &master(), &lost),
        "the swarm's manager"
    ));
}

#[test]
fn a_failed_swarm_is_left_after_a_wait_and_a_locked_one_never() {
    let mut planner = Planner::default();
    let failed = Swarm::Failed("torn".to_owned());
    assert!(waits(
        &planner.step(at(0), &node(None), &failed),
        "the swarm: torn; without a change"
    ));
    assert_eq!(
        planner.step(at(120), &node(None), &failed),
        Step::Do(Action::Leave)
    );
    for seconds in [200, 2000] {
        assert!(waits(
            &planner.step(at(seconds), &master(), &Swarm::Locked),
            "docker swarm unlock"
        ));
    }
}

#[test]
fn with_a_new_address_the_only_manager_takes_the_swarm_along_and_others_join_again() {
    let moved = |managers, control| {
        let Swarm::In(mut member) = member(managers, control) else {
            unreachable!("a member");
        };
        member.address = Some(OTHER);
        Swarm::In(member)
    };
    let mut two = alone();
    two.nodes.push(Node {
        id: "two".to_owned(),
        ..two.nodes[0].clone()
    });
    for (swarm, expected) in [
        (moved(1, Control::Worker), Action::Leave),
        (moved(1, Control::NoQuorum), Action::InitFromState(OWN)),
        (moved(1, Control::Manager(alone())), Action::InitFromState(OWN)),
        (moved(2, Control::Manager(two)), Action::Leave),
        (moved(3, Control::NoQuorum), Action::Leave),
    ] {
        assert_eq!(
            Planner::default().step(at(0), &master(), &swarm),
            Step::Do(expected),
            "{swarm:?}"
        );
    }
}

#[test]
fn an_invitation_is_not_printed_with_its_secret() {
    let text = format!(
        "{:?} {:?}",
        invitation(&["a"]),
        Action::Join(OWN, invitation(&["a"]))
    );
    assert!(
        !text.contains("token") && text.contains("192.168.200.21"),
        "{text}"
    );
}
