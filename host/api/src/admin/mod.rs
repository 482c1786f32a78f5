//! What operators read. One file per resource.

pub(crate) mod exceptions;
pub(crate) mod flows;
pub(crate) mod jobs;
