//! The hours in which a schedule may run.

use jiff::civil::{Date, DateTime};
use serde::{Deserialize, Serialize};

use super::ScheduleError;
use super::cron::{self, Values};

pub(super) const DAY: u16 = 24 * 60;

/// From one local time to another, on some days. A window that ends at or before its start ends on the next day; `days`
/// are the days on which it opens.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Text", into = "Text")]
pub struct Window {
    /// Minute of the day, inclusive.
    from: u16,
    /// Minute of the day, exclusive; never `from`.
    to: u16,
    days: Values,
    /// `days` as it was written.
    days_text: String,
}

/// As `wharf.toml` writes it.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Text {
    /// `HH:MM`, local.
    from: String,
    /// `HH:MM`, local; `24:00` is the end of the day.
    to: String,
    /// Days of the week as in a cron expression, e.g. `mon-fri`. Absent: every day.
    #[serde(default = "every_day")]
    days: String,
}

fn every_day() -> String {
    "*".to_owned()
}

impl Window {
    /// `from` and `to` as `HH:MM`, `days` as the day-of-week field of a cron expression.
    pub fn parse(from: &str, to: &str, days: &str) -> Result<Self, ScheduleError> {
        let window = Self {
            from: minute_of_day("window.from", from, "23:59")?,
            to: minute_of_day("window.to", to, "24:00")?,
            days: cron::WEEKDAY.parse("window.days", days)?,
            days_text: days.to_owned(),
        };
        if window.from == window.to {
            let remedy = "it must differ from window.from; write 00:00 to 24:00 for the whole day";
            return Err(ScheduleError::new("window.to", to, remedy));
        }
        Ok(window)
    }

    pub(super) fn contains(&self, wall: DateTime) -> bool {
        let minute = cron::minute_of(wall);
        let today = self.opens_on(wall.date());
        if self.from < self.to {
            return today && (self.from..self.to).contains(&minute);
        }
        let yesterday = wall.date().yesterday().is_ok_and(|date| self.opens_on(date));
        (today && minute >= self.from) || (yesterday && minute < self.to)
    }

    /// The first opening after `wall`; `None` at the end of the calendar.
    pub(super) fn next_opening(&self, wall: DateTime) -> Option<DateTime> {
        let mut date = wall.date();
        loop {
            let opening = cron::wall(date, self.from)?;
            if self.opens_on(date) && opening > wall {
                return Some(opening);
            }
            date = date.tomorrow().ok()?;
        }
    }

    /// The last closing at or before `wall`; `None` at the start of the calendar.
    pub(super) fn last_closing(&self, wall: DateTime) -> Option<DateTime> {
        let mut date = wall.date();
        loop {
            let closing_day = if self.from < self.to { date } else { date.tomorrow().ok()? };
            let closing = cron::wall(closing_day, self.to)?;
            if self.opens_on(date) && closing <= wall {
                return Some(closing);
            }
            date = date.yesterday().ok()?;
        }
    }

    fn opens_on(&self, date: Date) -> bool {
        self.days.has(cron::weekday_of(date))
    }
}

fn minute_of_day(field: &'static str, text: &str, latest: &str) -> Result<u16, ScheduleError> {
    let number = |part: &str| match part.len() {
        2 if part.bytes().all(|byte| byte.is_ascii_digit()) => part.parse::<u16>().ok(),
        _ => None,
    };
    let minute = text.split_once(':').and_then(|(hour, minute)| match (number(hour)?, number(minute)?) {
        (hour, minute) if hour < 24 && minute < 60 => Some(hour * 60 + minute),
        (24, 0) if latest == "24:00" => Some(DAY),
        _ => None,
    });
    minute.ok_or_else(|| ScheduleError::new(field, text, format!("use HH:MM from 00:00 to {latest}")))
}

impl TryFrom<Text> for Window {
    type Error = ScheduleError;
    fn try_from(text: Text) -> Result<Self, ScheduleError> {
        Self::parse(&text.from, &text.to, &text.days)
    }
}

impl From<Window> for Text {
    fn from(window: Window) -> Self {
        let time = |minute: u16| format!("{:02}:{:02}", minute / 60, minute % 60);
        Self { from: time(window.from), to: time(window.to), days: window.days_text }
    }
}

impl std::fmt::Display for Window {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Text { from, to, days } = self.clone().into();
        write!(f, "{from} to {to} on {days}")
    }
}
