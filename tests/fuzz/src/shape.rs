//! The way something ended, told apart from the particulars.

/// A message without its numbers and without what stands between its first and its last quotation mark: `` `x` has 12
/// bytes `` and `` `yy` has 3 bytes `` are one end. What is quoted came out of the input, and may hold marks itself.
pub fn shape(message: &str) -> String {
    let quotes = |c: char| matches!(c, '`' | '"' | '\'');
    let (before, after) = match (message.find(quotes), message.rfind(quotes)) {
        (Some(first), Some(last)) => (&message[..first], &message[last..]),
        _ => (message, ""),
    };
    let kept = before.chars().chain(after.chars()).filter(|c| c.is_ascii_alphabetic() || *c == ' ');
    kept.take(200).collect()
}

#[test]
fn particulars_do_not_make_another_end() {
    assert_eq!(shape("`a` has 12 bytes, at most 9"), shape("`b`c'd` has 3 bytes, at most 9"));
    assert_ne!(shape("`a` has 12 bytes"), shape("`a` has 12 entries"));
}
