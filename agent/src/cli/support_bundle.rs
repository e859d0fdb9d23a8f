//! `cluster-lab support-bundle`: what somebody who helps must know, in one text file that can be read before it is sent.

use std::fmt::Write;
use std::path::PathBuf;
use std::process::{Command, ExitCode};

use anyhow::Context;
use serde_json::Value;

use super::daemon::{Daemon, Socket, print};
use crate::durable;
use crate::paths::Paths;
use crate::secret::{self, Found};

const EXAMPLES: &str = "Examples:
  sudo cluster-lab support-bundle                     writes cluster-lab-support.txt
  sudo cluster-lab support-bundle --output -          prints it
  sudo cluster-lab exec -- cluster-lab support-bundle --output /tmp/support.txt

Secrets are taken out: the cluster secret, join tokens, passwords and their hashes, keys, login tokens. Read the file
before you send it all the same.";

/// Of each program's output.
const OUTPUT_MAX: usize = 400_000;

/// Each is looked at; one that is not there is said to be missing.
const PROGRAMS: [&str; 14] = [
    "uname -a",
    "uptime",
    "cat /etc/os-release",
    "cat /proc/cpuinfo",
    "free -m",
    "df -h",
    "ip -details addr",
    "ip route",
    "timeout 20 docker version",
    "timeout 20 docker info",
    "timeout 20 docker ps --all",
    "timeout 20 docker node ls",
    "journalctl --no-pager --boot --lines=1500 --unit=cluster-lab --unit=cluster-lab-first-boot",
    "journalctl --no-pager --boot --lines=500 --unit=docker",
];

/// Settings, which have no secrets besides those that are taken out.
const FILES: [&str; 4] = [
    "/etc/cluster-lab/cluster.toml",
    "/boot/firmware/cluster-lab.toml",
    "/boot/cluster-lab.toml",
    "/usr/lib/cluster-lab/image.toml",
];

/// Arguments of `support-bundle`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// Where to write it; `-` for stdout
    #[arg(long, short, value_name = "FILE", default_value = "cluster-lab-support.txt")]
    output: PathBuf,
    #[command(flatten)]
    socket: Socket,
}

pub(super) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let mut text = args
        .socket
        .run(|daemon| async move { anyhow::Ok(of_daemon(&daemon).await) })?;
    for file in FILES {
        if let Ok(content) = std::fs::read_to_string(file) {
            section(&mut text, file, &content);
        }
    }
    for words in PROGRAMS {
        section(&mut text, words, &output(words));
    }
    let secret = match secret::read(&Paths::default().secret()) {
        Found::Secret(secret) => Some(secret.render()),
        Found::Nothing | Found::Damaged(_) => None,
    };
    let text = redact(&text, secret.as_deref().map(String::as_str));
    if args.output.as_os_str() == "-" {
        print(&text)?;
    } else {
        durable::write(&args.output, text.as_bytes(), 0o600, None)
            .with_context(|| format!("writing {}", args.output.display()))?;
        println!("{} (read it before you send it)", args.output.display());
    }
    Ok(ExitCode::SUCCESS)
}

async fn of_daemon(daemon: &Daemon) -> String {
    let mut text = format!(
        "cluster-lab {} at {}\n",
        env!("CARGO_PKG_VERSION"),
        daemon.socket().display()
    );
    for path in ["status", "nodes", "services", "tasks", "changes"] {
        let path = format!("/api/v1/{path}");
        let answer = daemon.get::<Value>(&path).await;
        let shown = answer.and_then(|value| Ok(serde_json::to_string_pretty(&value)?));
        section(
            &mut text,
            &path,
            &shown.unwrap_or_else(|error| format!("{error:#}")),
        );
    }
    text
}

fn section(text: &mut String, head: &str, content: &str) {
    let _ = write!(text, "\n===== {head} =====\n{}\n", content.trim_end());
}

fn output(words: &str) -> String {
    let mut words = words.split_whitespace();
    let output = Command::new(words.next().unwrap_or("true")).args(words).output();
    let Ok(output) = output else {
        return "(not installed)".to_owned();
    };
    let mut said = String::from_utf8_lossy(&output.stdout).into_owned();
    said.push_str(&String::from_utf8_lossy(&output.stderr));
    let start = said.len().saturating_sub(OUTPUT_MAX);
    let start = (start..=said.len())
        .find(|index| said.is_char_boundary(*index))
        .unwrap_or_default();
    said.split_off(start)
}

/// Takes out what nobody else may know.
fn redact(text: &str, secret: Option<&str>) -> String {
    const OUT: &str = "[taken out]";
    /// A line with one of these words, a separator and a value loses the value.
    const KEYS: [&str; 9] = [
        "password",
        "passwd",
        "psk",
        "secret",
        "token",
        "api_key",
        "api-key",
        "authorization",
        "private",
    ];
    let text = match secret.map(str::trim).filter(|secret| !secret.is_empty()) {
        Some(secret) => text.replace(secret, OUT),
        None => text.to_owned(),
    };
    let mut in_key = false;
    let mut clean = String::with_capacity(text.len());
    for line in text.lines() {
        if in_key || line.contains("-----BEGIN") && line.contains("PRIVATE KEY") {
            in_key = !(line.contains("-----END") && line.contains("PRIVATE KEY"));
            let _ = writeln!(clean, "{OUT}");
            continue;
        }
        let words = line.split_inclusive(char::is_whitespace);
        let line: String = words
            .map(|word| {
                if is_secret(word.trim()) {
                    format!("{OUT} ")
                } else {
                    word.to_owned()
                }
            })
            .collect();
        let lower = line.to_ascii_lowercase();
        let key = KEYS.iter().filter_map(|key| lower.find(key)).min();
        let value = key.and_then(|start| Some(start + line.get(start..)?.find(['=', ':'])? + 1));
        match value {
            // "trust": "secret" of the status, and sentences, have no value behind the word.
            Some(start) if !line[start..].trim().is_empty() => {
                let _ = writeln!(clean, "{}{OUT}", &line[..start]);
            }
            _ => {
                let _ = writeln!(clean, "{}", line.trim_end());
            }
        }
    }
    clean
}

/// Tokens of Swarm's, hashes of passwords, logins in addresses.
fn is_secret(word: &str) -> bool {
    let hash = word.trim_matches(['"', '\'', ',']);
    let of_user = word.split_once("://").and_then(|(_, rest)| rest.split_once('@'));
    word.contains("SWMTKN-")
        || ["$1$", "$5$", "$6$", "$y$", "$2b$"]
            .iter()
            .any(|start| hash.starts_with(start))
        || of_user.is_some_and(|(user, _)| user.contains(':') && !user.contains('/'))
        || word.contains("#login=")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_taken_out_and_the_rest_is_left() {
        let secret = "cluster-secret-1-abcdef";
        let dirty = [
            "hostname = \"cl-node-1\"",
            "password-hash = \"$6$salt$abc\"",
            "psk=hunter2",
            "saw cluster-secret-1-abcdef here",
            "docker swarm join --token SWMTKN-1-aaa-bbb 192.168.200.1:2377",
            "proxy http://me:hunter2@proxy.example:3128/",
            "image registry.example:5000/web@sha256:0f",
            "-----BEGIN PRIVATE KEY-----",
            "hunter2",
            "-----END PRIVATE KEY-----",
            "open http://192.168.200.1/#login=hunter2",
            "Authorization: Bearer hunter2",
            "  \"trust\": \"open-lab\",",
            "192.168.200.20 was refused as a member",
        ];
        let clean = redact(&dirty.join("\n"), Some(secret));
        for gone in ["hunter2", "$6$", "abcdef", "SWMTKN"] {
            assert!(!clean.contains(gone), "{gone}: {clean}");
        }
        for kept in [
            "cl-node-1",
            "registry.example:5000/web@sha256:0f",
            "\"trust\": \"open-lab\"",
            "was refused",
            "3128",
        ] {
            let kept = if kept == "3128" { "proxy [taken out]" } else { kept };
            assert!(clean.contains(kept), "{kept}: {clean}");
        }
        assert_eq!(clean.lines().count(), dirty.len());
    }
}
