//! What Docker was told on its command line: it does not start when its configuration file says the same key again.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::Key;

/// The keys that the running engine has from its command line; none while it does not run. `pid_file`: such as
/// `/run/docker.pid`; `proc`: `/proc`.
pub fn set_by_flags(pid_file: &Path, proc: &Path) -> BTreeSet<Key> {
    let read = || {
        let pid: u32 = std::fs::read_to_string(pid_file).ok()?.trim().parse().ok()?;
        std::fs::read(proc.join(pid.to_string()).join("cmdline")).ok()
    };
    let line = read().unwrap_or_default();
    let words: Vec<_> = line
        .split(|byte| *byte == 0)
        .map(String::from_utf8_lossy)
        .collect();
    match words.first() {
        // The number may have gone to another program since.
        Some(program) if program.ends_with("dockerd") || program.ends_with("docker") => {
            words.iter().skip(1).filter_map(|word| key_of(word)).collect()
        }
        _ => BTreeSet::new(),
    }
}

/// The keys that Docker gets from its units and from the files of variables that these read.
pub fn set_by_units(files: &[PathBuf]) -> BTreeSet<Key> {
    let mut places = Vec::new();
    for file in files {
        match std::fs::read_dir(file) {
            Ok(entries) => places.extend(entries.flatten().map(|entry| entry.path())),
            Err(_) => places.push(file.clone()),
        }
    }
    let texts: Vec<_> = places
        .iter()
        .filter_map(|place| std::fs::read_to_string(place).ok())
        .collect();
    let lines = texts.iter().flat_map(|text| text.lines()).map(str::trim_start);
    let words = lines
        .filter(|line| !line.starts_with(['#', ';']))
        .flat_map(str::split_whitespace);
    // `DOCKER_OPTS="--label a=b"`
    words
        .filter_map(|word| key_of(&word[word.find("--")?..]))
        .collect()
}

fn key_of(word: &str) -> Option<Key> {
    let name = word.strip_prefix("--")?.split('=').next()?;
    Some(match name {
        "label" => Key::Labels,
        "registry-mirror" => Key::RegistryMirrors,
        "insecure-registry" => Key::InsecureRegistries,
        "log-driver" | "log-opt" => Key::Log,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_and_their_variables_are_read() {
        let folder = tempfile::tempdir().unwrap();
        let (unit, dropins) = (
            folder.path().join("docker.service"),
            folder.path().join("docker.service.d"),
        );
        let files = [unit.clone(), dropins.clone(), folder.path().join("missing")];
        assert!(set_by_units(&files).is_empty());
        std::fs::write(
            &unit,
            "[Service]\nExecStart=/usr/bin/dockerd -H fd:// $DOCKER_OPTS\n#--log-opt a=b\n",
        )
        .unwrap();
        std::fs::create_dir(&dropins).unwrap();
        std::fs::write(
            dropins.join("a.conf"),
            "Environment=DOCKER_OPTS=\"--registry-mirror=http://a --debug\"\n",
        )
        .unwrap();
        assert_eq!(set_by_units(&files), BTreeSet::from([Key::RegistryMirrors]));
    }

    #[test]
    fn the_engines_own_command_line_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let pid_file = folder.path().join("docker.pid");
        assert!(set_by_flags(&pid_file, folder.path()).is_empty());
        std::fs::write(&pid_file, "7\n").unwrap();
        assert!(set_by_flags(&pid_file, folder.path()).is_empty());
        std::fs::create_dir(folder.path().join("7")).unwrap();
        let line = folder.path().join("7/cmdline");
        std::fs::write(
            &line,
            "/usr/bin/dockerd\0-H\0fd://\0--label\0a=b\0--log-opt=max-size=1m\0--debug\0",
        )
        .unwrap();
        let found = set_by_flags(&pid_file, folder.path());
        assert_eq!(found, BTreeSet::from([Key::Labels, Key::Log]));
        std::fs::write(&line, "/bin/sh\0--label\0a=b\0").unwrap();
        assert!(set_by_flags(&pid_file, folder.path()).is_empty());
    }
}
