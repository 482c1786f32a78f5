//! The automation rules. They run as part of whatever the user does, so each is one line and one insert.

use secrecy::{ExposeSecret as _, SecretString};
use serde_json::json;
use wharf_domain::fault::{Blame, Fault, FaultKind};

use super::Item;
use super::item::{Cell, Entry, Wanted, ensure as ensure_item};
use super::rights::models;
use crate::client::Operation;
use crate::models::outbox::{DELIVERY, RESERVATION};
use crate::{OUTBOX_MODEL, OdooConfig};

/// A rule: when one of `fields` changes on a record in `domain`.
struct Rule {
    name: &'static str,
    what: &'static str,
    model: &'static str,
    fields: &'static [&'static str],
    /// Conditions, without the brackets.
    domain: &'static str,
    does: Does,
}

enum Does {
    /// Inserts a row: Python expressions of event, order and company.
    Insert { event: String, order: &'static str, company: &'static str },
    /// Knocks at the host.
    Knock,
}

const ORDERS: &str = "('state', 'in', ['sale', 'cancel'])";

fn rules() -> [Rule; 4] {
    [
        Rule {
            name: "order",
            what: "rule: confirmed and cancelled orders",
            model: "sale.order",
            fields: &["state"],
            domain: ORDERS,
            does: Does::Insert { event: "'order.' + record.state".to_owned(), order: "id", company: "company_id.id" },
        },
        Rule {
            name: "delivery",
            what: "rule: states of outgoing deliveries",
            model: "stock.picking",
            fields: &["state"],
            domain: "('picking_type_code', '=', 'outgoing'), ('sale_id', '!=', False)",
            does: Does::Insert { event: format!("'{DELIVERY}'"), order: "sale_id.id", company: "company_id.id" },
        },
        // A delivery that is partly reserved is `assigned` already, so the rest only shows on its moves.
        Rule {
            name: "reservation",
            what: "rule: demand and reservation of outgoing moves",
            model: "stock.move",
            fields: &["state", "quantity", "product_uom_qty"],
            domain: "('picking_id.picking_type_code', '=', 'outgoing'), ('picking_id.sale_id', '!=', False)",
            does: Does::Insert {
                event: format!("'{RESERVATION}'"),
                order: "picking_id.sale_id.id",
                company: "company_id.id",
            },
        },
        Rule {
            name: "wake",
            what: "rule: wake-up after confirmed and cancelled orders",
            model: "sale.order",
            fields: &["state"],
            domain: ORDERS,
            does: Does::Knock,
        },
    ]
}

/// Makes sure of the rules of one tenant. Without a URL there is no wake-up.
pub(super) async fn ensure(
    calls: &mut Operation<'_>,
    report: &mut Vec<Item>,
    config: &OdooConfig,
    url: Option<&SecretString>,
) -> Result<(), Fault> {
    let known = models(calls, &["sale.order", "stock.picking", "stock.move"]).await?;
    for rule in rules() {
        if matches!(rule.does, Does::Knock) && url.is_none() {
            continue;
        }
        let model = known.iter().find(|(name, _)| name == rule.model).map(|(_, id)| *id);
        let model = model.ok_or_else(|| lacking(rule.model))?;
        let fields = field_ids(calls, rule.model, rule.fields).await?;
        ensure_item(calls, report, entry(&rule, config, model, fields, url)).await?;
    }
    Ok(())
}

async fn field_ids(calls: &mut Operation<'_>, model: &str, names: &[&str]) -> Result<Vec<i64>, Fault> {
    let domain = json!([["model", "=", model], ["name", "in", names]]);
    let found = calls.call("ir.model.fields", "search_read", json!({"domain": domain, "fields": ["name"]})).await?;
    let ids: Vec<i64> = found.as_array().into_iter().flatten().filter_map(|row| row["id"].as_i64()).collect();
    if ids.len() == names.len() { Ok(ids) } else { Err(lacking(model)) }
}

fn lacking(model: &str) -> Fault {
    let text = format!("Odoo has no model `{model}` with the fields that are watched; is its module installed?");
    Fault::new(FaultKind::Unsupported, "odoo.no-such-model", text, Blame::Operator)
}

fn entry(rule: &Rule, config: &OdooConfig, model: i64, fields: Vec<i64>, url: Option<&SecretString>) -> Entry {
    let company = config.company.map(|id| format!(", ('company_id', '=', {id})")).unwrap_or_default();
    let label = || Cell::Label(format!("Wharf {}: {}", config.tenant, rule.what.trim_start_matches("rule: ")));
    let record = Wanted {
        model: "base.automation",
        name: format!("rule_{}_{}", rule.name, config.tenant),
        cells: vec![
            ("name", label()),
            ("model_id", Cell::One(model)),
            ("trigger", Cell::Text("on_create_or_write".to_owned())),
            ("trigger_field_ids", Cell::Many(fields)),
            ("filter_domain", Cell::Text(format!("[{}{company}]", rule.domain))),
            ("active", Cell::Flag(true)),
        ],
    };
    let mut cells =
        vec![("name", label()), ("model_id", Cell::One(model)), ("usage", Cell::Text("base_automation".to_owned()))];
    match &rule.does {
        Does::Insert { event, order, company } => {
            cells.push(("state", Cell::Text("code".to_owned())));
            cells.push(("code", Cell::Text(code(event, order, company))));
        }
        Does::Knock => {
            let url = url.map(|url| url.expose_secret().to_owned()).unwrap_or_default();
            cells.push(("state", Cell::Text("webhook".to_owned())));
            cells.push(("webhook_url", Cell::Text(url)));
        }
    }
    let action = Wanted { model: "ir.actions.server", name: format!("action_{}_{}", rule.name, config.tenant), cells };
    Entry { what: rule.what.to_owned(), record, child: Some(("action_server_ids", action)) }
}

/// One line. It inserts plain numbers, so it locks no record and meets no constraint.
fn code(event: &str, order: &str, company: &str) -> String {
    format!(
        "if '{OUTBOX_MODEL}' in env: env['{OUTBOX_MODEL}'].sudo().create({{'x_event': {event}, \
         'x_order_id': record.{order}, 'x_company_id': record.{company}}})"
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::EventSource;
    use wharf_domain::ids::TenantId;

    fn config(company: Option<i64>) -> OdooConfig {
        OdooConfig {
            tenant: TenantId::parse("nordic").expect("tenant"),
            url: "http://127.0.0.1:8069".to_owned(),
            database: "d".to_owned(),
            api_key: "k".into(),
            allow_private_address: true,
            company,
            events: EventSource::Outbox,
        }
    }

    fn text(entry: &Entry, field: &str) -> String {
        let child = entry.child.iter().flat_map(|(_, child)| &child.cells);
        let found = entry.record.cells.iter().chain(child).find(|(name, _)| *name == field);
        match found {
            Some((_, Cell::Text(text))) => text.clone(),
            other => panic!("{field}: {other:?}"),
        }
    }

    #[test]
    fn a_rule_is_one_line_that_is_quiet_without_the_outbox() {
        let [order, ..] = rules();
        let entry = entry(&order, &config(None), 7, vec![1], None);
        assert_eq!(
            text(&entry, "code"),
            "if 'x_wharf_outbox' in env: env['x_wharf_outbox'].sudo().create({'x_event': 'order.' + record.state, \
             'x_order_id': record.id, 'x_company_id': record.company_id.id})"
        );
        assert_eq!(text(&entry, "filter_domain"), "[('state', 'in', ['sale', 'cancel'])]");
        assert_eq!(entry.record.name, "rule_order_nordic");
    }

    #[test]
    fn a_tenant_with_a_company_watches_that_company_only() {
        for rule in rules() {
            let entry = entry(&rule, &config(Some(3)), 7, vec![1], Some(&"https://h/hooks/odoo/nordic/t".into()));
            assert!(text(&entry, "filter_domain").ends_with(", ('company_id', '=', 3)]"), "{}", entry.what);
            assert_eq!(matches!(rule.does, Does::Knock), text(&entry, "state") == "webhook");
        }
    }
}
