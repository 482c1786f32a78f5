//! Whether a grant can be given at all: models that are closed to every adapter, and domains that can be read.

use thiserror::Error;
use wharf_domain::grant::{OdooAccess, OdooGrant};

use super::domain;

/// Closed to adapters, whoever grants them: users, keys, rights, code, automation, mail and files. A name with a dot at
/// its end closes everything below it.
const NEVER: [&str; 25] = [
    "ir.",
    "res.users",
    "res.users.",
    "res.groups",
    "res.groups.",
    "res.company",
    "res.config",
    "res.config.",
    "res.device",
    "res.device.",
    "base.",
    "base_import.",
    "mail.",
    "bus.",
    "discuss.",
    "sms.",
    "auth.",
    "auth_totp.",
    "auth_oauth.",
    "change.password.",
    "fetchmail.",
    "iap.",
    "payment.",
    "digest.",
    "x_wharf_",
];

/// Written by the host or by Odoo only: identity, company, and states, which move goods and money.
const HOST_OWNED: [&str; 10] = [
    "id",
    "state",
    "company_id",
    "company_ids",
    "create_uid",
    "create_date",
    "write_uid",
    "write_date",
    "parent_path",
    "display_name",
];

/// A quantity written into a quant moves stock without a stock move.
const READ_ONLY: [&str; 1] = ["stock.quant"];

pub(super) fn never(model: &str) -> bool {
    NEVER.iter().any(|closed| match *closed {
        prefix if prefix.ends_with(['.', '_']) => model.starts_with(prefix),
        exact => model == exact,
    })
}

pub(super) fn host_owned(field: &str) -> bool {
    HOST_OWNED.contains(&field)
}

/// Why nobody can grant this.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum GrantError {
    #[error("`{model}` can be granted to no adapter; take it out of `odoo.model`")]
    Never { model: String },
    #[error("`{name}` is no name of a model or a field of Odoo; use a-z, 0-9, `_` and, in models, `.`")]
    Name { name: String },
    #[error("`{field}` in `write` of `{model}` is written by the host only; take it out")]
    HostField { model: String, field: String },
    #[error(
        "`{model}` may be read only, since a write would move stock without a trace; take `write` and `create` out"
    )]
    ReadOnly { model: String },
    #[error("`domain` of `{model}`: {why}")]
    Domain { model: String, why: String },
}

/// Checks what can be checked without asking Odoo.
///
/// # Errors
/// Names the model or field that has to go.
pub fn check(access: &OdooAccess) -> Result<(), GrantError> {
    access.models.iter().try_for_each(model)
}

fn model(grant: &OdooGrant) -> Result<(), GrantError> {
    let plain = |text: &str, dots: bool| {
        let fine = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_' || (dots && b == b'.');
        (1..=64).contains(&text.len()) && text.bytes().all(fine) && !text.starts_with('_')
    };
    if !plain(&grant.model, true) || grant.model.split('.').any(str::is_empty) {
        return Err(GrantError::Name { name: grant.model.clone() });
    }
    if never(&grant.model) {
        return Err(GrantError::Never { model: grant.model.clone() });
    }
    if let Some(name) = grant.read.iter().chain(&grant.write).find(|name| !plain(name, false)) {
        return Err(GrantError::Name { name: name.clone() });
    }
    if let Some(field) = grant.write.iter().find(|field| host_owned(field)) {
        return Err(GrantError::HostField { model: grant.model.clone(), field: field.clone() });
    }
    if READ_ONLY.contains(&grant.model.as_str()) && (grant.create || !grant.write.is_empty()) {
        return Err(GrantError::ReadOnly { model: grant.model.clone() });
    }
    let parse = |text: &String| {
        domain::parse(text).map_err(|denial| GrantError::Domain { model: grant.model.clone(), why: denial.to_string() })
    };
    grant.narrowed.as_ref().map(parse).transpose()?;
    let own = grant.domain.as_ref().map(parse).transpose()?;
    let hidden = |field: &&str| *field != "id" && !grant.read.contains(*field);
    if let Some(field) = own.iter().flat_map(domain::Expr::fields).find(hidden) {
        let why = format!("the adapter's own looks at `{field}`; it would need to be in `read` of the grant");
        return Err(GrantError::Domain { model: grant.model.clone(), why });
    }
    Ok(())
}
