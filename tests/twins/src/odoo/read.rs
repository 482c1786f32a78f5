//! Reading: search, flat reads, nested reads, and what a model's fields are.

use serde_json::{Map, Value, json};

use super::access;
use super::domain_filter::Domain;
use super::env::Env;
use super::errors::{Raised, Result};
use super::schema::{Field, Kind, Model, order_term};

/// Of a search.
#[derive(Debug, Default)]
pub(super) struct Page {
    pub(super) offset: usize,
    /// 0: no limit.
    pub(super) limit: usize,
    pub(super) order: Option<String>,
}

impl Env<'_> {
    /// Ids, archived records left out unless the domain or the context asks for them.
    pub(super) fn search(&self, model: &str, domain: &Value, page: &Page) -> Result<Vec<i64>> {
        let known = self.known(model)?;
        let domain = Domain::parse(self, model, domain)?;
        let order = match &page.order {
            Some(order) if !order.trim().is_empty() => parse_order(&known, order)?,
            _ => known.order.clone(),
        };
        let mut ids = domain.candidates(self, model).unwrap_or_else(|| self.db.ids(model));
        ids.sort_unstable();
        ids.dedup();
        let all = self.context.get("active_test") == Some(&json!(false)) || domain.mentions("active");
        let hides = known.field("active").is_some() && !all;
        ids.retain(|id| (!hides || self.flag(model, *id, "active")) && domain.holds(self, model, *id));
        access::retain_own(self, model, &mut ids);
        self.sort(&known, &mut ids, &order);
        let limit = if page.limit == 0 { usize::MAX } else { page.limit };
        Ok(ids.into_iter().skip(page.offset).take(limit).collect())
    }

    /// `read`: missing records are left out. `classic` gives a many2one its name.
    pub(super) fn read(&self, model: &str, ids: &[i64], fields: &[String], classic: bool) -> Result<Value> {
        let known = self.known(model)?;
        let names: Vec<String> =
            if fields.is_empty() { known.fields.keys().cloned().collect() } else { fields.to_vec() };
        let wanted: Vec<&Field> = names.iter().map(|n| find(&known, n)).collect::<Result<_>>()?;
        let rows = ids.iter().copied().filter(|id| self.db.exists(model, *id)).map(|id| {
            let mut row = Map::from_iter([("id".to_owned(), json!(id))]);
            for field in &wanted {
                row.insert(field.name.clone(), self.flat(model, id, field, classic));
            }
            Value::Object(row)
        });
        Ok(rows.collect())
    }

    fn flat(&self, model: &str, id: i64, field: &Field, classic: bool) -> Value {
        let value = self.shown(model, id, &field.name);
        match (&field.kind, value.as_i64()) {
            (Kind::Many2one(comodel), Some(target)) if classic => json!([target, self.display_name(comodel, target)]),
            _ => value,
        }
    }

    /// `web_read`: as deep as the specification goes. A many2one without a specification of its own is a bare id.
    pub(super) fn web_read(&self, model: &str, ids: &[i64], specification: &Map<String, Value>) -> Result<Value> {
        let known = self.known(model)?;
        for name in specification.keys() {
            find(&known, name)?;
        }
        let mut rows = Vec::new();
        for id in ids.iter().copied().filter(|id| self.db.exists(model, *id)) {
            let mut row = Map::from_iter([("id".to_owned(), json!(id))]);
            for (name, inner) in specification {
                let field = find(&known, name)?;
                row.insert(name.clone(), self.nested(model, id, field, inner)?);
            }
            rows.push(Value::Object(row));
        }
        Ok(Value::Array(rows))
    }

    fn nested(&self, model: &str, id: i64, field: &Field, inner: &Value) -> Result<Value> {
        let value = self.shown(model, id, &field.name);
        let (Some(comodel), Some(fields)) = (field.kind.comodel(), inner.get("fields").and_then(Value::as_object))
        else {
            return Ok(value);
        };
        match value {
            Value::Array(ids) => {
                let ids: Vec<i64> = ids.iter().filter_map(Value::as_i64).collect();
                self.web_read(comodel, &ids, fields)
            }
            Value::Number(target) => {
                let mut one = self.web_read(comodel, &[target.as_i64().unwrap_or(0)], fields)?;
                Ok(one.get_mut(0).map_or(json!(false), Value::take))
            }
            unset => Ok(unset),
        }
    }

    /// `fields_get`: all fields, or the named ones; all attributes, or the named ones.
    pub(super) fn fields_get(&self, model: &str, names: &[String], attributes: &[String]) -> Result<Value> {
        let known = self.known(model)?;
        let wanted = known.fields.values().filter(|f| names.is_empty() || names.contains(&f.name));
        let described = wanted.map(|field| {
            let mut all = described(field);
            if !attributes.is_empty() {
                all.retain(|name, _| attributes.contains(name));
            }
            (field.name.clone(), Value::Object(all))
        });
        Ok(Value::Object(described.collect()))
    }
}

fn described(field: &Field) -> Map<String, Value> {
    let mut all = json!({
        "name": field.name,
        "type": field.kind.name(),
        "string": field.label,
        "required": field.required,
        "readonly": field.readonly,
        "store": !field.computed,
        "searchable": true,
        "sortable": !field.computed,
    });
    if let Some(comodel) = field.kind.comodel() {
        all["relation"] = json!(comodel);
    }
    match &field.kind {
        Kind::One2many(_, inverse) => all["relation_field"] = json!(inverse),
        Kind::Selection(choices) => all["selection"] = json!(choices),
        _ => {}
    }
    match all {
        Value::Object(all) => all,
        _ => Map::new(),
    }
}

fn find<'m>(model: &'m Model, name: &str) -> Result<&'m Field> {
    model.field(name).ok_or_else(|| Raised::value(format!("Invalid field '{name}' on '{}'", model.name)))
}

fn parse_order(model: &Model, order: &str) -> Result<Vec<(String, bool)>> {
    let terms: Vec<(String, bool)> = order.split(',').map(|term| order_term(term.trim())).collect();
    match terms.iter().find(|(name, _)| model.field(name).is_none()) {
        Some((name, _)) => Err(Raised::value(format!("Invalid field '{name}' on model '{}'", model.name))),
        None => Ok(terms),
    }
}
