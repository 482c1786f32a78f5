//! What things are called outside: references, file names and texts. All of it is worked out from the flow, so that
//! a repeat says the same.

use wharf_domain::ids::{Digest, TenantId};
use wharf_domain::port::erp::{Attachment, Note, ShippingUpdate};
use wharf_domain::shipment::Document;

use super::label::Label;

/// Carriers keep at most this many characters of a reference.
const REFERENCE_LENGTH: usize = 35;
/// Enough of the hash that two deliveries of one name, of different tenants, never share a reference.
const HASH_LENGTH: usize = 12;

/// How the carrier knows one label: at most 35 characters of `A-Z a-z 0-9 - _`, readable at the front, unique by the
/// hash of tenant, order, delivery and generation at the end.
pub(super) fn reference(tenant: &TenantId, order: &str, delivery: &str, generation: u32) -> String {
    let digest = Digest::of(format!("{tenant}\n{order}\n{delivery}\n{generation}").as_bytes());
    let tail = format!("-{generation}-{}", digest.hex().get(..HASH_LENGTH).unwrap_or_default());
    let mut head = plain(delivery);
    head.truncate(REFERENCE_LENGTH.saturating_sub(tail.len()));
    head + &tail
}

/// Letters, digits and `-` only.
fn plain(text: &str) -> String {
    text.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect()
}

/// `None` while nothing is bought.
pub(super) fn shipping_update(label: &Label, delivery: &str, carrier: &str) -> Option<ShippingUpdate> {
    let bought = label.bought.as_ref()?;
    Some(ShippingUpdate {
        delivery: delivery.to_owned(),
        carrier: carrier.to_owned(),
        tracking_reference: bought.tracking_number.clone(),
        weight_g: label.consignment.weight_g(),
    })
}

pub(super) fn attachment(label: &Label, delivery: &str, name: &str, number: u32, document: &Document) -> Attachment {
    let (generation, format) = (label.generation, &document.format);
    Attachment {
        key: format!("{}-label-{number}", label.reference),
        delivery: delivery.to_owned(),
        file_name: format!("label-{}-{generation}-{number}.{format}", plain(name)),
        media_type: media_type(format).to_owned(),
        content_base64: document.content_base64.clone(),
    }
}

/// Printer languages have no registered media type; `x-application/zpl` is what print tools expect.
fn media_type(format: &str) -> &'static str {
    match format {
        "pdf" => "application/pdf",
        "png" => "image/png",
        "gif" => "image/gif",
        "html" => "text/html",
        "zpl" => "x-application/zpl",
        _ => "application/octet-stream",
    }
}

pub(super) fn bought_note(label: &Label, delivery: &str, carrier: &str) -> Note {
    let mut text = format!("Label bought: {carrier}, service {}", label.choice.service);
    if let Some(bought) = &label.bought {
        text.push_str(&format!(", tracking number {}", bought.tracking_number));
        if let Some(total) = &bought.total {
            text.push_str(&format!(", {total}"));
        }
    }
    text.push('.');
    Note { key: format!("{}-bought", label.reference), delivery: delivery.to_owned(), text }
}

pub(super) fn void_note(label: &Label, delivery: &str) -> Note {
    let number = label.bought.as_ref().map_or("unknown", |bought| bought.tracking_number.as_str());
    let text = format!("Label voided: tracking number {number} is not valid any more.");
    Note { key: format!("{}-voided", label.reference), delivery: delivery.to_owned(), text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reference_is_short_plain_repeatable_and_its_own() {
        let tenant = TenantId::parse("nordic").expect("tenant");
        let other = TenantId::parse("baltic").expect("tenant");
        let reference = |t: &TenantId, d: &str, g| super::reference(t, "42", d, g);
        let one = reference(&tenant, "WH/OUT/00007", 1);
        assert!(one.starts_with("WH-OUT-00007-1-"), "{one}");
        assert_eq!(one, reference(&tenant, "WH/OUT/00007", 1));
        for different in [
            reference(&other, "WH/OUT/00007", 1),
            reference(&tenant, "WH/OUT/00007", 2),
            reference(&tenant, "WH-OUT-00007", 1),
        ] {
            assert_ne!(one, different);
        }
        let long = reference(&tenant, "Lager Süd/ausgehend/2026/00000000007/B", 4_000_000_000);
        assert_eq!(long.len(), 35, "{long}");
        assert!(long.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-'), "{long}");
    }
}
