//! What tenants are connected to, for the flows.

use std::collections::BTreeMap;
use std::sync::Arc;

use anyhow::Result;
use wharf_domain::ids::{ConnectionId, TenantId};
use wharf_domain::port::carrier::Carrier;
use wharf_domain::port::erp::Erp;
use wharf_domain::port::records::Records;
use wharf_domain::secret::SecretAt;
use wharf_domain::time::Clock;
use wharf_egress::{Egress, Own, Vault};
use wharf_flows::order_release::Policy;
use wharf_flows::runner::Ports;
use wharf_odoo::{OdooErp, OdooRecords};
use wharf_sandbox::LocalServices;
use wharf_store::Db;

use super::{Connections, egress, odoo};
use crate::config::{Config, Tenant};

pub(crate) struct Wired {
    erps: BTreeMap<TenantId, Arc<dyn Erp>>,
    connections: Arc<Connections>,
    policies: BTreeMap<TenantId, Policy>,
}

impl Ports for Wired {
    fn erp(&self, tenant: &TenantId) -> Option<Arc<dyn Erp>> {
        self.erps.get(tenant).cloned()
    }
    fn carrier(&self, tenant: &TenantId, connection: &ConnectionId) -> Option<Arc<dyn Carrier>> {
        self.connections.carrier(tenant, connection)
    }
    fn order_release(&self, tenant: &TenantId) -> Option<Policy> {
        self.policies.get(tenant).cloned()
    }
}

impl Wired {
    /// Binds every connection. One that cannot be bound stops the start: a host that silently lacks a carrier would
    /// let orders wait for nothing.
    pub(crate) async fn new(config: &Arc<Config>, db: &Db, vault: Option<&Vault>, own: Own) -> Result<Self> {
        let egress = egress(config, Some(db.clone()), vault.cloned(), own)?;
        let clock: Arc<dyn Clock> = Arc::new(db.clone());
        let mut odoos: BTreeMap<TenantId, Arc<dyn Records>> = BTreeMap::new();
        for (tenant, settings) in config.tenants.iter().filter_map(|t| Some((t, t.odoo.as_ref()?))) {
            let settings = odoo(config, tenant, settings)?;
            let records = OdooRecords::new(egress.clone(), Arc::clone(&clock), &settings);
            odoos.insert(tenant.id.clone(), Arc::new(records));
        }
        let services = LocalServices::durable(egress.clone(), Arc::clone(&clock), db.clone()).with_odoos(odoos);
        let connections = Connections::new(Arc::clone(config), db.clone(), vault.cloned(), Arc::new(services)).await?;
        let mut wired = Self { erps: BTreeMap::new(), connections: Arc::new(connections), policies: BTreeMap::new() };
        for tenant in &config.tenants {
            if let Some(erp) = erp(config, tenant, &egress, (db, vault))? {
                wired.erps.insert(tenant.id.clone(), erp);
            }
            if let Some(policy) = &tenant.order_release {
                wired.policies.insert(tenant.id.clone(), policy.clone());
            }
            for at in match vault {
                Some(vault) => vault.missing(&tenant.id).await?,
                None => Vec::new(),
            } {
                tracing::warn!(tenant = %tenant.id, secret = %at, "secret `{at}` has no value; hand it in with `wharf secret set`");
            }
        }
        Ok(wired)
    }

    /// To be watched for what people decide about.
    pub(crate) fn connections(&self) -> Arc<Connections> {
        Arc::clone(&self.connections)
    }
}

/// The tenant's Odoo, when it has one.
fn erp(
    config: &Config,
    tenant: &Tenant,
    egress: &Egress,
    (db, vault): (&Db, Option<&Vault>),
) -> Result<Option<Arc<dyn Erp>>> {
    let Some(settings) = &tenant.odoo else { return Ok(None) };
    let settings = odoo(config, tenant, settings)?;
    if let Some(vault) = vault {
        let (slot, bound) = wharf_odoo::key_slot(&settings);
        let connection = ConnectionId::parse(wharf_odoo::CONNECTION)?;
        vault.wire(SecretAt { tenant: tenant.id.clone(), connection, slot }, &bound.slot, &bound.values);
    }
    Ok(Some(Arc::new(OdooErp::new(egress.clone(), Arc::new(db.clone()), &settings))))
}
