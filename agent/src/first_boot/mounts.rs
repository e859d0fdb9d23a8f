//! What is mounted where, from `/proc/self/mountinfo` (proc(5)).

use crate::paths::Paths;

/// One mount.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Mount {
    /// Major and minor number of the device, as `8:2`.
    pub(super) device: String,
    /// Where it is mounted.
    pub(super) point: String,
    /// Its file system, as `ext4`.
    pub(super) kind: String,
}

/// All mounts, the topmost of one place last. None where there is no /proc.
pub(super) fn read(paths: &Paths) -> Vec<Mount> {
    let text = std::fs::read_to_string(paths.at("/proc/self/mountinfo")).unwrap_or_default();
    text.lines().filter_map(parse_line).collect()
}

fn parse_line(line: &str) -> Option<Mount> {
    // A variable number of optional fields ends in a lone hyphen.
    let (before, after) = line.split_once(" - ")?;
    let mut fields = before.split(' ').skip(2);
    Some(Mount {
        device: fields.next()?.to_owned(),
        point: fields.nth(1)?.to_owned(),
        kind: after.split(' ').next()?.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_lines_with_and_without_optional_fields() {
        for line in [
            "22 1 254:2 / / rw,relatime shared:1 master:2 - ext4 /dev/root rw",
            "22 1 254:2 / / rw,relatime - ext4 /dev/root rw",
        ] {
            let mount = parse_line(line).unwrap();
            assert_eq!(
                (&*mount.device, &*mount.point, &*mount.kind),
                ("254:2", "/", "ext4")
            );
        }
        assert_eq!(parse_line("nonsense"), None);
    }
}
