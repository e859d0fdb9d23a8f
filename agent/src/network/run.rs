//! The cluster network's loop: everything that is heard goes to the pure machines (`link`, `role`, `dhcp::client`,
//! `dhcp::server`), and what they decide is done here.

mod heard;
mod interface;
mod role_change;
mod show;

use std::collections::VecDeque;
use std::path::PathBuf;
use std::time::Duration;

use axum::Router;
use boot_config::Network as Settings;
use tokio::sync::watch;
use tokio::time::Instant;

use super::announcement::Announcements;
use super::arp;
use super::dhcp::client::{Client, Output};
use super::dhcp::frame;
use super::dhcp::mark;
use super::discovery::Discovery;
use super::dns::forward::Places;
use super::follower::{Follower, Heard, News};
use super::foreign::Foreign;
use super::hosts::Hosts;
use super::jitter::Jitter;
use super::link::Interface;
use super::mac::Mac;
use super::master::Services;
use super::memory::{Memory, Remembered};
use super::netlink::Netlink;
use super::packet::PacketSocket;
use super::role::{Action, Event, Leadership, Machine, Role, Timing};
use super::sntp::follower::TimeFollower;
use super::view::{View, Warnings};
use super::web::Web;
use crate::members::{self, Members};
use crate::trust::Seal;
use show::NamesFrom;

/// Port of the HTTP API.
const HTTP: u16 = 80;

/// What the cluster network is and where things are.
#[derive(Clone, Debug)]
pub struct Options {
    /// The network's settings.
    pub settings: Settings,
    /// State folder, such as `/var/lib/cluster-lab`.
    pub state: PathBuf,
    /// `/sys/class/net`
    pub class_net: PathBuf,
    /// This node's name.
    pub hostname: String,
    /// The system, for the announcement.
    pub os: String,
    /// Whether the HTTP API is served on the cluster address.
    pub http: bool,
    /// The HTTP API.
    pub web_routes: Router,
    /// The channel between members; without one the node has no secret and takes no role.
    pub members: Option<Members>,
    /// What members are told on it.
    pub member_routes: Router,
    /// Who is asked for names that are not the cluster's.
    pub places: Places,
    /// The hosts file.
    pub hosts: PathBuf,
    /// Who leads the cluster.
    pub leadership: watch::Receiver<Leadership>,
    /// When this node's image was built, since 1970; zero when that is unknown.
    pub built: Duration,
    /// What makes this node's random delays its own.
    pub seed: u64,
}

/// The interface in use, with its sockets.
#[derive(Debug)]
struct Port {
    interface: Interface,
    arp: PacketSocket,
    dhcp: PacketSocket,
    client: Client,
}

enum Wake {
    Links,
    Arp(std::io::Result<Vec<u8>>),
    Dhcp(std::io::Result<Vec<u8>>),
    Request(std::io::Result<Vec<u8>>),
    Found(String),
    Told(Heard),
    Leads(Leadership),
    Time,
}

/// Work that one step makes for the next.
enum Job {
    Heard(Event),
    Do(Action),
    Client(Output),
}

/// The cluster network of one node.
pub struct Network {
    options: Options,
    view: watch::Sender<View>,
    memory: Memory,
    remembered: Remembered,
    netlink: Netlink,
    jitter: Jitter,
    origin: Instant,
    look: Duration,
    role: Machine,
    port: Option<Port>,
    search: Option<Discovery>,
    services: Option<Services>,
    follower: Option<Follower>,
    time: Option<TimeFollower>,
    /// What the names were last made from.
    names: NamesFrom,
    hosts: Option<Hosts>,
    web: Option<Web>,
    channels: Vec<members::Server>,
    /// The master, as the last of this cluster's announcements said.
    master: Option<Mac>,
    /// The master whose hardware address the kernel was told; no other's ARP packets change it.
    pinned: Option<Mac>,
    seal: Option<Seal>,
    announcements: Option<Announcements>,
    foreign: Foreign,
    /// For how long that one said to be master.
    master_age: Duration,
    news: Option<News>,
    waiting: Option<String>,
    warnings: Warnings,
    jobs: VecDeque<Job>,
}

impl Network {
    /// Prepares; nothing of the system is changed yet.
    ///
    /// # Errors
    /// When there is no netlink or the state folder cannot be made.
    pub fn new(options: Options, view: watch::Sender<View>) -> anyhow::Result<Self> {
        let memory = Memory::open(&options.state)?;
        let remembered = memory.role();
        let netlink = Netlink::open(options.class_net.clone())?;
        let mut jitter = Jitter::new(options.seed);
        let role = match remembered.master {
            Some(true) => Some(Role::Master),
            Some(false) => Some(Role::Node),
            None => None,
        };
        let role = Machine::new(Timing::default(), Jitter::new(jitter.number()), role)
            .inclined(options.settings.inclination);
        let seal = options.members.as_ref().map(Members::seal);
        let announcements = seal.clone().map(Announcements::new);
        Ok(Self {
            options,
            view,
            memory,
            remembered,
            netlink,
            jitter,
            origin: Instant::now(),
            look: Duration::ZERO,
            role,
            port: None,
            search: None,
            services: None,
            follower: None,
            time: None,
            names: NamesFrom::default(),
            hosts: None,
            web: None,
            channels: Vec::new(),
            master: None,
            pinned: None,
            seal,
            announcements,
            foreign: Foreign::default(),
            master_age: Duration::ZERO,
            news: None,
            waiting: None,
            warnings: Warnings::default(),
            jobs: VecDeque::new(),
        })
    }

    /// Runs until `end` is there, then takes down what was set up.
    pub async fn run(mut self, end: impl Future<Output = ()>) {
        self.hosts = Some(Hosts::keep(self.options.hosts.clone()));
        let mut end = std::pin::pin!(end);
        loop {
            let wake = tokio::select! {
                () = &mut end => break,
                wake = self.next() => wake,
            };
            self.take(wake).await;
            self.work().await;
            self.probe_offers();
            self.pin_master().await;
            self.publish();
        }
        self.take_down().await;
    }

    fn now(&self) -> Duration {
        self.origin.elapsed()
    }

    async fn next(&mut self) -> Wake {
        let deadlines = [
            Some(self.look),
            self.role.deadline(),
            self.port.as_ref().and_then(|port| port.client.deadline()),
            self.services.as_ref().and_then(Services::deadline),
        ];
        let deadline = self.origin + deadlines.into_iter().flatten().min().unwrap_or(self.look);
        let Self {
            netlink,
            port,
            services,
            search,
            follower,
            options,
            ..
        } = self;
        let port = port.as_ref();
        let leadership = &mut options.leadership;
        tokio::select! {
            () = netlink.changed() => Wake::Links,
            frame = or_never(port, |port| port.arp.receive()) => Wake::Arp(frame),
            frame = or_never(port, |port| port.dhcp.receive()) => Wake::Dhcp(frame),
            message = or_never(services.as_ref(), Services::receive) => Wake::Request(message),
            name = or_never(search.as_ref(), Discovery::master) => Wake::Found(name),
            heard = or_never(follower.as_mut(), Follower::heard) => Wake::Told(heard),
            leadership = changed(leadership) => Wake::Leads(leadership),
            () = tokio::time::sleep_until(deadline) => Wake::Time,
        }
    }

    async fn take(&mut self, wake: Wake) {
        let now = self.now();
        match wake {
            Wake::Links => self.look().await,
            Wake::Arp(Ok(frame)) => self.arp_heard(now, &frame),
            Wake::Dhcp(Ok(frame)) => self.dhcp_heard(now, &frame),
            Wake::Request(Ok(message)) => {
                if let Some(services) = &mut self.services
                    && let Some(stranger) = services.answer(now, &message)
                {
                    self.foreign.card(now, stranger);
                }
            }
            Wake::Arp(Err(error)) | Wake::Dhcp(Err(error)) | Wake::Request(Err(error)) => {
                tracing::debug!(%error, "the interface reports");
                self.look().await;
            }
            Wake::Found(name) => {
                tracing::debug!(name, "a master was found by DNS-SD");
                self.jobs.push_back(Job::Heard(Event::MasterSeen));
            }
            Wake::Told(Heard::News(news)) => {
                self.jobs.push_back(Job::Heard(Event::MasterSeen));
                self.news = Some(news);
                self.warnings.set("trust", Vec::new());
                self.follow_time();
            }
            Wake::Told(Heard::OtherSecret) => {
                let address = self.options.settings.master_address;
                let line = format!(
                    "the master at {address} has another cluster secret than this card: flash this card again for that cluster"
                );
                self.warnings.set("trust", vec![line]);
                self.time = None;
            }
            Wake::Leads(leadership) => {
                tracing::debug!("who leads the cluster: {leadership:?}");
                let actions = self.role.lead_by(now, leadership);
                self.jobs.extend(actions.into_iter().map(Job::Do));
            }
            Wake::Time => {}
        }
        if now >= self.look {
            self.look().await;
        }
        let lines = self.foreign.lines(now, self.options.settings.master_address);
        self.warnings.set("foreign", lines);
        self.jobs.push_back(Job::Heard(Event::Tick));
        if let Some(port) = &mut self.port {
            self.jobs
                .extend(port.client.tick(now).into_iter().map(Job::Client));
        }
        if let Some(services) = &mut self.services
            && services.deadline().is_some_and(|at| now >= at)
        {
            let wrong = services.tick(now);
            self.warnings.set("master", wrong);
            self.ask_for_rivals(now);
        }
    }

    async fn work(&mut self) {
        while let Some(job) = self.jobs.pop_front() {
            let now = self.now();
            match job {
                Job::Heard(event) => {
                    // What a job leads to comes before all other jobs.
                    for action in self.role.handle(now, event).into_iter().rev() {
                        self.jobs.push_front(Job::Do(action));
                    }
                }
                Job::Do(action) => self.act(now, action).await,
                Job::Client(output) => self.client_says(output).await,
            }
        }
    }

    async fn client_says(&mut self, output: Output) {
        let Some(port) = &mut self.port else { return };
        let mac = port.interface.mac;
        match output {
            // What a machine sends out does not come back to it: a master asks itself directly.
            Output::Send(to, mut packet) => {
                if let Some(seal) = &self.seal {
                    mark::put(&mut packet, seal);
                }
                if let Some(services) = &mut self.services {
                    let now = self.origin.elapsed();
                    if let Some((reply, _)) = services.reply(now, &packet) {
                        let outputs = port.client.receive(now, mac, &reply);
                        self.jobs.extend(outputs.into_iter().map(Job::Client));
                    }
                } else {
                    sent(port.dhcp.send(&frame::wrap(mac, to, &packet)));
                }
            }
            Output::Probe(address) => sent(port.arp.send(&arp::claim(mac, address))),
            Output::MasterSeen => self.jobs.push_back(Job::Heard(Event::MasterSeen)),
            Output::Bound(address) => {
                sent(port.arp.send(&arp::announcement(mac, address, None)));
                let interface = port.interface.name.clone();
                tracing::info!("address {address} on {interface}");
                self.set_addresses().await;
                self.follow();
                self.remember();
            }
            Output::Lost(address) => {
                tracing::info!("address {address} given up");
                self.follower = None;
                self.time = None;
                self.set_addresses().await;
            }
        }
    }

    async fn act(&mut self, now: Duration, action: Action) {
        let address = self.options.settings.master_address;
        let send = |port: &Option<Port>, frame: &dyn Fn(Mac) -> Vec<u8>| {
            if let Some(port) = port {
                sent(port.arp.send(&frame(port.interface.mac)));
            }
        };
        match action {
            Action::Query => send(&self.port, &|mac| arp::query(mac, address)),
            Action::Claim => send(&self.port, &|mac| arp::claim(mac, address)),
            Action::Announce(age) => {
                if let Some(announcements) = &self.announcements {
                    send(&self.port, &|mac| announcements.frame(mac, address, age));
                }
            }
            Action::Become(role) => self.take_role(now, role).await,
        }
    }
}

/// What is sent here is sent again by whoever decided it; a failure is only worth a note.
fn sent(result: std::io::Result<()>) {
    if let Err(error) = result {
        tracing::debug!(%error, "a frame was not sent");
    }
}

/// Waits for another value.
async fn changed(leadership: &mut watch::Receiver<Leadership>) -> Leadership {
    match leadership.changed().await {
        Ok(()) => *leadership.borrow_and_update(),
        // The engine's loop has ended.
        Err(_) => std::future::pending().await,
    }
}

/// Waits for something of `source`, for ever when there is none.
async fn or_never<S, T, F: Future<Output = T>>(source: Option<S>, wait: impl FnOnce(S) -> F) -> T {
    match source {
        Some(source) => wait(source).await,
        None => std::future::pending().await,
    }
}
