//! Odoo's models as this room reads and writes them: the fields asked for, and what they mean in domain words.

pub(crate) mod attachment;
pub(crate) mod message;
pub(crate) mod outbox;
pub(crate) mod product;
pub(crate) mod res_partner;
pub(crate) mod sale_order;
pub(crate) mod stock_package;
pub(crate) mod stock_picking;
