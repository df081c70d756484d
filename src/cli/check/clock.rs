//! Whether this machine's clock is right enough to sign with: AWS takes signatures of five minutes
//! either way.
//!
//! A target's own clock cannot be read without a request to it, and a function whose URL has no
//! auth would run. So the `Date` of the region's STS is looked at: a HEAD of its front page, which
//! carries nothing of anybody, needs no signature and invokes nothing.

use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::header::{DATE, HOST};
use http::{HeaderValue, Method, Request, Uri};
use http_body_util::Empty;

use crate::cli::check::table::Found;
use crate::clock::Clock;
use crate::net::Clients;

/// A minute less than AWS allows.
const TOO_FAR: Duration = Duration::from_secs(4 * 60);
/// The head of an answer that is made of nothing.
const PATIENCE: Duration = Duration::from_secs(10);

/// Whose clock is looked at.
pub(super) struct Judges {
    /// `AWS_ENDPOINT_URL_STS`, else `AWS_ENDPOINT_URL`: where the SDKs look for STS too.
    endpoint: Option<String>,
}

impl Judges {
    pub(super) fn of(environment: &[(String, String)]) -> Self {
        let read = |name: &str| {
            let found = environment.iter().find(|(key, value)| key == name && !value.is_empty());
            found.map(|(_, value)| value.clone())
        };
        Self { endpoint: read("AWS_ENDPOINT_URL_STS").or_else(|| read("AWS_ENDPOINT_URL")) }
    }

    /// Whether there is one without a way out to AWS.
    pub(super) fn is_named(&self) -> bool {
        self.endpoint.is_some()
    }

    fn of_region(&self, region: &str) -> String {
        let end = if region.starts_with("cn-") { ".cn" } else { "" };
        let regional = || format!("https://sts.{region}.amazonaws.com{end}");
        self.endpoint.clone().unwrap_or_else(regional)
    }

    /// Compares this machine's clock with that of a region.
    pub(super) async fn compare(&self, clients: &Clients, region: &str) -> Found {
        let url = self.of_region(region);
        let unknown = |why: String| Found::unknown(format!("not compared: {why}"));
        let Some((request, host)) = front_page(&url) else {
            return unknown(format!("`{url}` is no URL"));
        };
        let clock = Clock::system();
        let before = clock.now();
        let answered = clients.send(request);
        let answer = match tokio::time::timeout(PATIENCE, answered).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(error)) => return unknown(format!("{host}: {error}")),
            Err(_elapsed) => return unknown(format!("{host} did not answer")),
        };
        let round_trip = clock.now().duration_since(before).unwrap_or_default();
        let date = answer.headers().get(DATE).and_then(|date| date.to_str().ok());
        match date.and_then(|date| httpdate::parse_http_date(date).ok()) {
            Some(theirs) => judge(before + round_trip / 2, theirs, &host),
            None => unknown(format!("{host} says no date")),
        }
    }
}

fn front_page(url: &str) -> Option<(Request<Empty<Bytes>>, String)> {
    let url: Uri = url.parse().ok()?;
    let host = url.authority()?.as_str().to_owned();
    let mut request = Request::new(Empty::new());
    *request.method_mut() = Method::HEAD;
    request.headers_mut().insert(HOST, HeaderValue::try_from(&host).ok()?);
    *request.uri_mut() = url;
    Some((request, host))
}

/// `theirs` has no fractions: it is up to a second behind.
fn judge(ours: SystemTime, theirs: SystemTime, host: &str) -> Found {
    let (off, which) = match ours.duration_since(theirs) {
        Ok(ahead) => (ahead, "ahead of"),
        Err(behind) => (behind.duration(), "behind"),
    };
    let seconds = off.as_secs();
    if off >= TOO_FAR {
        return Found::failed(
            format!("{seconds} s {which} {host}: AWS takes no more than 300 s"),
            "set this machine's clock (NTP)",
        );
    }
    match seconds {
        0 | 1 => Found::ok(format!("as {host}")),
        _ => Found::ok(format!("{seconds} s {which} {host}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::check::table::Outcome;

    #[test]
    fn a_clock_may_be_off_by_less_than_four_minutes() {
        let theirs = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000);
        for (off, result, what) in [
            (0, Outcome::Ok, "as sts"),
            (239, Outcome::Ok, "239 s ahead of sts"),
            (240, Outcome::Failed, "240 s ahead of sts: AWS takes no more than 300 s"),
        ] {
            let found = judge(theirs + Duration::from_secs(off), theirs, "sts");
            assert_eq!((found.result, found.what.as_str()), (result, what));
        }
        let found = judge(theirs - Duration::from_secs(3600), theirs, "sts");
        assert_eq!(found.result, Outcome::Failed);
        assert!(found.what.starts_with("3600 s behind sts"), "{found:?}");
    }

    #[test]
    fn asks_the_regions_own_service() {
        let judges = Judges::of(&[]);
        assert_eq!(judges.of_region("eu-west-1"), "https://sts.eu-west-1.amazonaws.com");
        assert_eq!(judges.of_region("cn-north-1"), "https://sts.cn-north-1.amazonaws.com.cn");
        let named = [("AWS_ENDPOINT_URL_STS".to_owned(), "http://127.0.0.1:1".to_owned())];
        assert_eq!(Judges::of(&named).of_region("eu-west-1"), "http://127.0.0.1:1");
    }
}
