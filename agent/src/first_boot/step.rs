//! The steps, and which of them a start has to do: pure.

use super::markers::Markers;

/// A part of the first boot that has a marker of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// The node's name.
    Hostname,
    /// An identity of its own.
    MachineId,
    /// The cluster secret in the state folder instead of on the boot partition.
    ClusterSecret,
    /// The account that the card's settings ask for.
    User,
    /// SSH host keys of its own: the kinds that are quick to make.
    SshHostKeys,
    /// The root file system as large as the card.
    RootSize,
    /// The SSH host key that takes long to make; only old clients need it.
    SshRsaKey,
}

/// When in the start of the system a step runs. A unit of systemd each, so that nothing waits for what it does not
/// need.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Stage {
    /// Before the network: milliseconds.
    Early,
    /// Before logins, SSH and Docker: seconds. Network and agent start meanwhile.
    Late,
    /// Whenever there is time: up to minutes on a Pi 1.
    Background,
}

/// What of the node decides whether a step that is marked runs all the same.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Observed {
    /// The node is not called what its settings say.
    pub other_name: bool,
    /// The settings ask for an account.
    pub user_wanted: bool,
    /// A cluster secret is on the boot partition.
    pub new_secret: bool,
}

impl Step {
    /// All, in the order in which they are done.
    pub const ALL: [Self; 7] = [
        Self::Hostname,
        Self::MachineId,
        Self::ClusterSecret,
        // Before what needs space on a root file system that is full.
        Self::RootSize,
        Self::User,
        Self::SshHostKeys,
        Self::SshRsaKey,
    ];

    /// Its name in markers, messages and the status.
    pub fn name(self) -> &'static str {
        match self {
            Self::Hostname => "hostname",
            Self::MachineId => "machine-id",
            Self::ClusterSecret => "cluster-secret",
            Self::User => "user",
            Self::SshHostKeys => "ssh-host-keys",
            Self::RootSize => "root-size",
            Self::SshRsaKey => "ssh-rsa-key",
        }
    }

    /// When it runs.
    pub fn stage(self) -> Stage {
        match self {
            Self::Hostname | Self::MachineId | Self::ClusterSecret => Stage::Early,
            Self::User | Self::SshHostKeys | Self::RootSize => Stage::Late,
            Self::SshRsaKey => Stage::Background,
        }
    }
}

/// The steps to do now, in order. `None` as stage means all of them.
pub fn plan(observed: Observed, markers: &Markers, stage: Option<Stage>) -> Vec<Step> {
    let Observed {
        other_name,
        user_wanted,
        new_secret,
    } = observed;
    Step::ALL
        .into_iter()
        .filter(|step| stage.is_none_or(|stage| stage == step.stage()))
        .filter(|&step| match (step, markers.get(step)) {
            (_, None) => true,
            // A name changed on the boot partition later is taken at the next start.
            (Step::Hostname, Some(_)) => other_name,
            // A newer one replaces the old one.
            (Step::ClusterSecret, Some(_)) => new_secret,
            // An account may be added to the boot partition later; one that was made is the user's own business.
            (Step::User, Some(marker)) => user_wanted && !marker.applied,
            (Step::MachineId | Step::SshHostKeys | Step::RootSize | Step::SshRsaKey, Some(_)) => false,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::super::markers::Marker;
    use super::*;

    fn all_done(applied: bool) -> Markers {
        let mut markers = Markers::default();
        for step in Step::ALL {
            markers.insert(step, Marker::new(1, applied, "done"));
        }
        markers
    }

    #[test]
    fn a_new_card_does_everything_and_each_stage_its_share() {
        let none = Markers::default();
        assert_eq!(plan(Observed::default(), &none, None), Step::ALL);
        let by_stage: Vec<Step> = [Stage::Early, Stage::Late, Stage::Background]
            .into_iter()
            .flat_map(|stage| plan(Observed::default(), &none, Some(stage)))
            .collect();
        assert_eq!(by_stage, Step::ALL);
    }

    #[test]
    fn what_is_marked_is_not_done_again_but_for_what_was_changed_on_the_card() {
        let observed = |other_name, user_wanted| Observed {
            other_name,
            user_wanted,
            new_secret: false,
        };
        let new_secret = Observed {
            new_secret: true,
            ..Observed::default()
        };
        for (observed, applied, expected) in [
            (observed(false, false), true, &[][..]),
            (observed(false, true), true, &[]),
            (observed(true, true), true, &[Step::Hostname]),
            (observed(false, true), false, &[Step::User]),
            (observed(false, false), false, &[]),
            (new_secret, true, &[Step::ClusterSecret]),
            (new_secret, false, &[Step::ClusterSecret]),
        ] {
            assert_eq!(plan(observed, &all_done(applied), None), expected);
        }
    }
}
