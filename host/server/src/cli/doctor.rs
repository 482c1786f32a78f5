//! `wharf doctor`

use std::path::PathBuf;

use wharf_domain::time::Clock as _;
use wharf_odoo::{Level, probe};
use wharf_sandbox::surface::Surface;
use wharf_store::Db;
use wharf_store::grants::GrantAt;

use super::{FAILED, Failure, Outcome, say};
use crate::bind::{self, Absent};
use crate::clock::SystemClock;
use crate::config::{Config, Tenant};
use crate::grants::{self, Asked};
use crate::wire;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The host's configuration
    #[arg(long)]
    config: PathBuf,
}

/// Counts what a person has to mend.
#[derive(Default)]
struct Examination {
    problems: u32,
}

impl Examination {
    fn fine(&mut self, text: &str) -> Result<(), Failure> {
        say(format!("ok       {text}"))
    }
    fn warning(&mut self, text: &str, remedy: Option<&str>) -> Result<(), Failure> {
        say(format!("warning  {text}"))?;
        remedy.map_or(Ok(()), |r| say(format!("         -> {r}")))
    }
    fn problem(&mut self, text: &str, remedy: Option<&str>) -> Result<(), Failure> {
        self.problems += 1;
        say(format!("PROBLEM  {text}"))?;
        remedy.map_or(Ok(()), |r| say(format!("         -> {r}")))
    }
}

pub(crate) async fn run(args: Args) -> Outcome {
    let config = Config::read(&args.config)?;
    let mut seen = Examination::default();
    seen.fine(&format!("`{}`: {} tenants", args.config.display(), config.tenants.len()))?;
    match config.secret(&config.server.admin_token) {
        Ok(_) => seen.fine("the admin token is readable")?,
        Err(e) => seen.problem(&format!("`server.admin_token`: {e:#}"), None)?,
    }
    let db = database(&config, &mut seen).await?;
    for tenant in &config.tenants {
        connections(&config, tenant, db.as_ref(), &mut seen).await?;
        odoo(&config, tenant, &mut seen).await?;
    }
    if let Some(db) = db {
        db.close().await;
    }
    say(match seen.problems {
        0 => "all is well".to_owned(),
        n => format!("{n} to mend"),
    })?;
    Ok(if seen.problems == 0 { 0 } else { FAILED })
}

/// The database, when it can be asked.
async fn database(config: &Config, seen: &mut Examination) -> Result<Option<Db>, Failure> {
    let db = match wire::open_db(config).await {
        Ok(db) => db,
        Err(e) => return seen.problem(&format!("{e:#}"), None).map(|()| None),
    };
    if let Err(e) = db.check_schema().await {
        seen.problem(&e.to_string(), None)?;
        db.close().await;
        return Ok(None);
    }
    seen.fine("the database is there and up to date")?;
    match wire::vault(config, &db).await {
        Ok(Some(_)) => seen.fine("the vault opens")?,
        Ok(None) => {}
        Err(e) => seen.problem(&format!("{e:#}"), None)?,
    }
    clocks(config, &db, seen).await?;
    Ok(Some(db))
}

/// Does this machine's clock fit what the database says?
async fn clocks(config: &Config, db: &Db, seen: &mut Examination) -> Result<(), Failure> {
    let ours = SystemClock.now();
    let (theirs, what) = match config.database {
        Some(_) => (Some(db.now()), "the clock of the database"),
        None => (db.newest().await?.filter(|newest| *newest > ours), "the newest row of the database"),
    };
    let behind = theirs.map_or(0, |theirs| theirs.since(ours));
    if behind.abs() < 2_000 {
        return Ok(());
    }
    let text = format!("this machine's clock is {} s behind {what}", behind / 1_000);
    seen.warning(&text, Some("set it right, and let a time service keep it; the host goes by the database until then"))
}

async fn connections(config: &Config, tenant: &Tenant, db: Option<&Db>, seen: &mut Examination) -> Result<(), Failure> {
    let sandbox = match wire::sandbox(config) {
        Ok(sandbox) => sandbox,
        Err(e) => return seen.problem(&format!("{e:#}"), None),
    };
    for c in &tenant.connections {
        let name = format!("connection `{}` of tenant `{}`", c.id, tenant.id);
        match wire::load_adapter(config, &sandbox, &c.adapter).await {
            Err(e) => seen.problem(&format!("{name}: {e:#}"), None)?,
            Ok((adapter, _)) => {
                match bind::connection(config, tenant, c, (&adapter.manifest, None), Absent::of(config)) {
                    Ok((grant, settings)) => {
                        seen.fine(&format!("{name}: {} {} {}", adapter.name, adapter.version, adapter.digest))?;
                        let at = GrantAt { tenant: tenant.id.clone(), connection: c.id.clone() };
                        let surface = Surface::of(&adapter, &grant, &settings);
                        stands(db, &Asked { at, digest: adapter.digest, surface }, seen).await?;
                    }
                    Err(e) => seen.problem(&format!("{e:#}"), None)?,
                }
            }
        }
    }
    Ok(())
}

/// Has somebody to decide before the connection goes on as it is written?
async fn stands(db: Option<&Db>, asked: &Asked, seen: &mut Examination) -> Result<(), Failure> {
    let Some(db) = db else { return Ok(()) };
    match grants::look(db, asked).await {
        Ok(Some(open)) => seen.warning(&open, None),
        Ok(None) => Ok(()),
        Err(e) => seen.problem(&format!("{e:#}"), None),
    }
}

async fn odoo(config: &Config, tenant: &Tenant, seen: &mut Examination) -> Result<(), Failure> {
    let Some(odoo) = &tenant.odoo else { return Ok(()) };
    let settings = match wire::odoo(config, tenant, odoo) {
        Ok(settings) => settings,
        Err(e) => return seen.problem(&format!("{e:#}"), None),
    };
    if let Err(e) = config.secret(&odoo.webhook_token) {
        seen.problem(&format!("`odoo.webhook_token` of tenant `{}`: {e:#}", tenant.id), None)?;
    }
    let own = wire::own(config, config.server.listen);
    for finding in probe(wire::egress(config, None, None, own)?, &SystemClock, &settings).await {
        let text = format!("Odoo of tenant `{}`: {}", tenant.id, finding.text);
        match finding.level {
            Level::Fine => seen.fine(&text)?,
            Level::Warning => seen.warning(&text, finding.remedy.as_deref())?,
            Level::Problem => seen.problem(&text, finding.remedy.as_deref())?,
        }
    }
    Ok(())
}
