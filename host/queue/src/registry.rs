//! Which handler runs which kind. Filled explicitly, once, where the program is wired.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::handler::Handler;

/// Handlers by kind.
#[derive(Default)]
pub struct Registry(BTreeMap<String, Arc<dyn Handler>>);

impl Registry {
    pub fn new() -> Self {
        Self::default()
    }

    /// Names the handler of a kind; the last one named wins.
    pub fn register(&mut self, kind: impl Into<String>, handler: Arc<dyn Handler>) -> &mut Self {
        self.0.insert(kind.into(), handler);
        self
    }

    /// The registered kinds, sorted.
    pub fn kinds(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    pub(crate) fn get(&self, kind: &str) -> Option<Arc<dyn Handler>> {
        self.0.get(kind).cloned()
    }
}
