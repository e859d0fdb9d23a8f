//! Sizes as people write and read them.

/// A size for people: decimal units, as on the package of a card.
pub fn display(bytes: u64) -> String {
    let units = [("GB", 1_000_000_000), ("MB", 1_000_000), ("kB", 1_000)];
    match units.iter().find(|(_, unit)| bytes >= *unit) {
        Some((name, unit)) => format!("{}.{} {name}", bytes / unit, bytes % unit * 10 / unit),
        None => format!("{bytes} bytes"),
    }
}

/// Reads `512M`, `2G` (binary, as dd and QEMU take them) or a number of bytes. Whole sectors of 512 bytes only.
///
/// # Errors
/// When it is none of these.
pub fn parse(text: &str) -> Result<u64, String> {
    let unit = |suffix| match suffix {
        'k' | 'K' => Some(10),
        'M' => Some(20),
        'G' => Some(30),
        _ => None,
    };
    let (digits, shift) = match text.chars().last().and_then(unit) {
        Some(shift) => (&text[..text.len() - 1], shift),
        None => (text, 0),
    };
    let bytes = digits
        .parse::<u64>()
        .ok()
        .and_then(|number| number.checked_mul(1 << shift));
    bytes
        .filter(|bytes| *bytes > 0 && bytes % 512 == 0)
        .ok_or_else(|| format!("'{text}' is not a card size: a multiple of 512 bytes, such as 512M or 4G"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_and_shows() {
        for (text, bytes) in [
            ("512", 512),
            ("64k", 65_536),
            ("512M", 536_870_912),
            ("2G", 2_147_483_648),
        ] {
            assert_eq!(parse(text), Ok(bytes));
        }
        for bad in ["", "G", "0", "1", "2T", "-1", "99999999999G", "1.5G"] {
            assert!(
                parse(bad)
                    .unwrap_err()
                    .starts_with(&format!("'{bad}' is not a card size"))
            );
        }
        for (bytes, text) in [(511, "511 bytes"), (1_500, "1.5 kB"), (31_914_983_424, "31.9 GB")] {
            assert_eq!(display(bytes), text);
        }
    }
}
