//! When a success may be believed. Partners, and what stands in front of them, answer 200 with an error page, with half
//! a document or with none: such an answer is handed over, and the effect stays in doubt.

use crate::Response;

/// Does the answer, whose status says success, look like one? It has a body, is no web page, and what calls itself JSON
/// is JSON.
pub(crate) fn is_proof(answer: &Response) -> bool {
    if answer.body.is_empty() {
        return false;
    }
    let media = answer.headers.iter().find(|(name, _)| name == "content-type").map_or("", |(_, value)| value.as_str());
    let (kind, rest) = media.split_once(';').unwrap_or((media, ""));
    let kind = kind.trim().to_ascii_lowercase();
    if matches!(kind.as_str(), "text/html" | "application/xhtml+xml") {
        return false;
    }
    if kind != "application/json" && !kind.ends_with("+json") {
        return true;
    }
    let utf8 = !rest.to_ascii_lowercase().contains("charset=") || rest.to_ascii_lowercase().contains("utf-8");
    // Another charset is declared: only the structure is judged.
    let text = String::from_utf8_lossy(&answer.body);
    if utf8 && matches!(text, std::borrow::Cow::Owned(_)) {
        return false;
    }
    serde_json::from_str::<serde::de::IgnoredAny>(text.trim_start_matches('\u{feff}')).is_ok()
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    #[test]
    fn only_what_is_what_it_says_is_a_proof() {
        for (media, body, proof) in [
            ("application/json", b"{\"id\":1}".as_slice(), true),
            ("application/json", b"[]", true),
            ("application/json", b"\xef\xbb\xbf{\"id\":1}", true),
            ("application/problem+json; charset=UTF-8", b"{}", true),
            ("application/json; charset=iso-8859-1", b"{\"n\":\"J\xf6rg\"}", true),
            ("application/json", b"{\"n\":\"J\xf6rg\"}", false),
            ("application/json", b"{\"id\":", false),
            ("application/json", b"<html>", false),
            ("Application/JSON", b"{\"a\":1}{\"b\":2}", false),
            ("text/html; charset=utf-8", b"{\"id\":1}", false),
            ("application/pdf", b"%PDF-1.7", true),
            ("text/xml", b"<ok/>", true),
            ("", b"ok", true),
            ("", b"", false),
        ] {
            let headers = vec![("content-type".to_owned(), media.to_owned())];
            let answer = Response { status: 200, headers, body: Bytes::from_static(body) };
            assert_eq!(is_proof(&answer), proof, "{media} {}", String::from_utf8_lossy(body));
        }
    }
}
