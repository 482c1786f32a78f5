//! `product.product`, and the units Odoo weighs and measures in.

use rust_decimal::Decimal;
use rust_decimal::prelude::ToPrimitive as _;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::value::{decimal, text};

/// International avoirdupois pound and international foot.
const GRAMS_PER_LB: Decimal = Decimal::from_parts(45_359_237, 0, 0, false, 5);
const MM_PER_FOOT: Decimal = Decimal::from_parts(3_048, 0, 0, false, 1);
const MM_PER_INCH: Decimal = Decimal::from_parts(254, 0, 0, false, 1);

pub(crate) fn specification() -> Value {
    json!({"fields": {
        "default_code": {}, "type": {}, "weight": {}, "weight_uom_name": {},
        "uom_id": {"fields": {"factor": {}}},
    }})
}

#[derive(Debug, Deserialize)]
pub(crate) struct Product {
    id: i64,
    #[serde(deserialize_with = "text")]
    default_code: Option<String>,
    /// `consu`, `service` or `combo`.
    r#type: String,
    /// Of one unit of `uom_id`.
    #[serde(deserialize_with = "decimal")]
    weight: Decimal,
    #[serde(deserialize_with = "text")]
    weight_uom_name: Option<String>,
    uom_id: Unit,
}

/// `uom.uom`; only ratios of two factors mean something.
#[derive(Debug, Deserialize)]
pub(crate) struct Unit {
    #[serde(deserialize_with = "decimal")]
    factor: Decimal,
}

impl Product {
    /// Services and combos are sold, but nothing of them is put in a box.
    pub(crate) fn ships(&self) -> bool {
        self.r#type == "consu"
    }

    /// The internal reference; Odoo's record id where nobody gave one.
    pub(crate) fn sku(&self) -> String {
        sku(self.default_code.as_deref(), self.id)
    }

    /// Of one unit as sold, which may be another unit than the product is weighed in.
    pub(crate) fn weight_g(&self, sold_in: &Unit) -> Option<u64> {
        let ratio = sold_in.factor.checked_div(self.uom_id.factor)?;
        let grams = grams(self.weight.checked_mul(ratio)?, self.weight_uom_name.as_deref());
        (grams > 0).then_some(grams)
    }
}

pub(crate) fn sku(code: Option<&str>, id: i64) -> String {
    code.map_or_else(|| format!("odoo-{id}"), str::to_owned)
}

fn is_pounds(unit: Option<&str>) -> bool {
    unit.is_some_and(|unit| unit.eq_ignore_ascii_case("lb") || unit.eq_ignore_ascii_case("lbs"))
}

/// Rounded to the gram; Odoo has kilograms unless it is set to pounds. A negative weight is none.
pub(crate) fn grams(weight: Decimal, unit: Option<&str>) -> u64 {
    let factor = if is_pounds(unit) { GRAMS_PER_LB } else { Decimal::ONE_THOUSAND };
    weight.checked_mul(factor).and_then(|grams| grams.round().to_u64()).unwrap_or(0)
}

/// The other way, in the unit Odoo has.
pub(crate) fn weight_of(grams: u64, unit: Option<&str>) -> Decimal {
    let factor = if is_pounds(unit) { GRAMS_PER_LB } else { Decimal::ONE_THOUSAND };
    (Decimal::from(grams) / factor).round_dp(3).normalize()
}

/// `None` for zero and for a unit that is not told, as on packagings of a carrier.
pub(crate) fn millimetres(length: Decimal, unit: Option<&str>) -> Option<u32> {
    let factor = match unit? {
        "mm" => Decimal::ONE,
        "cm" => Decimal::TEN,
        "m" => Decimal::ONE_THOUSAND,
        "in" => MM_PER_INCH,
        "ft" => MM_PER_FOOT,
        _ => return None,
    };
    length.checked_mul(factor)?.round().to_u32().filter(|length| *length > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn d(text: &str) -> Decimal {
        text.parse().expect("decimal")
    }

    #[test]
    fn weights_are_grams_whatever_odoo_weighs_in() {
        assert_eq!(grams(d("0.33"), Some("kg")), 330);
        assert_eq!(grams(d("1"), Some("lb")), 454);
        assert_eq!(grams(d("-1"), Some("kg")), 0);
        assert_eq!(weight_of(7770, Some("kg")), d("7.77"));
        assert_eq!(weight_of(454, Some("lb")), d("1.001"));
    }

    #[test]
    fn a_length_without_a_unit_is_no_length() {
        assert_eq!(millimetres(d("300"), Some("mm")), Some(300));
        assert_eq!(millimetres(d("2"), Some("ft")), Some(610));
        assert_eq!(millimetres(d("300"), None), None);
        assert_eq!(millimetres(d("0"), Some("mm")), None);
    }

    #[test]
    fn a_dozen_weighs_twelve_times_as_much() {
        let product: Product = serde_json::from_value(json!({"id": 7, "default_code": false, "type": "consu",
            "weight": 0.25, "weight_uom_name": "kg", "uom_id": {"id": 1, "factor": 1.0}}))
        .expect("product");
        let dozen: Unit = serde_json::from_value(json!({"id": 3, "factor": 12.0})).expect("unit");
        assert_eq!(product.weight_g(&dozen), Some(3000));
        assert_eq!(product.sku(), "odoo-7");
    }
}
