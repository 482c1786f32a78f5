//! How a command asks the running host: its own API, with the token of the configuration. Authorization and audit are
//! there and nowhere else.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;

use super::{FAILED, Failure, WRONG_USE, wrong_use};
use crate::config::{self, Config};

const PATIENCE: Duration = Duration::from_secs(60);
/// No answer of the host is larger: ten thousand jobs and what they touched.
const LARGEST: u64 = 64 << 20;

/// Where the host is.
#[derive(Debug, clap::Args)]
pub(crate) struct Host {
    /// The host's configuration: its address and where its admin token is
    #[arg(long)]
    config: PathBuf,
    /// Another address of the host than `server.listen`, e.g. `http://127.0.0.1:8080`
    #[arg(long)]
    url: Option<String>,
    /// Prints the host's answer as JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// The running host.
pub(crate) struct Client {
    agent: ureq::Agent,
    base: String,
    token: SecretString,
}

impl Host {
    /// For a command that asks a host only when it is told to.
    pub(crate) fn at(config: PathBuf, url: Option<String>) -> Self {
        Self { config, url, json: false }
    }

    pub(crate) fn client(&self) -> Result<Client, Failure> {
        let config = Config::read(&self.config)?;
        let token = config.secret(&config.server.admin_token).context("`server.admin_token`")?;
        let base = self.url.clone().unwrap_or_else(|| format!("http://{}", config.server.listen));
        config::origin(&base).map_err(|e| wrong_use(e.context("`--url`")))?;
        if !base.starts_with("http://") {
            let hint = "`--url` must begin with `http://`: ask on the host's own machine, or through a tunnel";
            return Err(wrong_use(anyhow!(hint)));
        }
        let settings = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .proxy(None)
            .max_redirects(0)
            .timeout_global(Some(PATIENCE))
            .build();
        Ok(Client { agent: settings.into(), base: base.trim_end_matches('/').to_owned(), token })
    }
}

impl Client {
    pub(crate) fn get(&self, path: &str) -> Result<Value, Failure> {
        let request = self.request("GET", path).body(()).context("the request")?;
        self.answer(path, self.agent.run(request))
    }

    pub(crate) fn post(&self, path: &str, body: &Value) -> Result<Value, Failure> {
        self.send("POST", path, body)
    }

    pub(crate) fn put(&self, path: &str, body: &Value) -> Result<Value, Failure> {
        self.send("PUT", path, body)
    }

    pub(crate) fn delete(&self, path: &str) -> Result<Value, Failure> {
        let request = self.request("DELETE", path).body(()).context("the request")?;
        self.answer(path, self.agent.run(request))
    }

    fn send(&self, method: &str, path: &str, body: &Value) -> Result<Value, Failure> {
        let request = self.request(method, path).header("content-type", "application/json");
        let request = request.body(body.to_string()).context("the request")?;
        self.answer(path, self.agent.run(request))
    }

    fn request(&self, method: &str, path: &str) -> ureq::http::request::Builder {
        let bearer = format!("Bearer {}", self.token.expose_secret());
        ureq::http::Request::builder()
            .method(method)
            .uri(format!("{}{path}", self.base))
            .header("authorization", bearer)
    }

    fn answer(
        &self,
        path: &str,
        answer: Result<ureq::http::Response<ureq::Body>, ureq::Error>,
    ) -> Result<Value, Failure> {
        let base = &self.base;
        let mut answer = answer
            .with_context(|| format!("no answer from `{base}`; is the host running? start it with `wharf serve`"))?;
        let text = answer
            .body_mut()
            .with_config()
            .limit(LARGEST)
            .read_to_string()
            .with_context(|| format!("half an answer from `{base}`"))?;
        let status = answer.status().as_u16();
        let value = serde_json::from_str(&text).with_context(|| format!("`{base}{path}` answered what is not JSON"))?;
        if answer.status().is_success() { Ok(value) } else { Err(refused(status, &value)) }
    }
}

/// A problem of the API as a failure of the command.
fn refused(status: u16, problem: &Value) -> Failure {
    let text = |field: &str| problem[field].as_str().unwrap_or_default().to_owned();
    let hint = text("hint");
    let hint = if hint.is_empty() { hint } else { format!("; {hint}") };
    let code = if matches!(status, 400 | 404) { WRONG_USE } else { FAILED };
    Failure { code, error: anyhow!("{}{hint} ({status} {})", text("detail"), text("code")) }
}

/// `?a=b&c=d` of what was given.
pub(crate) fn query(fields: &[(&str, Option<String>)]) -> String {
    let mut encoded = url::form_urlencoded::Serializer::new(String::new());
    for (name, value) in fields {
        if let Some(value) = value {
            encoded.append_pair(name, value);
        }
    }
    let encoded = encoded.finish();
    if encoded.is_empty() { encoded } else { format!("?{encoded}") }
}

/// A moment of an answer, for people; `-` when it is absent.
pub(crate) fn moment(value: &Value) -> String {
    let time = value.as_i64().and_then(|millis| jiff::Timestamp::from_millisecond(millis).ok());
    time.map_or_else(|| "-".to_owned(), |time| format!("{time:.0}"))
}

/// A text of an answer; `-` when it is absent.
pub(crate) fn text(value: &Value) -> String {
    match value {
        Value::Null => "-".to_owned(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// Rows under their headings, each column as wide as it must be.
pub(crate) fn table(headings: &[&str], rows: &[Vec<String>]) -> String {
    let head: Vec<String> = headings.iter().map(|heading| (*heading).to_owned()).collect();
    let all = || std::iter::once(&head).chain(rows);
    let width = |column: usize| all().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..headings.len()).map(width).collect();
    let line = |row: &Vec<String>| {
        let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}"));
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    all().map(line).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_the_host_refuses_is_told_with_its_hint_and_an_exit_code() {
        for (status, code) in [(404, WRONG_USE), (400, WRONG_USE), (409, FAILED), (401, FAILED), (503, FAILED)] {
            let failure = refused(status, &json!({ "code": "c", "detail": "it is so", "hint": "do this" }));
            assert_eq!((failure.code, failure.error.to_string()), (code, format!("it is so; do this ({status} c)")));
        }
    }

    #[test]
    fn a_query_holds_what_was_given() {
        assert_eq!(query(&[("a", None), ("b", None)]), "");
        assert_eq!(query(&[("a", Some("x y&z".to_owned())), ("b", None)]), "?a=x+y%26z");
    }

    #[test]
    fn a_table_lines_up() {
        let rows = [vec!["a".to_owned(), "1".to_owned()], vec!["longer".to_owned(), "2".to_owned()]];
        assert_eq!(table(&["name", "n"], &rows), "name    n\na       1\nlonger  2");
        assert_eq!(
            (moment(&json!(1_700_000_000_123_i64)), moment(&Value::Null)),
            ("2023-11-14T22:13:20Z".to_owned(), "-".to_owned())
        );
    }
}
