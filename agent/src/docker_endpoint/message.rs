//! Requests and answers as the endpoint handles them, and what goes wrong.

use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::{Body as HttpBody, Bytes};
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::{Response, StatusCode};
use serde_json::{Value, json};

/// What passes through.
pub(super) type Body = UnsyncBoxBody<Bytes, Broken>;

/// Why a body ended too early. A type of its own: with a boxed trait object the compiler cannot tell that the futures
/// which carry bodies may change threads.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct Broken(String);

/// Longest answer of an engine that is read as a whole: the containers of a hundred nodes fit in.
pub(super) const ANSWER_MAX: usize = 32 * 1024 * 1024;
/// Longest request that is read as a whole, such as the settings of a container.
pub(super) const REQUEST_MAX: usize = 4 * 1024 * 1024;

/// An answer that is an error, in Docker's form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Fault {
    /// As an engine would give it.
    pub(super) status: StatusCode,
    /// One line for people.
    pub(super) message: String,
}

impl Fault {
    /// With this status.
    pub(super) fn new(status: StatusCode, message: impl Into<String>) -> Self {
        Self {
            status,
            message: message.into(),
        }
    }

    /// Nothing has this name.
    pub(super) fn not_found(message: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, message)
    }

    /// The request makes no sense.
    pub(super) fn bad(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, message)
    }

    /// Who should answer does not.
    pub(super) fn unreachable(message: impl Into<String>) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, message)
    }

    /// Read from an engine's answer.
    pub(super) fn of_answer(status: StatusCode, body: &[u8]) -> Self {
        let message = serde_json::from_slice::<Value>(body)
            .ok()
            .and_then(|value| Some(value["message"].as_str()?.to_owned()));
        let text = || String::from_utf8_lossy(body).trim().to_owned();
        Self::new(status, message.unwrap_or_else(text))
    }

    /// As the answer to a request.
    pub(super) fn into_response(self) -> Response<Body> {
        json_response(self.status, &json!({ "message": self.message }))
    }
}

/// Nothing.
pub(super) fn empty() -> Body {
    full(Bytes::new())
}

/// These bytes.
pub(super) fn full(bytes: impl Into<Bytes>) -> Body {
    Full::new(bytes.into())
        .map_err(|never| match never {})
        .boxed_unsync()
}

/// A body of another kind.
pub(super) fn boxed<B>(body: B) -> Body
where
    B: HttpBody<Data = Bytes> + Send + 'static,
    B::Error: std::fmt::Display,
{
    body.map_err(|error| Broken(error.to_string())).boxed_unsync()
}

/// JSON as an answer.
pub(super) fn json_response(status: StatusCode, value: &Value) -> Response<Body> {
    let mut response = Response::new(full(format!("{value}\n")));
    *response.status_mut() = status;
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

/// Reads a body as a whole, up to a length.
///
/// # Errors
/// When it is longer, or ends too early.
pub(super) async fn read<B>(body: B, max: usize) -> Result<Bytes, Fault>
where
    B: HttpBody<Data = Bytes>,
    B::Error: std::fmt::Display,
{
    let mut body = std::pin::pin!(body);
    let mut bytes = Vec::new();
    while let Some(frame) = body.as_mut().frame().await {
        let frame = frame.map_err(|error| Fault::bad(format!("receiving a body: {error}")))?;
        let Ok(data) = frame.into_data() else { continue };
        if bytes.len() + data.len() > max {
            let message = format!("longer than {max} bytes");
            return Err(Fault::new(StatusCode::PAYLOAD_TOO_LARGE, message));
        }
        bytes.extend_from_slice(&data);
    }
    Ok(bytes.into())
}

/// Percent-encodes what is not plain in a path or a query.
pub(super) fn encode(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
    }
    encoded
}

/// Undoes percent-encoding; nothing when what it means is no text.
pub(super) fn decode(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte == b'%' {
            let (high, low) = (rest.next()?, rest.next()?);
            let digit = |byte: u8| char::from(byte).to_digit(16);
            bytes.push(u8::try_from(digit(high)? * 16 + digit(low)?).ok()?);
        } else {
            bytes.push(byte);
        }
    }
    String::from_utf8(bytes).ok()
}

/// The parts of a query, decoded.
pub(super) fn query_parts(query: &str) -> Vec<(String, String)> {
    let parts = query.split('&').filter(|part| !part.is_empty());
    let text = |text: &str| decode(&text.replace('+', " ")).unwrap_or_default();
    parts
        .map(|part| part.split_once('=').unwrap_or((part, "")))
        .map(|(key, value)| (text(key), text(value)))
        .collect()
}

/// A query of these parts.
pub(super) fn render_query(parts: &[(String, String)]) -> String {
    let part = |(key, value): &(String, String)| format!("{}={}", encode(key), encode(value));
    parts.iter().map(part).collect::<Vec<_>>().join("&")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_survives_being_read_and_written() {
        let parts = query_parts("all=1&filters=%7B%22a%22%3A%5B%22b+c%22%5D%7D&flag");
        assert_eq!(parts[1], ("filters".to_owned(), r#"{"a":["b c"]}"#.to_owned()));
        assert_eq!(parts[2], ("flag".to_owned(), String::new()));
        assert_eq!(query_parts(&render_query(&parts)), parts);
        for broken in ["%", "%1", "%zz", "%ff"] {
            assert_eq!(decode(broken), None, "{broken}");
        }
    }

    #[test]
    fn an_engines_error_is_read_whatever_its_form() {
        for (body, message) in [
            (r#"{"message":"No such x"}"#, "No such x"),
            ("page not found\n", "page not found"),
        ] {
            let fault = Fault::of_answer(StatusCode::NOT_FOUND, body.as_bytes());
            assert_eq!(fault.message, message);
        }
    }
}
