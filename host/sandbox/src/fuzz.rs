//! Promise 14 at the gate through which a file becomes an adapter: any bytes at all are refused with a reason, or read
//! the same way twice. Real components with bytes changed, modules nobody wrote by hand, and manifests as text.

use std::path::{Path, PathBuf};

use wasm_encoder::{Component, ComponentSection as _, CustomSection, InstanceSection, Module, ModuleArg};
use wasmtime::WasmFeatures;
use wharf_domain::manifest::Manifest;
use wharf_fuzz::{Target, shape, wasm};
use wit_component::{StringEncoding, embed_component_metadata};
use wit_parser::Resolve;

use crate::call::{Sandbox, SandboxConfig};
use crate::install::first_look;
use crate::manifest::ManifestError;
use crate::{Limits, LoadError, diff, engine, forges, inspect, manifest, package, prescan};

const MANIFEST: &str = r#"
name = "acme"
version = "1.0.0"
description = "a carrier"
publisher = "ACME"
licence = "Apache-2.0"
[[routes]]
method = "GET"
path = "/v1/*"
reason = "asks"
"#;

fn repo() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// What lies in a folder under such a name, in order.
fn files(folder: &Path, named: impl Fn(&str) -> bool) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().map(|entry| entry.expect("entry").path());
    let mut found: Vec<PathBuf> =
        entries.filter(|path| path.file_name().and_then(|name| name.to_str()).is_some_and(&named)).collect();
    found.sort();
    found
}

fn small_manifest() -> Manifest {
    manifest::from_toml("test", MANIFEST).expect("manifest")
}

/// Everything that looks at a file before any of it is compiled.
fn gate(bytes: &[u8], features: WasmFeatures) -> Result<Manifest, LoadError> {
    let read = first_look(bytes, Limits::default().component_bytes)?;
    let instances = prescan::fan_out(bytes)?;
    assert!(instances <= prescan::MOST_INSTANCES, "{instances} instances passed");
    prescan::validate(bytes, features)?;
    Ok(read)
}

/// How the gate ended, after what has to hold whatever came in.
fn ended(bytes: &[u8], features: WasmFeatures) -> String {
    let report = inspect::report(bytes);
    match gate(bytes, features) {
        Ok(read) => {
            let bare = manifest::without(bytes).expect("what has a manifest can be read without it");
            assert!(matches!(manifest::read(&bare), Err(ManifestError::Missing)), "a second manifest");
            if let Ok(report) = &report {
                assert_eq!(report.manifest, read, "two readers, two manifests");
                assert!(diff::diff(report, report).lines.is_empty(), "a version differs from itself");
            }
            format!("passed, {} reported", report.is_ok())
        }
        Err(error) => {
            let (text, kind) = (error.to_string(), error.kind());
            readable(&text);
            format!("{kind} {}", shape(&text))
        }
    }
}

/// A refusal is read in a terminal, and much of it was written by whoever made the file.
fn readable(text: &str) {
    assert!(text.len() < 4_000, "{} bytes of refusal", text.len());
    assert!(!text.contains(forges), "{text:?}");
}

/// Core modules of `tests/guests` whose world imports nothing or the logger, as components with a manifest.
fn guests() -> Vec<Vec<u8>> {
    const WORLDS: &str = r"
package test:guests;
world info { export wharf:adapter/info@0.1.0; }
world info-and-logger { import wharf:log/logger@0.1.0; export wharf:adapter/info@0.1.0; }
";
    let mut resolve = Resolve::default();
    resolve.push_path(repo().join("wit")).expect("wit");
    let package = resolve.push_str("worlds.wit", WORLDS).expect("worlds");
    let files = std::fs::read_dir(repo().join("tests/guests")).expect("guests").map(|file| file.expect("file").path());
    let mut found = Vec::new();
    for file in files.filter(|path| path.extension().is_some_and(|ending| ending == "wat")) {
        let text = std::fs::read_to_string(&file).expect("guest");
        let world = text.lines().next().and_then(|line| line.strip_prefix(";; world: ")).expect("a world");
        let Ok(world) = resolve.select_world(&[package], Some(world)) else { continue };
        let mut core = wat::parse_str(&text).expect("wat");
        embed_component_metadata(&mut core, &resolve, world, StringEncoding::UTF8).expect("metadata");
        // Some are made not to pass.
        if let Ok(component) = package::encode(&core) {
            found.push(manifest::embed(&component, &small_manifest()).expect("embedded"));
        }
    }
    assert!(found.len() >= 5, "{} guests", found.len());
    found
}

/// Bytes that begin sections, types and sorts of the component model, and names this host knows.
const WORDS: [&[u8]; 16] = [
    b"\0asm\x01\0\0\0",
    b"\0asm\x0d\0\x01\0",
    b"\x01\x08\0asm\x01\0\0\0",
    b"\x04\x08\0asm\x0d\0\x01\0",
    b"\x05\x04\x01\0\0\0",
    b"\x06\x03\x01\0\0",
    b"\x0e\x0dwharf:manifest",
    b"wharf:http/outgoing@0.1.0",
    b"wharf:carrier/labels@0.1.0",
    b"component-name",
    b"\x80\x80\x80\x80\x10",
    b"\xff\xff\xff\xff\x0f",
    b"\"routes\":[",
    b"\"kv_bytes\":",
    b"\x1b[2K",
    b"\xe2\x80\xae",
];

#[test]
fn p14_install_gate() {
    let features = engine::features().expect("features");
    let empty = manifest::embed(&Component::new().finish(), &small_manifest()).expect("embedded");
    let seeds = guests().into_iter().chain([empty, Module::new().finish(), b"\x7fELF".to_vec(), Vec::new()]);
    Target::new("install_gate").seeds(seeds).words(WORDS).run(|bytes| ended(bytes, features));
}

/// The adapters that are built and shipped are larger by three orders of magnitude: changed, cut and read once more.
#[test]
fn p14_built_adapters() {
    let features = engine::features().expect("features");
    let adapters = files(&repo().join("target/adapters"), |name| name.ends_with(".wasm"));
    assert!(!adapters.is_empty(), "`cargo xtask adapters` builds them");
    let built = adapters.into_iter().chain([repo().join("target/guests/rogue.wasm")]);
    let seeds: Vec<_> = built.map(|path| std::fs::read(path).expect("`cargo xtask adapters` builds it")).collect();
    Target::new("built_adapters").seeds(seeds).words(WORDS).run(|bytes| ended(bytes, features));
}

/// Modules and components out of the bytes, as a generator makes them: whole, and like nothing a compiler emits.
#[test]
fn p14_generated_components() {
    let limits = Limits { concurrent_calls: 2, tenant_calls: 2, ..Limits::default() };
    let config = SandboxConfig { limits, cache_dir: None, threads: 1, compiler: None };
    let sandbox = Sandbox::new(config).expect("sandbox");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("runtime");
    // Bytes without a pattern; the generator makes something of any.
    let noise = |seed: u32, length: u32| -> Vec<u8> {
        (0..length).map(|n| ((n ^ seed).wrapping_mul(2_654_435_761).rotate_left(seed % 31) >> 13) as u8).collect()
    };
    let seeds = (0..40).map(|seed| noise(seed, 200 + 50 * seed));
    Target::new("generated_components").seeds(seeds).run(|bytes| {
        let Some(component) = generated(bytes) else { return "not enough bytes".to_owned() };
        if bytes[0] % 4 != 0 {
            prescan::validate(&component, WasmFeatures::all()).expect("the generator writes well-formed modules");
        }
        let again = gate(&component, sandbox.engine().get_wasm_features()).is_ok();
        match runtime.block_on(sandbox.load(component)) {
            Ok(adapter) => {
                assert!(again, "`{}` was loaded past the gate", adapter.name);
                "loaded".to_owned()
            }
            Err(error) => {
                readable(&error.to_string());
                assert!(!matches!(error, LoadError::Compiler(_) | LoadError::Stopped), "{error}");
                format!("{} {}", error.kind(), shape(&error.to_string()))
            }
        }
    });
}

/// A component with a manifest: by the first byte one that was generated whole, or one that instantiates a module. Half
/// of the modules use what this host has switched off.
fn generated(bytes: &[u8]) -> Option<Vec<u8>> {
    let (kind, rest) = bytes.split_first()?;
    let mut component = match kind % 4 {
        0 => wasm::component(rest)?,
        kind => instantiated(&wasm::module(rest, kind == 2)?),
    };
    let data = serde_json::to_vec(&small_manifest()).ok()?;
    CustomSection { name: manifest::SECTION.into(), data: data.into() }.append_to_component(&mut component);
    Some(component)
}

fn instantiated(module: &[u8]) -> Vec<u8> {
    let mut component = Component::new();
    component
        .section(&wasm_encoder::RawSection { id: wasm_encoder::ComponentSectionId::CoreModule as u8, data: module });
    let mut instances = InstanceSection::new();
    instances.instantiate(0, std::iter::empty::<(&str, ModuleArg)>());
    component.section(&instances);
    component.finish()
}

#[test]
fn p14_manifest_text() {
    let plugins = files(&repo().join("plugins"), |name| !name.contains('.'));
    let shipped = plugins.into_iter().filter_map(|folder| std::fs::read_to_string(folder.join("adapter.toml")).ok());
    let shipped: Vec<String> = shipped.collect();
    assert!(!shipped.is_empty(), "the shipped manifests");
    let seeds = [
        MANIFEST.to_owned(),
        r#"
name = "wms"
version = "0.1.0"
description = "a warehouse"
publisher = "ACME"
licence = "MIT"
kv_bytes = 1024
[[endpoints]]
environment = "live"
origin = "https://api.example.com:8443"
[[routes]]
method = "POST"
path = "/orders"
class = "keyed"
key = { header = "Idempotency-Key", retention_seconds = 86400, stores = "all", lookup = true }
secret = "sign"
reason = "sends orders"
[secrets.sign]
type = "hmac-sign"
header = "x-sign"
format = "{signature}"
hash = "sha256"
encoding = "hex"
template = "{method}{path}{body}"
[[odoo]]
model = "res.country"
read = ["code"]
domain = '[["code", "=", "DE"]]'
max_records = 20
reason = "names"
[[folders]]
name = "orders-in"
read = true
max_files = 7
reason = "orders"
[limits]
max_in_flight = 4
buckets = [{ requests = 10, per_seconds = 1 }]
"#
        .to_owned(),
    ];
    let words = [
        "[[routes]]\n",
        "[config.x]\n",
        "type = ",
        "= -1\n",
        "= \"\"\n",
        "\"\"\"",
        "'''",
        "\u{1b}[31m",
        "inf",
        "= [[[[",
    ];
    Target::new("manifest_text").seeds(shipped.into_iter().chain(seeds)).words(words).run(|bytes| {
        let text = String::from_utf8_lossy(bytes);
        match manifest::from_toml("adapter.toml", &text) {
            Ok(written) => {
                let component = manifest::embed(&Component::new().finish(), &written).expect("embedded");
                assert_eq!(
                    manifest::read(&component).expect("read back"),
                    written,
                    "it changes on its way into the file"
                );
                "accepted".to_owned()
            }
            Err(error) => {
                // The same rules hold for what a file says it is.
                let json = toml::from_str::<serde_json::Value>(&text).ok().map(|value| value.to_string());
                if let Some(json) = json {
                    let mut component = Component::new().finish();
                    CustomSection { name: manifest::SECTION.into(), data: json.as_bytes().into() }
                        .append_to_component(&mut component);
                    let refused = manifest::read(&component).expect_err("refused as text, accepted in a file");
                    readable(&refused.to_string());
                }
                shape(&error.to_string())
            }
        }
    });
}
