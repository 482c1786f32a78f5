//! A wire without a network: answers come from recorded exchanges. For `adapter call` and for tests.
//!
//! Two forms are read. `{"exchanges": [{"request": {method, uri, headers, body}, "response": {status, headers, body}}]}`,
//! the form of a job's tape: a request is answered by the first unused exchange with its method and path, queries
//! ignored; one with an `error` in place of the response breaks the connection. Any other JSON document is one answer of status 200 to whatever comes first.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;
use serde_json::Value;
use thiserror::Error;
use url::Url;
use wharf_domain::manifest::Route;

use crate::tape;
use crate::wire::{SentMark, Target, Wire, WireError, WireRequest, WireResponse};

/// Why a document is no recording.
#[derive(Debug, Error)]
pub enum ReplayError {
    #[error("the recording is not JSON: {0}")]
    Json(#[from] serde_json::Error),
    #[error("failed to read the recording `{}`: {source}", path.display())]
    File { path: PathBuf, source: std::io::Error },
    #[error("exchange {index} of the recording has no usable `{field}`")]
    Field { index: usize, field: &'static str },
}

/// Recorded exchanges, each used once.
pub struct Replay {
    left: Mutex<Vec<Recorded>>,
    /// Requests of one of these routes answer each other.
    alike: Vec<Route>,
}

struct Recorded {
    /// `None` fits every request.
    request: Option<String>,
    /// Or the text of the failure that was recorded in its place.
    answer: Result<WireResponse, String>,
}

impl Replay {
    /// A recording of nothing: every request is a miss.
    pub fn empty() -> Self {
        Self { left: Mutex::default(), alike: Vec::new() }
    }

    /// Reads a recording from a file.
    pub fn from_file(path: &Path) -> Result<Self, ReplayError> {
        let text =
            std::fs::read_to_string(path).map_err(|source| ReplayError::File { path: path.to_owned(), source })?;
        Self::from_json(&text)
    }

    /// Reads a recording.
    pub fn from_json(text: &str) -> Result<Self, ReplayError> {
        let document: Value = serde_json::from_str(text)?;
        let left = match document.get("exchanges") {
            Some(exchanges) => {
                let list = exchanges.as_array().ok_or(ReplayError::Field { index: 0, field: "exchanges" })?;
                list.iter().enumerate().map(|(index, one)| recorded(index, one)).collect::<Result<_, _>>()?
            }
            None => vec![Recorded { request: None, answer: Ok(bare(text)) }],
        };
        Ok(Self { left: Mutex::new(left), alike: Vec::new() })
    }

    /// Lets a request that was not recorded take the first exchange of its own route: for an input made up by somebody
    /// who does not know the recorded numbers.
    #[must_use]
    pub fn alike(mut self, routes: &[Route]) -> Self {
        self.alike = routes.to_vec();
        self
    }

    /// The exchanges nobody asked for, as `METHOD path`.
    pub fn left(&self) -> Vec<String> {
        let left = self.left.lock().unwrap_or_else(PoisonError::into_inner);
        left.iter().map(|one| one.request.clone().unwrap_or_else(|| "any request".to_owned())).collect()
    }

    fn take(&self, request: &str) -> Option<Result<WireResponse, String>> {
        let mut left = self.left.lock().unwrap_or_else(PoisonError::into_inner);
        let exact = left.iter().position(|one| one.request.as_deref().is_none_or(|known| known == request));
        let fits =
            |route: &Route, line: &str| line.split_once(' ').is_some_and(|(method, path)| route.fits(method, path));
        let alike = || {
            let route = self.alike.iter().find(|route| fits(route, request))?;
            left.iter().position(|one| one.request.as_deref().is_some_and(|known| fits(route, known)))
        };
        let at = exact.or_else(alike)?;
        Some(left.remove(at).answer)
    }
}

/// A document that is itself the answer.
fn bare(text: &str) -> WireResponse {
    WireResponse {
        status: 200,
        headers: vec![("content-type".to_owned(), "application/json".to_owned())],
        body: Bytes::from(text.to_owned()),
    }
}

fn recorded(index: usize, exchange: &Value) -> Result<Recorded, ReplayError> {
    let lacks = |field| ReplayError::Field { index, field };
    let request = exchange.get("request").and_then(Value::as_object).ok_or(lacks("request"))?;
    let method = request.get("method").and_then(Value::as_str).ok_or(lacks("request.method"))?;
    let uri = request.get("uri").and_then(Value::as_str).ok_or(lacks("request.uri"))?;
    let request = Some(format!("{} {}", method.to_ascii_uppercase(), path(uri)));
    if let Some(message) = exchange.pointer("/error/message").and_then(Value::as_str) {
        return Ok(Recorded { request, answer: Err(message.to_owned()) });
    }
    let response = exchange.get("response").and_then(Value::as_object).ok_or(lacks("response"))?;
    let status = response.get("status").and_then(Value::as_u64).and_then(|status| u16::try_from(status).ok());
    let answer = WireResponse {
        status: status.filter(|status| (100..1000).contains(status)).ok_or(lacks("response.status"))?,
        headers: tape::headers(response.get("headers").unwrap_or(&Value::Null)).ok_or(lacks("response.headers"))?,
        body: tape::body(response).ok_or(lacks("response.body"))?,
    };
    Ok(Recorded { request, answer: Ok(answer) })
}

/// The path of an absolute URL or of a path with query, in the form the door sends.
fn path(uri: &str) -> String {
    match Url::parse(uri) {
        Ok(url) => url.path().to_owned(),
        Err(_) => uri.split(['?', '#']).next().unwrap_or(uri).to_owned(),
    }
}

#[async_trait]
impl Wire for Replay {
    async fn exchange(&self, _: &Target, request: WireRequest, sent: &SentMark) -> Result<WireResponse, WireError> {
        let name = format!("{} {}", request.method, path(&request.path));
        match self.take(&name) {
            Some(answer) => {
                sent.set();
                answer.map_err(|detail| WireError::Broken { detail })
            }
            None => {
                let left = self.left();
                let left = if left.is_empty() { "none".to_owned() } else { format!("`{}`", left.join("`, `")) };
                Err(WireError::NoRecording { request: name, left })
            }
        }
    }

    fn offline(&self) -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn body(replay: &Replay, request: &str) -> Option<Bytes> {
        replay.take(request)?.ok().map(|answer| answer.body)
    }

    #[test]
    fn exchanges_are_found_by_method_and_path_and_used_once_in_order() {
        let replay = Replay::from_json(
            r#"{"exchanges": [
                {"request": {"method": "get", "uri": "https://api.example/a?x=1"}, "response": {"status": 200, "body": "one"}},
                {"request": {"method": "POST", "uri": "/b"}, "response": {"status": 201, "body": {"k": [1]}}},
                {"request": {"method": "GET", "uri": "/a"}, "response": {"status": 404, "headers": [["X-Y", "z"]]}}
            ]}"#,
        )
        .expect("recording");
        assert_eq!(body(&replay, "POST /b"), Some(Bytes::from_static(b"{\"k\":[1]}")));
        assert_eq!(body(&replay, "GET /a"), Some(Bytes::from_static(b"one")));
        assert_eq!(replay.left(), ["GET /a"]);
        let last = replay.take("GET /a").expect("third").expect("answer");
        assert_eq!((last.status, last.headers), (404, vec![("x-y".to_owned(), "z".to_owned())]));
        assert!(replay.take("GET /a").is_none(), "each is used once");
    }

    #[test]
    fn any_other_document_is_one_answer() {
        let replay = Replay::from_json(r#"{"response": {"a": 1}}"#).expect("recording");
        let answer = replay.take("POST /whatever").expect("one").expect("answer");
        assert_eq!((answer.status, &answer.body[..]), (200, br#"{"response": {"a": 1}}"#.as_slice()));
        assert!(replay.take("POST /whatever").is_none());
    }

    #[test]
    fn a_broken_recording_names_the_exchange_and_the_field() {
        for (text, field) in [
            (r#"{"exchanges": 1}"#, "`exchanges`"),
            (r#"{"exchanges": [{}]}"#, "`request`"),
            (
                r#"{"exchanges": [{"request": {"method": "GET", "uri": "/"}, "response": {"status": 7}}]}"#,
                "`response.status`",
            ),
            ("nonsense", "not JSON"),
        ] {
            let err = Replay::from_json(text).err().map(|err| err.to_string()).unwrap_or_default();
            assert!(err.contains(field), "{text}: {err}");
        }
        let err = Replay::from_file(Path::new("no/such.json")).err().map(|err| err.to_string()).unwrap_or_default();
        assert!(err.contains("`no/such.json`"), "{err}");
        assert!(Replay::empty().left().is_empty());
    }
}
