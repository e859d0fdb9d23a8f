//! Settings for cloud-init: `user-data`, `meta-data` and `network-config` (netplan version 2) of its NoCloud source, as
//! Ubuntu, HypriotOS from 1.7 and Raspberry Pi OS from trixie of 2025-11 read them from the boot partition.

use crate::yaml::{self, Shape, Value, quoted};
use crate::{Locale, TimeZone, Uplink, User, Wifi};

/// What cloud-init is told, besides the hostname.
#[derive(Clone, Copy, Debug, Default)]
pub struct CloudInit<'a> {
    /// The account. It takes the place of all that the file has.
    pub user: Option<&'a User>,
    /// The time zone.
    pub time_zone: Option<&'a TimeZone>,
    /// The locale.
    pub locale: Option<&'a Locale>,
    /// The wireless network, with its key as access points compute it, in 64 hexadecimal digits.
    pub wifi: Option<(&'a Wifi, Option<&'a str>)>,
    /// The address of the wired interface.
    pub uplink: Option<&'a Uplink>,
}

/// Why a setting cannot be put into a file. The caller knows the file's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CloudInitError {
    /// A script, an archive or the like.
    #[error("it does not start with #cloud-config, so nothing can be set in it")]
    NotCloudConfig,
    /// Not made of keys.
    #[error("{0}: {1}, so it cannot be set in it")]
    Shape(&'static str, &'static str),
}

fn shape(key: &'static str) -> impl Fn(Shape) -> CloudInitError {
    move |_| CloudInitError::Shape(key, "the text is not made of keys on lines of their own there")
}

impl CloudInit<'_> {
    /// `user-data` with account, time zone and locale.
    ///
    /// # Errors
    /// When they cannot be set in it.
    pub fn user_data(&self, text: &str) -> Result<String, CloudInitError> {
        let Self {
            user,
            time_zone,
            locale,
            wifi: _,
            uplink: _,
        } = *self;
        let mut text = match text.trim_start_matches('\u{feff}') {
            // Some images have an empty one for the user to fill in.
            body if body.trim().is_empty() => "#cloud-config\n".to_owned(),
            body if body.starts_with("#cloud-config") => text.to_owned(),
            _ => return Err(CloudInitError::NotCloudConfig),
        };
        let mut set = |key: &'static str, value: Value| -> Result<(), CloudInitError> {
            text = yaml::set(&text, &[key], &value).map_err(shape(key))?;
            Ok(())
        };
        if let Some(user) = user {
            set("users", account(user))?;
            let with_password = user.password_hash.is_some();
            set("ssh_pwauth", Value::Scalar(with_password.to_string()))?;
        }
        if let Some(zone) = time_zone {
            set("timezone", Value::Scalar(quoted(zone.as_str())))?;
        }
        if let Some(locale) = locale {
            set("locale", Value::Scalar(quoted(locale.as_str())))?;
        }
        Ok(text)
    }

    /// `network-config` with the wireless network and the fixed address.
    ///
    /// # Errors
    /// When they cannot be set in it.
    pub fn network_config(&self, text: &str) -> Result<String, CloudInitError> {
        let Self { wifi, uplink, .. } = *self;
        let mut text = text.to_owned();
        // Netplan's own files have one more level than cloud-init asks for; it takes both.
        let top: &[&str] = if yaml::has(&text, "network") {
            &["network"]
        } else {
            &[]
        };
        let mut set = |path: [&'static str; 2], value: Value| -> Result<(), CloudInitError> {
            text = yaml::set(&text, &[top, &path].concat(), &value).map_err(shape(path[0]))?;
            Ok(())
        };
        if let Some(uplink) = uplink {
            set(["ethernets", "eth0"], wired(uplink))?;
        }
        if let Some((wifi, key)) = wifi {
            set(["wifis", "wlan0"], wireless(wifi, key))?;
        }
        let path = [top, &["version"]].concat();
        yaml::set(&text, &path, &Value::Scalar("2".to_owned())).map_err(shape("version"))
    }
}

/// `meta-data` with an id that no instance had before: a new one makes cloud-init do everything anew.
///
/// # Errors
/// When it cannot be set.
pub fn with_instance_id(text: &str, id: &str) -> Result<String, CloudInitError> {
    yaml::set(text, &["instance-id"], &Value::Scalar(id.to_owned())).map_err(shape("instance-id"))
}

/// The kernel command line with one more word. It stays one line, and ends as before. A word that it has already is not
/// added.
pub fn kernel_word(command_line: &str, word: &str) -> String {
    let first = command_line.lines().next().unwrap_or_default().trim_end();
    if first.split_whitespace().any(|known| known == word) {
        return command_line.to_owned();
    }
    let gap = if first.is_empty() { "" } else { " " };
    format!("{first}{gap}{word}{}", &command_line[first.len()..])
}

fn account(user: &User) -> Value {
    let User {
        name,
        password_hash,
        ssh_authorized_keys: keys,
    } = user;
    let mut lines = vec![
        format!("- name: {}", quoted(name.as_str())),
        "  shell: /bin/bash".to_owned(),
        "  groups: [sudo, docker, adm, video]".to_owned(),
    ];
    match password_hash {
        Some(hash) => {
            lines.push("  lock_passwd: false".to_owned());
            lines.push(format!("  passwd: {}", quoted(hash.as_str())));
        }
        // Nothing that sudo could ask for.
        None => lines.push("  sudo: \"ALL=(ALL) NOPASSWD:ALL\"".to_owned()),
    }
    if !keys.is_empty() {
        lines.push("  ssh_authorized_keys:".to_owned());
        lines.extend(keys.iter().map(|key| format!("    - {}", quoted(key))));
    }
    Value::Block(lines)
}

fn wired(uplink: &Uplink) -> Value {
    let Uplink {
        address,
        gateway,
        dns,
    } = uplink;
    let mut lines = vec![
        "dhcp4: false".to_owned(),
        "optional: true".to_owned(),
        format!("addresses: [{}]", quoted(&address.to_string())),
    ];
    if let Some(gateway) = gateway {
        // `gateway4` is gone from new netplans, and `default` is unknown to old ones.
        lines.push("routes:".to_owned());
        lines.push("  - to: \"0.0.0.0/0\"".to_owned());
        lines.push(format!("    via: {}", quoted(&gateway.to_string())));
    }
    if !dns.is_empty() {
        let dns: Vec<String> = dns.iter().map(|server| quoted(&server.to_string())).collect();
        lines.push("nameservers:".to_owned());
        lines.push(format!("  addresses: [{}]", dns.join(", ")));
    }
    Value::Block(lines)
}

fn wireless(wifi: &Wifi, key: Option<&str>) -> Value {
    let mut lines = vec![
        "dhcp4: true".to_owned(),
        "optional: true".to_owned(),
        "access-points:".to_owned(),
    ];
    match key {
        Some(key) => {
            lines.push(format!("  {}:", quoted(wifi.ssid.as_str())));
            lines.push(format!("    password: {}", quoted(key)));
        }
        None => lines.push(format!("  {}: {{}}", quoted(wifi.ssid.as_str()))),
    }
    Value::Block(lines)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::Ipv4Addr;

    fn user() -> User {
        User {
            name: "pi".parse().unwrap(),
            password_hash: Some("$6$salt$ha/sh.".parse().unwrap()),
            ssh_authorized_keys: vec!["ssh-ed25519 AAAA Jürgen's \"key\" \\ $x".to_owned()],
        }
    }

    #[test]
    fn user_data_of_hypriot_keeps_its_comments() {
        let (user, zone, locale) = (
            user(),
            "Europe/Berlin".parse().unwrap(),
            "de_DE.UTF-8".parse().unwrap(),
        );
        let wanted = CloudInit {
            user: Some(&user),
            time_zone: Some(&zone),
            locale: Some(&locale),
            ..CloudInit::default()
        };
        let old = "#cloud-config\n# vim: syntax=yaml\nhostname: black-pearl\n\n# the pirate\nusers:\n  - name: pirate\n    \
                   plain_text_passwd: hypriot\nlocale: en_US.UTF-8 # mine\npackage_update: false\n";
        assert_eq!(
            wanted.user_data(old).unwrap(),
            "#cloud-config\n# vim: syntax=yaml\nhostname: black-pearl\n\n# the pirate\nusers:\n  - name: \"pi\"\n    \
             shell: /bin/bash\n    groups: [sudo, docker, adm, video]\n    lock_passwd: false\n    passwd: \
             \"$6$salt$ha/sh.\"\n    ssh_authorized_keys:\n      - \"ssh-ed25519 AAAA Jürgen's \\\"key\\\" \\\\ $x\"\n\
             locale: \"de_DE.UTF-8\" # mine\npackage_update: false\nssh_pwauth: true\ntimezone: \"Europe/Berlin\"\n"
        );
        assert_eq!(
            wanted.user_data("#!/bin/sh\n"),
            Err(CloudInitError::NotCloudConfig)
        );
        assert!(wanted.user_data("#cloud-config\n[]\n").is_err());
    }

    #[test]
    fn a_network_of_either_shape() {
        let wifi = Wifi {
            ssid: "a: \"b\" {".parse().unwrap(),
            key: None,
        };
        let key = "0f".repeat(32);
        let uplink = Uplink::new(
            "192.168.1.20/24",
            Some(Ipv4Addr::new(192, 168, 1, 1)),
            vec![Ipv4Addr::new(9, 9, 9, 9)],
        );
        let uplink = uplink.unwrap();
        let wanted = CloudInit {
            wifi: Some((&wifi, Some(&key))),
            uplink: Some(&uplink),
            ..CloudInit::default()
        };
        let new = wanted
            .network_config(
                "# example\nversion: 2\nethernets:\n  eth0:\n    dhcp4: true # x\n    optional: true\n",
            )
            .unwrap();
        assert_eq!(
            new,
            format!(
                "# example\nversion: 2\nethernets:\n  eth0:\n    dhcp4: false\n    optional: true\n    addresses: \
                 [\"192.168.1.20/24\"]\n    routes:\n      - to: \"0.0.0.0/0\"\n        via: \"192.168.1.1\"\n    \
                 nameservers:\n      addresses: [\"9.9.9.9\"]\nwifis:\n  wlan0:\n    dhcp4: true\n    optional: true\n    \
                 access-points:\n      \"a: \\\"b\\\" {{\":\n        password: \"{key}\"\n"
            )
        );
        let wanted = CloudInit {
            uplink: None,
            ..wanted
        };
        let new = wanted.network_config("network:\n  version: 2\n").unwrap();
        assert!(
            new.starts_with("network:\n  version: 2\n  wifis:\n    wlan0:\n      dhcp4: true\n"),
            "{new}"
        );
        let new = wanted.network_config("# nothing yet\n").unwrap();
        assert!(
            new.starts_with("# nothing yet\nwifis:\n  wlan0:\n") && new.ends_with("\nversion: 2\n"),
            "{new}"
        );
    }

    #[test]
    fn the_command_line_stays_one_line() {
        for (old, new) in [
            ("a b\n", "a b ds=nocloud;i=x\n"),
            ("a ds=nocloud;i=x b", "a ds=nocloud;i=x b"),
            ("", "ds=nocloud;i=x"),
        ] {
            assert_eq!(kernel_word(old, "ds=nocloud;i=x"), new);
        }
        assert_eq!(
            with_instance_id("instance-id: a\n", "b-1"),
            Ok("instance-id: b-1\n".to_owned())
        );
    }
}
