//! What a hostile adapter asks of Odoo, row by row of the attack corpus, and what it is told: one table for the stand-in
//! and for a real Odoo.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use async_trait::async_trait;
use serde_json::{Value, json};
use wharf_domain::fault::{Blame, Fault, FaultKind};
use wharf_domain::grant::{OdooAccess, OdooGrant};
use wharf_domain::ids::ConnectionId;
use wharf_domain::port::records::{Ask, Asker, Options, Search, WriteBudget};

/// Records the attacks aim at.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Places {
    pub(crate) company: i64,
    pub(crate) own_partner: i64,
    /// Of no company: everybody's to read, nobody's to write.
    pub(crate) shared_partner: i64,
    pub(crate) foreign_company: i64,
    pub(crate) foreign_partner: i64,
    pub(crate) own_order: i64,
    pub(crate) own_line: i64,
}

/// One attack.
pub(crate) struct Attack {
    pub(crate) row: &'static str,
    pub(crate) ask: Ask,
    pub(crate) code: &'static str,
}

fn grant(model: &str, read: &[&str], write: &[&str], create: bool) -> OdooGrant {
    let set = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
    OdooGrant {
        model: model.to_owned(),
        read: set(read),
        write: set(write),
        create,
        domain: None,
        narrowed: None,
        max_records: 2_000,
    }
}

pub(crate) fn access(company: i64) -> OdooAccess {
    let partner = ["name", "zip", "ref", "comment", "parent_id", "child_ids", "country_id", "active"];
    let order = ["name", "state", "partner_id", "order_line", "client_order_ref", "date_order"];
    OdooAccess {
        companies: vec![company],
        writes_per_hour: 1_000,
        models: vec![
            grant("res.partner", &partner, &["name", "ref", "zip", "comment", "child_ids"], true),
            grant("res.country", &["code"], &[], false),
            grant("sale.order", &order, &["client_order_ref", "partner_id", "order_line"], true),
            grant(
                "sale.order.line",
                &["product_uom_qty", "product_id", "order_id"],
                &["product_uom_qty", "product_id"],
                true,
            ),
            grant("product.product", &["default_code"], &[], false),
        ],
    }
}

pub(crate) fn asker(access: OdooAccess) -> Asker {
    let connection = ConnectionId::parse("hostile").expect("connection");
    Asker { connection, adapter: None, access: Arc::new(access) }
}

pub(crate) fn search(model: &str, domain: Value, fields: &[&str]) -> Ask {
    let fields = fields.iter().map(|field| (*field).to_owned()).collect();
    Ask::SearchRead(Search { model: model.to_owned(), domain: domain.to_string(), fields, ..Search::default() })
}

pub(crate) fn write(model: &str, ids: &[i64], values: Value) -> Ask {
    Ask::Write { model: model.to_owned(), ids: ids.to_vec(), values: values.to_string(), options: Options::new() }
}

pub(crate) fn create(model: &str, key: &str, values: Value) -> Ask {
    let (model, key) = (model.to_owned(), key.to_owned());
    Ask::Create { model, key, values: values.to_string(), options: Options::new() }
}

pub(crate) fn read(model: &str, ids: &[i64], fields: &[&str]) -> Ask {
    let fields = fields.iter().map(|field| (*field).to_owned()).collect();
    Ask::Read { model: model.to_owned(), ids: ids.to_vec(), fields, options: Options::new() }
}

/// A purse with so many records in it.
pub(crate) struct Purse(AtomicU32);

impl Purse {
    pub(crate) fn of(records: u32) -> Self {
        Self(AtomicU32::new(records))
    }
}

#[async_trait]
impl WriteBudget for Purse {
    async fn take(&self, _asker: &Asker, records: u32) -> Result<(), Fault> {
        let taken = self.0.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(records));
        let empty = || Fault::new(FaultKind::RateLimited, "odoo.limit-odoo-writes", "the purse is empty", Blame::Guest);
        taken.map(drop).map_err(|_| empty())
    }
}

/// Every attack that is answered with a denial; nothing of it may reach a record.
pub(crate) fn attacks(at: &Places) -> Vec<Attack> {
    let mut all = Vec::new();
    let mut add = |row, ask, code| all.push(Attack { row, ask, code });
    for model in [
        "res.users",
        "res.users.apikeys",
        "ir.config_parameter",
        "ir.actions.server",
        "ir.cron",
        "base.automation",
        "ir.model.access",
        "ir.rule",
        "ir.module.module",
        "res.groups",
        "mail.template",
        "ir.attachment",
        "res.company",
        "stock.picking",
    ] {
        add("h1", search(model, json!([]), &["id"]), "odoo.denied-model");
        add("h1", write(model, &[1], json!({"name": "x"})), "odoo.denied-model");
    }
    for path in ["sale.order/unlink", "sale.order/action_confirm?", "../2/res.users", "sale.order/_write"] {
        add("h2", write(path, &[at.own_order], json!({"client_order_ref": "x"})), "odoo.denied-model");
    }
    for (domain, code) in [
        (json!([["user_ids.password", "like", "a%"]]), "odoo.denied-field"),
        (json!([["create_uid.password", "like", "a%"]]), "odoo.denied-field"),
        (json!([["child_ids", "any", [["user_ids", "any", [["login", "=", "admin"]]]]]]), "odoo.denied-field"),
        (json!([["child_ids.vat", "=like", "D%"]]), "odoo.denied-field"),
        (json!([["parent_id", "any!", [["zip", "=", "1"]]]]), "odoo.denied-operator"),
        (json!([["parent_id", "ilike", "DE123"]]), "odoo.denied-operator"),
        (json!([["parent_id", "=", "Azure Interior"]]), "odoo.denied-operator"),
        (json!([["country_id.currency_id", "!=", false]]), "odoo.denied-field"),
        (json!(["|", ["name", "=", "x"], "!", ["signup_token", "!=", false]]), "odoo.denied-field"),
        (json!([["company_id", "=", at.foreign_company]]), "odoo.denied-field"),
        (json!([[1, "=", 1]]), "odoo.invalid-domain"),
    ] {
        add("h3", search("res.partner", domain, &["name"]), code);
    }
    let sorted = |order: &str| {
        let order = vec![order.to_owned()];
        Ask::SearchRead(Search { model: "res.partner".to_owned(), order, ..Search::default() })
    };
    for (ask, code) in [
        (search("res.partner", json!([]), &["vat"]), "odoo.denied-field"),
        (search("res.partner", json!([]), &["parent_id.vat"]), "odoo.denied-field"),
        (search("res.partner", json!([["vat", "!=", false]]), &["id"]), "odoo.denied-field"),
        (sorted("vat desc"), "odoo.denied-field"),
        (sorted("parent_id"), "odoo.denied-order"),
        (sorted("name, vat"), "odoo.denied-order"),
    ] {
        add("h4", ask, code);
    }
    for (values, code) in [
        (json!({"order_line": [[1, at.own_line, {"price_unit": 0.01}]]}), "odoo.denied-field"),
        (json!({"order_line": [[0, 0, {"product_id": 1, "discount": 99}]]}), "odoo.denied-field"),
        (json!({"order_line": [[2, at.own_line, 0]]}), "odoo.denied-command"),
        (json!({"order_line": [[6, 0, []]]}), "odoo.denied-command"),
        (json!({"order_line": [[5]]}), "odoo.denied-command"),
        (json!({"order_line": [[4, at.own_line]]}), "odoo.denied-field"),
        (json!({"state": "sale"}), "odoo.denied-field"),
        (json!({"user_id": 2}), "odoo.denied-field"),
    ] {
        add("h5", write("sale.order", &[at.own_order], values), code);
    }
    for (name, value) in [
        ("allowed_company_ids", "[1,2,3]"),
        ("force_company", "2"),
        ("default_user_id", "2"),
        ("active_test", "0"),
        ("tracking_disable", "1"),
        ("install_mode", "1"),
        ("bin_size", "1"),
        ("lang", "xx_XX"),
    ] {
        let options = vec![(name.to_owned(), value.to_owned())];
        let ask = Ask::SearchRead(Search { model: "res.partner".to_owned(), options, ..Search::default() });
        add("h6", ask, "odoo.denied-context");
    }
    let company = vec![("company".to_owned(), at.foreign_company.to_string())];
    let elsewhere = Ask::SearchRead(Search { model: "res.partner".to_owned(), options: company, ..Search::default() });
    for (ask, code) in [
        (elsewhere, "odoo.denied-company"),
        (write("res.partner", &[at.foreign_partner], json!({"ref": "x"})), "odoo.denied-record"),
        (write("res.partner", &[at.own_partner, at.foreign_partner], json!({"ref": "x"})), "odoo.denied-record"),
        (write("res.partner", &[at.shared_partner], json!({"ref": "x"})), "odoo.denied-record"),
        (write("sale.order", &[at.own_order], json!({"partner_id": at.foreign_partner})), "odoo.denied-record"),
        (create("sale.order", "k-foreign", json!({"partner_id": at.foreign_partner})), "odoo.denied-record"),
        (create("res.partner", "k-company", json!({"name": "x", "company_id": 1})), "odoo.denied-field"),
        (
            write("res.partner", &[at.own_partner], json!({"child_ids": [[1, at.foreign_partner, {"ref": "x"}]]})),
            "odoo.denied-record",
        ),
        (write("res.partner", &[at.own_partner], json!({"child_ids": [[4, at.foreign_partner]]})), "odoo.denied-field"),
    ] {
        add("h7", ask, code);
    }
    all
}
