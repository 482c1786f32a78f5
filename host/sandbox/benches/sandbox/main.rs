//! What the sandbox costs, as a program: adapters called through everything the host puts around a call, next to a bare
//! wasmtime that puts nothing around it and to the same work without wasm, in one process and in turns.
//!
//! ```text
//! sandbox build <folder> <out> <target folder>   the Rust adapter of a folder, as `wharf adapter build` does it
//! sandbox embed <component> <manifest> <out>     a component of another toolchain, with its manifest
//! sandbox calls <adapter> <rounds>               microseconds of each kind of call, and of the baselines
//! sandbox threads <adapter> <rounds>             calls per second on one thread and on two
//! sandbox waiting <adapter> <calls>              memory while so many calls wait for the host
//! sandbox start <adapter> <count> <folder>       how long it takes to load so many adapters, and their memory; what was
//!                                                compiled is kept in the folder
//! ```
//!
//! Each prints one line of JSON. `compile-adapter` is the process in which the sandbox compiles, as in the host itself.

mod bare;
mod calls;
mod clocks;
mod hosted;
#[path = "../../../../tests/guests/bench/src/label.rs"]
mod label;
mod memory;
mod threads;

use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use serde_json::{Value, json};
use wharf_sandbox::compile::{self, ChildEnd};
use wharf_sandbox::manifest;
use wharf_sandbox::package::{self, BuildOptions};

pub(crate) type Fallible<T> = Result<T, Box<dyn Error + Send + Sync>>;

/// The order every ship-sized call gets: 2 kB of JSON.
pub(crate) const ORDER: &str = include_str!("../../../../tests/guests/bench/order.json");

const COMPILE: &str = "compile-adapter";

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).filter(|arg| arg != "--bench").collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    match run(&args) {
        Ok(code) => code,
        Err(error) => {
            complain(&format!("error: {error}"));
            ExitCode::FAILURE
        }
    }
}

fn run(args: &[&str]) -> Fallible<ExitCode> {
    let line = match args {
        [COMPILE, cpu_seconds, address_bytes] => {
            return Ok(match compile::child(cpu_seconds.parse()?, address_bytes.parse()?)? {
                ChildEnd::Compiled => ExitCode::SUCCESS,
                ChildEnd::Refused(code) => ExitCode::from(code),
            });
        }
        ["build", folder, out, target] => build(folder, out, target)?,
        ["embed", component, manifest, out] => embed(component, manifest, out)?,
        ["calls", adapter, rounds] => calls::measure(&std::fs::read(adapter)?, rounds.parse()?)?,
        ["threads", adapter, rounds] => threads::measure(&std::fs::read(adapter)?, rounds.parse()?)?,
        ["waiting", adapter, calls] => memory::waiting(&std::fs::read(adapter)?, calls.parse()?)?,
        ["start", adapter, count, folder] => {
            memory::start(&std::fs::read(adapter)?, count.parse()?, Path::new(folder))?
        }
        _ => return Err("usage: sandbox build | embed | calls | threads | waiting | start <…>".into()),
    };
    say(&line.to_string());
    Ok(ExitCode::SUCCESS)
}

fn build(folder: &str, out: &str, target: &str) -> Fallible<Value> {
    let options = BuildOptions { dir: folder.into(), out: out.into(), target_dir: Some(target.into()) };
    let built = package::build(&options)?;
    Ok(json!({ "path": built.path, "bytes": std::fs::metadata(&built.path)?.len() }))
}

fn embed(component: &str, toml: &str, out: &str) -> Fallible<Value> {
    let manifest = manifest::from_toml(toml, &std::fs::read_to_string(toml)?)?;
    let bytes = manifest::embed(&std::fs::read(component)?, &manifest)?;
    let path = PathBuf::from(out);
    std::fs::write(&path, &bytes)?;
    Ok(json!({ "path": path, "bytes": bytes.len() }))
}

#[expect(clippy::print_stdout, reason = "the line is what the program is for")]
fn say(line: &str) {
    println!("{line}");
}

#[expect(clippy::print_stderr, reason = "a program of its own has no log")]
fn complain(line: &str) {
    eprintln!("{line}");
}
