//! One slot in use: its values as they count now, and what may be shown in their place.

use std::collections::BTreeMap;
use std::sync::Arc;

use http::{HeaderName, HeaderValue};
use secrecy::{ExposeSecret, SecretString};
use wharf_domain::fault::Fault;
use wharf_domain::ids::ConnectionId;
use wharf_domain::manifest::SecretSlot;
use wharf_domain::secret::SecretAt;

use super::{Header, Refused};
use crate::redact::Secrets;
use crate::vault::Value;
use crate::{Grant, Room, fault};

/// Where a slot's values are.
enum Values<'a> {
    /// In the grant: from the configuration, or from the caller itself.
    Given(&'a BTreeMap<String, SecretString>),
    Kept(Arc<Value>),
}

/// One slot in use.
pub(super) struct Slot<'a> {
    pub(super) grant: &'a Grant,
    pub(super) name: &'a str,
    pub(super) slot: &'a SecretSlot,
    values: Values<'a>,
    /// Names go in place of values.
    pub(super) offline: bool,
}

impl<'a> Slot<'a> {
    /// The slot with the values that count now.
    pub(super) async fn of(
        room: &Room,
        grant: &'a Grant,
        name: &'a str,
        refused: Option<Refused>,
    ) -> Result<Self, Fault> {
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
    pub(super) fn shown(&self, field: &str) -> String {
        format!("{{{{secret:{}.{field}}}}}", self.name)
    }

    /// A name in place of a value is no secret.
    pub(super) fn learn(&self, secrets: &mut Secrets, field: &str, value: &str, identifier: bool) {
        if !self.offline {
            secrets.learn(&self.shown(field), value, identifier);
        }
    }

    pub(super) fn value(&self, field: &str) -> Result<SecretString, Fault> {
        if self.offline {
            return Ok(SecretString::from(self.shown(field)));
        }
        match self.fields().get(field) {
            Some(value) if !value.expose_secret().is_empty() => Ok(value.clone()),
            _ => Err(missing(self.grant, self.name, Some(field))),
        }
    }

    pub(super) fn fields(&self) -> &BTreeMap<String, SecretString> {
        match &self.values {
            Values::Given(values) => values,
            Values::Kept(value) => &value.fields,
        }
    }

    /// The place and the version in use, when they are the vault's.
    pub(super) fn kept(&self) -> Option<(SecretAt, i64)> {
        let Values::Kept(value) = &self.values else { return None };
        let connection = ConnectionId::parse(&self.grant.connection).ok()?;
        let at = SecretAt { tenant: self.grant.tenant.clone(), connection, slot: self.name.to_owned() };
        Some((at, value.version))
    }

    /// Whose account it is, by the vault; empty when it is not the vault's.
    pub(super) fn account(&self) -> &str {
        match &self.values {
            Values::Given(_) => "",
            Values::Kept(value) => &value.account,
        }
    }

    /// The slot with other values: those that followed the ones in use, or the ones before them.
    pub(super) async fn instead(&self, room: &Room) -> Option<Self> {
        let ((at, version), vault) = (self.kept()?, room.vault.as_ref()?);
        if !vault.another(&at, version, room.now()).await {
            return None;
        }
        Self::of(room, self.grant, self.name, Some(Refused::Version(version))).await.ok()
    }

    pub(super) fn header(&self, name: &str, text: &str, shown: String) -> Result<Header, Fault> {
        let name = HeaderName::from_bytes(name.as_bytes())
            .map_err(|_| self.unusable("names a header that does not exist in HTTP; correct its manifest"))?;
        let mut value = HeaderValue::from_str(text)
            .map_err(|_| self.unusable("holds characters a header cannot carry; look for a line break"))?;
        value.set_sensitive(true);
        Ok(Header { name, value, shown })
    }

    /// A value that cannot be used; `what` says why and never quotes it.
    pub(super) fn unusable(&self, what: &str) -> Fault {
        let text = format!("secret `{}` of connection `{}` {what}", self.name, self.grant.connection);
        fault::operator("secret-unusable", text)
    }

    /// A mistake of this room.
    pub(super) fn wrong_kind(&self) -> Fault {
        fault::host("secret-unusable", format!("secret `{}` is a `{}`", self.name, self.slot.kind()))
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
