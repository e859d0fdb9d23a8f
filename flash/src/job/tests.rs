//! One card on a medium that fails in every way and at every moment.

use std::io::{self, Read, Seek, SeekFrom, Write};
use std::process::Command;

use super::*;
use crate::settings::Options;

/// Where the boot partition of the image starts.
const BOOT: usize = 64 * 1024;
/// Where the next partition starts.
const ROOT: usize = 5 * BOOT;
const IMAGE: usize = 8 * BOOT;
const CARD: usize = 9 * BOOT;

/// What fails, at which of the medium's operations of its kind, counted from 0.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Fault {
    None,
    Write(usize),
    Read(usize),
    Sync(usize),
    /// From this write on, everything.
    Vanish(usize),
    /// Writes and reads do a part of what they should.
    Short,
    /// No room from this byte on.
    Full(u64),
    /// A bit at this byte turns over at that sync.
    Flip(usize, usize),
}

/// What happened to the medium.
#[derive(Clone, Debug)]
enum Happened {
    Write(usize, Vec<u8>),
    Sync,
}

/// A used card in memory.
struct Faulty {
    bytes: Vec<u8>,
    position: usize,
    fault: Fault,
    counts: [usize; 3],
    log: Vec<Happened>,
}

impl Faulty {
    fn new(image: &[u8], fault: Fault) -> Self {
        let mut bytes = vec![0xaa; CARD];
        bytes[..512].copy_from_slice(&image[..512]);
        Self {
            bytes,
            position: 0,
            fault,
            counts: [0; 3],
            log: Vec::new(),
        }
    }

    fn has_no_table(&self) -> bool {
        self.bytes[..512].iter().all(|&byte| byte == 0)
    }

    /// Counts an operation; whether it fails.
    fn check(&mut self, kind: usize) -> io::Result<()> {
        let now = self.counts[kind];
        self.counts[kind] += 1;
        let fails = match self.fault {
            Fault::Write(at) => kind == 0 && at == now,
            Fault::Read(at) => kind == 1 && at == now,
            Fault::Sync(at) => kind == 2 && at == now,
            Fault::Vanish(at) => self.counts[0] > at,
            _ => false,
        };
        if fails {
            Err(io::Error::from_raw_os_error(nix::errno::Errno::EIO as i32))
        } else {
            Ok(())
        }
    }

    fn sync(&mut self) -> io::Result<()> {
        self.check(2)?;
        self.log.push(Happened::Sync);
        if let Fault::Flip(byte, at) = self.fault
            && self.counts[2] == at + 1
        {
            self.bytes[byte] ^= 0x10;
        }
        Ok(())
    }

    fn part(&self, length: usize) -> usize {
        if self.fault == Fault::Short {
            length.min(10_001)
        } else {
            length
        }
    }
}

impl Read for Faulty {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.check(1)?;
        let count = self.part(buffer.len()).min(CARD - self.position);
        buffer[..count].copy_from_slice(&self.bytes[self.position..self.position + count]);
        self.position += count;
        Ok(count)
    }
}

impl Write for Faulty {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.check(0)?;
        let mut count = self.part(bytes.len()).min(CARD - self.position);
        if let Fault::Full(at) = self.fault {
            count = count.min(usize::try_from(at).unwrap().saturating_sub(self.position));
        }
        let bytes = &bytes[..count];
        self.bytes[self.position..self.position + count].copy_from_slice(bytes);
        self.log.push(Happened::Write(self.position, bytes.to_owned()));
        self.position += count;
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.sync()
    }
}

impl Seek for Faulty {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let SeekFrom::Start(position) = to else {
            return Err(io::ErrorKind::Unsupported.into());
        };
        self.position = usize::try_from(position).unwrap();
        Ok(position)
    }
}

impl Medium for Faulty {
    fn is_blank(&self) -> bool {
        false
    }

    fn settle(&mut self, _: u64) -> io::Result<()> {
        Ok(())
    }

    fn sync_and_forget(&mut self) -> Result<()> {
        Ok(self.sync()?)
    }
}

/// An image with a boot partition that mkfs.vfat made, and the job to write it with a hostname.
fn job() -> (Vec<u8>, Job) {
    let folder = tempfile::tempdir().unwrap();
    let fat = folder.path().join("fat");
    std::fs::write(&fat, vec![0; ROOT - BOOT]).unwrap();
    let made = Command::new("/usr/sbin/mkfs.vfat")
        .args(["-F", "12", "-s", "1"])
        .arg(&fat)
        .output();
    assert!(made.expect("mkfs.vfat can be run").status.success());
    let mut image: Vec<u8> = (0..IMAGE).map(|at| (at / 7 % 253).to_le_bytes()[0]).collect();
    image[..512].fill(0);
    for (entry, kind, start, length) in [(446, 0xc, BOOT, ROOT - BOOT), (462, 0x83, ROOT, IMAGE - ROOT)] {
        let sectors = |bytes: usize| u32::try_from(bytes / 512).unwrap().to_le_bytes();
        image[entry + 4] = kind;
        image[entry + 8..entry + 12].copy_from_slice(&sectors(start));
        image[entry + 12..entry + 16].copy_from_slice(&sectors(length));
    }
    image[510..512].copy_from_slice(&[0x55, 0xaa]);
    image[BOOT..ROOT].copy_from_slice(&std::fs::read(&fat).unwrap());
    let table = Mbr::parse(image[..512].try_into().unwrap(), Some(IMAGE as u64)).unwrap();
    let options = Options {
        hostname: Some("n1".to_owned()),
        ..Options::default()
    };
    let files = |name: &str| Ok((name == FILE_NAME).then(|| b"version = 1\n".to_vec()));
    let job = Job {
        boot: table.boot_partition().copied(),
        edits: options.check().unwrap().plan(files).unwrap(),
        length: Some(IMAGE as u64),
        table,
    };
    (image, job)
}

fn write(job: &Job, image: &[u8], fault: Fault) -> (Faulty, Result<u64>) {
    let mut card = Faulty::new(image, fault);
    let mut blocks = job.unpack(image, true);
    let result = job.write(
        &mut blocks,
        &mut card,
        Some(CARD as u64),
        None,
        Voice::Quiet,
        &Arc::default(),
    );
    (card, result)
}

#[test]
fn no_error_of_the_card_goes_unseen_and_none_leaves_a_card_that_boots() {
    let (image, job) = job();
    let (good, result) = write(&job, &image, Fault::None);
    assert_eq!(result.unwrap(), IMAGE as u64);
    assert!(good.bytes[..BOOT] == image[..BOOT] && good.bytes[ROOT..IMAGE] == image[ROOT..]);
    let [writes, reads, syncs] = good.counts;
    assert!(writes > 5 && reads > 5 && syncs > 5, "{writes} {reads} {syncs}");
    let faults = (0..writes).map(Fault::Write).chain((0..syncs).map(Fault::Sync));
    // Folders of FAT are read in many small steps: not each of them is tried.
    let (first, last) = (reads.min(8), reads.saturating_sub(8).max(8));
    let some_reads = (0..first).chain((first..last).step_by(29)).chain(last..reads);
    let faults = faults.chain(some_reads.map(Fault::Read));
    let faults = faults.chain((0..writes).step_by(3).map(Fault::Vanish));
    let full = [0, 512, BOOT, BOOT + 1001, ROOT, IMAGE - 1].map(|at| Fault::Full(at as u64));
    for fault in faults.chain(full) {
        let (mut card, result) = write(&job, &image, fault);
        assert!(result.is_err(), "{fault:?} was not noticed");
        // What is done after every failure.
        card.fault = Fault::None;
        clear_head(&mut card, 512).unwrap();
        assert!(card.has_no_table());
        if let Fault::Vanish(_) = fault {
            let (card, _) = write(&job, &image, fault);
            let touched = card.bytes[BOOT..].iter().any(|&byte| byte != 0xaa);
            assert!(
                !touched || card.has_no_table() || card.bytes == good.bytes,
                "{fault:?}"
            );
        }
    }
}

#[test]
fn short_writes_and_reads_make_the_same_card() {
    let (image, job) = job();
    let (good, _) = write(&job, &image, Fault::None);
    let (card, result) = write(&job, &image, Fault::Short);
    result.unwrap();
    let boot = BOOT..ROOT;
    assert!(
        card.bytes[..boot.start] == good.bytes[..boot.start]
            && card.bytes[boot.end..] == good.bytes[boot.end..]
    );
}

#[test]
fn a_bit_that_turns_over_after_writing_is_found() {
    let (image, job) = job();
    // The first sync is that of the cleared head, the second that of the body.
    for byte in [BOOT, BOOT + 600, ROOT, ROOT + 77, IMAGE - 1] {
        let (_, result) = write(&job, &image, Fault::Flip(byte, 1));
        let message = result.unwrap_err().to_string();
        assert!(message.contains("not what was written"), "{byte}: {message}");
    }
    let (_, result) = write(&job, &image, Fault::None);
    result.unwrap();
}

/// What a card may have after a power cut: all that was synced, and of the rest anything.
#[test]
fn a_power_cut_at_any_moment_leaves_the_old_card_or_none_or_the_new_one() {
    let (image, job) = job();
    let (good, _) = write(&job, &image, Fault::None);
    let old = Faulty::new(&image, Fault::None).bytes;
    let mut disk = old.clone();
    let mut pending: Vec<(usize, &[u8])> = Vec::new();
    let mut cuts = 0;
    for happened in &good.log {
        match happened {
            Happened::Write(at, bytes) => {
                pending.push((*at, bytes));
                // The last write alone, without those before it that were not synced; and all of them.
                for kept in [&pending[pending.len() - 1..], &pending[..]] {
                    let mut cut = Cut::new(&mut disk, kept);
                    assert!(cut.is_sound(&old, &good.bytes), "{at} of {cuts}");
                    cuts += 1;
                }
            }
            Happened::Sync => {
                for (at, bytes) in pending.drain(..) {
                    disk[at..at + bytes.len()].copy_from_slice(bytes);
                }
                assert!(Cut::new(&mut disk, &[]).is_sound(&old, &good.bytes));
            }
        }
    }
    assert!(disk == good.bytes && cuts > 10, "{cuts}");
}

/// A disk with some of the pending writes on it, which are taken back at the end.
struct Cut<'a> {
    disk: &'a mut Vec<u8>,
    before: Vec<(usize, Vec<u8>)>,
}

impl<'a> Cut<'a> {
    fn new(disk: &'a mut Vec<u8>, kept: &[(usize, &[u8])]) -> Self {
        let mut before = Vec::new();
        for (at, bytes) in kept {
            let place = &mut disk[*at..at + bytes.len()];
            before.push((*at, place.to_vec()));
            place.copy_from_slice(bytes);
        }
        Self { disk, before }
    }

    fn is_sound(&mut self, old: &[u8], new: &[u8]) -> bool {
        let no_table = self.disk[..512].iter().all(|&byte| byte == 0);
        let untouched = self.disk[BOOT..] == old[BOOT..] && self.disk[..512] == old[..512];
        no_table || untouched || self.disk[..] == *new
    }
}

impl Drop for Cut<'_> {
    fn drop(&mut self) {
        for (at, bytes) in self.before.drain(..).rev() {
            self.disk[at..at + bytes.len()].copy_from_slice(&bytes);
        }
    }
}
