//! Reads a partner's answer under limits. What is too large, too slow or not what was asked for is refused while it
//! arrives, never after.

use std::time::Duration;

use bytes::Bytes;
use http::HeaderMap;
use http_body_util::BodyExt;
use hyper::body::{Body, Incoming};
use tokio::time::{Instant, timeout_at};

use crate::gzip::{Coding, Decoder};
use crate::wire::{Caps, Phase, WireError, WireResponse};

/// Chunks of a body. Each costs more than the byte it may carry.
const MAX_CHUNKS: usize = 100_000;

/// How slow a body may be.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pace {
    /// Nobody is judged before.
    pub(crate) grace: Duration,
    /// Bytes per second on average, encoded.
    pub(crate) min_rate: u64,
}

impl Pace {
    /// When a body of which `bytes` have come is too slow.
    fn patience(self, started: Instant, bytes: usize) -> Instant {
        let earned = Duration::from_millis((bytes as u64).saturating_mul(1_000) / self.min_rate.max(1));
        started.checked_add(self.grace.max(earned)).unwrap_or(started)
    }
}

/// Reads the whole answer. The head is already within `caps`: the connection's parser has the same limits.
pub(crate) async fn read(
    answer: hyper::Response<Incoming>,
    caps: &Caps,
    pace: Pace,
) -> Result<WireResponse, WireError> {
    let (head, body) = answer.into_parts();
    if head.status.is_informational() {
        return Err(WireError::Protocol { detail: format!("it switches protocols with status {}", head.status) });
    }
    let mut headers = texts(&head.headers);
    let coding = Coding::of(&head.headers);
    let decoded = coding == Coding::Gzip;
    let body = collect(body, Decoder::new(coding, caps.body_bytes), caps.body_bytes, pace).await?;
    if decoded && !body.is_empty() {
        // They speak of the bytes on the wire.
        headers.retain(|(name, _)| name != "content-encoding" && name != "content-length");
    }
    Ok(WireResponse { status: head.status.as_u16(), headers, body })
}

/// The body: at most `limit` bytes on the wire, and what `decoder` allows behind it. An announced length over the limit
/// is refused before a byte is read.
async fn collect(mut body: Incoming, mut decoder: Decoder, limit: usize, pace: Pace) -> Result<Bytes, WireError> {
    let too_large = || WireError::TooLarge { part: "body", limit };
    if body.size_hint().lower() > limit as u64 {
        return Err(too_large());
    }
    let (started, mut bytes, mut chunks) = (Instant::now(), 0_usize, 0_usize);
    loop {
        let patience = pace.patience(started, bytes);
        let Ok(frame) = timeout_at(patience, body.frame()).await else {
            let millis = u64::try_from((patience - started).as_millis()).unwrap_or(u64::MAX);
            return Err(WireError::Slow { phase: Phase::Rate, millis });
        };
        let Some(frame) = frame else {
            return decoder.finish();
        };
        // Trailers are dropped: nothing a caller may rely on arrives after the body.
        let Ok(data) = frame.map_err(broken)?.into_data() else { continue };
        (bytes, chunks) = (bytes.saturating_add(data.len()), chunks + 1);
        if bytes > limit {
            return Err(too_large());
        }
        if chunks > MAX_CHUNKS {
            return Err(WireError::TooLarge { part: "number of chunks", limit: MAX_CHUNKS });
        }
        decoder.push(&data)?;
    }
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
