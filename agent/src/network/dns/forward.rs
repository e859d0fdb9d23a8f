//! Asks other resolvers: every question from a port and with a number that nobody can guess, each question only once
//! however many ask it, and never more at once than `OUTSTANDING_MAX`.

use std::collections::HashMap;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use boot_config::Forwarders;
use ipnet::Ipv4Net;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket};
use tokio::sync::watch;
use tokio::time::{Instant, timeout};

use super::answer::Whom;
use super::cache::Cache;
use super::query::Query;
use super::reply::{self, Reply, Verdict};
use super::resolvers::{Files, Resolvers};

/// Most questions to others at once.
const OUTSTANDING_MAX: usize = 256;
/// A resolver has so long for its answer.
const UPLINK_WAIT: Duration = Duration::from_millis(1500);
/// Consul is on this machine.
const CONSUL_WAIT: Duration = Duration::from_millis(700);
/// The list of resolvers is gone through so often.
const ROUNDS: usize = 2;
/// For so long it is remembered that nobody answers (RFC 9520 section 3.2 asks for at least a second).
const FAILED: Duration = Duration::from_secs(2);
/// Most failures that are remembered.
const FAILED_MAX: usize = 1000;
/// Longest answer by UDP that is read.
const UDP_LENGTH: usize = 4096;

/// Where to ask.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Places {
    /// Where the uplink's resolvers stand.
    pub files: Files,
    /// Consul's DNS server.
    pub consul: SocketAddr,
    /// Who is asked instead of the uplink's resolvers.
    pub forwarders: Option<Forwarders>,
}

/// Asks and remembers.
#[derive(Debug)]
pub struct Forwarder {
    origin: Instant,
    consul: SocketAddr,
    state: Mutex<State>,
}

type Outcome = Option<Arc<Reply>>;

#[derive(Debug)]
struct State {
    resolvers: Resolvers,
    cache: Cache,
    failed: HashMap<(Whom, Vec<u8>), Duration>,
    asked: HashMap<(Whom, Vec<u8>), watch::Receiver<Option<Outcome>>>,
}

enum Next {
    Known(Outcome, Duration),
    Wait(watch::Receiver<Option<Outcome>>),
}

impl Forwarder {
    /// A forwarder that has asked nobody yet.
    pub fn new(places: Places, subnet: Ipv4Net) -> Self {
        Self {
            origin: Instant::now(),
            consul: places.consul,
            state: Mutex::new(State {
                resolvers: match &places.forwarders {
                    Some(forwarders) => Resolvers::fixed(places.files, subnet, forwarders.addresses()),
                    None => Resolvers::new(places.files, subnet),
                },
                cache: Cache::default(),
                failed: HashMap::new(),
                asked: HashMap::new(),
            }),
        }
    }

    /// The answer that is known already, and its age.
    pub fn known(&self, key: &[u8]) -> Option<(Arc<Reply>, Duration)> {
        self.state().cache.get(self.origin.elapsed(), key)
    }

    /// The answer and its age; `None` when nobody gives one.
    pub async fn ask(self: &Arc<Self>, whom: Whom, query: Query) -> Option<(Arc<Reply>, Duration)> {
        match self.next(whom, query) {
            Next::Known(outcome, age) => Some((outcome?, age)),
            Next::Wait(mut answer) => {
                let outcome = answer.wait_for(Option::is_some).await.ok()?;
                Some((outcome.clone()??, Duration::ZERO))
            }
        }
    }

    fn next(self: &Arc<Self>, whom: Whom, query: Query) -> Next {
        let now = self.origin.elapsed();
        let key = reply::key(&query);
        let mut state = self.state();
        if state.resolvers.look(now) {
            state.cache.clear();
            state.failed.clear();
            tracing::debug!(resolvers = ?state.resolvers.servers(), "other names are asked of");
        }
        if let Some((reply, age)) = state.cache.get(now, &key) {
            return Next::Known(Some(reply), age);
        }
        let asked = (whom, key);
        if let Some(answer) = state.asked.get(&asked) {
            return Next::Wait(answer.clone());
        }
        let failed = state.failed.get(&asked).is_some_and(|at| now < *at + FAILED);
        if failed || state.asked.len() >= OUTSTANDING_MAX {
            return Next::Known(None, Duration::ZERO);
        }
        let (servers, wait) = match whom {
            Whom::Uplink => (state.resolvers.servers().to_vec(), UPLINK_WAIT),
            Whom::Consul => (vec![self.consul], CONSUL_WAIT),
        };
        let (sender, answer) = watch::channel(None);
        state.asked.insert(asked.clone(), answer.clone());
        let forwarder = Arc::clone(self);
        tokio::spawn(async move {
            let outcome = ask_all(&servers, wait, &query).await.map(Arc::new);
            forwarder.learn(asked, outcome.as_ref());
            sender.send_replace(Some(outcome));
        });
        Next::Wait(answer)
    }

    fn learn(&self, asked: (Whom, Vec<u8>), outcome: Option<&Arc<Reply>>) {
        let now = self.origin.elapsed();
        let mut state = self.state();
        state.asked.remove(&asked);
        match (outcome, asked.0) {
            (Some(reply), Whom::Uplink) => state.cache.put(now, asked.1, reply),
            // Consul's answers change with the health of services.
            (Some(_), Whom::Consul) => {}
            (None, _) => {
                state.failed.retain(|_, at| now < *at + FAILED);
                if state.failed.len() < FAILED_MAX {
                    state.failed.insert(asked, now);
                }
            }
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Asks one after the other until one answers.
async fn ask_all(servers: &[SocketAddr], wait: Duration, query: &Query) -> Option<Reply> {
    for server in servers.iter().cycle().take(servers.len() * ROUNDS) {
        match timeout(wait, ask_one(*server, query)).await {
            Ok(Ok(Some(reply))) => return Some(reply),
            Ok(Ok(None)) => tracing::debug!(%server, "no use as resolver for this question"),
            Ok(Err(error)) => tracing::debug!(%server, %error, "asking a resolver"),
            Err(_) => tracing::debug!(%server, "no answer in time"),
        }
    }
    None
}

/// By UDP, and by TCP when the answer does not fit.
async fn ask_one(server: SocketAddr, query: &Query) -> io::Result<Option<Reply>> {
    for edns in [true, false] {
        let id: u16 = rand::random();
        match by_udp(server, query, id, &reply::question(id, query, edns)).await? {
            Verdict::Good(reply) => return Ok(Some(reply)),
            Verdict::Cut => return by_tcp(server, query, edns).await,
            Verdict::NoEdns => {}
            Verdict::Failed | Verdict::Other => return Ok(None),
        }
    }
    Ok(None)
}

async fn by_udp(server: SocketAddr, query: &Query, id: u16, question: &[u8]) -> io::Result<Verdict> {
    let any = match server {
        SocketAddr::V4(_) => SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0)),
        SocketAddr::V6(_) => SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0)),
    };
    // The kernel chooses a random port; connected, the socket takes nothing from anybody else, and a closed port there
    // is an error at once.
    let socket = UdpSocket::bind(any).await?;
    socket.connect(server).await?;
    socket.send(question).await?;
    let mut answer = vec![0; UDP_LENGTH];
    loop {
        let length = socket.recv(&mut answer).await?;
        match reply::judge(id, query, &answer[..length]) {
            Verdict::Other => {}
            verdict => return Ok(verdict),
        }
    }
}

async fn by_tcp(server: SocketAddr, query: &Query, edns: bool) -> io::Result<Option<Reply>> {
    let id: u16 = rand::random();
    let question = reply::question(id, query, edns);
    let mut stream = TcpStream::connect(server).await?;
    let length = u16::try_from(question.len()).map_err(io::Error::other)?;
    stream
        .write_all(&[&length.to_be_bytes(), &question[..]].concat())
        .await?;
    let mut answer = vec![0; usize::from(stream.read_u16().await?)];
    stream.read_exact(&mut answer).await?;
    Ok(match reply::judge(id, query, &answer) {
        Verdict::Good(reply) => Some(reply),
        _ => None,
    })
}
