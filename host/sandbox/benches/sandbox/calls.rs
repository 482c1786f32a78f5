//! Microseconds of each kind of call: native, bare, ours.
//!
//! All of them are made one after the other, each waited for.

use std::hint::black_box;

use rustix::time::ClockId;
use serde_json::{Value, json};
use tokio::runtime::{Builder, Runtime};

use crate::bare::Bare;
use crate::clocks::{Calls, in_turns};
use crate::hosted::{self, Hosted};
use crate::{Fallible, ORDER, label};

/// Host calls of one call, when host calls are measured.
const HOST_CALLS: &str = "1000";
const ALONE: ClockId = ClockId::ThreadCPUTime;
const WHOLE: ClockId = ClockId::ProcessCPUTime;

pub(crate) fn measure(adapter: &[u8], rounds: usize) -> Fallible<Value> {
    let on = Builder::new_current_thread().enable_all().build()?;
    let ours = on.block_on(async { Hosted::new(adapter, hosted::sandbox(hosted::limits(64), 2, None)?).await })?;
    let (bare, checked) = (Bare::new(adapter, false)?, Bare::new(adapter, true)?);
    let fresh = in_turns(
        &mut [
            ("bare", ALONE, calls(&on, || async { bare.instance().await.map(drop) })),
            ("bare_epochs", ALONE, calls(&on, || async { checked.instance().await.map(drop) })),
        ],
        rounds,
    )?;
    let empty = in_turns(
        &mut [
            ("bare", ALONE, calls(&on, || bare.empty())),
            ("bare_epochs", ALONE, calls(&on, || checked.empty())),
            ("ours", WHOLE, calls(&on, || ours.empty())),
        ],
        rounds,
    )?;
    let ship = in_turns(
        &mut [
            ("native", ALONE, native()),
            ("bare", ALONE, calls(&on, || bare.ship())),
            ("bare_epochs", ALONE, calls(&on, || checked.ship())),
            ("ours", WHOLE, calls(&on, || ours.ship())),
        ],
        rounds,
    )?;
    let document = in_turns(
        &mut [
            ("native", ALONE, native()),
            ("bare", ALONE, calls(&on, || bare.ship_document())),
            ("bare_epochs", ALONE, calls(&on, || checked.ship_document())),
            ("ours", WHOLE, calls(&on, || ours.ship_document())),
        ],
        rounds,
    )?;
    let host_calls = in_turns(
        &mut [
            ("bare", ALONE, calls(&on, || bare.host_calls(HOST_CALLS))),
            ("bare_epochs", ALONE, calls(&on, || checked.host_calls(HOST_CALLS))),
            ("ours", WHOLE, calls(&on, || ours.host_calls(HOST_CALLS))),
        ],
        rounds,
    )?;
    Ok(json!({ "fresh": fresh, "empty": empty, "ship": ship, "document": document, "host_calls": host_calls }))
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

fn native() -> Calls<'static> {
    Box::new(|count| {
        for _ in 0..count {
            let label = label::print(black_box(ORDER))?;
            black_box((label.text, label.order));
        }
        Ok(())
    })
}
