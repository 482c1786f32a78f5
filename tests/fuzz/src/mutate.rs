//! How an input is changed: a few of the changes that break readers, one after the other.

use rand::Rng;
use rand::rngs::SmallRng;

/// Numbers at the edges of what readers count with.
const NUMBERS: [&str; 14] = [
    "0",
    "-1",
    "1e309",
    "255",
    "256",
    "65535",
    "65536",
    "2147483647",
    "2147483648",
    "4294967295",
    "9007199254740993",
    "9223372036854775807",
    "18446744073709551616",
    "0.1e-400",
];
/// Bytes that mean something somewhere: edges of signed numbers and LEB128, of UTF-8, of texts.
const BYTES: [u8; 24] = [
    0, 1, 0x7f, 0x80, 0xff, 0xfe, 0xc0, 0xed, 0xf4, b'"', b'\\', b'\'', b'{', b'}', b'[', b']', b'<', b'\n', b'\r',
    b'\t', b'%', b':', b'/', b'@',
];

/// Changes `input` one to six times. `other` is another input to take pieces from; nothing grows beyond `longest`.
pub(crate) fn change(input: &mut Vec<u8>, other: &[u8], words: &[Vec<u8>], longest: usize, rng: &mut SmallRng) {
    for _ in 0..rng.random_range(1..=6) {
        match rng.random_range(0..14) {
            0 | 1 => flip(input, rng),
            2 => set(input, rng),
            3 => leave_out(input, rng),
            4 => repeat(input, longest, rng),
            5 => input.truncate(place(input, rng)),
            6 | 7 => insert(input, pick(words, rng), rng),
            8 => overwrite(input, pick(words, rng), rng),
            9 => insert(input, piece(other, rng), rng),
            10 => overwrite(input, piece(other, rng), rng),
            11 => number(input, rng),
            12 => swap(input, rng),
            _ => insert(input, &[BYTES[rng.random_range(0..BYTES.len())]], rng),
        }
        input.truncate(longest);
    }
}

/// A place in an input, its end included.
fn place(input: &[u8], rng: &mut SmallRng) -> usize {
    rng.random_range(0..=input.len())
}

/// Mostly a short piece, now and then a long one.
fn range(input: &[u8], rng: &mut SmallRng) -> std::ops::Range<usize> {
    let from = place(input, rng);
    let most = if rng.random_bool(0.8) { 16 } else { input.len() };
    let length = rng.random_range(0..=most.min(input.len() - from));
    from..from + length
}

fn piece<'o>(other: &'o [u8], rng: &mut SmallRng) -> &'o [u8] {
    &other[range(other, rng)]
}

fn pick<'w>(words: &'w [Vec<u8>], rng: &mut SmallRng) -> &'w [u8] {
    if words.is_empty() { &[] } else { &words[rng.random_range(0..words.len())] }
}

fn flip(input: &mut [u8], rng: &mut SmallRng) {
    if !input.is_empty() {
        let at = rng.random_range(0..input.len());
        input[at] ^= 1 << rng.random_range(0..8);
    }
}

fn set(input: &mut [u8], rng: &mut SmallRng) {
    if !input.is_empty() {
        let at = rng.random_range(0..input.len());
        input[at] = if rng.random_bool(0.5) { rng.random() } else { BYTES[rng.random_range(0..BYTES.len())] };
    }
}

fn leave_out(input: &mut Vec<u8>, rng: &mut SmallRng) {
    let gone = range(input, rng);
    input.drain(gone);
}

/// A piece many times over: nesting, long names, long lists.
fn repeat(input: &mut Vec<u8>, longest: usize, rng: &mut SmallRng) {
    let again = range(input, rng);
    let at = again.end;
    let room = longest.saturating_sub(input.len()) / again.len().max(1);
    let most = if rng.random_bool(0.7) { 3 } else { 1_000 };
    let times = rng.random_range(0..=most.min(room));
    let more = input[again].repeat(times);
    input.splice(at..at, more);
}

fn insert(input: &mut Vec<u8>, piece: &[u8], rng: &mut SmallRng) {
    let at = place(input, rng);
    input.splice(at..at, piece.iter().copied());
}

fn overwrite(input: &mut Vec<u8>, piece: &[u8], rng: &mut SmallRng) {
    let at = place(input, rng);
    let end = (at + piece.len()).min(input.len());
    input.splice(at..end, piece.iter().copied());
}

/// Another number where one stands.
fn number(input: &mut Vec<u8>, rng: &mut SmallRng) {
    let from = place(input, rng);
    let Some(at) = input[from..].iter().position(u8::is_ascii_digit).map(|after| from + after) else { return };
    let end = input[at..].iter().position(|byte| !byte.is_ascii_digit()).map_or(input.len(), |after| at + after);
    let other = NUMBERS[rng.random_range(0..NUMBERS.len())];
    input.splice(at..end, other.bytes());
}

/// Two pieces change places.
fn swap(input: &mut Vec<u8>, rng: &mut SmallRng) {
    let moved: Vec<u8> = input.drain(range(input, rng)).collect();
    insert(input, &moved, rng);
}
