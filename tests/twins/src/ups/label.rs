//! Labels: small, valid, and different for every parcel, so that their digests tell which label arrived.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    Gif,
    Png,
    Zpl,
    Epl,
    Spl,
    Pdf,
}

/// What is printed.
#[derive(Debug, Clone, Copy)]
pub(super) struct Print<'a> {
    pub(super) tracking: &'a str,
    pub(super) reference: &'a str,
    pub(super) ship_to: &'a str,
}

impl Format {
    /// UPS writes the code in capitals; the specification's examples do not always.
    pub(super) fn read(code: &str) -> Option<Self> {
        match code.to_ascii_uppercase().as_str() {
            "GIF" => Some(Self::Gif),
            "PNG" => Some(Self::Png),
            "ZPL" => Some(Self::Zpl),
            "EPL" => Some(Self::Epl),
            "SPL" => Some(Self::Spl),
            "PDF" => Some(Self::Pdf),
            _ => None,
        }
    }

    pub(super) fn code(self) -> &'static str {
        match self {
            Self::Gif => "GIF",
            Self::Png => "PNG",
            Self::Zpl => "ZPL",
            Self::Epl => "EPL",
            Self::Spl => "SPL",
            Self::Pdf => "PDF",
        }
    }
}

/// The file itself.
pub(super) fn bytes(format: Format, print: Print<'_>) -> Vec<u8> {
    let Print { tracking, reference, ship_to } = print;
    match format {
        // The recorded labels begin with a line feed and use CRLF.
        Format::Zpl => format!(
            "\n^XA\r\n^LRN\r\n^MNY\r\n^LH10,12\r\n^FO15,20^A0N,28,28^FVSHIP TO: {ship_to}^FS\r\n\
             ^FO15,80^A0N,40,40^FVTRACKING #: {tracking}^FS\r\n^FO15,140^BY3^BCN,120,N,N,N^FD{tracking}^FS\r\n\
             ^FO15,300^A0N,28,28^FVREF 1: {reference}^FS\r\n^XZ\r\n"
        )
        .into_bytes(),
        Format::Epl | Format::Spl => {
            format!("\nN\r\nA20,20,0,3,1,1,N,\"{ship_to}\"\r\nA20,60,0,3,1,1,N,\"{tracking}\"\r\nA20,100,0,3,1,1,N,\"{reference}\"\r\nP1\r\n")
                .into_bytes()
        }
        Format::Gif => gif(&format!("{tracking} {reference}")),
        Format::Png => png(&format!("{tracking} {reference}")),
        Format::Pdf => pdf(&format!("{tracking} {reference}")),
    }
}

pub(super) fn base64(bytes: &[u8]) -> String {
    STANDARD.encode(bytes)
}

pub(super) fn sha256(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
}

/// The page UPS sends beside GIF and PNG.
pub(super) fn html_image(tracking: &str, format: Format) -> Option<Value> {
    let extension = match format {
        Format::Gif => "gif",
        Format::Png => "png",
        _ => return None,
    };
    let page = format!(
        "<!DOCTYPE HTML>\n<html><head><title>Label</title></head><body bgcolor=\"#FFFFFF\">\n\
         <IMG SRC=\"./label{tracking}.{extension}\" height=\"392\" width=\"651\">\n</body></html>\n"
    );
    Some(json!(base64(page.as_bytes())))
}

/// One white pixel with the text as a comment extension.
fn gif(text: &str) -> Vec<u8> {
    let mut out = b"GIF89a\x01\x00\x01\x00\x80\x00\x00\xff\xff\xff\x00\x00\x00".to_vec();
    for piece in text.as_bytes().chunks(255) {
        out.extend([0x21, 0xfe, piece.len() as u8]);
        out.extend(piece);
        out.push(0);
    }
    out.extend(b"\x2c\x00\x00\x00\x00\x01\x00\x01\x00\x00\x02\x02\x44\x01\x00\x3b");
    out
}

/// One white pixel with the text as a tEXt chunk.
fn png(text: &str) -> Vec<u8> {
    let mut out = b"\x89PNG\r\n\x1a\n".to_vec();
    chunk(&mut out, b"IHDR", &[0, 0, 0, 1, 0, 0, 0, 1, 8, 0, 0, 0, 0]);
    chunk(&mut out, b"tEXt", format!("Comment\0{text}").as_bytes());
    // zlib: one stored block of filter byte 0 and grey 255, then Adler-32.
    chunk(&mut out, b"IDAT", &[0x78, 0x01, 0x01, 2, 0, 0xfd, 0xff, 0x00, 0xff, 0x01, 0x01, 0x01, 0x00]);
    chunk(&mut out, b"IEND", &[]);
    out
}

fn chunk(out: &mut Vec<u8>, kind: &[u8; 4], data: &[u8]) {
    out.extend((data.len() as u32).to_be_bytes());
    let start = out.len();
    out.extend(kind);
    out.extend(data);
    let crc = crc32(&out[start..]);
    out.extend(crc.to_be_bytes());
}

fn crc32(bytes: &[u8]) -> u32 {
    let mut crc = u32::MAX;
    for byte in bytes {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            crc = (crc >> 1) ^ (0xedb8_8320 & (crc & 1).wrapping_neg());
        }
    }
    !crc
}

/// One empty page with the text as its content stream's comment.
fn pdf(text: &str) -> Vec<u8> {
    format!(
        "%PDF-1.4\n% {text}\n1 0 obj<</Type/Catalog/Pages 2 0 R>>endobj\n2 0 obj<</Type/Pages/Kids[3 0 R]/Count 1>>endobj\n\
         3 0 obj<</Type/Page/Parent 2 0 R/MediaBox[0 0 288 432]>>endobj\ntrailer<</Root 1 0 R>>\n%%EOF\n"
    )
    .into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    const PRINT: Print<'static> = Print { tracking: "1ZA1B2C30300000010", reference: "WH-OUT-7", ship_to: "Ada" };

    #[test]
    fn zpl_is_whole_and_names_the_parcel_and_the_reference() {
        let text = String::from_utf8(bytes(Format::Zpl, PRINT)).unwrap();
        assert!(text.trim_start().starts_with("^XA") && text.trim_end().ends_with("^XZ"), "{text}");
        assert!(text.contains(PRINT.tracking) && text.contains(PRINT.reference));
    }

    #[test]
    fn images_have_their_magic_and_carry_the_number() {
        for (format, magic) in [(Format::Gif, &b"GIF89a"[..]), (Format::Png, b"\x89PNG"), (Format::Pdf, b"%PDF-")] {
            let file = bytes(format, PRINT);
            assert!(file.starts_with(magic), "{format:?}");
            assert!(file.windows(18).any(|w| w == PRINT.tracking.as_bytes()), "{format:?}");
        }
    }

    #[test]
    fn crc_and_adler_are_right() {
        assert_eq!(crc32(b"123456789"), 0xcbf4_3926);
        // Adler-32 of [0x00, 0xff]: a = 1 + 0 + 255 = 256, b = 1 + 256 = 257.
        assert_eq!((257_u32 << 16 | 256).to_be_bytes(), [0x01, 0x01, 0x01, 0x00]);
    }
}
