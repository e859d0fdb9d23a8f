//! Consul's loop: looks at the node, Docker and Consul, takes one step, tells what it saw.

use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use serde::{Deserialize, Serialize};
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout};

use super::client;
use super::config::{self, Config, DATA_FOLDER, SETTINGS, SETTINGS_FOLDER, Situation};
use super::files::Files;
use super::front::Front;
use super::members::{Member, stale};
use super::services;
use super::step::{self, FINGERPRINT_LABEL, NAME, Observed, Step};
use crate::engine::docker::Engine;
use crate::engine::docker::containers::{Container, Part, Spec};
use crate::engine::preload::Preloads;
use crate::status::{Role, Status};
use crate::trust::Trust;

/// Between two looks when there is nothing to do; a service that starts or ends is seen so late.
const CALM: Duration = Duration::from_secs(3);
/// After a step, and while something is waited for.
const BUSY: Duration = Duration::from_secs(1);
/// A server that leaves hands its part over; it is not waited for longer.
const LEAVE_TIME: Duration = Duration::from_secs(8);

/// A registry that did not answer, or has no such image, is asked again after so long.
const PULL_AGAIN: Duration = Duration::from_secs(60);

/// What is shown of Consul.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct ConsulStatus {
    /// Its version; `None` while it does not answer.
    pub version: Option<String>,
    /// Its name in the catalogue.
    pub name: Option<String>,
    /// Whether it is one of those that decide.
    pub server: bool,
    /// How many members it sees alive, itself among them.
    pub members: usize,
    /// The server that leads.
    pub leader: Option<Ipv4Addr>,
    /// What is waited for or went wrong.
    pub waiting_for: Option<String>,
}

impl std::fmt::Display for ConsulStatus {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.version {
            Some(version) => {
                let part = if self.server { "server" } else { "client" };
                write!(f, "{version}, {part}, {} alive", self.members)?;
            }
            None => f.write_str("not running")?,
        }
        match &self.waiting_for {
            Some(waiting) => write!(f, " (waiting for {waiting})"),
            None => Ok(()),
        }
    }
}

/// The loop's ends.
pub struct Ends {
    /// Docker.
    pub engine: Engine,
    /// The agent's state folder.
    pub state: PathBuf,
    /// The image that Consul runs from.
    pub image: String,
    /// The master's address.
    pub master: Ipv4Addr,
    /// What the node is.
    pub node: watch::Receiver<Arc<Status>>,
    /// How far the images are that came with the card.
    pub preloads: watch::Receiver<Preloads>,
    /// Gets the name of an image that is needed and not there.
    pub missing: watch::Sender<Option<String>>,
    /// What Consul encrypts with.
    pub trust: Option<Trust>,
    /// Gets what is shown.
    pub status: watch::Sender<ConsulStatus>,
}

/// What matters of the node's status.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Node {
    hostname: String,
    own: Ipv4Addr,
    master: bool,
    interface: String,
    has_twin: bool,
}

impl Node {
    fn of(status: &Status) -> Option<Self> {
        let master = match status.role {
            Role::Master => true,
            Role::Node => false,
            Role::Starting | Role::Listening | Role::Claiming => return None,
        };
        let is_namesake = |name: &Option<boot_config::Hostname>| {
            name.as_ref().is_some_and(|name| name.as_str() == status.hostname)
        };
        let other_master = status.master.as_ref().filter(|_| !master);
        Some(Self {
            hostname: status.hostname.clone(),
            own: status.node_address?,
            master,
            interface: status.interface.clone()?,
            has_twin: status.peers.iter().any(|peer| is_namesake(&peer.hostname))
                || other_master.is_some_and(|master| is_namesake(&master.hostname)),
        })
    }
}

/// Leaves the other members in order and removes the container, for a node that is stopped. The data stays.
///
/// # Errors
/// When Docker does not answer or refuses.
pub async fn end(engine: &Engine) -> anyhow::Result<()> {
    let Some(container) = engine.container(NAME).await? else {
        return Ok(());
    };
    if container.running {
        leave(engine).await;
    }
    engine.remove_container(NAME).await
}

/// Leaves in order, as well as it goes.
async fn leave(engine: &Engine) {
    let leave = async {
        engine.restart_no_more(NAME).await?;
        client::leave().await?;
        while engine.container(NAME).await?.is_some_and(|it| it.running) {
            sleep(Duration::from_millis(300)).await;
        }
        anyhow::Ok(())
    };
    match timeout(LEAVE_TIME, leave).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::info!("consul: leaving: {error:#}"),
        Err(_) => tracing::info!("consul: leaving takes too long"),
    }
}

/// Runs for ever.
pub async fn run(ends: Ends) {
    let files = Files::in_folder(ends.state.join("consul"));
    let mut work = Loop {
        ends,
        files,
        fronts: Vec::new(),
        leaderless: None,
        version: None,
        pulled: None,
    };
    loop {
        let node = Node::of(&work.ends.node.borrow_and_update());
        let calm = match work.look(node.as_ref()).await {
            Ok(calm) => calm,
            Err(error) => {
                tracing::debug!("consul: {error:#}");
                work.wait_for(format!("{error:#}"));
                false
            }
        };
        let changed = work.ends.node.wait_for(|status| Node::of(status) != node);
        // A new role or address is answered at once.
        if let Ok(Err(_)) = timeout(if calm { CALM } else { BUSY }, changed).await {
            return;
        }
    }
}

struct Loop {
    ends: Ends,
    files: Files,
    fronts: Vec<Front>,
    /// See [`Observed::leaderless`].
    leaderless: Option<Instant>,
    /// Of the Consul that answers.
    version: Option<String>,
    /// When the image was last asked of its registry.
    pulled: Option<Instant>,
}

impl Loop {
    /// One round; whether there is nothing left to do.
    async fn look(&mut self, node: Option<&Node>) -> anyhow::Result<bool> {
        self.serve(node);
        let Some(node) = node else {
            self.wait_for("a role on the cluster network".to_owned());
            return Ok(false);
        };
        let Some(part) = self.ends.engine.swarm_part().await? else {
            self.wait_for("the swarm".to_owned());
            return Ok(false);
        };
        // At once: others join while the image is loaded.
        if config::is_sole(&part, node.own) && self.files.owner().as_deref() != Some(&part.node) {
            self.files.mark_maker(Some(&part.node))?;
        }
        let Some(image) = self.image().await? else {
            return Ok(false);
        };
        let keys = self.ends.trust.as_ref().map(Trust::consul).transpose()?.flatten();
        let situation = Situation {
            hostname: self.files.name(&node.hostname, node.own, node.has_twin)?,
            own: node.own,
            master: node.master,
            part: part.clone(),
            maker: self.files.is_maker(&part.node),
            encrypted: keys.is_some(),
        };
        let config = match config::wanted(&situation) {
            Ok(config) => config,
            Err(waiting) => {
                self.wait_for(waiting);
                return Ok(false);
            }
        };
        let container = self.ends.engine.container(NAME).await?;
        let last_words = match &container {
            Some(container) if !container.running => self.ends.engine.last_words(NAME).await.ok(),
            _ => None,
        };
        let fingerprint = config.fingerprint();
        let step = step::next(&Observed {
            container: container.as_ref(),
            image: &image,
            fingerprint: &fingerprint,
            foreign_data: self.files.owner().as_deref() != Some(&part.node),
            last_words: last_words.as_deref(),
            leaderless: self.leaderless.map(|since| since.elapsed()),
        });
        if step != Step::Keep {
            tracing::info!("consul: {step:?}");
            self.leaderless = None;
        }
        match step {
            Step::Keep => {
                let changed = self.files.write(&config, keys.as_ref())?;
                return self.tend(&config, &part, changed).await;
            }
            Step::Wait(reason) => self.wait_for(format!("Consul, which ended: {reason}")),
            Step::Create | Step::Replace { .. } | Step::SetAside => {
                self.replace(&step, &config, &part, container.as_ref()).await?;
                self.files.write(&config, keys.as_ref())?;
                self.ends.engine.run_container(&self.spec(&config)).await?;
            }
            Step::Start => {
                self.files.write(&config, keys.as_ref())?;
                self.ends.engine.start_container(NAME).await?;
            }
            Step::Recover => {
                tracing::warn!(
                    "consul: no majority of its servers is left; this node goes on with what it has"
                );
                if client::raft_servers().await? > 0 {
                    self.files.recover(config.address)?;
                } else {
                    self.files.write(
                        &Config {
                            bootstrap: true,
                            ..config
                        },
                        keys.as_ref(),
                    )?;
                }
                self.ends.engine.restart_container(NAME).await?;
            }
        }
        Ok(false)
    }

    /// Puts the front where the node is reached.
    fn serve(&mut self, node: Option<&Node>) {
        let mut wanted = Vec::new();
        if let Some(node) = node {
            wanted.push((node.interface.as_str(), node.own));
            wanted.extend(node.master.then_some((node.interface.as_str(), self.ends.master)));
        }
        self.fronts
            .retain(|front| wanted.contains(&(front.interface.as_str(), front.address)));
        for (interface, address) in wanted {
            if self.fronts.iter().any(|front| front.address == address) {
                continue;
            }
            match Front::serve(interface, address) {
                Ok(front) => self.fronts.push(front),
                // The address may come in a moment.
                Err(error) => tracing::debug!("Consul's page: {error:#}"),
            }
        }
    }

    /// The identifier of Consul's image, once it is there.
    async fn image(&mut self) -> anyhow::Result<Option<String>> {
        let name = self.ends.image.clone();
        let found = self.ends.engine.image(&name).await?;
        if found.is_some() {
            self.ends
                .missing
                .send_if_modified(|missing| missing.take().is_some());
            return Ok(found);
        }
        let preloads = self.ends.preloads.borrow().clone();
        if !preloads.references.contains(&name) {
            if self.pulled.is_none_or(|at| at.elapsed() >= PULL_AGAIN) {
                self.wait_for(format!("the image {name}, from its registry"));
                let pulled = self.ends.engine.pull_image(&name).await;
                self.pulled = Some(Instant::now());
                pulled?;
            }
        } else if preloads.loading.is_none() {
            self.ends.missing.send_replace(Some(name.clone()));
            self.wait_for(format!("the image {name} that came with the card"));
        } else {
            self.wait_for(format!("the image {name} that came with the card"));
        }
        Ok(None)
    }

    /// Ends a Consul that is not what it should be, and brings its data in order for the next.
    async fn replace(
        &mut self,
        step: &Step,
        config: &Config,
        part: &Part,
        old: Option<&Container>,
    ) -> anyhow::Result<()> {
        let wipe = matches!(step, Step::Replace { wipe: true });
        let was_server = old
            .and_then(|old| old.labels.get(FINGERPRINT_LABEL))
            .is_some_and(|it| it.contains("/server/"));
        if let Some(old) = old {
            // Who stays in its place with its data only restarts; others see no change of members.
            if old.running && (wipe || was_server && !config.server) {
                leave(&self.ends.engine).await;
            }
            self.ends.engine.remove_container(NAME).await?;
        }
        if wipe {
            self.files.begin(&part.node)?;
        } else if *step == Step::SetAside {
            self.files.set_aside()?;
        }
        if !config.server {
            self.files.forget_raft()?;
        }
        Ok(())
    }

    /// Keeps a Consul that runs as it should together with the others, and tells it the node's services.
    async fn tend(&mut self, config: &Config, part: &Part, changed: bool) -> anyhow::Result<bool> {
        if changed {
            client::reload().await?;
        }
        let version = match self.version.take() {
            Some(version) => version,
            None => client::version().await.context("Consul does not answer yet")?,
        };
        let members = client::members().await?;
        self.version = Some(version.clone());
        let leader = client::leader().await?;
        let mut status = ConsulStatus {
            version: Some(version),
            name: Some(config.name.clone()),
            server: config.server,
            members: members.iter().filter(|member| member.is_alive()).count(),
            leader,
            waiting_for: None,
        };
        self.find_others(config, &members).await;
        if leader.is_none() {
            let sees = |address| {
                members
                    .iter()
                    .any(|member| member.is_alive() && member.address == address)
            };
            let all_there = config.server && config.others.iter().all(|other| sees(*other));
            let decides = all_there && self.ends.engine.leads_swarm(&part.node).await.unwrap_or(false);
            self.leaderless = decides.then(|| self.leaderless.unwrap_or_else(Instant::now));
            status.waiting_for = Some("a leader among Consul's servers".to_owned());
            self.show(status);
            return Ok(false);
        }
        self.leaderless = None;
        self.files.mark_maker(None)?;
        self.show(status);
        if leader == Some(config.address) {
            self.forget_stale(&members).await?;
        }
        self.tell_services(part).await?;
        Ok(true)
    }

    /// Consul seeks others by itself only at its start.
    async fn find_others(&self, config: &Config, members: &[Member]) {
        let sees = |address| {
            members
                .iter()
                .any(|member| member.is_alive() && member.address == address)
        };
        if config.others.is_empty() || config.others.iter().any(|other| sees(*other)) {
            return;
        }
        for other in &config.others {
            match client::join(*other).await {
                Ok(()) => return,
                Err(error) => tracing::debug!("consul: {error:#}"),
            }
        }
    }

    /// On the server that leads: what Consul would remember for days.
    async fn forget_stale(&self, members: &[Member]) -> anyhow::Result<()> {
        if members.iter().all(Member::is_alive) {
            return Ok(());
        }
        let nodes = self.ends.engine.swarm_nodes().await?;
        for name in stale(members, &nodes) {
            tracing::info!("consul: {name} is gone for good");
            client::force_leave(name).await?;
        }
        Ok(())
    }

    async fn tell_services(&self, part: &Part) -> anyhow::Result<()> {
        let tasks = self.ends.engine.tasks().await?;
        // The ports of the routing mesh are known to managers only.
        let mesh = match part.manager {
            true if !tasks.is_empty() => self.ends.engine.mesh_ports().await.unwrap_or_default(),
            _ => std::collections::BTreeMap::new(),
        };
        let services::Changes { deregister, register } =
            services::changes(&tasks, &mesh, &client::services().await?);
        for id in deregister {
            client::deregister(&id).await?;
        }
        for service in register {
            client::register(&service).await?;
        }
        Ok(())
    }

    fn spec(&self, config: &Config) -> Spec {
        let settings = format!("-config-file={SETTINGS_FOLDER}/{SETTINGS}");
        Spec {
            name: NAME,
            image: self.ends.image.clone(),
            // The web page by an option: the key for it in the settings has changed its name with the releases.
            arguments: vec!["agent".to_owned(), settings, "-ui".to_owned()],
            labels: vec![
                (FINGERPRINT_LABEL, config.fingerprint()),
                ("traefik.enable", "false".to_owned()),
            ],
            folders: vec![
                (self.files.settings(), SETTINGS_FOLDER, false),
                (self.files.data(), DATA_FOLDER, true),
            ],
        }
    }

    /// Shows that Consul is not there yet, and why.
    fn wait_for(&mut self, waiting: String) {
        self.version = None;
        self.show(ConsulStatus {
            waiting_for: Some(waiting),
            ..ConsulStatus::default()
        });
    }

    fn show(&self, status: ConsulStatus) {
        self.ends.status.send_if_modified(|old| {
            let changed = *old != status;
            if let Some(waiting) = status
                .waiting_for
                .as_ref()
                .filter(|_| old.waiting_for != status.waiting_for)
            {
                tracing::info!("consul: waiting for {waiting}");
            }
            *old = status;
            changed
        });
    }
}
