//! What a carrier would charge.

use serde::{Deserialize, Serialize};

use crate::address::Address;
use crate::money::Money;
use crate::shipment::Parcel;
use crate::time::DateTime;

/// Ask for prices. An empty `services` asks for every service the account has.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RateRequest {
    pub ship_from: Address,
    pub ship_to: Address,
    pub parcels: Vec<Parcel>,
    #[serde(default)]
    pub services: Vec<String>,
    /// `YYYY-MM-DD` at the sender's place; absent means today.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ship_date: Option<String>,
    #[serde(default)]
    pub options: Vec<(String, String)>,
}

/// Good rates beside the carrier's remarks; a remark never hides a good rate.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RateAnswer {
    pub rates: Vec<Rate>,
    #[serde(default)]
    pub messages: Vec<Message>,
}

/// A remark of the carrier that is not a failure.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Message {
    pub code: String,
    pub text: String,
}

/// One price for one service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rate {
    /// The carrier's own service code.
    pub service: String,
    pub service_name: String,
    /// What this account pays: the negotiated price where there is one.
    pub total: Money,
    /// The published price, when it differs in kind from `total`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub list_total: Option<Money>,
    #[serde(default)]
    pub charges: Vec<Charge>,
    /// Business days.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub transit_days: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deliver_by: Option<DateTime>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub billed_weight_g: Option<u64>,
    #[serde(default)]
    pub extensions: Vec<(String, String)>,
}

/// One line of a price. Categories: base, fuel, residential, remote, oversize, handling, duties, tax, insurance,
/// return, address-correction, storage, pick, pack, discount, other.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Charge {
    pub category: String,
    /// The carrier's own code.
    pub code: String,
    pub amount: Money,
}
