//! Why there is no connection, told apart so that a caller learns what to do.

use std::error::Error;
use std::time::Duration;

use tower::BoxError;

use crate::net::pool::CameOn;
use crate::net::resolve::Unresolved;

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The name has no address.
    #[error("DNS: no address")]
    Dns(#[source] BoxError),
    /// Nobody listens.
    #[error("the connection was refused")]
    Refused(#[source] BoxError),
    /// DNS, TCP and TLS together took too long.
    #[error("no connection within {0:?}")]
    TimedOut(Duration),
    /// The certificate is not one that we trust.
    #[error("the certificate is not trusted")]
    Certificate(#[source] BoxError),
    /// TLS failed otherwise.
    #[error("the TLS handshake failed")]
    Tls(#[source] BoxError),
    /// The proxy did not let us through.
    #[error("the proxy refused the tunnel")]
    Proxy(#[source] BoxError),
    /// Anything else.
    #[error("no connection")]
    Other(#[source] BoxError),
}

impl ConnectError {
    /// Finds out what an error of the connector's layers means.
    pub(super) fn classify(error: BoxError) -> Self {
        let error = match error.downcast::<Self>() {
            Ok(classified) => return *classified,
            Err(error) => error,
        };
        match Kind::of(&*error) {
            Kind::Dns => Self::Dns(error),
            Kind::Refused => Self::Refused(error),
            Kind::Certificate => Self::Certificate(error),
            Kind::Tls => Self::Tls(error),
            Kind::Other => Self::Other(error),
        }
    }
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum SendError {
    /// Not a byte was sent.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// The connection broke before the head of an answer was there.
    #[error("the connection broke")]
    Broken {
        /// What broke it.
        #[source]
        cause: hyper::Error,
        /// Whether it had been kept.
        came_on: CameOn,
        /// How much of the request the target may have.
        sent: Sent,
    },
    /// The head of the answer was not there in time.
    #[error("no answer in time")]
    TimedOut,
}

/// How much of a request has left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sent {
    /// Not a byte.
    Nothing,
    /// Perhaps all of it.
    Some,
}

enum Kind {
    Dns,
    Refused,
    Certificate,
    Tls,
    Other,
}

impl Kind {
    fn of(error: &(dyn Error + 'static)) -> Self {
        causes(error).find_map(Self::of_cause).unwrap_or(Self::Other)
    }

    fn of_cause(cause: &(dyn Error + 'static)) -> Option<Self> {
        if cause.is::<Unresolved>() {
            return Some(Self::Dns);
        }
        // An I/O error keeps what it wraps to itself: `source` skips it.
        let wrapped = cause.downcast_ref::<std::io::Error>();
        let inner = wrapped.and_then(std::io::Error::get_ref);
        let tls = inner.and_then(|inner| inner.downcast_ref::<rustls::Error>());
        match tls.or_else(|| cause.downcast_ref()) {
            Some(rustls::Error::InvalidCertificate(_)) => return Some(Self::Certificate),
            Some(_) => return Some(Self::Tls),
            None => {}
        }
        if let Some(inner) = inner {
            return Some(Self::of(inner)).filter(|kind| !matches!(kind, Self::Other));
        }
        let refused = std::io::ErrorKind::ConnectionRefused;
        wrapped.is_some_and(|cause| cause.kind() == refused).then_some(Self::Refused)
    }
}

fn causes<'e>(error: &'e (dyn Error + 'static)) -> impl Iterator<Item = &'e (dyn Error + 'static)> {
    std::iter::successors(Some(error), |error| (**error).source())
}
