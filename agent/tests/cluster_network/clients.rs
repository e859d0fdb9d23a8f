//! Real DHCP clients and a real other server.

use std::process::Stdio;

use super::roles::{all, cluster};
use super::switch::{Machine, Running, Switch, eventually};
use super::{SOON, settle, summary};

#[test]
fn udhcpc_and_dhclient_get_a_lease_and_are_no_nodes() {
    let switch = Switch::new();
    let machines = cluster(&switch, 1);
    settle(&all(&machines));
    // The master itself has the first address of the pool.
    let laptop = switch.machine("laptop");
    let udhcpc = |class: &str| {
        let mut client = laptop.inside("udhcpc");
        client.args([
            "-i",
            "cl0",
            "-n",
            "-q",
            "-f",
            "-t",
            "2",
            "-T",
            "1",
            "-s",
            "/bin/true",
            "-V",
            class,
        ]);
        let output = client.output().unwrap();
        (
            output.status.success(),
            String::from_utf8_lossy(&output.stderr).into_owned(),
        )
    };
    let (leased, said) = udhcpc("cluster-lab");
    assert!(
        leased && said.contains("lease of 192.168.200.21 obtained from 192.168.200.1"),
        "{said}"
    );
    // On an untagged network a machine that does not ask for the cluster belongs to somebody else's server.
    let (leased, said) = udhcpc("udhcp");
    assert!(!leased && said.contains("no lease"), "{said}");

    let other = switch.machine("other");
    let lease = dhclient(&other);
    for line in [
        "fixed-address 192.168.200.22;",
        "option subnet-mask 255.255.255.0;",
        "option broadcast-address 192.168.200.255;",
        "option dhcp-server-identifier 192.168.200.1;",
        "option dhcp-lease-time 600;",
        "option ntp-servers 192.168.200.1;",
        "option domain-name \"cluster.internal\";",
        "option domain-search \"cluster.internal.\";",
    ] {
        assert!(lease.contains(line), "{line}: {lease}");
    }
    assert!(
        !lease.contains("routers") && !lease.contains("name-servers"),
        "{lease}"
    );
}

/// The lease that dhclient gets as a client that asks for the cluster.
fn dhclient(other: &Machine) -> String {
    std::fs::write(
        other.file("dhclient.conf"),
        "send vendor-class-identifier \"cluster-lab\";\nsend host-name \"other\";\n",
    )
    .expect("dhclient starts");
    let mut client = other.inside("dhclient");
    client
        .args(["-4", "-d", "-1", "-sf", "/bin/true", "-cf"])
        .arg(other.file("dhclient.conf"));
    client
        .arg("-lf")
        .arg(other.file("leases"))
        .arg("-pf")
        .arg(other.file("pid"))
        .arg("cl0");
    let _client = Running(
        client
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("dhclient starts"),
    );
    eventually("dhclient has a lease", SOON, || {
        let leases = std::fs::read_to_string(other.file("leases")).unwrap_or_default();
        if leases.contains("fixed-address") {
            Ok(leases)
        } else {
            Err(leases)
        }
    })
}

#[test]
fn dns_server_router_and_domain_are_told_when_the_settings_say_so() {
    let switch = Switch::new();
    let mut machine = switch.machine("n1");
    machine.add_settings("domain = \"lab.example\"\ndhcp-dns = true\ndhcp-router = \"192.168.200.254\"\n");
    machine.start();
    settle(&[&machine]);
    let lease = dhclient(&switch.machine("other"));
    for line in [
        "option routers 192.168.200.254;",
        "option domain-name-servers 192.168.200.1;",
        "option ntp-servers 192.168.200.1;",
        "option domain-name \"lab.example\";",
        "option domain-search \"lab.example.\";",
    ] {
        assert!(lease.contains(line), "{line}: {lease}");
    }
}

#[test]
fn a_master_that_is_no_agent_is_followed_and_other_servers_are_not() {
    let switch = Switch::new();
    let server = switch.machine("server");
    server.ip("addr add 192.168.200.1/24 dev cl0");
    let mut dnsmasq = server.inside("dnsmasq");
    dnsmasq.args([
        "--no-daemon",
        "--port=0",
        "--interface=cl0",
        "--bind-interfaces",
        "--conf-file=/dev/null",
    ]);
    dnsmasq.args(["--user=root", "--dhcp-range=192.168.200.30,192.168.200.40,5m"]);
    dnsmasq.arg(format!("--dhcp-leasefile={}", server.file("leases").display()));
    let _dnsmasq = Running(
        dnsmasq
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap(),
    );

    let home = switch.machine("home");
    home.ip("addr add 192.168.1.1/24 dev cl0");
    let mut router = home.inside("dnsmasq");
    router.args([
        "--no-daemon",
        "--port=0",
        "--interface=cl0",
        "--bind-interfaces",
        "--conf-file=/dev/null",
    ]);
    router.args([
        "--user=root",
        "--dhcp-range=192.168.1.50,192.168.1.60,5m",
        "--dhcp-authoritative",
    ]);
    router.arg(format!("--dhcp-leasefile={}", home.file("leases").display()));
    let _router = Running(
        router
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap(),
    );

    let mut machine = switch.machine("n1");
    machine.start();
    let status = eventually("it has an address of the old master", SOON, || {
        match machine.status()? {
            status if status["role"] == "node" && !status["address"].is_null() => Ok(status),
            status => Err(summary(&status)),
        }
    });
    let address = status["address"].as_str().unwrap();
    let last: u8 = address.strip_prefix("192.168.200.").unwrap().parse().unwrap();
    assert!((30..=40).contains(&last), "{address}");
    assert_eq!(machine.addresses(), [format!("{address}/24")]);
    assert!(!machine.log().contains("claiming"));
}
