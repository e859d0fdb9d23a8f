//! What people are told, and what scripts are.

use serde::Serialize;

/// Whom the program speaks to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Voice {
    /// Results on standard output, progress on standard error.
    #[default]
    People,
    /// Nothing but errors.
    Quiet,
    /// Events on standard output, one JSON object on each line.
    Json,
}

/// Something that happened. More kinds and more keys may come: readers leave out what they do not know.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub enum Event<'a> {
    /// Some of a phase is done.
    Progress {
        /// The card, where there are several.
        card: Option<&'a str>,
        /// `loading`, `writing`, `verifying` or `comparing`.
        phase: &'a str,
        /// In bytes.
        done: u64,
        /// In bytes, where it is known.
        total: Option<u64>,
        /// Mean rate of this phase.
        bytes_per_second: u64,
        /// At this rate.
        seconds_left: Option<u64>,
    },
    /// No card is there yet.
    Waiting {
        /// The node that the card will be.
        hostname: Option<&'a str>,
    },
    /// What would be written.
    Planned {
        /// The card.
        card: &'a str,
        /// What it is.
        description: &'a str,
        /// Its name.
        hostname: Option<&'a str>,
        /// Length of the image in bytes, where it is known before it is unpacked.
        bytes: Option<u64>,
        /// Files of the boot partition that are made or changed.
        files: Vec<&'a str>,
    },
    /// A card is whole.
    Ready {
        /// The card.
        card: &'a str,
        /// Its name.
        hostname: Option<&'a str>,
        /// What to write on it.
        label: Option<&'a str>,
        /// Length of the image in bytes.
        bytes: u64,
        /// How long it took.
        seconds: u64,
    },
    /// A card is not whole.
    Failed {
        /// The card.
        card: &'a str,
        /// Why.
        error: &'a str,
    },
    /// All or nothing went wrong: the last event.
    Error {
        /// Why.
        error: &'a str,
    },
}

impl Voice {
    /// Says it: `text` to people, `event` to scripts.
    pub fn say(self, event: &Event<'_>, text: impl FnOnce() -> String) {
        match self {
            Self::People => println!("{}", text()),
            Self::Quiet => {}
            Self::Json => Self::event(event),
        }
    }

    /// To scripts only; people have been told in another way.
    pub fn tell_scripts(self, event: &Event<'_>) {
        if self == Self::Json {
            Self::event(event);
        }
    }

    fn event(event: &Event<'_>) {
        // All keys are texts and numbers, which always can be said.
        if let Ok(line) = serde_json::to_string(event) {
            println!("{line}");
        }
    }
}
