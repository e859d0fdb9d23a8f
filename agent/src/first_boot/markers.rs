//! What is done: a marker file per step, written when everything the step did is on the card.
//!
//! A marker that cannot be read counts as missing: every step may run again.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::step::Step;

/// That a step is done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Marker {
    version: u32,
    /// Seconds since 1970, by a clock that may have been wrong then.
    pub done_at: u64,
    /// Whether there was anything to do on this system.
    pub applied: bool,
    /// What was done, or why there was nothing to do, for people.
    pub outcome: String,
}

/// The markers of all steps that are done.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Markers(Vec<(Step, Marker)>);

impl Marker {
    /// A marker as of now.
    pub fn new(done_at: u64, applied: bool, outcome: &str) -> Self {
        Self {
            version: 1,
            done_at,
            applied,
            outcome: outcome.to_owned(),
        }
    }

    /// The content of the marker file.
    pub fn render(&self) -> String {
        let Self {
            version,
            done_at,
            applied,
            outcome,
        } = self;
        let outcome = toml::Value::from(outcome.as_str());
        format!("version = {version}\ndone-at = {done_at}\napplied = {applied}\noutcome = {outcome}\n")
    }

    fn parse(text: &str) -> Option<Self> {
        toml::from_str(text)
            .ok()
            .filter(|marker: &Self| marker.version == 1)
    }
}

impl Markers {
    /// Reads the folder of markers; without it nothing is done.
    pub fn read(folder: &Path) -> Self {
        let marker = |step: Step| {
            let text = std::fs::read_to_string(folder.join(step.name())).ok()?;
            Some((step, Marker::parse(&text)?))
        };
        Self(Step::ALL.into_iter().filter_map(marker).collect())
    }

    /// The marker of a step, if it is done.
    pub fn get(&self, step: Step) -> Option<&Marker> {
        self.0
            .iter()
            .find(|(of, _)| *of == step)
            .map(|(_, marker)| marker)
    }

    /// Adds or replaces a marker.
    pub fn insert(&mut self, step: Step, marker: Marker) {
        self.0.retain(|(of, _)| *of != step);
        self.0.push((step, marker));
    }

    /// All, in the order of [`Step::ALL`].
    pub fn iter(&self) -> impl Iterator<Item = (Step, &Marker)> {
        self.0.iter().map(|(step, marker)| (*step, marker))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_marker_is_read_back_and_a_torn_one_is_none() {
        let folder = tempfile::tempdir().unwrap();
        let marker = Marker::new(1_700_000_000, true, "a \"b\"\nc");
        let text = marker.render();
        std::fs::write(folder.path().join("hostname"), &text).unwrap();
        std::fs::write(folder.path().join("user"), "").unwrap();
        std::fs::write(folder.path().join("machine-id"), &text[..text.len() / 2]).unwrap();
        let markers = Markers::read(folder.path());
        assert_eq!(markers.get(Step::Hostname), Some(&marker));
        assert_eq!(markers.iter().count(), 1);
        assert_eq!(Markers::read(Path::new("/nonexistent")), Markers::default());
    }
}
