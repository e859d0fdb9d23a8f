//! Services through Docker's API on a manager: the only file here that talks to it.

use std::path::PathBuf;
use std::pin::Pin;
use std::time::Duration;

use bollard::Docker;
use bollard::container::LogOutput;
use bollard::errors::Error;
use bollard::models::ServiceSpec;
use bollard::query_parameters::{
    ListImagesOptions, ListNodesOptions, ListServicesOptions, ListTasksOptions, LogsOptions,
    UpdateServiceOptions,
};
use futures_util::{Stream, StreamExt};
use serde::{Deserialize, Serialize};

use super::definition::{Definition, ServiceName};
use super::seen::{NodeSeen, Overview, ServiceSeen, TaskSeen};
use super::spec;
use crate::engine::docker::Engine;

/// Somebody else changed the service between reading and writing it: it is read again.
const TRIES: usize = 3;
const PAUSE: Duration = Duration::from_millis(200);
/// Of a line of a service's log, in bytes; the rest of it is dropped.
const LINE_MAX: usize = 16 * 1024;

/// The swarm, through the engine of this node.
#[derive(Clone, Debug)]
pub struct Swarm {
    engine: Engine,
}

/// Why something was not done.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The client's mistake.
    #[error("{0}")]
    Invalid(String),
    /// There is no such service.
    #[error("there is no service '{0}'")]
    NotFound(String),
    /// It does not fit what is there, such as a port that another service has.
    #[error("{0}")]
    Conflict(String),
    /// This node is no manager, or too few managers are there.
    #[error("{0}")]
    Unavailable(String),
    /// Docker does not answer, or its answer makes no sense.
    #[error("Docker: {0}")]
    Docker(String),
}

/// A line of a service's log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct LogLine {
    /// The node or service that it is of.
    pub source: String,
    /// `stdout` or `stderr`.
    pub stream: String,
    /// Without its end.
    pub line: String,
}

/// An image on this node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct ImageSeen {
    /// Its names; none when another image has taken them.
    pub names: Vec<String>,
    /// Its identifier.
    pub id: String,
    /// Bytes, shared layers included.
    pub size: i64,
    /// Seconds since 1970.
    pub created: i64,
}

impl Swarm {
    /// Through the engine that listens on this socket.
    pub fn new(socket: PathBuf) -> Self {
        Self {
            engine: Engine::new(socket),
        }
    }

    pub(super) async fn client(&self) -> Result<Docker, Failure> {
        self.engine
            .client()
            .await
            .map_err(|error| Failure::Docker(format!("{error:#}")))
    }

    /// Everything at one look: the nodes and services by name, the tasks by service and slot, the newest first.
    ///
    /// # Errors
    /// See [`Failure`].
    pub async fn overview(&self) -> Result<Overview, Failure> {
        let docker = self.client().await?;
        let nodes = docker.list_nodes(None::<ListNodesOptions>).await?;
        let services = docker.list_services(None::<ListServicesOptions>).await?;
        let tasks = docker.list_tasks(None::<ListTasksOptions>).await?;
        Ok(spec::overview(&nodes, &services, &tasks))
    }

    /// All services, by name.
    ///
    /// # Errors
    /// See [`Failure`].
    pub async fn services(&self) -> Result<Vec<ServiceSeen>, Failure> {
        Ok(self.overview().await?.services)
    }

    /// One service.
    ///
    /// # Errors
    /// See [`Failure`].
    pub async fn service(&self, name: &ServiceName) -> Result<ServiceSeen, Failure> {
        let services = self.services().await?;
        let found = services.into_iter().find(|service| service.name == name.as_str());
        found.ok_or_else(|| Failure::NotFound(name.as_str().to_owned()))
    }

    /// All tasks that Swarm remembers, by service and slot, the newest first.
    ///
    /// # Errors
    /// See [`Failure`].
    pub async fn tasks(&self) -> Result<Vec<TaskSeen>, Failure> {
        Ok(self.overview().await?.tasks)
    }

    /// The swarm's nodes, by name.
    ///
    /// # Errors
    /// See [`Failure`].
    pub async fn nodes(&self) -> Result<Vec<NodeSeen>, Failure> {
        let docker = self.client().await?;
        let nodes = docker.list_nodes(None::<ListNodesOptions>).await?;
        Ok(spec::overview(&nodes, &[], &[]).nodes)
    }

    /// Makes a service, or puts this definition in place of its old one; whether it is new.
    ///
    /// # Errors
    /// See [`Failure`].
    pub async fn put(&self, name: &ServiceName, definition: &Definition) -> Result<bool, Failure> {
        definition.check().map_err(Failure::Invalid)?;
        let docker = self.client().await?;
        let wanted = spec::spec_of(name, definition);
        match self
            .change(&docker, name, |old| {
                *old = spec::replace(old, wanted.clone());
                Ok(())
            })
            .await
        {
            Err(Failure::NotFound(_)) => {}
            other => return other.map(|()| false),
        }
        docker.create_service(wanted, None).await?;
        Ok(true)
    }

    /// Changes how many tasks a service has.
    ///
    /// # Errors
    /// See [`Failure`].
    pub async fn scale(&self, name: &ServiceName, replicas: u32) -> Result<(), Failure> {
        let docker = self.client().await?;
        self.change(&docker, name, |old| spec::scale(old, replicas)).await
    }

    /// Binds a service to one node, or frees it.
    ///
    /// # Errors
    /// See [`Failure`]; also when there is no such node.
    pub async fn move_to(&self, name: &ServiceName, node: Option<&str>) -> Result<(), Failure> {
        if let Some(node) = node
            && !self.nodes().await?.iter().any(|seen| seen.hostname == node)
        {
            return Err(Failure::Invalid(format!("there is no node '{node}'")));
        }
        let docker = self.client().await?;
        self.change(&docker, name, |old| spec::move_to(old, node)).await
    }

    /// Starts all tasks of a service anew.
    ///
    /// # Errors
    /// See [`Failure`].
    pub async fn restart(&self, name: &ServiceName) -> Result<(), Failure> {
        let docker = self.client().await?;
        let again = |old: &mut ServiceSpec| {
            spec::restart(old);
            Ok(())
        };
        self.change(&docker, name, again).await
    }

    /// Takes a service away.
    ///
    /// # Errors
    /// See [`Failure`].
    pub async fn remove(&self, name: &ServiceName) -> Result<(), Failure> {
        let docker = self.client().await?;
        docker
            .delete_service(name.as_str())
            .await
            .map_err(|error| of_service(name, error))
    }

    async fn change(
        &self,
        docker: &Docker,
        name: &ServiceName,
        change: impl Fn(&mut ServiceSpec) -> Result<(), String>,
    ) -> Result<(), Failure> {
        for last in (0..TRIES).map(|number| number + 1 == TRIES) {
            let service = docker.inspect_service(name.as_str(), None).await;
            let service = service.map_err(|error| of_service(name, error))?;
            let mut spec = service.spec.unwrap_or_default();
            // Docker also finds a service by the beginning of its identifier.
            if spec.name.as_deref() != Some(name.as_str()) {
                return Err(Failure::NotFound(name.as_str().to_owned()));
            }
            change(&mut spec).map_err(Failure::Invalid)?;
            let version = service
                .version
                .and_then(|version| version.index)
                .unwrap_or_default();
            let version =
                i32::try_from(version).map_err(|_| Failure::Docker("a version too large".to_owned()))?;
            let options = UpdateServiceOptions {
                version,
                ..UpdateServiceOptions::default()
            };
            match docker.update_service(name.as_str(), spec, options, None).await {
                Err(error) if !last && is_out_of_sequence(&error) => tokio::time::sleep(PAUSE).await,
                Err(error) => return Err(of_service(name, error)),
                Ok(_) => return Ok(()),
            }
        }
        Err(Failure::Conflict(format!(
            "the service '{}' is being changed by somebody else",
            name.as_str()
        )))
    }

    /// The last lines of a service's tasks, and with `follow` those that come.
    ///
    /// # Errors
    /// See [`Failure`].
    pub async fn logs(
        &self,
        name: &ServiceName,
        tail: u32,
        follow: bool,
    ) -> Result<Pin<Box<dyn Stream<Item = LogLine> + Send>>, Failure> {
        let docker = self.client().await?;
        let service = docker.inspect_service(name.as_str(), None).await;
        let service = service.map_err(|error| of_service(name, error))?;
        let options = LogsOptions {
            follow,
            stdout: true,
            stderr: true,
            tail: tail.to_string(),
            ..LogsOptions::default()
        };
        let id = service.id.unwrap_or_default();
        let source = name.as_str().to_owned();
        let lines = docker
            .service_logs(&id, Some(options))
            .take_while(|part| std::future::ready(part.is_ok()));
        let lines = lines
            .filter_map(move |part| std::future::ready(part.ok().and_then(|part| log_line(&source, part))));
        Ok(Box::pin(lines))
    }

    /// The images of this node.
    ///
    /// # Errors
    /// See [`Failure`].
    pub async fn images(&self) -> Result<Vec<ImageSeen>, Failure> {
        let docker = self.client().await?;
        let images = docker.list_images(None::<ListImagesOptions>).await?;
        let seen = images.into_iter().map(|image| ImageSeen {
            names: image.repo_tags,
            id: image.id,
            size: image.size,
            created: image.created,
        });
        let mut seen: Vec<_> = seen.collect();
        seen.sort_by(|a, b| a.names.cmp(&b.names).then_with(|| a.id.cmp(&b.id)));
        Ok(seen)
    }
}

fn log_line(source: &str, part: LogOutput) -> Option<LogLine> {
    let (stream, message) = match part {
        LogOutput::StdErr { message } => ("stderr", message),
        LogOutput::StdOut { message } | LogOutput::Console { message } => ("stdout", message),
        LogOutput::StdIn { .. } => return None,
    };
    let message = &message[..message.len().min(LINE_MAX)];
    let line = String::from_utf8_lossy(message)
        .trim_end_matches(['\r', '\n'])
        .to_owned();
    Some(LogLine {
        source: source.to_owned(),
        stream: stream.to_owned(),
        line,
    })
}

fn is_out_of_sequence(error: &Error) -> bool {
    matches!(error, Error::DockerResponseServerError { message, .. } if message.contains("update out of sequence"))
}

fn of_service(name: &ServiceName, error: Error) -> Failure {
    match error {
        Error::DockerResponseServerError { status_code: 404, .. } => {
            Failure::NotFound(name.as_str().to_owned())
        }
        other => other.into(),
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let Error::DockerResponseServerError { status_code, message } = error else {
            return Self::Docker(error.to_string());
        };
        // The engine says what is wrong with a request in Raft's words.
        let said = message
            .rsplit("desc = ")
            .next()
            .unwrap_or_default()
            .trim()
            .to_owned();
        match status_code {
            400 => Self::Invalid(said),
            409 => Self::Conflict(said),
            _ if message.contains("already in use") => Self::Conflict(said),
            503 | 406 => Self::Unavailable(said),
            _ if message.contains("does not have a leader") => {
                Self::Unavailable("too few of the swarm's managers are there to change anything".to_owned())
            }
            _ => Self::Docker(said),
        }
    }
}
