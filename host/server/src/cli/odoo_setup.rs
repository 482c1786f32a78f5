//! `wharf odoo setup`

use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow};
use secrecy::{ExposeSecret, SecretString};
use wharf_domain::ids::TenantId;
use wharf_odoo::OdooConfig;
use wharf_odoo::setup::{Change, SetupRequest, setup};

use super::{Outcome, say, wrong_use};
use crate::clock::SystemClock;
use crate::config::{self, Config, SecretRef};
use crate::wire;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The host's configuration
    #[arg(long)]
    config: PathBuf,
    /// Whose Odoo
    #[arg(long)]
    tenant: String,
    /// File with the API key of an Odoo administrator; used now and not kept
    #[arg(long)]
    admin_key_file: PathBuf,
    /// Where Odoo can reach this host, e.g. `https://wharf.example.com`; absent makes no wake-up
    #[arg(long)]
    webhook_base: Option<String>,
}

pub(crate) async fn run(args: Args) -> Outcome {
    let config = Config::read(&args.config)?;
    let id = TenantId::parse(args.tenant.clone()).map_err(wrong_use)?;
    let tenant = config
        .tenants
        .iter()
        .find(|t| t.id == id)
        .ok_or_else(|| wrong_use(anyhow!("`{}` has no tenant `{id}`", args.config.display())))?;
    let odoo = tenant.odoo.as_ref().ok_or_else(|| wrong_use(anyhow!("tenant `{id}` has no `odoo`")))?;
    let key_file = match &odoo.api_key {
        SecretRef::File(path) => config.path(path),
        SecretRef::Env(name) => {
            return Err(wrong_use(anyhow!(
                "`odoo.api_key` is the variable `{name}`; setup writes the bot's key to a file: use {{ file = \"…\" }}"
            )));
        }
    };
    if let Some(base) = &args.webhook_base {
        config::origin(base).map_err(|e| wrong_use(e.context("`--webhook-base`")))?;
    }
    let admin_key = std::fs::read_to_string(&args.admin_key_file)
        .with_context(|| format!("cannot read `{}`", args.admin_key_file.display()))?;
    let current_key = config.secret(&odoo.api_key).ok();
    let hook = match &args.webhook_base {
        Some(base) => {
            let token = config.secret(&odoo.webhook_token).context("`odoo.webhook_token`")?;
            let url = format!("{}/hooks/odoo/{id}/{}", base.trim_end_matches('/'), token.expose_secret());
            Some(SecretString::from(url))
        }
        None => None,
    };
    if admin_key.trim().is_empty() {
        return Err(wrong_use(anyhow!(
            "`{}` is empty; it must hold the administrator's API key",
            args.admin_key_file.display()
        )));
    }
    let admin = SecretString::from(admin_key.trim().to_owned());
    let settings = OdooConfig {
        tenant: id.clone(),
        url: odoo.url.trim_end_matches('/').to_owned(),
        database: odoo.database.clone(),
        api_key: admin.clone(),
        allow_private_address: odoo.allow_private_address,
        company: odoo.company,
        events: wharf_odoo::EventSource::Outbox,
    };
    let same = current_key.as_ref().is_some_and(|k| k.expose_secret() == admin.expose_secret());
    let request = SetupRequest {
        webhook_url: hook,
        bot_login: None,
        bot_password: password(),
        // The administrator's own key in the bot's file is a beginning, not a bot's key.
        current_key: current_key.filter(|_| !same),
    };
    let own = wire::own(&config, config.server.listen);
    let report = setup(wire::egress(&config, None, None, own)?, &SystemClock, &settings, &request)
        .await
        .with_context(|| format!("failed to set up the Odoo of tenant `{id}`"))?;
    for item in &report.items {
        let word = match item.change {
            Change::Created => "created",
            Change::Updated => "updated",
            Change::Kept => "kept   ",
        };
        say(format!("{word}  {}", item.what))?;
    }
    if let Some(key) = &report.new_key {
        write_secret(&key_file, key.expose_secret())
            .with_context(|| format!("cannot write the bot's key to `{}`", key_file.display()))?;
        say(format!("the key of `{}` is in `{}`, valid for at most 90 days", report.bot_login, key_file.display()))?;
    }
    Ok(0)
}

/// 244 bits from the operating system; nobody needs it again.
fn password() -> SecretString {
    SecretString::from(format!("{}{}", uuid::Uuid::new_v4().simple(), uuid::Uuid::new_v4().simple()))
}

/// Whole file or none, readable by its owner only.
fn write_secret(path: &Path, value: &str) -> Result<()> {
    use std::os::unix::fs::OpenOptionsExt;
    let temporary = path.with_extension("part");
    let _ = std::fs::remove_file(&temporary);
    let mut file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&temporary)?;
    file.write_all(value.as_bytes())?;
    file.sync_all()?;
    std::fs::rename(&temporary, path)?;
    Ok(())
}
