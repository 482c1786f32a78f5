//! A partner that says everything back, in every form there is: the worst debugging page of all.

use std::sync::Mutex;

use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde_json::json;
use wharf_egress::Wire;
use wharf_egress::wire::{SentMark, Target, WireError, WireRequest, WireResponse};

use crate::traces::disguises;

/// Path of its token endpoint.
pub(super) const TOKENS: &str = "/token";

pub(super) struct Echo {
    /// What it gives for credentials.
    pub(super) token: String,
    /// Heads of everything it was asked.
    pub(super) seen: Mutex<String>,
}

#[async_trait]
impl Wire for Echo {
    async fn exchange(&self, _: &Target, request: WireRequest, sent: &SentMark) -> Result<WireResponse, WireError> {
        sent.set();
        let text = |value: &[u8]| String::from_utf8_lossy(value).into_owned();
        let credentials: Vec<String> = request.headers.iter().map(|(_, value)| text(value.as_bytes())).collect();
        self.seen.lock().expect("seen").push_str(&credentials.join("\n"));
        if request.path == TOKENS {
            let body = json!({ "access_token": self.token, "token_type": "Bearer", "expires_in": 600 });
            return Ok(answer(vec![("content-type".to_owned(), "application/json".to_owned())], body.to_string()));
        }
        let mut said = vec![text(&request.body)];
        for value in &credentials {
            said.extend(disguises(value));
            // What stands behind the scheme: a token, or name and password.
            if let Some((_, rest)) = value.split_once(' ') {
                said.extend(disguises(rest));
                said.extend(STANDARD.decode(rest).iter().map(|pair| text(pair)));
            }
        }
        let headers = credentials.iter().map(|value| ("x-echo".to_owned(), value.clone())).collect();
        Ok(answer(headers, said.join("\n")))
    }
}

/// A partner that answers at once, or to `/?hang` never.
pub(super) struct Brisk;

#[async_trait]
impl Wire for Brisk {
    async fn exchange(&self, _: &Target, request: WireRequest, sent: &SentMark) -> Result<WireResponse, WireError> {
        sent.set();
        if request.path.ends_with("?hang") {
            return std::future::pending().await;
        }
        Ok(answer(vec![], "{}".to_owned()))
    }
}

fn answer(headers: Vec<(String, String)>, body: String) -> WireResponse {
    WireResponse { status: 200, headers, body: Bytes::from(body) }
}

/// A text as `hunt` and `fill` of the guest take it.
pub(super) fn hidden(text: &str) -> String {
    text.bytes().map(|byte| format!("{:02x}", byte ^ 0x5a)).collect()
}
