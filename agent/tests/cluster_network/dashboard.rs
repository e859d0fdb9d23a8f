//! The dashboard in a real browser, on a real cluster.

use std::process::Command;

use super::browser::Browser;
use super::docker::{Docker, IMAGE};
use super::roles::all;
use super::settle;
use super::swarm::Lab;
use super::switch::Machine;

fn on(machine: &Machine, subcommand: &str) -> Command {
    let mut command = machine.inside(env!("CARGO_BIN_EXE_cluster-lab"));
    command
        .arg(subcommand)
        .arg("--socket")
        .arg(machine.file("socket"));
    command
}

/// Puts a value into a field of the form.
fn fill(browser: &mut Browser, field: &str, value: &str) {
    browser.value(&format!(
        "document.querySelector('#create [name={field}]').value = '{value}'"
    ));
}

#[test]
fn a_service_is_started_scaled_moved_and_removed_in_a_browser() {
    let lab = Lab::new(2);
    let master = settle(&all(&lab.machines));
    lab.until_whole(master, &["n1", "n2"], 1);
    lab.engines.iter().for_each(Docker::make_image);
    let (machine, other) = (&lab.machines[master], lab.machines[1 - master].name.as_str());
    let mut browser = Browser::start(machine);
    browser.look(1200, 900, "dark");
    browser.open("http://192.168.200.1/");
    browser.until(
        "both nodes are in the rack and answer",
        "document.querySelectorAll('#rack .unit .lamp.good').length === 2 && \
         document.querySelector('#rack .unit.master .name').textContent.startsWith('n')",
    );
    assert_eq!(
        browser.value("document.querySelector('#new-service').hidden"),
        true,
        "not before the login"
    );

    let link = on(machine, "login").output().unwrap();
    let link = String::from_utf8(link.stdout).unwrap();
    browser.open(link.trim());
    browser.until(
        "logged in",
        "document.querySelector('#who').textContent === 'logged in as administrator'",
    );
    assert_eq!(
        browser.value("location.href"),
        "http://192.168.200.1/",
        "the token is not kept"
    );
    browser.value("document.querySelector('#new-service').open = true");
    for (field, value) in [("name", "web"), ("image", IMAGE), ("replicas", "1")] {
        fill(&mut browser, field, value);
    }
    browser.value("document.querySelector('#create').requestSubmit()");
    browser.until(
        "it runs",
        "document.querySelector('.card .state')?.textContent === '1 of 1 run'",
    );
    browser.value("document.querySelector('[aria-label=\"One task of web more\"]').click()");
    browser.until(
        "two run",
        "document.querySelector('.card .state')?.textContent === '2 of 2 run'",
    );
    let place = "document.querySelector('[aria-label=\"Where web runs\"]')";
    browser.value(&format!(
        "{place}.value = '{other}'; {place}.dispatchEvent(new Event('change'))"
    ));
    browser.until(
        "both are on the other node",
        &format!(
            "[...document.querySelectorAll('#rack .unit')].find((unit) => unit.dataset.key === '{other}')\
             .querySelectorAll('.tasks .good').length === 2"
        ),
    );
    browser.until(
        "what happened is told",
        &format!("document.querySelector('#events').textContent.includes('runs on {other}')"),
    );
    browser.picture("dashboard-dark.png");
    browser.look(1200, 900, "light");
    browser.picture("dashboard-light.png");
    browser.look(390, 1400, "light");
    let fits = "document.documentElement.scrollWidth <= document.documentElement.clientWidth";
    browser.until("a phone needs no sideways scrolling", fits);
    let apart = "[...document.querySelectorAll('.unit')].every((unit) => {
        const [health, tasks] = ['.health', '.tasks'].map((part) => unit.querySelector(part).getBoundingClientRect());
        return tasks.height === 0 || health.bottom <= tasks.top;
    })";
    browser.until("nothing lies over something else", apart);
    browser.picture("dashboard-phone.png");
    let unnamed = "[...document.querySelectorAll('button, a, input, select')].filter((element) => \
        !element.hidden && !(element.ariaLabel || element.textContent.trim() || element.labels?.length)).length";
    assert_eq!(
        browser.value(unnamed),
        0,
        "everything that can be used has a name"
    );

    browser.value("document.querySelector('[aria-label=\"Remove web\"]').click()");
    browser.value("document.querySelector('#confirm-dialog .danger').click()");
    browser.until("it is gone", "document.querySelectorAll('.card').length === 0");
    browser.value("document.querySelector('#log-out').click()");
    browser.until(
        "logged out",
        "!document.querySelector('#log-in').hidden && document.querySelector('#new-service').hidden",
    );
}
