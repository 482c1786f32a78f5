//! `wharf grant show`

use std::str::FromStr;

use serde_json::Value;
use wharf_sandbox::surface::Surface;

use super::adapter_inspect::clean;
use super::api_client::{Host, moment, table, text};
use super::{Outcome, say, wrong_use};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    host: Host,
    /// The connection as `TENANT/CONNECTION`
    grant: Grant,
    /// Another version than the newest
    #[arg(long)]
    version: Option<i64>,
}

/// A connection of a tenant, as it is typed.
#[derive(Debug, Clone)]
pub(crate) struct Grant {
    pub(crate) tenant: String,
    pub(crate) connection: String,
}

impl FromStr for Grant {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let plain = |part: &str| {
            !part.is_empty() && part.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
        };
        match text.split_once('/') {
            Some((tenant, connection)) if plain(tenant) && plain(connection) => {
                Ok(Self { tenant: tenant.to_owned(), connection: connection.to_owned() })
            }
            _ => Err("write it as `TENANT/CONNECTION`, e.g. `nordic/acme`".to_owned()),
        }
    }
}

impl std::fmt::Display for Grant {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.tenant, self.connection)
    }
}

impl Grant {
    /// Of the API.
    pub(crate) fn path(&self) -> String {
        format!("/api/v1/tenants/{}/grants/{}", self.tenant, self.connection)
    }
}

pub(crate) fn run(args: &Args) -> Outcome {
    let answer = args.host.client()?.get(&args.grant.path())?;
    let rows = answer["versions"].as_array().cloned().unwrap_or_default();
    let row = match args.version {
        Some(version) => rows.iter().find(|row| row["version"] == version),
        None => rows.last(),
    };
    let Some(row) = row else {
        let all = rows.iter().map(|row| text(&row["version"])).collect::<Vec<_>>().join(", ");
        return Err(wrong_use(anyhow::anyhow!("grant `{}` has no such version; there are {all}", args.grant)));
    };
    if args.host.json {
        say(row)?;
        return Ok(0);
    }
    say(shown(&args.grant, row)?)?;
    if args.version.is_none() {
        say(format!("\nVERSIONS\n{}", versions(&rows)))?;
    }
    Ok(0)
}

/// What a person has to see before deciding: who asks for what, and what it changes.
fn shown(grant: &Grant, row: &Value) -> anyhow::Result<String> {
    let cell = |field: &str| clean(&text(&row[field]));
    let mut out = format!(
        "grant {grant} version {}: {} ({})\nadapter {} {}  {}\npublisher {} (not verified)\nasked by {} at {}\n",
        cell("version"),
        cell("state"),
        cell("weight"),
        cell("adapter"),
        cell("adapter_version"),
        cell("digest"),
        cell("publisher"),
        cell("actor"),
        moment(&row["created_at"]),
    );
    if !row["decided_by"].is_null() {
        out.push_str(&format!(
            "decided by {} at {}: {}\n",
            cell("decided_by"),
            moment(&row["decided_at"]),
            cell("why")
        ));
    }
    if !row["against"].is_null() {
        out.push_str(&format!("\nAGAINST VERSION {}\n{}\n", cell("against"), changes(&row["changes"])));
    }
    let surface: Surface = serde_json::from_value(row["surface"].clone())?;
    out.push_str(&format!("\nALL OF IT\n{}", everything(&surface)));
    if row["state"] == "pending" {
        let version = cell("version");
        out.push_str(&format!("\n\nwharf grant accept {grant} --version {version} --why \"…\"\n"));
        out.push_str(&format!("wharf grant refuse {grant} --version {version} --why \"…\"\n"));
    }
    Ok(out.trim_end().to_owned())
}

/// Every thing the connection may do, a line each.
fn everything(surface: &Surface) -> String {
    let m = &surface.manifest;
    let mut rows: Vec<[String; 3]> = Vec::new();
    for endpoint in &m.endpoints {
        let private = if surface.allow_private { ", private addresses too" } else { "" };
        rows.push(["http".to_owned(), endpoint.origin.clone(), format!("{:?}{private}", endpoint.environment)]);
    }
    for route in &m.routes {
        let effect = route.effect.as_deref().map(|effect| format!(" {effect}")).unwrap_or_default();
        let secret = route.secret.as_deref().map(|slot| format!(" with secret {slot}")).unwrap_or_default();
        let how = format!("{}{effect}{secret}", route.class().as_str());
        rows.push(["http".to_owned(), format!("{} {}", route.method, route.path), how]);
    }
    for (name, slot) in &m.secrets {
        rows.push(["secret".to_owned(), name.clone(), slot.kind().to_owned()]);
    }
    for request in &m.odoo {
        let create = if request.create { " create" } else { "" };
        let domains = [request.domain.as_ref(), surface.narrowed.get(&request.model)];
        let domains: Vec<String> = domains.into_iter().flatten().map(|domain| format!(" where {domain}")).collect();
        let (read, write, most) =
            (request.read.join(", "), request.write.join(", "), request.max_records.unwrap_or_default());
        let how = format!("read({read}) write({write}){create} {most} records{}", domains.concat());
        rows.push(["odoo".to_owned(), request.model.clone(), how]);
    }
    if !m.odoo.is_empty() {
        let companies = surface.companies.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        rows.push([
            "odoo".to_owned(),
            format!("companies {companies}"),
            format!("{} writes an hour", surface.writes_per_hour),
        ]);
    }
    for folder in &m.folders {
        let can = [(folder.read, "read"), (folder.create, "create"), (folder.archive, "archive")];
        let can: Vec<&str> = can.iter().filter(|(can, _)| *can).map(|(_, word)| *word).collect();
        rows.push(["folder".to_owned(), folder.name.clone(), can.join(", ")]);
    }
    rows.push(["kv".to_owned(), format!("{} bytes", m.kv_bytes), String::new()]);
    rows.push(["limits".to_owned(), format!("{} requests under way", m.limits.max_in_flight), String::new()]);
    for bucket in &m.limits.buckets {
        rows.push([
            "limits".to_owned(),
            format!("{} requests in {} s", bucket.requests, bucket.per_seconds),
            String::new(),
        ]);
    }
    rows.push([
        "config".to_owned(),
        "settings".to_owned(),
        m.config.properties.keys().cloned().collect::<Vec<_>>().join(", "),
    ]);
    let rows: Vec<Vec<String>> = rows.iter().map(|row| row.iter().map(|cell| clean(cell)).collect()).collect();
    table(&["", "WHAT", "HOW"], &rows)
}

fn changes(lines: &Value) -> String {
    let cells = |line: &Value| ["weight", "group", "what", "means"].map(|field| clean(&text(&line[field]))).to_vec();
    let rows: Vec<Vec<String>> = lines.as_array().into_iter().flatten().map(cells).collect();
    if rows.is_empty() { "no difference".to_owned() } else { table(&["", "CHANGE", "WHAT", "WHICH MEANS"], &rows) }
}

fn versions(rows: &[Value]) -> String {
    let cells = |row: &Value| {
        let cell = |field: &str| clean(&text(&row[field]));
        vec![
            cell("version"),
            cell("state"),
            cell("adapter_version"),
            cell("weight"),
            moment(&row["created_at"]),
            cell("decided_by"),
            cell("why"),
        ]
    };
    let rows: Vec<Vec<String>> = rows.iter().map(cells).collect();
    table(&["VERSION", "STATE", "ADAPTER", "CHANGE", "ASKED", "DECIDED BY", "WHY"], &rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_grant_is_named_by_tenant_and_connection() {
        let grant: Grant = "nordic/acme-2".parse().expect("a grant");
        assert_eq!(
            (grant.to_string(), grant.path()),
            ("nordic/acme-2".to_owned(), "/api/v1/tenants/nordic/grants/acme-2".to_owned())
        );
        for wrong in ["nordic", "/acme", "nordic/", "nordic/acme/2", "Nordic/acme", "a/../b", "a/b?c"] {
            assert!(wrong.parse::<Grant>().expect_err(wrong).contains("TENANT/CONNECTION"), "{wrong}");
        }
    }

    /// A person decides by what stands here, and most of it was written by whoever asks.
    #[test]
    fn j4_a_publisher_cannot_write_lines_of_a_grant() {
        let grant: Grant = "nordic/acme".parse().expect("a grant");
        let manifest = serde_json::json!({
            "name": "acme", "version": "1.0.0\nstate: accepted", "description": "d", "publisher": "ACME\u{1b}[2J",
            "licence": "x", "routes": [{ "method": "GET", "path": "/a\u{202e}b", "reason": "r" }],
        });
        let row = serde_json::json!({
            "version": 2, "state": "pending", "weight": "wider-low", "adapter": "acme", "digest": "sha256:0",
            "adapter_version": "1.0.0\nstate: accepted", "publisher": "ACME\u{1b}[2J", "actor": "host:configuration",
            "created_at": 0, "decided_by": null, "against": 1,
            "changes": [{ "weight": "wider-low", "group": "new data read", "what": "`GET /a\r`", "means": "m" }],
            "surface": { "manifest": manifest, "imports": [], "exports": [], "allow_private": false },
        });
        let shown = shown(&grant, &row).expect("shown");
        assert!(!shown.chars().any(|c| c != '\n' && wharf_sandbox::forges(c)), "{}", shown.escape_debug());
        assert!(!shown.lines().any(|line| line.starts_with("state:")), "{shown}");
        assert!(shown.contains("AGAINST VERSION 1") && shown.contains("`GET /a\\r`"), "{shown}");
        let command = "wharf grant accept nordic/acme --version 2 --why";
        assert!(shown.lines().any(|line| line.starts_with(command)), "it says how to decide: {shown}");
    }
}
