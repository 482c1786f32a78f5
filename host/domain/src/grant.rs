//! What a connection was granted beside its routes and secrets. The manifest asks, the operator gives, and an adapter may
//! do what both say: a thing that only one of them names is denied.

use std::collections::BTreeSet;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::manifest::OdooRequest;

/// Everything of it. The default grants nothing.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Capabilities {
    pub odoo: OdooAccess,
    pub folders: Vec<FolderGrant>,
}

/// One drop folder: what the manifest asks for, at the place the operator gave it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FolderGrant {
    /// What the adapter calls it.
    pub name: String,
    /// Absolute. Never told to the adapter.
    pub path: PathBuf,
    /// May list, claim and read what is left there, and finish or reject it.
    pub read: bool,
    /// May leave files there.
    pub create: bool,
    /// What is finished is kept in the archive; else it is deleted.
    pub archive: bool,
    /// Of one file.
    pub max_file_bytes: u64,
    /// Of all files left there that nobody has taken away yet.
    pub max_bytes: u64,
    pub max_files: u32,
}

/// What the operator gives of the tenant's Odoo: `[tenant.connection.odoo]`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OdooGiven {
    /// Record ids of the companies whose records are meant. Absent: the company of `[tenant.odoo]`.
    #[serde(default)]
    pub companies: Vec<i64>,
    /// Records that may be created or changed in an hour, over all hosts; 0 to 1,000,000.
    #[serde(default = "default_writes")]
    pub writes_per_hour: u32,
    #[serde(default, rename = "model")]
    pub models: Vec<OdooGivenModel>,
}

fn default_writes() -> u32 {
    200
}

/// One model of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OdooGivenModel {
    pub model: String,
    #[serde(default)]
    pub read: Vec<String>,
    #[serde(default)]
    pub write: Vec<String>,
    #[serde(default)]
    pub create: bool,
    /// An Odoo domain as JSON text, over any field: it narrows what the adapter's own domain leaves.
    #[serde(default)]
    pub domain: Option<String>,
    /// Absent: as the adapter asks.
    #[serde(default)]
    pub max_records: Option<u32>,
}

/// What an adapter may do with one tenant's Odoo. Without companies or models: nothing.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct OdooAccess {
    /// Not empty, and the first is where new records go, unless the adapter names another.
    pub companies: Vec<i64>,
    pub writes_per_hour: u32,
    pub models: Vec<OdooGrant>,
}

/// One model, request and grant met.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OdooGrant {
    pub model: String,
    pub read: BTreeSet<String>,
    pub write: BTreeSet<String>,
    pub create: bool,
    /// The adapter's own domain, JSON text.
    pub domain: Option<String>,
    /// The operator's.
    pub narrowed: Option<String>,
    pub max_records: u32,
}

/// Why an operator's grant cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum GrantError {
    #[error("`odoo.model` grants `{model}`, which the adapter does not ask for; take it out")]
    NotAsked { model: String },
    #[error("`odoo.model` grants `{model}` twice; make one of both")]
    Twice { model: String },
    #[error("`{list}` of `odoo.model` `{model}` grants `{field}`, which the adapter does not ask for; take it out")]
    FieldNotAsked { model: String, list: &'static str, field: String },
    #[error("`create` of `odoo.model` `{model}` is granted, which the adapter does not ask for; take it out")]
    CreateNotAsked { model: String },
    #[error("`{name}` is {given}; use {rule}")]
    Number { name: &'static str, given: i64, rule: &'static str },
    #[error(
        "`odoo.companies` is missing; name the companies whose records the adapter may see, or set `company` under [tenant.odoo]"
    )]
    NoCompany,
    #[error("`odoo.companies` names {company}, but the tenant is company {tenant}; take it out")]
    ForeignCompany { company: i64, tenant: i64 },
}

/// Records of a model one call may be given or change, when nobody says less.
pub const MAX_RECORDS: u32 = 500;

impl OdooAccess {
    /// What both sides say. `tenant_company` is the company of `[tenant.odoo]`; where there is one, no other can be
    /// granted.
    ///
    /// # Errors
    /// A grant of something that was not asked for, and numbers out of their range.
    pub fn meet(asked: &[OdooRequest], given: &OdooGiven, tenant_company: Option<i64>) -> Result<Self, GrantError> {
        let companies = companies(given, tenant_company)?;
        if given.writes_per_hour > 1_000_000 {
            let given = i64::from(given.writes_per_hour);
            return Err(GrantError::Number { name: "odoo.writes_per_hour", given, rule: "at most 1000000" });
        }
        let mut models: Vec<OdooGrant> = Vec::with_capacity(given.models.len());
        for model in &given.models {
            if models.iter().any(|known| known.model == model.model) {
                return Err(GrantError::Twice { model: model.model.clone() });
            }
            let request = asked.iter().find(|request| request.model == model.model);
            models.push(both(request, model)?);
        }
        Ok(Self { companies, writes_per_hour: given.writes_per_hour, models })
    }

    pub fn model(&self, name: &str) -> Option<&OdooGrant> {
        self.models.iter().find(|grant| grant.model == name)
    }
}

fn companies(given: &OdooGiven, tenant_company: Option<i64>) -> Result<Vec<i64>, GrantError> {
    if let Some(&wrong) = given.companies.iter().find(|id| **id < 1) {
        return Err(GrantError::Number { name: "odoo.companies", given: wrong, rule: "record ids, which start at 1" });
    }
    match (tenant_company, given.companies.as_slice()) {
        (None, []) => Err(GrantError::NoCompany),
        (Some(own), []) => Ok(vec![own]),
        (Some(own), named) => match named.iter().find(|id| **id != own) {
            Some(&company) => Err(GrantError::ForeignCompany { company, tenant: own }),
            None => Ok(vec![own]),
        },
        (None, named) => Ok(named.to_vec()),
    }
}

fn both(asked: Option<&OdooRequest>, given: &OdooGivenModel) -> Result<OdooGrant, GrantError> {
    let model = given.model.clone();
    let Some(asked) = asked else {
        return Err(GrantError::NotAsked { model });
    };
    let fields = |list, given: &[String], asked: &[String]| match given.iter().find(|field| !asked.contains(field)) {
        Some(field) => Err(GrantError::FieldNotAsked { model: model.clone(), list, field: field.clone() }),
        None => Ok(given.iter().cloned().collect::<BTreeSet<_>>()),
    };
    if given.create && !asked.create {
        return Err(GrantError::CreateNotAsked { model });
    }
    let (read, write) = (fields("read", &given.read, &asked.read)?, fields("write", &given.write, &asked.write)?);
    let wanted = asked.max_records.unwrap_or(MAX_RECORDS);
    if given.max_records == Some(0) {
        return Err(GrantError::Number { name: "odoo.model.max_records", given: 0, rule: "at least 1" });
    }
    Ok(OdooGrant {
        read,
        write,
        create: given.create,
        domain: asked.domain.clone(),
        narrowed: given.domain.clone(),
        max_records: given.max_records.map_or(wanted, |most| most.min(wanted)),
        model,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked() -> OdooRequest {
        OdooRequest {
            model: "m".to_owned(),
            read: vec!["a".to_owned(), "b".to_owned()],
            write: vec!["b".to_owned()],
            create: false,
            domain: Some("[]".to_owned()),
            max_records: None,
            reason: "test".to_owned(),
        }
    }

    fn given() -> OdooGiven {
        let model = OdooGivenModel {
            model: "m".to_owned(),
            read: vec!["a".to_owned()],
            write: vec![],
            create: false,
            domain: None,
            max_records: Some(900),
        };
        OdooGiven { companies: vec![3], writes_per_hour: 5, models: vec![model] }
    }

    #[test]
    fn what_only_one_side_says_is_not_there() {
        let access = OdooAccess::meet(&[asked()], &given(), None).expect("access");
        let grant = access.model("m").expect("model");
        assert_eq!(grant.read, BTreeSet::from(["a".to_owned()]));
        assert!(grant.write.is_empty() && !grant.create);
        assert_eq!(grant.max_records, MAX_RECORDS, "an operator only tightens");
        assert_eq!(access.companies, [3]);
        assert_eq!(access.model("n"), None);
        assert_eq!(Capabilities::default().odoo.models, [], "nothing is granted by default");
    }

    #[test]
    fn a_grant_of_what_nobody_asked_for_is_an_error_that_names_it() {
        let wrong = |change: fn(&mut OdooGiven)| {
            let mut given = given();
            change(&mut given);
            OdooAccess::meet(&[asked()], &given, None).expect_err("refused").to_string()
        };
        assert!(wrong(|g| g.models[0].model = "n".to_owned()).contains("`n`"));
        assert!(wrong(|g| g.models[0].read.push("c".to_owned())).contains("`read` of `odoo.model` `m` grants `c`"));
        assert!(wrong(|g| g.models[0].write.push("a".to_owned())).contains("`write`"));
        assert!(wrong(|g| g.models[0].create = true).contains("`create`"));
        assert!(wrong(|g| g.models.push(g.models[0].clone())).contains("twice"));
        assert!(wrong(|g| g.models[0].max_records = Some(0)).contains("max_records"));
        assert!(wrong(|g| g.writes_per_hour = 1_000_001).contains("writes_per_hour"));
        assert!(wrong(|g| g.companies = vec![]).contains("[tenant.odoo]"));
        assert!(wrong(|g| g.companies = vec![-1]).contains("odoo.companies"));
    }

    #[test]
    fn a_tenant_that_is_one_company_grants_no_other() {
        let mut given = given();
        let foreign = OdooAccess::meet(&[asked()], &given, Some(7)).expect_err("another company");
        assert_eq!(foreign, GrantError::ForeignCompany { company: 3, tenant: 7 });
        given.companies = vec![];
        assert_eq!(OdooAccess::meet(&[asked()], &given, Some(7)).expect("access").companies, [7]);
    }
}
