//! Loop devices and mounts that go away with the test, also when it fails.

use std::path::Path;
use std::process::Command;

use tempfile::TempDir;

use crate::tools::run;

/// A loop device over a file.
pub(crate) struct Loop(pub(crate) String);

impl Loop {
    pub(crate) fn new(file: &str) -> Self {
        Self(run("losetup", &["-f", "--show", file]).trim().to_owned())
    }
}

impl Drop for Loop {
    fn drop(&mut self) {
        let _ = Command::new("/usr/sbin/losetup").args(["-d", &self.0]).status();
    }
}

/// A mounted file system.
pub(crate) struct Mount(pub(crate) TempDir);

impl Mount {
    pub(crate) fn new(kind: &str, options: &str, source: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        run(
            "mount",
            &["-t", kind, "-o", options, source, folder.path().to_str().unwrap()],
        );
        Self(folder)
    }

    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        let _ = Command::new("/usr/bin/umount").arg(self.0.path()).status();
    }
}
