//! The host capabilities, one file each. A capability is linked only for an adapter that imports it.

mod clock;
mod files;
mod http;
mod kv;
mod log;
mod odoo;

use wasmtime::component::{HasSelf, Linker};

use crate::bindings::wharf;
use crate::bindings::wharf::types::types as wit;
use crate::guest::CallState;
use wharf_domain::fault::{EffectCertainty, Fault, Retry};
use wharf_domain::manifest::Manifest;

/// One thing a guest can reach.
pub(crate) struct Capability {
    /// The import's name without its version.
    pub(crate) import: &'static str,
    pub(crate) link: Link,
    /// Does the manifest ask for it?
    pub(crate) declared: fn(&Manifest) -> bool,
    /// What the manifest would have to say.
    pub(crate) line: &'static str,
}

type Link = fn(&mut Linker<CallState>, fn(&mut CallState) -> &mut CallState) -> wasmtime::Result<()>;

/// Everything a guest can reach.
pub(crate) const CAPABILITIES: [Capability; 6] = [
    Capability {
        import: "wharf:http/outgoing",
        link: wharf::http::outgoing::add_to_linker::<CallState, HasSelf<CallState>>,
        declared: |manifest| !manifest.routes.is_empty(),
        line: "[[routes]] method = \"…\" path = \"…\" reason = \"…\"",
    },
    Capability {
        import: "wharf:odoo/records",
        link: wharf::odoo::records::add_to_linker::<CallState, HasSelf<CallState>>,
        declared: |manifest| !manifest.odoo.is_empty(),
        line: "[[odoo]] model = \"…\" read = [\"…\"] reason = \"…\"",
    },
    Capability {
        import: "wharf:files/folder",
        link: wharf::files::folder::add_to_linker::<CallState, HasSelf<CallState>>,
        declared: |manifest| !manifest.folders.is_empty(),
        line: "[[folders]] name = \"…\" reason = \"…\"",
    },
    Capability {
        import: "wharf:kv/store",
        link: wharf::kv::store::add_to_linker::<CallState, HasSelf<CallState>>,
        declared: |manifest| manifest.kv_bytes > 0,
        line: "kv_bytes = …",
    },
    // Harmless, so nobody has to ask for them.
    Capability {
        import: "wharf:log/logger",
        link: wharf::log::logger::add_to_linker::<CallState, HasSelf<CallState>>,
        declared: |_| true,
        line: "",
    },
    Capability {
        import: "wharf:clock/wall",
        link: wharf::clock::wall::add_to_linker::<CallState, HasSelf<CallState>>,
        declared: |_| true,
        line: "",
    },
];

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
