//! What UPS can tell about a United States address: does the ZIP code lie in the state, and, for the few ZIP codes
//! the twin knows, is that the city's name.

use super::request::Party;

/// First three digits of the ZIP codes of each state, from and to (public USPS list L002).
const ZIPS: [(u16, u16, &str); 64] = [
    (5, 5, "NY"),
    (6, 9, "PR"),
    (10, 27, "MA"),
    (28, 29, "RI"),
    (30, 38, "NH"),
    (39, 49, "ME"),
    (50, 54, "VT"),
    (55, 55, "MA"),
    (56, 59, "VT"),
    (60, 69, "CT"),
    (70, 89, "NJ"),
    (90, 98, "AE"),
    (100, 149, "NY"),
    (150, 196, "PA"),
    (197, 199, "DE"),
    (200, 200, "DC"),
    (201, 201, "VA"),
    (202, 205, "DC"),
    (206, 219, "MD"),
    (220, 246, "VA"),
    (247, 268, "WV"),
    (270, 289, "NC"),
    (290, 299, "SC"),
    (300, 319, "GA"),
    (320, 339, "FL"),
    (340, 340, "AA"),
    (341, 349, "FL"),
    (350, 369, "AL"),
    (370, 385, "TN"),
    (386, 397, "MS"),
    (398, 399, "GA"),
    (400, 427, "KY"),
    (430, 459, "OH"),
    (460, 479, "IN"),
    (480, 499, "MI"),
    (500, 528, "IA"),
    (530, 549, "WI"),
    (550, 567, "MN"),
    (570, 577, "SD"),
    (580, 588, "ND"),
    (590, 599, "MT"),
    (600, 629, "IL"),
    (630, 658, "MO"),
    (660, 679, "KS"),
    (680, 693, "NE"),
    (700, 714, "LA"),
    (716, 729, "AR"),
    (730, 749, "OK"),
    (750, 799, "TX"),
    (800, 816, "CO"),
    (820, 831, "WY"),
    (832, 838, "ID"),
    (840, 847, "UT"),
    (850, 865, "AZ"),
    (870, 884, "NM"),
    (885, 885, "TX"),
    (889, 898, "NV"),
    (900, 961, "CA"),
    (962, 966, "AP"),
    (967, 968, "HI"),
    (969, 969, "GU"),
    (970, 979, "OR"),
    (980, 994, "WA"),
    (995, 999, "AK"),
];

const CITIES: [(&str, &str); 8] = [
    ("27609", "RALEIGH"),
    ("27615", "RALEIGH"),
    ("32821", "ORLANDO"),
    ("30303", "ATLANTA"),
    ("60601", "CHICAGO"),
    ("78701", "AUSTIN"),
    ("94107", "SAN FRANCISCO"),
    ("98101", "SEATTLE"),
];

/// The first three digits of a five or nine digit ZIP code.
pub(super) fn zip3(postal: &str) -> Option<u16> {
    let digits: String = postal.chars().filter(|c| *c != '-').collect();
    let whole = matches!(digits.len(), 5 | 9) && digits.bytes().all(|b| b.is_ascii_digit());
    if whole { digits[..3].parse().ok() } else { None }
}

/// True for every address outside the United States.
pub(super) fn zip_fits_state(party: &Party) -> bool {
    if party.country != "US" {
        return true;
    }
    let Some(zip3) = zip3(&party.postal) else { return false };
    ZIPS.iter().any(|(from, to, state)| (*from..=*to).contains(&zip3) && *state == party.state)
}

/// False only when the twin knows the ZIP code and the city has another name.
pub(super) fn city_fits_zip(party: &Party) -> bool {
    let known = CITIES.iter().find(|(zip, _)| party.country == "US" && party.postal.starts_with(zip));
    known.is_none_or(|(_, city)| party.city.eq_ignore_ascii_case(city))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn party(postal: &str, state: &str, city: &str) -> Party {
        let country = "US".to_owned();
        Party { postal: postal.into(), state: state.into(), city: city.into(), country, ..Party::default() }
    }

    #[test]
    fn a_zip_code_lies_in_one_state() {
        assert!(zip_fits_state(&party("32821", "FL", "")));
        assert!(zip_fits_state(&party("27615-1234", "NC", "")));
        assert!(!zip_fits_state(&party("32821", "NC", "")));
        assert!(!zip_fits_state(&party("3282", "FL", "")));
        assert!(zip_fits_state(&Party { country: "DE".into(), ..party("20095", "", "") }));
    }

    #[test]
    fn a_misspelt_city_is_noticed_where_the_zip_code_is_known() {
        assert!(city_fits_zip(&party("32821", "FL", "Orlando")));
        assert!(!city_fits_zip(&party("32821", "FL", "Orlanod")));
        assert!(city_fits_zip(&party("27601", "NC", "Anything")));
    }

    #[test]
    fn the_table_is_in_order_and_has_no_overlap() {
        assert!(ZIPS.windows(2).all(|w| w[0].1 < w[1].0 && w[0].0 <= w[0].1));
    }
}
