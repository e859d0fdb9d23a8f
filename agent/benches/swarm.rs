//! How long the agents of a cluster take from their start, with Docker answering, to a whole swarm: real engines and
//! agents in network namespaces. Prints a Markdown table; `ci/bench/swarm` runs it.

#![expect(clippy::expect_used, clippy::print_stdout, reason = "a benchmark, all of it")]

#[expect(dead_code, reason = "the tests use more of it")]
#[path = "../tests/cluster_network/docker.rs"]
mod docker;
#[expect(dead_code, reason = "the tests use more of it")]
#[path = "../tests/cluster_network/switch.rs"]
mod switch;

use std::time::{Duration, Instant};

use docker::Docker;
use switch::{Machine, Switch};

const SOON: Duration = Duration::from_secs(120);

/// Seconds from the start of all agents to: the last role, the first node in the swarm, the last one.
struct Times {
    roles: f64,
    first: f64,
    last: f64,
}

fn main() {
    let runs = std::env::var("RUNS").map_or(3, |runs| runs.parse().expect("RUNS is a number"));
    println!(
        "| nodes | n | all roles taken (s) | first node ready (s) | all nodes ready (s) | after the roles (s) |"
    );
    println!("|-|-|-|-|-|-|");
    for count in [1, 2, 3, 10] {
        let times: Vec<Times> = (0..runs).map(|_| one_run(count)).collect();
        let of = |value: fn(&Times) -> f64| median(times.iter().map(value).collect());
        println!(
            "| {count} | {runs} | {:.1} | {:.1} | {:.1} | {:.1} |",
            of(|times| times.roles),
            of(|times| times.first),
            of(|times| times.last),
            of(|times| times.last - times.roles),
        );
    }
}

fn one_run(count: usize) -> Times {
    let switch = Switch::new();
    let mut machines: Vec<_> = (1..=count).map(|n| switch.machine(&format!("n{n}"))).collect();
    let engines: Vec<_> = machines.iter().map(Docker::begin).collect();
    engines.iter().for_each(Docker::wait);
    let start = Instant::now();
    machines.iter_mut().for_each(Machine::start);
    let taken = |machine: &Machine| {
        machine
            .status()
            .is_ok_and(|status| !status["node-address"].is_null())
    };
    let roles = until(start, || machines.iter().all(taken));
    // Whoever manages the swarm knows.
    let ready = || {
        let lists = engines
            .iter()
            .map(|engine| engine.run("node ls --format {{.Status}}"));
        let counts =
            lists.map(|list| list.map_or(0, |list| list.lines().filter(|line| *line == "Ready").count()));
        counts.max().unwrap_or_default()
    };
    let first = until(start, || ready() >= 1);
    let last = until(start, || ready() >= count);
    Times { roles, first, last }
}

fn until(start: Instant, mut done: impl FnMut() -> bool) -> f64 {
    while !done() {
        assert!(start.elapsed() < SOON, "not within {SOON:?}");
        std::thread::sleep(Duration::from_millis(100));
    }
    start.elapsed().as_secs_f64()
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}
