//! Odoo's search domains, parsed: a list of leaves and operators in prefix order becomes a tree, and what is sent is
//! written out of the tree. Which fields and operators are allowed is decided in `expr`.

use serde_json::{Value, json};

use super::denial::{Denial, shown};

/// Longer texts, more entries and deeper nesting than this are refused.
pub(crate) const MAX_TEXT: usize = 16 << 10;
const MAX_ENTRIES: usize = 200;
const MAX_DEPTH: usize = 6;
/// Segments of one path.
const MAX_PATH: usize = 6;

/// A domain as a tree.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Expr {
    /// All of them; none of them is true.
    All(Vec<Expr>),
    Either(Box<Expr>, Box<Expr>),
    Not(Box<Expr>),
    Leaf {
        path: Vec<String>,
        operator: &'static str,
        value: Value,
    },
    /// A record on the other side of `path` fits `inner`; `negated`: none does.
    Any {
        path: Vec<String>,
        negated: bool,
        inner: Box<Expr>,
    },
}

/// Every operator a leaf may have. `any!` and `not any!`, which skip the rights of the other model, are deliberately
/// absent.
const OPERATORS: [&str; 18] = [
    "=",
    "!=",
    "<",
    "<=",
    ">",
    ">=",
    "in",
    "not in",
    "like",
    "not like",
    "ilike",
    "not ilike",
    "=like",
    "=ilike",
    "not =like",
    "not =ilike",
    "child_of",
    "parent_of",
];

/// Reads a domain. It is JSON, so tuples are arrays.
pub(crate) fn parse(text: &str) -> Result<Expr, Denial> {
    if text.len() > MAX_TEXT {
        return Err(bad(format!("it has {} bytes, at most {MAX_TEXT} are read", text.len())));
    }
    if text.trim().is_empty() {
        return Ok(Expr::All(Vec::new()));
    }
    let value = serde_json::from_str(text).map_err(|err| bad(format!("it is not JSON: {err}")))?;
    let mut left = MAX_ENTRIES;
    entries(&value, 0, &mut left)
}

fn entries(value: &Value, depth: usize, left: &mut usize) -> Result<Expr, Denial> {
    let Value::Array(entries) = value else { return Err(bad("it is not a list".to_owned())) };
    if depth > MAX_DEPTH {
        return Err(bad(format!("`any` is nested more than {MAX_DEPTH} deep")));
    }
    // Backwards, so that an operator finds its operands on the stack.
    let mut stack: Vec<Expr> = Vec::new();
    for entry in entries.iter().rev() {
        *left = left.checked_sub(1).ok_or_else(|| bad(format!("it has more than {MAX_ENTRIES} entries")))?;
        let expr = match entry {
            Value::String(operator) => operation(operator, &mut stack)?,
            Value::Array(leaf) => leaf_of(leaf, depth, left)?,
            _ => return Err(bad("an entry is neither an operator nor a condition".to_owned())),
        };
        stack.push(expr);
    }
    stack.reverse();
    Ok(Expr::All(stack))
}

fn operation(operator: &str, stack: &mut Vec<Expr>) -> Result<Expr, Denial> {
    let mut operand = || stack.pop().ok_or_else(|| bad(format!("`{}` lacks an operand", shown(operator))));
    Ok(match operator {
        "&" => Expr::All(vec![operand()?, operand()?]),
        "|" => Expr::Either(Box::new(operand()?), Box::new(operand()?)),
        "!" => Expr::Not(Box::new(operand()?)),
        _ => return Err(bad(format!("`{}` is no operator between conditions", shown(operator)))),
    })
}

fn leaf_of(leaf: &[Value], depth: usize, left: &mut usize) -> Result<Expr, Denial> {
    let [Value::String(path), Value::String(operator), value] = leaf else {
        return Err(bad("a condition is `[field, operator, value]` with texts for the first two".to_owned()));
    };
    let path = segments(path)?;
    let negated = operator == "not any";
    if negated || operator == "any" {
        let inner = Box::new(entries(value, depth + 1, left)?);
        return Ok(Expr::Any { path, negated, inner });
    }
    let known = OPERATORS.into_iter().find(|known| known == operator);
    let operator = known.ok_or_else(|| Denial::Operator {
        path: path.join("."),
        operator: shown(operator),
        why: "it is not among those an adapter may use",
    })?;
    Ok(Expr::Leaf { path, operator, value: value.clone() })
}

fn segments(path: &str) -> Result<Vec<String>, Denial> {
    let segments: Vec<&str> = path.split('.').collect();
    let plain =
        |s: &&str| !s.is_empty() && s.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_');
    if segments.len() > MAX_PATH || !segments.iter().all(plain) {
        return Err(Denial::Path { path: shown(path), why: "it is no path of field names, or too long a one" });
    }
    Ok(segments.into_iter().map(str::to_owned).collect())
}

fn bad(why: String) -> Denial {
    Denial::BadDomain { why }
}

impl Expr {
    /// The fields of the model itself that are looked at.
    pub(super) fn fields(&self) -> Vec<&str> {
        match self {
            Self::All(all) => all.iter().flat_map(Self::fields).collect(),
            Self::Either(a, b) => [a.fields(), b.fields()].concat(),
            Self::Not(one) => one.fields(),
            Self::Leaf { path, .. } | Self::Any { path, .. } => path.first().map(String::as_str).into_iter().collect(),
        }
    }

    /// As Odoo reads it.
    pub(crate) fn to_json(&self) -> Value {
        let mut out = Vec::new();
        self.list(&mut out);
        Value::Array(out)
    }

    /// Entries of a list; `and` between them goes without saying.
    fn list(&self, out: &mut Vec<Value>) {
        match self {
            Self::All(all) => all.iter().for_each(|expr| expr.list(out)),
            other => other.write(out),
        }
    }

    /// Exactly one operand in prefix order.
    fn write(&self, out: &mut Vec<Value>) {
        match self {
            Self::All(all) => {
                let Some((last, firsts)) = all.split_last() else {
                    // What is always true, as Odoo writes it itself.
                    out.push(json!([1, "=", 1]));
                    return;
                };
                for expr in firsts {
                    out.push(json!("&"));
                    expr.write(out);
                }
                last.write(out);
            }
            Self::Either(a, b) => {
                out.push(json!("|"));
                a.write(out);
                b.write(out);
            }
            Self::Not(expr) => {
                out.push(json!("!"));
                expr.write(out);
            }
            Self::Leaf { path, operator, value } => out.push(json!([path.join("."), operator, value])),
            Self::Any { path, negated, inner } => {
                let operator = if *negated { "not any" } else { "any" };
                out.push(json!([path.join("."), operator, inner.to_json()]));
            }
        }
    }
}
