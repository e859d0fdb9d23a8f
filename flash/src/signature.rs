//! What a partition holds, by the marks that file systems and volume managers leave: its label for people who look for a
//! card, and whether it belongs to something that spans several disks and may not be in use at the moment.

use std::io::{self, Read, Seek, SeekFrom};

/// What was found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Content {
    /// Name of the file system or volume manager.
    pub kind: Option<&'static str>,
    /// Label of the file system.
    pub label: Option<String>,
    /// Whether it is a part of something larger, or encrypted: data that no mount shows.
    pub member: bool,
}

/// Linux RAID with metadata 1.1 at the start, 1.2 at 4 KiB, 1.0 near the end.
const RAID: [u8; 4] = [0xfc, 0x4e, 0x2b, 0xa9];
/// ZFS keeps a ring of these, 128 KiB into each of its labels, in steps of at least 1 KiB.
const ZFS: [[u8; 8]; 2] = [0x00ba_b10c_u64.to_le_bytes(), 0x00ba_b10c_u64.to_be_bytes()];
const START_LEN: usize = 256 * 1024;

/// Looks at `length` bytes of a disk from `start` on.
///
/// # Errors
/// When the disk cannot be read.
pub fn look(disk: &mut (impl Read + Seek), start: u64, length: u64) -> io::Result<Content> {
    let mut bytes = vec![0; START_LEN];
    disk.seek(SeekFrom::Start(start))?;
    let count = disk
        .by_ref()
        .take(length.min(START_LEN as u64))
        .read(&mut bytes)?;
    bytes.truncate(count);
    // Metadata 1.0: 8 KiB before the end, at a multiple of 4 KiB.
    let mut end = [0; 4];
    if length > 64 * 1024 {
        disk.seek(SeekFrom::Start(start + (length / 512 - 16) / 8 * 8 * 512))?;
        disk.read_exact(&mut end)?;
    }
    Ok(judge(&bytes, end))
}

fn judge(bytes: &[u8], end: [u8; 4]) -> Content {
    let has = |at: usize, mark: &[u8]| bytes.get(at..at + mark.len()) == Some(mark);
    let member = |kind| Content {
        kind: Some(kind),
        label: None,
        member: true,
    };
    let plain = |kind, label: Option<&[u8]>| Content {
        kind: Some(kind),
        label: label
            .map(text)
            .filter(|label| !label.is_empty() && label != "NO NAME"),
        member: false,
    };
    if has(0, b"LUKS\xba\xbe") {
        return member("LUKS encryption");
    }
    if (0..4).any(|sector| has(sector * 512, b"LABELONE")) {
        return member("LVM");
    }
    if has(0, &RAID) || has(4096, &RAID) || end == RAID {
        return member("Linux RAID");
    }
    if (128..256).any(|slot| ZFS.iter().any(|mark| has(slot * 1024, mark))) {
        return member("ZFS");
    }
    if has(510, &[0x55, 0xaa]) && has(82, b"FAT32") {
        return plain("FAT32", bytes.get(71..82));
    }
    if has(510, &[0x55, 0xaa]) && (has(54, b"FAT16") || has(54, b"FAT12")) {
        return plain("FAT", bytes.get(43..54));
    }
    if has(1024 + 0x38, &[0x53, 0xef]) {
        return plain("ext4", bytes.get(1024 + 0x78..1024 + 0x88));
    }
    if has(4086, b"SWAPSPACE2") {
        return plain("swap", None);
    }
    Content::default()
}

fn text(bytes: &[u8]) -> String {
    let end = bytes.iter().position(|&byte| byte == 0).unwrap_or(bytes.len());
    let text = String::from_utf8_lossy(&bytes[..end]);
    // A label that plays tricks with the terminal is shown without them.
    text.trim().chars().filter(|c| !c.is_control()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks() {
        let with = |at: usize, mark: &[u8]| {
            let mut bytes = vec![0; START_LEN];
            bytes[at..at + mark.len()].copy_from_slice(mark);
            bytes
        };
        for (bytes, end, kind, member) in [
            (
                with(0, b"LUKS\xba\xbe\0\x02"),
                [0; 4],
                Some("LUKS encryption"),
                true,
            ),
            (with(512, b"LABELONE"), [0; 4], Some("LVM"), true),
            (with(4096, &RAID), [0; 4], Some("Linux RAID"), true),
            (vec![0; 512], RAID, Some("Linux RAID"), true),
            (with(128 * 1024 + 4096, &ZFS[0]), [0; 4], Some("ZFS"), true),
            (with(128 * 1024 + 8192, &ZFS[1]), [0; 4], Some("ZFS"), true),
            (with(4086, b"SWAPSPACE2"), [0; 4], Some("swap"), false),
            (vec![0; 3], [0; 4], None, false),
            (vec![], [0; 4], None, false),
        ] {
            let content = judge(&bytes, end);
            assert_eq!((content.kind, content.member), (kind, member));
        }
        assert_eq!(text(b"a\x1b[2Jb \0c"), "a[2Jb");
    }
}
