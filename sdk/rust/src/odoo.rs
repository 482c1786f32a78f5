//! Records of the tenant's Odoo, as far as `[[odoo]]` of the manifest and the operator's grant allow. What is not granted
//! is a `forbidden` fault that names the line which would allow it. Everything here panics off wasm but what only builds
//! or reads values.
//!
//! ```
//! use serde_json::json;
//! use wharf_sdk::odoo::Search;
//!
//! let search = Search::of("res.country").domain(&json!([["code", "=", "DE"]])).fields(&["code"]).limit(1);
//! assert_eq!(search.domain, r#"[["code","=","DE"]]"#);
//! ```

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::Fault;
use crate::bindings::wharf::odoo::records;
pub use crate::bindings::wharf::odoo::records::{Page, Search};

impl Search {
    /// Every record of a model that may be seen, a page at a time.
    pub fn of(model: &str) -> Self {
        Self {
            model: model.to_owned(),
            domain: String::new(),
            fields: Vec::new(),
            order: Vec::new(),
            limit: 0,
            offset: 0,
            options: Vec::new(),
        }
    }

    /// Only those that fit an Odoo domain.
    #[must_use]
    pub fn domain(mut self, domain: &serde_json::Value) -> Self {
        self.domain = domain.to_string();
        self
    }

    /// With these fields beside `id`.
    #[must_use]
    pub fn fields(mut self, fields: &[&str]) -> Self {
        self.fields = texts(fields);
        self
    }

    /// Sorted by `field`, `field asc` or `field desc`.
    #[must_use]
    pub fn order(mut self, terms: &[&str]) -> Self {
        self.order = texts(terms);
        self
    }

    /// At most so many of them; a page has 500.
    #[must_use]
    pub fn limit(mut self, limit: u32) -> Self {
        self.limit = limit;
        self
    }

    /// Without the first so many.
    #[must_use]
    pub fn offset(mut self, offset: u32) -> Self {
        self.offset = offset;
        self
    }

    /// With `lang`, `tz` or `company`.
    #[must_use]
    pub fn option(mut self, name: &str, value: &str) -> Self {
        self.options.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Asks. May be repeated.
    pub fn fetch(&self) -> Result<Page, Fault> {
        records::search_read(self)
    }
}

impl Page {
    /// The records as values of the author's own. Absent values are null, so such fields are options.
    pub fn read<T: DeserializeOwned>(&self) -> Result<Vec<T>, Fault> {
        serde_json::from_str(&self.records)
            .map_err(|e| Fault::data_out_of_contract("odoo-records", format!("the records have another shape: {e}")))
    }
}

/// Records by id; those that are gone or not granted are left out. May be repeated.
pub fn read(model: &str, ids: &[i64], fields: &[&str]) -> Result<Page, Fault> {
    records::read(model, ids, &texts(fields), &[])
}

/// Creates one record once per `key`, and gives its id. A repeat gives the same one.
pub fn create(model: &str, key: &str, values: &impl Serialize) -> Result<i64, Fault> {
    records::create(model, key, &json(values)?, &[])
}

/// Writes the same values to all of `ids`, or to none. Repeating it with the same values is harmless.
pub fn write(model: &str, ids: &[i64], values: &impl Serialize) -> Result<(), Fault> {
    records::write(model, ids, &json(values)?, &[])
}

fn texts(all: &[&str]) -> Vec<String> {
    all.iter().map(|one| (*one).to_owned()).collect()
}

fn json(values: &impl Serialize) -> Result<String, Fault> {
    serde_json::to_string(values)
        .map_err(|e| Fault::invalid_input("odoo-json", format!("the values cannot be written as JSON: {e}")))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_search_is_built_step_by_step() {
        let search = Search::of("m").domain(&json!([["a", "in", [1]]])).fields(&["a"]).order(&["a desc"]).limit(5);
        let search = search.offset(10).option("lang", "de_DE");
        assert_eq!((search.domain.as_str(), search.limit, search.offset), (r#"[["a","in",[1]]]"#, 5, 10));
        assert_eq!((search.fields, search.order), (vec!["a".to_owned()], vec!["a desc".to_owned()]));
        assert_eq!(search.options, [("lang".to_owned(), "de_DE".to_owned())]);
    }

    #[test]
    fn a_page_is_read_or_says_why_not() {
        let page = Page { records: r#"[{"id":1,"a":null}]"#.to_owned(), more: false, cut: Vec::new() };
        assert_eq!(page.read::<serde_json::Value>().expect("records"), [json!({"id": 1, "a": null})]);
        assert_eq!(page.read::<u32>().expect_err("shape").kind, "data-out-of-contract");
    }
}
