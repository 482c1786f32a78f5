//! The export macro.

/// Runs before every call into an adapter.
#[doc(hidden)]
pub fn enter() {
    #[cfg(target_arch = "wasm32")]
    std::panic::set_hook(Box::new(|panic| crate::log::error(&panic.to_string())));
}

/// Exports a type's abilities from the component: `export!(Acme: info, rates, labels, tracking, webhook);`
///
/// List only what the type implements, in any order, once per crate. The component then exports exactly these
/// interfaces and imports only the host functions it really calls.
#[macro_export]
macro_rules! export {
    ($adapter:ident: $($face:ident),+ $(,)?) => {
        $($crate::__export_face!($adapter $face);)+
        #[cfg(target_arch = "wasm32")]
        const _: () = {
            use $crate::section;
            const FACES: &[section::Face] = &[$(section::$face),+];
            #[unsafe(link_section = "component-type:wharf-sdk:0")]
            static GROUP_0: [u8; section::len(FACES, 0)] = section::bytes(FACES, 0);
            #[unsafe(link_section = "component-type:wharf-sdk:1")]
            static GROUP_1: [u8; section::len(FACES, 1)] = section::bytes(FACES, 1);
            #[unsafe(link_section = "component-type:wharf-sdk:2")]
            static GROUP_2: [u8; section::len(FACES, 2)] = section::bytes(FACES, 2);
        };
    };
}

/// One interface: a type that enters, then calls the adapter. Off wasm only the trait is checked: the exports' names are
/// none a native linker takes.
#[doc(hidden)]
#[macro_export]
macro_rules! __export_face {
    ($adapter:ident info) => {
        const _: fn() = || {
            fn implements<T: $crate::info::Guest>() {}
            implements::<$adapter>();
        };
        #[cfg(target_arch = "wasm32")]
        const _: () = {
            use $crate::info::{Description, Guest};
            struct Entry;
            impl Guest for Entry {
                fn describe() -> Description {
                    $crate::enter();
                    <$adapter as Guest>::describe()
                }
            }
    $crate::info::__export_wharf_adapter_info_0_1_0_cabi!(Entry with_types_in $crate::info);
        };
    };
    ($adapter:ident rates) => {
        const _: fn() = || {
            fn implements<T: $crate::rates::Guest>() {}
            implements::<$adapter>();
        };
        #[cfg(target_arch = "wasm32")]
        const _: () = {
            use $crate::rates::{Guest, RateAnswer, RateRequest};
            struct Entry;
            impl Guest for Entry {
                fn rate(context: $crate::CallContext, request: RateRequest) -> Result<RateAnswer, $crate::Fault> {
                    $crate::enter();
                    <$adapter as Guest>::rate(context, request)
                }
            }
    $crate::rates::__export_wharf_carrier_rates_0_1_0_cabi!(Entry with_types_in $crate::rates);
        };
    };
    ($adapter:ident labels) => {
        const _: fn() = || {
            fn implements<T: $crate::labels::Guest>() {}
            implements::<$adapter>();
        };
        #[cfg(target_arch = "wasm32")]
        const _: () = {
            use $crate::labels::{Guest, Shipment, ShipmentRequest, Voided};
            struct Entry;
            impl Guest for Entry {
                fn create_shipment(
                    context: $crate::CallContext,
                    request: ShipmentRequest,
                ) -> Result<Shipment, $crate::Fault> {
                    $crate::enter();
                    <$adapter as Guest>::create_shipment(context, request)
                }
                fn find_by_reference(
                    context: $crate::CallContext,
                    reference: String,
                ) -> Result<Option<Shipment>, $crate::Fault> {
                    $crate::enter();
                    <$adapter as Guest>::find_by_reference(context, reference)
                }
                fn void(context: $crate::CallContext, id: String) -> Result<Voided, $crate::Fault> {
                    $crate::enter();
                    <$adapter as Guest>::void(context, id)
                }
            }
    $crate::labels::__export_wharf_carrier_labels_0_1_0_cabi!(Entry with_types_in $crate::labels);
        };
    };
    ($adapter:ident tracking) => {
        const _: fn() = || {
            fn implements<T: $crate::tracking::Guest>() {}
            implements::<$adapter>();
        };
        #[cfg(target_arch = "wasm32")]
        const _: () = {
            use $crate::tracking::{Guest, TrackResult};
            struct Entry;
            impl Guest for Entry {
                fn track(
                    context: $crate::CallContext,
                    numbers: Vec<String>,
                ) -> Result<Vec<TrackResult>, $crate::Fault> {
                    $crate::enter();
                    <$adapter as Guest>::track(context, numbers)
                }
            }
    $crate::tracking::__export_wharf_carrier_tracking_0_1_0_cabi!(Entry with_types_in $crate::tracking);
        };
    };
    ($adapter:ident webhook) => {
        const _: fn() = || {
            fn implements<T: $crate::webhook::Guest>() {}
            implements::<$adapter>();
        };
        #[cfg(target_arch = "wasm32")]
        const _: () = {
            use $crate::webhook::{Event, Guest, RawRequest, VerifiedFacts};
            struct Entry;
            impl Guest for Entry {
                fn parse(request: RawRequest, facts: VerifiedFacts) -> Result<Vec<Event>, $crate::Fault> {
                    $crate::enter();
                    <$adapter as Guest>::parse(request, facts)
                }
            }
    $crate::webhook::__export_wharf_webhook_parser_0_1_0_cabi!(Entry with_types_in $crate::webhook);
        };
    };
}
