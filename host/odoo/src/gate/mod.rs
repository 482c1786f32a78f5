//! What an adapter may ask of Odoo, decided before anything leaves: pure, over what was asked, what was granted and
//! what Odoo says its fields are.
//!
//! Everything a guest hands in is parsed into a value of its own, and the request is built out of that value: a text
//! this file does not understand cannot reach Odoo. What is not granted is denied with the rule and the line that would
//! allow it.

mod child;
pub(crate) mod create;
mod denial;
pub(crate) mod domain;
pub(crate) mod expr;
mod grants;
pub(crate) mod options;
pub(crate) mod page;
pub(crate) mod schema;
pub(crate) mod values;

#[cfg(test)]
mod fuzz;
#[cfg(test)]
mod properties;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod world;

pub(crate) use denial::Denial;
pub use grants::{GrantError, check};
pub(crate) use schema::Schema;

use wharf_domain::grant::{OdooAccess, OdooGrant};

/// The gate of one ask: what was granted, and what Odoo's fields are.
#[derive(Clone, Copy)]
pub(crate) struct Gate<'a> {
    pub(crate) access: &'a OdooAccess,
    pub(crate) schema: &'a Schema,
    /// The companies of this ask: those granted, or the one of them the adapter named.
    pub(crate) companies: &'a [i64],
}

/// What a field is wanted for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Use {
    Read,
    Write,
}

impl<'a> Gate<'a> {
    /// The grant of a model.
    pub(crate) fn model(&self, name: &str) -> Result<&'a OdooGrant, Denial> {
        if grants::never(name) {
            return Err(Denial::Never { model: denial::shown(name) });
        }
        self.access.model(name).ok_or_else(|| Denial::Model { model: denial::shown(name) })
    }

    /// A field of a granted model that may be used so. `id` may always be read and never be written.
    pub(crate) fn field(&self, grant: &OdooGrant, name: &str, wanted: Use) -> Result<&'a schema::Field, Denial> {
        let granted = match wanted {
            Use::Read => name == "id" || grant.read.contains(name),
            Use::Write => grant.write.contains(name),
        };
        let model = || grant.model.clone();
        if wanted == Use::Write && grants::host_owned(name) {
            return Err(Denial::HostField { model: model(), field: name.to_owned() });
        }
        if !granted {
            return Err(Denial::Field { model: model(), field: denial::shown(name), wanted });
        }
        let field = self.schema.field(&grant.model, name);
        let field = field.ok_or_else(|| Denial::NoSuchField { model: model(), field: name.to_owned() })?;
        if field.kind == schema::Kind::Closed {
            return Err(Denial::Kind { model: model(), field: name.to_owned() });
        }
        Ok(field)
    }

    /// The model a relational field leads to; it needs a grant of its own.
    pub(crate) fn target(&self, field: &'a schema::Field) -> Result<&'a OdooGrant, Denial> {
        self.model(field.relation.as_deref().unwrap_or_default())
    }
}
