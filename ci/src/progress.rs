//! Shows how far a lab is: a line per node that changes in place on a terminal, lines with seconds anywhere else.

use std::collections::HashMap;
use std::io::IsTerminal;
use std::time::{Duration, Instant};

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

/// The display. Everything goes to standard error.
pub struct Progress {
    start: Instant,
    bars: Option<(MultiProgress, HashMap<String, ProgressBar>)>,
}

impl Progress {
    /// A display for these nodes.
    pub fn new(names: &[String]) -> Self {
        let bars = std::io::stderr().is_terminal().then(|| {
            let all = MultiProgress::new();
            let style = ProgressStyle::with_template("{spinner} {elapsed:>4} {prefix}: {msg}")
                .unwrap_or_else(|_| ProgressStyle::default_spinner());
            let bar = |name: &String| {
                let bar = all.add(ProgressBar::new_spinner().with_style(style.clone()));
                bar.set_prefix(name.clone());
                bar.enable_steady_tick(Duration::from_millis(200));
                (name.clone(), bar)
            };
            let bars = names.iter().map(bar).collect();
            (all, bars)
        });
        Self {
            start: Instant::now(),
            bars,
        }
    }

    /// Says what a node is at.
    pub fn tell(&self, node: &str, line: &str) {
        match &self.bars {
            Some((_, bars)) => {
                if let Some(bar) = bars.get(node) {
                    bar.set_message(line.to_owned());
                }
            }
            None => eprintln!("{:>4} s  {node}: {line}", self.start.elapsed().as_secs()),
        }
    }

    /// Leaves the last state of all nodes on the terminal.
    pub fn finish(&self) {
        if let Some((_, bars)) = &self.bars {
            bars.values().for_each(ProgressBar::abandon);
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.finish();
    }
}
