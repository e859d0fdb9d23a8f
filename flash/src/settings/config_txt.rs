//! Single settings of `config.txt`, the file that the firmware reads.

use anyhow::{Result, bail};

/// These may be there many times: another one does not take the place of those before it.
const REPEATED: [&str; 5] = ["dtoverlay", "dtparam", "gpio", "hdmi_cvt", "include"];
/// The firmware reads no further.
const LINE_MAX: usize = 98;

/// Reads `KEY=VALUE`.
pub(super) fn setting(text: &str) -> Result<(String, String)> {
    let (key, value) = text.split_once('=').unwrap_or((text, ""));
    let key = key.trim();
    let sound = |c: char| c.is_ascii_alphanumeric() || "_:@-".contains(c);
    if key.is_empty() || !key.chars().all(sound) || value.contains(char::is_control) || !text.contains('=') {
        bail!("--config-txt {text}: say it as in config.txt, such as gpu_mem=16");
    }
    if text.len() > LINE_MAX {
        bail!("--config-txt {text}: the firmware reads only {LINE_MAX} characters of a line");
    }
    Ok((key.to_owned(), value.to_owned()))
}

/// The text with this setting for all models, in place of the one that it has, or at the end.
pub(super) fn with(text: &str, key: &str, value: &str) -> String {
    let end = if text.contains("\r\n") { "\r\n" } else { "\n" };
    let setting = format!("{key}={value}");
    let mut for_all = true;
    let mut found = false;
    let mut new = String::new();
    for line in text.split_inclusive('\n') {
        let trimmed = line.trim();
        if trimmed.starts_with('[') {
            for_all = trimmed.eq_ignore_ascii_case("[all]");
        }
        let same = match REPEATED.contains(&key) {
            true => trimmed == setting,
            false => trimmed
                .split_once('=')
                .is_some_and(|(known, _)| known.trim() == key),
        };
        if for_all && same {
            found = true;
            new.push_str(&format!("{setting}{end}"));
        } else {
            new.push_str(line);
        }
    }
    if !found {
        let gap = if new.is_empty() || new.ends_with('\n') {
            ""
        } else {
            end
        };
        // What was set before under a filter is set again for all.
        let filter = if for_all {
            String::new()
        } else {
            format!("[all]{end}")
        };
        new.push_str(&format!("{gap}{filter}{setting}{end}"));
    }
    new
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_setting_is_for_all_models() {
        for (old, (key, value), new) in [
            ("", ("gpu_mem", "16"), "gpu_mem=16\n"),
            (
                "# gpu_mem=8\r\ngpu_mem=64\r\nx=1",
                ("gpu_mem", "16"),
                "# gpu_mem=8\r\ngpu_mem=16\r\nx=1",
            ),
            (
                "[pi4]\ngpu_mem=64\n",
                ("gpu_mem", "16"),
                "[pi4]\ngpu_mem=64\n[all]\ngpu_mem=16\n",
            ),
            (
                "dtparam=audio=on\n",
                ("dtparam", "spi=on"),
                "dtparam=audio=on\ndtparam=spi=on\n",
            ),
            (
                "dtparam=spi=on\n[pi3]",
                ("dtparam", "spi=on"),
                "dtparam=spi=on\n[pi3]",
            ),
        ] {
            assert_eq!(with(old, key, value), new, "{old:?}");
        }
    }

    #[test]
    fn what_the_firmware_would_not_read_is_refused() {
        assert_eq!(setting("a=b=c").unwrap(), ("a".to_owned(), "b=c".to_owned()));
        for bad in [
            "gpu_mem",
            "=1",
            "a b=1",
            "a=1\nb=2",
            &format!("a={}", "x".repeat(99)),
        ] {
            assert!(
                setting(bad).unwrap_err().to_string().starts_with("--config-txt "),
                "{bad}"
            );
        }
    }
}
