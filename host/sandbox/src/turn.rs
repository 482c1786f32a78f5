//! On which thread a call runs.
//!
//! A guest that loops yields only at the ticks of its deadline; on the host's threads it would delay every timer and
//! socket of every tenant. So guests have threads of their own. But handing a call over and getting its answer back wakes
//! two sleeping threads, which costs more than a whole call of a small adapter. So a call begins where it was asked for,
//! and what is not over or waiting by its second tick goes on on the guests' threads. An adapter that often needs longer
//! than that begins there for a long while: what it can hold up is two ticks a call if it is over by then, and otherwise
//! five ticks in a thousand calls, or one for every five calls that are over.

use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::Poll;
use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};
use tokio::runtime::Runtime;

use crate::engine::EPOCH_TICK;

/// Calls an adapter begins aside after one that took too long.
const ASIDE: u32 = 1_000;
/// Turns that are measured after one that seemed to take too long.
const WATCHED: u32 = 1_000;
/// Turns in time that make up for each tick of one that took too long: a machine may make any turn long once in a while.
const MAKE_UP: u32 = 5;
/// Ticks that are not made up for, before calls begin aside.
const TOO_MANY: u32 = 5;

/// After a turn of so long all others that wait for the thread have theirs, even if the call is over: a caller that makes
/// one call after the other, none of which waits for anything, would keep the thread.
const A_WHILE: Duration = Duration::from_micros(250);

/// The threads guests run on. Dropping a runtime inside another one panics unless it happens in the background.
pub(crate) struct GuestThreads(Option<Runtime>);

impl GuestThreads {
    pub(crate) fn new(threads: usize) -> std::io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(threads.max(1))
            .thread_name("wharf-guest")
            // Look at timers after every poll: a looping guest is polled once per tick.
            .event_interval(1)
            // New calls and guests that go on take turns. At 1, all but the last one that yielded would wait until no call
            // is new: for as long as some tenant asks for more calls than there is time for.
            .global_queue_interval(2)
            .enable_time()
            .build()?;
        Ok(Self(Some(runtime)))
    }

    /// `None` only while it is being dropped.
    pub(crate) fn get(&self) -> Option<&Runtime> {
        self.0.as_ref()
    }
}

impl Drop for GuestThreads {
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}

/// What is known of one adapter's first turns.
#[derive(Debug, Default)]
pub(crate) struct Turns {
    /// Calls still to begin on the guests' threads.
    aside: AtomicU32,
    /// Turns whose processor time is still to be measured, since one took long by the wall clock, which on a busy machine
    /// any turn may. Asking for it twice costs more than anything else that is done here, so not every turn's is.
    watched: AtomicU32,
    /// Turns in time that are owed for those that took too long.
    owed: AtomicU32,
}

/// Why a call has no end of its own.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Lost {
    Panicked,
    Cancelled,
}

impl Turns {
    /// Runs `call` to its end, beginning here if it may, or until the caller is gone. A panic ends this call and nothing else.
    pub(crate) async fn run<T, F>(&self, guests: &Runtime, here: bool, mut call: Pin<Box<F>>) -> Result<T, Lost>
    where
        T: Send + 'static,
        F: Future<Output = T> + Send + 'static,
    {
        if here && !one_less(&self.aside) {
            let first = std::future::poll_fn(|cx| {
                // The call's timers belong to the runtime on which it goes on.
                let _entered = guests.enter();
                let used = one_less(&self.watched).then(processor);
                let began = Instant::now();
                let turn = std::panic::catch_unwind(AssertUnwindSafe(|| call.as_mut().poll(cx)));
                let took = began.elapsed();
                // One that is over by its second tick would have held up the thread as long before it was moved. Handed
                // over, the next like it would cost a fifth more.
                let in_time = if matches!(turn, Ok(Poll::Ready(_))) { EPOCH_TICK * 2 } else { EPOCH_TICK };
                if took > in_time {
                    self.watched.store(WATCHED, Ordering::Relaxed);
                    let used = used.map_or(Duration::ZERO, |before| processor().saturating_sub(before));
                    if used > in_time {
                        self.too_long(used);
                    }
                } else {
                    one_less(&self.owed);
                }
                Poll::Ready(turn.map(|turn| turn.map(|done| (done, took))))
            });
            match first.await {
                Ok(Poll::Ready((done, took))) => {
                    if took > A_WHILE {
                        tokio::task::yield_now().await;
                    }
                    return Ok(done);
                }
                Ok(Poll::Pending) => {}
                Err(_) => return Err(Lost::Panicked),
            }
        }
        let mut task = AbortOnDrop(guests.spawn(call));
        (&mut task.0).await.map_err(|e| if e.is_panic() { Lost::Panicked } else { Lost::Cancelled })
    }

    /// A turn held a thread for too long. Two at once may count as one, which only means one more of them.
    fn too_long(&self, used: Duration) {
        let ticks = u32::try_from(used.as_millis() / EPOCH_TICK.as_millis()).unwrap_or(TOO_MANY).min(TOO_MANY);
        let owed = self.owed.load(Ordering::Relaxed) + MAKE_UP * ticks;
        if owed < MAKE_UP * TOO_MANY {
            self.owed.store(owed, Ordering::Relaxed);
        } else {
            self.owed.store(0, Ordering::Relaxed);
            self.aside.store(ASIDE, Ordering::Relaxed);
        }
    }
}

/// Was there something left?
fn one_less(left: &AtomicU32) -> bool {
    left.load(Ordering::Relaxed) > 0
        && left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)).is_ok()
}

/// Processor time of this thread.
fn processor() -> Duration {
    let now = clock_gettime(ClockId::ThreadCPUTime);
    let part = |value: i64| u64::try_from(value).unwrap_or_default();
    Duration::from_secs(part(now.tv_sec)) + Duration::from_nanos(part(now.tv_nsec))
}

/// A call whose caller is gone must not go on.
struct AbortOnDrop<T>(tokio::task::JoinHandle<T>);

impl<T> Drop for AbortOnDrop<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn guests() -> GuestThreads {
        GuestThreads::new(1).expect("threads")
    }

    fn on(guests: &GuestThreads) -> &Runtime {
        guests.get().expect("they are there")
    }

    fn here() -> Option<String> {
        std::thread::current().name().map(str::to_owned)
    }

    #[tokio::test]
    async fn a_call_begins_here_and_goes_on_with_the_guests() {
        let (guests, turns) = (guests(), Turns::default());
        assert_eq!(turns.run(on(&guests), true, Box::pin(async { here() })).await, Ok(here()));
        let call = async {
            let first = here();
            tokio::task::yield_now().await;
            (first, here())
        };
        assert_eq!(turns.run(on(&guests), true, Box::pin(call)).await, Ok((here(), Some("wharf-guest".to_owned()))));
    }

    /// One thread, and more calls that wait for it than guests that were interrupted may have to wait for.
    #[test]
    fn guests_that_yield_and_new_calls_take_turns() {
        use std::sync::Arc;
        use std::sync::atomic::AtomicUsize;

        const GUESTS: usize = 4;
        const TICKS: usize = 10;
        const CALLS: usize = 1_000;
        let (guests, calls) = (guests(), Arc::new(AtomicUsize::new(0)));
        let (open, door) = std::sync::mpsc::channel::<()>();
        let held = on(&guests).spawn(async move { door.recv() });
        let mut yielding = tokio::task::JoinSet::new();
        for _ in 0..GUESTS {
            let calls = Arc::clone(&calls);
            let guest = async move {
                for _ in 0..TICKS {
                    tokio::task::yield_now().await;
                }
                calls.load(Ordering::Relaxed)
            };
            yielding.spawn_on(guest, on(&guests).handle());
        }
        for _ in 0..CALLS {
            let calls = Arc::clone(&calls);
            drop(on(&guests).spawn(async move { calls.fetch_add(1, Ordering::Relaxed) }));
        }
        open.send(()).expect("it waits");
        let (_, first) = on(&guests).block_on(async { (held.await, yielding.join_all().await) });
        let most = GUESTS * TICKS * 2;
        assert!(first.iter().all(|first| (1..=most).contains(first)), "so many new calls came first: {first:?}");
    }

    async fn busy(used: Duration) {
        let began = processor();
        while processor().saturating_sub(began) <= used {}
    }

    /// As many ticks, and then the deadline's.
    async fn moved(ticks: u32) {
        busy(EPOCH_TICK * ticks).await;
        tokio::task::yield_now().await;
    }

    #[tokio::test]
    async fn an_adapter_that_holds_up_a_thread_begins_aside_for_a_thousand_calls() {
        // The first long one is only seen, the others are measured; the one in time between two makes up for a little.
        for (ticks, most) in [(1, TOO_MANY + 2), (3, 3), (TOO_MANY, 2)] {
            let (guests, turns) = (guests(), Turns::default());
            let mut long = 0;
            while turns.aside.load(Ordering::Relaxed) == 0 {
                assert_eq!(turns.run(on(&guests), true, Box::pin(async { here() })).await, Ok(here()));
                assert_eq!(turns.run(on(&guests), true, Box::pin(moved(ticks))).await, Ok(()));
                long += 1;
                assert!(long <= most, "{long} turns of {ticks} ticks");
            }
            for _ in 0..ASIDE {
                assert_eq!(
                    turns.run(on(&guests), true, Box::pin(async { here() })).await,
                    Ok(Some("wharf-guest".to_owned()))
                );
            }
            assert_eq!(turns.run(on(&guests), true, Box::pin(async { here() })).await, Ok(here()));
        }
    }

    #[tokio::test]
    async fn a_turn_that_takes_long_once_in_a_while_puts_nobody_aside() {
        let (guests, turns) = (guests(), Turns::default());
        for _ in 0..20 {
            assert_eq!(turns.run(on(&guests), true, Box::pin(moved(1))).await, Ok(()));
            // More than are owed: the machine may make some of these long, too.
            for _ in 0..4 * MAKE_UP {
                assert_eq!(turns.run(on(&guests), true, Box::pin(async { here() })).await, Ok(here()));
            }
        }
    }

    #[tokio::test]
    async fn an_adapter_whose_calls_are_over_by_their_second_tick_is_not_put_aside() {
        let (guests, turns) = (guests(), Turns::default());
        for _ in 0..200 {
            assert_eq!(turns.run(on(&guests), true, Box::pin(busy(EPOCH_TICK * 3 / 2))).await, Ok(()));
            assert_eq!(turns.aside.load(Ordering::Relaxed), 0);
        }
        // What takes longer than that is.
        for _ in 0..=TOO_MANY {
            assert_eq!(turns.run(on(&guests), true, Box::pin(busy(EPOCH_TICK * 3))).await, Ok(()));
        }
        assert_ne!(turns.aside.load(Ordering::Relaxed), 0);
    }

    #[tokio::test]
    async fn others_have_their_turn_between_two_calls_that_take_a_while() {
        let (guests, turns) = (guests(), Turns::default());
        let others = std::sync::Arc::new(AtomicU32::new(0));
        let counted = std::sync::Arc::clone(&others);
        let mut other = tokio::task::JoinSet::new();
        other.spawn(async move {
            loop {
                counted.fetch_add(1, Ordering::Relaxed);
                tokio::task::yield_now().await;
            }
        });
        for calls in 1..=20 {
            assert_eq!(turns.run(on(&guests), true, Box::pin(busy(A_WHILE))).await, Ok(()));
            assert!(others.load(Ordering::Relaxed) >= calls);
        }
    }

    #[tokio::test]
    async fn a_panic_ends_the_call_on_either_thread() {
        let (guests, turns) = (guests(), Turns::default());
        assert_eq!(
            turns.run(on(&guests), true, Box::pin(async { assert!(here().is_none(), "here") })).await,
            Err(Lost::Panicked)
        );
        let later = async {
            tokio::task::yield_now().await;
            assert!(here().is_none(), "there");
        };
        assert_eq!(turns.run(on(&guests), true, Box::pin(later)).await, Err(Lost::Panicked));
    }
}
