//! What a connection may do: what its adapter asks for, cut down to what the operator gives, and the interfaces its code
//! names. It is what a person accepts. The order is [`crate::diff::widening`]'s, and nothing else decides what is wider.
//!
//! It is stored as JSON with the record of the grant, so it holds no secret and no path of a machine: values of settings,
//! credentials and the places of folders are the operator's and may differ from host to host.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use wharf_domain::grant::Capabilities;
use wharf_domain::manifest::{Endpoint, Folder, Manifest, OdooRequest};
use wharf_egress::Grant;

use crate::install::Adapter;
use crate::roles::Settings;

/// What one connection may do with one version of its adapter.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Surface {
    /// The adapter's, cut down: one endpoint, the folders, models and fields that are granted, the limits in force. Without
    /// examples.
    pub manifest: Manifest,
    /// Versioned names, e.g. `wharf:http/outgoing@0.1.0`; of the code, not of the manifest.
    pub imports: Vec<String>,
    pub exports: Vec<String>,
    /// Private addresses may be dialled.
    pub allow_private: bool,
    /// Companies of Odoo; the first is where new records go.
    #[serde(default)]
    pub companies: Vec<i64>,
    /// Records of Odoo that may be created or changed in an hour.
    #[serde(default)]
    pub writes_per_hour: u32,
    /// By model, the operator's own domain beside the adapter's.
    #[serde(default)]
    pub narrowed: BTreeMap<String, String>,
}

impl Surface {
    /// What `grant` and `settings`, made from this adapter's manifest and a connection, come to.
    pub fn of(adapter: &Adapter, grant: &Grant, settings: &Settings) -> Self {
        Self::from_parts(&adapter.manifest, (&adapter.imports, &adapter.exports), grant, settings)
    }

    fn from_parts(asked: &Manifest, faces: (&[String], &[String]), grant: &Grant, settings: &Settings) -> Self {
        let Capabilities { odoo, folders } = settings.capabilities.as_ref();
        let limits = grant.terms.as_ref().map_or_else(|| asked.limits.clone(), |terms| terms.limits.clone());
        let origins = grant.origins.iter();
        let endpoint = |url: &String| Endpoint { environment: settings.environment, origin: url.clone() };
        let is_granted = |folder: &&Folder| folders.iter().any(|granted| granted.name == folder.name);
        Self {
            manifest: Manifest {
                endpoints: origins.clone().map(|origin| endpoint(&origin.url)).collect(),
                routes: grant.routes.clone(),
                limits,
                odoo: models(&asked.odoo, settings),
                folders: asked.folders.iter().filter(is_granted).cloned().collect(),
                examples: BTreeMap::new(),
                ..asked.clone()
            },
            imports: faces.0.to_vec(),
            exports: faces.1.to_vec(),
            allow_private: origins.clone().any(|origin| origin.allow_private),
            companies: if odoo.models.is_empty() { Vec::new() } else { odoo.companies.clone() },
            writes_per_hour: if odoo.models.is_empty() { 0 } else { odoo.writes_per_hour },
            narrowed: odoo.models.iter().filter_map(|m| Some((m.model.clone(), m.narrowed.clone()?))).collect(),
        }
    }
}

/// The models that are granted, as a request that asks for no more, in the order of their names.
fn models(asked: &[OdooRequest], settings: &Settings) -> Vec<OdooRequest> {
    let granted = &settings.capabilities.odoo.models;
    let mut models: Vec<OdooRequest> = granted
        .iter()
        .map(|grant| OdooRequest {
            model: grant.model.clone(),
            read: grant.read.iter().cloned().collect(),
            write: grant.write.iter().cloned().collect(),
            create: grant.create,
            domain: grant.domain.clone(),
            max_records: Some(grant.max_records),
            reason: asked.iter().find(|r| r.model == grant.model).map(|r| r.reason.clone()).unwrap_or_default(),
        })
        .collect();
    models.sort_by(|a, b| a.model.cmp(&b.model));
    models
}

#[cfg(test)]
mod tests;
