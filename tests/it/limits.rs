//! The limits in docs/SECURITY.md are those of the code: the tables are made here, out of the defaults.

use std::fmt::Write as _;
use std::fs;
use std::time::Duration;

use wharf_domain::quarantine::{STRIKES, WITHIN_MS};
use wharf_egress::EgressConfig;
use wharf_sandbox::compile::CompileLimits;
use wharf_sandbox::{Limits, engine, prescan};

use crate::guest::repo;

const PAGE: &str = "docs/SECURITY.md";
const BEGIN: &str = "<!-- limits: made by the test `the_page_holds_the_limits_of_the_code` -->";
const END: &str = "<!-- limits: end -->";

/// Another page is written before the test fails, so that the next run passes: what is left is to read it and commit it.
#[test]
fn the_page_holds_the_limits_of_the_code() {
    let path = repo().join(PAGE);
    let page = fs::read_to_string(&path).expect("the page");
    let (before, rest) = page.split_once(BEGIN).expect("the line before the limits");
    let (_, after) = rest.split_once(END).expect("the line after the limits");
    let fresh = format!("{before}{BEGIN}\n{}{END}{after}", tables());
    if page != fresh {
        fs::write(&path, fresh).expect("written");
        panic!("the limits in `{PAGE}` were not those of the code; they are now: read them and commit them");
    }
}

fn tables() -> String {
    let (call, compile, wire) = (Limits::default(), CompileLimits::default(), EgressConfig::default());
    let request = wharf_egress::Limits::default();
    let mut out = String::new();
    let mut table = |title: &str, rows: &[(&str, String)]| {
        let rows = rows.iter().fold(String::new(), |mut rows, (what, limit)| {
            writeln!(rows, "| {what} | {limit} |").expect("a string");
            rows
        });
        write!(out, "\n## {title}\n\n| what | limit |\n|---|---|\n{rows}").expect("a string");
    };
    table(
        "Limits of one file",
        &[
            ("the file", bytes(call.component_bytes as u64)),
            ("instances it comes to", prescan::MOST_INSTANCES.to_string()),
            ("components inside components", prescan::DEEPEST.to_string()),
            ("processor time to compile it", seconds(compile.cpu_seconds * 1_000)),
            ("address space to compile it", bytes(compile.address_bytes)),
            ("wall time to compile it", millis(compile.wall)),
            ("processor time to start", seconds(call.start_ms)),
        ],
    );
    table(
        "Limits of one request",
        &[
            ("its body", bytes(request.max_request_bytes as u64)),
            ("the body of the answer, packed and unpacked", bytes(wire.max_response_bytes as u64)),
            ("headers of the answer", wire.max_response_headers.to_string()),
            ("the head of the answer", bytes(wire.max_response_head_bytes as u64)),
            ("to resolve the name", seconds(wire.dns_timeout_ms)),
            ("to connect, and again for TLS", seconds(wire.connect_timeout_ms)),
            ("until the head of the answer is there", seconds(wire.first_byte_timeout_ms)),
            (
                "the rest of the answer",
                format!("{} bytes a second on average after {}", grouped(wire.min_rate), seconds(wire.rate_grace_ms)),
            ),
            ("the whole", seconds(wire.request_timeout_ms)),
            ("of a body kept on tape", bytes(wire.max_tape_body_bytes as u64)),
        ],
    );
    table("Limits of one call", &rows_of_a_call(&call));
    out
}

fn rows_of_a_call(call: &Limits) -> Vec<(&'static str, String)> {
    vec![
        ("processor time", seconds(call.cpu_ms)),
        ("wall time, host calls included", seconds(call.wall_ms)),
        ("memory over all its memories", format!("{} in {} memories", bytes(call.memory_bytes as u64), call.memories)),
        ("stack", bytes(engine::STACK_BYTES as u64)),
        ("table elements", format!("{} in each of {} tables", grouped(call.table_elements as u64), call.tables)),
        ("core instances", call.core_instances.to_string()),
        ("handles alive at once", grouped(call.handles as u64)),
        ("host calls", grouped(u64::from(call.host_calls))),
        (
            "bytes handed to host calls",
            format!("{} in one, {} in all", bytes(call.hostcall_bytes as u64), bytes(call.bytes_in)),
        ),
        ("requests", call.http_requests.to_string()),
        ("log", format!("{} lines, {}", call.log_lines, bytes(call.log_bytes as u64))),
        ("calls at once", format!("{}; {} of one tenant", call.concurrent_calls, call.tenant_calls)),
        (
            "processor time of one tenant",
            format!("{} in a minute; over it calls wait", seconds(call.tenant_cpu_ms_per_minute)),
        ),
        (
            "calls that end by the adapter's own fault",
            format!("{STRIKES} within {}, then quarantine", seconds(WITHIN_MS.unsigned_abs())),
        ),
    ]
}

/// In the largest unit that leaves a whole number.
fn bytes(count: u64) -> String {
    let units = [(30, "GiB"), (20, "MiB"), (10, "KiB")];
    let fits = units.into_iter().find(|(shift, _)| count >= 1 << shift && count.trailing_zeros() >= *shift);
    fits.map_or_else(|| format!("{} bytes", grouped(count)), |(shift, unit)| format!("{} {unit}", count >> shift))
}

fn seconds(ms: u64) -> String {
    if ms.is_multiple_of(1_000) { format!("{} s", ms / 1_000) } else { format!("{ms} ms") }
}

fn millis(duration: Duration) -> String {
    seconds(u64::try_from(duration.as_millis()).expect("not that long"))
}

/// `20,000`.
fn grouped(count: u64) -> String {
    let digits = count.to_string();
    let groups: Vec<&str> = {
        let first = digits.len() % 3;
        let (head, tail) = digits.split_at(first);
        let tail = tail.as_bytes().chunks(3).map(|group| std::str::from_utf8(group).expect("digits"));
        std::iter::once(head).filter(|head| !head.is_empty()).chain(tail).collect()
    };
    groups.join(",")
}

#[test]
fn figures_are_written_as_a_person_reads_them() {
    assert_eq!([bytes(32 << 20), bytes(1_500), bytes(3 << 29)], ["32 MiB", "1,500 bytes", "1536 MiB"]);
    assert_eq!([seconds(500), seconds(60_000), grouped(20_000)], ["500 ms", "60 s", "20,000"]);
}
