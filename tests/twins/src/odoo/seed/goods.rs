//! Products with weights and stock, package types, carriers, and the sequences that number things.

use serde_json::json;

use crate::odoo::env::Env;
use crate::odoo::errors::Result;
use crate::odoo::models::stock;
use crate::odoo::records::vals;

/// Code, name, kilograms, price, stock.
const PRODUCTS: [(&str, &str, f64, f64, f64); 5] = [
    ("LAMP-01", "Desk Lamp", 0.9, 39.0, 1_000_000.0),
    ("CABLE-02", "Cable Box", 0.35, 14.5, 1_000_000.0),
    ("CHAIR-03", "Folding Chair", 4.2, 89.0, 1_000_000.0),
    // Few, for deliveries that can be reserved in part only.
    ("TABLE-04", "Side Table", 7.5, 149.0, 6.0),
    // None at all.
    ("SHELF-05", "Wall Shelf", 2.6, 59.0, 0.0),
];

pub(super) fn plant(env: &mut Env<'_>, seed: u64) -> Result<()> {
    for (name, factor) in [("Units", 1.0), ("Dozens", 12.0)] {
        env.create("uom.uom", vals! {"name": name, "factor": factor, "relative_factor": factor})?;
    }
    env.create("product.category", vals! {"name": "Goods"})?;
    let place = env.one("stock.warehouse", 1, "lot_stock_id").unwrap_or(0);
    for (code, name, weight, price, quantity) in PRODUCTS {
        let row = vals! {
            "name": name, "default_code": code, "weight": weight, "lst_price": price, "type": "consu", "is_storable": true,
        };
        let product = env.create("product.product", row)?;
        // Invoiced when delivered, as the products of the recordings are.
        let template = env.one("product.product", product, "product_tmpl_id").unwrap_or(0);
        env.write("product.template", &[template], &vals! {"invoice_policy": "delivery"})?;
        if quantity > 0.0 {
            stock::stock_up(env, product, place, quantity)?;
        }
    }
    for (at, name) in ["UPS", "The Poste"].into_iter().enumerate() {
        let charge =
            vals! {"name": name, "default_code": format!("DELIVERY-{at}"), "type": "service", "lst_price": 0.0};
        let product = env.create("product.product", charge)?;
        let url = if name == "UPS" {
            json!("https://www.ups.com/track?tracknum=<shipmenttrackingnumber>")
        } else {
            json!(false)
        };
        env.create(
            "delivery.carrier",
            vals! {"name": name, "product_id": product, "tracking_url": url, "sequence": at + 1},
        )?;
    }
    for (name, weight, length, width, height) in
        [("Pallet", 0.0, 1200.0, 800.0, 130.0), ("Box", 0.2, 400.0, 300.0, 200.0)]
    {
        let row =
            vals! {"name": name, "base_weight": weight, "packaging_length": length, "width": width, "height": height};
        env.create("stock.package.type", row)?;
    }
    let sequences = [("sale.order", "S", 5), ("stock.package", "PACK", 7)];
    for (code, prefix, padding) in sequences {
        env.create("ir.sequence", vals! {"name": code, "code": code, "prefix": prefix, "padding": padding})?;
    }
    for sequence in env.db.ids("ir.sequence") {
        let mut row = env.row("ir.sequence", sequence);
        row.insert("_next".to_owned(), json!(seed));
        env.db.put("ir.sequence", sequence, Some(row));
    }
    Ok(())
}
