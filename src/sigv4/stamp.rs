//! The moment of a signature: UTC, to the second, as `x-amz-date` spells it.

use std::time::{Duration, SystemTime};

const SECONDS_A_DAY: i64 = 86_400;
const FIRST_SECOND: i64 = -62_167_219_200; // 0000-01-01T00:00:00Z
const LAST_SECOND: i64 = 253_402_300_799; // 9999-12-31T23:59:59Z

/// A moment as `20150830T123600Z`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stamp {
    seconds: i64,
    text: [u8; 16],
}

impl Stamp {
    /// The second that `time` lies in, held within the years of four digits.
    pub(super) fn at(time: SystemTime) -> Self {
        let seconds = unix_seconds(time).clamp(FIRST_SECOND, LAST_SECOND);
        let (year, month, day) = civil_date(seconds.div_euclid(SECONDS_A_DAY));
        let of_day = seconds.rem_euclid(SECONDS_A_DAY);
        let mut text = *b"00000000T000000Z";
        put(&mut text[..4], year);
        put(&mut text[4..6], month);
        put(&mut text[6..8], day);
        put(&mut text[9..11], of_day / 3600);
        put(&mut text[11..13], of_day / 60 % 60);
        put(&mut text[13..15], of_day % 60);
        Self { seconds, text }
    }

    /// `20150830T123600Z`.
    pub(super) fn date_time(&self) -> &[u8] {
        &self.text
    }

    /// `20150830`.
    pub(super) fn date(&self) -> &[u8] {
        &self.text[..8]
    }

    /// Days since 1970: what a signing key is valid for.
    pub(super) fn day(&self) -> i64 {
        self.seconds.div_euclid(SECONDS_A_DAY)
    }

    /// The moment as a time again.
    pub(super) fn time(&self) -> SystemTime {
        let distance = Duration::from_secs(self.seconds.unsigned_abs());
        if self.seconds < 0 {
            SystemTime::UNIX_EPOCH - distance
        } else {
            SystemTime::UNIX_EPOCH + distance
        }
    }
}

fn unix_seconds(time: SystemTime) -> i64 {
    let whole = |distance: Duration| i64::try_from(distance.as_secs()).unwrap_or(i64::MAX);
    match time.duration_since(SystemTime::UNIX_EPOCH) {
        Ok(after) => whole(after),
        Err(before) => {
            let before = before.duration();
            let begun = i64::from(before.subsec_nanos() > 0);
            whole(before).saturating_neg().saturating_sub(begun)
        }
    }
}

fn put(digits: &mut [u8], mut number: i64) {
    for digit in digits.iter_mut().rev() {
        *digit = b'0' + (number % 10) as u8;
        number /= 10;
    }
}

/// Year, month and day of a day since 1970. The year is counted from March, so that the leap day
/// is its last (H. Hinnant, "chrono-Compatible Low-Level Date Algorithms").
fn civil_date(day: i64) -> (i64, i64, i64) {
    let day = day + 719_468; // since 0000-03-01
    let (era, of_era) = (day.div_euclid(146_097), day.rem_euclid(146_097)); // 400 years each
    let year = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let from_march = (5 * of_year + 2) / 153;
    let day = of_year - (153 * from_march + 2) / 5 + 1;
    let month = if from_march < 10 { from_march + 3 } else { from_march - 9 };
    (era * 400 + year + i64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stamp(seconds: i64) -> String {
        let time = Stamp { seconds, text: [0; 16] }.time();
        String::from_utf8(Stamp::at(time).date_time().to_vec()).unwrap()
    }

    #[test]
    fn spells_known_moments() {
        for (seconds, spelt) in [
            (0, "19700101T000000Z"),
            (1_440_938_160, "20150830T123600Z"),
            (951_782_399, "20000228T235959Z"),
            (951_782_400, "20000229T000000Z"), // a century's year that leaps
            (951_868_800, "20000301T000000Z"),
            (4_107_542_399, "21000228T235959Z"), // one that does not
            (4_107_542_400, "21000301T000000Z"),
            (1_709_251_199, "20240229T235959Z"),
            (1_709_251_200, "20240301T000000Z"),
            (1_735_689_599, "20241231T235959Z"),
            (1_735_689_600, "20250101T000000Z"),
            (-1, "19691231T235959Z"),
            (FIRST_SECOND, "00000101T000000Z"),
            (LAST_SECOND, "99991231T235959Z"),
        ] {
            assert_eq!(stamp(seconds), spelt);
        }
    }

    #[test]
    fn every_day_follows_the_one_before() {
        let mut before = civil_date(-1);
        for day in 0..366 * 500 {
            let (year, month, date) = civil_date(day);
            let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
            let february = 28 + i64::from(leap);
            let long = [31, february, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
            let (y, m, d) = before;
            let next = match (m, d) {
                (12, 31) => (y + 1, 1, 1),
                (m, d) if d == long[m as usize - 1] => (y, m + 1, 1),
                _ => (y, m, d + 1),
            };
            // a year changes only in January, where February's length does not matter
            assert_eq!((year, month, date), next);
            before = next;
        }
    }

    #[test]
    fn the_day_turns_at_midnight_and_no_part_of_a_second_before() {
        let midnight = SystemTime::UNIX_EPOCH + Duration::from_secs(1_735_689_600);
        let before = Stamp::at(midnight - Duration::from_nanos(1));
        let after = Stamp::at(midnight);
        assert_eq!(before.date_time(), b"20241231T235959Z");
        assert_eq!(after.date_time(), b"20250101T000000Z");
        assert_eq!(before.day() + 1, after.day());
        assert_eq!(Stamp::at(SystemTime::UNIX_EPOCH - Duration::from_nanos(1)).day(), -1);
    }

    #[test]
    fn a_time_no_calendar_has_does_not_panic() {
        let far = SystemTime::UNIX_EPOCH + Duration::from_secs(1 << 60);
        assert_eq!(Stamp::at(far).date_time(), b"99991231T235959Z");
        let early = SystemTime::UNIX_EPOCH - Duration::from_secs(1 << 60);
        assert_eq!(Stamp::at(early).date_time(), b"00000101T000000Z");
    }
}
