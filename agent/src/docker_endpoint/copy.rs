//! Copies an image from a node that has it to the node that needs it: what the cluster has once need not come from a
//! registry again, and in a lab without internet there is none.

use std::sync::Arc;
use std::time::Duration;

use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::{Method, Request, StatusCode};
use serde_json::Value;

use super::call::Call;
use super::message::{ANSWER_MAX, Fault, boxed, empty, encode, read};
use super::nodes::Node;

/// A gigabyte from card to card.
const COPY: Duration = Duration::from_secs(1800);

impl Call {
    /// Copies the image if a node of the same kind has it; whether one had.
    pub(super) async fn copy_image(&self, image: &str, to: &Node) -> Result<bool, Fault> {
        let Some(from) = self.who_has(image, to).await else {
            return Ok(false);
        };
        tracing::info!("copying the image {image} from {} to {}", from.name, to.name);
        let copied = tokio::time::timeout(COPY, self.copy(image, &from, to)).await;
        let failed = |why: &str| {
            let message = format!(
                "copying the image {image} from {} to {}: {why}",
                from.name, to.name
            );
            Fault::new(StatusCode::BAD_GATEWAY, message)
        };
        match copied {
            Ok(Ok(())) => Ok(true),
            Ok(Err(fault)) => Err(failed(&fault.message)),
            Err(_) => Err(failed("it took too long")),
        }
    }

    /// A node with the image whose processor is like that of the one that needs it.
    async fn who_has(&self, image: &str, to: &Node) -> Option<Arc<Node>> {
        let others: Vec<_> = self
            .nodes
            .all
            .iter()
            .filter(|node| node.name != to.name)
            .cloned()
            .collect();
        let answers = self.of(&others, &format!("/images/{}/json", encode(image))).await;
        let kind = self.info(to).await.ok()?["Architecture"].clone();
        for (node, answer) in answers {
            let alike = self
                .info(&node)
                .await
                .is_ok_and(|info| info["Architecture"] == kind);
            if answer.is_ok() && alike {
                return Some(node);
            }
        }
        None
    }

    async fn copy(&self, image: &str, from: &Node, to: &Node) -> Result<(), Fault> {
        let interface = self.nodes.interface.as_deref();
        let request = |method: Method, path: String, body| {
            let mut request = Request::new(body);
            *request.method_mut() = method;
            *request.uri_mut() = path
                .parse()
                .map_err(|error| Fault::bad(format!("{path}: {error}")))?;
            let tar = HeaderValue::from_static("application/x-tar");
            request.headers_mut().insert(CONTENT_TYPE, tar);
            Ok::<_, Fault>(request)
        };
        let links = &self.engines().links;
        let path = format!("{}/images/{}/get", self.version, encode(image));
        let saved = links
            .send(from, interface, request(Method::GET, path, empty())?)
            .await?;
        if saved.status() != StatusCode::OK {
            let status = saved.status();
            return Err(Fault::of_answer(
                status,
                &read(saved.into_body(), ANSWER_MAX).await?,
            ));
        }
        let path = format!("{}/images/load?quiet=1", self.version);
        let load = request(Method::POST, path, boxed(saved.into_body()))?;
        let loaded = links.send(to, interface, load).await?;
        let status = loaded.status();
        let said = read(loaded.into_body(), ANSWER_MAX).await?;
        // An error in the middle comes as a line of a success.
        let line = |line: &[u8]| serde_json::from_slice::<Value>(line).unwrap_or_default();
        let error = said
            .split(|byte| *byte == b'\n')
            .map(line)
            .find(|line| line["error"].is_string());
        match error {
            Some(line) => Err(Fault::bad(line["error"].as_str().unwrap_or_default())),
            None if status.is_success() => Ok(()),
            None => Err(Fault::of_answer(status, &said)),
        }
    }
}
