//! `load`: create or update by external id, many rows in one transaction. Errors are no exceptions: status 200 with
//! `ids` false and messages, and nothing is kept.

use serde_json::{Value, json};

use super::cells;
use super::env::Env;
use super::errors::{Raised, Result};
use super::records::{Vals, vals};
use super::schema::Kind;

/// One record of the file with its lines below it.
#[derive(Debug, Default)]
struct Entry {
    external: Option<String>,
    database: Option<i64>,
    vals: Vals,
    /// Of a list: its field and its entries.
    children: Vec<(String, Entry)>,
}

pub(super) fn load(env: &mut Env<'_>, model: &str, fields: &[String], data: &[Value]) -> Result<Value> {
    let known = env.known(model)?;
    let paths: Vec<Vec<&str>> = fields.iter().map(|f| f.split('/').collect()).collect();
    for (path, whole) in paths.iter().zip(fields) {
        if !matches!(path[0], "id" | ".id") && known.field(path[0]).is_none() {
            return Err(Raised::value(format!("Invalid field name '{whole}'")));
        }
    }
    let listed: Vec<bool> = paths
        .iter()
        .map(|p| p.len() > 1 && matches!(known.field(p[0]).map(|f| &f.kind), Some(Kind::One2many(..))))
        .collect();
    let mut ids = Vec::new();
    let mut at = 0;
    while at < data.len() {
        // Rows that say nothing about the record itself continue its lists.
        let own = |row: &Value| listed.iter().enumerate().any(|(n, list)| !list && !is_blank(row.get(n)));
        let more = data[at + 1..].iter().take_while(|row| !own(row) && listed.contains(&true)).count();
        let rows = &data[at..=at + more];
        match entry(env, model, &paths, rows).and_then(|entry| save(env, model, entry)) {
            Ok(id) => ids.push(id),
            Err(raised) => {
                env.db.rollback();
                env.posts.clear();
                env.effects.clear();
                return Ok(failed(&raised, at, at + more));
            }
        }
        at += more + 1;
    }
    Ok(json!({ "ids": ids, "messages": [], "nextrow": 0 }))
}

fn is_blank(cell: Option<&Value>) -> bool {
    cell.is_none_or(|c| matches!(c, Value::Null | Value::Bool(false)) || c == "")
}

fn failed(raised: &Raised, from: usize, to: usize) -> Value {
    let text = raised.message.strip_prefix("The operation cannot be completed: ").unwrap_or(&raised.message);
    let text = match raised.status {
        500 => format!("Unknown error during import: {}: {text}", raised.name),
        _ => text.to_owned(),
    };
    let mut message = json!({
        "rows": { "from": from, "to": to }, "record": from, "type": "error", "message": text,
    });
    // A conversion that failed names its field, as does a required field in brackets.
    if let Some(field) = raised.context.get("field") {
        message["field"] = field.clone();
        message["field_name"] = raised.context["field_name"].clone();
        message["moreinfo"] = raised.context["moreinfo"].clone();
    } else if let Some(field) = text.split_once("value for the field '").and_then(|(_, r)| r.split_once('(')) {
        message["field"] = json!(field.1.split(')').next().unwrap_or_default());
    }
    json!({ "ids": false, "messages": [message], "nextrow": 0 })
}

/// Reads the rows of one record; `paths` are the columns as seen from `model`.
fn entry(env: &Env<'_>, model: &str, paths: &[Vec<&str>], rows: &[Value]) -> Result<Entry> {
    let known = env.known(model)?;
    let mut entry = Entry::default();
    for (column, path) in paths.iter().enumerate() {
        let cell = rows.first().and_then(|row| row.get(column)).cloned().unwrap_or(json!(false));
        match (path.as_slice(), known.field(path[0])) {
            (["id"], _) => entry.external = cell.as_str().filter(|t| !t.is_empty()).map(str::to_owned),
            ([".id"], _) => entry.database = cells::number(&cell),
            ([_, ..], Some(field)) if path.len() > 1 && matches!(field.kind, Kind::One2many(..)) => {}
            ([name, rest @ ..], Some(field)) => {
                let value = cells::value(env, field, rest.first().copied(), &cell)?;
                entry.vals.insert((*name).to_owned(), value);
            }
            _ => {}
        }
    }
    let mut lists: Vec<&str> = Vec::new();
    for path in paths.iter().filter(|p| p.len() > 1) {
        let list = matches!(known.field(path[0]).map(|f| &f.kind), Some(Kind::One2many(..)));
        if list && !lists.contains(&path[0]) {
            lists.push(path[0]);
        }
    }
    for list in lists {
        let comodel = known.field(list).and_then(|f| f.kind.comodel()).unwrap_or_default().to_owned();
        let columns: Vec<usize> = (0..paths.len()).filter(|n| paths[*n][0] == list && paths[*n].len() > 1).collect();
        let inner: Vec<Vec<&str>> = columns.iter().map(|n| paths[*n][1..].to_vec()).collect();
        for row in rows {
            let cells: Vec<Value> = columns.iter().map(|n| row.get(*n).cloned().unwrap_or(json!(false))).collect();
            if !cells.iter().all(|c| is_blank(Some(c))) {
                entry.children.push((list.to_owned(), self::entry(env, &comodel, &inner, &[json!(cells)])?));
            }
        }
    }
    Ok(entry)
}

fn save(env: &mut Env<'_>, model: &str, entry: Entry) -> Result<i64> {
    let external = entry.external.map(|name| if name.contains('.') { name } else { format!("__import__.{name}") });
    let mark = external.as_deref().and_then(|xml_id| env.external_row(xml_id));
    let marked = mark.and_then(|row| env.value("ir.model.data", row, "res_id").as_i64());
    let there = entry.database.or(marked.filter(|id| env.db.exists(model, *id)));
    let untouchable = env.context.get("mode") == Some(&json!("update"))
        && mark.is_some_and(|row| env.flag("ir.model.data", row, "noupdate"));
    let id = match there {
        Some(id) if untouchable => return Ok(id),
        Some(id) => {
            if !entry.vals.is_empty() {
                env.write(model, &[id], &entry.vals)?;
            }
            id
        }
        None => env.create(model, entry.vals)?,
    };
    if let Some(xml_id) = external {
        remember(env, model, id, &xml_id, mark)?;
    }
    for (list, mut child) in entry.children {
        let kind = env.known(model)?.field(&list).map(|f| f.kind.clone());
        if let Some(Kind::One2many(comodel, inverse)) = kind {
            child.vals.insert(inverse, json!(id));
            save(env, &comodel, child)?;
        }
    }
    Ok(id)
}

fn remember(env: &mut Env<'_>, model: &str, id: i64, xml_id: &str, mark: Option<i64>) -> Result<()> {
    const MODEL: &str = "ir.model.data";
    if let Some(mark) = mark {
        return env.write(MODEL, &[mark], &vals! {"res_id": id, "model": model});
    }
    let (module, name) = xml_id.split_once('.').unwrap_or(("__import__", xml_id));
    if xml_id.contains(' ') {
        let text = "new row for relation \"ir_model_data\" violates check constraint \"ir_model_data_name_nospaces\"";
        return Err(Raised::validation(text));
    }
    let noupdate = env.wants("noupdate");
    let vals = vals! {"module": module, "name": name, "model": model, "res_id": id, "noupdate": noupdate};
    env.create(MODEL, vals).map(|_| ())
}
