//! What every boot test stands on: the built image, a lab of its own that ends with it, and a report line per statement.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use lab::card::Flasher;
use lab::folder::Folder;
use lab::interrupt::Interrupt;
use lab::lab::Lab;
use lab::machine::Machine;
use lab::node_status::NodeStatus;
use lab::watch::until_roles_taken;

/// A loaded machine with two processors boots two nodes in two to three minutes.
pub(crate) const PATIENCE: Duration = Duration::from_secs(600);

/// A board whose emulation hangs now and then is given so long, so often.
const SHAKY: Duration = Duration::from_secs(270);
const RETRIES: usize = 3;

/// Lines of a console that a failed test shows.
const LAST_LINES: usize = 40;

/// Two emulated machines fill two processors: never more than one test.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

/// Says what was seen, and when.
pub(crate) struct Report {
    name: &'static str,
    start: Instant,
}

/// A lab for one test.
pub(crate) struct Bed {
    pub(crate) report: Report,
    pub(crate) lab: Lab,
    pub(crate) flasher: Flasher,
}

/// Runs a test; when it fails, says why and where its traces are.
pub(crate) fn run(name: &'static str, test: impl FnOnce(Report) -> Result<()>) {
    let _one = ONE_AT_A_TIME
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner);
    let report = Report {
        name,
        start: Instant::now(),
    };
    report.say("begins");
    let folder = report.folder();
    match test(report) {
        Ok(()) => {
            // Cards are large, and nobody will look at them.
            let _ = std::fs::remove_dir_all(folder.join("cards"));
        }
        Err(error) => panic!(
            "{name}: {error:#}\n{}consoles, captures and cards are kept in {}",
            last_words(&folder),
            folder.display()
        ),
    }
}

/// The end of every console.
fn last_words(folder: &Path) -> String {
    let logs = std::fs::read_dir(folder.join("consoles"));
    let logs = logs.into_iter().flatten().flatten().map(|entry| entry.path());
    let mut text = String::new();
    for log in logs {
        let bytes = std::fs::read(&log).unwrap_or_default();
        let words = String::from_utf8_lossy(&bytes);
        let lines: Vec<_> = words.lines().collect();
        let last = lines[lines.len().saturating_sub(LAST_LINES)..].join("\n");
        text += &format!("--- the last of {}:\n{last}\n---\n", log.display());
    }
    text
}

impl Report {
    /// A line with the seconds since the test began. Past the test harness, which would keep it until the end.
    pub(crate) fn say(&self, line: &str) {
        let seconds = self.start.elapsed().as_secs();
        let _ = writeln!(std::io::stderr(), "{:>4} s  {}: {line}", seconds, self.name);
    }

    /// Notes that a statement holds.
    ///
    /// # Errors
    /// When it does not; `seen` is what was seen instead.
    pub(crate) fn check(&self, statement: &str, holds: bool, seen: impl std::fmt::Debug) -> Result<()> {
        if !holds {
            self.say(&format!("FAIL {statement}"));
            bail!("not so: {statement}; seen: {seen:?}");
        }
        self.say(&format!("ok   {statement}"));
        Ok(())
    }

    /// Where the test keeps its things.
    pub(crate) fn folder(&self) -> PathBuf {
        workspace().join("target/lab/boot-tests").join(self.name)
    }
}

impl Bed {
    /// A lab with the network on, and a card for each node made by the real `flash`.
    pub(crate) fn new(report: Report, machine: Machine, nodes: u8) -> Result<Self> {
        let flasher = Flasher {
            program: named(
                "CLUSTER_LAB_FLASH",
                "target/debug/flash",
                "cargo build --package flash",
            )?,
            image: named(
                "CLUSTER_LAB_IMAGE",
                "target/lab/cluster-lab.img.zip",
                "ci/build-image",
            )?,
            card_size: 4 << 30,
        };
        let names: Vec<_> = (1..=nodes).map(|number| format!("cl-node-{number}")).collect();
        let folder = Folder::create(&report.folder())?;
        let mut lab = Lab::create(folder, env!("CARGO_BIN_EXE_lab").into(), machine, &names)?;
        lab.tie_to_this_thread();
        lab.flash(&flasher, &Interrupt::default(), |_, _| {})?;
        report.say(&format!("{nodes} cards written by flash"));
        lab.start_network()?;
        Ok(Self { report, lab, flasher })
    }

    /// Switches nodes on at the same moment and waits for their roles.
    pub(crate) fn power_on(&mut self, names: &[&str]) -> Result<Vec<NodeStatus>> {
        for name in names {
            self.lab.power_on(name)?;
        }
        self.report.say(&format!("power on: {}", names.join(", ")));
        self.roles(names)
    }

    /// Switches one node on and waits for its role; a machine that says nothing more is switched off and on again, up to
    /// [`RETRIES`] times. For boards whose emulation hangs now and then, whatever runs on them (QEMU's Pi 2: its kernel
    /// stops all processors to change its own code, and they wait for each other without end): what a first boot has
    /// done by then counts.
    pub(crate) fn power_on_a_shaky_board(&mut self, name: &str) -> Result<Vec<NodeStatus>> {
        for _ in 0..RETRIES {
            self.lab.power_on(name)?;
            self.report.say(&format!("power on: {name}"));
            match self.roles_within(&[name], SHAKY) {
                Ok(roles) => return Ok(roles),
                Err(error) => self.report.say(&format!("off and on again: {error:#}")),
            }
            self.lab.power_cut(name)?;
        }
        self.power_on(&[name])
    }

    /// Waits for the roles of nodes that are on.
    pub(crate) fn roles(&self, names: &[&str]) -> Result<Vec<NodeStatus>> {
        self.roles_within(names, PATIENCE)
    }

    fn roles_within(&self, names: &[&str], patience: Duration) -> Result<Vec<NodeStatus>> {
        let names: Vec<_> = names.iter().map(|&name| name.to_owned()).collect();
        let tell = |news: lab::watch::News| self.report.say(&format!("     {}: {}", news.node, news.line));
        let ready = until_roles_taken(&self.lab, &names, patience, &Interrupt::default(), tell)?;
        Ok(ready.into_iter().map(|ready| ready.status).collect())
    }

    /// Asks again and again until something is so, `None` meaning not yet.
    ///
    /// # Errors
    /// When it is not so in time; `what` names it.
    pub(crate) fn until<T>(
        &self,
        what: &str,
        patience: Duration,
        mut ask: impl FnMut(&Lab) -> Result<Option<T>>,
    ) -> Result<T> {
        let start = Instant::now();
        loop {
            if let Some(answer) = ask(&self.lab)? {
                return Ok(answer);
            }
            if start.elapsed() > patience {
                bail!("not so after {} s: {what}", patience.as_secs());
            }
            std::thread::sleep(Duration::from_millis(500));
        }
    }
}

/// A file that an environment variable names, or the usual one.
///
/// # Errors
/// When it is not there; `remedy` is the command that makes it.
pub(crate) fn named(variable: &str, usual: &str, remedy: &str) -> Result<PathBuf> {
    let path = std::env::var_os(variable).map_or_else(|| workspace().join(usual), PathBuf::from);
    if !path.exists() {
        bail!(
            "{} is not there: make it with {remedy}, or name another with {variable}",
            path.display()
        );
    }
    Ok(path)
}

fn workspace() -> &'static Path {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    package.parent().unwrap_or(package)
}
