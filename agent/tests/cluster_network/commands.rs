//! The command line against real daemons that are members of one cluster.

use std::process::{Output, Stdio};

use serde_json::Value;

use super::roles::all;
use super::switch::{Machine, Switch, eventually};
use super::{SOON, settle};

/// `cluster-lab` on a machine; the words of the user follow the subcommand and its socket.
fn run(machine: &Machine, subcommand: &str, words: &[&str]) -> Output {
    let mut command = machine.inside(env!("CARGO_BIN_EXE_cluster-lab"));
    command
        .arg(subcommand)
        .arg("--socket")
        .arg(machine.file("socket"));
    command
        .args(words)
        .stderr(Stdio::piped())
        .output()
        .expect("the command starts")
}

fn said(output: &Output) -> (String, String, Option<i32>) {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (text(&output.stdout), text(&output.stderr), output.status.code())
}

fn lab(switch: &Switch, secret: Option<u8>) -> Vec<Machine> {
    let machine = |name: &str| {
        let mut machine = switch.machine(name);
        if secret.is_some() {
            machine.close(secret);
        }
        machine.start();
        machine
    };
    vec![machine("n1"), machine("n2")]
}

#[test]
fn a_command_runs_on_all_nodes_and_the_worst_exit_status_counts() {
    let switch = Switch::new();
    let machines = lab(&switch, Some(1));
    let master = settle(&all(&machines));
    let node = &machines[1 - master];
    let script = "echo here; hostname; echo there >&2; [ $(hostname) = n1 ] || exit 7";
    let (out, err, status) = said(&run(node, "exec", &["--", "sh", "-c", script]));
    let mut lines: Vec<_> = out.lines().collect();
    lines.sort_unstable();
    assert_eq!(lines, ["n1 | here", "n1 | n1", "n2 | here", "n2 | n2"], "{err}");
    assert!(err.contains("n1 | there") && err.contains("n2 | there"), "{err}");
    assert_eq!(status, Some(7));
    let (out, _, status) = said(&run(node, "exec", &["--node", "192.168.200.1", "--", "hostname"]));
    assert_eq!(
        (out, status),
        (format!("192.168.200.1 | {}\n", machines[master].name), Some(0))
    );
    let (out, err, status) = said(&run(
        node,
        "exec",
        &["--node", "n9", "--node", "n1", "--", "hostname"],
    ));
    assert_eq!((out.as_str(), status), ("n1 | n1\n", Some(255)), "{err}");
    assert!(err.contains("n9 | there is no node 'n9'"), "{err}");
    let (_, err, status) = said(&run(node, "exec", &["--limit", "1", "--", "sleep", "1000"]));
    assert_eq!(status, Some(124), "{err}");
    let (_, err, status) = said(&run(node, "exec", &["--", "/no/such/program"]));
    assert_eq!(status, Some(127), "{err}");

    let (out, err, status) = said(&run(&machines[master], "events", &[]));
    assert!(status == Some(0) && out.contains("is master now"), "{out}{err}");
    let changes = |machine: &Machine| {
        let file = machine.file("state").join("changes.json");
        std::fs::read_to_string(file).expect("the list of changes")
    };
    assert!(changes(node).contains("POST /api/v1/nodes/n1/exec"));

    // Only root may; the socket tells who is there.
    let nobody = |words: &[&str]| {
        let mut command = node.inside("setpriv");
        command.args([
            "--reuid=65534",
            "--regid=65534",
            "--clear-groups",
            "curl",
            "--silent",
            "--unix-socket",
        ]);
        command.arg(node.file("socket")).args(words);
        let output = command
            .output()
            .expect("curl is installed (apt-get install curl)");
        serde_json::from_slice::<Value>(&output.stdout).unwrap_or_default()
    };
    open_folders_of(node);
    assert_eq!(
        nobody(&["http://localhost/api/v1/status"])["hostname"],
        node.name.as_str()
    );
    let body = r#"{"command": ["id"], "limit": 5}"#;
    let words = [
        "--header",
        "Content-Type: application/json",
        "--data",
        body,
        "http://localhost/api/v1/nodes/n1/exec",
    ];
    assert_eq!(nobody(&words)["code"], 403);
}

/// The test's folder is root's only; a node's socket is where everybody may go.
fn open_folders_of(machine: &Machine) {
    use std::os::unix::fs::PermissionsExt;
    let socket = machine.file("socket");
    for folder in socket.ancestors().skip(1).take(2) {
        std::fs::set_permissions(folder, std::fs::Permissions::from_mode(0o755)).expect("a folder");
    }
}

#[test]
fn in_an_open_lab_no_node_runs_what_another_one_asks_for() {
    let switch = Switch::new();
    let machines = lab(&switch, None);
    settle(&all(&machines));
    let (out, err, status) = said(&run(&machines[0], "exec", &["--", "echo", "here"]));
    assert_eq!((out.as_str(), status), ("n1 | here\n", Some(255)), "{err}");
    assert!(err.contains("n2 | n2: in an open lab"), "{err}");
}

#[test]
fn a_link_logs_a_browser_in_once_and_a_token_lasts() {
    let switch = Switch::new();
    let machines = lab(&switch, Some(1));
    let master = settle(&all(&machines));
    let machine = &machines[master];
    let curl = |words: &[&str]| {
        let mut command = machine.inside("curl");
        command.args([
            "--silent",
            "--show-error",
            "--max-time",
            "20",
            "--write-out",
            "%{http_code}",
        ]);
        let output = command
            .args(words)
            .output()
            .expect("curl is installed (apt-get install curl)");
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    // The page is served a moment after the role is taken.
    let page = eventually("the dashboard", SOON, || {
        match curl(&["--include", "http://192.168.200.1/"]) {
            page if page.ends_with("200") => Ok(page),
            other => Err(other),
        }
    });
    assert!(
        page.contains("content-security-policy: default-src 'none'"),
        "{page}"
    );
    let (link, err, status) = said(&run(machine, "login", &[]));
    assert_eq!(status, Some(0), "{err}");
    let token = link
        .trim()
        .strip_prefix("http://192.168.200.1/#login=")
        .expect("a link");
    let body = format!(r#"{{"token": "{token}"}}"#);
    let jar = machine.file("cookies");
    let jar = jar.to_str().expect("UTF-8");
    let login = [
        "--cookie-jar",
        jar,
        "--header",
        "X-Cluster-Lab: 1",
        "--header",
        "Content-Type: application/json",
        "--data",
        &body,
        "http://192.168.200.1/api/v1/session",
    ];
    assert_eq!(curl(&login), "204");
    // Without the jar: curl would empty it.
    assert!(curl(&login[2..]).ends_with("401"));
    let changes = "http://192.168.200.1/api/v1/changes";
    assert!(curl(&["--cookie", jar, changes]).ends_with("200"));
    assert!(curl(&[changes]).ends_with("401"));

    let (token, ..) = said(&run(
        machine,
        "login",
        &["--token", "backup", "--read-only", "--days", "1"],
    ));
    let authorization = format!("Authorization: Bearer {}", token.trim());
    assert!(curl(&["--header", &authorization, changes]).ends_with("200"));
    let remove = [
        "--header",
        &authorization,
        "--request",
        "DELETE",
        "http://192.168.200.1/api/v1/service/web",
    ];
    assert!(curl(&remove).ends_with("403"));
    let (list, ..) = said(&run(machine, "login", &["--list"]));
    assert!(
        list.contains("backup") && list.contains("reader") && !list.contains(token.trim()),
        "{list}"
    );
    assert_eq!(said(&run(machine, "login", &["--revoke", "backup"])).2, Some(0));
    assert!(curl(&["--header", &authorization, changes]).ends_with("401"));
    let metrics = curl(&["http://192.168.200.1/metrics"]);
    assert!(
        metrics.contains("cluster_lab_info{") && metrics.contains("role=\"master\""),
        "{metrics}"
    );
}
