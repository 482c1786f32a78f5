//! Writes the interface descriptions that `export!` puts into a guest: one per set of interfaces it may choose.
//!
//! Interfaces that use each other's types must be described together, so they form a group; a guest carries one
//! section per group, and the section of an unused group describes nothing.

use std::error::Error;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use wit_component::StringEncoding;
use wit_parser::Resolve;

/// Bit `i` of a set stands for the `i`-th interface. `src/section.rs` holds the same order.
const GROUPS: [&[&str]; 3] = [
    &["wharf:adapter/info@0.1.0"],
    &["wharf:carrier/rates@0.1.0", "wharf:carrier/labels@0.1.0"],
    &["wharf:carrier/tracking@0.1.0", "wharf:webhook/parser@0.1.0"],
];

fn main() -> Result<(), Box<dyn Error>> {
    let wit = Path::new("../../wit");
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed={}", wit.display());
    let out = PathBuf::from(std::env::var_os("OUT_DIR").ok_or("cargo sets OUT_DIR")?);

    let mut worlds = String::from("package wharf:sdk;\n");
    for (group, set) in sets() {
        let _ = writeln!(worlds, "world {} {{", world_name(group, set));
        for (bit, interface) in GROUPS[group].iter().enumerate() {
            if set & (1 << bit) != 0 {
                let _ = writeln!(worlds, "export {interface};");
            }
        }
        worlds.push_str("}\n");
    }
    let mut resolve = Resolve::default();
    resolve.push_path(wit)?;
    let package = resolve.push_str("sections.wit", &worlds)?;

    let mut table = vec![String::new(); GROUPS.len()];
    for (group, set) in sets() {
        let name = world_name(group, set);
        let world = resolve.select_world(&[package], Some(&name))?;
        let bytes = wit_component::metadata::encode(&resolve, world, StringEncoding::UTF8, None)?;
        std::fs::write(out.join(format!("{name}.section")), bytes)?;
        let _ = write!(table[group], "include_bytes!(concat!(env!(\"OUT_DIR\"), \"/{name}.section\")),");
    }
    let mut code = String::new();
    for (group, entries) in table.iter().enumerate() {
        let _ = writeln!(code, "const GROUP_{group}: &[&[u8]] = &[{entries}];");
    }
    std::fs::write(out.join("sections.rs"), code)?;
    Ok(())
}

fn sets() -> impl Iterator<Item = (usize, u32)> {
    GROUPS.iter().enumerate().flat_map(|(group, faces)| (0..1 << faces.len()).map(move |set| (group, set)))
}

fn world_name(group: usize, set: u32) -> String {
    format!("group{group}-set{set}")
}
