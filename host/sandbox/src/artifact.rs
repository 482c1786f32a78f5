//! Compiled adapters on disk. The name is the component's digest plus a hash of everything that decides compatibility,
//! so a new engine version or setting never meets an old artifact.
//!
//! Loading machine code trusts its bytes completely. Only files this host wrote into its own cache folder are loaded;
//! input that already is compiled code is refused before it gets here.

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

    /// The compiled component, from the cache when it is there.
    pub(crate) fn load_or_compile(
        &self,
        engine: &Engine,
        digest: &Digest,
        bytes: &[u8],
    ) -> wasmtime::Result<Component> {
        let path = self.path(engine, digest);
        if path.exists() {
            match deserialize(engine, &path) {
                Ok(component) => return Ok(component),
                // A cut file (disk full, power loss) is not fatal: compile again and replace it.
                Err(e) => {
                    tracing::warn!(file = %path.display(), error = %e, "compiled adapter unreadable; compiling again")
                }
            }
        }
        let component = Component::from_binary(engine, bytes)?;
        let cached = component.serialize().map_err(|e| std::io::Error::other(format!("{e:#}")));
        if let Err(e) = cached.and_then(|compiled| self.write(&path, &compiled)) {
            tracing::warn!(file = %path.display(), error = %e, "compiled adapter not cached");
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
