//! Turning a core module in text form into an adapter file.

use std::path::{Path, PathBuf};

use wharf_domain::manifest::Manifest;
use wharf_sandbox::{manifest, package};
use wit_component::StringEncoding;
use wit_parser::Resolve;

pub(crate) fn repo() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace").to_owned()
}

/// The worlds hostile guests use, in WIT.
const WORLDS: &str = r"
package test:guests;
world info { export wharf:adapter/info@0.1.0; }
world info-and-http { import wharf:http/outgoing@0.1.0; export wharf:adapter/info@0.1.0; }
world info-and-logger { import wharf:log/logger@0.1.0; export wharf:adapter/info@0.1.0; }
world info-and-kv { import wharf:kv/store@0.1.0; export wharf:adapter/info@0.1.0; }
world info-and-log { import wharf:clock/wall@0.1.0; export wharf:adapter/info@0.1.0; }
world info-and-odoo { import wharf:odoo/records@0.1.0; export wharf:adapter/info@0.1.0; }
world wishful { import unknown; export wharf:adapter/info@0.1.0; }
interface unknown { shell: func(command: string) -> string; }
";

pub(crate) fn plain_manifest(name: &str) -> Manifest {
    manifest::from_toml(
        "test",
        &format!(
            "name = \"{name}\"\nversion = \"0.1.0\"\ndescription = \"test\"\npublisher = \"test\"\nlicence = \"Apache-2.0\"\n"
        ),
    )
    .expect("manifest")
}

/// The guest that does what it is told, under a manifest of the test's own. Built by `cargo xtask adapters`.
pub(crate) fn rogue(manifest: &str) -> Vec<u8> {
    let path = repo().join("target/guests/rogue.wasm");
    let built = std::fs::read(&path).expect("`cargo xtask adapters` builds target/guests/rogue.wasm");
    let manifest = manifest::from_toml("test", manifest).expect("manifest");
    manifest::embed(&manifest::without(&built).expect("a component"), &manifest).expect("manifest")
}

/// Component bytes of `tests/guests/<name>.wat`, with a manifest.
pub(crate) fn adapter(name: &str) -> Vec<u8> {
    let text = std::fs::read_to_string(repo().join(format!("tests/guests/{name}.wat"))).expect("guest");
    let world = text.lines().next().and_then(|l| l.strip_prefix(";; world: ")).expect("a world in the first line");
    // What a world imports, the manifest asks for.
    let manifest = if ["-http", "-kv", "-odoo"].iter().any(|asks| world.ends_with(asks)) {
        wide_manifest(name)
    } else {
        plain_manifest(name)
    };
    component(&text, world, &manifest)
}

/// A manifest that asks for everything a guest of [`WORLDS`] may import.
pub(crate) fn wide_manifest(name: &str) -> Manifest {
    let manifest = Manifest { kv_bytes: 1 << 16, ..plain_manifest(name) };
    let wide = manifest::from_toml("test", WIDE).expect("manifest");
    Manifest { routes: wide.routes, odoo: wide.odoo, ..manifest }
}

const WIDE: &str = r#"
name = "wide"
version = "0.1.0"
description = "test"
publisher = "test"
licence = "Apache-2.0"
[[routes]]
method = "GET"
path = "/"
reason = "test"
[[odoo]]
model = "res.country"
reason = "test"
"#;

pub(crate) fn component(wat: &str, world: &str, with: &Manifest) -> Vec<u8> {
    let mut core = wat::parse_str(wat).expect("wat");
    let mut resolve = Resolve::default();
    resolve.push_path(repo().join("wit")).expect("wit");
    let package = resolve.push_str("worlds.wit", WORLDS).expect("worlds");
    let world = resolve.select_world(&[package], Some(world)).expect("world");
    wit_component::embed_component_metadata(&mut core, &resolve, world, StringEncoding::UTF8).expect("metadata");
    let component = package::encode(&core).expect("component");
    manifest::embed(&component, with).expect("manifest")
}
