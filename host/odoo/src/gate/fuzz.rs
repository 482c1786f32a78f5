//! Promise 14 at the gate: any text at all as a domain, as values, as options or as an answer of Odoo. What gets through
//! names only what was granted, which is what the property tests ask of well-formed asks.

use serde_json::{Value, json};
use wharf_domain::fault::Fault;
use wharf_fuzz::{Target, shape};

use super::expr::{Whose, order};
use super::properties::{terms, uses, written};
use super::world::{COMPANIES, world};
use super::{Denial, Schema, Use, domain, options, page, values};

const NAMES: [&str; 34] = [
    "\"name\"",
    "\"state\"",
    "\"partner_id\"",
    "\"order_line\"",
    "\"tag_ids\"",
    "\"zip\"",
    "\"parent_id\"",
    "\"user_ids\"",
    "\"access_token\"",
    "\"company_id\"",
    "\"id\"",
    "\"product_id\"",
    "\"order_id\"",
    "\"product_uom_qty\"",
    "\"date_order\"",
    "\"partner_id.parent_id.zip\"",
    "\"=\"",
    "\"in\"",
    "\"not in\"",
    "\"ilike\"",
    "\"=like\"",
    "\"child_of\"",
    "\"parent_of\"",
    "\"any\"",
    "\"not any\"",
    "\"any!\"",
    "\"&\"",
    "\"|\"",
    "\"!\"",
    "[",
    "]",
    ",",
    "null",
    "false",
];

/// What a denial is told with: short, and nothing that moves a cursor.
fn readable(denial: Denial) -> String {
    let fault = Fault::from(denial);
    assert!(fault.message.len() < 8_000 && !fault.message.contains(char::is_control), "{:?}", fault.message);
    fault.code + &shape(&fault.message)
}

#[test]
fn p14_odoo_domain() {
    let world = world();
    let gate = world.gate();
    let orders = gate.model("sale.order").expect("granted");
    let host = [json!("|"), json!(["company_id", "in", COMPANIES]), json!(["company_id", "=", false])];
    let seeds = [
        r#"[["name", "=", "SO1"]]"#,
        r#"["|", ["state", "in", ["sale", "done"]], ["partner_id.zip", "ilike", "10%"]]"#,
        r#"["!", ["order_line", "any", [["product_uom_qty", ">", 3.5], ["product_id.default_code", "!=", false]]]]"#,
        r#"[["partner_id", "child_of", [7, 9]], ["tag_ids.name", "=like", "a_"]]"#,
        r#"["&", ["id", "not in", [1]], ["partner_id", "not any", [["parent_id.name", "like", "x"]]]]"#,
        r#"[["date_order", ">=", "2026-01-01 00:00:00"]]"#,
        "[]",
        "",
    ];
    Target::new("odoo_domain").seeds(seeds).words(NAMES).longest(20 << 10).run(|input| {
        let text = String::from_utf8_lossy(input);
        let sent = match gate.scoped(orders, &text, Whose::Visible) {
            Ok(sent) => sent,
            Err(denial) => return readable(denial),
        };
        let entries = sent.as_array().expect("a list");
        assert_eq!(entries[..3], host, "the companies come first");
        assert!(terms(&entries[3..]).is_some(), "an operator reaches over what the host asks: {sent}");
        let mut seen = Vec::new();
        uses(&gate, "sale.order", &sent, &mut seen);
        for (model, field) in &seen {
            let grant = gate.model(model).expect("granted");
            assert!(gate.field(grant, field, Use::Read).is_ok(), "{model}.{field} in {sent}");
        }
        assert!(sent.to_string().len() <= 256 << 10);
        let read = domain::parse(&text).expect("it was read");
        let again = domain::parse(&read.to_json().to_string()).expect("what the host writes it can read");
        assert_eq!(again.to_json(), read.to_json());
        format!("{} fields", seen.len())
    });
}

#[test]
fn p14_odoo_values() {
    let world = world();
    let gate = world.gate();
    let orders = gate.model("sale.order").expect("granted");
    let seeds = [
        r#"{"client_order_ref": "A-1", "note": "<p>x</p>", "locked": true}"#,
        r#"{"order_line": [[0, 0, {"product_uom_qty": 2.5, "product_id": 7}], [1, 9, {"product_uom_qty": 1}]]}"#,
        r#"{"order_line": [[4, 3], [0, "virtual", {"order_id": 1}]], "partner_id": 12}"#,
        r#"{"tag_ids": [[6, 0, [1, 2]], [3, 4, 0], [5]], "date_order": "2026-01-31 13:00:00"}"#,
        r#"{"tag_ids": [[0, 0, {"name": "new"}]], "partner_id": false}"#,
        r#"{"order_line": [[2, 1], [1, 1, {"order_id": {"order_line": []}}]]}"#,
    ];
    let codes = ["[0,0,{", "[1,", "[2,1]", "[3,1]", "[4,1]", "[5]", "[6,0,[1]]", "}]", "-1", "true"];
    Target::new("odoo_values").seeds(seeds).words(NAMES).words(codes).longest(20 << 10).run(|input| {
        let text = String::from_utf8_lossy(input);
        match values::parse(&gate, orders, &text) {
            Ok((row, needs)) => {
                let sent = values::to_json(&row);
                written(&gate, "sale.order", &sent, &needs);
                let (again, same) = values::parse(&gate, orders, &sent.to_string()).expect("the host's own text");
                assert_eq!((values::to_json(&again), same), (sent, needs), "it means something else the second time");
                format!("{} fields", row.len())
            }
            Err(denial) => readable(denial),
        }
    });
}

/// The rest of an ask: which model, which order, which options, which fields.
#[test]
fn p14_odoo_asks() {
    let world = world();
    let gate = world.gate();
    let orders = gate.model("sale.order").expect("granted");
    let seeds = [
        "sale.order\nname desc\nid\nlang=de_DE\ntz=Europe/Oslo",
        "res.partner\nzip\nname,zip\ncompany=4",
        "res.users\nstate asc\npassword\nactive_test=1",
        "ir.config_parameter\n\n\nallowed_company_ids=9",
    ];
    let words =
        ["\n", "lang=", "tz=", "company=", "res.", "ir.", "mail.", "x_wharf_outbox", " asc", " desc", "UTC", "sv_SE"];
    Target::new("odoo_asks").seeds(seeds).words(words).words(NAMES).run(|input| {
        let text = String::from_utf8_lossy(input);
        let mut lines = text.split('\n');
        let model = match gate.model(lines.next().unwrap_or_default()) {
            Ok(grant) => {
                assert!(world.access.models.iter().any(|known| known.model == grant.model));
                grant.model.clone()
            }
            Err(denial) => readable(denial),
        };
        let sorted: Vec<String> = lines.next().unwrap_or_default().split(',').map(str::to_owned).collect();
        let sorted = order(&gate, orders, &sorted).inspect(|sorted| {
            let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '_' | ' ' | ',');
            assert!(sorted.chars().all(plain) && sorted.ends_with("id asc"), "{sorted}");
        });
        let wanted: Vec<String> = lines.next().unwrap_or_default().split(',').map(str::to_owned).collect();
        let fields = page::Fields::of(&gate, orders, &wanted);
        let chosen = lines.filter_map(|line| line.split_once('='));
        let chosen = chosen.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        let chosen = options::chosen(&world.access, &chosen).inspect(|chosen| {
            assert!(chosen.companies.iter().all(|company| COMPANIES.contains(company)));
            let context = chosen.context();
            let known = ["allowed_company_ids", "lang", "tz"];
            assert!(
                context.as_object().expect("an object").keys().all(|key| known.contains(&key.as_str())),
                "{context}"
            );
        });
        let end = |denial: Option<Denial>| denial.map_or_else(|| "fine".to_owned(), readable);
        [model, end(sorted.err()), end(fields.err()), end(chosen.err())]
    });
}

/// What Odoo says is hostile as well: its fields, and its records.
#[test]
fn p14_odoo_answers() {
    let world = world();
    let gate = world.gate();
    let orders = gate.model("sale.order").expect("granted");
    let wanted = ["name", "partner_id", "order_line", "date_order"].map(str::to_owned);
    let fields = page::Fields::of(&gate, orders, &wanted).expect("granted");
    let seeds = [
        r#"[{"id": 1, "name": "SO1", "partner_id": [7, "Azure"], "order_line": [1, 2], "date_order": "2026-01-31 13:00:00"}]"#,
        r#"[{"id": 2, "name": false, "partner_id": false, "order_line": [], "secret": "x"}, {"id": 3}]"#,
        r#"[{"name": "no id"}]"#,
        r#"{"id": {"type": "integer"}, "name": {"type": "char"}, "company_id": {"type": "many2one", "relation": "res.company"}}"#,
        r#"{"order_line": {"type": "one2many", "relation": "sale.order.line", "relation_field": "order_id", "store": true}}"#,
    ];
    let words = ["\"type\":", "\"relation\":", "\"many2one\"", "\"one2many\"", "\"binary\"", "{", "}"];
    Target::new("odoo_answers").seeds(seeds).words(words).words(NAMES).longest(8 << 10).run(|input| {
        let Ok(value) = serde_json::from_slice::<Value>(input) else { return "no JSON".to_owned() };
        let mut schema = Schema::default();
        schema.add("sale.order", &value);
        let Value::Array(rows) = value else { return "fields".to_owned() };
        match fields.page(rows, 2) {
            Ok(page) => {
                let records: Vec<Value> = serde_json::from_str(&page.records).expect("JSON");
                assert!(records.len() <= 2);
                for record in &records {
                    let record = record.as_object().expect("an object");
                    assert!(record.keys().all(|key| key == "id" || wanted.contains(key)), "{record:?}");
                    assert!(record["partner_id"].is_null() || record["partner_id"].is_i64(), "no names of records");
                }
                format!("{} records, {} cut, more: {}", records.len(), page.cut.len(), page.more)
            }
            Err(why) => why.to_owned(),
        }
    });
}
