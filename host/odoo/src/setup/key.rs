//! The bot's API key. Odoo makes one only for a user who has just given a password in a web session, so the bot gets a
//! throw-away password, logs in once, and asks.

use bytes::Bytes;
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::{Value, json};
use wharf_domain::ctx::CallCtx;
use wharf_domain::fault::{Blame, Fault, FaultKind};
use wharf_domain::time::Clock;
use wharf_egress::{Egress, Request, Response};

use super::SetupRequest;
use crate::client::{Client, Operation};
use crate::fault::{ErrorBody, from_error, unexpected};
use crate::probe::last_end;
use crate::{OdooConfig, json2, routes};

const KEY_NAME: &str = "wharf";
/// Days a new key is asked for; the next one when Odoo's policy allows less.
const DURATIONS: [&str; 3] = ["90", "30", "7"];
/// A key that ends sooner is replaced.
const MIN_DAYS: i64 = 14;

/// What a key is made with.
pub(super) struct Maker<'a> {
    pub(super) egress: Egress,
    pub(super) clock: &'a dyn Clock,
    pub(super) config: &'a OdooConfig,
    /// The bot's user id.
    pub(super) bot: i64,
    pub(super) login: &'a str,
}

impl Maker<'_> {
    /// A new key, or `None` when the current one is the bot's and lasts.
    pub(super) async fn ensure(
        &self,
        calls: &mut Operation<'_>,
        ctx: &CallCtx,
        request: &SetupRequest,
    ) -> Result<Option<SecretString>, Fault> {
        if let Some(current) = &request.current_key
            && self.lasts(ctx, current).await
        {
            return Ok(None);
        }
        let password = request.bot_password.expose_secret();
        if password.len() < 20 {
            let text = "the bot's password must have at least 20 characters";
            return Err(Fault::new(FaultKind::InvalidInput, "odoo.weak-password", text, Blame::Host));
        }
        let write = json!({"ids": [self.bot], "vals": {"password": password}});
        calls.call("res.users", "write", write).await?;
        let key = self.make(ctx, password).await?;
        if self.owner(ctx, &key).await? != Some(self.bot) {
            return Err(unexpected("run_check", "the new key is not the bot's"));
        }
        Ok(Some(key))
    }

    fn client(&self, key: &SecretString) -> Client {
        let config = OdooConfig { api_key: key.clone(), ..self.config.clone() };
        Client::new(self.egress.clone(), &config, routes::daily())
    }

    async fn owner(&self, ctx: &CallCtx, key: &SecretString) -> Result<Option<i64>, Fault> {
        let answer = self.client(key).operation(ctx).call("res.users", "context_get", json!({})).await?;
        Ok(answer["uid"].as_i64())
    }

    async fn lasts(&self, ctx: &CallCtx, key: &SecretString) -> bool {
        if !matches!(self.owner(ctx, key).await, Ok(Some(owner)) if owner == self.bot) {
            return false;
        }
        let search = json!({"domain": [], "fields": ["expiration_date"]});
        let rows = self.client(key).operation(ctx).call("res.users.apikeys", "search_read", search).await;
        match rows {
            Ok(Value::Array(rows)) => last_end(&rows, self.clock.now()).is_none_or(|days| days >= MIN_DAYS),
            _ => false,
        }
    }

    /// Log in, describe the key, be asked for the password, give it, take the key.
    async fn make(&self, ctx: &CallCtx, password: &str) -> Result<SecretString, Fault> {
        let mut session = Session { egress: &self.egress, config: self.config, ctx, cookie: None };
        let login = json!({"db": self.config.database, "login": self.login, "password": password});
        let who = session.call(routes::AUTHENTICATE, login).await?;
        if who["uid"].as_i64() != Some(self.bot) {
            let text = format!(
                "Odoo let `{}` not log in with its password alone; log in as this user by hand, make a key under \
                 Preferences, Security, New API Key, and put it where `api_key` points",
                self.login
            );
            return Err(Fault::new(FaultKind::Unsupported, "odoo.second-factor", text, Blame::Operator));
        }
        let description = self.describe(&mut session).await?;
        let asked = session.kw("res.users.apikeys.description", "make_key", json!([[description]]), json!({})).await?;
        let check = asked["res_id"].as_i64().ok_or_else(|| unexpected("make_key", "no identity check"))?;
        let context = json!({"context": {"password": password}});
        let shown = session.kw("res.users.identitycheck", "run_check", json!([[check]]), context).await?;
        match shown["context"]["default_key"].as_str() {
            Some(key) if key.len() >= 32 => Ok(SecretString::from(key.to_owned())),
            _ => Err(unexpected("run_check", "no key")),
        }
    }

    async fn describe(&self, session: &mut Session<'_>) -> Result<i64, Fault> {
        let mut refused = unexpected("res.users.apikeys.description.create", "no duration was accepted");
        for days in DURATIONS {
            let values = json!([{"name": KEY_NAME, "duration": days}]);
            match session.kw("res.users.apikeys.description", "create", values, json!({})).await {
                Ok(id) => {
                    let id = id.as_i64().or_else(|| id.get(0).and_then(Value::as_i64));
                    return id.ok_or_else(|| unexpected("res.users.apikeys.description.create", "no id"));
                }
                Err(fault) if fault.kind == FaultKind::BusinessRejected => refused = fault,
                Err(fault) => return Err(fault),
            }
        }
        Err(refused)
    }
}

/// A web session: JSON-RPC with a cookie that Odoo may replace with each answer.
struct Session<'a> {
    egress: &'a Egress,
    config: &'a OdooConfig,
    ctx: &'a CallCtx,
    cookie: Option<SecretString>,
}

impl Session<'_> {
    async fn kw(&mut self, model: &str, method: &str, args: Value, kwargs: Value) -> Result<Value, Fault> {
        let params = json!({"model": model, "method": method, "args": args, "kwargs": kwargs});
        self.call(&format!("/web/dataset/call_kw/{model}/{method}"), params).await
    }

    async fn call(&mut self, path: &str, params: Value) -> Result<Value, Fault> {
        let client = Client::session(self.egress.clone(), self.config, self.cookie.clone());
        let body = json!({"jsonrpc": "2.0", "method": "call", "id": 1, "params": params});
        let request = Request {
            method: "POST".to_owned(),
            url: format!("{}{path}", client.origin()),
            headers: vec![("content-type".to_owned(), "application/json".to_owned())],
            body: Some(Bytes::from(body.to_string())),
            timeout_ms: None,
        };
        let response = client.operation(self.ctx).send(request).await?;
        if let Some(cookie) = session_cookie(&response) {
            self.cookie = Some(SecretString::from(cookie));
        }
        result(path, &self.config.database, &response)
    }
}

/// The last session Odoo set. The door hides a secret that comes back unchanged behind its name, which is no cookie.
fn session_cookie(response: &Response) -> Option<String> {
    let set = response.headers.iter().filter(|(name, _)| name == "set-cookie").map(|(_, value)| value.as_str());
    let mut sessions = set.filter_map(|value| value.split(';').next()?.trim().strip_prefix("session_id="));
    sessions.rfind(|value| value.bytes().all(|b| b.is_ascii_graphic() && !b"{}".contains(&b))).map(str::to_owned)
}

/// JSON-RPC inside status 200.
fn result(path: &str, database: &str, response: &Response) -> Result<Value, Fault> {
    let mut envelope = json2::answer(path, database, response)?;
    if let Ok(error) = serde_json::from_value::<ErrorBody>(envelope["error"]["data"].take()) {
        return Err(from_error(response.status, &error));
    }
    match envelope.get_mut("result") {
        Some(result) => Ok(result.take()),
        None => Err(unexpected(path, "it has no result")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn response(headers: &[(&str, &str)], body: &Value) -> Response {
        let headers = headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        Response { status: 200, headers, body: Bytes::from(body.to_string()) }
    }

    #[test]
    fn the_last_session_counts_and_a_hidden_one_does_not() {
        let first = ("set-cookie", "session_id=aaa; HttpOnly; Path=/");
        let second = ("set-cookie", "session_id=bbb; HttpOnly; Path=/");
        let hidden = ("set-cookie", "session_id={{secret:session.value}}; Path=/");
        assert_eq!(session_cookie(&response(&[first, second], &json!({}))).as_deref(), Some("bbb"));
        assert_eq!(session_cookie(&response(&[hidden], &json!({}))), None);
        assert_eq!(session_cookie(&response(&[("set-cookie", "lang=en")], &json!({}))), None);
    }

    #[test]
    fn an_error_in_the_envelope_is_classified_by_its_name() {
        let body = json!({"jsonrpc": "2.0", "id": 1, "error": {"code": 0, "message": "Odoo Server Error", "data":
            {"name": "odoo.exceptions.AccessDenied", "message": "Access Denied", "debug": "Traceback"}}});
        let fault = result("/x", "d", &response(&[], &body)).expect_err("denied");
        assert_eq!(fault.kind, FaultKind::Unauthorized);
        assert!(!format!("{fault:?}").contains("Traceback"));
        assert_eq!(result("/x", "d", &response(&[], &json!({"result": 5}))), Ok(json!(5)));
        assert!(result("/x", "d", &response(&[], &json!({}))).is_err());
    }
}
