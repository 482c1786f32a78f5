//! What other systems send by themselves.

pub(crate) mod odoo;
