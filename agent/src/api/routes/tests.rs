use std::net::Ipv4Addr;
use std::sync::Arc;

use axum::body::{Body, to_bytes};
use axum::extract::Request;
use axum::http::StatusCode;
use axum::response::Response;
use tempfile::TempDir;
use tokio::sync::watch;
use tower::ServiceExt;

use super::*;
use crate::access::{Access, COOKIE, CSRF_HEADER, Origin, Token};
use crate::engine::run::SwarmPart;
use crate::services::Swarm;
use crate::status::tests::example;

/// The API of a node whose Docker is away, so that nothing is ever done.
struct Lab {
    app: App,
    router: Router,
    _state: TempDir,
}

#[derive(Clone, Debug, PartialEq)]
enum Credentials {
    None,
    Bearer(String),
    Cookie(String),
    Root,
    LocalUser,
    Nowhere,
}

impl Lab {
    fn new() -> Self {
        let state = tempfile::tempdir().unwrap();
        let mut status = example();
        status.engine.swarm = SwarmPart::Manager;
        let (_, status) = watch::channel(Arc::new(status));
        let swarm = Swarm::new(state.path().join("no-docker.sock"));
        let app = App {
            status,
            members: None,
            swarm,
            access: Access::open(state.path()),
            events: crate::events::Events::default(),
            looked: crate::api::Looked::default(),
        };
        Self {
            router: router(&app),
            app,
            _state: state,
        }
    }

    async fn send(&self, request: Request) -> Response {
        self.router.clone().oneshot(request).await.unwrap()
    }

    fn request(method: &Method, path: &str, credentials: &Credentials, body: &str) -> Request {
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .header("host", "cl-master");
        let from = match credentials {
            Credentials::Root => Some(Origin::Local { uid: 0 }),
            Credentials::LocalUser => Some(Origin::Local { uid: 1000 }),
            Credentials::Nowhere => None,
            _ => Some(Origin::Network(Ipv4Addr::new(192, 168, 200, 30).into())),
        };
        match credentials {
            Credentials::Bearer(token) => {
                request = request.header("authorization", format!("Bearer {token}"))
            }
            Credentials::Cookie(token) => {
                request = request.header("cookie", format!("a=b; {COOKIE}={token}"))
            }
            _ => {}
        }
        request = request
            .header(CSRF_HEADER, "1")
            .header("content-type", "application/json");
        let mut request = request.body(Body::from(body.to_owned())).unwrap();
        if let Some(from) = from {
            request.extensions_mut().insert(from);
        }
        request
    }

    /// What the guard answers: nothing when it lets pass.
    async fn refused(&self, route: &Route, credentials: &Credentials) -> Option<u16> {
        let path = route.path.replace("{name}", "web");
        let answer = self
            .send(Self::request(&route.method, &path, credentials, "{}"))
            .await;
        let status = answer.status();
        [StatusCode::UNAUTHORIZED, StatusCode::FORBIDDEN]
            .contains(&status)
            .then(|| status.as_u16())
    }

    fn session(&self, level: Level) -> Credentials {
        let mut vault = self.app.access.vault();
        let link = vault.make_link(level).unwrap();
        let session = vault.exchange(&link.token, "test").unwrap();
        Credentials::Cookie(session.token.reveal().to_owned())
    }

    fn token(&self, name: &str, level: Level) -> Credentials {
        let grant = self.app.access.vault().make_token(name, level, 1).unwrap();
        Credentials::Bearer(grant.token.reveal().to_owned())
    }
}

/// Every route with every kind of credentials: what is let pass is what its need says, and nothing else.
#[tokio::test(start_paused = true)]
async fn nobody_passes_who_may_not() {
    let lab = Lab::new();
    let expired = lab.session(Level::Administrator);
    let expired_link = lab.app.access.vault().make_link(Level::Administrator).unwrap();
    tokio::time::advance(std::time::Duration::from_secs(24 * 3600)).await;
    let revoked = lab.token("revoked", Level::Administrator);
    lab.app.access.vault().revoke("revoked").unwrap();
    let wrong = "A".repeat(43);
    let fresh_link = lab.app.access.vault().make_link(Level::Administrator).unwrap();
    let cases = [
        (Credentials::None, Level::Anybody),
        (Credentials::Nowhere, Level::Anybody),
        (Credentials::LocalUser, Level::Anybody),
        (Credentials::Cookie(wrong.clone()), Level::Anybody),
        (Credentials::Cookie("?".to_owned()), Level::Anybody),
        (expired, Level::Anybody),
        (
            Credentials::Cookie(expired_link.token.reveal().to_owned()),
            Level::Anybody,
        ),
        (
            Credentials::Cookie(fresh_link.token.reveal().to_owned()),
            Level::Anybody,
        ),
        (lab.session(Level::Reader), Level::Reader),
        (lab.token("reader", Level::Reader), Level::Reader),
        (lab.session(Level::Administrator), Level::Administrator),
        (
            lab.token("administrator", Level::Administrator),
            Level::Administrator,
        ),
        (lab.session(Level::Root), Level::Administrator),
        (lab.token("root", Level::Root), Level::Administrator),
        (Credentials::Root, Level::Root),
    ];
    for route in routes() {
        for (credentials, level) in &cases {
            // Logging in looks at the link, not at who one is already; logging out would end the session.
            if route.path == "/api/v1/session" && route.method != Method::GET {
                continue;
            }
            let refused = lab.refused(&route, credentials).await;
            let shown = format!("{} {} for {credentials:?}: {refused:?}", route.method, route.path);
            assert_eq!(refused.is_none(), *level >= route.need, "{shown}");
        }
        if route.is_login {
            continue;
        }
        for wrong in [
            &revoked,
            &Credentials::Bearer(wrong.clone()),
            &Credentials::Bearer(String::new()),
        ] {
            // A fresh address each time: too many wrong tries are another matter.
            let lab = Lab::new();
            assert_eq!(
                lab.refused(&route, wrong).await,
                Some(401),
                "{} {wrong:?}",
                route.path
            );
        }
    }
}

#[tokio::test]
async fn what_changes_something_never_needs_nothing() {
    for route in routes() {
        let harmless = route.method == Method::GET || route.path == "/api/v1/session";
        assert!(
            harmless || route.need >= Level::Administrator,
            "{} {}",
            route.method,
            route.path
        );
        assert!(!route.summary.is_empty(), "{}", route.path);
    }
}

#[tokio::test]
async fn a_page_of_somebody_else_cannot_use_the_session() {
    let lab = Lab::new();
    let Credentials::Cookie(session) = lab.session(Level::Administrator) else {
        panic!()
    };
    for (origin, mark, expected) in [
        (None, true, false),
        (Some("http://cl-master"), true, false),
        (Some("http://evil.example"), true, true),
        (Some("http://cl-master"), false, true),
        (None, false, true),
    ] {
        for route in routes()
            .into_iter()
            .filter(|route| route.method != Method::GET && !route.path.ends_with("session"))
        {
            let path = route.path.replace("{name}", "web");
            let mut request = Lab::request(&route.method, &path, &Credentials::Cookie(session.clone()), "{}");
            if !mark {
                request.headers_mut().remove(CSRF_HEADER);
            }
            if let Some(origin) = origin {
                request.headers_mut().insert("origin", origin.parse().unwrap());
            }
            let refused = lab.send(request).await.status() == StatusCode::FORBIDDEN;
            let expected = expected || route.need > Level::Administrator;
            assert_eq!(refused, expected, "{origin:?} {mark} {path}");
        }
    }
}

#[tokio::test]
async fn a_link_becomes_a_session_once() {
    let lab = Lab::new();
    let made = Lab::request(
        &Method::POST,
        "/api/v1/login-link",
        &Credentials::Root,
        r#"{"level": "administrator"}"#,
    );
    let made = lab.send(made).await;
    let body = to_bytes(made.into_body(), 4096).await.unwrap();
    let given: crate::api::Given = serde_json::from_slice(&body).unwrap();
    let body = format!(r#"{{"token": "{}"}}"#, given.token);
    let answer = lab
        .send(Lab::request(
            &Method::POST,
            "/api/v1/session",
            &Credentials::None,
            &body,
        ))
        .await;
    assert_eq!(answer.status(), StatusCode::NO_CONTENT);
    let cookie = answer.headers()["set-cookie"].to_str().unwrap().to_owned();
    assert!(
        cookie.ends_with("; Path=/; HttpOnly; SameSite=Strict; Max-Age=43200"),
        "{cookie}"
    );
    let session = cookie.split(['=', ';']).nth(1).unwrap().to_owned();
    assert!(Token::parse(&session).is_some());
    let again = lab
        .send(Lab::request(
            &Method::POST,
            "/api/v1/session",
            &Credentials::None,
            &body,
        ))
        .await;
    assert_eq!(again.status(), StatusCode::UNAUTHORIZED);

    let cookie = Credentials::Cookie(session);
    let me = lab
        .send(Lab::request(&Method::GET, "/api/v1/session", &cookie, ""))
        .await;
    let me = to_bytes(me.into_body(), 4096).await.unwrap();
    assert_eq!(
        me,
        r#"{"who":"administrator from 192.168.200.30","level":"administrator"}"#
    );
    let out = lab
        .send(Lab::request(&Method::DELETE, "/api/v1/session", &cookie, ""))
        .await;
    assert_eq!(out.status(), StatusCode::NO_CONTENT);
    let after = lab
        .send(Lab::request(&Method::GET, "/api/v1/changes", &cookie, ""))
        .await;
    assert_eq!(after.status(), StatusCode::UNAUTHORIZED);

    let changes = lab.app.access.log().changes();
    let seen: Vec<_> = changes
        .iter()
        .map(|change| (change.who.as_str(), change.what.as_str(), change.result))
        .collect();
    assert_eq!(
        seen,
        [
            ("root", "POST /api/v1/login-link", 200),
            ("192.168.200.30", "POST /api/v1/session", 204),
            ("administrator from 192.168.200.30", "DELETE /api/v1/session", 204),
        ]
    );
}

#[tokio::test]
async fn who_guesses_is_slowed_down() {
    let lab = Lab::new();
    let wrong = Credentials::Bearer("B".repeat(43));
    let mut answers = Vec::new();
    for _ in 0..12 {
        let answer = lab
            .send(Lab::request(&Method::GET, "/api/v1/status", &wrong, ""))
            .await;
        answers.push(answer.status().as_u16());
    }
    assert_eq!(
        answers,
        [401, 401, 401, 401, 401, 401, 401, 401, 401, 401, 429, 429]
    );
    let link = Lab::request(
        &Method::POST,
        "/api/v1/session",
        &Credentials::None,
        r#"{"token": "x"}"#,
    );
    let answer = lab.send(link).await;
    assert_eq!(answer.status(), StatusCode::TOO_MANY_REQUESTS);
    assert!(answer.headers().contains_key("retry-after"));
    // Who sends no token is not kept from looking, and root on the node is not kept from anything.
    for credentials in [Credentials::None, Credentials::Root] {
        let answer = lab
            .send(Lab::request(&Method::GET, "/api/v1/status", &credentials, ""))
            .await;
        assert_eq!(answer.status(), StatusCode::OK);
    }
}

#[tokio::test]
async fn mistakes_of_clients_are_told_as_such() {
    let lab = Lab::new();
    for (method, path, kind, body, expected) in [
        (
            Method::POST,
            "/api/v1/service",
            "application/json",
            r#"{"service": "web", "image": "nginx"}"#,
            400,
        ),
        (
            Method::POST,
            "/api/v1/service",
            "application/json",
            r#"{"service": "web", "image": "nginx", "replicas": "3"}"#,
            400,
        ),
        (
            Method::POST,
            "/api/v1/service",
            "application/json",
            r#"{"service": "web", "image": "nginx", "replicas": -1}"#,
            400,
        ),
        (
            Method::POST,
            "/api/v1/service",
            "application/json",
            r#"{"service": "web", "image": "nginx", "replicas": 5000}"#,
            400,
        ),
        (
            Method::POST,
            "/api/v1/service",
            "application/json",
            r#"{"service": "a b", "image": "nginx", "replicas": 1}"#,
            400,
        ),
        (Method::POST, "/api/v1/service", "application/json", "{", 400),
        (Method::POST, "/api/v1/service", "text/plain", "{}", 415),
        (Method::GET, "/api/v1/service/a%20b", "", "", 404),
        (
            Method::PUT,
            "/api/v1/services/web",
            "application/json",
            r#"{"image": "nginx", "replica": 3}"#,
            400,
        ),
        (
            Method::PUT,
            "/api/v1/services/-",
            "application/json",
            r#"{"image": "nginx"}"#,
            400,
        ),
        (Method::GET, "/api/v1/services/web/logs?tail=x", "", "", 400),
        (Method::PATCH, "/api/v1/services/web", "", "", 405),
        (Method::GET, "/api/v1/nothing", "", "", 404),
        // Docker is away.
        (Method::GET, "/api/v1/services", "", "", 502),
    ] {
        let mut request = Lab::request(&method, path, &Credentials::Root, body);
        request
            .headers_mut()
            .insert("content-type", kind.parse().unwrap());
        let answer = lab.send(request).await;
        assert_eq!(answer.status().as_u16(), expected, "{method} {path} {body}");
        assert_eq!(answer.headers()["x-content-type-options"], "nosniff");
        let told = to_bytes(answer.into_body(), 4096).await.unwrap();
        let told: crate::api::Told = serde_json::from_slice(&told).unwrap();
        assert!(told.code == expected && !told.message.is_empty(), "{told:?}");
    }
    let long = Lab::request(
        &Method::PUT,
        "/api/v1/services/web",
        &Credentials::Root,
        &" ".repeat(BODY_MAX + 1),
    );
    assert!(lab.send(long).await.status().is_client_error());
}

/// The description is made from the list, and each of its entries is answered by the router itself.
#[tokio::test]
async fn the_router_has_every_route_that_is_described() {
    let lab = Lab::new();
    let answer = lab
        .send(Lab::request(
            &Method::GET,
            "/api/v1/openapi.json",
            &Credentials::None,
            "",
        ))
        .await;
    let description = to_bytes(answer.into_body(), 1 << 20).await.unwrap();
    let description: serde_json::Value = serde_json::from_slice(&description).unwrap();
    for (path, methods) in description["paths"].as_object().unwrap() {
        for method in methods.as_object().unwrap().keys() {
            let method = method.to_uppercase().parse().unwrap();
            let path = path.replace("{name}", "web");
            let answer = lab
                .send(Lab::request(&method, &path, &Credentials::Root, "{}"))
                .await;
            // Live updates have no end.
            if path.ends_with("/live") {
                assert_eq!(answer.headers()["content-type"], "text/event-stream");
                continue;
            }
            let told = to_bytes(answer.into_body(), 1 << 20).await.unwrap();
            let told = String::from_utf8_lossy(&told).into_owned();
            assert!(
                !told.contains("openapi.json lists what"),
                "{method} {path}: {told}"
            );
        }
    }
}

#[tokio::test]
async fn who_is_refused_is_told_what_to_do() {
    let lab = Lab::new();
    for (method, path, credentials, status, expected) in [
        (
            Method::GET,
            "/api/v1/changes",
            Credentials::LocalUser,
            403,
            "only root may do this: sudo cluster-lab",
        ),
        (
            Method::GET,
            "/api/v1/changes",
            Credentials::None,
            401,
            "`sudo cluster-lab login` on a node prints a link",
        ),
        (
            Method::POST,
            "/api/v1/tokens",
            lab.session(Level::Administrator),
            403,
            "on the node itself",
        ),
        (
            Method::DELETE,
            "/api/v1/services/web",
            lab.session(Level::Reader),
            403,
            "this login may only read",
        ),
    ] {
        let answer = lab.send(Lab::request(&method, path, &credentials, "{}")).await;
        assert_eq!(answer.status().as_u16(), status, "{path}");
        let told = to_bytes(answer.into_body(), 4096).await.unwrap();
        let told: crate::api::Told = serde_json::from_slice(&told).unwrap();
        assert!(told.message.contains(expected), "{}", told.message);
    }
}
