//! Odoo as a person sees it: somebody sells something there and later looks at what became of it.
//!
//! With the real Odoo that person is `shop.py`, a client that shares no line with the host. The stand-in is asked
//! directly.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};
use base64::Engine;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::{Borrowed, site};
use crate::http::Client;
use crate::run::{self, Service};

const SCRIPT: &str = include_str!("shop.py");
const LIMIT: Duration = Duration::from_secs(120);
const TWIN_KEY: &str = "5f2d9c1e7ab34086d1c5e9f07b3a6d8241c0be97";
const TWIN_DATABASE: &str = "odoo19";

/// The sale.
pub(crate) struct Order {
    /// Odoo's record id.
    pub(crate) id: String,
    /// e.g. `S00042`.
    pub(crate) name: String,
}

/// An outgoing delivery as Odoo has it.
#[derive(Debug, PartialEq)]
pub(crate) struct Delivery {
    pub(crate) name: String,
    pub(crate) state: String,
    pub(crate) tracking: String,
    pub(crate) files: Vec<File>,
}

#[derive(Debug, PartialEq)]
pub(crate) struct File {
    pub(crate) name: String,
    pub(crate) bytes: u64,
    pub(crate) sha256: String,
}

pub(crate) struct Shop {
    url: String,
    key_file: PathBuf,
    database: &'static str,
    kind: Kind,
}

enum Kind {
    Twin { client: Client, _running: Service },
    Real { _odoo: Borrowed },
}

impl Shop {
    pub(crate) fn twin(folder: &Path) -> Result<Self> {
        // Bare: as a database nobody has prepared, so that `wharf odoo setup` has to do its work.
        let (running, url) = site::twin("odoo", &["--bare", "--admin-key", TWIN_KEY], folder)?;
        let key_file = folder.join("admin.apikey");
        std::fs::write(&key_file, TWIN_KEY)?;
        let kind = Kind::Twin { client: Client::new(&url, Some(TWIN_KEY)), _running: running };
        Ok(Self { url, key_file, database: TWIN_DATABASE, kind })
    }

    pub(crate) fn real(borrowed: Borrowed) -> Result<Self> {
        let url = borrowed.odoo.url().context("odoo has no address")?;
        let (key_file, database) = (borrowed.odoo.key_file(), borrowed.odoo.database());
        Ok(Self { url, key_file, database, kind: Kind::Real { _odoo: borrowed } })
    }

    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    pub(crate) fn database(&self) -> &str {
        self.database
    }

    /// An administrator's key.
    pub(crate) fn key_file(&self) -> &Path {
        &self.key_file
    }

    /// Who looks, for the person who reads the output.
    pub(crate) fn reader(&self) -> &'static str {
        match self.kind {
            Kind::Twin { .. } => "this command, over JSON-2",
            Kind::Real { .. } => "a python3 script, over JSON-2",
        }
    }

    /// Creates an order that can be shipped, and confirms it.
    pub(crate) fn sell(&self) -> Result<Order> {
        let sold = match &self.kind {
            Kind::Twin { client, .. } => {
                let made = client.json("POST", "/__admin/orders", Some(&json!({ "count": 1 })))?;
                made["orders"][0].clone()
            }
            Kind::Real { .. } => self.script("sell", &[])?,
        };
        let id = sold["id"].as_i64().with_context(|| format!("the sale has no order: {sold}"))?.to_string();
        Ok(Order { id, name: sold["name"].as_str().unwrap_or("it").to_owned() })
    }

    /// The order's outgoing deliveries.
    pub(crate) fn look(&self, order: &Order) -> Result<Vec<Delivery>> {
        let seen = match &self.kind {
            Kind::Twin { client, .. } => look_at_twin(client, order)?,
            Kind::Real { .. } => self.script("look", &[&order.id])?,
        };
        seen["deliveries"].as_array().context("no deliveries")?.iter().map(delivery).collect()
    }

    fn script(&self, act: &str, more: &[&str]) -> Result<Value> {
        let mut command = run::command("python3");
        command.args(["-", act, &self.url, self.database]).arg(&self.key_file).args(more);
        let said = run::capture_fed(&mut command, SCRIPT, Some(LIMIT))?;
        serde_json::from_str(&said).with_context(|| format!("the script said `{said}`"))
    }
}

/// In the shape of what `shop.py` prints.
fn look_at_twin(client: &Client, order: &Order) -> Result<Value> {
    let id: i64 = order.id.parse()?;
    let ask = |model: &str, body: Value| client.json("POST", &format!("/json/2/{model}/search_read"), Some(&body));
    let mut deliveries = ask(
        "stock.picking",
        json!({
            "domain": [["sale_id", "=", id], ["picking_type_code", "=", "outgoing"]],
            "fields": ["name", "state", "carrier_tracking_ref"],
            "order": "id",
        }),
    )?;
    for delivery in deliveries.as_array_mut().into_iter().flatten() {
        let files = ask(
            "ir.attachment",
            json!({
                "domain": [["res_model", "=", "stock.picking"], ["res_id", "=", delivery["id"]]],
                "fields": ["name", "mimetype", "datas"],
                "order": "id",
            }),
        )?;
        let files: Result<Vec<Value>> = files.as_array().into_iter().flatten().map(hashed).collect();
        delivery["attachments"] = Value::Array(files?);
    }
    Ok(json!({ "deliveries": deliveries }))
}

fn hashed(file: &Value) -> Result<Value> {
    let content = base64::engine::general_purpose::STANDARD.decode(file["datas"].as_str().unwrap_or_default())?;
    Ok(json!({ "name": file["name"], "bytes": content.len(), "sha256": hex::encode(Sha256::digest(&content)) }))
}

fn delivery(seen: &Value) -> Result<Delivery> {
    let text = |value: &Value| value.as_str().unwrap_or("none").to_owned();
    let file = |file: &Value| -> Result<File> {
        let bytes = file["bytes"].as_u64().context("a file without a size")?;
        Ok(File { name: text(&file["name"]), bytes, sha256: text(&file["sha256"]) })
    };
    let files = seen["attachments"].as_array().context("a delivery without a list of files")?;
    Ok(Delivery {
        name: text(&seen["name"]),
        state: text(&seen["state"]),
        tracking: text(&seen["carrier_tracking_ref"]),
        files: files.iter().map(file).collect::<Result<_>>()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_delivery_without_a_number_or_file_reads_as_such() {
        let seen = json!({ "name": "WH/OUT/7", "state": "assigned", "carrier_tracking_ref": false, "attachments": [] });
        let read = delivery(&seen).unwrap();
        assert_eq!((read.tracking.as_str(), read.files.len()), ("none", 0));
        assert!(delivery(&json!({ "name": "x" })).is_err());
    }

    #[test]
    fn files_are_hashed_after_decoding() {
        let file = hashed(&json!({ "name": "label.zpl", "datas": "XlhB" })).unwrap();
        assert_eq!((file["bytes"].as_u64(), &file["sha256"].as_str().unwrap()[..8]), (Some(3), "53be336f"));
    }
}
