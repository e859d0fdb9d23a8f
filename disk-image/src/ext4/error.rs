//! What goes wrong with a root file system.

/// Why the root file system cannot be used or changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Ext4Error {
    /// Another file system, a damaged one, or features that are not known here.
    #[error("partition {number} holds no usable ext4 file system ({reason})")]
    NotExt4 {
        /// Number of the partition.
        number: u8,
        /// What is wrong.
        reason: String,
    },
    /// It was in use when the image was made.
    #[error(
        "the file system of partition {number} was not unmounted cleanly (its journal or its state says so): \
         repair a copy of the partition with `e2fsck -fp`, or use a fresh image"
    )]
    Dirty {
        /// Number of the partition.
        number: u8,
    },
    /// No room.
    #[error(
        "the root partition is full: {path} needs {needed} bytes and {free} are free; use a larger base image"
    )]
    Full {
        /// What was to be written.
        path: String,
        /// Its length.
        needed: u64,
        /// Bytes free.
        free: u64,
    },
    /// A folder where a file is wanted.
    #[error("{path} is a folder of the root file system and is not replaced by a file")]
    IsAFolder {
        /// Its path.
        path: String,
    },
    /// Something else where a folder is wanted.
    #[error("{path} of the root file system is not a folder")]
    NotAFolder {
        /// Its path.
        path: String,
    },
    /// Links that lead in a ring.
    #[error("{path} of the root file system leads through too many symbolic links")]
    Links {
        /// The path that was looked for.
        path: String,
    },
    /// Anything else.
    #[error("{doing} {path} in the root file system: {reason}")]
    Failed {
        /// "reading" and the like.
        doing: &'static str,
        /// The path.
        path: String,
        /// What failed.
        reason: String,
    },
}

pub(super) fn failed(doing: &'static str, path: impl ToString, error: fs_ext4::Error) -> Ext4Error {
    Ext4Error::Failed {
        doing,
        path: path.to_string(),
        reason: error.to_string(),
    }
}
