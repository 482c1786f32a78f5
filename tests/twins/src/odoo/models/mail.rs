//! Attachments and the history of a record.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use sha1::Sha1;
use sha2::{Digest, Sha256};

use crate::odoo::access;
use crate::odoo::env::Env;
use crate::odoo::errors::{Raised, Result};
use crate::odoo::ledger::{Draft, Kind};
use crate::odoo::records::{Vals, vals};

/// Where a row keeps the content, as base64.
const CONTENT: &str = "_content";

pub(in crate::odoo) fn value(env: &Env<'_>, model: &str, id: i64, field: &str) -> Option<Value> {
    let content = || env.row(model, id).get(CONTENT).cloned().unwrap_or(json!(false));
    let value = match (model, field) {
        ("ir.attachment", "datas") => content(),
        ("ir.attachment", "raw") => {
            let bytes = STANDARD.decode(content().as_str()?).ok()?;
            json!(String::from_utf8_lossy(&bytes))
        }
        ("ir.attachment", "res_name") => named(env, env.text(model, id, "res_model"), env.value(model, id, "res_id")),
        ("mail.message", "record_name") => named(env, env.text(model, id, "model"), env.value(model, id, "res_id")),
        _ => return None,
    };
    Some(value)
}

fn named(env: &Env<'_>, model: String, id: Value) -> Value {
    match id.as_i64() {
        Some(id) if env.db.exists(&model, id) => json!(env.display_name(&model, id)),
        _ => json!(false),
    }
}

pub(in crate::odoo) fn prepare_attachment(env: &mut Env<'_>, vals: &mut Vals) -> Result<()> {
    access::check_carrier(env, vals, "res_model")?;
    if vals.get("mimetype").is_none_or(|m| m.as_str().unwrap_or_default().is_empty()) {
        vals.insert("mimetype".to_owned(), json!("application/octet-stream"));
    }
    Ok(())
}

pub(in crate::odoo) fn attachment_created(env: &mut Env<'_>, id: i64, vals: &Vals) -> Result<()> {
    store_content(env, id, vals)?;
    let content = env.row("ir.attachment", id).get(CONTENT).and_then(Value::as_str).map(str::to_owned);
    let bytes = content.and_then(|c| STANDARD.decode(c).ok()).unwrap_or_default();
    let digest = json!(hex::encode(Sha256::digest(bytes)));
    let (model, target) = (env.text("ir.attachment", id, "res_model"), env.value("ir.attachment", id, "res_id"));
    note_effect(env, Kind::Attachment, model, target.as_i64().unwrap_or(0), digest);
    Ok(())
}

pub(in crate::odoo) fn attachment_written(env: &mut Env<'_>, id: i64, vals: &Vals) -> Result<()> {
    store_content(env, id, vals)
}

/// `datas` is base64, `raw` is text; size and SHA-1 follow from either.
fn store_content(env: &mut Env<'_>, id: i64, vals: &Vals) -> Result<()> {
    let bytes = match (vals.get("datas"), vals.get("raw")) {
        (Some(Value::String(datas)), _) => STANDARD
            .decode(datas.replace(['\n', '\r', ' '], ""))
            .map_err(|_| Raised::value("Error while decoding base64 data: Invalid base64-encoded string"))?,
        (_, Some(Value::String(raw))) => raw.as_bytes().to_vec(),
        _ => return Ok(()),
    };
    let mut row = env.row("ir.attachment", id);
    row.insert(CONTENT.to_owned(), json!(STANDARD.encode(&bytes)));
    row.insert("file_size".to_owned(), json!(bytes.len()));
    row.insert("checksum".to_owned(), json!(hex::encode(Sha1::digest(&bytes))));
    env.db.put("ir.attachment", id, Some(row));
    Ok(())
}

pub(in crate::odoo) fn prepare_message(env: &mut Env<'_>, vals: &mut Vals) -> Result<()> {
    if vals.get("message_type") != Some(&json!("notification")) {
        access::check_carrier(env, vals, "model")?;
    }
    if !vals.contains_key("date") {
        vals.insert("date".to_owned(), json!(env.today()));
    }
    if !vals.contains_key("author_id") {
        let author = env.value("res.users", env.uid, "partner_id");
        vals.insert("author_id".to_owned(), author);
    }
    Ok(())
}

pub(in crate::odoo) fn message_created(env: &mut Env<'_>, id: i64) -> Result<()> {
    if env.text("mail.message", id, "message_type") != "comment" {
        return Ok(());
    }
    let (model, target) = (env.text("mail.message", id, "model"), env.value("mail.message", id, "res_id"));
    let body = env.value("mail.message", id, "body");
    note_effect(env, Kind::Note, model, target.as_i64().unwrap_or(0), body);
    Ok(())
}

/// `message_post`: the id of the new message. Markup is escaped unless `body_is_html`.
pub(in crate::odoo) fn post(env: &mut Env<'_>, model: &str, id: i64, arguments: &Vals) -> Result<i64> {
    let text = arguments.get("body").and_then(Value::as_str).unwrap_or_default();
    let html = arguments.get("body_is_html") == Some(&json!(true));
    let body = match text {
        "" => String::new(),
        text if html => text.to_owned(),
        text => format!("<p>{}</p>", text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")),
    };
    let xml_id = arguments.get("subtype_xmlid").and_then(Value::as_str).unwrap_or("mail.mt_note");
    let subtype = env.external(xml_id).map_or(json!(false), |(_, id)| json!(id));
    let kind = arguments.get("message_type").and_then(Value::as_str).unwrap_or("notification").to_owned();
    let attachments = arguments.get("attachment_ids").cloned().unwrap_or(json!([]));
    let vals = vals! {
        "model": model, "res_id": id, "body": body, "message_type": kind, "subtype_id": subtype,
        "attachment_ids": [[6, 0, attachments]],
    };
    env.create("mail.message", vals)
}

/// Puts a line into the ledger; the order is found where the record belongs to one.
pub(in crate::odoo) fn note_effect(env: &mut Env<'_>, kind: Kind, model: String, res_id: i64, value: Value) {
    let order = match model.as_str() {
        "stock.picking" => env.one(&model, res_id, "sale_id"),
        "sale.order" => Some(res_id),
        _ => None,
    };
    let order = order.map(|id| env.text("sale.order", id, "name")).unwrap_or_default();
    let name = env.display_name(&model, res_id);
    env.effects.push(Draft { kind, model, res_id, name, order, value });
}
