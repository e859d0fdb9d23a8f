//! `GET /api/v1/openapi.json`: the routes, described for programs.

use axum::Json;
use axum::http::Method;
use serde_json::{Map, Value, json};

use super::routes::{Route, routes};
use crate::access::Level;

pub(super) async fn give() -> Json<Value> {
    Json(describe(&routes()))
}

fn describe(routes: &[Route]) -> Value {
    let mut paths = Map::new();
    for route in routes {
        let path = paths.entry(route.path).or_insert_with(|| json!({}));
        path[route.method.as_str().to_ascii_lowercase()] = operation(route);
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Cluster Lab",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "Reading the status needs nothing on the cluster network. Everything else needs a login: \
                `sudo cluster-lab login` on a node gives out a link for the browser, `sudo cluster-lab login --token \
                NAME` a token for scripts. Routes with the level root are served to root on the node's Unix socket only.",
        },
        "paths": paths,
        "components": {
            "securitySchemes": {
                "token": {"type": "http", "scheme": "bearer"},
                "session": {"type": "apiKey", "in": "cookie", "name": crate::access::COOKIE,
                    "description": format!("Changes need the header {}: 1 too.", crate::access::CSRF_HEADER)},
            },
            "schemas": {
                "Problem": {
                    "type": "object",
                    "required": ["message", "code"],
                    "properties": {"message": {"type": "string"}, "code": {"type": "integer"}},
                },
                "Definition": {
                    "type": "object",
                    "required": ["image"],
                    "additionalProperties": false,
                    "properties": {
                        "image": {"type": "string", "examples": ["nginx:1.27"]},
                        "replicas": {"type": "integer", "minimum": 0, "maximum": 1000},
                        "global": {"type": "boolean"},
                        "command": {"type": "array", "items": {"type": "string"}},
                        "env": {"type": "object", "additionalProperties": {"type": "string"}},
                        "ports": {"type": "array", "items": {
                            "type": "object",
                            "required": ["published", "target"],
                            "properties": {
                                "published": {"type": "integer", "minimum": 1, "maximum": 65535},
                                "target": {"type": "integer", "minimum": 1, "maximum": 65535},
                                "protocol": {"enum": ["tcp", "udp"]},
                            },
                        }},
                        "node": {"type": ["string", "null"]},
                        "constraints": {"type": "array", "items": {"type": "string"}},
                    },
                },
            },
        },
    })
}

fn operation(route: &Route) -> Value {
    let problem = json!({
        "description": "It was not done; why.",
        "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Problem"}}},
    });
    let mut operation = json!({
        "summary": route.summary,
        "x-level": route.need,
        "responses": {"2XX": {"description": "It was done."}, "4XX": problem, "5XX": problem},
    });
    let public = route.need == Level::Anybody;
    operation["security"] = if public {
        json!([])
    } else {
        json!([{"token": []}, {"session": []}])
    };
    let names = route
        .path
        .split('/')
        .filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'));
    let parameter =
        |name| json!({"name": name, "in": "path", "required": true, "schema": {"type": "string"}});
    operation["parameters"] = names.map(parameter).collect();
    if [Method::POST, Method::PUT].contains(&route.method) && !route.path.ends_with("/restart") {
        let schema = match route.method {
            Method::PUT => json!({"$ref": "#/components/schemas/Definition"}),
            _ => json!({"type": "object"}),
        };
        operation["requestBody"] =
            json!({"required": true, "content": {"application/json": {"schema": schema}}});
    }
    operation
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_route_is_described() {
        let all = routes();
        let description = describe(&all);
        for route in &all {
            let operation = &description["paths"][route.path][route.method.as_str().to_ascii_lowercase()];
            assert_eq!(operation["summary"], route.summary);
            let parameters = operation["parameters"].as_array().unwrap();
            assert_eq!(parameters.len(), route.path.matches('{').count());
        }
        let paths = description["paths"].as_object().unwrap();
        let count: usize = paths
            .values()
            .map(|methods| methods.as_object().unwrap().len())
            .sum();
        assert_eq!(count, all.len(), "no route twice");
    }
}
