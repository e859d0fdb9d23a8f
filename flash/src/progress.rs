//! Progress for people: a bar on a terminal, a line every tenth elsewhere. On standard error.

use std::io::IsTerminal;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use indicatif::{ProgressBar, ProgressStyle};

use crate::size;
use crate::write::Watch;

/// The step of plain lines where the whole is not known.
const STEP: u64 = 256 * 1024 * 1024;

/// Progress of one phase.
pub struct Progress {
    phase: String,
    total: Option<u64>,
    done: AtomicU64,
    bar: Option<ProgressBar>,
    interrupted: Arc<AtomicBool>,
}

impl Progress {
    /// Starts a phase of `total` bytes, as far as known.
    pub fn new(phase: &'static str, total: Option<u64>, interrupted: Arc<AtomicBool>) -> Self {
        let bar = std::io::stderr().is_terminal().then(|| bar(phase, total));
        Self {
            phase: phase.to_owned(),
            total,
            done: AtomicU64::new(0),
            bar,
            interrupted,
        }
    }

    /// The same for one of several cards: lines, because bars would overwrite each other.
    pub fn of_card(card: &str, phase: &str, total: Option<u64>, interrupted: Arc<AtomicBool>) -> Self {
        Self {
            phase: format!("{card}: {phase}"),
            total,
            done: AtomicU64::new(0),
            bar: None,
            interrupted,
        }
    }
}

impl Watch for Progress {
    fn advance(&self, bytes: u64) {
        let before = self.done.fetch_add(bytes, Ordering::Relaxed);
        match &self.bar {
            Some(bar) => bar.inc(bytes),
            None => {
                if let Some(line) = line(&self.phase, self.total, before, before + bytes) {
                    eprintln!("{line}");
                }
            }
        }
    }

    fn interrupted(&self) -> bool {
        self.interrupted.load(Ordering::Relaxed)
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

fn bar(phase: &'static str, total: Option<u64>) -> ProgressBar {
    let (bar, template) = match total {
        Some(total) => (
            ProgressBar::new(total),
            "{prefix:>9} [{wide_bar}] {decimal_bytes}/{decimal_total_bytes} {decimal_bytes_per_sec} {eta}",
        ),
        None => (
            ProgressBar::new_spinner(),
            "{prefix:>9} {spinner} {decimal_bytes} {decimal_bytes_per_sec} {elapsed}",
        ),
    };
    let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
    bar.with_style(style).with_prefix(phase)
}

/// The line to print when `before` has become `after`, if a step was passed.
fn line(phase: &str, total: Option<u64>, before: u64, after: u64) -> Option<String> {
    let step = |done: u64| match total {
        Some(total) => done.saturating_mul(10) / total.max(1),
        None => done / STEP,
    };
    if step(before) == step(after) {
        return None;
    }
    Some(match total {
        Some(total) => {
            let percent = step(after) * 10;
            format!("{phase}: {percent} % of {}", size::display(total))
        }
        None => format!("{phase}: {}", size::display(after)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_for_each_tenth() {
        for (total, before, after, expected) in [
            (Some(1000), 0, 99, None),
            (Some(1000), 99, 100, Some("writing: 10 % of 1.0 kB")),
            (Some(1000), 100, 1000, Some("writing: 100 % of 1.0 kB")),
            (None, 0, STEP - 1, None),
            (None, STEP - 1, STEP + 1, Some("writing: 268.4 MB")),
            (Some(0), 0, 0, None),
        ] {
            assert_eq!(line("writing", total, before, after).as_deref(), expected);
        }
    }
}
