//! The next step with the container: pure.

use std::time::Duration;

use crate::engine::docker::containers::Container;

/// The container's name, which users of the original Cluster Lab know.
pub const NAME: &str = "cluster_lab_consul";
/// The label with [`super::config::Config::fingerprint`].
pub const FINGERPRINT_LABEL: &str = "cluster-lab.fingerprint";
/// The server on the node that leads the swarm waits so long for a leader among Consul's servers, with all of the swarm's
/// managers there, before it goes on alone and takes the others in anew. A majority that exists elects within 10 s.
pub const RECOVER_AFTER: Duration = Duration::from_secs(60);
/// Consul ended so often right after its start: it does not only wait for an address.
const RESTARTS: i64 = 2;

/// What is so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Observed<'a> {
    /// The container, if there is one.
    pub container: Option<&'a Container>,
    /// The identifier of the image it should run.
    pub image: &'a str,
    /// The fingerprint it should have.
    pub fingerprint: &'a str,
    /// Whether the data is that of another membership in a swarm, or of none.
    pub foreign_data: bool,
    /// What it said last, once it has ended again and again.
    pub last_words: Option<&'a str>,
    /// For how long there has been no leader though all who could elect one are there, on the node that leads the swarm.
    pub leaderless: Option<Duration>,
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// It runs as it should.
    Keep,
    /// Make it.
    Create,
    /// Leave the others, then make it anew; with the data gone where it is foreign.
    Replace {
        /// Whether the data goes too.
        wipe: bool,
    },
    /// Start it: a user has stopped it.
    Start,
    /// Its data is torn: put it aside and begin with none.
    SetAside,
    /// Let it decide alone, and take the others in anew: too few of the former servers are left.
    Recover,
    /// Docker starts it again; its last line says why it ended.
    Wait(String),
}

/// The next step.
pub fn next(observed: &Observed) -> Step {
    let Observed {
        container,
        image,
        fingerprint,
        foreign_data,
        last_words,
        leaderless,
    } = observed;
    let Some(container) = container else {
        return if *foreign_data {
            Step::Replace { wipe: true }
        } else {
            Step::Create
        };
    };
    let label = container.labels.get(FINGERPRINT_LABEL).map(String::as_str);
    if *foreign_data || label != Some(*fingerprint) || container.image != *image {
        return Step::Replace { wipe: *foreign_data };
    }
    if container.restarting || container.restarts >= RESTARTS && !container.running {
        let words = last_words.unwrap_or_default();
        return if is_torn(words) {
            Step::SetAside
        } else {
            Step::Wait(reason(words))
        };
    }
    if !container.running {
        return Step::Start;
    }
    match leaderless {
        Some(time) if *time >= RECOVER_AFTER => Step::Recover,
        _ => Step::Keep,
    }
}

/// Whether Consul ended because of what it found in its data, as after a power cut.
fn is_torn(words: &str) -> bool {
    let signs = [
        "failed to start raft",
        "invalid database",
        "checksum error",
        "version mismatch",
        "failed to setup node id",
        "unexpected fault address",
        "file size too small",
        "freelist",
        "failed to load any existing snapshots",
        "failed to get last log",
    ];
    let words = words.to_lowercase();
    signs.iter().any(|sign| words.contains(sign))
}

/// The line that says why it ended, without its time.
fn reason(words: &str) -> String {
    let lines = words.lines().rev().map(str::trim).filter(|line| !line.is_empty());
    let line = lines
        .clone()
        .find(|line| line.contains("rror"))
        .or_else(|| lines.clone().next());
    let line = line.unwrap_or("nothing");
    line.chars().take(200).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn container() -> Container {
        Container {
            image: "sha256:1".to_owned(),
            labels: [(FINGERPRINT_LABEL.to_owned(), "f".to_owned())].into(),
            running: true,
            restarting: false,
            restarts: 0,
        }
    }

    fn observed(container: Option<&Container>) -> Observed<'_> {
        Observed {
            container,
            image: "sha256:1",
            fingerprint: "f",
            foreign_data: false,
            last_words: None,
            leaderless: None,
        }
    }

    #[test]
    fn it_is_made_kept_started_and_replaced() {
        let running = container();
        let stopped = Container {
            running: false,
            ..container()
        };
        let other = Container {
            image: "sha256:2".to_owned(),
            ..container()
        };
        for (container, expected) in [
            (None, Step::Create),
            (Some(&running), Step::Keep),
            (Some(&stopped), Step::Start),
            (Some(&other), Step::Replace { wipe: false }),
        ] {
            assert_eq!(next(&observed(container)), expected);
        }
        let foreign = Observed {
            foreign_data: true,
            ..observed(Some(&running))
        };
        assert_eq!(next(&foreign), Step::Replace { wipe: true });
        let changed = Observed {
            fingerprint: "g",
            ..observed(Some(&running))
        };
        assert_eq!(next(&changed), Step::Replace { wipe: false });
    }

    #[test]
    fn torn_data_is_put_aside_and_other_troubles_are_told() {
        let crashing = Container {
            running: false,
            restarting: true,
            restarts: 3,
            ..container()
        };
        let said = |words| Observed {
            last_words: Some(words),
            ..observed(Some(&crashing))
        };
        let torn = "==> Error starting agent: Failed to start Consul server: Failed to start Raft: invalid database\n";
        assert_eq!(next(&said(torn)), Step::SetAside);
        let taken =
            "x\n==> Error starting agent: listen tcp 127.0.0.1:8500: bind: address already in use\n\n";
        assert_eq!(
            next(&said(taken)),
            Step::Wait(
                "==> Error starting agent: listen tcp 127.0.0.1:8500: bind: address already in use"
                    .to_owned()
            )
        );
    }

    #[test]
    fn without_a_majority_of_its_servers_it_begins_with_what_this_one_has() {
        let running = container();
        for (seconds, expected) in [(59, Step::Keep), (60, Step::Recover)] {
            let alone = Observed {
                leaderless: Some(Duration::from_secs(seconds)),
                ..observed(Some(&running))
            };
            assert_eq!(next(&alone), expected);
        }
    }
}
