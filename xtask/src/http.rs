//! HTTP to servers on this machine: no TLS, no proxy, every call bounded in time.

use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

use crate::progress::Waiting;
use crate::run::{self, Service};

const LIMIT: Duration = Duration::from_secs(30);

pub(crate) struct Client {
    agent: ureq::Agent,
    base: String,
    bearer: Option<String>,
}

impl Client {
    /// `base` without a slash at its end, e.g. `http://127.0.0.1:8069`.
    pub(crate) fn new(base: &str, bearer: Option<&str>) -> Self {
        let config =
            ureq::Agent::config_builder().http_status_as_error(false).proxy(None).timeout_global(Some(LIMIT)).build();
        Self { agent: config.into(), base: base.to_owned(), bearer: bearer.map(str::to_owned) }
    }

    /// Status and body of any answer.
    pub(crate) fn ask(&self, method: &str, path: &str, body: Option<&Value>) -> Result<(u16, String)> {
        let url = format!("{}{path}", self.base);
        let mut request = ureq::http::Request::builder().method(method).uri(&url);
        if let Some(bearer) = &self.bearer {
            request = request.header("authorization", format!("Bearer {bearer}"));
        }
        let text = body.map(Value::to_string);
        let answer = match text {
            Some(text) => self.agent.run(request.header("content-type", "application/json").body(text)?),
            None => self.agent.run(request.body(())?),
        };
        let mut answer = answer.with_context(|| format!("no answer to {method} {url}"))?;
        let text = answer.body_mut().read_to_string().with_context(|| format!("half an answer to {method} {url}"))?;
        Ok((answer.status().as_u16(), text))
    }

    /// The JSON of a 2xx answer; `null` when it is empty.
    pub(crate) fn json(&self, method: &str, path: &str, body: Option<&Value>) -> Result<Value> {
        let (status, text) = self.ask(method, path, body)?;
        if !(200..300).contains(&status) {
            let short: String = text.chars().take(400).collect();
            bail!("{method} {}{path} answered {status}: {short}", self.base);
        }
        if text.trim().is_empty() {
            return Ok(Value::Null);
        }
        serde_json::from_str(&text).with_context(|| format!("{method} {}{path} answered what is not JSON", self.base))
    }

    /// Waits until `path` answers 200. Gives up when the service is not running any more or `limit` is over.
    pub(crate) fn wait_ready(&self, path: &str, service: Option<&mut Service>, limit: Duration) -> Result<()> {
        let mut waiting = Waiting::for_(service.as_ref().map_or("the server", |s| s.name()));
        let mut service = service;
        while !self.ask("GET", path, None).is_ok_and(|(status, _)| status == 200) {
            if let Some(service) = service.as_mut() {
                service.check()?;
            }
            ensure!(waiting.elapsed() < limit, "`{}{path}` did not answer 200 in {} s", self.base, limit.as_secs());
            waiting.tick("");
            run::pause()?;
        }
        Ok(())
    }
}
