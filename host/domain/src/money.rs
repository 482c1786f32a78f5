//! Money: a decimal and an ISO 4217 code, never a float.

use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};
use thiserror::Error;

/// An amount in one currency. Serialises as `{"amount": "12.40", "currency": "USD"}`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Money {
    /// Decimal text, scale kept as given.
    pub amount: Decimal,
    /// ISO 4217, three upper-case letters.
    pub currency: String,
}

/// Why two texts are not an amount of money.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum MoneyError {
    #[error("`{0}` is not a decimal amount")]
    Amount(String),
    #[error("`{0}` is not an ISO 4217 currency code")]
    Currency(String),
    #[error("cannot add `{0}` to `{1}`")]
    Mixed(String, String),
    #[error("the sum is out of range")]
    Overflow,
}

impl Money {
    pub fn parse(amount: &str, currency: &str) -> Result<Self, MoneyError> {
        let value: Decimal = amount.trim().parse().map_err(|_| MoneyError::Amount(amount.to_owned()))?;
        if currency.len() != 3 || !currency.bytes().all(|b| b.is_ascii_uppercase()) {
            return Err(MoneyError::Currency(currency.to_owned()));
        }
        Ok(Self { amount: value, currency: currency.to_owned() })
    }

    /// The sum, refused when the currencies differ.
    pub fn checked_add(&self, other: &Self) -> Result<Self, MoneyError> {
        if self.currency != other.currency {
            return Err(MoneyError::Mixed(other.currency.clone(), self.currency.clone()));
        }
        let amount = self.amount.checked_add(other.amount).ok_or(MoneyError::Overflow)?;
        Ok(Self { amount, currency: self.currency.clone() })
    }
}

impl std::fmt::Display for Money {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.amount, self.currency)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn money_keeps_its_scale_and_refuses_what_is_not_money() {
        assert_eq!(Money::parse("12.40", "USD").map(|m| m.to_string()), Ok("12.40 USD".to_owned()));
        assert_eq!(Money::parse("1,5", "USD"), Err(MoneyError::Amount("1,5".to_owned())));
        assert_eq!(Money::parse("1", "usd"), Err(MoneyError::Currency("usd".to_owned())));
        let eur = Money::parse("1", "EUR").expect("money");
        let usd = Money::parse("1", "USD").expect("money");
        assert!(eur.checked_add(&usd).is_err());
    }
}
