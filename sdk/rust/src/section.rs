//! Which interface description a guest carries. Computed while the guest compiles, from the list in `export!`.

include!(concat!(env!("OUT_DIR"), "/sections.rs"));

/// How many sections every guest carries.
pub const GROUPS: usize = 3;

/// One interface a guest may export: its group and its bit within the group, in the order of `build.rs`.
#[derive(Clone, Copy)]
pub struct Face {
    group: usize,
    bit: u32,
}

/// `wharf:adapter/info`.
#[expect(non_upper_case_globals, reason = "named as in `export!`")]
pub const info: Face = Face { group: 0, bit: 0 };
/// `wharf:carrier/rates`.
#[expect(non_upper_case_globals, reason = "named as in `export!`")]
pub const rates: Face = Face { group: 1, bit: 0 };
/// `wharf:carrier/labels`.
#[expect(non_upper_case_globals, reason = "named as in `export!`")]
pub const labels: Face = Face { group: 1, bit: 1 };
/// `wharf:carrier/tracking`.
#[expect(non_upper_case_globals, reason = "named as in `export!`")]
pub const tracking: Face = Face { group: 2, bit: 0 };
/// `wharf:webhook/parser`.
#[expect(non_upper_case_globals, reason = "named as in `export!`")]
pub const webhook: Face = Face { group: 2, bit: 1 };

const fn description(faces: &[Face], group: usize) -> &'static [u8] {
    let mut set = 0;
    let mut i = 0;
    while i < faces.len() {
        if faces[i].group == group {
            set |= 1 << faces[i].bit;
        }
        i += 1;
    }
    match group {
        0 => GROUP_0[set],
        1 => GROUP_1[set],
        _ => GROUP_2[set],
    }
}

/// Bytes of the section.
pub const fn len(faces: &[Face], group: usize) -> usize {
    description(faces, group).len()
}

/// The section. `N` is [`len`] of the same arguments.
pub const fn bytes<const N: usize>(faces: &[Face], group: usize) -> [u8; N] {
    let from = description(faces, group);
    let mut to = [0; N];
    let mut i = 0;
    while i < N {
        to[i] = from[i];
        i += 1;
    }
    to
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_set_of_interfaces_has_a_description_of_its_own() {
        let all = [GROUP_0, GROUP_1, GROUP_2].concat();
        assert_eq!(all.len(), 2 + 4 + 4);
        let both = description(&[labels, info, rates], 1);
        assert!(both.len() > description(&[rates], 1).len());
        assert_eq!(both, GROUP_1[3]);
        assert_eq!(description(&[labels], 2), GROUP_2[0], "an unused group describes nothing");
        assert_eq!(bytes::<{ len(&[webhook], 2) }>(&[webhook], 2), *GROUP_2[2]);
    }
}
