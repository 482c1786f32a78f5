//! Puts a route's secret on a request, at the last moment and out of the caller's sight.

mod slot;
mod token;

use http::{HeaderName, HeaderValue, header};
use secrecy::{ExposeSecret, SecretString};
use wharf_domain::fault::Fault;
use wharf_domain::manifest::{Encoding, Hash, SecretSlot};
use wharf_domain::secret::SecretAt;

use crate::exchange::Budget;
use crate::identity::Identity;
use crate::policy::Permitted;
use crate::redact::Secrets;
use crate::sign::{self, Signed};
use crate::{Grant, Room, fault, oauth};

use slot::Slot;

/// A header with its value, and how that may be shown.
pub(crate) struct Header {
    pub(crate) name: HeaderName,
    pub(crate) value: HeaderValue,
    pub(crate) shown: String,
}

/// What proves who asks. No `Debug`.
pub(crate) struct Credential {
    proof: Proof,
    /// For a token of the cache: which one, so that a refused token is replaced once.
    pub(crate) serial: Option<u64>,
    /// The version of the vault it is made of; `None` when the grant had the value.
    pub(crate) kept: Option<(SecretAt, i64)>,
}

enum Proof {
    Header(Header),
    Signature(Box<Signer>),
    Certificate(Identity),
}

/// Signs the request once it is complete.
struct Signer {
    header: HeaderName,
    timestamp: Option<HeaderName>,
    format: String,
    shown: String,
    hash: Hash,
    encoding: Encoding,
    template: String,
    key: SecretString,
}

/// What the partner has just turned down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refused {
    /// A token, by its serial.
    Token(u64),
    /// A version of the vault.
    Version(i64),
}

impl Credential {
    /// The headers of the complete request. `None` when a signature cannot stand in its header.
    pub(crate) fn headers(&self, request: &Signed<'_>) -> Option<Vec<Header>> {
        let signer = match &self.proof {
            Proof::Header(Header { name, value, shown }) => {
                return Some(vec![Header { name: name.clone(), value: value.clone(), shown: shown.clone() }]);
            }
            Proof::Certificate(_) => return Some(vec![]),
            Proof::Signature(signer) => signer,
        };
        let text = sign::fill(&signer.template, request);
        let signature = sign::sign(signer.hash, signer.encoding, &signer.key, &text);
        let mut value = HeaderValue::from_str(&signer.format.replace("{signature}", &signature)).ok()?;
        value.set_sensitive(true);
        let mut headers = vec![Header { name: signer.header.clone(), value, shown: signer.shown.clone() }];
        if let Some(name) = &signer.timestamp {
            let shown = sign::seconds(request.at);
            headers.push(Header { name: name.clone(), value: HeaderValue::from_str(&shown).ok()?, shown });
        }
        Some(headers)
    }

    /// The certificate to connect with.
    pub(crate) fn identity(&self) -> Option<&Identity> {
        match &self.proof {
            Proof::Certificate(identity) => Some(identity),
            _ => None,
        }
    }
}

/// The credential of the request's route; `None` for a route without one. `secrets` learns every value in use.
///
/// # Errors
/// A missing or unusable value is the operator's; a token endpoint that fails is classified by [`fault`]. Nothing was
/// sent to the resource.
pub(crate) async fn credential(
    room: &Room,
    grant: &Grant,
    permitted: &Permitted<'_>,
    secrets: &mut Secrets,
    budget: Budget,
    refused: Option<Refused>,
) -> Result<Option<Credential>, Fault> {
    let Some(name) = permitted.route.secret.as_deref() else {
        return Ok(None);
    };
    let slot = Slot::of(room, grant, name, refused).await?;
    let mut serial = None;
    let proof = match slot.slot {
        SecretSlot::Header { header, format } => Proof::Header(fixed(&slot, secrets, header, format)?),
        SecretSlot::OdooKey => Proof::Header(fixed(&slot, secrets, "authorization", "bearer {value}")?),
        SecretSlot::Basic => Proof::Header(basic(&slot, secrets)?),
        SecretSlot::HmacSign { .. } => signer(&slot, secrets)?,
        SecretSlot::Mtls => certificate(&slot, secrets, permitted)?,
        SecretSlot::Oauth2ClientCredentials { .. }
        | SecretSlot::Oauth2Refresh { .. }
        | SecretSlot::JwtBearer { .. } => {
            let shown = format!("Bearer {}", slot.shown("token"));
            let mut text = shown.clone();
            if !slot.offline {
                let token = slot.token(room, permitted, secrets, budget, refused).await?;
                text = format!("Bearer {}", token.value.expose_secret());
                serial = Some(token.serial);
            }
            Proof::Header(slot.header(header::AUTHORIZATION.as_str(), &text, shown)?)
        }
    };
    Ok(Some(Credential { proof, serial, kept: slot.kept() }))
}

fn fixed(slot: &Slot<'_>, secrets: &mut Secrets, header: &str, format: &str) -> Result<Header, Fault> {
    let value = slot.value("value")?;
    slot.learn(secrets, "value", value.expose_secret(), false);
    let text = format.replace("{value}", value.expose_secret());
    slot.header(header, &text, format.replace("{value}", &slot.shown("value")))
}

fn basic(slot: &Slot<'_>, secrets: &mut Secrets) -> Result<Header, Fault> {
    let (user, password) = (slot.value("username")?, slot.value("password")?);
    let text = if slot.offline {
        format!("Basic {}:{}", user.expose_secret(), password.expose_secret())
    } else {
        oauth::basic(&user, &password)
    };
    slot.learn(secrets, "username", user.expose_secret(), true);
    slot.learn(secrets, "password", password.expose_secret(), false);
    slot.learn(secrets, "password", text.trim_start_matches("Basic "), false);
    let shown = format!("Basic {}:{}", slot.shown("username"), slot.shown("password"));
    slot.header(header::AUTHORIZATION.as_str(), &text, shown)
}

/// Offline the name of the signature stands in its place.
fn signer(slot: &Slot<'_>, secrets: &mut Secrets) -> Result<Proof, Fault> {
    let SecretSlot::HmacSign { header, format, hash, encoding, template, timestamp_header } = slot.slot else {
        return Err(slot.wrong_kind());
    };
    let key = slot.value("key")?;
    slot.learn(secrets, "key", key.expose_secret(), false);
    let (mut format, mut shown) = (format.clone(), format.replace("{signature}", &slot.shown("signature")));
    if slot.slot.fields().contains(&"key_id") {
        let id = slot.value("key_id")?;
        slot.learn(secrets, "key_id", id.expose_secret(), true);
        if id.expose_secret().contains('{') {
            return Err(slot.unusable("has a brace in its `key_id`"));
        }
        format = format.replace("{key_id}", id.expose_secret());
        shown = shown.replace("{key_id}", &slot.shown("key_id"));
    }
    if slot.offline {
        return slot.header(header, &shown, shown.clone()).map(Proof::Header);
    }
    let names = slot.header(header, &format, String::new())?;
    let timestamp = timestamp_header.as_ref().map(|name| slot.header(name, "0", String::new())).transpose()?;
    Ok(Proof::Signature(Box::new(Signer {
        header: names.name,
        timestamp: timestamp.map(|timestamp| timestamp.name),
        format,
        shown,
        hash: *hash,
        encoding: *encoding,
        template: template.clone(),
        key,
    })))
}

/// Offline there is no connection to show it on.
fn certificate(slot: &Slot<'_>, secrets: &mut Secrets, permitted: &Permitted<'_>) -> Result<Proof, Fault> {
    if slot.offline {
        return Ok(Proof::Certificate(Identity::none()));
    }
    if !permitted.tls() {
        let text =
            format!("secret `{}` is a certificate, and `{}` is not reached over TLS", slot.name, permitted.origin());
        return Err(fault::operator("secret-unusable", text));
    }
    let (chain, key) = (slot.value("certificate")?, slot.value("private_key")?);
    slot.learn(secrets, "private_key", key.expose_secret(), false);
    let identity = Identity::parse(chain.expose_secret(), key.expose_secret());
    identity.map(Proof::Certificate).map_err(|rule| slot.unusable(rule))
}
