//! Real Consul, from the image that comes with a card, on real Docker Engines in a lab with a cluster secret.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use serde_json::{Value, json};

use super::docker::{Docker, IMAGE};
use super::roles::all;
use super::switch::{Machine, Switch, eventually};
use super::{SOON, settle};

/// Loading an image, elections of Docker and of Consul, on a busy test machine.
const PATIENCE: Duration = Duration::from_secs(180);
const REFERENCE: &str = "cluster-lab/consul:1.8.7";
const NAME: &str = "cluster_lab_consul";

/// Machines, each with its engine and a card that has Consul's image.
struct Lab {
    machines: Vec<Machine>,
    engines: Vec<Docker>,
    switch: Switch,
}

impl Lab {
    fn new(count: usize) -> Self {
        let switch = Switch::new();
        let mut machines: Vec<_> = (1..=count).map(|n| switch.machine(&format!("n{n}"))).collect();
        for machine in &mut machines {
            machine.close(Some(7));
            preload(machine);
            machine.start();
        }
        let engines: Vec<_> = machines.iter().map(Docker::begin).collect();
        engines.iter().for_each(Docker::wait);
        Self {
            machines,
            engines,
            switch,
        }
    }

    /// Waits until these nodes see so many members alive and a leader.
    fn until_whole(&self, indices: &[usize], members: usize, servers: usize) {
        eventually("Consul is whole", PATIENCE, || {
            let mut found = 0;
            for index in indices {
                let status = self.machines[*index].status()?;
                let consul = &status["consul"];
                let sound = consul["members"] == members && consul["leader"].is_string();
                if !sound || consul["version"] != "1.8.7" {
                    return Err(format!(
                        "{} {consul} {}",
                        self.machines[*index].name, status["engine"]
                    ));
                }
                found += usize::from(consul["server"] == true);
            }
            if found == servers {
                Ok(())
            } else {
                Err(format!("{found} servers"))
            }
        });
    }

    /// A request to a node's own Consul.
    fn ask(&self, index: usize, method: &str, path: &str, body: &str) -> Result<Value, String> {
        let url = format!("http://127.0.0.1:8500{path}");
        let (status, text) = curl(&self.machines[index], method, &url, body);
        match status.as_str() {
            "200" => Ok(serde_json::from_str(&text).unwrap_or(Value::String(text))),
            _ => Err(format!("{status}: {text}")),
        }
    }
}

/// HTTP status and body.
fn curl(machine: &Machine, method: &str, url: &str, body: &str) -> (String, String) {
    let mut command = machine.inside("curl");
    command.args([
        "--silent",
        "--max-time",
        "10",
        "--request",
        method,
        "--write-out",
        "\n%{http_code}",
    ]);
    if !body.is_empty() {
        command.args(["--data", body]);
    }
    let output = command.arg(url).output().expect("curl is installed");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let (body, status) = text.rsplit_once('\n').unwrap_or_default();
    (status.to_owned(), body.to_owned())
}

/// Consul's image for this machine, as `ci/test` makes it.
fn archive() -> PathBuf {
    let archive = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/lab/consul-amd64.tar.gz");
    assert!(
        archive.exists(),
        "{} is missing: image-builder consul-image --architecture amd64 --output target/lab/consul-amd64.tar.gz",
        archive.display()
    );
    archive
}

fn shell(script: &str, argument: &Path) -> String {
    let output = Command::new("sh")
        .args(["-ec", script])
        .arg(argument)
        .output()
        .expect("sh");
    assert!(output.status.success(), "{output:?}");
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

/// What `image-builder build --preload` puts on a card, and a broken archive before it.
fn preload(machine: &Machine) {
    let folder = machine.file("state/preload");
    std::fs::create_dir_all(&folder).expect("a folder");
    let archive = archive();
    std::os::unix::fs::symlink(&archive, folder.join("consul.tar.gz")).expect("a link");
    std::fs::write(folder.join("torn.tar"), "torn").expect("a file");
    let checksum = shell(r#"sha256sum "$0" | cut -d ' ' -f 1"#, &archive);
    let config = shell(
        r#"tar -xzOf "$0" "$(tar -xzOf "$0" manifest.json | sed 's/.*"Config":"\([^"]*\)".*/\1/')" | sha256sum | cut -d ' ' -f 1"#,
        &archive,
    );
    let manifest = json!({ "version": 1, "images": [
        { "file": "torn.tar", "reference": "lab/torn:1", "sha256": "00", "image": "sha256:00" },
        { "file": "consul.tar.gz", "reference": REFERENCE, "sha256": checksum, "image": format!("sha256:{config}") },
    ] });
    std::fs::write(folder.join("manifest.json"), manifest.to_string()).expect("a file");
}

#[test]
fn three_nodes_become_one_consul_that_shows_their_services_and_outlives_the_master() {
    let mut lab = Lab::new(3);
    let master = settle(&all(&lab.machines));
    lab.until_whole(&[0, 1, 2], 3, 3);
    let other = (master + 1) % 3;

    let nodes = lab.ask(other, "GET", "/v1/catalog/nodes", "").unwrap();
    let mut found: Vec<_> = nodes
        .as_array()
        .unwrap()
        .iter()
        .map(|node| node["Node"].as_str().unwrap())
        .collect();
    found.sort_unstable();
    assert_eq!(found, ["n1", "n2", "n3"], "{nodes}");
    lab.ask(other, "PUT", "/v1/kv/kept", "value").unwrap();

    everybody_may_read_and_nobody_may_write(&lab.machines[other]);
    services_come_and_go(&lab, master, other);
    a_stranger_stays_out(&lab, other);

    lab.engines[master].kill();
    lab.machines[master].kill();
    lab.machines[master].cut();
    let left: Vec<usize> = (0..3).filter(|index| *index != master).collect();
    settle(&[&lab.machines[left[0]], &lab.machines[left[1]]]);
    eventually("the key is there and another can be written", PATIENCE, || {
        let kept = lab.ask(left[1], "GET", "/v1/kv/kept?raw", "")?;
        lab.ask(left[0], "PUT", "/v1/kv/new", "value")?;
        if kept == "value" {
            Ok(())
        } else {
            Err(kept.to_string())
        }
    });
}

/// From another machine, over the cluster network.
fn everybody_may_read_and_nobody_may_write(machine: &Machine) {
    let url = |path: &str| format!("http://192.168.200.1:8500{path}");
    eventually("the master's page", SOON, || {
        match curl(machine, "GET", &url("/v1/catalog/nodes"), "") {
            (status, body) if status == "200" && body.contains("192.168.200.") => Ok(()),
            other => Err(format!("{other:?}")),
        }
    });
    let (status, page) = curl(machine, "GET", &url("/ui/"), "");
    assert!(
        status == "200" && page.contains("<title>Consul"),
        "{status} {page}"
    );
    for (method, path) in [
        ("PUT", "/v1/kv/kept"),
        ("GET", "/v1/kv/kept"),
        ("PUT", "/v1/agent/leave"),
        ("GET", "/v1/operator/keyring"),
    ] {
        let (status, body) = curl(machine, method, &url(path), "");
        assert!(
            status == "403" && body.contains("read-only"),
            "{method} {path}: {status} {body}"
        );
    }
}

fn services_come_and_go(lab: &Lab, master: usize, other: usize) {
    lab.engines.iter().for_each(Docker::make_image);
    lab.engines[master]
        .run(&format!(
            "service create --detach --no-resolve-image --name my_web --mode global {IMAGE} sleep 100000"
        ))
        .expect("an answer");
    let listed = |count: usize| {
        let list = lab.ask(other, "GET", "/v1/catalog/service/my-web", "")?;
        let found = list.as_array().map_or(0, Vec::len);
        if found == count {
            Ok(())
        } else {
            Err(list.to_string())
        }
    };
    eventually("a service per node", PATIENCE, || listed(3));
    let dig = |name: &str| {
        let mut command = lab.machines[other].inside("dig");
        let output = command
            .args(["+short", "+time=2", "@192.168.200.1", name])
            .output()
            .expect("dig is installed");
        String::from_utf8_lossy(&output.stdout).lines().count()
    };
    eventually("the master's name server knows it", SOON, || {
        match dig("my-web.service.consul") {
            3 => Ok(()),
            other => Err(format!("{other} addresses")),
        }
    });
    lab.engines[master].run("service rm my_web").expect("an answer");
    eventually("no service", PATIENCE, || listed(0));
}

/// One on the same network who knows everything but the secret.
fn a_stranger_stays_out(lab: &Lab, node: usize) {
    let stranger = lab.switch.machine("stranger");
    stranger.ip("addr add 192.168.200.250/24 dev cl0");
    let engine = Docker::start(&stranger);
    let load = format!("load -i {}", archive().display());
    engine.run(&load).expect("an answer");
    let own = lab.machines[node].status().expect("an answer");
    let own = own["node-address"].as_str().expect("an answer").to_owned();
    engine
        .run(&format!(
            "run -d --network host --name consul {REFERENCE} agent -data-dir /tmp -bind 192.168.200.250 -retry-join {own} -retry-interval 1s"
        ))
        .expect("an answer");
    eventually("it tries and fails", SOON, || {
        let said = engine.run("logs consul")?;
        let tried = said.contains("Join") && (said.contains("rror") || said.contains("failed"));
        if tried { Ok(()) } else { Err(said) }
    });
    let members = lab.ask(node, "GET", "/v1/agent/members", "").expect("an answer");
    assert_eq!(members.as_array().map(Vec::len), Some(3), "{members}");
}

#[test]
fn it_comes_back_when_its_container_is_removed_and_when_its_data_is_torn() {
    let mut lab = Lab::new(1);
    settle(&all(&lab.machines));
    lab.until_whole(&[0], 1, 1);
    let status = lab.machines[0].status().unwrap();
    assert_eq!(status["preloads"]["loaded"], 1);
    let broken = status["preloads"]["broken"][0].as_str().unwrap();
    assert!(
        broken.starts_with("lab/torn:1: its archive is broken"),
        "{broken}"
    );
    let settings = lab.machines[0].file("state/consul/settings/consul.json");
    let mode = std::os::unix::fs::PermissionsExt::mode(&settings.metadata().unwrap().permissions());
    assert_eq!(mode & 0o777, 0o600);

    let key = |value: &str| lab.ask(0, "PUT", "/v1/kv/kept", value);
    key("value").unwrap();
    lab.engines[0].run(&format!("rm -f {NAME}")).unwrap();
    eventually("its data is still there", PATIENCE, || {
        match lab.ask(0, "GET", "/v1/kv/kept?raw", "")? {
            kept if kept == "value" => Ok(()),
            other => Err(other.to_string()),
        }
    });

    lab.engines[0].kill();
    std::fs::write(
        lab.machines[0].file("state/consul/data/raft/raft.db"),
        vec![0x5a; 65536],
    )
    .unwrap();
    lab.engines[0] = Docker::start(&lab.machines[0]);
    eventually("the torn data is put aside", PATIENCE, || {
        let aside = lab.machines[0].file("state/consul/data.torn");
        if aside.exists() {
            Ok(())
        } else {
            Err(lab.machines[0].status()?["consul"].to_string())
        }
    });
    lab.until_whole(&[0], 1, 1);

    let said = lab.machines[0].command("stop", &[]);
    assert!(
        said.contains("this node is stopped") && !said.contains("note:"),
        "{said}"
    );
    let left = lab.engines[0].run(&format!("ps --all --quiet --filter name={NAME}"));
    assert_eq!(
        left.as_deref(),
        Ok(""),
        "the container goes when the node is stopped"
    );
}
