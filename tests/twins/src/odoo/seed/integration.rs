//! What an integration's setup leaves behind: the outbox model, rules that fill it in the transaction of the change, a
//! bot user who may do what releasing an order needs and nothing else, and its key.

use serde_json::{Value, json};

use super::{GROUP_USER, grant};
use crate::odoo::Integration;
use crate::odoo::env::Env;
use crate::odoo::errors::Result;
use crate::odoo::records::vals;
use crate::odoo::session;

const OUTBOX: &str = "x_wharf_outbox";
const ORDERS: &str = "[('state', 'in', ['sale', 'cancel'])]";

/// Model, watched fields, domain, event, order.
const RULES: [(&str, &[&str], &str, &str, &str); 3] = [
    ("sale.order", &["state"], ORDERS, "'order.' + record.state", "id"),
    (
        "stock.picking",
        &["state"],
        "[('picking_type_code', '=', 'outgoing'), ('sale_id', '!=', False)]",
        "'delivery'",
        "sale_id.id",
    ),
    (
        "stock.move",
        &["state", "quantity", "product_uom_qty"],
        "[('picking_id.picking_type_code', '=', 'outgoing'), ('picking_id.sale_id', '!=', False)]",
        "'reservation'",
        "picking_id.sale_id.id",
    ),
];

const READ_ONLY: [&str; 9] = [
    "sale.order",
    "sale.order.line",
    "stock.picking.type",
    "stock.move",
    "stock.move.line",
    "stock.package",
    "stock.package.type",
    "stock.warehouse",
    "delivery.carrier",
];

pub(super) fn plant(env: &mut Env<'_>, integration: &Integration) -> Result<()> {
    let columns = [
        ("x_event", "char", "Event"),
        ("x_order_id", "integer", "Sales order"),
        ("x_company_id", "integer", "Company"),
    ];
    let fields: Vec<Value> = columns
        .iter()
        .map(|(name, ttype, label)| json!([0, 0, {"name": name, "ttype": ttype, "field_description": label}]))
        .collect();
    env.create(
        "ir.model",
        vals! {"name": "Outbox", "model": OUTBOX, "state": "manual", "order": "id", "field_id": fields},
    )?;
    let group = env.create("res.groups", vals! {"name": "Bot", "implied_ids": [[6, 0, [GROUP_USER]]]})?;
    for model in READ_ONLY {
        grant(env, model, group, [true, false, false, false])?;
    }
    grant(env, "stock.picking", group, [true, true, false, false])?;
    grant(env, OUTBOX, group, [true, false, false, true])?;
    let bot = vals! {"name": "Bot", "login": "bot", "group_ids": [[6, 0, [group]]]};
    let bot = env.create("res.users", bot)?;
    session::store_key(env, bot, "bot", &integration.bot_key, 90)?;
    for (model, fields, domain, event, order) in RULES {
        let code = format!(
            "env['{OUTBOX}'].sudo().create({{'x_event': {event}, 'x_order_id': record.{order}, 'x_company_id': \
             record.company_id.id}})"
        );
        rule(env, model, fields, domain, json!({"state": "code", "code": code}))?;
    }
    if let Some(url) = &integration.webhook_url {
        rule(env, "sale.order", &["state"], ORDERS, json!({"state": "webhook", "webhook_url": url}))?;
    }
    Ok(())
}

fn rule(env: &mut Env<'_>, model: &str, fields: &[&str], domain: &str, mut action: Value) -> Result<()> {
    let watched = env.db.having("ir.model.fields", "model", &json!(model)).unwrap_or_default();
    let watched: Vec<i64> =
        watched.into_iter().filter(|f| fields.contains(&env.text("ir.model.fields", *f, "name").as_str())).collect();
    let name = format!("Outbox {model}");
    action["name"] = json!(name);
    action["model_id"] = json!(env.model_id(model));
    action["usage"] = json!("base_automation");
    let rule = vals! {
        "name": name, "model_id": env.model_id(model), "trigger": "on_create_or_write",
        "trigger_field_ids": [[6, 0, watched]], "filter_domain": domain, "action_server_ids": [[0, 0, action]],
    };
    env.create("base.automation", rule).map(|_| ())
}
