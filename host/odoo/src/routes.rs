//! Every call this room makes, as routes of the door: what is not here cannot leave. Two tables, because daily work
//! runs as the bot user and setup runs once as an administrator.

use wharf_domain::effect::EffectClass::{self, Natural, Read};
use wharf_domain::grant::OdooAccess;
use wharf_domain::manifest::Route;

use crate::OUTBOX_MODEL;

/// The slot name of the key in the grant.
pub(crate) const KEY_SLOT: &str = "api_key";
/// The slot name of a web session's cookie in the grant of setup.
pub(crate) const COOKIE_SLOT: &str = "session";

type Row = (&'static str, &'static str, EffectClass, &'static str);

/// Model, method, class, reason. A `load` with an external id creates at most once, whoever repeats it, so it is
/// absolute state and not a lookup.
const DAILY: [Row; 22] = [
    ("sale.order", "web_search_read", Read, "the order with its deliveries"),
    ("sale.order", "search_read", Read, "changed orders, when polling"),
    ("sale.order", "has_access", Read, "doctor"),
    ("sale.order.line", "has_access", Read, "doctor"),
    ("stock.picking", "read", Read, "the delivery before it is written"),
    ("stock.picking", "search_read", Read, "changed deliveries, when polling"),
    ("stock.picking", "has_access", Read, "doctor"),
    ("stock.picking", "fields_get", Read, "doctor: the fields of `stock_delivery`"),
    ("stock.picking", "write", Natural, "tracking reference, carrier and weight"),
    ("stock.move", "has_access", Read, "doctor"),
    ("stock.move.line", "search_count", Read, "is the delivery packed"),
    ("stock.package", "has_access", Read, "doctor"),
    ("delivery.carrier", "search_read", Read, "the carrier by its name"),
    ("ir.attachment", "load", Natural, "labels and documents"),
    ("ir.attachment", "read", Read, "what Odoo stored of them"),
    ("mail.message", "load", Natural, "notes in the delivery's history"),
    ("res.users", "context_get", Read, "doctor: whose key this is"),
    ("res.users.apikeys", "search_read", Read, "doctor: when the key ends"),
    (OUTBOX_MODEL, "search_read", Read, "pending events"),
    (OUTBOX_MODEL, "search", Read, "which acknowledged events are left"),
    (OUTBOX_MODEL, "search_count", Read, "doctor"),
    (OUTBOX_MODEL, "unlink", Natural, "acknowledge events"),
];

/// Setup runs once, by hand, outside any job. A record that exists already makes its repeat fail or changes nothing,
/// so the whole table is safe to repeat.
const SETUP: [Row; 13] = [
    ("res.users", "context_get", Read, "whose key this is"),
    ("res.users", "search_read", Read, "the administrator's companies; is the login taken"),
    ("res.users", "load", Natural, "the bot user"),
    ("res.users", "write", Natural, "the bot's throw-away password"),
    ("res.groups", "load", Natural, "the bot's group"),
    ("ir.model", "search_read", Read, "the outbox and the watched models"),
    ("ir.model", "create", Natural, "the outbox model"),
    ("ir.model.fields", "search_read", Read, "the fields that trigger a rule"),
    ("ir.model.fields", "create", Natural, "missing fields of the outbox"),
    ("ir.model.data", "search_read", Read, "what an earlier setup made"),
    ("ir.model.access", "load", Natural, "the bot's rights"),
    ("ir.rule", "load", Natural, "each company sees its own events"),
    ("base.automation", "load", Natural, "the rules that fill the outbox"),
];

/// Models setup compares field by field before it writes.
const COMPARED: [&str; 6] =
    ["res.users", "res.groups", "ir.model.access", "ir.rule", "base.automation", "ir.actions.server"];

/// Paths of the web session, needed once: a key cannot be made over JSON-2.
pub(crate) const AUTHENTICATE: &str = "/web/session/authenticate";
const CALL_KW: &str = "/web/dataset/call_kw/*/*";
pub(crate) const VERSION: &str = "/json/version";

pub(crate) fn daily() -> Vec<Route> {
    let mut routes: Vec<Route> = DAILY.into_iter().map(route).collect();
    routes.push(version());
    routes
}

pub(crate) fn setup() -> Vec<Route> {
    let compared = COMPARED.map(|model| (model, "read", Read, "what is there already"));
    let mut routes: Vec<Route> = SETUP.into_iter().chain(compared).map(route).collect();
    routes.push(version());
    routes
}

/// What the gate sends for an adapter: the models of its grant, and of each no method but these four.
pub(crate) fn adapter(access: &OdooAccess) -> Vec<Route> {
    let mut routes = Vec::new();
    for grant in &access.models {
        let mut add = |method, class, reason: &str| {
            let path = path(&grant.model, method);
            routes.push(Route { path, reason: reason.to_owned(), ..route(("", "", class, "")) });
        };
        add("fields_get", Read, "what its fields are");
        add("search_read", Read, "records an adapter asks for");
        if !grant.write.is_empty() {
            add("write", Natural, "records an adapter changes");
        }
        if grant.create {
            add("load", Natural, "records an adapter creates, once per key");
        }
    }
    routes
}

/// Routes of a web session; `secret` names the slot of its cookie once there is one.
pub(crate) fn session(secret: Option<&str>) -> Vec<Route> {
    [AUTHENTICATE, CALL_KW]
        .map(|path| Route {
            method: "POST".to_owned(),
            path: path.to_owned(),
            class: Some(Natural),
            effect: None,
            secret: secret.map(str::to_owned),
            proves_no_effect: None,
            key: None,
            reason: "the bot's API key".to_owned(),
        })
        .to_vec()
}

fn version() -> Route {
    Route {
        method: "GET".to_owned(),
        path: VERSION.to_owned(),
        class: Some(Read),
        effect: None,
        secret: None,
        proves_no_effect: None,
        key: None,
        reason: "which Odoo this is".to_owned(),
    }
}

fn route((model, method, class, reason): Row) -> Route {
    Route {
        method: "POST".to_owned(),
        path: path(model, method),
        class: Some(class),
        effect: None,
        secret: Some(KEY_SLOT.to_owned()),
        proves_no_effect: None,
        key: None,
        reason: reason.to_owned(),
    }
}

pub(crate) fn path(model: &str, method: &str) -> String {
    format!("/json/2/{model}/{method}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn daily_work_cannot_sell_ship_or_move_stock() {
        for forbidden in [
            "/json/2/sale.order/action_confirm",
            "/json/2/stock.picking/button_validate",
            "/json/2/stock.quant/write",
            "/json/2/ir.attachment/unlink",
        ] {
            assert!(!daily().iter().any(|route| route.fits("POST", forbidden)), "{forbidden}");
        }
        assert!(daily().iter().any(|route| route.fits("POST", "/json/2/stock.picking/write")));
    }

    #[test]
    fn every_call_with_a_key_carries_it_and_the_version_does_not() {
        for route in daily().into_iter().chain(setup()) {
            assert_eq!(route.secret.is_some(), route.path != VERSION, "{}", route.path);
        }
    }
}
