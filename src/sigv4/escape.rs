//! Percent escapes as SigV4 writes them: each byte outside the unreserved set, upper-case hex.

const fn unreserved_and(extra: &[u8]) -> [bool; 256] {
    let mut kept = [false; 256];
    let mut byte = 0;
    while byte < 256 {
        kept[byte] = matches!(byte as u8, b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~');
        byte += 1;
    }
    let mut at = 0;
    while at < extra.len() {
        kept[extra[at] as usize] = true;
        at += 1;
    }
    kept
}

/// What stays as it is in a name or a value of a query.
const UNRESERVED: [bool; 256] = unreserved_and(b"");

/// What stays as it is in a path.
const UNRESERVED_OR_SLASH: [bool; 256] = unreserved_and(b"/");

const DIGITS: &[u8; 16] = b"0123456789ABCDEF";

/// Appends a path, each byte encoded once more: what is an escape already is escaped again.
pub(super) fn encode_path(out: &mut Vec<u8>, mut path: &[u8]) {
    while let Some(at) = path.iter().position(|&byte| !UNRESERVED_OR_SLASH[usize::from(byte)]) {
        out.extend_from_slice(&path[..at]);
        push_escaped(out, path[at]);
        path = &path[at + 1..];
    }
    out.extend_from_slice(path);
}

/// Appends a name or a value of a query: decoded as bytes, then encoded.
pub(super) fn recode_query(out: &mut Vec<u8>, mut text: &[u8]) {
    while let Some(at) = text.iter().position(|&byte| !UNRESERVED[usize::from(byte)]) {
        out.extend_from_slice(&text[..at]);
        let (byte, length) = decode_first(&text[at..]);
        push_encoded(out, byte);
        text = &text[at + length..];
    }
    out.extend_from_slice(text);
}

/// The bytes that a query's name or value stands for. Only for those who compare: what is signed
/// stays encoded.
pub fn decode_query(mut text: &[u8]) -> impl Iterator<Item = u8> {
    std::iter::from_fn(move || {
        let (byte, length) = (!text.is_empty()).then(|| decode_first(text))?;
        text = &text[length..];
        Some(byte)
    })
}

/// The first byte that a query text (not empty) stands for, and how many bytes say so. A `%` that
/// no two hex digits follow is itself.
fn decode_first(text: &[u8]) -> (u8, usize) {
    match *text {
        [b'%', high, low, ..] => match (hex_digit(high), hex_digit(low)) {
            (Some(high), Some(low)) => (high << 4 | low, 3),
            _ => (b'%', 1),
        },
        // a reading as form data; the wire says `%20` by then
        [b'+', ..] => (b' ', 1),
        [byte, ..] => (byte, 1),
        [] => (0, 0),
    }
}

fn hex_digit(byte: u8) -> Option<u8> {
    match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        b'A'..=b'F' => Some(byte - b'A' + 10),
        _ => None,
    }
}

fn push_encoded(out: &mut Vec<u8>, byte: u8) {
    if UNRESERVED[usize::from(byte)] { out.push(byte) } else { push_escaped(out, byte) }
}

fn push_escaped(out: &mut Vec<u8>, byte: u8) {
    let (high, low) = (usize::from(byte >> 4), usize::from(byte & 15));
    out.extend_from_slice(&[b'%', DIGITS[high], DIGITS[low]]);
}
