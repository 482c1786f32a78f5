//! A party and where it is.

use serde::{Deserialize, Serialize};

/// A postal address with the person or company behind it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Address {
    /// The person, or the company again when there is none.
    pub name: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub company: Option<String>,
    /// One to four lines, street first.
    pub lines: Vec<String>,
    pub locality: String,
    /// ISO 3166-2 without the country prefix, e.g. `NC`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub postal_code: Option<String>,
    /// ISO 3166-1 alpha-2.
    pub country: String,
    /// Absent when nobody knows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub residential: Option<bool>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub email: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phone: Option<String>,
}
