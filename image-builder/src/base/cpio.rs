//! Writes cpio archives in the "newc" form that the kernel unpacks as its initramfs
//! (Documentation/driver-api/early-userspace/buffer-format.rst). Same entries, same bytes.

/// An archive being written.
#[derive(Debug, Default)]
pub(super) struct Archive {
    bytes: Vec<u8>,
    entries: u32,
}

impl Archive {
    pub(super) fn folder(&mut self, path: &str) {
        self.entry(path, 0o040_755, &[], (0, 0));
    }

    /// `mode` is the permission bits.
    pub(super) fn file(&mut self, path: &str, mode: u32, content: &[u8]) {
        self.entry(path, 0o100_000 | mode, content, (0, 0));
    }

    pub(super) fn symlink(&mut self, path: &str, target: &str) {
        self.entry(path, 0o120_777, target.as_bytes(), (0, 0));
    }

    pub(super) fn character_device(&mut self, path: &str, major: u32, minor: u32) {
        self.entry(path, 0o020_600, &[], (major, minor));
    }

    pub(super) fn finish(mut self) -> Vec<u8> {
        self.entries = 0;
        self.entry("TRAILER!!!", 0, &[], (0, 0));
        self.bytes
    }

    fn entry(&mut self, path: &str, mode: u32, content: &[u8], device: (u32, u32)) {
        self.entries += 1;
        let name = path.len() as u32 + 1;
        let links = 1;
        let (owner, group, time, check) = (0, 0, 0, 0);
        let (size, (major, minor)) = (content.len() as u32, device);
        self.bytes.extend_from_slice(b"070701");
        for field in [
            self.entries,
            mode,
            owner,
            group,
            links,
            time,
            size,
            0,
            0,
            major,
            minor,
            name,
            check,
        ] {
            self.bytes.extend_from_slice(format!("{field:08x}").as_bytes());
        }
        self.bytes.extend_from_slice(path.as_bytes());
        self.bytes.push(0);
        self.pad();
        self.bytes.extend_from_slice(content);
        self.pad();
    }

    fn pad(&mut self) {
        let padded = self.bytes.len().next_multiple_of(4);
        self.bytes.resize(padded, 0);
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;
    use std::process::{Command, Stdio};

    use super::*;

    #[test]
    fn the_reference_cpio_reads_it() {
        let mut archive = Archive::default();
        archive.folder("bin");
        archive.file("bin/tool", 0o755, b"12345");
        archive.symlink("bin/sh", "tool");
        archive.character_device("console", 5, 1);
        let bytes = archive.finish();
        let mut cpio = Command::new("cpio")
            .args(["-itv", "--numeric-uid-gid", "--quiet"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("cpio is needed: apt-get install cpio");
        cpio.stdin.take().unwrap().write_all(&bytes).unwrap();
        let output = cpio.wait_with_output().unwrap();
        assert!(output.status.success());
        let listing = String::from_utf8(output.stdout).unwrap();
        let listing: Vec<_> = listing
            .lines()
            .map(|line| line.split_whitespace().collect::<Vec<_>>())
            .collect();
        let [folder, file, link, device] = listing.as_slice() else {
            panic!("{listing:?}")
        };
        assert_eq!((folder[0], *folder.last().unwrap()), ("drwxr-xr-x", "bin"));
        assert_eq!(
            (file[0], file[4], *file.last().unwrap()),
            ("-rwxr-xr-x", "5", "bin/tool")
        );
        assert_eq!((link[0], *link.last().unwrap()), ("lrwxrwxrwx", "tool"));
        assert_eq!((device[0], device[4], device[5]), ("crw-------", "5,", "1"));
    }
}
