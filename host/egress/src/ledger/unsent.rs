//! Sends that put no byte on the wire and could not be told so to the database: its answer to "sending" never came, or
//! "not sent" could not be stored. Whoever finds such a row later would have to call the outcome unknown; this host was
//! there, and knows.
//!
//! Only what happened in this process counts, and only until the same attempt does send.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use wharf_domain::ids::EffectId;

/// Older ones are forgotten: their rows are treated as if nobody had been there.
const MOST: usize = 10_000;

#[derive(Default)]
pub(super) struct Unsent(Mutex<VecDeque<(EffectId, i64)>>);

impl Unsent {
    /// The attempt under this fence has ended without a byte on the wire.
    pub(super) fn remember(&self, effect: &EffectId, fence: i64) {
        let mut unsent = self.lock();
        if unsent.len() >= MOST {
            unsent.pop_front();
        }
        unsent.push_back((*effect, fence));
    }

    /// The attempt under this fence is about to send.
    pub(super) fn forget(&self, effect: &EffectId, fence: i64) {
        self.lock().retain(|known| *known != (*effect, fence));
    }

    pub(super) fn knows(&self, effect: &EffectId, fence: i64) -> bool {
        self.lock().contains(&(*effect, fence))
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<(EffectId, i64)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
