//! Which card got which name: kept in the user's state folder, so that a cluster's cards can be made over days.

use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use boot_config::{FormatVersion, Hostname};
use serde::{Deserialize, Serialize};

use crate::invoker::Invoker;

/// The cards of one cluster, for this run alone.
#[derive(Debug)]
pub(crate) struct Ledger {
    path: PathBuf,
    invoker: Option<Invoker>,
    cards: Vec<Entry>,
    /// Released with the ledger.
    _lock: File,
}

/// One card that was made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Entry {
    /// Its name.
    pub(crate) node: Hostname,
    /// What tells it from all other cards, where there is something.
    pub(crate) card: Option<String>,
}

#[derive(Debug, Default, Serialize, Deserialize)]
struct Content {
    version: FormatVersion,
    cards: Vec<Entry>,
}

impl Ledger {
    /// Opens the ledger of a cluster, made if there is none.
    ///
    /// # Errors
    /// When another `flash` has it open, or it is damaged.
    pub(crate) fn open(cluster: &Hostname) -> Result<Self> {
        let invoker = Invoker::behind_sudo();
        let home = match &invoker {
            Some(invoker) => Some(invoker.home.clone()),
            None => std::env::var_os("HOME").map(PathBuf::from),
        };
        // A relative path is to be ignored (XDG Base Directory Specification).
        let state = std::env::var_os("XDG_STATE_HOME").map(PathBuf::from);
        let state = state
            .filter(|path| path.is_absolute())
            .or_else(|| Some(home?.join(".local/state")));
        let state = state.context("there is no home folder to keep the names of the cards in: set HOME")?;
        Self::open_in(&state.join("cluster-lab"), invoker, cluster)
    }

    fn open_in(folder: &Path, invoker: Option<Invoker>, cluster: &Hostname) -> Result<Self> {
        let path = folder.join(format!("{cluster}.cards.json"));
        let became = invoker.as_ref().map(Invoker::become_it).transpose()?;
        let made = DirBuilder::new().recursive(true).mode(0o700).create(folder);
        made.with_context(|| format!("making {}", folder.display()))?;
        let lock_path = path.with_extension("lock");
        let lock = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .mode(0o600)
            .open(&lock_path)
            .with_context(|| format!("opening {}", lock_path.display()))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                bail!(
                    "another flash is making cards of cluster {cluster}: let it finish, or give it these cards too"
                )
            }
            Err(TryLockError::Error(error)) => return Err(error).context("locking the names of the cards"),
        }
        let cards = match std::fs::read(&path) {
            Ok(bytes) => {
                let content: Content = serde_json::from_slice(&bytes).with_context(|| {
                    format!(
                        "{} is damaged: move it away, and say --hostname for the next cards",
                        path.display()
                    )
                })?;
                content.cards
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Vec::new(),
            Err(error) => return Err(error).with_context(|| format!("{}", path.display())),
        };
        drop(became);
        Ok(Self {
            path,
            invoker,
            cards,
            _lock: lock,
        })
    }

    /// All cards that were made.
    pub(crate) fn cards(&self) -> &[Entry] {
        &self.cards
    }

    /// Keeps that a card is this node now. It is no other node any more, and the node has no other card.
    ///
    /// # Errors
    /// When it cannot be written.
    pub(crate) fn record(&mut self, node: &Hostname, card: Option<String>) -> Result<()> {
        self.cards
            .retain(|entry| entry.node != *node && (card.is_none() || entry.card != card));
        self.cards.push(Entry {
            node: node.clone(),
            card,
        });
        let content = Content {
            version: FormatVersion,
            cards: self.cards.clone(),
        };
        let _became = self.invoker.as_ref().map(Invoker::become_it).transpose()?;
        let written = replace(&self.path, &serde_json::to_vec_pretty(&content)?);
        written.with_context(|| format!("keeping the names of the cards in {}", self.path.display()))
    }
}

/// After a power cut there is the old file or the new one.
fn replace(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    let mut new = tempfile::NamedTempFile::new_in(folder)?;
    new.write_all(bytes)?;
    new.as_file().sync_all()?;
    new.persist(path)?;
    File::open(folder)?.sync_all()
}

/// Which of the nodes a card is to be, if any: the one that it was before, else the first that has no card. `on_card` is
/// the name that a card carries that nothing else tells from others; `taken` are nodes of other cards of this moment.
pub(crate) fn choose<'a>(
    nodes: &'a [Hostname],
    cards: &[Entry],
    card: Option<&str>,
    on_card: Option<&Hostname>,
    taken: &[Hostname],
) -> Option<&'a Hostname> {
    let free = |node: &&Hostname| !taken.contains(node);
    let by_card = cards
        .iter()
        .find(|entry| card.is_some() && entry.card.as_deref() == card);
    let by_name = cards
        .iter()
        .find(|entry| entry.card.is_none() && on_card == Some(&entry.node));
    let before = by_card.or(by_name.filter(|_| card.is_none()));
    if let Some(node) = before.and_then(|entry| nodes.iter().find(|node| **node == entry.node)) {
        return Some(node).filter(free);
    }
    let missing = |node: &&Hostname| !cards.iter().any(|entry| entry.node == **node);
    nodes.iter().filter(free).find(missing)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> Hostname {
        text.parse().unwrap()
    }

    fn entry(node: &str, card: Option<&str>) -> Entry {
        Entry {
            node: name(node),
            card: card.map(str::to_owned),
        }
    }

    #[test]
    fn the_next_card_is_the_next_missing_node_and_a_known_one_stays_what_it_was() {
        let nodes = ["n1", "n2", "n3"].map(name);
        let cards = [entry("n1", Some("mmc:a")), entry("n3", None)];
        let (n1, n3) = (name("n1"), name("n3"));
        for (card, on_card, taken, expected) in [
            (Some("mmc:b"), None, vec![], Some("n2")),
            (Some("mmc:a"), None, vec![], Some("n1")),
            (None, Some(&n3), vec![], Some("n3")),
            // A card that is told from others by itself, and carries a copy of another one.
            (Some("mmc:b"), Some(&n3), vec![], Some("n2")),
            (None, Some(&n1), vec![], Some("n2")),
            (None, None, vec![name("n2")], None),
            (Some("mmc:a"), None, vec![name("n1")], None),
        ] {
            let chosen = choose(&nodes, &cards, card, on_card, &taken);
            assert_eq!(chosen.map(Hostname::as_str), expected, "{card:?} {on_card:?}");
        }
    }

    #[test]
    fn it_survives_and_belongs_to_one_run_at_a_time() {
        let folder = tempfile::tempdir().unwrap();
        let cluster = name("red");
        let open = || Ledger::open_in(folder.path(), None, &cluster);
        let mut ledger = open().unwrap();
        ledger.record(&name("n1"), Some("mmc:a".to_owned())).unwrap();
        ledger.record(&name("n2"), None).unwrap();
        // The card of n1 becomes n3, and n2 gets another card.
        ledger.record(&name("n3"), Some("mmc:a".to_owned())).unwrap();
        ledger.record(&name("n2"), Some("mmc:b".to_owned())).unwrap();
        assert!(
            open()
                .unwrap_err()
                .to_string()
                .starts_with("another flash is making cards of cluster red")
        );
        drop(ledger);
        let cards = open().unwrap().cards().to_vec();
        assert_eq!(cards, [entry("n3", Some("mmc:a")), entry("n2", Some("mmc:b"))]);
        std::fs::write(folder.path().join("red.cards.json"), "{").unwrap();
        assert!(format!("{:#}", open().unwrap_err()).contains("red.cards.json is damaged: move it away"));
    }
}
