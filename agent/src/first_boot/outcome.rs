//! What a step came to.

/// How a step that did not fail ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It did its work; what the node has now.
    Applied(String),
    /// This system has no use for it; why.
    NothingToDo(String),
}

impl Outcome {
    /// The text for people.
    pub fn text(&self) -> &str {
        match self {
            Self::Applied(text) | Self::NothingToDo(text) => text,
        }
    }

    /// Whether there was something to do.
    pub fn is_applied(&self) -> bool {
        matches!(self, Self::Applied(_))
    }
}
