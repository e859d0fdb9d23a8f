//! Services, tasks, nodes, images, logs.

use axum::Json;
use axum::body::Body as HttpBody;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use futures_util::StreamExt;
use serde::{Deserialize, Serialize};

use super::body::Body;
use super::{App, Problem};
use crate::services::{Definition, ImageSeen, LogLine, NodeSeen, ServiceName, ServiceSeen, TaskSeen};

/// Lines of a log that are given at most, besides those that come.
const TAIL_MAX: u32 = 10_000;

/// The body of `scale`.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Scale {
    /// How many tasks there are to be.
    pub replicas: u32,
}

/// The body of `move`.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Move {
    /// The name of the node; null: Swarm chooses again.
    pub node: Option<String>,
}

/// The query of `logs`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct LogQuery {
    #[serde(default = "tail")]
    pub(super) tail: u32,
    #[serde(default)]
    pub(super) follow: bool,
}

fn tail() -> u32 {
    100
}

pub(super) fn parse_name(text: &str) -> Result<ServiceName, Problem> {
    text.parse().map_err(Problem::Invalid)
}

pub(super) async fn nodes(State(app): State<App>) -> Result<Json<Vec<NodeSeen>>, Problem> {
    Ok(Json(app.swarm.nodes().await?))
}

pub(super) async fn tasks(State(app): State<App>) -> Result<Json<Vec<TaskSeen>>, Problem> {
    Ok(Json(app.swarm.tasks().await?))
}

pub(super) async fn images(State(app): State<App>) -> Result<Json<Vec<ImageSeen>>, Problem> {
    Ok(Json(app.swarm.images().await?))
}

pub(super) async fn list(State(app): State<App>) -> Result<Json<Vec<ServiceSeen>>, Problem> {
    Ok(Json(app.swarm.services().await?))
}

pub(super) async fn get(
    State(app): State<App>,
    Path(name): Path<String>,
) -> Result<Json<ServiceSeen>, Problem> {
    Ok(Json(app.swarm.service(&parse_name(&name)?).await?))
}

pub(super) async fn put(
    State(app): State<App>,
    Path(name): Path<String>,
    Body(definition): Body<Definition>,
) -> Result<(StatusCode, Json<ServiceSeen>), Problem> {
    let name = parse_name(&name)?;
    let is_new = app.swarm.put(&name, &definition).await?;
    let status = if is_new {
        StatusCode::CREATED
    } else {
        StatusCode::OK
    };
    Ok((status, Json(app.swarm.service(&name).await?)))
}

pub(super) async fn scale(
    State(app): State<App>,
    Path(name): Path<String>,
    Body(scale): Body<Scale>,
) -> Result<Json<ServiceSeen>, Problem> {
    let name = parse_name(&name)?;
    app.swarm.scale(&name, scale.replicas).await?;
    Ok(Json(app.swarm.service(&name).await?))
}

pub(super) async fn move_to(
    State(app): State<App>,
    Path(name): Path<String>,
    Body(to): Body<Move>,
) -> Result<Json<ServiceSeen>, Problem> {
    let name = parse_name(&name)?;
    app.swarm.move_to(&name, to.node.as_deref()).await?;
    Ok(Json(app.swarm.service(&name).await?))
}

pub(super) async fn restart(
    State(app): State<App>,
    Path(name): Path<String>,
) -> Result<Json<ServiceSeen>, Problem> {
    let name = parse_name(&name)?;
    app.swarm.restart(&name).await?;
    Ok(Json(app.swarm.service(&name).await?))
}

pub(super) async fn remove(State(app): State<App>, Path(name): Path<String>) -> Result<StatusCode, Problem> {
    app.swarm.remove(&parse_name(&name)?).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// A JSON value per line.
pub(super) async fn logs(
    State(app): State<App>,
    Path(name): Path<String>,
    query: Result<Query<LogQuery>, axum::extract::rejection::QueryRejection>,
) -> Result<Response, Problem> {
    let Query(query) = query.map_err(|error| Problem::Invalid(error.body_text()))?;
    let name = parse_name(&name)?;
    let lines = app
        .swarm
        .logs(&name, query.tail.min(TAIL_MAX), query.follow)
        .await?;
    Ok(json_lines(lines))
}

/// A stream of lines as an answer.
fn json_lines(lines: impl futures_util::Stream<Item = LogLine> + Send + 'static) -> Response {
    let lines = lines.map(|line| serde_json::to_string(&line).map(|text| text + "\n"));
    (
        [(CONTENT_TYPE, "application/x-ndjson")],
        HttpBody::from_stream(lines),
    )
        .into_response()
}
