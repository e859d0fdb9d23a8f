//! Which files of an image say what is wanted, found out from the files that the image has.

use std::time::SystemTime;

use anyhow::{Context, Result, anyhow, bail};
use boot_config::{
    CloudInit, EarlyHypriot, FILE_NAME, FIRST_RUN_FILE, FirstRun, ForeignFormat, Layer, Preseed, kernel_word,
    with_instance_id,
};
use disk_image::timestamp::Timestamp;

use super::{Edits, Wanted, config_txt};

/// The kernel command line on the boot partition of a Raspberry Pi.
const COMMAND_LINE: &str = "cmdline.txt";
const USER_DATA: &str = "user-data";
const META_DATA: &str = "meta-data";
const NETWORK_CONFIG: &str = "network-config";
const CONFIG_TXT: &str = "config.txt";
const FAKE_CLOCK: &str = "fake-hwclock.data";

/// A setting, by the option that asks for it, that no file says yet.
const HOSTNAME: &str = "--hostname";
const USER: &str = "--user";
const WIFI: &str = "--ssid";
const COUNTRY: &str = "--wifi-country";
const UPLINK: &str = "--uplink-address";
const TIME_ZONE: &str = "--time-zone";
const LOCALE: &str = "--locale";
const CLUSTER_LAB: &str = "--clusterlab";

/// The boot partition as it will be.
struct Draft<R> {
    read: R,
    edits: Edits,
    open: Vec<&'static str>,
}

impl<R: FnMut(&str) -> Result<Option<Vec<u8>>>> Draft<R> {
    fn bytes(&mut self, name: &str) -> Result<Option<Vec<u8>>> {
        let edited = self
            .edits
            .iter()
            .find(|(edited, _)| edited.eq_ignore_ascii_case(name));
        match edited {
            Some((_, bytes)) => Ok(Some(bytes.clone())),
            None => (self.read)(name),
        }
    }

    fn text(&mut self, name: &str) -> Result<Option<String>> {
        let bytes = self.bytes(name)?.map(String::from_utf8).transpose();
        bytes.map_err(|_| anyhow!("{name} of the image is not UTF-8 text, so nothing can be set in it"))
    }

    fn put(&mut self, name: &str, text: impl Into<Vec<u8>>) {
        let known = self.edits.keys().find(|known| known.eq_ignore_ascii_case(name));
        let name = known.cloned().unwrap_or_else(|| name.to_owned());
        self.edits.insert(name, text.into());
    }

    /// These are said now.
    fn done(&mut self, settings: &[&str]) {
        self.open.retain(|open| !settings.contains(open));
    }

    fn is_open(&self, setting: &str) -> bool {
        self.open.contains(&setting)
    }
}

impl Wanted {
    /// The files that say it, from those that the image has. `read` gives a file of the boot partition.
    ///
    /// # Errors
    /// When the image cannot take a setting.
    pub fn plan(&self, read: impl FnMut(&str) -> Result<Option<Vec<u8>>>) -> Result<Edits> {
        let mut draft = Draft {
            read,
            edits: Edits::new(),
            open: self.asked(),
        };
        if self.is_empty() {
            // Whatever the files of the image are, nothing is asked of them.
            return fake_clock(draft);
        }
        self.whole_files(&mut draft)?;
        self.foreign(&mut draft)?;
        self.cloud_init(&mut draft)?;
        self.preseed(&mut draft)?;
        self.own(&mut draft)?;
        self.country(&mut draft)?;
        self.first_run(&mut draft)?;
        if let Some(setting) = draft.open.first() {
            bail!(
                "{setting}: this image would not read it, its boot partition has none of {}",
                readers(setting)
            );
        }
        self.config_txt(&mut draft)?;
        fake_clock(draft)
    }

    fn asked(&self) -> Vec<&'static str> {
        let Self {
            hostname,
            user,
            wifi,
            country,
            uplink,
            time_zone,
            locale,
            run_cluster_lab,
            config: _,
            config_txt: _,
            files: _,
        } = self;
        let asked = [
            (HOSTNAME, hostname.is_some()),
            (USER, user.is_some()),
            (WIFI, wifi.is_some()),
            (COUNTRY, country.is_some()),
            (UPLINK, uplink.is_some()),
            (TIME_ZONE, time_zone.is_some()),
            (LOCALE, locale.is_some()),
            (CLUSTER_LAB, run_cluster_lab.is_some()),
        ];
        let asked = asked.into_iter().filter(|(_, asked)| *asked);
        asked.map(|(setting, _)| setting).collect()
    }

    fn whole_files<R>(&self, draft: &mut Draft<R>) -> Result<()>
    where
        R: FnMut(&str) -> Result<Option<Vec<u8>>>,
    {
        // Of cloud-init's files, those alone that the image's cloud-init looks for.
        let has_cloud_init = draft.bytes(USER_DATA)?.is_some() || draft.bytes(META_DATA)?.is_some();
        for (name, option) in [
            (USER_DATA, "--userdata"),
            (META_DATA, "--metadata"),
            (NETWORK_CONFIG, "--network-config"),
        ] {
            if self.files.contains_key(name) && !has_cloud_init {
                bail!(
                    "{option}: this image would not read it, its boot partition has neither {USER_DATA} nor {META_DATA}"
                );
            }
        }
        draft.edits.clone_from(&self.files);
        if let Some(config) = &self.config {
            let early = [ForeignFormat::DeviceInit, ForeignFormat::Occidentalis];
            for name in early.map(ForeignFormat::file_name) {
                if draft.bytes(name)?.is_some() {
                    draft.put(name, config.clone());
                    return Ok(());
                }
            }
            bail!(
                "--config: this image would not read it, its boot partition has neither device-init.yaml nor occidentalis.txt"
            );
        }
        Ok(())
    }

    /// Hostname of all formats; wireless network and service of the early HypriotOS.
    fn foreign<R>(&self, draft: &mut Draft<R>) -> Result<()>
    where
        R: FnMut(&str) -> Result<Option<Vec<u8>>>,
    {
        for format in ForeignFormat::ALL {
            let name = format.file_name();
            let Some(mut text) = draft.text(name)? else {
                continue;
            };
            let of_image = || format!("{name} of the image");
            if let Some(hostname) = &self.hostname {
                text = format.with_hostname(&text, hostname).with_context(of_image)?;
                draft.done(&[HOSTNAME]);
            }
            let early = EarlyHypriot {
                wifi: self.wifi.as_ref().map(|network| &network.wifi),
                run_cluster_lab: self.run_cluster_lab,
            };
            if format != ForeignFormat::UserData {
                text = early.with_settings(format, &text).with_context(of_image)?;
                draft.done(&[WIFI, CLUSTER_LAB]);
            }
            if self
                .asked()
                .iter()
                .any(|asked| [HOSTNAME, WIFI, CLUSTER_LAB].contains(asked))
            {
                draft.put(name, text);
            }
        }
        Ok(())
    }

    fn cloud_init<R>(&self, draft: &mut Draft<R>) -> Result<()>
    where
        R: FnMut(&str) -> Result<Option<Vec<u8>>>,
    {
        let wifi = self.wifi.as_ref();
        let mut cloud_init = CloudInit {
            user: self.user.as_ref(),
            time_zone: self.time_zone.as_ref(),
            locale: self.locale.as_ref(),
            wifi: wifi.map(|network| (&network.wifi, network.digits.as_deref())),
            uplink: self.uplink.as_ref(),
        };
        if draft.bytes(FILE_NAME)?.is_some() {
            // The agent makes the account; two would fight over it.
            cloud_init.user = None;
        }
        let Some(text) = draft.text(USER_DATA)? else {
            return Ok(());
        };
        let new = cloud_init.user_data(&text);
        let asked = cloud_init.user.is_some() || self.time_zone.is_some() || self.locale.is_some();
        if asked {
            draft.put(
                USER_DATA,
                new.with_context(|| format!("{USER_DATA} of the image"))?,
            );
            draft.done(&[TIME_ZONE, LOCALE]);
            if cloud_init.user.is_some() {
                draft.done(&[USER]);
            }
        }
        let Some(text) = draft.text(NETWORK_CONFIG)? else {
            return Ok(());
        };
        if draft.is_open(WIFI) || draft.is_open(UPLINK) {
            let new = cloud_init.network_config(&text);
            draft.put(
                NETWORK_CONFIG,
                new.with_context(|| format!("{NETWORK_CONFIG} of the image"))?,
            );
            draft.done(&[WIFI, UPLINK]);
        }
        new_instance(draft)
    }

    fn preseed<R>(&self, draft: &mut Draft<R>) -> Result<()>
    where
        R: FnMut(&str) -> Result<Option<Vec<u8>>>,
    {
        let wanted = Preseed {
            hostname: self.hostname.as_ref(),
            user: self.user.as_ref(),
            wifi: self.wifi.as_ref().map(|network| &network.wifi),
            country: self.country.as_ref(),
            time_zone: self.time_zone.as_ref(),
        };
        let said = [HOSTNAME, USER, WIFI, COUNTRY, TIME_ZONE];
        if !self.asked().iter().any(|asked| said.contains(asked)) {
            return Ok(());
        }
        for name in Preseed::FILES {
            if let Some(text) = draft.text(name)? {
                let new = wanted.with_settings(&text);
                draft.put(name, new.with_context(|| format!("{name} of the image"))?);
                draft.done(&said);
            }
        }
        Ok(())
    }

    /// What the cluster's agent reads. Also put on cards of other images, for the agent that may come later.
    fn own<R>(&self, draft: &mut Draft<R>) -> Result<()>
    where
        R: FnMut(&str) -> Result<Option<Vec<u8>>>,
    {
        let own = draft.text(FILE_NAME)?;
        if own.is_some() {
            draft.done(&[HOSTNAME, USER]);
            if self.run_cluster_lab == Some(true) {
                draft.done(&[CLUSTER_LAB]);
            }
        }
        if self.hostname.is_none() && self.user.is_none() {
            return Ok(());
        }
        let layer = own.map(|text| boot_config::parse(FILE_NAME, &text)).transpose();
        let mut layer: Layer = layer.context("in the image")?.unwrap_or_default();
        layer.hostname = self.hostname.clone().or(layer.hostname);
        layer.user = self.user.clone().or(layer.user);
        draft.put(FILE_NAME, boot_config::render(&layer));
        Ok(())
    }

    /// The kernel itself is told, which all images have.
    fn country<R>(&self, draft: &mut Draft<R>) -> Result<()>
    where
        R: FnMut(&str) -> Result<Option<Vec<u8>>>,
    {
        let (Some(country), Some(line)) = (&self.country, draft.text(COMMAND_LINE)?) else {
            return Ok(());
        };
        let word = format!("cfg80211.ieee80211_regdom={}", country.as_str());
        draft.put(COMMAND_LINE, kernel_word(&line, &word));
        draft.done(&[COUNTRY]);
        Ok(())
    }

    /// Raspberry Pi OS without cloud-init: a script for all that nobody else has taken.
    fn first_run<R>(&self, draft: &mut Draft<R>) -> Result<()>
    where
        R: FnMut(&str) -> Result<Option<Vec<u8>>>,
    {
        let Some(line) = draft.text(COMMAND_LINE)? else {
            return Ok(());
        };
        if !FirstRun::is_understood(&line) || draft.open.is_empty() {
            return Ok(());
        }
        let (open, wifi) = (draft.open.clone(), self.wifi.as_ref());
        let if_open = |setting| open.contains(&setting);
        let first_run = FirstRun {
            hostname: self.hostname.as_ref().filter(|_| if_open(HOSTNAME)),
            user: self.user.as_ref().filter(|_| if_open(USER)),
            wifi: wifi
                .map(|network| (&network.wifi, network.digits.as_deref()))
                .filter(|_| if_open(WIFI)),
            country: self.country.as_ref(),
            time_zone: self.time_zone.as_ref().filter(|_| if_open(TIME_ZONE)),
            locale: self.locale.as_ref().filter(|_| if_open(LOCALE)),
            uplink: self.uplink.as_ref().filter(|_| if_open(UPLINK)),
        };
        draft.put(COMMAND_LINE, FirstRun::command_line(&line));
        draft.put(FIRST_RUN_FILE, first_run.script());
        draft.done(&[HOSTNAME, USER, WIFI, TIME_ZONE, LOCALE, UPLINK]);
        Ok(())
    }

    fn config_txt<R>(&self, draft: &mut Draft<R>) -> Result<()>
    where
        R: FnMut(&str) -> Result<Option<Vec<u8>>>,
    {
        if self.config_txt.is_empty() {
            return Ok(());
        }
        let mut text = draft.text(CONFIG_TXT)?.unwrap_or_default();
        for (key, value) in &self.config_txt {
            text = config_txt::with(&text, key, value);
        }
        draft.put(CONFIG_TXT, text);
        Ok(())
    }
}

/// A Pi has no clock: the system begins at the time that it finds there, or at one when its image was built.
fn fake_clock<R>(mut draft: Draft<R>) -> Result<Edits>
where
    R: FnMut(&str) -> Result<Option<Vec<u8>>>,
{
    if draft.bytes(FAKE_CLOCK)?.is_some() {
        draft.put(FAKE_CLOCK, format!("{}\n", Timestamp::from(SystemTime::now())));
    }
    Ok(draft.edits)
}

/// cloud-init does everything once for each instance. Ubuntu and Raspberry Pi OS also look for its id on the kernel
/// command line; the cloud-init of HypriotOS has no network-config and is left alone.
fn new_instance<R>(draft: &mut Draft<R>) -> Result<()>
where
    R: FnMut(&str) -> Result<Option<Vec<u8>>>,
{
    if draft.edits.contains_key(META_DATA) || draft.edits.is_empty() {
        return Ok(());
    }
    let Some(meta) = draft.text(META_DATA)? else {
        return Ok(());
    };
    let mut number = [0; 8];
    getrandom::fill(&mut number).context("asking the system for a random number")?;
    let id = format!("flash-{:016x}", u64::from_ne_bytes(number));
    let new = with_instance_id(&meta, &id).with_context(|| format!("{META_DATA} of the image"))?;
    draft.put(META_DATA, new);
    if let Some(line) = draft.text(COMMAND_LINE)?
        && !line.split_whitespace().any(|word| word.starts_with("ds="))
    {
        draft.put(COMMAND_LINE, kernel_word(&line, &format!("ds=nocloud;i={id}")));
    }
    Ok(())
}

/// Who would read a setting.
fn readers(setting: &str) -> String {
    let own = ForeignFormat::ALL.map(ForeignFormat::file_name).join(", ");
    match setting {
        HOSTNAME => format!("{FILE_NAME}, {own}, {}", Preseed::FILES.join(", ")),
        USER => format!("{FILE_NAME}, {USER_DATA}, {}", Preseed::FILES.join(", ")),
        WIFI => format!(
            "{NETWORK_CONFIG}, device-init.yaml, occidentalis.txt, {}",
            Preseed::FILES.join(", ")
        ),
        UPLINK => NETWORK_CONFIG.to_owned(),
        COUNTRY => COMMAND_LINE.to_owned(),
        TIME_ZONE => format!("{USER_DATA}, {}", Preseed::FILES.join(", ")),
        CLUSTER_LAB => "device-init.yaml".to_owned(),
        _ => USER_DATA.to_owned(),
    }
}

#[cfg(test)]
mod tests;
