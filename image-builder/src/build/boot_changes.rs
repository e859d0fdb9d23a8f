//! What a recipe changes on the boot partition: keys of `config.txt`, words of `cmdline.txt`, default settings of the cluster.

use std::collections::BTreeMap;
use std::fs::File;

use anyhow::{Context as _, Result, ensure};
use boot_config::{FILE_NAME, Layer};
use disk_image::fat::BootPartition;
use disk_image::mbr::Partition;
use disk_image::timestamp::Timestamp;
use serde::Deserialize;

const CONFIG: &str = "config.txt";
const COMMAND_LINE: &str = "cmdline.txt";

/// All of them; by default none.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct BootChanges {
    /// Keys and values for `config.txt`, valid for all models.
    #[serde(default, deserialize_with = "config")]
    pub config: BTreeMap<String, String>,
    /// Words for the kernel command line.
    #[serde(default, deserialize_with = "command_line")]
    pub command_line: Vec<String>,
    /// What `cluster-lab.toml` says.
    #[serde(skip)]
    pub settings: Option<Layer>,
}

fn config<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<BTreeMap<String, String>, D::Error> {
    use serde::de::Error as _;
    let table = BTreeMap::<String, toml::Value>::deserialize(deserializer)?;
    let mut lines = BTreeMap::new();
    for (key, value) in table {
        let sound = |c: char| c.is_ascii_alphanumeric() || "_-:".contains(c);
        if key.is_empty() || !key.chars().all(sound) {
            return Err(D::Error::custom(format!("'{key}' is not a key of config.txt")));
        }
        let value = match value {
            toml::Value::String(text) if !text.contains(['\n', '\r']) => text,
            toml::Value::Integer(number) => number.to_string(),
            _ => {
                let reason = format!("config.txt takes a text or a number for '{key}'");
                return Err(D::Error::custom(reason));
            }
        };
        lines.insert(key, value);
    }
    Ok(lines)
}

fn command_line<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    use serde::de::Error as _;
    let words = Vec::<String>::deserialize(deserializer)?;
    let wrong =
        |word: &&String| word.is_empty() || word.contains(|c: char| c.is_whitespace() || c.is_control());
    match words.iter().find(wrong) {
        Some(word) => {
            let reason = format!("'{word}' is not one word of a kernel command line");
            Err(D::Error::custom(reason))
        }
        None => Ok(words),
    }
}

impl BootChanges {
    /// Names of the files that change, `cluster-lab.toml` always.
    pub(super) fn files(&self) -> Vec<&'static str> {
        let mut files = vec![FILE_NAME];
        if !self.config.is_empty() {
            files.push(CONFIG);
        }
        if !self.command_line.is_empty() {
            files.push(COMMAND_LINE);
        }
        files
    }

    /// Changes `config.txt` and `cmdline.txt`.
    pub(super) fn apply(&self, image: &mut File, boot: &Partition, epoch: u64) -> Result<()> {
        let boot = BootPartition::open(image, boot)?;
        let at = Timestamp::from_epoch(epoch);
        if !self.config.is_empty() {
            let old = boot.read(CONFIG)?.unwrap_or_default();
            boot.write(CONFIG, &with_keys(old, &self.config), at)?;
        }
        if !self.command_line.is_empty() {
            let old = boot.read(COMMAND_LINE)?;
            let old = old.context("its boot partition has no cmdline.txt for the words of the recipe")?;
            let old = String::from_utf8(old).context("its cmdline.txt is not UTF-8")?;
            boot.write(COMMAND_LINE, with_words(&old, &self.command_line)?.as_bytes(), at)?;
        }
        Ok(boot.close()?)
    }
}

/// Later lines win, and `[all]` ends whatever filter was open.
fn with_keys(mut text: Vec<u8>, keys: &BTreeMap<String, String>) -> Vec<u8> {
    if text.last().is_some_and(|last| *last != b'\n') {
        text.push(b'\n');
    }
    text.extend(b"\n# Added by image-builder.\n[all]\n");
    for (key, value) in keys {
        text.extend(format!("{key}={value}\n").bytes());
    }
    text
}

/// The file is one line; words that are there are not repeated.
fn with_words(text: &str, words: &[String]) -> Result<String> {
    ensure!(
        text.trim().lines().count() <= 1,
        "its cmdline.txt has more than one line"
    );
    let mut all: Vec<&str> = text.split_whitespace().collect();
    for word in words {
        if !all.contains(&word.as_str()) {
            all.push(word);
        }
    }
    Ok(all.join(" ") + "\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_come_last_and_for_all_models() {
        let keys = BTreeMap::from([("gpu_mem".to_owned(), "16".to_owned())]);
        let text = with_keys(b"[pi4]\narm_boost=1".to_vec(), &keys);
        assert_eq!(
            String::from_utf8(text).unwrap(),
            "[pi4]\narm_boost=1\n\n# Added by image-builder.\n[all]\ngpu_mem=16\n"
        );
    }

    #[test]
    fn words_stay_on_one_line_and_are_not_repeated() {
        let words = ["quiet".to_owned(), "cgroup_enable=memory".to_owned()];
        let text = with_words("root=/dev/mmcblk0p2 quiet\n", &words).unwrap();
        assert_eq!(text, "root=/dev/mmcblk0p2 quiet cgroup_enable=memory\n");
        let message = with_words("a\nb\n", &words).unwrap_err().to_string();
        assert_eq!(message, "its cmdline.txt has more than one line");
    }
}
