//! The attack corpus's rows about Odoo, as far as they are decided without asking it. Named after their rows; the same
//! rows against an Odoo are in `tests/gate.rs` and `tests/real_odoo/gate.rs`.

use serde_json::{Value, json};
use wharf_domain::fault::Fault;
use wharf_domain::grant::OdooAccess;
use wharf_domain::ids::{ConnectionId, TenantId};
use wharf_domain::port::records::Used;

use super::create::{self, Key};
use super::expr::{Whose, order};
use super::options::chosen;
use super::page::{self, Fields};
use super::world::{grant, world};
use super::{Denial, GrantError, check, values};

fn code(denial: Denial) -> String {
    Fault::from(denial).code
}

/// The code a domain of `sale.order` is refused with.
fn refused(domain: &Value) -> String {
    let world = world();
    let grant = world.gate().model("sale.order").expect("granted");
    match world.gate().scoped(grant, &domain.to_string(), Whose::Visible) {
        Ok(sent) => panic!("{domain} was let through as {sent}"),
        Err(denial) => code(denial),
    }
}

fn sent(domain: &Value) -> Value {
    let world = world();
    let grant = world.gate().model("sale.order").expect("granted");
    world.gate().scoped(grant, &domain.to_string(), Whose::Visible).expect("allowed")
}

/// To the last digit: the nearest number of 64 bits, which is what Odoo reads as well.
#[test]
fn a_number_leaves_as_it_was_written() {
    let world = world();
    let orders = world.gate().model("sale.order").expect("granted");
    for number in ["0.30000000000000004", "9.007199254749256e+21", "1234.5678901234567", "5e-324"] {
        let domain = format!(r#"[["order_line.product_uom_qty", ">", {number}]]"#);
        let sent = world.gate().scoped(orders, &domain, Whose::Visible).expect("allowed").to_string();
        let written = format!(r#"{{"order_line": [[0, 0, {{"product_uom_qty": {number}}}]]}}"#);
        let (row, _) = values::parse(&world.gate(), orders, &written).expect("allowed");
        let (condition, value) = (number_in(&sent, "\">\","), number_in(&values::to_json(&row).to_string(), "_qty\":"));
        let exact: f64 = number.parse().expect("a number");
        assert_eq!([condition, value], [exact, exact], "{number}");
    }
}

/// The number behind `mark`, read exactly.
fn number_in(text: &str, mark: &str) -> f64 {
    let (_, rest) = text.split_once(mark).expect("the mark");
    rest.split([']', '}', ',']).next().and_then(|number| number.parse().ok()).expect("a number")
}

/// The code values of `sale.order` are refused with.
fn unwritten(values: Value) -> String {
    let world = world();
    let grant = world.gate().model("sale.order").expect("granted");
    match values::parse(&world.gate(), grant, &values.to_string()) {
        Ok((row, _)) => panic!("{values} was let through as {}", values::to_json(&row)),
        Err(denial) => code(denial),
    }
}

fn written(values: Value) -> (Value, values::Needs) {
    let world = world();
    let grant = world.gate().model("sale.order").expect("granted");
    let (row, needs) = values::parse(&world.gate(), grant, &values.to_string()).expect("allowed");
    (values::to_json(&row), needs)
}

/// Text that a parser could fall over, and of two values under one name the one that was looked at is the one that goes.
#[test]
fn c7_json_that_is_too_deep_or_no_number_is_refused_and_what_was_checked_is_what_is_sent() {
    let world = world();
    let grant = world.gate().model("sale.order").expect("granted");
    let deep = |open: &str, close: &str| open.repeat(100_000) + &close.repeat(100_000);
    let domain = |text: &str| world.gate().scoped(grant, text, Whose::Visible).map(drop).map_err(code);
    let row = |text: &str| values::parse(&world.gate(), grant, text).map_err(code);
    for text in [deep("[", "]"), "[[\"name\",\"=\",1e400]]".to_owned(), "[[\"name\",\"=\",NaN]]".to_owned()] {
        wharf_attack::assert_as_written("C7", &domain(&text).expect_err("a domain"));
    }
    for text in [
        deep("{\"order_line\":[[0,0,", "]]}"),
        "{\"client_order_ref\":1e400}".to_owned(),
        "{\"client_order_ref\":Infinity}".to_owned(),
    ] {
        wharf_attack::assert_as_written("C7", &row(&text).expect_err("a record"));
    }
    let (twice, _) = row(r#"{"client_order_ref":"a","client_order_ref":"b"}"#).expect("the last one");
    assert_eq!(values::to_json(&twice), json!({"client_order_ref": "b"}));
    assert_eq!(row(r#"{"client_order_ref":"a","state":"sale"}"#).expect_err("each is looked at"), "odoo.denied-field");
}

#[test]
fn h1_models_nobody_may_grant_are_refused_at_the_grant_and_at_the_gate() {
    for model in [
        "res.users",
        "res.users.apikeys",
        "ir.config_parameter",
        "ir.actions.server",
        "ir.cron",
        "base.automation",
        "ir.model",
        "ir.model.fields",
        "ir.rule",
        "ir.module.module",
        "res.groups",
        "mail.template",
        "ir.attachment",
        "res.company",
        crate::OUTBOX_MODEL,
    ] {
        let mut world = world();
        world.access.models.push(grant(model, &["name"], &[], false));
        assert_eq!(check(&world.access), Err(GrantError::Never { model: model.to_owned() }));
        assert_eq!(world.gate().model(model).map_err(code).expect_err(model), "odoo.denied-model");
    }
    let world = world();
    let denial = world.gate().model("stock.picking").expect_err("not granted");
    assert!(denial.to_string().contains("[[odoo]] model = \"stock.picking\""), "{denial}");
    for name in ["sale.order/unlink", "sale.order\u{0}", "../res.users", "SALE.ORDER", ""] {
        assert_eq!(world.gate().model(name).map_err(code).expect_err(name), "odoo.denied-model");
    }
}

#[test]
fn h1_a_grant_that_cannot_be_one_names_what_has_to_go() {
    let refused = |model| {
        let access = OdooAccess { companies: vec![1], writes_per_hour: 1, models: vec![model] };
        check(&access).expect_err("refused").to_string()
    };
    assert!(refused(grant("sale order", &[], &[], false)).contains("`sale order`"));
    assert!(refused(grant("sale.order", &["a.b"], &[], false)).contains("`a.b`"));
    assert!(refused(grant("sale.order", &[], &["state"], false)).contains("`state`"));
    assert!(refused(grant("stock.quant", &[], &["quantity"], false)).contains("`stock.quant` may be read only"));
    let mut bad = grant("sale.order", &["name"], &[], false);
    bad.narrowed = Some("[[".to_owned());
    assert!(refused(bad).contains("not JSON"));
    let mut blind = grant("sale.order", &["name"], &[], false);
    blind.domain = Some(r#"["|", ["name", "=", "x"], ["state.x", "any", []]]"#.to_owned());
    assert!(refused(blind).contains("`state`"));
    assert_eq!(check(&world().access), Ok(()));
}

#[test]
fn h2_no_method_but_four_has_a_way_out() {
    let routes = crate::routes::adapter(&world().access);
    for method in [
        "unlink",
        "execute",
        "action_confirm",
        "message_post",
        "load_views",
        "export_data",
        "copy",
        "web_read",
        "onchange",
        "_write",
    ] {
        let path = format!("/json/2/sale.order/{method}");
        assert!(!routes.iter().any(|route| route.fits("POST", &path)), "{path}");
    }
    let of = |model: &str| {
        let mut methods: Vec<&str> =
            routes.iter().filter_map(|r| r.path.strip_prefix(&format!("/json/2/{model}/"))).collect();
        methods.sort_unstable();
        methods
    };
    assert_eq!(of("sale.order"), ["fields_get", "load", "search_read", "write"]);
    assert_eq!(of("res.partner"), ["fields_get", "search_read"], "nothing was granted to be written");
}

#[test]
fn h3_each_segment_of_a_path_needs_its_own_grant() {
    for (domain, expected) in [
        (json!([["partner_id.user_ids.password", "like", "a%"]]), "odoo.denied-model"),
        (json!([["partner_id", "any", [["user_ids", "any", [["password", "like", "a%"]]]]]]), "odoo.denied-model"),
        (json!([["partner_id", "not any", [["vat", "=like", "D%"]]]]), "odoo.denied-field"),
        (json!(["|", ["name", "=", "x"], ["!", ["access_token", "like", "a"]]]), "odoo.invalid-domain"),
        (json!(["|", ["name", "=", "x"], "!", ["access_token", "like", "a"]]), "odoo.denied-field"),
        (json!([["partner_id.vat", "=", "x"]]), "odoo.denied-field"),
        (json!([["name.x", "=", "x"]]), "odoo.denied-field"),
        (json!([["date_order.month_number", "=", 1]]), "odoo.denied-field"),
        (json!([["partner_id", "any!", [["zip", "=", "1"]]]]), "odoo.denied-operator"),
        (json!([["partner_id", "=", "Azure"]]), "odoo.denied-operator"),
        (json!([["partner_id", "ilike", "DE123"]]), "odoo.denied-operator"),
        (json!([["partner_id", "child_of", "Azure"]]), "odoo.denied-operator"),
        (json!([["order_line", "child_of", 1]]), "odoo.denied-field"),
        (json!([["order_line.order_id.partner_id.image_1920", "!=", false]]), "odoo.denied-field"),
        (json!([["company_id", "=", 2]]), "odoo.denied-field"),
        (json!([[1, "=", 1]]), "odoo.invalid-domain"),
        (json!([["name", "=", ["x"]]]), "odoo.denied-operator"),
        (json!([["name", "in", "x"]]), "odoo.denied-operator"),
        (json!([["name", "inselect", ["select 1", []]]]), "odoo.denied-operator"),
        (json!([["name) or (1=1", "=", "x"]]), "odoo.denied-field"),
        (json!(["&", ["name", "=", "x"]]), "odoo.invalid-domain"),
        (json!({"name": "x"}), "odoo.invalid-domain"),
    ] {
        assert_eq!(refused(&domain), expected, "{domain}");
    }
}

#[test]
fn h3_a_path_through_another_model_sees_granted_records_only() {
    let inside = json!(["|", ["company_id", "in", [1, 4]], ["company_id", "=", false]]);
    let [or, own, none] = [&inside[0], &inside[1], &inside[2]];
    let found = sent(&json!([["partner_id.zip", "=", "1010"]]));
    let partner = json!(["partner_id", "any", [or, own, none, ["zip", "=", "1010"]]]);
    assert_eq!(found, json!([or, own, none, partner]));
    let mut world = world();
    let partners = world.access.models.iter_mut().find(|m| m.model == "res.partner").expect("granted");
    partners.domain = Some(r#"[["zip", "!=", false]]"#.to_owned());
    partners.narrowed = Some(r#"[["vip", "=", false]]"#.to_owned());
    let grant = world.gate().model("sale.order").expect("granted");
    let domain = r#"[["partner_id", "not any", [["name", "=", "x"]]]]"#;
    let found = world.gate().scoped(grant, domain, Whose::Visible).expect("allowed");
    let inner = json!([or, own, none, ["zip", "!=", false], ["vip", "=", false], ["name", "=", "x"]]);
    assert_eq!(found[3], json!(["partner_id", "not any", inner]));
}

#[test]
fn h3_a_tree_is_climbed_only_by_a_granted_parent() {
    let climbs = |model: &str, domain: Value| {
        let world = world();
        let grant = world.gate().model(model).expect("granted");
        world.gate().scoped(grant, &domain.to_string(), Whose::Visible).map_err(code)
    };
    climbs("sale.order", json!([["partner_id", "child_of", [7]]])).expect("`parent_id` of partners may be read");
    climbs("res.partner", json!([["id", "parent_of", 7]])).expect("its own tree");
    let hidden = climbs("stock.location", json!([["id", "child_of", 8]])).expect_err("`location_id` may not be read");
    assert_eq!(hidden, "odoo.denied-field");
}

#[test]
fn h4_sorting_and_counting_need_the_field_too() {
    let world = world();
    let gate = world.gate();
    let granted = gate.model("sale.order").expect("granted");
    let by = |term: &str| order(&gate, granted, &[term.to_owned()]).map_err(code);
    assert_eq!(by("name desc").expect("granted"), "name desc, id asc");
    assert_eq!(by("access_token").expect_err("hidden"), "odoo.denied-field");
    for term in ["partner_id", "name desc, access_token", "name:month", "name  desc", "name NULLS FIRST", "tag_ids"] {
        let wrong = by(term).expect_err(term);
        assert!(["odoo.denied-order", "odoo.denied-field"].contains(&wrong.as_str()), "{term}: {wrong}");
    }
    let many = vec!["name".to_owned(); 6];
    assert_eq!(order(&gate, granted, &many).map_err(code).expect_err("six"), "odoo.denied-order");
    let hidden = ["access_token".to_owned()];
    assert_eq!(Fields::of(&gate, granted, &hidden).map_err(code).expect_err("hidden"), "odoo.denied-field");
}

#[test]
fn h5_commands_need_the_grant_of_the_inner_model() {
    for (values, expected) in [
        (json!({"order_line": [[1, 7, {"price_unit": 0.01}]]}), "odoo.denied-field"),
        (json!({"order_line": [[0, 0, {"price_unit": 0.01}]]}), "odoo.denied-field"),
        (json!({"order_line": [[2, 7, 0]]}), "odoo.denied-command"),
        (json!({"order_line": [[3, 7]]}), "odoo.denied-command"),
        (json!({"order_line": [[5]]}), "odoo.denied-command"),
        (json!({"order_line": [[6, 0, []]]}), "odoo.denied-command"),
        (json!({"order_line": [[0, 0, {"company_id": 2}]]}), "odoo.denied-field"),
        (json!({"order_line": [7]}), "odoo.invalid-input"),
        (json!({"order_line": [["4", 7]]}), "odoo.invalid-input"),
        (json!({"order_line": [[4, -7]]}), "odoo.invalid-input"),
        (json!({"order_line": [[1, 7, {"order_id": {"id": 3}}]]}), "odoo.invalid-input"),
        (json!({"tag_ids": [[0, 0, {"name": "x"}]]}), "odoo.denied-company"),
        (json!({"tag_ids": [[1, 7, {"name": "x"}]]}), "odoo.denied-company"),
        (json!({"tag_ids": [[2, 7]]}), "odoo.denied-command"),
        (json!({"tag_ids": [[6, 0, 7]]}), "odoo.invalid-input"),
        (json!({"state": "sale"}), "odoo.denied-field"),
        (json!({"id": 3}), "odoo.denied-field"),
        (json!({"name": "S1"}), "odoo.denied-field"),
        (json!([]), "odoo.invalid-input"),
        (json!({}), "odoo.invalid-input"),
    ] {
        assert_eq!(unwritten(values.clone()), expected, "{values}");
    }
}

#[test]
fn h5_what_commands_touch_is_looked_up_before_it_is_written() {
    let (values, needs) = written(json!({
        "partner_id": 10,
        "tag_ids": [[6, 0, [5, 6]], [3, 8]],
        "order_line": [[0, 0, {"product_id": 3, "product_uom_qty": 2}], [1, 7, {"product_uom_qty": 1}], [4, 9]],
    }));
    let lines = json!([[0, 0, {"product_id": 3, "product_uom_qty": 2}], [1, 7, {"product_uom_qty": 1}], [4, 9, 0]]);
    assert_eq!(values["order_line"], lines);
    assert_eq!(values["tag_ids"], json!([[6, 0, [5, 6]], [3, 8, 0]]));
    let seen: Vec<(&str, Vec<i64>)> =
        needs.seen.iter().map(|(m, ids)| (m.as_str(), ids.iter().copied().collect())).collect();
    assert_eq!(seen, [("crm.tag", vec![5, 6, 8]), ("product.product", vec![3]), ("res.partner", vec![10])]);
    let own: Vec<(&str, Vec<i64>)> =
        needs.own.iter().map(|(m, ids)| (m.as_str(), ids.iter().copied().collect())).collect();
    assert_eq!((own, needs.changed), (vec![("sale.order.line", vec![7, 9])], 3));
}

#[test]
fn h6_the_context_is_the_hosts() {
    let access = world().access;
    let of = |options: &[(&str, &str)]| {
        let options = options.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect();
        chosen(&access, &options).map(|chosen| chosen.context()).map_err(code)
    };
    assert_eq!(of(&[]), Ok(json!({"allowed_company_ids": [1, 4]})));
    let german = of(&[("lang", "de_DE"), ("tz", "Europe/Berlin")]);
    assert_eq!(german, Ok(json!({"allowed_company_ids": [1, 4], "lang": "de_DE", "tz": "Europe/Berlin"})));
    for name in [
        "allowed_company_ids",
        "force_company",
        "default_partner_id",
        "active_test",
        "tracking_disable",
        "install_mode",
        "bin_size",
        "context",
    ] {
        assert_eq!(of(&[(name, "1")]).expect_err(name), "odoo.denied-context");
    }
    assert_eq!(of(&[("lang", "de_DE'; --")]).expect_err("injected"), "odoo.denied-context");
    assert_eq!(of(&[("tz", "../../etc/passwd")]).expect_err("no zone"), "odoo.denied-context");
}

#[test]
fn h7_a_search_is_within_the_granted_companies_and_a_write_strictly() {
    let access = world().access;
    let only = |company: &str| chosen(&access, &vec![("company".to_owned(), company.to_owned())]).map_err(code);
    assert_eq!(only("4").expect("granted").context()["allowed_company_ids"], json!([4]));
    assert_eq!(only("2").expect_err("not granted"), "odoo.denied-company");
    assert_eq!(only("x").expect_err("no id"), "odoo.denied-context");
    let or_none = [json!("|"), json!(["company_id", "in", [1, 4]]), json!(["company_id", "=", false])];
    assert_eq!(sent(&json!([])), json!(or_none));
    // A guest's `or` cannot get around what the host adds: the parts are joined as a tree.
    let wide = sent(&json!(["|", ["id", "!=", 0], ["name", "=", "x"]]));
    let expected = json!(["|", or_none[1], or_none[2], "|", ["id", "!=", 0], ["name", "=", "x"]]);
    assert_eq!(wide, expected);
    let world = world();
    let gate = world.gate();
    let orders = gate.model("sale.order").expect("granted");
    let own = gate.among(orders, &[7], Whose::Own).expect("domain");
    assert_eq!(own, json!([["company_id", "in", [1, 4]], ["id", "in", [7]]]));
    let tags = gate.model("crm.tag").expect("granted");
    assert_eq!(code(gate.among(tags, &[7], Whose::Own).expect_err("nobody's")), "odoo.denied-company");
}

#[test]
fn h7_a_new_record_is_told_its_company_where_it_can_be() {
    let world = world();
    let gate = world.gate();
    let [orders, lines] = ["sale.order", "sale.order.line"].map(|model| gate.model(model).expect("granted"));
    let (row, _) = values::parse(&gate, orders, r#"{"note": "x"}"#).expect("values");
    let several = values::seat(&gate, orders, &mut row.clone()).map_err(code);
    assert_eq!(several, Err("odoo.invalid-input".to_owned()), "which of both?");
    let one = super::Gate { companies: &[4], ..gate };
    let (mut order, mut line) = (row.clone(), row);
    values::seat(&one, orders, &mut order).expect("one company");
    assert_eq!(values::to_json(&order), json!({"note": "x", "company_id": 4}));
    values::seat(&one, lines, &mut line).expect("its order's");
    assert_eq!(values::to_json(&line), json!({"note": "x"}));
}

#[test]
fn h9_a_page_and_a_call_have_an_end() {
    let mut small = grant("m", &[], &[], false);
    small.max_records = 700;
    let mut used = Used::default();
    assert_eq!(page::most(&small, &used, 0), Ok(500));
    assert_eq!(page::most(&small, &used, 1_000_000), Ok(500));
    assert_eq!(page::most(&small, &used, 3), Ok(3));
    page::count(&small, &mut used, 500, 10).expect("within");
    assert_eq!(page::most(&small, &used, 0), Ok(200));
    page::count(&small, &mut used, 200, 10).expect("within");
    assert_eq!(page::most(&small, &used, 1).map_err(code), Err("odoo.limit-odoo-records".to_owned()));
    let bytes = page::count(&small, &mut used, 0, page::MAX_BYTES).map_err(code);
    assert_eq!(bytes, Err("odoo.limit-odoo-bytes".to_owned()));
    assert!(page::offset(1_000_001).is_err());
    let world = world();
    let gate = world.gate();
    let orders = gate.model("sale.order").expect("granted");
    assert_eq!(Fields::of(&gate, orders, &[]).expect("no field").names(), json!(["id"]), "no field is not every field");
    assert!(Fields::of(&gate, orders, &vec!["name".to_owned(); 101]).is_err());
    assert!(values::ids(&(1..=501).collect::<Vec<_>>()).is_err());
    assert!(values::ids(&[]).is_err() && values::ids(&[0]).is_err());
    assert_eq!(values::ids(&[3, 1, 3]), Ok(vec![1, 3]));
}

#[test]
fn h11_a_key_is_one_name_and_lines_are_rows() {
    let (tenant, connection) =
        (TenantId::parse("nordic").expect("tenant"), ConnectionId::parse("wms-1").expect("connection"));
    let name = |key: &str, model: &str| Key { tenant: &tenant, connection: &connection, model, key }.name();
    assert_eq!(name("PO-1", "sale.order").expect("name"), "rec.nordic.wms-1.PO-1.sale.order");
    for key in ["", "a.b", "a b", "a/b", "ü", &"x".repeat(65)] {
        assert_eq!(name(key, "sale.order").map_err(code).expect_err(key), "odoo.invalid-input");
    }
    let world = world();
    let orders = world.gate().model("sale.order").expect("granted");
    let table = |values: Value| {
        let (row, _) = values::parse(&world.gate(), orders, &values.to_string()).expect("values");
        create::table("__wharf__.x", &row)
    };
    let (columns, data) = table(json!({
        "partner_id": 10, "locked": true, "note": null, "tag_ids": [[6, 0, [5, 6]]], "date_order": "2026-01-31 13:00:00",
        "order_line": [[0, 0, {"product_id": 3, "product_uom_qty": 2.5}], [0, 0, {"product_id": 4, "product_uom_qty": 1}]],
    }))
    .expect("table");
    let wanted = [
        "date_order",
        "id",
        "locked",
        "order_line/product_id/.id",
        "order_line/product_uom_qty",
        "partner_id/.id",
        "tag_ids/.id",
    ];
    assert_eq!(columns, wanted);
    assert_eq!(data[0], ["2026-01-31 13:00:00", "__wharf__.x", "1", "3", "2.5", "10", "5,6"]);
    assert_eq!(data[1], ["", "", "", "4", "1", "", ""]);
    assert_eq!(data.len(), 2);
    for uneven in [
        json!({"order_line": [[0, 0, {"product_id": 3}], [0, 0, {"product_uom_qty": 1}]]}),
        json!({"order_line": [[0, 0, {"product_id": null}]]}),
        json!({"order_line": [[4, 7]]}),
        json!({"tag_ids": [[3, 7]]}),
    ] {
        assert_eq!(code(table(uneven.clone()).expect_err("not as a new record")), "odoo.invalid-input", "{uneven}");
    }
    let arguments = create::arguments(&columns, &data, json!({"allowed_company_ids": [1], "tz": "Asia/Tokyo"}));
    let context = json!({"allowed_company_ids": [1], "mode": "update", "noupdate": true, "tz": "UTC"});
    assert_eq!(arguments["context"], context);
}

#[test]
fn h12_hostile_values_are_bounded_and_stay_values() {
    let nasty = "<script>\r\n=HYPERLINK(\"x\")\u{1b}[31m{{secret:acme}}";
    assert_eq!(written(json!({"note": nasty})).0, json!({"note": nasty}), "a value is a value, whatever it looks like");
    for (values, what) in [
        (json!({"note": "x".repeat(65_537)}), "too long"),
        (json!({"note": "a\u{0}b"}), "a zero byte"),
        (json!({"note": {"en_US": "x"}}), "an object"),
        (json!({"locked": "yes"}), "no flag"),
        (json!({"date_order": "2026-01-31T13:00:00Z"}), "not Odoo's form"),
        (json!({"date_order": "2026-02-31 13:00:00"}), "no such day"),
        (json!({"partner_id": "Azure"}), "a name, which Odoo would search for"),
        (json!({"order_line": [[0, 0, {"product_uom_qty": "1"}]]}), "no number"),
    ] {
        assert_eq!(unwritten(values), "odoo.invalid-input", "{what}");
    }
    let long = json!([["name", "=", "x".repeat(5_000)]]);
    assert_eq!(refused(&long), "odoo.denied-operator");
    assert_eq!(refused(&json!([["name", "=", "x".repeat(20_000)]])), "odoo.invalid-domain");
    let mut deep = json!([["name", "=", "x"]]);
    for _ in 0..7 {
        deep = json!([["partner_id", "any", deep]]);
    }
    assert_eq!(refused(&deep), "odoo.invalid-domain");
    assert_eq!(refused(&json!(vec![json!(["name", "=", "x"]); 201])), "odoo.invalid-domain");
    let world = world();
    let gate = world.gate();
    let partners = gate.model("res.partner").expect("granted");
    let wanted = ["name".to_owned(), "zip".to_owned(), "parent_id".to_owned()];
    let fields = Fields::of(&gate, partners, &wanted).expect("granted");
    let rows = vec![
        json!({"id": 1, "name": "ü".repeat(70_000), "zip": false, "parent_id": [7, "Secret Ltd"], "vat": "leak"}),
        json!({"id": 2, "name": ["x"], "zip": nasty, "parent_id": false}),
        json!({"id": 3}),
    ];
    let page = fields.page(rows, 2).expect("page");
    let records: Value = serde_json::from_str(&page.records).expect("json");
    assert_eq!((page.more, page.cut), (true, vec!["1.name".to_owned()]));
    assert_eq!(records[0]["name"].as_str().map(|name| name.chars().count()), Some(65_536));
    assert_eq!((&records[0]["zip"], &records[0]["parent_id"], records[0].get("vat")), (&Value::Null, &json!(7), None));
    assert_eq!(records[1], json!({"id": 2, "name": null, "zip": nasty, "parent_id": null}));
    assert!(fields.page(vec![json!({"name": "no id"})], 2).is_err());
}
