//! Hostile input for code that reads what others wrote: bytes changed at random, for a bounded time, on stable Rust.
//!
//! A target is an ordinary test called `p14_<target>`, beside the code it feeds. It starts from well-formed seeds, changes
//! them, and keeps as a further seed whatever made the code end in a way not seen before: its error, with names and
//! numbers taken out, stands in for the coverage that only a nightly compiler would measure. One seed of randomness gives the
//! same inputs every time.
//!
//! A finding is a panic, a broken invariant (which is an assertion of the target), an input that takes longer than
//! [`SLOWEST`], a process larger than [`LARGEST`], or the end of the process. The input is on disk before it is looked at,
//! so it survives even that; after a panic it is made as small as a few seconds allow. `cargo xtask fuzz` runs the same
//! tests for longer.

#![expect(clippy::expect_used, clippy::print_stdout, reason = "it is part of tests: it fails and speaks as they do")]

mod keep;
mod mutate;
mod shape;
#[cfg(feature = "wasm")]
pub mod wasm;

use std::collections::HashSet;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};

use keep::Keep;
pub use shape::shape;

/// Longer over one input is a finding.
pub const SLOWEST: Duration = Duration::from_secs(10);
/// More resident bytes of the process are a finding, where the system tells them.
pub const LARGEST: u64 = 1 << 30;
/// How long a target runs when nobody says otherwise.
const USUALLY: Duration = Duration::from_secs(3);
/// Seeds beyond these are not kept.
const MOST_SEEDS: usize = 5_000;
/// How long a finding is made smaller.
const SHRINKING: Duration = Duration::from_secs(5);

/// One piece of code, and what it is fed with.
pub struct Target {
    name: &'static str,
    seeds: Vec<Vec<u8>>,
    words: Vec<Vec<u8>>,
    longest: usize,
    setup: Setup,
}

/// What the one who started the test wants.
struct Setup {
    time: Duration,
    seed: u64,
    /// Look at this input and at no other.
    input: Option<Vec<u8>>,
}

impl Setup {
    #[expect(clippy::disallowed_methods, reason = "`cargo xtask fuzz` has no other way to reach a test")]
    fn of_environment() -> Self {
        let number = |name: &str| std::env::var(name).ok().map(|text| text.parse::<u64>().expect("a number"));
        let input = std::env::var("WHARF_FUZZ_INPUT").ok();
        Self {
            time: number("WHARF_FUZZ_SECONDS").map_or(USUALLY, Duration::from_secs),
            seed: number("WHARF_FUZZ_SEED").unwrap_or(1),
            input: input.map(|path| std::fs::read(path).expect("`WHARF_FUZZ_INPUT` names a file")),
        }
    }
}

impl Target {
    /// The target of the test `p14_<name>`.
    pub fn new(name: &'static str) -> Self {
        Self { name, seeds: Vec::new(), words: Vec::new(), longest: 4 << 10, setup: Setup::of_environment() }
    }

    /// Well-formed inputs to start from.
    pub fn seeds<S: Into<Vec<u8>>>(mut self, seeds: impl IntoIterator<Item = S>) -> Self {
        self.seeds.extend(seeds.into_iter().map(Into::into));
        self
    }

    /// What the code knows by name, so that it need not be guessed.
    pub fn words<S: AsRef<[u8]>>(mut self, words: impl IntoIterator<Item = S>) -> Self {
        self.words.extend(words.into_iter().map(|word| word.as_ref().to_vec()));
        self
    }

    /// Bytes of the longest input; 4 KiB unless said. Seeds may be longer.
    pub fn longest(mut self, bytes: usize) -> Self {
        self.longest = bytes;
        self
    }

    /// Feeds `look` until the time is over. What it gives back says how it ended; an end not seen before makes its input
    /// a seed.
    ///
    /// # Panics
    /// With the first finding, and when not one seed was given.
    pub fn run<E: Hash>(self, look: impl Fn(&[u8]) -> E) {
        let look = |input: &[u8]| {
            let mut hasher = DefaultHasher::new();
            look(input).hash(&mut hasher);
            hasher.finish()
        };
        if let Some(input) = &self.setup.input {
            let end = look(input);
            assert!(end == look(input), "the same input ended in two ways");
            return;
        }
        assert!(!self.seeds.is_empty(), "target `{}` has no seed", self.name);
        let mut hunt = Hunt::new(&self, Keep::open(self.name).expect("a folder for findings"));
        hunt.go(&look);
        hunt.close();
    }
}

/// One run of a target.
struct Hunt<'t> {
    target: &'t Target,
    pool: Vec<Vec<u8>>,
    seen: HashSet<u64>,
    rng: SmallRng,
    keep: Keep,
    executions: u64,
    slowest: Duration,
    began: Instant,
}

impl<'t> Hunt<'t> {
    fn new(target: &'t Target, keep: Keep) -> Self {
        Self {
            target,
            pool: Vec::new(),
            seen: HashSet::new(),
            rng: SmallRng::seed_from_u64(target.setup.seed),
            keep,
            executions: 0,
            slowest: Duration::ZERO,
            began: Instant::now(),
        }
    }

    fn go(&mut self, look: &dyn Fn(&[u8]) -> u64) {
        for seed in &self.target.seeds {
            self.one(seed.clone(), look);
            // Two that end the same way are two places to start from all the same.
            if !self.pool.contains(seed) {
                self.pool.push(seed.clone());
            }
        }
        while self.began.elapsed() < self.target.setup.time {
            let input = self.changed();
            self.one(input, look);
        }
    }

    /// A seed with some changes: one of the first ones, one of the younger half, or any.
    fn changed(&mut self) -> Vec<u8> {
        let all = self.pool.len();
        let some = match self.rng.random_range(0..3) {
            0 => 0..self.target.seeds.len().min(all),
            1 => all / 2..all,
            _ => 0..all,
        };
        let at = self.rng.random_range(some);
        let other = self.rng.random_range(0..self.pool.len());
        let longest = self.target.longest.max(self.pool[at].len());
        let mut input = self.pool[at].clone();
        mutate::change(&mut input, &self.pool[other], &self.target.words, longest, &mut self.rng);
        input
    }

    fn one(&mut self, input: Vec<u8>, look: &dyn Fn(&[u8]) -> u64) {
        self.keep.about_to_look_at(&input).expect("the input is kept");
        let before = Instant::now();
        let ended = catch_unwind(AssertUnwindSafe(|| look(&input)));
        let took = before.elapsed();
        self.executions += 1;
        self.slowest = self.slowest.max(took);
        let Ok(end) = ended else {
            let input = smaller(input, look);
            self.found("it panicked", &input);
        };
        if took > SLOWEST {
            self.found(&format!("it took {} ms", took.as_millis()), &input);
        }
        if self.seen.insert(end) && self.pool.len() < MOST_SEEDS || self.pool.is_empty() {
            self.pool.push(input);
        }
    }

    fn found(&mut self, what: &str, input: &[u8]) -> ! {
        let path = self.keep.finding(input).expect("the finding is kept");
        let (name, path) = (self.target.name, path.display());
        panic!(
            "target `{name}`: {what} at execution {} on an input of {} bytes, kept in {path}; look at it alone with \
             `cargo xtask fuzz --target {name} --input {path}`",
            self.executions,
            input.len()
        );
    }

    fn close(self) {
        let peak = keep::peak();
        let took = self.began.elapsed();
        let (ends, slowest) = (self.seen.len(), self.slowest.as_millis());
        println!(
            "{}: {} executions in {} s, {ends} ways to end, the slowest took {slowest} ms",
            self.target.name,
            self.executions,
            took.as_secs()
        );
        self.keep.report(self.executions, ends, took, peak).expect("a report");
        assert!(peak.is_none_or(|bytes| bytes < LARGEST), "the process grew to {peak:?} bytes");
        // A target that always ends the same way reads nothing.
        assert!(ends > 1, "all {} inputs of `{}` ended the same way", self.executions, self.target.name);
    }
}

/// A shorter input that panics too: pieces are left out as long as it still does.
fn smaller(mut input: Vec<u8>, look: &dyn Fn(&[u8]) -> u64) -> Vec<u8> {
    let until = Instant::now() + SHRINKING;
    let mut size = (input.len() / 2).max(1);
    loop {
        let (mut at, mut shrunk) = (0, false);
        while at < input.len() {
            if Instant::now() > until {
                return input;
            }
            let mut without = input.clone();
            without.drain(at..(at + size).min(input.len()));
            if keep::quietly(|| catch_unwind(AssertUnwindSafe(|| look(&without)))).is_err() {
                (input, shrunk) = (without, true);
            } else {
                at += size;
            }
        }
        if size == 1 && !shrunk {
            return input;
        }
        size = (size / 2).max(1);
    }
}

#[cfg(test)]
mod tests;
