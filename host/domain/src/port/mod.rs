//! What the business asks of the outside, as traits. `flows` and `api` know these and nothing behind them.

pub mod carrier;
pub mod erp;
pub mod peaks;
pub mod records;
pub mod vault;
