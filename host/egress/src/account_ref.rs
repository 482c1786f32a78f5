//! Which account at the partner a request is sent under, as a digest the ledger can keep.
//!
//! Connection, origins, settings and secret slots go in, and of each slot the field that names the account: the user,
//! the client, or the key where there is nothing else. Of its value only two bytes of a digest are used. That tells a
//! change (it misses one in 65,536) and cannot be turned back. A new password of the same user is the same account. A
//! version in the vault carries its account's two bytes with it, so that also a new key can be the same account's.

use wharf_domain::ids::Digest;

use crate::Grant;
use crate::vault::{Vault, account};

impl Grant {
    /// The account behind this grant, with the configuration's secrets.
    pub fn account_ref(&self) -> Digest {
        self.account_with(None)
    }

    /// The account behind this grant, with the secrets that are sent now. The same text for the same account, in every
    /// process that has looked into the vault.
    pub(crate) fn account_with(&self, vault: Option<&Vault>) -> Digest {
        let mut text = format!("{}\n{}\n", self.tenant, self.connection);
        let mut origins: Vec<_> = self.origins.iter().map(|origin| origin.url.trim_end_matches('/')).collect();
        origins.sort_unstable();
        for origin in origins {
            text.push_str(&format!("origin {origin}\n"));
        }
        for (key, value) in &self.config {
            text.push_str(&format!("config {key}={}\n", Digest::of(value.as_bytes())));
        }
        for (name, secret) in &self.secrets {
            let held = vault.and_then(|vault| vault.peek(&self.tenant, &self.connection, name));
            let trace = match held.and_then(|held| held.current) {
                Some(value) => value.account.clone(),
                None => account(&secret.slot, &secret.values),
            };
            text.push_str(&format!("secret {name} {trace}\n"));
        }
        Digest::of(text.as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use secrecy::SecretString;
    use wharf_domain::ids::TenantId;

    use wharf_domain::manifest::SecretSlot;

    use super::*;
    use crate::{BoundSecret, Limits, Origin};

    fn grant(account: &str, user: &str, password: &str) -> Grant {
        let values = [("username", user), ("password", password)];
        let values = values.map(|(field, value)| (field.to_owned(), SecretString::from(value.to_owned())));
        Grant {
            tenant: TenantId::parse("t").expect("tenant"),
            connection: "acme".to_owned(),
            adapter_digest: None,
            origins: vec![Origin { url: "https://api.example".to_owned(), allow_private: false, authority: None }],
            routes: vec![],
            secrets: BTreeMap::from([(
                "login".to_owned(),
                BoundSecret { slot: SecretSlot::Basic, values: BTreeMap::from(values) },
            )]),
            config: BTreeMap::from([("account".to_owned(), account.to_owned())]),
            limits: Limits::default(),
            terms: None,
        }
    }

    #[test]
    fn another_account_user_or_endpoint_is_another_account_and_a_new_password_is_not() {
        let before = grant("A1", "ana", "old").account_ref();
        assert_eq!(before, grant("A1", "ana", "new").account_ref());
        assert_ne!(before, grant("A2", "ana", "old").account_ref());
        assert_ne!(before, grant("A1", "bob", "old").account_ref());
        let mut moved = grant("A1", "ana", "old");
        moved.origins[0].url = "https://api2.example".to_owned();
        assert_ne!(before, moved.account_ref());
    }
}
