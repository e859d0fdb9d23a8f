//! What the agent does to a real Docker Engine, besides its swarm.

use super::SOON;
use super::docker::Docker;
use super::roles::{all, cluster};
use super::settle;
use super::switch::{Machine, Switch, eventually};

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
