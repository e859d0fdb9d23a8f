//! Progress: for people a bar on a terminal, a line every tenth elsewhere, on standard error; for scripts events.

use std::io::IsTerminal;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Instant;

use indicatif::{ProgressBar, ProgressStyle};

use crate::report::{Event, Voice};
use crate::size;
use crate::write::Watch;

/// The step of plain lines where the whole is not known.
const STEP: u64 = 256 * 1024 * 1024;

/// Progress of one phase.
pub struct Progress {
    card: Option<String>,
    phase: &'static str,
    total: Option<u64>,
    done: AtomicU64,
    bar: Option<ProgressBar>,
    voice: Voice,
    started: Instant,
    interrupted: Arc<AtomicBool>,
}

impl Progress {
    /// Starts a phase of `total` bytes, as far as known.
    pub fn new(voice: Voice, phase: &'static str, total: Option<u64>, interrupted: Arc<AtomicBool>) -> Self {
        let with_bar = voice == Voice::People && std::io::stderr().is_terminal();
        Self {
            card: None,
            phase,
            total,
            done: AtomicU64::new(0),
            bar: with_bar.then(|| bar(phase, total)),
            voice,
            started: Instant::now(),
            interrupted,
        }
    }

    /// The same for one of several cards: lines, because bars would overwrite each other.
    pub fn of_card(
        voice: Voice,
        card: &str,
        phase: &'static str,
        total: Option<u64>,
        interrupted: Arc<AtomicBool>,
    ) -> Self {
        Self {
            card: Some(card.to_owned()),
            phase,
            total,
            done: AtomicU64::new(0),
            bar: None,
            voice,
            started: Instant::now(),
            interrupted,
        }
    }

    fn event(&self, done: u64) -> Event<'_> {
        let rate = u128::from(done) * 1000 / self.started.elapsed().as_millis().max(1);
        let rate = u64::try_from(rate).unwrap_or(u64::MAX);
        Event::Progress {
            card: self.card.as_deref(),
            phase: self.phase,
            done,
            total: self.total,
            bytes_per_second: rate,
            seconds_left: self.total.map(|total| total.saturating_sub(done) / rate.max(1)),
        }
    }
}

impl Watch for Progress {
    fn advance(&self, bytes: u64) {
        let before = self.done.fetch_add(bytes, Ordering::Relaxed);
        if let Some(bar) = &self.bar {
            bar.inc(bytes);
            return;
        }
        let after = before + bytes;
        match (self.voice, line(self.phase, self.total, before, after)) {
            (Voice::People, Some(line)) => match &self.card {
                Some(card) => eprintln!("{card}: {line}"),
                None => eprintln!("{line}"),
            },
            (Voice::Json, Some(_)) => self.voice.tell_scripts(&self.event(after)),
            _ => {}
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
