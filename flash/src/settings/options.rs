//! Settings as options of the command line and as keys of a cluster file: checked, and the files that they name read.

use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow, bail};
use boot_config::{PasswordHash, Uplink, User, Wifi, WifiKey};
use serde::Deserialize;
use sha_crypt::{Sha512Params, sha512_simple};

use super::{Edits, Network, Wanted};

/// What a card is to be told. The short options, and `--ssid` to `--file`, are those of hypriot/flash.
#[derive(Clone, Debug, Default, PartialEq, clap::Args, Deserialize)]
#[command(next_help_heading = "Settings of the card")]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Options {
    /// Name of the node: letters, digits and hyphens
    #[arg(long, short = 'n', value_name = "NAME")]
    pub hostname: Option<String>,
    /// Account to make at first boot, with sudo; there is no default account
    #[arg(long, value_name = "NAME")]
    pub user: Option<String>,
    /// Hash of the account's password, as `openssl passwd -6` prints it
    #[arg(
        long,
        value_name = "HASH",
        requires = "user",
        conflicts_with = "user_password_file"
    )]
    pub user_password_hash: Option<String>,
    /// File whose first line is the account's password; only its hash is written to the card
    #[arg(long, value_name = "FILE", requires = "user")]
    pub user_password_file: Option<PathBuf>,
    /// Public key that may log in to the account (a .pub file; may be given more than once)
    #[arg(long, value_name = "FILE", requires = "user")]
    pub ssh_key: Vec<PathBuf>,
    /// Name of the wireless network
    #[arg(long, short = 's', visible_alias = "wifi-ssid", value_name = "SSID")]
    pub ssid: Option<String>,
    /// Its password. Others on this computer can see it while flash runs: rather use --wifi-password-file
    #[arg(
        long,
        short = 'p',
        value_name = "PSK",
        requires = "ssid",
        conflicts_with = "wifi_password_file"
    )]
    pub password: Option<String>,
    /// File whose first line is the password of the wireless network
    #[arg(long, value_name = "FILE", requires = "ssid")]
    pub wifi_password_file: Option<PathBuf>,
    /// Country in which the wireless network is, such as DE: it decides which channels may be used
    #[arg(long, value_name = "CC")]
    pub wifi_country: Option<String>,
    /// Fixed address of the wired interface in your home network, such as 192.168.1.20/24 [default: DHCP]
    #[arg(long, value_name = "ADDRESS/LENGTH")]
    pub uplink_address: Option<String>,
    /// Router of your home network
    #[arg(long, value_name = "ADDRESS", requires = "uplink_address")]
    pub uplink_gateway: Option<Ipv4Addr>,
    /// DNS server (may be given more than once)
    #[arg(long, value_name = "ADDRESS", requires = "uplink_address")]
    pub uplink_dns: Vec<Ipv4Addr>,
    /// Time zone, such as Europe/Berlin
    #[arg(long, value_name = "ZONE")]
    pub time_zone: Option<String>,
    /// Locale, such as de_DE.UTF-8
    #[arg(long, value_name = "LOCALE")]
    pub locale: Option<String>,
    /// Whether Cluster Lab starts with the system (HypriotOS 0.7 to 1.6)
    #[arg(long, short = 'l', value_name = "true|false", action = clap::ArgAction::Set)]
    pub clusterlab: Option<bool>,
    /// File to be config.txt, the settings of the firmware
    #[arg(long, short = 'C', value_name = "FILE")]
    pub bootconf: Option<PathBuf>,
    /// One setting of config.txt, such as gpu_mem=16 (may be given more than once)
    #[arg(long, value_name = "KEY=VALUE")]
    pub config_txt: Vec<String>,
    /// File to be device-init.yaml or occidentalis.txt, whichever the image has
    #[arg(long, short = 'c', value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// File to be cloud-init's user-data. The other settings are made in it
    #[arg(long, short = 'u', visible_alias = "user-data", value_name = "FILE")]
    pub userdata: Option<PathBuf>,
    /// File to be cloud-init's meta-data
    #[arg(long, short = 'm', visible_alias = "meta-data", value_name = "FILE")]
    pub metadata: Option<PathBuf>,
    /// File to be cloud-init's network-config
    #[arg(long, value_name = "FILE")]
    pub network_config: Option<PathBuf>,
    /// File to copy to the boot partition (may be given more than once)
    #[arg(long, short = 'F', value_name = "FILE")]
    pub file: Vec<PathBuf>,
}

impl Options {
    /// Checks the options and reads the files that they name.
    ///
    /// # Errors
    /// On the first one that cannot be used.
    pub fn check(&self) -> Result<Wanted> {
        self.check_complete()?;
        let hostname = self.hostname.as_deref().map(str::parse).transpose();
        let country = self.wifi_country.as_deref().map(str::parse).transpose();
        let time_zone = self.time_zone.as_deref().map(str::parse).transpose();
        let locale = self.locale.as_deref().map(str::parse).transpose();
        let config = self.config.as_deref().map(|file| content("--config", file));
        Ok(Wanted {
            hostname: hostname.context("--hostname")?,
            user: self.user.as_deref().map(|name| self.user(name)).transpose()?,
            wifi: self.ssid.as_deref().map(|ssid| self.wifi(ssid)).transpose()?,
            country: country.context("--wifi-country")?,
            uplink: self.uplink()?,
            time_zone: time_zone.context("--time-zone")?,
            locale: locale.context("--locale")?,
            run_cluster_lab: self.clusterlab,
            config: config.transpose()?,
            config_txt: self
                .config_txt
                .iter()
                .map(|text| super::config_txt::setting(text))
                .collect::<Result<_>>()?,
            files: self.files()?,
        })
    }

    /// Makes paths that a file in `folder` names complete.
    pub(crate) fn relative_to(&mut self, folder: &Path) {
        let Self {
            user_password_file,
            ssh_key,
            wifi_password_file,
            bootconf,
            config,
            userdata,
            metadata,
            network_config,
            file,
            ..
        } = self;
        let single = [
            user_password_file,
            wifi_password_file,
            bootconf,
            config,
            userdata,
            metadata,
            network_config,
        ];
        let paths = single.into_iter().flatten();
        for path in paths.chain(ssh_key).chain(file) {
            *path = folder.join(&*path);
        }
    }

    /// The command line's parser says this of options; keys of a cluster file come here without it.
    fn check_complete(&self) -> Result<()> {
        let (user, ssid, address) = (
            self.user.is_some(),
            self.ssid.is_some(),
            self.uplink_address.is_some(),
        );
        for (given, option, with, there) in [
            (
                self.user_password_hash.is_some(),
                "--user-password-hash",
                "--user",
                user,
            ),
            (
                self.user_password_file.is_some(),
                "--user-password-file",
                "--user",
                user,
            ),
            (!self.ssh_key.is_empty(), "--ssh-key", "--user", user),
            (self.password.is_some(), "--password", "--ssid", ssid),
            (
                self.wifi_password_file.is_some(),
                "--wifi-password-file",
                "--ssid",
                ssid,
            ),
            (
                self.uplink_gateway.is_some(),
                "--uplink-gateway",
                "--uplink-address",
                address,
            ),
            (
                !self.uplink_dns.is_empty(),
                "--uplink-dns",
                "--uplink-address",
                address,
            ),
        ] {
            if given && !there {
                bail!("{option} is nothing without {with}");
            }
        }
        if self.user_password_hash.is_some() && self.user_password_file.is_some() {
            bail!("--user-password-hash and --user-password-file: give one of them");
        }
        if self.password.is_some() && self.wifi_password_file.is_some() {
            bail!("--password and --wifi-password-file: give one of them");
        }
        Ok(())
    }

    /// Whole files of the boot partition.
    fn files(&self) -> Result<Edits> {
        let named = [
            ("--bootconf", &self.bootconf, "config.txt"),
            ("--userdata", &self.userdata, "user-data"),
            ("--metadata", &self.metadata, "meta-data"),
            ("--network-config", &self.network_config, "network-config"),
        ];
        let mut files = Edits::new();
        for (option, file, name) in named {
            if let Some(file) = file {
                files.insert(name.to_owned(), content(option, file)?);
            }
        }
        if files
            .get("user-data")
            .is_some_and(|text| !text.starts_with(b"#cloud-config"))
        {
            bail!("--userdata: the file does not start with #cloud-config, so cloud-init would not take it");
        }
        for file in &self.file {
            let name = file.file_name().and_then(|name| name.to_str());
            let name =
                name.with_context(|| format!("--file {}: it has no name for a card", file.display()))?;
            let same = |other: &String| other.to_lowercase() == name.to_lowercase();
            if files.keys().any(same) {
                bail!("--file {}: there are two files for {name}", file.display());
            }
            files.insert(name.to_owned(), content("--file", file)?);
        }
        Ok(files)
    }

    fn uplink(&self) -> Result<Option<Uplink>> {
        let Some(address) = &self.uplink_address else {
            return Ok(None);
        };
        let uplink = Uplink::new(address, self.uplink_gateway, self.uplink_dns.clone());
        Ok(Some(uplink.context("--uplink-address")?))
    }

    fn wifi(&self, ssid: &str) -> Result<Network> {
        let key: Option<WifiKey> = match (&self.password, &self.wifi_password_file) {
            (Some(key), _) => Some(key.parse().context("--password")?),
            (None, Some(file)) => {
                let line = first_line("--wifi-password-file", file)?;
                Some(line.parse().context("--wifi-password-file")?)
            }
            (None, None) => None,
        };
        Ok(Network::new(Wifi {
            ssid: ssid.parse().context("--ssid")?,
            key,
        }))
    }

    fn user(&self, name: &str) -> Result<User> {
        let password_hash = match (&self.user_password_hash, &self.user_password_file) {
            (Some(hash), _) => Some(hash.parse().context("--user-password-hash")?),
            (None, Some(file)) => Some(hash_of_password_in(file)?),
            (None, None) => None,
        };
        let keys: Vec<Vec<String>> = self
            .ssh_key
            .iter()
            .map(|file| public_keys(file))
            .collect::<Result<_>>()?;
        if password_hash.is_none() && keys.is_empty() {
            bail!(
                "--user {name} alone could not log in: add --ssh-key, --user-password-hash or --user-password-file"
            );
        }
        Ok(User {
            name: name.parse().context("--user")?,
            password_hash,
            ssh_authorized_keys: keys.concat(),
        })
    }
}

/// Nobody means more than that for a boot partition.
const FILE_MAX: u64 = 64 * 1024 * 1024;

fn content(option: &str, file: &Path) -> Result<Vec<u8>> {
    let context = || format!("{option} {}", file.display());
    let meta = std::fs::metadata(file).with_context(context)?;
    if !meta.is_file() || meta.len() > FILE_MAX {
        bail!("{option} {}: it is no file of at most 64 MiB", file.display());
    }
    std::fs::read(file).with_context(context)
}

fn first_line(option: &str, file: &Path) -> Result<String> {
    let text = std::fs::read_to_string(file).with_context(|| format!("{option} {}", file.display()))?;
    let line = text.lines().next().unwrap_or_default();
    if line.is_empty() {
        bail!("{option} {}: its first line is empty", file.display());
    }
    Ok(line.to_owned())
}

fn hash_of_password_in(file: &Path) -> Result<PasswordHash> {
    let password = first_line("--user-password-file", file)?;
    let hash = sha512_simple(&password, &Sha512Params::default());
    let hash = hash.map_err(|error| anyhow!("hashing the password: {error:?}"))?;
    Ok(hash.parse()?)
}

fn public_keys(file: &Path) -> Result<Vec<String>> {
    let text = std::fs::read_to_string(file).with_context(|| format!("--ssh-key {}", file.display()))?;
    if text.contains("PRIVATE KEY") {
        bail!(
            "--ssh-key {0}: this is a private key, which must not leave this computer; give {0}.pub",
            file.display()
        );
    }
    let lines = text
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty() && !line.starts_with('#'));
    let keys: Vec<String> = lines.map(str::to_owned).collect();
    let is_key = |line: &String| {
        let kinds = ["ssh-", "ecdsa-", "sk-ssh-", "sk-ecdsa-"];
        line.split(' ')
            .any(|word| kinds.iter().any(|kind| word.starts_with(kind)))
    };
    if keys.is_empty() || !keys.iter().all(is_key) {
        bail!(
            "--ssh-key {}: this is not a public key file; its lines start with ssh-ed25519 or the like",
            file.display()
        );
    }
    Ok(keys)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(hostname: Option<&str>, user: Option<&str>) -> Options {
        Options {
            hostname: hostname.map(str::to_owned),
            user: user.map(str::to_owned),
            ..Options::default()
        }
    }

    #[test]
    fn options_that_cannot_be_used_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let file = |name: &str, text: &str| {
            let path = folder.path().join(name);
            std::fs::write(&path, text).unwrap();
            path
        };
        let key = |path: PathBuf| Options {
            ssh_key: vec![path],
            ..options(None, Some("pi"))
        };
        let hash = |hash: &str| Options {
            user_password_hash: Some(hash.to_owned()),
            ..options(None, Some("pi"))
        };
        let password = |path: PathBuf| Options {
            user_password_file: Some(path),
            ..options(None, Some("pi"))
        };
        for (options, expected) in [
            (
                options(Some("a_b"), None),
                "--hostname: 'a_b' is not a host name: 1 to 63 letters",
            ),
            (
                options(None, Some("pi")),
                "--user pi alone could not log in: add --ssh-key",
            ),
            (
                hash("Ünsafe \"$6\" word"),
                "--user-password-hash: the password hash is not one",
            ),
            (
                key(file("id", "-----BEGIN OPENSSH PRIVATE KEY-----")),
                "--ssh-key ",
            ),
            (key(file("text", "hello\n")), "--ssh-key "),
            (key(folder.path().join("absent")), "--ssh-key "),
            (password(file("empty", "\n")), "--user-password-file "),
        ] {
            let message = format!("{:#}", options.check().unwrap_err());
            assert!(message.starts_with(expected), "{message}");
            assert!(!message.contains("nsafe"), "{message}");
        }
        let wanted = password(file("password", "ä'\"$`\\ &/\n")).check().unwrap();
        let hash = wanted.user.unwrap().password_hash.unwrap();
        assert!(sha_crypt::sha512_check("ä'\"$`\\ &/", hash.as_str()).is_ok());
    }
}
