//! Ship-sized calls per second on one thread of the host and on two, with as many calls under way; guests have as many
//! threads for what takes longer. The same for the bare baseline.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::{Duration, Instant};

use rustix::time::ClockId;
use serde_json::{Map, Value, json};
use tokio::runtime::{Builder, Runtime};
use tokio::task::JoinSet;

use crate::Fallible;
use crate::bare::Bare;
use crate::clocks::processor;
use crate::hosted::{self, Hosted};

const TURN: Duration = Duration::from_millis(500);

pub(crate) fn measure(adapter: &[u8], rounds: usize) -> Fallible<Value> {
    let bare = Arc::new(Bare::new(adapter, true)?);
    let mut figures: Map<String, Value> = Map::new();
    let mut note = |name: String, (rate, cpu_us): (f64, f64)| {
        let row = figures.entry(name).or_insert_with(|| json!({ "per_second": [], "cpu_us": [] }));
        for (key, figure) in [("per_second", rate), ("cpu_us", cpu_us)] {
            if let Some(list) = row[key].as_array_mut() {
                list.push(json!(figure));
            }
        }
    };
    let mut hosts = Vec::new();
    for threads in [1_u32, 2] {
        let on = Builder::new_multi_thread().worker_threads(threads as usize).enable_all().build()?;
        let sandbox = hosted::sandbox(hosted::limits(64), threads as usize, None)?;
        let ours = Arc::new(on.block_on(Hosted::new(adapter, sandbox))?);
        hosts.push((threads, on, ours));
    }
    for _ in 0..rounds.max(1) {
        for (threads, on, ours) in &hosts {
            let bare = turn(on, *threads, &bare, |bare| async move { bare.ship().await })?;
            note(format!("bare_{threads}"), bare);
            let ours = turn(on, *threads, ours, |ours| async move { ours.ship().await })?;
            note(format!("ours_{threads}"), ours);
        }
    }
    Ok(Value::Object(figures))
}

/// Calls per second of all lanes together, and microseconds of processor time of one call.
fn turn<A, F, T>(runtime: &Runtime, lanes: u32, of: &Arc<A>, one: F) -> Fallible<(f64, f64)>
where
    A: Send + Sync + 'static,
    F: Fn(Arc<A>) -> T + Copy + Send + 'static,
    T: Future<Output = Fallible<()>> + Send + 'static,
{
    let (over, made) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU32::new(0)));
    let (cpu, began) = (processor(ClockId::ProcessCPUTime), Instant::now());
    runtime.block_on(async {
        let mut running = JoinSet::new();
        for _ in 0..lanes {
            let (of, over, made) = (Arc::clone(of), Arc::clone(&over), Arc::clone(&made));
            running.spawn(async move {
                while !over.load(Ordering::Relaxed) {
                    one(Arc::clone(&of)).await?;
                    made.fetch_add(1, Ordering::Relaxed);
                    // A call that never waits would never let another one run.
                    tokio::task::yield_now().await;
                }
                Fallible::Ok(())
            });
        }
        // Not by the runtime's own clock, which calls that never wait could hold back.
        tokio::task::spawn_blocking(|| std::thread::sleep(TURN)).await?;
        over.store(true, Ordering::Relaxed);
        while let Some(ended) = running.join_next().await {
            ended??;
        }
        Fallible::Ok(())
    })?;
    let (cpu, wall) = (processor(ClockId::ProcessCPUTime).saturating_sub(cpu), began.elapsed());
    let made = f64::from(made.load(Ordering::Relaxed).max(1));
    Ok((made / wall.as_secs_f64(), cpu.as_secs_f64() * 1e6 / made))
}
