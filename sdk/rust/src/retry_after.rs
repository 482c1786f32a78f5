//! `Retry-After`: seconds, or a moment (RFC 9110, section 10.2.3).

/// Milliseconds to wait from `now_ms`; none when the text is neither form, or is a moment and `now_ms` is unknown.
pub(crate) fn parse(text: &str, now_ms: Option<u64>) -> Option<u64> {
    let text = text.trim();
    if let Ok(seconds) = text.parse::<u64>() {
        return seconds.checked_mul(1_000);
    }
    Some(http_date_ms(text)?.saturating_sub(now_ms?))
}

/// Milliseconds since 1970 of an HTTP date such as `Fri, 09 Feb 2024 16:23:02 GMT`; none for any other text.
pub fn http_date_ms(text: &str) -> Option<u64> {
    const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let mut words = text.split_once(", ")?.1.split(' ');
    let day: u64 = words.next()?.parse().ok()?;
    let name = words.next()?;
    let month = MONTHS.iter().position(|m| *m == name)? as u64 + 1;
    let year: u64 = words.next()?.parse().ok()?;
    let mut time = words.next()?.splitn(3, ':').map(|part| part.parse::<u64>().ok());
    let (hour, minute, second) = (time.next()??, time.next()??, time.next()??);
    let plausible =
        (1970..10_000).contains(&year) && (1..=31).contains(&day) && hour < 24 && minute < 60 && second < 61;
    if words.next() != Some("GMT") || !plausible {
        return None;
    }
    // Days by the proleptic Gregorian calendar, the year beginning in March so that the leap day comes last.
    let (shifted_year, shifted_month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let era_days = shifted_year * 365 + shifted_year / 4 - shifted_year / 100 + shifted_year / 400;
    let days = (era_days + (153 * shifted_month + 2) / 5 + day - 1).checked_sub(719_468)?;
    Some(((days * 24 + hour) * 60 + minute) * 60_000 + second * 1_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_date_is_the_moment_it_says() {
        assert_eq!(http_date_ms("Thu, 01 Jan 1970 00:00:00 GMT"), Some(0));
        assert_eq!(http_date_ms("Fri, 09 Feb 2024 16:23:02 GMT"), Some(1_707_495_782_000));
        assert_eq!(http_date_ms("Thu, 29 Feb 2024 23:59:59 GMT"), Some(1_709_251_199_000));
        assert_eq!(http_date_ms("Fri, 09 Feb 2024 16:23:02 CET"), None);
        assert_eq!(http_date_ms("Fri, 99 Feb 2024 16:23:02 GMT"), None);
        assert_eq!(http_date_ms("soon"), None);
    }

    #[test]
    fn both_forms_give_milliseconds_and_the_past_gives_none_to_wait() {
        let now = Some(1_707_495_782_000);
        assert_eq!(parse("120", None), Some(120_000));
        assert_eq!(parse("Fri, 09 Feb 2024 16:24:02 GMT", now), Some(60_000));
        assert_eq!(parse("Fri, 09 Feb 2024 16:00:00 GMT", now), Some(0));
        assert_eq!(parse("Fri, 09 Feb 2024 16:24:02 GMT", None), None);
        assert_eq!(parse("-5", now), None);
        assert_eq!(parse("99999999999999999999", now), None);
    }
}
