//! A small world for whole-system tests: the twins, an installation in a folder of its own, and the real `wharf` binary.
//!
//! Everything runs as processes of its own on free loopback ports and ends with the value that started it.

mod http;
mod program;
mod world;

pub use http::Http;
pub use program::{Program, binary};
pub use world::{Secrets, Settings, World};
