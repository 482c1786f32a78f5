//! What may be done about an effect when nobody knows whether it happened.

use super::EffectClass;
use crate::ids::Digest;

/// What is known about an effect of unknown outcome.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Doubt {
    /// The class it was opened with.
    pub class: EffectClass,
    /// `find-by-reference` can tell what became of it.
    pub lookup: bool,
    /// The partner still honours the key it was sent with.
    pub key_alive: bool,
    /// The account and endpoint are those it was sent under.
    pub same_account: bool,
    /// The adapter is the one that sent it.
    pub same_adapter: bool,
}

/// What a doubt allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WayOut {
    /// The very same request may simply be sent again.
    Repeat,
    /// The partner is asked for the reference.
    LookUp,
    /// Only a person can decide.
    Person(Why),
}

/// Why only a person can decide.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Why {
    /// The partner offers no way to ask.
    NoLookup,
    /// The partner may have forgotten the key, and offers no way to ask.
    KeyExpired,
    /// Another account would be asked than the one that may have acted.
    OtherAccount,
    /// Another adapter would ask, which may read the answer differently.
    OtherAdapter,
}

/// The way out of a doubt. A repeat of absolute state is harmless whoever makes it; everything else is tied to the
/// adapter and the account of the send: a key means something to one account only, and a lookup that finds nothing at
/// another account proves nothing.
pub fn way_out(doubt: &Doubt) -> WayOut {
    match doubt.class {
        EffectClass::Read | EffectClass::Natural => WayOut::Repeat,
        _ if !doubt.same_adapter => WayOut::Person(Why::OtherAdapter),
        EffectClass::Keyed if doubt.key_alive && doubt.same_account => WayOut::Repeat,
        _ if !doubt.same_account => WayOut::Person(Why::OtherAccount),
        _ if doubt.lookup => WayOut::LookUp,
        EffectClass::Keyed => WayOut::Person(Why::KeyExpired),
        _ => WayOut::Person(Why::NoLookup),
    }
}

/// The key a partner is given: a UUID (version 8, RFC 9562) worked out from what the effect is, so that every attempt,
/// and a host restored from a backup, gives the same one.
pub fn remote_key(parts: &[&str]) -> String {
    let digest = Digest::of(parts.join("\n").as_bytes());
    let mut bytes = [0_u8; 16];
    // A SHA-256 always has 32 bytes.
    if hex::decode_to_slice(digest.hex().get(..32).unwrap_or_default(), &mut bytes).is_err() {
        bytes = [0; 16];
    }
    uuid::Builder::from_custom_bytes(bytes).into_uuid().hyphenated().to_string()
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    fn doubt(class: EffectClass) -> Doubt {
        Doubt { class, lookup: false, key_alive: true, same_account: true, same_adapter: true }
    }

    #[test]
    fn each_class_has_its_way_out() {
        use EffectClass::{Keyed, Lookup, Natural, Once, Read};
        let of = |class| doubt(class);
        for (doubt, way) in [
            (of(Read), WayOut::Repeat),
            (of(Natural), WayOut::Repeat),
            (Doubt { same_account: false, same_adapter: false, ..of(Natural) }, WayOut::Repeat),
            (of(Keyed), WayOut::Repeat),
            (Doubt { key_alive: false, ..of(Keyed) }, WayOut::Person(Why::KeyExpired)),
            (Doubt { key_alive: false, lookup: true, ..of(Keyed) }, WayOut::LookUp),
            (Doubt { same_account: false, lookup: true, ..of(Keyed) }, WayOut::Person(Why::OtherAccount)),
            (Doubt { lookup: true, ..of(Lookup) }, WayOut::LookUp),
            (Doubt { lookup: true, same_account: false, ..of(Lookup) }, WayOut::Person(Why::OtherAccount)),
            (Doubt { lookup: true, same_adapter: false, ..of(Lookup) }, WayOut::Person(Why::OtherAdapter)),
            (of(Once), WayOut::Person(Why::NoLookup)),
            (Doubt { lookup: true, ..of(Once) }, WayOut::LookUp),
        ] {
            assert_eq!(way_out(&doubt), way, "{doubt:?}");
        }
    }

    #[test]
    fn a_key_depends_on_every_part_and_on_nothing_else() {
        let key = remote_key(&["a", "b"]);
        assert_eq!(key, remote_key(&["a", "b"]));
        assert_ne!(key, remote_key(&["a", "c"]));
        let uuid = Uuid::parse_str(&key).expect("a UUID");
        assert_eq!(uuid.get_version_num(), 8);
    }
}
