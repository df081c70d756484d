//! Names, looked up by the system. AWS's own are looked up as absolute ones: Kubernetes puts
//! `ndots:5` into pods, and each of its search domains would cost two queries first.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use hyper_util::client::legacy::connect::dns::{GaiAddrs, GaiResolver, Name};
use tower::Service;

/// Domains in which no search domain can have a say.
const ABSOLUTE: [&str; 3] = [".on.aws", ".amazonaws.com", ".amazonaws.com.cn"];

/// The system's resolver.
#[derive(Clone, Debug)]
pub(super) struct Resolver(GaiResolver);

/// A name without an address.
#[derive(Debug, thiserror::Error)]
#[error("`{name}` does not resolve")]
pub(super) struct Unresolved {
    pub(super) name: String,
    #[source]
    cause: std::io::Error,
}

impl Resolver {
    pub(super) fn new() -> Self {
        Self(GaiResolver::new())
    }
}

impl Service<Name> for Resolver {
    type Response = GaiAddrs;
    type Error = Unresolved;
    type Future = Pin<Box<dyn Future<Output = Result<GaiAddrs, Unresolved>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Unresolved>> {
        Poll::Ready(Ok(())) // the system's resolver is always ready
    }

    fn call(&mut self, name: Name) -> Self::Future {
        let asked = absolute(name.as_str()).and_then(|name| name.parse().ok());
        let look_up = self.0.call(asked.unwrap_or_else(|| name.clone()));
        Box::pin(async move {
            look_up.await.map_err(|cause| Unresolved { name: name.as_str().to_owned(), cause })
        })
    }
}

fn absolute(name: &str) -> Option<String> {
    ABSOLUTE.iter().any(|domain| name.ends_with(domain)).then(|| format!("{name}."))
}

#[cfg(test)]
mod tests {
    use super::absolute;

    #[test]
    fn names_of_aws_are_absolute() {
        let url = "abc.lambda-url.us-east-1.on.aws";
        assert_eq!(absolute(url), Some(format!("{url}.")));
        assert_eq!(
            absolute("sts.eu-west-1.amazonaws.com"),
            Some("sts.eu-west-1.amazonaws.com.".into())
        );
        assert_eq!(absolute("abc.on.aws."), None);
        assert_eq!(absolute("orders.internal"), None);
    }
}
