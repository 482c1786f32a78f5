//! Images and texts inside answers: decoded, and named by what the bytes are.

use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use wharf_sdk::{Document, Message};

use crate::wire::Node;

/// Padding may be missing; superfluous padding is cut before.
const LENIENT: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true),
);

/// The document in `image`, whose declared format is at `format`. None when there is no image or it is not base64.
/// When the bytes are something else than declared, `remarks` gets a line and the document the true format.
pub(crate) fn document(kind: &str, image: Node<'_>, format: Node<'_>, remarks: &mut Vec<Message>) -> Option<Document> {
    let content = decode(image.raw()?)?;
    let declared = format.text().unwrap_or_default().to_ascii_lowercase();
    let declared = match declared.as_str() {
        "epl2" => "epl",
        other => other,
    };
    let found = sniff(&content);
    let format = found.unwrap_or(declared).to_owned();
    if found.is_some_and(|found| found != declared) && !declared.is_empty() {
        let text = format!("the {kind} was declared as `{declared}` and is `{format}`");
        remarks.push(Message { code: "ups.format-differs".to_owned(), text });
    }
    Some(Document { kind: kind.to_owned(), format, content })
}

fn decode(text: &str) -> Option<Vec<u8>> {
    let mut text = text.trim_ascii().trim_end_matches('=').to_owned();
    text.retain(|c| !c.is_ascii_whitespace());
    LENIENT.decode(text).ok().filter(|bytes| !bytes.is_empty())
}

/// The format by its first bytes; none for what has no mark of its own.
fn sniff(bytes: &[u8]) -> Option<&'static str> {
    let text = bytes.trim_ascii_start();
    let head = text.get(..text.len().min(512)).unwrap_or_default();
    let has = |mark: &[u8]| head.windows(mark.len()).any(|w| w.eq_ignore_ascii_case(mark));
    match bytes {
        [b'G', b'I', b'F', b'8', ..] => Some("gif"),
        [0x89, b'P', b'N', b'G', ..] => Some("png"),
        [b'%', b'P', b'D', b'F', ..] => Some("pdf"),
        // Printer settings may come before the label begins.
        _ if has(b"^XA") => Some("zpl"),
        _ if has(b"<html") || has(b"<!doctype html") => Some("html"),
        _ if text.starts_with(b"N\r\n") || text.starts_with(b"N\n") || text.starts_with(b"EPL2") => Some("epl"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(declared: &str, text: &str) -> (Option<Document>, Vec<Message>) {
        let value = json!({"image": text, "format": declared});
        let mut remarks = Vec::new();
        let node = Node::of(&value);
        (document("label", node.at(&["image"]), node.at(&["format"]), &mut remarks), remarks)
    }

    #[test]
    fn the_bytes_decide_the_format() {
        for (bytes, format) in [
            (b"GIF87a..".as_slice(), "gif"),
            (b"\x89PNG\r\n\x1a\n", "png"),
            (b"%PDF-1.4", "pdf"),
            (b"\n^XA\r\n^LRN", "zpl"),
            (b"\x10CT~~CD,~CC^~CT~^XA^XZ", "zpl"),
            (b"\r\nN\r\nq795", "epl"),
            (b"<!DOCTYPE HTML><p>", "html"),
        ] {
            let (found, remarks) = read("pdf", &base64::engine::general_purpose::STANDARD.encode(bytes));
            assert_eq!(found.map(|d| (d.format, d.content)), Some((format.to_owned(), bytes.to_vec())));
            assert_eq!(remarks.len(), usize::from(format != "pdf"), "{format}");
        }
    }

    #[test]
    fn bytes_without_a_mark_keep_the_declared_format() {
        let (found, remarks) = read("SPL", "AAEC");
        assert_eq!((found.map(|d| d.format), remarks.len()), (Some("spl".to_owned()), 0));
    }

    #[test]
    fn line_breaks_and_wrong_padding_do_not_lose_a_label() {
        for text in ["XlhBXlha", "XlhB\r\nXlha", "XlhBXlha==", " XlhBXlha= "] {
            assert_eq!(read("ZPL", text).0.map(|d| d.content), Some(b"^XA^XZ".to_vec()), "{text:?}");
        }
        for text in ["", "====", "not base64!", "\u{0}"] {
            assert_eq!(read("ZPL", text).0, None, "{text:?}");
        }
    }
}
