//! What an integration did to Odoo: every write of a tracking reference, every new attachment, every new note.

use serde::Serialize;
use serde_json::Value;

/// One line, complete.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Effect {
    /// Counted from 1.
    pub(super) id: usize,
    #[serde(flatten)]
    pub(super) draft: Draft,
    /// RFC 3339.
    pub(super) at: String,
}

/// One line before its transaction is committed.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Draft {
    pub(super) kind: Kind,
    pub(super) model: String,
    /// The record written to, or attached to.
    pub(super) res_id: i64,
    /// Its name, e.g. `WH/OUT/00007`.
    pub(super) name: String,
    /// The sales order's name; empty where there is none.
    pub(super) order: String,
    /// The tracking reference, the attachment's SHA-256, the note's body.
    pub(super) value: Value,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Kind {
    Tracking,
    Attachment,
    Note,
}
