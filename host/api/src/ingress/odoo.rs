//! `POST /hooks/odoo/{tenant}/{token}`: Odoo says that something happened.
//!
//! Only a wake-up: Odoo signs nothing and sends the state of the middle of a transaction, so nothing of the body is
//! believed. What happened is read from the outbox. The answer comes after the commit and within milliseconds, because
//! Odoo holds its user back until then.

use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::{Method, StatusCode};
use wharf_domain::ctx::Actor;
use wharf_flows::intake;

use crate::problem::Problem;
use crate::route::{Perm, Row, route};
use crate::state::ApiState;

pub(crate) fn routes() -> Vec<Row> {
    vec![route(Method::POST, "/hooks/odoo/{tenant}/{token}", Perm::PathToken, wake)]
}

async fn wake(
    State(state): State<ApiState>,
    Path((tenant, token)): Path<(String, String)>,
    // Read to its end and thrown away: an unread body would cost Odoo a connection reset.
    _body: Bytes,
) -> Result<StatusCode, Problem> {
    let tenant = state.webhook_tenant(&tenant, &token).ok_or_else(|| Problem::not_found("endpoint"))?;
    let mut tx = state.db().begin().await?;
    intake::request_pull(&mut tx, &Actor::Host("webhook".to_owned()), &tenant).await?;
    tx.commit().await?;
    Ok(StatusCode::ACCEPTED)
}
