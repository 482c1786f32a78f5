//! Custom models made over the API: a record of `ir.model` becomes a table, records of `ir.model.fields` its columns.

use serde_json::{Value, json};

use crate::odoo::env::Env;
use crate::odoo::errors::{Raised, Result};
use crate::odoo::records::Vals;
use crate::odoo::schema::{self, Field, Kind, Model};

pub(in crate::odoo) fn prepare(env: &mut Env<'_>, model: &str, vals: &mut Vals) -> Result<()> {
    let (key, what) = if model == "ir.model" { ("model", "model") } else { ("name", "field") };
    let name = vals.get(key).and_then(Value::as_str).unwrap_or_default();
    if vals.get("state") == Some(&json!("manual")) && !name.starts_with("x_") {
        return Err(Raised::validation(format!("The {what} name must start with 'x_'.")));
    }
    if model == "ir.model" {
        if env.db.model(name).is_some() && vals.get("state") == Some(&json!("manual")) {
            return Err(Raised::database("Each model must have a unique name."));
        }
        return Ok(());
    }
    if let Some(of) = vals.get("model_id").and_then(Value::as_i64) {
        let name = env.value("ir.model", of, "model");
        vals.entry("model").or_insert(name);
    }
    Ok(())
}

/// Makes the table, unless its first field has done so.
pub(in crate::odoo) fn model_created(env: &mut Env<'_>, id: i64) -> Result<()> {
    if env.text("ir.model", id, "state") != "manual" {
        return Ok(());
    }
    let mut model = table(env, id)?;
    model.order = env.text("ir.model", id, "order").split(',').map(|t| schema::order_term(t.trim())).collect();
    env.db.put_model(&model.name.clone(), Some(model));
    Ok(())
}

fn table(env: &Env<'_>, id: i64) -> Result<Model> {
    let name = env.text("ir.model", id, "model");
    if let Some(model) = env.db.model(&name) {
        return Ok((*model).clone());
    }
    let made = Model::new(&name, &env.text("ir.model", id, "name"), "id");
    let mut model = made.map_err(|e| Raised::value(e.to_string()))?;
    model.manual = true;
    Ok(model)
}

pub(in crate::odoo) fn field_created(env: &mut Env<'_>, id: i64) -> Result<()> {
    const FIELD: &str = "ir.model.fields";
    let Some(of) = env.one(FIELD, id, "model_id") else { return Ok(()) };
    if env.text(FIELD, id, "state") != "manual" {
        return Ok(());
    }
    let (ttype, relation) = (env.text(FIELD, id, "ttype"), env.text(FIELD, id, "relation"));
    let kind = Kind::of_manual(&ttype, &relation, &env.text(FIELD, id, "relation_field"));
    let kind = kind.ok_or_else(|| Raised::value(format!("Wrong value for ir.model.fields.ttype: '{ttype}'")))?;
    let mut field = Field::new(&env.text(FIELD, id, "name"), kind, &env.text(FIELD, id, "field_description"));
    field.required = env.flag(FIELD, id, "required");
    let mut model = table(env, of)?;
    model.add(field);
    env.db.put_model(&model.name.clone(), Some(model));
    Ok(())
}

pub(in crate::odoo) fn model_unlinked(env: &mut Env<'_>, id: i64) -> Result<()> {
    let name = env.text("ir.model", id, "model");
    env.db.put_model(&name, None);
    Ok(())
}
