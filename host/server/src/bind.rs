//! Binding: an adapter's manifest and an operator's connection become a grant. What the manifest does not ask for and
//! what the operator did not give are both errors that name the line to add.

use std::collections::BTreeMap;
use std::sync::Arc;

use anyhow::{Context, Result, anyhow, bail};
use wharf_domain::grant::{Capabilities, FolderGrant, OdooAccess};
use wharf_domain::ids::Digest;
use wharf_domain::manifest::{Manifest, SecretSlot};
use wharf_egress::{Authority, BoundSecret, Grant, Limits, Origin, Terms};
use wharf_sandbox::roles::Settings;

use crate::config::{Config, Connection, Tenant};

mod held;

pub(crate) use held::held;

/// What to do about a secret the configuration does not have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Absent {
    /// It must be there.
    Refuse,
    /// The vault may have it.
    AskVault,
}

impl Absent {
    pub(crate) fn of(config: &Config) -> Self {
        if config.vault.is_some() { Self::AskVault } else { Self::Refuse }
    }
}

/// The grant of one connection, and what its guest is told.
pub(crate) fn connection(
    config: &Config,
    tenant: &Tenant,
    connection: &Connection,
    (manifest, digest): (&Manifest, Option<Digest>),
    absent: Absent,
) -> Result<(Grant, Settings)> {
    let name = format!("connection `{}` of tenant `{}`", connection.id, tenant.id);
    let endpoint = endpoint(connection, manifest).with_context(|| name.clone())?;
    apart_from_odoo(config, &endpoint).with_context(|| name.clone())?;
    let authority = authority(config, connection, &endpoint).with_context(|| name.clone())?;
    let odoo = odoo(tenant, connection, manifest).with_context(|| name.clone())?;
    let settings =
        manifest.config.settle(&connection.config).map_err(|rule| anyhow!("{rule}")).with_context(|| name.clone())?;
    let secrets = secrets(config, connection, manifest, absent).with_context(|| name.clone())?;
    let limits = manifest.limits.tightened(&connection.limits).with_context(|| format!("`limits` of {name}"))?;
    let terms = Terms { account: endpoint.clone(), limits, healthy: Vec::new() };
    let grant = Grant {
        tenant: tenant.id.clone(),
        connection: connection.id.to_string(),
        adapter_digest: digest,
        origins: vec![Origin { url: endpoint.clone(), allow_private: connection.allow_private_address, authority }],
        routes: manifest.routes.clone(),
        secrets,
        config: settings.clone(),
        limits: Limits::default(),
        terms: Some(terms),
    };
    let folders = folders(config, connection, manifest).with_context(|| name.clone())?;
    let told = Settings {
        environment: connection.environment,
        endpoint,
        config: settings.into_iter().collect(),
        capabilities: Arc::new(Capabilities { odoo, folders }),
    };
    Ok((grant, told))
}

fn endpoint(connection: &Connection, manifest: &Manifest) -> Result<String> {
    let declared = manifest.endpoints.iter().find(|e| e.environment == connection.environment);
    let url = match (&connection.endpoint, declared) {
        (Some(own), _) => own.clone(),
        (None, Some(declared)) => declared.origin.clone(),
        (None, None) => bail!("adapter `{}` has no endpoint for {:?}", manifest.name, connection.environment),
    };
    Ok(url.trim_end_matches('/').to_owned())
}

/// Who vouches for the partner when the operator has a word in it.
fn authority(config: &Config, connection: &Connection, endpoint: &str) -> Result<Option<Authority>> {
    let Some(file) = &connection.ca_file else { return Ok(None) };
    if !endpoint.starts_with("https://") {
        bail!("`ca_file` vouches for nobody at `{endpoint}`: it is not reached over TLS; take it out");
    }
    let path = config.path(file);
    let pem = std::fs::read_to_string(&path).with_context(|| format!("cannot read `ca_file`, `{}`", path.display()))?;
    Authority::parse(&pem).map(Some).map_err(|rule| anyhow!("`ca_file`, `{}`, {rule}", path.display()))
}

/// An adapter reaches Odoo through the gate or not at all: no tenant's Odoo is a partner.
fn apart_from_odoo(config: &Config, endpoint: &str) -> Result<()> {
    let place = |text: &str| {
        let url = url::Url::parse(text).ok()?;
        Some((url.host_str()?.trim_end_matches('.').to_owned(), url.port_or_known_default()))
    };
    let odoos = config.tenants.iter().filter_map(|tenant| tenant.odoo.as_ref());
    if odoos.filter_map(|odoo| place(&odoo.url)).any(|odoo| Some(odoo) == place(endpoint)) {
        bail!("`{endpoint}` is an Odoo of this host; an adapter asks it through `[[odoo]]` of its manifest only");
    }
    Ok(())
}

/// What both the manifest and the connection say about the tenant's Odoo.
fn odoo(tenant: &Tenant, connection: &Connection, manifest: &Manifest) -> Result<OdooAccess> {
    let Some(given) = &connection.odoo else {
        return Ok(OdooAccess::default());
    };
    let Some(odoo) = &tenant.odoo else {
        bail!("`odoo` is granted, but the tenant has no `[tenant.odoo]`");
    };
    let access = OdooAccess::meet(&manifest.odoo, given, odoo.company)?;
    wharf_odoo::gate::check(&access)?;
    Ok(access)
}

/// The folders the manifest asks for, at the operator's places: one that is asked for and not given is not granted.
fn folders(config: &Config, connection: &Connection, manifest: &Manifest) -> Result<Vec<FolderGrant>> {
    if let Some(unknown) = connection.folders.keys().find(|k| !manifest.folders.iter().any(|f| f.name == **k)) {
        bail!("`folders.{unknown}` is no folder of adapter `{}`", manifest.name);
    }
    let mut out = Vec::new();
    for (folder, path) in manifest.folders.iter().filter_map(|f| Some((f, connection.folders.get(&f.name)?))) {
        let (name, path) = (&folder.name, config.path(path));
        let found = std::fs::canonicalize(&path).ok().filter(|found| found.is_dir());
        let path = found.with_context(|| format!("`folders.{name}` is no directory: `{}`", path.display()))?;
        out.push(FolderGrant {
            name: name.clone(),
            path,
            read: folder.read,
            create: folder.create,
            archive: folder.archive,
            max_file_bytes: folder.max_file_bytes,
            max_bytes: folder.max_bytes,
            max_files: folder.max_files,
        });
    }
    Ok(out)
}

fn secrets(
    config: &Config,
    connection: &Connection,
    manifest: &Manifest,
    absent: Absent,
) -> Result<BTreeMap<String, BoundSecret>> {
    if let Some(unknown) = connection.secrets.keys().find(|k| !manifest.secrets.contains_key(*k)) {
        bail!("`secrets.{unknown}` is no slot of adapter `{}`", manifest.name);
    }
    let mut out = BTreeMap::new();
    for (name, slot) in &manifest.secrets {
        let Some(given) = connection.secrets.get(name) else {
            if absent == Absent::AskVault {
                out.insert(name.clone(), BoundSecret { slot: slot.clone(), values: BTreeMap::new() });
                continue;
            }
            let wanted =
                slot.fields().iter().map(|f| format!("{f} = {{ file = \"…\" }}")).collect::<Vec<_>>().join(", ");
            bail!("`secrets.{name}` is missing; add `secrets.{name} = {{ {wanted} }}`");
        };
        if let Some(unknown) = given.keys().find(|k| !slot.fields().contains(&k.as_str())) {
            bail!("`secrets.{name}.{unknown}` is unknown; the slot has {}", slot.fields().join(" and "));
        }
        let mut values = BTreeMap::new();
        for field in slot.fields() {
            let reference = given.get(*field).with_context(|| format!("`secrets.{name}.{field}` is missing"))?;
            let value = config.secret(reference).with_context(|| format!("`secrets.{name}.{field}`"))?;
            values.insert((*field).to_owned(), value);
        }
        out.insert(name.clone(), BoundSecret { slot: slot.clone(), values });
    }
    Ok(out)
}

/// The manifest's slots without values: offline, names stand where values would be.
pub(crate) fn unbound_secrets(manifest: &Manifest) -> BTreeMap<String, BoundSecret> {
    let unbound = |slot: &SecretSlot| BoundSecret { slot: slot.clone(), values: BTreeMap::new() };
    manifest.secrets.iter().map(|(name, slot)| (name.clone(), unbound(slot))).collect()
}

#[cfg(test)]
mod tests;
