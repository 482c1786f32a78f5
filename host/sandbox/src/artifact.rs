//! Compiled adapters on disk. The name is the component's digest plus a hash of everything that decides compatibility,
//! so a new engine version or setting never meets an old artifact.
//!
//! Loading machine code trusts its bytes completely. Only what this host's own compiler made is loaded: straight from
//! it, or from the cache folder only this host writes; input that already is compiled code is refused before it gets
//! here.

use std::hash::{Hash, Hasher};
use std::io::Write;
use std::path::{Path, PathBuf};

use wasmtime::Engine;
use wasmtime::component::Component;
use wharf_domain::ids::Digest;

/// A folder of compiled adapters, private to this host.
#[derive(Debug, Clone)]
pub(crate) struct ArtifactCache {
    dir: PathBuf,
}

impl ArtifactCache {
    pub(crate) fn new(dir: &Path) -> std::io::Result<Self> {
        std::fs::create_dir_all(dir)?;
        restrict(dir)?;
        Ok(Self { dir: dir.to_owned() })
    }

    /// The compiled component, when it is there and whole.
    pub(crate) fn load(&self, engine: &Engine, digest: &Digest) -> Option<Component> {
        let path = self.path(engine, digest);
        if !path.exists() {
            return None;
        }
        match deserialize(engine, &path) {
            Ok(component) => Some(component),
            // A cut file (disk full, power loss) is not fatal: it is compiled again and replaced.
            Err(error) => {
                tracing::warn!(file = %path.display(), %error, "compiled adapter unreadable; compiling again");
                None
            }
        }
    }

    /// Keeps what the compiler made and loads it. A full disk costs the next start a compilation, and nothing else.
    pub(crate) fn keep(&self, engine: &Engine, digest: &Digest, code: &[u8]) -> wasmtime::Result<Component> {
        let component = trusted(engine, code)?;
        if let Err(error) = self.write(&self.path(engine, digest), code) {
            tracing::warn!(%digest, %error, "compiled adapter not cached");
        }
        Ok(component)
    }

    fn path(&self, engine: &Engine, digest: &Digest) -> PathBuf {
        let mut hasher = std::hash::DefaultHasher::new();
        engine.precompile_compatibility_hash().hash(&mut hasher);
        self.dir.join(format!("{}-{:016x}.cwasm", digest.hex(), hasher.finish()))
    }

    /// Whole file or none: written beside, synced, renamed.
    fn write(&self, path: &Path, compiled: &[u8]) -> std::io::Result<()> {
        let temporary = self.dir.join(format!(".{}.{:?}.part", std::process::id(), std::thread::current().id()));
        let mut file = std::fs::File::create(&temporary)?;
        file.write_all(compiled)?;
        file.sync_all()?;
        std::fs::rename(&temporary, path)
    }
}

/// Machine code as the host's own compiler has just made it.
#[expect(unsafe_code, reason = "the bytes come from this host's own compiler, over a pipe nobody else holds")]
pub(crate) fn trusted(engine: &Engine, code: &[u8]) -> wasmtime::Result<Component> {
    // SAFETY: see the reason above; wasmtime itself checks version and configuration.
    unsafe { Component::deserialize(engine, code) }
}

#[expect(
    unsafe_code,
    reason = "the file was written by this host into a folder only it can write, keyed by digest and settings"
)]
fn deserialize(engine: &Engine, path: &Path) -> wasmtime::Result<Component> {
    // SAFETY: see the reason above; wasmtime itself checks version and configuration.
    unsafe { Component::deserialize_file(engine, path) }
}

#[cfg(unix)]
fn restrict(dir: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(dir, std::fs::Permissions::from_mode(0o700))
}
