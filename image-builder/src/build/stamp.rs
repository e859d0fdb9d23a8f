//! `/usr/lib/cluster-lab/image.toml`: which release an image is and when it was made. A node without a clock starts no
//! earlier than that.

use anyhow::Result;

use super::plan::{Entry, Plan, owned_by_root};

/// Adds the stamp to the plan.
pub(super) fn add(plan: &mut Plan, epoch: u64) -> Result<()> {
    let release = env!("CARGO_PKG_VERSION");
    let text = format!("version = 1\nrelease = \"{release}\"\nbuilt = {epoch}\n");
    plan.entries.insert(
        "/usr/lib/cluster-lab/image.toml".parse()?,
        Entry::File(text.into(), owned_by_root(0o644)),
    );
    Ok(())
}
