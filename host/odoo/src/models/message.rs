//! `mail.message`: a line in a delivery's history, once per key.
//!
//! It is made through `load` and not `message_post`: the key is then an external id, which is invisible in the
//! history, survives the HTML sanitizer and is unique in the database, so even a post whose answer was lost cannot
//! appear twice. Followers get no mail, which is what an internal note does anyway.

use serde_json::Value;
use wharf_domain::fault::Fault;
use wharf_domain::ids::TenantId;
use wharf_domain::port::erp::Note;

use super::attachment::external_name;
use super::stock_picking;
use crate::load;

pub(crate) const MODEL: &str = "mail.message";

/// Arguments of `load`; the author is the key's user.
pub(crate) fn arguments(tenant: &TenantId, delivery: i64, note: &Note) -> Result<Value, Fault> {
    Ok(load::create_once(
        &external_name("note", tenant, &note.key)?,
        &[
            ("model", stock_picking::MODEL),
            ("res_id", &delivery.to_string()),
            ("body", &html(&note.text)),
            ("message_type", "comment"),
            ("subtype_id/id", "mail.mt_note"),
        ],
    ))
}

/// Plain text as Odoo's history wants it.
fn html(text: &str) -> String {
    let mut body = String::with_capacity(text.len() + 7);
    body.push_str("<p>");
    for c in text.trim().chars() {
        match c {
            '&' => body.push_str("&amp;"),
            '<' => body.push_str("&lt;"),
            '>' => body.push_str("&gt;"),
            '"' => body.push_str("&#34;"),
            '\n' => body.push_str("<br>"),
            '\r' => {}
            c => body.push(c),
        }
    }
    body.push_str("</p>");
    body
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_note_is_text_whatever_it_looks_like() {
        assert_eq!(html("a <b> & \"c\"\nd"), "<p>a &lt;b&gt; &amp; &#34;c&#34;<br>d</p>");
        let tenant = TenantId::parse("t").expect("tenant");
        let note = Note { key: "k".to_owned(), delivery: "57".to_owned(), text: "bought".to_owned() };
        let args = arguments(&tenant, 57, &note).expect("arguments");
        assert_eq!(args["data"][0][0], "__wharf__.note_t_k");
        assert_eq!(args["data"][0][3], "<p>bought</p>");
    }
}
