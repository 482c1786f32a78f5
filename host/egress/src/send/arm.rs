//! The credential of a request: fetched before it is written down as being sent, replaced when it is turned down, told of
//! afterwards.

use tokio::time::timeout_at;
use wharf_domain::effect::EffectClass;
use wharf_domain::fault::Fault;
use wharf_domain::ids::ConnectionId;
use wharf_domain::secret::SecretAt;

use super::Call;
use crate::exchange::{Bearing, Budget};
use crate::inject::{Credential, Refused, credential};
use crate::redact::{Redactor, Secrets};
use crate::sign::Signed;
use crate::wire::WireError;
use crate::{Response, fault};

/// The credential in hand, what must not be shown, and the time that is left.
pub(super) struct Armed {
    pub(super) credential: Option<Credential>,
    pub(super) redactor: Redactor,
    pub(super) budget: Budget,
}

impl Armed {
    pub(super) fn bearing(&self) -> Bearing<'_> {
        match self.credential.as_ref().map(Credential::identity) {
            None => Bearing::Nothing,
            Some(None) => Bearing::Secret,
            Some(Some(identity)) => Bearing::Certificate(identity),
        }
    }
}

impl Call<'_> {
    /// Fetches the credential, within the request's time.
    pub(super) async fn arm(&self, refused: Option<Refused>, budget: Budget) -> Result<Armed, Fault> {
        let mut secrets = Secrets::default();
        let fetch = credential(self.room, self.grant, &self.permitted, &mut secrets, budget, refused);
        let credential = match timeout_at(budget.until, Box::pin(fetch)).await {
            Ok(credential) => credential?,
            Err(_) => {
                let slot = self.permitted.route.secret.as_deref().unwrap_or_default();
                return Err(fault::token_unanswered(&WireError::Timeout { millis: budget.millis }, slot));
            }
        };
        Ok(Armed { credential, redactor: secrets.redactor(), budget })
    }

    /// What a signature is made of.
    pub(super) fn signed<'s>(&'s self, body: &'s [u8]) -> Signed<'s> {
        let url = &self.permitted.url;
        Signed {
            method: &self.permitted.method,
            host: self.permitted.authority(),
            path: url.path(),
            query: url.query().unwrap_or_default(),
            body,
            at: self.room.now(),
        }
    }

    /// Did the partner turn a credential down, having done nothing, and is there another one to try? A token is fetched
    /// anew; a secret gives way to the version that has followed it, or to the one before it.
    pub(super) async fn turned_down(&self, armed: &Armed, answer: &Response) -> Option<Refused> {
        let proof = self.permitted.class == EffectClass::Read || self.permitted.route.proves_no_effect(401);
        if answer.status != 401 || !proof {
            return None;
        }
        let credential = armed.credential.as_ref()?;
        if let Some(serial) = credential.serial {
            return Some(Refused::Token(serial));
        }
        let ((at, version), vault) = (credential.kept.as_ref()?, self.room.vault.as_ref()?);
        vault.another(at, *version, self.room.now()).await.then_some(Refused::Version(*version))
    }

    /// For people who ask which secrets are still in use, and whether a partner is careless with them. `echo` is the
    /// status of an answer that held one.
    pub(super) async fn note_use(&self, armed: &Armed, echo: Option<u16>) {
        let kept = armed.credential.as_ref().and_then(|credential| credential.kept.as_ref());
        if let (Some(vault), Some((at, version))) = (&self.room.vault, kept) {
            vault.used(at, *version).await;
        }
        let (Some(status), Some(slot), Some(db)) = (echo, &self.permitted.route.secret, &self.room.db) else { return };
        tracing::warn!(
            tenant = %self.grant.tenant, connection = %self.grant.connection, secret = slot, status,
            "`{}` of `{}` sent secret `{slot}` back; it was taken out", self.name, self.grant.connection
        );
        let Ok(connection) = ConnectionId::parse(&self.grant.connection) else { return };
        let at = SecretAt { tenant: self.grant.tenant.clone(), connection, slot: slot.clone() };
        if let Err(err) = self.room.echoes.note(db, &at, &self.permitted.route.path, status).await {
            tracing::warn!(tenant = %at.tenant, "failed to write down that secret `{at}` came back: {err}");
        }
    }
}
