//! The contracts of `wit/` as Rust types and traits, generated once for every adapter. The modules at the crate's root
//! re-export what an author needs under shorter names.

wit_bindgen::generate!({
    path: "../../wit",
    world: "wharf:worlds/carrier@0.1.0",
    generate_all,
    pub_export_macro: true,
    additional_derives: [PartialEq, serde::Serialize],
});
