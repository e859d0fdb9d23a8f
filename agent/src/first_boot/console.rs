//! What a person with a screen or a serial cable sees. `/dev/console` alone is only the last `console=` of the kernel
//! command line, so each console is written to; and what is wrong with the settings stays above the login prompt.

use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;

use anyhow::{Context, Result};
use nix::libc;

use crate::durable;
use crate::paths::Paths;

/// Shown by agetty of util-linux 2.35 and later; ignored by older ones.
const ISSUE: &str = "/run/issue.d/cluster-lab.issue";

/// Writes a line to all consoles. One that does not take it, such as an unplugged serial line, is passed over.
pub fn say(paths: &Paths, line: &str) {
    let text = format!("\r{line}\r\n");
    for console in consoles(paths) {
        let device = std::fs::OpenOptions::new()
            .append(true)
            .custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY)
            .open(&console);
        if let Ok(mut device) = device {
            let _ = device.write_all(text.as_bytes());
        }
    }
}

/// Puts these lines above the login prompt until the next start; none take it away.
///
/// # Errors
/// When the file cannot be written.
pub fn keep(paths: &Paths, warnings: &[String]) -> Result<()> {
    let place = paths.at(ISSUE);
    let written = match issue(warnings) {
        None => match std::fs::remove_file(&place) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        },
        Some(text) => place
            .parent()
            .map_or(Ok(()), std::fs::create_dir_all)
            .and_then(|()| durable::write(&place, text.as_bytes(), 0o644, None)),
    };
    written.with_context(|| format!("writing {ISSUE}"))
}

fn issue(warnings: &[String]) -> Option<String> {
    // agetty takes a backslash for the start of an escape.
    let line = |warning: &String| format!("cluster-lab: {}\n", warning.replace('\\', "\\\\"));
    (!warnings.is_empty()).then(|| warnings.iter().map(line).collect::<String>() + "\n")
}

fn consoles(paths: &Paths) -> Vec<PathBuf> {
    let active = std::fs::read_to_string(paths.at("/sys/class/tty/console/active")).unwrap_or_default();
    let names: Vec<&str> = active.split_whitespace().collect();
    let names = if names.is_empty() { vec!["console"] } else { names };
    names.iter().map(|name| paths.at("/dev").join(name)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_console_gets_the_line() {
        let root = tempfile::tempdir().unwrap();
        let paths = Paths::below(root.path());
        for folder in ["/sys/class/tty/console", "/dev"] {
            std::fs::create_dir_all(paths.at(folder)).unwrap();
        }
        std::fs::write(paths.at("/sys/class/tty/console/active"), "tty1 ttyAMA0\n").unwrap();
        std::fs::write(paths.at("/dev/ttyAMA0"), "").unwrap();
        std::fs::write(paths.at("/dev/console"), "").unwrap();
        say(&paths, "hello");
        assert_eq!(
            std::fs::read_to_string(paths.at("/dev/ttyAMA0")).unwrap(),
            "\rhello\r\n"
        );
        assert_eq!(std::fs::read_to_string(paths.at("/dev/console")).unwrap(), "");
    }

    #[test]
    fn warnings_stay_above_the_login_prompt_until_there_are_none() {
        let root = tempfile::tempdir().unwrap();
        let paths = Paths::below(root.path());
        keep(&paths, &["a \\ b".to_owned()]).unwrap();
        assert_eq!(
            std::fs::read_to_string(paths.at(ISSUE)).unwrap(),
            "cluster-lab: a \\\\ b\n\n"
        );
        keep(&paths, &[]).unwrap();
        keep(&paths, &[]).unwrap();
        assert!(!paths.at(ISSUE).exists());
    }
}
