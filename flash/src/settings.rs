//! The settings of one card: what the user asked for, and which files of the boot partition say it.
//!
//! An image is told in every format that it understands, so that its own first-boot program and the cluster's agent
//! agree. A setting that an image cannot take is an error, never left out.

mod config_txt;
mod options;
mod plan;

use std::collections::BTreeMap;
use std::io::{Read, Seek, Write};
use std::num::NonZeroU32;

use anyhow::{Result, bail};
use boot_config::{Country, Hostname, Locale, TimeZone, Uplink, User, Wifi};
use disk_image::fat::BootPartition;
use disk_image::mbr::Partition;
use disk_image::timestamp::Timestamp;

pub use options::Options;

/// What a card is to be told, checked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wanted {
    /// Name of the node.
    pub hostname: Option<Hostname>,
    /// Its account.
    pub user: Option<User>,
    /// Its wireless network.
    pub wifi: Option<Network>,
    /// Where that is.
    pub country: Option<Country>,
    /// Its address in the home network.
    pub uplink: Option<Uplink>,
    /// Its time zone.
    pub time_zone: Option<TimeZone>,
    /// Its locale.
    pub locale: Option<Locale>,
    /// Whether the original Cluster Lab starts with the system.
    pub run_cluster_lab: Option<bool>,
    /// The settings file of an early HypriotOS.
    pub config: Option<Vec<u8>>,
    /// Settings of config.txt.
    pub config_txt: Vec<(String, String)>,
    /// Whole files.
    pub files: Edits,
}

/// A wireless network, and its key as access points compute it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Network {
    /// As its user knows it.
    pub wifi: Wifi,
    /// 64 hexadecimal digits: with these the passphrase, which may be used elsewhere too, need not be on the card.
    pub digits: Option<String>,
}

/// New contents of files of the boot partition, by name.
pub type Edits = BTreeMap<String, Vec<u8>>;

impl Network {
    /// Computes the key (IEEE 802.11, annex J.4: PBKDF2 with HMAC-SHA1, 4096 rounds, the name as salt).
    pub fn new(wifi: Wifi) -> Self {
        const ROUNDS: NonZeroU32 = NonZeroU32::MIN.saturating_add(4095);
        let digits = wifi.key.as_ref().map(|key| {
            if key.is_raw() {
                return key.as_str().to_owned();
            }
            let mut bytes = [0; 32];
            let salt = wifi.ssid.as_str().as_bytes();
            let algorithm = ring::pbkdf2::PBKDF2_HMAC_SHA1;
            ring::pbkdf2::derive(algorithm, ROUNDS, salt, key.as_str().as_bytes(), &mut bytes);
            bytes
                .iter()
                .fold(String::new(), |text, byte| text + &format!("{byte:02x}"))
        });
        Self { wifi, digits }
    }
}

impl Wanted {
    /// Whether the image is to be left as it is.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// Makes the edits on a disk and closes its file system.
///
/// # Errors
/// When the boot partition is full or the disk fails.
pub fn apply<D: Read + Write + Seek>(disk: D, boot: &Partition, edits: &Edits, at: Timestamp) -> Result<()> {
    let boot = BootPartition::open(disk, boot)?;
    for (name, bytes) in edits {
        boot.write(name, bytes, at)?;
    }
    Ok(boot.close()?)
}

/// Compares a disk with what [`apply`] wrote.
///
/// # Errors
/// When they differ.
pub fn verify<D: Read + Write + Seek>(disk: D, boot: &Partition, edits: &Edits) -> Result<()> {
    let boot = BootPartition::open(disk, boot)?;
    for (name, bytes) in edits {
        if boot.read(name)?.as_ref() != Some(bytes) {
            bail!("{name} was read back from the card other than it was written: the card is defective");
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The test vector of IEEE 802.11, annex J.4.
    #[test]
    fn the_key_is_the_one_that_access_points_compute() {
        let wifi = Wifi {
            ssid: "IEEE".parse().unwrap(),
            key: Some("password".parse().unwrap()),
        };
        assert_eq!(
            Network::new(wifi).digits.as_deref(),
            Some("f42c6fc52df0ebef9ebb4b90b38a5f902e83fe1b135a70e23aed762e9710a12e")
        );
    }
}
