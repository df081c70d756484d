//! Values with units. A bare number is refused: nobody remembers whether it was seconds.

use std::num::NonZeroU32;
use std::time::Duration;

/// What is wrong with a value, and what to write instead.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Wrong {
    /// What is wrong.
    pub message: String,
    /// What to write instead.
    pub hint: String,
}

impl Wrong {
    pub(super) fn new(message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { message: message.into(), hint: hint.into() }
    }
}

/// `500ms`, `30s`, `5m`, `1h`.
pub(super) fn duration(text: &str) -> Result<Duration, Wrong> {
    let wrong = || {
        Wrong::new(
            format!("`{text}` is no duration"),
            "write a number and ms, s, m or h: `500ms`, `30s`",
        )
    };
    let (number, unit) = split(text).ok_or_else(wrong)?;
    let milliseconds: u64 = match unit {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        _ => return Err(wrong()),
    };
    number.checked_mul(milliseconds).map(Duration::from_millis).ok_or_else(wrong)
}

/// `64KiB`, `6MiB`, `1MB`, `512B`.
pub(super) fn size(text: &str) -> Result<u64, Wrong> {
    let wrong = || {
        Wrong::new(
            format!("`{text}` is no size"),
            "write a number and B, KiB, MiB or GiB (KB, MB, GB are powers of ten): `64KiB`, `6MiB`",
        )
    };
    let (number, unit) = split(text).ok_or_else(wrong)?;
    let bytes: u64 = match unit {
        "B" => 1,
        "KB" | "kB" => 1_000,
        "MB" => 1_000_000,
        "GB" => 1_000_000_000,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        _ => return Err(wrong()),
    };
    number.checked_mul(bytes).ok_or_else(wrong)
}

/// `100/s`, `100/m`, `100/h`: how many, and what that leaves between two.
pub(super) fn rate(text: &str) -> Result<(NonZeroU32, Duration), Wrong> {
    let wrong = || {
        Wrong::new(
            format!("`{text}` is no rate"),
            "write a whole number and /s, /m or /h: `100/s`, `5/m`",
        )
    };
    let (number, unit) = split(text).ok_or_else(wrong)?;
    let period = match unit.strip_prefix('/').map(str::trim_start) {
        Some("s") => Duration::from_secs(1),
        Some("m") => Duration::from_secs(60),
        Some("h") => Duration::from_secs(3600),
        _ => return Err(wrong()),
    };
    if number == 0 {
        return Err(Wrong::new(
            format!("`{text}` would let nothing through"),
            "write a number from 1 up",
        ));
    }
    let count = u32::try_from(number).ok().and_then(NonZeroU32::new);
    match count.map(|count| (count, period / count.get())) {
        Some((count, interval)) if interval >= SHORTEST_INTERVAL => Ok((count, interval)),
        _ => Err(Wrong::new(
            format!("`{text}` is more than can be"),
            "write `1000000/s` at most, or leave the throttle out",
        )),
    }
}

/// Below it, counting in nanoseconds would make a rate inexact.
const SHORTEST_INTERVAL: Duration = Duration::from_micros(1);

/// `0660`.
pub(super) fn mode(text: &str) -> Result<u32, Wrong> {
    let wrong = || {
        Wrong::new(
            format!("`{text}` is no file mode"),
            "write it in octal, as chmod does: `\"0660\"`",
        )
    };
    let mode = u32::from_str_radix(text, 8).map_err(|_| wrong())?;
    if mode <= 0o777 { Ok(mode) } else { Err(wrong()) }
}

fn split(text: &str) -> Option<(u64, &str)> {
    let text = text.trim();
    let end = text.find(|c: char| !c.is_ascii_digit())?;
    Some((text[..end].parse().ok()?, text[end..].trim_start()))
}

/// The known word nearest to one that was mistyped, if any is near.
pub(super) fn nearest<'k>(word: &str, known: impl IntoIterator<Item = &'k str>) -> Option<&'k str> {
    let ranked = known.into_iter().map(|known| (distance(word, known), known));
    let (distance, known) = ranked.min()?;
    (distance <= 1 + known.len() / 4).then_some(known)
}

/// Levenshtein's.
fn distance(one: &str, other: &str) -> usize {
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (i, a) in one.bytes().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], i + 1);
        for (j, b) in other.bytes().enumerate() {
            let replaced = diagonal + usize::from(a != b);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[other.len()]
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{duration, mode, nearest, rate, size};

    #[test]
    fn durations_have_a_unit() {
        assert_eq!(duration("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!(duration("2 m"), Ok(Duration::from_secs(120)));
        for wrong in ["30", "", "s", "-1s", "1.5s", "1d", "99999999999999999999s"] {
            assert!(duration(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn sizes_have_a_unit() {
        assert_eq!(size("64KiB"), Ok(65536));
        assert_eq!(size("1MB"), Ok(1_000_000));
        for wrong in ["1024", "1M", "KiB", "1e3KiB", "18446744073709551615GiB"] {
            assert!(size(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn rates_have_a_period() {
        let interval = |text| rate(text).map(|(count, interval)| (count.get(), interval));
        assert_eq!(interval("100/s"), Ok((100, Duration::from_millis(10))));
        assert_eq!(interval("5 / m"), Ok((5, Duration::from_secs(12))));
        assert_eq!(interval("2/h"), Ok((2, Duration::from_secs(1800))));
        assert_eq!(interval("1000000/s"), Ok((1_000_000, Duration::from_micros(1))));
        for wrong in ["100", "/s", "0/s", "-1/s", "1.5/s", "100/d", "100 per s", "1000001/s"] {
            assert!(rate(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn modes_are_octal() {
        assert_eq!(mode("0660"), Ok(0o660));
        assert!(mode("0999").is_err() && mode("7777").is_err() && mode("rw").is_err());
    }

    #[test]
    fn finds_the_word_that_was_meant() {
        assert_eq!(nearest("retris", ["retries", "routes"]), Some("retries"));
        assert_eq!(nearest("lisen", ["listen", "limits"]), Some("listen"));
        assert_eq!(nearest("zebra", ["listen", "limits"]), None);
    }
}
