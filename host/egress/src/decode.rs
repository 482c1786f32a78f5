//! Reads a partner's answer under limits. What is too large is refused while it arrives, never after.

use bytes::{Bytes, BytesMut};
use http::HeaderMap;
use http_body_util::BodyExt;
use hyper::body::{Body, Incoming};

use crate::wire::{Caps, WireError, WireResponse};

/// Reads the whole answer. The head is already within `caps`: the connection's parser has the same limits.
pub(crate) async fn read(answer: hyper::Response<Incoming>, caps: &Caps) -> Result<WireResponse, WireError> {
    let (head, body) = answer.into_parts();
    if head.status.is_informational() {
        return Err(WireError::Protocol { detail: format!("it switches protocols with status {}", head.status) });
    }
    let headers = texts(&head.headers);
    Ok(WireResponse { status: head.status.as_u16(), headers, body: collect(body, caps.body_bytes).await? })
}

/// The body, at most `limit` bytes. An announced length over the limit is refused before a byte is read.
async fn collect(mut body: Incoming, limit: usize) -> Result<Bytes, WireError> {
    let too_large = || WireError::TooLarge { part: "body", limit };
    if body.size_hint().lower() > limit as u64 {
        return Err(too_large());
    }
    let mut whole = BytesMut::new();
    while let Some(frame) = body.frame().await {
        // Trailers are dropped: nothing a caller may rely on arrives after the body.
        let Ok(data) = frame.map_err(broken)?.into_data() else { continue };
        if whole.len().saturating_add(data.len()) > limit {
            return Err(too_large());
        }
        whole.extend_from_slice(&data);
    }
    Ok(whole.freeze())
}

fn texts(headers: &HeaderMap) -> Vec<(String, String)> {
    headers
        .iter()
        .map(|(name, value)| (name.as_str().to_owned(), String::from_utf8_lossy(value.as_bytes()).into_owned()))
        .collect()
}

/// What hyper reports, in our words.
pub(crate) fn broken(err: hyper::Error) -> WireError {
    if err.is_parse() || err.is_parse_status() {
        return WireError::Protocol { detail: err.to_string() };
    }
    WireError::Broken { detail: err.to_string() }
}
