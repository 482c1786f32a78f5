//! The only room with wasmtime. It loads adapters, runs one call in one fresh store under limits, and turns what
//! happened into a canonical result or a typed fault.
//!
//! A trap, a limit or a deadline is a fault with blame `guest`: never a panic, never a poisoned host.

mod artifact;
mod call;
mod caps;
pub mod compile;
pub mod diff;
pub mod engine;
mod fault;
mod folder;
#[cfg(test)]
mod fuzz;
mod guest;
mod highs;
pub mod inspect;
mod install;
mod kv;
pub mod limits;
pub mod lookalike;
pub mod manifest;
mod notes;
pub mod package;
mod place;
pub mod prescan;
mod records;
pub mod roles;
mod services;
pub mod surface;
mod turn;
mod warden;

pub use call::{Sandbox, SandboxConfig};
pub use folder::{FolderAnswer, FolderAsk, FolderFile, FolderScope};
pub use guest::forges;
pub use install::{Adapter, LoadError};
pub use limits::Limits;
pub use notes::{Note, What};
pub use roles::Connection;
pub use services::{HostServices, HttpAsk, KvScope, LocalServices, RecordsAsk};

/// Bindings generated from `wit/`. One world names everything; what an adapter exports is probed one by one.
mod bindings {
    wasmtime::component::bindgen!({
        path: "../../wit",
        world: "wharf:worlds/carrier",
        imports: {
            "wharf:log/logger.write": trappable,
            "wharf:clock/wall.now-ms": trappable,
            default: async | trappable,
        },
        exports: { default: async },
    });
}
