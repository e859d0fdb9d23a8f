//! Time on the cluster network, asked for by a real NTP client.

use std::net::UdpSocket;
use std::time::Duration;

use super::roles::{all, cluster};
use super::switch::{Machine, Running, Switch, eventually};
use super::{SOON, settle};

/// What `ntpdig` says about the master's clock.
fn ntpdig(machine: &Machine, words: &[&str]) -> (bool, String) {
    let mut command = machine.inside("ntpdig");
    let output = command
        .args(["-t", "3", "-j"])
        .args(words)
        .arg("192.168.200.1")
        .output()
        .expect("ntpdig starts");
    let said = [output.stdout, output.stderr].concat();
    (
        output.status.success(),
        String::from_utf8_lossy(&said).into_owned(),
    )
}

fn laptop(switch: &Switch) -> Machine {
    let laptop = switch.machine("laptop");
    laptop.ip("addr add 192.168.200.250/24 dev cl0");
    laptop
}

/// Whether something keeps the clock of this test machine right: then the master says so.
fn kept() -> bool {
    use cluster_lab::network::sntp::clock::{Clock, KernelClock, Trust};
    KernelClock.trust() != Trust::Unsynchronised
}

/// First byte and stratum of the master's answer, or nothing.
fn asked(machine: &Machine, from: &str, question: &[u8]) -> Option<(u8, u8)> {
    machine.run_inside(|| {
        let socket = UdpSocket::bind((from, 0)).expect("an address");
        socket
            .set_read_timeout(Some(Duration::from_secs(1)))
            .expect("a time limit");
        socket.send_to(question, "192.168.200.1:123").expect("a network");
        let mut answer = [0; 1000];
        let length = socket.recv(&mut answer).ok()?;
        assert_eq!(length, 48);
        Some((answer[0], answer[1]))
    })
}

#[test]
fn a_lab_without_internet_has_the_masters_time_when_its_settings_say_so() {
    let switch = Switch::new();
    let mut machine = switch.machine("n1");
    machine.add_settings("ntp-without-internet = true\n");
    machine.start();
    settle(&[&machine]);
    let (well, said) = ntpdig(&laptop(&switch), &[]);
    let stratum = if kept() { 4 } else { 10 };
    assert!(well && said.contains(&format!("\"stratum\":{stratum}")), "{said}");
    let offset = said
        .split("\"offset\":")
        .nth(1)
        .and_then(|rest| rest.split(',').next());
    let offset: f64 = offset.unwrap().trim().parse().unwrap();
    assert!(offset.abs() < 0.1, "{said}");
}

#[test]
fn a_clock_that_nobody_keeps_right_is_not_called_right_and_only_the_cluster_is_answered() {
    let switch = Switch::new();
    let machines = cluster(&switch, 1);
    settle(&all(&machines));
    let laptop = laptop(&switch);
    let mut question = [0; 48];
    question[0] = 0x23;
    let expected = if kept() { (0x24, 4) } else { (0xe4, 16) };
    // The first answer may be late on a busy machine.
    eventually("it answers", SOON, || {
        match asked(&laptop, "192.168.200.250", &question) {
            Some(answer) if answer == expected => Ok(()),
            other => Err(format!("{other:x?}")),
        }
    });
    let (well, said) = ntpdig(&laptop, &[]);
    assert_eq!(well, kept(), "{said}");
    // An answer, a control message, half a message.
    for wrong in [&[&[0x24][..], &[0; 47]].concat()[..], &[0x26; 48], &[0x23; 47]] {
        assert_eq!(asked(&laptop, "192.168.200.250", wrong), None);
    }
    laptop.ip("addr add 10.9.9.9/24 dev cl0");
    laptop.ip("route add 192.168.200.1/32 dev cl0 src 10.9.9.9");
    machines[0].ip("route add 10.9.9.0/24 dev cl0");
    assert_eq!(asked(&laptop, "10.9.9.9", &question), None);
}

#[test]
fn a_taken_time_port_is_a_warning_and_no_failure() {
    let switch = Switch::new();
    let mut machine = switch.machine("n1");
    let mut other = machine.inside("python3");
    other.args([
        "-c",
        "import socket,time; s=socket.socket(type=2); s.bind(('',123)); time.sleep(99)",
    ]);
    let _other = Running(other.spawn().unwrap());
    std::thread::sleep(Duration::from_millis(500));
    machine.start();
    settle(&[&machine]);
    let status = machine.status().unwrap();
    assert!(
        status["warnings"]
            .to_string()
            .contains("no time on the cluster network: binding UDP 192.168.200.1:123 of cl0"),
        "{status}"
    );
}
