//! Bearer tokens of OAuth 2 (RFC 6749 section 5.1): fetched once, kept until shortly before they end, never taped,
//! journaled or shown.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use thiserror::Error;
use wharf_domain::time::{Clock, Timestamp};

/// A token is not used in its last minute.
const MARGIN_MS: i64 = 60_000;
/// For an endpoint that does not say how long its token lives.
const DEFAULT_LIFETIME_S: i64 = 300;
const MAX_LIFETIME_S: i64 = 30 * 24 * 3600;

/// Whose token.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct TokenKey {
    pub(crate) tenant: String,
    pub(crate) connection: String,
    pub(crate) slot: String,
    pub(crate) origin: String,
}

/// A token in use. `serial` tells a refused token from its successor.
#[derive(Clone)]
pub(crate) struct Token {
    pub(crate) value: SecretString,
    pub(crate) serial: u64,
    usable_until: Timestamp,
    /// Of the credentials it was fetched with: rotated credentials do not use the old account's token.
    credentials: [u8; 32],
}

/// What the endpoint granted.
pub(crate) struct Granted {
    pub(crate) value: SecretString,
    pub(crate) lifetime_s: i64,
    /// The one to use next time; `None` when the endpoint names none.
    pub(crate) refresh_token: Option<SecretString>,
}

/// All tokens of the host, in memory only.
#[derive(Default)]
pub(crate) struct Tokens {
    slots: Mutex<HashMap<TokenKey, Arc<tokio::sync::Mutex<Slot>>>>,
}

#[derive(Default)]
struct Slot {
    token: Option<Token>,
    serial: u64,
}

impl Tokens {
    /// The cached token, or what `fetch` brings. Callers of one key wait for each other, so many parallel requests
    /// make one token request. `refused` is the serial of a token the partner just turned down.
    pub(crate) async fn get<E>(
        &self,
        key: TokenKey,
        credentials: [u8; 32],
        clock: &dyn Clock,
        refused: Option<u64>,
        fetch: impl Future<Output = Result<Granted, E>>,
    ) -> Result<Token, E> {
        let slot = {
            let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(slots.entry(key).or_default())
        };
        let mut slot = slot.lock().await;
        if let Some(token) = &slot.token
            && token.usable_until > clock.now()
            && token.credentials == credentials
            && refused != Some(token.serial)
        {
            return Ok(token.clone());
        }
        slot.token = None;
        // Taken before the fetch: the partner's clock starts no earlier.
        let started = clock.now();
        let granted = fetch.await?;
        slot.serial += 1;
        let token = Token {
            value: granted.value,
            serial: slot.serial,
            usable_until: started.plus(granted.lifetime_s * 1_000 - MARGIN_MS),
            credentials,
        };
        slot.token = Some(token.clone());
        Ok(token)
    }
}

/// Tells one set of credentials from another without keeping them.
pub(crate) fn fingerprint(values: &[SecretString]) -> [u8; 32] {
    let mut hash = Sha256::new();
    for value in values {
        hash.update((value.expose_secret().len() as u64).to_be_bytes());
        hash.update(value.expose_secret());
    }
    hash.finalize().into()
}

/// The value of the token request's `authorization` header. Taken as they are, without the percent-encoding of
/// RFC 6749 section 2.3.1: the partners seen compare the bytes.
pub(crate) fn basic(user: &SecretString, password: &SecretString) -> String {
    format!("Basic {}", STANDARD.encode(format!("{}:{}", user.expose_secret(), password.expose_secret())))
}

/// The token request's body.
pub(crate) fn form(grant: &[(&str, &str)], fields: &BTreeMap<String, String>) -> String {
    let mut form = url::form_urlencoded::Serializer::new(String::new());
    form.extend_pairs(grant);
    form.extend_pairs(fields.iter());
    form.finish()
}

/// Why a 200 of a token endpoint holds no token. Never quotes the answer.
#[derive(Debug, PartialEq, Eq, Error)]
pub(crate) enum TokenError {
    #[error("it is not a JSON object")]
    NotJson,
    #[error("`access_token` is missing or empty")]
    NoToken,
    #[error("`token_type` is not `Bearer`")]
    NotBearer,
    #[error("`expires_in` is not a number of seconds")]
    BadLifetime,
}

/// Reads the endpoint's answer. `expires_in` is seconds, as a number or as text.
pub(crate) fn parse(body: &[u8]) -> Result<Granted, TokenError> {
    let answer: Value = serde_json::from_slice(body).map_err(|_| TokenError::NotJson)?;
    let answer = answer.as_object().ok_or(TokenError::NotJson)?;
    let value = answer.get("access_token").and_then(Value::as_str).unwrap_or_default();
    // Anything else would break the header it goes into.
    if value.is_empty() || !value.bytes().all(|b| b.is_ascii_graphic()) {
        return Err(TokenError::NoToken);
    }
    if !answer.get("token_type").and_then(Value::as_str).unwrap_or("bearer").eq_ignore_ascii_case("bearer") {
        return Err(TokenError::NotBearer);
    }
    let lifetime = match answer.get("expires_in") {
        None | Some(Value::Null) => Some(DEFAULT_LIFETIME_S),
        Some(Value::Number(seconds)) => seconds.as_i64(),
        Some(Value::String(seconds)) => seconds.trim().parse().ok(),
        Some(_) => None,
    };
    let lifetime_s = lifetime.filter(|seconds| *seconds >= 0).ok_or(TokenError::BadLifetime)?.min(MAX_LIFETIME_S);
    let refresh_token = answer.get("refresh_token").and_then(Value::as_str).filter(|text| !text.is_empty());
    let refresh_token = refresh_token.map(|text| SecretString::from(text.to_owned()));
    Ok(Granted { value: SecretString::from(value.to_owned()), lifetime_s, refresh_token })
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use wharf_domain::time::ManualClock;

    use super::*;

    #[test]
    fn a_lifetime_is_a_number_or_a_text() {
        for (text, seconds) in [
            (r#"{"access_token":"t","token_type":"Bearer","expires_in":"14399"}"#, Ok(14_399)),
            (r#"{"access_token":"t","token_type":"bearer","expires_in":3600}"#, Ok(3_600)),
            (r#"{"access_token":"t"}"#, Ok(300)),
            (r#"{"access_token":"t","expires_in":99999999999999}"#, Ok(MAX_LIFETIME_S)),
            (r#"{"access_token":"t","expires_in":"soon"}"#, Err(TokenError::BadLifetime)),
            (r#"{"access_token":"t","expires_in":-1}"#, Err(TokenError::BadLifetime)),
            (r#"{"access_token":"t","token_type":"mac"}"#, Err(TokenError::NotBearer)),
            (r#"{"access_token":"a\r\nb: c"}"#, Err(TokenError::NoToken)),
            ("{}", Err(TokenError::NoToken)),
            ("<html>", Err(TokenError::NotJson)),
        ] {
            assert_eq!(parse(text.as_bytes()).map(|granted| granted.lifetime_s), seconds, "{text}");
        }
    }

    #[test]
    fn the_form_is_encoded() {
        let fields = BTreeMap::from([("scope".to_owned(), "a b&c".to_owned())]);
        assert_eq!(
            form(&[("grant_type", "client_credentials")], &fields),
            "grant_type=client_credentials&scope=a+b%26c"
        );
    }

    #[tokio::test]
    async fn a_token_is_kept_until_its_last_minute_and_fetched_again_when_refused_or_rotated() {
        let (tokens, clock) = (Tokens::default(), ManualClock::at(0));
        let key = TokenKey {
            tenant: "t".to_owned(),
            connection: "c".to_owned(),
            slot: "s".to_owned(),
            origin: "https://x".to_owned(),
        };
        let get = async |credentials: u8, refused: Option<u64>, lifetime_s: i64| {
            let value = SecretString::from("t".to_owned());
            let fetch = async { Ok::<_, Infallible>(Granted { value, lifetime_s, refresh_token: None }) };
            tokens.get(key.clone(), [credentials; 32], &clock, refused, fetch).await.map(|token| token.serial)
        };
        assert_eq!(get(1, None, 120).await, Ok(1));
        clock.advance(59_999);
        assert_eq!(get(1, None, 120).await, Ok(1));
        clock.advance(1);
        assert_eq!(get(1, None, 120).await, Ok(2), "the last minute is not used");
        assert_eq!(get(1, Some(1), 120).await, Ok(2), "an older token was refused, not this one");
        assert_eq!(get(1, Some(2), 120).await, Ok(3));
        assert_eq!(get(2, None, 120).await, Ok(4), "other credentials, other token");
    }
}
