//! What tells one base image from another: all of it comes from the recipe's hash, so the same recipe keeps its
//! disk signature (which `root=PARTUUID=` names) and its UUIDs.

use super::recipe::Recipe;

/// Fixed identifiers of one recipe's image.
#[derive(Debug)]
pub(super) struct Identity {
    hash: [u8; 32],
}

impl Identity {
    pub(super) fn of_embedded() -> Self {
        Self { hash: Recipe::hash() }
    }

    /// Hexadecimal recipe hash.
    pub(super) fn name(&self) -> String {
        self.hash.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// The four bytes at 440 of the MBR, in the order that they are stored.
    pub(super) fn disk_signature(&self) -> [u8; 4] {
        let [a, b, c, d, ..] = self.hash;
        [a, b, c, d]
    }

    /// The disk signature as `root=PARTUUID=` writes it.
    pub(super) fn partuuid_prefix(&self) -> String {
        format!("{:08x}", u32::from_le_bytes(self.disk_signature()))
    }

    /// The FAT volume number, eight hexadecimal digits.
    pub(super) fn volume_id(&self) -> String {
        let [_, _, _, _, a, b, c, d, ..] = self.hash;
        format!("{:08x}", u32::from_be_bytes([a, b, c, d]))
    }

    /// UUID of the root file system.
    pub(super) fn root_uuid(&self) -> String {
        self.uuid(8)
    }

    /// Seed of the root file system's directory hashes.
    pub(super) fn hash_seed(&self) -> String {
        self.uuid(16)
    }

    /// Sixteen bytes of the hash as a UUID of version 8 (RFC 9562: made by the maker's own method).
    fn uuid(&self, from: usize) -> String {
        let mut bytes: Vec<u8> = self.hash.iter().copied().skip(from).take(16).collect();
        if let [.., version, _, variant, _, _, _, _, _, _, _] = bytes.as_mut_slice() {
            *version = *version & 0x0f | 0x80;
            *variant = *variant & 0x3f | 0x80;
        }
        let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        [0..8, 8..12, 12..16, 16..20, 20..32]
            .map(|part| hex.get(part).unwrap_or_default())
            .join("-")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identifiers_have_their_forms() {
        let identity = Identity {
            hash: std::array::from_fn(|index| index as u8),
        };
        assert_eq!(identity.disk_signature(), [0, 1, 2, 3]);
        assert_eq!(identity.partuuid_prefix(), "03020100");
        assert_eq!(identity.volume_id(), "04050607");
        assert_eq!(identity.root_uuid(), "08090a0b-0c0d-8e0f-9011-121314151617");
        assert_eq!(identity.hash_seed(), "10111213-1415-8617-9819-1a1b1c1d1e1f");
    }
}
