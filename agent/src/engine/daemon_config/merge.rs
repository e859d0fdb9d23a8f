//! Text in, text out: what the file is to say.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

/// A key that the cluster may set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Key {
    /// `labels`
    Labels,
    /// `registry-mirrors`
    RegistryMirrors,
    /// `insecure-registries`
    InsecureRegistries,
    /// `log-driver` and `log-opts`
    Log,
}

/// What the cluster needs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wanted {
    /// Labels of the engine.
    pub labels: BTreeMap<String, String>,
    /// Mirrors of Docker's own registry.
    pub registry_mirrors: Vec<String>,
    /// Registries without TLS.
    pub insecure_registries: Vec<String>,
    /// What the file must not say, because the engine's command line says it.
    pub without: BTreeSet<Key>,
}

/// The file is not what Docker reads.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("it is no JSON that Docker would read ({0}): mend it or remove it")]
pub struct Unreadable(String);

/// Containers' logs in the engine's own format: a card of 8 GB holds those of a hundred containers.
const LOG_MAX_SIZE: &str = "10m";
const LOG_MAX_FILE: &str = "3";

const LISTS: [&str; 3] = ["labels", "registry-mirrors", "insecure-registries"];
const LOG: [&str; 2] = ["log-driver", "log-opts"];

/// The user's file with what is wanted. What the user says stays: a label of the same key, a log driver, an entry.
pub(super) fn merge(original: &str, wanted: &Wanted) -> Result<String, Unreadable> {
    let mut config = parse(original)?;
    let Wanted {
        labels,
        registry_mirrors,
        insecure_registries,
        without,
    } = wanted;
    let may = |key| !without.contains(&key);
    if may(Key::Labels) {
        let mine = list(&config, "labels")?;
        let key_of = |label: &str| label.split('=').next().unwrap_or_default().to_owned();
        let taken: BTreeSet<String> = mine.iter().map(|label| key_of(label)).collect();
        let new = labels.iter().filter(|(key, _)| !taken.contains(*key));
        let new: Vec<_> = new.map(|(key, value)| format!("{key}={value}")).collect();
        add(&mut config, "labels", mine, new);
    }
    if may(Key::RegistryMirrors) {
        let mine = list(&config, "registry-mirrors")?;
        add(&mut config, "registry-mirrors", mine, registry_mirrors.clone());
    }
    if may(Key::InsecureRegistries) {
        let mine = list(&config, "insecure-registries")?;
        add(
            &mut config,
            "insecure-registries",
            mine,
            insecure_registries.clone(),
        );
    }
    if may(Key::Log) && LOG.iter().all(|key| !config.contains_key(*key)) {
        let options = json!({ "max-size": LOG_MAX_SIZE, "max-file": LOG_MAX_FILE });
        config.insert("log-driver".to_owned(), json!("json-file"));
        config.insert("log-opts".to_owned(), options);
    }
    Ok(render(&config))
}

/// The user's file after a change of the user's: all of `current` but what `written` had added to `original`.
pub(super) fn without_ours(current: &str, original: &str, written: &str) -> Result<String, Unreadable> {
    let mut current = parse(current)?;
    let (original, written) = (parse(original)?, parse(written)?);
    for key in LISTS {
        let (before, ours) = (list(&original, key)?, list(&written, key)?);
        let mine: Vec<_> = list(&current, key)?
            .into_iter()
            .filter(|entry| before.contains(entry) || !ours.contains(entry))
            .collect();
        if mine.is_empty() && !original.contains_key(key) {
            current.remove(key);
        } else if current.contains_key(key) {
            current.insert(key.to_owned(), json!(mine));
        }
    }
    for key in LOG {
        if !original.contains_key(key) && current.get(key) == written.get(key) {
            current.remove(key);
        }
    }
    Ok(render(&current))
}

/// The user's file with empty lists where it has none.
pub(super) fn emptied(original: &str) -> Result<String, Unreadable> {
    let mut config = parse(original)?;
    for key in LISTS {
        config.entry(key).or_insert_with(|| json!([]));
    }
    Ok(render(&config))
}

/// Whether both say the same.
pub(super) fn is_same(one: &str, other: &str) -> bool {
    parse(one).is_ok_and(|one| parse(other) == Ok(one))
}

/// Whether an engine that read `old` must be started again to follow `new`: a reload takes the lists only.
pub(super) fn needs_restart(old: &str, new: &str) -> bool {
    let log = |text: &str| {
        parse(text)
            .ok()
            .map(|config| LOG.map(|key| config.get(key).cloned()))
    };
    log(old) != log(new)
}

/// The labels in a file.
pub(super) fn labels(text: &str) -> Result<Vec<String>, Unreadable> {
    list(&parse(text)?, "labels")
}

/// An empty file says nothing; Docker takes it so.
fn parse(text: &str) -> Result<Map<String, Value>, Unreadable> {
    let text = text.trim_start_matches('\u{feff}').trim();
    if text.is_empty() {
        return Ok(Map::new());
    }
    match serde_json::from_str(text) {
        Ok(Value::Object(config)) => Ok(config),
        Ok(_) => Err(Unreadable("it is no object".to_owned())),
        Err(error) => Err(Unreadable(error.to_string())),
    }
}

fn list(config: &Map<String, Value>, key: &str) -> Result<Vec<String>, Unreadable> {
    let wrong = || Unreadable(format!("{key} is no list of texts"));
    match config.get(key) {
        None | Some(Value::Null) => Ok(Vec::new()),
        Some(Value::Array(entries)) => {
            let text = |entry: &Value| entry.as_str().map(str::to_owned);
            entries.iter().map(text).collect::<Option<_>>().ok_or_else(wrong)
        }
        Some(_) => Err(wrong()),
    }
}

/// The list is there even when it is empty: an engine that is told by a reload keeps the entries of a key that is gone.
fn add(config: &mut Map<String, Value>, key: &str, mut entries: Vec<String>, new: Vec<String>) {
    for entry in new {
        if !entries.contains(&entry) {
            entries.push(entry);
        }
    }
    config.insert(key.to_owned(), json!(entries));
}

fn render(config: &Map<String, Value>) -> String {
    format!("{:#}\n", Value::Object(config.clone()))
}
