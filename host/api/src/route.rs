//! One endpoint is one row: method, path, permission, handler.

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::handler::Handler;
use axum::http::Method;
use axum::middleware;
use axum::routing::{MethodFilter, MethodRouter, on};

use crate::access;
use crate::problem::Problem;
use crate::state::ApiState;

/// Bytes of a request body.
const MAX_BODY: usize = 64 << 10;

/// Who may call an endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Perm {
    /// Everybody.
    Open,
    /// The handler compares a token of its own that is part of the path.
    PathToken,
    /// Holders of the admin token.
    Admin,
}

/// An endpoint.
#[derive(Clone)]
pub(crate) struct Row {
    pub(crate) method: Method,
    pub(crate) path: &'static str,
    pub(crate) perm: Perm,
    handler: MethodRouter<ApiState>,
}

/// A row. Method GET or POST.
pub(crate) fn route<H, T>(method: Method, path: &'static str, perm: Perm, handler: H) -> Row
where
    H: Handler<T, ApiState>,
    T: 'static,
{
    let filter = if method == Method::POST { MethodFilter::POST } else { MethodFilter::GET };
    Row { method, path, perm, handler: on(filter, handler) }
}

pub(crate) fn build(rows: Vec<Row>, state: ApiState) -> Router {
    let mut router = Router::new();
    for row in rows {
        tracing::debug!(method = %row.method, path = row.path, perm = ?row.perm, "endpoint");
        let handler = match row.perm {
            Perm::Admin => row.handler.layer(middleware::from_fn_with_state(state.clone(), access::admin)),
            Perm::Open | Perm::PathToken => row.handler,
        };
        router = router.route(row.path, handler);
    }
    router
        .fallback(async || Problem::not_found("endpoint"))
        .method_not_allowed_fallback(async || Problem::not_found("endpoint"))
        .layer(DefaultBodyLimit::max(MAX_BODY))
        .with_state(state)
}
