//! Who has the secret and who has not.

use super::switch::{Machine, Switch, eventually};
use super::{SOON, settle, summary};

/// Machines with agents, each with a secret made of its byte or without one.
fn closed(switch: &Switch, secrets: &[(&str, Option<u8>)]) -> Vec<Machine> {
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
fn who_has_another_secret_learns_nothing_and_both_sides_say_so_once() {
    let switch = Switch::new();
    let members = closed(&switch, &[("master", Some(1))]);
    settle(&[&members[0]]);
    let strangers = closed(&switch, &[("stranger", Some(2))]);
    let line = "the master at 192.168.200.1 has another cluster secret than this card: flash this card again";
    let status = eventually("the stranger is told", SOON, || {
        let status = strangers[0].status()?;
        let warning = status["warnings"][0].as_str().unwrap_or_default();
        if warning.starts_with(line) {
            Ok(status)
        } else {
            Err(format!("{} {}", summary(&status), status["warnings"]))
        }
    });
    assert!(status["master"]["hostname"].is_null(), "{status}");
    assert_eq!(status["peers"], serde_json::json!([]));
    // Some more tries, each of them refused.
    std::thread::sleep(std::time::Duration::from_secs(15));
    let address = status["address"].as_str().unwrap();
    let refused = format!("{address} was refused as a member: it has another cluster secret");
    assert_eq!(
        members[0].log().matches(&refused).count(),
        1,
        "{}",
        members[0].log()
    );
    assert_eq!(
        strangers[0].log().matches(line).count(),
        1,
        "{}",
        strangers[0].log()
    );
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
