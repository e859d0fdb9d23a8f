//! Names on the cluster network: a real resolver's tools ask the master, a real DNS server is the uplink's.

use std::net::UdpSocket;
use std::process::{Output, Stdio};
use std::time::Duration;

use super::roles::{all, cluster};
use super::switch::{Machine, Running, Switch, eventually};
use super::{SOON, settle};

/// Runs `dig` in a machine, with the master as server.
fn dig(machine: &Machine, words: &str) -> String {
    let mut command = machine.inside("dig");
    command.args(["+time=5", "+tries=1", "@192.168.200.1"]);
    let output: Output = command
        .args(words.split_whitespace())
        .output()
        .expect("it starts");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// The address that a machine has as a node, also when it is master.
fn own_address(machine: &Machine) -> String {
    let status = machine.status().expect("a status");
    status["node-address"].as_str().expect("an address").to_owned()
}

/// A laptop in the cluster network with an address of its own.
fn laptop(switch: &Switch) -> Machine {
    let laptop = switch.machine("laptop");
    laptop.ip("addr add 192.168.200.250/24 dev cl0");
    laptop
}

/// A DNS server behind the uplink of a machine.
fn resolver(home: &Machine, options: &[&str]) -> Running {
    let mut dnsmasq = home.inside("dnsmasq");
    dnsmasq.args([
        "--no-daemon",
        "--conf-file=/dev/null",
        "--no-resolv",
        "--no-hosts",
        "--user=root",
    ]);
    dnsmasq.args(["--interface=cl0", "--bind-interfaces", "--log-queries"]);
    dnsmasq.args(options);
    let log = std::fs::File::create(home.file("dnsmasq.log")).expect("a log");
    Running(
        dnsmasq
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .expect("it starts"),
    )
}

/// How often the server behind the uplink was asked for a name.
fn asked(home: &Machine, name: &str) -> usize {
    let log = std::fs::read_to_string(home.file("dnsmasq.log")).expect("a log");
    let question = format!("] {name} from ");
    log.lines()
        .filter(|line| line.contains("query[") && line.contains(&question))
        .count()
}

#[test]
fn every_machine_of_the_cluster_has_a_name_and_the_address_its_name_back() {
    let switch = Switch::new();
    let machines = cluster(&switch, 3);
    let master = settle(&all(&machines));
    let laptop = laptop(&switch);
    for machine in &machines {
        let address = own_address(machine);
        let name = &machine.name;
        for asked in [name.clone(), format!("{name}.cluster.internal")] {
            let answer = dig(&laptop, &format!("{asked} A"));
            assert!(
                answer.contains("status: NOERROR") && answer.contains("flags: qr aa rd ra;"),
                "{answer}"
            );
            assert_eq!(dig(&laptop, &format!("+short {asked}")).trim(), address);
        }
        assert_eq!(
            dig(&laptop, &format!("+short -x {address}")).trim(),
            format!("{name}.cluster.internal.")
        );
    }
    for name in [
        "master",
        "cl-master",
        "master.cluster.internal",
        "CL-Master.Cluster.Internal",
    ] {
        assert_eq!(dig(&laptop, &format!("+short {name}")).trim(), "192.168.200.1");
    }
    let leader = &machines[master].name;
    for (words, expected) in [
        (
            "+short _cluster._tcp.cluster.internal SRV",
            "0 0 22 master.cluster.internal.\n".to_owned(),
        ),
        (
            "+short _cluster._tcp.cluster.internal PTR",
            format!("Cluster-Leader=({leader})._cluster._tcp.cluster.internal.\n").replace(['(', ')'], ""),
        ),
        (
            &*format!("+short Cluster-Leader={leader}._cluster._tcp.cluster.internal TXT"),
            "\"os-release=linux\"\n".to_owned(),
        ),
    ] {
        let answer = dig(&laptop, words).replace('\\', "");
        assert_eq!(answer, expected, "{words}");
    }
}

#[test]
fn what_is_not_there_is_said_and_what_is_not_for_everyone_refused() {
    let switch = Switch::new();
    let machines = cluster(&switch, 1);
    settle(&all(&machines));
    let laptop = laptop(&switch);
    for (words, expected) in [
        (
            "nobody.cluster.internal A",
            &["status: NXDOMAIN", " aa ", "hostmaster.cluster.internal."][..],
        ),
        (
            "n1.cluster.internal AAAA",
            &["status: NOERROR", " aa ", "ANSWER: 0", "AUTHORITY: 1"],
        ),
        (
            "-x 192.168.200.99",
            &["status: NXDOMAIN", " aa ", "200.168.192.in-addr.arpa."],
        ),
        (
            "n1.cluster.internal ANY",
            &["status: NOERROR", "ANSWER: 1", "192.168.200."],
        ),
        ("example.org ANY", &["status: NOERROR", "\"RFC8482\""]),
        ("cluster.internal AXFR", &["Transfer failed."]),
        ("version.bind CH TXT", &["status: REFUSED"]),
        ("+norecurse example.org A", &["status: REFUSED"]),
        (
            "+edns=1 +noednsnegotiation n1 A",
            &["status: BADVERS", "EDNS: version: 0"],
        ),
        ("+noedns n1 A", &["status: NOERROR", "192.168.200.20"]),
        ("+tcp n1 A", &["status: NOERROR", "192.168.200.20", "(TCP)"]),
        ("+opcode=UPDATE cluster.internal SOA", &["status: NOTIMP"]),
        // There is no Consul and no uplink.
        ("web.service.consul A", &["status: SERVFAIL"]),
        ("example.org A", &["status: SERVFAIL"]),
    ] {
        let start = std::time::Instant::now();
        let answer = dig(&laptop, words);
        for text in expected {
            assert!(answer.contains(text), "{words}: {text}: {answer}");
        }
        assert!(start.elapsed() < Duration::from_secs(1), "{words}");
    }
    // Somebody who is in the same room but not in the cluster's network.
    laptop.ip("addr add 10.9.9.9/24 dev cl0");
    laptop.ip("route add 192.168.200.1/32 dev cl0 src 10.9.9.9");
    machines[0].ip("route add 10.9.9.0/24 dev cl0");
    let answer = dig(&laptop, "-b 10.9.9.9 n1 A");
    assert!(answer.contains("status: REFUSED"), "{answer}");
}

#[test]
fn other_names_come_from_the_uplinks_resolver_and_are_kept_for_their_time() {
    let switch = Switch::new();
    let network = Switch::new();
    let home = network.machine("home");
    home.ip("addr add 192.168.1.1/24 dev cl0");
    let texts: Vec<String> = (0..20)
        .map(|number| format!("--txt-record=large.example.org,{number}-{}", "x".repeat(100)))
        .collect();
    let mut options = vec![
        "--host-record=www.example.org,203.0.113.7",
        "--local-ttl=2",
        "--local=/example.org/",
        "--auth-ttl=60",
    ];
    options.extend(texts.iter().map(String::as_str));
    let _resolver = resolver(&home, &options);
    let mut machine = switch.machine("n1");
    network.uplink(&machine);
    machine.ip("addr add 192.168.1.7/24 dev up0");
    // The first is the master itself, as a DHCP client of its own would write it.
    std::fs::write(
        machine.file("root/etc/resolv.conf"),
        "nameserver 192.168.200.1\nnameserver 192.168.1.1\n",
    )
    .unwrap();
    machine.start();
    settle(&[&machine]);
    let laptop = laptop(&switch);
    let answer = eventually("the resolver answers", SOON, || {
        let answer = dig(&laptop, "WWW.example.org A");
        if answer.contains("203.0.113.7") {
            Ok(answer)
        } else {
            Err(answer)
        }
    });
    assert!(
        answer.contains("status: NOERROR") && answer.contains("flags: qr rd ra;"),
        "{answer}"
    );
    assert!(
        answer.contains("WWW.example.org.") && answer.contains("EDNS: version: 0"),
        "{answer}"
    );

    // Kept for two seconds, then asked for again.
    std::thread::sleep(Duration::from_secs(3));
    let before = asked(&home, "www.example.org");
    for _ in 0..5 {
        assert_eq!(dig(&laptop, "+short www.example.org").trim(), "203.0.113.7");
    }
    assert_eq!(asked(&home, "www.example.org"), before + 1);

    // Too large for UDP: cut there, whole by TCP.
    let cut = dig(&laptop, "+ignore large.example.org TXT");
    assert!(
        cut.contains("flags: qr tc rd ra;") && cut.contains("ANSWER: 0"),
        "{cut}"
    );
    let whole = dig(&laptop, "+tcp large.example.org TXT");
    assert!(
        whole.contains("ANSWER: 20") && whole.contains("status: NOERROR"),
        "{whole}"
    );
    assert!(dig(&laptop, "large.example.org TXT").contains("ANSWER: 20"));

    // Names of the cluster, of this machine and of multicast DNS never go out.
    for name in [
        "nobody",
        "nobody.cluster.internal",
        "printer.local",
        "x.consul",
        "99.200.168.192.in-addr.arpa",
    ] {
        dig(&laptop, name);
        assert_eq!(asked(&home, name), 0, "{name}");
    }
    let missing = dig(&laptop, "missing.example.org A");
    assert!(missing.contains("status: NXDOMAIN"), "{missing}");
}

#[test]
fn a_hundred_that_ask_the_same_at_once_are_one_question_to_the_uplink() {
    let switch = Switch::new();
    let network = Switch::new();
    let home = network.machine("home");
    home.ip("addr add 192.168.1.1/24 dev cl0");
    let mut machine = switch.machine("n1");
    network.uplink(&machine);
    machine.ip("addr add 192.168.1.7/24 dev up0");
    std::fs::write(machine.file("root/etc/resolv.conf"), "nameserver 192.168.1.1\n").unwrap();
    machine.start();
    settle(&[&machine]);
    let laptop = laptop(&switch);
    let _resolver = resolver(
        &home,
        &[
            "--host-record=www.example.org,203.0.113.7",
            "--host-record=first.example.org,203.0.113.8",
            "--local-ttl=60",
        ],
    );
    eventually("the resolver answers", SOON, || {
        match dig(&laptop, "+short first.example.org") {
            answer if answer.contains("203.0.113.8") => Ok(()),
            answer => Err(answer),
        }
    });
    let question = b"\0\x07\x01\0\0\x01\0\0\0\0\0\0\x03www\x07example\x03org\0\0\x01\0\x01";
    let answered = laptop.run_inside(|| {
        let sockets: Vec<_> = (0..100)
            .map(|_| UdpSocket::bind("192.168.200.250:0").unwrap())
            .collect();
        for socket in &sockets {
            socket.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
            socket.send_to(question, "192.168.200.1:53").unwrap();
        }
        let right = |socket: &UdpSocket| {
            let mut answer = [0; 512];
            let length = socket.recv(&mut answer).unwrap();
            answer[..length].ends_with(&[203, 0, 113, 7])
        };
        sockets.iter().filter(|socket| right(socket)).count()
    });
    assert_eq!((answered, asked(&home, "www.example.org")), (100, 1));
}

#[test]
fn nothing_of_the_dns_server_is_reached_from_the_uplink_and_it_ends_with_the_role() {
    let switch = Switch::new();
    let network = Switch::new();
    let mut machine = switch.machine("n1");
    network.uplink(&machine);
    machine.ip("addr add 192.168.1.7/24 dev up0");
    machine.start();
    settle(&[&machine]);
    let neighbour = network.machine("neighbour");
    neighbour.ip("addr add 192.168.1.8/24 dev cl0");
    neighbour.ip("route add 192.168.200.1/32 via 192.168.1.7");
    for server in ["192.168.1.7", "192.168.200.1"] {
        for how in ["+notcp", "+tcp"] {
            let mut command = neighbour.inside("dig");
            let output = command
                .args(["+time=1", "+tries=1", how, &format!("@{server}"), "n1"])
                .output()
                .unwrap();
            let said = String::from_utf8_lossy(&output.stdout).into_owned();
            assert!(
                !output.status.success() && !said.contains("status:"),
                "{server} {how}: {said}"
            );
        }
    }
    let sockets = |machine: &Machine| {
        let output = machine.inside("ss").args(["-Hlntu"]).output().unwrap();
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    assert_eq!(
        sockets(&machine).matches("192.168.200.1%cl0:53").count(),
        2,
        "{}",
        sockets(&machine)
    );
    machine.cut();
    eventually("it gives the port back", SOON, || match sockets(&machine) {
        open if open.contains(":53 ") => Err(open),
        _ => Ok(()),
    });
}

#[test]
fn a_taken_dns_port_is_a_warning_and_no_failure() {
    let switch = Switch::new();
    let mut machine = switch.machine("n1");
    let mut other = machine.inside("dnsmasq");
    other.args([
        "--no-daemon",
        "--conf-file=/dev/null",
        "--no-resolv",
        "--no-hosts",
        "--user=root",
    ]);
    let _other = Running(other.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap());
    std::thread::sleep(Duration::from_millis(500));
    machine.start();
    settle(&[&machine]);
    let status = machine.status().unwrap();
    let warnings = status["warnings"].to_string();
    for part in [
        "no DNS on the cluster network: binding UDP 192.168.200.1:53 of cl0",
        "is another DNS server running here?",
    ] {
        assert!(warnings.contains(part), "{status}");
    }
}

/// Runs a shell command in a machine, with the machine's own hosts file.
fn with_hosts(machine: &Machine, script: &str) -> (bool, String) {
    let mut command = machine.inside("unshare");
    let script = format!("mount --bind \"$0\" /etc/hosts && {script}");
    command
        .args(["--mount", "sh", "-c", &script])
        .arg(machine.file("root/etc/hosts"));
    let output = command.output().expect("a shell starts");
    (
        output.status.success(),
        String::from_utf8_lossy(&output.stdout).into_owned(),
    )
}

#[test]
fn every_node_reaches_every_other_by_name_until_it_is_stopped() {
    let switch = Switch::new();
    let mut machines: Vec<_> = ["n1", "n2", "n3"].map(|name| switch.machine(name)).into();
    // A line that somebody forgot to end stays as it is, too.
    let before = |name: &str| format!("127.0.0.1\tlocalhost\n127.0.1.1\t{name}\n192.0.2.9 printer # mine");
    for machine in &mut machines {
        std::fs::write(machine.file("root/etc/hosts"), before(&machine.name)).unwrap();
        machine.start();
    }
    let master = settle(&all(&machines));
    for machine in &machines {
        for other in &machines {
            let name = &other.name;
            eventually("it answers to its name", SOON, || {
                match with_hosts(machine, &format!("ping -c 1 -W 2 {name}")) {
                    (true, _) => Ok(()),
                    (false, said) => Err(format!("{name} from {}: {said}", machine.name)),
                }
            });
        }
        for name in ["cl-master", "master.cluster.internal"] {
            let (well, said) = with_hosts(machine, &format!("getent ahostsv4 {name}"));
            assert!(well && said.starts_with("192.168.200.1 "), "{said}");
        }
        let (_, said) = with_hosts(
            machine,
            &format!("getent ahostsv4 {}.cluster.internal", machine.name),
        );
        let own = own_address(machine);
        assert!(said.starts_with(&own), "{said}");
    }
    // Written when something changes, and not when nothing does.
    let written = |machine: &Machine| {
        use std::os::unix::fs::MetadataExt;
        let found = machine.file("root/etc/hosts").metadata().unwrap();
        (found.ino(), found.mtime_nsec())
    };
    std::thread::sleep(Duration::from_secs(12));
    let stamps: Vec<_> = machines.iter().map(written).collect();
    std::thread::sleep(Duration::from_secs(12));
    assert_eq!(machines.iter().map(written).collect::<Vec<_>>(), stamps);
    // Who is killed leaves the names; who comes back finds them, and takes them out when it is stopped.
    let node = (master + 1) % 3;
    machines[node].kill();
    machines[node].start();
    assert_eq!(settle(&all(&machines)), master);
    for machine in &mut machines {
        assert!(machine.stop());
        let after = std::fs::read_to_string(machine.file("root/etc/hosts")).unwrap();
        assert_eq!(after, before(&machine.name));
    }
}

#[test]
fn a_laptop_in_the_same_network_finds_the_cluster_with_avahi_browse() {
    // Avahi and its D-Bus with a /run of their own; all of it ends with the shell.
    const SCRIPT: &str = "mount -t tmpfs none /run && mkdir -p /run/dbus /run/avahi-daemon \
        && chown avahi:avahi /run/avahi-daemon || exit 1
        dbus-daemon --system --nofork --nopidfile &
        sleep 1
        avahi-daemon --file \"$0\" --no-rlimits &
        while sleep 1; do
            found=$(timeout 5 avahi-browse --resolve --parsable --terminate _cluster._tcp)
            case $found in *'=;cl0;IPv4;'*) printf '%s\\n' \"$found\"; exit 0 ;; esac
        done";
    let switch = Switch::new();
    let machines = cluster(&switch, 1);
    settle(&all(&machines));
    let laptop = laptop(&switch);
    let settings = laptop.file("avahi.conf");
    std::fs::write(&settings, "[server]\nhost-name=laptop\nallow-interfaces=cl0\n").unwrap();
    let mut command = laptop.inside("timeout");
    command.args([
        "60",
        "unshare",
        "--mount",
        "--pid",
        "--fork",
        "--kill-child",
        "sh",
        "-c",
        SCRIPT,
    ]);
    let output = command.arg(settings).output().unwrap();
    let found = String::from_utf8_lossy(&output.stdout).into_owned();
    let service = found
        .lines()
        .find(|line| line.starts_with("=;cl0;IPv4;"))
        .unwrap_or_default();
    // Instance, type and domain; then host, address, port and text.
    for part in [
        ";Cluster-Leader\\061n1;_cluster._tcp;local;",
        ";n1-cluster.local;192.168.200.",
        ";22;",
        "\"os-release=linux\"",
    ] {
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(service.contains(part), "{part}: {found}{errors}");
    }
}
