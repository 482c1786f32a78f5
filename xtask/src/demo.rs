//! `cargo xtask demo`: one sales order from Odoo to the label and back, by the real program, with a carrier that keeps
//! a ledger. What it shows is checked, not only printed: the label in Odoo is the one the carrier sold, and ten more
//! copies of the webhook that started it buy nothing.

mod shop;
mod site;
mod timeline;

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use crate::adapters;
use crate::http::Client;
use crate::odoo::Odoo;
use crate::progress::{Waiting, say, step};
use crate::run::{self, Service};
use shop::{Delivery, Shop};
use site::Site;

/// From the order's confirmation to the last write in Odoo. A quiet machine needs two seconds.
const PATIENCE: Duration = Duration::from_secs(90);
const COPIES: usize = 10;

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Which Odoo: our stand-in, or the real one from Debian's packages (root only; the first time takes minutes)
    #[arg(long, value_enum, default_value = "twin")]
    odoo: Which,
    /// Leave a real Odoo running at the end; it is left alone anyway when it was running before
    #[arg(long)]
    keep: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Which {
    Twin,
    Real,
}

pub(crate) fn command(args: &Args) -> Result<()> {
    // Said before anything is built.
    if args.odoo == Which::Real {
        ensure!(run::exists("python3"), "`python3` is missing: apt-get install python3");
        let root = rustix::process::geteuid().is_root();
        ensure!(
            root || Odoo::at(None).running(),
            "a real Odoo is started as root only: leave `--odoo real` out, or be root"
        );
    }
    adapters::host_binaries()?;
    adapters::build_all()?;
    let folder = tempfile::Builder::new().prefix("wharf-demo-").tempdir()?;
    let shown = show(args, folder.path());
    if shown.is_err() && !run::interrupted() {
        say(&format!("    what the programs said is in {}", folder.keep().display()));
    }
    shown
}

fn show(args: &Args, folder: &Path) -> Result<()> {
    let mut stage = step("start", || Stage::set(args, folder))?;
    let order = step("sell: create an order in Odoo and confirm it", || stage.shop.sell())?;
    say(&format!("    {} is order {} in Odoo", order.name, order.id));
    let flow = step("wait for the flow to close", || stage.wait_closed(&order.id))?;
    timeline::print(&flow);
    timeline::check(&flow)?;
    let first = stage.read_back(&order, &flow)?;
    stage.repeat_webhook(&order)?;
    let second = stage.shop.look(&order)?;
    ensure!(first == second, "the repeated webhook changed the delivery in Odoo: {first:?} became {second:?}");
    let flow = stage.wait_closed(&order.id)?;
    stage.count_labels(&flow)
}

/// A real Odoo. One that was started for the demo is stopped with it.
struct Borrowed {
    odoo: Odoo,
    stop: bool,
}

impl Borrowed {
    fn take(keep: bool) -> Result<Self> {
        let odoo = Odoo::at(None);
        let borrowed = Self { stop: !(keep || odoo.running()), odoo };
        borrowed.odoo.up()?;
        Ok(borrowed)
    }
}

impl Drop for Borrowed {
    fn drop(&mut self) {
        if self.stop
            && let Err(error) = self.odoo.down()
        {
            crate::progress::complain(&format!("error: {error:#}"));
        }
    }
}

/// Everything that runs. The fields are dropped in this order: the host first, what it talks to afterwards.
struct Stage {
    host: Service,
    carrier: Service,
    shop: Shop,
    api: Client,
    ledger: Client,
    site: Site,
}

impl Stage {
    fn set(args: &Args, folder: &Path) -> Result<Self> {
        let (mut carrier, carrier_url) = site::twin("ups", &[], folder)?;
        carrier.check()?;
        let shop = match args.odoo {
            Which::Twin => Shop::twin(folder)?,
            Which::Real => Shop::real(Borrowed::take(args.keep)?)?,
        };
        let site = Site::write(folder, &carrier_url, &shop)?;
        site.migrate()?;
        site.set_up_odoo(&shop)?;
        let host = site.serve()?;
        let api = Client::new(&site.url(), Some(site.admin_token()));
        let mut stage = Self { host, carrier, shop, api, ledger: Client::new(&carrier_url, None), site };
        stage.api.wait_ready("/healthz", Some(&mut stage.host), Duration::from_secs(60))?;
        Ok(stage)
    }

    /// The flow's timeline once everything is done; an error when a person would have to look.
    fn wait_closed(&mut self, order: &str) -> Result<Value> {
        let path = format!("/api/v1/tenants/{}/flows/order/{order}", site::TENANT);
        let mut waiting = Waiting::for_("the flow");
        loop {
            self.host.check()?;
            self.carrier.check()?;
            let (status, text) = self.api.ask("GET", &path, None)?;
            let flow: Value = if status == 200 { serde_json::from_str(&text)? } else { Value::Null };
            let stage = flow["flow"]["status"].as_str().unwrap_or("not heard of");
            if stage == "closed" {
                return Ok(flow);
            }
            if waiting.elapsed() > PATIENCE || stage == "held" {
                timeline::print(&flow);
                anyhow::bail!("the order is `{stage}` after {} s", waiting.elapsed().as_secs());
            }
            waiting.tick(stage);
            run::pause()?;
        }
    }

    /// Reads the delivery from Odoo by a client that is not the host's and compares it with the carrier's ledger.
    fn read_back(&self, order: &shop::Order, flow: &Value) -> Result<Vec<Delivery>> {
        let deliveries = self.shop.look(order)?;
        say("");
        say(&format!("in Odoo, read back by {}:", self.shop.reader()));
        for delivery in &deliveries {
            say(&format!("  {}  {}  tracking {}", delivery.name, delivery.state, delivery.tracking));
            for file in &delivery.files {
                say(&format!("    {}  {} bytes  sha256 {}", file.name, file.bytes, file.sha256));
            }
        }
        let (sold, _) = self.bought(flow)?;
        ensure!(!sold.is_empty(), "the carrier's ledger has no label");
        for shipment in &sold {
            let tracking = shipment["tracking"].as_str().context("the ledger's row has no tracking number")?;
            let delivery = deliveries.iter().find(|delivery| delivery.tracking == tracking);
            let delivery =
                delivery.with_context(|| format!("no delivery in Odoo has the tracking number {tracking}"))?;
            for label in shipment["labels"].as_array().into_iter().flatten() {
                let sha256 = label["sha256"].as_str().unwrap_or_default();
                ensure!(
                    delivery.files.iter().any(|file| file.sha256 == sha256),
                    "the label the carrier sold (sha256 {sha256}) is not attached to {}",
                    delivery.name
                );
            }
        }
        say("  the tracking number and the label are the ones in the carrier's ledger");
        Ok(deliveries)
    }

    /// The same hint ten more times. It may cause work, but no effect.
    fn repeat_webhook(&mut self, order: &shop::Order) -> Result<()> {
        let id: u64 = order.id.parse().context("Odoo's record ids are numbers")?;
        let body = json!({ "_model": "sale.order", "_id": id, "id": id, "_action": "Wharf(#1)" });
        step(&format!("the same webhook {COPIES} more times"), || {
            for _ in 0..COPIES {
                let path = self.site.hook_path();
                let (status, text) = Client::new(&self.site.url(), None).ask("POST", &path, Some(&body))?;
                ensure!(status == 202, "the webhook was answered {status}: {text}");
            }
            self.wait_idle()
        })
    }

    /// No job is ready or running.
    fn wait_idle(&mut self) -> Result<()> {
        let mut waiting = Waiting::for_("the queue");
        loop {
            self.host.check()?;
            let counts = self.api.json("GET", "/api/v1/jobs/counts", None)?;
            let open: u64 = ["ready", "running"].iter().filter_map(|state| counts[*state].as_u64()).sum();
            if open == 0 {
                return Ok(());
            }
            ensure!(waiting.elapsed() < PATIENCE, "the queue still has {open} jobs: {counts}");
            waiting.tick(&format!("{open} jobs"));
            run::pause()?;
        }
    }

    /// Rows of the carrier's ledger: the labels it sold for this order, and how many for others. A real Odoo may have
    /// had orders waiting, which the host serves too.
    fn bought(&self, flow: &Value) -> Result<(Vec<Value>, usize)> {
        let references = timeline::references(flow);
        let ledger = self.ledger.json("GET", "/__admin/effects", None)?;
        let rows = ledger.as_array().context("the ledger is no list")?;
        let labels = rows.iter().filter(|row| row["kind"] == "shipment").cloned();
        let ours = |row: &Value| row["reference"].as_str().is_some_and(|reference| references.contains(&reference));
        let (ours, others): (Vec<Value>, Vec<Value>) = labels.partition(ours);
        Ok((ours, others.len()))
    }

    fn count_labels(&self, flow: &Value) -> Result<()> {
        let (ours, others) = self.bought(flow)?;
        say("");
        if others > 0 {
            say(&format!("labels bought for other orders that waited in this Odoo: {others}"));
        }
        say(&format!("labels bought: {}", ours.len()));
        ensure!(ours.len() == 1, "the carrier sold {} labels for one order", ours.len());
        Ok(())
    }
}
