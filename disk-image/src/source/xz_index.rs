//! The indexes at the ends of the streams of an .xz file: how long what it holds is, and whether its end is there.
//!
//! The .xz file format 1.2, sections 2.1.2 (footer), 2.2 (padding) and 4 (index). The decoder compares every block
//! with the index once more, so a wrong one does not go unseen.

use std::io::{self, Read, Seek, SeekFrom};

/// Header and footer of a stream.
const HEADER_LEN: u64 = 12;
/// 16 bytes for each of a million blocks: far more than any card has.
const INDEX_LEN_MAX: u64 = 16 * 1024 * 1024;
/// Streams in one file: each is a block of its own where a file was packed in pieces.
const STREAMS_MAX: usize = 100_000;

fn bad(reason: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, reason)
}

/// The unpacked length of the file of `end` bytes.
pub(super) fn length(file: &mut (impl Read + Seek), mut end: u64) -> io::Result<u64> {
    let mut total = 0_u64;
    for _ in 0..STREAMS_MAX {
        if end == 0 {
            return Ok(total);
        }
        let stream = stream_before(file, end)?;
        match stream {
            Some((start, length)) => {
                end = start;
                total = total
                    .checked_add(length)
                    .ok_or_else(|| bad("its index is wrong"))?;
            }
            // Padding comes in fours.
            None => end -= 4,
        }
    }
    Err(bad("it has too many streams"))
}

/// Start and unpacked length of the stream that ends at `end`; `None` for four bytes of padding there.
fn stream_before(file: &mut (impl Read + Seek), end: u64) -> io::Result<Option<(u64, u64)>> {
    let no_end = || bad("its end is missing");
    let footer_at = end.checked_sub(HEADER_LEN).ok_or_else(no_end)?;
    let mut footer = [0; 12];
    file.seek(SeekFrom::Start(footer_at))?;
    file.read_exact(&mut footer)?;
    if footer[8..] == [0; 4] && end >= 4 + 2 * HEADER_LEN {
        return Ok(None);
    }
    let [c0, c1, c2, c3, size @ ..] = footer;
    let [b0, b1, b2, b3, ..] = size;
    let checksum = u32::from_le_bytes([c0, c1, c2, c3]);
    if footer[10..] != *b"YZ" || crc32fast::hash(&footer[4..10]) != checksum {
        return Err(no_end());
    }
    let index_len = (u64::from(u32::from_le_bytes([b0, b1, b2, b3])) + 1) * 4;
    let index_at = footer_at.checked_sub(index_len).ok_or_else(no_end)?;
    if index_len > INDEX_LEN_MAX {
        return Err(bad("its index is too long"));
    }
    let mut index = vec![0; usize::try_from(index_len).map_err(io::Error::other)?];
    file.seek(SeekFrom::Start(index_at))?;
    file.read_exact(&mut index)?;
    let (packed, unpacked) = sums(&index).ok_or_else(|| bad("its index is wrong"))?;
    let start = index_at
        .checked_sub(packed)
        .and_then(|start| start.checked_sub(HEADER_LEN));
    Ok(Some((
        start.ok_or_else(|| bad("its start is missing"))?,
        unpacked,
    )))
}

/// Bytes of all blocks, packed with padding, and unpacked.
fn sums(index: &[u8]) -> Option<(u64, u64)> {
    let (body, checksum) = index.split_last_chunk::<4>()?;
    if crc32fast::hash(body) != u32::from_le_bytes(*checksum) {
        return None;
    }
    let mut rest = body.strip_prefix(&[0])?;
    let count = number(&mut rest)?;
    let (mut packed, mut unpacked) = (0_u64, 0_u64);
    for _ in 0..count {
        packed = packed.checked_add(number(&mut rest)?.checked_next_multiple_of(4)?)?;
        unpacked = unpacked.checked_add(number(&mut rest)?)?;
    }
    Some((packed, unpacked))
}

/// Section 1.2: seven bits in each byte, the lowest first, at most nine bytes.
fn number(bytes: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for shift in (0..63).step_by(7) {
        let (&byte, rest) = bytes.split_first()?;
        *bytes = rest;
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_any_length() {
        for (bytes, expected) in [
            (&[0x05][..], Some(5)),
            (&[0x80, 0x01], Some(128)),
            (
                &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f],
                Some(u64::MAX >> 1),
            ),
            (&[0x80; 10], None),
            (&[0x80], None),
            (&[], None),
        ] {
            assert_eq!(number(&mut &*bytes), expected, "{bytes:?}");
        }
    }

    #[test]
    fn nonsense_is_an_error_and_not_a_crash() {
        for bytes in [
            &b"x"[..],
            b"12 bytes ofYZ",
            &[0; 64],
            &[0xff; 64],
            b"\xfd7zXZ\0\0\0\0\0\0\0\0\0\0YZ",
        ] {
            let length = bytes.len() as u64;
            assert!(
                super::length(&mut io::Cursor::new(bytes), length).is_err(),
                "{bytes:?}"
            );
        }
    }
}
