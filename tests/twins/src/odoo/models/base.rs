//! Partners, users, keys, external ids, sequences, rules of rights: the part of Odoo that is not logistics.

use serde_json::{Value, json};

use crate::odoo::env::Env;
use crate::odoo::errors::{Raised, Result};
use crate::odoo::records::{Vals, vals};
use crate::odoo::session;

pub(in crate::odoo) fn value(env: &Env<'_>, model: &str, id: i64, field: &str) -> Option<Value> {
    let value = match (model, field) {
        ("res.partner", "complete_name") => {
            let name = env.text(model, id, "name");
            match env.one(model, id, "parent_id") {
                Some(parent) => json!(format!("{}, {name}", env.text(model, parent, "name"))),
                None => json!(name),
            }
        }
        ("res.partner", "commercial_partner_id") => json!(commercial(env, id)),
        ("res.partner", "commercial_company_name") => {
            let entity = commercial(env, id);
            if env.flag(model, entity, "is_company") { env.value(model, entity, "name") } else { json!(false) }
        }
        ("res.partner", "company_type") => json!(if env.flag(model, id, "is_company") { "company" } else { "person" }),
        ("stock.location", "complete_name") => {
            let name = env.text(model, id, "name");
            match env.one(model, id, "location_id") {
                Some(parent) => json!(format!("{}/{name}", env.text(model, parent, "complete_name"))),
                None => json!(name),
            }
        }
        ("product.category", "complete_name") => env.value(model, id, "name"),
        ("res.users", "name" | "lang" | "tz") => {
            let partner = env.one(model, id, "partner_id")?;
            env.value("res.partner", partner, field)
        }
        // What was written is never read back.
        ("res.users" | "res.users.identitycheck", "password") => json!(""),
        ("res.groups", "full_name") => match env.one(model, id, "privilege_id") {
            Some(privilege) => json!(format!(
                "{} / {}",
                env.display_name("res.groups.privilege", privilege),
                env.text(model, id, "name")
            )),
            None => env.value(model, id, "name"),
        },
        ("ir.model.data", "complete_name") => {
            json!(format!("{}.{}", env.text(model, id, "module"), env.text(model, id, "name")))
        }
        ("ir.rule", "global") => json!(env.many(model, id, "groups").is_empty()),
        ("base.automation" | "ir.actions.server", "model_name") => {
            env.one(model, id, "model_id").map_or(json!(false), |m| env.value("ir.model", m, "model"))
        }
        ("base.automation", "url") => json!(""),
        ("ir.actions.server", "webhook_sample_payload") => {
            if env.text(model, id, "state") == "webhook" {
                json!("{}")
            } else {
                json!(false)
            }
        }
        ("ir.sequence", "number_next_actual") => env.row(model, id).get("_next").cloned().unwrap_or(json!(1)),
        _ => return None,
    };
    Some(value)
}

/// The company a contact belongs to, or the contact itself.
fn commercial(env: &Env<'_>, id: i64) -> i64 {
    match env.one("res.partner", id, "parent_id") {
        Some(parent) if !env.flag("res.partner", id, "is_company") => commercial(env, parent),
        _ => id,
    }
}

/// A user is a partner with a login.
pub(in crate::odoo) fn prepare_user(env: &mut Env<'_>, vals: &mut Vals) -> Result<()> {
    if !vals.contains_key("partner_id") {
        let name = vals.get("name").cloned().unwrap_or(json!(false));
        let mut partner = vals! {"name": name};
        for field in ["lang", "tz"] {
            if let Some(value) = vals.get(field) {
                partner.insert(field.to_owned(), value.clone());
            }
        }
        let partner = env.create("res.partner", partner)?;
        vals.insert("partner_id".to_owned(), json!(partner));
    }
    if !vals.contains_key("company_ids") {
        vals.insert("company_ids".to_owned(), json!([[6, 0, [1]]]));
    }
    if !vals.contains_key("group_ids") {
        vals.insert("group_ids".to_owned(), json!([[6, 0, [1]]]));
    }
    Ok(())
}

pub(in crate::odoo) fn user_written(env: &mut Env<'_>, id: i64, vals: &Vals) -> Result<()> {
    note_password(env, id, vals);
    let mut partner = Vals::new();
    for field in ["name", "lang", "tz"] {
        if let Some(value) = vals.get(field) {
            partner.insert(field.to_owned(), value.clone());
        }
    }
    match env.one("res.users", id, "partner_id") {
        Some(target) if !partner.is_empty() => env.write("res.partner", &[target], &partner),
        _ => Ok(()),
    }?;
    let company = env.one("res.users", id, "company_id").unwrap_or(1);
    let companies = env.many("res.users", id, "company_ids");
    if companies.contains(&company) {
        return Ok(());
    }
    let allowed: Vec<String> = companies.iter().map(|c| env.display_name("res.company", *c)).collect();
    Err(Raised::validation(format!(
        "Company {} is not in the allowed companies for user {} ({}).",
        env.display_name("res.company", company),
        env.text("res.users", id, "name"),
        allowed.join(", ")
    )))
}

/// Only its digest is kept.
pub(in crate::odoo) fn note_password(env: &mut Env<'_>, id: i64, vals: &Vals) {
    if let Some(password) = vals.get("password").and_then(Value::as_str) {
        session::set_password(env, id, password);
    }
}

pub(in crate::odoo) fn check_login(env: &Env<'_>, id: i64) -> Result<()> {
    let login = env.value("res.users", id, "login");
    let holders = env.db.having("res.users", "login", &login).unwrap_or_default();
    if holders.len() < 2 { Ok(()) } else { Err(Raised::database("You can not have two users with the same login!")) }
}

pub(in crate::odoo) fn check_external_id(env: &Env<'_>, id: i64) -> Result<()> {
    let (module, name) = (env.text("ir.model.data", id, "module"), env.text("ir.model.data", id, "name"));
    let holders = env.db.having("ir.model.data", "name", &json!(name)).unwrap_or_default();
    let twice = holders.into_iter().filter(|h| env.text("ir.model.data", *h, "module") == module).count() > 1;
    if !twice {
        return Ok(());
    }
    Err(Raised::database(&format!(
        "duplicate key value violates unique constraint \"ir_model_data_module_name_uniq_index\"\nDETAIL:  Key \
         (module, name)=({module}, {name}) already exists.\n"
    )))
}

/// Administrators may have keys that never end; others at most 90 days.
pub(in crate::odoo) fn check_key_wish(env: &mut Env<'_>, vals: &mut Vals) -> Result<()> {
    let admin = env.many("res.users", env.uid, "group_ids").contains(&crate::odoo::seed::GROUP_SYSTEM);
    let days = vals.get("duration").and_then(Value::as_str).and_then(|d| d.parse::<i64>().ok()).unwrap_or(90);
    match days {
        _ if admin => Ok(()),
        0 => Err(Raised::validation("The API key must have an expiration date")),
        91.. => Err(Raised::validation("You cannot exceed 90.0 days.")),
        _ => Ok(()),
    }
}

/// The next name of a sequence, e.g. `S00026`.
pub(in crate::odoo) fn next_by_code(env: &mut Env<'_>, code: &str) -> Result<Value> {
    let ids = env.db.ids("ir.sequence");
    let Some(id) = ids.into_iter().find(|id| env.text("ir.sequence", *id, "code") == code) else {
        return Ok(json!(false));
    };
    let mut row = env.row("ir.sequence", id);
    let next = row.get("_next").and_then(Value::as_i64).unwrap_or(1);
    row.insert("_next".to_owned(), json!(next + 1));
    env.db.put("ir.sequence", id, Some(row));
    let width = env.number("ir.sequence", id, "padding") as usize;
    Ok(json!(format!("{}{next:0width$}", env.text("ir.sequence", id, "prefix"))))
}
