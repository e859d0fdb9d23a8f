//! How a file is packed, from its first bytes.

/// A way of packing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Packing {
    /// A raw image, as far as the first bytes can say.
    None,
    /// One stream of packed bytes.
    Stream(Format),
    /// An archive.
    Zip,
    /// Known, but not read here.
    Other(&'static str),
}

/// A packed stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    /// RFC 1952.
    Gzip,
    /// The .xz file format 1.2.
    Xz,
    /// RFC 8878.
    Zstd,
    /// bzip2, undocumented but stable.
    Bzip2,
}

impl Packing {
    /// From the first bytes of a file.
    pub(super) fn of(start: &[u8]) -> Self {
        match start {
            [0x1f, 0x8b, ..] => Self::Stream(Format::Gzip),
            [b'P', b'K', 3 | 5 | 7, ..] => Self::Zip,
            [0xfd, b'7', b'z', b'X', b'Z', 0, ..] => Self::Stream(Format::Xz),
            // A frame, or a skippable frame (with which pzstd begins).
            [0x28, 0xb5, 0x2f, 0xfd, ..] | [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => Self::Stream(Format::Zstd),
            [b'B', b'Z', b'h', ..] => Self::Stream(Format::Bzip2),
            [b'7', b'z', 0xbc, 0xaf, ..] => Self::Other("7-Zip"),
            [0x5d, 0, 0, ..] => Self::Other("lzma (the format before xz)"),
            [b'L', b'Z', b'I', b'P', ..] => Self::Other("lzip"),
            [4, 0x22, 0x4d, 0x18, ..] => Self::Other("LZ4"),
            [b'R', b'a', b'r', b'!', ..] => Self::Other("RAR"),
            _ => Self::None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_bytes_tell() {
        for (start, expected) in [
            (&b"\x1f\x8b\x08"[..], Packing::Stream(Format::Gzip)),
            (b"PK\x03\x04", Packing::Zip),
            (b"\xfd7zXZ\0", Packing::Stream(Format::Xz)),
            (b"\x28\xb5\x2f\xfd", Packing::Stream(Format::Zstd)),
            (b"\x50\x2a\x4d\x18", Packing::Stream(Format::Zstd)),
            (b"BZh9", Packing::Stream(Format::Bzip2)),
            (b"7z\xbc\xaf", Packing::Other("7-Zip")),
            (b"\xfa\xb8\x00\x10", Packing::None),
            (b"\0\0\0\0", Packing::None),
            (b"", Packing::None),
        ] {
            assert_eq!(Packing::of(start), expected, "{start:?}");
        }
    }
}
