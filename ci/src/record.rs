//! The file `lab.json`: what a running lab consists of, so that later commands find it.

use std::io::Write;
use std::path::Path;

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};

use crate::machine::Machine;
use crate::process::Process;
use crate::switch::Mac;

const VERSION: u32 = 1;

/// A lab.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Record {
    version: u32,
    /// What all its nodes are.
    pub machine: Machine,
    /// The switch.
    pub switch: Option<Process>,
    /// The uplink's router.
    pub router: Option<Process>,
    /// By number, from 1.
    pub nodes: Vec<Node>,
}

/// A virtual Pi.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Node {
    /// Its name, also its host name.
    pub name: String,
    /// Its hardware address.
    pub mac: Mac,
    /// Its machine, when it was last powered on.
    pub process: Option<Process>,
    /// When that was, in seconds since 1970.
    pub powered_on: Option<u64>,
    /// Where in its console's log the present boot begins.
    pub console_from: u64,
}

impl Record {
    /// A lab with nothing started.
    pub fn new(machine: Machine, nodes: Vec<Node>) -> Self {
        Self {
            version: VERSION,
            machine,
            switch: None,
            router: None,
            nodes,
        }
    }

    /// Reads a record; `None` when there is none.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn load(path: &Path) -> Result<Option<Self>> {
        let doing = || format!("reading {}", path.display());
        let text = match std::fs::read_to_string(path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            other => other.with_context(doing)?,
        };
        let record: Self = serde_json::from_str(&text).with_context(doing)?;
        if record.version != VERSION {
            bail!("{}: version {} is not known here", doing(), record.version);
        }
        Ok(Some(record))
    }

    /// Writes the record, whole or not at all.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn save(&self, path: &Path) -> Result<()> {
        let doing = || format!("writing {}", path.display());
        let folder = path.parent().with_context(doing)?;
        let mut file = tempfile::NamedTempFile::new_in(folder).with_context(doing)?;
        file.write_all(serde_json::to_string_pretty(self)?.as_bytes())
            .with_context(doing)?;
        file.persist(path).with_context(doing)?;
        Ok(())
    }

    /// All processes that still run.
    pub fn alive(&self) -> Vec<Process> {
        let nodes = self.nodes.iter().map(|node| node.process);
        nodes
            .chain([self.router, self.switch])
            .flatten()
            .filter(Process::is_alive)
            .collect()
    }
}

impl Node {
    /// A node that was never on. Its hardware address is made of the lab's and its own number, locally administered
    /// (IEEE 802 clause 8.4).
    pub fn new(name: String, lab: u32, number: u8) -> Self {
        let [_, a, b, c] = lab.to_be_bytes();
        Self {
            name,
            mac: Mac([0x02, a, b, c, 0, number]),
            process: None,
            powered_on: None,
            console_from: 0,
        }
    }

    /// Whether its power is on.
    pub fn is_on(&self) -> bool {
        self.process.is_some_and(|process| process.is_alive())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_found_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lab.json");
        assert_eq!(Record::load(&path).unwrap(), None);
        let record = Record::new(
            Machine::Virt,
            vec![Node::new("cl-node-1".to_owned(), 0xaabb_ccdd, 1)],
        );
        record.save(&path).unwrap();
        assert_eq!(Record::load(&path).unwrap().as_ref(), Some(&record));
        assert_eq!(record.nodes[0].mac.to_string(), "02:bb:cc:dd:00:01");
        assert!(record.alive().is_empty() && !record.nodes[0].is_on());
        std::fs::write(&path, "{}").unwrap();
        let message = Record::load(&path).unwrap_err().to_string();
        assert_eq!(message, format!("reading {}", path.display()));
    }
}
