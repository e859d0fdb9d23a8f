//! A node's serial console: what its log tells of the boot, and a person's terminal attached to it.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::path::Path;

use anyhow::{Context, Result};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::termios::{SetArg, Termios, cfmakeraw, tcgetattr, tcsetattr};

/// How far a boot has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    /// Nothing was written yet.
    PowerOn,
    /// The kernel runs.
    Kernel,
    /// The system's services start.
    Services,
    /// The node does what only a new card needs.
    FirstBoot,
    /// Somebody could log in.
    Login,
}

impl Stage {
    /// The stage that a console's text shows.
    pub fn of(text: &str) -> Self {
        // What a quiet kernel says first is different from board to board: any word means that it runs.
        let marks = [
            (Self::Login, " login:"),
            (Self::FirstBoot, "first boot: "),
            (Self::Services, "Welcome to"),
            (Self::Services, "systemd[1]:"),
            (Self::Kernel, ""),
        ];
        let text = text.trim();
        marks
            .into_iter()
            .find(|(_, mark)| !text.is_empty() && text.contains(mark))
            .map_or(Self::PowerOn, |(stage, _)| stage)
    }
}

impl std::fmt::Display for Stage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::PowerOn => "power on",
            Self::Kernel => "kernel",
            Self::Services => "services",
            Self::FirstBoot => "first boot",
            Self::Login => "login",
        })
    }
}

/// The text of a console's log from an offset on; empty when there is none yet.
///
/// # Errors
/// When the log is there but cannot be read.
pub fn read_log(path: &Path, from: u64) -> Result<String> {
    let mut bytes = Vec::new();
    match File::open(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(String::new()),
        other => other
            .and_then(|mut file| {
                file.seek(SeekFrom::Start(from))?;
                file.read_to_end(&mut bytes)
            })
            .with_context(|| format!("reading {}", path.display()))?,
    };
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// Ctrl-], as telnet has it.
pub const ESCAPE: u8 = 0x1d;

/// Attaches the terminal to a console until [`ESCAPE`] is typed, the input ends or the machine goes.
///
/// # Errors
/// When there is no console there, or the terminal fails.
pub fn attach(socket: &Path) -> Result<()> {
    let mut console = UnixStream::connect(socket)
        .with_context(|| format!("attaching to the console at {}", socket.display()))?;
    let _raw = RawTerminal::enter();
    let (input, mut output) = (std::io::stdin(), std::io::stdout());
    let mut buffer = [0; 4096];
    loop {
        let readable = PollFlags::POLLIN;
        let mut wanted = [
            PollFd::new(input.as_fd(), readable),
            PollFd::new(console.as_fd(), readable),
        ];
        poll(&mut wanted, PollTimeout::NONE).context("waiting for the console")?;
        let [typed, said] = wanted.map(|fd| fd.any().unwrap_or(true));
        if said {
            let length = console.read(&mut buffer).context("reading the console")?;
            if length == 0 {
                return Ok(());
            }
            output.write_all(&buffer[..length])?;
            output.flush()?;
        }
        if typed {
            // Not through Stdin's buffer, which poll knows nothing of.
            let length = nix::unistd::read(&input, &mut buffer).context("reading the terminal")?;
            let text = &buffer[..length];
            let end = text.iter().position(|&byte| byte == ESCAPE);
            console.write_all(&text[..end.unwrap_or(length)])?;
            if length == 0 || end.is_some() {
                return Ok(());
            }
        }
    }
}

/// A terminal that hands every key on; as before when dropped. Nothing happens where the input is no terminal.
struct RawTerminal(Option<Termios>);

impl RawTerminal {
    fn enter() -> Self {
        let input = std::io::stdin();
        let before = tcgetattr(&input).ok();
        if let Some(before) = &before {
            let mut raw = before.clone();
            cfmakeraw(&mut raw);
            let _ = tcsetattr(&input, SetArg::TCSANOW, &raw);
        }
        Self(before)
    }
}

impl Drop for RawTerminal {
    fn drop(&mut self) {
        if let Some(before) = &self.0 {
            let _ = tcsetattr(std::io::stdin(), SetArg::TCSANOW, before);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tells_how_far_a_boot_has_come() {
        for (text, expected) in [
            ("", "power on"),
            ("\r\n", "power on"),
            ("[    0.014900] CPU0: Spectre v2", "kernel"),
            ("CPU0\r\n[    9.0] systemd[1]: Hostname set", "services"),
            ("CPU0\r\nWelcome to Debian", "services"),
            (
                "Welcome to Debian\r\nfirst boot: hostname done (0.1 s): x",
                "first boot",
            ),
            ("Welcome to Debian\r\nfirst boot: x\r\ncl-node-1 login: ", "login"),
        ] {
            assert_eq!(Stage::of(text).to_string(), expected);
        }
    }

    #[test]
    fn reads_the_log_of_the_present_boot_only() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        assert_eq!(read_log(&path, 0).unwrap(), "");
        std::fs::write(&path, b"first\xff second").unwrap();
        assert_eq!(read_log(&path, 6).unwrap(), " second");
    }
}
