//! Real servers: shared by processes that are killed, stopped, frozen, dropped.

#[cfg(test)]
mod server;
