//! Which network addresses a request may be dialled to.
//!
//! Every address is put into one class, and only [`Class::Public`] is reachable without the operator's word.
//! `allow_private` opens loopback, private, unique-local and carrier-grade NAT space, for an ERP next door or a
//! simulator. Metadata services, link-local space and IPv4 hidden inside IPv6 stay shut whatever is granted: nobody
//! ships parcels there. Sources: the IANA special-purpose address registries (RFC 6890) and the providers' manuals.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use thiserror::Error;

/// What kind of place an address is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Class {
    Public,
    Loopback,
    /// RFC 1918 and IPv6 unique-local (`fc00::/7`).
    Private,
    /// Carrier-grade NAT, `100.64.0.0/10`.
    SharedNat,
    LinkLocal,
    /// A cloud's instance metadata: credentials for the asking.
    Metadata,
    Unspecified,
    /// IPv4 inside IPv6: mapped, compatible, translated, NAT64, 6to4, Teredo.
    EmbeddedV4,
    Multicast,
    /// Broadcast, documentation, benchmarking and whatever is reserved or not yet given out.
    Special,
}

impl Class {
    /// The rule that refuses it, as the last part of a fault's code.
    pub fn rule(self) -> &'static str {
        match self {
            Self::Public => "address-public",
            Self::Loopback => "address-loopback",
            Self::Private => "address-private",
            Self::SharedNat => "address-cgnat",
            Self::LinkLocal => "address-link-local",
            Self::Metadata => "address-metadata",
            Self::Unspecified => "address-unspecified",
            Self::EmbeddedV4 => "address-embedded-v4",
            Self::Multicast | Self::Special => "address-special",
        }
    }

    /// May it be dialled when the origin has (or has not) `allow_private`?
    pub fn reachable(self, allow_private: bool) -> bool {
        match self {
            Self::Public => true,
            Self::Loopback | Self::Private | Self::SharedNat => allow_private,
            _ => false,
        }
    }

    /// Would `allow_private` open it?
    fn can_be_allowed(self) -> bool {
        self.reachable(true)
    }
}

/// Why an address is not dialled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum AddressError {
    #[error("`{ip}` is refused by rule `{}`{}", class.rule(), hint(*class))]
    Refused { ip: IpAddr, class: Class },
    #[error("it has good addresses and `{ip}`, which is refused by rule `{}`; one bad answer spoils all of them", class.rule())]
    Mixed { ip: IpAddr, class: Class },
    #[error("`{ip}` is public: a secret travels over plain http only inside a private network, use https")]
    PlainSecret { ip: IpAddr },
    #[error("`{addr}` is this host itself, which nothing permits")]
    Own { addr: SocketAddr },
}

fn hint(class: Class) -> &'static str {
    if class.can_be_allowed() {
        "; `allow_private_address = true` at the connection would permit it"
    } else {
        ", which nothing permits"
    }
}

impl AddressError {
    /// The last part of the fault's code.
    pub(crate) fn rule(&self) -> &'static str {
        match self {
            Self::Refused { class, .. } => class.rule(),
            Self::Mixed { .. } => "dns-mixed",
            Self::Own { .. } => "self-request",
            Self::PlainSecret { .. } => "plain-secret",
        }
    }
}

/// The rules for one origin's addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AddressRule {
    pub allow_private: bool,
    /// Set for plain http with a secret: then every address must be a private one.
    pub only_private: bool,
}

impl AddressRule {
    /// Checks one address.
    pub fn check(self, ip: IpAddr) -> Result<(), AddressError> {
        let class = classify(ip);
        if !class.reachable(self.allow_private) {
            return Err(AddressError::Refused { ip, class });
        }
        if self.only_private && class == Class::Public {
            return Err(AddressError::PlainSecret { ip });
        }
        Ok(())
    }

    /// Checks what a name resolved to. One bad answer spoils all of them: a name that is public and private at once
    /// is an attack or a mistake.
    pub fn check_all(self, answers: &[SocketAddr]) -> Result<(), AddressError> {
        let good = answers.iter().any(|addr| self.check(addr.ip()).is_ok());
        answers.iter().try_for_each(|addr| match self.check(addr.ip()) {
            Err(AddressError::Refused { ip, class }) if good => Err(AddressError::Mixed { ip, class }),
            checked => checked,
        })
    }
}

/// The class of an address.
pub fn classify(ip: IpAddr) -> Class {
    match ip {
        IpAddr::V4(v4) => classify_v4(v4),
        IpAddr::V6(v6) => classify_v6(v6),
    }
}

/// EC2 and most others, two container credential endpoints, Azure's wire server (which has a public address),
/// Alibaba, Oracle.
const METADATA_V4: [[u8; 4]; 6] = [
    [169, 254, 169, 254],
    [169, 254, 170, 2],
    [169, 254, 170, 23],
    [168, 63, 129, 16],
    [100, 100, 100, 200],
    [192, 0, 0, 192],
];

fn classify_v4(ip: Ipv4Addr) -> Class {
    let [a, b, c, d] = ip.octets();
    if METADATA_V4.contains(&[a, b, c, d]) {
        return Class::Metadata;
    }
    match (a, b, c) {
        (0, 0, 0) if d == 0 => Class::Unspecified,
        (127, _, _) => Class::Loopback,
        (10, _, _) | (172, 16..=31, _) | (192, 168, _) => Class::Private,
        (100, 64..=127, _) => Class::SharedNat,
        (169, 254, _) => Class::LinkLocal,
        (224..=239, _, _) => Class::Multicast,
        // "This network", IETF protocols, three documentation nets, the 6to4 relay, benchmarking, class E, broadcast.
        (0 | 240..=255, _, _)
        | (192, 0, 0 | 2)
        | (198, 51, 100)
        | (203, 0, 113)
        | (192, 88, 99)
        | (198, 18 | 19, _) => Class::Special,
        _ => Class::Public,
    }
}

/// EC2 (`fd00:ec2::254`, container credentials `::23`) and Google Cloud (`fd20:ce::254`).
const METADATA_V6: [[u16; 8]; 3] = [
    [0xfd00, 0x0ec2, 0, 0, 0, 0, 0, 0x0254],
    [0xfd00, 0x0ec2, 0, 0, 0, 0, 0, 0x0023],
    [0xfd20, 0x00ce, 0, 0, 0, 0, 0, 0x0254],
];

fn classify_v6(ip: Ipv6Addr) -> Class {
    let s = ip.segments();
    if METADATA_V6.contains(&s) {
        return Class::Metadata;
    }
    match s {
        [0, 0, 0, 0, 0, 0, 0, 0] => Class::Unspecified,
        [0, 0, 0, 0, 0, 0, 0, 1] => Class::Loopback,
        // Compatible, mapped (RFC 4291), translated (RFC 2765); NAT64 (RFC 6052, RFC 8215); 6to4; Teredo.
        [0, 0, 0, 0, 0, 0 | 0xffff, ..]
        | [0, 0, 0, 0, 0xffff, 0, ..]
        | [0x0064, 0xff9b, ..]
        | [0x2002, ..]
        | [0x2001, 0, ..] => Class::EmbeddedV4,
        // ISATAP (RFC 5214) carries an IPv4 address in its interface identifier, under any prefix.
        [_, _, _, _, 0 | 0x0200, 0x5efe, ..] => Class::EmbeddedV4,
        [0xfc00..=0xfdff, ..] => Class::Private,
        [0xfe80..=0xfebf, ..] => Class::LinkLocal,
        [0xff00..=0xffff, ..] => Class::Multicast,
        // IETF protocol assignments with ORCHID, documentation (RFC 3849, RFC 9637).
        [0x2001, 0x0001..=0x01ff, ..] | [0x2001, 0x0db8, ..] | [0x3fff, 0..=0x0fff, ..] => Class::Special,
        [0x2000..=0x3fff, ..] => Class::Public,
        // Only 2000::/3 is given out as global unicast; the rest waits or was withdrawn (fec0::/10, 100::/64).
        _ => Class::Special,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_special_range_has_its_class() {
        use Class::*;
        let table = [
            ("1.1.1.1", Public),
            ("8.8.8.8", Public),
            ("9.255.255.255", Public),
            ("11.0.0.0", Public),
            ("172.15.255.255", Public),
            ("172.32.0.0", Public),
            ("100.63.255.255", Public),
            ("100.128.0.0", Public),
            ("198.17.255.255", Public),
            ("198.20.0.0", Public),
            ("192.0.1.1", Public),
            ("223.255.255.255", Public),
            ("0.0.0.0", Unspecified),
            ("0.1.2.3", Special),
            ("127.0.0.1", Loopback),
            ("127.255.255.254", Loopback),
            ("10.0.0.1", Private),
            ("10.255.255.255", Private),
            ("172.16.0.0", Private),
            ("172.31.255.255", Private),
            ("192.168.0.1", Private),
            ("100.64.0.1", SharedNat),
            ("100.127.255.255", SharedNat),
            ("169.254.0.1", LinkLocal),
            ("169.254.169.254", Metadata),
            ("169.254.170.2", Metadata),
            ("168.63.129.16", Metadata),
            ("100.100.100.200", Metadata),
            ("192.0.0.192", Metadata),
            ("192.0.0.1", Special),
            ("192.0.2.1", Special),
            ("198.51.100.1", Special),
            ("203.0.113.255", Special),
            ("192.88.99.1", Special),
            ("198.18.0.1", Special),
            ("198.19.255.255", Special),
            ("224.0.0.1", Multicast),
            ("239.255.255.255", Multicast),
            ("240.0.0.1", Special),
            ("255.255.255.255", Special),
            ("2606:4700:4700::1111", Public),
            ("2a00:1450:4001:80f::200e", Public),
            ("2003::1", Public),
            ("2001:200::1", Public),
            ("::", Unspecified),
            ("::1", Loopback),
            ("::127.0.0.1", EmbeddedV4),
            ("::10.0.0.1", EmbeddedV4),
            ("::ffff:10.0.0.1", EmbeddedV4),
            ("::ffff:8.8.8.8", EmbeddedV4),
            ("::ffff:0:127.0.0.1", EmbeddedV4),
            ("64:ff9b::a9fe:a9fe", EmbeddedV4),
            ("64:ff9b:1::1", EmbeddedV4),
            ("2002:7f00:1::", EmbeddedV4),
            ("2001::1", EmbeddedV4),
            ("2001:0:4136:e378::1", EmbeddedV4),
            ("2a00::5efe:7f00:1", EmbeddedV4),
            ("fc00::1", Private),
            ("fdff:ffff::1", Private),
            ("fd00:ec2::254", Metadata),
            ("fd20:ce::254", Metadata),
            ("fe80::1", LinkLocal),
            ("febf::1", LinkLocal),
            ("fec0::1", Special),
            ("ff02::1", Multicast),
            ("2001:db8::1", Special),
            ("2001:10::1", Special),
            ("2001:20::1", Special),
            ("3fff::1", Special),
            ("100::1", Special),
            ("5f00::1", Special),
            ("4000::1", Special),
        ];
        for (text, class) in table {
            assert_eq!(classify(text.parse().expect(text)), class, "{text}");
        }
    }

    #[test]
    fn the_operator_can_open_the_private_classes_and_nothing_else() {
        let open = AddressRule { allow_private: true, only_private: false };
        for fine in ["127.0.0.1", "10.1.2.3", "100.64.0.9", "::1", "fd12::1", "1.1.1.1"] {
            assert_eq!(open.check(fine.parse().expect(fine)), Ok(()), "{fine}");
        }
        for never in ["169.254.169.254", "169.254.1.1", "0.0.0.0", "::ffff:127.0.0.1", "224.0.0.1", "100.100.100.200"] {
            let err = open.check(never.parse().expect(never)).expect_err(never);
            assert!(err.to_string().contains("nothing permits"), "{err}");
        }
        let shut = AddressRule { allow_private: false, only_private: false };
        let err = shut.check(IpAddr::V4(Ipv4Addr::LOCALHOST)).expect_err("loopback");
        assert!(err.to_string().contains("allow_private_address = true"), "{err}");
    }

    #[test]
    fn one_bad_answer_spoils_the_name() {
        let rule = AddressRule { allow_private: false, only_private: false };
        let public = SocketAddr::from(([1, 1, 1, 1], 443));
        let private = SocketAddr::from(([10, 0, 0, 1], 443));
        assert_eq!(rule.check_all(&[public]), Ok(()));
        let mixed = Err(AddressError::Mixed { ip: private.ip(), class: Class::Private });
        assert_eq!(rule.check_all(&[public, private]), mixed);
        assert_eq!(rule.check_all(&[private, public]), mixed);
        let only = Err(AddressError::Refused { ip: private.ip(), class: Class::Private });
        assert_eq!(rule.check_all(&[private, private]), only);
    }

    #[test]
    fn a_secret_in_plain_http_stays_inside() {
        let rule = AddressRule { allow_private: true, only_private: true };
        assert_eq!(rule.check(IpAddr::V4(Ipv4Addr::LOCALHOST)), Ok(()));
        let err = rule.check(IpAddr::V4(Ipv4Addr::new(1, 1, 1, 1))).expect_err("public");
        assert!(err.to_string().contains("use https"), "{err}");
    }
}
