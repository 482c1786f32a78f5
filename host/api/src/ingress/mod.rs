//! What outside systems post to us.

pub(crate) mod odoo;
