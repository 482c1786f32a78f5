//! Exact decimal numbers, as partners write money, weights and lengths. No floats.

use std::fmt;

/// A decimal number with the scale it was written with: `12.40` stays `12.40`.
#[derive(Debug, Clone, Copy)]
pub struct Decimal {
    /// The digits without the point.
    units: i128,
    /// Digits behind the point, at most [`MAX_SCALE`].
    scale: u32,
}

/// More digits behind the point are not a number of this trade.
pub const MAX_SCALE: u32 = 12;

impl Decimal {
    /// `units` divided by ten to the power of `scale`; none when the scale is over [`MAX_SCALE`].
    pub fn new(units: i128, scale: u32) -> Option<Self> {
        (scale <= MAX_SCALE).then_some(Self { units, scale })
    }

    /// Reads `-12.40`: an optional sign, digits, and a point with digits behind it. None for anything else (exponents,
    /// thousands separators, a comma), and for more than 24 digits.
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        let (negative, digits) = match text.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, text.strip_prefix('+').unwrap_or(text)),
        };
        let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
        let all_digits = |s: &str| s.bytes().all(|b| b.is_ascii_digit());
        let length = whole.len() + fraction.len();
        if whole.is_empty() || length > 24 || !all_digits(whole) || !all_digits(fraction) || digits.ends_with('.') {
            return None;
        }
        let units = format!("{whole}{fraction}").parse::<i128>().ok()?;
        Self::new(if negative { -units } else { units }, u32::try_from(fraction.len()).ok()?)
    }

    /// Is it zero?
    pub fn is_zero(self) -> bool {
        self.units == 0
    }

    /// Is it below zero?
    pub fn is_negative(self) -> bool {
        self.units < 0
    }

    /// The sum, at the larger scale; none when it is out of range.
    pub fn plus(self, other: Self) -> Option<Self> {
        let scale = self.scale.max(other.scale);
        Self::new(self.at(scale)?.checked_add(other.at(scale)?)?, scale)
    }

    /// The difference, at the larger scale; none when it is out of range.
    pub fn minus(self, other: Self) -> Option<Self> {
        self.plus(Self { units: other.units.checked_neg()?, scale: other.scale })
    }

    /// `self × numerator ÷ denominator` with `places` digits behind the point, rounded up (towards plus infinity).
    /// None when it is out of range or the denominator is zero.
    pub fn convert_up(self, numerator: u64, denominator: u64, places: u32) -> Option<Self> {
        let numerator = self.units.checked_mul(i128::from(numerator))?.checked_mul(ten_to(places)?)?;
        let denominator = i128::from(denominator).checked_mul(ten_to(self.scale)?)?;
        if denominator == 0 {
            return None;
        }
        let exact = numerator.rem_euclid(denominator) == 0;
        Self::new(numerator.div_euclid(denominator) + i128::from(!exact), places)
    }

    /// The smallest whole number that is not below it; none when it is negative or out of range.
    pub fn to_u64_up(self) -> Option<u64> {
        u64::try_from(self.convert_up(1, 1, 0)?.units).ok()
    }

    /// The same number without zeros at the end of its fraction.
    #[must_use]
    pub fn trimmed(mut self) -> Self {
        while self.scale > 0 && self.units % 10 == 0 {
            self.units /= 10;
            self.scale -= 1;
        }
        self
    }

    fn at(self, scale: u32) -> Option<i128> {
        self.units.checked_mul(ten_to(scale - self.scale)?)
    }
}

fn ten_to(power: u32) -> Option<i128> {
    10_i128.checked_pow(power)
}

impl From<u64> for Decimal {
    fn from(whole: u64) -> Self {
        Self { units: i128::from(whole), scale: 0 }
    }
}

impl PartialEq for Decimal {
    /// By value: `1.0` equals `1`.
    fn eq(&self, other: &Self) -> bool {
        let (a, b) = (self.trimmed(), other.trimmed());
        (a.units, a.scale) == (b.units, b.scale)
    }
}

impl fmt::Display for Decimal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.units < 0 { "-" } else { "" };
        let digits = format!("{:0>width$}", self.units.unsigned_abs(), width = self.scale as usize + 1);
        let (whole, fraction) = digits.split_at(digits.len() - self.scale as usize);
        if fraction.is_empty() { write!(f, "{sign}{whole}") } else { write!(f, "{sign}{whole}.{fraction}") }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn d(text: &str) -> Decimal {
        Decimal::parse(text).expect("decimal")
    }

    #[test]
    fn text_survives_with_its_scale() {
        for text in ["0", "12.40", "-0.05", "188.07", "10.0", "99999999999999.99"] {
            assert_eq!(d(text).to_string(), text);
        }
        assert_eq!(d(" +007.50 ").to_string(), "7.50");
    }

    #[test]
    fn what_is_not_a_plain_decimal_is_refused() {
        for text in ["", "-", ".5", "5.", "1,5", "1e3", "0x1", "1 2", "٣", "NaN", "1234567890123456789012345"] {
            assert!(Decimal::parse(text).is_none(), "{text}");
        }
        assert!(Decimal::parse("0.1234567890123").is_none(), "too fine");
    }

    #[test]
    fn sums_are_exact() {
        assert_eq!(d("0.1").plus(d("0.2")).expect("sum").to_string(), "0.3");
        assert_eq!(d("14.36").minus(d("15.560")).expect("difference").to_string(), "-1.200");
        assert!(d("1.50") == d("1.5"));
    }

    #[test]
    fn conversions_round_up_and_never_down() {
        // 10 lb = 4535.9237 g
        assert_eq!(d("10.0").convert_up(45_359_237, 100_000, 0).expect("g").to_u64_up(), Some(4_536));
        assert_eq!(d("1").convert_up(1, 3, 2).expect("third").to_string(), "0.34");
        assert_eq!(d("-1").convert_up(1, 3, 2).expect("third").to_string(), "-0.33");
        assert_eq!(d("254").convert_up(10, 254, 2).expect("in").trimmed().to_string(), "10");
        assert!(d("1").convert_up(1, 0, 0).is_none());
        assert_eq!(d("-0.5").to_u64_up(), Some(0));
        assert_eq!(d("-1.5").to_u64_up(), None);
    }
}
