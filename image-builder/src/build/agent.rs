//! The agent's program: it must be one that a Raspberry Pi can run, or whatever a package is for.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result, bail};

use super::plan::{Entry, Plan, owned_by_root};

/// Where it is installed.
pub(crate) const INSTALLED: &str = "/usr/bin/cluster-lab";

/// What a program is built for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Machine {
    /// All Raspberry Pis.
    Arm,
    /// PCs.
    Amd64,
}

/// Adds the agent to the plan.
pub(super) fn add(plan: &mut Plan, file: &Path, wanted: Machine) -> Result<()> {
    let bytes = fs::read(file).context("reading it")?;
    check(&bytes, wanted)?;
    plan.entries
        .insert(INSTALLED.parse()?, Entry::File(bytes, owned_by_root(0o755)));
    Ok(())
}

/// By the head of an ELF file: class, byte order, machine (System V ABI, figure 4-3).
fn check(bytes: &[u8], wanted: Machine) -> Result<()> {
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
        (BITS_32, LITTLE_ENDIAN, 40) if wanted == Machine::Arm => return Ok(()),
        (_, _, 62) if wanted == Machine::Amd64 => return Ok(()),
        (BITS_32, LITTLE_ENDIAN, 40) => "32-bit ARM",
        (_, _, 62) => "x86-64",
        (_, _, 3) => "x86",
        (_, _, 183) => "64-bit ARM",
        _ => "another machine",
    };
    match wanted {
        Machine::Arm => bail!("it is built for {built_for}, a card needs 32-bit ARM: run ci/build-agent"),
        Machine::Amd64 => bail!("it is built for {built_for}, the package needs x86-64"),
    }
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
        check(&head(1, 40), Machine::Arm).unwrap();
        check(&head(2, 62), Machine::Amd64).unwrap();
        let message = check(&head(1, 40), Machine::Amd64).unwrap_err().to_string();
        assert_eq!(message, "it is built for 32-bit ARM, the package needs x86-64");
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
            assert_eq!(check(&bytes, Machine::Arm).unwrap_err().to_string(), expected);
        }
    }
}
