//! Which data goes where. An allow-list cannot keep an adapter from handing what it was given to a partner it may talk to,
//! so it is shown. Texts are the host's, made from interfaces and requests; a publisher's words are no part of them.

use serde::Serialize;
use wharf_domain::manifest::Manifest;

/// Data of one kind, from one place to another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Flow {
    pub data: String,
    pub from: String,
    pub to: String,
    /// It can hold what is about a person.
    pub personal: bool,
}

/// What an exported interface is handed, and what comes back, by its plain name.
const ROLES: &[(&str, &str, &str)] = &[
    ("wharf:carrier/rates", "addresses (postcode, city, country) and parcels of deliveries", "prices"),
    (
        "wharf:carrier/labels",
        "names, addresses, phone numbers and e-mail addresses of senders and recipients, parcels, references of orders",
        "labels, documents and tracking numbers",
    ),
    ("wharf:carrier/tracking", "tracking numbers", "events of parcels, names of who signed"),
];

/// Models of Odoo that are about people or lead to them; what else is read may be too, and is said with its fields.
const OF_PEOPLE: [&str; 4] = ["res.partner", "sale.order", "stock.picking", "account.move"];

/// `places`: the partner's origins.
pub(super) fn flows(manifest: &Manifest, places: &[&str], imports: &[String], exports: &[String]) -> Vec<Flow> {
    let has = |faces: &[String], plain: &str| faces.iter().any(|face| face.split('@').next() == Some(plain));
    let mut out = Vec::new();
    let sends = has(imports, "wharf:http/outgoing") && !manifest.routes.is_empty();
    let origins = if sends { places } else { &[] };
    let flow = |data: String, from: &str, to: &str, personal| Flow {
        data,
        from: from.to_owned(),
        to: to.to_owned(),
        personal,
    };
    for &origin in origins {
        for (_, there, back) in ROLES.iter().filter(|(role, _, _)| has(exports, role)) {
            let personal = there.contains("address");
            out.push(flow((*there).to_owned(), "orders of the tenant", origin, personal));
            out.push(flow((*back).to_owned(), origin, "deliveries of the tenant", false));
        }
        if has(imports, "wharf:odoo/records") {
            for request in manifest.odoo.iter() {
                let (from, model) = (format!("Odoo {}", request.model), request.model.as_str());
                let fields = if request.read.is_empty() { "id".to_owned() } else { request.read.join(", ") };
                out.push(flow(fields, &from, origin, OF_PEOPLE.contains(&model)));
                if !request.write.is_empty() {
                    out.push(flow(request.write.join(", "), origin, &from, false));
                }
            }
        }
        if has(imports, "wharf:files/folder") {
            for folder in &manifest.folders {
                let name = format!("folder {}", folder.name);
                if folder.read {
                    out.push(flow("files".to_owned(), &name, origin, true));
                }
                if folder.create {
                    out.push(flow("files".to_owned(), origin, &name, false));
                }
            }
        }
    }
    if has(exports, "wharf:webhook/parser") {
        out.push(flow("what the partner posts".to_owned(), "the partner's webhook", "deliveries of the tenant", false));
    }
    out
}
