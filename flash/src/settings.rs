//! The settings of one card: what the user asked for, and which files of the boot partition say it.
//!
//! An image is told in every format that it understands, so that its own first-boot program and the cluster's agent
//! agree. A setting that an image cannot take is an error, never left out.

mod config_txt;
mod options;
mod plan;

use std::collections::BTreeMap;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::num::NonZeroU32;

use anyhow::{Context, Result, bail};
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
    let mut disk = Remembering { disk, failed: None };
    let partition = BootPartition::open(&mut disk, boot)?;
    for (name, bytes) in edits {
        partition.write(name, bytes, at)?;
    }
    partition.close()?;
    disk.check()
}

/// The FAT library cannot report what fails while one of its files is dropped, and Linux says only once that a sync has
/// failed: so the first failure is kept here.
struct Remembering<D> {
    disk: D,
    failed: Option<io::Error>,
}

impl<D> Remembering<D> {
    fn check(self) -> Result<()> {
        match self.failed {
            Some(error) => Err(error).context("the settings on the card"),
            None => Ok(()),
        }
    }

    fn keep<T>(&mut self, result: io::Result<T>) -> io::Result<T> {
        if let Err(error) = &result {
            // Interrupted is no error of the disk, and tried again by who calls.
            if error.kind() != io::ErrorKind::Interrupted && self.failed.is_none() {
                self.failed = Some(match error.raw_os_error() {
                    Some(number) => io::Error::from_raw_os_error(number),
                    None => io::Error::new(error.kind(), error.to_string()),
                });
            }
        }
        result
    }
}

impl<D: Read> Read for Remembering<D> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let result = self.disk.read(buffer);
        self.keep(result)
    }
}

impl<D: Write> Write for Remembering<D> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let result = self.disk.write(bytes);
        self.keep(result)
    }

    fn flush(&mut self) -> io::Result<()> {
        let result = self.disk.flush();
        self.keep(result)
    }
}

impl<D: Seek> Seek for Remembering<D> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let result = self.disk.seek(to);
        self.keep(result)
    }
}

/// Compares a disk with what [`apply`] wrote.
///
/// # Errors
/// When they differ.
pub fn verify<D: Read + Write + Seek>(disk: D, boot: &Partition, edits: &Edits) -> Result<()> {
    let mut disk = Remembering { disk, failed: None };
    let partition = BootPartition::open(&mut disk, boot)?;
    for (name, bytes) in edits {
        if partition.read(name)?.as_ref() != Some(bytes) {
            bail!("{name} was read back from the card other than it was written: the card is defective");
        }
    }
    // What is only read is flushed too when it is closed, and a failure of that must not be lost.
    partition.close()?;
    disk.check()
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
