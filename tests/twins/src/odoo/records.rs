//! Creating, writing and deleting records: checks, commands for lists of records, the model's own logic, then the
//! automation rules.

use serde_json::{Map, Value, json};

use super::db::Row;
use super::env::Env;
use super::errors::{Raised, Result};
use super::schema::{Field, Kind, Model};
use super::values::{convert, empty, is_unset};
use super::{automation, models};

pub(super) type Vals = Map<String, Value>;

/// `vals!{"state": "done"}`: values for a create or a write.
macro_rules! vals {
    ($($body:tt)*) => {
        match serde_json::json!({ $($body)* }) {
            serde_json::Value::Object(vals) => vals,
            _ => serde_json::Map::new(),
        }
    };
}
pub(super) use vals;

impl Env<'_> {
    pub(super) fn create(&mut self, model: &str, given: Vals) -> Result<i64> {
        let known = self.known(model)?;
        if let Some(name) = given.keys().find(|name| known.field(name).is_none()) {
            return Err(Raised::value(format!("Invalid field '{name}' in '{model}'")));
        }
        let mut vals = given;
        for field in known.fields.values() {
            if let (Some(default), false) = (&field.default, vals.contains_key(&field.name)) {
                vals.insert(field.name.clone(), default.clone());
            }
        }
        models::prepare(self, model, &mut vals)?;
        let id = self.db.next_id(model);
        let mut row = Row::new();
        for field in known.fields.values().filter(|f| !f.computed && !matches!(f.kind, Kind::One2many(..))) {
            let value = match vals.get(&field.name) {
                Some(_) if field.kind.is_many() => json!([]),
                Some(value) => self.at_create(model, field, value)?,
                None => empty(&field.kind),
            };
            if field.required && is_unset(&value) && field.kind != Kind::Boolean {
                return Err(missing_value(&known, field));
            }
            row.insert(field.name.clone(), value);
        }
        let (now, uid) = (json!(self.now), json!(self.uid));
        for (name, value) in [("create_date", &now), ("write_date", &now), ("create_uid", &uid), ("write_uid", &uid)] {
            row.insert(name.to_owned(), value.clone());
        }
        self.db.put(model, id, Some(row));
        models::check_unique(self, model, &[id])?;
        self.set_lists(&known, id, &vals)?;
        models::created(self, model, id, &vals)?;
        automation::fire(self, model, id, None)?;
        Ok(id)
    }

    /// A many2one to nowhere is a database error while creating, and a missing record while writing.
    fn at_create(&self, model: &str, field: &Field, value: &Value) -> Result<Value> {
        convert(self, model, field, value).map_err(|raised| {
            if raised.status == 404 {
                let label = self.db.model(model).map(|m| m.label.clone()).unwrap_or_default();
                return Raised::database(&format!(
                    "Another model is using the record you are trying to delete.\n\nThe troublemaker is: '{label}' \
                     ({model})\nThanks to the following constraint: '{}' ({})\nHow about archiving the record instead?",
                    field.label, field.name
                ));
            }
            raised
        })
    }

    pub(super) fn write(&mut self, model: &str, ids: &[i64], vals: &Vals) -> Result<()> {
        let known = self.known(model)?;
        if let Some(name) = vals.keys().find(|name| known.field(name).is_none()) {
            return Err(Raised::key(name));
        }
        self.must_exist(model, ids)?;
        for id in ids {
            let before = self.row(model, *id);
            let mut after = before.clone();
            for (name, value) in vals {
                let Some(field) = known.field(name) else { continue };
                if field.computed || field.kind.is_many() || name == "id" {
                    continue;
                }
                let value = convert(self, model, field, value)?;
                if field.required && is_unset(&value) && field.kind != Kind::Boolean {
                    return Err(missing_value(&known, field));
                }
                after.insert(name.clone(), value);
            }
            after.insert("write_date".to_owned(), json!(self.now));
            after.insert("write_uid".to_owned(), json!(self.uid));
            self.db.put(model, *id, Some(after));
            models::check_unique(self, model, &[*id])?;
            self.set_lists(&known, *id, vals)?;
            models::written(self, model, *id, vals, &before)?;
            automation::fire(self, model, *id, Some(&before))?;
        }
        Ok(())
    }

    pub(super) fn unlink(&mut self, model: &str, ids: &[i64]) -> Result<()> {
        let known = self.known(model)?;
        self.must_exist(model, ids)?;
        models::check_unlink(self, model, ids)?;
        for id in ids {
            automation::fire_unlink(self, model, *id)?;
            for field in known.fields.values() {
                if let Kind::One2many(comodel, _) = &field.kind
                    && models::owns(model, &field.name)
                {
                    let children = self.many(model, *id, &field.name);
                    self.unlink(comodel, &children)?;
                }
            }
            models::unlinked(self, model, *id)?;
            self.db.put(model, *id, None);
            let marks = self.db.having("ir.model.data", "res_id", &json!(id)).unwrap_or_default();
            for mark in marks {
                if self.text("ir.model.data", mark, "model") == model {
                    self.db.put("ir.model.data", mark, None);
                }
            }
        }
        Ok(())
    }

    pub(super) fn must_exist(&self, model: &str, ids: &[i64]) -> Result<()> {
        let gone: Vec<i64> = ids.iter().copied().filter(|id| !self.db.exists(model, *id)).collect();
        if gone.is_empty() { Ok(()) } else { Err(Raised::missing(model, &gone, self.uid)) }
    }

    pub(super) fn known(&self, model: &str) -> Result<std::sync::Arc<Model>> {
        self.db.model(model).ok_or_else(|| Raised::key(model))
    }

    fn set_lists(&mut self, model: &Model, id: i64, vals: &Vals) -> Result<()> {
        for (name, value) in vals {
            let Some(field) = model.field(name) else { continue };
            let Value::Array(commands) = value else { continue };
            match &field.kind {
                Kind::One2many(comodel, inverse) => {
                    for command in commands {
                        self.child(comodel, inverse, id, command)?;
                    }
                }
                Kind::Many2many(comodel) if !field.computed => {
                    self.links(&model.name, id, (name, comodel), commands)?
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn child(&mut self, comodel: &str, inverse: &str, parent: i64, command: &Value) -> Result<()> {
        let target = command.get(1).and_then(Value::as_i64).unwrap_or(0);
        match command.get(0).and_then(Value::as_i64) {
            Some(0) => {
                let mut vals = object(command.get(2));
                vals.insert(inverse.to_owned(), json!(parent));
                self.create(comodel, vals).map(|_| ())
            }
            Some(1) => self.write(comodel, &[target], &object(command.get(2))),
            Some(2) => self.unlink(comodel, &[target]),
            Some(4) => {
                let mut vals = Vals::new();
                vals.insert(inverse.to_owned(), json!(parent));
                self.write(comodel, &[target], &vals)
            }
            _ => Err(Raised::value(format!("Wrong value for {comodel}: {command}"))),
        }
    }

    fn links(&mut self, model: &str, id: i64, (name, comodel): (&str, &str), commands: &[Value]) -> Result<()> {
        let mut linked = self.many(model, id, name);
        for command in commands {
            // A bare id links, as the web client's defaults do.
            let code = if command.is_number() { Some(4) } else { command.get(0).and_then(Value::as_i64) };
            let target = command.as_i64().or_else(|| command.get(1).and_then(Value::as_i64)).unwrap_or(0);
            match code {
                Some(0) => linked.push(self.create(comodel, object(command.get(2)))?),
                Some(1) => self.write(comodel, &[target], &object(command.get(2)))?,
                Some(2 | 3) => linked.retain(|l| *l != target),
                Some(4) => {
                    self.must_exist(comodel, &[target])?;
                    if !linked.contains(&target) {
                        linked.push(target);
                    }
                }
                Some(5) => linked.clear(),
                Some(6) => {
                    let ids = command.get(2).and_then(Value::as_array).cloned().unwrap_or_default();
                    linked = ids.iter().filter_map(Value::as_i64).collect();
                    self.must_exist(comodel, &linked)?;
                }
                _ => return Err(Raised::value(format!("Wrong value for {model}.{name}: {command}"))),
            }
        }
        let mut row = self.row(model, id);
        row.insert(name.to_owned(), json!(linked));
        self.db.put(model, id, Some(row));
        Ok(())
    }
}

fn object(value: Option<&Value>) -> Vals {
    value.and_then(Value::as_object).cloned().unwrap_or_default()
}

fn missing_value(model: &Model, field: &Field) -> Raised {
    Raised::database(&format!(
        "Missing required value for the field '{}' ({}).\nModel: '{}' ({})\n- create/update: a mandatory field is not \
         set\n- delete: another model requires the record being deleted, you can archive it instead\n",
        field.label, field.name, model.label, model.name
    ))
}
