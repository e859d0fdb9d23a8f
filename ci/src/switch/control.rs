//! How the lab talks to its switch: one JSON object per line over a Unix stream socket, one answer line each.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::net::Ipv4Addr;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};

use super::frame::Mac;

/// What the lab asks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "command", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Request {
    /// The state of all ports.
    Show,
    /// Unplug a port, or plug it in again.
    SetCut {
        /// Name of the port.
        port: String,
        /// Whether nothing shall pass.
        cut: bool,
    },
}

/// What the switch answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Answer {
    /// The state after the request.
    State(State),
    /// The request could not be done; one line.
    Error(String),
}

/// All that the switch knows.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct State {
    /// By number.
    pub ports: Vec<PortState>,
    /// Uplink addresses that the router granted.
    pub leases: BTreeMap<Mac, Ipv4Addr>,
}

/// One port.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct PortState {
    /// `uplink`, or the node's name.
    pub name: String,
    /// Unplugged.
    pub cut: bool,
    /// Frames that came in.
    pub frames_in: u64,
    /// Frames that left.
    pub frames_out: u64,
    /// Frames that were lost because the machine behind the port did not take them.
    pub lost: u64,
}

/// Longest time that a switch may take for an answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// Asks the switch that listens on `socket`.
///
/// # Errors
/// When no switch answers there, or it refuses the request.
pub fn ask(socket: &Path, request: &Request) -> Result<State> {
    let doing = || format!("asking the lab's switch at {}", socket.display());
    let mut stream = UnixStream::connect(socket).with_context(doing)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let line = serde_json::to_string(request)? + "\n";
    stream.write_all(line.as_bytes()).with_context(doing)?;
    let mut answer = String::new();
    BufReader::new(stream)
        .read_line(&mut answer)
        .with_context(doing)?;
    match serde_json::from_str(&answer).with_context(doing)? {
        Answer::State(state) => Ok(state),
        Answer::Error(reason) => bail!("{}: {reason}", doing()),
    }
}
