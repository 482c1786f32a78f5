//! Exchanges as they are written down: in the ledger for the replay of a step, on a job's tape for people and for
//! [`crate::Replay`]. Names stand where secrets were; cookies are left out.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde_json::{Map, Value, json};
use wharf_domain::ctx::{Actor, CallCtx};
use wharf_domain::ids::Digest;
use wharf_store::{Db, StoreError, Tx, tapes};

use crate::redact::Redactor;
use crate::wire::WireError;
use crate::{Response, SentRequest};

/// A request for the list of [`crate::Steps`].
pub(crate) fn request(
    method: &str,
    url: &str,
    headers: Vec<(String, String)>,
    body: &[u8],
    redactor: &Redactor,
) -> SentRequest {
    let headers = headers.into_iter().map(|(name, value)| (name, redactor.record(&value))).collect();
    let (mut text, mut binary) = (None, None);
    if !body.is_empty() {
        match String::from_utf8(redactor.record_bytes(body)) {
            Ok(body) => text = Some(body),
            Err(err) => binary = Some(STANDARD.encode(err.as_bytes())),
        }
    }
    SentRequest { method: method.to_owned(), url: redactor.record(url), headers, body: text, body_base64: binary }
}

/// One exchange for the tape. A body over `max_body` bytes is left out; its size and digest stay.
pub(crate) fn exchange(
    sent: &SentRequest,
    answer: Result<&Response, &WireError>,
    redactor: &Redactor,
    max_body: usize,
) -> Value {
    let mut request = json!({ "method": sent.method, "uri": sent.url, "headers": sent.headers });
    match (&sent.body, &sent.body_base64) {
        (Some(text), _) => put_body(&mut request, text.as_bytes(), max_body),
        (None, Some(encoded)) if encoded.len() <= max_body => request["body_base64"] = json!(encoded),
        (None, Some(encoded)) => request["body_omitted"] = json!({ "bytes": encoded.len() / 4 * 3 }),
        (None, None) => {}
    }
    match answer {
        Ok(answer) => {
            let mut response = json!({ "status": answer.status, "headers": cookieless(answer, redactor) });
            put_body(&mut response, &redactor.record_bytes(&answer.body), max_body);
            json!({ "request": request, "response": response })
        }
        Err(err) => json!({ "request": request, "error": { "code": err.name(), "message": err.to_string() } }),
    }
}

fn cookieless(answer: &Response, redactor: &Redactor) -> Vec<(String, String)> {
    let value = |name: &str, value: &str| match name {
        "set-cookie" => "[left out]".to_owned(),
        _ => redactor.record(value),
    };
    answer.headers.iter().map(|(name, text)| (name.clone(), value(name, text))).collect()
}

fn put_body(message: &mut Value, body: &[u8], max_body: usize) {
    if body.is_empty() {
        return;
    }
    if body.len() > max_body {
        message["body_omitted"] = json!({ "bytes": body.len(), "digest": Digest::of(body) });
        return;
    }
    match std::str::from_utf8(body) {
        Ok(text) => message["body"] = json!(text),
        Err(_) => message["body_base64"] = json!(STANDARD.encode(body)),
    }
}

/// Keeps an exchange on the job's tape, in a transaction of its own. A call outside a job has none.
pub(crate) async fn keep(db: &Db, ctx: &CallCtx, exchange: &Value) -> Result<(), StoreError> {
    let mut tx = db.begin().await?;
    keep_in(&mut tx, ctx, exchange).await?;
    tx.commit().await
}

/// The same, with whatever else the transaction does.
pub(crate) async fn keep_in(tx: &mut Tx, ctx: &CallCtx, exchange: &Value) -> Result<(), StoreError> {
    if let Some(job) = &ctx.job {
        tapes::append(tx, &actor(), &ctx.tenant, job, exchange).await?;
    }
    Ok(())
}

/// Who this room is in histories and audit.
pub(crate) fn actor() -> Actor {
    Actor::Host("egress".to_owned())
}

/// An answer for the journal, whole.
pub(crate) fn journal(answer: &Response) -> Value {
    let mut entry = json!({ "status": answer.status, "headers": answer.headers });
    put_body(&mut entry, &answer.body, usize::MAX);
    entry
}

/// The answer again; `None` when the entry is not one of ours.
pub(crate) fn from_journal(entry: &Value) -> Option<Response> {
    let entry = entry.as_object()?;
    let status = u16::try_from(entry.get("status")?.as_u64()?).ok()?;
    Some(Response { status, headers: headers(entry.get("headers")?)?, body: body(entry)? })
}

/// Headers as a list of pairs or as a map; a value that is no text is taken as its JSON.
pub(crate) fn headers(value: &Value) -> Option<Vec<(String, String)>> {
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let pair = |pair: &Value| match pair.as_array().map(Vec::as_slice) {
        Some([name, value]) => Some((name.as_str()?.to_ascii_lowercase(), text(value))),
        _ => None,
    };
    match value {
        Value::Null => Some(Vec::new()),
        Value::Array(pairs) => pairs.iter().map(pair).collect(),
        Value::Object(map) => Some(map.iter().map(|(name, v)| (name.to_ascii_lowercase(), text(v))).collect()),
        _ => None,
    }
}

/// The body of a recorded message: `body` as text, or as JSON that stands for its own text; `body_base64` for bytes.
pub(crate) fn body(message: &Map<String, Value>) -> Option<Bytes> {
    if let Some(encoded) = message.get("body_base64") {
        return STANDARD.decode(encoded.as_str()?).ok().map(Bytes::from);
    }
    // What was too long for the tape cannot be played from it.
    if message.contains_key("body_omitted") {
        return None;
    }
    Some(match message.get("body") {
        None | Some(Value::Null) => Bytes::new(),
        Some(Value::String(text)) => Bytes::from(text.clone()),
        Some(value) => Bytes::from(value.to_string()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::redact::Secrets;

    fn answer(body: &'static [u8]) -> Response {
        Response {
            status: 201,
            headers: vec![("x".to_owned(), "1".to_owned()), ("set-cookie".to_owned(), "s=1".to_owned())],
            body: Bytes::from_static(body),
        }
    }

    #[test]
    fn an_answer_survives_the_journal() {
        for body in [b"".as_slice(), b"{\"a\": 1}", b"\xff\xfe"] {
            assert_eq!(from_journal(&journal(&answer(body))), Some(answer(body)));
        }
        assert_eq!(from_journal(&json!({ "status": 200 })), None);
    }

    #[test]
    fn a_tape_holds_names_and_neither_secrets_nor_cookies() {
        let mut secrets = Secrets::default();
        secrets.learn("{{secret:key.value}}", "hunter22", false);
        let redactor = secrets.redactor();
        let sent = request(
            "POST",
            "https://x/y?k=hunter22",
            vec![("authorization".to_owned(), "Bearer {{secret:key.value}}".to_owned())],
            b"{\"k\":\"hunter22\"}",
            &redactor,
        );
        let mut answer = answer(b"you said hunter22");
        answer.headers.push(("echo".to_owned(), "hunter22".to_owned()));
        let tape = exchange(&sent, Ok(&answer), &redactor, 1_000).to_string();
        assert!(!tape.contains("hunter22") && !tape.contains("s=1"), "{tape}");
        assert!(tape.contains("you said {{secret:key.value}}"), "{tape}");
        let short = exchange(&sent, Ok(&answer), &redactor, 5);
        assert_eq!(short["request"]["body_omitted"]["bytes"], 28, "the size stays: {short}");
    }

    #[test]
    fn recorded_headers_are_pairs_or_a_map() {
        let want = Some(vec![("content-type".to_owned(), "a/b".to_owned())]);
        assert_eq!(headers(&json!([["Content-Type", "a/b"]])), want);
        assert_eq!(headers(&json!({ "Content-Type": "a/b" })), want);
        assert_eq!(headers(&json!(3)), None);
    }
}
