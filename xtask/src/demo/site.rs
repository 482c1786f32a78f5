//! The demo's own installation: a folder with secrets and `wharf.toml`, and the programs started from it.

use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use super::shop::Shop;
use crate::adapters;
use crate::progress::{Waiting, say};
use crate::run::{self, Service};

pub(crate) const TENANT: &str = "nordic";

/// A stand-in and its address.
pub(crate) fn twin(kind: &str, args: &[&str], folder: &Path) -> Result<(Service, String)> {
    let ready = folder.join(format!("{kind}.ready"));
    let mut command = run::command(adapters::binary("wharf-twin"));
    command.args([kind, "--port", "0", "--ready-file"]).arg(&ready).args(args);
    let mut service = Service::start(&format!("the {kind} twin"), &folder.join(format!("{kind}.log")), &mut command)?;
    let mut waiting = Waiting::for_(service.name());
    while !ready.is_file() {
        service.check()?;
        ensure!(waiting.elapsed() < Duration::from_secs(30), "{} is not ready after 30 s", service.name());
        waiting.tick("");
        run::pause()?;
    }
    let said: Value = serde_json::from_str(&std::fs::read_to_string(&ready)?)?;
    let url = said["base_url"].as_str().context("the ready file has no `base_url`")?.to_owned();
    Ok((service, url))
}

pub(crate) struct Site {
    folder: PathBuf,
    port: u16,
    admin_token: String,
    hook_token: String,
}

impl Site {
    /// Writes the configuration. The port is chosen here and not by the host, because Odoo is told it before the host
    /// starts.
    pub(crate) fn write(folder: &Path, carrier_url: &str, shop: &Shop) -> Result<Self> {
        let port = run::free_port()?;
        let site = Self { folder: folder.to_owned(), port, admin_token: token()?, hook_token: token()? };
        site.secret("admin.token", &site.admin_token)?;
        site.secret("webhook.token", &site.hook_token)?;
        site.secret("carrier.id", "twin-client")?;
        site.secret("carrier.secret", "twin-secret")?;
        let text = format!(
            r#"[server]
listen = "127.0.0.1:{port}"
data_dir = "data"
adapters_dir = "{adapters}"
admin_token = {{ file = "admin.token" }}

[[tenant]]
id = "{TENANT}"
name = "Nordic 3PL"

[tenant.odoo]
url = "{odoo}"
database = "{database}"
api_key = {{ file = "odoo.apikey" }}
webhook_token = {{ file = "webhook.token" }}
events = "outbox"
poll_seconds = 30
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
            adapters = adapters::folder().display(),
            odoo = shop.url(),
            database = shop.database(),
        );
        std::fs::write(site.folder.join("wharf.toml"), text)?;
        Ok(site)
    }

    /// A file only its owner may read.
    fn secret(&self, name: &str, value: &str) -> Result<()> {
        let mut options = std::fs::OpenOptions::new();
        let mut file = options.write(true).create(true).truncate(true).mode(0o600).open(self.folder.join(name))?;
        file.write_all(value.as_bytes()).with_context(|| format!("failed to write `{name}`"))
    }

    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    pub(crate) fn admin_token(&self) -> &str {
        &self.admin_token
    }

    pub(crate) fn hook_path(&self) -> String {
        format!("/hooks/odoo/{TENANT}/{}", self.hook_token)
    }

    /// Runs a command of `wharf` to its end and gives what it said. `words` is the command, parted by single spaces.
    fn wharf(&self, words: &str, args: &[&str]) -> Result<String> {
        let mut command = run::command(adapters::binary("wharf"));
        command.args(words.split(' ')).arg("--config").arg(self.folder.join("wharf.toml")).args(args);
        run::capture(&mut command, None)
    }

    /// The database's schema.
    pub(crate) fn migrate(&self) -> Result<()> {
        self.wharf("migrate", &[]).map(drop)
    }

    /// The outbox, its rules and the user the host works as; writes that user's key to `odoo.apikey`.
    pub(crate) fn set_up_odoo(&self, shop: &Shop) -> Result<()> {
        let key_file = shop.key_file().display().to_string();
        let base = self.url();
        let made =
            self.wharf("odoo setup", &["--tenant", TENANT, "--admin-key-file", &key_file, "--webhook-base", &base])?;
        let count = |word: &str| made.lines().filter(|line| line.starts_with(word)).count();
        let told = ["created", "updated", "kept"].map(|word| format!("{} {word}", count(word)));
        say(&format!("    odoo setup: {}", told.join(", ")));
        Ok(())
    }

    pub(crate) fn serve(&self) -> Result<Service> {
        let mut command = run::command(adapters::binary("wharf"));
        command.args(["serve", "--config"]).arg(self.folder.join("wharf.toml"));
        command.arg("--ready-file").arg(self.folder.join("wharf.ready"));
        Service::start("the host", &self.folder.join("wharf.log"), &mut command)
    }
}

/// 128 bits as hex.
fn token() -> Result<String> {
    let mut bytes = [0_u8; 16];
    std::io::Read::read_exact(&mut std::fs::File::open("/dev/urandom")?, &mut bytes)?;
    Ok(hex::encode(bytes))
}
