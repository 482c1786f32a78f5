//! The models and fields the twin knows, read from `schema/*.txt` at the start. A custom model made over the API joins
//! them at run time.
//!
//! `[model] Description; default order; transient` opens a model. A field is one line:
//! `name type flags | Label`, with the type as Odoo names it, its comodel (and inverse) or choices in brackets, and the
//! flags `required`, `readonly`, `computed` (not stored), `indexed` and `=default`.

use std::collections::BTreeMap;
use std::sync::Arc;

use anyhow::{Context as _, bail, ensure};
use serde_json::Value;

const TEXTS: [&str; 5] = [
    include_str!("schema/base.txt"),
    include_str!("schema/automation.txt"),
    include_str!("schema/mail.txt"),
    include_str!("schema/sale.txt"),
    include_str!("schema/stock.txt"),
];

/// On every model, besides `id` and `display_name`.
const MAGIC: &str = "create_date datetime readonly | Created on\nwrite_date datetime readonly | Last Updated on\n\
    create_uid many2one(res.users) readonly | Created by\nwrite_uid many2one(res.users) readonly | Last Updated by";

#[derive(Debug, Clone, PartialEq)]
pub(super) struct Model {
    pub(super) name: String,
    pub(super) label: String,
    /// Field and whether it falls.
    pub(super) order: Vec<(String, bool)>,
    pub(super) fields: BTreeMap<String, Field>,
    /// Made over the API.
    pub(super) manual: bool,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) struct Field {
    pub(super) name: String,
    pub(super) kind: Kind,
    pub(super) label: String,
    pub(super) required: bool,
    pub(super) readonly: bool,
    /// Worked out when read; what is written to it is for the model's own logic.
    pub(super) computed: bool,
    pub(super) indexed: bool,
    pub(super) default: Option<Value>,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Kind {
    Char,
    Text,
    Html,
    Integer,
    Float,
    Monetary,
    Boolean,
    Date,
    Datetime,
    Binary,
    /// Values and labels. Empty: any text.
    Selection(Vec<(String, String)>),
    Many2one(String),
    /// Comodel and the many2one in it that points back.
    One2many(String, String),
    Many2many(String),
    /// A record id; a field beside it names the model.
    Reference,
}

impl Kind {
    /// As `fields_get` names it.
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Char => "char",
            Self::Text => "text",
            Self::Html => "html",
            Self::Integer => "integer",
            Self::Float => "float",
            Self::Monetary => "monetary",
            Self::Boolean => "boolean",
            Self::Date => "date",
            Self::Datetime => "datetime",
            Self::Binary => "binary",
            Self::Selection(_) => "selection",
            Self::Many2one(_) => "many2one",
            Self::One2many(..) => "one2many",
            Self::Many2many(_) => "many2many",
            Self::Reference => "many2one_reference",
        }
    }

    pub(super) fn comodel(&self) -> Option<&str> {
        match self {
            Self::Many2one(model) | Self::One2many(model, _) | Self::Many2many(model) => Some(model),
            _ => None,
        }
    }

    pub(super) fn is_many(&self) -> bool {
        matches!(self, Self::One2many(..) | Self::Many2many(_))
    }

    pub(super) fn is_number(&self) -> bool {
        matches!(self, Self::Integer | Self::Float | Self::Monetary | Self::Reference)
    }

    /// From the words of `ir.model.fields`.
    pub(super) fn of_manual(ttype: &str, relation: &str, inverse: &str) -> Option<Self> {
        let arguments = match ttype {
            "many2one" | "many2many" => relation.to_owned(),
            "one2many" => format!("{relation}, {inverse}"),
            _ => String::new(),
        };
        kind(ttype, &arguments).ok()
    }
}

impl Field {
    pub(super) fn new(name: &str, kind: Kind, label: &str) -> Self {
        Self {
            name: name.to_owned(),
            kind,
            label: label.to_owned(),
            required: false,
            readonly: false,
            computed: false,
            indexed: false,
            default: None,
        }
    }
}

impl Model {
    pub(super) fn new(name: &str, label: &str, order: &str) -> anyhow::Result<Self> {
        let mut model = Self {
            name: name.to_owned(),
            label: label.to_owned(),
            order: Vec::new(),
            fields: BTreeMap::new(),
            manual: false,
        };
        model.add(Field { readonly: true, ..Field::new("id", Kind::Integer, "ID") });
        model.add(Field { readonly: true, computed: true, ..Field::new("display_name", Kind::Char, "Display Name") });
        for line in MAGIC.lines() {
            model.add(field(line)?);
        }
        model.set_order(order);
        Ok(model)
    }

    pub(super) fn add(&mut self, field: Field) {
        self.fields.insert(field.name.clone(), field);
    }

    pub(super) fn field(&self, name: &str) -> Option<&Field> {
        self.fields.get(name)
    }

    fn set_order(&mut self, order: &str) {
        self.order = order.split(',').map(|term| order_term(term.trim())).collect();
    }
}

/// `write_date desc` to the field and whether it falls.
pub(super) fn order_term(term: &str) -> (String, bool) {
    let mut words = term.split_whitespace();
    let name = words.next().unwrap_or("id").to_owned();
    (name, words.next().is_some_and(|w| w.eq_ignore_ascii_case("desc")))
}

pub(super) type Schema = BTreeMap<String, Arc<Model>>;

pub(super) fn load() -> anyhow::Result<Schema> {
    let mut schema = Schema::new();
    for block in TEXTS.iter().flat_map(|text| text.split("\n\n")) {
        let mut lines = block.lines().filter(|line| !line.trim().is_empty());
        let Some(head) = lines.next() else { continue };
        let mut model = opened(head).with_context(|| format!("schema `{head}`"))?;
        for line in lines {
            model.add(field(line).with_context(|| format!("schema of `{}`: `{line}`", model.name))?);
        }
        // What the twin does not have cannot sort.
        let known: Vec<(String, bool)> =
            model.order.iter().filter(|(name, _)| model.fields.contains_key(name)).cloned().collect();
        model.order = known;
        schema.insert(model.name.clone(), Arc::new(model));
    }
    for model in schema.values() {
        for field in model.fields.values() {
            let comodel = field.kind.comodel();
            let known = comodel.is_none_or(|name| schema.contains_key(name));
            ensure!(known, "schema of `{}`: `{}` points to an unknown model", model.name, field.name);
            if let Kind::One2many(comodel, inverse) = &field.kind {
                let back = schema.get(comodel).and_then(|m| m.field(inverse)).map(|f| &f.kind);
                let fits = back == Some(&Kind::Many2one(model.name.clone()));
                ensure!(fits, "schema of `{}`: `{}` has no inverse", model.name, field.name);
            }
        }
    }
    Ok(schema)
}

fn opened(head: &str) -> anyhow::Result<Model> {
    let rest = head.strip_prefix('[').context("a model opens with `[`")?;
    let (name, rest) = rest.split_once(']').context("`]` is missing")?;
    let mut parts = rest.split(';').map(str::trim);
    Model::new(name, parts.next().unwrap_or_default(), parts.next().unwrap_or("id"))
}

fn field(line: &str) -> anyhow::Result<Field> {
    let (head, label) = line.split_once(" | ").context("a field has a label after ` | `")?;
    let (name, rest) = head.trim().split_once(' ').context("a field has a type")?;
    let (ttype, arguments, flags) = match rest.split_once('(') {
        // The choices may hold brackets themselves: the last one closes.
        Some((ttype, rest)) if !ttype.contains(' ') => {
            let (arguments, flags) = rest.rsplit_once(')').context("`)` is missing")?;
            (ttype, arguments, flags)
        }
        _ => {
            let (ttype, flags) = rest.split_once(' ').unwrap_or((rest, ""));
            (ttype, "", flags)
        }
    };
    let mut field = Field::new(name, kind(ttype, arguments)?, label);
    for flag in flags.split_whitespace() {
        match flag {
            "required" => field.required = true,
            "readonly" => field.readonly = true,
            "computed" => field.computed = true,
            "indexed" => field.indexed = true,
            _ => {
                let text = flag.strip_prefix('=').with_context(|| format!("flag `{flag}` is not known"))?;
                field.default = Some(serde_json::from_str(text).unwrap_or_else(|_| Value::from(text)));
            }
        }
    }
    Ok(field)
}

fn kind(ttype: &str, arguments: &str) -> anyhow::Result<Kind> {
    Ok(match ttype {
        "char" => Kind::Char,
        "text" => Kind::Text,
        "html" => Kind::Html,
        "integer" => Kind::Integer,
        "float" => Kind::Float,
        "monetary" => Kind::Monetary,
        "boolean" => Kind::Boolean,
        "date" => Kind::Date,
        "datetime" => Kind::Datetime,
        "binary" => Kind::Binary,
        "many2one_reference" => Kind::Reference,
        "selection" => {
            let choices = arguments.split(';').filter_map(|choice| choice.trim().split_once('='));
            Kind::Selection(choices.map(|(value, label)| (value.to_owned(), label.to_owned())).collect())
        }
        "many2one" => Kind::Many2one(arguments.to_owned()),
        "many2many" => Kind::Many2many(arguments.to_owned()),
        "one2many" => {
            let (comodel, inverse) = arguments.split_once(", ").context("a one2many names its inverse")?;
            Kind::One2many(comodel.to_owned(), inverse.to_owned())
        }
        _ => bail!("type `{ttype}` is not known"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_schema_reads_and_fits_together() {
        let schema = load().unwrap();
        let order = &schema["sale.order"];
        assert_eq!(order.order, [("date_order".to_owned(), true), ("id".to_owned(), true)]);
        assert_eq!(order.fields["state"].default, Some(Value::from("draft")));
        let Kind::Selection(steps) = &schema["stock.warehouse"].fields["delivery_steps"].kind else { panic!() };
        assert_eq!(steps[0], ("ship_only".to_owned(), "Deliver (1 step)".to_owned()));
        assert!(schema["stock.picking"].fields["weight_bulk"].computed);
        assert_eq!(schema["stock.picking"].fields["priority"].default, Some(Value::from("0")));
    }

    #[test]
    fn a_line_that_means_nothing_is_refused() {
        for bad in ["name", "name chair | Name", "name char sometimes | Name", "lines one2many(a.b) | Lines"] {
            assert!(field(bad).is_err(), "{bad}");
        }
    }
}
