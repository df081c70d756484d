//! Names, looked up by the system. AWS's own are looked up as absolute ones: Kubernetes puts
//! `ndots:5` into pods, and each of its search domains would cost two queries first.
//!
//! The system keeps a thread for as long as it looks, whoever has gone, and threads are shared by
//! all: so those who want the same name at the same time share one look-up. Where it gives no
//! thread, that one look-up fails.

use std::collections::HashMap;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, Shared};
use hyper_util::client::legacy::connect::dns::{GaiResolver, Name};
use tower::Service;

/// Domains in which no search domain can have a say.
const ABSOLUTE: [&str; 3] = [".on.aws", ".amazonaws.com", ".amazonaws.com.cn"];

/// How long a look-up is joined. One that hangs must not keep a name from being found once the
/// server is back, nor may one whose askers have all gone tell later what it found.
const JOINED: Duration = Duration::from_secs(2);

type Found = Result<Arc<[SocketAddr]>, Arc<io::Error>>;
type LookUp = Shared<BoxFuture<'static, Found>>;

/// The system's resolver.
#[derive(Clone, Debug)]
pub(super) struct Resolver {
    system: GaiResolver,
    /// How many addresses of a family are given on.
    most: usize,
    /// The last look-up of each name, and when it began.
    last: Arc<Mutex<HashMap<Name, (Instant, LookUp)>>>,
}

/// A name without an address.
#[derive(Debug, thiserror::Error)]
#[error("`{name}` does not resolve")]
pub(super) struct Unresolved {
    pub(super) name: String,
    #[source]
    cause: Arc<io::Error>,
}

impl Resolver {
    pub(super) fn new(most: usize) -> Self {
        Self { system: GaiResolver::new(), most, last: Arc::default() }
    }

    /// One that is under way, or another.
    fn look_up(&mut self, name: Name) -> LookUp {
        let mut last = self.last.lock().expect("nothing panics while it is held");
        if let Some((began, look_up)) = last.get(&name)
            && began.elapsed() < JOINED
            && look_up.peek().is_none()
        {
            return look_up.clone();
        }
        let (mut system, asked) = (self.system.clone(), name.clone());
        // Without a thread, tokio panics: one that is shared, or holds the lock, must not.
        let found = AssertUnwindSafe(async move { system.call(asked).await }).catch_unwind();
        let found = found.map(|found| {
            let found = found
                .unwrap_or_else(|_| Err(io::Error::other("the system starts no more threads")));
            found.map(Iterator::collect).map_err(Arc::new)
        });
        let look_up = found.boxed().shared();
        last.insert(name, (Instant::now(), look_up.clone()));
        look_up
    }
}

impl Service<Name> for Resolver {
    type Response = std::vec::IntoIter<SocketAddr>;
    type Error = Unresolved;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Unresolved>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Unresolved>> {
        Poll::Ready(Ok(())) // the system's resolver is always ready
    }

    fn call(&mut self, name: Name) -> Self::Future {
        let asked = absolute(name.as_str()).and_then(|name| name.parse().ok());
        let look_up = self.look_up(asked.unwrap_or_else(|| name.clone()));
        let most = self.most;
        Box::pin(async move {
            let found = look_up.await;
            let unresolved = |cause| Unresolved { name: name.as_str().to_owned(), cause };
            found.map(|found| first_of_each(&found, most).into_iter()).map_err(unresolved)
        })
    }
}

/// The first addresses of each family, in their order.
fn first_of_each(found: &[SocketAddr], most: usize) -> Vec<SocketAddr> {
    let [mut four, mut six] = [most; 2];
    let mut is_one = |address: &&SocketAddr| {
        let left = if address.is_ipv4() { &mut four } else { &mut six };
        let is_one = *left > 0;
        *left = left.saturating_sub(1);
        is_one
    };
    found.iter().filter(|address| is_one(address)).copied().collect()
}

fn absolute(name: &str) -> Option<String> {
    ABSOLUTE.iter().any(|domain| name.ends_with(domain)).then(|| format!("{name}."))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn who_wants_the_same_name_meanwhile_shares_the_look_up() {
        let mut resolver = Resolver::new(2);
        let name = |name: &str| name.parse::<Name>().unwrap();
        let first = resolver.look_up(name("localhost"));
        let second = resolver.clone().look_up(name("localhost"));
        assert!(second.ptr_eq(&first));
        assert!(!resolver.look_up(name("127.0.0.1")).ptr_eq(&first));
        assert!(first.await.unwrap().iter().all(|found| found.ip().is_loopback()));
        assert!(!resolver.look_up(name("localhost")).ptr_eq(&second), "it has ended");
    }

    #[test]
    fn a_look_up_that_gets_no_thread_fails_alone() {
        let mut resolver = Resolver::new(2);
        let name: Name = "localhost".parse().unwrap();
        let without_a_runtime = resolver.look_up(name.clone()).now_or_never();
        assert!(without_a_runtime.unwrap().is_err());
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        assert!(runtime.block_on(resolver.look_up(name)).is_ok());
    }

    #[tokio::test]
    async fn a_look_up_that_hangs_is_not_waited_for_by_those_who_come_later() {
        let mut resolver = Resolver::new(2);
        let name: Name = "localhost".parse().unwrap();
        let hangs: LookUp = std::future::pending().boxed().shared();
        let began = |ago| Instant::now().checked_sub(ago).unwrap();
        for (ago, joined) in [(JOINED / 2, true), (JOINED, false)] {
            resolver.last.lock().unwrap().insert(name.clone(), (began(ago), hangs.clone()));
            assert_eq!(resolver.look_up(name.clone()).ptr_eq(&hangs), joined, "{ago:?}");
        }
    }

    #[test]
    fn the_first_addresses_of_each_family_are_tried() {
        let all = ["[::1]:1", "10.0.0.1:1", "[::2]:1", "[::3]:1", "10.0.0.2:1"];
        let all = all.map(|address| address.parse::<SocketAddr>().unwrap());
        assert_eq!(first_of_each(&all, 2), [all[0], all[1], all[2], all[4]]);
        assert_eq!(first_of_each(&all, 1), [all[0], all[1]]);
        assert_eq!(first_of_each(&all, 3), all);
    }

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
