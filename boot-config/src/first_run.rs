//! Settings for Raspberry Pi OS (bullseye to trixie of 2025-10), which has no settings file of its own: a script on
//! the boot partition that the kernel command line starts once, before the first real start.
//!
//! The script uses the system's own programs where they are, and plain files where not. Every value is quoted: it is
//! data, whatever characters it has.

use crate::{Country, Hostname, Locale, TimeZone, Uplink, User, Wifi};

/// Name of the script on the boot partition.
pub const FIRST_RUN_FILE: &str = "firstrun.sh";

/// Bookworm and later mount the boot partition at /boot/firmware; their first-boot program corrects this path, as
/// Raspberry Pi Imager relies on.
const START: &str =
    "systemd.run=/boot/firstrun.sh systemd.run_success_action=reboot systemd.unit=kernel-command-line.target";
/// What prepares the card at the very first start, and takes itself out of the command line then.
const PREPARATIONS: [&str; 2] = [
    "init=/usr/lib/raspberrypi-sys-mods/firstboot",
    "init=/usr/lib/raspi-config/init_resize.sh",
];

/// What the script sets.
#[derive(Clone, Copy, Debug, Default)]
pub struct FirstRun<'a> {
    /// Name of the node.
    pub hostname: Option<&'a Hostname>,
    /// The account; the first one of the system is renamed to it.
    pub user: Option<&'a User>,
    /// The wireless network, with its key as access points compute it, in 64 hexadecimal digits.
    pub wifi: Option<(&'a Wifi, Option<&'a str>)>,
    /// Where its channels are used.
    pub country: Option<&'a Country>,
    /// The time zone.
    pub time_zone: Option<&'a TimeZone>,
    /// The locale.
    pub locale: Option<&'a Locale>,
    /// The address of the wired interface.
    pub uplink: Option<&'a Uplink>,
}

impl FirstRun<'_> {
    /// Whether an image with this kernel command line is a Raspberry Pi OS before its first start, and has no such
    /// script yet.
    pub fn is_understood(command_line: &str) -> bool {
        let mut words = command_line.split_whitespace();
        let prepares = words.clone().any(|word| PREPARATIONS.contains(&word));
        prepares && !words.any(|word| word.starts_with("systemd.run="))
    }

    /// The kernel command line that starts the script. It stays one line, and ends as before.
    pub fn command_line(command_line: &str) -> String {
        let first = command_line.lines().next().unwrap_or_default().trim_end();
        let rest = &command_line[first.len()..];
        format!("{first} {START}{rest}")
    }

    /// The text of the script.
    pub fn script(&self) -> String {
        let Self {
            hostname,
            user,
            wifi,
            country,
            time_zone,
            locale,
            uplink,
        } = self;
        let mut script = String::from(HEAD);
        if let Some(hostname) = hostname {
            script.push_str(&format!("hostname={}\n{HOSTNAME}", quoted(hostname.as_str())));
        }
        if let Some(user) = user {
            let User {
                name,
                password_hash,
                ssh_authorized_keys: keys,
            } = user;
            // `*` is no hash of any password: the account is for keys then.
            let hash = password_hash.as_ref().map_or("*", |hash| hash.as_str());
            let keys: Vec<String> = keys.iter().map(|key| quoted(key)).collect();
            let keys = keys.join(" ");
            script.push_str(if keys.is_empty() { SSH } else { "" });
            if !keys.is_empty() {
                script.push_str(&format!("set -- {keys}\n{KEYS}"));
            }
            let (name, hash) = (quoted(name.as_str()), quoted(hash));
            script.push_str(&format!("user={name}\nhash={hash}\n{USER}"));
        }
        if let Some((wifi, key)) = wifi {
            let values = [
                wifi.ssid.as_str(),
                key.unwrap_or_default(),
                country.map_or("", |country| country.as_str()),
            ];
            let [ssid, key, country] = values.map(quoted);
            script.push_str(&format!("ssid={ssid}\npsk={key}\ncountry={country}\n{WIFI}"));
        }
        if let Some(zone) = time_zone {
            script.push_str(&format!("zone={}\n{TIME_ZONE}", quoted(zone.as_str())));
        }
        if let Some(locale) = locale {
            script.push_str(&format!("locale={}\n{LOCALE}", quoted(locale.as_str())));
        }
        if let Some(Uplink {
            address,
            gateway,
            dns,
        }) = uplink
        {
            let dns: Vec<String> = dns.iter().map(ToString::to_string).collect();
            let gateway = gateway.map_or(String::new(), |gateway| gateway.to_string());
            let (gateway, dns) = (quoted(&gateway), quoted(&dns.join(" ")));
            script.push_str(&format!(
                "address='{address}'\ngateway={gateway}\ndns={dns}\n{UPLINK}"
            ));
        }
        script.push_str(TAIL);
        script
    }
}

const HEAD: &str = r#"#!/bin/sh
# Made by flash. Runs once, before the first start of the system, and removes itself.
set +e
custom=/usr/lib/raspberrypi-sys-mods/imager_custom
first=$(getent passwd 1000 | cut -d: -f1)
home=$(getent passwd 1000 | cut -d: -f6)
"#;

const HOSTNAME: &str = r#"if [ -x "$custom" ]; then
    "$custom" set_hostname "$hostname"
else
    printf '%s\n' "$hostname" >/etc/hostname
    sed -i "s/^127\.0\.1\.1.*/127.0.1.1\t$hostname/" /etc/hosts
fi
"#;

const SSH: &str = r#"if [ -x "$custom" ]; then
    "$custom" enable_ssh
else
    systemctl enable ssh
fi
"#;

const KEYS: &str = r#"if [ -x "$custom" ]; then
    "$custom" enable_ssh -k "$@"
else
    install -d -m 700 -o "$first" "$home/.ssh"
    printf '%s\n' "$@" >"$home/.ssh/authorized_keys"
    chmod 600 "$home/.ssh/authorized_keys"
    chown "$first" "$home/.ssh/authorized_keys"
    systemctl enable ssh
fi
"#;

const USER: &str = r#"if [ -x /usr/lib/userconf-pi/userconf ]; then
    /usr/lib/userconf-pi/userconf "$user" "$hash"
else
    printf '%s:%s\n' "$first" "$hash" | chpasswd -e
    if [ "$first" != "$user" ]; then
        usermod -l "$user" "$first"
        usermod -m -d "/home/$user" "$user"
        groupmod -n "$user" "$first"
        sed -i "s/^$first /$user /" /etc/sudoers.d/010_pi-nopasswd
    fi
fi
"#;

/// `wpa_supplicant` takes a key of 64 digits without quotes, and a name as hexadecimal digits.
const WIFI: &str = r#"if [ -x "$custom" ]; then
    "$custom" set_wlan "$ssid" "$psk" "$country"
else
    hex=$(printf '%s' "$ssid" | od -An -tx1 | tr -d ' \n')
    {
        printf 'ctrl_interface=DIR=/var/run/wpa_supplicant GROUP=netdev\nupdate_config=1\n'
        [ -z "$country" ] || printf 'country=%s\n' "$country"
        printf 'network={\n\tssid=%s\n' "$hex"
        if [ -n "$psk" ]; then printf '\tpsk=%s\n' "$psk"; else printf '\tkey_mgmt=NONE\n'; fi
        printf '}\n'
    } >/etc/wpa_supplicant/wpa_supplicant.conf
    chmod 600 /etc/wpa_supplicant/wpa_supplicant.conf
    rfkill unblock wifi
fi
"#;

const TIME_ZONE: &str = r#"if [ -x "$custom" ]; then
    "$custom" set_timezone "$zone"
else
    printf '%s\n' "$zone" >/etc/timezone
    ln -sf "/usr/share/zoneinfo/$zone" /etc/localtime
fi
"#;

const LOCALE: &str = r#"printf '%s %s\n' "$locale" "${locale#*.}" >>/etc/locale.gen
locale-gen
printf 'LANG=%s\n' "$locale" >/etc/default/locale
"#;

/// With NetworkManager (bookworm and later) a profile, with dhcpcd a section at the end of its file.
const UPLINK: &str = r#"profiles=/etc/NetworkManager/system-connections
if [ -d $profiles ]; then
    {
        printf '[connection]\nid=uplink\ntype=ethernet\ninterface-name=eth0\nautoconnect-priority=10\n\n'
        printf '[ipv4]\nmethod=manual\naddress1=%s%s\n' "$address" "${gateway:+,$gateway}"
        [ -z "$dns" ] || printf 'dns=%s;\n' "$(printf '%s' "$dns" | tr ' ' ';')"
    } >$profiles/uplink.nmconnection
    chmod 600 $profiles/uplink.nmconnection
else
    {
        printf '\ninterface eth0\nstatic ip_address=%s\n' "$address"
        [ -z "$gateway" ] || printf 'static routers=%s\n' "$gateway"
        [ -z "$dns" ] || printf 'static domain_name_servers=%s\n' "$dns"
    } >>/etc/dhcpcd.conf
fi
"#;

const TAIL: &str = r"for boot in /boot/firmware /boot; do
    [ -f $boot/firstrun.sh ] || continue
    sed -i -e 's/ systemd\.run=[^ ]*//' -e 's/ systemd\.run_success_action=[^ ]*//' \
        -e 's/ systemd\.unit=kernel-command-line\.target//' $boot/cmdline.txt
    rm -f $boot/firstrun.sh
done
exit 0
";

/// A word of the shell that is this text and nothing else.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::proptest;
    use std::process::Command;

    const BOOKWORM: &str =
        "console=tty1 root=PARTUUID=1-02 rootwait quiet init=/usr/lib/raspberrypi-sys-mods/firstboot\n";

    fn shell(script: &str) -> String {
        let output = Command::new("/bin/sh").args(["-c", script]).output();
        let output = output.expect("/bin/sh can be run");
        assert!(
            output.status.success(),
            "{script}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8(output.stdout).unwrap()
    }

    #[test]
    fn the_command_line_stays_one_line() {
        for (end, line) in [
            ("\n", BOOKWORM),
            ("", BOOKWORM.trim_end()),
            ("\r\n", &BOOKWORM.replace('\n', "\r\n")),
        ] {
            let new = FirstRun::command_line(line);
            assert_eq!(new, format!("{} {START}{end}", BOOKWORM.trim_end()));
            assert!(FirstRun::is_understood(line) && !FirstRun::is_understood(&new));
        }
        assert!(!FirstRun::is_understood(
            "console=tty1 root=/dev/mmcblk0p2 rootwait"
        ));
    }

    /// What the script does is seen by the system's programs, which are stand-ins here that write down their words.
    #[test]
    fn the_systems_programs_get_the_values_as_they_are() {
        let key = "ssh-ed25519 AAAA Jürgen's \"key\" & / $HOME \\ `id` $(id)";
        let user = User {
            name: "pi".parse().unwrap(),
            password_hash: Some("$6$salt$ha/sh.".parse().unwrap()),
            ssh_authorized_keys: vec![key.to_owned(), "ssh-rsa B".to_owned()],
        };
        let hostname = "cl-node-1".parse().unwrap();
        let zone = "Europe/Berlin".parse().unwrap();
        let wifi = Wifi {
            ssid: "Käpt'n & \"$x\" `y`".parse().unwrap(),
            key: None,
        };
        let first_run = FirstRun {
            hostname: Some(&hostname),
            user: Some(&user),
            wifi: Some((&wifi, Some("0f0f"))),
            time_zone: Some(&zone),
            ..FirstRun::default()
        };
        let recorder = "record() { printf '%s|' \"$@\"; echo; }\n";
        let script = first_run
            .script()
            .replace("[ -x \"$custom\" ]", "true")
            .replace("[ -x /usr/lib/userconf-pi/userconf ]", "true")
            .replace("    \"$custom\"", "    record custom")
            .replace("    /usr/lib/userconf-pi/userconf", "    record userconf")
            .replace("/boot", "/nonexistent");
        assert_eq!(
            shell(&format!("{recorder}{script}")),
            format!(
                "custom|set_hostname|cl-node-1|\ncustom|enable_ssh|-k|{key}|ssh-rsa B|\nuserconf|pi|$6$salt$ha/sh.|\n\
                 custom|set_wlan|Käpt'n & \"$x\" `y`|0f0f||\ncustom|set_timezone|Europe/Berlin|\n"
            )
        );
    }

    #[test]
    fn without_the_systems_programs_its_files_are_written() {
        let folder = std::env::temp_dir().join(format!("first-run-files-{}", std::process::id()));
        for inner in ["wpa_supplicant", "default", "NetworkManager/system-connections"] {
            std::fs::create_dir_all(folder.join(inner)).unwrap();
        }
        let gateway = "192.168.1.1".parse().ok();
        let uplink = Uplink::new("192.168.1.20/24", gateway, vec!["9.9.9.9".parse().unwrap()]).unwrap();
        let (country, locale) = ("DE".parse().unwrap(), "de_DE.UTF-8".parse().unwrap());
        let wifi = Wifi {
            ssid: "ä\"$x".parse().unwrap(),
            key: None,
        };
        let first_run = FirstRun {
            wifi: Some((&wifi, Some("0f0f"))),
            country: Some(&country),
            locale: Some(&locale),
            uplink: Some(&uplink),
            ..FirstRun::default()
        };
        let etc = folder.to_str().unwrap();
        let script = first_run
            .script()
            .replace("/etc/", &format!("{etc}/"))
            .replace("locale-gen\n", "true\n")
            .replace("rfkill unblock wifi", "true")
            .replace("[ -x \"$custom\" ]", "false")
            .replace("/boot", "/nonexistent");
        shell(&script);
        let read = |name: &str| std::fs::read_to_string(folder.join(name)).unwrap();
        let (wpa, locales, profile) = (
            read("wpa_supplicant/wpa_supplicant.conf"),
            read("locale.gen"),
            read("NetworkManager/system-connections/uplink.nmconnection"),
        );
        std::fs::remove_dir_all(&folder).unwrap();
        assert!(
            wpa.ends_with("country=DE\nnetwork={\n\tssid=c3a4222478\n\tpsk=0f0f\n}\n"),
            "{wpa}"
        );
        assert_eq!(locales, "de_DE.UTF-8 UTF-8\n");
        assert!(
            profile.ends_with("[ipv4]\nmethod=manual\naddress1=192.168.1.20/24,192.168.1.1\ndns=9.9.9.9;\n"),
            "{profile}"
        );
    }

    #[test]
    fn the_script_takes_itself_away() {
        let folder = std::env::temp_dir().join(format!("first-run-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join("cmdline.txt"), FirstRun::command_line(BOOKWORM)).unwrap();
        let script = FirstRun::default().script();
        std::fs::write(folder.join(FIRST_RUN_FILE), &script).unwrap();
        shell(&script.replace("/boot/firmware /boot", folder.to_str().unwrap()));
        let command_line = std::fs::read_to_string(folder.join("cmdline.txt")).unwrap();
        let gone = !folder.join(FIRST_RUN_FILE).exists();
        std::fs::remove_dir_all(&folder).unwrap();
        assert_eq!(command_line, BOOKWORM);
        assert!(gone);
    }

    proptest! {
        #![proptest_config(proptest::test_runner::Config::with_cases(50))]
        #[test]
        fn the_shell_takes_any_text_as_one_word(text in "[^\u{0}]{0,40}") {
            assert_eq!(shell(&format!("printf %s {}", quoted(&text))), text);
        }
    }
}
