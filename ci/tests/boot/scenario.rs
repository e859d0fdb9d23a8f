//! The chapters of the boot tests.

use std::collections::BTreeSet;
use std::fs::OpenOptions;
use std::io::{Read, Seek};
use std::net::Ipv4Addr;
use std::path::Path;
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result};
use disk_image::fat::BootPartition;
use disk_image::mbr::Mbr;
use disk_image::timestamp::Timestamp;
use lab::lab::UPLINK;
use lab::node_status::{NodeStatus, Step};

use crate::bed::{Bed, PATIENCE};
use crate::captured::frames;
use crate::node::{addresses, number, says, says_to_root};

const MASTER: Ipv4Addr = Ipv4Addr::new(192, 168, 200, 1);
const INTERFACE: &str = "eth0.200";
pub(crate) const FIRST: &str = "cl-node-1";
pub(crate) const SECOND: &str = "cl-node-2";
const THIRD: &str = "cl-node-3";
const FOURTH: &str = "cl-node-4";
/// What the console says of a step of the first boot.
const STEP_LINE: &str = "first boot: ";

/// Nobody has to switch one of them on first: they agree.
pub(crate) fn two_nodes_powered_on_at_once(bed: &mut Bed) -> Result<()> {
    let all = bed.power_on(&[FIRST, SECOND])?;
    roles_are_sound(bed, &all)?;
    for (status, name) in all.iter().zip([FIRST, SECOND]) {
        let hostname = says(&bed.lab, name, "hostname")?;
        let seen = (&hostname, &status.hostname);
        bed.report.check(
            &format!("{name} has the name that flash gave it"),
            hostname == name && status.hostname == name,
            seen,
        )?;
        let seen = &status.timing;
        bed.report.say(&format!("     {name}: {seen:?}"));
    }
    Ok(())
}

/// One master with the cluster's address on the VLAN interface, all others nodes with leased addresses, and all
/// know each other.
fn roles_are_sound(bed: &Bed, all: &[NodeStatus]) -> Result<()> {
    let masters: Vec<_> = all.iter().filter(|status| status.role == "master").collect();
    bed.report
        .check("exactly one is master", masters.len() == 1, all)?;
    let master = masters.first().context("no master")?;
    for status in all {
        let name = &status.hostname;
        let address = status.address.context("a role without an address")?;
        let own = own_address(bed, name)?;
        let mut expected = vec![own.to_string()];
        if status.role == "master" {
            bed.report.check(
                &format!("the master {name} has {MASTER}"),
                address == MASTER,
                status,
            )?;
            expected.push(address.to_string());
        }
        let mut held = addresses(&bed.lab, name, INTERFACE)?;
        held.sort_by_key(|held| *held == MASTER.to_string());
        bed.report.check(
            &format!("{name} holds {expected:?} on {INTERFACE}, as its status says"),
            held == expected && status.interface.as_deref() == Some(INTERFACE),
            (&held, status),
        )?;
        let [a, b, c, last] = own.octets();
        bed.report.check(
            &format!("{name}'s own address is one of the pool"),
            [a, b, c] == [192, 168, 200] && (20..=249).contains(&last),
            own,
        )?;
    }
    // What each knows of the others comes by and by.
    bed.until(
        "all know the same master, and each other",
        Duration::from_secs(90),
        |lab| {
            let mut agreed = true;
            for status in all {
                let now = lab.status(&status.hostname)?;
                let known = now.master.as_ref();
                agreed &= known.is_some_and(|known| {
                    known.address == MASTER && known.hostname.as_ref() == Some(&master.hostname)
                });
                let mut others = all
                    .iter()
                    .map(|other| other.hostname.as_str())
                    .filter(|name| *name != status.hostname);
                agreed &= others.all(|name| now.others().contains(&name));
            }
            Ok(agreed.then_some(()))
        },
    )?;
    bed.report
        .check("all know the same master, and each other", true, "")
}

/// A master leases itself an address of its own after it has taken its role.
fn own_address(bed: &Bed, name: &str) -> Result<Ipv4Addr> {
    bed.until(
        &format!("{name} has an address of its own"),
        Duration::from_secs(30),
        |lab| Ok(lab.status(name)?.node_address),
    )
}

/// Docker's swarm has both nodes: made by the agents, and there again after a restart.
pub(crate) fn one_swarm(bed: &Bed) -> Result<()> {
    let statuses = both(|name| bed.lab.status(name))?;
    let master = statuses.iter().find(|status| status.role == "master");
    let master = &master.context("no master")?.hostname;
    let expected = format!("{FIRST} Ready\n{SECOND} Ready");
    let statement = "both are nodes of one Docker swarm, ready for tasks";
    let ask = "docker node ls --format '{{.Hostname}} {{.Status}}' | sort";
    let listed = bed.until(statement, PATIENCE, |lab| {
        // Docker starts last of all on a new card.
        let output = lab.run(master, ask)?;
        Ok(Some(output.stdout.trim().to_owned()).filter(|list| *list == expected))
    })?;
    bed.report.check(statement, listed == expected, &listed)?;
    let address = both(|name| says(&bed.lab, name, "docker info --format '{{.Swarm.NodeAddr}}'"))?;
    let own = both(|name| own_address(bed, name))?.map(|address| address.to_string());
    bed.report.check(
        "each is known there by its own address",
        address == own,
        (&address, &own),
    )
}

/// What is on the wire: the cluster's network tagged, the uplink's untagged, and nothing of one in the other.
pub(crate) fn the_wire(bed: &Bed) -> Result<()> {
    for port in [FIRST, SECOND, UPLINK] {
        let capture = bed.lab.folder().capture(port);
        let seen = |filter| frames(&capture, filter);
        let check = |statement: &str, holds: bool, lines: &[String]| {
            bed.report
                .check(&format!("port {port}: {statement}"), holds, lines)
        };
        let tagged = seen("vlan")?;
        let others: Vec<_> = tagged
            .into_iter()
            .filter(|line| !line.contains("vlan 200,"))
            .collect();
        check("no tag but 200", others.is_empty(), &others)?;
        let offers = seen("vlan 200 and udp src port 67")?;
        check(
            "cluster DHCP is there, in frames tagged 200",
            !offers.is_empty(),
            &offers,
        )?;
        let probes = seen("vlan 200 and arp host 192.168.200.1")?;
        check(
            "ARP for 192.168.200.1 is there, tagged",
            !probes.is_empty(),
            &probes,
        )?;
        let replies = seen("udp src port 67")?;
        let foreign: Vec<_> = replies
            .iter()
            .filter(|line| !line.contains("10.0.76.1.67 >"))
            .cloned()
            .collect();
        check(
            "the uplink's DHCP is there, untagged",
            !replies.is_empty(),
            &replies,
        )?;
        check(
            "nobody but the uplink's router answers DHCP untagged",
            foreign.is_empty(),
            &foreign,
        )?;
        let strays = seen("arp host 192.168.200.1 or net 192.168.200.0/24")?;
        check(
            "nothing of the cluster network is untagged",
            strays.is_empty(),
            &strays,
        )?;
    }
    Ok(())
}

/// Cards are clones; nodes must not be.
pub(crate) fn two_cards_of_one_image(bed: &Bed) -> Result<()> {
    let ids = both(|name| says(&bed.lab, name, "cat /etc/machine-id"))?;
    let sound = |id: &String| id.len() == 32 && id.bytes().all(|byte| byte.is_ascii_hexdigit());
    bed.report.check(
        "each has a machine-id of its own",
        ids[0] != ids[1] && ids.iter().all(sound),
        &ids,
    )?;
    let keys = both(|name| says(&bed.lab, name, "cut -d' ' -f1,2 /etc/ssh/ssh_host_*_key.pub"))?;
    let sets = [0, 1].map(|node: usize| keys[node].lines().collect::<BTreeSet<_>>());
    let own = sets.iter().all(|set| !set.is_empty()) && sets[0].is_disjoint(&sets[1]);
    bed.report
        .check("each has SSH host keys of its own", own, &keys)?;
    for name in [FIRST, SECOND] {
        let size = number(&bed.lab, name, "df -B1 --output=size / | tail -1 | tr -d ' '")?;
        let card = bed.flasher.card_size;
        bed.report.check(
            &format!("the root file system of {name} has grown to its card"),
            // The boot partition and the file system's own tables take less than a fifth.
            size > card / 5 * 4,
            (size, card),
        )?;
    }
    Ok(())
}

pub(crate) fn both<T>(ask: impl Fn(&str) -> Result<T>) -> Result<[T; 2]> {
    Ok([ask(FIRST)?, ask(SECOND)?])
}

/// A node's status when nothing of its first boot is left. The last key is made when the node has nothing else to do.
fn first_boot_done(bed: &Bed, name: &str) -> Result<NodeStatus> {
    let statement = format!("the first boot of {name} is done");
    let status = bed.until(&statement, PATIENCE, |lab| {
        Ok(Some(lab.status(name)?).filter(|status| status.first_boot.done))
    })?;
    let steps = status.first_boot.steps.iter().map(|step| step.name.as_str());
    let steps: Vec<_> = steps.collect();
    bed.report
        .check(&format!("{statement}: {}", steps.join(", ")), true, "")?;
    Ok(status)
}

/// As after a power failure of the house, but orderly.
pub(crate) fn restart_of_everything(bed: &mut Bed) -> Result<()> {
    let before = both(|name| first_boot_done(bed, name))?;
    // At once: of two that are switched off one after the other, the second takes the role over in between.
    for name in [FIRST, SECOND] {
        bed.lab.press_power_button(name)?;
    }
    for name in [FIRST, SECOND] {
        bed.lab.until_off(name)?;
    }
    bed.report.say("both are off");
    let after = bed.power_on(&[FIRST, SECOND])?;
    roles_are_sound(bed, &after)?;
    for (before, after) in before.iter().zip(&after) {
        let name = &before.hostname;
        let role = |status: &NodeStatus| (status.role.clone(), status.address);
        bed.report.check(
            &format!("{name} is {} at the same address again", before.role),
            role(before) == role(after),
            (role(before), role(after)),
        )?;
        let steps = |status: &NodeStatus| {
            status
                .first_boot
                .steps
                .iter()
                .cloned()
                .collect::<BTreeSet<Step>>()
        };
        bed.report.check(
            &format!("no step of {name}'s first boot is newer than before"),
            after.first_boot.done && steps(before) == steps(after),
            (&before.first_boot, &after.first_boot),
        )?;
        let journal = says_to_root(&bed.lab, name, "journalctl --boot --no-pager --output=cat")?;
        let console = bed.lab.console(name)?;
        let lines: Vec<_> = journal
            .lines()
            .chain(console.lines())
            .filter(|line| line.contains(STEP_LINE))
            .collect();
        bed.report.check(
            &format!("neither journal nor console of {name}'s second boot has a step of the first"),
            lines.is_empty() && !journal.is_empty(),
            &lines,
        )?;
    }
    Ok(())
}

/// Two more cards: one whose power fails twice in its first boot, one whose settings cannot be read.
pub(crate) fn power_cuts_and_an_unreadable_card(bed: &mut Bed) -> Result<()> {
    let moment = random_seconds(5, 25);
    bed.lab.power_on(THIRD)?;
    std::thread::sleep(moment);
    bed.lab.power_cut(THIRD)?;
    bed.report.say(&format!(
        "{THIRD}: power cut {} ms after power on",
        moment.as_millis()
    ));
    bed.lab.power_on(THIRD)?;
    bed.until(&format!("{THIRD} has begun its first boot"), PATIENCE, |lab| {
        Ok(lab.console(THIRD)?.contains(STEP_LINE).then_some(()))
    })?;
    bed.lab.power_cut(THIRD)?;
    let done = bed.lab.console(THIRD)?.matches(STEP_LINE).count();
    bed.report
        .say(&format!("{THIRD}: power cut after step {done} of its first boot"));

    garble_settings(&bed.lab.folder().card(FOURTH))?;
    bed.lab.power_on(FOURTH)?;
    let third = bed.power_on(&[THIRD])?;
    let third = third.first().context("no status")?;
    let remaining = bed.lab.console(THIRD)?.matches(STEP_LINE).count();
    bed.report.check(
        "the cut came before the first boot was done",
        remaining > 0,
        remaining,
    )?;
    bed.report.check(
        &format!("{THIRD} is a node"),
        third.role == "node" && third.hostname == THIRD,
        third,
    )?;
    let failed = says(
        &bed.lab,
        THIRD,
        "systemctl list-units --failed --plain --no-legend 'systemd-fsck*' 'cluster-lab*' 'ssh*'",
    )?;
    bed.report.check(
        "its file systems are sound and its services run",
        failed.is_empty(),
        &failed,
    )?;

    let prompt = format!("{FOURTH} login:");
    let console = bed.until("the card with unreadable settings comes up", PATIENCE, |lab| {
        let console = lab.console(FOURTH)?;
        Ok(console.contains(&prompt).then_some(console))
    })?;
    bed.report.check(
        "the card with unreadable settings comes up under its name",
        true,
        "",
    )?;
    let warned = |line: &&str| line.contains("warning") && line.contains("cluster-lab.toml");
    bed.report.check(
        "its console says what is wrong",
        console.lines().any(|line| warned(&line)),
        &console,
    )?;
    let address = bed.until("the cluster knows it", PATIENCE, |lab| {
        let peers = both(|name| lab.status(name))?.map(|status| status.peers);
        let found = peers
            .iter()
            .flatten()
            .find(|peer| peer.hostname.as_deref() == Some(FOURTH));
        Ok(found.map(|peer| peer.address))
    })?;
    bed.report
        .check("it has joined with the default settings", true, "")?;
    // Its account is in the settings that it cannot read, so its status is asked for over the cluster network.
    let ask = format!(
        "bash -c 'exec 3<>/dev/tcp/{address}/80; printf \"GET /api/v1/status HTTP/1.0\\r\\n\\r\\n\" >&3; cat <&3'"
    );
    let status = says(&bed.lab, FIRST, &ask)?;
    bed.report.check(
        "its status says what is wrong",
        status.contains("cluster-lab.toml line 1: not UTF-8 text"),
        &status,
    )?;
    first_boot_done(bed, THIRD)?;
    Ok(())
}

/// Bytes that are neither TOML nor text.
fn garble_settings(card: &Path) -> Result<()> {
    let mut disk = OpenOptions::new().read(true).write(true).open(card)?;
    let mut sector = [0; 512];
    disk.read_exact(&mut sector)?;
    disk.rewind()?;
    let table = Mbr::parse(&sector, None)?;
    let boot = BootPartition::open(&mut disk, table.boot_partition().context("no boot partition")?)?;
    let at = Timestamp::from_epoch(1_700_000_000);
    boot.write(
        boot_config::FILE_NAME,
        &[0xff, 0xfe, 0, 1, 2, b'=', b'[', 0x80],
        at,
    )?;
    boot.close()?;
    Ok(())
}

fn random_seconds(from: u64, to: u64) -> Duration {
    let nanos = SystemTime::UNIX_EPOCH
        .elapsed()
        .unwrap_or_default()
        .subsec_nanos();
    Duration::from_millis(from * 1000 + u64::from(nanos) % ((to - from) * 1000))
}

/// As far as it comes without a network, which QEMU's board has not: everything but a role.
pub(crate) fn one_pi_2(bed: &mut Bed) -> Result<()> {
    let all = bed.power_on_a_shaky_board(FIRST)?;
    let status = all.first().context("no status")?;
    let model = says(&bed.lab, FIRST, "tr -d '\\0' < /proc/device-tree/model")?;
    bed.report
        .check("it is a Raspberry Pi 2", model.contains("Raspberry Pi 2"), &model)?;
    let root = says(&bed.lab, FIRST, "findmnt -no SOURCE /")?;
    bed.report.check(
        "its root is on the SD card",
        root.contains("/dev/mmcblk0p2"),
        &root,
    )?;
    bed.report.check(
        &format!("it has the name {FIRST}"),
        status.hostname == FIRST,
        status,
    )?;
    bed.report.check(
        "its agent says that it waits for a wired interface",
        status.role == "starting" && status.waiting_for.is_some(),
        status,
    )?;
    let steps: Vec<_> = status
        .first_boot
        .steps
        .iter()
        .map(|step| step.name.as_str())
        .collect();
    bed.report.check(
        &format!("what its first boot did: {}", steps.join(", ")),
        ["hostname", "machine-id", "user", "ssh-host-keys", "root-size"]
            .iter()
            .all(|step| steps.contains(step)),
        &steps,
    )
}
