//! The hostname that other formats of settings on a boot partition give a node.
//!
//! Line by line, for the one key that matters here; not a YAML reader. What these files set besides, the systems
//! that know them (cloud-init, device-init) apply themselves.

use crate::{Hostname, ParseError};

/// A format that may name the node, in the order in which they are asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ForeignFormat {
    /// cloud-init's `user-data`: Ubuntu, HypriotOS from 1.7, Raspberry Pi OS from trixie.
    UserData,
    /// `device-init.yaml`: HypriotOS 0.7 to 1.6.
    DeviceInit,
    /// `occidentalis.txt`: HypriotOS before 0.7.
    Occidentalis,
}

impl ForeignFormat {
    /// All, the first one that names the node wins.
    pub const ALL: [Self; 3] = [Self::UserData, Self::DeviceInit, Self::Occidentalis];

    /// Name of the file on the boot partition.
    pub fn file_name(self) -> &'static str {
        match self {
            Self::UserData => "user-data",
            Self::DeviceInit => "device-init.yaml",
            Self::Occidentalis => "occidentalis.txt",
        }
    }

    /// The hostname in `text`, if it has one. `file` names it in errors.
    ///
    /// # Errors
    /// When it has one that is none.
    pub fn hostname(self, file: &str, text: &str) -> Result<Option<Hostname>, ParseError> {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let (key, is_yaml) = match self {
            // Scripts and MIME archives are user-data too; only cloud-config has keys.
            Self::UserData if !text.starts_with("#cloud-config") => return Ok(None),
            Self::UserData | Self::DeviceInit => ("hostname:", true),
            Self::Occidentalis => ("hostname=", false),
        };
        // Of a key given twice the last one counts, for cloud-init and for the shell script of Occidentalis.
        let found = text
            .lines()
            .enumerate()
            .filter_map(|(index, line)| Some((index + 1, line.strip_prefix(key)?)))
            .map(|(line, value)| {
                (
                    line,
                    if is_yaml {
                        scalar(value)
                    } else {
                        unquoted(value.trim())
                    },
                )
            })
            .filter(|(_, value)| !value.is_empty())
            .last();
        let Some((line, value)) = found else {
            return Ok(None);
        };
        match value.parse() {
            Ok(name) => Ok(Some(name)),
            Err(error) => Err(ParseError {
                file: file.to_owned(),
                line,
                key: Some("hostname".to_owned()),
                reason: format!("{error}"),
            }),
        }
    }
}

/// A plain or quoted YAML scalar on one line, without its comment.
fn scalar(value: &str) -> &str {
    let value = value.trim();
    for quote in ['"', '\''] {
        if let Some(rest) = value.strip_prefix(quote) {
            return rest.split(quote).next().unwrap_or_default();
        }
    }
    if value.starts_with('#') {
        return "";
    }
    value.split(" #").next().unwrap_or_default().trim_end()
}

fn unquoted(value: &str) -> &str {
    ['"', '\'']
        .iter()
        .find_map(|&quote| value.strip_prefix(quote)?.strip_suffix(quote))
        .unwrap_or(value)
}

#[cfg(test)]
mod tests {
    use super::ForeignFormat::{DeviceInit, Occidentalis, UserData};
    use super::*;

    #[test]
    fn reads_the_name_out_of_each_format() {
        for (format, text, expected) in [
            (UserData, "#cloud-config\nhostname: pearl\n", Some("pearl")),
            (
                UserData,
                "\u{feff}#cloud-config\r\nhostname: \"pearl\" # mine\r\n",
                Some("pearl"),
            ),
            (
                UserData,
                "#cloud-config\nhostname: pearl # mine\nusers:\n  - hostname: no\n",
                Some("pearl"),
            ),
            (UserData, "#cloud-config\nhostname: a\nhostname: 'b'\n", Some("b")),
            (UserData, "#cloud-config\n# hostname: a\nhostname:\n", None),
            (UserData, "#!/bin/sh\nhostname: a\n", None),
            (UserData, "", None),
            (DeviceInit, "hostname: black-pearl\nwifi:\n", Some("black-pearl")),
            (DeviceInit, "wifi:\n  hostname: no\n", None),
            (Occidentalis, "# x\nhostname=pi-1\r\nwifi_ssid=a\n", Some("pi-1")),
            (Occidentalis, "hostname=\"pi-1\"", Some("pi-1")),
            (Occidentalis, "#hostname=a\nhostname=\n", None),
        ] {
            let found = format.hostname("f", text).unwrap();
            assert_eq!(
                found.as_ref().map(Hostname::as_str),
                expected,
                "{format:?} {text:?}"
            );
        }
    }

    #[test]
    fn a_name_that_is_none_is_said_with_file_and_line() {
        let message = UserData
            .hostname("/boot/user-data", "#cloud-config\nhostname: a_b\n")
            .unwrap_err()
            .to_string();
        assert!(
            message.starts_with("/boot/user-data line 2 (hostname): 'a_b' is not a host name"),
            "{message}"
        );
    }
}
