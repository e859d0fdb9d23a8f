//! What others do to a node, and what a node must not do to others.

use std::time::Duration;

use super::roles::{all, cluster};
use super::switch::{Running, Switch, eventually};
use super::{SOON, settle, settled, summary};

#[test]
fn an_address_that_somebody_removes_or_adds_is_put_right() {
    let switch = Switch::new();
    let machines = cluster(&switch, 2);
    let master = settle(&all(&machines));
    for machine in &machines {
        machine.ip("addr flush dev cl0");
        machine.ip("addr add 192.168.200.77/24 dev cl0");
        machine.ip("addr add 10.9.8.7/24 dev cl0");
    }
    let seen = eventually(
        "the cluster's own addresses only, and the foreign one",
        SOON,
        || {
            let addresses: Vec<_> = machines.iter().map(super::Machine::addresses).collect();
            let foreign = "10.9.8.7/24".to_owned();
            let own = |of: &Vec<String>, count: usize| of.len() == count + 1 && of.contains(&foreign);
            if own(&addresses[master], 2) && own(&addresses[1 - master], 1) {
                Ok(addresses)
            } else {
                Err(format!("{addresses:?}"))
            }
        },
    );
    assert!(seen[master].contains(&"192.168.200.1/32".to_owned()), "{seen:?}");
    assert!(
        !seen
            .iter()
            .flatten()
            .any(|address| address == "192.168.200.77/24"),
        "{seen:?}"
    );
    for machine in &machines {
        machine.ip("addr del 10.9.8.7/24 dev cl0");
    }
    assert_eq!(settled(&all(&machines)), Ok(master));
}

#[test]
fn an_interface_that_vanishes_is_waited_for_and_used_again() {
    let switch = Switch::new();
    let machines = cluster(&switch, 2);
    let master = settle(&all(&machines));
    let node = &machines[1 - master];
    node.unplug();
    eventually("it waits", SOON, || match node.status()? {
        status if status["role"] == "starting" && status["waiting-for"] == "an interface named cl0" => Ok(()),
        status => Err(summary(&status)),
    });
    node.plug();
    assert_eq!(settle(&all(&machines)), master);
}

#[test]
fn nothing_of_the_cluster_goes_out_on_the_uplink() {
    let switch = Switch::new();
    let home = Switch::new();
    let mut machine = switch.machine("n1");
    home.uplink(&machine);
    machine.ip("addr add 192.168.1.7/24 dev up0");
    let mut capture = machine.inside("tcpdump");
    capture.args([
        "-i",
        "up0",
        "-n",
        "-l",
        "-p",
        "arp or udp port 67 or udp port 68 or udp port 5353",
    ]);
    let errors = std::fs::File::create(machine.file("tcpdump.err")).unwrap();
    let packets = std::fs::File::create(machine.file("tcpdump")).unwrap();
    let capture = Running(capture.stdout(packets).stderr(errors).spawn().unwrap());
    eventually("tcpdump listens", SOON, || {
        let said = std::fs::read_to_string(machine.file("tcpdump.err")).unwrap_or_default();
        if said.contains("listening on up0") {
            Ok(())
        } else {
            Err(said)
        }
    });
    machine.start();
    let mut node = switch.machine("n2");
    node.start();
    settle(&[&machine, &node]);
    std::thread::sleep(Duration::from_secs(3));
    drop(capture);
    assert_eq!(std::fs::read_to_string(machine.file("tcpdump")).unwrap(), "");
    assert!(machine.ip("-4 -o addr show dev up0").contains("192.168.1.7/24"));
}

#[test]
fn a_taken_web_port_is_a_warning_and_no_failure() {
    let switch = Switch::new();
    let mut machine = switch.machine("n1");
    let mut other = machine.inside("busybox");
    let _other = Running(
        other
            .args(["httpd", "-f", "-p", "80", "-h", "/"])
            .spawn()
            .unwrap(),
    );
    std::thread::sleep(Duration::from_millis(500));
    machine.start();
    settle(&[&machine]);
    let status = machine.status().unwrap();
    let warning = status["warnings"][1].as_str().unwrap_or_default();
    assert!(
        warning.starts_with("no HTTP API on the cluster network: binding 192.168.200.1:80 of cl0"),
        "{status}"
    );
    assert!(warning.ends_with("is a web server running here?"), "{status}");
}
