use std::net::Ipv4Addr;
use std::time::Duration;

use super::*;
use crate::engine::swarm::{Manager, Member, Membership, Node, Raft, Token};

const OWN: Ipv4Addr = Ipv4Addr::new(192, 168, 200, 20);
const OTHER: Ipv4Addr = Ipv4Addr::new(192, 168, 200, 21);

fn at(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// From a swarm with these nodes, those with a `-` behind them not ready; two nodes make a swarm that counts.
fn invitation(nodes: &[&str]) -> Invitation {
    let member = |name: &&str| Member {
        id: name.trim_end_matches('-').to_owned(),
        ready: !name.ends_with('-'),
    };
    Invitation {
        manager: OTHER,
        worker_token: Token("secret".to_owned()),
        nodes: nodes.iter().map(member).collect(),
        services: 0,
    }
}

fn master(others: &[Invitation]) -> Situation {
    Situation {
        own: OWN,
        part: Part::Master {
            others: others.to_vec(),
        },
    }
}

fn node(invitation: Option<Invitation>) -> Situation {
    Situation {
        own: OWN,
        part: Part::Node { invitation },
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

/// The swarm of a leader, `me`, with `workers` and services.
fn leads(workers: usize, services: usize) -> Swarm {
    let leader = Raft {
        reachable: true,
        leader: true,
        member: true,
    };
    let node = |number: usize| Node {
        id: if number == 0 {
            "me".to_owned()
        } else {
            number.to_string()
        },
        hostname: number.to_string(),
        address: Some(OWN).filter(|_| number == 0),
        ready: number == 0,
        manager: (number == 0).then_some(leader),
        labels: BTreeMap::from([("role".to_owned(), "master".to_owned())]),
        told: BTreeMap::new(),
    };
    member(
        1,
        Control::Manager(Manager {
            worker_token: Token("secret".to_owned()),
            nodes: (0..=workers).map(node).collect(),
            services,
        }),
    )
}

/// What comes of a situation that lasts: the word that it waits for, and what is done after how many seconds.
fn lasting(situation: &Situation, swarm: &Swarm) -> (String, Option<(u64, Action)>) {
    let mut planner = Planner::default();
    let mut waited = String::new();
    for seconds in 0..1000 {
        match planner.step(at(seconds), situation, swarm) {
            Step::Do(action) => return (waited, Some((seconds, action))),
            Step::Wait(reason) => waited = reason,
            Step::Settled => "settled".clone_into(&mut waited),
        }
    }
    (waited, None)
}

fn check(situation: &Situation, swarm: &Swarm, waits_for: &str, does: Option<(u64, Action)>) {
    let (waited, done) = lasting(situation, swarm);
    assert!(
        waited.contains(waits_for),
        "'{waited}' instead of '{waits_for}': {situation:?} {swarm:?}"
    );
    assert_eq!(done, does, "{situation:?} {swarm:?}");
}

#[test]
fn the_master_makes_the_swarm_unless_there_is_one_and_the_others_join() {
    let (small, large) = (invitation(&["a"]), invitation(&["b", "c"]));
    let join = |invitation: &Invitation| Some((0, Action::Join(OWN, invitation.clone())));
    check(&master(&[]), &Swarm::Out, "", Some((0, Action::Init(OWN))));
    check(
        &master(&[small.clone(), large.clone()]),
        &Swarm::Out,
        "",
        join(&large),
    );
    check(&node(None), &Swarm::Out, "the master's invitation", None);
    check(&node(Some(small.clone())), &Swarm::Out, "", join(&small));
    check(&master(&[]), &leads(0, 0), "settled", None);
}

#[test]
fn a_manager_with_anything_to_lose_never_leaves_by_itself() {
    let (empty, full) = (invitation(&["a"]), invitation(&["a", "b"]));
    for swarm in [leads(2, 0), leads(0, 1)] {
        check(&node(Some(full.clone())), &swarm, "you to choose", None);
        check(
            &node(Some(empty.clone())),
            &swarm,
            "the master to join this node's swarm",
            None,
        );
        let (_, done) = lasting(&master(std::slice::from_ref(&full)), &swarm);
        assert!(!matches!(done, Some((_, Action::Leave))), "{done:?}");
    }
}

#[test]
fn a_card_that_was_quicker_than_the_old_cluster_gives_its_empty_swarm_up() {
    let (empty, full) = (invitation(&["a"]), invitation(&["a", "b"]));
    let leave = Some((15, Action::Leave));
    check(
        &master(std::slice::from_ref(&full)),
        &leads(0, 0),
        "leaving this empty swarm",
        leave.clone(),
    );
    // Of two empty ones the master's stays.
    check(
        &master(std::slice::from_ref(&empty)),
        &leads(0, 0),
        "settled",
        None,
    );
    check(
        &node(Some(empty)),
        &leads(0, 0),
        "leaving this empty swarm",
        leave,
    );
}

#[test]
fn a_worker_goes_where_the_master_invites_it() {
    for (invited, control, waits_for, does) in [
        (None, Control::Worker, "settled", None),
        (None, Control::Pending, "a manager of the swarm to answer", None),
        (Some(&["a", "me"][..]), Control::Worker, "settled", None),
        (
            Some(&["a", "b"]),
            Control::Worker,
            "to have this node",
            Some((15, Action::Leave)),
        ),
        // Perhaps the master gives its own up.
        (
            Some(&["a"]),
            Control::Worker,
            "to have this node",
            Some((120, Action::Leave)),
        ),
        // Its manager has moved away, or took another one's place.
        (
            Some(&["a", "me-"]),
            Control::Worker,
            "to have this node",
            Some((120, Action::Leave)),
        ),
        (
            Some(&["a", "me-"]),
            Control::Pending,
            "to have this node",
            Some((120, Action::Leave)),
        ),
        (
            Some(&["a", "b"]),
            Control::Pending,
            "to have this node",
            Some((120, Action::Leave)),
        ),
    ] {
        check(
            &node(invited.map(invitation)),
            &member(1, control),
            waits_for,
            does,
        );
    }
}

#[test]
fn a_complaint_that_is_over_starts_anew() {
    let mut planner = Planner::default();
    let (known, unknown) = (
        node(Some(invitation(&["a", "me"]))),
        node(Some(invitation(&["a", "b"]))),
    );
    let worker = member(1, Control::Worker);
    for (seconds, situation) in [(0, &unknown), (10, &known), (11, &unknown), (25, &unknown)] {
        let step = planner.step(at(seconds), situation, &worker);
        assert_ne!(step, Step::Do(Action::Leave), "after {seconds} s");
    }
    assert_eq!(planner.step(at(26), &unknown, &worker), Step::Do(Action::Leave));
}

#[test]
fn a_lab_of_two_whose_manager_is_lost_is_made_anew_after_a_wait() {
    let anew = "the swarm's manager; after 120 s without it the swarm is made anew";
    let from_state = Some((120, Action::InitFromState(OWN)));
    for (control, waits_for, does) in [
        (
            Control::Worker,
            "made anew, without its services",
            Some((120, Action::Leave)),
        ),
        (
            Control::Pending,
            "made anew, without its services",
            Some((120, Action::Leave)),
        ),
        (Control::NoQuorum, anew, from_state),
    ] {
        check(&master(&[]), &member(1, control.clone()), waits_for, does);
        // Somebody leads it still: a promotion is on its way.
        let led = invitation(&["a", "me"]);
        check(
            &master(&[led]),
            &member(1, control),
            "the swarm's leader to take the master's address",
            None,
        );
    }
    // Only the master does so, or both halves of a lab would.
    check(&node(None), &member(2, Control::NoQuorum), "a majority", None);
}

#[test]
fn with_three_managers_or_an_unknown_number_nobody_makes_a_second_swarm() {
    for control in [Control::Worker, Control::Pending, Control::NoQuorum] {
        check(
            &master(&[]),
            &member(3, control.clone()),
            "a majority of the swarm's 3 managers",
            None,
        );
        check(&master(&[]), &member(0, control), "a majority", None);
    }
}

#[test]
fn when_making_it_from_the_state_fails_the_state_is_not_wiped() {
    let mut planner = Planner::default();
    let lost = member(1, Control::NoQuorum);
    planner.step(at(0), &master(&[]), &lost);
    assert_eq!(
        planner.step(at(120), &master(&[]), &lost),
        Step::Do(Action::InitFromState(OWN))
    );
    assert_eq!(
        planner.step(at(121), &master(&[]), &Swarm::Out),
        Step::Do(Action::InitFromState(OWN))
    );
    assert_eq!(planner.step(at(122), &master(&[]), &leads(0, 0)), Step::Settled);
    assert_eq!(
        planner.step(at(123), &master(&[]), &Swarm::Out),
        Step::Do(Action::Init(OWN))
    );
}

#[test]
fn a_failed_swarm_is_left_only_for_another_one_and_a_locked_one_never() {
    let failed = Swarm::Failed("no space left".to_owned());
    let invited = node(Some(invitation(&["a"])));
    check(&invited, &failed, "no space left", Some((120, Action::Leave)));
    check(&node(None), &failed, "no space left (to give it up:", None);
    check(&master(&[]), &failed, "no space left (to give it up:", None);
    check(&invited, &Swarm::Locked, "docker swarm unlock", None);
}

#[test]
fn with_a_new_address_the_only_manager_takes_the_swarm_along_and_workers_join_again() {
    let moved = |swarm: Swarm| match swarm {
        Swarm::In(member) => Swarm::In(Membership {
            address: Some(OTHER),
            ..member
        }),
        other => other,
    };
    let invited = node(Some(invitation(&["a", "me"])));
    let from_state = Some((15, Action::InitFromState(OWN)));
    check(
        &master(&[]),
        &moved(leads(2, 1)),
        "to follow this node from 192.168.200.21",
        from_state,
    );
    check(
        &invited,
        &moved(member(1, Control::Worker)),
        "to follow",
        Some((15, Action::Leave)),
    );
    check(&node(None), &moved(member(1, Control::Worker)), "settled", None);
    check(
        &invited,
        &moved(member(3, Control::NoQuorum)),
        "this manager to be demoted",
        None,
    );
}

#[test]
fn an_invitation_is_not_printed_with_its_secret() {
    let text = format!("{:?} {:?}", leads(0, 0), Action::Join(OWN, invitation(&["a"])));
    assert!(
        !text.contains("secret") && text.contains("192.168.200.21"),
        "{text}"
    );
}
