//! The release image, booted: each test powers virtual Pis on and looks at them as a user would.
//!
//! One at a time (two emulated machines fill two processors), progress on standard error, about ten minutes in all.
//! The image is `target/lab/cluster-lab.img.zip` (`ci/build-image` makes it), or what CLUSTER_LAB_IMAGE names;
//! `flash` is that of `target/debug`, or what CLUSTER_LAB_FLASH names. What a failed test leaves is in
//! `target/lab/boot-tests`.

mod armv6;
mod bed;
mod captured;
mod commands;
mod node;
mod scenario;
mod secret;

use lab::machine::Machine;

/// Two nodes, then a power cut, then a damaged card: one cluster grows, so that boots are shared.
#[test]
fn a_cluster_forms_restarts_and_takes_in_new_nodes() {
    bed::run("cluster", |report| {
        let mut bed = bed::Bed::new(report, Machine::Virt, 4)?;
        scenario::two_nodes_powered_on_at_once(&mut bed)?;
        scenario::the_wire(&bed)?;
        scenario::two_cards_of_one_image(&bed)?;
        secret::the_cluster_secret(&bed)?;
        scenario::one_swarm(&bed)?;
        commands::health(&bed)?;
        commands::exec(&bed)?;
        commands::docker_of_the_cluster(&bed)?;
        scenario::restart_of_everything(&mut bed)?;
        scenario::one_swarm(&bed)?;
        commands::health(&bed)?;
        scenario::power_cuts_and_an_unreadable_card(&mut bed)
    });
}

/// The same image on an emulated Raspberry Pi 2: its SD card, its device tree, its serial console.
#[test]
fn the_image_boots_on_a_pi_2() {
    bed::run("pi-2", |report| {
        let mut bed = bed::Bed::new(report, Machine::Raspi2b, 1)?;
        scenario::one_pi_2(&mut bed)
    });
}

/// The agent for all Pis on an emulated Raspberry Pi Zero (ARMv6), whose kernel could not start this image's programs.
#[test]
fn the_agent_runs_on_a_pi_zero() {
    bed::run("pi-zero", armv6::agent_on_a_pi_zero);
}
