//! Cards that are inserted while `flash` waits. The reader is a loop device, which has no medium while its file is empty.

use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::image::{Image, MIB, on_card};
use crate::system::Loop;
use crate::tools::{CONFIG_HOME, flash, run};

/// For what takes a moment on a free machine.
const SOON: Duration = Duration::from_secs(60);

/// `flash` in the background, ended with the test.
struct Running(Child);

impl Running {
    fn new(arguments: &[&str]) -> Self {
        let child = Command::new(env!("CARGO_BIN_EXE_flash"))
            .args(arguments)
            .env("XDG_CONFIG_HOME", CONFIG_HOME)
            .env_remove("SUDO_UID")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn();
        Self(child.unwrap())
    }

    /// The first line that it says to scripts.
    fn first_line(&mut self) -> String {
        use std::io::{BufRead, BufReader};
        let mut line = String::new();
        // Only the test's own events are short enough to be read one by one without losing some.
        BufReader::with_capacity(1, self.0.stdout.as_mut().unwrap())
            .read_line(&mut line)
            .unwrap();
        line
    }

    fn end(mut self) -> bool {
        let started = Instant::now();
        loop {
            if let Some(status) = self.0.try_wait().unwrap() {
                return status.success();
            }
            assert!(started.elapsed() < SOON, "it does not end");
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Puts a card of that size into the reader.
fn insert(device: &Loop, file: &str, length: usize) {
    std::fs::File::options()
        .write(true)
        .open(file)
        .unwrap()
        .set_len(length as u64)
        .unwrap();
    run("losetup", &["-c", &device.0]);
}

#[test]
fn the_card_that_is_inserted_is_taken() {
    let image = Image::new();
    let file = image.file("reader", b"");
    let device = Loop::new(&file);
    let name = device.0.trim_start_matches("/dev/");
    let source = image.name("card.img");
    let mut waiting = Running::new(&["--json", "--yes", "--hostname", "n1", "--reader", name, &source]);
    assert_eq!(
        waiting.first_line(),
        "{\"event\":\"waiting\",\"hostname\":\"n1\"}\n"
    );
    insert(&device, &file, 24 * MIB);
    assert!(waiting.end());
    assert!(on_card(&device.0, "user-data").ends_with("hostname: n1\n"));
}

#[test]
fn one_that_was_there_before_is_not() {
    let image = Image::new();
    let file = image.used_card("card", 24 * MIB);
    let device = Loop::new(&file);
    let name = device.0.trim_start_matches("/dev/");
    let source = image.name("card.img");
    let mut waiting = Running::new(&["--json", "--yes", "--reader", name, &source]);
    assert!(waiting.first_line().contains("waiting"));
    // Four times as long as it takes to look.
    std::thread::sleep(Duration::from_secs(1));
    assert!(waiting.0.try_wait().unwrap().is_none());
    drop(waiting);
    assert!(std::fs::read(&file).unwrap()[600] == 0xaa);
}

#[test]
fn what_a_desktop_has_mounted_is_unmounted() {
    let image = Image::new();
    let file = image.file("card", &vec![0; 24 * MIB]);
    run("mkfs.ext4", &["-q", &file]);
    let device = Loop::new(&file);
    let point = AutoMount::new(&device.0);
    let (path, source) = (point.0.as_str(), image.name("card.img"));
    let outcome = flash(&["--dry-run", "--device", &device.0, &source]);
    assert!(
        outcome.stdout.contains(&format!(", mounted at {path})")),
        "{}",
        outcome.stdout
    );
    assert!(
        run("findmnt", &["-n", path]).contains(path),
        "a dry run leaves it mounted"
    );
    let outcome = flash(&["--yes", "--hostname", "n1", "--device", &device.0, &source]);
    assert!(outcome.success, "{}", outcome.stderr);
    assert!(on_card(&device.0, "user-data").ends_with("hostname: n1\n"));
}

/// A device mounted where desktops do it.
struct AutoMount(String);

impl AutoMount {
    fn new(device: &str) -> Self {
        let folder = format!("/media/flash-test-{}", std::process::id());
        std::fs::create_dir_all(&folder).unwrap();
        let this = Self(folder);
        run("mount", &[device, &this.0]);
        this
    }
}

impl Drop for AutoMount {
    fn drop(&mut self) {
        let _ = Command::new("/usr/bin/umount").args(["-q", &self.0]).status();
        let _ = std::fs::remove_dir(&self.0);
    }
}
