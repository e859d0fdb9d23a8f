//! What is heard on the wire, and whether it is the own cluster's.

use std::time::Duration;

use super::{Job, Network};
use crate::network::announcement::Verdict;
use crate::network::arp::{self, Announced, Says};
use crate::network::dhcp::{frame, mark};
use crate::network::mac::Mac;
use crate::network::role::Event;
use crate::trust::Standing;

impl Network {
    pub(super) fn arp_heard(&mut self, now: Duration, frame: &[u8]) {
        let Some(heard) = arp::parse(frame) else { return };
        let Some(port) = &mut self.port else { return };
        if heard.sender == port.interface.mac {
            return;
        }
        let master_address = self.options.settings.master_address;
        match heard.says {
            Says::Claims(address) if address == master_address => {
                self.jobs.push_back(Job::Heard(Event::ClaimHeard(heard.sender)));
            }
            Says::Seeks(address) if address == master_address => {
                self.jobs.push_back(Job::Heard(Event::Sought));
            }
            Says::Seeks(_) => {}
            Says::Holds(address, announced) if address == master_address => {
                self.master_heard(now, heard.sender, announced);
            }
            Says::Claims(address) | Says::Holds(address, _) => {
                self.jobs.extend(
                    port.client
                        .in_use(now, address, heard.sender)
                        .into_iter()
                        .map(Job::Client),
                );
                if let (Some(services), Says::Holds(..)) = (&mut self.services, heard.says) {
                    services.in_use(now, address, heard.sender);
                }
            }
        }
    }

    /// Probes the addresses that the server is about to offer.
    pub(super) fn probe_offers(&mut self) {
        let (Some(services), Some(port)) = (&mut self.services, &self.port) else {
            return;
        };
        for address in services.take_probes() {
            super::sent(port.arp.send(&arp::claim(port.interface.mac, address)));
        }
    }

    pub(super) fn ask_for_rivals(&mut self, now: Duration) {
        let (Some(services), Some(port)) = (&mut self.services, &self.port) else {
            return;
        };
        let mac = port.interface.mac;
        let xid = (self.jitter.number() >> 32) as u32;
        let server = services.server();
        if let Some(mut question) = server.rival.ask(now, mac, xid) {
            mark::put(&mut question, &server.seal);
            super::sent(port.dhcp.send(&frame::wrap(mac, frame::To::All, &question)));
        }
    }

    fn master_heard(&mut self, now: Duration, sender: Mac, announced: Option<Announced>) {
        let address = self.options.settings.master_address;
        let judge = |announced| {
            let announcements = self.announcements.as_mut();
            announcements.map(|all| all.judge(sender, address, announced))
        };
        let event = match announced.and_then(judge) {
            Some(Verdict::Ours(age)) => Event::Held(sender, Some(age)),
            Some(Verdict::Other) => {
                self.foreign.master(now, sender);
                Event::Foreign(sender)
            }
            Some(Verdict::Old) => {
                tracing::debug!(%sender, "an old announcement was played back");
                return;
            }
            None if self.foreign.is_master(now, sender) => Event::Foreign(sender),
            None => Event::Held(sender, None),
        };
        self.jobs.push_back(Job::Heard(event));
        let Event::Held(_, Some(age)) = event else { return };
        let before = self.master.replace(sender);
        // A node with a lease makes itself known to a new master, and to one that was none for a while.
        let again = age < std::mem::replace(&mut self.master_age, age);
        if before.is_some_and(|before| before != sender || again)
            && let Some(port) = &mut self.port
        {
            self.jobs
                .extend(port.client.hurry(now).into_iter().map(Job::Client));
        }
    }

    pub(super) fn dhcp_heard(&mut self, now: Duration, frame: &[u8]) {
        let Some((from, packet)) = frame::unwrap(frame) else {
            return;
        };
        let (Some(port), Some(seal)) = (&mut self.port, &self.seal) else {
            return;
        };
        match mark::standing(&packet, seal) {
            Standing::Member => {}
            Standing::Unmarked if seal.is_open() && self.services.is_none() => {}
            standing => {
                if let (Some(services), Standing::Unmarked) = (&mut self.services, standing) {
                    let server = services.server();
                    let (audience, subnet) = (server.audience, server.subnet);
                    server.rival.heard(now, from, &packet, audience, subnet);
                }
                tracing::debug!(%from, ?standing, "a DHCP server that is not this cluster's");
                return;
            }
        }
        let outputs = port.client.receive(now, from, &packet);
        self.jobs.extend(outputs.into_iter().map(Job::Client));
    }
}
