//! Cron expressions over wall-clock time.
//!
//! Written here and not taken from a library: those that know the time library bring their own rules for summer time,
//! search in steps of fields without a window, and look forward only (`cronexpr`, `jiff-cron`); or read `JANJAN` as
//! November and name no field in an error (`croner`, which also brings two derive libraries). What is left to share is
//! the reading of five fields.

use std::ops::Range;

use jiff::civil::{Date, DateTime};
use serde::{Deserialize, Serialize};

use super::window::DAY;
use super::{HORIZON_DAYS, ScheduleError};

const MINUTE: Field = Field { name: "minute", min: 0, max: 59, names: &[], names_from: 0 };
const HOUR: Field = Field { name: "hour", min: 0, max: 23, names: &[], names_from: 0 };
const DAY_OF_MONTH: Field = Field { name: "day of month", min: 1, max: 31, names: &[], names_from: 0 };
const MONTHS: [&str; 12] = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
const MONTH: Field = Field { name: "month", min: 1, max: 12, names: &MONTHS, names_from: 1 };
const DAYS: [&str; 7] = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"];
/// 0 and 7 are Sunday.
pub(super) const WEEKDAY: Field = Field { name: "day of week", min: 0, max: 7, names: &DAYS, names_from: 0 };

const SHORT: [(&str, &str); 5] = [
    ("@hourly", "0 * * * *"),
    ("@daily", "0 0 * * *"),
    ("@weekly", "0 0 * * 0"),
    ("@monthly", "0 0 1 * *"),
    ("@yearly", "0 0 1 1 *"),
];

/// Minute, hour, day of month, month, day of week: `*/15 6-18 * * mon-fri`. Lists, ranges, steps and English names, as
/// crontab(5) has them; `L` is the last day of the month. When both day fields are restricted, a day that fits either
/// is meant, as in crontab(5).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Cron {
    text: String,
    minutes: Values,
    hours: Values,
    days: Values,
    last_day: bool,
    months: Values,
    weekdays: Values,
    either_day: bool,
}

impl Cron {
    /// Fails with the name of the field, what stands there and what may stand there.
    pub fn parse(text: &str) -> Result<Self, ScheduleError> {
        let short = SHORT.iter().find(|(name, _)| text.trim().eq_ignore_ascii_case(name));
        let fields: Vec<&str> = short.map_or(text, |(_, long)| long).split_whitespace().collect();
        let [minute, hour, day, month, weekday] = fields[..] else {
            let remedy = "use five fields (minute, hour, day of month, month, day of week; there are no seconds), or \
                          @hourly, @daily, @weekly, @monthly, @yearly";
            return Err(ScheduleError::new("cron", text, remedy));
        };
        let (last_day, days) = split_last_day(day);
        let cron = Self {
            text: text.trim().to_owned(),
            minutes: MINUTE.parse(MINUTE.name, minute)?,
            hours: HOUR.parse(HOUR.name, hour)?,
            days: if days.is_empty() && last_day { Values(0) } else { DAY_OF_MONTH.parse(DAY_OF_MONTH.name, &days)? },
            last_day,
            months: MONTH.parse(MONTH.name, month)?,
            weekdays: WEEKDAY.parse(WEEKDAY.name, weekday)?,
            either_day: !day.starts_with('*') && !weekday.starts_with('*'),
        };
        let possible = (1..=12).any(|month| {
            let dates = (1..=31).filter_map(|day| Date::new(2024, month, day).ok());
            dates.into_iter().any(|date| cron.months.has(month_of(date)) && cron.fits_day_of_month(date))
        });
        if !possible && !cron.either_day {
            return Err(ScheduleError::new(
                DAY_OF_MONTH.name,
                day,
                "the months named have no such day; correct one of them",
            ));
        }
        Ok(cron)
    }

    /// The first time after `after` that also satisfies `fits`; `None` when none comes within the horizon.
    pub(super) fn earliest(&self, after: DateTime, fits: impl Fn(DateTime) -> bool) -> Option<DateTime> {
        let (mut date, mut first) = (after.date(), minute_of(after) + 1);
        for _ in 0..HORIZON_DAYS {
            if self.fits_date(date) {
                let found = self.minutes(first / 60..24).filter(|minute| *minute >= first);
                if let Some(wall) = found.filter_map(|minute| wall(date, minute)).find(|wall| fits(*wall)) {
                    return Some(wall);
                }
            }
            (date, first) = (date.tomorrow().ok()?, 0);
        }
        None
    }

    /// The last time from `not_before` to `until` that also satisfies `fits`; `None` when there is none within the
    /// horizon.
    pub(super) fn latest(
        &self,
        until: DateTime,
        not_before: DateTime,
        fits: impl Fn(DateTime) -> bool,
    ) -> Option<DateTime> {
        let (mut date, mut last) = (until.date(), minute_of(until));
        for _ in 0..HORIZON_DAYS {
            if self.fits_date(date) {
                let found = self.minutes(0..last / 60 + 1).rev().filter(|minute| *minute <= last);
                if let Some(wall) = found.filter_map(|minute| wall(date, minute)).find(|wall| fits(*wall)) {
                    return Some(wall).filter(|wall| *wall >= not_before);
                }
            }
            (date, last) = (date.yesterday().ok()?, DAY - 1);
            if date < not_before.date() {
                return None;
            }
        }
        None
    }

    /// The minutes of a day that fit, in some of its hours.
    fn minutes(&self, hours: Range<u16>) -> impl DoubleEndedIterator<Item = u16> {
        let in_hour = |hour| (0..60).filter(|minute| self.minutes.has(*minute)).map(move |minute| hour * 60 + minute);
        hours.filter(|hour| self.hours.has(*hour)).flat_map(in_hour)
    }

    fn fits_date(&self, date: Date) -> bool {
        let (day, weekday) = (self.fits_day_of_month(date), self.weekdays.has(weekday_of(date)));
        self.months.has(month_of(date)) && if self.either_day { day || weekday } else { day && weekday }
    }

    fn fits_day_of_month(&self, date: Date) -> bool {
        self.days.has(date.day().unsigned_abs().into()) || (self.last_day && date == date.last_of_month())
    }
}

impl TryFrom<String> for Cron {
    type Error = ScheduleError;
    fn try_from(text: String) -> Result<Self, ScheduleError> {
        Self::parse(&text)
    }
}

impl From<Cron> for String {
    fn from(cron: Cron) -> Self {
        cron.text
    }
}

/// A set of numbers below 64.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Values(u64);

impl Values {
    pub(super) fn has(self, value: u16) -> bool {
        value < 64 && self.0 & (1 << value) != 0
    }
}

/// What may stand in one field.
pub(super) struct Field {
    name: &'static str,
    min: u16,
    max: u16,
    names: &'static [&'static str],
    /// The number of the first name.
    names_from: u16,
}

impl Field {
    /// `name` is what an error calls the field.
    pub(super) fn parse(&self, name: &'static str, text: &str) -> Result<Values, ScheduleError> {
        let mut values = 0;
        for item in text.split(',') {
            let (range, step) = item.split_once('/').map_or((item, None), |(range, step)| (range, Some(step)));
            let (first, last) = self.range(range).map_err(|remedy| ScheduleError::new(name, item, remedy))?;
            let step = match step {
                None => 1,
                Some(_) if first == last => {
                    let remedy = format!("a step needs a range: {range}-{}/n or */n", self.max);
                    return Err(ScheduleError::new(name, item, remedy));
                }
                // A longer step would silently start anew in each hour, day or year.
                Some(step) => step.parse().ok().filter(|step| (1..=last - first).contains(step)).ok_or_else(|| {
                    let remedy = format!("the step must be from 1 to {}; for any pace use every_seconds", last - first);
                    ScheduleError::new(name, item, remedy)
                })?,
            };
            for value in (first..=last).step_by(step.into()) {
                values |= 1_u64 << value;
            }
        }
        if self.max == WEEKDAY.max && values & (1 << 7) != 0 {
            values |= 1;
        }
        Ok(Values(values))
    }

    fn range(&self, text: &str) -> Result<(u16, u16), String> {
        if text == "*" {
            return Ok((self.min, if self.max == WEEKDAY.max { 6 } else { self.max }));
        }
        let Some((first, last)) = text.split_once('-') else {
            return self.value(text).map(|value| (value, value));
        };
        let (first, mut last) = (self.value(first)?, self.value(last)?);
        // `sat-sun` ends on a Sunday.
        if self.max == WEEKDAY.max && last == 0 && first > 0 {
            last = 7;
        }
        if first <= last {
            Ok((first, last))
        } else {
            Err(format!("a range goes upwards; write {first}-{},{}-{last}", self.max, self.min))
        }
    }

    fn value(&self, text: &str) -> Result<u16, String> {
        let named = (self.names_from..).zip(self.names).find(|(_, name)| text.eq_ignore_ascii_case(name));
        let number = || text.parse().ok().filter(|_| text.bytes().all(|byte| byte.is_ascii_digit()));
        let value = named.map(|(value, _)| value).or_else(number);
        value.filter(|value| (self.min..=self.max).contains(value)).ok_or_else(|| {
            let names = match self.names {
                [first, .., last] => format!(" or {first} to {last}"),
                _ => String::new(),
            };
            format!("use {} to {}{names}, *, a list 1,2, a range 1-5 or a step */5", self.min, self.max)
        })
    }
}

/// Takes `L` out of a day-of-month field.
fn split_last_day(field: &str) -> (bool, String) {
    let is_last = |item: &&str| item.eq_ignore_ascii_case("l");
    let rest: Vec<&str> = field.split(',').filter(|item| !is_last(item)).collect();
    (field.split(',').any(|item| is_last(&item)), rest.join(","))
}

pub(super) fn minute_of(wall: DateTime) -> u16 {
    u16::from(wall.hour().unsigned_abs()) * 60 + u16::from(wall.minute().unsigned_abs())
}

pub(super) fn weekday_of(date: Date) -> u16 {
    date.weekday().to_sunday_zero_offset().unsigned_abs().into()
}

fn month_of(date: Date) -> u16 {
    date.month().unsigned_abs().into()
}

/// The wall-clock time of a minute of a day, up to and including the end of the day.
pub(super) fn wall(date: Date, minute: u16) -> Option<DateTime> {
    if minute == DAY {
        return date.tomorrow().ok().map(|date| date.at(0, 0, 0, 0));
    }
    let (hour, minute) = (i8::try_from(minute / 60).ok()?, i8::try_from(minute % 60).ok()?);
    Some(date.at(hour, minute, 0, 0))
}
