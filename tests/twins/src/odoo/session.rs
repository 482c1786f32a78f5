//! Keys and web sessions. A key is 40 hex digits and is stored as a digest; it is made in a web session, after the
//! password has been given once more, and shown once.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::response::Response;
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use super::env::Env;
use super::errors::{Raised, Result, SESSION_EXPIRED, json_response};
use super::models::wizard;
use super::records::{Vals, vals};
use super::{Odoo, methods};

/// Where an identity check keeps the description it is about.
pub(super) const ABOUT: &str = "_about";
const DIGEST: &str = "_digest";
const KEYS: &str = "res.users.apikeys";

pub(super) fn digest(secret: &str) -> String {
    hex::encode(Sha256::digest(secret))
}

/// Whose key is it? Keys of archived users and keys past their end are nobody's.
pub(super) fn owner_of_key(env: &Env<'_>, key: &str) -> Option<i64> {
    let wanted = json!(digest(key));
    let keys = env.db.ids(KEYS);
    let found = keys.into_iter().find(|id| env.row(KEYS, *id).get(DIGEST) == Some(&wanted))?;
    let end = env.text(KEYS, found, "expiration_date");
    let lives = end.is_empty() || end > env.now;
    env.one(KEYS, found, "user_id").filter(|user| lives && env.flag("res.users", *user, "active"))
}

/// A key for this user; `days` 0 for ever.
pub(super) fn store_key(env: &mut Env<'_>, user: i64, name: &str, key: &str, days: i64) -> Result<i64> {
    let end = match days {
        0 => json!(false),
        days => json!(in_days(&env.now, days)),
    };
    let id = env.create(KEYS, vals! {"name": name, "user_id": user, "expiration_date": end})?;
    let mut row = env.row(KEYS, id);
    row.insert(DIGEST.to_owned(), json!(digest(key)));
    env.db.put(KEYS, id, Some(row));
    Ok(id)
}

/// Midnight so many days from now.
fn in_days(now: &str, days: i64) -> String {
    let stamp: Option<Timestamp> = format!("{}Z", now.replace(' ', "T")).parse().ok();
    let later = stamp.and_then(|s| s.checked_add(SignedDuration::from_hours(24 * days)).ok());
    later.map(|t| t.strftime("%Y-%m-%d 00:00:00").to_string()).unwrap_or_default()
}

/// `res.users.context_get`
pub(super) fn context(env: &Env<'_>) -> Value {
    let lang = env.value("res.users", env.uid, "lang");
    let lang = if lang == json!(false) { json!("en_US") } else { lang };
    json!({ "lang": lang, "tz": env.value("res.users", env.uid, "tz"), "uid": env.uid })
}

/// The second question for the password, answered in the context.
pub(super) fn run_check(env: &mut Env<'_>, check: i64) -> Result<Value> {
    let given = env.context.get("password").and_then(Value::as_str).unwrap_or_default();
    if env.row("res.users", env.uid).get(DIGEST) != Some(&json!(digest(given))) {
        return Err(Raised::user("Incorrect Password, try again or click on Forgot Password to reset your password."));
    }
    const DESCRIPTION: &str = "res.users.apikeys.description";
    let about = env.row("res.users.identitycheck", check).get(ABOUT).and_then(Value::as_i64).unwrap_or(0);
    env.must_exist(DESCRIPTION, &[about])?;
    let days = env.text(DESCRIPTION, about, "duration").parse().unwrap_or(90);
    let count = env.db.ids(KEYS).len();
    let key = digest(&format!("key {count} {about} {}", env.now))[..40].to_owned();
    let name = env.text(DESCRIPTION, about, "name");
    store_key(env, env.uid, &name, &key, days)?;
    Ok(wizard::key_ready(&key))
}

pub(super) fn set_password(env: &mut Env<'_>, user: i64, password: &str) {
    let mut row = env.row("res.users", user);
    row.insert(DIGEST.to_owned(), json!(digest(password)));
    env.db.put("res.users", user, Some(row));
}

/// `POST /web/session/authenticate`: JSON-RPC; the session is a cookie.
pub(super) async fn authenticate(State(odoo): State<Arc<Odoo>>, body: Bytes) -> Response {
    let request: Value = serde_json::from_slice(&body).unwrap_or_default();
    let text = |name: &str| request["params"][name].as_str().unwrap_or_default().to_owned();
    let (login, password) = (text("login"), digest(&text("password")));
    let result = odoo.transaction(super::seed::ADMIN, Map::new(), |env| {
        let users = env.db.having("res.users", "login", &json!(login)).unwrap_or_default();
        let user = users.into_iter().find(|u| env.flag("res.users", *u, "active"));
        let good = user.filter(|u| env.row("res.users", *u).get(DIGEST) == Some(&json!(password)));
        good.map(|user| session_info(env, user, &odoo.config.database)).ok_or_else(Raised::denied)
    });
    let user = result.as_ref().ok().and_then(|(info, _)| info["uid"].as_i64());
    let mut response = rpc(&request, result.map(|(info, _)| info));
    if let Some(user) = user {
        let session = digest(&format!("session {user} {}", odoo.next_session()));
        odoo.remember_session(&session, user);
        let cookie = format!("session_id={session}; Max-Age=604800; HttpOnly; Path=/");
        if let Ok(cookie) = HeaderValue::from_str(&cookie) {
            response.headers_mut().append(header::SET_COOKIE, cookie);
        }
    }
    response
}

fn session_info(env: &Env<'_>, user: i64, database: &str) -> Value {
    let admin = super::access::groups(env, user).contains(&super::seed::GROUP_SYSTEM);
    json!({
        "uid": user,
        "is_system": admin,
        "is_admin": admin,
        "is_internal_user": true,
        "user_context": { "lang": "en_US", "tz": env.value("res.users", user, "tz"), "uid": user },
        "db": database,
        "server_version": "19.0",
        "server_version_info": [19, 0, 0, "final", 0, ""],
        "username": env.value("res.users", user, "login"),
        "name": env.value("res.users", user, "name"),
        "partner_id": env.value("res.users", user, "partner_id"),
        "web.base.url": "http://localhost:8069",
        "max_file_upload_size": 134_217_728,
        "active_ids_limit": 20_000,
        "user_companies": {
            "current_company": 1,
            "allowed_companies": { "1": {
                "id": 1, "name": env.value("res.company", 1, "name"), "sequence": 0, "child_ids": [], "parent_id": false,
                "currency_id": env.value("res.company", 1, "currency_id"),
            }},
            "disallowed_ancestor_companies": {},
        },
    })
}

/// `POST /web/dataset/call_kw/{model}/{method}`: the web client's door, with positional arguments.
pub(super) async fn call_kw(
    State(odoo): State<Arc<Odoo>>,
    Path((model, method)): Path<(String, String)>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let request: Value = serde_json::from_slice(&body).unwrap_or_default();
    let cookies = headers.get(header::COOKIE).and_then(|c| c.to_str().ok()).unwrap_or_default();
    let session = cookies.split(';').find_map(|c| c.trim().strip_prefix("session_id="));
    let Some(user) = session.and_then(|s| odoo.session_user(s)) else {
        return rpc(&request, Err(Raised::session_expired()));
    };
    let mut arguments = request["params"]["kwargs"].as_object().cloned().unwrap_or_default();
    let context = arguments.remove("context").and_then(|c| c.as_object().cloned()).unwrap_or_default();
    let positional = request["params"]["args"].as_array().cloned().unwrap_or_default();
    let result = odoo.transaction(user, context, |env| {
        let signature = super::signatures::find(&model, &method)?;
        let (ids, first) = match (signature.on_records, positional.first()) {
            (true, Some(ids)) => (Some(ids.clone()), positional.get(1)),
            (true, None) => (Some(json!([])), None),
            (false, first) => (None, first),
        };
        bind_first(&method, first, &mut arguments);
        let answer = methods::call(env, &model, &method, ids, &arguments)?;
        // One record in, one id out: not so over JSON-2.
        let single = method == "create" && first.is_some_and(Value::is_object);
        Ok(if single { answer.get(0).cloned().unwrap_or(answer) } else { answer })
    });
    let response = rpc(&request, result.as_ref().map(|(answer, _)| answer.clone()).map_err(Clone::clone));
    if let Ok((_, posts)) = result {
        super::webhook::send_all(&posts).await;
    }
    response
}

/// The only positional argument that key making needs: the values of a `create`.
fn bind_first(method: &str, first: Option<&Value>, arguments: &mut Vals) {
    if let ("create", Some(vals)) = (method, first) {
        arguments.insert("vals_list".to_owned(), vals.clone());
    }
}

fn rpc(request: &Value, result: Result<Value>) -> Response {
    let mut body = json!({ "jsonrpc": "2.0", "id": request.get("id").cloned().unwrap_or(Value::Null) });
    match result {
        Ok(value) => body["result"] = value,
        Err(raised) => {
            let (code, message) =
                if raised.name == SESSION_EXPIRED { (100, "Odoo Session Expired") } else { (0, "Odoo Server Error") };
            body["error"] = json!({ "code": code, "message": message, "data": raised.body() });
        }
    }
    json_response(StatusCode::OK, &body)
}
