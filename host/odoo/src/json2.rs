//! The JSON-2 shape: one object of named arguments in, the bare return value or an error object out.

use bytes::Bytes;
use serde_json::{Value, json};
use wharf_domain::fault::Fault;
use wharf_egress::{Request, Response};

use crate::fault::{ErrorBody, from_error, from_status, unexpected};
use crate::routes;

/// A call as a request. The door adds the key and Content-Length; Odoo takes a chunked body for an empty one.
pub(crate) fn request(origin: &str, database: &str, model: &str, method: &str, args: &Value) -> Request {
    Request {
        method: "POST".to_owned(),
        url: format!("{origin}{}", routes::path(model, method)),
        headers: vec![
            ("content-type".to_owned(), "application/json".to_owned()),
            ("x-odoo-database".to_owned(), database.to_owned()),
        ],
        body: Some(Bytes::from(args.to_string())),
        timeout_ms: None,
    }
}

/// The context of a call: everything in scope of one company, when the tenant has one.
pub(crate) fn in_company(mut args: Value, company: Option<i64>) -> Value {
    if let (Some(company), Some(object)) = (company, args.as_object_mut()) {
        let context = object.entry("context").or_insert_with(|| json!({}));
        context["allowed_company_ids"] = json!([company]);
    }
    args
}

/// The return value, or what the error means.
pub(crate) fn answer(what: &str, database: &str, response: &Response) -> Result<Value, Fault> {
    let json: Option<Value> = serde_json::from_slice(&response.body).ok();
    if (200..300).contains(&response.status) {
        return json.ok_or_else(|| unexpected(what, "it is not JSON"));
    }
    Err(match json.and_then(|body| serde_json::from_value::<ErrorBody>(body).ok()) {
        Some(error) => from_error(response.status, &error),
        None => from_status(response.status, header(response, "retry-after"), database),
    })
}

pub(crate) fn header<'a>(response: &'a Response, name: &str) -> Option<&'a str> {
    response.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
}

#[cfg(test)]
mod tests;
