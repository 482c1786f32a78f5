//! `POST /json/2/{model}/{method}`: one call, one transaction; named arguments in, the bare return value out.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Path, State};
use axum::response::Response;
use bytes::Bytes;
use http::{HeaderMap, StatusCode, Uri, header};
use serde_json::{Map, Value, json};

use super::errors::{Raised, Result, dressed, json_response, page};
use super::{Odoo, methods, webhook};

pub(super) async fn call(
    State(odoo): State<Arc<Odoo>>,
    Path((model, method)): Path<(String, String)>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    if let Some(refusal) = before_the_api(&odoo, &headers) {
        return refusal;
    }
    match run(&odoo, &model, &method, &headers, &body) {
        Ok((answer, posts)) => {
            webhook::send_all(&posts).await;
            json_response(StatusCode::OK, &answer)
        }
        Err(raised) => raised.response(),
    }
}

/// Another HTTP method on a good path.
pub(super) async fn hint(State(odoo): State<Arc<Odoo>>, headers: HeaderMap) -> Response {
    let refusal = before_the_api(&odoo, &headers);
    refusal.unwrap_or_else(|| Raised::not_found("Did you mean POST /json/2/<model>/<method>?").response())
}

/// Paths that lead nowhere; below `/json/2` they are the API's.
pub(super) async fn elsewhere(state: State<Arc<Odoo>>, uri: Uri, headers: HeaderMap) -> Response {
    if uri.path().starts_with("/json/2") {
        return hint(state, headers).await;
    }
    let text = "The requested URL was not found on the server. If you entered the URL manually please check your spelling \
                and try again.";
    page(StatusCode::NOT_FOUND, text)
}

/// A wrong database and a wrong content type are refused in HTML.
fn before_the_api(odoo: &Odoo, headers: &HeaderMap) -> Option<Response> {
    let text = |name: &str| headers.get(name).and_then(|v| v.to_str().ok()).map(str::to_owned);
    if text("x-odoo-database").is_some_and(|db| db != odoo.config.database) {
        let body = "<!DOCTYPE html>\n<title>404 Not Found</title>\n<h1>Not Found</h1>\n<p>No database is selected and the \
                    requested URL was not found in the server-wide controllers.</p>\n<p>Please verify the hostname, <a \
                    href=/web/login>login</a> and try again.</p>\n\n<!-- Alternatively, use the X-Odoo-Database header. -->\n";
        return Some(dressed(StatusCode::NOT_FOUND, "text/html; charset=utf-8", Body::from(body)));
    }
    let kind = text(header::CONTENT_TYPE.as_str()).unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    if kind.is_empty() || kind == "application/json" {
        return None;
    }
    let text = "Request inferred type is compatible with [&#39;http&#39;] but \
                &#39;/json/2/&lt;__model__&gt;/&lt;__method__&gt;&#39; is type=&#39;json2&#39;.<br><br>Please verify the \
                Content-Type request header and try again.";
    Some(page(StatusCode::UNSUPPORTED_MEDIA_TYPE, text))
}

fn run(
    odoo: &Odoo,
    model: &str,
    method: &str,
    headers: &HeaderMap,
    body: &[u8],
) -> Result<(Value, Vec<webhook::Post>)> {
    let user = authenticated(odoo, headers)?;
    let mut arguments = arguments(body)?;
    let context = match arguments.remove("context") {
        Some(Value::Object(context)) => context,
        _ => Map::new(),
    };
    let ids = arguments.remove("ids");
    odoo.transaction(user, context, |env| {
        if env.db.model(model).is_none() {
            if ABSTRACT.contains(&model) {
                return Err(closed(model));
            }
            return Err(Raised::not_found(format!("the model '{model}' does not exist")));
        }
        methods::call(env, model, method, ids, &arguments)
    })
}

/// Known to Odoo, but nobody's records.
const ABSTRACT: [&str; 2] = ["mail.thread", "mail.activity.mixin"];

fn closed(model: &str) -> Raised {
    let label = if model == "mail.thread" { "Email Thread" } else { "Activity Mixin" };
    Raised::access(format!(
        "You are not allowed to access '{label}' ({model}) records.\n\nNo group currently allows this operation.\n\nContact \
         your administrator to request access if necessary."
    ))
}

fn authenticated(odoo: &Odoo, headers: &HeaderMap) -> Result<i64> {
    let given = headers.get(header::AUTHORIZATION).and_then(|v| v.to_str().ok()).unwrap_or_default();
    let (scheme, key) = given.split_once(' ').unwrap_or_default();
    if !scheme.eq_ignore_ascii_case("bearer") {
        let text = "User not authenticated, use an API Key with a Bearer Authorization header.";
        return Err(Raised::unauthorized(text));
    }
    odoo.user_of_key(key.trim()).ok_or_else(|| Raised::unauthorized("Invalid apikey"))
}

/// Whatever is no object counts as no arguments; what is no JSON is a bad request.
fn arguments(body: &[u8]) -> Result<Map<String, Value>> {
    if body.is_empty() {
        return Ok(Map::new());
    }
    match serde_json::from_slice(body) {
        Ok(Value::Object(arguments)) => Ok(arguments),
        Ok(_) => Ok(Map::new()),
        Err(error) => {
            let text = format!("could not parse the body as json: {error}");
            Err(Raised::bad_request(text))
        }
    }
}

/// `GET /json/version` and `GET /web/version`, for everybody.
pub(super) async fn version() -> Response {
    json_response(StatusCode::OK, &json!({ "version_info": [19, 0, 0, "final", 0, ""], "version": "19.0" }))
}

/// `GET /web/health`
pub(super) async fn health() -> Response {
    let mut response = dressed(StatusCode::OK, "application/json", Body::from(r#"{"status": "pass"}"#));
    response.headers_mut().insert(header::CACHE_CONTROL, header::HeaderValue::from_static("no-store"));
    response
}
