//! Where the ERP's events come from: the outbox, or polling.

pub(crate) mod outbox;
pub(crate) mod poll;
