//! A JSON body, checked; mistakes are told as such.

use axum::body::Bytes;
use axum::extract::{FromRequest, Request};
use axum::http::header::CONTENT_TYPE;
use serde::de::DeserializeOwned;

use super::Problem;

/// The body of a request.
#[derive(Debug)]
pub(super) struct Body<T>(pub(super) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Body<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        let kind = request
            .headers()
            .get(CONTENT_TYPE)
            .and_then(|value| value.to_str().ok());
        let kind = kind
            .and_then(|kind| kind.split(';').next())
            .unwrap_or_default()
            .trim();
        if !kind.eq_ignore_ascii_case("application/json") {
            return Err(Problem::NotJson(
                "send JSON, with the header Content-Type: application/json".to_owned(),
            ));
        }
        let bytes = Bytes::from_request(request, state).await;
        let bytes =
            bytes.map_err(|error| Problem::Invalid(format!("reading the body: {}", error.body_text())))?;
        let value = serde_json::from_slice(&bytes);
        Ok(Self(value.map_err(|error| {
            Problem::Invalid(format!("the body: {error}"))
        })?))
    }
}
