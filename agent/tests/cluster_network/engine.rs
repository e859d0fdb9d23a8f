//! What the agent does to a real Docker Engine, besides its swarm.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use super::SOON;
use super::docker::Docker;
use super::roles::{all, cluster};
use super::settle;
use super::switch::{Machine, Switch, eventually};

/// A manager that hands over takes its time on a busy test machine.
const PATIENCE: Duration = Duration::from_secs(120);

fn labels(docker: &Docker) -> Result<String, String> {
    docker.run("info --format {{.Labels}}")
}

fn told(machine: &Machine) -> String {
    std::fs::read_to_string(machine.file("control.log")).unwrap_or_default()
}

#[test]
fn an_engine_is_told_its_labels_and_limits_with_one_restart_and_follows_the_role() {
    let switch = Switch::new();
    let mut machines = vec![switch.machine("n1")];
    let file = machines[0].file("root/etc/docker/daemon.json");
    std::fs::create_dir_all(file.parent().unwrap()).unwrap();
    std::fs::write(&file, "{\"labels\": [\"own=1\"]}").unwrap();
    machines[0]
        .add_section("[docker]\nlabels = { room = \"attic\" }\nregistry-mirrors = [\"http://pi:5000\"]\n");
    machines[0].start();
    settle(&all(&machines));
    let docker = Docker::start(&machines[0]);
    eventually("the engine has its labels", SOON, || {
        let labels = labels(&docker)?;
        let wanted = ["own=1", "hypriot.hierarchy=master", "hypriot.arch=", "room=attic"];
        if wanted.iter().all(|label| labels.contains(label)) {
            Ok(())
        } else {
            Err(labels)
        }
    });
    let mirrors = docker.run("info --format {{.RegistryConfig.Mirrors}}");
    assert_eq!(mirrors.as_deref(), Ok("[http://pi:5000/]"));
    assert_eq!(told(&machines[0]), "restart\n", "for the log limits");
    eventually("its certificate is valid for years", SOON, || {
        let certificate = machines[0].file("docker/swarm/certificates/swarm-node.crt");
        let mut openssl = Command::new("openssl");
        openssl
            .args(["x509", "-noout", "-enddate", "-checkend", "300000000", "-in"])
            .arg(certificate);
        let output = openssl.output().expect("openssl is installed");
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        if output.status.success() {
            Ok(())
        } else {
            Err(said)
        }
    });
    machines[0].kill();
    machines[0].start();
    settle(&all(&machines));
    eventually("nothing is told twice", SOON, || match machines[0].status()? {
        status if status["engine"]["swarm"] == "leader" => Ok(()),
        status => Err(status.to_string()),
    });
    assert_eq!(told(&machines[0]), "restart\n");
}

#[test]
fn a_configuration_that_docker_would_not_read_is_left_alone_and_said() {
    let switch = Switch::new();
    let machines = cluster(&switch, 1);
    let docker = Docker::start(&machines[0]);
    settle(&all(&machines));
    eventually("it is in its swarm", SOON, || match machines[0].status()? {
        status if status["engine"]["swarm"] == "leader" => Ok(()),
        status => Err(status.to_string()),
    });
    std::fs::write(machines[0].file("root/etc/docker/daemon.json"), "{ \"debug\": ").unwrap();
    eventually("it says so", SOON, || {
        let status = machines[0].status()?;
        let said = status["engine"]["waiting-for"].as_str().unwrap_or_default();
        if said.contains("daemon.json is left alone: it is no JSON that Docker would read") {
            Ok(())
        } else {
            Err(status.to_string())
        }
    });
    assert!(docker.run("node ls").is_ok(), "the rest works on");
}

#[test]
fn a_docker_that_cannot_answer_is_named_with_its_remedy_and_the_rest_works() {
    let switch = Switch::new();
    let mut machines = cluster(&switch, 1);
    settle(&all(&machines));
    let says = |machine: &Machine, expected: &str| {
        eventually("it says why", SOON, || {
            let status = machine.status()?;
            let said = status["engine"]["waiting-for"].as_str().unwrap_or_default();
            if said.starts_with(expected) {
                Ok(())
            } else {
                Err(status.to_string())
            }
        });
    };
    says(
        &machines[0],
        "Docker, which is not installed: apt-get install docker.io",
    );
    machines[0].kill();
    let systemctl = machines[0].file("service-manager");
    std::fs::write(&systemctl, "#!/bin/sh\n[ $1 = show ] && echo LoadState=masked\n").unwrap();
    std::fs::set_permissions(&systemctl, std::fs::Permissions::from_mode(0o755)).unwrap();
    machines[0].start();
    settle(&all(&machines));
    says(&machines[0], "Docker, which is masked: systemctl unmask docker");
}

/// All files below a folder.
fn files(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    for entry in std::fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            found.extend(files(&path));
        } else {
            found.insert(path.clone(), std::fs::read(&path).expect("a file"));
        }
    }
    found
}

#[test]
fn a_master_that_is_stopped_hands_over_puts_every_file_back_and_comes_back_when_it_is_started() {
    let switch = Switch::new();
    let mut machines: Vec<_> = ["n1", "n2"].map(|name| switch.machine(name)).into();
    for machine in &machines {
        std::fs::create_dir_all(machine.file("root/etc/docker")).unwrap();
        let own = "{ \"log-driver\":\"json-file\",\r\n  \"labels\": [ \"own=1\" ] }";
        std::fs::write(machine.file("root/etc/docker/daemon.json"), own).unwrap();
        std::fs::write(machine.file("root/etc/hosts"), "127.0.0.1\tlocalhost").unwrap();
    }
    let before: Vec<_> = machines
        .iter()
        .map(|machine| files(&machine.file("root")))
        .collect();
    machines.iter_mut().for_each(Machine::start);
    let engines: Vec<_> = machines.iter().map(Docker::begin).collect();
    engines.iter().for_each(Docker::wait);
    let master = settle(&all(&machines));
    let other = 1 - master;
    let nodes = |engine: usize| {
        let list = engines[engine].run("node ls --format {{.Hostname}},{{.Status}},{{.ManagerStatus}}")?;
        let mut lines: Vec<_> = list.lines().map(str::to_owned).collect();
        lines.sort();
        Ok::<_, String>(lines.join(" "))
    };
    eventually("one swarm", PATIENCE, || match nodes(master)? {
        list if list.matches(",Ready,").count() == 2 && list.matches("Leader").count() == 1 => Ok(()),
        list => Err(list),
    });
    let service = "service create --detach --no-resolve-image --name web busybox sleep 1";
    engines[master].run(service).unwrap();

    let name = machines[master].name.clone();
    let said = machines[master].command("stop", &[]);
    assert!(
        said.ends_with("this node is stopped and stays so ('cluster-lab start' starts it)\n"),
        "{said}"
    );
    assert!(!said.contains("note:"), "{said}");
    assert_eq!(files(&machines[master].file("root")), before[master]);
    assert_eq!(machines[master].addresses(), [""; 0]);
    assert_eq!(
        engines[master]
            .run("info --format {{.Swarm.LocalNodeState}}")
            .as_deref(),
        Ok("inactive")
    );
    assert_eq!(
        labels(&engines[master]).as_deref(),
        Ok("[own=1]"),
        "the engine has forgotten the others"
    );
    eventually("the other one has all", PATIENCE, || {
        super::settled(&[&machines[other]])?;
        let (services, nodes) = (
            engines[other].run("service ls --format {{.Name}}")?,
            nodes(other)?,
        );
        if services == "web" && nodes == format!("{},Ready,Leader", machines[other].name) {
            Ok(())
        } else {
            Err(format!("{services}; {nodes}"))
        }
    });

    // It stays so over a restart.
    assert!(machines[master].stop());
    machines[master].start();
    eventually("it says so", SOON, || {
        let log = machines[master].log();
        if log
            .trim_end()
            .ends_with("this node is stopped: 'cluster-lab start' starts it")
        {
            Ok(())
        } else {
            Err(log)
        }
    });
    assert_eq!(machines[master].addresses(), [""; 0]);
    let said = machines[master].command("start", &["--service-manager", "true"]);
    assert_eq!(said, "this node is a node\n");
    eventually("it is back", PATIENCE, || match nodes(other)? {
        list if list.matches(",Ready,").count() == 2 && list.contains(&format!("{name},Ready")) => Ok(()),
        list => Err(list),
    });
}

#[test]
fn health_says_what_is_well_and_what_to_do_about_the_rest() {
    let switch = Switch::new();
    let machines = cluster(&switch, 2);
    let master = settle(&all(&machines));
    for (machine, served) in [
        (&machines[master], "here"),
        (&machines[1 - master], "by the leader"),
    ] {
        let mut health = machine.inside(env!("CARGO_BIN_EXE_cluster-lab"));
        health.arg("health").arg("--root").arg(machine.file("root"));
        for (option, file) in [
            ("--config", "cluster.toml"),
            ("--state-dir", "state"),
            ("--socket", "socket"),
            ("--docker-socket", "docker.sock"),
        ] {
            health.arg(option).arg(machine.file(file));
        }
        let output = health.output().unwrap();
        let said = String::from_utf8(output.stdout).unwrap();
        assert_eq!(output.status.code(), Some(1), "there is no internet here");
        for line in [
            "  [PASS]   cl0 has correct IP from vlan network\n",
            "  [PASS]   Cluster leader is reachable\n",
            "  [PASS]   cl0 has exactly one IP\n",
            "  [PASS]   the leader is announced on cl0\n",
            &format!("  [PASS]   DHCP and DNS are served {served}\n"),
            "  [FAIL]   docker is installed\n           -> apt-get install docker.io\n",
        ] {
            assert!(said.contains(line), "no {line}: {said}");
        }
    }
}
