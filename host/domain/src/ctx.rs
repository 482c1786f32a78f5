//! What travels with every call to the outside: who asks, for whom, until when.

use serde::{Deserialize, Serialize};

use crate::effect::BusinessKey;
use crate::ids::{JobId, TenantId};
use crate::time::Timestamp;

/// Is money real here?
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Environment {
    Test,
    Live,
}

/// Who does something: in every log line, audit row and effect.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Actor {
    /// A flow's own decision.
    Flow(String),
    /// The queue, Odoo's outbox reader, a schedule.
    Host(String),
    /// A person or a service account, by name.
    User(String),
}

impl std::fmt::Display for Actor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Flow(name) => write!(f, "flow:{name}"),
            Self::Host(name) => write!(f, "host:{name}"),
            Self::User(name) => write!(f, "user:{name}"),
        }
    }
}

/// The context of one outside call made on behalf of a job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CallCtx {
    pub tenant: TenantId,
    /// Absent in offline calls and in reads made outside a job. An effect needs a job.
    pub job: Option<JobId>,
    /// The job's fence: a worker that lost its lease cannot record an outcome.
    pub fence: i64,
    /// Counted from 1.
    pub attempt: u32,
    /// The flow's key, for logs and tapes.
    pub flow: Option<String>,
    /// Set for a command that must happen once.
    pub business: Option<BusinessKey>,
    /// No request may be on the wire after this moment.
    pub deadline: Timestamp,
    /// Cut-off or interactive: goes first where calls to the partner have to wait.
    pub urgent: bool,
    /// When the job was told to come back, once it has waited: its place in the line at the partner.
    pub promised: Option<Timestamp>,
}
