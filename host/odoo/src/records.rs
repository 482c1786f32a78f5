//! Records for adapters: the port of `wharf-domain` over one Odoo, every ask through the gate.
//!
//! Reads are searches, so that the domains of the grant hold for them too. Before a write the records it changes and
//! those it points at are looked up under the same restrictions; a record that changes company between the look and the
//! write is stopped by Odoo itself, whose context holds the granted companies only.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use serde_json::{Value, json};
use wharf_domain::ctx::CallCtx;
use wharf_domain::fault::{Blame, EffectCertainty, Fault, FaultKind};
use wharf_domain::grant::{OdooAccess, OdooGrant};
use wharf_domain::port::records::{Answer, Ask, Asker, Page, Records, Search, Used, WriteBudget};
use wharf_domain::time::{Clock, Timestamp};
use wharf_egress::Egress;

use crate::client::{Client, Operation};
use crate::fault::{for_adapter, unexpected};
use crate::gate::create::{self, Key};
use crate::gate::expr::{Whose, order};
use crate::gate::options::{Chosen, chosen};
use crate::gate::page::{self, Fields};
use crate::gate::schema::ATTRIBUTES;
use crate::gate::{self, Denial, Gate, Schema, values};
use crate::load::MODULE;
use crate::{OdooConfig, erp};

/// How long Odoo's fields are taken for known: a module may be installed meanwhile.
const SCHEMA_MS: i64 = 10 * 60_000;

/// One tenant's Odoo, for its adapters.
pub struct OdooRecords {
    egress: Egress,
    clock: Arc<dyn Clock>,
    config: OdooConfig,
    schema: Mutex<Option<(Timestamp, Arc<Schema>)>>,
}

impl OdooRecords {
    /// Sends nothing.
    pub fn new(egress: Egress, clock: Arc<dyn Clock>, config: &OdooConfig) -> Self {
        Self { egress, clock, config: config.clone(), schema: Mutex::default() }
    }

    /// The fields of every granted model; one the bot user may not see has none.
    async fn schema(&self, calls: &mut Operation<'_>, access: &OdooAccess) -> Result<Arc<Schema>, Fault> {
        let now = self.clock.now();
        let known = self.schema.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let (since, mut schema) = match known {
            Some((since, schema)) if (0..SCHEMA_MS).contains(&now.since(since)) => (since, schema),
            _ => (now, Arc::default()),
        };
        let missing: Vec<&str> = access.models.iter().map(|m| m.model.as_str()).filter(|m| !schema.knows(m)).collect();
        if missing.is_empty() {
            return Ok(schema);
        }
        let more = Arc::make_mut(&mut schema);
        let context = json!({"allowed_company_ids": access.companies});
        for model in missing {
            let ask = json!({"attributes": ATTRIBUTES, "context": context});
            match calls.call(model, "fields_get", ask).await {
                Ok(answer) => more.add(model, &answer),
                Err(fault) if ["odoo.access-error", "odoo.no-such-model"].contains(&fault.code.as_str()) => {
                    more.add(model, &Value::Null);
                }
                Err(fault) => return Err(fault),
            }
        }
        *self.schema.lock().unwrap_or_else(PoisonError::into_inner) = Some((since, Arc::clone(&schema)));
        Ok(schema)
    }
}

#[async_trait]
impl Records for OdooRecords {
    async fn ask(
        &self,
        ctx: &CallCtx,
        asker: &Asker,
        used: &mut Used,
        budget: &dyn WriteBudget,
        ask: Ask,
    ) -> Result<Answer, Fault> {
        let client = Client::adapter(self.egress.clone(), &self.config, asker);
        let mut calls = client.resumed(ctx, used);
        let model = model(&ask).to_owned();
        let answer = Box::pin(self.answer(&Caller { ctx, asker, budget }, &mut calls, used, ask)).await;
        calls.settle(used);
        answer.map_err(|fault| for_adapter(fault, &model))
    }
}

impl OdooRecords {
    async fn answer(
        &self,
        caller: &Caller<'_>,
        calls: &mut Operation<'_>,
        used: &mut Used,
        ask: Ask,
    ) -> Result<Answer, Fault> {
        let access = caller.asker.access.as_ref();
        gate::check(access)
            .map_err(|err| Fault::new(FaultKind::Forbidden, "odoo.bad-grant", err.to_string(), Blame::Operator))?;
        let unread = Schema::default();
        // What is not granted is denied before Odoo hears of it.
        Gate { access, schema: &unread, companies: &access.companies }.model(model(&ask))?;
        let chosen = chosen(access, options(&ask))?;
        let schema = self.schema(calls, access).await?;
        let gate = Gate { access, schema: &schema, companies: &chosen.companies };
        let mut desk = Desk { caller, gate, chosen: &chosen, calls, used };
        match ask {
            Ask::SearchRead(search) => desk.search(&search).await.map(Answer::Page),
            Ask::Read { model, ids, fields, .. } => desk.read(&model, &ids, &fields).await.map(Answer::Page),
            Ask::Write { model, ids, values, .. } => desk.write(&model, &ids, &values).await.map(|()| Answer::Written),
            Ask::Create { model, key, values, .. } => {
                let chosen = chosen.clone().one_company();
                let gate = Gate { companies: &chosen.companies, ..gate };
                let mut desk = Desk { caller, gate, chosen: &chosen, calls: desk.calls, used: desk.used };
                desk.create(&model, &key, &values).await.map(Answer::Created)
            }
        }
    }
}

fn model(ask: &Ask) -> &str {
    match ask {
        Ask::SearchRead(Search { model, .. })
        | Ask::Read { model, .. }
        | Ask::Create { model, .. }
        | Ask::Write { model, .. } => model,
    }
}

fn options(ask: &Ask) -> &Vec<(String, String)> {
    match ask {
        Ask::SearchRead(Search { options, .. })
        | Ask::Read { options, .. }
        | Ask::Create { options, .. }
        | Ask::Write { options, .. } => options,
    }
}

/// Who asks, in what call, and what pays for its writes.
struct Caller<'a> {
    ctx: &'a CallCtx,
    asker: &'a Asker,
    budget: &'a dyn WriteBudget,
}

/// One ask that passed the door.
struct Desk<'a, 'c> {
    caller: &'a Caller<'a>,
    gate: Gate<'a>,
    chosen: &'a Chosen,
    calls: &'a mut Operation<'c>,
    used: &'a mut Used,
}

impl Desk<'_, '_> {
    async fn search(&mut self, search: &Search) -> Result<Page, Fault> {
        let grant = self.gate.model(&search.model)?;
        let fields = Fields::of(&self.gate, grant, &search.fields)?;
        let domain = self.gate.scoped(grant, &search.domain, Whose::Visible)?;
        let order = order(&self.gate, grant, &search.order)?;
        let most = page::most(grant, self.used, search.limit)?;
        let offset = page::offset(search.offset)?;
        let ask = json!({"domain": domain, "fields": fields.names(), "order": order, "offset": offset,
            "limit": most + 1, "context": self.chosen.context()});
        self.page(grant, &fields, ask, most).await
    }

    async fn read(&mut self, model: &str, ids: &[i64], fields: &[String]) -> Result<Page, Fault> {
        let grant = self.gate.model(model)?;
        let ids = values::ids(ids)?;
        let fields = Fields::of(&self.gate, grant, fields)?;
        let most = page::most(grant, self.used, u32::try_from(ids.len()).unwrap_or(u32::MAX))?;
        let ask = json!({"domain": self.gate.among(grant, &ids, Whose::Visible)?, "fields": fields.names(),
            "order": "id asc", "limit": most + 1, "context": self.chosen.context()});
        self.page(grant, &fields, ask, most).await
    }

    async fn page(&mut self, grant: &OdooGrant, fields: &Fields<'_>, ask: Value, most: u32) -> Result<Page, Fault> {
        let what = format!("{}.search_read", grant.model);
        let answer = self.calls.call(&grant.model, "search_read", ask).await.map_err(too_large)?;
        let Value::Array(rows) = answer else { return Err(unexpected(&what, "it is not a list")) };
        let given = u32::try_from(rows.len()).unwrap_or(u32::MAX).min(most);
        let page = fields.page(rows, most).map_err(|why| unexpected(&what, why))?;
        page::count(grant, self.used, given, page.records.len())?;
        Ok(page)
    }

    async fn write(&mut self, model: &str, ids: &[i64], values: &str) -> Result<(), Fault> {
        let grant = self.gate.model(model)?;
        let ids = values::ids(ids)?;
        let (row, needs) = values::parse(&self.gate, grant, values)?;
        let mut own = needs.own;
        own.entry(grant.model.clone()).or_default().extend(&ids);
        self.there(&own, Whose::Own).await?;
        self.there(&needs.seen, Whose::Visible).await?;
        let records = u32::try_from(ids.len()).unwrap_or(u32::MAX).saturating_add(needs.changed);
        self.spend(grant, records).await?;
        let ask = json!({"ids": ids, "vals": values::to_json(&row), "context": self.chosen.context()});
        self.calls.call(&grant.model, "write", ask).await.map(drop)
    }

    async fn create(&mut self, model: &str, key: &str, values: &str) -> Result<i64, Fault> {
        let grant = self.gate.model(model)?;
        if !grant.create {
            return Err(Denial::Create { model: grant.model.clone() }.into());
        }
        let (tenant, connection) = (&self.caller.ctx.tenant, &self.caller.asker.connection);
        let name = format!("{MODULE}.{}", Key { tenant, connection, model, key }.name()?);
        let (mut row, needs) = values::parse(&self.gate, grant, values)?;
        values::seat(&self.gate, grant, &mut row)?;
        let (columns, data) = create::table(&name, &row)?;
        // Fails here, before anything is made, for a model whose records belong to no company.
        self.gate.among(grant, &[], Whose::Own)?;
        self.there(&needs.own, Whose::Own).await?;
        self.there(&needs.seen, Whose::Visible).await?;
        self.spend(grant, needs.changed.saturating_add(1)).await?;
        let arguments = create::arguments(&columns, &data, self.chosen.context());
        let id = erp::create_once(self.calls, &grant.model, arguments).await?;
        let made = BTreeMap::from([(grant.model.clone(), BTreeSet::from([id]))]);
        // Odoo's defaults may have put it elsewhere, or somebody has moved it since.
        self.there(&made, Whose::Own).await.map_err(|fault| fault.with_effect(EffectCertainty::Done))?;
        Ok(id)
    }

    /// Are all of these the connection's?
    async fn there(&mut self, wanted: &BTreeMap<String, BTreeSet<i64>>, whose: Whose) -> Result<(), Fault> {
        for (model, ids) in wanted.iter().filter(|(_, ids)| !ids.is_empty()) {
            let grant = self.gate.model(model)?;
            let list: Vec<i64> = ids.iter().copied().collect();
            let ask = json!({"domain": self.gate.among(grant, &list, whose)?, "fields": ["id"], "order": "id asc",
                "limit": list.len(), "context": self.chosen.context()});
            let found = self.calls.call(model, "search_read", ask).await?;
            let found: BTreeSet<i64> =
                found.as_array().into_iter().flatten().filter_map(|row| row["id"].as_i64()).collect();
            let missing: Vec<String> = ids.difference(&found).take(10).map(i64::to_string).collect();
            if !missing.is_empty() {
                return Err(Denial::Record { model: model.clone(), ids: missing.join(", ") }.into());
            }
        }
        Ok(())
    }

    /// Takes what a write costs out of the call's records and the connection's hour.
    async fn spend(&mut self, grant: &OdooGrant, records: u32) -> Result<(), Fault> {
        let used = self.used.records.get(&grant.model).copied().unwrap_or(0);
        if used.saturating_add(records) > grant.max_records {
            return Err(Denial::Records { model: grant.model.clone(), most: grant.max_records }.into());
        }
        self.caller.budget.take(self.caller.asker, records).await?;
        page::count(grant, self.used, records, 0)?;
        Ok(())
    }
}

fn too_large(fault: Fault) -> Fault {
    if fault.code == "egress.response-too-large" { Denial::Bytes { most: page::MAX_BYTES }.into() } else { fault }
}
