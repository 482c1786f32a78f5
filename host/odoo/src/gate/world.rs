//! A small Odoo for the tests of the gate: fields as Odoo names them, and what a careful operator would grant of it.

use serde_json::{Value, json};
use wharf_domain::grant::{OdooAccess, OdooGrant};

use super::{Gate, Schema};

pub(super) const COMPANIES: [i64; 2] = [1, 4];

pub(super) struct World {
    pub(super) access: OdooAccess,
    pub(super) schema: Schema,
}

impl World {
    pub(super) fn gate(&self) -> Gate<'_> {
        Gate { access: &self.access, schema: &self.schema, companies: &self.access.companies }
    }
}

pub(super) fn grant(model: &str, read: &[&str], write: &[&str], create: bool) -> OdooGrant {
    let set = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
    OdooGrant {
        model: model.to_owned(),
        read: set(read),
        write: set(write),
        create,
        domain: None,
        narrowed: None,
        max_records: 500,
    }
}

pub(super) fn world() -> World {
    let order_write = ["client_order_ref", "partner_id", "order_line", "tag_ids", "note", "locked", "date_order"];
    let models = vec![
        grant(
            "sale.order",
            &["name", "state", "partner_id", "order_line", "tag_ids", "date_order"],
            &order_write,
            true,
        ),
        grant(
            "sale.order.line",
            &["product_uom_qty", "order_id", "product_id"],
            &["product_uom_qty", "product_id", "order_id"],
            true,
        ),
        grant("res.partner", &["name", "zip", "user_ids", "parent_id"], &[], false),
        grant("crm.tag", &["name"], &["name"], true),
        grant("product.product", &["default_code"], &[], false),
        grant("stock.location", &["name"], &[], false),
    ];
    let mut schema = Schema::default();
    for (model, fields) in fields() {
        schema.add(model, &fields);
    }
    World { access: OdooAccess { companies: COMPANIES.to_vec(), writes_per_hour: 100, models }, schema }
}

fn fields() -> [(&'static str, Value); 6] {
    let one = |model: &str| json!({"type": "many2one", "relation": model});
    let company = one("res.company");
    let own = json!({"type": "many2one", "relation": "res.company", "store": true, "readonly": false});
    [
        (
            "sale.order",
            json!({"id": {"type": "integer"}, "name": {"type": "char"}, "state": {"type": "selection"},
                "note": {"type": "html"}, "locked": {"type": "boolean"}, "date_order": {"type": "datetime"},
                "client_order_ref": {"type": "char"}, "partner_id": one("res.partner"), "company_id": own,
                "access_token": {"type": "char"}, "amount_total": {"type": "monetary"},
                "order_line": {"type": "one2many", "relation": "sale.order.line", "relation_field": "order_id"},
                "tag_ids": {"type": "many2many", "relation": "crm.tag"}}),
        ),
        (
            "sale.order.line",
            json!({"id": {"type": "integer"}, "product_uom_qty": {"type": "float"}, "order_id": one("sale.order"),
                "product_id": one("product.product"), "price_unit": {"type": "float"}, "company_id": company}),
        ),
        (
            "res.partner",
            json!({"id": {"type": "integer"}, "name": {"type": "char"}, "zip": {"type": "char"},
                "parent_id": one("res.partner"), "image_1920": {"type": "binary"}, "company_id": company,
                "user_ids": {"type": "one2many", "relation": "res.users", "relation_field": "partner_id"}}),
        ),
        ("crm.tag", json!({"id": {"type": "integer"}, "name": {"type": "char"}})),
        (
            "product.product",
            json!({"id": {"type": "integer"}, "default_code": {"type": "char"}, "company_id": company}),
        ),
        (
            "stock.location",
            json!({"id": {"type": "integer"}, "name": {"type": "char"}, "location_id": one("stock.location"),
                "company_id": company}),
        ),
    ]
}
