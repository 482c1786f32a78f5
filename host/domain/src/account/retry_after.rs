//! `Retry-After`: seconds, or a moment (RFC 9110, section 10.2.3).

use std::time::UNIX_EPOCH;

use crate::time::Timestamp;

/// Milliseconds to wait; 0 for a moment that has passed, `None` when the text is neither form. A moment is counted from
/// the answer's own `date` when it has a readable one, since the partner's clock may be wrong; else from `now`.
pub fn retry_after_ms(text: &str, date: Option<&str>, now: Timestamp) -> Option<u64> {
    let text = text.trim();
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        // A number too long for the type is a very long time.
        return Some(text.parse::<u64>().unwrap_or(u64::MAX).saturating_mul(1_000));
    }
    let moment = millis(text)?;
    let sent = date.and_then(millis).unwrap_or(now.millis());
    Some(u64::try_from(moment.saturating_sub(sent)).unwrap_or(0))
}

fn millis(text: &str) -> Option<i64> {
    let since = httpdate::parse_http_date(text.trim()).ok()?.duration_since(UNIX_EPOCH).ok()?;
    i64::try_from(since.as_millis()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_are_milliseconds_from_now() {
        let now = Timestamp::from_millis(1_707_495_782_000);
        let read = |text| retry_after_ms(text, None, now);
        assert_eq!(read(" 120 "), Some(120_000));
        assert_eq!(read("0"), Some(0));
        assert_eq!(read("99999999999999999999"), Some(u64::MAX));
        assert_eq!(read("Fri, 09 Feb 2024 16:24:02 GMT"), Some(60_000));
        assert_eq!(read("Friday, 09-Feb-24 16:24:02 GMT"), Some(60_000));
        assert_eq!(read("Fri, 09 Feb 2024 16:00:00 GMT"), Some(0));
        for text in ["", "soon", "-5", "+5", "1.5"] {
            assert_eq!(read(text), None, "{text}");
        }
    }

    #[test]
    fn a_moment_is_counted_from_the_partners_own_clock() {
        let now = Timestamp::from_millis(0);
        let moment = "Fri, 09 Feb 2024 16:24:02 GMT";
        assert_eq!(retry_after_ms(moment, Some("Fri, 09 Feb 2024 16:23:02 GMT"), now), Some(60_000));
        assert_eq!(retry_after_ms(moment, Some("yesterday"), Timestamp::from_millis(1_707_495_841_000)), Some(1_000));
    }
}
