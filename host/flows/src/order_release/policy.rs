//! How one tenant wants orders released: `[tenant.order_release]` of the configuration file. Unknown keys are errors.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use thiserror::Error;
use wharf_domain::ids::ConnectionId;
use wharf_domain::shipment::LabelSpec;

/// A tenant's rules for order release.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Policy {
    /// Connections that may carry, the preferred one first.
    pub carriers: Vec<ConnectionId>,
    /// How the service is chosen. Default: the cheapest of all carriers.
    #[serde(default)]
    pub service: ServiceRule,
    /// Business days; services that are slower, or do not say how fast they are, are not chosen. Absent: no limit.
    #[serde(default)]
    pub max_transit_days: Option<u32>,
    /// Default: ZPL, 102 x 152 mm.
    #[serde(default)]
    pub label: LabelSpec,
    /// What is assumed about parcels nobody packed in the ERP.
    #[serde(default)]
    pub parcel: DefaultParcel,
    /// The name of each connection's carrier in the ERP. Default: the connection's id.
    #[serde(default)]
    pub erp_carriers: BTreeMap<ConnectionId, String>,
    /// Buy labels only when somebody packed parcels in the ERP. Default: one parcel per delivery is assumed.
    #[serde(default)]
    pub wait_for_packing: bool,
    /// How often a waiting order is looked at again when nothing tells of a change. 1 to 86400; default 300.
    #[serde(default = "default_recheck_seconds")]
    pub recheck_seconds: u32,
    /// After this long without allocation the exception becomes a warning. Default 14400: four hours.
    #[serde(default = "default_allocation_warning_seconds")]
    pub allocation_warning_seconds: u32,
}

/// How carrier and service are chosen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "rule", rename_all = "kebab-case", deny_unknown_fields)]
pub enum ServiceRule {
    /// The lowest price over all carriers; the order of `carriers` decides between equal ones.
    Cheapest {},
    /// The first of the list that a carrier offers.
    Preferred { services: Vec<ServiceRef> },
    /// Always this one, without asking for prices.
    Fixed { carrier: ConnectionId, service: String },
}

impl Default for ServiceRule {
    fn default() -> Self {
        Self::Cheapest {}
    }
}

/// One service of one connection.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ServiceRef {
    pub carrier: ConnectionId,
    /// The carrier's own service code.
    pub service: String,
}

/// The parcel that is assumed when nobody packed. Lengths in millimetres, weight in grams.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DefaultParcel {
    #[serde(default)]
    pub length_mm: Option<u32>,
    #[serde(default)]
    pub width_mm: Option<u32>,
    #[serde(default)]
    pub height_mm: Option<u32>,
    /// The weight of a parcel whose goods have none in the ERP. Absent: such an order is an exception.
    #[serde(default)]
    pub weight_g: Option<u64>,
    /// The carrier's packaging code. Absent: the sender's own box.
    #[serde(default)]
    pub packaging: Option<String>,
}

fn default_recheck_seconds() -> u32 {
    300
}

fn default_allocation_warning_seconds() -> u32 {
    4 * 3600
}

/// Why a policy makes no sense.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum PolicyError {
    #[error("`carriers` is empty; name at least one connection")]
    NoCarriers,
    #[error("`{0}` is used in `service` but not listed in `carriers`")]
    UnknownCarrier(ConnectionId),
    #[error("`service.services` is empty; name at least one service")]
    NoServices,
    #[error("`max_transit_days` needs prices, but `service` is fixed; remove one of them")]
    FixedWithLimit,
    #[error("`recheck_seconds` is {0}; use 1 to 86400")]
    Recheck(u32),
    #[error("`parcel.weight_g` is 0; leave it out or give a weight")]
    NoWeight,
}

impl Policy {
    /// The defaults for these connections.
    pub fn of(carriers: Vec<ConnectionId>) -> Self {
        Self {
            carriers,
            service: ServiceRule::default(),
            max_transit_days: None,
            label: LabelSpec::default(),
            parcel: DefaultParcel::default(),
            erp_carriers: BTreeMap::new(),
            wait_for_packing: false,
            recheck_seconds: default_recheck_seconds(),
            allocation_warning_seconds: default_allocation_warning_seconds(),
        }
    }

    /// What types alone cannot say.
    pub fn check(&self) -> Result<(), PolicyError> {
        if self.carriers.is_empty() {
            return Err(PolicyError::NoCarriers);
        }
        if !(1..=86_400).contains(&self.recheck_seconds) {
            return Err(PolicyError::Recheck(self.recheck_seconds));
        }
        if self.parcel.weight_g == Some(0) {
            return Err(PolicyError::NoWeight);
        }
        match &self.service {
            ServiceRule::Cheapest {} => Ok(()),
            ServiceRule::Preferred { services } if services.is_empty() => Err(PolicyError::NoServices),
            ServiceRule::Preferred { services } => services.iter().try_for_each(|s| self.listed(&s.carrier)),
            ServiceRule::Fixed { .. } if self.max_transit_days.is_some() => Err(PolicyError::FixedWithLimit),
            ServiceRule::Fixed { carrier, .. } => self.listed(carrier),
        }
    }

    fn listed(&self, carrier: &ConnectionId) -> Result<(), PolicyError> {
        if self.carriers.contains(carrier) { Ok(()) } else { Err(PolicyError::UnknownCarrier(carrier.clone())) }
    }

    /// The connection's carrier by its name in the ERP.
    pub fn erp_carrier(&self, connection: &ConnectionId) -> String {
        self.erp_carriers.get(connection).cloned().unwrap_or_else(|| connection.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(text: &str) -> ConnectionId {
        ConnectionId::parse(text).expect("connection")
    }

    #[test]
    fn an_unknown_key_is_an_error_at_every_depth() {
        let read = |text: &str| serde_json::from_str::<Policy>(text).map_err(|e| e.to_string());
        assert_eq!(read(r#"{"carriers":["acme"]}"#), Ok(Policy::of(vec![id("acme")])));
        for (text, key) in [
            (r#"{"carriers":["acme"],"carrier":1}"#, "`carrier`"),
            (r#"{"carriers":["acme"],"service":{"rule":"cheapest","limit":1}}"#, "`limit`"),
            (r#"{"carriers":["acme"],"parcel":{"weight":1}}"#, "`weight`"),
        ] {
            assert!(read(text).expect_err(text).contains(key), "{text}");
        }
    }

    #[test]
    fn a_policy_that_cannot_choose_is_refused() {
        let good = Policy::of(vec![id("acme")]);
        assert_eq!(good.check(), Ok(()));
        assert_eq!(Policy::of(vec![]).check(), Err(PolicyError::NoCarriers));
        let fixed = ServiceRule::Fixed { carrier: id("other"), service: "03".to_owned() };
        let bad = Policy { service: fixed, ..good.clone() };
        assert_eq!(bad.check(), Err(PolicyError::UnknownCarrier(id("other"))));
        let fixed = ServiceRule::Fixed { carrier: id("acme"), service: "03".to_owned() };
        let bad = Policy { service: fixed, max_transit_days: Some(2), ..good.clone() };
        assert_eq!(bad.check(), Err(PolicyError::FixedWithLimit));
        let bad = Policy { service: ServiceRule::Preferred { services: vec![] }, ..good.clone() };
        assert_eq!(bad.check(), Err(PolicyError::NoServices));
        let bad = Policy { recheck_seconds: 0, ..good };
        assert_eq!(bad.check(), Err(PolicyError::Recheck(0)));
    }
}
