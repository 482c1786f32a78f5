//! Microseconds of each kind of call: native, bare, ours.
//!
//! Native and bare calls are made one after the other on one thread, where nothing can be faster. Ours are made as a host
//! makes them: several at once, from the host's runtime to the guests' own, here with one thread each. `ours_alone` is one
//! call after the other, where each hand-over wakes a thread that sleeps.

use std::hint::black_box;
use std::sync::Arc;

use serde_json::{Value, json};
use tokio::runtime::{Builder, Runtime};
use tokio::task::JoinSet;

use crate::bare::Bare;
use crate::clocks::{Calls, in_turns};
use crate::hosted::{self, Hosted};
use crate::{Fallible, ORDER, label};

/// Host calls of one call, when host calls are measured.
const HOST_CALLS: &str = "1000";
/// Calls a thread of the host has under way.
pub(crate) const IN_FLIGHT: u32 = 8;

pub(crate) fn measure(adapter: &[u8], rounds: usize) -> Fallible<Value> {
    let (here, host) = (Builder::new_current_thread().enable_all().build()?, runtime(1)?);
    let sandbox = hosted::sandbox(hosted::limits(64), 1, None)?;
    let ours = Arc::new(host.block_on(Hosted::new(adapter, sandbox))?);
    let (bare, checked) = (Bare::new(adapter, false)?, Bare::new(adapter, true)?);
    let fresh = in_turns(
        &mut [
            ("bare", calls(&here, || async { bare.instance().await.map(drop) })),
            ("bare_epochs", calls(&here, || async { checked.instance().await.map(drop) })),
        ],
        rounds,
    )?;
    let empty = in_turns(
        &mut [
            ("bare", calls(&here, || bare.empty())),
            ("bare_epochs", calls(&here, || checked.empty())),
            ("ours", at_once(&host, &ours, |ours| async move { ours.empty().await })),
            ("ours_alone", calls(&here, || ours.empty())),
        ],
        rounds,
    )?;
    let ship = in_turns(
        &mut [
            ("native", native()),
            ("bare", calls(&here, || bare.ship())),
            ("bare_epochs", calls(&here, || checked.ship())),
            ("ours", at_once(&host, &ours, |ours| async move { ours.ship().await })),
            ("ours_alone", calls(&here, || ours.ship())),
        ],
        rounds,
    )?;
    let document = in_turns(
        &mut [
            ("native", native()),
            ("bare", calls(&here, || bare.ship_document())),
            ("bare_epochs", calls(&here, || checked.ship_document())),
            ("ours", at_once(&host, &ours, |ours| async move { ours.ship_document().await })),
            ("ours_alone", calls(&here, || ours.ship_document())),
        ],
        rounds,
    )?;
    let host_calls = in_turns(
        &mut [
            ("bare", calls(&here, || bare.host_calls(HOST_CALLS))),
            ("bare_epochs", calls(&here, || checked.host_calls(HOST_CALLS))),
            ("ours", at_once(&host, &ours, |ours| async move { ours.host_calls(HOST_CALLS).await })),
        ],
        rounds,
    )?;
    Ok(json!({ "fresh": fresh, "empty": empty, "ship": ship, "document": document, "host_calls": host_calls }))
}

/// The host's runtime.
pub(crate) fn runtime(threads: usize) -> Fallible<Runtime> {
    Ok(Builder::new_multi_thread().worker_threads(threads).enable_all().build()?)
}

/// One call after the other, each waited for.
fn calls<'a, F, T>(runtime: &'a Runtime, one: F) -> Calls<'a>
where
    F: Fn() -> T + 'a,
    T: Future<Output = Fallible<()>>,
{
    Box::new(move |count| {
        runtime.block_on(async {
            for _ in 0..count {
                one().await?;
            }
            Ok(())
        })
    })
}

/// Several calls at once, each followed by the next one.
fn at_once<'a, F, T>(runtime: &'a Runtime, ours: &'a Arc<Hosted>, one: F) -> Calls<'a>
where
    F: Fn(Arc<Hosted>) -> T + Copy + Send + 'static,
    T: Future<Output = Fallible<()>> + Send + 'static,
{
    Box::new(move |count| {
        runtime.block_on(async {
            let mut lanes = JoinSet::new();
            for lane in 0..IN_FLIGHT {
                let (ours, share) = (Arc::clone(ours), count / IN_FLIGHT + u32::from(lane < count % IN_FLIGHT));
                lanes.spawn(async move {
                    for _ in 0..share {
                        one(Arc::clone(&ours)).await?;
                    }
                    Fallible::Ok(())
                });
            }
            while let Some(ended) = lanes.join_next().await {
                ended??;
            }
            Ok(())
        })
    })
}

fn native() -> Calls<'static> {
    Box::new(|count| {
        for _ in 0..count {
            let label = label::print(black_box(ORDER))?;
            black_box((label.text, label.order));
        }
        Ok(())
    })
}
