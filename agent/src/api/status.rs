//! `GET /api/v1/status`

use axum::Json;
use axum::extract::State;

use super::App;
use crate::status::Status;

pub(super) async fn give(State(app): State<App>) -> Json<Status> {
    Json(Status::clone(&app.status.borrow()))
}
