//! Settings for HypriotOS before 1.7: `device-init.yaml`, and before 0.7 `occidentalis.txt`.

use crate::yaml::{self, Value, quoted};
use crate::{ForeignFormat, Wifi};

/// What these two can be told, besides the hostname.
#[derive(Clone, Copy, Debug, Default)]
pub struct EarlyHypriot<'a> {
    /// The wireless network.
    pub wifi: Option<&'a Wifi>,
    /// Whether Cluster Lab starts with the system.
    pub run_cluster_lab: Option<bool>,
}

/// Why a setting cannot be put into a file. The caller knows the file's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EarlyError {
    /// Not made of keys.
    #[error("its text is not made of keys on lines of their own, so nothing can be set in it")]
    Shape,
    /// It has no such setting.
    #[error("this image has no such setting: it is for device-init.yaml (HypriotOS 0.7 to 1.6)")]
    Unknown,
}

impl EarlyHypriot<'_> {
    /// The text of the settings file with these settings. cloud-init's is not of this kind and stays as it is.
    ///
    /// # Errors
    /// See [`EarlyError`].
    pub fn with_settings(&self, format: ForeignFormat, text: &str) -> Result<String, EarlyError> {
        match format {
            ForeignFormat::UserData => Ok(text.to_owned()),
            ForeignFormat::DeviceInit => self.device_init(text),
            ForeignFormat::Occidentalis => self.occidentalis(text),
        }
    }

    fn device_init(&self, text: &str) -> Result<String, EarlyError> {
        let mut text = text.to_owned();
        let mut set = |path: &[&str], value: &str| -> Result<(), EarlyError> {
            text = yaml::set(&text, path, &Value::Scalar(quoted(value))).map_err(|_| EarlyError::Shape)?;
            Ok(())
        };
        if let Some(wifi) = self.wifi {
            let key = wifi.key.as_ref().map_or("", |key| key.as_str());
            set(&["wifi", "interfaces", "wlan0", "ssid"], wifi.ssid.as_str())?;
            set(&["wifi", "interfaces", "wlan0", "password"], key)?;
        }
        if let Some(run) = self.run_cluster_lab {
            // A text, not a truth: device-init compares it as such.
            set(&["clusterlab", "service", "run_on_boot"], &run.to_string())?;
        }
        Ok(text)
    }

    fn occidentalis(&self, text: &str) -> Result<String, EarlyError> {
        if self.run_cluster_lab.is_some() {
            return Err(EarlyError::Unknown);
        }
        let mut text = text.to_owned();
        if let Some(wifi) = self.wifi {
            // Its reader takes all behind the equals sign as it is.
            let key = wifi.key.as_ref().map_or("", |key| key.as_str());
            text = with_line(&text, "wifi_ssid", wifi.ssid.as_str());
            text = with_line(&text, "wifi_password", key);
        }
        Ok(text)
    }
}

fn with_line(text: &str, key: &str, value: &str) -> String {
    let end = if text.contains("\r\n") { "\r\n" } else { "\n" };
    let ours = |line: &str| line.strip_prefix(key).is_some_and(|rest| rest.starts_with('='));
    let mut found = false;
    let mut new = String::new();
    for line in text.split_inclusive('\n') {
        if ours(line) {
            found = true;
            new.push_str(&format!("{key}={value}{end}"));
        } else {
            new.push_str(line);
        }
    }
    if !found {
        if !new.is_empty() && !new.ends_with('\n') {
            new.push_str(end);
        }
        new.push_str(&format!("{key}={value}{end}"));
    }
    new
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_files_keep_what_else_they_say() {
        let wifi = Wifi {
            ssid: "Käpt'n".parse().unwrap(),
            key: Some("a&b/c\\d\"e$f`g".parse().unwrap()),
        };
        let wanted = EarlyHypriot {
            wifi: Some(&wifi),
            run_cluster_lab: None,
        };
        let device_init =
            "# hostname for your device\nhostname: black-pearl\n\n# wifi\n#wifi:\n#  interfaces:\n";
        let with_lab = EarlyHypriot {
            run_cluster_lab: Some(true),
            ..wanted
        };
        assert_eq!(
            with_lab
                .with_settings(ForeignFormat::DeviceInit, device_init)
                .unwrap(),
            "# hostname for your device\nhostname: black-pearl\nwifi:\n  interfaces:\n    wlan0:\n      ssid: \
             \"Käpt'n\"\n      password: \"a&b/c\\\\d\\\"e$f`g\"\nclusterlab:\n  service:\n    run_on_boot: \"true\"\n\n\
             # wifi\n#wifi:\n#  interfaces:\n"
        );
        assert_eq!(
            wanted.with_settings(ForeignFormat::Occidentalis, "# x\r\nwifi_ssid=old\r\nhostname=a"),
            Ok("# x\r\nwifi_ssid=Käpt'n\r\nhostname=a\r\nwifi_password=a&b/c\\d\"e$f`g\r\n".to_owned())
        );
        assert_eq!(
            with_lab.with_settings(ForeignFormat::Occidentalis, ""),
            Err(EarlyError::Unknown)
        );
    }
}
