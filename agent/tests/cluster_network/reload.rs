//! Settings that are changed while the node runs.

use super::switch::{Machine, Switch, eventually};
use super::{SOON, settle};

fn change(machine: &Machine, from: &str, to: &str) {
    let file = machine.file("cluster.toml");
    let text = std::fs::read_to_string(&file).expect("a file");
    std::fs::write(file, text.replace(from, to)).expect("a file");
    machine.signal("HUP");
}

#[test]
fn changed_settings_are_taken_without_a_restart_and_wrong_ones_are_not() {
    let switch = Switch::new();
    let mut machines = [switch.machine("n1"), switch.machine("n2")];
    machines[0].add_settings("domain = \"one.example\"\n");
    machines[0].start();
    settle(&[&machines[0]]);
    machines[1].start();
    let all: Vec<&Machine> = machines.iter().collect();
    assert_eq!(settle(&all), 0);

    change(&machines[0], "domain = ", "domian = ");
    eventually("the status says what is wrong", SOON, || {
        let warnings = machines[0].status()?["warnings"].to_string();
        let said = warnings.contains("the settings are not taken, the old ones hold: ")
            && warnings.contains("`domian`");
        if said { Ok(()) } else { Err(warnings) }
    });
    assert_eq!(settle(&all), 0);
    assert!(!machines[0].log().contains("ending"), "it goes on as it was");

    change(
        &machines[0],
        "domian = \"one.example\"",
        "domain = \"two.example\"",
    );
    eventually("the new domain is served", SOON, || {
        let mut dig = machines[1].inside("dig");
        let output = dig
            .args("+short +time=1 +tries=1 @192.168.200.1 n1.two.example".split(' '))
            .output();
        let said = String::from_utf8_lossy(&output.map_err(|error| error.to_string())?.stdout).into_owned();
        if said.starts_with("192.168.200.") {
            Ok(())
        } else {
            Err(said)
        }
    });
    // The same process, the same role.
    assert_eq!(settle(&all), 0);
    let warnings = machines[0].status().unwrap()["warnings"].to_string();
    assert!(!warnings.contains("not taken"), "{warnings}");
}
