//! Logging in and out, tokens for scripts, and who changed what.

use axum::Json;
use axum::extract::{Extension, Path, State};
use axum::http::header::SET_COOKIE;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};

use super::body::Body;
use super::{App, Problem};
use crate::access::{COOKIE, Change, Level, Listed, Origin, Token, Who, session, too_many};

/// The body of a login with a link.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Begin {
    /// The link's token.
    pub token: String,
}

/// What a link is to allow.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct LinkWish {
    /// `reader` or `administrator`
    pub level: Level,
}

/// A token for scripts, as it is wanted.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct TokenWish {
    /// For the list of changes.
    pub name: String,
    /// `reader` or `administrator`
    pub level: Level,
    /// How long it lives.
    pub days: u32,
}

/// A secret, given out this once.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Given {
    /// The secret.
    pub token: String,
    /// Seconds.
    pub expires_in: u64,
}

/// What somebody may do.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Me {
    /// Who, for the list of changes.
    pub who: String,
    /// What they may do.
    pub level: Level,
}

fn internal(error: &anyhow::Error) -> Problem {
    Problem::Internal(format!("{error:#}"))
}

pub(super) async fn changes(State(app): State<App>) -> Json<Vec<Change>> {
    Json(app.access.log().changes())
}

pub(super) async fn who_am_i(Extension(who): Extension<Who>) -> Json<Me> {
    Json(Me {
        who: who.name,
        level: who.level,
    })
}

pub(super) async fn begin(
    State(app): State<App>,
    origin: Option<Extension<Origin>>,
    Extension(who): Extension<Who>,
    Body(begin): Body<Begin>,
) -> Result<Response, Problem> {
    let origin = origin.map(|Extension(origin)| origin);
    if let Err(seconds) = app.access.may_try(origin) {
        return Ok(too_many(seconds));
    }
    let wrong = |message: String| {
        app.access.note_wrong(origin);
        Problem::Unauthorised(message)
    };
    let token = Token::parse(&begin.token).ok_or_else(|| wrong("this is no token of a link".to_owned()))?;
    let session = app.access.vault().exchange(&token, &who.name);
    let session = session.map_err(|error| wrong(error.to_string()))?;
    let cookie = format!(
        "{COOKIE}={}; Path=/; HttpOnly; SameSite=Strict; Max-Age={}",
        session.token.reveal(),
        session.life.as_secs()
    );
    Ok((StatusCode::NO_CONTENT, [(SET_COOKIE, cookie)]).into_response())
}

pub(super) async fn end(State(app): State<App>, headers: HeaderMap) -> Response {
    if let Some(token) = session(&headers).and_then(Token::parse) {
        app.access.vault().end_session(&token);
    }
    let cookie = format!("{COOKIE}=; Path=/; HttpOnly; SameSite=Strict; Max-Age=0");
    (StatusCode::NO_CONTENT, [(SET_COOKIE, cookie)]).into_response()
}

pub(super) async fn make_link(
    State(app): State<App>,
    Body(wish): Body<LinkWish>,
) -> Result<Json<Given>, Problem> {
    let grant = app
        .access
        .vault()
        .make_link(wish.level)
        .map_err(|error| internal(&error))?;
    Ok(Json(Given {
        token: grant.token.reveal().to_owned(),
        expires_in: grant.life.as_secs(),
    }))
}

pub(super) async fn tokens(State(app): State<App>) -> Json<Vec<Listed>> {
    Json(app.access.vault().tokens())
}

pub(super) async fn make_token(
    State(app): State<App>,
    Body(wish): Body<TokenWish>,
) -> Result<(StatusCode, Json<Given>), Problem> {
    let grant = app.access.vault().make_token(&wish.name, wish.level, wish.days);
    let grant = grant.map_err(|error| Problem::Invalid(format!("{error:#}")))?;
    let given = Given {
        token: grant.token.reveal().to_owned(),
        expires_in: grant.life.as_secs(),
    };
    Ok((StatusCode::CREATED, Json(given)))
}

pub(super) async fn revoke(State(app): State<App>, Path(name): Path<String>) -> Result<StatusCode, Problem> {
    match app
        .access
        .vault()
        .revoke(&name)
        .map_err(|error| internal(&error))?
    {
        true => Ok(StatusCode::NO_CONTENT),
        false => Err(Problem::NotFound(format!("there is no token '{name}'"))),
    }
}
