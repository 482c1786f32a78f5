//! Why something is refused, in words an operator can act on.

use thiserror::Error;
use wharf_domain::fault::{Blame, Fault, FaultKind};

use super::Use;

/// Texts of a guest are cut and escaped before they get in here.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub(crate) enum Denial {
    #[error(
        "`{model}` is not granted; it would need `[[odoo]] model = \"{model}\"` in the manifest and `[[tenant.connection.odoo.model]]` with it"
    )]
    Model { model: String },
    #[error("`{model}` is granted to no adapter; nothing allows it")]
    Never { model: String },
    #[error("{}", field_text(model, field, *wanted))]
    Field { model: String, field: String, wanted: Use },
    #[error("`{field}` of `{model}` is written by the host only; leave it out")]
    HostField { model: String, field: String },
    #[error("`{field}` of `{model}` is of a kind that is handed to no adapter; leave it out")]
    Kind { model: String, field: String },
    #[error(
        "Odoo has no field `{field}` in `{model}`, or hides it from the bot user; mend the manifest or install its module"
    )]
    NoSuchField { model: String, field: String },
    #[error("the domain is not readable: {why}")]
    BadDomain { why: String },
    #[error("`{path}`: {why}")]
    Path { path: String, why: &'static str },
    #[error("operator `{operator}` on `{path}` is refused: {why}")]
    Operator { path: String, operator: String, why: &'static str },
    #[error("`order` entry `{term}` is refused: {why}")]
    Order { term: String, why: &'static str },
    #[error("command {command} on `{field}` of `{model}` is refused: {why}")]
    Command { model: String, field: String, command: i64, why: &'static str },
    #[error(
        "option `{option}` is refused; the host builds the context, an adapter may give `lang`, `tz` and `company`"
    )]
    Context { option: String },
    #[error("`{option}` = `{value}` is refused: {why}")]
    Option { option: &'static str, value: String, why: &'static str },
    #[error("company {company} is not granted; it would need to be in `odoo.companies` of the connection")]
    Company { company: i64 },
    #[error("records of `{model}` belong to no company, so the host cannot tell whose they are; they may be read only")]
    NoCompany { model: String },
    #[error(
        "records may not be created in `{model}`; it would need `create = true` in the manifest and in `[[tenant.connection.odoo.model]]`"
    )]
    Create { model: String },
    #[error("some of the records of `{model}` are not there, or not the adapter's: {ids}")]
    Record { model: String, ids: String },
    #[error("{what} is not valid: {why}")]
    Invalid { what: &'static str, why: String },
    #[error(
        "this call has had its {most} records of `{model}`; `max_records` of the manifest and of the grant would allow more"
    )]
    Records { model: String, most: u32 },
    #[error("the answers of this call are over {most} bytes; ask for fewer fields or smaller pages")]
    Bytes { most: usize },
}

impl Denial {
    /// Kind, code and who has to act.
    fn class(&self) -> (FaultKind, &'static str, Blame) {
        let denied = |code| (FaultKind::Forbidden, code, Blame::Guest);
        match self {
            Self::Model { .. } | Self::Never { .. } => denied("odoo.denied-model"),
            Self::Field { .. } | Self::HostField { .. } | Self::Kind { .. } | Self::Path { .. } => {
                denied("odoo.denied-field")
            }
            Self::Operator { .. } => denied("odoo.denied-operator"),
            Self::Order { .. } => denied("odoo.denied-order"),
            Self::Command { .. } => denied("odoo.denied-command"),
            Self::Context { .. } | Self::Option { .. } => denied("odoo.denied-context"),
            Self::Company { .. } | Self::NoCompany { .. } => denied("odoo.denied-company"),
            Self::Create { .. } => denied("odoo.denied-create"),
            Self::Record { .. } => denied("odoo.denied-record"),
            Self::NoSuchField { .. } => (FaultKind::Unsupported, "odoo.no-such-field", Blame::Operator),
            Self::BadDomain { .. } => (FaultKind::InvalidInput, "odoo.invalid-domain", Blame::Guest),
            Self::Invalid { .. } => (FaultKind::InvalidInput, "odoo.invalid-input", Blame::Guest),
            Self::Records { .. } => denied("odoo.limit-odoo-records"),
            Self::Bytes { .. } => denied("odoo.limit-odoo-bytes"),
        }
    }
}

impl From<Denial> for Fault {
    fn from(denial: Denial) -> Self {
        let (kind, code, blame) = denial.class();
        Self::new(kind, code, denial.to_string(), blame)
    }
}

fn field_text(model: &str, field: &str, wanted: Use) -> String {
    let (verb, list) = match wanted {
        Use::Read => ("read, searched or sorted by", "read"),
        Use::Write => ("written", "write"),
    };
    format!(
        "`{field}` of `{model}` may not be {verb}; it would need to be in `{list}` of `[[odoo]]` in the manifest and of `[[tenant.connection.odoo.model]]`"
    )
}

/// A guest's text for a message: at most 80 characters, nothing that moves a cursor.
pub(super) fn shown(text: &str) -> String {
    text.chars().take(80).flat_map(char::escape_debug).collect()
}
