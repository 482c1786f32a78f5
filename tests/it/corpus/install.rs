//! A: files that must not become adapters.

use std::time::Duration;

use wharf_attack::assert_as_written;
use wharf_domain::manifest::Manifest;
use wharf_sandbox::compile::CompileLimits;
use wharf_sandbox::{engine, inspect, manifest, prescan};

use super::arena::{Arena, compiler, counted, small};
use crate::guest;

/// A component in text form with a manifest.
fn component(wat: &str) -> Vec<u8> {
    let bytes = wat::parse_str(wat).expect("wat");
    manifest::embed(&bytes, &guest::plain_manifest("test")).expect("manifest")
}

async fn refused(id: &str, bytes: Vec<u8>) -> String {
    let arena = Arena::new(small()).await;
    let (kind, text) = arena.refusal(bytes).await;
    assert_as_written(id, &kind);
    arena.serves().await;
    text
}

/// 1.6 kB without its manifest, and eight million instances.
pub(super) fn laughing() -> Vec<u8> {
    let mut laughing = "(core module $m) (core instance (instantiate $m))".to_owned();
    for _ in 0..23 {
        laughing = format!("(component $c {laughing}) (instance (instantiate $c)) (instance (instantiate $c))");
    }
    component(&format!("(component {laughing})"))
}

#[tokio::test]
async fn a1_a_component_that_instantiates_others_twice_and_twice_again() {
    assert!(laughing().len() < 2_500, "{} bytes", laughing().len());
    refused("A1", laughing()).await;
}

/// A module that is nothing but work for a compiler: one function of `thousands` of additions, so many times over.
pub(super) fn heavy(functions: usize, thousands: usize) -> Vec<u8> {
    use wasm_encoder::*;
    let (mut types, mut funcs, mut code) = (TypeSection::new(), FunctionSection::new(), CodeSection::new());
    types.ty().function([ValType::I64], [ValType::I64]);
    for _ in 0..functions {
        funcs.function(0);
        let mut body = Function::new([(64, ValType::I64)]);
        for round in 0..thousands * 1_000 {
            let place = u32::try_from(round % 64).expect("small");
            body.instructions()
                .local_get(place)
                .local_get(0)
                .i64_mul()
                .i64_const(round as i64)
                .i64_add()
                .local_tee(place);
            body.instructions().local_set(0);
        }
        body.instructions().local_get(0).end();
        code.function(&body);
    }
    let mut module = Module::new();
    module.section(&types).section(&funcs).section(&code);
    let mut component = Component::new();
    component.section(&ModuleSection(&module));
    let bytes = component.finish();
    manifest::embed(&bytes, &guest::plain_manifest("heavy")).expect("manifest")
}

#[tokio::test]
async fn a2_a_file_that_is_too_much_for_the_compiler_is_given_up_once_and_then_refused_unseen() {
    let folder = tempfile::tempdir().expect("folder");
    let limits = CompileLimits { cpu_seconds: 1, wall: Duration::from_secs(60), ..CompileLimits::default() };
    let (compiler, count) = counted(folder.path(), limits);
    let arena = Arena::compiling(small(), Some(compiler)).await;
    let bytes = heavy(60, 20);
    for _ in 0..3 {
        let (kind, text) = arena.refusal(bytes.clone()).await;
        assert_as_written("A2", &kind);
        assert!(text.contains("1 s of processor time"), "{text}");
    }
    assert_eq!(std::fs::read_to_string(count).expect("count"), "x\n", "compiled once");
}

#[tokio::test]
async fn a2_a_file_that_takes_all_the_memory_it_may_is_given_up() {
    let limits = CompileLimits { address_bytes: 400 << 20, ..CompileLimits::default() };
    let arena = Arena::compiling(small(), Some(compiler(limits))).await;
    let (kind, text) = arena.refusal(heavy(2, 400)).await;
    assert_as_written("A2", &kind);
    assert!(text.contains("400 MiB"), "{text}");
}

/// What the process of its own compiles is what this one would have compiled.
#[tokio::test]
async fn an_adapter_that_was_compiled_elsewhere_runs_here() {
    let arena = Arena::compiling(small(), Some(compiler(CompileLimits::default()))).await;
    arena.serves().await;
}

#[tokio::test]
async fn a3_too_large_or_cut_off() {
    let arena = Arena::new(wharf_sandbox::Limits { component_bytes: 100, ..small() }).await;
    assert_as_written("A3", &arena.refusal(guest::adapter("trap")).await.0);
    let whole = guest::adapter("trap");
    let arena = Arena::new(small()).await;
    for end in [9, whole.len() / 3, whole.len() / 2, whole.len() - 1] {
        assert_as_written("A3", &arena.refusal(whole[..end].to_vec()).await.0);
    }
    arena.serves().await;
}

#[tokio::test]
async fn a4_what_only_looks_like_an_adapter() {
    let module = wat::parse_str("(module)").expect("wat");
    assert!(refused("A4", module).await.contains("core module"));
    let program = std::fs::read(std::env::current_exe().expect("this program")).expect("it can be read");
    refused("A4", program[..4_096].to_vec()).await;
}

#[tokio::test]
async fn a5_proposals_this_host_does_not_run_are_named() {
    for (module, name) in [
        ("(memory 1 1 shared)", "threads"),
        ("(memory i64 1)", "memory64"),
        ("(type (struct (field i32)))", "gc"),
        ("(tag)", "exceptions"),
    ] {
        let text = refused("A5", component(&format!("(component (core module {module}))"))).await;
        assert!(text.contains(&format!("`{name}`")), "{module}: {text}");
    }
}

#[tokio::test]
async fn a6_an_import_this_host_does_not_offer() {
    let sockets = r#"(component (import "wasi:sockets/tcp@0.2.0" (instance (export "connect" (func)))))"#;
    let text = refused("A6", component(sockets)).await;
    assert!(text.contains("`wasi:sockets/tcp@0.2.0`") && text.contains("`wharf:http/outgoing`"), "{text}");
    let close = r#"(component (import "wasi:http/outgoing-handler@0.2.0" (instance (export "handle" (func)))))"#;
    let text = refused("A6", component(close)).await;
    assert!(text.contains("the nearest it has is `wharf:http/outgoing`"), "{text}");
}

#[tokio::test]
async fn a7_a_manifest_that_does_not_mention_what_is_imported() {
    let silent = |kv: &str| {
        format!(
            "name = \"rogue\"\nversion = \"1.0.0\"\ndescription = \"d\"\npublisher = \"p\"\nlicence = \"Apache-2.0\"\n{kv}"
        )
    };
    let (kv, folders) = ("kv_bytes = 1\n", "[[folders]]\nname = \"orders\"\nread = true\nreason = \"r\"\n");
    let routes = "[[routes]]\nmethod = \"GET\"\npath = \"/\"\nreason = \"r\"\n";
    for (asked, import, line) in [
        (format!("{kv}{folders}"), "wharf:http/outgoing", "[[routes]]"),
        (format!("{routes}{folders}"), "wharf:kv/store", "kv_bytes"),
        (format!("{kv}{routes}"), "wharf:files/folder", "[[folders]]"),
    ] {
        let text = refused("A7", guest::rogue(&silent(&asked))).await;
        assert!(text.contains(&format!("`{import}@0.1.0`")) && text.contains(line), "{text}");
    }
}

#[tokio::test]
async fn a8_a_manifest_that_asks_for_more_than_is_imported() {
    let wide = Manifest { kv_bytes: 1, ..guest::plain_manifest("wide") };
    let plain = wat::parse_str("(component)").expect("wat");
    let bytes = manifest::embed(&plain, &wide).expect("manifest");
    let findings = inspect::report(&bytes).expect("report").findings;
    assert!(findings.iter().any(|f| f.rule == "unused-request" && f.text.contains("kv_bytes")), "{findings:?}");
    let arena = Arena::new(small()).await;
    assert_as_written("A8", &arena.refusal(bytes).await.0);
}

#[tokio::test]
async fn a9_a_loop_before_the_first_call() {
    let text = refused("A9", guest::adapter("start-loop")).await;
    assert!(text.contains("processor time"), "{text}");
}

#[tokio::test]
async fn a10_forged_sections_decide_nothing() {
    use wasm_encoder::ComponentSection;
    let section = |name: &str, data: Vec<u8>, bytes: &mut Vec<u8>| {
        let custom = wasm_encoder::CustomSection { name: name.to_owned().into(), data: data.into() };
        custom.append_to_component(bytes);
    };
    let mut junk = guest::adapter("trap");
    section("component-type:forged", vec![0; 7 << 20], &mut junk);
    section("producers", b"made by somebody you trust".to_vec(), &mut junk);
    let report = inspect::report(&junk).expect("report");
    assert!(report.bytes > 7 << 20 && report.imports.is_empty());
    let arena = Arena::new(small()).await;
    assert_as_written("A10", &arena.refusal(junk).await.0);
    let mut twice = guest::adapter("trap");
    section(manifest::SECTION, b"{}".to_vec(), &mut twice);
    assert_as_written("A10", &arena.refusal(twice).await.0);
}

#[tokio::test]
async fn a11_what_is_installed_is_all_there_is() {
    for import in ["component", "core module"] {
        let text = refused("A11", component(&format!("(component (import \"other\" ({import})))"))).await;
        assert!(text.contains("`other`"), "{import}: {text}");
    }
}

#[tokio::test]
async fn a12_a_manifest_says_nothing_that_is_not_understood() {
    use wasm_encoder::ComponentSection;
    let good = "name = \"a\"\nversion = \"1.0.0\"\ndescription = \"d\"\npublisher = \"p\"\nlicence = \"Apache-2.0\"\n";
    for (more, named) in [
        ("kv_byte = 1", "kv_byte"),
        ("kv_bytes = -1", "kv_bytes"),
        ("kv_bytes = 1\nkv_bytes = 2", "kv_bytes"),
        ("[[routes]]\nmethod = \"GET\"\npath = \"/\"\nreason = \"r\"\nclas = \"read\"", "clas"),
        ("[[routes]]\nmethod = \"get\"\npath = \"/\"\nreason = \"r\"", "method"),
        ("[secrets.key]\ntype = \"magic\"", "magic"),
    ] {
        let error = manifest::from_toml("test", &format!("{good}{more}\n")).expect_err(named);
        assert!(error.to_string().contains(named), "{more}: {error}");
    }
    // And none of it gets past the gate by not having been made by our tool.
    let plain = serde_json::to_string(&guest::plain_manifest("a")).expect("JSON");
    for section in [
        plain.replacen('{', "{\"sudo\":true,", 1),
        plain.replacen("\"kv_bytes\":0", "\"kv_bytes\":-1", 1),
        plain[1..].to_owned(),
    ] {
        let mut bytes = manifest::without(&guest::adapter("trap")).expect("a component");
        wasm_encoder::CustomSection { name: manifest::SECTION.into(), data: section.into_bytes().into() }
            .append_to_component(&mut bytes);
        refused("A12", bytes).await;
    }
}

/// Bits flipped, pieces cut out, doubled and swapped: whatever comes of it is an answer and never a panic.
#[test]
fn a3_files_that_were_changed_anywhere() {
    use rand::rngs::StdRng;
    use rand::{Rng, SeedableRng};
    let whole = guest::adapter("aliases");
    let features = engine::features().expect("engine");
    let mut refused = 0;
    for seed in 0..3_000 {
        let mut random = StdRng::seed_from_u64(seed);
        let mut bytes = whole.clone();
        for _ in 0..random.random_range(1..4) {
            let at = random.random_range(8..bytes.len());
            let length = random.random_range(1..64.min(bytes.len() - at + 1));
            match random.random_range(0..4) {
                0 => bytes[at] ^= 1 << random.random_range(0..8),
                1 => drop(bytes.drain(at..at + length)),
                2 => {
                    let piece = bytes[at..at + length].to_vec();
                    let to = random.random_range(8..bytes.len());
                    bytes.splice(to..to, piece);
                }
                _ => bytes[at..at + length].fill(random.random()),
            }
        }
        let known = prescan::fan_out(&bytes).is_ok() && prescan::validate(&bytes, features).is_ok();
        refused += u32::from(!known);
        let _answer = (manifest::read(&bytes), inspect::report(&bytes));
    }
    assert!(refused > 2_000, "{refused} of 3000 changed files were refused");
}
