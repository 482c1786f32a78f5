//! What a partner sends: packed bodies, and secrets sent back in disguise.

use std::io::Read as _;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use bytes::Bytes;
use flate2::Compression;
use flate2::read::MultiGzDecoder;
use flate2::write::GzEncoder;
use wharf_fuzz::{Target, shape};

use super::parts;
use crate::gzip::{Coding, Decoder};
use crate::redact::Secrets;
use crate::wire::WireError;

const LIMIT: usize = 256 << 10;

fn packed(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    std::io::Write::write_all(&mut encoder, bytes).expect("packed");
    encoder.finish().expect("packed")
}

fn unpacked(encoded: &[u8], piece: usize) -> Result<Bytes, WireError> {
    let mut decoder = Decoder::new(Coding::Gzip, LIMIT);
    encoded.chunks(piece).try_for_each(|piece| decoder.push(piece))?;
    decoder.finish()
}

#[test]
fn p14_packed_answers() {
    let numbers: Vec<u8> = (0..2_000_u32).flat_map(|n| n.to_string().into_bytes()).collect();
    let seeds = [
        packed(b"{\"price\": \"12.30\"}"),
        packed(&numbers),
        packed(&vec![0; 128 << 10]),
        [packed(b"one"), packed(b"two")].concat(),
        Vec::new(),
    ];
    Target::new("packed_answers").seeds(seeds).words([b"\x1f\x8b\x08".as_slice(), &[0; 8]]).longest(16 << 10).run(
        |input| {
            let whole = unpacked(input, usize::MAX);
            let in_pieces = unpacked(input, 7);
            match (whole, in_pieces) {
                (Ok(whole), Ok(in_pieces)) => {
                    assert_eq!(whole, in_pieces, "the pieces it arrives in change what it is");
                    assert!(
                        whole.len() <= LIMIT && whole.len() <= (64 << 10).max(input.len() * 101),
                        "{}",
                        whole.len()
                    );
                    let mut other = Vec::new();
                    if !input.is_empty() {
                        MultiGzDecoder::new(input).read_to_end(&mut other).expect("another decoder reads it, too");
                    }
                    assert_eq!(whole, other);
                    "whole".to_owned()
                }
                // How much of the packed text is there when a bomb is noticed depends on the pieces.
                (Err(whole), Err(_)) => shape(&whole.to_string()),
                (whole, in_pieces) => {
                    let bomb = |got: &Result<Bytes, WireError>| {
                        matches!(got, Err(WireError::TooLarge { part: "compression ratio", .. }))
                    };
                    assert!(bomb(&whole) || bomb(&in_pieces), "{whole:?} {in_pieces:?}");
                    "a bomb by its pieces".to_owned()
                }
            }
        },
    );
}

const NAME: &str = "[~]";

#[test]
fn p14_redaction() {
    let seeds = [
        "s3cret-token\x1ebefore \x1e after",
        "p\"ss/wörd +&16\x1e{\"a\":\"\x1e\"}",
        "MDEyMzQ1Njc4OWFiY2RlZg==\x1e\x1e",
        "aaaaaaaaaaaa\x1eaaaa\x1eaaaa",
        "日本語のかぎ\x1e日\x1e語",
    ];
    Target::new("redaction").seeds(seeds).words(["\x1e", "%22", "\\u00", "=", "+", "/", "\\"]).longest(400).run(
        |input| {
            let [secret, before, after] = parts(input);
            let Ok(secret) = str::from_utf8(secret) else { return "no text" };
            // A value is one line without blanks around it, and longer than what is found everywhere. One that looks like what
            // is put in its place could not be told from it.
            if secret.len() < 6
                || secret.trim() != secret
                || secret.contains(|c: char| c.is_control() || "[~]".contains(c))
            {
                return "no secret";
            }
            let mut secrets = Secrets::default();
            secrets.learn(NAME, secret, false);
            let redactor = secrets.redactor();
            for (form, text) in disguises(secret, before, after) {
                assert!(redactor.finds(&[], &text), "{form}: {:?}", String::from_utf8_lossy(&text));
                for cleaned in [redactor.echo(text.clone().into()).to_vec(), redactor.record_bytes(&text)] {
                    assert!(!redactor.finds(&[], &cleaned), "{form}: {:?}", String::from_utf8_lossy(&cleaned));
                    let has = |part: &str| cleaned.windows(part.len()).any(|bytes| bytes == part.as_bytes());
                    assert!(!has(secret) && has(NAME), "{form}: {:?}", String::from_utf8_lossy(&cleaned));
                }
            }
            let alone = Bytes::from([before, after].concat());
            if redactor.finds(&[], &alone) {
                "found by chance"
            } else {
                assert_untouched(&redactor.echo(alone.clone()), &alone)
            }
        },
    );
}

fn assert_untouched(got: &Bytes, was: &Bytes) -> &'static str {
    assert_eq!(got, was, "nothing was found, and it was changed");
    "found"
}

/// The secret between other bytes, in every form that is promised to be found.
fn disguises(secret: &str, before: &[u8], after: &[u8]) -> Vec<(&'static str, Vec<u8>)> {
    let whole = [before, secret.as_bytes(), after].concat();
    let text = String::from_utf8_lossy(&whole).into_owned();
    let hex = |upper: bool| -> String {
        whole.iter().map(|byte| if upper { format!("{byte:02X}") } else { format!("{byte:02x}") }).collect()
    };
    vec![
        ("raw", whole.clone()),
        ("base64", STANDARD.encode(&whole).into_bytes()),
        ("base64url", URL_SAFE_NO_PAD.encode(&whole).into_bytes()),
        ("hex", hex(false).into_bytes()),
        ("HEX", hex(true).into_bytes()),
        ("form", url::form_urlencoded::byte_serialize(&whole).collect::<String>().into_bytes()),
        ("JSON", serde_json::Value::from(text.as_str()).to_string().into_bytes()),
    ]
}
