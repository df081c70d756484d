//! The forms of a moment that Lambda reads and writes.

use std::time::SystemTime;

use aws_smithy_types::DateTime;
use aws_smithy_types::date_time::Format;

const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/// A moment, to the second, at Greenwich.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Timestamp(i64);

impl Timestamp {
    pub(super) fn new(time: SystemTime) -> Self {
        Self(DateTime::from(time).secs())
    }

    /// Reads `20261124T030405Z`, the form of `x-amz-date`.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (day, time) = text.strip_suffix('Z')?.split_once('T')?;
        let digits = |text: &str, count| {
            text.len() == count && text.bytes().all(|byte| byte.is_ascii_digit())
        };
        if !digits(day, 8) || !digits(time, 6) {
            return None;
        }
        let (year, month, date) = (&day[..4], &day[4..6], &day[6..]);
        let (hour, minute, second) = (&time[..2], &time[2..4], &time[4..]);
        let extended = format!("{year}-{month}-{date}T{hour}:{minute}:{second}Z");
        let parsed = DateTime::from_str(&extended, Format::DateTime).ok()?;
        Some(Self(parsed.secs()))
    }

    /// `seconds` later, or earlier.
    pub(super) fn plus(self, seconds: i64) -> Self {
        Self(self.0.saturating_add(seconds))
    }

    /// `20261124T030405Z`, the form of `x-amz-date`.
    pub(super) fn basic(self) -> String {
        self.extended().replace(['-', ':'], "")
    }

    /// `24/Nov/2026:03:04:05 +0000`, the form of an access log.
    pub(super) fn common_log(self) -> String {
        let extended = self.extended();
        let (year, month, day) = (&extended[..4], &extended[5..7], &extended[8..10]);
        let month = month.parse::<usize>().map_or("", |month| MONTHS[month - 1]);
        format!("{day}/{month}/{year}:{} +0000", &extended[11..19])
    }

    fn extended(self) -> String {
        let date = DateTime::from_secs(self.0).fmt(Format::DateTime);
        date.expect("a clock shows a year of four digits")
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const MOMENT: u64 = 1_795_489_445;

    fn moment() -> Timestamp {
        Timestamp::new(SystemTime::UNIX_EPOCH + Duration::from_secs(MOMENT))
    }

    #[test]
    fn writes_and_reads_the_form_of_x_amz_date() {
        assert_eq!(moment().basic(), "20261124T030405Z");
        assert_eq!(Timestamp::parse("20261124T030405Z"), Some(moment()));
        assert_eq!(moment().plus(-300).basic(), "20261124T025905Z");
    }

    #[test]
    fn reads_no_other_form() {
        for text in [
            "",
            "2026-11-24T03:04:05Z",
            "20261124T030405",
            "20261324T030405Z",
            "20261124T0304é5Z",
            "20261124T030405+0000Z",
            "2026112٤T030405Z",
        ] {
            assert_eq!(Timestamp::parse(text), None, "{text}");
        }
    }

    #[test]
    fn writes_the_form_of_an_access_log() {
        assert_eq!(moment().common_log(), "24/Nov/2026:03:04:05 +0000");
    }
}
