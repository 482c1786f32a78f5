//! Calling a public method in a transaction.

use serde_json::{Value, json};

use super::access::{self, Right};
use super::env::Env;
use super::errors::{Raised, Result};
use super::models::{base, mail, package, picking, reserve, sale_confirm, validate, wizard};
use super::read::Page;
use super::records::{Vals, vals};
use super::signatures::{self, Signature, names};
use super::{load, session};

/// `ids` is `None` when the caller gave none. Arguments are without `ids` and `context`.
pub(super) fn call(
    env: &mut Env<'_>,
    model: &str,
    method: &str,
    ids: Option<Value>,
    arguments: &Vals,
) -> Result<Value> {
    let signature = signatures::find(model, method)?;
    if ids.is_some() && !signature.on_records {
        return Err(Raised::unprocessable(format!("cannot call {model}.{method} with ids")));
    }
    signature.bind(arguments)?;
    access::check_companies(env)?;
    if let Some(right) = signature.right {
        access::check(env, model, right)?;
    }
    let ids = records(ids);
    match generic(env, model, &signature, &ids, arguments)? {
        Some(answer) => Ok(answer),
        None => specific(env, (model, method), &ids, arguments),
    }
}

/// One id counts as a list of one; what is no number finds nothing.
fn records(ids: Option<Value>) -> Vec<i64> {
    match ids {
        Some(Value::Array(ids)) => ids.iter().filter_map(Value::as_i64).collect(),
        Some(one) => one.as_i64().into_iter().collect(),
        None => Vec::new(),
    }
}

fn page(arguments: &Vals) -> Page {
    let number = |name: &str| arguments.get(name).and_then(Value::as_u64).unwrap_or(0) as usize;
    let order = arguments.get("order").and_then(Value::as_str).map(str::to_owned);
    Page { offset: number("offset"), limit: number("limit"), order }
}

fn domain(arguments: &Vals) -> Value {
    arguments.get("domain").filter(|d| !d.is_null()).cloned().unwrap_or(json!([]))
}

fn is_classic(arguments: &Vals) -> bool {
    arguments.get("load").is_none_or(|load| load == "_classic_read")
}

fn generic(
    env: &mut Env<'_>,
    model: &str,
    signature: &Signature,
    ids: &[i64],
    arguments: &Vals,
) -> Result<Option<Value>> {
    let fields = || names(arguments.get("fields"));
    Ok(Some(match signature.name {
        "search" => json!(env.search(model, &domain(arguments), &page(arguments))?),
        "search_count" => json!(env.search(model, &domain(arguments), &page(arguments))?.len()),
        "search_read" => {
            let found = env.search(model, &domain(arguments), &page(arguments))?;
            env.read(model, &found, &fields(), is_classic(arguments))?
        }
        "web_search_read" => {
            let found = env.search(model, &domain(arguments), &page(arguments))?;
            let all = env.search(model, &domain(arguments), &Page::default())?.len();
            json!({ "length": all, "records": env.web_read(model, &found, &specification(arguments))? })
        }
        "name_search" => {
            let name = arguments.get("name").and_then(Value::as_str).unwrap_or_default().to_lowercase();
            let found = env.search(model, &domain(arguments), &Page::default())?;
            let named = found.into_iter().map(|id| (id, env.display_name(model, id)));
            json!(named.filter(|(_, n)| n.to_lowercase().contains(&name)).collect::<Vec<_>>())
        }
        "create" => json!(create(env, model, arguments.get("vals_list"))?),
        "load" => {
            access::check(env, model, Right::Create)?;
            let data = arguments.get("data").and_then(Value::as_array).cloned().unwrap_or_default();
            load::load(env, model, &fields(), &data)?
        }
        "fields_get" => {
            env.fields_get(model, &names(arguments.get("allfields")), &names(arguments.get("attributes")))?
        }
        "default_get" => defaults(env, model, &fields())?,
        "read" => env.read(model, ids, &fields(), is_classic(arguments))?,
        "web_read" => env.web_read(model, ids, &specification(arguments))?,
        "write" => {
            let vals = arguments.get("vals").and_then(Value::as_object).cloned().unwrap_or_default();
            env.write(model, ids, &vals).map(|()| json!(true))?
        }
        "unlink" => env.unlink(model, ids).map(|()| json!(true))?,
        "action_archive" | "action_unarchive" => {
            let active = signature.name == "action_unarchive";
            env.write(model, ids, &vals! {"active": active}).map(|()| json!(true))?
        }
        "has_access" => {
            let word = arguments.get("operation").and_then(Value::as_str).unwrap_or_default();
            let right = Right::parse(word).ok_or_else(|| Raised::python_type("Invalid access mode"))?;
            json!(access::may(env, model, right))
        }
        "get_external_id" => external_ids(env, model, ids),
        "export_data" => {
            return Err(Raised::user("You don't have the rights to export data. Please contact an Administrator."));
        }
        _ => return Ok(None),
    }))
}

fn specification(arguments: &Vals) -> Vals {
    arguments.get("specification").and_then(Value::as_object).cloned().unwrap_or_default()
}

/// One record or a list; always a list of ids.
fn create(env: &mut Env<'_>, model: &str, wanted: Option<&Value>) -> Result<Vec<i64>> {
    let list = match wanted {
        Some(Value::Array(all)) => all.clone(),
        Some(one) => vec![one.clone()],
        None => Vec::new(),
    };
    list.into_iter().map(|vals| create_one(env, model, vals.as_object().cloned().unwrap_or_default())).collect()
}

/// A count of a place that has a quant already is a write to it.
fn create_one(env: &mut Env<'_>, model: &str, vals: Vals) -> Result<i64> {
    let id = |name: &str| vals.get(name).and_then(Value::as_i64);
    if let ("stock.quant", Some(product), Some(place)) = (model, id("product_id"), id("location_id"))
        && vals.contains_key("inventory_quantity_auto_apply")
        && let Some(quant) = reserve::quant(env, product, place)
    {
        env.write(model, &[quant], &vals)?;
        return Ok(quant);
    }
    env.create(model, vals)
}

fn defaults(env: &Env<'_>, model: &str, fields: &[String]) -> Result<Value> {
    let known = env.known(model)?;
    let mut found = Vals::new();
    for field in fields.iter().filter_map(|name| known.field(name)) {
        let value = if field.name == "company_id" { Some(json!(1)) } else { field.default.clone() };
        if let Some(value) = value {
            found.insert(field.name.clone(), value);
        }
    }
    Ok(Value::Object(found))
}

/// By id as text; an empty text where there is none.
fn external_ids(env: &Env<'_>, model: &str, ids: &[i64]) -> Value {
    let name = |id: i64| {
        let marks = env.db.having("ir.model.data", "res_id", &json!(id)).unwrap_or_default();
        let mark = marks.into_iter().find(|m| env.text("ir.model.data", *m, "model") == model);
        mark.map(|m| env.text("ir.model.data", m, "complete_name")).unwrap_or_default()
    };
    Value::Object(ids.iter().map(|id| (id.to_string(), json!(name(*id)))).collect())
}

fn specific(env: &mut Env<'_>, method: (&str, &str), ids: &[i64], arguments: &Vals) -> Result<Value> {
    let done = json!(true);
    match method {
        ("res.users", "context_get") => Ok(session::context(env)),
        ("ir.sequence", "next_by_code") => {
            base::next_by_code(env, arguments.get("sequence_code").and_then(Value::as_str).unwrap_or_default())
        }
        (model, "message_post") => {
            env.must_exist(model, ids)?;
            ids.iter()
                .map(|id| mail::post(env, model, *id, arguments))
                .collect::<Result<Vec<_>>>()
                .map(|ids| json!(ids))
        }
        ("sale.order", "action_confirm") => sale_confirm::confirm(env, ids).map(|()| done),
        ("sale.order", "action_cancel") => sale_confirm::cancel(env, ids).map(|()| done),
        ("choose.delivery.carrier", "button_confirm") => {
            ids.iter().try_for_each(|id| sale_confirm::choose_carrier(env, *id)).map(|()| Value::Null)
        }
        ("stock.picking", "action_confirm" | "action_assign") => picking::assign(env, ids).map(|()| done),
        ("stock.picking", "do_unreserve") => picking::unreserve(env, ids).map(|()| Value::Null),
        ("stock.picking", "action_cancel") => picking::cancel(env, ids).map(|()| done),
        ("stock.picking", "button_validate") => validate::validate(env, ids),
        ("stock.picking", "action_put_in_pack") => wizard::put_in_pack(env, ids),
        ("stock.move.line", "action_put_in_pack") => package::put_in_pack(env, ids, arguments).map(|id| json!([id])),
        ("stock.backorder.confirmation", answer) => {
            let keep = answer == "process";
            validate::backorder_answered(env, ids.first().copied().unwrap_or(0), keep)
        }
        ("confirm.stock.sms", _) => validate::sms_answered(env),
        ("res.users.apikeys.description", "make_key") => {
            let about = ids.first().copied().unwrap_or(0);
            let check = env.create("res.users.identitycheck", Vals::new())?;
            let mut row = env.row("res.users.identitycheck", check);
            row.insert(session::ABOUT.to_owned(), json!(about));
            env.db.put("res.users.identitycheck", check, Some(row));
            Ok(wizard::identity_check(check))
        }
        ("res.users.identitycheck", "run_check") => session::run_check(env, ids.first().copied().unwrap_or(0)),
        (model, name) => Err(Raised::value(format!("the twin does not know `{model}.{name}`"))),
    }
}
