//! Who becomes master, and remains it.

use std::time::Duration;

use cluster_lab::network::discovery::Discovery;
use cluster_lab::trust::Trust;

use super::switch::{Machine, Switch, eventually};
use super::{SOON, settle, settled, summary};

/// Machines `n1` to `n<count>` on the switch, with agents started at the same moment.
pub(crate) fn cluster(switch: &Switch, count: usize) -> Vec<Machine> {
    let mut machines: Vec<_> = (1..=count)
        .map(|number| switch.machine(&format!("n{number}")))
        .collect();
    machines.iter_mut().for_each(Machine::start);
    machines
}

pub(crate) fn all(machines: &[Machine]) -> Vec<&Machine> {
    machines.iter().collect()
}

#[test]
fn powered_on_together_exactly_one_becomes_master_every_time() {
    let clusters: Vec<_> = (0..5)
        .map(|_| Switch::new())
        .map(|switch| (cluster(&switch, 3), switch))
        .collect();
    let masters: Vec<usize> = clusters
        .iter()
        .map(|(machines, _)| settle(&all(machines)))
        .collect();
    // It stays so: nothing of what is still on its way changes a role.
    std::thread::sleep(Duration::from_secs(3));
    for ((machines, _), master) in clusters.iter().zip(masters) {
        assert_eq!(settled(&all(machines)), Ok(master));
        for machine in machines {
            let status = machine.status().unwrap();
            let timing = &status["timing"];
            let taken = timing["role-taken"].as_f64().unwrap() - timing["agent-started"].as_f64().unwrap();
            assert!(taken < 10.0, "{} after {taken} s", summary(&status));
            let warnings = status["warnings"].as_array().unwrap();
            let open_lab = warnings[0].as_str().unwrap();
            assert!(
                warnings.len() == 1 && open_lab.starts_with("open lab: whoever is on"),
                "{status}"
            );
        }
    }
}

#[test]
fn a_late_machine_joins_and_one_that_leaves_takes_its_address_along() {
    let switch = Switch::new();
    let mut machines = cluster(&switch, 2);
    let master = settle(&all(&machines));
    let mut late = switch.machine("late");
    late.start();
    machines.push(late);
    assert_eq!(settle(&all(&machines)), master);
    assert!(
        !machines[2].log().contains("claiming"),
        "a machine that sees a master does not claim"
    );

    let late = &mut machines[2];
    assert!(late.stop(), "it ends without an error");
    assert_eq!(late.addresses(), [""; 0]);
    assert!(!late.file("socket").exists());
    let output = late.status_output(false);
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1));
    assert!(
        error.starts_with("cluster-lab: the daemon does not run (start it: systemctl start"),
        "{error}"
    );
    assert_eq!(error.lines().count(), 1, "{error}");
}

#[test]
fn when_the_master_dies_a_node_takes_over_and_the_old_one_joins_later() {
    let switch = Switch::new();
    let mut machines = cluster(&switch, 3);
    let old = settle(&all(&machines));
    let mut dead = machines.remove(old);
    let addresses: Vec<_> = machines.iter().map(Machine::addresses).collect();
    dead.kill();
    dead.cut();
    let new = settle(&all(&machines));
    let follower = 1 - new;
    assert_eq!(
        machines[follower].addresses(),
        addresses[follower],
        "it keeps its address under the new master"
    );
    let served = machines[new].status().unwrap();
    assert_eq!(
        served["peers"][0]["address"]
            .as_str()
            .map(|a| format!("{a}/24"))
            .as_ref(),
        addresses[follower].first()
    );

    // It still has the master's address when its cable is mended, as after a long hang.
    assert!(dead.addresses().contains(&"192.168.200.1/32".to_owned()));
    let name = machines[new].name.clone();
    dead.start();
    eventually("it waits for its cable", SOON, || match dead.status()? {
        status if status["waiting-for"] == "a cable with a link in cl0" => Ok(()),
        status => Err(summary(&status)),
    });
    dead.mend();
    machines.push(dead);
    let master = settle(&all(&machines));
    assert_eq!(
        machines[master].name, name,
        "who returns does not take the role back"
    );
}

#[test]
fn after_a_power_cut_of_all_the_same_machine_is_master_and_all_keep_their_addresses() {
    let switch = Switch::new();
    let mut machines = cluster(&switch, 3);
    let master = settle(&all(&machines));
    let addresses: Vec<_> = machines.iter().map(Machine::addresses).collect();
    // The roles are written by another thread.
    eventually("the roles are on the card", SOON, || {
        let written = machines
            .iter()
            .all(|machine| machine.file("state/role.json").exists());
        let leases = std::fs::read_to_string(machines[master].file("state/leases.json")).unwrap_or_default();
        let all = leases.matches("\"address\"").count() == 3;
        if written && all { Ok(()) } else { Err(leases) }
    });
    machines.iter_mut().for_each(Machine::kill);
    // The worst order: the master last.
    for machine in &machines {
        machine.ip("addr flush dev cl0");
    }
    let mut order: Vec<usize> = (0..3).filter(|i| *i != master).collect();
    order.push(master);
    for i in order {
        machines[i].start();
        std::thread::sleep(Duration::from_millis(1500));
    }
    assert_eq!(settle(&all(&machines)), master);
    assert_eq!(
        machines.iter().map(Machine::addresses).collect::<Vec<_>>(),
        addresses
    );
}

#[test]
fn of_two_masters_that_meet_the_older_one_stays() {
    let switch = Switch::new();
    let mut machines = vec![switch.machine("young"), switch.machine("old")];
    // The younger has the lower hardware address, which decides only between equals.
    machines[0].isolate();
    machines[1].start();
    settle(&[&machines[1]]);
    std::thread::sleep(Duration::from_secs(4));
    machines[0].start();
    settle(&[&machines[0]]);
    machines[0].connect();
    assert_eq!(settle(&all(&machines)), 1);
}

#[test]
fn the_master_is_announced_by_dns_sd_as_the_first_cluster_lab_was() {
    let switch = Switch::new();
    let laptop = switch.machine("laptop");
    let mut capture = laptop.inside("tcpdump");
    capture
        .args(["-i", "cl0", "-n", "-l", "-v", "udp port 5353"])
        .stderr(std::process::Stdio::null());
    let packets = std::fs::File::create(laptop.file("tcpdump")).unwrap();
    let _capture = super::switch::Running(capture.stdout(packets).spawn().unwrap());
    let machines = cluster(&switch, 1);
    settle(&all(&machines));
    eventually("service, text and address of the master", SOON, || {
        let heard = std::fs::read_to_string(laptop.file("tcpdump")).unwrap_or_default();
        let wanted = [
            "Cluster-Leader=n1._cluster._tcp.local.",
            "n1-cluster.local.:22",
            "os-release=",
            " A 192.168.200.1",
        ];
        if wanted.iter().all(|text| heard.contains(text)) {
            Ok(())
        } else {
            Err(heard)
        }
    });
}

#[test]
fn a_master_heard_only_by_dns_sd_over_ipv6_keeps_its_address_to_itself() {
    let switch = Switch::new();
    let elsewhere = switch.machine("elsewhere");
    let address = std::net::Ipv4Addr::new(192, 168, 200, 1);
    let cluster = boot_config::Cluster {
        open_lab: true,
        ..boot_config::Settings::default().cluster
    };
    let seal = Trust::decide(None, &cluster).unwrap().seal();
    let announce = || Discovery::announce("cl0", "elsewhere", address, "test", &seal).unwrap();
    let _announcement = elsewhere.run_inside(announce);
    // Link-local address and probing of the name take some seconds.
    std::thread::sleep(Duration::from_secs(5));
    let mut machine = switch.machine("n1");
    machine.start();
    eventually("it knows of the master", SOON, || match machine.status()? {
        status if status["role"] == "node" && status["waiting-for"] == "an address from the master" => Ok(()),
        status => Err(summary(&status)),
    });
    // Longer than a silent master is believed in: it asks anew and hears it again.
    std::thread::sleep(Duration::from_secs(12));
    let log = machine.log();
    // On a busy machine its answer may come when the first probe is out already: a probe takes nothing yet.
    assert!(
        log.contains("a master was found by DNS-SD") && !log.contains("this node is the master"),
        "{log}"
    );
}
