//! The cluster secret that `flash` put onto the cards.

use anyhow::Result;

use crate::bed::Bed;
use crate::node::{says, says_to_root};
use crate::scenario::both;

/// Both nodes have taken the secret of their lab off the boot partition, which every user of a node may read.
pub(crate) fn the_cluster_secret(bed: &Bed) -> Result<()> {
    let kept = both(|name| says_to_root(&bed.lab, name, "cat /var/lib/cluster-lab/secret"))?;
    let same = kept[0] == kept[1] && kept[0].starts_with("cluster-secret-1:");
    bed.report
        .check("both have the same cluster secret", same, "it is not shown")?;
    let modes = both(|name| says_to_root(&bed.lab, name, "stat -c '%a %U' /var/lib/cluster-lab/secret"))?;
    bed.report.check(
        "only root may read it",
        modes.iter().all(|mode| mode == "600 root"),
        &modes,
    )?;
    let left = both(|name| says_to_root(&bed.lab, name, "ls /boot/firmware"))?;
    bed.report.check(
        "it is on the boot partition no more",
        left.iter()
            .all(|files| files.contains("cluster-lab.toml") && !files.contains("cluster-lab.secret")),
        &left,
    )?;
    let trust = both(|name| says(&bed.lab, name, "cluster-lab status --json | grep trust"))?;
    bed.report.check(
        "it is what they trust each other by",
        trust.iter().all(|line| line.contains("\"secret\"")),
        &trust,
    )
}
