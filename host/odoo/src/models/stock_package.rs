//! `stock.package`: a box somebody packed.

use rust_decimal::Decimal;
use serde::Deserialize;
use serde_json::{Value, json};
use wharf_domain::shipment::Parcel;

use super::product::{grams, millimetres};
use crate::value::{decimal, maybe, text};

pub(crate) fn specification() -> Value {
    json!({"fields": {
        "name": {}, "shipping_weight": {}, "weight_uom_name": {},
        "package_type_id": {"fields": {
            "base_weight": {}, "packaging_length": {}, "width": {}, "height": {}, "length_uom_name": {},
            "shipper_package_code": {},
        }},
    }})
}

#[derive(Debug, Deserialize)]
pub(crate) struct Package {
    pub(crate) id: i64,
    #[serde(deserialize_with = "text")]
    name: Option<String>,
    /// As somebody weighed it; zero when nobody did.
    #[serde(deserialize_with = "decimal")]
    shipping_weight: Decimal,
    #[serde(deserialize_with = "text")]
    weight_uom_name: Option<String>,
    #[serde(deserialize_with = "maybe")]
    package_type_id: Option<PackageType>,
}

#[derive(Debug, Deserialize)]
struct PackageType {
    #[serde(deserialize_with = "decimal")]
    base_weight: Decimal,
    #[serde(deserialize_with = "decimal")]
    packaging_length: Decimal,
    #[serde(deserialize_with = "decimal")]
    width: Decimal,
    #[serde(deserialize_with = "decimal")]
    height: Decimal,
    /// Empty on a carrier's own packaging, whose unit Odoo does not tell.
    #[serde(deserialize_with = "text")]
    length_uom_name: Option<String>,
    #[serde(deserialize_with = "text")]
    shipper_package_code: Option<String>,
}

impl Package {
    /// `contents`: weight of the products the delivery puts in it, in Odoo's unit. Odoo's own `weight` does not count
    /// them before the delivery is done.
    pub(crate) fn into_parcel(self, contents: Decimal) -> Parcel {
        let unit = self.weight_uom_name.as_deref();
        let empty = self.package_type_id.as_ref().map_or(Decimal::ZERO, |t| t.base_weight);
        let weight = if self.shipping_weight > Decimal::ZERO { self.shipping_weight } else { contents + empty };
        let length = |of: fn(&PackageType) -> Decimal| {
            let kind = self.package_type_id.as_ref()?;
            millimetres(of(kind), kind.length_uom_name.as_deref())
        };
        Parcel {
            weight_g: grams(weight, unit),
            length_mm: length(|t| t.packaging_length),
            width_mm: length(|t| t.width),
            height_mm: length(|t| t.height),
            reference: self.name.unwrap_or_else(|| format!("package-{}", self.id)),
            packaging: self.package_type_id.and_then(|t| t.shipper_package_code),
            declared_value: None,
        }
    }
}
