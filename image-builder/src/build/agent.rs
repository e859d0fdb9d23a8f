//! The agent's program: it must be one that a Raspberry Pi can run.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result, bail};

use super::plan::{Entry, Plan, owned_by_root};

const INSTALLED: &str = "/usr/bin/cluster-lab";

/// Adds the agent to the plan.
pub(super) fn add(plan: &mut Plan, file: &Path) -> Result<()> {
    let bytes = fs::read(file).context("reading it")?;
    check(&bytes)?;
    plan.entries
        .insert(INSTALLED.parse()?, Entry::File(bytes, owned_by_root(0o755)));
    Ok(())
}

/// By the head of an ELF file: class, byte order, machine (System V ABI, figure 4-3).
fn check(bytes: &[u8]) -> Result<()> {
    const BITS_32: u8 = 1;
    const LITTLE_ENDIAN: u8 = 1;
    let [0x7f, b'E', b'L', b'F', class, order, ..] = bytes else {
        bail!("it is not a program (no ELF file)");
    };
    let machine = match bytes.get(18..20) {
        Some([low, high]) => u16::from_le_bytes([*low, *high]),
        _ => bail!("it is cut short"),
    };
    let built_for = match (*class, *order, machine) {
        (BITS_32, LITTLE_ENDIAN, 40) => return Ok(()),
        (_, _, 62) => "x86-64",
        (_, _, 3) => "x86",
        (_, _, 183) => "64-bit ARM",
        _ => "another machine",
    };
    bail!("it is built for {built_for}, a card needs 32-bit ARM: run ci/build-agent")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_programs_for_arm_are_taken() {
        let head = |class, machine| {
            let mut head = vec![0x7f, b'E', b'L', b'F', class, 1];
            head.resize(18, 0);
            head.extend([machine, 0, 0, 0]);
            head
        };
        check(&head(1, 40)).unwrap();
        for (bytes, expected) in [
            (
                head(2, 62),
                "it is built for x86-64, a card needs 32-bit ARM: run ci/build-agent",
            ),
            (
                head(2, 183),
                "it is built for 64-bit ARM, a card needs 32-bit ARM: run ci/build-agent",
            ),
            (b"#!/bin/sh\n".to_vec(), "it is not a program (no ELF file)"),
            (Vec::new(), "it is not a program (no ELF file)"),
            (b"\x7fELF\x01\x01".to_vec(), "it is cut short"),
        ] {
            assert_eq!(check(&bytes).unwrap_err().to_string(), expected);
        }
    }
}
