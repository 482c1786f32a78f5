//! Everything that comes in over HTTP. Routes are rows of one list; each row says who may call it.
//!
//! Deliberately absent: outgoing traffic, adapters, business decisions. An endpoint reads rows, or writes one and asks
//! for work.

mod access;
mod admin;
mod health;
mod ingress;
mod problem;
mod route;
mod state;
#[cfg(test)]
mod tests;

use axum::Router;

pub use state::{ApiState, TenantAccess};

/// The whole API.
pub fn router(state: ApiState) -> Router {
    route::build(all(), state)
}

/// The list of endpoints.
fn all() -> Vec<route::Row> {
    [
        health::routes(),
        ingress::odoo::routes(),
        admin::flows::routes(),
        admin::exceptions::routes(),
        admin::jobs::routes(),
    ]
    .concat()
}
