//! Binding what was accepted before, while what is asked for now waits for a person: the accepted version, and of it no
//! more than the configuration gives today. What an operator takes away is gone at once; what is new is not there.

use anyhow::{Context, Result, bail};
use serde_json::Value;
use wharf_domain::account::Tighter;
use wharf_domain::grant::OdooGiven;
use wharf_domain::ids::Digest;
use wharf_domain::manifest::Manifest;
use wharf_egress::Grant;
use wharf_sandbox::roles::Settings;
use wharf_sandbox::surface::Surface;

use super::Absent;
use crate::config::{Config, Connection, Tenant};

/// The grant of a connection under a surface that was accepted for it. `file` is what the accepted adapter file declares.
///
/// # Errors
/// When the configuration no longer has what the accepted version cannot do without, e.g. a secret's value, or sends the
/// connection elsewhere.
pub(crate) fn held(
    config: &Config,
    tenant: &Tenant,
    connection: &Connection,
    (surface, file, digest): (&Surface, &Manifest, Digest),
    absent: Absent,
) -> Result<(Grant, Settings)> {
    let accepted = &surface.manifest;
    let [endpoint] = accepted.endpoints.as_slice() else {
        bail!("the accepted grant of connection `{}` has no destination", connection.id);
    };
    // The secrets of the configuration are for the place it names today; they are not sent to another one.
    let here = match &connection.endpoint {
        Some(own) => own.trim_end_matches('/') == endpoint.origin,
        None => file.endpoints.contains(endpoint),
    };
    if !here || connection.environment != endpoint.environment {
        bail!(
            "`{}` ({:?}) was accepted for connection `{}`, and the configuration names another place",
            endpoint.origin,
            endpoint.environment,
            connection.id
        );
    }
    let mut cut = connection.clone();
    cut.endpoint = Some(endpoint.origin.clone());
    cut.allow_private_address &= surface.allow_private;
    cut.config.retain(|name, _| accepted.config.properties.contains_key(name));
    cut.secrets.retain(|name, _| accepted.secrets.contains_key(name));
    cut.folders.retain(|name, _| accepted.folders.iter().any(|folder| folder.name == *name));
    cut.limits.buckets.retain(|bucket| !accepted.limits.buckets.contains(bucket));
    if accepted.limits.tightened(&cut.limits).is_err() {
        // Written for the version that waits.
        cut.limits = Tighter::default();
    }
    cut.odoo = match &connection.odoo {
        Some(given) => odoo(given, surface, tenant)?,
        None => None,
    };
    super::connection(config, tenant, &cut, (accepted, Some(digest)), absent)
}

/// What is given today of what was accepted; nothing when no company is both.
fn odoo(given: &OdooGiven, surface: &Surface, tenant: &Tenant) -> Result<Option<OdooGiven>> {
    let own = tenant.odoo.as_ref().and_then(|odoo| odoo.company);
    let named = if given.companies.is_empty() { own.into_iter().collect() } else { given.companies.clone() };
    let companies: Vec<i64> = named.into_iter().filter(|company| surface.companies.contains(company)).collect();
    if companies.is_empty() {
        return Ok(None);
    }
    let mut cut = OdooGiven { companies, ..given.clone() };
    cut.writes_per_hour = cut.writes_per_hour.min(surface.writes_per_hour);
    let mut models = Vec::new();
    for mut model in given.models.clone() {
        let Some(known) = surface.manifest.odoo.iter().find(|request| request.model == model.model) else { continue };
        model.read.retain(|field| known.read.contains(field));
        model.write.retain(|field| known.write.contains(field));
        model.create &= known.create;
        model.domain = both(surface.narrowed.get(&model.model), model.domain.as_ref())?;
        models.push(model);
    }
    cut.models = models;
    Ok(Some(cut))
}

/// A domain only records fit that fit both: one list after the other.
fn both(accepted: Option<&String>, given: Option<&String>) -> Result<Option<String>> {
    let (Some(accepted), Some(given)) = (accepted, given) else {
        return Ok(accepted.or(given).cloned());
    };
    if accepted == given {
        return Ok(Some(given.clone()));
    }
    let read = |text: &String| -> Result<Vec<Value>> {
        serde_json::from_str(text).with_context(|| format!("the domain `{text}` is no list"))
    };
    let terms: Vec<Value> = read(accepted)?.into_iter().chain(read(given)?).collect();
    Ok(Some(serde_json::to_string(&terms)?))
}
