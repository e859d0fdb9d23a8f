//! Writes what passes a port to a file that tcpdump and tshark read: pcap, microseconds, Ethernet
//! (<https://www.ietf.org/archive/id/draft-ietf-opsawg-pcap-04.html>).

use std::fs::OpenOptions;
use std::io::{BufWriter, Write};
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};

const MAGIC: u32 = 0xa1b2_c3d4;
const LINKTYPE_ETHERNET: u32 = 1;
/// Longest frame that is kept whole.
const SNAP_LENGTH: u32 = 65_535;

/// An open capture.
#[derive(Debug)]
pub struct Capture<W: Write> {
    out: W,
}

impl Capture<BufWriter<std::fs::File>> {
    /// Starts a new capture file; one that exists is replaced.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn create(path: &Path) -> Result<Self> {
        let file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .open(path)
            .with_context(|| format!("creating the capture {}", path.display()))?;
        let mut capture = Self::new(BufWriter::new(file))?;
        capture.flush()?;
        Ok(capture)
    }
}

impl<W: Write> Capture<W> {
    /// Starts a capture on any writer.
    ///
    /// # Errors
    /// When the header cannot be written.
    pub fn new(mut out: W) -> Result<Self> {
        out.write_all(&MAGIC.to_le_bytes())?;
        out.write_all(&[2, 0, 4, 0])?; // version 2.4
        out.write_all(&[0; 8])?; // time zone and accuracy: always 0
        out.write_all(&SNAP_LENGTH.to_le_bytes())?;
        out.write_all(&LINKTYPE_ETHERNET.to_le_bytes())?;
        Ok(Self { out })
    }

    /// Adds a frame; `at` is the time since 1970.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write(&mut self, at: Duration, frame: &[u8]) -> Result<()> {
        let length = u32::try_from(frame.len()).unwrap_or(u32::MAX);
        let kept = length.min(SNAP_LENGTH);
        // The format's seconds are 32 bits, unsigned: good until 2106.
        let seconds = u32::try_from(at.as_secs()).unwrap_or(u32::MAX);
        for word in [seconds, at.subsec_micros(), kept, length] {
            self.out.write_all(&word.to_le_bytes())?;
        }
        let kept = usize::try_from(kept).unwrap_or(frame.len());
        self.out.write_all(frame.get(..kept).unwrap_or(frame))?;
        Ok(())
    }

    /// Hands all written frames to the file.
    ///
    /// # Errors
    /// When they cannot be written.
    pub fn flush(&mut self) -> Result<()> {
        Ok(self.out.flush()?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tcpdump_reads_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("port.pcap");
        let mut capture = Capture::create(&path).unwrap();
        let mut frame = vec![0xff; 6];
        frame.extend([2, 0, 0, 0, 0, 1, 0x81, 0, 0, 200, 0x08, 0x06]);
        frame.extend([
            0, 1, 8, 0, 6, 4, 0, 1, 2, 0, 0, 0, 0, 1, 10, 0, 0, 1, 0, 0, 0, 0, 0, 0, 10, 0, 0, 2,
        ]);
        capture
            .write(Duration::new(1_700_000_000, 123_456_789), &frame)
            .unwrap();
        capture.flush().unwrap();
        let output = std::process::Command::new("tcpdump")
            .args(["-nn", "-e", "-tt", "-r"])
            .arg(&path)
            .output()
            .expect("tcpdump is needed: apt-get install tcpdump");
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(
            text.starts_with("1700000000.123456 02:00:00:00:00:01 > ff:ff:ff:ff:ff:ff"),
            "{text}"
        );
        assert!(text.contains("vlan 200"), "{text}");
        assert!(text.contains("who-has 10.0.0.2 tell 10.0.0.1"), "{text}");
    }
}
