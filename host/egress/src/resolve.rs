//! Names to addresses. One question per connection; whoever asks twice may be told two things.

use std::io;
use std::net::IpAddr;

use async_trait::async_trait;

/// Something that knows the addresses of names.
#[async_trait]
pub trait Resolve: Send + Sync {
    /// Every address of a name, behind whatever aliases, as they stand now. Nothing is kept: what was true a second ago
    /// is no reason to dial.
    async fn resolve(&self, name: &str) -> io::Result<Vec<IpAddr>>;
}

/// The resolver of the operating system.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemNames;

#[async_trait]
impl Resolve for SystemNames {
    async fn resolve(&self, name: &str) -> io::Result<Vec<IpAddr>> {
        Ok(tokio::net::lookup_host((name, 0)).await?.map(|addr| addr.ip()).collect())
    }
}
