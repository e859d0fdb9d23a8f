//! `lab switch` (hidden): the lab's switch, started in the background by `lab up`.

use anyhow::{Context, Result};
use clap::Args;

use crate::folder::Folder;
use crate::lab::{UPLINK, wire};
use crate::record::Record;
use crate::switch::server::{PortConfig, Switch as Server};

/// Be the switch of the lab, with a port for the uplink and one for each node that its record names.
#[derive(Debug, Args)]
pub(super) struct Switch {}

impl Switch {
    pub(super) fn run(self, folder: &Folder) -> Result<()> {
        let record = Record::load(&folder.record())?.context("this lab has no record")?;
        let nodes = record.nodes.iter().map(|node| node.name.as_str());
        let ports: Vec<_> = [UPLINK]
            .into_iter()
            .chain(nodes)
            .map(|name| {
                let [machine_end, switch_end] = wire(folder, name);
                PortConfig {
                    name: name.to_owned(),
                    switch_end,
                    machine_end,
                    capture: folder.capture(name),
                }
            })
            .collect();
        Server::new(&ports, &folder.socket("switch.control"))?.run()
    }
}
