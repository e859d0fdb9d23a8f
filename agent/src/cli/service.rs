//! `cluster-lab services` and `cluster-lab service ...`

use std::process::ExitCode;

use anyhow::bail;
use hyper::Method;

use super::daemon::{Daemon, Socket, print, show, table};
use crate::api::{Move, Scale};
use crate::services::{Definition, Port, ServiceName, ServiceSeen, TaskSeen};

const LIST_EXAMPLES: &str = "Examples:
  cluster-lab services           all services, and on which nodes their tasks run
  cluster-lab services --json    the same for programs";

const EXAMPLES: &str = "Examples:
  cluster-lab service create web nginx --replicas 3 --publish 8080:80
  cluster-lab service create ping busybox --global -- ping cl-master
  cluster-lab service scale web 5
  cluster-lab service move web cl-node-2      only there; --anywhere frees it again
  cluster-lab service update web nginx:1.27 --replicas 3 --publish 8080:80
  cluster-lab service restart web
  cluster-lab service rm web";

/// Arguments of `services`.
#[derive(Debug, clap::Args)]
#[command(after_help = LIST_EXAMPLES)]
pub struct ListArgs {
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    socket: Socket,
}

/// Arguments of `service`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    #[command(subcommand)]
    verb: Verb,
    #[command(flatten)]
    socket: Socket,
}

/// What is done with a service.
#[derive(Debug, clap::Subcommand)]
enum Verb {
    /// Make a service
    Create(Wish),
    /// Replace the definition of a service: what is not said is taken away
    Update(Wish),
    /// Change how many tasks a service has
    Scale {
        /// The service
        name: ServiceName,
        /// How many tasks
        replicas: u32,
    },
    /// Let a service run on one node only
    Move {
        /// The service
        name: ServiceName,
        /// The node
        #[arg(required_unless_present = "anywhere")]
        node: Option<String>,
        /// Let Swarm choose the nodes again
        #[arg(long, conflicts_with = "node")]
        anywhere: bool,
    },
    /// Start all tasks of a service anew
    Restart {
        /// The service
        name: ServiceName,
    },
    /// Take services away
    Rm {
        /// The services
        #[arg(required = true)]
        names: Vec<ServiceName>,
    },
}

#[derive(Debug, clap::Args)]
struct Wish {
    /// Its name
    name: ServiceName,
    /// Its image
    image: String,
    /// How many tasks (default: 1)
    #[arg(long, value_name = "N", conflicts_with = "global")]
    replicas: Option<u32>,
    /// One task on every node
    #[arg(long)]
    global: bool,
    /// A port that every node opens for it: PORT, or PORT:PORT-INSIDE, with /udp for UDP
    #[arg(long, short, value_name = "PORT")]
    publish: Vec<Port>,
    /// An environment variable
    #[arg(long, short, value_name = "KEY=VALUE", value_parser = parse_variable)]
    env: Vec<(String, String)>,
    /// Run on this node only
    #[arg(long)]
    node: Option<String>,
    /// A placement constraint of Swarm's, such as node.labels.role==master
    #[arg(long)]
    constraint: Vec<String>,
    /// What to run instead of the image's own command
    #[arg(last = true)]
    command: Vec<String>,
}

fn parse_variable(text: &str) -> Result<(String, String), String> {
    let pair = text
        .split_once('=')
        .map(|(key, value)| (key.to_owned(), value.to_owned()));
    pair.ok_or_else(|| "write KEY=VALUE".to_owned())
}

impl Wish {
    fn definition(&self) -> Definition {
        Definition {
            image: self.image.clone(),
            replicas: self.replicas,
            global: self.global,
            command: self.command.clone(),
            env: self.env.iter().cloned().collect(),
            ports: self.publish.clone(),
            node: self.node.clone(),
            constraints: self.constraint.clone(),
        }
    }
}

pub(super) fn list(args: &ListArgs) -> anyhow::Result<ExitCode> {
    let ask = |daemon: Daemon| async move {
        let services: Vec<ServiceSeen> = daemon.get("/api/v1/services").await?;
        let tasks: Vec<TaskSeen> = daemon.get("/api/v1/tasks").await?;
        anyhow::Ok((services, tasks))
    };
    let (services, tasks) = args.socket.run(ask)?;
    show(args.json, &services, |services| lines(services, &tasks))?;
    Ok(ExitCode::SUCCESS)
}

pub(super) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let done = args.socket.run(|daemon| act(daemon, &args.verb))?;
    print(&done)?;
    Ok(ExitCode::SUCCESS)
}

async fn act(daemon: Daemon, verb: &Verb) -> anyhow::Result<String> {
    let path = |name: &ServiceName, rest: &str| format!("/api/v1/services/{}{rest}", name.as_str());
    let seen: ServiceSeen = match verb {
        Verb::Create(wish) | Verb::Update(wish) => {
            let services: Vec<ServiceSeen> = daemon.get("/api/v1/services").await?;
            let name = wish.name.as_str();
            let exists = services.iter().any(|service| service.name == name);
            match verb {
                Verb::Create(_) if exists => {
                    bail!("there is a service '{name}' already; `cluster-lab service update` replaces it")
                }
                Verb::Update(_) if !exists => bail!("there is no service '{name}'"),
                _ => {
                    daemon
                        .ask(Method::PUT, &path(&wish.name, ""), &wish.definition())
                        .await?
                }
            }
        }
        Verb::Scale { name, replicas } => {
            let scale = Scale { replicas: *replicas };
            daemon.ask(Method::POST, &path(name, "/scale"), &scale).await?
        }
        Verb::Move {
            name,
            node,
            anywhere: _,
        } => {
            let to = Move { node: node.clone() };
            daemon.ask(Method::POST, &path(name, "/move"), &to).await?
        }
        Verb::Restart { name } => daemon.ask(Method::POST, &path(name, "/restart"), &()).await?,
        Verb::Rm { names } => {
            for name in names {
                daemon.ask::<()>(Method::DELETE, &path(name, ""), &()).await?;
            }
            return Ok(String::new());
        }
    };
    Ok(lines(&[seen], &[]))
}

fn lines(services: &[ServiceSeen], tasks: &[TaskSeen]) -> String {
    let row = |service: &ServiceSeen| {
        let here = tasks
            .iter()
            .filter(|task| task.service == service.name && task.is_running());
        let mut nodes: Vec<_> = here.filter_map(|task| task.node.clone()).collect();
        nodes.sort();
        nodes.dedup();
        let wanted = service
            .replicas
            .map_or_else(|| "every node".to_owned(), |count| count.to_string());
        let ports: Vec<_> = service.ports.iter().map(Port::to_string).collect();
        let or_dash = |text: String| if text.is_empty() { "-".to_owned() } else { text };
        vec![
            service.name.clone(),
            format!("{}/{wanted}", service.running),
            service.image.clone(),
            or_dash(ports.join(", ")),
            or_dash(nodes.join(", ")),
        ]
    };
    let rows: Vec<_> = services.iter().map(row).collect();
    table(&["SERVICE", "RUNNING", "IMAGE", "PORTS", "NODES"], &rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_per_service() {
        let service = ServiceSeen {
            name: "web".to_owned(),
            image: "nginx:1".to_owned(),
            replicas: Some(2),
            running: 2,
            ports: vec!["8080:80".parse().unwrap()],
            node: None,
            constraints: Vec::new(),
            last_updated: 0,
        };
        let all = ServiceSeen {
            name: "all".to_owned(),
            replicas: None,
            ports: Vec::new(),
            ..service.clone()
        };
        let expected = "\
SERVICE  RUNNING       IMAGE    PORTS    NODES
web      2/2           nginx:1  8080:80  -
all      2/every node  nginx:1  -        -
";
        assert_eq!(lines(&[service, all], &[]), expected);
    }
}
