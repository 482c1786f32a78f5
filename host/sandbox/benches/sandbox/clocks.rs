//! Time of this process and memory of this process.
//!
//! Processor time of our calls is that of the whole process, the clock of the deadlines included; nothing else runs in it
//! meanwhile. Calls of the baselines use one thread and are charged for that alone.

use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};
use serde_json::{Value, json};

use crate::Fallible;

/// A variant's calls of one round are made in so many parts, between those of the others: what else the machine does comes
/// and goes within a round.
const PARTS: u32 = 8;
/// A part lasts about so long,
const PART: Duration = Duration::from_millis(10);
/// and has so many calls at least: the first ones of a part find nothing of theirs in the processor's caches.
const FEWEST: u32 = 16;

/// Microseconds of one call.
#[derive(Clone, Copy)]
pub(crate) struct Took {
    cpu: f64,
    wall: f64,
}

/// Something that is called over and over: it takes a number of calls and makes them.
pub(crate) type Calls<'a> = Box<dyn FnMut(u32) -> Fallible<()> + 'a>;

/// A variant: its name, whose processor time counts, and its calls.
pub(crate) type Variant<'a> = (&'a str, ClockId, Calls<'a>);

/// Lets every variant have its turn in every round, part by part, and gives its figures by name: `{cpu_us: […], wall_us:
/// […]}`, one for each round. What others do on the machine meets all variants of a round alike, so ratios are to be taken within it.
pub(crate) fn in_turns(variants: &mut [Variant<'_>], rounds: usize) -> Fallible<Value> {
    let mut counts = Vec::new();
    for (_, _, calls) in variants.iter_mut() {
        counts.push(count(calls)?.max(FEWEST));
    }
    let mut took: Vec<Vec<Took>> = variants.iter().map(|_| Vec::new()).collect();
    for _ in 0..rounds.max(1) {
        let mut round = vec![(Duration::ZERO, Duration::ZERO); counts.len()];
        for _ in 0..PARTS {
            for (((_, clock, calls), count), (cpu, wall)) in variants.iter_mut().zip(&counts).zip(&mut round) {
                let (used, began) = (processor(*clock), Instant::now());
                calls(*count)?;
                *cpu += processor(*clock).saturating_sub(used);
                *wall += began.elapsed();
            }
        }
        for ((took, (cpu, wall)), count) in took.iter_mut().zip(round).zip(&counts) {
            let each = |all: Duration| all.as_secs_f64() * 1e6 / f64::from(count * PARTS);
            took.push(Took { cpu: each(cpu), wall: each(wall) });
        }
    }
    let mut all = serde_json::Map::new();
    for ((name, ..), took) in variants.iter().zip(&took) {
        let of = |pick: fn(&Took) -> f64| took.iter().map(pick).collect::<Vec<f64>>();
        all.insert((*name).to_owned(), json!({ "cpu_us": of(|t| t.cpu), "wall_us": of(|t| t.wall) }));
    }
    Ok(Value::Object(all))
}

/// Calls of `PART`, found by calling: which also warms everything up.
fn count(calls: &mut Calls<'_>) -> Fallible<u32> {
    let mut count = 4;
    loop {
        let began = Instant::now();
        calls(count)?;
        let took = began.elapsed();
        if took >= PART * 2 {
            let one = took.as_secs_f64() / f64::from(count);
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "some milliseconds")]
            return Ok((PART.as_secs_f64() / one) as u32);
        }
        count *= 2;
    }
}

/// Processor time so far.
pub(crate) fn processor(clock: ClockId) -> Duration {
    let now = clock_gettime(clock);
    let part = |value: i64| u64::try_from(value).unwrap_or_default();
    Duration::from_secs(part(now.tv_sec)) + Duration::from_nanos(part(now.tv_nsec))
}

/// Memory of this process in RAM, in KiB.
pub(crate) fn resident() -> Fallible<u64> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).ok_or("no `VmRSS` in /proc/self/status")?;
    Ok(line.trim().trim_end_matches(" kB").parse()?)
}
