//! What is done on one node, whichever node is asked: its journal, and commands.

use std::net::{Ipv4Addr, SocketAddrV4};
use std::time::Duration;

use axum::body::Body as HttpBody;
use axum::extract::{Extension, FromRequest, Path, Query, Request, State};
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use futures_util::{Stream, StreamExt};
use serde::{Deserialize, Serialize};
use tokio::process::Command;

use super::body::Body;
use super::pass_on::{Target, pass_on};
use super::services::LogQuery;
use super::{App, Problem};
use crate::access::Who;
use crate::members;
use crate::process::{self, Said};
use crate::status::Status;

/// The longest command that is run, in seconds.
pub const LIMIT_MAX: u32 = 3600;
/// A journal that is followed ends then; who reads it asks again.
const FOLLOW_MAX: Duration = Duration::from_secs(3600);
/// A journal that is not followed.
const READ_MAX: Duration = Duration::from_secs(60);
/// Lines of a journal at most.
const TAIL_MAX: u32 = 10_000;

/// A command for a node.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Exec {
    /// The program and its arguments. No shell is between.
    pub command: Vec<String>,
    /// It is ended after so many seconds, 1 to 3600.
    pub limit: u32,
}

/// A node by its name or address.
fn locate(status: &Status, name: &str) -> Result<Target, Problem> {
    let is = |hostname: Option<&str>, address: Option<Ipv4Addr>| {
        hostname == Some(name) || address.is_some_and(|address| name == address.to_string())
    };
    if is(Some(&status.hostname), status.address) || is(None, status.node_address) {
        return Ok(Target::Here);
    }
    let interface = status.interface.clone();
    let there = |address: Ipv4Addr| {
        interface.map(|name| Target::There(SocketAddrV4::new(address, members::PORT), name))
    };
    let text = |hostname: &Option<boot_config::Hostname>| hostname.as_ref().map(ToString::to_string);
    if let Some(master) = &status.master
        && is(text(&master.hostname).as_deref(), Some(master.address))
    {
        return there(master.address).ok_or_else(no_network);
    }
    let found = status
        .peers
        .iter()
        .find(|peer| is(text(&peer.hostname).as_deref(), Some(peer.address)));
    match found {
        Some(peer) => there(peer.address).ok_or_else(no_network),
        None => Err(Problem::NotFound(format!(
            "there is no node '{name}'; `cluster-lab status` lists them"
        ))),
    }
}

fn no_network() -> Problem {
    Problem::Unavailable("this node is not on the cluster network".to_owned())
}

/// Passes the request on, if it is for another node.
async fn elsewhere(app: &App, name: &str, request: Request) -> Result<Result<Response, Request>, Problem> {
    let target = locate(&app.status.borrow(), name)?;
    match target {
        Target::There(to, interface) => pass_on(app, to, &interface, request).await.map(Ok),
        Target::Here => Ok(Err(request)),
        Target::Nowhere(reason) => Err(Problem::Unavailable(reason.to_owned())),
    }
}

pub(super) async fn journal(
    State(app): State<App>,
    Path(name): Path<String>,
    query: Result<Query<LogQuery>, axum::extract::rejection::QueryRejection>,
    request: Request,
) -> Result<Response, Problem> {
    let Query(query) = query.map_err(|error| Problem::Invalid(error.body_text()))?;
    if let Ok(response) = elsewhere(&app, &name, request).await? {
        return Ok(response);
    }
    let mut command = Command::new("journalctl");
    command.args([
        "--unit=cluster-lab",
        "--unit=docker",
        "--no-pager",
        "--output=short-iso",
    ]);
    command.arg(format!("--lines={}", query.tail.min(TAIL_MAX)));
    if query.follow {
        command.arg("--follow");
    }
    let limit = if query.follow { FOLLOW_MAX } else { READ_MAX };
    Ok(said(process::run(command, limit)))
}

pub(super) async fn exec(
    State(app): State<App>,
    Path(name): Path<String>,
    who: Option<Extension<Who>>,
    request: Request,
) -> Result<Response, Problem> {
    let open = app.status.borrow().trust == "open-lab";
    let request = match elsewhere(&app, &name, request).await? {
        Ok(response) => return Ok(response),
        Err(request) => request,
    };
    // Members vouch for who asks; in an open lab everybody is one.
    if who.is_none() && open {
        return Err(Problem::Forbidden(format!(
            "{name}: in an open lab no node runs what another one asks for; flash the cards without --open-lab"
        )));
    }
    let Body(exec) = Body::<Exec>::from_request(request, &app).await?;
    if exec.command.is_empty() || exec.command.iter().any(|word| word.contains('\0')) {
        return Err(Problem::Invalid(
            "command: at least one word, without zero bytes".to_owned(),
        ));
    }
    if !(1..=LIMIT_MAX).contains(&exec.limit) {
        return Err(Problem::Invalid(format!("limit: 1 to {LIMIT_MAX} seconds")));
    }
    tracing::info!(command = exec.command.join(" "), "exec");
    let limit = Duration::from_secs(exec.limit.into());
    Ok(said(process::run(process::as_root(&exec.command, limit), limit)))
}

fn said(lines: impl Stream<Item = Said> + Send + 'static) -> Response {
    let lines = lines.map(|line| serde_json::to_string(&line).map(|text| text + "\n"));
    (
        [(CONTENT_TYPE, "application/x-ndjson")],
        HttpBody::from_stream(lines),
    )
        .into_response()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::status::tests::example;

    #[test]
    fn nodes_are_found_by_name_and_address() {
        let status = example();
        let there = |last: u8| {
            Ok(Target::There(
                SocketAddrV4::new([192, 168, 200, last].into(), members::PORT),
                "eth0.200".to_owned(),
            ))
        };
        for (name, expected) in [
            ("cl-node-2", Ok(Target::Here)),
            ("192.168.200.20", Ok(Target::Here)),
            ("cl-node-1", there(1)),
            ("192.168.200.1", there(1)),
            ("192.168.200.21", there(21)),
        ] {
            assert_eq!(locate(&status, name), expected, "{name}");
        }
        assert!(
            matches!(locate(&status, "cl-node-9"), Err(Problem::NotFound(why)) if why.contains("'cl-node-9'"))
        );
    }
}
