//! The twins and an installation.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::http::Http;
use crate::program::{Program, binary};

const TENANT: &str = "nordic";

/// What nobody else may know, new for every world: where one of these is found, it has leaked.
#[derive(Debug, Clone)]
pub struct Secrets {
    pub admin_token: String,
    pub hook_token: String,
    pub carrier_id: String,
    pub carrier_secret: String,
    pub odoo_admin_key: String,
}

impl Secrets {
    fn new() -> Self {
        let one = || format!("{:032x}", rand::random::<u128>());
        Self {
            admin_token: one(),
            hook_token: one(),
            carrier_id: one(),
            carrier_secret: one(),
            odoo_admin_key: format!("{:040x}", rand::random::<u128>()),
        }
    }
}

/// What a test wants different.
#[derive(Debug, Clone)]
pub struct Settings {
    pub lease_seconds: u32,
    pub retry_base_ms: u32,
    pub settle_seconds: u32,
    pub poll_seconds: u32,
    /// How long the carrier hides a new shipment from lookups.
    pub read_after_write_ms: u32,
    /// URL of an empty PostgreSQL database; absent: SQLite.
    pub postgres: Option<String>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            lease_seconds: 30,
            retry_base_ms: 100,
            settle_seconds: 2,
            poll_seconds: 1,
            read_after_write_ms: 0,
            postgres: None,
        }
    }
}

/// A carrier, an Odoo, and a folder with a configuration that connects them.
pub struct World {
    folder: TempDir,
    pub secrets: Secrets,
    /// The carrier's admin API.
    pub carrier: Http,
    /// Odoo with the administrator's key.
    pub odoo: Http,
    port: u16,
    _carrier: Program,
    _odoo: Program,
}

impl World {
    /// Starts the twins, migrates a fresh database and sets up Odoo.
    pub fn new(settings: &Settings) -> Result<Self> {
        let folder = tempfile::Builder::new().prefix("wharf-test-").tempdir()?;
        let (hide, secrets) = (settings.read_after_write_ms.to_string(), Secrets::new());
        let account = ["--client-id", &secrets.carrier_id, "--client-secret", &secrets.carrier_secret];
        let ups = [["--read-after-write-ms", &hide].as_slice(), &account].concat();
        let (carrier, carrier_url) = twin(folder.path(), "ups", &ups)?;
        let (odoo, odoo_url) = twin(folder.path(), "odoo", &["--bare", "--admin-key", &secrets.odoo_admin_key])?;
        let world = Self {
            carrier: Http::new(&carrier_url, None),
            odoo: Http::new(&odoo_url, Some(&secrets.odoo_admin_key)),
            secrets,
            port: free_port()?,
            folder,
            _carrier: carrier,
            _odoo: odoo,
        };
        world.write_config(settings, &carrier_url, &odoo_url)?;
        world.must(&["migrate"])?;
        let hook = format!("http://127.0.0.1:{}", world.port);
        let key = world.file("odoo-admin.key").display().to_string();
        world.must(&["odoo", "setup", "--tenant", TENANT, "--admin-key-file", &key, "--webhook-base", &hook])?;
        Ok(world)
    }

    fn write_config(&self, settings: &Settings, carrier_url: &str, odoo_url: &str) -> Result<()> {
        for (name, value) in [
            ("admin.token", &self.secrets.admin_token),
            ("webhook.token", &self.secrets.hook_token),
            ("carrier.id", &self.secrets.carrier_id),
            ("carrier.secret", &self.secrets.carrier_secret),
            ("odoo.key", &self.secrets.odoo_admin_key),
            ("odoo-admin.key", &self.secrets.odoo_admin_key),
        ] {
            std::fs::write(self.file(name), value)?;
        }
        let database = match &settings.postgres {
            Some(url) => {
                std::fs::write(self.file("database.url"), url)?;
                "[database]\nurl = { file = \"database.url\" }\n"
            }
            None => "",
        };
        let adapters = adapters_dir()?;
        let Settings { lease_seconds, retry_base_ms, settle_seconds, poll_seconds, .. } = settings;
        let text = format!(
            r#"[server]
listen = "127.0.0.1:{port}"
data_dir = "data"
adapters_dir = "{adapters}"
admin_token = {{ file = "admin.token" }}
lease_seconds = {lease_seconds}
retry_base_ms = {retry_base_ms}
settle_seconds = {settle_seconds}

{database}
[[tenant]]
id = "{TENANT}"
name = "Nordic 3PL"
[tenant.odoo]
url = "{odoo_url}"
database = "odoo19"
api_key = {{ file = "odoo.key" }}
webhook_token = {{ file = "webhook.token" }}
poll_seconds = {poll_seconds}
allow_private_address = true
[tenant.order_release]
carriers = ["ups"]
[[tenant.connection]]
id = "ups"
adapter = "ups"
environment = "test"
endpoint = "{carrier_url}"
allow_private_address = true
config = {{ account_number = "A1B2C3" }}
secrets = {{ oauth = {{ client_id = {{ file = "carrier.id" }}, client_secret = {{ file = "carrier.secret" }} }} }}
"#,
            port = self.port,
            adapters = adapters.display(),
        );
        std::fs::write(self.file("wharf.toml"), text).context("cannot write the configuration")
    }

    /// A path in the installation's folder.
    pub fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Changes the configuration file by replacing a text that must be there.
    pub fn edit_config(&self, from: &str, to: &str) -> Result<()> {
        let path = self.file("wharf.toml");
        let text = std::fs::read_to_string(&path)?;
        if !text.contains(from) {
            bail!("the configuration has no `{from}`");
        }
        std::fs::write(&path, text.replace(from, to)).context("cannot write the configuration")
    }

    /// Runs a command of `wharf` with this installation's configuration.
    pub fn wharf(&self, words: &[&str]) -> Result<Output> {
        let mut command = Command::new(binary("wharf")?);
        Ok(command.args(words).arg("--config").arg(self.file("wharf.toml")).env("RUST_BACKTRACE", "0").output()?)
    }

    fn must(&self, words: &[&str]) -> Result<()> {
        let output = self.wharf(words)?;
        if !output.status.success() {
            bail!("wharf {} failed: {}", words.join(" "), String::from_utf8_lossy(&output.stderr));
        }
        Ok(())
    }

    /// Starts the host and waits until it listens.
    pub fn serve(&self) -> Result<Program> {
        self.serve_with(&[])
    }

    /// With more words on its command line.
    pub fn serve_with(&self, words: &[&str]) -> Result<Program> {
        self.start("wharf", words)
    }

    /// Starts another host on the same database, with the same configuration as it is now. For PostgreSQL.
    pub fn serve_beside(&self) -> Result<Program> {
        let text = std::fs::read_to_string(self.file("wharf.toml"))?;
        let text = text.replace("data_dir = \"data\"", "data_dir = \"data-beside\"");
        let text = text.replace(&format!("127.0.0.1:{}", self.port), &format!("127.0.0.1:{}", free_port()?));
        std::fs::write(self.file("beside.toml"), text)?;
        self.start("beside", &[])
    }

    /// Under the configuration of that name; its log has that name, too.
    fn start(&self, name: &str, words: &[&str]) -> Result<Program> {
        let ready = self.file(&format!("{name}.ready"));
        // Left by a host that was killed.
        let _ = std::fs::remove_file(&ready);
        let config = self.file(&format!("{name}.toml"));
        let mut command = Command::new(binary("wharf")?);
        command.arg("serve").arg("--config").arg(config).arg("--ready-file").arg(&ready).args(words);
        let mut host = Program::start(&mut command, &self.file(&format!("{name}.log")))?;
        host.wait_for(&ready)?;
        Ok(host)
    }

    /// The host's API.
    pub fn api(&self) -> Http {
        Http::new(&format!("http://127.0.0.1:{}", self.port), Some(&self.secrets.admin_token))
    }

    /// What Odoo posts, once more.
    pub fn knock(&self) -> Result<u16> {
        let path = format!("/hooks/odoo/{TENANT}/{}", self.secrets.hook_token);
        Ok(self.api().ask("POST", &path, Some(&json!({"_model": "sale.order", "_id": 1})))?.0)
    }

    /// Creates and confirms orders in Odoo; gives their record ids.
    pub fn confirm_orders(&self, count: usize) -> Result<Vec<i64>> {
        let answer = self.odoo.json("POST", "/__admin/orders", Some(&json!({ "count": count })))?;
        let ids: Vec<i64> = answer["orders"]
            .as_array()
            .context("no orders in the answer")?
            .iter()
            .filter_map(|o| o["id"].as_i64())
            .collect();
        if ids.len() != count {
            bail!("{count} orders were asked for: {answer}");
        }
        Ok(ids)
    }

    /// The flow of an order with everything that belongs to it; null before the host has heard of it.
    pub fn timeline(&self, order: i64) -> Result<Value> {
        let path = format!("/api/v1/tenants/{TENANT}/flows/order/{order}");
        let (status, text) = self.api().ask("GET", &path, None)?;
        match status {
            200 => Ok(serde_json::from_str(&text)?),
            404 => Ok(Value::Null),
            _ => bail!("{path} answered {status}: {text}"),
        }
    }

    /// Waits until every order's flow has one of `statuses`.
    pub fn wait_until(&self, orders: &[i64], statuses: &[&str], limit: Duration) -> Result<()> {
        let start = Instant::now();
        let mut open: Vec<i64> = orders.to_vec();
        while !open.is_empty() {
            let mut left = Vec::new();
            let mut last = Value::Null;
            for order in open {
                let timeline = self.timeline(order)?;
                if !timeline["flow"]["status"].as_str().is_some_and(|s| statuses.contains(&s)) {
                    last = timeline;
                    left.push(order);
                }
            }
            open = left;
            if start.elapsed() > limit {
                bail!("orders {open:?} are not {statuses:?} after {limit:?}; the last one: {last:#}");
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        Ok(())
    }

    /// Shipments in the carrier's ledger.
    pub fn bought(&self) -> Result<Vec<Value>> {
        let effects = self.carrier.json("GET", "/__admin/effects", None)?;
        let rows = effects.as_array().context("the ledger is no list")?;
        Ok(rows.iter().filter(|e| e["kind"] == "shipment").cloned().collect())
    }

    /// Makes the carrier misbehave.
    pub fn carrier_script(&self, rules: &Value) -> Result<()> {
        self.carrier.json("POST", "/__admin/scenario", Some(rules)).map(|_| ())
    }

    /// Rows of an Odoo model.
    pub fn odoo_rows(&self, model: &str, domain: &Value, fields: &[&str]) -> Result<Vec<Value>> {
        let body = json!({ "domain": domain, "fields": fields, "order": "id" });
        let rows = self.odoo.json("POST", &format!("/json/2/{model}/search_read"), Some(&body))?;
        Ok(rows.as_array().cloned().unwrap_or_default())
    }
}

fn twin(folder: &Path, kind: &str, more: &[&str]) -> Result<(Program, String)> {
    let ready = folder.join(format!("{kind}.ready"));
    let mut command = Command::new(binary("wharf-twin")?);
    command.args([kind, "--port", "0", "--ready-file"]).arg(&ready).args(more);
    let mut program = Program::start(&mut command, &folder.join(format!("{kind}.log")))?;
    let said = program.wait_for(&ready)?;
    let url = said["base_url"].as_str().context("the twin did not say where it is")?.to_owned();
    Ok((program, url))
}

/// `target/adapters`, where `cargo xtask adapters` puts the shipped adapters.
fn adapters_dir() -> Result<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().context("no workspace")?;
    let dir = root.join("target/adapters");
    if !dir.join("ups.wasm").is_file() {
        bail!("`{}` has no adapters: run `cargo xtask adapters`", dir.display());
    }
    Ok(dir)
}

fn free_port() -> Result<u16> {
    Ok(std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}
