//! Why Docker Engine does not answer, and what a user can do: pure, from what the service manager and the card say.

use std::path::{Path, PathBuf};

use super::service_manager::ServiceManager;

/// The oldest engine that the cluster works with; older ones know neither all of swarm mode's settings nor this API.
const OLDEST: (u32, u32) = (19, 3);
/// With less the engine cannot even write its state.
const SPACE_MIN: u64 = 64 << 20;

/// What there is to see of an engine that does not answer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// Whether its program is there.
    pub installed: bool,
    /// What the service manager says of it.
    pub unit: Vec<(String, String)>,
    /// Free bytes where its data is, when that is known.
    pub free: Option<u64>,
}

/// Looks; `programs`: where the engine may be, `data`: where its data is.
pub async fn look(service_manager: &ServiceManager, programs: &[PathBuf], data: &Path) -> Seen {
    Seen {
        installed: programs.iter().any(|program| program.exists()),
        unit: service_manager.show().await,
        free: free(data),
    }
}

/// Free bytes for the engine on the file system of a folder.
#[allow(clippy::useless_conversion, reason = "a Pi counts in 32 bits")]
pub fn free(data: &Path) -> Option<u64> {
    // The engine makes the folder when it starts.
    let place = data.ancestors().find(|place| place.exists())?;
    let stat = nix::sys::statvfs::statvfs(place).ok()?;
    Some(u64::from(stat.blocks_available()) * u64::from(stat.fragment_size()))
}

/// What is waited for. `error`: what asking the engine gave.
pub fn name(seen: &Seen, error: &str) -> String {
    let Seen {
        installed,
        unit,
        free,
    } = seen;
    let says = |key: &str, value: &str| unit.iter().any(|(k, v)| k == key && v == value);
    let loops = says("Result", "start-limit-hit") || says("SubState", "auto-restart");
    if says("LoadState", "masked") || says("UnitFileState", "masked") {
        "Docker, which is masked: systemctl unmask docker && systemctl start docker".to_owned()
    } else if !installed && !says("LoadState", "loaded") {
        "Docker, which is not installed: apt-get install docker.io".to_owned()
    } else if let Some(line) = free.and_then(no_space) {
        line
    } else if loops {
        "Docker, which starts and ends again and again: 'journalctl -u docker' tells why; then systemctl reset-failed \
         docker && systemctl start docker"
            .to_owned()
    } else if says("ActiveState", "failed") {
        "Docker, which failed: 'journalctl -u docker' tells why; then systemctl start docker".to_owned()
    } else if says("ActiveState", "activating") {
        "Docker to start".to_owned()
    } else if says("ActiveState", "inactive") {
        "Docker, which is not started: systemctl enable docker && systemctl start docker".to_owned()
    } else {
        format!("Docker to answer: {error}")
    }
}

/// A line when there is too little space.
pub fn no_space(free: u64) -> Option<String> {
    (free < SPACE_MIN).then(|| {
        format!(
            "space on the card: {} MB are free for Docker; 'docker system prune' frees what is not used",
            free >> 20
        )
    })
}

/// A line when the engine is older than the cluster works with. A version that is no number is believed.
pub fn too_old(version: &str) -> Option<String> {
    let mut numbers = version
        .split(['.', '-', '+', '~'])
        .map(|part| part.parse::<u32>().ok());
    let found = (numbers.next()??, numbers.next()??);
    (found < OLDEST)
        .then(|| format!("a newer Docker: {version} is older than 19.03; apt-get install docker.io"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_trouble_has_its_line_and_remedy() {
        let unit = |text: &str| {
            let pairs = text.split_whitespace().filter_map(|pair| pair.split_once('='));
            pairs
                .map(|(key, value)| (key.to_owned(), value.to_owned()))
                .collect::<Vec<_>>()
        };
        for (installed, said, free, expected) in [
            (
                false,
                "",
                None,
                "Docker, which is not installed: apt-get install docker.io",
            ),
            (
                false,
                "LoadState=not-found ActiveState=inactive",
                None,
                "Docker, which is not installed",
            ),
            (
                true,
                "LoadState=masked ActiveState=inactive",
                None,
                "Docker, which is masked: systemctl unmask",
            ),
            (
                true,
                "LoadState=loaded ActiveState=failed Result=start-limit-hit",
                None,
                "Docker, which starts and ends",
            ),
            (
                true,
                "LoadState=loaded ActiveState=activating SubState=auto-restart",
                None,
                "Docker, which starts and ends",
            ),
            (
                true,
                "LoadState=loaded ActiveState=failed Result=exit-code",
                None,
                "Docker, which failed: 'journalctl",
            ),
            (
                true,
                "LoadState=loaded ActiveState=failed",
                Some(9 << 20),
                "space on the card: 9 MB are free",
            ),
            (
                true,
                "LoadState=loaded ActiveState=activating SubState=start",
                None,
                "Docker to start",
            ),
            (
                true,
                "LoadState=loaded ActiveState=inactive",
                None,
                "Docker, which is not started: systemctl enable",
            ),
            (
                true,
                "LoadState=loaded ActiveState=active",
                Some(9 << 30),
                "Docker to answer: no such file",
            ),
            (true, "", None, "Docker to answer: no such file"),
        ] {
            let seen = Seen {
                installed,
                unit: unit(said),
                free,
            };
            let line = name(&seen, "no such file");
            assert!(line.starts_with(expected), "{line} for {seen:?}");
            assert!(!line.contains('\n'));
        }
    }

    #[test]
    fn versions_are_compared_as_numbers() {
        for (version, old) in [
            ("1.13.1", true),
            ("17.05.0-ce", true),
            ("18.09.9", true),
            ("19.03.0", false),
            ("20.10.24+dfsg1", false),
            ("28.0.1", false),
            ("dev", false),
            ("", false),
        ] {
            assert_eq!(too_old(version).is_some(), old, "{version}");
        }
    }
}
