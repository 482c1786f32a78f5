//! The records: tables with ids that never come back, an index for the fields that are searched, and an undo list, so
//! that a call that fails leaves nothing.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use serde_json::Value;

use super::schema::{self, Field, Kind, Model, Schema};

/// Stored values by field; what was never set is `false`.
pub(super) type Row = BTreeMap<String, Value>;

#[derive(Debug)]
pub(super) struct Db {
    pub(super) schema: Schema,
    tables: HashMap<String, Table>,
    undo: Vec<Undo>,
}

#[derive(Debug, Default)]
struct Table {
    last: i64,
    rows: BTreeMap<i64, Row>,
    /// Field, value as JSON text, records.
    index: HashMap<String, HashMap<String, BTreeSet<i64>>>,
}

#[derive(Debug)]
enum Undo {
    Row(String, i64, Option<Row>),
    Model(String, Option<Arc<Model>>),
}

impl Db {
    pub(super) fn new() -> anyhow::Result<Self> {
        Ok(Self { schema: schema::load()?, tables: HashMap::new(), undo: Vec::new() })
    }

    pub(super) fn model(&self, name: &str) -> Option<Arc<Model>> {
        self.schema.get(name).cloned()
    }

    /// Adds or replaces a model; `None` takes it away, its records with it.
    pub(super) fn put_model(&mut self, name: &str, model: Option<Model>) {
        if model.is_none() {
            for id in self.ids(name) {
                self.put(name, id, None);
            }
        }
        let before = match model {
            Some(model) => self.schema.insert(name.to_owned(), Arc::new(model)),
            None => self.schema.remove(name),
        };
        self.undo.push(Undo::Model(name.to_owned(), before));
    }

    /// A fresh id. Like a sequence of the database it is used up even if the transaction fails.
    pub(super) fn next_id(&mut self, model: &str) -> i64 {
        let table = self.tables.entry(model.to_owned()).or_default();
        table.last += 1;
        table.last
    }

    pub(super) fn row(&self, model: &str, id: i64) -> Option<&Row> {
        self.tables.get(model)?.rows.get(&id)
    }

    pub(super) fn exists(&self, model: &str, id: i64) -> bool {
        self.row(model, id).is_some()
    }

    pub(super) fn ids(&self, model: &str) -> Vec<i64> {
        self.tables.get(model).map(|t| t.rows.keys().copied().collect()).unwrap_or_default()
    }

    /// Stores a row, or deletes it with `None`.
    pub(super) fn put(&mut self, model: &str, id: i64, row: Option<Row>) {
        let before = self.swap(model, id, row);
        self.undo.push(Undo::Row(model.to_owned(), id, before));
    }

    fn swap(&mut self, model: &str, id: i64, row: Option<Row>) -> Option<Row> {
        let indexed: Vec<&Field> = match self.schema.get(model) {
            Some(model) => model.fields.values().filter(|f| is_indexed(f)).collect(),
            None => Vec::new(),
        };
        let table = self.tables.entry(model.to_owned()).or_default();
        let before = table.rows.remove(&id);
        for field in indexed {
            let value = |row: &Option<Row>| row.as_ref().and_then(|r| r.get(&field.name)).map(Value::to_string);
            let (old, new) = (value(&before), value(&row));
            if old == new {
                continue;
            }
            let index = table.index.entry(field.name.clone()).or_default();
            if let Some(old) = old
                && let Some(ids) = index.get_mut(&old)
            {
                ids.remove(&id);
            }
            if let Some(new) = new {
                index.entry(new).or_default().insert(id);
            }
        }
        if let Some(row) = row {
            table.last = table.last.max(id);
            table.rows.insert(id, row);
        }
        before
    }

    /// Records with exactly this value, rising; `None` when the field has no index.
    pub(super) fn having(&self, model: &str, field: &str, value: &Value) -> Option<Vec<i64>> {
        let found = self.schema.get(model)?.field(field).filter(|f| is_indexed(f))?;
        let ids = self.tables.get(model).and_then(|t| t.index.get(&found.name)).and_then(|i| i.get(&value.to_string()));
        Some(ids.map(|ids| ids.iter().copied().collect()).unwrap_or_default())
    }

    /// What happened since stays.
    pub(super) fn commit(&mut self) {
        self.undo.clear();
    }

    /// Nothing since the last commit has happened.
    pub(super) fn rollback(&mut self) {
        while let Some(step) = self.undo.pop() {
            match step {
                Undo::Row(model, id, before) => {
                    self.swap(&model, id, before);
                }
                Undo::Model(name, Some(before)) => {
                    self.schema.insert(name, before);
                }
                Undo::Model(name, None) => {
                    self.schema.remove(&name);
                }
            }
        }
    }
}

fn is_indexed(field: &Field) -> bool {
    field.indexed || (!field.computed && matches!(field.kind, Kind::Many2one(_)))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn row(partner: i64) -> Row {
        Row::from([("partner_id".to_owned(), json!(partner))])
    }

    #[test]
    fn a_rollback_brings_back_rows_and_index_but_not_ids() {
        let mut db = Db::new().unwrap();
        let first = db.next_id("sale.order");
        db.put("sale.order", first, Some(row(7)));
        db.commit();
        db.put("sale.order", first, Some(row(8)));
        let second = db.next_id("sale.order");
        db.put("sale.order", second, Some(row(8)));
        assert_eq!(db.having("sale.order", "partner_id", &json!(8)), Some(vec![first, second]));
        db.rollback();
        assert_eq!(db.having("sale.order", "partner_id", &json!(7)), Some(vec![first]));
        assert_eq!(db.having("sale.order", "partner_id", &json!(8)), Some(vec![]));
        assert!(!db.exists("sale.order", second));
        assert_eq!(db.next_id("sale.order"), second + 1);
        assert_eq!(db.having("sale.order", "note", &json!("x")), None, "not indexed");
    }

    #[test]
    fn a_model_made_and_taken_away_is_undone_too() {
        let mut db = Db::new().unwrap();
        db.put_model("x_box", Some(Model::new("x_box", "Box", "id").unwrap()));
        let id = db.next_id("x_box");
        db.put("x_box", id, Some(Row::new()));
        db.commit();
        db.put_model("x_box", None);
        assert!(db.model("x_box").is_none() && !db.exists("x_box", id));
        db.rollback();
        assert!(db.model("x_box").is_some() && db.exists("x_box", id));
    }
}
