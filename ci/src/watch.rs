//! Waits until every node has taken its role, and tells how far each is.

use std::sync::mpsc;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};

use crate::console::Stage;
use crate::interrupt::Interrupt;
use crate::lab::Lab;
use crate::node_status::NodeStatus;

/// How often a node is asked. Asking costs an emulated processor about a tenth of a second.
const INTERVAL: Duration = Duration::from_secs(2);

/// Something new about a node.
#[derive(Clone, Debug)]
pub struct News {
    /// The node.
    pub node: String,
    /// What it is at, one line.
    pub line: String,
}

/// A node that has its role.
#[derive(Clone, Debug)]
pub struct Ready {
    /// What its agent says.
    pub status: NodeStatus,
    /// How long after the start of the wait.
    pub after: Duration,
}

/// Waits for the nodes named, in their order; `tell` gets the news. A machine without a network cannot take a role: its
/// agent's answer is waited for.
///
/// # Errors
/// When a node has no role after `patience`, goes off, or the wait is interrupted.
pub fn until_roles_taken(
    lab: &Lab,
    names: &[String],
    patience: Duration,
    interrupt: &Interrupt,
    mut tell: impl FnMut(News),
) -> Result<Vec<Ready>> {
    let start = Instant::now();
    std::thread::scope(|scope| {
        let (sender, news) = mpsc::channel();
        let watches: Vec<_> = names
            .iter()
            .map(|name| {
                let sender = sender.clone();
                scope.spawn(move || until_role_taken(lab, name, start, patience, interrupt, &sender))
            })
            .collect();
        drop(sender);
        news.into_iter().for_each(&mut tell);
        watches
            .into_iter()
            .map(|watch| {
                watch
                    .join()
                    .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
            })
            .collect()
    })
}

fn until_role_taken(
    lab: &Lab,
    name: &str,
    start: Instant,
    patience: Duration,
    interrupt: &Interrupt,
    news: &mpsc::Sender<News>,
) -> Result<Ready> {
    let has_network = lab.record().machine.has_network();
    let mut last = String::new();
    loop {
        let stage = Stage::of(&lab.console(name)?);
        let status = if stage >= Stage::Services {
            lab.status(name).ok()
        } else {
            None
        };
        let line = status
            .as_ref()
            .map_or_else(|| stage.to_string(), NodeStatus::line);
        if line != last {
            // Who listened has stopped: so will this.
            let _ = news.send(News {
                node: name.to_owned(),
                line: line.clone(),
            });
            last = line;
        }
        let after = start.elapsed();
        if let Some(status) = status.filter(|status| status.has_role() || !has_network) {
            return Ok(Ready { status, after });
        }
        let hint = lab.folder().console_log(name);
        if !lab.node(name)?.is_on() {
            bail!(
                "{name} went off at '{last}': see its console in {}",
                hint.display()
            );
        }
        if after > patience {
            bail!(
                "{name} has no role after {} s, it is at '{last}': see its console in {}",
                patience.as_secs(),
                hint.display()
            );
        }
        interrupt.sleep(INTERVAL)?;
    }
}
