//! One machine's answers, then clusters whose leaders change, on a wire that delays frames.

use std::collections::BTreeMap;

use proptest::prelude::{ProptestConfig, any, prop_assert, prop_assert_eq, proptest};

use super::{Action, Duration, Event, HEAD_START, Leadership, Machine, Role};
use crate::network::jitter::Jitter;
use crate::network::mac::Mac;
use crate::network::role::Timing;

const OTHER: Leadership = Leadership::Other { elects: true };

fn mac(last: u8) -> Mac {
    Mac::from([0xb8, 0x27, 0xeb, 0, 0, last])
}

fn secs(seconds: f64) -> Duration {
    Duration::from_secs_f64(seconds)
}

fn machine(last: u8) -> Machine {
    let mut machine = Machine::new(Timing::default(), Jitter::new(last.into()), None);
    machine.handle(Duration::ZERO, Event::LinkUp(mac(last)));
    machine
}

/// Ticks until the role is this one, or the time is over; the time.
fn until(machine: &mut Machine, mut now: Duration, role: Role, end: Duration) -> Option<Duration> {
    while machine.role() != role {
        now = now.max(machine.deadline()?);
        if now > end {
            return None;
        }
        machine.handle(now, Event::Tick);
    }
    Some(now)
}

#[test]
fn a_leader_takes_the_address_from_a_master_that_does_not_lead() {
    let mut leader = machine(9);
    leader.handle(secs(1.0), Event::Held(mac(1), Some(secs(5000.0))));
    leader.lead_by(secs(2.0), Leadership::Own);
    let at = until(&mut leader, secs(2.0), Role::Master, secs(60.0)).unwrap();
    assert!(at < secs(5.0), "{at:?}");
    // The old one still announces itself and is not believed.
    let actions = leader.handle(at + secs(0.5), Event::Held(mac(1), Some(secs(5004.0))));
    let [Action::Announce(age)] = actions[..] else {
        panic!("{actions:?}")
    };
    assert!(age >= HEAD_START);

    let mut old = machine(1);
    let now = until(&mut old, Duration::ZERO, Role::Master, secs(60.0)).unwrap();
    old.lead_by(now, OTHER);
    assert_eq!(
        old.handle(now + secs(1.0), Event::Held(mac(9), Some(age))),
        [Action::Become(Role::Node)]
    );
}

#[test]
fn a_leader_claims_at_once_when_the_master_is_gone_and_the_others_let_it() {
    let gone = |leadership| {
        let mut node = machine(1);
        node.handle(secs(1.0), Event::MasterSeen);
        node.lead_by(secs(1.5), leadership);
        until(&mut node, secs(1.5), Role::Claiming, secs(100.0)).unwrap()
    };
    assert!(gone(OTHER) > secs(1.0 + 9.0 + 20.0));
    assert!(gone(Leadership::Other { elects: false }) < secs(1.0 + 9.0 + 4.0));
    assert!(gone(Leadership::Unknown) < secs(1.0 + 9.0 + 4.0));

    let mut listening = machine(1);
    let actions = listening.lead_by(secs(0.1), Leadership::Own);
    assert_eq!(actions, [Action::Become(Role::Claiming), Action::Claim]);
}

#[test]
fn a_master_that_lost_its_majority_gives_the_address_up_until_it_is_back() {
    let mut machine = machine(1);
    let now = until(&mut machine, Duration::ZERO, Role::Master, secs(60.0)).unwrap();
    machine.lead_by(now, Leadership::Own);
    let actions = machine.lead_by(now + secs(10.0), Leadership::Lost);
    assert_eq!(actions, [Action::Become(Role::Listening), Action::Query]);
    let end = now + secs(1000.0);
    assert_eq!(until(&mut machine, now + secs(10.0), Role::Claiming, end), None);
    machine.lead_by(end, Leadership::Own);
    assert!(until(&mut machine, end, Role::Master, end + secs(5.0)).is_some());
}

#[test]
fn of_two_leaders_one_stays_master() {
    // Of two swarms that met; the engine settles which remains.
    let roles = simulate(&[Leadership::Own, Leadership::Own, OTHER], &[], 7, secs(60.0));
    let masters = roles.iter().filter(|role| **role == Role::Master).count();
    assert_eq!(masters, 1, "{roles:?}");
}

/// Runs machines with this knowledge from the third second on, which changes at these times; the roles at the end.
fn simulate(
    first: &[Leadership],
    changes: &[(Duration, Vec<Leadership>)],
    seed: u64,
    end: Duration,
) -> Vec<Role> {
    let mut jitter = Jitter::new(seed);
    let new = |i: usize| Machine::new(Timing::default(), Jitter::new(seed ^ (i as u64) << 32), None);
    let mut machines: Vec<Machine> = (0..first.len()).map(new).collect();
    let mut frames: BTreeMap<(Duration, u64), (usize, Event)> = BTreeMap::new();
    let mut known: BTreeMap<(Duration, usize), Leadership> = BTreeMap::new();
    for (at, leaderships) in [(secs(3.0), first.to_vec())].iter().chain(changes) {
        known.extend(
            leaderships
                .iter()
                .enumerate()
                .map(|(i, known)| ((*at, i), *known)),
        );
    }
    let mut serial = 0;
    for i in 0..first.len() {
        serial += 1;
        frames.insert((Duration::ZERO, serial), (i, Event::LinkUp(mac(i as u8 + 1))));
    }
    loop {
        let ticks = machines.iter().enumerate();
        let tick = ticks
            .filter_map(|(i, machine)| Some((machine.deadline()?, i)))
            .min();
        let frame = frames.keys().next().map(|(at, _)| *at);
        let news = known.keys().next().map(|(at, _)| *at);
        let Some(now) = [tick.map(|(at, _)| at), frame, news].into_iter().flatten().min() else {
            break;
        };
        if now > end {
            break;
        }
        let holders: Vec<usize> = (0..machines.len())
            .filter(|i| machines[*i].role() == Role::Master)
            .collect();
        let (who, actions) = if news == Some(now) {
            let ((_, i), leadership) = known.pop_first().unwrap();
            (i, machines[i].lead_by(now, leadership))
        } else if frame == Some(now) {
            let (_, (i, event)) = frames.pop_first().unwrap();
            (i, machines[i].handle(now, event))
        } else {
            let (_, i) = tick.unwrap();
            (i, machines[i].handle(now, Event::Tick))
        };
        let mut send = |to: usize, event: Event| {
            serial += 1;
            frames.insert(
                (now + Duration::from_millis(1 + jitter.number() % 100), serial),
                (to, event),
            );
        };
        let from = mac(who as u8 + 1);
        for action in actions {
            let others = (0..first.len()).filter(|i| *i != who);
            match action {
                Action::Claim => others.for_each(|i| send(i, Event::ClaimHeard(from))),
                Action::Announce(age) => others.for_each(|i| send(i, Event::Held(from, Some(age)))),
                Action::Query | Action::Become(_) => {}
            }
            // A kernel answers for the address that it has.
            if matches!(action, Action::Claim | Action::Query) {
                for holder in holders.iter().filter(|holder| **holder != who) {
                    send(who, Event::Held(mac(*holder as u8 + 1), None));
                }
            }
        }
    }
    machines.iter().map(Machine::role).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]
    #[test]
    fn wherever_the_leadership_goes_the_role_follows(
        count in 2usize..=5,
        leaders in proptest::collection::vec((0usize..6, 0u64..30_000), 1..6),
        seed in any::<u64>(),
    ) {
        // An index past the last machine: for a while there is no leader, and all have lost the majority.
        let led_by = |leader: usize| -> Vec<Leadership> {
            let of = |i: usize| match leader {
                _ if leader >= count => Leadership::Lost,
                _ if leader == i => Leadership::Own,
                _ => OTHER,
            };
            (0..count).map(of).collect()
        };
        let mut at = secs(8.0);
        let mut changes = Vec::new();
        for (leader, wait) in &leaders {
            changes.push((at, led_by(*leader)));
            at += Duration::from_millis(*wait);
        }
        let last = leaders.last().map_or(0, |(leader, _)| *leader);
        let end = changes.last().map_or(at, |(at, _)| *at) + secs(40.0);
        let roles = simulate(&vec![Leadership::Unknown; count], &changes, seed, end);
        for (i, role) in roles.iter().enumerate() {
            prop_assert_eq!(*role == Role::Master, i == last, "{:?} with {} leading", roles, last);
        }
        prop_assert!(last >= count || roles.iter().filter(|role| **role == Role::Node).count() == count - 1);
    }
}
