//! One request, one response, through the host. The host adds credentials by the manifest's route and repeats nothing.

use serde::Serialize;
use serde::de::DeserializeOwned;

pub use crate::bindings::wharf::http::outgoing::{Request, Response};
use crate::{Fault, clock, retry_after};

impl Request {
    /// A request without headers and body. `method` in upper case, `url` absolute.
    pub fn new(method: &str, url: impl Into<String>) -> Self {
        Self { method: method.to_owned(), url: url.into(), headers: Vec::new(), body: None, options: Vec::new() }
    }

    /// A GET.
    pub fn get(url: impl Into<String>) -> Self {
        Self::new("GET", url)
    }

    /// A POST with a JSON body and its content type.
    pub fn post_json(url: impl Into<String>, body: &impl Serialize) -> Result<Self, Fault> {
        let bytes = serde_json::to_vec(body)
            .map_err(|e| Fault::invalid_input("request-json", format!("the request cannot be written as JSON: {e}")))?;
        Ok(Self { body: Some(bytes), ..Self::new("POST", url) }.header("content-type", "application/json"))
    }

    /// The same with one more header. Credential headers belong to the host and are refused.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// The same with a time limit shorter than the host's own.
    #[must_use]
    pub fn timeout_ms(mut self, ms: u64) -> Self {
        self.options.push(("timeout-ms".to_owned(), ms.to_string()));
        self
    }

    /// Sends it. Every status is a response; a fault means there is none, and its `effect` tells whether a byte may
    /// have left. Panics off wasm.
    pub fn send(&self) -> Result<Response, Fault> {
        crate::bindings::wharf::http::outgoing::send(self)
    }
}

impl Response {
    /// The first header of that name in any case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    /// 2xx.
    pub fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }

    /// The body as JSON; none when it is not.
    pub fn json<T: DeserializeOwned>(&self) -> Option<T> {
        serde_json::from_slice(&self.body).ok()
    }

    /// Milliseconds to wait by `Retry-After`, in seconds or as a moment. A moment is counted from the response's own
    /// `Date`, else from the host's clock. None when the header is absent or unreadable.
    pub fn retry_after_ms(&self) -> Option<u64> {
        let sent = self.header("date").and_then(retry_after::http_date_ms);
        retry_after::parse(self.header("retry-after")?, sent.or_else(clock::now_ms))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn response(headers: &[(&str, &str)]) -> Response {
        let headers = headers.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
        Response { status: 429, headers, body: b"{\"a\":1}".to_vec() }
    }

    #[test]
    fn a_json_post_says_what_it_is() {
        let request = Request::post_json("https://x/y", &serde_json::json!({"b": 1})).expect("request").timeout_ms(5);
        assert_eq!(request.headers, [("content-type".to_owned(), "application/json".to_owned())]);
        assert_eq!(request.body.as_deref(), Some(b"{\"b\":1}".as_slice()));
        assert_eq!(request.options, [("timeout-ms".to_owned(), "5".to_owned())]);
    }

    #[test]
    fn headers_and_json_are_read_leniently() {
        let r = response(&[("Retry-After", "7")]);
        assert_eq!(r.header("retry-after"), Some("7"));
        assert_eq!(r.retry_after_ms(), Some(7_000));
        assert!(!r.is_success());
        assert_eq!(r.json::<serde_json::Value>(), Some(serde_json::json!({"a": 1})));
        assert_eq!(r.json::<Vec<u8>>(), None);
    }

    #[test]
    fn a_moment_is_counted_from_the_responses_own_date() {
        let moment = ("retry-after", "Fri, 09 Feb 2024 16:24:02 GMT");
        assert_eq!(response(&[moment, ("date", "Fri, 09 Feb 2024 16:23:02 GMT")]).retry_after_ms(), Some(60_000));
        assert_eq!(response(&[moment]).retry_after_ms(), None, "no date and no clock");
    }
}
