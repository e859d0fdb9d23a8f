//! The engine's loop: looks at Docker, plans one step, does it, and tells what it saw.

use std::net::{Ipv4Addr, SocketAddrV4};
use std::path::PathBuf;
use std::time::Duration;

use futures_util::{StreamExt, stream};
use serde::{Deserialize, Serialize};
use tokio::sync::watch;
use tokio::time::Instant;

use super::configure::Configurator;
use super::docker::{Engine, Report};
use super::leadership;
use super::leave;
use super::plan::{Part, Planner, Situation, Step, asks_others};
use super::service_manager::ServiceManager;
use super::swarm::{Control, Invitation, Membership, Swarm};
use super::trouble;
use crate::api::MEMBER_SWARM;
use crate::members::{self, Members, Way};
use crate::network::role::Leadership;

/// Between two looks when there is nothing to do.
const CALM: Duration = Duration::from_secs(5);
/// After a step, while something is waited for, and while Docker does not answer yet.
const BUSY: Duration = Duration::from_secs(1);

/// An engine that does not answer is looked into so often.
const TROUBLE_EVERY: Duration = Duration::from_secs(10);

/// Nodes that a master asks at the same time.
const AT_ONCE: usize = 16;

/// What the loop must know of the cluster network.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Place {
    /// The node's own address and whether it is the master; `None` while it has no role.
    pub role: Option<(Ipv4Addr, bool)>,
    /// The master's own address, as the master itself tells it.
    pub master: Option<Ipv4Addr>,
    /// The other nodes' own addresses.
    pub peers: Vec<Ipv4Addr>,
    /// The interface of the cluster network.
    pub interface: Option<String>,
}

/// What is shown of the engine.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct EngineStatus {
    /// Docker's version; `None` while it does not answer.
    pub docker: Option<String>,
    /// The node's part in the swarm.
    pub swarm: SwarmPart,
    /// What is waited for or went wrong.
    pub waiting_for: Option<String>,
}

impl std::fmt::Display for EngineStatus {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.docker {
            Some(version) => write!(f, "{version}, {}", self.swarm)?,
            None => f.write_str("no answer")?,
        }
        match &self.waiting_for {
            Some(waiting) => write!(f, " (waiting for {waiting})"),
            None => Ok(()),
        }
    }
}

/// A node's part in the swarm.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SwarmPart {
    /// In no swarm.
    #[default]
    None,
    /// Runs tasks.
    Worker,
    /// Runs tasks and is one of those that decide.
    Manager,
    /// The manager that leads.
    Leader,
}

impl std::fmt::Display for SwarmPart {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::None => "in no swarm",
            Self::Worker => "swarm worker",
            Self::Manager => "swarm manager",
            Self::Leader => "swarm leader",
        })
    }
}

/// The loop's ends.
pub struct Ends {
    /// Docker's socket.
    pub socket: PathBuf,
    /// The cluster network.
    pub place: watch::Receiver<Place>,
    /// Gets what is shown.
    pub status: watch::Sender<EngineStatus>,
    /// Gets what other members may learn from this node, while it is a manager.
    pub invitation: watch::Sender<Option<Invitation>>,
    /// Gets who leads.
    pub leadership: watch::Sender<Leadership>,
    /// The channel on which the master is asked.
    pub members: Option<Members>,
    /// The master's address.
    pub master: Ipv4Addr,
    /// Becomes true when the node is to leave the swarm.
    pub leave: watch::Receiver<bool>,
    /// The service manager, and where the engine and its data are: asked when it does not answer.
    pub service_manager: ServiceManager,
    /// Where the engine's program may be.
    pub programs: Vec<PathBuf>,
    /// Where the engine's data is.
    pub data: PathBuf,
    /// Keeps the engine's configuration.
    pub configurator: Configurator,
}

/// Runs until the node is to leave; what is left to do is [`Left::leave`].
pub async fn run(ends: Ends, planner: Planner) -> Left {
    let way = None;
    let leader = leadership::Watch::default();
    let mut engine = Loop {
        ends,
        way,
        leader,
        trouble: None,
    };
    engine.run(planner).await;
    Left(engine)
}

/// The engine of a node that is to leave.
pub struct Left(Loop);

impl Left {
    /// Leaves the swarm in order, and puts the engine's configuration back. A line for each thing that a user must know.
    pub async fn leave(self) -> Vec<String> {
        let engine = Engine::new(self.0.ends.socket.clone());
        let status = self.0.ends.status.borrow().clone();
        let say = |what: &str| {
            let mut status = status.clone();
            status.waiting_for = Some(format!("leaving the swarm: {what}"));
            self.0.ends.status.send_replace(status);
        };
        let mut notes: Vec<_> = leave::leave(&engine, say).await.into_iter().collect();
        if let Err(error) = self.0.ends.configurator.restore(&engine).await {
            notes.push(format!("Docker's configuration: {error:#}"));
        }
        notes
    }
}

struct Loop {
    ends: Ends,
    /// To the master.
    way: Option<Way>,
    leader: leadership::Watch,
    /// Why the engine does not answer, and when that was found out.
    trouble: Option<(Duration, String)>,
}

impl Loop {
    async fn run(&mut self, mut planner: Planner) {
        let engine = Engine::new(self.ends.socket.clone());
        let origin = Instant::now();
        loop {
            let calm = self.look(&engine, &mut planner, origin.elapsed()).await;
            let wait = if calm { CALM } else { BUSY };
            // A new role is answered at once.
            tokio::select! {
                () = tokio::time::sleep(wait) => {}
                () = asked(&mut self.ends.leave) => return,
                changed = self.ends.place.changed() => {
                    if changed.is_err() {
                        return;
                    }
                }
            }
        }
    }

    /// One round; whether there is nothing left to do.
    async fn look(&mut self, engine: &Engine, planner: &mut Planner, now: Duration) -> bool {
        let place = self.ends.place.borrow_and_update().clone();
        let report = match engine.report().await {
            Ok(report) => report,
            Err(error) => {
                self.ends.invitation.send_replace(None);
                self.tell(Leadership::Unknown);
                let trouble = self.trouble(now, &format!("{error:#}")).await;
                self.show(EngineStatus {
                    waiting_for: Some(trouble),
                    ..EngineStatus::default()
                });
                return false;
            }
        };
        self.trouble = None;
        if let Some(old) = trouble::too_old(&report.version) {
            self.show(EngineStatus {
                docker: Some(report.version),
                waiting_for: Some(old),
                ..EngineStatus::default()
            });
            return true;
        }
        let configured = self.configure(now, &place, &report).await;
        let member = match &report.swarm {
            Swarm::In(member) => Some(member),
            _ => None,
        };
        let invitation = member.and_then(Membership::invitation);
        self.ends.invitation.send_if_modified(|old| {
            let changed = *old != invitation;
            *old = invitation;
            changed
        });
        let has_role = place.role.is_some();
        let mut foreign_master = false;
        let step = match place.role {
            Some((own, is_master)) => {
                let part = if is_master {
                    let others = match place.interface {
                        Some(interface) if asks_others(&report.swarm) => {
                            self.others(&place.peers, &interface).await
                        }
                        _ => Vec::new(),
                    };
                    Part::Master { others }
                } else {
                    let invitation = self.asked(place.interface).await;
                    foreign_master = member
                        .zip(invitation.as_ref())
                        .is_some_and(|(member, invitation)| !invitation.knows(&member.node));
                    Part::Node { invitation }
                };
                planner.step(now, &Situation { own, part }, &report.swarm)
            }
            None => Step::Settled,
        };
        let leadership = self.leader.see(now, &report.swarm, foreign_master);
        self.tell(leadership);
        let mut status = EngineStatus {
            docker: Some(report.version),
            swarm: member.map_or(SwarmPart::None, part),
            waiting_for: None,
        };
        let calm = match step {
            Step::Settled => {
                let space = trouble::free(&self.ends.data).and_then(trouble::no_space);
                status.waiting_for = configured.or(space);
                if leadership == Leadership::Lost {
                    status.waiting_for = Some(
                        "a majority of the swarm's managers; until then this node is not the master"
                            .to_owned(),
                    );
                }
                // Without a master the next leader is looked for.
                has_role
            }
            Step::Wait(reason) => {
                status.waiting_for = Some(reason);
                false
            }
            Step::Do(action) => {
                tracing::info!("swarm: {action:?}");
                if let Err(error) = engine.apply(&action).await {
                    tracing::warn!("{error:#}");
                    status.waiting_for = Some(format!("Docker, which says: {error:#}"));
                }
                false
            }
        };
        self.show(status);
        calm
    }

    /// Brings the engine's configuration into line with the role; what is wrong with it, if anything.
    async fn configure(&mut self, now: Duration, place: &Place, report: &Report) -> Option<String> {
        let (_, is_master) = place.role?;
        match self.ends.configurator.bring(now, is_master, &report.labels).await {
            Ok(()) => None,
            Err(error) => Some(format!("you to mend Docker's configuration: {error:#}")),
        }
    }

    /// The master's invitation, once it has one.
    async fn asked(&mut self, interface: Option<String>) -> Option<Invitation> {
        let interface = interface?;
        let way = match self.way.take().filter(|way| way.interface() == interface) {
            Some(way) => way,
            None => {
                let master = SocketAddrV4::new(self.ends.master, members::PORT);
                Way::new(self.ends.members.clone()?, master, interface)
            }
        };
        let answer = self.way.insert(way).ask(MEMBER_SWARM).await;
        answer
            .inspect_err(|error| tracing::debug!("the master's invitation: {error:#}"))
            .ok()
            .flatten()
    }

    /// The invitations of nodes that are managers.
    async fn others(&self, peers: &[Ipv4Addr], interface: &str) -> Vec<Invitation> {
        let Some(members) = &self.ends.members else {
            return Vec::new();
        };
        let ask = |peer: Ipv4Addr| async move {
            let answer = members.get(SocketAddrV4::new(peer, members::PORT), interface, MEMBER_SWARM);
            serde_json::from_slice::<Option<Invitation>>(&answer.await.ok()?).ok()?
        };
        let answers = stream::iter(peers.iter().copied())
            .map(ask)
            .buffer_unordered(AT_ONCE);
        answers.filter_map(std::future::ready).collect().await
    }

    /// Why the engine does not answer. Asking the service manager costs a Pi some time, so not with each look.
    async fn trouble(&mut self, now: Duration, error: &str) -> String {
        if let Some((since, known)) = &self.trouble
            && now < *since + TROUBLE_EVERY
        {
            return known.clone();
        }
        let Ends {
            service_manager,
            programs,
            data,
            ..
        } = &self.ends;
        let name = trouble::name(&trouble::look(service_manager, programs, data).await, error);
        self.trouble = Some((now, name.clone()));
        name
    }

    fn tell(&self, leadership: Leadership) {
        self.ends.leadership.send_if_modified(|old| {
            let before = std::mem::replace(old, leadership);
            before != leadership
        });
    }

    fn show(&self, status: EngineStatus) {
        self.ends.status.send_if_modified(|old| {
            let changed = *old != status;
            if changed
                && let Some(waiting) = status
                    .waiting_for
                    .as_ref()
                    .filter(|_| old.waiting_for != status.waiting_for)
            {
                tracing::info!("engine: waiting for {waiting}");
            }
            *old = status;
            changed
        });
    }
}

/// Waits until the node is to leave.
async fn asked(leave: &mut watch::Receiver<bool>) {
    if leave.wait_for(|leave| *leave).await.is_err() {
        std::future::pending::<()>().await;
    }
}

fn part(member: &Membership) -> SwarmPart {
    match &member.control {
        Control::Worker | Control::Pending => SwarmPart::Worker,
        _ if member.leads() => SwarmPart::Leader,
        Control::NoQuorum | Control::Manager(_) => SwarmPart::Manager,
    }
}
