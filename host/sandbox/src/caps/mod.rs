//! The host capabilities, one file each. A capability is linked only for an adapter that imports it.

mod clock;
mod http;
mod kv;
mod log;

use wasmtime::component::{HasSelf, Linker};

use crate::bindings::wharf;
use crate::bindings::wharf::types::types as wit;
use crate::guest::CallState;
use wharf_domain::fault::{EffectCertainty, Fault, Retry};

/// Import name (without version) and how to link it. The list of everything a guest can reach.
pub(crate) const CAPABILITIES: [(&str, Link); 4] = [
    ("wharf:http/outgoing", wharf::http::outgoing::add_to_linker::<CallState, HasSelf<CallState>>),
    ("wharf:kv/store", wharf::kv::store::add_to_linker::<CallState, HasSelf<CallState>>),
    ("wharf:log/logger", wharf::log::logger::add_to_linker::<CallState, HasSelf<CallState>>),
    ("wharf:clock/wall", wharf::clock::wall::add_to_linker::<CallState, HasSelf<CallState>>),
];

type Link = fn(&mut Linker<CallState>, fn(&mut CallState) -> &mut CallState) -> wasmtime::Result<()>;

impl wharf::types::types::Host for CallState {}

/// A host fault as the guest sees it. `frames` and `blame` stay with the host.
pub(crate) fn fault_to_wit(fault: Fault) -> wit::Fault {
    let (retry, retry_after_ms) = match fault.retry {
        Retry::Never => (wit::RetryClass::Never, None),
        Retry::Later { after_ms } => (wit::RetryClass::Later, after_ms),
        Retry::Reconcile => (wit::RetryClass::Reconcile, None),
        // When to ask again is the host's affair; it remembers.
        Retry::Wait { .. } => (wit::RetryClass::Later, None),
    };
    wit::Fault {
        kind: fault.kind.as_str().to_owned(),
        code: fault.code,
        message: fault.message,
        effect: match fault.effect {
            EffectCertainty::None => wit::EffectCertainty::None,
            EffectCertainty::Maybe => wit::EffectCertainty::Maybe,
            EffectCertainty::Done => wit::EffectCertainty::Done,
        },
        retry,
        retry_after_ms,
        provider: fault.provider.map(|p| wit::ProviderError {
            code: p.code,
            http_status: p.http_status,
            message: p.message,
            request_id: p.request_id,
        }),
        fields: fault
            .fields
            .into_iter()
            .map(|f| wit::FieldFault { path: f.path, code: f.code, message: f.message })
            .collect(),
    }
}
