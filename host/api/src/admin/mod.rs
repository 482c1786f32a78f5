//! What people see and do. Answers are the store's rows as JSON; times are milliseconds since 1970 (UTC).

pub(crate) mod exceptions;
pub(crate) mod flows;
pub(crate) mod jobs;
