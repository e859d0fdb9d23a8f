//! Services through the HTTP API, on real engines.

use std::time::Duration;

use serde_json::{Value, json};

use super::docker::{Docker, IMAGE};
use super::roles::all;
use super::settle;
use super::swarm::{Lab, PATIENCE};
use super::switch::{Machine, eventually};

/// An answer: its HTTP status and its JSON.
type Answer = (u16, Value);

/// curl, with the words of a request after the options that all requests have.
fn curl(machine: &Machine, words: &[&str]) -> Answer {
    let mut command = machine.inside("curl");
    command.args(["--silent", "--max-time", "60", "--write-out", "\n%{http_code}"]);
    let output = command
        .args(words)
        .output()
        .expect("curl is installed (apt-get install curl)");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let (body, status) = text.rsplit_once('\n').unwrap_or_default();
    let body = serde_json::from_str(body).unwrap_or_else(|_| Value::String(body.to_owned()));
    (status.parse().unwrap_or_default(), body)
}

/// A client on a node, which asks an address of the cluster network.
struct Client<'a> {
    machine: &'a Machine,
    address: String,
    token: Option<String>,
}

impl Client<'_> {
    fn send(&self, method: &str, path: &str, body: Option<Value>) -> Answer {
        let url = format!("http://{}/api/v1{path}", self.address);
        let body = body.map(|body| body.to_string());
        let mut words = vec![
            "--request",
            method,
            "--header",
            "Content-Type: application/json",
            &url,
        ];
        words.extend(body.iter().flat_map(|body| ["--data", body]));
        let authorization = self
            .token
            .as_ref()
            .map(|token| format!("Authorization: Bearer {token}"));
        words.extend(authorization.iter().flat_map(|line| ["--header", line]));
        curl(self.machine, &words)
    }

    fn get(&self, path: &str) -> Value {
        let (status, body) = self.send("GET", path, None);
        assert_eq!(status, 200, "GET {path}: {body}");
        body
    }
}

/// A token that root on the machine makes.
fn token(machine: &Machine) -> String {
    let socket = machine.file("socket");
    let body = json!({"name": "test", "level": "administrator", "days": 1}).to_string();
    let words = [
        "--unix-socket",
        socket.to_str().expect("UTF-8"),
        "--header",
        "Content-Type: application/json",
        "--data",
        &body,
        "http://localhost/api/v1/tokens",
    ];
    let (status, body) = curl(machine, &words);
    assert_eq!(status, 201, "{body}");
    body["token"].as_str().expect("a token").to_owned()
}

#[test]
fn a_service_is_made_scaled_moved_lost_with_its_node_and_removed_through_any_node() {
    let mut lab = Lab::new(2);
    let master = settle(&all(&lab.machines));
    lab.until_whole(master, &["n1", "n2"], 1);
    lab.engines.iter().for_each(Docker::make_image);
    let node = 1 - master;
    let (machine, own) = (&lab.machines[node], lab.machines[node].status().unwrap());
    let own = own["node-address"].as_str().unwrap();
    // The node is no manager: it passes on what it is asked.
    let mut client = Client {
        machine,
        address: own.to_owned(),
        token: None,
    };
    let wish = |replicas: u32| json!({"service": "web", "image": IMAGE, "replicas": replicas});
    let (status, body) = client.send("POST", "/service", Some(wish(1)));
    assert_eq!(
        (status, &body["code"]),
        (403, &json!(403)),
        "neither header nor token: {body}"
    );
    client.token = Some(token(machine));
    let (status, body) = client.send("POST", "/service", Some(wish(1)));
    assert_eq!(status, 201, "{body}");
    assert_eq!(body["cluster.servicesDef"][0]["replicas"], 1);
    let (status, body) = client.send("POST", "/service", Some(wish(2)));
    assert_eq!(
        (status, &body["cluster.servicesDef"][0]["replicas"]),
        (201, &json!(2)),
        "replaced: {body}"
    );
    assert_eq!(body["cluster.servicesDef"].as_array().map(Vec::len), Some(1));
    let running = |client: &Client, path: &str, expected: Value| {
        eventually("the tasks run", PATIENCE, || match client.get(path) {
            seen if seen == expected => Ok(()),
            seen => Err(seen.to_string()),
        });
    };
    let instances = |count: u32| json!([{"image": IMAGE, "numOfRunningContainers": count}]);
    eventually("a container on each", PATIENCE, || {
        let state = client.get("/state");
        let workers = &state["cluster.workers"];
        let sound = (0..2).all(|index| workers[index]["serviceInstances"] == instances(1));
        if sound && state["cluster.numOfWorkers"] == 2 {
            Ok(())
        } else {
            Err(state.to_string())
        }
    });
    let (status, body) = client.send("GET", "/service/nothing", None);
    assert_eq!((status, &body["code"]), (404, &json!(404)), "{body}");

    // Bound to the node that is no manager, and a name that no node has.
    let (status, body) = client.send("POST", "/services/web/move", Some(json!({"node": "nobody"})));
    assert_eq!(
        (status, &body["message"]),
        (400, &json!("there is no node 'nobody'"))
    );
    let name = machine.name.as_str();
    let (status, body) = client.send("POST", "/services/web/move", Some(json!({"node": name})));
    assert_eq!((status, &body["node"]), (200, &json!(name)), "{body}");
    let on_node = |client: &Client, name: &str, count: usize| {
        eventually("the tasks are there", PATIENCE, || {
            let tasks = client.get("/tasks");
            let tasks = tasks.as_array().cloned().unwrap_or_default();
            let running = |task: &&Value| task["state"] == "running" && task["desired"] == "running";
            let running: Vec<_> = tasks.iter().filter(running).collect();
            let there = running.iter().filter(|task| task["node"] == name).count();
            if there == count && running.len() == count {
                Ok(())
            } else {
                Err(format!("{running:?}"))
            }
        });
    };
    on_node(&client, name, 2);
    let (status, body) = client.send("POST", "/services/web/move", Some(json!({"node": null})));
    assert_eq!((status, &body["node"]), (200, &Value::Null), "{body}");
    let (status, body) = client.send("POST", "/services/web/scale", Some(json!({"replicas": 3})));
    assert_eq!((status, &body["replicas"]), (200, &json!(3)), "{body}");
    eventually("three run", PATIENCE, || match client.get("/services/web") {
        seen if seen["running"] == 3 => Ok(()),
        seen => Err(seen.to_string()),
    });

    let talk = json!({"image": IMAGE, "command": ["sh", "-c", "echo I am here; exec sleep 100000"]});
    let (status, body) = client.send("PUT", "/services/talker", Some(talk));
    assert_eq!(status, 201, "{body}");
    eventually("its log", PATIENCE, || {
        match client.send("GET", "/services/talker/logs?tail=5", None) {
            (200, line) if line["line"] == "I am here" => Ok(()),
            other => Err(format!("{other:?}")),
        }
    });
    let (status, _) = client.send("DELETE", "/service/talker", None);
    assert_eq!(status, 204);
    let stats = client.get("/stats");
    assert_eq!(
        (&stats["workers.failures"], &stats["services.totalOfRequests"]),
        (&json!(0), &json!(7)),
        "{stats}"
    );

    let words = ["services", "service"].map(|word| {
        let mut command = machine.inside(env!("CARGO_BIN_EXE_cluster-lab"));
        command.arg(word).arg("--socket").arg(machine.file("socket"));
        command
    });
    let [mut services, mut service] = words;
    let output = service.args(["scale", "web", "2"]).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let output = services.output().unwrap();
    let table = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        table.starts_with("SERVICE  RUNNING  IMAGE    PORTS  NODES\nweb ") && table.contains("/2  "),
        "{table}"
    );
    let (status, _) = client.send("POST", "/services/web/scale", Some(json!({"replicas": 3})));
    assert_eq!(status, 200);
    eventually("three run again", PATIENCE, || {
        match client.get("/services/web") {
            seen if seen["running"] == 3 => Ok(()),
            seen => Err(seen.to_string()),
        }
    });

    let is_lost = |task: &&Value| task["desired"] == "running" && task["node"] == name;
    let lost = client
        .get("/tasks")
        .as_array()
        .unwrap()
        .iter()
        .filter(is_lost)
        .count();
    lab.cut(node);
    let machine = &lab.machines[master];
    let client = Client {
        machine,
        address: "192.168.200.1".to_owned(),
        token: Some(token(machine)),
    };
    on_node(&client, &machine.name, 3);
    let stats = eventually("counted", PATIENCE, || match client.get("/stats") {
        stats if stats["workers.failures"] == 1 && stats["containers.relocated"] == lost => Ok(stats),
        stats => Err(format!("{lost} lost; {stats}")),
    });
    // Nothing is counted again on the next looks.
    std::thread::sleep(Duration::from_secs(11));
    let later = client.get("/stats");
    for key in [
        "workers.failures",
        "containers.relocated",
        "services.totalOfRequests",
    ] {
        assert_eq!(later[key], stats[key], "{later}");
    }
    let (status, _) = client.send("DELETE", "/service/web", None);
    assert_eq!(status, 204);
    running(&client, "/services", json!([]));
}
