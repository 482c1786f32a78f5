//! What a ship-sized call does: reads an order, sums it up, writes it again, and prints its label. The benchmark compiles
//! this very file for its native row.

use serde::{Deserialize, Serialize};

/// Bytes of a label.
const BYTES: usize = 20 << 10;

#[derive(Deserialize, Serialize)]
struct Order {
    order: String,
    ship_from: Party,
    ship_to: Party,
    lines: Vec<Line>,
    #[serde(default)]
    weight_g: u64,
    #[serde(default)]
    value_cents: u64,
}

#[derive(Deserialize, Serialize)]
struct Party {
    name: String,
    street: String,
    city: String,
    postal_code: String,
    country: String,
    phone: String,
}

#[derive(Deserialize, Serialize)]
struct Line {
    sku: String,
    name: String,
    quantity: u64,
    weight_g: u64,
    price_cents: u64,
    origin: String,
    tariff: String,
}

pub(crate) struct Label {
    pub(crate) text: String,
    /// The order with its sums.
    pub(crate) order: String,
}

pub(crate) fn print(order: &str) -> Result<Label, serde_json::Error> {
    let mut order: Order = serde_json::from_str(order)?;
    order.weight_g = order.lines.iter().map(|line| line.quantity * line.weight_g).sum();
    order.value_cents = order.lines.iter().map(|line| line.quantity * line.price_cents).sum();
    let to = &order.ship_to;
    let mut text = String::with_capacity(BYTES);
    text.push_str(&format!(
        "^XA^FO20,20^FD{}^FS^FO20,60^FD{}^FS^FO20,100^FD{} {}^FS^FO20,140^FD{} g^FS^FO20,200^GFA,",
        to.name, to.street, to.postal_code, to.city, order.weight_g
    ));
    text.push_str(&"0".repeat(BYTES.saturating_sub(text.len() + 3)));
    text.push_str("^XZ");
    Ok(Label { text, order: serde_json::to_string(&order)? })
}
