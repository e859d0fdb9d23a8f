//! What a client is told when something is not done: `{"message": "...", "code": 404}`, as MyCluster told it.

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};

use crate::services::Failure;

/// Why a request was not done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Problem {
    /// The client's mistake.
    Invalid(String),
    /// No login.
    Unauthorised(String),
    /// The login is not enough.
    Forbidden(String),
    /// There is no such thing.
    NotFound(String),
    /// Not with this method.
    WrongMethod(String),
    /// It does not fit what is there.
    Conflict(String),
    /// The body is no JSON.
    NotJson(String),
    /// Too many tries.
    TooMany(String),
    /// A fault on this node.
    Internal(String),
    /// Another part, such as Docker or another node, failed.
    Upstream(String),
    /// Not now.
    Unavailable(String),
}

/// Its JSON.
#[derive(Debug, Serialize, Deserialize)]
pub struct Told {
    /// One line: the cause, and what to do.
    pub message: String,
    /// The HTTP status.
    pub code: u16,
}

impl Problem {
    fn parts(self) -> (StatusCode, String) {
        match self {
            Self::Invalid(message) => (StatusCode::BAD_REQUEST, message),
            Self::Unauthorised(message) => (StatusCode::UNAUTHORIZED, message),
            Self::Forbidden(message) => (StatusCode::FORBIDDEN, message),
            Self::NotFound(message) => (StatusCode::NOT_FOUND, message),
            Self::WrongMethod(message) => (StatusCode::METHOD_NOT_ALLOWED, message),
            Self::Conflict(message) => (StatusCode::CONFLICT, message),
            Self::NotJson(message) => (StatusCode::UNSUPPORTED_MEDIA_TYPE, message),
            Self::TooMany(message) => (StatusCode::TOO_MANY_REQUESTS, message),
            Self::Internal(message) => (StatusCode::INTERNAL_SERVER_ERROR, message),
            Self::Upstream(message) => (StatusCode::BAD_GATEWAY, message),
            Self::Unavailable(message) => (StatusCode::SERVICE_UNAVAILABLE, message),
        }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let (status, message) = self.parts();
        let code = status.as_u16();
        (status, Json(Told { message, code })).into_response()
    }
}

impl From<Failure> for Problem {
    fn from(failure: Failure) -> Self {
        let message = failure.to_string();
        match failure {
            Failure::Invalid(_) => Self::Invalid(message),
            Failure::NotFound(_) => Self::NotFound(message),
            Failure::Conflict(_) => Self::Conflict(message),
            Failure::Unavailable(_) => Self::Unavailable(message),
            Failure::Docker(_) => Self::Upstream(message),
        }
    }
}
