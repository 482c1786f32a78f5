//! `ir.attachment`: a file on a delivery, once per key, and proof that Odoo stored what we sent.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use wharf_domain::fault::{Blame, Fault, FaultKind};
use wharf_domain::ids::TenantId;
use wharf_domain::port::erp::Attachment;

use super::stock_picking;
use crate::fault::unexpected;
use crate::load;

pub(crate) const MODEL: &str = "ir.attachment";

/// The name part of an external id. A tenant id holds no `_`, so two tenants in one database cannot meet.
pub(crate) fn external_name(kind: &str, tenant: &TenantId, key: &str) -> Result<String, Fault> {
    let fine =
        (1..=200).contains(&key.len()) && key.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-');
    if fine {
        return Ok(format!("{kind}_{tenant}_{key}"));
    }
    let message = "the key must be 1 to 200 letters, digits, `_` or `-`";
    Err(Fault::new(FaultKind::InvalidInput, "odoo.bad-key", message, Blame::Host).with_field("key", "format", message))
}

/// Arguments of `load`. Only the attachment's creation is asked for: a repeat resolves the external id.
pub(crate) fn arguments(tenant: &TenantId, delivery: i64, attachment: &Attachment) -> Result<Value, Fault> {
    Ok(load::create_once(
        &external_name("att", tenant, &attachment.key)?,
        &[
            ("name", &attachment.file_name),
            ("res_model", stock_picking::MODEL),
            ("res_id", &delivery.to_string()),
            ("mimetype", &attachment.media_type),
            ("datas", &attachment.content_base64),
        ],
    ))
}

pub(crate) fn sha256(content_base64: &str) -> Option<[u8; 32]> {
    STANDARD.decode(content_base64).ok().map(|bytes| Sha256::digest(bytes).into())
}

/// Does the answer of `read` hold the bytes with this digest?
pub(crate) fn verify(answer: &Value, id: i64, wanted: [u8; 32]) -> Result<(), Fault> {
    let row = answer.get(0).filter(|row| row["id"] == json!(id));
    let row = row.ok_or_else(|| unexpected("ir.attachment.read", "the attachment just made is missing"))?;
    let stored = row["datas"].as_str().and_then(sha256);
    if stored == Some(wanted) {
        return Ok(());
    }
    let text =
        format!("attachment {id} exists in Odoo under this key with other content; delete it there to store it anew");
    Err(Fault::new(FaultKind::Conflict, "odoo.attachment-differs", text, Blame::Operator))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn label(key: &str) -> Attachment {
        Attachment {
            key: key.to_owned(),
            delivery: "57".to_owned(),
            file_name: "l.zpl".to_owned(),
            media_type: "text/plain".to_owned(),
            content_base64: "XlhBXlha".to_owned(),
        }
    }

    #[test]
    fn the_key_becomes_an_external_id_of_the_tenant() {
        let tenant = TenantId::parse("nordic-3pl").expect("tenant");
        let args = arguments(&tenant, 57, &label("lbl-1_a")).expect("arguments");
        assert_eq!(args["data"][0][0], "__wharf__.att_nordic-3pl_lbl-1_a");
        assert_eq!(args["data"][0][3], "57");
        for bad in ["", "a b", "a.b", "a/b"] {
            assert_eq!(arguments(&tenant, 57, &label(bad)).expect_err(bad).code, "odoo.bad-key");
        }
    }

    #[test]
    fn only_the_same_bytes_pass() {
        let wanted = sha256("XlhBXlha").expect("base64");
        assert_eq!(verify(&json!([{"id": 934, "datas": "XlhBXlha"}]), 934, wanted), Ok(()));
        let other = verify(&json!([{"id": 934, "datas": "XlhBXlhB"}]), 934, wanted).expect_err("other bytes");
        assert_eq!(other.kind, FaultKind::Conflict);
        assert!(verify(&json!([]), 934, wanted).is_err());
        assert!(verify(&json!([{"id": 934, "datas": false}]), 934, wanted).is_err());
    }
}
