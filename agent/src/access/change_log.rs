//! Who changed what and when: the last changes, kept over a restart.

use std::collections::VecDeque;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::vault::since_1970;
use crate::durable;

/// What is kept; some 40 KiB on the card.
const MOST: usize = 200;
/// Of a change's text, in characters.
const LENGTH: usize = 200;

/// A change, or the try of one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Change {
    /// Seconds since 1970, by this node's clock.
    pub at: u64,
    /// Who.
    pub who: String,
    /// What was asked for, such as `PUT /api/v1/services/web`.
    pub what: String,
    /// The HTTP status of the answer.
    pub result: u16,
}

/// The last changes through this node.
#[derive(Debug)]
pub struct ChangeLog {
    file: PathBuf,
    changes: VecDeque<Change>,
}

impl ChangeLog {
    pub(super) fn open(file: PathBuf) -> Self {
        let read = std::fs::read(&file).ok();
        let changes = read.and_then(|bytes| serde_json::from_slice(&bytes).ok());
        Self {
            file,
            changes: changes.unwrap_or_default(),
        }
    }

    /// Adds one. When it cannot be written, it is in the journal at least.
    pub fn add(&mut self, who: &str, what: &str, result: u16) {
        tracing::info!(who, what, result, "change");
        let cut = |text: &str| text.chars().take(LENGTH).collect();
        self.changes.push_back(Change {
            at: since_1970(),
            who: cut(who),
            what: cut(what),
            result,
        });
        while self.changes.len() > MOST {
            self.changes.pop_front();
        }
        let written = serde_json::to_vec(&self.changes)
            .map_err(std::io::Error::from)
            .and_then(|bytes| durable::write(&self.file, &bytes, 0o600, None));
        if let Err(error) = written {
            tracing::warn!("{}: {error}", self.file.display());
        }
    }

    /// All that are kept, the oldest first.
    pub fn changes(&self) -> Vec<Change> {
        self.changes.iter().cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_changes_outlive_the_agent() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("changes.json");
        let mut log = ChangeLog::open(file.clone());
        for number in 0..MOST + 5 {
            log.add("root", &format!("PUT {number} {}", "x".repeat(1000)), 200);
        }
        let changes = ChangeLog::open(file.clone()).changes();
        assert_eq!(changes, log.changes());
        assert_eq!(changes.len(), MOST);
        assert!(changes[0].what.starts_with("PUT 5 ") && changes[0].what.len() == LENGTH);
        std::fs::write(&file, "{").unwrap();
        assert!(ChangeLog::open(file).changes().is_empty());
    }
}
