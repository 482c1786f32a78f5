//! What holds for every domain and every write, whatever a guest makes of them.

use std::collections::BTreeMap;

use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use proptest::test_runner::TestRunner;
use serde_json::{Value, json};

use super::domain::{Expr, parse};
use super::expr::Whose;
use super::world::{COMPANIES, world};
use super::{Gate, Use, values};

const NAMES: [&str; 14] = [
    "name",
    "state",
    "partner_id",
    "order_line",
    "tag_ids",
    "zip",
    "parent_id",
    "user_ids",
    "access_token",
    "company_id",
    "id",
    "password",
    "product_id",
    "order_id",
];
const OPERATORS: [&str; 14] = [
    "=",
    "!=",
    "in",
    "not in",
    "ilike",
    "=like",
    ">",
    "child_of",
    "parent_of",
    "any",
    "not any",
    "any!",
    "=?",
    "inselect",
];

/// A condition out of real and unreal names, operators and values.
fn any_leaf() -> impl Strategy<Value = Value> {
    let path = prop::collection::vec(prop::sample::select(&NAMES[..]), 1..4).prop_map(|names| names.join("."));
    let scalar = prop_oneof![
        Just(json!(false)),
        Just(json!(null)),
        any::<i32>().prop_map(|n| json!(n)),
        "[a-z%]{0,6}".prop_map(|t| json!(t)),
    ];
    let value = prop_oneof![
        4 => scalar.clone(),
        2 => prop::collection::vec(scalar, 0..4).prop_map(Value::Array),
        1 => Just(json!({"a": 1})),
    ];
    (path, prop::sample::select(&OPERATORS[..]), value).prop_map(|(p, o, v)| json!([p, o, v]))
}

/// A condition an honest adapter would write: on orders, or on partners.
fn honest_leaf(on_partners: bool) -> impl Strategy<Value = Value> {
    let orders = |t: String, n: i64| {
        vec![
            json!(["name", "=", t]),
            json!(["state", "in", [t, "sale"]]),
            json!(["partner_id", "in", [n, false]]),
            json!(["partner_id.zip", "ilike", t]),
            json!(["order_line.product_uom_qty", ">", n]),
            json!(["order_line.product_id.default_code", "!=", t]),
            json!(["id", "not in", [n]]),
            json!(["tag_ids.name", "=like", t]),
            json!(["partner_id", "child_of", n]),
        ]
    };
    let partners = |t: String, n: i64| {
        vec![json!(["zip", "=", t]), json!(["parent_id.name", "like", t]), json!(["id", "parent_of", [n]])]
    };
    let leaves = move |(t, n)| if on_partners { partners(t, n) } else { orders(t, n) };
    ("[a-z%]{0,4}", 1..99_i64).prop_map(leaves).prop_flat_map(prop::sample::select)
}

/// A condition Odoo would answer, on a field nobody granted.
fn prying_leaf(on_partners: bool) -> impl Strategy<Value = Value> {
    let orders = |t: String, n: i64| {
        vec![
            json!(["access_token", "=like", t]),
            json!(["amount_total", ">", n]),
            json!(["company_id", "=", n]),
            json!(["order_line.price_unit", "<", n]),
            json!(["order_line.order_id.access_token", "=", t]),
        ]
    };
    let partners = |n: i64| vec![json!(["company_id", "in", [n]]), json!(["parent_id.company_id", "!=", n])];
    let leaves = move |(t, n)| if on_partners { partners(n) } else { orders(t, n) };
    ("[a-z%]{0,4}", 1..99_i64).prop_map(leaves).prop_flat_map(prop::sample::select)
}

/// Entries in prefix order: mostly whole and honest, now and then with an entry too many or too few, or a foreign one.
fn entries(on_partners: bool, depth: u32) -> BoxedStrategy<Vec<Value>> {
    let leaf = prop_oneof![
        12 => honest_leaf(on_partners).boxed(),
        1 => prying_leaf(on_partners).boxed(),
        1 => any_leaf().boxed(),
    ]
    .prop_map(|leaf| vec![leaf]);
    if depth == 0 {
        return leaf.boxed();
    }
    let inner = entries(on_partners, depth - 1);
    let two = (inner.clone(), inner.clone());
    let join = |operator: &'static str, (a, b): (Vec<Value>, Vec<Value>)| [vec![json!(operator)], a, b].concat();
    let others = entries(true, depth - 1);
    let relation = if on_partners { "parent_id" } else { "partner_id" };
    prop_oneof![
        6 => leaf,
        2 => two.clone().prop_map(move |both| join("|", both)),
        2 => two.clone().prop_map(move |both| join("&", both)),
        2 => inner.clone().prop_map(|one| [vec![json!("!")], one].concat()),
        2 => others.clone().prop_map(move |inner| vec![json!([relation, "any", inner])]),
        2 => others.prop_map(move |inner| vec![json!([relation, "not any", inner])]),
        1 => two.prop_map(|(a, b)| [a, b].concat()),
        1 => inner.prop_map(|one| one.into_iter().skip(1).collect::<Vec<_>>()),
    ]
    .boxed()
}

fn wide() -> impl Strategy<Value = Value> {
    entries(false, 3).prop_map(Value::Array)
}

/// A condition's field in the model it stands in; `leaf` is the `[path, operator, value]` that is sent.
pub(super) fn uses(gate: &Gate<'_>, model: &str, entries: &Value, seen: &mut Vec<(String, String)>) {
    for leaf in entries.as_array().expect("a list") {
        let Value::Array(leaf) = leaf else { continue };
        let Some(path) = leaf[0].as_str() else { continue };
        assert!(!path.contains('.'), "a path is one `any` per relation: {path}");
        let hosts = path == "company_id" && (leaf[2] == json!(COMPANIES) || leaf[2] == json!(false));
        if !hosts {
            seen.push((model.to_owned(), path.to_owned()));
        }
        if leaf[1].as_str().expect("operator").ends_with("any") {
            let field = gate.schema.field(model, path).expect("a field of the schema");
            uses(gate, field.relation.as_deref().expect("a relation"), &leaf[2], seen);
        }
    }
}

/// The operands of prefix order: how many a list leaves at its top.
pub(super) fn terms(entries: &[Value]) -> Option<usize> {
    let mut have: usize = 0;
    for entry in entries.iter().rev() {
        have = match entry.as_str() {
            Some("!") => have.checked_sub(1)? + 1,
            Some(_) => have.checked_sub(2)? + 1,
            None => have + 1,
        };
    }
    Some(have)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    /// What is understood is written as it was understood.
    #[test]
    fn a_domain_is_sent_as_it_was_read(value in wide()) {
        if let Ok(expr) = parse(&value.to_string()) {
            let again = parse(&expr.to_json().to_string()).expect("what the host writes it can read");
            prop_assert_eq!(again.to_json(), expr.to_json());
        }
    }

    /// Any text at all is read or refused, never a panic.
    #[test]
    fn any_text_is_read_or_refused(text in prop_oneof![any::<String>(), "[\\[\\]\",|&!a-z=0-9 ]{0,80}"]) {
        let world = world();
        let gate = world.gate();
        let orders = gate.model("sale.order").expect("granted");
        let _ = gate.scoped(orders, &text, Whose::Visible);
        let _ = values::parse(&gate, orders, &text);
        let _ = gate.model(&text).is_ok();
    }

    /// A tree of any shape keeps its meaning through JSON.
    #[test]
    fn a_tree_keeps_its_truth(tree in tree(), facts in prop::array::uniform4(any::<bool>())) {
        let read = parse(&tree.to_json().to_string()).expect("readable");
        prop_assert_eq!(truth(&read, &facts), truth(&tree, &facts));
    }
}

/// Random values of a strategy, the same ones each time. The verdict says whether a value was let through: a test that
/// refuses everything would show nothing.
fn many<S: Strategy>(of: S, cases: u32, at_least: u32, verdict: impl Fn(S::Value) -> bool) {
    let mut runner = TestRunner::deterministic();
    let mut through = 0;
    for _ in 0..cases {
        let value = of.new_tree(&mut runner).expect("a value").current();
        through += u32::from(verdict(value));
    }
    assert!(through >= at_least, "{through} of {cases} were let through");
}

/// No field leaves in a condition that the grant of its own model does not let be read, and nothing leaves without the
/// host's companies before it.
#[test]
fn h3_no_condition_leaves_that_was_not_granted() {
    let world = world();
    let gate = world.gate();
    let orders = gate.model("sale.order").expect("granted");
    let host = [json!("|"), json!(["company_id", "in", COMPANIES]), json!(["company_id", "=", false])];
    many(wide(), 3_000, 600, |value| {
        let Ok(sent) = gate.scoped(orders, &value.to_string(), Whose::Visible) else { return false };
        let entries = sent.as_array().expect("a list");
        // The host's condition is an operand of its own: no operator of the guest reaches over it.
        assert_eq!(entries[..3], host);
        assert!(terms(&entries[3..]).is_some(), "{sent}");
        let mut seen = Vec::new();
        uses(&gate, "sale.order", &sent, &mut seen);
        for (model, field) in &seen {
            let grant = gate.model(model).expect("granted");
            assert!(gate.field(grant, field, Use::Read).is_ok(), "{model}.{field} in {sent}");
        }
        value != json!([])
    });
}

/// Nothing is written that was not granted for writing in its own model, and no record is taken or deleted.
#[test]
fn h5_no_value_leaves_that_was_not_granted() {
    let world = world();
    let gate = world.gate();
    let orders = gate.model("sale.order").expect("granted");
    many(row(false), 3_000, 600, |value| {
        let Ok((row, needs)) = values::parse(&gate, orders, &value.to_string()) else { return false };
        written(&gate, "sale.order", &values::to_json(&row), &needs);
        true
    });
}

fn tree() -> impl Strategy<Value = Expr> {
    let leaf = (0_usize..4).prop_map(|n| Expr::Leaf { path: vec![format!("f{n}")], operator: "=", value: json!(1) });
    leaf.prop_recursive(5, 30, 3, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 1..4).prop_map(Expr::All),
            (inner.clone(), inner.clone()).prop_map(|(a, b)| Expr::Either(Box::new(a), Box::new(b))),
            inner.prop_map(|one| Expr::Not(Box::new(one))),
        ]
    })
}

fn truth(expr: &Expr, facts: &[bool; 4]) -> bool {
    match expr {
        Expr::All(all) => all.iter().all(|one| truth(one, facts)),
        Expr::Either(a, b) => truth(a, facts) || truth(b, facts),
        Expr::Not(one) => !truth(one, facts),
        Expr::Leaf { path, .. } => facts[path[0][1..].parse::<usize>().expect("a number")],
        Expr::Any { .. } => false,
    }
}

/// Values of an order, or of one of its lines, mostly honest.
fn row(of_line: bool) -> BoxedStrategy<Value> {
    let foreign = prop::sample::select(vec!["state", "company_id", "name", "price_unit", "access_token", "id"]);
    let plain = prop_oneof![Just(json!(null)), (-2..9_i64).prop_map(|n| json!(n)), "[a-z]{0,3}".prop_map(|t| json!(t))];
    let any = (foreign, plain).prop_map(|(name, value)| (name, value));
    let id = 1..9_i64;
    let field = if of_line {
        let quantity = id.clone().prop_map(|n| ("product_uom_qty", json!(n)));
        let product = id.clone().prop_map(|n| ("product_id", json!(n)));
        let order = id.prop_map(|n| ("order_id", json!(n)));
        prop_oneof![20 => quantity, 10 => product, 3 => order, 1 => any].boxed()
    } else {
        let line = prop_oneof![
            4 => row(true).prop_map(|row| json!([0, 0, row])),
            4 => (id.clone(), row(true)).prop_map(|(id, row)| json!([1, id, row])),
            2 => id.clone().prop_map(|id| json!([4, id])),
            1 => (2..7_i64, id.clone()).prop_map(|(code, id)| json!([code, id])),
        ];
        let tag = prop_oneof![
            (3..5_i64, id.clone()).prop_map(|(code, id)| json!([code, id, 0])),
            Just(json!([5])),
            prop::collection::vec(-1..9_i64, 0..3).prop_map(|ids| json!([6, 0, ids])),
        ];
        prop_oneof![
            3 => "[a-z]{0,3}".prop_map(|t| ("client_order_ref", json!(t))),
            3 => id.prop_map(|n| ("partner_id", json!(n))),
            4 => prop::collection::vec(line, 0..3).prop_map(|lines| ("order_line", json!(lines))),
            4 => prop::collection::vec(tag, 0..3).prop_map(|tags| ("tag_ids", json!(tags))),
            1 => any,
        ]
        .boxed()
    };
    prop::collection::vec(field, 1..4).prop_map(|fields| json!(fields.into_iter().collect::<BTreeMap<_, _>>())).boxed()
}

pub(super) fn written(gate: &Gate<'_>, model: &str, row: &Value, needs: &values::Needs) {
    let grant = gate.model(model).expect("granted");
    for (name, value) in row.as_object().expect("a row") {
        let field = gate.field(grant, name, Use::Write).expect("granted for writing");
        let Some(relation) = field.relation.as_deref() else { continue };
        let known = |set: &std::collections::BTreeMap<String, std::collections::BTreeSet<i64>>, id: &Value| {
            set.get(relation).is_some_and(|ids| ids.contains(&id.as_i64().expect("id")))
        };
        let Value::Array(commands) = value else {
            assert!(value == &json!(false) || known(&needs.seen, value), "{name} = {value}");
            continue;
        };
        for command in commands {
            match command[0].as_i64().expect("code") {
                0 => written(gate, relation, &command[2], needs),
                1 => {
                    assert!(known(&needs.own, &command[1]));
                    written(gate, relation, &command[2], needs);
                }
                4 => assert!(known(&needs.own, &command[1]) || known(&needs.seen, &command[1])),
                3 | 5 => assert_eq!(name, "tag_ids"),
                6 => {
                    assert_eq!(name, "tag_ids");
                    assert!(command[2].as_array().expect("ids").iter().all(|id| known(&needs.seen, id)));
                }
                other => panic!("command {other} left"),
            }
        }
    }
}
