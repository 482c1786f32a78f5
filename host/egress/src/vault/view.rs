//! What is open of one tenant: the values that may be sent, by slot.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use secrecy::{ExposeSecret, SecretString};
use wharf_domain::ids::Digest;
use wharf_domain::manifest::SecretSlot;
use wharf_domain::secret::{SecretAt, Stage};
use wharf_domain::time::Timestamp;

/// One version's values by field. No `Debug`.
pub(crate) struct Value {
    pub(crate) version: i64,
    pub(crate) fields: BTreeMap<String, SecretString>,
    /// See [`account`].
    pub(crate) account: String,
}

/// What a slot has.
#[derive(Clone, Default)]
pub(crate) struct Held {
    pub(crate) current: Option<Arc<Value>>,
    /// With the moment it ends.
    previous: Option<(Arc<Value>, Timestamp)>,
    /// Why it does not open. Then nothing of it is used, and nothing in place of it.
    pub(crate) shut: Option<String>,
}

impl Held {
    /// The value to send once `refused` was turned down: a newer one, or the one before it of the same account.
    pub(crate) fn after(&self, refused: i64, now: Timestamp) -> Option<&Arc<Value>> {
        let current = self.current.as_ref()?;
        if current.version != refused {
            return Some(current);
        }
        self.previous(now)
    }

    /// The version before the current one, while it may be used. Never another account's: an effect would be bought
    /// where nobody looks for it.
    pub(crate) fn previous(&self, now: Timestamp) -> Option<&Arc<Value>> {
        let current = self.current.as_ref()?;
        let (previous, until) = self.previous.as_ref()?;
        (now < *until && previous.account == current.account).then_some(previous)
    }
}

/// By connection and slot.
#[derive(Default)]
pub(crate) struct View(HashMap<String, HashMap<String, Held>>);

impl View {
    pub(crate) fn get(&self, connection: &str, slot: &str) -> Option<Held> {
        let held = self.0.get(connection)?.get(slot)?;
        // What is only laid by is not sent.
        (held.current.is_some() || held.shut.is_some()).then(|| held.clone())
    }

    pub(crate) fn add(&mut self, at: &SecretAt, stage: Stage, valid_until: Option<Timestamp>, value: Value) {
        let held = self.held(at);
        match (stage, valid_until) {
            (Stage::Current, _) => held.current = Some(Arc::new(value)),
            (Stage::Previous, Some(until)) => held.previous = Some((Arc::new(value), until)),
            _ => {}
        }
    }

    /// A version that does not open. Only the current one has to.
    pub(crate) fn shut(&mut self, at: &SecretAt, stage: Stage, why: String) {
        if stage == Stage::Current {
            self.held(at).shut = Some(why);
        }
    }

    fn held(&mut self, at: &SecretAt) -> &mut Held {
        self.0.entry(at.connection.to_string()).or_default().entry(at.slot.clone()).or_default()
    }
}

/// Whose account values are: two bytes of a digest of the field that names it, or of the first one where none does. That
/// tells a change (it misses one in 65,536) and cannot be turned back. Empty without a value.
pub(crate) fn account(slot: &SecretSlot, values: &BTreeMap<String, SecretString>) -> String {
    let field = slot.names_account().or(slot.fields().first().copied()).unwrap_or_default();
    values.get(field).map(|value| mark(value.expose_secret().as_bytes())).unwrap_or_default()
}

/// Two bytes of a digest.
pub(crate) fn mark(bytes: &[u8]) -> String {
    Digest::of(bytes).hex().get(..4).unwrap_or_default().to_owned()
}
