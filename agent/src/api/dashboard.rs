//! The dashboard: a page and its modules, built into the program. Nothing of it comes from elsewhere, and the browser is
//! told to load nothing else.

use axum::http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY};
use axum::response::{IntoResponse, Response};

/// The page may talk to the node that served it, and run what came with it; nobody may frame it.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
    base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

const HTML: &str = "text/html; charset=utf-8";
const CSS: &str = "text/css; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";

fn file(kind: &'static str, text: &'static str) -> Response {
    let headers = [
        (CONTENT_TYPE, kind),
        // Asked for again each time: after an update the old page would not fit the agent.
        (CACHE_CONTROL, "no-cache"),
        (CONTENT_SECURITY_POLICY, POLICY),
        (REFERRER_POLICY, "no-referrer"),
    ];
    (headers, text).into_response()
}

pub(super) async fn index() -> Response {
    file(HTML, include_str!("../../dashboard/index.html"))
}

pub(super) async fn style() -> Response {
    file(CSS, include_str!("../../dashboard/style.css"))
}

pub(super) async fn icon() -> Response {
    file("image/svg+xml", include_str!("../../dashboard/icon.svg"))
}

pub(super) async fn main() -> Response {
    file(SCRIPT, include_str!("../../dashboard/main.js"))
}

pub(super) async fn api() -> Response {
    file(SCRIPT, include_str!("../../dashboard/api.js"))
}

pub(super) async fn dom() -> Response {
    file(SCRIPT, include_str!("../../dashboard/dom.js"))
}

pub(super) async fn nodes() -> Response {
    file(SCRIPT, include_str!("../../dashboard/nodes.js"))
}

pub(super) async fn services() -> Response {
    file(SCRIPT, include_str!("../../dashboard/services.js"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::body::to_bytes;

    #[tokio::test]
    async fn the_page_is_small_and_takes_nothing_from_elsewhere() {
        let files = [
            index().await,
            style().await,
            icon().await,
            main().await,
            api().await,
            dom().await,
            nodes().await,
            services().await,
        ];
        let mut total = 0;
        for answer in files {
            let policy = answer.headers()["content-security-policy"].to_str().unwrap();
            assert!(
                policy.starts_with("default-src 'none';") && !policy.contains("unsafe"),
                "{policy}"
            );
            let body = to_bytes(answer.into_body(), usize::MAX).await.unwrap();
            let text = String::from_utf8(body.to_vec()).unwrap();
            total += text.len();
            for address in text
                .match_indices("://")
                .map(|(at, _)| &text[at.saturating_sub(5)..(at + 20).min(text.len())])
            {
                assert!(
                    address.contains("http://${location") || address.contains("www.w3.org"),
                    "{address}"
                );
            }
            for forbidden in ["innerHTML", "style=\"", "onclick=\"", "eval("] {
                assert!(!text.contains(forbidden), "{forbidden}");
            }
        }
        assert!(total < 200_000, "{total} bytes");
    }
}
