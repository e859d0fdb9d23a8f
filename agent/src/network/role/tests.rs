//! The rules one by one, then whole clusters on a simulated wire that loses and delays frames.

use std::collections::BTreeMap;

use proptest::prelude::{Just, ProptestConfig, Strategy, any, prop_assert_eq, prop_oneof, proptest};

use super::{Action, Duration, Event, Inclination, Jitter, Mac, Machine, Role, Timing};

mod exhaustive;

fn mac(last: u8) -> Mac {
    Mac::from([0xb8, 0x27, 0xeb, 0, 0, last])
}

fn secs(seconds: f64) -> Duration {
    Duration::from_secs_f64(seconds)
}

fn machine(last: u8, remembered: Option<Role>) -> Machine {
    let mut machine = Machine::new(Timing::default(), Jitter::new(u64::from(last)), remembered);
    let actions = machine.handle(Duration::ZERO, Event::LinkUp(mac(last)));
    assert_eq!(actions, [Action::Become(Role::Listening), Action::Query]);
    machine
}

/// Ticks until the role changes; the time of the change.
fn until(machine: &mut Machine, mut now: Duration, role: Role) -> Duration {
    while machine.role() != role {
        now = now.max(machine.deadline().expect("a deadline"));
        machine.handle(now, Event::Tick);
        assert!(now < secs(100.0), "never {role:?}");
    }
    now
}

#[test]
fn alone_it_probes_three_times_and_leads_within_six_seconds() {
    let mut machine = machine(1, None);
    let mut claims = 0;
    let mut now = Duration::ZERO;
    loop {
        now = now.max(machine.deadline().unwrap());
        let actions = machine.handle(now, Event::Tick);
        claims += actions.iter().filter(|action| **action == Action::Claim).count();
        if actions.contains(&Action::Become(Role::Master)) {
            assert_eq!(actions[1], Action::Announce(Duration::ZERO));
            break;
        }
    }
    assert_eq!(claims, 3);
    assert!(now < secs(6.0), "{now:?}");
}

#[test]
fn any_sign_of_a_master_makes_it_a_node() {
    for event in [
        Event::MasterSeen,
        Event::Held(mac(9), None),
        Event::Held(mac(9), Some(secs(1.0))),
    ] {
        let mut listening = machine(1, None);
        assert_eq!(listening.handle(secs(0.5), event), [Action::Become(Role::Node)]);
        let mut claiming = machine(1, None);
        let now = until(&mut claiming, Duration::ZERO, Role::Claiming);
        assert_eq!(claiming.handle(now, event), [Action::Become(Role::Node)]);
    }
}

#[test]
fn memory_decides_how_long_it_listens() {
    let claims_at = |remembered| until(&mut machine(7, remembered), Duration::ZERO, Role::Claiming);
    let [master, fresh, node] = [Some(Role::Master), None, Some(Role::Node)].map(claims_at);
    assert!(master < secs(1.3) && fresh > secs(1.9) && fresh < secs(4.1) && node > secs(19.0));
}

#[test]
fn of_two_claims_the_lower_hardware_address_goes_on() {
    for (mine, other, expected) in [(1, 2, Role::Claiming), (2, 1, Role::Listening)] {
        let mut machine = machine(mine, None);
        let now = until(&mut machine, Duration::ZERO, Role::Claiming);
        machine.handle(now, Event::ClaimHeard(mac(other)));
        assert_eq!(machine.role(), expected, "{mine} against {other}");
    }
}

#[test]
fn a_listener_lets_a_claim_go_first() {
    let mut machine = machine(1, Some(Role::Master));
    machine.handle(secs(0.7), Event::ClaimHeard(mac(9)));
    assert!(until(&mut machine, secs(0.7), Role::Claiming) > secs(0.7 + 1.5));
}

#[test]
fn its_own_frames_come_back_without_effect() {
    let mut machine = machine(1, None);
    for event in [Event::ClaimHeard(mac(1)), Event::Held(mac(1), None)] {
        assert_eq!(machine.handle(secs(0.1), event), []);
    }
    assert_eq!(machine.role(), Role::Listening);
}

#[test]
fn a_master_defends_its_address_but_does_not_flood() {
    let mut machine = machine(1, None);
    let now = until(&mut machine, Duration::ZERO, Role::Master) + secs(5.0);
    assert_eq!(
        machine.handle(now, Event::ClaimHeard(mac(9))),
        [Action::Announce(secs(5.0))]
    );
    assert_eq!(machine.handle(now, Event::ClaimHeard(mac(9))), []);
}

#[test]
fn of_two_masters_never_both_stay() {
    // Ages of the two in tenths of a second, every delay of the packets up to 1 s.
    for lower in 0..=120_u64 {
        for higher in 0..=120_u64 {
            for delay in [0, 1, 5, 10] {
                let age = |tenths: u64| Duration::from_millis(100 * tenths);
                let stays = |mine: u8, my_age: u64, other: u8, other_age: u64| {
                    let mut machine = machine(mine, None);
                    let since = until(&mut machine, Duration::ZERO, Role::Master);
                    let met = since + age(my_age + delay);
                    while let Some(tick) = machine.deadline().filter(|tick| *tick < met) {
                        machine.handle(tick, Event::Tick);
                    }
                    machine.handle(met, Event::Held(mac(other), Some(age(other_age))));
                    machine.role() == Role::Master
                };
                let both = stays(1, lower, 2, higher) && stays(2, higher, 1, lower);
                assert!(!both, "lower {lower}, higher {higher}, delay {delay}");
            }
        }
    }
}

#[test]
fn a_silent_master_is_queried_and_then_given_up() {
    let mut machine = machine(1, None);
    machine.handle(secs(1.0), Event::MasterSeen);
    assert_eq!(machine.deadline(), Some(secs(6.0)));
    assert_eq!(machine.handle(secs(6.0), Event::Tick), [Action::Query]);
    machine.handle(secs(6.5), Event::Held(mac(9), Some(secs(9.0))));
    assert_eq!(until(&mut machine, secs(6.5), Role::Listening), secs(15.5));
}

#[test]
fn a_master_whose_kernel_answers_but_whose_agent_hangs_is_replaced() {
    let mut node = machine(1, None);
    node.handle(secs(1.0), Event::Held(mac(9), Some(secs(50.0))));
    // Its kernel answers every query, before and after it is given up, and the claims too.
    let mut now = secs(1.0);
    while node.role() != Role::Master {
        now = node.deadline().unwrap();
        node.handle(now, Event::Tick);
        node.handle(now, Event::Held(mac(9), None));
        assert!(now < secs(20.0), "{node:?}");
    }
    assert_eq!(node.handle(now, Event::Held(mac(9), None)), []);
    // Awake again it says how old it thinks to be.
    node.handle(now, Event::Held(mac(9), Some(secs(70.0))));
    assert_eq!(node.role(), Role::Node);
}

#[test]
fn a_master_that_has_hung_steps_down_before_anything_else() {
    for event in [
        Event::Tick,
        Event::Held(mac(9), Some(secs(1.0))),
        Event::ClaimHeard(mac(9)),
        Event::Sought,
    ] {
        let mut machine = machine(1, None);
        let now = until(&mut machine, Duration::ZERO, Role::Master);
        let actions = machine.handle(now + secs(8.0), event);
        assert_eq!(
            actions[..2],
            [Action::Become(Role::Listening), Action::Query],
            "{event:?}"
        );
        assert_ne!(machine.role(), Role::Master);
    }
    let mut machine = machine(1, None);
    let now = until(&mut machine, Duration::ZERO, Role::Master);
    assert_eq!(
        machine.handle(now + secs(6.0), Event::Tick),
        [Action::Announce(secs(6.0))],
        "only late"
    );
}

#[test]
fn who_prefers_to_be_master_claims_first_and_who_never_is_one_never_claims() {
    let mut prefers =
        Machine::new(Timing::default(), Jitter::new(1), Some(Role::Node)).inclined(Inclination::Prefer);
    prefers.handle(Duration::ZERO, Event::LinkUp(mac(9)));
    assert!(until(&mut prefers, Duration::ZERO, Role::Claiming) < secs(1.3));
    let mut never =
        Machine::new(Timing::default(), Jitter::new(1), Some(Role::Master)).inclined(Inclination::Never);
    never.handle(Duration::ZERO, Event::LinkUp(mac(1)));
    let mut now = Duration::ZERO;
    while now < secs(100.0) {
        now = never.deadline().unwrap();
        never.handle(now, Event::Tick);
        assert_eq!(never.role(), Role::Listening);
    }
    never.handle(now, Event::Held(mac(9), Some(secs(1.0))));
    assert_eq!(never.role(), Role::Node);
}

#[test]
fn who_looks_for_a_master_is_answered_by_the_agent() {
    let mut machine = machine(1, None);
    let now = until(&mut machine, Duration::ZERO, Role::Master) + secs(1.0);
    assert_eq!(machine.handle(now, Event::Sought), [Action::Announce(secs(1.0))]);
    assert_eq!(machine.handle(now, Event::Sought), [], "it does not flood");
}

#[test]
fn another_clusters_master_is_neither_followed_nor_fought_and_outwaited() {
    let foreign = Event::Foreign(mac(9));
    let mut listening = machine(1, None);
    let mut now = Duration::ZERO;
    while now < secs(60.0) {
        now += secs(2.0);
        listening.handle(now, foreign);
        listening.handle(now, Event::Tick);
        assert_eq!(listening.role(), Role::Listening, "{now:?}");
    }
    let led = until(&mut listening, now, Role::Master);
    assert!(led < now + secs(16.0), "it is gone");
    assert_eq!(listening.handle(led + secs(5.0), foreign), []);
    assert_eq!(listening.role(), Role::Master, "who came later");

    let mut claiming = machine(1, None);
    let now = until(&mut claiming, Duration::ZERO, Role::Claiming);
    assert_eq!(claiming.handle(now, foreign), [Action::Become(Role::Listening)]);
    for (sign, expected) in [
        (Event::Held(mac(9), None), Role::Listening),
        (Event::Held(mac(8), Some(secs(1.0))), Role::Node),
        (Event::MasterSeen, Role::Node),
    ] {
        let mut node = machine(1, None);
        node.handle(secs(1.0), sign);
        node.handle(secs(1.1), foreign);
        assert_eq!(node.role(), expected, "{sign:?}");
    }
}

#[test]
fn without_a_link_it_has_no_role_and_then_listens_briefly_as_it_was_master() {
    let mut machine = machine(1, None);
    let now = until(&mut machine, Duration::ZERO, Role::Master);
    assert_eq!(
        machine.handle(now, Event::LinkDown),
        [Action::Become(Role::Starting)]
    );
    assert_eq!(machine.deadline(), None);
    machine.handle(now, Event::LinkUp(mac(1)));
    assert!(until(&mut machine, now, Role::Claiming) < now + secs(1.3));
}

/// What the wire of the simulation does to a frame on its way to one receiver.
#[derive(Clone, Debug)]
struct Wire {
    /// Lost, in percent, until `clean_at`.
    loss: u64,
    /// Longest delay in milliseconds.
    delay: u64,
    clean_at: Duration,
}

/// Runs `machines` (start time, memory) for `length`; how often a master was seen per second is not checked, only the
/// roles at the end and the addresses that stayed.
fn simulate(starts: &[(Duration, Option<Role>)], wire: &Wire, seed: u64, length: Duration) -> Vec<Role> {
    let mut jitter = Jitter::new(seed);
    let mut machines: Vec<Machine> = starts
        .iter()
        .enumerate()
        .map(|(i, (_, memory))| {
            Machine::new(Timing::default(), Jitter::new(seed ^ (i as u64) << 32), *memory)
        })
        .collect();
    let mut queue: BTreeMap<(Duration, u64), (usize, Event)> = BTreeMap::new();
    let mut serial = 0;
    for (i, (start, _)) in starts.iter().enumerate() {
        serial += 1;
        queue.insert((*start, serial), (i, Event::LinkUp(mac(i as u8 + 1))));
    }
    loop {
        let tick = machines
            .iter()
            .enumerate()
            .filter_map(|(i, m)| m.deadline().map(|at| (at, i)))
            .min();
        let frame = queue.first_key_value().map(|((at, _), _)| *at);
        let (now, to, event) = match (tick, frame) {
            (Some((at, i)), frame) if frame.is_none_or(|frame| at <= frame) => (at, i, Event::Tick),
            (_, Some(_)) => match queue.pop_first() {
                Some(((at, _), (to, event))) => (at, to, event),
                None => break,
            },
            _ => break,
        };
        if now > length {
            break;
        }
        let masters: Vec<usize> = (0..machines.len())
            .filter(|i| machines[*i].role() == Role::Master)
            .collect();
        for action in machines[to].handle(now, event) {
            let from = mac(to as u8 + 1);
            let mut send = |receiver: usize, event: Event| {
                if now < wire.clean_at && jitter.number() % 100 < wire.loss {
                    return;
                }
                let delay = Duration::from_micros(100 + jitter.number() % (wire.delay * 1000 + 1));
                serial += 1;
                queue.insert((now + delay, serial), (receiver, event));
            };
            let others = (0..starts.len()).filter(|i| *i != to);
            match action {
                Action::Claim => {
                    others.for_each(|i| send(i, Event::ClaimHeard(from)));
                    // The kernel of a master answers a probe by itself.
                    masters
                        .iter()
                        .filter(|i| **i != to)
                        .for_each(|i| send(to, Event::Held(mac(*i as u8 + 1), None)));
                }
                Action::Query => {
                    masters
                        .iter()
                        .filter(|i| **i != to)
                        .for_each(|i| send(to, Event::Held(mac(*i as u8 + 1), None)));
                    others.for_each(|i| send(i, Event::Sought));
                }
                Action::Announce(age) => others.for_each(|i| send(i, Event::Held(from, Some(age)))),
                Action::Become(_) => {}
            }
        }
    }
    machines.iter().map(Machine::role).collect()
}

fn memory() -> impl Strategy<Value = Option<Role>> {
    prop_oneof![3 => Just(None), 1 => Just(Some(Role::Master)), 1 => Just(Some(Role::Node))]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]
    #[test]
    fn any_cluster_ends_with_exactly_one_master(
        starts in proptest::collection::vec((0u64..300, memory()), 2..=5),
        loss in 0u64..60,
        delay in 0u64..200,
        seed in any::<u64>(),
    ) {
        let starts: Vec<_> = starts.into_iter().map(|(ms, role)| (Duration::from_millis(ms), role)).collect();
        let wire = Wire { loss, delay, clean_at: secs(40.0) };
        let roles = simulate(&starts, &wire, seed, secs(75.0));
        let count = |role| roles.iter().filter(|r| **r == role).count();
        prop_assert_eq!(count(Role::Master), 1, "{:?}", roles);
        prop_assert_eq!(count(Role::Node), roles.len() - 1, "{:?}", roles);
    }

    #[test]
    fn on_a_sound_wire_all_roles_are_taken_in_ten_seconds(
        count in 2usize..=5,
        seed in any::<u64>(),
    ) {
        let wire = Wire { loss: 0, delay: 20, clean_at: Duration::ZERO };
        let roles = simulate(&vec![(Duration::ZERO, None); count], &wire, seed, secs(10.0));
        prop_assert_eq!(roles.iter().filter(|r| **r == Role::Master).count(), 1, "{:?}", roles);
        prop_assert_eq!(roles.iter().filter(|r| **r == Role::Node).count(), count - 1, "{:?}", roles);
    }

    #[test]
    fn the_previous_master_is_master_again_even_when_it_boots_late(
        late in 0u64..15_000,
        seed in any::<u64>(),
    ) {
        let node = (Duration::ZERO, Some(Role::Node));
        let master = (Duration::from_millis(late), Some(Role::Master));
        let wire = Wire { loss: 5, delay: 20, clean_at: secs(100.0) };
        let roles = simulate(&[node, node, master], &wire, seed, secs(30.0));
        prop_assert_eq!(roles, [Role::Node, Role::Node, Role::Master]);
    }
}
