//! The user's file is changed as little as can be, and comes back byte for byte.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use proptest::prelude::{ProptestConfig, Strategy, prop_assert_eq, proptest};
use serde_json::{Value, json};

use super::{Applied, DaemonConfig, Key, Wanted};

struct Node {
    folder: tempfile::TempDir,
    config: DaemonConfig,
}

impl Node {
    fn new(original: Option<&str>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("docker/daemon.json");
        if let Some(original) = original {
            std::fs::create_dir_all(file.parent().unwrap()).unwrap();
            std::fs::write(&file, original).unwrap();
        }
        let config = DaemonConfig::new(file, folder.path());
        Self { folder, config }
    }

    fn file(&self) -> PathBuf {
        self.folder.path().join("docker/daemon.json")
    }

    fn text(&self) -> Option<String> {
        std::fs::read_to_string(self.file()).ok()
    }

    fn json(&self) -> Value {
        serde_json::from_str(&self.text().unwrap()).unwrap()
    }
}

fn wanted(hierarchy: &str) -> Wanted {
    let labels = [
        ("hypriot.arch", "armv7l"),
        ("hypriot.hierarchy", hierarchy),
        ("room", "attic"),
    ];
    Wanted {
        labels: labels
            .map(|(key, value)| (key.to_owned(), value.to_owned()))
            .into(),
        registry_mirrors: vec!["http://pi:5000".to_owned()],
        insecure_registries: Vec::new(),
        without: BTreeSet::new(),
    }
}

#[test]
fn a_missing_file_is_made_and_goes_again() {
    let node = Node::new(None);
    assert_eq!(node.config.apply(&wanted("node")).unwrap(), Applied::Written);
    assert_eq!(
        node.json(),
        json!({
            "insecure-registries": [],
            "labels": ["hypriot.arch=armv7l", "hypriot.hierarchy=node", "room=attic"],
            "log-driver": "json-file",
            "log-opts": {"max-file": "3", "max-size": "10m"},
            "registry-mirrors": ["http://pi:5000"],
        })
    );
    assert_eq!(node.config.apply(&wanted("node")).unwrap(), Applied::Nothing);
    assert!(node.config.empty().unwrap());
    assert_eq!(node.json()["labels"], json!([]));
    node.config.restore().unwrap();
    assert_eq!(node.text(), None);
    assert!(!node.config.empty().unwrap());
    node.config.restore().unwrap();
}

#[test]
fn what_the_user_says_stays_and_wins() {
    let original =
        "{ \"labels\" : [\"room=cellar\",\"own=1\"],\r\n\"log-driver\":\"journald\", \"debug\": true }";
    let node = Node::new(Some(original));
    node.config.apply(&wanted("node")).unwrap();
    let json = node.json();
    assert_eq!(
        json["labels"],
        json!([
            "room=cellar",
            "own=1",
            "hypriot.arch=armv7l",
            "hypriot.hierarchy=node"
        ])
    );
    assert_eq!(
        (&json["log-driver"], &json["debug"]),
        (&json!("journald"), &json!(true))
    );
    assert!(json.get("log-opts").is_none());
    node.config.restore().unwrap();
    assert_eq!(node.text().as_deref(), Some(original));
}

#[test]
fn a_new_role_needs_no_restart_and_new_log_limits_need_one() {
    let node = Node::new(None);
    node.config.apply(&wanted("node")).unwrap();
    assert!(node.config.take_restart().unwrap());
    assert!(!node.config.take_restart().unwrap(), "once for each change");
    node.config.apply(&wanted("master")).unwrap();
    assert!(node.text().unwrap().contains("hypriot.hierarchy=master"));
    assert!(!node.config.take_restart().unwrap());
    let without = BTreeSet::from([Key::Log, Key::Labels]);
    node.config
        .apply(&Wanted {
            without,
            ..wanted("master")
        })
        .unwrap();
    assert!(node.config.take_restart().unwrap());
    assert!(!node.text().unwrap().contains("labels"));
}

#[test]
fn what_the_user_changes_meanwhile_is_the_original_from_then_on() {
    let node = Node::new(Some("{}"));
    node.config.apply(&wanted("node")).unwrap();
    let mut json = node.json();
    json["debug"] = json!(true);
    json["labels"].as_array_mut().unwrap().push(json!("own=1"));
    std::fs::write(node.file(), json.to_string()).unwrap();
    node.config.apply(&wanted("master")).unwrap();
    let json = node.json();
    assert_eq!(json["labels"][0], "own=1");
    assert_eq!(json["debug"], true);
    assert!(
        json["labels"]
            .as_array()
            .unwrap()
            .contains(&json!("hypriot.hierarchy=master"))
    );
    node.config.restore().unwrap();
    assert_eq!(node.json(), json!({"debug": true, "labels": ["own=1"]}));
}

#[test]
fn a_power_cut_between_the_two_files_loses_nothing() {
    let original = "{\"debug\":true}";
    let node = Node::new(Some(original));
    node.config.apply(&wanted("node")).unwrap();
    let first = node.text().unwrap();
    node.config.apply(&wanted("master")).unwrap();
    std::fs::write(node.file(), first).unwrap();
    node.config.apply(&wanted("master")).unwrap();
    node.config.restore().unwrap();
    assert_eq!(node.text().as_deref(), Some(original));
}

#[test]
fn a_file_that_docker_would_not_read_is_left_alone_and_said() {
    for (damaged, reason) in [
        ("{", "is left alone: it is no JSON that Docker would read (EOF"),
        ("[]", "(it is no object): mend it or remove it"),
        ("{\"labels\":\"a=b\"}", "(labels is no list of texts)"),
    ] {
        let node = Node::new(Some(damaged));
        let error = format!("{:#}", node.config.apply(&wanted("node")).unwrap_err());
        assert!(error.contains(reason), "{error}");
        assert_eq!(node.text().as_deref(), Some(damaged));
        node.config.restore().unwrap();
        assert_eq!(node.text().as_deref(), Some(damaged));
    }
}

#[test]
fn mode_and_links_are_kept() {
    use std::os::unix::fs::PermissionsExt;
    let node = Node::new(Some(""));
    let real = node.folder.path().join("real.json");
    std::fs::rename(node.file(), &real).unwrap();
    std::fs::set_permissions(&real, std::fs::Permissions::from_mode(0o600)).unwrap();
    std::os::unix::fs::symlink(&real, node.file()).unwrap();
    node.config.apply(&wanted("node")).unwrap();
    node.config.restore().unwrap();
    assert!(node.file().is_symlink());
    assert_eq!(std::fs::read(&real).unwrap(), b"");
    assert_eq!(real.metadata().unwrap().permissions().mode() & 0o777, 0o600);
}

fn users_file() -> impl Strategy<Value = Option<String>> {
    let labels = proptest::option::of(proptest::collection::vec("[a-c]=[a-c]", 0..3));
    let driver = proptest::option::of("journald|json-file");
    let file = (labels, driver, "[ \n]{0,3}").prop_map(|(labels, driver, space)| {
        let mut keys = BTreeMap::new();
        keys.extend(labels.map(|labels| ("labels", json!(labels))));
        keys.extend(driver.map(|driver| ("log-driver", json!(driver))));
        format!("{space}{}{space}", json!(keys))
    });
    proptest::option::of(file)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn whatever_was_there_comes_back_byte_for_byte(
        original in users_file(),
        roles in proptest::collection::vec("node|master", 0..4),
        emptied in proptest::bool::ANY,
    ) {
        let node = Node::new(original.as_deref());
        for role in roles {
            node.config.apply(&wanted(&role)).unwrap();
            prop_assert_eq!(node.config.apply(&wanted(&role)).unwrap(), Applied::Nothing);
        }
        if emptied {
            node.config.empty().unwrap();
        }
        node.config.restore().unwrap();
        prop_assert_eq!(node.text(), original);
    }
}
