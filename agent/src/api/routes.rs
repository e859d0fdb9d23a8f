//! The one list of routes: what serves them, who may use them, what they are for. The router, its guards and the
//! description for programs are made from it, so they cannot differ.

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::handler::Handler;
use axum::http::Method;
use axum::middleware::{from_fn, from_fn_with_state};
use axum::routing::{MethodFilter, MethodRouter, get, on};

use super::pass_on::{at_manager, counted};
use super::{
    App, Problem, dashboard, live, login, metrics, mycluster, node, openapi, overview, services, status,
};
use crate::access::{Gate, Level, guard};

/// Longest body of a request.
const BODY_MAX: usize = 256 * 1024;
/// What members pass on to a manager is below this.
pub(super) const PASSED_ON: &str = "/members/v1/api";

/// Where a route is served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum At {
    /// On every node, about itself.
    Node,
    /// On a manager; other nodes pass it on.
    Manager,
    /// On the node that it names.
    Named,
}

/// One route.
pub(super) struct Route {
    pub(super) method: Method,
    pub(super) path: &'static str,
    pub(super) need: Level,
    pub(super) at: At,
    pub(super) is_login: bool,
    pub(super) summary: &'static str,
    handler: MethodRouter<App>,
}

impl Route {
    fn new<H, T>(method: Method, path: &'static str, need: Level, summary: &'static str, handler: H) -> Self
    where
        H: Handler<T, App>,
        T: 'static,
    {
        let filter = MethodFilter::try_from(method.clone()).unwrap_or(MethodFilter::GET);
        Self {
            method,
            path,
            need,
            at: At::Node,
            is_login: false,
            summary,
            handler: on(filter, handler),
        }
    }

    fn at_manager(self) -> Self {
        Self {
            at: At::Manager,
            ..self
        }
    }

    fn on_a_node(self) -> Self {
        Self {
            at: At::Named,
            ..self
        }
    }

    fn login(self) -> Self {
        Self {
            is_login: true,
            ..self
        }
    }
}

/// All routes.
pub(super) fn routes() -> Vec<Route> {
    let mut all = about_the_node();
    all.extend(of_the_dashboard());
    all.extend(to_watch());
    all.extend(on_a_node());
    all.extend(about_services());
    all.extend(of_mycluster());
    all
}

fn about_the_node() -> Vec<Route> {
    use Level::{Anybody, Reader, Root};
    vec![
        Route::new(
            Method::GET,
            "/api/v1/status",
            Anybody,
            "What this node is and sees",
            status::give,
        ),
        Route::new(
            Method::GET,
            "/api/v1/openapi.json",
            Anybody,
            "This description",
            openapi::give,
        ),
        Route::new(
            Method::GET,
            "/api/v1/images",
            Anybody,
            "The images on this node",
            services::images,
        ),
        Route::new(
            Method::GET,
            "/api/v1/changes",
            Reader,
            "Who changed what through this node",
            login::changes,
        ),
        Route::new(
            Method::GET,
            "/api/v1/session",
            Anybody,
            "What this login may do",
            login::who_am_i,
        ),
        Route::new(
            Method::POST,
            "/api/v1/session",
            Anybody,
            "Exchange a link's token for a session",
            login::begin,
        )
        .login(),
        Route::new(Method::DELETE, "/api/v1/session", Anybody, "Log out", login::end),
        Route::new(
            Method::POST,
            "/api/v1/login-link",
            Root,
            "Make a link that logs in once",
            login::make_link,
        ),
        Route::new(
            Method::GET,
            "/api/v1/tokens",
            Root,
            "The tokens for scripts",
            login::tokens,
        ),
        Route::new(
            Method::POST,
            "/api/v1/tokens",
            Root,
            "Make a token for scripts",
            login::make_token,
        ),
        Route::new(
            Method::DELETE,
            "/api/v1/tokens/{name}",
            Root,
            "End a token for scripts",
            login::revoke,
        ),
    ]
}

fn of_the_dashboard() -> Vec<Route> {
    let file = |path, handler: MethodRouter<App>| Route {
        method: Method::GET,
        path,
        need: Level::Anybody,
        at: At::Node,
        is_login: false,
        summary: "The dashboard",
        handler,
    };
    vec![
        file("/", get(dashboard::index)),
        file("/style.css", get(dashboard::style)),
        file("/icon.svg", get(dashboard::icon)),
        file("/main.js", get(dashboard::main)),
        file("/api.js", get(dashboard::api)),
        file("/dom.js", get(dashboard::dom)),
        file("/nodes.js", get(dashboard::nodes)),
        file("/services.js", get(dashboard::services)),
    ]
}

fn to_watch() -> Vec<Route> {
    use Level::Anybody;
    vec![
        Route::new(
            Method::GET,
            "/api/v1/overview",
            Anybody,
            "Nodes, services and tasks at one look",
            overview::give,
        )
        .at_manager(),
        Route::new(
            Method::GET,
            "/api/v1/live",
            Anybody,
            "Status, overview and events, as they change",
            live::live,
        ),
        Route::new(
            Method::GET,
            "/api/v1/events",
            Anybody,
            "What happened",
            live::events,
        ),
        Route::new(
            Method::GET,
            "/metrics",
            Anybody,
            "Metrics for Prometheus",
            metrics::give,
        ),
    ]
}

fn on_a_node() -> Vec<Route> {
    use Level::{Reader, Root};
    vec![
        Route::new(
            Method::GET,
            "/api/v1/nodes/{name}/journal",
            Reader,
            "A node's journal",
            node::journal,
        )
        .on_a_node(),
        Route::new(
            Method::POST,
            "/api/v1/nodes/{name}/exec",
            Root,
            "Run a command on a node",
            node::exec,
        )
        .on_a_node(),
    ]
}

fn about_services() -> Vec<Route> {
    use Level::{Administrator, Anybody, Reader};
    let all = vec![
        Route::new(
            Method::GET,
            "/api/v1/nodes",
            Anybody,
            "The swarm's nodes",
            services::nodes,
        ),
        Route::new(
            Method::GET,
            "/api/v1/tasks",
            Anybody,
            "The tasks of all services",
            services::tasks,
        ),
        Route::new(
            Method::GET,
            "/api/v1/services",
            Anybody,
            "All services",
            services::list,
        ),
        Route::new(
            Method::GET,
            "/api/v1/services/{name}",
            Anybody,
            "One service",
            services::get,
        ),
        Route::new(
            Method::PUT,
            "/api/v1/services/{name}",
            Administrator,
            "Make a service, or replace its definition",
            services::put,
        ),
        Route::new(
            Method::DELETE,
            "/api/v1/services/{name}",
            Administrator,
            "Remove a service",
            services::remove,
        ),
        Route::new(
            Method::POST,
            "/api/v1/services/{name}/scale",
            Administrator,
            "Change how many tasks a service has",
            services::scale,
        ),
        Route::new(
            Method::POST,
            "/api/v1/services/{name}/move",
            Administrator,
            "Bind a service to one node, or free it",
            services::move_to,
        ),
        Route::new(
            Method::POST,
            "/api/v1/services/{name}/restart",
            Administrator,
            "Start all tasks of a service anew",
            services::restart,
        ),
        Route::new(
            Method::GET,
            "/api/v1/services/{name}/logs",
            Reader,
            "What a service's tasks say",
            services::logs,
        ),
    ];
    all.into_iter().map(Route::at_manager).collect()
}

fn of_mycluster() -> Vec<Route> {
    use Level::{Administrator, Anybody};
    let all = vec![
        Route::new(
            Method::POST,
            "/api/v1/service",
            Administrator,
            "MyCluster: make a service, or replace its definition",
            mycluster::create,
        ),
        Route::new(
            Method::GET,
            "/api/v1/service/{name}",
            Anybody,
            "MyCluster: one service",
            mycluster::get,
        ),
        Route::new(
            Method::DELETE,
            "/api/v1/service/{name}",
            Administrator,
            "MyCluster: remove a service",
            mycluster::remove,
        ),
        Route::new(
            Method::GET,
            "/api/v1/state",
            Anybody,
            "MyCluster: workers and services",
            mycluster::state,
        ),
        Route::new(
            Method::GET,
            "/api/v1/stats",
            Anybody,
            "MyCluster: counters",
            mycluster::stats,
        ),
    ];
    all.into_iter().map(Route::at_manager).collect()
}

/// The routes for users, each behind its guard.
pub fn router(app: &App) -> Router {
    let mut router = Router::new();
    for route in routes() {
        let gate = Gate {
            access: app.access.clone(),
            need: route.need,
            is_login: route.is_login,
        };
        let handler = match route.at {
            At::Node | At::Named => route.handler,
            At::Manager => {
                let counted = route.handler.layer(from_fn_with_state(app.clone(), counted));
                counted.layer(from_fn_with_state(app.clone(), at_manager))
            }
        };
        router = router.route(route.path, handler.layer(from_fn_with_state(gate, guard)));
    }
    router
        .fallback(nothing_here)
        .method_not_allowed_fallback(wrong_method)
        .layer(DefaultBodyLimit::max(BODY_MAX))
        .layer(from_fn(super::headers))
        .with_state(app.clone())
}

/// What other members pass on to this node: they have looked at who asks. Nothing is passed on a second time.
pub(super) fn passed_on(app: &App) -> Router {
    let app = App {
        members: None,
        ..app.clone()
    };
    let mut router = Router::new();
    for route in routes() {
        let handler = match route.at {
            At::Node => continue,
            At::Named => route.handler,
            At::Manager => route.handler.layer(from_fn_with_state(app.clone(), counted)),
        };
        router = router.route(&format!("{PASSED_ON}{}", route.path), handler);
    }
    router.layer(DefaultBodyLimit::max(BODY_MAX)).with_state(app)
}

async fn nothing_here() -> Problem {
    Problem::NotFound("there is nothing here; /api/v1/openapi.json lists what there is".to_owned())
}

async fn wrong_method() -> Problem {
    Problem::WrongMethod("this cannot be done here; /api/v1/openapi.json lists what can".to_owned())
}

#[cfg(test)]
mod tests;
