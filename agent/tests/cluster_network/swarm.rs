//! Real Docker Engines become one swarm by themselves, and it heals.

use std::time::Duration;

use super::docker::{Docker, IMAGE};
use super::roles::{all, cluster};
use super::switch::{Machine, Switch, eventually};
use super::{SOON, settle, settled};

/// An election of managers and a task moved take their time on a busy test machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(120);

/// A cluster's machines, each with its engine.
pub(crate) struct Lab {
    pub(crate) machines: Vec<Machine>,
    pub(crate) engines: Vec<Docker>,
    _switch: Switch,
}

impl Lab {
    pub(crate) fn new(count: usize) -> Self {
        let switch = Switch::new();
        let machines = cluster(&switch, count);
        let engines: Vec<_> = machines.iter().map(Docker::begin).collect();
        engines.iter().for_each(Docker::wait);
        Self {
            machines,
            engines,
            _switch: switch,
        }
    }

    /// Cuts a machine's power and cable.
    pub(crate) fn cut(&mut self, index: usize) {
        self.engines[index].kill();
        self.machines[index].kill();
        self.machines[index].cut();
    }

    /// Switches a machine on again.
    fn return_to_life(&mut self, index: usize) {
        self.machines[index].mend();
        self.machines[index].start();
        self.engines[index] = Docker::start(&self.machines[index]);
    }

    /// The swarm as the engine of one machine lists it: name, status, manager status; sorted.
    fn nodes(&self, index: usize) -> Result<Vec<String>, String> {
        let list =
            self.engines[index].run("node ls --format {{.Hostname}},{{.Status}},{{.ManagerStatus}}")?;
        let mut nodes: Vec<_> = list.lines().map(str::to_owned).collect();
        nodes.sort();
        Ok(nodes)
    }

    /// Waits until the swarm of `index` has exactly these ready nodes, as many managers, one of them leader.
    pub(crate) fn until_whole(&self, index: usize, names: &[&str], managers: usize) {
        let mut expected: Vec<_> = names.iter().map(|name| format!("{name},Ready")).collect();
        expected.sort();
        eventually("the swarm is whole", PATIENCE, || {
            let nodes = self.nodes(index)?;
            let found: Vec<_> = nodes
                .iter()
                .filter_map(|node| Some(node.rsplit_once(',')?.0.to_owned()))
                .collect();
            let with = |status: &str| nodes.iter().filter(|node| node.ends_with(status)).count();
            let (leaders, others) = (with(",Leader"), with(",Reachable"));
            if found == expected && leaders == 1 && leaders + others == managers {
                Ok(())
            } else {
                Err(format!("{nodes:?}; {}", self.said()))
            }
        });
    }

    /// Waits until the master is this one, which leads the swarm, and is labelled so.
    fn until_leader(&self, index: usize) {
        let name = &self.machines[index].name;
        eventually("the leader is the master", PATIENCE, || {
            let alive: Vec<_> = (0..self.machines.len())
                .filter(|index| self.engines[*index].is_running())
                .map(|index| &self.machines[index])
                .collect();
            let master = alive[settled(&alive)?];
            let engine = &self.engines[index];
            let leader =
                engine.run("node ls --filter role=manager --format {{.Hostname}}{{.ManagerStatus}}")?;
            let labelled = engine.run("node ls --filter node.label=role=master --format {{.Hostname}}")?;
            let leads = leader.contains(&format!("{name}Leader"));
            if master.name == *name && leads && labelled == *name {
                Ok(())
            } else {
                Err(format!("{}, {leader}, {labelled}; {}", master.name, self.said()))
            }
        });
    }

    fn said(&self) -> String {
        let engine = |machine: &Machine| match machine.status() {
            Ok(status) => format!("{} {}", machine.name, status["engine"]),
            Err(error) => error,
        };
        self.machines.iter().map(engine).collect::<Vec<_>>().join(", ")
    }
}

#[test]
fn engines_become_one_swarm_and_a_service_outlives_the_master() {
    let mut lab = Lab::new(3);
    let master = settle(&all(&lab.machines));
    lab.until_whole(master, &["n1", "n2", "n3"], 3);
    let labels = lab.engines[master].run("node ls --filter node.label=role=master --format {{.Hostname}}");
    assert_eq!(labels.as_deref(), Ok(lab.machines[master].name.as_str()));
    for (index, machine) in lab.machines.iter().enumerate() {
        let part = if index == master { "leader" } else { "manager" };
        eventually("each says its part", SOON, || match machine.status()? {
            status if status["engine"]["swarm"] == part => Ok(()),
            status => Err(status.to_string()),
        });
    }

    lab.engines.iter().for_each(Docker::make_image);
    let manager = &lab.engines[master];
    manager
        .run(&format!(
            "service create --detach --no-resolve-image --name web --replicas 3 {IMAGE} sleep 100000"
        ))
        .unwrap();
    let running = |docker: &Docker| docker.run("service ls --format {{.Replicas}}");
    eventually("a task on each", PATIENCE, || match running(manager)?.as_str() {
        "3/3" => Ok(()),
        other => Err(other.to_owned()),
    });

    lab.cut(master);
    let left: Vec<usize> = (0..3).filter(|index| *index != master).collect();
    let alive: Vec<&Machine> = left.iter().map(|index| &lab.machines[*index]).collect();
    let new = left[eventually("a new master", PATIENCE, || settled(&alive))];
    lab.until_leader(new);
    eventually("all tasks run on the two that are left", PATIENCE, || {
        let tasks = lab.engines[new]
            .run("service ps web --filter desired-state=running --format {{.Node}},{{.CurrentState}}")?;
        let sound = |line: &str| !line.starts_with(&lab.machines[master].name) && line.contains(",Running");
        if tasks.lines().count() == 3 && tasks.lines().all(sound) {
            Ok(())
        } else {
            Err(tasks)
        }
    });

    lab.return_to_life(master);
    lab.until_whole(new, &["n1", "n2", "n3"], 3);
    eventually("one master", SOON, || settled(&all(&lab.machines)));
}

#[test]
fn a_card_flashed_anew_joins_under_its_name_and_its_old_self_is_forgotten() {
    let mut lab = Lab::new(2);
    let master = settle(&all(&lab.machines));
    lab.until_whole(master, &["n1", "n2"], 1);
    let node = 1 - master;
    lab.cut(node);
    lab.engines[node].wipe();
    std::fs::remove_dir_all(lab.machines[node].file("state")).unwrap();
    lab.return_to_life(node);
    lab.until_whole(master, &["n1", "n2"], 1);
}

#[test]
fn of_two_nodes_the_one_that_is_left_makes_a_swarm_and_gives_it_up_for_the_services_of_the_other() {
    let mut lab = Lab::new(2);
    let master = settle(&all(&lab.machines));
    lab.until_whole(master, &["n1", "n2"], 1);
    lab.engines[master]
        .run("service create --detach --no-resolve-image --name web busybox sleep 1")
        .unwrap();
    lab.cut(master);
    let left = 1 - master;
    let name = lab.machines[left].name.clone();
    settle(&[&lab.machines[left]]);
    lab.until_whole(left, &[&name], 1);
    lab.return_to_life(master);
    lab.until_whole(master, &["n1", "n2"], 1);
    lab.until_leader(master);
    let services = lab.engines[master].run("service ls --format {{.Name}}");
    assert_eq!(services.as_deref(), Ok("web"));
}

#[test]
fn a_master_that_is_cut_off_gives_the_address_up_and_afterwards_there_is_one() {
    let lab = Lab::new(3);
    let master = settle(&all(&lab.machines));
    lab.until_whole(master, &["n1", "n2", "n3"], 3);
    lab.until_leader(master);
    lab.machines[master].isolate();
    eventually("it has no master's address", PATIENCE, || {
        let addresses = lab.machines[master].addresses();
        if addresses
            .iter()
            .any(|address| address.starts_with("192.168.200.1/"))
        {
            Err(format!("{addresses:?}; {}", lab.said()))
        } else {
            Ok(())
        }
    });
    let left: Vec<usize> = (0..3).filter(|index| *index != master).collect();
    let others: Vec<&Machine> = left.iter().map(|index| &lab.machines[*index]).collect();
    let new = left[eventually("a new master", PATIENCE, || settled(&others))];
    assert_ne!(lab.machines[master].status().unwrap()["role"], "master");
    lab.machines[master].connect();
    lab.until_whole(new, &["n1", "n2", "n3"], 3);
    lab.until_leader(new);
}
