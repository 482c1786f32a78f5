//! Turning the end of a call into a typed fault. Decided by our own state and wasmtime's typed errors, never by text.

use wasmtime::{Trap, WasmBacktrace};
use wharf_domain::fault::{Blame, EffectCertainty, Fault, FaultKind};

use crate::guest::{CallState, Exceeded};

/// How a call ended without a result.
pub(crate) enum Ended {
    /// wasmtime returned an error.
    Error(wasmtime::Error),
    /// The wall clock ran out while the guest or a host call was running.
    WallClock,
}

/// The fault for a call that ended early. `effect` is what the call may have done outside before it ended.
pub(crate) fn classify(adapter: &str, ended: &Ended, state: &CallState, effect: EffectCertainty) -> Fault {
    let limits = state.limits();
    let (code, message) = match (ended, state.exceeded) {
        (Ended::WallClock, _) => ("trap.wall", format!("took longer than {} ms", limits.wall_ms)),
        (_, Some(Exceeded::Cpu)) => ("trap.compute", format!("used more than {} ms of processor time", limits.cpu_ms)),
        (_, Some(Exceeded::HostCalls)) => {
            ("trap.hostcall-budget", format!("made more than {} host calls", limits.host_calls))
        }
        (Ended::Error(e), None) => trapped(e, state),
    };
    let mut fault = Fault::new(FaultKind::AdapterFault, code, format!("adapter `{adapter}` {message}"), Blame::Guest)
        .with_effect(effect);
    if let Ended::Error(e) = ended {
        fault.frames = frames(e);
    }
    fault
}

fn trapped(error: &wasmtime::Error, state: &CallState) -> (&'static str, String) {
    let limits = state.limits();
    if state.limiter.memory_denied {
        return ("trap.memory", format!("asked for more than {} MiB of memory", limits.memory_bytes >> 20));
    }
    if state.limiter.table_denied {
        return ("trap.table", format!("asked for more than {} table elements", limits.table_elements));
    }
    match error.downcast_ref::<Trap>() {
        Some(Trap::UnreachableCodeReached) => ("trap.panic", "panicked".to_owned() + &last_words(state)),
        Some(Trap::StackOverflow) => ("trap.stack", "overflowed its stack".to_owned()),
        Some(Trap::MemoryOutOfBounds) => ("trap.memory-access", "touched memory it does not have".to_owned()),
        Some(trap) => ("trap.other", format!("trapped: {trap}")),
        None => ("trap.abi", format!("broke the contract: {}", root_text(error))),
    }
}

/// The SDK's panic hook logs the panic message last; it is the best explanation there is.
fn last_words(state: &CallState) -> String {
    state.log.lines.last().filter(|l| l.starts_with("error: panicked")).map_or_else(String::new, |l| format!(" ({l})"))
}

/// Names of the guest functions on the stack, innermost first.
pub(crate) fn frames(error: &wasmtime::Error) -> Vec<String> {
    let Some(backtrace) = error.downcast_ref::<WasmBacktrace>() else {
        return Vec::new();
    };
    backtrace
        .frames()
        .iter()
        .map(|f| match f.func_name() {
            Some(name) => format!("{:#}", rustc_demangle::demangle(name)),
            None => format!("function #{}", f.func_index()),
        })
        .collect()
}

/// The innermost cause: the outer layers are wasmtime's "error while executing" with its own backtrace text.
fn root_text(error: &wasmtime::Error) -> String {
    let text = error.root_cause().to_string();
    text.lines().next().unwrap_or_default().to_owned()
}
