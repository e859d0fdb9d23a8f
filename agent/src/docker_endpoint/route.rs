//! Which part of Docker's API a request asks for. Pure: method and path decide, nothing else.

use hyper::Method;

use super::message::decode;

/// What a request asks for. Names are as people wrote them, `node/name` among them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Route {
    /// Whether anybody is there.
    Ping,
    /// Versions.
    Version,
    /// What the cluster is.
    Info,
    /// What happens.
    Events,
    /// Disk usage.
    DiskUsage,
    /// The containers.
    Containers,
    /// A new container.
    Create,
    /// Something of one container: the rest of the path after its name, which may be empty.
    Container(String, String),
    /// Something of a command in a container: its identifier.
    Exec(String),
    /// A new image of a container, which the query names.
    Commit,
    /// Remove what is not used: `containers`, `images`, `networks`, `volumes`, `build`.
    Prune(&'static str),
    /// The images.
    Images,
    /// Pull or import an image.
    ImageCreate,
    /// Load images.
    ImageLoad,
    /// Images that the query names, as an archive.
    ImagesSave,
    /// Something of one image: its name, the rest of the path.
    Image(String, String),
    /// Build an image.
    Build,
    /// The networks.
    Networks,
    /// A new network.
    NetworkCreate,
    /// Something of one network: its name, the rest of the path.
    Network(String, String),
    /// The volumes.
    Volumes,
    /// A new volume.
    VolumeCreate,
    /// One volume.
    Volume(String),
    /// Swarm mode: for a manager.
    Swarm,
    /// The certificate of a person, for who may use the socket. Ours, not Docker's.
    Certificate,
    /// Everything else is the business of the engine beside the agent.
    Here,
}

/// A request's path in parts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Asked {
    /// What comes before, such as `/v1.41`; may be empty.
    pub(super) version: String,
    /// What it asks for.
    pub(super) route: Route,
}

/// What follows the name of a container in a path.
const CONTAINER_CALLS: [&str; 24] = [
    "json",
    "top",
    "logs",
    "changes",
    "export",
    "stats",
    "resize",
    "start",
    "stop",
    "restart",
    "kill",
    "update",
    "rename",
    "pause",
    "unpause",
    "attach",
    "wait",
    "archive",
    "exec",
    "copy",
    "checkpoints",
    "healthcheck",
    "ps",
    "ws",
];
const IMAGE_CALLS: [&str; 6] = ["json", "history", "push", "tag", "get", "attestations"];
const NETWORK_CALLS: [&str; 2] = ["connect", "disconnect"];

/// Decides.
pub(super) fn decide(method: &Method, path: &str) -> Asked {
    let (version, rest) = split_version(path);
    Asked {
        version: version.to_owned(),
        route: route(method, rest),
    }
}

/// `/v1.41/info` is `/v1.41` and `/info`.
fn split_version(path: &str) -> (&str, &str) {
    let segment = path.strip_prefix('/').and_then(|rest| rest.split_once('/'));
    match segment {
        Some((version, _)) if is_version(version) => path.split_at(1 + version.len()),
        _ => ("", path),
    }
}

fn is_version(segment: &str) -> bool {
    let number =
        |text: &str| !text.is_empty() && text.len() < 4 && text.bytes().all(|byte| byte.is_ascii_digit());
    segment
        .strip_prefix('v')
        .and_then(|number| number.split_once('.'))
        .is_some_and(|(major, minor)| number(major) && number(minor))
}

fn route(method: &Method, path: &str) -> Route {
    // The rest of a path is taken apart before it is decoded: an encoded slash is part of a name.
    let segments: Vec<&str> = path.split('/').skip(1).collect();
    let (get, post) = (
        *method == Method::GET || *method == Method::HEAD,
        *method == Method::POST,
    );
    match segments[..] {
        ["_ping"] => Route::Ping,
        ["version"] if get => Route::Version,
        ["info"] if get => Route::Info,
        ["events"] if get => Route::Events,
        ["system", "df"] if get => Route::DiskUsage,
        ["containers", "json"] if get => Route::Containers,
        ["containers", "create"] if post => Route::Create,
        ["containers", "prune"] if post => Route::Prune("containers"),
        ["containers", ref rest @ ..] => named(rest, &CONTAINER_CALLS, method, Route::Container),
        ["exec", id, ..] => decode(id).map_or(Route::Here, Route::Exec),
        ["commit"] if post => Route::Commit,
        ["images", "json"] if get => Route::Images,
        ["images", "create"] if post => Route::ImageCreate,
        ["images", "load"] if post => Route::ImageLoad,
        ["images", "get"] if get => Route::ImagesSave,
        ["images", "prune"] if post => Route::Prune("images"),
        ["images", "search"] => Route::Here,
        ["images", ref rest @ ..] => named(rest, &IMAGE_CALLS, method, Route::Image),
        ["build"] if post => Route::Build,
        ["build", "prune"] if post => Route::Prune("build"),
        ["networks"] if get => Route::Networks,
        ["networks", "create"] if post => Route::NetworkCreate,
        ["networks", "prune"] if post => Route::Prune("networks"),
        ["networks", ref rest @ ..] => named(rest, &NETWORK_CALLS, method, Route::Network),
        ["volumes"] if get => Route::Volumes,
        ["volumes", "create"] if post => Route::VolumeCreate,
        ["volumes", "prune"] if post => Route::Prune("volumes"),
        ["volumes", ref rest @ ..] => decode(&rest.join("/")).map_or(Route::Here, Route::Volume),
        [
            "nodes" | "services" | "tasks" | "secrets" | "configs" | "swarm",
            ..,
        ] => Route::Swarm,
        ["cluster-lab", "v1", "certificate"] if post => Route::Certificate,
        _ => Route::Here,
    }
}

/// A name of one or more segments, then a call unless the thing itself is meant.
fn named(rest: &[&str], calls: &[&str], method: &Method, make: impl Fn(String, String) -> Route) -> Route {
    let is_call = |segment: &str| calls.contains(&segment);
    // Only reading and changing a thing have no call; `DELETE /containers/json` removes one that is called so.
    let has_call = *method != Method::DELETE || rest.last() == Some(&"checkpoints");
    let end = match rest {
        [_, .., "attach", "ws"] => rest.len() - 2,
        [_, .., "checkpoints", _] if calls.len() > 10 => rest.len() - 2,
        [_, .., last] if has_call && is_call(last) => rest.len() - 1,
        _ => rest.len(),
    };
    let Some(name) = decode(&rest[..end].join("/")).filter(|name| !name.is_empty()) else {
        return Route::Here;
    };
    make(name, rest[end..].join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decided(method: &str, path: &str) -> (String, Route) {
        let Asked { version, route } = decide(&method.parse().unwrap(), path);
        (version, route)
    }

    #[test]
    fn paths_have_their_routes() {
        let container = |name: &str, call: &str| Route::Container(name.to_owned(), call.to_owned());
        let image = |name: &str, call: &str| Route::Image(name.to_owned(), call.to_owned());
        let network = |name: &str, call: &str| Route::Network(name.to_owned(), call.to_owned());
        for (method, path, route) in [
            ("HEAD", "/_ping", Route::Ping),
            ("GET", "/_ping", Route::Ping),
            ("GET", "/version", Route::Version),
            ("GET", "/info", Route::Info),
            ("GET", "/containers/json", Route::Containers),
            ("POST", "/containers/create", Route::Create),
            ("GET", "/containers/web/json", container("web", "json")),
            ("GET", "/containers/n1/web/json", container("n1/web", "json")),
            ("GET", "/containers/n1%2Fweb/json", container("n1/web", "json")),
            ("DELETE", "/containers/n1/web", container("n1/web", "")),
            ("DELETE", "/containers/json", container("json", "")),
            ("GET", "/containers/json/json", container("json", "json")),
            ("GET", "/containers/web/attach/ws", container("web", "attach/ws")),
            ("POST", "/containers/web/attach", container("web", "attach")),
            ("HEAD", "/containers/web/archive", container("web", "archive")),
            ("PUT", "/containers/web/archive", container("web", "archive")),
            ("POST", "/containers/prune", Route::Prune("containers")),
            (
                "DELETE",
                "/containers/w/checkpoints/c",
                container("w", "checkpoints/c"),
            ),
            ("POST", "/exec/abc/start", Route::Exec("abc".to_owned())),
            ("GET", "/images/json", Route::Images),
            ("GET", "/images/a/b:c/json", image("a/b:c", "json")),
            ("DELETE", "/images/a/b", image("a/b", "")),
            ("POST", "/images/h:5000/a/push", image("h:5000/a", "push")),
            ("GET", "/images/search", Route::Here),
            (
                "POST",
                "/networks/n1/bridge/connect",
                network("n1/bridge", "connect"),
            ),
            ("GET", "/networks/my-net", network("my-net", "")),
            ("DELETE", "/volumes/n1/data", Route::Volume("n1/data".to_owned())),
            ("GET", "/nodes", Route::Swarm),
            ("POST", "/services/create", Route::Swarm),
            ("GET", "/swarm", Route::Swarm),
            ("POST", "/cluster-lab/v1/certificate", Route::Certificate),
            ("POST", "/session", Route::Here),
            ("GET", "/containers/%ff/json", Route::Here),
            ("GET", "/containers//json", Route::Here),
            ("GET", "", Route::Here),
            ("GET", "*", Route::Here),
            ("GET", "/", Route::Here),
        ] {
            assert_eq!(
                decided(method, path),
                (String::new(), route.clone()),
                "{method} {path}"
            );
            if path.starts_with("/_") || path.len() > 1 && path.starts_with('/') {
                let versioned = format!("/v1.41{path}");
                assert_eq!(
                    decided(method, &versioned),
                    ("/v1.41".to_owned(), route),
                    "{versioned}"
                );
            }
        }
        for path in ["/v1/info", "/v1.x/info", "/vv1.1/info", "/v1234.1/info"] {
            assert_eq!(decided("GET", path), (String::new(), Route::Here), "{path}");
        }
    }

    proptest::proptest! {
        #[test]
        fn no_path_is_too_odd(method in "GET|PUT|POST|DELETE|HEAD", path in "(/|[a-z]|%|[0-9]|\\PC|v1.41|containers|json){0,30}") {
            decided(&method, &path);
        }
    }
}
