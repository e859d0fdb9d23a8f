//! The frames of a zstd file (RFC 8878, section 3), without unpacking them: how long what they hold is, and whether the
//! end is there.

use std::io::{self, BufReader, Read, Seek, SeekFrom};

/// Only headers are read: a larger buffer would read what is skipped.
const BUFFER_LEN: usize = 64;

/// The unpacked length of the file of `end` bytes; `None` if a frame does not say its own.
pub(super) fn length(file: &mut (impl Read + Seek), end: u64) -> io::Result<Option<u64>> {
    file.seek(SeekFrom::Start(0))?;
    let mut file = BufReader::with_capacity(BUFFER_LEN, file);
    let mut total = Some(0_u64);
    while file.stream_position()? < end {
        let magic = u32::from_le_bytes(take(&mut file)?);
        match magic {
            0xfd2f_b528 => {
                let length = frame(&mut file)?;
                total = total
                    .zip(length)
                    .and_then(|(total, length)| total.checked_add(length));
            }
            // Skippable.
            0x184d_2a50..=0x184d_2a5f => {
                let length = u32::from_le_bytes(take(&mut file)?);
                file.seek_relative(i64::from(length))?;
            }
            _ => {
                return Err(io::Error::new(
                    io::ErrorKind::InvalidData,
                    "there is something behind its end",
                ));
            }
        }
    }
    match file.stream_position()? {
        position if position == end => Ok(total),
        _ => Err(io::Error::new(io::ErrorKind::UnexpectedEof, "its end is missing")),
    }
}

/// Goes to the end of a frame whose magic number was read; gives its unpacked length, if the frame says it.
fn frame(file: &mut BufReader<impl Read + Seek>) -> io::Result<Option<u64>> {
    let [descriptor] = take(file)?;
    let single_segment = descriptor & 0x20 != 0;
    let dictionary = [0, 1, 2, 4][usize::from(descriptor & 3)];
    file.seek_relative(dictionary + i64::from(!single_segment))?;
    let length = match descriptor >> 6 {
        0 if single_segment => Some(u64::from(u8::from_le_bytes(take(file)?))),
        0 => None,
        1 => Some(u64::from(u16::from_le_bytes(take(file)?)) + 256),
        2 => Some(u64::from(u32::from_le_bytes(take(file)?))),
        _ => Some(u64::from_le_bytes(take(file)?)),
    };
    loop {
        let [low, middle, high] = take(file)?;
        let header = u32::from_le_bytes([low, middle, high, 0]);
        let packed = match header >> 1 & 3 {
            // One byte that is repeated.
            1 => 1,
            _ => i64::from(header >> 3),
        };
        file.seek_relative(packed)?;
        if header & 1 == 1 {
            break;
        }
    }
    let checksum = if descriptor & 4 != 0 { 4 } else { 0 };
    file.seek_relative(checksum)?;
    Ok(length)
}

fn take<const N: usize>(file: &mut impl Read) -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    file.read_exact(&mut bytes).map_err(|error| match error.kind() {
        io::ErrorKind::UnexpectedEof => io::Error::new(error.kind(), "its end is missing"),
        _ => error,
    })?;
    Ok(bytes)
}
