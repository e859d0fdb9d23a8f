//! Settings for images with the package rpi-preseed (`rpi-preseed.toml`), and for Raspberry Pi OS bookworm's own first
//! form of it (`custom.toml`).

use toml::{Table, Value};

use crate::{Country, Hostname, TimeZone, User, Wifi};

/// What it can be told.
#[derive(Clone, Copy, Debug, Default)]
pub struct Preseed<'a> {
    /// Name of the node.
    pub hostname: Option<&'a Hostname>,
    /// The account.
    pub user: Option<&'a User>,
    /// The wireless network.
    pub wifi: Option<&'a Wifi>,
    /// Its country.
    pub country: Option<&'a Country>,
    /// The time zone.
    pub time_zone: Option<&'a TimeZone>,
}

/// The file cannot be changed. The caller knows its name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("it is not TOML with tables of settings ({0}), so nothing can be set in it")]
pub struct PreseedError(String);

impl Preseed<'_> {
    /// The names of such files on a boot partition.
    pub const FILES: [&'static str; 2] = ["rpi-preseed.toml", "custom.toml"];

    /// The text of the file with these settings. What else it sets is kept; its comments, which TOML's reader does not
    /// know, are not.
    ///
    /// # Errors
    /// When it is no such file.
    pub fn with_settings(&self, text: &str) -> Result<String, PreseedError> {
        let Self {
            hostname,
            user,
            wifi,
            country,
            time_zone,
        } = *self;
        let text = text.trim_start_matches('\u{feff}');
        let mut file: Table = text
            .parse()
            .map_err(|error: toml::de::Error| PreseedError(error.message().to_owned()))?;
        let version = || Value::String("1.0".to_owned());
        file.entry("config_version").or_insert_with(version);
        if let Some(hostname) = hostname {
            put(&mut file, "system", "hostname", hostname.as_str())?;
        }
        if let Some(user) = user {
            put(&mut file, "user", "name", user.name.as_str())?;
            // `*` is no hash of any password: the account is for keys then.
            let hash = user.password_hash.as_ref().map_or("*", |hash| hash.as_str());
            put(&mut file, "user", "password", hash)?;
            put(&mut file, "user", "password_encrypted", true)?;
            put(&mut file, "ssh", "enabled", true)?;
            let with_password = user.password_hash.is_some();
            put(&mut file, "ssh", "password_authentication", with_password)?;
            put(
                &mut file,
                "ssh",
                "authorized_keys",
                user.ssh_authorized_keys.clone(),
            )?;
        }
        if let Some(wifi) = wifi {
            put(&mut file, "wlan", "ssid", wifi.ssid.as_str())?;
            if let Some(key) = &wifi.key {
                put(&mut file, "wlan", "password", key.as_str())?;
                put(&mut file, "wlan", "password_encrypted", key.is_raw())?;
            }
        }
        if let Some(country) = country {
            put(&mut file, "wlan", "country", country.as_str())?;
        }
        if let Some(zone) = time_zone {
            put(&mut file, "locale", "timezone", zone.as_str())?;
        }
        Ok(file.to_string())
    }
}

fn put(file: &mut Table, table: &str, key: &str, value: impl Into<Value>) -> Result<(), PreseedError> {
    let entry = file.entry(table).or_insert_with(|| Value::Table(Table::new()));
    let Value::Table(entry) = entry else {
        return Err(PreseedError(format!("{table} is no table")));
    };
    entry.insert(key.to_owned(), value.into());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_it_says_besides_is_kept() {
        let user = User {
            name: "pi".parse().unwrap(),
            password_hash: None,
            ssh_authorized_keys: vec!["ssh-ed25519 A \"x\" \\".to_owned()],
        };
        let wifi = Wifi {
            ssid: "n".parse().unwrap(),
            key: Some("pass'\"word".parse().unwrap()),
        };
        let hostname = "n1".parse().unwrap();
        let preseed = Preseed {
            hostname: Some(&hostname),
            user: Some(&user),
            wifi: Some(&wifi),
            ..Preseed::default()
        };
        let old = "# x\nconfig_version = 1\n[locale]\nkeymap = \"de\"\n[user]\nname = \"old\"\n";
        let new: Table = preseed.with_settings(old).unwrap().parse().unwrap();
        assert_eq!(new["config_version"], Value::Integer(1));
        assert_eq!(new["locale"]["keymap"].as_str(), Some("de"));
        assert_eq!(new["system"]["hostname"].as_str(), Some("n1"));
        assert_eq!(new["user"]["name"].as_str(), Some("pi"));
        assert_eq!(
            new["ssh"]["authorized_keys"][0].as_str(),
            Some("ssh-ed25519 A \"x\" \\")
        );
        assert_eq!(new["wlan"]["password"].as_str(), Some("pass'\"word"));
        for bad in ["user = 1\n", "[[["] {
            let message = preseed.with_settings(bad).unwrap_err().to_string();
            assert!(
                message.starts_with("it is not TOML with tables of settings ("),
                "{message}"
            );
        }
    }
}
