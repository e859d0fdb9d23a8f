//! How long a lab waits for a manager that is lost before it makes its swarm anew.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// A wait in whole seconds, from 5 s to a day. Shorter ones would take a restart of Docker for a loss.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "i64", into = "i64")]
pub struct RebuildAfter(u32);

/// Why a number is no such wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0} is not a wait in seconds: a number from 5 to 86400")]
pub struct RebuildAfterError(i64);

impl RebuildAfter {
    /// The wait.
    pub fn get(self) -> Duration {
        Duration::from_secs(self.0.into())
    }
}

impl Default for RebuildAfter {
    /// Two minutes: longer than a Pi takes to restart.
    fn default() -> Self {
        Self(120)
    }
}

impl TryFrom<i64> for RebuildAfter {
    type Error = RebuildAfterError;

    fn try_from(seconds: i64) -> Result<Self, RebuildAfterError> {
        match u32::try_from(seconds) {
            Ok(seconds @ 5..=86_400) => Ok(Self(seconds)),
            _ => Err(RebuildAfterError(seconds)),
        }
    }
}

impl From<RebuildAfter> for i64 {
    fn from(wait: RebuildAfter) -> Self {
        Self::from(wait.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_have_bounds() {
        for (seconds, expected) in [
            (4, None),
            (5, Some(5)),
            (86_400, Some(86_400)),
            (86_401, None),
            (-1, None),
        ] {
            let wait = RebuildAfter::try_from(seconds).map(|wait| wait.get().as_secs());
            assert_eq!(wait.ok(), expected, "{seconds}");
        }
        let error = RebuildAfter::try_from(0).unwrap_err().to_string();
        assert_eq!(error, "0 is not a wait in seconds: a number from 5 to 86400");
    }
}
