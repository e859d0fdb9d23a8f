//! `docker -H ...:2378` acts on the whole cluster: real engines, Docker's own command line, a node that is cut off.

#![expect(clippy::unwrap_used, reason = "a test, all of it")]

use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use super::docker::{Docker, IMAGE};
use super::roles::all;
use super::switch::{Machine, Running, Switch, eventually};
use super::{SOON, settle};

/// Docker on a busy test machine takes its time.
const PATIENCE: Duration = Duration::from_secs(120);

/// Machines `n1` to `n3`, each with its engine, and Docker's command line beside them.
struct Lab {
    machines: Vec<Machine>,
    engines: Vec<Docker>,
    master: usize,
    _switch: Switch,
}

impl Lab {
    fn new() -> Self {
        let switch = Switch::new();
        let mut machines: Vec<_> = ["n1", "n2", "n3"]
            .iter()
            .map(|name| switch.machine(name))
            .collect();
        for machine in &mut machines {
            machine.close(Some(1));
            machine.start();
        }
        let engines: Vec<_> = machines.iter().map(Docker::begin).collect();
        engines.iter().for_each(Docker::wait);
        let master = settle(&all(&machines));
        let lab = Self {
            machines,
            engines,
            master,
            _switch: switch,
        };
        eventually("the endpoint has all nodes", PATIENCE, || {
            let info = lab.docker(0, "info")?;
            let managers = lab.docker(0, "info --format {{.Swarm.Managers}}")?;
            match info.contains("Nodes: 3") && !info.contains("Unreachable") && managers == "3" {
                true => Ok(()),
                false => Err(info),
            }
        });
        lab
    }

    fn socket(&self, index: usize) -> PathBuf {
        self.machines[index].file("root/run/cluster-lab/docker.sock")
    }

    /// Docker's command line with a node's endpoint, by its socket.
    fn command(&self, index: usize, words: &[&str]) -> Command {
        let mut command = Command::new("docker");
        command
            .arg("-H")
            .arg(format!("unix://{}", self.socket(index).display()));
        command.args(words).stdin(Stdio::null());
        command
    }

    /// What it prints, the words separated by spaces.
    fn docker(&self, index: usize, words: &str) -> Result<String, String> {
        let words: Vec<_> = words.split_whitespace().collect();
        said(self.command(index, &words).output().expect("docker is installed"))
    }

    /// The container's names, as `ps` lists them, sorted.
    fn names(&self, index: usize) -> Result<Vec<String>, String> {
        let mut names: Vec<_> = self
            .docker(index, "ps --all --format {{.Names}}")?
            .lines()
            .map(str::to_owned)
            .collect();
        names.sort();
        Ok(names)
    }
}

fn said(output: Output) -> Result<String, String> {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
    match output.status.success() {
        true => Ok(text(&output.stdout)),
        false => Err(text(&output.stderr)),
    }
}

#[test]
fn docker_acts_on_all_nodes_through_any_of_them() {
    let mut lab = Lab::new();
    // One node has the image; the others copy it from there when they need it.
    lab.engines[0].make_image();

    // Spread over the nodes; each is asked through another.
    for (index, name) in ["one", "two", "three"].iter().enumerate() {
        let words = format!("run -d --init --name {name} {IMAGE} sleep 100000");
        lab.docker(index, &words).unwrap();
    }
    let names = lab.names(1).unwrap();
    let nodes: Vec<_> = names.iter().filter_map(|name| name.split_once('/')).collect();
    assert_eq!(
        nodes.iter().map(|(node, _)| *node).collect::<Vec<_>>(),
        ["n1", "n2", "n3"],
        "{names:?}"
    );
    let taken = lab
        .docker(0, &format!("run -d --name one {IMAGE} sleep 1"))
        .unwrap_err();
    assert!(taken.contains("is already in use by container"), "{taken}");

    // Constraints, and every way to name a container.
    lab.docker(
        0,
        &format!("run -d --init --name on3 -e constraint:node==n3 {IMAGE} sleep 100000"),
    )
    .unwrap();
    for reference in ["on3", "n3/on3"] {
        let node = lab.docker(0, &format!("inspect --format {{{{.Node.Name}}}} {reference}"));
        assert_eq!(node.as_deref(), Ok("n3"), "{reference}");
    }
    assert_eq!(
        lab.engines[2]
            .run("ps -q --filter name=on3")
            .unwrap()
            .lines()
            .count(),
        1
    );
    let nowhere = format!("run -d -e constraint:node==n9 {IMAGE} sleep 1");
    let nowhere = lab.docker(0, &nowhere).unwrap_err();
    assert!(
        nowhere.contains("no node satisfies constraint:node==n9"),
        "{nowhere}"
    );
    lab.engines[0]
        .run(&format!("create --name on3 {IMAGE} sleep 1"))
        .unwrap();
    let which = lab.docker(1, "stop on3").unwrap_err();
    assert!(
        which.contains("on3 is ambiguous: there are") && which.contains("n1/on3"),
        "{which}"
    );
    lab.docker(1, "rm n1/on3").unwrap();

    check_streams(&lab);

    // Stopping, starting, removing on another node.
    assert_eq!(lab.docker(0, "stop -t 1 on3").as_deref(), Ok("on3"));
    assert_eq!(
        lab.docker(0, "inspect --format {{.State.Running}} on3")
            .as_deref(),
        Ok("false")
    );
    lab.docker(0, "start on3").unwrap();
    lab.docker(0, "rename on3 renamed").unwrap();
    lab.docker(0, "rm -f renamed").unwrap();
    assert!(lab.docker(0, "inspect renamed").is_err());

    // Swarm mode is a manager's business, whoever is asked.
    let nodes = lab.docker(1, "node ls --format {{.Hostname}}").unwrap();
    assert_eq!(nodes.lines().count(), 3, "{nodes}");

    check_tls(&lab);
    check_lists(&lab);

    // A node that is gone blocks nothing.
    let gone = (lab.master + 1) % 3;
    let asked = lab.master;
    lab.engines[gone].kill();
    lab.machines[gone].kill();
    lab.machines[gone].cut();
    let name = lab.machines[gone].name.clone();
    let left = lab.names(asked).unwrap();
    assert!(
        left.len() == 2 && left.iter().all(|one| !one.starts_with(&name)),
        "{left:?}"
    );
    let error = lab.docker(asked, &format!("stop {name}/x")).unwrap_err();
    assert!(error.contains(&format!("node {name} does not answer")), "{error}");
    lab.docker(asked, &format!("run --rm {IMAGE} busybox true"))
        .unwrap();
}

/// What flows both ways: attach, exec, logs, from a node to another one's container.
fn check_streams(lab: &Lab) {
    let piped = |words: &[&str]| {
        let mut command = lab.command(0, words);
        let child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        child.spawn().expect("docker is installed")
    };
    // Its input ends, its output goes on: the count comes after the end.
    let run = [
        "run",
        "-i",
        "--rm",
        "-e",
        "constraint:node==n2",
        IMAGE,
        "busybox",
        "wc",
        "-c",
    ];
    for words in [&run[..], &["exec", "-i", "on3", "busybox", "wc", "-c"]] {
        let mut child = piped(words);
        let mut stdin = child.stdin.take().unwrap();
        // More than all buffers on the way hold.
        let chunk = vec![b'x'; 1024 * 1024];
        for _ in 0..8 {
            stdin.write_all(&chunk).unwrap();
        }
        drop(stdin);
        assert_eq!(
            said(child.wait_with_output().unwrap()).as_deref(),
            Ok("8388608"),
            "{words:?}"
        );
    }
    let failed = lab.docker(0, "exec on3 sh -c exit\\ 3").is_err();
    assert!(failed, "the exit code comes back");

    // A log is followed line by line.
    let count = "i=0; while true; do echo line $i; i=$((i+1)); busybox sleep 1; done";
    let words = [
        "run",
        "-d",
        "--init",
        "--name",
        "talker",
        "-e",
        "constraint:node==n2",
        IMAGE,
        "sh",
        "-c",
        count,
    ];
    said(lab.command(0, &words).output().unwrap()).unwrap();
    let mut child = piped(&["logs", "-f", "talker"]);
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let lines: Vec<_> = lines.take(3).map(Result::unwrap).collect();
    drop(Running(child));
    assert_eq!(lines, ["line 0", "line 1", "line 2"]);
    lab.docker(0, "rm -f talker").unwrap();
}

/// What each node has of its own, and what the cluster has as a whole.
fn check_lists(lab: &Lab) {
    let docker = |words: &str| lab.docker(1, words).unwrap();
    let images = docker("images --format {{.Repository}}");
    assert_eq!(images, IMAGE, "once, though three nodes have it");
    let id = docker("network create -d overlay my-net");
    assert_eq!(docker("network inspect --format {{.Id}} my-net"), id);
    let networks = docker("network ls --format {{.Name}}");
    let of = |name: &str| networks.lines().filter(|line| *line == name).count();
    assert_eq!(
        (of("my-net"), of("n1/bridge"), of("n3/bridge"), of("bridge")),
        (1, 1, 1, 0),
        "{networks}"
    );
    docker("volume create n3/data");
    assert_eq!(docker("volume ls --format {{.Name}}"), "n3/data");
    assert_eq!(lab.engines[2].run("volume ls -q").as_deref(), Ok("data"));
    docker("volume rm n3/data");
    docker("network rm my-net");
    let usage = docker("system df --format {{.Type}}:{{.TotalCount}}");
    assert!(usage.contains("Containers:3"), "{usage}");

    let mut events = lab.command(
        0,
        &[
            "events",
            "--filter",
            "event=pause",
            "--format",
            "{{json .Actor.Attributes}}",
        ],
    );
    let mut events = Running(events.stdout(Stdio::piped()).spawn().unwrap());
    let mut lines = BufReader::new(events.0.stdout.take().unwrap()).lines();
    // The stream may begin after the first ones.
    let heard = std::thread::scope(|scope| {
        let listener = scope.spawn(move || lines.next());
        eventually("an event of another node is heard", SOON, || {
            for name in ["one", "two", "three"] {
                lab.docker(1, &format!("pause {name}"))?;
                lab.docker(1, &format!("unpause {name}"))?;
            }
            match listener.is_finished() {
                true => Ok(()),
                false => Err("nothing heard".to_owned()),
            }
        });
        listener.join().unwrap().unwrap().unwrap()
    });
    assert!(heard.contains("\"node.name\":\"n"), "{heard}");
}

/// With a certificate of the cluster's over the network, and never without.
fn check_tls(lab: &Lab) {
    let machine = &lab.machines[1];
    let certificates = machine.file("certificates");
    let program = env!("CARGO_BIN_EXE_cluster-lab");
    let mut docker_env = Command::new(program);
    docker_env.args(["docker-env", "--host", "192.168.200.1", "--cert-path"]);
    docker_env.arg(&certificates).arg("--socket").arg(lab.socket(1));
    let printed = said(docker_env.output().unwrap()).unwrap();
    let folder = certificates.display();
    assert_eq!(
        printed,
        format!(
            "export DOCKER_HOST=tcp://192.168.200.1:2378\nexport DOCKER_TLS_VERIFY=1\nexport DOCKER_CERT_PATH={folder}"
        )
    );
    let over_tls = |host: &str, certificates: Option<&PathBuf>| {
        let mut command = machine.inside("docker");
        command.args(["-H", host, "ps", "--all", "--format", "{{.Names}}"]);
        if let Some(certificates) = certificates {
            command
                .env("DOCKER_TLS_VERIFY", "1")
                .env("DOCKER_CERT_PATH", certificates);
        }
        said(command.output().unwrap())
    };
    let own = machine.status().unwrap()["node-address"]
        .as_str()
        .unwrap()
        .to_owned();
    for host in ["192.168.200.1", "127.0.0.1", &own] {
        let listed = eventually("the endpoint answers over TLS", SOON, || {
            over_tls(&format!("{host}:2378"), Some(&certificates))
        });
        assert_eq!(listed.lines().count(), 3, "{host}: {listed}");
    }
    let plain = over_tls("192.168.200.1:2378", None).unwrap_err();
    assert!(!plain.contains("n1/"), "{plain}");

    // A certificate of another cluster.
    let strange = machine.file("strange");
    std::fs::create_dir_all(&strange).unwrap();
    let secret = boot_config::ClusterSecret::from_bytes([2; 32]);
    let trust = cluster_lab::trust::Trust::decide(Some(secret), &boot_config::Settings::default().cluster);
    let files = trust.unwrap().person().unwrap();
    std::fs::copy(certificates.join("ca.pem"), strange.join("ca.pem")).unwrap();
    std::fs::write(strange.join("cert.pem"), &files.cert).unwrap();
    std::fs::write(strange.join("key.pem"), &files.key).unwrap();
    let refused = over_tls("192.168.200.1:2378", Some(&strange)).unwrap_err();
    assert!(
        refused.contains("tls: ") || refused.contains("certificate"),
        "{refused}"
    );
}
