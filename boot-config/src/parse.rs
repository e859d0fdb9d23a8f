//! Text to [`Layer`] and back. An error is one line: file, line, key, and what is allowed.

use crate::Layer;

/// A settings file that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{file} line {line}{}: {reason}", key.as_ref().map(|key| format!(" ({key})")).unwrap_or_default())]
pub struct ParseError {
    /// As given to [`parse`].
    pub file: String,
    /// From 1.
    pub line: usize,
    /// The key on that line, if there is one.
    pub key: Option<String>,
    /// What is wrong and what is allowed, on one line.
    pub reason: String,
}

/// Reads the text of a settings file. `file` names it in errors. A byte order mark and CRLF line ends, as editors
/// on other systems write them, are taken.
///
/// # Errors
/// On the first thing wrong; no part of the file is used then.
pub fn parse(file: &str, text: &str) -> Result<Layer, ParseError> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    toml::from_str(text).map_err(|error| {
        let at = error.span().map_or(0, |span| span.start.min(text.len()));
        let before = text.get(..at).unwrap_or_default();
        let line = before.matches('\n').count() + 1;
        let key = text.lines().nth(line - 1).and_then(|line| line.split_once('='));
        ParseError {
            file: file.to_owned(),
            line,
            key: key
                .map(|(key, _)| key.trim().to_owned())
                .filter(|key| !key.is_empty()),
            reason: error.message().split_whitespace().collect::<Vec<_>>().join(" "),
        }
    })
}

/// Writes a layer as [`parse`] reads it.
///
/// # Panics
/// Never: every layer has a TOML form.
#[expect(
    clippy::expect_used,
    reason = "all fields are strings, integers, lists and tables"
)]
pub fn render(layer: &Layer) -> String {
    let body = toml::to_string(layer).expect("a layer has a TOML form");
    format!("# Settings of this card. Read at every start of cluster-lab; edit here and reboot.\n{body}")
}

#[cfg(test)]
mod tests {
    use super::*;

    const FULL: &str = "version = 1\nhostname = \"cl-node-1\"\n\n[cluster]\nname = \"lab\"\nopen-lab = true\n\n[network]\n\
        interface = \"en*\"\nvlan = 201\nsubnet = \"10.1.0.0/16\"\nmaster-address = \"10.1.0.1\"\n\
        pool = \"10.1.0.2-10.1.1.0\"\ndomain = \"lab.internal\"\ndhcp-dns = true\ndhcp-router = \"10.1.0.254\"\nntp-without-internet = true\n\
        dns-forwarders = [\"9.9.9.9\"]\nprefer-master = true\nnever-master = false\n\n[network.reservations]\n\
        cl-node-9 = \"10.1.0.9\"\n\n[swarm]\nrebuild-after = 60\n\n[user]\nname = \"pi\"\npassword-hash = \"$6$salt$hash\"\n\
        ssh-authorized-keys = [\"ssh-ed25519 AAAA me\"]\n";

    #[test]
    fn what_is_rendered_is_read_back() {
        let layer = parse("f", FULL).unwrap();
        assert_eq!(parse("f", &render(&layer)), Ok(layer.clone()));
        assert!(render(&layer).ends_with(FULL), "{}", render(&layer));
    }

    #[test]
    fn files_saved_on_other_systems_are_read() {
        let text = format!("\u{feff}{}", FULL.replace('\n', "\r\n"));
        assert_eq!(parse("f", &text), parse("f", FULL));
    }

    #[test]
    fn an_error_names_file_line_key_and_what_is_allowed() {
        for (text, expected) in [
            (
                "hostname = \"a\"\n",
                "f line 1 (hostname): missing field `version`",
            ),
            (
                "version = 2\n",
                "f line 1 (version): version 2 of this file is not known here: only version 1 is",
            ),
            (
                "version = 1\nhostname = \"-\"\n",
                "f line 2 (hostname): '-' is not a host name: 1 to 63 letters",
            ),
            (
                "version = 1\n[network]\nvlan = 0\n",
                "f line 3 (vlan): 0 is not a VLAN: a number from 1 to 4094, or \"off\"",
            ),
            (
                "version = 1\n[network]\nvlan = true\n",
                "f line 3 (vlan): this value is not a VLAN: a number from",
            ),
            (
                "version = 1\nhost = \"a\"\n",
                "f line 2 (host): unknown field `host`, expected one of `version`, `hostname`",
            ),
            ("version = 1\nhostname\n", "f line 2: "),
            (
                "version = 1\n[network]\npool = \"1-2\"\n",
                "f line 3 (pool): '1-2' is not an address pool: FIRST-LAST",
            ),
            (
                "version = 1\n[swarm]\nrebuild-after = 1\n",
                "f line 3 (rebuild-after): 1 is not a wait in seconds: a number from 5 to 86400",
            ),
            (
                "version = 1\n[network]\npool = \"10.0.0.2-10.9.0.0\"\n",
                "f line 3 (pool): pool 10.0.0.2-10.9.0.0 has 589823 addresses: at most 1024 are allowed",
            ),
            (
                "version = 1\n[network]\ndomain = \"x.local\"\n",
                "f line 3 (domain): domain 'x.local' ends with 'local'",
            ),
            (
                "version = 1\n[network]\ndhcp-dns = \"yes\"\n",
                "f line 3 (dhcp-dns): invalid type: string \"yes\", expected a boolean",
            ),
            (
                "version = 1\n[network]\ndns-forwarders = [\"dns\"]\n",
                "f line 3 (dns-forwarders): 'dns' is not the address of a DNS server",
            ),
            (
                "version = 1\n[network.reservations]\nn1 = \"192.168.200.300\"\n",
                "f line 2: '192.168.200.300' is not an address to reserve for n1",
            ),
            ("\0\u{1}", "f line 1: "),
        ] {
            let message = parse("f", text).unwrap_err().to_string();
            assert!(message.starts_with(expected), "{message:?} for {text:?}");
            assert!(!message.contains('\n'), "{message:?}");
        }
    }
}
