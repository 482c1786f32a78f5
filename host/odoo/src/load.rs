//! `load`: create by external id, at most once per id for ever, whoever repeats it. The database holds the
//! uniqueness, so neither a race nor an answer that was lost makes a second record.
//!
//! Its errors come as status 200 with `ids: false`, also when the row was busy.

use serde::Deserialize;
use serde_json::{Value, json};
use wharf_domain::fault::{Blame, Fault, FaultKind};

use crate::fault::{cut, unexpected};

/// Module part of every external id this host makes.
pub(crate) const MODULE: &str = "__wharf__";

#[derive(Debug, Deserialize)]
struct Loaded {
    ids: Value,
    #[serde(default)]
    messages: Vec<LoadMessage>,
}

#[derive(Debug, Deserialize)]
struct LoadMessage {
    #[serde(default)]
    message: Value,
}

/// Arguments that create one record under `__wharf__.<name>` and leave an existing one as it is: in mode `update`
/// with `noupdate` Odoo resolves the id and writes nothing.
pub(crate) fn create_once(name: &str, columns: &[(&str, &str)]) -> Value {
    let mut fields = vec![json!("id")];
    let mut row = vec![json!(format!("{MODULE}.{name}"))];
    for (column, value) in columns {
        fields.push(json!(column));
        row.push(json!(value));
    }
    // A label is evidence: Odoo's shrinking of large pictures would change it.
    let context = json!({"mode": "update", "noupdate": true, "image_no_postprocess": true});
    json!({"fields": fields, "data": [row], "context": context})
}

/// The ids of the records, or why there are none.
pub(crate) fn ids(what: &str, answer: Value) -> Result<Vec<i64>, Fault> {
    let loaded: Loaded = serde_json::from_value(answer).map_err(|err| unexpected(what, err))?;
    match serde_json::from_value::<Vec<i64>>(loaded.ids) {
        Ok(ids) if !ids.is_empty() => Ok(ids),
        _ => Err(refused(what, &loaded.messages)),
    }
}

/// The one id of a load of one record.
pub(crate) fn one_id(what: &str, answer: Value) -> Result<i64, Fault> {
    ids(what, answer)?.first().copied().ok_or_else(|| unexpected(what, "no id"))
}

/// PostgreSQL's words for "somebody else was faster"; a race for one external id ends in one of them.
const BUSY: [&str; 4] = [
    "could not serialize access",
    "deadlock detected",
    "could not obtain lock",
    "ir_model_data_module_name_uniq_index",
];

fn refused(what: &str, messages: &[LoadMessage]) -> Fault {
    let texts: Vec<&str> = messages.iter().filter_map(|m| m.message.as_str()).map(str::trim).collect();
    let text = cut(&texts.join("; "));
    if BUSY.iter().any(|busy| texts.iter().any(|text| text.contains(busy))) {
        return Fault::new(
            FaultKind::Transient,
            "odoo.busy",
            "Odoo's database is busy with the same record",
            Blame::Odoo,
        );
    }
    Fault::new(FaultKind::BusinessRejected, "odoo.load-refused", format!("Odoo refused `{what}`: {text}"), Blame::Odoo)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_load_answers_ids_or_the_reason_with_status_200() {
        assert_eq!(one_id("x", json!({"ids": [934], "messages": [], "nextrow": 0})), Ok(934));
        let refused = json!({"ids": false, "nextrow": 0, "messages": [{"type": "error", "message":
            "No matching record found for name 'Nowhereland' in field 'Country'", "field": "country_id"}]});
        let fault = one_id("x", refused).expect_err("refused");
        assert_eq!((fault.code.as_str(), fault.retryable()), ("odoo.load-refused", false));
        assert!(fault.message.contains("Nowhereland"), "{fault}");
        assert_eq!(one_id("x", json!({"ids": []})).expect_err("empty").code, "odoo.load-refused");
        assert_eq!(one_id("x", json!("done")).expect_err("shape").code, "odoo.unexpected-answer");
    }

    #[test]
    fn losing_a_race_is_worth_another_try() {
        for text in [
            "could not serialize access due to concurrent update\n",
            "duplicate key value violates unique constraint \"ir_model_data_module_name_uniq_index\"",
        ] {
            let fault = one_id("x", json!({"ids": false, "messages": [{"message": text}]})).expect_err("busy");
            assert!(fault.retryable(), "{fault}");
        }
    }

    #[test]
    fn creating_once_never_updates_what_is_there() {
        let args = create_once("att_nordic_k1", &[("name", "a.zpl")]);
        assert_eq!(args["fields"], json!(["id", "name"]));
        assert_eq!(args["data"], json!([["__wharf__.att_nordic_k1", "a.zpl"]]));
        assert_eq!(args["context"]["mode"], "update");
        assert_eq!(args["context"]["noupdate"], true);
    }
}
