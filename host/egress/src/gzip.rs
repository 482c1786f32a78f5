//! The one encoding that is asked for, decoded as it arrives. A small answer that unpacks into a large one is refused
//! before it is large.

use std::io::{self, Write};

use bytes::Bytes;
use flate2::write::MultiGzDecoder;
use http::{HeaderMap, header};

use crate::wire::WireError;

/// Decoded bytes per encoded byte. Documents reach about twenty.
const MAX_RATIO: usize = 100;
/// So much may come of however little: a small answer harms nobody.
const FREE: usize = 64 << 10;

/// How a body is encoded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Coding {
    Plain,
    Gzip,
    /// One that was not asked for, or several over each other: its name, for the message.
    Other(String),
}

impl Coding {
    pub(crate) fn of(headers: &HeaderMap) -> Self {
        let values = headers.get_all(header::CONTENT_ENCODING).iter();
        let text = values.map(|value| String::from_utf8_lossy(value.as_bytes())).collect::<Vec<_>>().join(",");
        let named = text.split(',').map(|name| name.trim().to_ascii_lowercase());
        let named: Vec<_> = named.filter(|name| !name.is_empty() && name != "identity").collect();
        match named.as_slice() {
            [] => Self::Plain,
            [one] if one == "gzip" || one == "x-gzip" => Self::Gzip,
            _ => Self::Other(named.join(", ").chars().take(100).flat_map(char::escape_debug).collect()),
        }
    }
}

/// Puts a body together.
pub(crate) enum Decoder {
    Plain(Vec<u8>),
    Gzip(Box<MultiGzDecoder<Bounded>>),
    Other(String),
}

impl Decoder {
    /// `limit`: bytes of the decoded body.
    pub(crate) fn new(coding: Coding, limit: usize) -> Self {
        match coding {
            Coding::Plain => Self::Plain(Vec::new()),
            Coding::Gzip => {
                let bounded = Bounded { whole: Vec::new(), limit, fed: 0, over: None };
                Self::Gzip(Box::new(MultiGzDecoder::new(bounded)))
            }
            Coding::Other(name) => Self::Other(name),
        }
    }

    /// Takes the next bytes off the wire; the caller counts them.
    pub(crate) fn push(&mut self, data: &[u8]) -> Result<(), WireError> {
        match self {
            Self::Plain(whole) => {
                whole.extend_from_slice(data);
                Ok(())
            }
            Self::Gzip(gzip) => {
                gzip.get_mut().fed += data.len();
                gzip.write_all(data).map_err(|err| gzip.get_ref().why(&err))
            }
            Self::Other(_) if data.is_empty() => Ok(()),
            Self::Other(name) => Err(WireError::Encoding { detail: format!("`{name}`, only `gzip` was") }),
        }
    }

    /// The whole body. One without a byte, as of HEAD, is empty however it would be encoded.
    pub(crate) fn finish(self) -> Result<Bytes, WireError> {
        match self {
            Self::Plain(whole) => Ok(whole.into()),
            Self::Other(_) => Ok(Bytes::new()),
            Self::Gzip(gzip) if gzip.get_ref().fed == 0 => Ok(Bytes::new()),
            Self::Gzip(mut gzip) => {
                let done = gzip.try_finish();
                done.map_err(|err| gzip.get_ref().why(&err))?;
                Ok(std::mem::take(&mut gzip.get_mut().whole).into())
            }
        }
    }
}

/// Takes what is decoded until it is too much.
pub(crate) struct Bounded {
    whole: Vec<u8>,
    limit: usize,
    /// Encoded bytes so far.
    fed: usize,
    over: Option<(&'static str, usize)>,
}

impl Bounded {
    fn why(&self, err: &io::Error) -> WireError {
        match self.over {
            Some((part, limit)) => WireError::TooLarge { part, limit },
            None => WireError::Encoding { detail: format!("its gzip is damaged or ends early: {err}") },
        }
    }
}

impl Write for Bounded {
    fn write(&mut self, decoded: &[u8]) -> io::Result<usize> {
        let total = self.whole.len().saturating_add(decoded.len());
        if total > self.limit {
            self.over = Some(("decoded body", self.limit));
        } else if total > FREE && total / MAX_RATIO > self.fed {
            self.over = Some(("compression ratio", MAX_RATIO));
        }
        if self.over.is_some() {
            return Err(io::Error::other("too much comes out of it"));
        }
        self.whole.extend_from_slice(decoded);
        Ok(decoded.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use flate2::Compression;
    use flate2::write::GzEncoder;

    use super::*;

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
        encoder.write_all(bytes).expect("encode");
        encoder.finish().expect("encode")
    }

    /// What comes out when it arrives in pieces of `size` bytes.
    fn decode(encoded: &[u8], size: usize, limit: usize) -> Result<Bytes, WireError> {
        let mut decoder = Decoder::new(Coding::Gzip, limit);
        encoded.chunks(size).try_for_each(|piece| decoder.push(piece))?;
        decoder.finish()
    }

    #[test]
    fn what_was_packed_comes_out_in_whatever_pieces_it_arrives() {
        let text: Vec<u8> = (0..50_000_u32).flat_map(|n| n.to_string().into_bytes()).collect();
        let (one, two) = (gzip(&text), [gzip(b"ab"), gzip(b"cd")].concat());
        for size in [1, 7, 4_096, 1 << 20] {
            assert_eq!(decode(&one, size, 1 << 20).expect("whole"), text, "{size}");
            assert_eq!(decode(&two, size, 1 << 20).expect("members"), "abcd", "{size}");
        }
        assert_eq!(decode(b"", 1, 10).expect("nothing"), "");
    }

    #[test]
    fn a_bomb_is_refused_before_it_is_large() {
        let zeros = gzip(&vec![0; 4 << 20]);
        for size in [1, 100, 1 << 20] {
            let err = decode(&zeros, size, 8 << 20).expect_err("ratio");
            assert!(matches!(err, WireError::TooLarge { part: "compression ratio", .. }), "{err}");
            let err = decode(&zeros, size, 50_000).expect_err("limit");
            assert!(matches!(err, WireError::TooLarge { part: "decoded body", limit: 50_000 }), "{err}");
        }
        assert_eq!(decode(&gzip(&vec![0; FREE]), 9, 8 << 20).expect("a small one").len(), FREE);
    }

    #[test]
    fn damage_and_half_a_body_are_no_body() {
        let whole = gzip(b"hello hello hello");
        let mut flipped = whole.clone();
        let checksum = flipped.len() - 6;
        flipped[checksum] ^= 1;
        let trailing = [whole.as_slice(), b"junk"].concat();
        for (name, bytes) in
            [("half", &whole[..whole.len() - 3]), ("flipped", &flipped), ("junk", b"<html>"), ("trailing", &trailing)]
        {
            let err = decode(bytes, 5, 1_000).expect_err(name);
            assert!(matches!(err, WireError::Encoding { .. }), "{name}: {err}");
        }
    }

    #[test]
    fn one_gzip_is_understood_and_nothing_over_it() {
        for (values, coding) in [
            (&[][..], Coding::Plain),
            (&["identity"], Coding::Plain),
            (&["GZip"], Coding::Gzip),
            (&["identity, x-gzip"], Coding::Gzip),
            (&["br"], Coding::Other("br".to_owned())),
            (&["gzip, gzip"], Coding::Other("gzip, gzip".to_owned())),
            (&["gzip", "zstd"], Coding::Other("gzip, zstd".to_owned())),
        ] {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(header::CONTENT_ENCODING, value.parse().expect("value"));
            }
            assert_eq!(Coding::of(&headers), coding, "{values:?}");
        }
    }
}
