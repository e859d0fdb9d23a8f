//! Commands on a node through its serial console: slower than SSH and open to what kernel and services write in
//! between, but there without a network.

use std::io::{ErrorKind, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::credentials::Credentials;
use crate::ssh::Output;

/// What the shell asks with once this has it.
const PROMPT: &str = "lab-ready> ";
/// Longest wait for a login: the first one on an emulated Pi reads the password's hash for seconds.
const LOGIN: Duration = Duration::from_secs(90);
/// How long a silent console is waited for before it is asked again.
const SILENCE: Duration = Duration::from_secs(10);

/// A console with somebody logged in.
pub struct Serial {
    stream: UnixStream,
    seen: String,
}

/// What a console waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wants {
    Name,
    Password,
    OurCommand,
    Command,
}

impl Serial {
    /// Logs in, or goes on where an earlier connection was.
    ///
    /// # Errors
    /// When there is no console, or no login succeeds on it in time.
    pub fn login(socket: &Path, credentials: &Credentials) -> Result<Self> {
        let stream = UnixStream::connect(socket)
            .with_context(|| format!("attaching to the console at {}", socket.display()))?;
        stream.set_read_timeout(Some(Duration::from_millis(200)))?;
        let mut serial = Self {
            stream,
            seen: String::new(),
        };
        let start = Instant::now();
        serial.send("")?;
        while start.elapsed() < LOGIN {
            let wants = serial.until(SILENCE, Wants::at_end)?;
            serial.seen.clear();
            match wants {
                Some(Wants::OurCommand) => return Ok(serial),
                Some(Wants::Name) => serial.send(&credentials.user)?,
                Some(Wants::Password) => serial.send(&credentials.password)?,
                // Broken in two: the echo of this line is not the prompt.
                Some(Wants::Command) => serial.send("PS1='lab-''ready> '; stty -echo cols 1000")?,
                None => serial.send("")?,
            }
        }
        bail!("nobody could log in on the console within {} s", LOGIN.as_secs())
    }

    /// Runs a shell command. Standard error comes with standard output.
    ///
    /// # Errors
    /// When it takes longer than `patience`.
    pub fn run(&mut self, command: &str, patience: Duration) -> Result<Output> {
        self.seen.clear();
        self.send(&format!(
            "echo lab-''begin; {{ {command}\n}} 2>&1; echo lab-''end $?:"
        ))?;
        match self.until(patience, read_output)? {
            Some(output) => Ok(output),
            None => bail!("'{command}' is not done after {} s", patience.as_secs()),
        }
    }

    fn send(&mut self, line: &str) -> Result<()> {
        self.stream
            .write_all(format!("{line}\r").as_bytes())
            .context("writing to the console")
    }

    fn until<T>(&mut self, patience: Duration, look: impl Fn(&str) -> Option<T>) -> Result<Option<T>> {
        let start = Instant::now();
        let mut buffer = [0; 4096];
        while start.elapsed() < patience {
            match self.stream.read(&mut buffer) {
                Ok(0) => bail!("the machine behind the console has gone"),
                Ok(length) => self.seen += &String::from_utf8_lossy(&buffer[..length]),
                // Only when nothing more comes is the end of the text the end.
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    if let Some(found) = look(&self.seen) {
                        return Ok(Some(found));
                    }
                }
                Err(error) => return Err(error).context("reading the console"),
            }
        }
        Ok(None)
    }
}

impl Wants {
    fn at_end(text: &str) -> Option<Self> {
        let marks = [
            (" login: ", Self::Name),
            ("Password: ", Self::Password),
            (PROMPT, Self::OurCommand),
            ("$ ", Self::Command),
        ];
        let found = marks.into_iter().find(|(mark, _)| text.ends_with(mark));
        found.map(|(_, wants)| wants)
    }
}

fn read_output(text: &str) -> Option<Output> {
    let (_, rest) = text.split_once("lab-begin\r\n")?;
    let (stdout, rest) = rest.split_once("lab-end ")?;
    let (status, _) = rest.split_once(':')?;
    Some(Output {
        status: status.parse().ok()?,
        stdout: stdout.replace("\r\n", "\n"),
        stderr: String::new(),
    })
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixListener;

    use super::*;

    #[test]
    fn logs_in_and_runs_a_command_past_a_console_that_talks() {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("console");
        let listener = UnixListener::bind(&socket).unwrap();
        let node = std::thread::spawn(move || {
            let (mut node, _) = listener.accept().unwrap();
            let script = [
                ("", "\r\npi login: "),
                ("lab", "Password: "),
                ("secret", "\r\nWelcome\r\nlab@pi:~$ "),
                ("PS1=", "\r\n[ 9.0] usb 1-1: new device\r\nlab-ready> "),
                ("echo", "lab-begin\r\none\r\ntwo\r\n"),
                ("}", "lab-end 3:\r\nlab-ready> "),
            ];
            let mut typed = Vec::new();
            for (expected, answer) in script {
                typed.clear();
                let mut byte = [0];
                while typed.last().is_none_or(|last| !b"\r\n".contains(last)) {
                    node.read_exact(&mut byte).unwrap();
                    typed.extend(byte);
                }
                let line = String::from_utf8_lossy(&typed);
                assert!(line.starts_with(expected), "{line}");
                node.write_all(answer.as_bytes()).unwrap();
            }
            node
        });
        let credentials = Credentials {
            user: "lab".to_owned(),
            password: "secret".to_owned(),
            password_file: "".into(),
            private_key: "".into(),
            public_key: "".into(),
            config_home: "".into(),
        };
        let mut serial = Serial::login(&socket, &credentials).unwrap();
        let output = serial.run("some command", Duration::from_secs(5)).unwrap();
        assert_eq!((output.status, output.stdout.as_str()), (3, "one\ntwo\n"));
        node.join().unwrap();
    }
}
