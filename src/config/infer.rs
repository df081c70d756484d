//! What a host tells of itself: signing service and region.

use std::net::IpAddr;

/// What signs requests to a host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Inferred {
    /// Service and region.
    Scope {
        /// The service.
        service: &'static str,
        /// The region.
        region: String,
    },
    /// A host that wants a signature of another kind (SigV4a).
    NotYet,
    /// It tells nothing.
    Nothing,
}

/// Hosts of AWS, by their ends:
/// <https://docs.aws.amazon.com/lambda/latest/dg/urls-configuration.html>,
/// <https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-publish.html>.
pub(super) fn infer(host: &str) -> Inferred {
    let labels: Vec<&str> = host.trim_end_matches('.').split('.').collect();
    match labels.as_slice() {
        [.., "lambda-web", "global", "on", "aws"] => Inferred::NotYet,
        [_, "lambda-url", region, "on", "aws"] | [.., "lambda-web", region, "on", "aws"] => {
            Inferred::Scope { service: "lambda", region: (*region).to_owned() }
        }
        [_, "execute-api", region, "amazonaws", "com"] => {
            Inferred::Scope { service: "execute-api", region: (*region).to_owned() }
        }
        _ => Inferred::Nothing,
    }
}

/// Whether a host is this machine: the only place where plain http is safe.
pub(super) fn is_loopback(host: &str) -> bool {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    crate::routing::host::is_loopback_name(host)
        || bare.parse().is_ok_and(|ip: IpAddr| ip.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::{Inferred, infer, is_loopback};

    fn scope(service: &'static str, region: &str) -> Inferred {
        Inferred::Scope { service, region: region.to_owned() }
    }

    #[test]
    fn knows_the_hosts_of_aws() {
        assert_eq!(infer("abc.lambda-url.eu-west-1.on.aws"), scope("lambda", "eu-west-1"));
        assert_eq!(infer("a.b.lambda-web.us-east-1.on.aws"), scope("lambda", "us-east-1"));
        assert_eq!(
            infer("abc.execute-api.us-west-2.amazonaws.com"),
            scope("execute-api", "us-west-2")
        );
        assert_eq!(infer("abc.lambda-web.global.on.aws"), Inferred::NotYet);
    }

    #[test]
    fn guesses_nothing() {
        for host in [
            "orders.internal",
            "lambda-url.us-east-1.on.aws",
            "abc.lambda-url.us-east-1.on.aws.evil.example",
        ] {
            assert_eq!(infer(host), Inferred::Nothing, "{host}");
        }
    }

    #[test]
    fn knows_loopback() {
        assert!(is_loopback("localhost") && is_loopback("127.9.9.9") && is_loopback("[::1]"));
        assert!(!is_loopback("10.0.0.1") && !is_loopback("localhost.evil.example"));
    }
}
