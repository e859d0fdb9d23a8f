//! Two clusters with different secrets on one switch.

use std::time::Duration;

use serde_json::Value;

use super::switch::{Machine, Switch, eventually};
use super::trust::closed;
use super::{SOON, settle, settled, summary};

const MASTER_LINE: &str = "the master of another cluster (";
const CARD_LINE: &str = "a card with another cluster secret (";

fn warns(machine: &Machine, line: &str) -> Result<Value, String> {
    let status = machine.status()?;
    let warnings = status["warnings"].as_array().cloned().unwrap_or_default();
    let said = warnings
        .iter()
        .any(|warning| warning.as_str().unwrap_or_default().starts_with(line));
    let seen = || format!("{} {}", summary(&status), status["warnings"]);
    if said { Ok(status.clone()) } else { Err(seen()) }
}

#[test]
fn who_has_another_secret_gets_nothing_waits_and_both_sides_say_so_once() {
    let switch = Switch::new();
    let mut members = closed(&switch, &[("n1", Some(1)), ("n2", Some(1))]);
    let master = settle(&members.iter().collect::<Vec<_>>());
    let strangers = closed(&switch, &[("other", Some(2))]);
    eventually("the stranger says why it waits", SOON, || {
        let status = warns(&strangers[0], MASTER_LINE)?;
        let waits = status["waiting-for"] == "another cluster to leave 192.168.200.1 on this switch";
        if waits {
            Ok(())
        } else {
            Err(status["waiting-for"].to_string())
        }
    });
    eventually("the master says who asks", SOON, || {
        warns(&members[master], CARD_LINE)
    });
    // Some more questions and announcements.
    std::thread::sleep(Duration::from_secs(12));
    let status = strangers[0].status().unwrap();
    assert_eq!(
        (&status["role"], &status["peers"]),
        (&"listening".into(), &serde_json::json!([])),
        "{status}"
    );
    assert!(
        status["master"].is_null() && status["address"].is_null(),
        "{status}"
    );
    assert_eq!(strangers[0].addresses(), [""; 0]);
    assert!(
        !strangers[0].log().contains("claiming"),
        "it does not contest the address"
    );
    assert_eq!(settled(&members.iter().collect::<Vec<_>>()), Ok(master));
    for (machine, line) in [(&members[master], CARD_LINE), (&strangers[0], MASTER_LINE)] {
        assert_eq!(machine.log().matches(line).count(), 1, "{}", machine.log());
    }

    // A machine that belongs to no cluster is still served, and is no node.
    let laptop = switch.machine("laptop");
    let mut udhcpc = laptop.inside("udhcpc");
    udhcpc.args("-i cl0 -n -q -f -t 5 -T 2 -s /bin/true -V cluster-lab".split(' '));
    let output = udhcpc.output().unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    assert_eq!(settled(&members.iter().collect::<Vec<_>>()), Ok(master));

    members.iter_mut().for_each(|machine| {
        machine.stop();
    });
    assert_eq!(settle(&[&strangers[0]]), 0, "the address is free");
}

#[test]
fn two_masters_of_different_clusters_that_meet_both_stay() {
    let switch = Switch::new();
    let mut one = switch.machine("one");
    let mut two = switch.machine("two");
    one.close(Some(1));
    two.close(Some(2));
    two.isolate();
    one.start();
    two.start();
    settle(&[&one]);
    settle(&[&two]);
    two.connect();
    for machine in [&one, &two] {
        eventually("it says that there is another", SOON, || {
            warns(machine, MASTER_LINE)
        });
    }
    std::thread::sleep(Duration::from_secs(5));
    for machine in [&one, &two] {
        assert_eq!(settled(&[machine]), Ok(0));
        assert_eq!(
            machine.log().matches("this node is the master").count(),
            1,
            "{}",
            machine.log()
        );
    }
}
