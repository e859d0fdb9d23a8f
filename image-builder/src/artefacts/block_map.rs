//! The block map (`NAME.img.bmap`, format 2.0 of bmaptool): which blocks of the image count, with their checksums, so that a
//! writer can leave out the rest. It comes from the file systems' own allocation, never from the image file's holes.

use std::fmt::Write as _;
use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom};

use anyhow::{Context as _, Result};
use disk_image::free::FreeMap;
use disk_image::mbr::Mbr;

use crate::checksum::{Checksum, Hash};

/// As bmaptool's own.
const BLOCK: usize = 4096;
/// Read at once.
const PIECE: usize = 1024 * BLOCK;

/// Blocks that count, and their checksum.
struct Range {
    first: u64,
    last: u64,
    hash: Hash,
}

/// The map's text for an image of `length` bytes.
pub(super) fn text(image: &mut File, length: u64, table: &Mbr) -> Result<String> {
    let ranges = ranges(image, table).context("reading the image")?;
    let mut map = String::new();
    let mut mapped = 0;
    for Range { first, last, hash } in ranges {
        let blocks = if first == last {
            first.to_string()
        } else {
            format!("{first}-{last}")
        };
        writeln!(
            map,
            "        <Range chksum=\"{}\"> {blocks} </Range>",
            hash.finish()
        )?;
        mapped += last - first + 1;
    }
    let count = length.div_ceil(BLOCK as u64);
    let whole = |own: &str| {
        format!(
            "<?xml version=\"1.0\" ?>\n<bmap version=\"2.0\">\n    <ImageSize> {length} </ImageSize>\n    \
             <BlockSize> {BLOCK} </BlockSize>\n    <BlocksCount> {count} </BlocksCount>\n    \
             <MappedBlocksCount> {mapped} </MappedBlocksCount>\n    <ChecksumType> sha256 </ChecksumType>\n    \
             <BmapFileChecksum> {own} </BmapFileChecksum>\n    <BlockMap>\n{map}    </BlockMap>\n</bmap>\n"
        )
    };
    // The checksum of the map is that with zeros in its own place.
    let own = Checksum::of(whole(&"0".repeat(64)).as_bytes());
    Ok(whole(&own.to_string()))
}

/// All blocks but those that the file systems call free.
fn ranges(image: &mut File, table: &Mbr) -> std::io::Result<Vec<Range>> {
    image.seek(SeekFrom::Start(0))?;
    let mut free = FreeMap::new(table);
    let mut ranges: Vec<Range> = Vec::new();
    let mut piece = Vec::with_capacity(PIECE);
    let mut at = 0;
    loop {
        piece.clear();
        image.by_ref().take(PIECE as u64).read_to_end(&mut piece)?;
        if piece.is_empty() {
            return Ok(ranges);
        }
        free.observe(at, &piece);
        for bytes in piece.chunks(BLOCK) {
            let (start, number) = (at, at / BLOCK as u64);
            at += bytes.len() as u64;
            if !free.is_free(start, at) {
                take(&mut ranges, number, bytes);
            }
        }
    }
}

fn take(ranges: &mut Vec<Range>, number: u64, bytes: &[u8]) {
    match ranges.last_mut() {
        Some(range) if range.last + 1 == number => {
            range.last = number;
            range.hash.update(bytes);
        }
        _ => {
            let mut hash = Hash::default();
            hash.update(bytes);
            ranges.push(Range {
                first: number,
                last: number,
                hash,
            });
        }
    }
}
