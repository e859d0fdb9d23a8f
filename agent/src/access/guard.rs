//! Stands in front of every route: finds out who asks, and lets nobody pass who may not.

use axum::extract::{Request, State};
use axum::http::header::{AUTHORIZATION, COOKIE as COOKIE_HEADER, HOST, ORIGIN, RETRY_AFTER};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::{Access, Level, Origin, Token, Who};
use crate::api::Problem;

/// The session's cookie.
pub const COOKIE: &str = "cluster-lab-session";
/// A page of somebody else's cannot send this header without asking first, which the agent never allows.
pub const CSRF_HEADER: &str = "x-cluster-lab";

/// What a route's guard knows.
#[derive(Clone, Debug)]
pub struct Gate {
    /// The logins.
    pub access: Access,
    /// The least that somebody must be.
    pub need: Level,
    /// Whether the route looks at credentials itself, as logging in does.
    pub is_login: bool,
}

/// Lets a request pass, or answers it.
pub async fn guard(State(gate): State<Gate>, mut request: Request, next: Next) -> Response {
    let origin = request.extensions().get::<Origin>().copied();
    let who = match identify(&gate, origin, &request) {
        Ok(who) => who,
        Err(response) => return *response,
    };
    let changes = changes(request.method());
    let what = format!("{} {}", request.method(), request.uri().path());
    if who.level < gate.need {
        if changes {
            note(&gate, &who, &what, StatusCode::FORBIDDEN);
        }
        return refuse(&who, gate.need, origin).into_response();
    }
    request.extensions_mut().insert(who.clone());
    let response = next.run(request).await;
    if changes {
        note(&gate, &who, &what, response.status());
    }
    response
}

/// Remembers a change. A stranger who is refused could wear out the card, so that is only logged.
fn note(gate: &Gate, who: &Who, what: &str, result: StatusCode) {
    if who.level > Level::Anybody || result.is_success() {
        gate.access.log().add(&who.name, what, result.as_u16());
    } else {
        tracing::debug!(who = who.name, what, %result, "refused");
    }
}

/// Whether a method changes anything.
fn changes(method: &Method) -> bool {
    !matches!(*method, Method::GET | Method::HEAD)
}

fn refuse(who: &Who, need: Level, origin: Option<Origin>) -> Problem {
    match (need, who.level, origin) {
        (_, _, Some(Origin::Local { .. })) => {
            Problem::Forbidden("only root may do this: sudo cluster-lab ...".to_owned())
        }
        (Level::Root, ..) => {
            Problem::Forbidden("only root may do this, on the node itself: sudo cluster-lab ...".to_owned())
        }
        (_, Level::Anybody, _) => Problem::Unauthorised(
            "a login is needed: `sudo cluster-lab login` on a node prints a link for the browser, and \
             `sudo cluster-lab login --token NAME` a token for scripts"
                .to_owned(),
        ),
        _ => Problem::Forbidden("this login may only read".to_owned()),
    }
}

fn identify(gate: &Gate, origin: Option<Origin>, request: &Request) -> Result<Who, Box<Response>> {
    let anybody = |name: String| Who {
        name,
        level: Level::Anybody,
    };
    let from = match origin {
        Some(Origin::Local { uid: 0 }) => {
            return Ok(Who {
                name: "root".to_owned(),
                level: Level::Root,
            });
        }
        Some(Origin::Local { uid }) => return Ok(anybody(format!("user {uid}"))),
        Some(Origin::Network(ip)) => ip.to_string(),
        None => return Ok(anybody("nobody".to_owned())),
    };
    // A page of somebody else's makes the browser send the session's cookie, or log in as another.
    if changes(request.method()) && !is_own_page(request.headers()) && bearer(request.headers()).is_none() {
        let message = format!("send the header {CSRF_HEADER}: 1, and no Origin but the node's own");
        return Err(Box::new(Problem::Forbidden(message).into_response()));
    }
    if gate.is_login {
        return Ok(anybody(from));
    }
    let headers = request.headers();
    let (sent, found) = if let Some(text) = bearer(headers) {
        let found = checked(gate, origin, || {
            Token::parse(text).and_then(|token| gate.access.vault().bearer(&token))
        })?;
        (true, found)
    } else if let Some(text) = session(headers) {
        // The browser goes on to send what has expired, so that is no guess.
        let found = checked(gate, origin, || {
            Token::parse(text).and_then(|token| gate.access.vault().session(&token))
        })?;
        (false, found)
    } else {
        (false, None)
    };
    match found {
        Some(who) => Ok(who),
        None if sent => {
            gate.access.note_wrong(origin);
            Err(Box::new(
                Problem::Unauthorised("this token is wrong or has expired".to_owned()).into_response(),
            ))
        }
        None => Ok(anybody(from)),
    }
}

/// Looks a token up, unless there were too many wrong ones.
fn checked(
    gate: &Gate,
    origin: Option<Origin>,
    look_up: impl FnOnce() -> Option<Who>,
) -> Result<Option<Who>, Box<Response>> {
    gate.access
        .may_try(origin)
        .map_err(|seconds| Box::new(too_many(seconds)))?;
    Ok(look_up())
}

/// The answer after too many wrong tries.
pub(crate) fn too_many(seconds: u64) -> Response {
    let mut response =
        Problem::TooMany(format!("too many wrong tries; try again in {seconds} s")).into_response();
    response
        .headers_mut()
        .insert(RETRY_AFTER, HeaderValue::from(seconds));
    response
}

fn text(headers: &HeaderMap, name: impl axum::http::header::AsHeaderName) -> Option<&str> {
    headers.get(name)?.to_str().ok()
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    text(headers, AUTHORIZATION)?
        .strip_prefix("Bearer ")
        .map(str::trim)
}

/// The session's cookie.
pub(crate) fn session(headers: &HeaderMap) -> Option<&str> {
    let cookies = headers.get_all(COOKIE_HEADER).iter();
    let mut pairs = cookies
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(';'));
    pairs.find_map(|pair| pair.trim().strip_prefix(COOKIE)?.strip_prefix('='))
}

fn is_own_page(headers: &HeaderMap) -> bool {
    let own = match text(headers, ORIGIN) {
        Some(origin) => {
            let host = text(headers, HOST);
            host.is_some() && origin.strip_prefix("http://") == host
        }
        None => !headers.contains_key(ORIGIN),
    };
    own && headers.contains_key(CSRF_HEADER)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        pairs
            .iter()
            .map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()))
            .collect()
    }

    #[test]
    fn a_page_of_somebody_else_is_told_from_our_own() {
        let host = ("host", "cl-master");
        let mark = (CSRF_HEADER, "1");
        for (pairs, expected) in [
            (&[host, mark][..], true),
            (&[host, mark, ("origin", "http://cl-master")], true),
            (&[host], false),
            (&[host, ("origin", "http://cl-master")], false),
            (&[host, mark, ("origin", "http://evil.example")], false),
            (&[host, mark, ("origin", "null")], false),
            (&[mark, ("origin", "http://cl-master")], false),
            (&[host, mark, ("origin", "https://cl-master")], false),
        ] {
            assert_eq!(is_own_page(&headers(pairs)), expected, "{pairs:?}");
        }
    }

    #[test]
    fn the_session_is_found_among_cookies() {
        for (value, expected) in [
            ("cluster-lab-session=abc", Some("abc")),
            ("a=b; cluster-lab-session=abc; c=d", Some("abc")),
            ("xcluster-lab-session=abc", None),
            ("cluster-lab-session", None),
            ("", None),
        ] {
            assert_eq!(session(&headers(&[("cookie", value)])), expected, "{value}");
        }
    }
}
