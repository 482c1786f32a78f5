//! The database at the start: one company with one warehouse in North Carolina, customers all over the United States,
//! products with weights and stock, carriers, an administrator; and, if asked for, what an integration's setup leaves.

mod goods;
mod integration;
mod places;

use serde_json::json;

use super::OdooConfig;
use super::env::Env;
use super::errors::Result;
use super::records::vals;
use super::session;

/// User ids.
const ODOOBOT: i64 = 1;
pub(super) const ADMIN: i64 = 2;
/// Group ids, as a real database has them.
pub(super) const GROUP_USER: i64 = 1;
const GROUP_ERP_MANAGER: i64 = 2;
pub(super) const GROUP_SYSTEM: i64 = 4;

pub(super) fn plant(env: &mut Env<'_>, config: &OdooConfig) -> Result<()> {
    describe_models(env)?;
    places::plant(env)?;
    people(env, config)?;
    places::plant_customers(env)?;
    rights(env)?;
    goods::plant(env, config.seed)?;
    if let Some(integration) = &config.integration {
        integration::plant(env, integration)?;
    }
    env.posts.clear();
    env.effects.clear();
    Ok(())
}

/// `ir.model` and `ir.model.fields` tell of every model of the schema.
fn describe_models(env: &mut Env<'_>) -> Result<()> {
    for (name, model) in env.db.schema.clone() {
        let row = vals! {"name": model.label, "model": name, "state": "base", "order": "id"};
        let id = env.create("ir.model", row)?;
        for field in model.fields.values() {
            let row = vals! {
                "name": field.name, "model": name, "model_id": id, "field_description": field.label,
                "ttype": field.kind.name(), "relation": field.kind.comodel().map_or(json!(false), |c| json!(c)),
                "required": field.required, "readonly": field.readonly, "store": !field.computed, "state": "base",
            };
            env.create("ir.model.fields", row)?;
        }
    }
    Ok(())
}

/// A name for a record, as modules give them.
fn name_it(env: &mut Env<'_>, xml_id: &str, model: &str, id: i64) -> Result<()> {
    let (module, name) = xml_id.split_once('.').unwrap_or(("base", xml_id));
    let row = vals! {"module": module, "name": name, "model": model, "res_id": id, "noupdate": true};
    env.create("ir.model.data", row).map(|_| ())
}

fn people(env: &mut Env<'_>, config: &OdooConfig) -> Result<()> {
    let groups = [
        ("Role / User", "base.group_user", vec![]),
        ("Access Rights", "base.group_erp_manager", vec![GROUP_USER]),
        ("Bypass HTML Field Sanitize", "base.group_sanitize_override", vec![]),
        ("Role / Administrator", "base.group_system", vec![GROUP_ERP_MANAGER]),
    ];
    for (name, xml_id, implied) in groups {
        let id = env.create("res.groups", vals! {"name": name, "implied_ids": [[6, 0, implied]]})?;
        name_it(env, xml_id, "res.groups", id)?;
    }
    for (name, login, group) in [("OdooBot", "__system__", GROUP_SYSTEM), ("Mitchell Admin", "admin", GROUP_SYSTEM)] {
        let partner = env.create("res.partner", vals! {"name": name, "parent_id": 1, "tz": "America/New_York"})?;
        let user = vals! {"login": login, "partner_id": partner, "group_ids": [[6, 0, [GROUP_USER, group]]]};
        let id = env.create("res.users", user)?;
        name_it(env, if id == ADMIN { "base.user_admin" } else { "base.user_root" }, "res.users", id)?;
    }
    env.write("res.users", &[ODOOBOT], &vals! {"active": false})?;
    session::set_password(env, ADMIN, &config.admin_password);
    session::store_key(env, ADMIN, "twin", &config.admin_key, 0)?;
    for (name, xml_id) in
        [("Discussions", "mail.mt_comment"), ("Note", "mail.mt_note"), ("Activities", "mail.mt_activities")]
    {
        let id = env.create("mail.message.subtype", vals! {"name": name, "internal": name != "Discussions"})?;
        name_it(env, xml_id, "mail.message.subtype", id)?;
    }
    Ok(())
}

/// What every internal user may do; the rest is up to further groups.
fn rights(env: &mut Env<'_>) -> Result<()> {
    const READ: [&str; 15] = [
        "res.company",
        "res.partner",
        "res.partner.category",
        "res.users",
        "res.users.apikeys",
        "res.country",
        "res.country.state",
        "res.currency",
        "mail.message.subtype",
        "uom.uom",
        "product.product",
        "product.template",
        "product.category",
        "stock.location",
        "stock.quant",
    ];
    const ALL: [&str; 3] = ["ir.attachment", "mail.message", "res.users.identitycheck"];
    for model in READ {
        grant(env, model, GROUP_USER, [true, false, false, false])?;
    }
    for model in ALL {
        grant(env, model, GROUP_USER, [true; 4])?;
    }
    grant(env, "res.users.apikeys.description", GROUP_USER, [true, true, true, false])?;
    for model in ["res.company", "res.users", "res.groups", "ir.model.data", "ir.model.access", "ir.rule"] {
        grant(env, model, GROUP_ERP_MANAGER, [true; 4])?;
    }
    Ok(())
}

/// Read, write, create, delete.
fn grant(env: &mut Env<'_>, model: &str, group: i64, [read, write, create, unlink]: [bool; 4]) -> Result<()> {
    let row = vals! {
        "name": format!("{model} {group}"), "model_id": env.model_id(model), "group_id": group, "perm_read": read,
        "perm_write": write, "perm_create": create, "perm_unlink": unlink,
    };
    env.create("ir.model.access", row).map(|_| ())
}
