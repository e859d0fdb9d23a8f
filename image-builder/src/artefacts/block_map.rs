//! The block map (`NAME.img.bmap`, format 2.0 of bmaptool): which blocks of the image count, with their checksums, so that a
//! writer can leave out the rest. It comes from the file systems' own allocation, never from the image file's holes.

use std::fmt::Write as _;
use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::ops::Range;

use anyhow::{Context as _, Result};
use disk_image::mbr::Mbr;
use disk_image::ranges::{gaps, merge};
use disk_image::{ext4, fat};

use crate::checksum::Checksum;

/// As bmaptool's own.
const BLOCK: u64 = 4096;
const LINUX: u8 = 0x83;

/// The map's text for an image of `length` bytes.
pub(super) fn text(image: &mut File, length: u64, table: &Mbr) -> Result<String> {
    let ranges = blocks(&bytes(image, length, table)?, length);
    let mut map = String::new();
    for range in &ranges {
        let (start, end) = (range.start * BLOCK, (range.end * BLOCK).min(length));
        image.seek(SeekFrom::Start(start)).context("reading the image")?;
        let sum = Checksum::of_reader(&mut (&*image).take(end - start)).context("reading the image")?;
        let (first, last) = (range.start, range.end - 1);
        let blocks = if first == last {
            first.to_string()
        } else {
            format!("{first}-{last}")
        };
        writeln!(map, "        <Range chksum=\"{sum}\"> {blocks} </Range>")?;
    }
    let mapped: u64 = ranges.iter().map(|range| range.end - range.start).sum();
    let count = length.div_ceil(BLOCK);
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

/// The bytes that count: used ones of the file systems, all of other partitions, and all between them.
fn bytes(image: &File, length: u64, table: &Mbr) -> Result<Vec<Range<u64>>> {
    let mut ranges = Vec::new();
    let mut partitions = Vec::new();
    for partition in &table.partitions {
        let disk = image.try_clone().context("reading the image")?;
        let used = match partition.kind {
            LINUX => ext4::in_use(disk, partition).ok(),
            _ if partition.is_fat() => fat::in_use(disk, partition).ok(),
            _ => None,
        };
        let whole = partition.start..partition.end();
        ranges.extend(used.unwrap_or_else(|| Vec::from([whole.clone()])));
        partitions.push(whole);
    }
    ranges.extend(gaps(0..length, &merge(partitions)));
    Ok(merge(ranges))
}

/// Whole blocks around ranges of bytes.
fn blocks(bytes: &[Range<u64>], length: u64) -> Vec<Range<u64>> {
    let block = |range: &Range<u64>| range.start / BLOCK..range.end.min(length).div_ceil(BLOCK);
    merge(bytes.iter().map(block).collect())
}

#[cfg(test)]
#[expect(clippy::single_range_in_vec_init, reason = "these are ranges")]
mod tests {
    use super::*;

    #[test]
    fn blocks_cover_the_bytes() {
        assert_eq!(blocks(&[0..1, 5000..5001, 8192..8193], 1 << 20), [0..3]);
        assert_eq!(blocks(&[4096..8192, 12288..20000], 13000), [1..2, 3..4]);
    }
}
