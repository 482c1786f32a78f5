//! What every twin keeps: the log of requests and the fault script. A poisoned lock is taken over as it is: a twin
//! goes on after a panic in one request.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use http::HeaderMap;
use serde::Serialize;

use crate::clock::Clock;
use crate::scenario::{Decision, Facts, Rule, RuleCount, Script};

/// A request as it came in.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Seen {
    /// Counted from 1 since the start or the last reset.
    pub n: u64,
    pub method: String,
    /// With the query.
    pub path: String,
    /// RFC 3339 with milliseconds, UTC.
    pub at: String,
    /// Names in lower case; credentials are `<redacted>`.
    pub headers: BTreeMap<String, String>,
    pub body_bytes: usize,
    /// The fault that was let loose on it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fault: Option<&'static str>,
}

pub(crate) struct Desk {
    pub(crate) clock: Clock,
    log: Mutex<Vec<Seen>>,
    script: Mutex<Script>,
}

pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Desk {
    pub(crate) fn new(clock: Clock) -> Self {
        Self { clock, log: Mutex::default(), script: Mutex::default() }
    }

    /// Writes the request down and asks the script what becomes of it.
    pub(crate) fn take(&self, facts: &Facts<'_>, headers: &HeaderMap) -> Decision {
        let decision = lock(&self.script).decide(facts);
        let delayed = (decision.delay_ms > 0).then_some("latency");
        let mut log = lock(&self.log);
        let n = log.len() as u64 + 1;
        log.push(Seen {
            n,
            method: facts.method.to_owned(),
            path: facts.path.to_owned(),
            at: self.clock.rfc3339(),
            headers: redacted(headers),
            body_bytes: facts.body.len(),
            fault: decision.fault.as_ref().map(crate::scenario::Fault::name).or(delayed),
        });
        decision
    }

    pub(crate) fn requests(&self) -> Vec<Seen> {
        lock(&self.log).clone()
    }

    /// Replaces the script; counters start over.
    pub(crate) fn set_script(&self, rules: Vec<Rule>, seed: u64) -> anyhow::Result<()> {
        *lock(&self.script) = Script::new(rules, seed)?;
        Ok(())
    }

    pub(crate) fn script(&self) -> Vec<RuleCount> {
        lock(&self.script).counts()
    }

    pub(crate) fn reset(&self) {
        lock(&self.log).clear();
        *lock(&self.script) = Script::default();
    }
}

fn redacted(headers: &HeaderMap) -> BTreeMap<String, String> {
    let mut out = BTreeMap::new();
    for (name, value) in headers {
        let secret = matches!(name.as_str(), "authorization" | "cookie" | "proxy-authorization" | "x-api-key");
        let text = if secret { "<redacted>".into() } else { String::from_utf8_lossy(value.as_bytes()) };
        out.entry(name.as_str().to_owned())
            .and_modify(|all: &mut String| {
                all.push_str(", ");
                all.push_str(&text);
            })
            .or_insert_with(|| text.into_owned());
    }
    out
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn credentials_never_reach_the_log() {
        let desk = Desk::new(Clock::new());
        let mut headers = HeaderMap::new();
        headers.insert("authorization", HeaderValue::from_static("Bearer s3cret"));
        headers.append("accept", HeaderValue::from_static("a"));
        headers.append("accept", HeaderValue::from_static("b"));
        desk.take(&Facts { method: "GET", path: "/x?y=1", body: b"abc" }, &headers);
        let text = serde_json::to_string(&desk.requests()).unwrap();
        assert!(!text.contains("s3cret"), "{text}");
        assert_eq!(desk.requests()[0].headers["accept"], "a, b");
        assert_eq!((desk.requests()[0].n, desk.requests()[0].body_bytes), (1, 3));
    }
}
