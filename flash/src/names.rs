//! Names for several cards: `cl-node-{1..4}`.

use anyhow::{Result, bail};

/// More cards than that are not written at once.
const MAX: usize = 1000;

/// The names that a pattern stands for, one for each of `count` cards. Without a range it is one name.
///
/// # Errors
/// When there are more or fewer names than cards.
pub(crate) fn expand(pattern: &str, count: usize) -> Result<Vec<String>> {
    let names = all(pattern);
    if names.len() != count {
        let cards = if count == 1 { "card" } else { "cards" };
        bail!(
            "--hostname {pattern} stands for {} and there are {count} {cards}: say for example cl-node-{{1..{count}}}",
            match names.len() {
                1 => "one name".to_owned(),
                names => format!("{names} names"),
            }
        );
    }
    Ok(names)
}

/// The names that a pattern stands for. Without a range it is one name.
pub(crate) fn all(pattern: &str) -> Vec<String> {
    range(pattern).unwrap_or_else(|| vec![pattern.to_owned()])
}

/// `a{1..3}b` as in a shell; `{01..10}` keeps its zeros.
fn range(pattern: &str) -> Option<Vec<String>> {
    let (before, rest) = pattern.split_once('{')?;
    let (range, after) = rest.split_once('}')?;
    let (first, last) = range.split_once("..")?;
    let width = if first.starts_with('0') { first.len() } else { 0 };
    let (first, last): (usize, usize) = (first.parse().ok()?, last.parse().ok()?);
    let count = last.checked_sub(first)?;
    let name = |number| format!("{before}{number:0width$}{after}");
    (count < MAX).then(|| (first..=last).map(name).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_and_names() {
        for (pattern, count, expected) in [
            ("n1", 1, Ok(vec!["n1"])),
            (
                "cl-node-{1..3}",
                3,
                Ok(vec!["cl-node-1", "cl-node-2", "cl-node-3"]),
            ),
            ("n{09..10}x", 2, Ok(vec!["n09x", "n10x"])),
            (
                "n{1..3}",
                2,
                Err(
                    "--hostname n{1..3} stands for 3 names and there are 2 cards: say for example cl-node-{1..2}",
                ),
            ),
            (
                "n",
                2,
                Err("--hostname n stands for one name and there are 2 cards: say"),
            ),
            ("n{3..1}", 2, Err("--hostname n{3..1} stands for one name")),
            (
                "n{0..18446744073709551615}",
                2,
                Err("--hostname n{0..18446744073709551615} stands for one name"),
            ),
        ] {
            match (expand(pattern, count), expected) {
                (Ok(names), Ok(expected)) => assert_eq!(names, expected),
                (Err(error), Err(expected)) => assert!(error.to_string().starts_with(expected), "{error}"),
                (result, _) => panic!("{pattern}: {result:?}"),
            }
        }
    }
}
