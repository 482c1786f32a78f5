//! The public methods, with the names of their arguments: what binds and what does not is part of the API.

use serde_json::Value;

use super::access::Right;
use super::errors::{Raised, Result};
use super::records::Vals;

/// How a method is called.
#[derive(Debug, Clone, Copy)]
pub(super) struct Signature {
    /// `*` for every model.
    model: &'static str,
    pub(super) name: &'static str,
    /// Takes `ids`.
    pub(super) on_records: bool,
    required: &'static [&'static str],
    optional: &'static [&'static str],
    /// What the caller must be allowed on the model; none for methods that check for themselves.
    pub(super) right: Option<Right>,
}

const PAGE: &[&str] = &["offset", "limit", "order"];
const READ: &[&str] = &["domain", "fields", "offset", "limit", "order", "load"];
const POST: &[&str] =
    &["body", "body_is_html", "subject", "message_type", "subtype_xmlid", "attachment_ids", "partner_ids", "author_id"];

/// A method of the model itself.
const fn of_model(
    model: &'static str,
    name: &'static str,
    required: &'static [&'static str],
    optional: &'static [&'static str],
    right: Right,
) -> Signature {
    Signature { model, name, on_records: false, required, optional, right: Some(right) }
}

/// A method of records.
const fn of_records(
    model: &'static str,
    name: &'static str,
    required: &'static [&'static str],
    optional: &'static [&'static str],
    right: Right,
) -> Signature {
    Signature { model, name, on_records: true, required, optional, right: Some(right) }
}

const fn unchecked(signature: Signature) -> Signature {
    Signature { right: None, ..signature }
}

const SIGNATURES: [Signature; 39] = [
    of_model("*", "search", &["domain"], PAGE, Right::Read),
    of_model("*", "search_count", &["domain"], &["limit"], Right::Read),
    of_model("*", "search_read", &[], READ, Right::Read),
    of_model(
        "*",
        "web_search_read",
        &["domain", "specification"],
        &["offset", "limit", "order", "count_limit"],
        Right::Read,
    ),
    of_model("*", "name_search", &[], &["name", "domain", "operator", "limit"], Right::Read),
    of_model("*", "create", &["vals_list"], &[], Right::Create),
    unchecked(of_model("*", "load", &["fields", "data"], &[], Right::Create)),
    unchecked(of_model("*", "fields_get", &[], &["allfields", "attributes"], Right::Read)),
    of_model("*", "default_get", &["fields"], &[], Right::Read),
    of_records("*", "read", &[], &["fields", "load"], Right::Read),
    of_records("*", "web_read", &["specification"], &[], Right::Read),
    of_records("*", "write", &["vals"], &[], Right::Write),
    of_records("*", "unlink", &[], &[], Right::Unlink),
    unchecked(of_records("*", "has_access", &["operation"], &[], Right::Read)),
    of_records("*", "get_external_id", &[], &[], Right::Read),
    of_records("*", "export_data", &["fields_to_export"], &[], Right::Read),
    unchecked(of_model("res.users", "context_get", &[], &[], Right::Read)),
    of_model("ir.sequence", "next_by_code", &["sequence_code"], &["sequence_date"], Right::Read),
    of_records("sale.order", "message_post", &[], POST, Right::Write),
    of_records("stock.picking", "message_post", &[], POST, Right::Write),
    of_records("res.partner", "message_post", &[], POST, Right::Write),
    of_records("sale.order", "action_confirm", &[], &[], Right::Write),
    of_records("sale.order", "action_cancel", &[], &[], Right::Write),
    of_records("choose.delivery.carrier", "button_confirm", &[], &[], Right::Write),
    of_records("stock.picking", "action_confirm", &[], &[], Right::Write),
    of_records("stock.picking", "action_assign", &[], &[], Right::Write),
    of_records("stock.picking", "do_unreserve", &[], &[], Right::Write),
    of_records("stock.picking", "action_cancel", &[], &[], Right::Write),
    of_records("stock.picking", "button_validate", &[], &[], Right::Write),
    of_records(
        "stock.picking",
        "action_put_in_pack",
        &[],
        &["package_id", "package_type_id", "package_name"],
        Right::Write,
    ),
    of_records(
        "stock.move.line",
        "action_put_in_pack",
        &[],
        &["package_id", "package_type_id", "package_name"],
        Right::Write,
    ),
    of_records("stock.backorder.confirmation", "process", &[], &[], Right::Write),
    of_records("stock.backorder.confirmation", "process_cancel_backorder", &[], &[], Right::Write),
    of_records("confirm.stock.sms", "dont_send_sms", &[], &[], Right::Write),
    of_records("confirm.stock.sms", "send_sms", &[], &[], Right::Write),
    of_records("res.users.apikeys.description", "make_key", &[], &[], Right::Write),
    unchecked(of_records("res.users.identitycheck", "run_check", &[], &[], Right::Write)),
    of_records("*", "action_archive", &[], &[], Right::Write),
    of_records("*", "action_unarchive", &[], &[], Right::Write),
];

/// Known to Python, closed to callers.
const PRIVATE: [&str; 4] = ["exists", "search_fetch", "browse", "sudo"];

pub(super) fn find(model: &str, name: &str) -> Result<Signature> {
    if name.starts_with('_') || PRIVATE.contains(&name) {
        return Err(Raised::access(format!("Private methods (such as '{model}.{name}') cannot be called remotely.")));
    }
    let found = SIGNATURES.iter().find(|s| s.name == name && (s.model == model || s.model == "*"));
    found.copied().ok_or_else(|| Raised::not_found(format!("The method '{model}.{name}' does not exist")))
}

impl Signature {
    /// Missing ones are noticed before unexpected ones, as Python binds.
    pub(super) fn bind(&self, arguments: &Vals) -> Result<()> {
        if let Some(missing) = self.required.iter().find(|name| !arguments.contains_key(**name)) {
            return Err(Raised::unprocessable(format!("missing a required argument: '{missing}'")));
        }
        let known = |name: &&String| self.required.contains(&name.as_str()) || self.optional.contains(&name.as_str());
        match arguments.keys().find(|name| !known(name)) {
            Some(name) => Err(Raised::unprocessable(format!("got an unexpected keyword argument '{name}'"))),
            None => Ok(()),
        }
    }
}

/// A list of names; one name alone and nothing at all are lists too.
pub(super) fn names(value: Option<&Value>) -> Vec<String> {
    match value {
        Some(Value::Array(all)) => all.iter().filter_map(|v| v.as_str().map(str::to_owned)).collect(),
        Some(Value::String(one)) => vec![one.clone()],
        _ => Vec::new(),
    }
}
