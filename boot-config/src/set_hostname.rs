//! Puts a hostname into the settings that an image's own first-boot program reads.
//!
//! Only the value changes: comments, order, line ends and everything else stay byte for byte. Line by line like the
//! reader in [`crate::ForeignFormat::hostname`]; what a line editor cannot change safely is refused.

use crate::yaml::{after_scalar, is_content, line_end};
use crate::{ForeignFormat, Hostname};

/// Why a hostname cannot be put into a file. The caller knows the file's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SetHostnameError {
    /// A script, an archive or the like.
    #[error("it does not start with #cloud-config, so a hostname cannot be set in it")]
    NotCloudConfig,
    /// `{hostname: x}`, a list, or keys that are all indented.
    #[error("its first setting is not a key at the start of a line, so a hostname cannot be set in it")]
    Shape,
}

impl ForeignFormat {
    /// `text` with this hostname in place of the one it has, or in addition.
    ///
    /// # Errors
    /// See [`SetHostnameError`].
    pub fn with_hostname(self, text: &str, hostname: &Hostname) -> Result<String, SetHostnameError> {
        let body = text.strip_prefix('\u{feff}').unwrap_or(text);
        let mark = &text[..text.len() - body.len()];
        // Some images have an empty one for the user to fill in.
        let empty = self == Self::UserData && body.trim().is_empty();
        let body = if empty { "#cloud-config\n" } else { body };
        let lines: Vec<&str> = body.split_inclusive('\n').collect();
        if self == Self::UserData && !body.starts_with("#cloud-config") {
            return Err(SetHostnameError::NotCloudConfig);
        }
        let new = match self {
            Self::UserData | Self::DeviceInit => in_yaml(&lines, hostname)?,
            Self::Occidentalis => in_shell(&lines, hostname),
        };
        Ok(format!("{mark}{new}"))
    }
}

fn in_yaml(lines: &[&str], hostname: &Hostname) -> Result<String, SetHostnameError> {
    let first = lines
        .iter()
        .position(|line| is_content(line) && !line.starts_with("---"));
    if first.is_some_and(|at| lines[at].starts_with([' ', '\t', '{', '[', '-'])) {
        return Err(SetHostnameError::Shape);
    }
    let mut new = String::new();
    let mut found = false;
    let mut rest = lines.iter().peekable();
    while let Some(line) = rest.next() {
        let Some(value) = line.strip_prefix("hostname:") else {
            new.push_str(line);
            continue;
        };
        found = true;
        new.push_str(&format!("hostname: {hostname}{}", after_scalar(value)));
        // A value that goes on, or stands, on indented lines would be joined to the new one.
        while rest
            .next_if(|line| line.starts_with([' ', '\t']) && is_content(line))
            .is_some()
        {}
    }
    if found {
        return Ok(new);
    }
    let document = lines.iter().position(|line| line.starts_with("---"));
    let at = match (document, lines.first()) {
        // Before it, the key would be in a document of its own.
        (Some(at), _) if first.is_none_or(|first| at < first) => at + 1,
        (_, Some(line)) if line.starts_with("#cloud-config") => 1,
        _ => 0,
    };
    Ok(insert(lines, at, &format!("hostname: {hostname}")))
}

fn in_shell(lines: &[&str], hostname: &Hostname) -> String {
    let setting = format!("hostname={hostname}");
    if !lines.iter().any(|line| line.starts_with("hostname=")) {
        return insert(lines, lines.len(), &setting);
    }
    let replaced = lines.iter().map(|line| match line.strip_prefix("hostname=") {
        Some(_) => format!("{setting}{}", line_end(line)),
        None => (*line).to_owned(),
    });
    replaced.collect()
}

/// The lines with one more before line `at` (from 0), ended as the file ends its lines.
fn insert(lines: &[&str], at: usize, line: &str) -> String {
    let end = lines.first().map_or("", |line| line_end(line));
    let end = if end.is_empty() { "\n" } else { end };
    let before = lines[..at].concat();
    let gap = if before.is_empty() || before.ends_with('\n') {
        ""
    } else {
        end
    };
    format!("{before}{gap}{line}{end}{}", lines[at..].concat())
}

#[cfg(test)]
mod tests {
    use super::*;
    use ForeignFormat::{DeviceInit, Occidentalis, UserData};
    use proptest::prelude::{Just, Strategy, prop_oneof, proptest};

    fn name(text: &str) -> Hostname {
        text.parse().unwrap()
    }

    #[test]
    fn only_the_value_changes() {
        for (format, old, new) in [
            (UserData, "#cloud-config\n", "#cloud-config\nhostname: pi-1\n"),
            (UserData, "#cloud-config", "#cloud-config\nhostname: pi-1\n"),
            (UserData, "\r\n", "#cloud-config\nhostname: pi-1\n"),
            (
                UserData,
                "#cloud-config\r\n# ü\r\nhostname: \"a # b\"  # mine\r\nusers: []\r\n",
                "#cloud-config\r\n# ü\r\nhostname: pi-1 # mine\r\nusers: []\r\n",
            ),
            (
                UserData,
                "\u{feff}#cloud-config\r\nusers:\r\n  - hostname: no\r\n",
                "\u{feff}#cloud-config\r\nhostname: pi-1\r\nusers:\r\n  - hostname: no\r\n",
            ),
            (
                UserData,
                "#cloud-config\n# x\n---\nusers: []\n",
                "#cloud-config\n# x\n---\nhostname: pi-1\nusers: []\n",
            ),
            (
                UserData,
                "#cloud-config\nhostname: >-\n  folded\n  # kept\nusers: []\n",
                "#cloud-config\nhostname: pi-1\n  # kept\nusers: []\n",
            ),
            (
                UserData,
                "#cloud-config\nhostname: a\nlocale: x\nhostname: b",
                "#cloud-config\nhostname: pi-1\nlocale: x\nhostname: pi-1",
            ),
            (DeviceInit, "", "hostname: pi-1\n"),
            (
                DeviceInit,
                "hostname: black-pearl\nwifi:\n",
                "hostname: pi-1\nwifi:\n",
            ),
            (
                DeviceInit,
                "wifi:\n  hostname: x\n",
                "hostname: pi-1\nwifi:\n  hostname: x\n",
            ),
            (Occidentalis, "", "hostname=pi-1\n"),
            (
                Occidentalis,
                "# x\r\nhostname=a\r\nwifi_ssid=b\r\n",
                "# x\r\nhostname=pi-1\r\nwifi_ssid=b\r\n",
            ),
            (Occidentalis, "wifi_ssid=b", "wifi_ssid=b\nhostname=pi-1\n"),
        ] {
            assert_eq!(
                format.with_hostname(old, &name("pi-1")).as_deref(),
                Ok(new),
                "{old:?}"
            );
        }
    }

    #[test]
    fn what_cannot_be_edited_safely_is_refused() {
        for (format, text, expected) in [
            (UserData, "#!/bin/sh\n", "it does not start with #cloud-config"),
            (
                UserData,
                "#cloud-config\n{users: []}\n",
                "its first setting is not a key at the start of a line",
            ),
            (DeviceInit, "---\n {}\n", "its first setting is not a key"),
        ] {
            let message = format.with_hostname(text, &name("a")).unwrap_err().to_string();
            assert!(message.starts_with(expected), "{message}");
        }
    }

    fn hostnames() -> impl Strategy<Value = Hostname> {
        "[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?".prop_map(|text| name(&text))
    }

    /// Lines around the hostname: comments, other keys, nested ones, blanks, with either line end.
    fn surroundings() -> impl Strategy<Value = String> {
        let line = "([a-gi-z][a-z_]{0,9}: \\PC{0,20}|[a-z]{3}:\n  - \\PC{0,20}|# \\PC{0,20}|)";
        proptest::collection::vec((line, prop_oneof![Just("\n"), Just("\r\n")]), 0..6)
            .prop_map(|lines| lines.into_iter().map(|(line, end)| line + end).collect())
    }

    proptest! {
        #[test]
        fn what_is_set_is_read_and_the_rest_is_kept(host in hostnames(), before in surroundings(), after in surroundings()) {
            for format in ForeignFormat::ALL {
                let head = if format == UserData { "#cloud-config\n" } else { "" };
                let text = format!("{head}{before}{after}");
                let set = format.with_hostname(&text, &host).unwrap();
                assert_eq!(format.hostname("f", &set).unwrap().as_ref(), Some(&host));
                let mut kept: Vec<&str> = set.split_inclusive('\n').collect();
                kept.retain(|line| !line.starts_with("hostname"));
                assert_eq!(kept.concat(), text);
                let again = format.with_hostname(&set, &host).unwrap();
                assert_eq!(again, set, "setting it twice changes nothing");
            }
        }
    }
}
