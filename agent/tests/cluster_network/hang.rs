//! A master whose agent hangs: its kernel goes on answering for the master's address.

use std::time::Duration;

use super::roles::{all, cluster};
use super::switch::{Machine, Switch, eventually};
use super::{settle, summary};

/// A silent master is given up after 9 s, its successor found within some more; the rest is for busy test machines.
const REPLACED: Duration = Duration::from_secs(60);

#[test]
fn a_master_that_hangs_is_replaced_and_follows_when_it_is_back() {
    let switch = Switch::new();
    let mut machines = cluster(&switch, 3);
    let old = settle(&all(&machines));
    let hung = machines.remove(old);
    hung.signal("STOP");
    let successor = eventually("another one is master", REPLACED, || {
        let statuses = machines
            .iter()
            .map(Machine::status)
            .collect::<Result<Vec<_>, _>>()?;
        let roles = ["master", "node"].map(|role| statuses.iter().position(|status| status["role"] == role));
        let [Some(master), Some(node)] = roles else {
            return Err(statuses.iter().map(summary).collect::<Vec<_>>().join("; "));
        };
        // It has heard the new master itself, not only the kernel of the old one.
        if statuses[node]["master"]["hostname"] == machines[master].name.as_str() {
            Ok(master)
        } else {
            Err(statuses[node]["master"].to_string())
        }
    });
    let name = machines[successor].name.clone();
    hung.signal("CONT");
    machines.push(hung);
    let master = settle(&all(&machines));
    assert_eq!(
        machines[master].name, name,
        "who hung does not take the role back"
    );
}
