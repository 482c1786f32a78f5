//! One framed request on the wire, within its time.

use std::time::Duration;

use http::{HeaderValue, Method, header};
use tokio::time::{Instant, timeout_at};

use crate::Room;
use crate::address::AddressRule;
use crate::identity::Identity;
use crate::policy::Permitted;
use crate::wire::{Caps, SentMark, Target, WireError, WireRequest, WireResponse};

/// The time a request has, token included.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Budget {
    pub(crate) until: Instant,
    pub(crate) millis: u64,
}

impl Budget {
    pub(crate) fn of(millis: u64) -> Self {
        Self { until: Instant::now() + Duration::from_millis(millis), millis }
    }

    /// Milliseconds left.
    pub(crate) fn left(self) -> i64 {
        i64::try_from(self.until.saturating_duration_since(Instant::now()).as_millis()).unwrap_or(i64::MAX)
    }
}

/// What the wire brought, and whether a byte may have left.
pub(crate) struct Outcome {
    pub(crate) answer: Result<WireResponse, WireError>,
    pub(crate) sent: bool,
}

/// What a request carries beside its own.
#[derive(Clone, Copy)]
pub(crate) enum Bearing<'a> {
    Nothing,
    /// A secret, so plain http must stay inside.
    Secret,
    /// A certificate to connect with.
    Certificate(&'a Identity),
}

/// Frames a request and puts it on the wire.
pub(crate) async fn exchange(
    room: &Room,
    permitted: &Permitted<'_>,
    mut request: WireRequest,
    caps: Caps,
    budget: Budget,
    bearing: Bearing<'_>,
) -> Outcome {
    let secret = !matches!(bearing, Bearing::Nothing);
    let address = AddressRule { allow_private: permitted.allow_private, only_private: secret && !permitted.tls() };
    let identity = match bearing {
        Bearing::Certificate(identity) => Some(identity.clone()),
        _ => None,
    };
    let target = Target {
        host: permitted.host.clone(),
        port: permitted.port,
        tls: permitted.tls(),
        address,
        caps,
        identity,
        authority: permitted.authority.cloned(),
    };
    frame(room, permitted, &mut request);
    let sent = SentMark::until(budget.until);
    let answer = timeout_at(budget.until, room.wire.exchange(&target, request, &sent)).await;
    Outcome { answer: answer.unwrap_or(Err(WireError::Timeout { millis: budget.millis })), sent: sent.is_set() }
}

/// The headers that are the host's: who is asked, how long the body is, that the answer comes plain or as gzip, that the
/// connection ends with it, and a mark to know our own request by if it ever comes back.
fn frame(room: &Room, permitted: &Permitted<'_>, request: &mut WireRequest) {
    // A canonical host is always a header value.
    if let Ok(host) = HeaderValue::from_str(&permitted.authority()) {
        request.headers.insert(0, (header::HOST, host));
    }
    let bodiless = matches!(request.method, Method::GET | Method::HEAD) && request.body.is_empty();
    if !bodiless {
        request.headers.push((header::CONTENT_LENGTH, HeaderValue::from(request.body.len())));
    }
    request.headers.push((header::ACCEPT_ENCODING, HeaderValue::from_static("gzip")));
    request.headers.push((header::CONNECTION, HeaderValue::from_static("close")));
    if let Some(via) = room.config.own.via() {
        request.headers.push((header::VIA, via));
    }
    if !request.headers.iter().any(|(name, _)| name == header::USER_AGENT) {
        let agent = HeaderValue::from_static(concat!("wharf/", env!("CARGO_PKG_VERSION")));
        request.headers.push((header::USER_AGENT, agent));
    }
}
