//! How long two virtual Pis take from power on to their roles, how much of that is the agent's own, and how big the
//! agent is on disk and in memory. Prints a Markdown table; `ci/bench/boot` runs it.
//!
//! The emulated processor is many times slower than a Pi's and both share the machine's cores, so the seconds are for
//! comparing one version with the next; the share is what carries over.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result};
use lab::card::Flasher;
use lab::folder::Folder;
use lab::interrupt::Interrupt;
use lab::lab::Lab;
use lab::machine::Machine;
use lab::node_status::Timing;
use lab::watch::until_roles_taken;

const CARD: u64 = 4 << 30;
const PATIENCE: Duration = Duration::from_secs(600);

/// One node's start. All times in seconds since its power was switched on.
struct Start {
    role: String,
    first_boot: bool,
    agent_started: f64,
    interface_ready: f64,
    role_taken: f64,
    resident_kib: f64,
}

fn main() -> Result<()> {
    let variable =
        |name: &str| std::env::var_os(name).with_context(|| format!("{name} is not set: run ci/bench/boot"));
    let runs: usize = std::env::var("RUNS")
        .map_or(Ok(3), |runs| runs.parse())
        .context("reading RUNS")?;
    let agent = PathBuf::from(variable("AGENT")?);
    let flasher = Flasher {
        program: variable("FLASH")?.into(),
        image: variable("IMAGE")?.into(),
        card_size: CARD,
    };
    let interrupt = Interrupt::on_signals()?;
    let mut starts = Vec::new();
    for run in 1..=runs {
        eprintln!("run {run} of {runs}");
        starts.extend(one_run(&flasher, &interrupt)?);
    }
    let size = std::fs::metadata(&agent)
        .with_context(|| format!("reading {}", agent.display()))?
        .len();
    println!(
        "| start | role | n | agent started (s) | interface ready (s) | role taken (s) | agent's own (s) | share | resident (MiB) |"
    );
    println!("|-|-|-|-|-|-|-|-|-|");
    for (first_boot, kind) in [(true, "first"), (false, "later")] {
        for role in ["master", "node"] {
            let rows: Vec<&Start> = starts
                .iter()
                .filter(|s| s.role == role && s.first_boot == first_boot)
                .collect();
            let of = |value: fn(&Start) -> f64| median(rows.iter().map(|start| value(start)).collect());
            println!(
                "| {kind} | {role} | {} | {:.1} | {:.1} | {:.1} | {:.1} | {:.0} % | {:.1} |",
                rows.len(),
                of(|s| s.agent_started),
                of(|s| s.interface_ready),
                of(|s| s.role_taken),
                of(|s| s.role_taken - s.agent_started),
                100.0 * of(|s| (s.role_taken - s.agent_started) / s.role_taken),
                of(|s| s.resident_kib) / 1024.0,
            );
        }
    }
    println!(
        "\nThe agent's ARM binary: {:.2} MiB ({size} bytes).",
        size as f64 / f64::from(1 << 20)
    );
    Ok(())
}

/// A first start of two new cards, then both switched off and on again.
fn one_run(flasher: &Flasher, interrupt: &Interrupt) -> Result<Vec<Start>> {
    let names = ["cl-node-1".to_owned(), "cl-node-2".to_owned()];
    let folder = tempfile::tempdir().context("making a folder for the lab")?;
    let program = PathBuf::from(env!("CARGO_BIN_EXE_lab"));
    let mut lab = Lab::create(Folder::create(folder.path())?, program, Machine::Virt, &names)?;
    lab.tie_to_this_thread();
    lab.flash(flasher, interrupt, |_, _| {})?;
    lab.start_network()?;
    let mut starts = Vec::new();
    for first_boot in [true, false] {
        for name in &names {
            lab.power_on(name)?;
        }
        let ready = until_roles_taken(&lab, &names, PATIENCE, interrupt, |news| {
            eprintln!("{}: {}", news.node, news.line)
        })?;
        for (name, ready) in names.iter().zip(ready) {
            let Timing {
                agent_started,
                interface_ready,
                role_taken,
            } = ready.status.timing;
            let known = |time: Option<f64>, what: &str| {
                time.with_context(|| format!("{name} does not say when: {what}"))
            };
            let resident = lab.run(
                name,
                "awk '/^VmRSS/ {print $2}' /proc/$(pgrep -o -x cluster-lab)/status",
            )?;
            starts.push(Start {
                role: ready.status.role,
                first_boot,
                agent_started: known(agent_started, "agent-started")?,
                interface_ready: known(interface_ready, "interface-ready")?,
                role_taken: known(role_taken, "role-taken")?,
                resident_kib: resident.stdout.trim().parse().with_context(|| {
                    format!("reading the agent's memory on {name}: {}", resident.stderr.trim())
                })?,
            });
        }
        if !first_boot {
            break;
        }
        // Pressed while services still start, the power button is answered only after their time-outs.
        for name in &names {
            while !lab.status(name)?.first_boot.done {
                interrupt.sleep(Duration::from_secs(2))?;
            }
        }
        for name in &names {
            lab.press_power_button(name)?;
        }
        for name in &names {
            lab.until_off(name)?;
        }
    }
    Ok(starts)
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}
