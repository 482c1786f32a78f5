//! What Odoo says its fields are: kinds and where relations lead. Read from the very instance, since modules add and
//! change fields; a grant alone cannot tell a number from a record.

use std::collections::BTreeMap;

use serde_json::Value;

/// Fields by model. A model the bot user may not see has none.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Schema {
    models: BTreeMap<String, BTreeMap<String, Field>>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Field {
    pub(crate) kind: Kind,
    /// The model a relation leads to.
    pub(crate) relation: Option<String>,
    /// Of a one2many: the field of the other model that points back.
    pub(crate) inverse: Option<String>,
    /// A value of the record itself, neither computed nor another record's.
    pub(crate) own: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Text,
    Integer,
    Float,
    Boolean,
    Date,
    Moment,
    One,
    Lines,
    Many,
    /// Files, free references, properties, and whatever a later Odoo brings: not for adapters.
    Closed,
}

impl Kind {
    pub(crate) fn relational(self) -> bool {
        matches!(self, Self::One | Self::Lines | Self::Many)
    }

    fn of(name: &str) -> Self {
        match name {
            "char" | "text" | "html" | "selection" => Self::Text,
            "integer" => Self::Integer,
            "float" | "monetary" => Self::Float,
            "boolean" => Self::Boolean,
            "date" => Self::Date,
            "datetime" => Self::Moment,
            "many2one" => Self::One,
            "one2many" => Self::Lines,
            "many2many" => Self::Many,
            _ => Self::Closed,
        }
    }
}

/// The attributes [`Schema::add`] reads.
pub(crate) const ATTRIBUTES: [&str; 6] = ["type", "relation", "relation_field", "readonly", "related", "store"];

impl Schema {
    /// Adds what `fields_get` answered; an answer of another shape is a model without fields.
    pub(crate) fn add(&mut self, model: &str, answer: &Value) {
        let fields = answer.as_object().into_iter().flatten();
        let text = |about: &Value, name: &str| about[name].as_str().map(str::to_owned);
        let fields = fields.map(|(name, about)| {
            let kind = Kind::of(about["type"].as_str().unwrap_or_default());
            let own = about["store"] == true && about["readonly"] != true && about["related"].as_str().is_none();
            let (relation, inverse) = (text(about, "relation"), text(about, "relation_field"));
            (name.clone(), Field { kind, relation, inverse, own })
        });
        self.models.insert(model.to_owned(), fields.collect());
    }

    pub(crate) fn knows(&self, model: &str) -> bool {
        self.models.contains_key(model)
    }

    pub(crate) fn field(&self, model: &str, name: &str) -> Option<&Field> {
        self.models.get(model)?.get(name)
    }

    /// Can a new record of the model be told its company? Where it cannot, the company is another record's.
    pub(crate) fn company_can_be_set(&self, model: &str) -> bool {
        self.company(model).and_then(|name| self.field(model, name)).is_some_and(|field| field.own)
    }

    /// The field that says which company a record belongs to.
    pub(crate) fn company(&self, model: &str) -> Option<&'static str> {
        let field = self.field(model, COMPANY)?;
        (field.kind == Kind::One && field.relation.as_deref() == Some("res.company")).then_some(COMPANY)
    }
}

pub(crate) const COMPANY: &str = "company_id";
