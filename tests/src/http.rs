//! HTTP to servers of a test.

use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde_json::Value;

/// A server on loopback.
#[derive(Debug, Clone)]
pub struct Http {
    agent: ureq::Agent,
    base: String,
    bearer: Option<String>,
}

impl Http {
    pub fn new(base: &str, bearer: Option<&str>) -> Self {
        let config = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .proxy(None)
            .timeout_global(Some(Duration::from_secs(20)))
            .build();
        Self { agent: config.into(), base: base.to_owned(), bearer: bearer.map(str::to_owned) }
    }

    /// Where it is.
    pub fn base(&self) -> &str {
        &self.base
    }

    /// Status and body of any answer; an error when there is none.
    pub fn ask(&self, method: &str, path: &str, body: Option<&Value>) -> Result<(u16, String)> {
        let url = format!("{}{path}", self.base);
        let mut request = ureq::http::Request::builder().method(method).uri(&url);
        if let Some(bearer) = &self.bearer {
            request = request.header("authorization", format!("Bearer {bearer}"));
        }
        let answer = match body {
            Some(body) => self.agent.run(request.header("content-type", "application/json").body(body.to_string())?),
            None => self.agent.run(request.body(())?),
        };
        let mut answer = answer.with_context(|| format!("no answer to {method} {url}"))?;
        let text = answer.body_mut().read_to_string()?;
        Ok((answer.status().as_u16(), text))
    }

    /// The JSON of a 2xx answer.
    pub fn json(&self, method: &str, path: &str, body: Option<&Value>) -> Result<Value> {
        let (status, text) = self.ask(method, path, body)?;
        if !(200..300).contains(&status) {
            bail!("{method} {}{path} answered {status}: {text}", self.base);
        }
        if text.trim().is_empty() {
            return Ok(Value::Null);
        }
        serde_json::from_str(&text).with_context(|| format!("{method} {}{path} answered what is not JSON", self.base))
    }
}
