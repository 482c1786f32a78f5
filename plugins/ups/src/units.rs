//! Weights and lengths between grams and millimetres and what UPS wants, without floats, rounded up.

use wharf_sdk::decimal::Decimal;

/// The units an account's country uses. UPS refuses the others (codes 120546 to 120548).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum System {
    /// LBS and IN.
    Imperial,
    /// KGS and CM.
    Metric,
}

impl System {
    /// By the country the parcels leave from.
    pub(crate) fn of_country(country: &str) -> Self {
        if matches!(country, "US" | "PR" | "VI" | "GU" | "AS" | "MP") { Self::Imperial } else { Self::Metric }
    }

    /// Code and description of the unit of weight.
    pub(crate) fn weight_unit(self) -> (&'static str, &'static str) {
        match self {
            Self::Imperial => ("LBS", "Pounds"),
            Self::Metric => ("KGS", "Kilograms"),
        }
    }

    /// Code and description of the unit of length.
    pub(crate) fn length_unit(self) -> (&'static str, &'static str) {
        match self {
            Self::Imperial => ("IN", "Inches"),
            Self::Metric => ("CM", "Centimeters"),
        }
    }

    /// Tenths of the unit, rounded up. A parcel of 5 lb (2,267.96 g) is 2,268 g in whole grams; read back as 5.0001 lb
    /// it would be billed as 6. So this is the smallest tenth that covers the weight when written in whole grams.
    pub(crate) fn weight(self, grams: u64) -> String {
        let tenths = match self {
            Self::Metric => grams.div_ceil(100),
            // ceil(t × 45.359237 g) ≥ grams, solved for the smallest t.
            Self::Imperial => {
                let below = u128::from(grams.saturating_sub(1)) * 1_000_000 / 45_359_237;
                u64::try_from(below).unwrap_or(u64::MAX).saturating_add(u64::from(grams > 0))
            }
        };
        Decimal::new(i128::from(tenths), 1).map(|d| d.trimmed().to_string()).unwrap_or_default()
    }

    /// Hundredths of the unit, rounded up.
    pub(crate) fn length(self, mm: u32) -> String {
        let mm = Decimal::from(u64::from(mm));
        let converted = match self {
            Self::Imperial => mm.convert_up(10, 254, 2),
            Self::Metric => mm.convert_up(1, 10, 2),
        };
        converted.map(|d| d.trimmed().to_string()).unwrap_or_default()
    }
}

/// A weight as UPS writes it, in grams, rounded up; none for an unknown unit or an unreadable number.
pub(crate) fn grams(weight: &str, unit: &str) -> Option<u64> {
    let weight = Decimal::parse(weight)?;
    let exact = match unit.to_ascii_uppercase().as_str() {
        "LBS" | "LB" => weight.convert_up(45_359_237, 100_000, 0),
        "KGS" | "KG" => weight.convert_up(1_000, 1, 0),
        "OZS" | "OZ" => weight.convert_up(45_359_237, 1_600_000, 0),
        _ => None,
    };
    exact?.to_u64_up()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_weight_is_never_understated_and_a_round_pound_stays_round() {
        for (grams, pounds) in
            [(1, "0.1"), (45, "0.1"), (46, "0.1"), (47, "0.2"), (454, "1"), (455, "1.1"), (2_268, "5")]
        {
            assert_eq!(System::Imperial.weight(grams), pounds, "{grams} g");
        }
        for (grams, kilos) in [(1, "0.1"), (1_000, "1"), (1_001, "1.1"), (70_000, "70")] {
            assert_eq!(System::Metric.weight(grams), kilos, "{grams} g");
        }
        for tenth in 1..3_000_u64 {
            // Whole grams of a weight given in tenths of a pound come back as the same weight.
            let whole = (tenth * 45_359_237).div_ceil(1_000_000);
            let expected = Decimal::new(i128::from(tenth), 1).expect("decimal").trimmed().to_string();
            assert_eq!(System::Imperial.weight(whole), expected);
        }
    }

    #[test]
    fn lengths_round_up() {
        assert_eq!(System::Imperial.length(254), "10");
        assert_eq!(System::Imperial.length(200), "7.88");
        assert_eq!(System::Metric.length(201), "20.1");
    }

    #[test]
    fn billed_weights_become_grams_rounded_up() {
        assert_eq!(grams("10.0", "LBS"), Some(4_536));
        assert_eq!(grams("1", "KGS"), Some(1_000));
        assert_eq!(grams("16", "OZS"), Some(454));
        assert_eq!(grams("10", "STONE"), None);
        assert_eq!(grams("heavy", "LBS"), None);
    }

    #[test]
    fn the_country_decides_the_system() {
        assert_eq!(System::of_country("PR"), System::Imperial);
        assert_eq!(System::of_country("DE"), System::Metric);
    }
}
