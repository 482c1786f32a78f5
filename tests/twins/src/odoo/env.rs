//! One transaction: who calls, when it began, and the records as that caller sees them.

use std::cmp::Ordering;

use serde_json::{Map, Value, json};

use super::compute;
use super::db::{Db, Row};
use super::ledger::Draft;
use super::schema::{Kind, Model};
use super::values::{empty, is_unset, shown};
use super::webhook::Post;

pub(super) struct Env<'a> {
    pub(super) db: &'a mut Db,
    pub(super) uid: i64,
    /// Start of the transaction, `YYYY-MM-DD HH:MM:SS.ffffff`: what `write_date` becomes.
    pub(super) now: String,
    pub(super) context: Map<String, Value>,
    /// Webhooks, sent after the commit.
    pub(super) posts: Vec<Post>,
    /// Lines for the ledger, written at the commit.
    pub(super) effects: Vec<Draft>,
    /// Rules at work right now, each with its record: a rule does not set itself off.
    pub(super) rules_at_work: Vec<(i64, i64)>,
}

impl<'a> Env<'a> {
    pub(super) fn new(db: &'a mut Db, uid: i64, now: String, context: Map<String, Value>) -> Self {
        Self { db, uid, now, context, posts: Vec::new(), effects: Vec::new(), rules_at_work: Vec::new() }
    }

    /// Is the context key set to something true?
    pub(super) fn wants(&self, key: &str) -> bool {
        self.context.get(key).is_some_and(|v| !is_unset(v) && *v != json!([]) && *v != json!(0))
    }

    /// To the second.
    pub(super) fn today(&self) -> String {
        self.now.get(..19).unwrap_or(&self.now).to_owned()
    }

    /// A field's value: stored or worked out; a record is its id, records are a list of ids, unset is `false`.
    pub(super) fn value(&self, model: &str, id: i64, field: &str) -> Value {
        let Some(found) = self.db.model(model) else { return json!(false) };
        let Some(found) = found.field(field) else { return json!(false) };
        if field == "id" {
            return json!(id);
        }
        if let Some(computed) = compute::value(self, model, id, field) {
            return computed;
        }
        if let Kind::One2many(comodel, inverse) = &found.kind {
            let ids = self.db.having(comodel, inverse, &json!(id)).unwrap_or_default();
            return json!(self.in_default_order(comodel, self.active_only(comodel, ids)));
        }
        let stored = self.db.row(model, id).and_then(|row| row.get(field)).cloned();
        let value = stored.unwrap_or_else(|| empty(&found.kind));
        match (&found.kind, value) {
            (Kind::Many2many(comodel), Value::Array(ids)) => {
                let ids = ids.iter().filter_map(Value::as_i64).filter(|id| self.db.exists(comodel, *id)).collect();
                json!(self.in_default_order(comodel, ids))
            }
            (_, value) => value,
        }
    }

    pub(super) fn text(&self, model: &str, id: i64, field: &str) -> String {
        self.value(model, id, field).as_str().unwrap_or_default().to_owned()
    }

    pub(super) fn number(&self, model: &str, id: i64, field: &str) -> f64 {
        self.value(model, id, field).as_f64().unwrap_or(0.0)
    }

    pub(super) fn flag(&self, model: &str, id: i64, field: &str) -> bool {
        self.value(model, id, field) == json!(true)
    }

    /// The record a many2one points to.
    pub(super) fn one(&self, model: &str, id: i64, field: &str) -> Option<i64> {
        self.value(model, id, field).as_i64()
    }

    pub(super) fn many(&self, model: &str, id: i64, field: &str) -> Vec<i64> {
        match self.value(model, id, field) {
            Value::Array(ids) => ids.iter().filter_map(Value::as_i64).collect(),
            _ => Vec::new(),
        }
    }

    pub(super) fn display_name(&self, model: &str, id: i64) -> String {
        compute::display_name(self, model, id)
    }

    /// The value as it stands in an answer, without names of records.
    pub(super) fn shown(&self, model: &str, id: i64, field: &str) -> Value {
        let value = self.value(model, id, field);
        match self.db.model(model).and_then(|m| m.field(field).map(|f| f.kind.clone())) {
            Some(kind) => shown(&kind, value),
            None => value,
        }
    }

    fn active_only(&self, model: &str, ids: Vec<i64>) -> Vec<i64> {
        let archivable = self.db.model(model).is_some_and(|m| m.field("active").is_some());
        if !archivable || self.context.get("active_test") == Some(&json!(false)) {
            return ids;
        }
        ids.into_iter().filter(|id| self.flag(model, *id, "active")).collect()
    }

    pub(super) fn in_default_order(&self, model: &str, mut ids: Vec<i64>) -> Vec<i64> {
        if let Some(found) = self.db.model(model) {
            self.sort(&found, &mut ids, &found.order);
        }
        ids
    }

    /// Field and whether it falls; unset comes last, and first where the order falls, as PostgreSQL has it.
    pub(super) fn sort(&self, model: &Model, ids: &mut [i64], order: &[(String, bool)]) {
        ids.sort_by(|a, b| {
            let unequal = order.iter().map(|(field, falls)| {
                let rank = self.rank(model, field, *a, *b);
                if *falls { rank.reverse() } else { rank }
            });
            unequal.fold(Ordering::Equal, Ordering::then).then(a.cmp(b))
        });
    }

    fn rank(&self, model: &Model, field: &str, a: i64, b: i64) -> Ordering {
        let kind = model.field(field).map(|f| &f.kind);
        let (a, b) = (self.value(&model.name, a, field), self.value(&model.name, b, field));
        match (kind, &a, &b) {
            (Some(Kind::Boolean), _, _) => (a == json!(true)).cmp(&(b == json!(true))),
            (_, a, b) if is_unset(a) || is_unset(b) => is_unset(a).cmp(&is_unset(b)),
            (Some(Kind::Many2one(comodel)), a, b) if a != b => {
                let mut pair = [a.as_i64().unwrap_or(0), b.as_i64().unwrap_or(0)];
                let first = pair[0];
                if let Some(comodel) = self.db.model(comodel) {
                    self.sort(&comodel, &mut pair, &comodel.order);
                }
                if pair[0] == first { Ordering::Less } else { Ordering::Greater }
            }
            (_, Value::String(a), Value::String(b)) => a.cmp(b),
            (_, a, b) => a.as_f64().partial_cmp(&b.as_f64()).unwrap_or(Ordering::Equal),
        }
    }

    pub(super) fn model_id(&self, model: &str) -> Option<i64> {
        self.db.having("ir.model", "model", &json!(model)).and_then(|ids| ids.first().copied())
    }

    /// The record behind `module.name`.
    pub(super) fn external(&self, xml_id: &str) -> Option<(String, i64)> {
        let row = self.external_row(xml_id)?;
        Some((self.text("ir.model.data", row, "model"), self.value("ir.model.data", row, "res_id").as_i64()?))
    }

    /// The `ir.model.data` record of `module.name`.
    pub(super) fn external_row(&self, xml_id: &str) -> Option<i64> {
        let (module, name) = xml_id.split_once('.')?;
        let rows = self.db.having("ir.model.data", "name", &json!(name))?;
        rows.into_iter().find(|row| self.text("ir.model.data", *row, "module") == module)
    }

    /// The row as it is stored, for a copy.
    pub(super) fn row(&self, model: &str, id: i64) -> Row {
        self.db.row(model, id).cloned().unwrap_or_default()
    }
}
