//! Dates and times as UPS writes them: `20240423`, `091519`, with a GMT twin or an offset when it knows them.
//!
//! A local time without either stays local: an offset is never invented. It is computed only where UPS gives the same
//! moment twice, in local time and in GMT.

use wharf_sdk::{Datetime, Precision};

/// A moment and its place in order.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Moment {
    pub(crate) value: Datetime,
    /// Seconds since 1970; of local time when the offset is unknown.
    pub(crate) order: i64,
}

/// The parts of one moment, all optional.
#[derive(Debug, Default)]
pub(crate) struct Stamp<'a> {
    pub(crate) date: Option<&'a str>,
    pub(crate) time: Option<&'a str>,
    pub(crate) gmt_date: Option<&'a str>,
    pub(crate) gmt_time: Option<&'a str>,
    pub(crate) offset: Option<&'a str>,
}

impl Stamp<'_> {
    /// The moment; none when no date can be read.
    pub(crate) fn moment(&self) -> Option<Moment> {
        let local = self.date.and_then(|date| read(date, self.time));
        let gmt = match (self.gmt_date, self.gmt_time) {
            (Some(date), Some(time)) => read(date, Some(time)).filter(|m| m.precision != Precision::Day),
            _ => None,
        };
        match (local, gmt) {
            (Some(local), _) if local.precision == Precision::Day => Some(local.moment(None)),
            (Some(local), gmt) => {
                let offset = self.offset.and_then(offset).or_else(|| difference(local.seconds, gmt?.seconds));
                Some(local.moment(offset))
            }
            (None, Some(gmt)) => Some(gmt.moment(Some(0))),
            (None, None) => None,
        }
    }
}

/// A local moment of which nothing but date and maybe time is known.
pub(crate) fn local(date: &str, time: Option<&str>) -> Option<Moment> {
    Stamp { date: Some(date), time, ..Stamp::default() }.moment()
}

struct Reading {
    /// `2024-04-23` or `2024-04-23T09:15:19`.
    text: String,
    precision: Precision,
    seconds: i64,
}

impl Reading {
    fn moment(self, offset: Option<i64>) -> Moment {
        let suffix = match offset {
            None => String::new(),
            Some(0) => "Z".to_owned(),
            Some(minutes) => {
                let sign = if minutes < 0 { '-' } else { '+' };
                format!("{sign}{:02}:{:02}", minutes.abs() / 60, minutes.abs() % 60)
            }
        };
        Moment {
            value: Datetime { value: format!("{}{suffix}", self.text), zone: None, precision: self.precision },
            order: self.seconds - offset.unwrap_or_default() * 60,
        }
    }
}

fn read(date: &str, time: Option<&str>) -> Option<Reading> {
    let date = digits(date);
    let (year, month, day) = (number(&date, 0..4)?, number(&date, 4..6)?, number(&date, 6..8)?);
    if date.len() != 8 || !(1..=12).contains(&month) || !(1..=days_in(year, month)).contains(&day) {
        return None;
    }
    let text = format!("{year:04}-{month:02}-{day:02}");
    let midnight = days_since_1970(year, month, day) * 86_400;
    let Some((hour, minute, second, precision)) = time.and_then(time_of_day) else {
        return Some(Reading { text, precision: Precision::Day, seconds: midnight });
    };
    Some(Reading {
        text: format!("{text}T{hour:02}:{minute:02}:{second:02}"),
        precision,
        seconds: midnight + hour * 3_600 + minute * 60 + second,
    })
}

/// `HHMMSS`, `HHMM`, with colons, or with the leading zero lost as in `74700`.
fn time_of_day(text: &str) -> Option<(i64, i64, i64, Precision)> {
    let digits = digits(text);
    let (full, precision) = match digits.len() {
        5 | 6 => (format!("{digits:0>6}"), Precision::Second),
        3 | 4 => (format!("{digits:0>4}00"), Precision::Minute),
        _ => return None,
    };
    let (hour, minute, second) = (number(&full, 0..2)?, number(&full, 2..4)?, number(&full, 4..6)?);
    (hour < 24 && minute < 60 && second < 60).then_some((hour, minute, second, precision))
}

/// Minutes of `-05:00`, `-04.00` or `+0530`.
fn offset(text: &str) -> Option<i64> {
    let text = text.trim();
    let sign = match text.as_bytes().first()? {
        b'-' => -1,
        b'+' => 1,
        _ => return None,
    };
    let digits = digits(&text[1..]);
    let (hours, minutes) = (number(&digits, 0..2)?, number(&digits, 2..4)?);
    (digits.len() == 4 && hours <= 14 && minutes < 60).then_some(sign * (hours * 60 + minutes))
}

/// The offset between the two clocks, when it can be one: whole quarters of an hour, at most 14 hours.
fn difference(local: i64, gmt: i64) -> Option<i64> {
    let seconds = local - gmt;
    (seconds % 900 == 0 && seconds.abs() <= 14 * 3_600).then_some(seconds / 60)
}

/// The digits, when there is nothing else but separators.
fn digits(text: &str) -> String {
    let kept: String = text.trim().chars().filter(|c| !matches!(c, '-' | ':' | '.')).collect();
    if kept.bytes().all(|b| b.is_ascii_digit()) { kept } else { String::new() }
}

fn number(digits: &str, range: std::ops::Range<usize>) -> Option<i64> {
    digits.get(range)?.parse().ok()
}

fn days_in(year: i64, month: i64) -> i64 {
    match month {
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

fn days_since_1970(year: i64, month: i64, day: i64) -> i64 {
    let before = |year: i64| year * 365 + year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400);
    let months: i64 = (1..month).map(|m| days_in(year, m)).sum();
    before(year - 1) - before(1969) + months + day - 1
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(stamp: &Stamp<'_>) -> Option<(String, i64)> {
        stamp.moment().map(|m| (m.value.value, m.order))
    }

    #[test]
    fn a_local_time_stays_local() {
        let stamp = Stamp { date: Some("20240423"), time: Some("091519"), ..Stamp::default() };
        assert_eq!(value(&stamp), Some(("2024-04-23T09:15:19".to_owned(), 1_713_863_719)));
        let moment = local("20240423", Some("0915")).expect("moment");
        assert_eq!((moment.value.value.as_str(), moment.value.precision), ("2024-04-23T09:15:00", Precision::Minute));
        let moment = local("20240423", Some("string")).expect("moment");
        assert_eq!((moment.value.value.as_str(), moment.value.precision), ("2024-04-23", Precision::Day));
    }

    #[test]
    fn the_offset_is_what_ups_says_or_what_its_two_clocks_show() {
        let base = || Stamp { date: Some("20240423"), time: Some("091519"), ..Stamp::default() };
        let gmt = || Stamp { gmt_date: Some("20240423"), gmt_time: Some("131519"), ..base() };
        let expected = Some(("2024-04-23T09:15:19-04:00".to_owned(), 1_713_878_119));
        assert_eq!(value(&gmt()), expected);
        assert_eq!(value(&Stamp { offset: Some("-04.00"), ..base() }), expected);
        assert_eq!(value(&Stamp { offset: Some("-04:00"), gmt_time: Some("74700"), ..gmt() }), expected);
        let odd = Stamp { gmt_time: Some("131500"), ..gmt() };
        assert_eq!(value(&odd).map(|v| v.0), Some("2024-04-23T09:15:19".to_owned()), "19 s is no offset");
        let only = Stamp { date: None, time: None, ..gmt() };
        assert_eq!(value(&only), Some(("2024-04-23T13:15:19Z".to_owned(), 1_713_878_119)));
    }

    #[test]
    fn what_is_no_date_is_none() {
        for date in ["", "string", "20240230", "20241301", "2024042", "202404233"] {
            assert_eq!(local(date, Some("091519")), None, "{date}");
        }
        assert_eq!(local("20240229", None).map(|m| m.order), Some(1_709_164_800));
        assert_eq!(local("19700101", None).map(|m| m.order), Some(0));
        for text in ["0400", "-99:00", "-4", "-04:99", "-é"] {
            assert_eq!(offset(text), None, "{text}");
        }
    }
}
