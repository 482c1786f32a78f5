//! Whole requests through the door, to a partner that sends back what it was sent: nothing leaves but what was granted,
//! and the secret is seen by the partner alone.

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use bytes::Bytes;
use http::header;
use tokio::runtime::Builder;
use wharf_domain::ctx::CallCtx;
use wharf_domain::time::{Clock, ManualClock};
use wharf_fuzz::Target;

use super::policy::asked;
use super::{ORIGINS, WORDS, grant, parts};
use crate::wire::{self, SentMark, Wire, WireError, WireRequest, WireResponse};
use crate::{Egress, EgressConfig, Steps};

/// What the partner must see and nobody else.
pub(super) const SECRET: &str = "p\"ss/w0rd +&=16";

/// A partner that answers as it was told beforehand, and remembers what it was asked.
#[derive(Default)]
struct Echo {
    answer: Mutex<Vec<u8>>,
    seen: Mutex<Vec<(wire::Target, WireRequest)>>,
}

#[async_trait]
impl Wire for Echo {
    async fn exchange(
        &self,
        target: &wire::Target,
        request: WireRequest,
        sent: &SentMark,
    ) -> Result<WireResponse, WireError> {
        sent.set();
        self.seen.lock().expect("seen").push((target.clone(), request));
        let body = disguised(&self.answer.lock().expect("answer"));
        let line = String::from_utf8_lossy(&body).lines().next().unwrap_or_default().to_owned();
        Ok(WireResponse { status: 200, headers: vec![("x-echo".to_owned(), line)], body: body.into() })
    }
}

/// The secret in the forms a careless partner gives it.
fn forms() -> [String; 6] {
    let inside = |before: &str| URL_SAFE_NO_PAD.encode(format!("{before}{SECRET}:"));
    [
        SECRET.to_owned(),
        STANDARD.encode(format!("acct-4711:{SECRET}")),
        SECRET.bytes().map(|byte| format!("{byte:02X}")).collect(),
        "p%22ss%2Fw0rd+%2B%26%3D16".to_owned(),
        serde_json::Value::from(SECRET).to_string(),
        inside("x"),
    ]
}

/// An answer with a form of the secret in place of each `$0` to `$5`.
fn disguised(answer: &[u8]) -> Vec<u8> {
    let forms = forms();
    let mut parts = answer.split(|byte| *byte == b'$');
    let mut out = parts.next().unwrap_or_default().to_vec();
    for part in parts {
        let form = part.first().and_then(|digit| forms.get(digit.wrapping_sub(b'0') as usize));
        out.extend_from_slice(form.map_or("$", String::as_str).as_bytes());
        out.extend_from_slice(part.get(usize::from(form.is_some())..).unwrap_or_default());
    }
    out
}

/// Does a text give the secret away, read as itself or undone?
fn tells(text: &[u8]) -> bool {
    let text = String::from_utf8_lossy(text);
    forms().iter().any(|form| text.contains(form.trim_matches('"')))
}

#[test]
fn p14_outgoing_requests() {
    let seeds = [
        "GET https://api.carrier.com/v1/a?x=1\naccept: */*\x1e\x1e{\"price\": 7}",
        "PUT https://api.carrier.com:8443/key/7/x\ncontent-type: text/plain\x1ehello\x1e$0 and $1",
        "POST https://api.carrier.com/basic\x1e{\"a\":1}\x1e<p>$2</p>$3",
        "POST http://127.1:9000/signed/1\x1ebody\x1e[$4,\"$5\"]",
        "POST https://api.carrier.com/signed/1?q={body}\x1e{timestamp}\x1eæ\n",
    ];
    let words =
        ["\x1e", "$0", "$1", "$2", "$3", "$4", "$5", "x-api-key: 1", "X_Signature: 1", "\nhost: a", "{{secret:x}}"];
    let wire = Arc::new(Echo::default());
    let clock = Arc::new(ManualClock::at(1_700_000_000_000));
    let door = Egress::new(None, clock.clone(), EgressConfig::default(), wire.clone());
    let ctx = context(&clock);
    let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime");
    let grant = grant();
    Target::new("outgoing_requests").seeds(seeds).words(words).words(WORDS).run(|input| {
        let [head, body, answer] = parts(input);
        *wire.answer.lock().expect("answer") = answer.to_vec();
        let mut request = asked(&String::from_utf8_lossy(head));
        request.body = Some(Bytes::copy_from_slice(body)).filter(|body| !body.is_empty());
        let mut steps = Steps::default();
        let got = runtime.block_on(door.send(&grant, &ctx, &mut steps, request));
        let seen = std::mem::take(&mut *wire.seen.lock().expect("seen"));
        seen.iter().for_each(|(target, request)| left(target, request, body));
        let record = serde_json::to_vec(&steps.requests).expect("a record");
        assert!(!tells(&record), "the record: {}", String::from_utf8_lossy(&record));
        match got {
            Ok(response) => {
                assert!(!seen.is_empty(), "an answer without a question");
                // The partner of the routes without a secret knows none it could send back.
                let secret =
                    seen.iter().any(|(_, request)| request.headers.iter().any(|(_, value)| value.is_sensitive()));
                let told = tells(&response.body) || response.headers.iter().any(|(_, value)| tells(value.as_bytes()));
                assert!(!(secret && told), "{response:?}");
                format!("{} {secret}", response.status)
            }
            Err(fault) => {
                assert!(seen.is_empty(), "refused, and sent: {fault}");
                assert!(!tells(fault.message.as_bytes()), "{fault}");
                fault.code
            }
        }
    });
}

fn context(clock: &ManualClock) -> CallCtx {
    CallCtx {
        tenant: grant().tenant,
        job: None,
        fence: 0,
        attempt: 1,
        flow: None,
        business: None,
        deadline: clock.now().plus(60_000),
        urgent: false,
        promised: None,
    }
}

/// What a request must be when it has left.
fn left(target: &wire::Target, request: &WireRequest, body: &[u8]) {
    let (scheme, usual) = if target.tls { ("https", 443) } else { ("http", 80) };
    let port = if target.port == usual { String::new() } else { format!(":{}", target.port) };
    let origin = format!("{scheme}://{}{port}", target.host);
    let granted = ORIGINS.iter().find(|(url, _)| *url == origin);
    let (_, allow_private) = granted.unwrap_or_else(|| panic!("`{origin}` was not granted"));
    assert_eq!(target.address.allow_private, *allow_private);
    assert!(request.path.starts_with('/') && request.path.bytes().all(|byte| (0x21..0x7f).contains(&byte)));
    assert_eq!(request.body, body);
    let values = |name: &str| -> Vec<&[u8]> {
        request.headers.iter().filter(|(known, _)| known.as_str() == name).map(|(_, value)| value.as_bytes()).collect()
    };
    assert_eq!(values(header::HOST.as_str()), [origin.trim_start_matches(scheme).trim_start_matches("://").as_bytes()]);
    assert!(values("transfer-encoding").is_empty() && values("content-length").len() <= 1);
    if let [length] = values("content-length")[..] {
        assert_eq!(length, body.len().to_string().as_bytes(), "the framing is the host's");
    }
    for (name, value) in &request.headers {
        assert!(value.is_sensitive() || !tells(value.as_bytes()), "the secret stands in `{name}`");
    }
    for own in ["x-api-key", "authorization", "x-signature", "x-time"] {
        assert!(values(own).len() <= 1, "`{own}` stands there twice");
    }
    assert!(!tells(request.path.as_bytes()) && !tells(&request.body));
}
