//! A wire with a handful of Odoo's records behind it: enough to tell what reached a record and what did not.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use serde_json::{Map, Value, json};
use wharf_egress::Wire;
use wharf_egress::wire::{SentMark, Target, WireError, WireRequest, WireResponse};

use crate::attacks::Places;

pub(crate) const PLACES: Places = Places {
    company: 1,
    own_partner: 10,
    shared_partner: 11,
    foreign_company: 2,
    foreign_partner: 20,
    own_order: 30,
    own_line: 40,
};

/// Fields by model and record id.
pub(crate) type Rows = BTreeMap<String, BTreeMap<i64, Map<String, Value>>>;

/// The records, external names, what was asked, and what answers instead, once.
#[derive(Default)]
pub(crate) struct Fake {
    records: Mutex<Rows>,
    names: Mutex<BTreeMap<String, i64>>,
    asked: Mutex<Vec<(String, Value)>>,
    instead: Mutex<Option<(&'static str, u16, Value)>>,
}

fn lock<T>(of: &Mutex<T>) -> MutexGuard<'_, T> {
    of.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Fake {
    pub(crate) fn new() -> Self {
        let fake = Self::default();
        fake.put("res.partner", 10, json!({"name": "Own", "zip": "1010", "parent_id": false, "company_id": 1}));
        fake.put("res.partner", 11, json!({"name": "Shared", "parent_id": false, "company_id": false}));
        fake.put("res.partner", 20, json!({"name": "Foreign", "parent_id": false, "company_id": 2, "vat": "DE1"}));
        fake.put("sale.order", 30, json!({"name": "S1", "partner_id": 10, "order_line": [40], "company_id": 1}));
        fake.put("sale.order.line", 40, json!({"product_uom_qty": 1.0, "order_id": 30, "company_id": 1}));
        fake.put("product.product", 50, json!({"default_code": "A", "company_id": false}));
        fake
    }

    pub(crate) fn put(&self, model: &str, id: i64, mut values: Value) {
        values["id"] = json!(id);
        let Value::Object(values) = values else { return };
        lock(&self.records).entry(model.to_owned()).or_default().insert(id, values);
    }

    pub(crate) fn get(&self, model: &str, id: i64) -> Value {
        lock(&self.records).get(model).and_then(|all| all.get(&id)).map_or(Value::Null, |row| json!(row))
    }

    pub(crate) fn all(&self) -> Rows {
        lock(&self.records).clone()
    }

    /// The next call of that method is answered so.
    pub(crate) fn answer_once(&self, method: &'static str, status: u16, body: Value) {
        *lock(&self.instead) = Some((method, status, body));
    }

    /// `model/method` and arguments of every call since the last time, without the questions for fields.
    pub(crate) fn asked(&self) -> Vec<(String, Value)> {
        let mut all = std::mem::take(&mut *lock(&self.asked));
        all.retain(|(call, _)| !call.ends_with("/fields_get"));
        all
    }

    fn holds(&self, model: &str, row: &Map<String, Value>, entries: &[Value]) -> bool {
        let mut stack: Vec<bool> = Vec::new();
        for entry in entries.iter().rev() {
            let mut pop = || stack.pop().expect("an operand");
            let truth = match entry.as_str() {
                Some("!") => !pop(),
                Some("|") => pop() | pop(),
                Some("&") => pop() & pop(),
                Some(other) => panic!("operator {other}"),
                None => self.fits(model, row, entry),
            };
            stack.push(truth);
        }
        stack.into_iter().all(|truth| truth)
    }

    fn fits(&self, model: &str, row: &Map<String, Value>, leaf: &Value) -> bool {
        let field = leaf[0].as_str().expect("a field");
        let have = row.get(field).cloned().unwrap_or(json!(false));
        let among = |list: &Value| list.as_array().is_some_and(|all| all.contains(&have));
        match leaf[1].as_str().expect("an operator") {
            "=" => have == leaf[2],
            "!=" => have != leaf[2],
            "in" => among(&leaf[2]),
            "not in" => !among(&leaf[2]),
            "any" => {
                let target = fields(model)[field]["relation"].as_str().expect("a relation").to_owned();
                let entries = leaf[2].as_array().expect("a domain");
                let other = have.as_i64().and_then(|id| lock(&self.records).get(&target)?.get(&id).cloned());
                other.is_some_and(|other| self.holds(&target, &other, entries))
            }
            other => panic!("the stand-in knows no `{other}`"),
        }
    }

    fn call(&self, model: &str, method: &str, args: &Value) -> (u16, Value) {
        match method {
            "fields_get" => (200, fields(model)),
            "search_read" => (200, self.search(model, args)),
            "write" => {
                let ids = args["ids"].as_array().expect("ids").iter().filter_map(Value::as_i64);
                for id in ids {
                    let mut records = lock(&self.records);
                    let row = records.get_mut(model).and_then(|all| all.get_mut(&id)).expect("a record");
                    row.extend(args["vals"].as_object().expect("values").clone());
                }
                (200, json!(true))
            }
            "load" => (200, self.load(model, args)),
            other => panic!("`{other}` reached Odoo"),
        }
    }

    fn search(&self, model: &str, args: &Value) -> Value {
        let rows: Vec<_> = lock(&self.records).get(model).into_iter().flatten().map(|(_, row)| row.clone()).collect();
        let entries = args["domain"].as_array().expect("a domain");
        let mut found: Vec<_> = rows.into_iter().filter(|row| self.holds(model, row, entries)).collect();
        let (offset, limit) = (args["offset"].as_u64().unwrap_or(0), args["limit"].as_u64().expect("a limit"));
        found.drain(..found.len().min(usize::try_from(offset).expect("offset")));
        found.truncate(usize::try_from(limit).expect("limit"));
        let wanted: Vec<&str> = args["fields"].as_array().expect("fields").iter().filter_map(Value::as_str).collect();
        assert!(!wanted.is_empty(), "no field is every field");
        let pick = |row: &Map<String, Value>| -> Value {
            wanted
                .iter()
                .map(|name| ((*name).to_owned(), row.get(*name).cloned().unwrap_or(json!(false))))
                .collect::<Map<_, _>>()
                .into()
        };
        found.iter().map(pick).collect()
    }

    fn load(&self, model: &str, args: &Value) -> Value {
        let column = |name: &str| args["fields"].as_array().expect("columns").iter().position(|f| f == name);
        let row = &args["data"][0];
        let name = row[column("id").expect("the external id")].as_str().expect("a name").to_owned();
        let known = lock(&self.names).get(&name).copied();
        let id = known.unwrap_or_else(|| {
            let id = 1_000 + i64::try_from(lock(&self.names).len()).expect("few");
            let text = |at: Option<usize>| at.map_or(json!(false), |at| row[at].clone());
            let company = row[column("company_id/.id").expect("a company")].as_str().expect("text").parse::<i64>();
            let company = company.expect("a company's id");
            self.put(model, id, json!({"name": text(column("name")), "company_id": company}));
            lock(&self.names).insert(name, id);
            id
        });
        json!({"ids": [id], "messages": [], "nextrow": 0})
    }
}

fn fields(model: &str) -> Value {
    let one = |relation: &str| json!({"type": "many2one", "relation": relation});
    let (text, company) = (json!({"type": "char"}), one("res.company"));
    let own = json!({"type": "many2one", "relation": "res.company", "store": true, "readonly": false});
    let mut all = match model {
        "res.partner" => json!({"name": text, "zip": text, "ref": text, "comment": {"type": "html"}, "vat": text,
            "active": {"type": "boolean"}, "parent_id": one("res.partner"), "country_id": one("res.country"),
            "child_ids": {"type": "one2many", "relation": "res.partner", "relation_field": "parent_id"},
            "user_ids": {"type": "one2many", "relation": "res.users", "relation_field": "partner_id"}}),
        "sale.order" => json!({"name": text, "state": {"type": "selection"}, "partner_id": one("res.partner"),
            "client_order_ref": text, "date_order": {"type": "datetime"}, "user_id": one("res.users"),
            "order_line": {"type": "one2many", "relation": "sale.order.line", "relation_field": "order_id"}}),
        "sale.order.line" => json!({"product_uom_qty": {"type": "float"}, "product_id": one("product.product"),
            "order_id": one("sale.order"), "price_unit": {"type": "float"}}),
        "product.product" => json!({"default_code": text}),
        _ => return json!({"id": {"type": "integer"}, "code": text}),
    };
    all["id"] = json!({"type": "integer"});
    all["company_id"] = if model == "sale.order.line" { company } else { own };
    all
}

#[async_trait]
impl Wire for Fake {
    async fn exchange(&self, _: &Target, request: WireRequest, sent: &SentMark) -> Result<WireResponse, WireError> {
        sent.set();
        let (model, method) =
            request.path.strip_prefix("/json/2/").and_then(|rest| rest.split_once('/')).expect("a call");
        let args: Value = serde_json::from_slice(&request.body).expect("json");
        lock(&self.asked).push((format!("{model}/{method}"), args.clone()));
        let instead = lock(&self.instead).take_if(|(of, ..)| *of == method).map(|(_, status, body)| (status, body));
        let (status, body) = instead.unwrap_or_else(|| self.call(model, method, &args));
        Ok(WireResponse { status, headers: Vec::new(), body: body.to_string().into() })
    }
}
