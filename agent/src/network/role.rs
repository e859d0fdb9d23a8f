//! Who is master: the decisions, pure. Time and what was heard come in, actions come out; no I/O and no clock here.
//!
//! A node listens; hears it no master, it claims the master's address by probing (RFC 5227) and takes it. Exactly one
//! remains, because every pair of rivals settles it by an order that both compute alike:
//! - who hears a claim while listening lets it go first;
//! - of two that claim at once, the lower hardware address goes on;
//! - of two masters (links that were apart), the one that has been master for longer stays, else the lower hardware
//!   address. Near the border between the two rules both may give way and listen again, never both stay.
//!
//! A kernel answers for its addresses even while the agent above it hangs. So a master that has once spoken as an agent
//! is believed in only while its agent speaks; one that finds that it has hung for so long that others may have taken
//! over steps down before anything else. A master of another cluster is never followed nor fought: who has no master of
//! its own waits until that one is gone.
//!
//! Once the cluster has a leader, the role follows it: see [`Leadership`].

mod leadership;
mod timing;

use std::ops::Range;
use std::time::Duration;

use boot_config::Inclination;
use serde::{Deserialize, Serialize};

use super::jitter::Jitter;
use super::mac::Mac;
pub use leadership::Leadership;
use leadership::Led;
pub use timing::Timing;

/// The role of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// There is no usable cluster network yet.
    Starting,
    /// Finds out whether there is a master.
    Listening,
    /// Claims the master's address.
    Claiming,
    /// Holds the master's address.
    Master,
    /// Follows a master.
    Node,
}

impl std::fmt::Display for Role {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Starting => "starting",
            Self::Listening => "listening",
            Self::Claiming => "claiming",
            Self::Master => "master",
            Self::Node => "node",
        })
    }
}

/// What was heard or happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// Only time has passed.
    Tick,
    /// The cluster network's interface works, with this hardware address.
    LinkUp(Mac),
    /// The interface is gone, or has no carrier.
    LinkDown,
    /// Another station probes the master's address in order to take it.
    ClaimHeard(Mac),
    /// Another station uses the master's address; as an announcement, for how long it has been master.
    Held(Mac, Option<Duration>),
    /// The agent of a master showed itself just now by DNS-SD, DHCP or the members' channel.
    MasterSeen,
    /// Another station looks for a master.
    Sought,
    /// Another station uses the master's address for another cluster.
    Foreign(Mac),
}

/// What is to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Send an ARP query for the master's address.
    Query,
    /// Send an ARP probe for it.
    Claim,
    /// Announce the address, held for so long.
    Announce(Duration),
    /// The role is now this one; set up what belongs to it and take down what does not.
    Become(Role),
}

#[derive(Clone, Copy, Debug)]
enum State {
    Down,
    Listening {
        until: Duration,
        query: Duration,
    },
    Claiming {
        sent: u8,
        next: Duration,
    },
    Master {
        since: Duration,
        announce: Duration,
        defended: Duration,
    },
    Node {
        heard: Duration,
        query: Duration,
        /// The master, if it is known by ARP.
        by: Option<Mac>,
        /// Whether it has spoken as an agent; else it may be any device.
        agent: bool,
    },
}

/// The decisions of one node. Times are durations since any fixed moment, the same one in all calls.
#[derive(Clone, Debug)]
pub struct Machine {
    timing: Timing,
    jitter: Jitter,
    mac: Mac,
    /// The last role held, of this run or (as given to `new`) of an earlier one.
    remembered: Option<Role>,
    /// The last master whose agent fell silent: what its kernel still answers is no sign of life.
    silent: Option<Mac>,
    led: Led,
    inclination: Inclination,
    state: State,
}

impl Machine {
    /// A machine that waits for its link. `remembered`: `Master` or `Node`, when an earlier run was one.
    pub fn new(timing: Timing, jitter: Jitter, remembered: Option<Role>) -> Self {
        Self {
            timing,
            jitter,
            mac: Mac::ZERO,
            remembered,
            silent: None,
            led: Led::default(),
            inclination: Inclination::Any,
            state: State::Down,
        }
    }

    /// One that is master rather than others, or never.
    pub fn inclined(mut self, inclination: Inclination) -> Self {
        self.inclination = inclination;
        self
    }

    /// The present role.
    pub fn role(&self) -> Role {
        match self.state {
            State::Down => Role::Starting,
            State::Listening { .. } => Role::Listening,
            State::Claiming { .. } => Role::Claiming,
            State::Master { .. } => Role::Master,
            State::Node { .. } => Role::Node,
        }
    }

    /// When a `Tick` is due; `None` while only an event can change anything.
    pub fn deadline(&self) -> Option<Duration> {
        match self.state {
            State::Down => None,
            State::Listening { until, query } => Some(until.min(query)),
            State::Claiming { next, .. } => Some(next),
            State::Master { announce, .. } => Some(announce),
            State::Node {
                heard, query, agent, ..
            } => Some(
                query
                    .max(heard + self.timing.doubt_after)
                    .min(heard + self.timing.gone_after)
                    .min(self.led.seize().filter(|_| agent).unwrap_or(Duration::MAX)),
            ),
        }
    }

    /// Takes one event and says what to do, in order.
    pub fn handle(&mut self, now: Duration, event: Event) -> Vec<Action> {
        if let State::Master { announce, .. } = self.state
            && now >= announce + self.timing.hung_after()
        {
            let mut actions = self.listen(now, &self.timing.listen_master.clone());
            actions.extend(self.take(now, event));
            return actions;
        }
        self.take(now, event)
    }

    fn take(&mut self, now: Duration, event: Event) -> Vec<Action> {
        match (event, self.state) {
            (Event::Tick, _) => self.tick(now),
            (Event::LinkUp(mac), State::Down) => {
                self.mac = mac;
                let range = match self.remembered {
                    _ if self.inclination == Inclination::Prefer => self.timing.listen_master.clone(),
                    Some(Role::Master) => self.timing.listen_master.clone(),
                    Some(Role::Node) => self.timing.listen_node.clone(),
                    _ => self.timing.listen_fresh.clone(),
                };
                self.listen(now, &range)
            }
            (Event::LinkDown, state) if !matches!(state, State::Down) => {
                self.state = State::Down;
                vec![Action::Become(Role::Starting)]
            }
            (Event::ClaimHeard(by) | Event::Held(by, _) | Event::Foreign(by), _) if by == self.mac => {
                Vec::new()
            }
            (Event::Held(by, None), _) if self.silent == Some(by) => Vec::new(),
            (Event::ClaimHeard(by), state) => {
                self.alive(by);
                self.claim_heard(now, by, state)
            }
            (Event::Held(by, age), State::Master { since, defended, .. }) => {
                self.alive(by);
                self.rival(now, by, age, since, defended)
            }
            (Event::Held(by, age), State::Listening { .. } | State::Claiming { .. }) => {
                self.alive(by);
                self.follow(now, Some(by), age.is_some())
            }
            (Event::MasterSeen, State::Listening { .. } | State::Claiming { .. }) => {
                self.follow(now, None, true)
            }
            (Event::Held(by, age), State::Node { agent, .. }) => {
                if age.is_some() || !agent {
                    self.alive(by);
                    self.heard(now, Some(by), age.is_some());
                }
                Vec::new()
            }
            (Event::MasterSeen, State::Node { by, .. }) => {
                self.heard(now, by, true);
                Vec::new()
            }
            (
                Event::Sought,
                State::Master {
                    since,
                    announce,
                    defended,
                },
            ) => self.defend(now, since, announce, defended),
            (Event::Foreign(_), state) => self.wait_for_foreign(now, state),
            (Event::LinkUp(_) | Event::LinkDown | Event::Held(..) | Event::MasterSeen | Event::Sought, _) => {
                Vec::new()
            }
        }
    }

    fn alive(&mut self, by: Mac) {
        self.silent = self.silent.filter(|silent| *silent != by);
    }

    fn tick(&mut self, now: Duration) -> Vec<Action> {
        match self.state {
            State::Listening { until, query }
                if now >= until && (self.led.is_lost() || self.inclination == Inclination::Never) =>
            {
                let until = now + self.jitter.between(&self.timing.listen_again);
                self.state = State::Listening { until, query };
                Vec::new()
            }
            State::Listening { until, .. } if now >= until => {
                let next = now + self.jitter.between(&self.timing.claim_every);
                self.state = State::Claiming { sent: 1, next };
                vec![Action::Become(Role::Claiming), Action::Claim]
            }
            State::Listening { until, query } if now >= query => {
                self.state = State::Listening {
                    until,
                    query: now + self.timing.query_every,
                };
                vec![Action::Query]
            }
            State::Claiming { sent, next } if now >= next => {
                if sent >= self.timing.claims {
                    return self.lead(now);
                }
                let next = now + self.jitter.between(&self.timing.claim_every);
                self.state = State::Claiming { sent: sent + 1, next };
                vec![Action::Claim]
            }
            State::Master {
                since,
                announce,
                defended,
            } if now >= announce => {
                self.state = State::Master {
                    since,
                    announce: now + self.timing.announce_every,
                    defended,
                };
                vec![self.led.announce(now - since)]
            }
            // What is no agent's master is any device, and nobody's to take the address from.
            State::Node { agent: true, .. } if self.led.seize().is_some_and(|at| now >= at) => {
                self.led.put_off(now);
                self.lead(now)
            }
            State::Node { heard, by, agent, .. } if now >= heard + self.timing.gone_after => {
                self.silent = by.filter(|_| agent);
                let Timing {
                    listen_again,
                    listen_node,
                    ..
                } = &self.timing;
                // The cluster chooses the next master; should that one not come, any does.
                let wait = if self.led.elects() {
                    listen_node.clone()
                } else {
                    listen_again.clone()
                };
                self.listen(now, &wait)
            }
            State::Node {
                heard,
                query,
                by,
                agent,
            } if now >= query && now >= heard + self.timing.doubt_after => {
                self.state = State::Node {
                    heard,
                    query: now + self.timing.query_every,
                    by,
                    agent,
                };
                vec![Action::Query]
            }
            _ => Vec::new(),
        }
    }

    fn claim_heard(&mut self, now: Duration, by: Mac, state: State) -> Vec<Action> {
        match state {
            State::Listening { until, query } => {
                let patience = now + self.timing.claim() + self.jitter.between(&self.timing.listen_again);
                self.state = State::Listening {
                    until: until.max(patience),
                    query,
                };
                Vec::new()
            }
            State::Claiming { .. } if by < self.mac => {
                let claim = self.timing.claim();
                let Range { start, end } = self.timing.listen_again;
                self.listen(now, &(start + claim..end + claim))
            }
            State::Master {
                since,
                announce,
                defended,
            } => self.defend(now, since, announce, defended),
            State::Claiming { .. } | State::Node { .. } | State::Down => Vec::new(),
        }
    }

    /// The address belongs to another cluster's master: nobody claims it as long as that one is there, and it is looked
    /// for seldom, as this may last.
    fn wait_for_foreign(&mut self, now: Duration, state: State) -> Vec<Action> {
        let patience = now + self.timing.gone_after + self.jitter.between(&self.timing.listen_again);
        let query = now + self.timing.announce_every;
        match state {
            State::Listening { until, .. } => {
                self.state = State::Listening {
                    until: until.max(patience),
                    query,
                };
                Vec::new()
            }
            State::Claiming { .. } | State::Node { agent: false, .. } => {
                self.state = State::Listening {
                    until: patience,
                    query,
                };
                vec![Action::Become(Role::Listening)]
            }
            State::Down | State::Master { .. } | State::Node { agent: true, .. } => Vec::new(),
        }
    }

    /// Another master. Both sides compute the same difference of ages but for the packet's delay, so the two borders
    /// lie 4 s apart: in between both give way, which the next listening settles.
    fn rival(
        &mut self,
        now: Duration,
        by: Mac,
        announced: Option<Duration>,
        since: Duration,
        defended: Duration,
    ) -> Vec<Action> {
        let mine = self.led.rank(now - since);
        let age = announced.unwrap_or_default();
        let gives_way = if by < self.mac {
            mine < age + Duration::from_secs(5)
        } else {
            mine + Duration::from_secs(1) < age
        };
        if gives_way {
            return self.follow(now, Some(by), announced.is_some());
        }
        let announce = now + self.timing.announce_every;
        self.defend(now, since, announce, defended)
    }

    fn defend(
        &mut self,
        now: Duration,
        since: Duration,
        announce: Duration,
        defended: Duration,
    ) -> Vec<Action> {
        if now < defended + self.timing.defend_every {
            return Vec::new();
        }
        self.state = State::Master {
            since,
            announce,
            defended: now,
        };
        vec![self.led.announce(now - since)]
    }

    fn listen(&mut self, now: Duration, range: &Range<Duration>) -> Vec<Action> {
        // Who leads need not wait for anybody.
        let until = if self.led.leads() {
            now + self.timing.query_every
        } else {
            now + self.jitter.between(range)
        };
        self.state = State::Listening {
            until,
            query: now + self.timing.query_every,
        };
        vec![Action::Become(Role::Listening), Action::Query]
    }

    fn follow(&mut self, now: Duration, by: Option<Mac>, agent: bool) -> Vec<Action> {
        self.led.put_off(now);
        self.remembered = Some(Role::Node);
        self.heard(now, by, agent);
        vec![Action::Become(Role::Node)]
    }

    fn heard(&mut self, now: Duration, by: Option<Mac>, agent: bool) {
        self.state = State::Node {
            heard: now,
            query: now,
            by,
            agent,
        };
    }

    fn lead(&mut self, now: Duration) -> Vec<Action> {
        self.led.begin();
        self.remembered = Some(Role::Master);
        // The second announcement follows soon (RFC 5227 section 2.3 asks for two).
        let announce = now + self.timing.announce_every / 4;
        self.state = State::Master {
            since: now,
            announce,
            defended: now,
        };
        vec![Action::Become(Role::Master), self.led.announce(Duration::ZERO)]
    }
}

#[cfg(test)]
mod tests;
