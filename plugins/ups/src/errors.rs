//! UPS failures by what must happen next.
//!
//! A refusal is `{"response":{"errors":[{code,message}]}}`, also seen without the outer `response`, as one object, with
//! the code only in the headers `errorcode`/`apierrorcode` (an empty body), or as HTML from a gateway. Codes: the
//! recordings, `UPSTrackAlert.yaml`, and the error appendices of the Shipping, Rating and Tracking guides.

use wharf_sdk::http::Response;
use wharf_sdk::{EffectCertainty, Fault, ProviderError, RetryClass};

use crate::wire::{Node, body, clean};

/// What was asked. It decides what an answer that proves nothing means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Call {
    /// Changes nothing.
    Read,
    /// Buys: never repeated without a lookup.
    Buy,
    /// Voids: repeating it is harmless.
    Void,
}

/// Statuses that prove that nothing was changed. The manifest lists the same for the ship route.
pub(crate) const PROVES_NO_EFFECT: [u16; 9] = [400, 401, 403, 404, 405, 413, 415, 422, 429];

/// What UPS said, wherever it said it.
pub(crate) struct Said {
    /// Code and text of every error, at least one of them.
    pub(crate) errors: Vec<(Option<String>, String)>,
    status: u16,
    request_id: Option<String>,
}

impl Said {
    pub(crate) fn read(response: &Response) -> Self {
        let value = body(response);
        let root = value.as_ref().map(Node::of);
        let lists = [["response", "errors"].as_slice(), &["errors"]];
        let mut errors: Vec<(Option<String>, String)> = root
            .into_iter()
            .flat_map(|root| lists.map(|path| root.at(path)))
            .flat_map(Node::each)
            .map(|e| (e.at(&["code"]).text(), short(&e.at(&["message"]).text().unwrap_or_default())))
            .filter(|(code, text)| code.is_some() || !text.is_empty())
            .collect();
        if errors.is_empty() {
            let header = |names: [&str; 2]| names.iter().find_map(|n| response.header(n)).map(short);
            let text = header(["errordescription", "apierrormsg"]).unwrap_or_default();
            errors.push((header(["errorcode", "apierrorcode"]).filter(|c| !c.is_empty()), text));
        }
        Self { errors, status: response.status, request_id: request_id(response) }
    }

    /// The first code.
    pub(crate) fn code(&self) -> Option<&str> {
        self.errors.iter().find_map(|(code, _)| code.as_deref())
    }

    /// Is one of the codes among `codes`?
    pub(crate) fn has(&self, codes: &[&str]) -> bool {
        self.errors.iter().any(|(code, _)| code.as_deref().is_some_and(|c| codes.contains(&c)))
    }

    /// The fault's own code: `ups.120202`, or the status when UPS gave none.
    pub(crate) fn fault_code(&self) -> String {
        match self.code() {
            Some(code) => format!("ups.{code}"),
            None => format!("ups.http-{}", self.status),
        }
    }

    pub(crate) fn text(&self) -> String {
        match self.errors.iter().map(|(_, text)| text.as_str()).find(|text| !text.is_empty()) {
            Some(text) => format!("UPS says: {text}"),
            None => format!("UPS answered status {} without a readable reason", self.status),
        }
    }

    pub(crate) fn provider(&self) -> ProviderError {
        ProviderError {
            code: self.code().map(str::to_owned),
            http_status: Some(self.status),
            message: self.errors.iter().map(|(_, text)| text.clone()).find(|text| !text.is_empty()),
            request_id: self.request_id.clone(),
        }
    }
}

/// The id UPS's support desk asks for.
pub(crate) fn request_id(response: &Response) -> Option<String> {
    ["bkndtransid", "x-request-id"].iter().find_map(|name| response.header(name)).map(short)
}

/// At most 300 characters of one line.
fn short(text: &str) -> String {
    clean(text).chars().take(300).collect()
}

/// The fault for an answer that is not a success.
pub(crate) fn refusal(call: Call, response: &Response) -> Fault {
    let said = Said::read(response);
    let fault = match response.status {
        401 => Fault::unauthorized(said.fault_code(), said.text()),
        429 => Fault::rate_limited(said.fault_code(), said.text(), response.retry_after_ms()),
        status if PROVES_NO_EFFECT.contains(&status) => proven(status, response, &said),
        _ => unproven(call, response, &said),
    };
    fault.with_provider(said.provider())
}

/// A 2xx answer that does not hold what it must.
pub(crate) fn unreadable(call: Call, response: &Response, code: &str, message: &str) -> Fault {
    let said = Said::read(response);
    let fault = match call {
        Call::Buy => Fault::outcome_unknown(code, message),
        Call::Void => Fault::transient(code, message).with_effect(EffectCertainty::Maybe),
        Call::Read => Fault::data_out_of_contract(code, message).with_retry(RetryClass::Later),
    };
    fault.with_provider(said.provider())
}

/// Nothing was changed; the code says why.
fn proven(status: u16, response: &Response, said: &Said) -> Fault {
    let (code, text) = (said.fault_code(), said.text());
    match said.code().unwrap_or_default() {
        "250050" | "20001" | "10004" | "120001" | "190001" | "190002" | "300000" | "VSS100" => {
            Fault::transient(code, text)
        }
        "10429" => Fault::rate_limited(code, text, response.retry_after_ms()),
        c if c.starts_with("25000") || matches!(c, "251004" | "UJ0001") => Fault::unauthorized(code, text),
        "120021" => Fault::already_exists(code, text),
        // The service does not go from here to there.
        "111100" | "111210" | "121100" | "121210" | "120124" => Fault::unsupported(code, text),
        // The account cannot be billed.
        "120412" | "120413" | "120414" => Fault::business_rejected(code, text),
        _ if status == 403 => Fault::forbidden(code, text),
        _ if status == 404 => Fault::not_found(code, text),
        _ => {
            let wrong = said.errors.iter().filter_map(|(code, text)| Some((code.as_deref()?, text)));
            wrong.fold(Fault::invalid_input(code, text), |fault, (code, text)| match field(code) {
                Some(path) => fault.with_field(&path, code, text),
                None => fault,
            })
        }
    }
}

fn unproven(call: Call, response: &Response, said: &Said) -> Fault {
    let (code, text) = (said.fault_code(), said.text());
    let later = |fault: Fault| Fault { retry_after_ms: response.retry_after_ms(), ..fault };
    match (call, response.status) {
        (Call::Buy, _) => Fault::outcome_unknown(code, text),
        (Call::Void, _) => later(Fault::transient(code, text)).with_effect(EffectCertainty::Maybe),
        (Call::Read, 503) => later(Fault::outage(code, text)),
        (Call::Read, 408 | 500..) => later(Fault::transient(code, text)),
        (Call::Read, _) => Fault::data_out_of_contract(code, text),
    }
}

/// The input a code complains about, as a path in the canonical request. The hundreds name the party (1201 shipper,
/// 1202 ship to, 1203 ship from; we send one address as both shipper and ship from), the rest the part of it.
fn field(code: &str) -> Option<String> {
    let path = match code {
        "120100" | "120113" | "120120" | "120121" | "120122" | "120415" | "112111" => "config.account_number",
        "120500" => "service",
        "120501" | "120541" | "120542" => "reference",
        "120512" | "120503" | "120545" => "options.description",
        "120600" => "parcels.packaging",
        "120601" | "120546" => "parcels.weight_g",
        "120602" | "120547" => "parcels.length_mm",
        "120802" => "ship_to",
        _ => return party_field(code),
    };
    Some(path.to_owned())
}

fn party_field(code: &str) -> Option<String> {
    let (party, part) = (code.get(..4)?, code.get(4..)?);
    let side = match party {
        "1201" | "1203" => "ship_from",
        "1202" => "ship_to",
        _ => return None,
    };
    let name = match (party, part) {
        ("1201", "01" | "10") | ("1202" | "1203", "00" | "01") => "name",
        (_, "02") => "address_lines[0]",
        (_, "03") => "address_lines[1]",
        (_, "04") => "address_lines[2]",
        (_, "05") => "locality",
        (_, "06") => "region",
        (_, "07") => "postal_code",
        (_, "08") => "country",
        ("1201", "11" | "12") | ("1202" | "1203", "10" | "11") => "email",
        (_, "09" | "12" | "13" | "14" | "15" | "16" | "17" | "18" | "19") => "phone",
        _ => return None,
    };
    Some(format!("{side}.{name}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inputs::{manifest, response};

    fn refused(call: Call, status: u16, headers: &[(&str, &str)], body: &str) -> Fault {
        refusal(call, &response(status, headers, body))
    }

    fn with_code(code: &str) -> String {
        format!(r#"{{"response":{{"errors":[{{"code":"{code}","message":"text"}}]}}}}"#)
    }

    #[test]
    fn the_code_is_found_wherever_ups_put_it() {
        let bodies = [
            with_code("120202"),
            r#"{"response":{"errors":{"code":"120202","message":"text"}}}"#.to_owned(),
            r#"{"errors":[{"code":120202,"message":"text"}]}"#.to_owned(),
        ];
        for body in bodies {
            let fault = refused(Call::Buy, 400, &[], &body);
            assert_eq!((fault.kind.as_str(), fault.code.as_str()), ("invalid-input", "ups.120202"), "{body}");
            assert_eq!(fault.fields.first().map(|f| f.path.as_str()), Some("ship_to.address_lines[0]"));
        }
        let headers = [("errorcode", "120207"), ("errordescription", "bad postal code"), ("bkndtransid", "t1")];
        let fault = refused(Call::Buy, 400, &headers, "");
        assert_eq!(fault.fields.first().map(|f| f.path.as_str()), Some("ship_to.postal_code"));
        let provider = fault.provider.expect("provider");
        assert_eq!((provider.request_id.as_deref(), provider.http_status), (Some("t1"), Some(400)));
    }

    #[test]
    fn html_and_nonsense_are_told_by_their_status() {
        for body in ["<html>Bad Gateway</html>", "{\"response\":", "[]", "null"] {
            assert_eq!(refused(Call::Read, 502, &[], body).kind, "transient");
            assert_eq!(refused(Call::Read, 503, &[], body).kind, "outage");
            assert_eq!(refused(Call::Read, 302, &[], body).kind, "data-out-of-contract");
            let fault = refused(Call::Buy, 502, &[], body);
            assert_eq!((fault.kind.as_str(), fault.effect), ("outcome-unknown", EffectCertainty::Maybe));
            assert_eq!(fault.code, "ups.http-502");
        }
    }

    #[test]
    fn only_a_status_of_the_list_proves_that_nothing_was_bought() {
        for status in 300..600 {
            let fault = refused(Call::Buy, status, &[], &with_code("120202"));
            let expected =
                if PROVES_NO_EFFECT.contains(&status) { EffectCertainty::None } else { EffectCertainty::Maybe };
            assert_eq!(fault.effect, expected, "{status}");
            assert_eq!(fault.kind == "outcome-unknown", expected == EffectCertainty::Maybe, "{status}");
        }
        let route = manifest().routes.into_iter().find(|r| r.path.ends_with("/ship")).expect("ship route");
        assert_eq!(route.proves_no_effect.as_deref(), Some(PROVES_NO_EFFECT.as_slice()));
    }

    #[test]
    fn a_void_may_be_repeated() {
        let fault = refused(Call::Void, 503, &[("retry-after", "3")], "");
        assert_eq!((fault.retry, fault.effect), (RetryClass::Later, EffectCertainty::Maybe));
        assert_eq!(fault.retry_after_ms, Some(3_000));
    }

    #[test]
    fn credentials_quota_and_temporary_codes_win_over_bad_request() {
        for (status, code, kind) in [
            (401, "250002", "unauthorized"),
            (400, "250003", "unauthorized"),
            (401, "anything", "unauthorized"),
            (403, "x", "forbidden"),
            (400, "250050", "transient"),
            (400, "10429", "rate-limited"),
            (429, "x", "rate-limited"),
            (400, "111210", "unsupported"),
            (400, "120021", "already-exists"),
            (400, "120413", "business-rejected"),
            (400, "111285", "invalid-input"),
        ] {
            assert_eq!(refused(Call::Buy, status, &[], &with_code(code)).kind, kind, "{status} {code}");
        }
    }

    #[test]
    fn retry_after_is_read_as_seconds_and_as_a_moment() {
        let at =
            |value| refused(Call::Read, 429, &[("retry-after", value), ("date", "Fri, 09 Feb 2024 16:23:02 GMT")], "");
        assert_eq!(at("30").retry_after_ms, Some(30_000));
        assert_eq!(at("Fri, 09 Feb 2024 16:25:02 GMT").retry_after_ms, Some(120_000));
        assert_eq!(at("soon").retry_after_ms, None);
    }

    #[test]
    fn a_hostile_message_is_cut_to_one_short_line() {
        let body =
            format!(r#"{{"response":{{"errors":[{{"code":"1","message":"a\n\u001b[31m{}"}}]}}}}"#, "b".repeat(9_999));
        let fault = refused(Call::Read, 400, &[], &body);
        assert!(fault.message.chars().count() < 320 && !fault.message.contains(char::is_control));
    }
}
