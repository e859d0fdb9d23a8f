//! Who has the secret and who has not.

use super::switch::{Machine, Switch, eventually};
use super::{SOON, settle, summary};

/// Machines with agents, each with a secret made of its byte or without one.
pub(crate) fn closed(switch: &Switch, secrets: &[(&str, Option<u8>)]) -> Vec<Machine> {
    let machine = |(name, secret): &(&str, Option<u8>)| {
        let mut machine = switch.machine(name);
        machine.close(*secret);
        machine.start();
        machine
    };
    secrets.iter().map(machine).collect()
}

#[test]
fn who_has_the_same_secret_joins() {
    let switch = Switch::new();
    let machines = closed(&switch, &[("n1", Some(1)), ("n2", Some(1)), ("n3", Some(1))]);
    settle(&machines.iter().collect::<Vec<_>>());
    for machine in &machines {
        let status = machine.status().unwrap();
        assert_eq!(status["trust"], "secret");
        assert_eq!(status["warnings"], serde_json::json!([]), "{status}");
        let log = machine.log();
        assert!(
            !log.contains("refused") && !log.contains("cluster-secret-1"),
            "{log}"
        );
    }
}

#[test]
fn a_card_without_secret_takes_no_role_and_says_what_to_do() {
    let switch = Switch::new();
    let machines = closed(&switch, &[("n1", None)]);
    let status = eventually("it waits", SOON, || match machines[0].status()? {
        status if status["waiting-for"].is_string() => Ok(status),
        status => Err(summary(&status)),
    });
    let waiting = status["waiting-for"].as_str().unwrap();
    assert!(
        waiting.starts_with("a cluster secret: flash this card again") && waiting.contains("open-lab = true"),
        "{waiting}"
    );
    assert_eq!(
        (&status["role"], &status["trust"]),
        (&"starting".into(), &"none".into())
    );
    assert_eq!(machines[0].addresses(), [""; 0]);
}
