//! Assertions a client signs with its own key (RFC 7523): made for one token request, valid for minutes, never kept.

use aws_lc_rs::rand::{self, SystemRandom};
use aws_lc_rs::rsa;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, RSA_PKCS1_SHA256};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rustls::pki_types::PrivatePkcs8KeyDer;
use rustls::pki_types::pem::PemObject as _;
use secrecy::{ExposeSecret, SecretString};
use serde_json::json;
use wharf_domain::manifest::JwtAlgorithm;
use wharf_domain::time::Timestamp;

/// An assertion is good for this long; partners take at most five minutes to an hour.
const LIFETIME_S: i64 = 300;

/// What an assertion says.
pub(crate) struct Claims<'a> {
    pub(crate) issuer: &'a str,
    pub(crate) key_id: &'a str,
    pub(crate) audience: &'a str,
    pub(crate) scope: Option<&'a str>,
    pub(crate) now: Timestamp,
}

/// A private key that signs. No `Debug`.
pub(crate) enum SigningKey {
    Rsa(Box<rsa::KeyPair>),
    Ec(EcdsaKeyPair),
}

impl SigningKey {
    /// A PKCS#8 key in PEM, of the kind the algorithm needs. `Err` is the rule that was broken.
    pub(crate) fn parse(algorithm: JwtAlgorithm, pem: &str) -> Result<Self, &'static str> {
        const NO_PEM: &str = "must be a private key in PEM that begins with `-----BEGIN PRIVATE KEY-----`";
        let der = PrivatePkcs8KeyDer::from_pem_slice(pem.as_bytes()).map_err(|_| NO_PEM)?;
        let der = der.secret_pkcs8_der();
        match algorithm {
            JwtAlgorithm::Rs256 => rsa::KeyPair::from_pkcs8(der)
                .map(|pair| Self::Rsa(Box::new(pair)))
                .map_err(|_| "must be an RSA key of 2048 to 8192 bits, for RS256"),
            JwtAlgorithm::Es256 => EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, der)
                .map(Self::Ec)
                .map_err(|_| "must be a key on the curve P-256, for ES256"),
        }
    }

    fn sign(&self, text: &[u8]) -> Option<Vec<u8>> {
        let random = SystemRandom::new();
        match self {
            Self::Rsa(pair) => {
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(&RSA_PKCS1_SHA256, &random, text, &mut signature).ok()?;
                Some(signature)
            }
            Self::Ec(pair) => pair.sign(&random, text).ok().map(|signature| signature.as_ref().to_vec()),
        }
    }
}

/// The assertion. `None` only when the system gives no randomness.
pub(crate) fn assertion(algorithm: JwtAlgorithm, key: &SigningKey, claims: &Claims<'_>) -> Option<SecretString> {
    let mut id = [0; 16];
    rand::fill(&mut id).ok()?;
    let name = match algorithm {
        JwtAlgorithm::Rs256 => "RS256",
        JwtAlgorithm::Es256 => "ES256",
    };
    let issued = claims.now.millis().div_euclid(1_000);
    let header = json!({ "alg": name, "typ": "JWT", "kid": claims.key_id });
    let mut body = json!({
        "iss": claims.issuer,
        "sub": claims.issuer,
        "aud": claims.audience,
        "iat": issued,
        "exp": issued + LIFETIME_S,
        "jti": URL_SAFE_NO_PAD.encode(id),
    });
    if let Some(scope) = claims.scope {
        body["scope"] = scope.into();
    }
    let encode = |value: &serde_json::Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let text = format!("{}.{}", encode(&header), encode(&body));
    let signature = URL_SAFE_NO_PAD.encode(key.sign(text.as_bytes())?);
    Some(SecretString::from(format!("{text}.{signature}")))
}

/// The fields of the token request that carry an assertion.
pub(crate) fn grant(assertion: &SecretString) -> [(&'static str, &str); 2] {
    [("grant_type", "urn:ietf:params:oauth:grant-type:jwt-bearer"), ("assertion", assertion.expose_secret())]
}

#[cfg(test)]
mod tests {
    use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED, KeyPair as _, RSA_PKCS1_2048_8192_SHA256, UnparsedPublicKey};

    use super::*;

    fn claims() -> Claims<'static> {
        Claims {
            issuer: "client-1",
            key_id: "k1",
            audience: "https://partner.example/token",
            scope: Some("ship"),
            now: Timestamp::from_millis(1_700_000_000_999),
        }
    }

    fn pem(der: &[u8]) -> String {
        let text = base64::engine::general_purpose::STANDARD.encode(der);
        let lines: Vec<_> = text.as_bytes().chunks(64).map(|line| String::from_utf8_lossy(line).into_owned()).collect();
        format!("-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n", lines.join("\n"))
    }

    fn ec() -> String {
        let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).expect("key");
        pem(pair.to_pkcs8v1().expect("pkcs8").as_ref())
    }

    fn rsa_key() -> String {
        use aws_lc_rs::encoding::{AsDer as _, Pkcs8V1Der};
        let pair = rsa::KeyPair::generate(rsa::KeySize::Rsa2048).expect("key");
        let der: Pkcs8V1Der<'_> = pair.as_der().expect("pkcs8");
        pem(der.as_ref())
    }

    #[test]
    fn an_assertion_is_signed_for_its_audience_and_short() {
        for (algorithm, key) in [(JwtAlgorithm::Es256, ec()), (JwtAlgorithm::Rs256, rsa_key())] {
            let key = SigningKey::parse(algorithm, &key).expect("key");
            let made = assertion(algorithm, &key, &claims()).expect("assertion");
            let (text, signature) = made.expose_secret().rsplit_once('.').expect("three parts");
            let signature = URL_SAFE_NO_PAD.decode(signature).expect("base64");
            let verified = match &key {
                SigningKey::Rsa(pair) => {
                    let public = pair.public_key().as_ref();
                    UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, public).verify(text.as_bytes(), &signature)
                }
                SigningKey::Ec(pair) => {
                    let public = pair.public_key().as_ref();
                    UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, public).verify(text.as_bytes(), &signature)
                }
            };
            verified.expect("the signature fits");
            let (_, body) = text.split_once('.').expect("two parts");
            let body: serde_json::Value =
                serde_json::from_slice(&URL_SAFE_NO_PAD.decode(body).expect("base64")).expect("json");
            assert_eq!((&body["iat"], &body["exp"]), (&1_700_000_000.into(), &1_700_000_300.into()));
            assert_eq!((&body["iss"], &body["aud"]), (&"client-1".into(), &"https://partner.example/token".into()));
            let again = assertion(algorithm, &key, &claims()).expect("assertion");
            assert_ne!(made.expose_secret(), again.expose_secret(), "an assertion is used once");
        }
    }

    #[test]
    fn a_key_of_another_kind_is_refused_with_the_kind_that_is_needed() {
        for (algorithm, text, rule) in [
            (JwtAlgorithm::Rs256, ec(), "RSA"),
            (JwtAlgorithm::Es256, rsa_key(), "P-256"),
            (JwtAlgorithm::Es256, "canary".to_owned(), "PEM"),
        ] {
            let refused = SigningKey::parse(algorithm, &text).err().expect("refused");
            assert!(refused.contains(rule) && !refused.contains("canary"), "{refused}");
        }
    }
}
