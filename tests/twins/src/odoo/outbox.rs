//! Code of server actions, as far as an outbox needs it. The twin has no Python; it knows lines of these forms:
//!
//! `env['x_box'].sudo().create({'x_event': 'state:' + record.state, 'x_order': record.sale_id.id})`, with or without
//! `if 'x_box' in env:` before it; `raise UserError('text')`; `1/0`. Any other line is an error, and like every error in
//! a rule it undoes the user's work.

use serde_json::{Value, json};

use super::env::Env;
use super::errors::{Raised, Result};
use super::python;
use super::records::Vals;

pub(super) fn run(env: &mut Env<'_>, code: &str, model: &str, id: i64) -> Result<()> {
    for line in code.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')) {
        statement(env, line, model, id)?;
    }
    Ok(())
}

fn statement(env: &mut Env<'_>, line: &str, model: &str, id: i64) -> Result<()> {
    let unknown = || Raised::value(format!("the twin does not know this line of code: {line}"));
    if let Some(rest) = line.strip_prefix("if ") {
        let (condition, rest) = rest.split_once(" in env:").ok_or_else(unknown)?;
        let Some(Value::String(wanted)) = python::literal(condition) else { return Err(unknown()) };
        return if env.db.model(&wanted).is_some() { statement(env, rest.trim(), model, id) } else { Ok(()) };
    }
    if let Some(rest) = line.strip_prefix("raise UserError(") {
        let text = rest.strip_suffix(')').and_then(python::literal);
        return Err(Raised::user(text.as_ref().and_then(Value::as_str).unwrap_or_default()));
    }
    if line == "1/0" {
        return Err(Raised::zero_division());
    }
    let rest = line.strip_prefix("env[").ok_or_else(unknown)?;
    let (target, rest) = rest.split_once("].sudo().create({").ok_or_else(unknown)?;
    let Some(Value::String(target)) = python::literal(target) else { return Err(unknown()) };
    let entries = rest.strip_suffix("})").ok_or_else(unknown)?;
    if env.db.model(&target).is_none() {
        return Err(Raised::key(&target));
    }
    let mut vals = Vals::new();
    for entry in split_outside_quotes(entries, ',') {
        let (key, expression) = entry.split_once(':').ok_or_else(unknown)?;
        let Some(Value::String(key)) = python::literal(key.trim()) else { return Err(unknown()) };
        vals.insert(key, evaluate(env, expression.trim(), model, id).ok_or_else(unknown)?);
    }
    env.create(&target, vals).map(|_| ())
}

/// A sum of literals and paths from `record`.
fn evaluate(env: &Env<'_>, expression: &str, model: &str, id: i64) -> Option<Value> {
    let mut terms = split_outside_quotes(expression, '+').into_iter().map(|term| {
        let term = term.trim();
        match term.strip_prefix("record.") {
            Some(path) => follow(env, path, model, id),
            None => python::literal(term),
        }
    });
    let first = terms.next()??;
    terms.try_fold(first, |sum, term| match (sum, term?) {
        (Value::String(a), Value::String(b)) => Some(json!(a + &b)),
        _ => None,
    })
}

/// `sale_id.id` from the record: a path over nothing is false.
fn follow(env: &Env<'_>, path: &str, model: &str, id: i64) -> Option<Value> {
    let (mut model, mut at) = (model.to_owned(), Some(id));
    let mut names = path.split('.').peekable();
    while let Some(name) = names.next() {
        let Some(id) = at else { return Some(json!(false)) };
        if name == "_name" {
            return Some(json!(model));
        }
        let field = env.db.model(&model)?.field(name)?.clone();
        let value = env.shown(&model, id, name);
        match field.kind.comodel() {
            Some(comodel) if names.peek().is_some() => (model, at) = (comodel.to_owned(), value.as_i64()),
            _ => return Some(value),
        }
    }
    None
}

fn split_outside_quotes(text: &str, separator: char) -> Vec<&str> {
    let (mut parts, mut start, mut quote) = (Vec::new(), 0, None);
    for (at, c) in text.char_indices() {
        match quote {
            Some(open) if c == open => quote = None,
            Some(_) => {}
            None if c == '\'' || c == '"' => quote = Some(c),
            None if c == separator => {
                parts.push(&text[start..at]);
                start = at + 1;
            }
            None => {}
        }
    }
    if !text[start..].trim().is_empty() {
        parts.push(&text[start..]);
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn separators_inside_quotes_do_not_separate() {
        assert_eq!(split_outside_quotes("'a,b': 1, \"c\": 'd'", ','), ["'a,b': 1", " \"c\": 'd'"]);
        assert_eq!(split_outside_quotes("'a+b' + record.x", '+'), ["'a+b' ", " record.x"]);
    }
}
