//! What a test does in place of the people in the warehouse: orders come in, and a webhook comes once more.

use std::sync::Arc;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::{Json, Router};
use bytes::Bytes;
use http::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::{Map, json};

use super::env::Env;
use super::errors::{Raised, Result};
use super::models::{picking, sale_confirm};
use super::records::vals;
use super::{Odoo, seed, webhook};
use crate::admin::refused;
use crate::desk::lock;

pub(super) fn router(odoo: Arc<Odoo>) -> Router {
    Router::new().route("/__admin/orders", post(orders)).route("/__admin/webhook", post(again)).with_state(odoo)
}

/// `POST /__admin/orders`
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Wanted {
    count: usize,
    /// Lines of an order, each of another product.
    #[serde(default = "one")]
    lines: usize,
    #[serde(default = "one_piece")]
    quantity: f64,
    /// Internal reference; absent: the products with plenty of stock in turn.
    #[serde(default)]
    product: Option<String>,
    /// A customer's name; absent: the customers in turn.
    #[serde(default)]
    customer: Option<String>,
    #[serde(default = "yes")]
    confirm: bool,
}

fn one() -> usize {
    1
}

fn one_piece() -> f64 {
    1.0
}

fn yes() -> bool {
    true
}

#[derive(Serialize)]
struct Made {
    id: i64,
    name: String,
    deliveries: Vec<Delivery>,
}

#[derive(Serialize)]
struct Delivery {
    id: i64,
    name: String,
    state: String,
}

/// Each order is a transaction of its own, with its webhooks behind it.
async fn orders(State(odoo): State<Arc<Odoo>>, body: Bytes) -> Response {
    let wanted: Wanted = match serde_json::from_slice(&body) {
        Ok(wanted) => wanted,
        Err(error) => return refused(&format!("not an order: {error}")),
    };
    let mut all = Vec::with_capacity(wanted.count);
    for at in 0..wanted.count {
        match odoo.transaction(seed::ADMIN, Map::new(), |env| order(env, &wanted, at)) {
            Ok((made, posts)) => {
                webhook::send_all(&posts).await;
                all.push(made);
            }
            Err(raised) => return refused(&raised.message),
        }
    }
    Json(json!({ "orders": all })).into_response()
}

fn order(env: &mut Env<'_>, wanted: &Wanted, at: usize) -> Result<Made> {
    let customers: Vec<i64> = env.db.ids("res.partner").into_iter().filter(|p| is_customer(env, *p, wanted)).collect();
    let products: Vec<i64> = env.db.ids("product.product").into_iter().filter(|p| is_sold(env, *p, wanted)).collect();
    if customers.is_empty() || products.is_empty() {
        return Err(Raised::user("no such customer or product"));
    }
    let pick = |n: usize| products[n % products.len()];
    let lines: Vec<_> = (0..wanted.lines)
        .map(|n| json!([0, 0, {"product_id": pick(at + n), "product_uom_qty": wanted.quantity}]))
        .collect();
    let id = env.create("sale.order", vals! {"partner_id": customers[at % customers.len()], "order_line": lines})?;
    if wanted.confirm {
        sale_confirm::confirm(env, &[id])?;
    }
    let deliveries = env.many("sale.order", id, "picking_ids").into_iter().map(|p| Delivery {
        id: p,
        name: env.text(picking::MODEL, p, "name"),
        state: env.text(picking::MODEL, p, "state"),
    });
    let deliveries = deliveries.collect();
    Ok(Made { id, name: env.text("sale.order", id, "name"), deliveries })
}

fn is_customer(env: &Env<'_>, id: i64, wanted: &Wanted) -> bool {
    match &wanted.customer {
        Some(name) => env.text("res.partner", id, "name") == *name,
        None => id != 1 && env.number("res.partner", id, "customer_rank") > 0.0,
    }
}

fn is_sold(env: &Env<'_>, id: i64, wanted: &Wanted) -> bool {
    match &wanted.product {
        Some(code) => env.text("product.product", id, "default_code") == *code,
        None => env.number("product.product", id, "free_qty") > 1000.0,
    }
}

/// `POST /__admin/webhook`: the last webhook that was due, sent once more.
async fn again(State(odoo): State<Arc<Odoo>>) -> Response {
    let last = lock(&odoo.books).last_post.clone();
    match last {
        Some(post) => {
            webhook::send_all(&[post]).await;
            StatusCode::NO_CONTENT.into_response()
        }
        None => refused("no webhook was due so far"),
    }
}
