//! Makes a Pi's device tree fit QEMU's Pi: its SD card behind the controller whose emulation is sound.
//!
//! A Pi has two, `sdhost` and `sdhci`, and its device tree uses `sdhost`. QEMU 7.2 loses interrupts of that one when
//! it is busy ("sdhost-bcm2835: timeout waiting for hardware interrupt"), and the guest then reads wrong data. After a
//! reset QEMU has the card on `sdhci`, and it stays there when nobody asks for `sdhost`.
//!
//! Pure, in place, no byte moves (<https://devicetree-specification.readthedocs.io/en/stable/flattened-format.html>).

const MAGIC: u32 = 0xd00d_feed;
const STRUCTURE_AT: usize = 8;
const STRINGS_AT: usize = 12;
const BEGIN_NODE: u32 = 1;
const END_NODE: u32 = 2;
const PROPERTY: u32 = 3;
const NOTHING: u32 = 4;

const SDHOST: &[u8] = b"brcm,bcm2835-sdhost";
const SDHCI: &[u8] = b"brcm,bcm2835-sdhci";

/// What cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the device tree is damaged")]
pub struct Damaged;

/// A property of a node, by its place.
#[derive(Clone, Copy, Debug)]
struct Property {
    /// Of its token.
    at: usize,
    /// Of its value.
    value: usize,
    length: usize,
}

/// Switches `sdhost` off and `sdhci` on. A tree without them stays as it is.
///
/// # Errors
/// When it is no device tree.
pub fn use_sdhci(tree: &mut [u8]) -> Result<(), Damaged> {
    if word(tree, 0)? != MAGIC {
        return Err(Damaged);
    }
    for (status, compatible) in controllers(tree)? {
        let value = compatible.value..compatible.value + compatible.length;
        let is_sdhost = tree.get(value).ok_or(Damaged)?.starts_with(SDHOST);
        if is_sdhost {
            // Anything but "okay" means off; this one has the same length.
            let place = tree.get_mut(status.value..status.value + 4).ok_or(Damaged)?;
            place.copy_from_slice(b"fail");
        } else {
            // Without a status a device is on.
            let end = status.value + status.length.next_multiple_of(4);
            for at in (status.at..end).step_by(4) {
                let place = tree.get_mut(at..at + 4).ok_or(Damaged)?;
                place.copy_from_slice(&NOTHING.to_be_bytes());
            }
        }
    }
    Ok(())
}

/// `status` and `compatible` of the two controllers.
fn controllers(tree: &[u8]) -> Result<Vec<(Property, Property)>, Damaged> {
    let mut found = Vec::new();
    let mut at = number(word(tree, STRUCTURE_AT)?)?;
    let strings = number(word(tree, STRINGS_AT)?)?;
    let (mut status, mut compatible) = (None, None);
    // The structure ends with a token that is none of these.
    loop {
        match word(tree, at)? {
            // A node's own properties come before its first child.
            BEGIN_NODE => {
                (status, compatible) = (None, None);
                at += 4 + (text(tree, at + 4)?.len() + 1).next_multiple_of(4);
            }
            END_NODE => {
                (status, compatible) = (None, None);
                at += 4;
            }
            NOTHING => at += 4,
            PROPERTY => {
                let length = number(word(tree, at + 4)?)?;
                let name = text(tree, strings + number(word(tree, at + 8)?)?)?;
                let value = at + 12;
                let property = Property { at, value, length };
                match name {
                    b"status" => status = Some(property),
                    b"compatible" => {
                        let value = tree.get(value..value + length).ok_or(Damaged)?;
                        let ours = [SDHOST, SDHCI].iter().any(|name| value.starts_with(name));
                        compatible = ours.then_some(property);
                    }
                    _ => {}
                }
                if let (Some(a), Some(b)) = (status, compatible) {
                    found.push((a, b));
                    (status, compatible) = (None, None);
                }
                at = value + length.next_multiple_of(4);
            }
            _ => return Ok(found),
        }
    }
}

fn word(tree: &[u8], at: usize) -> Result<u32, Damaged> {
    let bytes = tree.get(at..).and_then(<[u8]>::first_chunk).ok_or(Damaged)?;
    Ok(u32::from_be_bytes(*bytes))
}

fn number(word: u32) -> Result<usize, Damaged> {
    usize::try_from(word).map_err(|_| Damaged)
}

fn text(tree: &[u8], at: usize) -> Result<&[u8], Damaged> {
    tree.get(at..)
        .and_then(|rest| rest.split(|&byte| byte == 0).next())
        .ok_or(Damaged)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A tree with one node per list of properties.
    fn tree(nodes: &[&[(&str, &str)]]) -> Vec<u8> {
        let mut strings = Vec::new();
        let mut structure = Vec::new();
        let push = |structure: &mut Vec<u8>, word: usize| {
            structure.extend(u32::try_from(word).unwrap().to_be_bytes());
        };
        let padded = |structure: &mut Vec<u8>, text: &str| {
            structure.extend(text.bytes().chain([0]));
            structure.resize(structure.len().next_multiple_of(4), 0);
        };
        for node in nodes {
            push(&mut structure, 1);
            padded(&mut structure, "mmc@1");
            for (name, value) in *node {
                push(&mut structure, 3);
                push(&mut structure, value.len() + 1);
                push(&mut structure, strings.len());
                strings.extend(name.bytes().chain([0]));
                padded(&mut structure, value);
            }
            push(&mut structure, 2);
        }
        push(&mut structure, 9);
        let mut tree = Vec::new();
        tree.extend(MAGIC.to_be_bytes());
        push(&mut tree, 0);
        push(&mut tree, 16);
        push(&mut tree, 16 + structure.len());
        tree.extend(structure);
        tree.extend(strings);
        tree
    }

    #[test]
    fn the_card_moves_to_the_sound_controller() {
        let sdhost = ("compatible", "brcm,bcm2835-sdhost");
        let sdhci = ("compatible", "brcm,bcm2835-sdhci");
        let uart: &[_] = &[("compatible", "arm,pl011"), ("status", "okay")];
        let mut real = tree(&[
            uart,
            &[sdhost, ("status", "okay")],
            &[("status", "disabled"), sdhci],
        ]);
        let length = real.len();
        use_sdhci(&mut real).unwrap();
        assert_eq!(real.len(), length);
        let expected = tree(&[
            uart,
            &[sdhost, ("status", "fail")],
            &[("status", "disabled"), sdhci],
        ]);
        let changed: Vec<_> = real.iter().zip(&expected).filter(|(a, b)| a != b).collect();
        // What is left of the last status are tokens that mean nothing.
        assert!(!real.windows(9).any(|window| window == b"disabled\0"));
        assert!(
            !changed.is_empty() && changed.iter().all(|(a, _)| [0, 4].contains(*a)),
            "{changed:?}"
        );
        use_sdhci(&mut real).unwrap();
    }

    #[test]
    fn other_trees_stay_and_damaged_ones_are_refused() {
        let mut other = tree(&[&[("compatible", "arm,pl011"), ("status", "okay")]]);
        let before = other.clone();
        use_sdhci(&mut other).unwrap();
        assert_eq!(other, before);
        let end = other.len() - 40;
        for damaged in [&mut other[..end], &mut [][..], &mut [0; 64][..]] {
            assert_eq!(use_sdhci(damaged), Err(Damaged));
        }
    }
}
