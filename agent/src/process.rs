//! Runs a program and gives what it says line by line: bounded in length and time, and ended when nobody reads any more.

use std::path::Path;
use std::process::Stdio;
use std::sync::OnceLock;
use std::time::Duration;

use futures_util::{Stream, stream};
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::{Child, Command};
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout_at};

/// Longer lines are cut into several.
const LINE_MAX: usize = 16 * 1024;
/// Of all that a program says; then it is ended.
const OUTPUT_MAX: usize = 16 * 1024 * 1024;
/// Lines that wait to be read.
const QUEUE: usize = 64;
/// Starts programs for us.
const SYSTEMD_RUN: &str = "/usr/bin/systemd-run";
/// The exit status of what did not end in time, as `timeout` has it.
const TIMED_OUT: i32 = 124;
/// The exit status of what cannot be started, as the shell has it.
const NOT_FOUND: i32 = 127;

/// What a program said, or its end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Said {
    /// A line on stdout.
    Stdout(String),
    /// A line on stderr.
    Stderr(String),
    /// Its exit status, or 128 and the signal that ended it; always the last.
    Exit(i32),
}

/// A program of the system, with all rights of root even where the agent has given up most of its own: systemd starts it.
pub fn as_root(command: &[String], limit: Duration) -> Command {
    let (program, arguments) = command
        .split_first()
        .map_or(("true", &[][..]), |(first, rest)| (first.as_str(), rest));
    if !systemd_can() {
        let mut command = Command::new(program);
        command.args(arguments);
        return command;
    }
    let mut run = Command::new(SYSTEMD_RUN);
    run.args(["--quiet", "--pipe", "--wait", "--collect"]);
    run.arg(format!("--property=RuntimeMaxSec={}", limit.as_secs().max(1)));
    run.arg("--").arg(program).args(arguments);
    run
}

/// Whether systemd runs here and passes on what a program says, which it does since 235: jessie's does not. There the
/// program has the agent's own rights.
fn systemd_can() -> bool {
    static CAN: OnceLock<bool> = OnceLock::new();
    *CAN.get_or_init(|| {
        let help = || std::process::Command::new(SYSTEMD_RUN).arg("--help").output();
        let knows = |output: std::process::Output| String::from_utf8_lossy(&output.stdout).contains("--pipe");
        Path::new("/run/systemd/system").is_dir() && help().is_ok_and(knows)
    })
}

/// Starts it. The stream's end, or dropping it, ends the program too.
pub fn run(mut command: Command, limit: Duration) -> impl Stream<Item = Said> + Send {
    let (sender, receiver) = mpsc::channel(QUEUE);
    command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    let until = Instant::now() + limit;
    tokio::spawn(async move {
        let work = async {
            match command.spawn() {
                Ok(child) => follow(child, until, &sender).await,
                Err(error) => {
                    let program = command.as_std().get_program().to_string_lossy().into_owned();
                    let _ = sender.send(Said::Stderr(format!("{program}: {error}"))).await;
                    NOT_FOUND
                }
            }
        };
        tokio::select! {
            status = work => drop(sender.send(Said::Exit(status)).await),
            // Nobody reads any more: with this future the program ends.
            () = sender.closed() => {}
        }
    });
    stream::unfold(receiver, |mut receiver| async move {
        Some((receiver.recv().await?, receiver))
    })
}

async fn follow(mut child: Child, until: Instant, sender: &mpsc::Sender<Said>) -> i32 {
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    let said = async {
        tokio::join!(
            lines(stdout, Said::Stdout, sender),
            lines(stderr, Said::Stderr, sender)
        )
    };
    let whole = async {
        let (out, err) = said.await;
        (out && err, child.wait().await)
    };
    let (complaint, status) = match timeout_at(until, whole).await {
        Ok((true, Ok(status))) => (None, code(status)),
        Ok((false, _)) => (Some("it said too much and was ended".to_owned()), 1),
        Ok((true, Err(error))) => (Some(error.to_string()), 1),
        Err(_) => (Some("it did not end in time and was ended".to_owned()), TIMED_OUT),
    };
    if let Some(complaint) = complaint {
        let _ = child.start_kill();
        let _ = sender.send(Said::Stderr(complaint)).await;
    }
    status
}

fn code(status: std::process::ExitStatus) -> i32 {
    use std::os::unix::process::ExitStatusExt;
    status
        .code()
        .unwrap_or_else(|| 128 + status.signal().unwrap_or_default())
}

/// Passes on lines until the end; whether there were not too many.
async fn lines(
    stream: Option<impl AsyncRead + Unpin>,
    make: impl Fn(String) -> Said,
    sender: &mpsc::Sender<Said>,
) -> bool {
    let Some(mut stream) = stream else { return true };
    let (mut buffer, mut chunk, mut total) = (Vec::new(), [0; 4096], 0);
    let text = |bytes: &[u8]| make(String::from_utf8_lossy(bytes).trim_end_matches('\r').to_owned());
    loop {
        let count = stream.read(&mut chunk).await.unwrap_or_default();
        total += count;
        if count == 0 || total > OUTPUT_MAX {
            break;
        }
        buffer.extend_from_slice(&chunk[..count]);
        while let Some(end) = buffer.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = buffer.drain(..=end).collect();
            if sender.send(text(&line[..end])).await.is_err() {
                return true;
            }
        }
        if buffer.len() > LINE_MAX && sender.send(text(&std::mem::take(&mut buffer))).await.is_err() {
            return true;
        }
    }
    if !buffer.is_empty() {
        let _ = sender.send(text(&buffer)).await;
    }
    total <= OUTPUT_MAX
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::StreamExt;

    async fn said(script: &str, limit: Duration) -> Vec<Said> {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        run(command, limit).collect().await
    }

    const LONG: Duration = Duration::from_secs(60);

    #[tokio::test]
    async fn what_a_program_says_comes_line_by_line_and_then_its_status() {
        let out = |line: &str| Said::Stdout(line.to_owned());
        assert_eq!(
            said("echo a; printf b; exit 3", LONG).await,
            [out("a"), out("b"), Said::Exit(3)]
        );
        assert_eq!(
            said("echo a >&2", LONG).await,
            [Said::Stderr("a".to_owned()), Said::Exit(0)]
        );
        assert_eq!(said("kill -9 $$", LONG).await, [Said::Exit(137)]);
        let said: Vec<_> = run(Command::new("/no/such"), LONG).collect().await;
        assert_eq!(said.last(), Some(&Said::Exit(NOT_FOUND)));
    }

    #[tokio::test]
    async fn who_goes_on_for_ever_or_says_too_much_is_ended() {
        let said_late = said("echo a; exec sleep 1000", Duration::from_secs(1)).await;
        assert_eq!(said_late.last(), Some(&Said::Exit(TIMED_OUT)), "{said_late:?}");
        let endless = said("exec cat /dev/zero", LONG).await;
        assert_eq!(endless.last(), Some(&Said::Exit(1)));
        let longest = endless.iter().map(|said| match said {
            Said::Stdout(line) => line.len(),
            _ => 0,
        });
        assert!(longest.max() <= Some(LINE_MAX + 4096));
    }

    #[tokio::test]
    async fn when_nobody_reads_any_more_the_program_ends() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("pid");
        let script = format!("echo $$ > {0}; echo started; exec sleep 1000", file.display());
        let mut command = Command::new("sh");
        command.args(["-c", &script]);
        let mut lines = Box::pin(run(command, LONG));
        assert_eq!(lines.next().await, Some(Said::Stdout("started".to_owned())));
        drop(lines);
        let pid = std::fs::read_to_string(&file).unwrap();
        let proc = std::path::PathBuf::from(format!("/proc/{}/cmdline", pid.trim()));
        for _ in 0..600 {
            // A zombie has no command line.
            if std::fs::read(&proc).unwrap_or_default().is_empty() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("it still runs");
    }
}
