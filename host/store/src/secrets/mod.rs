//! Secrets at rest: sealed versions, which of them is sent, and the keys that seal them. What is in `sealed` only the
//! door out can tell; this room moves it about.
//!
//! Whoever changes a tenant's secrets takes the tenant's key first ([`take_key`]): two hosts never change them at the
//! same time, and the revision, which grows with every change, tells the others to look again.

mod exchange;
mod keys;
mod versions;

#[cfg(test)]
mod tests;

pub use exchange::{Exchange, begin_exchange, end_exchange};
pub use keys::{
    TenantKey, VaultKey, add_vault_key, any, drop_vault_keys, give_key, not_under, revision, rewrap, shred, take_key,
    vault_keys,
};
pub use versions::{
    NewVersion, SealedRow, SecretRow, echoed, kept, list, next_version, promote, put, remove, sealed, used,
};
