//! Paths of the root file system with `*` in the last component.

use anyhow::{Result, ensure};
use disk_image::ext4::RootPath;

/// A folder, and what names in it match. `*` stands for any run of characters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Pattern {
    path: RootPath,
}

impl Pattern {
    pub(super) fn parse(text: &str) -> Result<Self> {
        let path: RootPath = text.parse()?;
        let folder = path.parent();
        ensure!(
            folder.is_none_or(|folder| !folder.as_str().contains('*')),
            "'{text}' has a * before its last component: only the last one may have it"
        );
        Ok(Self { path })
    }

    /// The whole path, `*` included.
    pub(super) fn path(&self) -> &RootPath {
        &self.path
    }

    pub(super) fn is_literal(&self) -> bool {
        !self.path.name().contains('*')
    }

    pub(super) fn matches(&self, name: &str) -> bool {
        let mut parts = self.path.name().split('*');
        let Some(mut rest) = name.strip_prefix(parts.next().unwrap_or_default()) else {
            return false;
        };
        if self.is_literal() {
            return rest.is_empty();
        }
        let parts: Vec<_> = parts.collect();
        let (last, middle) = parts
            .split_last()
            .map_or(("", [].as_slice()), |(last, middle)| (*last, middle));
        for part in middle {
            let Some((_, after)) = rest.split_once(part) else {
                return false;
            };
            rest = after;
        }
        rest.ends_with(last)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_component_is_matched() {
        for (pattern, name, expected) in [
            ("/etc/key", "key", true),
            ("/etc/key", "keys", false),
            ("/etc/key_*", "key_rsa.pub", true),
            ("/etc/key_*", "other", false),
            ("/etc/*_key", "host_key", true),
            ("/etc/*_key", "host_key.pub", false),
            ("/etc/a*b*c", "a1b2c", true),
            ("/etc/a*b*c", "a1c", false),
            ("/*", "anything", true),
        ] {
            assert_eq!(
                Pattern::parse(pattern).unwrap().matches(name),
                expected,
                "{pattern} {name}"
            );
        }
    }

    #[test]
    fn a_star_in_a_folder_is_refused() {
        let message = Pattern::parse("/e*c/key").unwrap_err().to_string();
        assert_eq!(
            message,
            "'/e*c/key' has a * before its last component: only the last one may have it"
        );
        assert!(
            Pattern::parse("/etc/../x")
                .unwrap_err()
                .to_string()
                .contains("no '.' or '..'")
        );
    }
}
