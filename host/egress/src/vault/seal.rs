//! Sealing: AES-256-GCM with a random nonce, bound to the place the sealed bytes belong to.
//!
//! A sealed text is a format byte, the nonce, the ciphertext and its tag. What it is bound to is not in it: bytes that
//! were moved to another row do not open there.

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use aws_lc_rs::{hmac, rand};
use base64::Engine as _;
use base64::alphabet::{STANDARD, URL_SAFE};
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use secrecy::{ExposeSecret, SecretString};
use thiserror::Error;
use zeroize::Zeroizing;

const KEY_LEN: usize = 32;
const FORMAT: u8 = 1;

/// Why something cannot be sealed or opened. Never says what was in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub(crate) enum SealError {
    #[error("it was not sealed here with this key, or it was changed")]
    Foreign,
    #[error("it is sealed in format {0}, which this version does not know")]
    Format(u8),
    #[error("the system gives no randomness")]
    NoRandomness,
}

/// 256 bits, wiped when they go. No `Debug`.
pub(crate) struct Key(Zeroizing<[u8; KEY_LEN]>);

/// What sealed bytes are bound to: a purpose and the names of their place.
pub(crate) struct Bond(Vec<u8>);

impl Bond {
    pub(crate) fn new(purpose: &str, names: &[&str]) -> Self {
        let mut bytes = Vec::new();
        // With lengths: `a`, `bc` is another place than `ab`, `c`.
        for part in std::iter::once(&purpose).chain(names) {
            bytes.extend_from_slice(&(part.len() as u64).to_be_bytes());
            bytes.extend_from_slice(part.as_bytes());
        }
        Self(bytes)
    }
}

impl Key {
    pub(crate) fn random() -> Result<Self, SealError> {
        let mut bytes = Zeroizing::new([0; KEY_LEN]);
        rand::fill(&mut *bytes).map_err(|_| SealError::NoRandomness)?;
        Ok(Self(bytes))
    }

    /// Of 32 bytes; anything else is no key.
    pub(crate) fn of(bytes: &[u8]) -> Option<Self> {
        let mut key = Zeroizing::new([0; KEY_LEN]);
        if bytes.len() != KEY_LEN {
            return None;
        }
        key.copy_from_slice(bytes);
        Some(Self(key))
    }

    /// A key as an operator keeps it: 64 hexadecimal digits, or base64 of 32 bytes.
    ///
    /// # Errors
    /// What is wrong with the text, without the text.
    pub(crate) fn parse(text: &SecretString) -> Result<Self, &'static str> {
        let text = text.expose_secret().trim();
        let lenient = GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
        let base64 = |alphabet| GeneralPurpose::new(alphabet, lenient).decode(text).map(Zeroizing::new).ok();
        let bytes = match hexadecimal(text) {
            Some(bytes) => bytes,
            None => base64(&STANDARD).or_else(|| base64(&URL_SAFE)).ok_or("it is neither hexadecimal nor base64")?,
        };
        let key = Self::of(&bytes).ok_or("it is not 32 bytes long")?;
        if key.0.iter().all(|byte| *byte == key.0[0]) {
            return Err("it is 32 times the same byte");
        }
        Ok(key)
    }

    /// A name for the key that does not give it away.
    pub(crate) fn id(&self) -> String {
        let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &*self.0), b"wharf vault key id");
        tag.as_ref().iter().take(8).map(|byte| format!("{byte:02x}")).collect()
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &*self.0
    }

    pub(crate) fn seal(&self, bond: &Bond, plain: &[u8]) -> Result<Vec<u8>, SealError> {
        let mut nonce = [0; NONCE_LEN];
        rand::fill(&mut nonce).map_err(|_| SealError::NoRandomness)?;
        // Only the ciphertext is ever in here but for the moment of sealing; it is wiped all the same.
        let mut bytes = Zeroizing::new(plain.to_vec());
        let tag = self
            .cipher()?
            .seal_in_place_separate_tag(Nonce::assume_unique_for_key(nonce), Aad::from(&bond.0), &mut bytes)
            .map_err(|_| SealError::Foreign)?;
        let mut sealed = Vec::with_capacity(1 + NONCE_LEN + bytes.len() + tag.as_ref().len());
        sealed.push(FORMAT);
        sealed.extend_from_slice(&nonce);
        sealed.extend_from_slice(&bytes);
        sealed.extend_from_slice(tag.as_ref());
        Ok(sealed)
    }

    pub(crate) fn open(&self, bond: &Bond, sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, SealError> {
        let (format, rest) = sealed.split_first().ok_or(SealError::Foreign)?;
        if *format != FORMAT {
            return Err(SealError::Format(*format));
        }
        let (nonce, rest) = rest.split_at_checked(NONCE_LEN).ok_or(SealError::Foreign)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_| SealError::Foreign)?;
        let mut bytes = Zeroizing::new(rest.to_vec());
        let opened = self.cipher()?.open_in_place(nonce, Aad::from(&bond.0), &mut bytes);
        let length = opened.map_err(|_| SealError::Foreign)?.len();
        bytes.truncate(length);
        Ok(bytes)
    }

    fn cipher(&self) -> Result<LessSafeKey, SealError> {
        // Fails for a key of another length only.
        UnboundKey::new(&AES_256_GCM, &*self.0).map(LessSafeKey::new).map_err(|_| SealError::Foreign)
    }
}

fn hexadecimal(text: &str) -> Option<Zeroizing<Vec<u8>>> {
    if text.len() != 2 * KEY_LEN || !text.is_ascii() {
        return None;
    }
    let pairs = (0..text.len()).step_by(2);
    pairs.map(|at| u8::from_str_radix(&text[at..at + 2], 16).ok()).collect::<Option<Vec<u8>>>().map(Zeroizing::new)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bond(version: &str) -> Bond {
        Bond::new("secret", &["nordic", "acme", "oauth", version])
    }

    #[test]
    fn what_was_sealed_opens_in_its_place_and_nowhere_else() {
        let key = Key::random().expect("key");
        let sealed = key.seal(&bond("1"), b"canary").expect("sealed");
        assert_eq!(&key.open(&bond("1"), &sealed).expect("opened")[..], b"canary");
        assert!(!sealed.windows(6).any(|six| six == b"canary"));
        assert_ne!(sealed, key.seal(&bond("1"), b"canary").expect("sealed"), "a nonce is not used twice");
        for other in [
            Bond::new("secret", &["other", "acme", "oauth", "1"]),
            Bond::new("secret", &["nordic", "other", "oauth", "1"]),
            Bond::new("secret", &["nordic", "acme", "other", "1"]),
            Bond::new("secret", &["nordic", "acme", "oauth", "2"]),
            Bond::new("other", &["nordic", "acme", "oauth", "1"]),
            Bond::new("secret", &["nordic", "acm", "eoauth", "1"]),
        ] {
            assert_eq!(key.open(&other, &sealed).err(), Some(SealError::Foreign));
        }
        assert_eq!(Key::random().expect("key").open(&bond("1"), &sealed).err(), Some(SealError::Foreign));
    }

    #[test]
    fn a_changed_bit_or_a_missing_byte_is_noticed() {
        let key = Key::random().expect("key");
        let sealed = key.seal(&bond("1"), b"canary").expect("sealed");
        for at in 0..sealed.len() {
            let mut bent = sealed.clone();
            bent[at] ^= 1;
            assert!(key.open(&bond("1"), &bent).is_err(), "byte {at}");
            assert!(key.open(&bond("1"), &sealed[..at]).is_err(), "{at} bytes");
        }
    }

    #[test]
    fn a_key_is_read_in_either_spelling_and_refused_with_a_reason() {
        let hex = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";
        let parse = |text: &str| Key::parse(&SecretString::from(text.to_owned()));
        let id = parse(hex).expect("hex").id();
        for same in [
            &hex.to_uppercase(),
            "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=",
            "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8",
            " AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\n",
        ] {
            assert_eq!(parse(same).expect("key").id(), id);
        }
        assert_eq!(id.len(), 16);
        for (text, why) in
            [("", "32 bytes"), ("passphrase!", "neither"), ("AAECAw==", "32 bytes"), (&"00".repeat(32), "same byte")]
        {
            let refused = parse(text).err().expect("no key");
            assert!(refused.contains(why), "{text}: {refused}");
        }
    }
}
