//! Tracking numbers: `1Z`, the shipper number, two digits of the service, seven digits, a check digit.

/// The number for this account, service and count. `seed` moves the count, so that two twins do not meet.
pub(super) fn tracking_number(account: &str, service: &str, seed: u64, count: u64) -> String {
    let serial = (seed.wrapping_mul(100_003) + count) % 10_000_000;
    let body = format!("{account}{service:0>2.2}{serial:07}");
    let check = check_digit(&body);
    format!("1Z{body}{check}")
}

/// Over the fifteen characters after `1Z`: letters count as their place in the alphabet plus one, modulo ten; every
/// second character counts double.
fn check_digit(body: &str) -> u32 {
    let sum: u32 = body
        .bytes()
        .enumerate()
        .map(|(at, byte)| {
            let value = if byte.is_ascii_digit() { u32::from(byte - b'0') } else { (u32::from(byte) - 63) % 10 };
            if at % 2 == 1 { value * 2 } else { value }
        })
        .sum();
    (10 - sum % 10) % 10
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_check_digit_is_the_one_on_published_numbers() {
        for known in ["1Z5R89390357567127", "1Z12345E6605272234", "1Z999AA10123456784"] {
            let (body, check) = known[2..].split_at(15);
            assert_eq!(check_digit(body).to_string(), check, "{known}");
        }
    }

    #[test]
    fn numbers_are_valid_distinct_and_the_same_for_the_same_count() {
        let a = tracking_number("A1B2C3", "03", 1, 1);
        assert_eq!(a.len(), 18);
        assert!(a.starts_with("1ZA1B2C303"), "{a}");
        assert_eq!(a, tracking_number("A1B2C3", "03", 1, 1));
        assert_ne!(a, tracking_number("A1B2C3", "03", 1, 2));
        assert_ne!(a, tracking_number("A1B2C3", "03", 2, 1));
    }
}
