//! The DHCP server beside machines that take addresses without asking, and beside another server.

use std::process::Stdio;

use super::roles::{all, cluster};
use super::switch::{Machine, Running, Switch, eventually};
use super::{SOON, settle, settled};

/// What udhcpc says when it asks once, as a machine that wants into the cluster network and is no node.
fn udhcpc(machine: &Machine) -> (bool, String) {
    let mut client = machine.inside("udhcpc");
    client.args("-i cl0 -n -q -f -t 8 -T 2 -s /bin/true -V cluster-lab".split(' '));
    let output = client.output().expect("udhcpc starts");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    (output.status.success(), said)
}

#[test]
fn an_address_that_somebody_uses_without_a_lease_is_not_offered() {
    let switch = Switch::new();
    let machines = cluster(&switch, 1);
    settle(&all(&machines));
    // The next free ones. They never send anything by themselves.
    let squatter = switch.machine("squatter");
    for address in ["192.168.200.21/24", "192.168.200.22/24"] {
        squatter.ip(&format!("addr add {address} dev cl0"));
    }
    let (leased, said) = udhcpc(&switch.machine("laptop"));
    assert!(
        leased && said.contains("lease of 192.168.200.23 obtained"),
        "{said}"
    );
    assert!(
        machines[0].log().contains("192.168.200.21 is in use by somebody"),
        "{}",
        machines[0].log()
    );
}

#[test]
fn a_reserved_address_is_given_by_hardware_address_and_by_name() {
    let switch = Switch::new();
    let mut master = switch.machine("n1");
    let laptop = switch.machine("laptop");
    let mut node = switch.machine("n3");
    master.add_settings(
        "[network.reservations]\n\"02:00:00:00:00:02\" = \"192.168.200.9\"\nn3 = \"192.168.200.30\"\n",
    );
    master.start();
    settle(&[&master]);
    let (leased, said) = udhcpc(&laptop);
    assert!(
        leased && said.contains("lease of 192.168.200.9 obtained"),
        "{said}"
    );
    node.start();
    settle(&[&master, &node]);
    assert_eq!(node.addresses(), ["192.168.200.30/24"]);
}

#[test]
fn a_client_that_renews_and_releases_keeps_its_address() {
    let switch = Switch::new();
    let machines = cluster(&switch, 1);
    settle(&all(&machines));
    let laptop = switch.machine("laptop");
    let said = std::fs::File::create(laptop.file("udhcpc")).unwrap();
    let mut client = laptop.inside("udhcpc");
    client.args("-i cl0 -f -R -T 2 -s /bin/true -V cluster-lab".split(' '));
    let client = Running(client.stdout(Stdio::null()).stderr(said).spawn().unwrap());
    let leased = |times: usize| {
        eventually("udhcpc has its lease", SOON, || {
            let said = std::fs::read_to_string(laptop.file("udhcpc")).unwrap_or_default();
            if said.matches("lease of 192.168.200.21 obtained").count() == times {
                Ok(())
            } else {
                Err(said)
            }
        });
    };
    leased(1);
    let signal = |name: &str| super::switch::command(&format!("kill -{name} {}", client.0.id()));
    signal("USR1");
    leased(2);
    // Released, and asked for anew.
    signal("USR2");
    signal("USR1");
    leased(3);
}

#[test]
fn where_another_dhcp_server_answers_machines_that_are_no_nodes_are_left_to_it() {
    let switch = Switch::new();
    let rival = switch.machine("rival");
    rival.ip("addr add 192.168.200.254/24 dev cl0");
    let mut dnsmasq = rival.inside("dnsmasq");
    dnsmasq.args(
        "--no-daemon --port=0 --interface=cl0 --bind-interfaces --conf-file=/dev/null --user=root".split(' '),
    );
    dnsmasq.args(["--dhcp-range=192.168.200.30,192.168.200.40,5m", "--no-ping"]);
    dnsmasq.arg(format!("--dhcp-leasefile={}", rival.file("leases").display()));
    let _dnsmasq = Running(
        dnsmasq
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap(),
    );

    let machines = cluster(&switch, 2);
    let master = settle(&all(&machines));
    let line = "another DHCP server (192.168.200.254, 02:00:00:00:00:01) answers on the cluster network";
    eventually("the master says so", SOON, || {
        let warnings = machines[master].status()?["warnings"].to_string();
        if warnings.contains(line) {
            Ok(())
        } else {
            Err(warnings)
        }
    });
    for number in 0..3 {
        let (leased, said) = udhcpc(&switch.machine(&format!("laptop{number}")));
        assert!(leased && said.contains("obtained from 192.168.200.254"), "{said}");
    }
    assert_eq!(settled(&all(&machines)), Ok(master), "nodes are served on");
}
