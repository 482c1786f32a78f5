//! Puts a route's secret on a request, at the last moment and out of the caller's sight.

use std::collections::BTreeMap;
use std::sync::Arc;

use http::{HeaderName, HeaderValue, Method, header};
use secrecy::{ExposeSecret, SecretString};
use wharf_domain::fault::Fault;
use wharf_domain::ids::ConnectionId;
use wharf_domain::manifest::SecretSlot;
use wharf_domain::secret::SecretAt;

use crate::exchange::{Budget, exchange};
use crate::oauth::{self, Granted, TokenKey};
use crate::policy::Permitted;
use crate::redact::Secrets;
use crate::vault::Value;
use crate::wire::{Caps, WireRequest};
use crate::{Grant, Room, fault};

/// Token answers are small.
const TOKEN_CAPS: Caps = Caps { body_bytes: 64 << 10, headers: 64, head_bytes: 16 << 10 };

/// A header that proves who asks, and the same header as it may be shown. No `Debug`.
pub(crate) struct Credential {
    pub(crate) name: HeaderName,
    pub(crate) value: HeaderValue,
    pub(crate) shown: String,
    /// For a token of the cache: which one, so that a refused token is replaced once.
    pub(crate) serial: Option<u64>,
    /// The version of the vault it is made of; `None` when the grant had the value.
    pub(crate) kept: Option<(SecretAt, i64)>,
}

/// What the partner has just turned down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refused {
    /// A token, by its serial.
    Token(u64),
    /// A version of the vault.
    Version(i64),
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
    let mut credential = match slot.slot {
        SecretSlot::Header { header, format } => {
            let value = slot.value("value")?;
            slot.learn(secrets, "value", value.expose_secret(), false);
            let text = format.replace("{value}", value.expose_secret());
            let shown = format.replace("{value}", &slot.shown("value"));
            slot.header(header, &text, shown, None)?
        }
        SecretSlot::Basic => {
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
            slot.header(header::AUTHORIZATION.as_str(), &text, shown, None)?
        }
        SecretSlot::Oauth2ClientCredentials { .. } => {
            let shown = format!("Bearer {}", slot.shown("token"));
            if slot.offline {
                slot.header(header::AUTHORIZATION.as_str(), &shown, shown.clone(), None)?
            } else {
                let token = slot.token(room, permitted, secrets, budget, refused).await?;
                let text = format!("Bearer {}", token.value.expose_secret());
                slot.header(header::AUTHORIZATION.as_str(), &text, shown, Some(token.serial))?
            }
        }
    };
    credential.kept = slot.kept();
    Ok(Some(credential))
}

/// Where a slot's values are.
enum Values<'a> {
    /// In the grant: from the configuration, or from the caller itself.
    Given(&'a BTreeMap<String, SecretString>),
    Kept(Arc<Value>),
}

/// One slot in use.
struct Slot<'a> {
    grant: &'a Grant,
    name: &'a str,
    slot: &'a SecretSlot,
    values: Values<'a>,
    /// Names go in place of values.
    offline: bool,
}

impl<'a> Slot<'a> {
    /// The slot with the values that count now.
    async fn of(room: &Room, grant: &'a Grant, name: &'a str, refused: Option<Refused>) -> Result<Self, Fault> {
        let secret = grant.secrets.get(name).ok_or_else(|| missing(grant, name, None))?;
        // Without a ledger a call is a try-out, and a slot nobody filled goes by name there too.
        let offline = room.wire.offline() || (room.db.is_none() && secret.values.is_empty());
        let mut values = Values::Given(&secret.values);
        if let Some(vault) = room.vault.as_ref().filter(|_| !offline) {
            vault.fresh(&grant.tenant).await?;
            if let Some(held) = vault.peek(&grant.tenant, &grant.connection, name) {
                if let Some(why) = &held.shut {
                    return Err(fault::sealed(&format!("{}/{name}", grant.connection), why));
                }
                let after = match refused {
                    Some(Refused::Version(version)) => held.after(version, room.now()).cloned(),
                    _ => None,
                };
                if let Some(value) = after.or(held.current) {
                    values = Values::Kept(value);
                }
            }
        }
        Ok(Self { grant, name, slot: &secret.slot, values, offline })
    }

    /// What stands in place of a field's value.
    fn shown(&self, field: &str) -> String {
        format!("{{{{secret:{}.{field}}}}}", self.name)
    }

    /// A name in place of a value is no secret.
    fn learn(&self, secrets: &mut Secrets, field: &str, value: &str, identifier: bool) {
        if !self.offline {
            secrets.learn(&self.shown(field), value, identifier);
        }
    }

    fn value(&self, field: &str) -> Result<SecretString, Fault> {
        if self.offline {
            return Ok(SecretString::from(self.shown(field)));
        }
        let values = match &self.values {
            Values::Given(values) => values,
            Values::Kept(value) => &value.fields,
        };
        match values.get(field) {
            Some(value) if !value.expose_secret().is_empty() => Ok(value.clone()),
            _ => Err(missing(self.grant, self.name, Some(field))),
        }
    }

    /// The place and the version in use, when they are the vault's.
    fn kept(&self) -> Option<(SecretAt, i64)> {
        let Values::Kept(value) = &self.values else { return None };
        let connection = ConnectionId::parse(&self.grant.connection).ok()?;
        let at = SecretAt { tenant: self.grant.tenant.clone(), connection, slot: self.name.to_owned() };
        Some((at, value.version))
    }

    /// The slot with other values: those that followed the ones in use, or the ones before them.
    async fn instead(&self, room: &Room) -> Option<Self> {
        let ((at, version), vault) = (self.kept()?, room.vault.as_ref()?);
        if !vault.another(&at, version, room.now()).await {
            return None;
        }
        Self::of(room, self.grant, self.name, Some(Refused::Version(version))).await.ok()
    }

    fn header(&self, name: &str, text: &str, shown: String, serial: Option<u64>) -> Result<Credential, Fault> {
        let unusable = |what: &str| {
            let text = format!("secret `{}` of connection `{}` {what}", self.name, self.grant.connection);
            fault::operator("secret-unusable", text)
        };
        let name = HeaderName::from_bytes(name.as_bytes())
            .map_err(|_| unusable("names a header that does not exist in HTTP; correct its manifest"))?;
        let mut value = HeaderValue::from_str(text)
            .map_err(|_| unusable("holds characters a header cannot carry; look for a line break"))?;
        value.set_sensitive(true);
        Ok(Credential { name, value, shown, serial, kept: None })
    }

    async fn token(
        &self,
        room: &Room,
        permitted: &Permitted<'_>,
        secrets: &mut Secrets,
        budget: Budget,
        refused: Option<Refused>,
    ) -> Result<oauth::Token, Fault> {
        let (id, secret) = (self.value("client_id")?, self.value("client_secret")?);
        let pair = self.pair(secrets)?;
        let key = TokenKey {
            tenant: self.grant.tenant.as_str().to_owned(),
            connection: self.grant.connection.clone(),
            slot: self.name.to_owned(),
            origin: permitted.origin(),
        };
        let credentials = oauth::fingerprint(&id, &secret);
        let refused = match refused {
            Some(Refused::Token(serial)) => Some(serial),
            _ => None,
        };
        let fetch = async {
            match self.fetch(room, permitted, budget, &pair).await {
                Err(fault) if fault.code == fault::TOKEN_REFUSED => match self.instead(room).await {
                    Some(other) => {
                        let pair = other.pair(secrets)?;
                        other.fetch(room, permitted, budget, &pair).await
                    }
                    None => Err(fault),
                },
                done => done,
            }
        };
        let token = room.tokens.get(key, credentials, room.clock.as_ref(), refused, fetch).await?;
        self.learn(secrets, "token", token.value.expose_secret(), false);
        Ok(token)
    }

    /// What proves to the token endpoint who asks.
    fn pair(&self, secrets: &mut Secrets) -> Result<String, Fault> {
        let (id, secret) = (self.value("client_id")?, self.value("client_secret")?);
        let pair = oauth::basic(&id, &secret);
        self.learn(secrets, "client_id", id.expose_secret(), true);
        self.learn(secrets, "client_secret", secret.expose_secret(), false);
        self.learn(secrets, "client_secret", pair.trim_start_matches("Basic "), false);
        Ok(pair)
    }

    /// One request to the token endpoint, at the origin the call goes to. Repeated by nobody.
    async fn fetch(
        &self,
        room: &Room,
        permitted: &Permitted<'_>,
        budget: Budget,
        pair: &str,
    ) -> Result<Granted, Fault> {
        let SecretSlot::Oauth2ClientCredentials { token_path, form, headers_from_config } = self.slot else {
            return Err(fault::host("secret-unusable", format!("secret `{}` is no OAuth secret", self.name)));
        };
        let mut headers = vec![
            self.header("authorization", pair, String::new(), None).map(|c| (c.name, c.value))?,
            (header::ACCEPT, HeaderValue::from_static("application/json")),
            (header::CONTENT_TYPE, HeaderValue::from_static("application/x-www-form-urlencoded")),
        ];
        for (name, key) in headers_from_config {
            let Some(value) = self.grant.config.get(key) else {
                let text = format!(
                    "secret `{}` needs the setting `{key}`; give it under `config` of connection `{}`",
                    self.name, self.grant.connection
                );
                return Err(fault::operator("config-missing", text));
            };
            headers.push(self.header(name, value, String::new(), None).map(|c| (c.name, c.value))?);
        }
        let request = WireRequest {
            method: Method::POST,
            path: token_path.clone(),
            headers,
            body: oauth::form(form).into_bytes().into(),
        };
        let outcome = exchange(room, permitted, request, TOKEN_CAPS, budget, true).await;
        let answer = outcome.answer.map_err(|err| fault::token_unanswered(&err, self.name))?;
        if !(200..300).contains(&answer.status) {
            return Err(fault::token_refused(answer.status, self.name));
        }
        oauth::parse(&answer.body).map_err(|err| fault::token_unreadable(&err, self.name))
    }
}

fn missing(grant: &Grant, slot: &str, field: Option<&str>) -> Fault {
    let name = field.map_or_else(|| slot.to_owned(), |field| format!("{slot}.{field}"));
    let text = format!(
        "secret `{name}` has no value; give it under `secrets` of connection `{}`, or to the vault with `wharf secret set`",
        grant.connection
    );
    fault::operator("secret-missing", text)
}
