//! What the developer sees. The only place of this crate that prints.

use std::time::{Duration, Instant};

use anyhow::Result;

/// One line on standard output.
#[expect(clippy::print_stdout, reason = "a command line tool talks on standard output")]
pub(crate) fn say(text: &str) {
    println!("{text}");
}

/// One line on standard error.
#[expect(clippy::print_stderr, reason = "a command line tool complains on standard error")]
pub(crate) fn complain(text: &str) {
    eprintln!("{text}");
}

/// Announces the work, does it, and says how long it took.
pub(crate) fn step<T>(name: &str, work: impl FnOnce() -> Result<T>) -> Result<T> {
    say(&format!("==> {name}"));
    let began = Instant::now();
    let done = work()?;
    say(&format!("    {name}: {}", seconds(began.elapsed())));
    Ok(done)
}

/// The steps of a longer command and their durations, for the closing table.
#[derive(Default)]
pub(crate) struct Summary {
    rows: Vec<(String, Duration, bool)>,
}

impl Summary {
    /// Runs the step and notes how it went; true when it went well. A failure does not stop the next step, only
    /// Ctrl-C does.
    pub(crate) fn step(&mut self, name: &str, work: impl FnOnce() -> Result<()>) -> bool {
        if crate::run::interrupted() {
            return false;
        }
        let began = Instant::now();
        let outcome = step(name, work);
        if let Err(error) = &outcome {
            complain(&format!("error: {name}: {error:#}"));
        }
        self.rows.push((name.to_owned(), began.elapsed(), outcome.is_ok()));
        outcome.is_ok()
    }

    /// Prints the table; an error when a step failed.
    pub(crate) fn close(self) -> Result<()> {
        say("");
        for (name, took, good) in &self.rows {
            say(&format!("  {:<6} {name:<32} {:>9}", if *good { "ok" } else { "FAILED" }, seconds(*took)));
        }
        let failed: Vec<&str> = self.rows.iter().filter(|(_, _, good)| !good).map(|(name, ..)| name.as_str()).collect();
        anyhow::ensure!(failed.is_empty(), "failed: {}", failed.join(", "));
        Ok(())
    }
}

/// `0.4 s`, `12 s`, `3 min 05 s`.
pub(crate) fn seconds(took: Duration) -> String {
    match took.as_secs() {
        0..=9 => format!("{:.1} s", took.as_secs_f64()),
        10..=119 => format!("{} s", took.as_secs()),
        longer => format!("{} min {:02} s", longer / 60, longer % 60),
    }
}

/// A wait that tells every five seconds that it still goes on.
pub(crate) struct Waiting {
    what: String,
    began: Instant,
    told: Instant,
}

impl Waiting {
    pub(crate) fn for_(what: &str) -> Self {
        let now = Instant::now();
        Self { what: what.to_owned(), began: now, told: now }
    }

    /// Call it on every turn of the wait. `detail` says what is being waited for just now; empty when unknown.
    pub(crate) fn tick(&mut self, detail: &str) {
        if self.told.elapsed() >= Duration::from_secs(5) {
            self.told = Instant::now();
            let dash = if detail.is_empty() { "" } else { ": " };
            say(&format!("    waiting for {} ({}){dash}{detail}", self.what, seconds(self.began.elapsed())));
        }
    }

    pub(crate) fn elapsed(&self) -> Duration {
        self.began.elapsed()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_read_like_a_person_would_say_them() {
        let shown = [400, 9_900, 61_000, 185_000].map(|ms| seconds(Duration::from_millis(ms)));
        assert_eq!(shown, ["0.4 s", "9.9 s", "61 s", "3 min 05 s"]);
    }

    #[test]
    fn a_failed_step_fails_the_summary_and_does_not_stop_the_next() {
        let mut summary = Summary::default();
        assert!(!summary.step("first", || anyhow::bail!("broken")));
        assert!(summary.step("second", || Ok(())));
        assert_eq!(summary.close().unwrap_err().to_string(), "failed: first");
    }
}
