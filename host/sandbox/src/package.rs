//! From a guest crate to one file: compile, turn the core module into a component, embed the manifest.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use thiserror::Error;
use wit_component::ComponentEncoder;

use crate::inspect::{self, Report};
use crate::manifest::{self, ManifestError};

/// The guest target: no WASI at all.
pub const TARGET: &str = "wasm32-unknown-unknown";
/// The manifest's file name beside the code.
pub const MANIFEST_FILE: &str = "adapter.toml";

/// How to build an adapter.
#[derive(Debug, Clone)]
pub struct BuildOptions {
    /// The adapter's folder: `adapter.toml` and a Cargo package.
    pub dir: PathBuf,
    /// Where `<name>.wasm` goes.
    pub out: PathBuf,
    /// Cargo's target folder; absent means cargo's own choice.
    pub target_dir: Option<PathBuf>,
}

/// Why an adapter could not be built.
#[derive(Debug, Error)]
pub enum PackageError {
    #[error("cannot read `{path}`: {source}")]
    Read { path: PathBuf, source: std::io::Error },
    #[error("cannot write `{path}`: {source}")]
    Write { path: PathBuf, source: std::io::Error },
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    #[error("cannot start `{program}`: {source}; install Rust from your distribution or rustup")]
    Spawn { program: String, source: std::io::Error },
    #[error(
        "the compiler refused the adapter, see above; if it says that the target `{TARGET}` is missing, run `rustup target add {TARGET}` or `cargo xtask adapters`, which finds another way"
    )]
    Compile,
    #[error("the build of `{0}` made no wasm module; its Cargo.toml needs `crate-type = [\"cdylib\"]`")]
    NoModule(PathBuf),
    #[error("the module does not fit its interfaces: {0}")]
    Encode(String),
}

/// A finished adapter file.
#[derive(Debug)]
pub struct Built {
    pub path: PathBuf,
    pub report: Report,
}

/// Builds the adapter in `options.dir`. Compiler output goes to standard error; the environment is cargo's own, so a
/// caller chooses another compiler with `RUSTC` and cargo's settings.
pub fn build(options: &BuildOptions) -> Result<Built, PackageError> {
    let mut manifest = read_manifest(&options.dir)?;
    inline_examples(&options.dir, &mut manifest.examples)?;
    let module = compile(options)?;
    let core = read(&module)?;
    let component = encode(&core)?;
    let bytes = manifest::embed(&component, &manifest)?;
    let report = inspect::report(&bytes)?;
    std::fs::create_dir_all(&options.out)
        .map_err(|source| PackageError::Write { path: options.out.clone(), source })?;
    let path = options.out.join(format!("{}.wasm", manifest.name));
    std::fs::write(&path, &bytes).map_err(|source| PackageError::Write { path: path.clone(), source })?;
    Ok(Built { path, report })
}

/// A component from a core module that carries its interface description.
pub fn encode(core: &[u8]) -> Result<Vec<u8>, PackageError> {
    let encode = || ComponentEncoder::default().validate(true).module(core)?.encode();
    encode().map_err(|e| PackageError::Encode(format!("{e:#}")))
}

fn read_manifest(dir: &Path) -> Result<wharf_domain::manifest::Manifest, PackageError> {
    let path = dir.join(MANIFEST_FILE);
    let text = String::from_utf8_lossy(&read(&path)?).into_owned();
    Ok(manifest::from_toml(&path.display().to_string(), &text)?)
}

/// `"@examples/track.json"` in the manifest stands for that file's content, so that examples stay readable files.
fn inline_examples(dir: &Path, examples: &mut BTreeMap<String, String>) -> Result<(), PackageError> {
    for (function, text) in examples.iter_mut() {
        let Some(file) = text.strip_prefix('@').map(str::to_owned) else {
            continue;
        };
        let content = String::from_utf8_lossy(&read(&dir.join(&file))?).into_owned();
        let json: serde_json::Value = serde_json::from_str(&content)
            .map_err(|e| ManifestError::Rule(format!("`examples.{function}`: `{file}` is not JSON: {e}")))?;
        *text = json.to_string();
    }
    Ok(())
}

fn compile(options: &BuildOptions) -> Result<PathBuf, PackageError> {
    let mut cargo = Command::new("cargo");
    cargo
        .current_dir(&options.dir)
        .args(["build", "--release", "--lib", "--target", TARGET, "--message-format", "json-render-diagnostics"])
        .stdout(Stdio::piped());
    let flags = remaps(&options.dir);
    if !flags.is_empty() {
        cargo.arg("--config").arg(format!("target.{TARGET}.rustflags={}", serde_json::json!(flags)));
    }
    if let Some(dir) = &options.target_dir {
        let absolute = std::path::absolute(dir).unwrap_or_else(|_| dir.clone());
        cargo.arg("--target-dir").arg(absolute);
    }
    let output = cargo
        .stderr(Stdio::inherit())
        .output()
        .map_err(|source| PackageError::Spawn { program: "cargo".to_owned(), source })?;
    if !output.status.success() {
        return Err(PackageError::Compile);
    }
    let here = std::fs::canonicalize(&options.dir).unwrap_or_else(|_| options.dir.clone());
    wasm_artifact(&output.stdout, &here).ok_or_else(|| PackageError::NoModule(options.dir.clone()))
}

/// Compiler flags that keep the folders of the building machine out of the adapter's panic messages. Empty when cargo
/// cannot tell them: the build goes on and says itself what is wrong.
fn remaps(dir: &Path) -> Vec<String> {
    let mut cargo = Command::new("cargo");
    let asked = cargo.current_dir(dir).args(["metadata", "--format-version", "1"]).stderr(Stdio::null()).output();
    let metadata = asked.ok().and_then(|o| serde_json::from_slice::<serde_json::Value>(&o.stdout).ok());
    let packages = metadata.as_ref().and_then(|m| m["packages"].as_array()).map(Vec::as_slice).unwrap_or_default();
    let folder =
        |p: &serde_json::Value| p["manifest_path"].as_str().and_then(|m| Path::new(m).parent()).map(Path::to_owned);
    let own = packages.iter().filter(|p| p["source"].is_null()).filter_map(folder).reduce(common);
    let others = packages.iter().filter(|p| !p["source"].is_null()).filter_map(folder).reduce(common);
    [(own, "adapter"), (others, "crates")]
        .into_iter()
        .filter_map(|(path, name)| path.map(|path| (path, name)))
        // A common ancestor near the root would hide nothing and could hit paths of others.
        .filter(|(path, _)| path.components().count() > 2)
        .map(|(path, name)| format!("--remap-path-prefix={}={name}", path.display()))
        .collect()
}

/// The longest common ancestor.
fn common(a: PathBuf, b: PathBuf) -> PathBuf {
    a.components().zip(b.components()).take_while(|(x, y)| x == y).map(|(x, _)| x).collect()
}

/// The wasm file of the package in `dir`, from cargo's message stream.
fn wasm_artifact(messages: &[u8], dir: &Path) -> Option<PathBuf> {
    let manifest = dir.join("Cargo.toml");
    String::from_utf8_lossy(messages)
        .lines()
        .filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok())
        .filter(|m| m["reason"] == "compiler-artifact")
        .filter(|m| m["manifest_path"].as_str().is_some_and(|p| Path::new(p) == manifest))
        .flat_map(|m| m["filenames"].as_array().cloned().unwrap_or_default())
        .filter_map(|f| f.as_str().map(PathBuf::from))
        .find(|f| f.extension().is_some_and(|e| e == "wasm"))
}

fn read(path: &Path) -> Result<Vec<u8>, PackageError> {
    std::fs::read(path).map_err(|source| PackageError::Read { path: path.to_owned(), source })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_module_is_found_in_cargos_messages() {
        let messages =
            br#"{"reason":"compiler-artifact","manifest_path":"/p/other/Cargo.toml","filenames":["/t/other.wasm"]}
{"reason":"build-script-executed"}
{"reason":"compiler-artifact","manifest_path":"/p/acme/Cargo.toml","filenames":["/t/libacme.rlib","/t/acme.wasm"]}"#;
        assert_eq!(wasm_artifact(messages, Path::new("/p/acme")), Some(PathBuf::from("/t/acme.wasm")));
        assert_eq!(wasm_artifact(messages, Path::new("/p/none")), None);
    }

    #[test]
    fn the_common_ancestor_is_whole_folders() {
        assert_eq!(common("/a/b/plugins/x".into(), "/a/b/sdk".into()), PathBuf::from("/a/b"));
        assert_eq!(common("/a/bc".into(), "/a/bd".into()), PathBuf::from("/a"));
    }

    #[test]
    fn a_module_without_interfaces_is_refused() {
        let module = wasm_encoder::Module::new().finish();
        assert!(encode(&module).is_ok(), "an empty world is a component without abilities");
        assert!(matches!(encode(b"nonsense"), Err(PackageError::Encode(_))));
    }
}
