//! The port through which an adapter asks for records of the tenant's Odoo. Implemented by the Odoo room, which decides
//! what is allowed; by fakes in tests. There are four verbs and nothing else.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;

use crate::ctx::CallCtx;
use crate::fault::Fault;
use crate::grant::OdooAccess;
use crate::ids::{ConnectionId, Digest};

/// One tenant's Odoo, behind the gate.
#[async_trait]
pub trait Records: Send + Sync {
    /// Does one thing for an adapter, within what it was granted, and adds to `used` what it took.
    ///
    /// A write may be repeated without a second effect, a create too: it happens once per key.
    ///
    /// # Errors
    /// `odoo.denied-<rule>` with what would allow it, `odoo.limit-<name>`, `odoo.invalid-<what>`; nothing was sent then.
    /// Otherwise what Odoo or the way to it said.
    async fn ask(
        &self,
        ctx: &CallCtx,
        asker: &Asker,
        used: &mut Used,
        budget: &dyn WriteBudget,
        ask: Ask,
    ) -> Result<Answer, Fault>;
}

/// How many records a connection may still create or change; counted over all hosts.
#[async_trait]
pub trait WriteBudget: Send + Sync {
    /// Takes `records` out of the hour's budget. What was taken is not given back, whatever becomes of the write.
    ///
    /// # Errors
    /// `odoo.limit-odoo-writes`, to be tried again when the hour is over.
    async fn take(&self, asker: &Asker, records: u32) -> Result<(), Fault>;
}

/// Who asks.
#[derive(Debug, Clone)]
pub struct Asker {
    pub connection: ConnectionId,
    /// The adapter; absent in tests of the room.
    pub adapter: Option<Digest>,
    pub access: Arc<OdooAccess>,
}

/// What one call of an adapter has used so far. Starts empty, and travels from one ask of the call to the next.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Used {
    /// Requests to Odoo, and those that change something: their number names them in the ledger.
    pub requests: u32,
    pub mutating: u32,
    /// Something may have been changed.
    pub risked: bool,
    /// Records by model.
    pub records: BTreeMap<String, u32>,
    /// Bytes of the answers.
    pub bytes: usize,
    /// Set when a request was not sent because it has to wait: why, and until when.
    pub wait: Option<Fault>,
}

/// What is asked. Domains and values are JSON text as the adapter wrote it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ask {
    SearchRead(Search),
    Read {
        model: String,
        ids: Vec<i64>,
        fields: Vec<String>,
        options: Options,
    },
    /// `key` names the record for ever: letters, digits, `_` and `-`, unique per connection and model.
    Create {
        model: String,
        key: String,
        values: String,
        options: Options,
    },
    Write {
        model: String,
        ids: Vec<i64>,
        values: String,
        options: Options,
    },
}

/// `lang`, `tz`, `company`; anything else is denied.
pub type Options = Vec<(String, String)>;

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Search {
    pub model: String,
    pub domain: String,
    pub fields: Vec<String>,
    /// `field`, `field asc` or `field desc`.
    pub order: Vec<String>,
    /// 0: as many as one page holds.
    pub limit: u32,
    pub offset: u32,
    pub options: Options,
}

impl Ask {
    /// Bytes of text the adapter hands over with it.
    pub fn bytes(&self) -> usize {
        let texts = |list: &[String]| list.iter().map(String::len).sum::<usize>();
        let (own, options) = match self {
            Self::SearchRead(Search { model, domain, fields, order, options, .. }) => {
                (model.len() + domain.len() + texts(fields) + texts(order), options)
            }
            Self::Read { model, ids, fields, options } => (model.len() + 8 * ids.len() + texts(fields), options),
            Self::Create { model, key, values, options } => (model.len() + key.len() + values.len(), options),
            Self::Write { model, ids, values, options } => (model.len() + 8 * ids.len() + values.len(), options),
        };
        own + options.iter().map(|(name, value)| name.len() + value.len()).sum::<usize>()
    }

    /// Does it change something in Odoo?
    pub fn mutates(&self) -> bool {
        matches!(self, Self::Create { .. } | Self::Write { .. })
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    Page(Page),
    /// The record's id, whether it was made now or before.
    Created(i64),
    Written,
}

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Page {
    /// A JSON array of objects with `id` and the fields asked for; what is absent is null, a relation an id or a list of
    /// ids.
    pub records: String,
    /// There are further records.
    pub more: bool,
    /// Texts that were too long and were cut, as `id.field`.
    pub cut: Vec<String>,
}
