//! `res.partner` as an address.

use serde::Deserialize;
use serde_json::{Value, json};
use wharf_domain::address::Address;

use crate::value::{maybe, text};

pub(crate) fn specification() -> Value {
    json!({"fields": {
        "name": {}, "street": {}, "street2": {}, "city": {}, "zip": {}, "email": {}, "phone": {},
        "is_company": {}, "commercial_company_name": {},
        "state_id": {"fields": {"code": {}}}, "country_id": {"fields": {"code": {}}},
    }})
}

#[derive(Debug, Deserialize)]
pub(crate) struct Partner {
    #[serde(deserialize_with = "text")]
    name: Option<String>,
    #[serde(deserialize_with = "text")]
    street: Option<String>,
    #[serde(deserialize_with = "text")]
    street2: Option<String>,
    #[serde(deserialize_with = "text")]
    city: Option<String>,
    #[serde(deserialize_with = "text")]
    zip: Option<String>,
    #[serde(deserialize_with = "text")]
    email: Option<String>,
    #[serde(deserialize_with = "text")]
    phone: Option<String>,
    is_company: bool,
    #[serde(deserialize_with = "text")]
    commercial_company_name: Option<String>,
    #[serde(deserialize_with = "maybe")]
    state_id: Option<Coded>,
    #[serde(deserialize_with = "maybe")]
    country_id: Option<Coded>,
}

#[derive(Debug, Deserialize)]
struct Coded {
    #[serde(deserialize_with = "text")]
    code: Option<String>,
}

impl Partner {
    /// What is missing stays empty: whether an address is good enough to ship to is decided by the flow.
    pub(crate) fn into_address(self) -> Address {
        let company = if self.is_company { self.name.clone() } else { self.commercial_company_name };
        Address {
            name: self.name.or_else(|| company.clone()).unwrap_or_default(),
            company,
            lines: [self.street, self.street2].into_iter().flatten().collect(),
            locality: self.city.unwrap_or_default(),
            region: self.state_id.and_then(|state| state.code),
            postal_code: self.zip,
            country: self.country_id.and_then(|country| country.code).unwrap_or_default(),
            residential: None,
            email: self.email,
            phone: self.phone,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(changes: &[(&str, Value)]) -> Address {
        let mut json = json!({"id": 32, "name": "Oscar Morgan", "street": "317 Fairchild Dr", "street2": false,
            "city": "Fairfield", "zip": "94535", "email": "o@example.com", "phone": "+1 555-0100", "is_company": false,
            "commercial_company_name": "Gemini Furniture", "state_id": {"id": 13, "code": "CA"},
            "country_id": {"id": 233, "code": "US"}});
        for (field, value) in changes {
            json[field] = value.clone();
        }
        serde_json::from_value::<Partner>(json).expect("partner").into_address()
    }

    #[test]
    fn a_contact_of_a_company_has_both_names() {
        let a = address(&[]);
        assert_eq!((a.name.as_str(), a.company.as_deref()), ("Oscar Morgan", Some("Gemini Furniture")));
        assert_eq!((a.lines.len(), a.region.as_deref(), a.country.as_str()), (1, Some("CA"), "US"));
    }

    #[test]
    fn a_delivery_address_without_a_name_takes_the_company_s() {
        assert_eq!(address(&[("name", json!(false))]).name, "Gemini Furniture");
        let alone =
            [("commercial_company_name", json!(false)), ("state_id", json!(false)), ("country_id", json!(false))];
        let a = address(&alone);
        assert_eq!((a.company, a.region, a.country.as_str()), (None, None, ""));
    }
}
