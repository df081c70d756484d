//! A route's way out: to its one target, or to one of several that share its requests. Where that
//! one cannot be reached, nothing of the request has left, so the next in line may have it,
//! whatever its method: signed anew, for the other's host, path and scope.

use std::sync::Arc;
use std::time::Instant;

use http::header::{COOKIE, HOST};
use http::{HeaderMap, Response};

use crate::config::{Destination, Split, Sticky, Target};
use crate::net::Lookout;
use crate::proxy::limit::{Gates, Permit};
use crate::proxy::rejection::Rejection;
use crate::proxy::route::below;
use crate::proxy::upstream::reach::Outlook;
use crate::proxy::upstream::{Attempts, Others, Outgoing, TargetBody, Upstream};
use crate::routing::Turns;

/// Where the requests of a route go out.
#[derive(Debug)]
pub(in crate::proxy) enum Outlet {
    /// To its target.
    One(Arc<Upstream>),
    /// To one of its targets.
    Several(Box<Spread>),
}

/// The upstreams of a split, in the order of its targets.
#[derive(Debug)]
pub(in crate::proxy) struct Spread {
    split: Split,
    upstreams: Vec<Arc<Upstream>>,
    turns: Turns,
}

/// What a request needs to be let in at another target.
pub(in crate::proxy) struct Doors<'d> {
    pub(in crate::proxy) gates: &'d Gates,
    /// The route's index.
    pub(in crate::proxy) route: usize,
    pub(in crate::proxy) permit: &'d mut Option<Permit>,
}

impl Outlet {
    pub(in crate::proxy) fn of(
        destination: &Destination,
        mut upstream: impl FnMut(&Arc<Target>) -> Arc<Upstream>,
    ) -> Self {
        match destination {
            Destination::One(target) => Self::One(upstream(target)),
            Destination::Split(split) => Self::Several(Box::new(Spread {
                upstreams: destination.targets().iter().map(upstream).collect(),
                split: split.clone(),
                turns: Turns::from(fastrand::u64(..)),
            })),
        }
    }

    /// The upstreams of all targets.
    pub(in crate::proxy) fn upstreams(&self) -> &[Arc<Upstream>] {
        match self {
            Self::One(upstream) => std::slice::from_ref(upstream),
            Self::Several(spread) => &spread.upstreams,
        }
    }

    /// The position of the target that a request with these headers goes to first; `has_room`
    /// tells whether there is any at another than the one whose turn it is.
    pub(in crate::proxy) fn choose(
        &self,
        headers: &HeaderMap,
        has_room: impl Fn(usize) -> bool,
    ) -> usize {
        match self {
            Self::One(_) => 0,
            Self::Several(spread) => spread.choose(headers, has_room),
        }
    }

    /// Sends the request, first to the target that [`Attempts`] name.
    ///
    /// # Errors
    ///
    /// Where there are no credentials or no answer.
    pub(in crate::proxy) async fn send(
        &self,
        outgoing: &mut Outgoing<'_>,
        attempts: &mut Attempts,
        doors: Doors<'_>,
    ) -> Result<Response<TargetBody>, Rejection> {
        match self {
            Self::One(upstream) => upstream.send(outgoing, attempts).await,
            Self::Several(spread) => Box::pin(spread.send(outgoing, attempts, doors)).await,
        }
    }
}

impl Spread {
    fn choose(&self, headers: &HeaderMap, has_room: impl Fn(usize) -> bool) -> usize {
        let weights = self.split.weights();
        let value = self.split.sticky().and_then(|sticky| value(sticky, headers));
        let first = match value {
            Some(value) => weights.of_value(value),
            None => weights.in_turn(&self.turns),
        };
        let chosen = self.in_line(first, |at| at == first || has_room(at)).unwrap_or(first);
        if chosen != first {
            self.upstreams[first].metrics.failed_over();
        }
        chosen
    }

    /// The first target from a position on that may have a request: one with a weight before a
    /// standby, and those that could not be reached lately last.
    fn in_line(&self, from: usize, may_have: impl Fn(usize) -> bool) -> Option<usize> {
        let count = self.upstreams.len();
        let line = (from..from + count).map(|at| at % count).filter(|at| may_have(*at));
        let weighs = |at: &usize| self.split.weights().weighs(*at);
        let standbys = line.clone().filter(|at| !weighs(at));
        let mut line = line.filter(weighs).chain(standbys);
        let hopeful = line.clone().find(|at| self.upstreams[*at].is_hopeful());
        hopeful.or_else(|| line.next())
    }

    async fn send(
        &self,
        outgoing: &mut Outgoing<'_>,
        attempts: &mut Attempts,
        mut doors: Doors<'_>,
    ) -> Result<Response<TargetBody>, Rejection> {
        let sent = outgoing.sent.clone();
        let mut tried = Tried::default();
        loop {
            let upstream = &self.upstreams[attempts.target];
            tried.add(attempts.target);
            outgoing.sent = below(&upstream.target.base_path, &sent)?;
            outgoing.headers.insert(HOST, upstream.target.host.clone());
            let may_go_on = outgoing.is_held() && tried.count() < self.upstreams.len();
            outgoing.others = if may_go_on { Others::Left } else { Others::None };
            let began = Instant::now();
            let outcome = upstream.send(outgoing, attempts).await;
            let Err(Rejection::Connect(error)) = outcome else { return outcome };
            upstream.reach.missed(&error, began);
            let next = match outgoing.others {
                Others::Left => self.next(attempts.target, tried, &mut doors),
                Others::None => None,
            };
            let Some(next) = next else { return Err(Rejection::Connect(error)) };
            upstream.metrics.failed_over();
            attempts.target = next;
        }
    }

    /// The next target that lets the request in; one that is full is passed over.
    fn next(&self, from: usize, mut tried: Tried, doors: &mut Doors<'_>) -> Option<usize> {
        loop {
            let may_have = |at| !tried.has(at) && doors.gates.has_room(doors.route, at);
            let next = self.in_line(from, may_have)?;
            if doors.enter(next) {
                return Some(next);
            }
            tried.add(next); // another request was quicker
        }
    }
}

impl Doors<'_> {
    /// Whether there is room at a target of the route; the place at the one before is given back.
    fn enter(&mut self, target: usize) -> bool {
        match self.permit {
            Some(permit) => self.gates.cross(permit, self.route, target).is_ok(),
            None => true,
        }
    }
}

impl Upstream {
    /// Whether a request is to be sent there rather than elsewhere. Whether a target that could not
    /// be reached can be again is no request's to find out.
    fn is_hopeful(&self) -> bool {
        let outlook = self.reach.look();
        if outlook == Outlook::Due {
            self.pool.open_ahead();
        }
        outlook == Outlook::Good
    }
}

/// The positions that a request has been to: a bit each, of which there are enough for a split.
#[derive(Clone, Copy, Debug, Default)]
struct Tried(u64);

impl Tried {
    fn add(&mut self, position: usize) {
        self.0 |= 1 << position;
    }

    fn has(self, position: usize) -> bool {
        self.0 & (1 << position) != 0
    }

    fn count(self) -> usize {
        self.0.count_ones() as usize
    }
}

/// What a request brings to be kept with a target; nothing where it is empty.
fn value<'h>(sticky: &Sticky, headers: &'h HeaderMap) -> Option<&'h [u8]> {
    let value = match sticky {
        Sticky::Header(name) => headers.get(name)?.as_bytes(),
        Sticky::Cookie(name) => {
            let lines = headers.get_all(COOKIE).iter().map(|line| line.as_bytes());
            let mut pairs = lines.flat_map(|line| line.split(|byte| *byte == b';'));
            pairs.find_map(|pair| {
                let pair = pair.trim_ascii().strip_prefix(name.as_bytes())?;
                pair.strip_prefix(b"=")
            })?
        }
    };
    Some(value).filter(|value| !value.is_empty())
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn headers(lines: &[(&'static str, &'static str)]) -> HeaderMap {
        let line = |(name, value): &(&'static str, &'static str)| {
            (name.parse().unwrap(), HeaderValue::from_static(value))
        };
        lines.iter().map(line).collect()
    }

    #[test]
    fn a_cookie_is_found_among_others_by_its_whole_name() {
        let sticky = Sticky::Cookie("session".to_owned());
        let found = |lines: &[(&'static str, &'static str)]| {
            value(&sticky, &headers(lines)).map(|value| String::from_utf8(value.to_vec()).unwrap())
        };
        assert_eq!(found(&[("cookie", "a=1; session=x=y; b=2")]).as_deref(), Some("x=y"));
        assert_eq!(found(&[("cookie", "a=1"), ("cookie", " session=q ")]).as_deref(), Some("q"));
        for none in ["sessions=1", "xsession=1", "session", "session=", "Session=1", ""] {
            assert_eq!(found(&[("cookie", none)]), None, "{none}");
        }
    }

    #[test]
    fn a_header_is_taken_as_it_is_and_an_empty_one_is_none() {
        let sticky = Sticky::Header("x-user-id".parse().unwrap());
        assert_eq!(value(&sticky, &headers(&[("x-user-id", "A b")])), Some(b"A b".as_slice()));
        assert_eq!(value(&sticky, &headers(&[("x-user-id", "")])), None);
        assert_eq!(value(&sticky, &headers(&[("x-user", "1")])), None);
    }
}
