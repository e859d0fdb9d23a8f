//! The cluster network's loop: everything that is heard goes to the pure machines (`link`, `role`, `dhcp::client`,
//! `dhcp::server`), and what they decide is done here.

mod interface;
mod role_change;

use std::collections::VecDeque;
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::time::Duration;

use axum::Router;
use boot_config::Network as Settings;
use tokio::sync::watch;
use tokio::time::Instant;

use super::arp::{self, Says};
use super::dhcp::client::{Client, Output};
use super::dhcp::frame;
use super::dhcp::lease_table::Lease;
use super::discovery::Discovery;
use super::dns::forward::Places;
use super::follower::{Follower, Heard, News};
use super::hosts::Hosts;
use super::jitter::Jitter;
use super::link::Interface;
use super::mac::Mac;
use super::master::Services;
use super::memory::{Memory, Remembered};
use super::names::Names;
use super::netlink::Netlink;
use super::packet::PacketSocket;
use super::role::{Action, Event, Machine, Role, Timing};
use super::sntp::follower::TimeFollower;
use super::view::{View, Warnings};
use super::web::Web;
use crate::members::{self, Members};
use crate::status::Peer;

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
    Time,
}

/// The master's news, the own hardware address, whether this is the master, the own address, all nodes.
type NamesFrom = (Option<News>, Option<Mac>, bool, Option<Ipv4Addr>, Vec<Peer>);

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
    master: Option<Mac>,
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
        let role = Machine::new(Timing::default(), Jitter::new(jitter.number()), role);
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
            ..
        } = self;
        let port = port.as_ref();
        tokio::select! {
            () = netlink.changed() => Wake::Links,
            frame = or_never(port, |port| port.arp.receive()) => Wake::Arp(frame),
            frame = or_never(port, |port| port.dhcp.receive()) => Wake::Dhcp(frame),
            message = or_never(services.as_ref(), Services::receive) => Wake::Request(message),
            name = or_never(search.as_ref(), Discovery::master) => Wake::Found(name),
            heard = or_never(follower.as_mut(), Follower::heard) => Wake::Told(heard),
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
                if let Some(services) = &mut self.services {
                    services.answer(now, &message);
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
            Wake::Time => {}
        }
        if now >= self.look {
            self.look().await;
        }
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

    fn arp_heard(&mut self, now: Duration, frame: &[u8]) {
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
            Says::Holds(address, age) if address == master_address => {
                self.jobs.push_back(Job::Heard(Event::Held(heard.sender, age)));
                // A node with a lease makes itself known to a new master.
                if self
                    .master
                    .replace(heard.sender)
                    .is_some_and(|before| before != heard.sender)
                {
                    self.jobs
                        .extend(port.client.hurry(now).into_iter().map(Job::Client));
                }
            }
            Says::Claims(address) | Says::Holds(address, _) => {
                self.jobs.extend(
                    port.client
                        .in_use(now, address, heard.sender)
                        .into_iter()
                        .map(Job::Client),
                );
                if let (Some(services), Says::Holds(..)) = (&mut self.services, heard.says) {
                    services.server().table.seen(now, address, heard.sender);
                }
            }
            Says::Seeks(address) if address == master_address => {
                self.jobs.push_back(Job::Heard(Event::Sought));
            }
            Says::Seeks(_) => {}
        }
    }

    fn dhcp_heard(&mut self, now: Duration, frame: &[u8]) {
        let Some((from, packet)) = frame::unwrap(frame) else {
            return;
        };
        if let Some(port) = &mut self.port {
            let outputs = port.client.receive(now, from, &packet);
            if outputs.contains(&Output::MasterSeen) {
                self.master = Some(from);
            }
            self.jobs.extend(outputs.into_iter().map(Job::Client));
        }
    }

    async fn client_says(&mut self, output: Output) {
        let Some(port) = &mut self.port else { return };
        let mac = port.interface.mac;
        match output {
            // What a machine sends out does not come back to it: a master asks itself directly.
            Output::Send(to, packet) => match &mut self.services {
                Some(services) => {
                    let now = self.origin.elapsed();
                    if let Some((reply, _)) = services.reply(now, &packet) {
                        let outputs = port.client.receive(now, mac, &reply);
                        self.jobs.extend(outputs.into_iter().map(Job::Client));
                    }
                }
                None => sent(port.dhcp.send(&frame::wrap(mac, to, &packet))),
            },
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
            Action::Announce(age) => send(&self.port, &|mac| arp::announcement(mac, address, Some(age))),
            Action::Become(role) => self.take_role(now, role).await,
        }
    }

    fn publish(&mut self) {
        let now = self.now();
        let own = self.port.as_ref().map(|port| port.interface.mac);
        // Kept while listening for a successor's leases, but of a master that is gone.
        let news = self.news.as_ref().filter(|_| self.role.role() == Role::Node);
        let mut peers: Vec<Peer> = match (&self.services, news) {
            (Some(services), _) => services
                .active(now)
                .filter(|lease| lease.client.node)
                .map(|Lease { address, client }| Peer {
                    hostname: client.hostname,
                    address,
                    mac: client.mac,
                })
                .collect(),
            (None, Some(news)) => news.peers.clone(),
            (None, None) => Vec::new(),
        };
        let news = news.cloned();
        let names = (
            news.clone(),
            own,
            self.services.is_some(),
            self.node_address(),
            peers.clone(),
        );
        // Every frame that is heard comes by here; the names of a hundred nodes are made only when they are others.
        if self.names != names {
            self.tell_names(news.as_ref(), own, &peers);
            self.names = names;
        }
        peers.retain(|peer| Some(peer.mac) != own);
        let view = View {
            role: self.role.role(),
            interface: self
                .port
                .as_ref()
                .map(|port| (port.interface.name.clone(), port.interface.mac)),
            node_address: self.node_address(),
            address: self.master_address().or_else(|| self.node_address()),
            master_name: news.as_ref().and_then(|news| news.master.clone()),
            master_node: news.and_then(|news| Some(news.master_node?.address)),
            peers,
            waiting: self.waiting.clone(),
            warnings: self.warnings.lines(),
        };
        self.view.send_if_modified(|old| {
            let changed = *old != view;
            *old = view;
            changed
        });
    }
}

impl Network {
    /// Names are known on the master, and on a node whose master has told of itself.
    fn tell_names(&self, news: Option<&News>, own: Option<Mac>, peers: &[Peer]) {
        let Settings {
            master_address,
            domain,
            ..
        } = &self.options.settings;
        let (name, mac, address) = match (&self.services, news) {
            (Some(_), _) => (self.options.hostname.parse().ok(), own, self.node_address()),
            (
                None,
                Some(News {
                    master, master_node, ..
                }),
            ) => {
                let node = master_node.as_ref();
                (
                    master.clone(),
                    node.map(|node| node.mac),
                    node.map(|node| node.address),
                )
            }
            (None, None) => return,
        };
        let Some(hosts) = &self.hosts else { return };
        let others = peers.iter().filter(|peer| Some(peer.mac) != mac);
        let names = Names::new(
            // Until it has an address of its own, its name leads to the master's.
            name.map(|name| (name, address.unwrap_or(*master_address))),
            others.map(|peer| (peer.hostname.clone(), peer.address)),
        );
        hosts.tell(&names, *master_address, domain);
    }
}

/// What is sent here is sent again by whoever decided it; a failure is only worth a note.
fn sent(result: std::io::Result<()>) {
    if let Err(error) = result {
        tracing::debug!(%error, "a frame was not sent");
    }
}

/// Waits for something of `source`, for ever when there is none.
async fn or_never<S, T, F: Future<Output = T>>(source: Option<S>, wait: impl FnOnce(S) -> F) -> T {
    match source {
        Some(source) => wait(source).await,
        None => std::future::pending().await,
    }
}
