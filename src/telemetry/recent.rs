//! The last requests, for a person who asks what became of one: without query, body or headers.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use http::{Method, StatusCode};

use crate::config::{Route, Target};
use crate::telemetry::Origin;

/// How many are kept.
const KEPT: usize = 200;
/// Bytes of a path that are kept: 200 long ones are no reason to hold a megabyte.
const PATH_KEPT: usize = 256;

/// The last requests. Writing one down costs a lock that nobody else holds, and no allocation.
#[derive(Clone, Debug)]
pub struct Recent(Option<Arc<Mutex<Ring>>>);

#[derive(Debug, Default)]
struct Ring {
    seen: VecDeque<Seen>,
    /// All that there ever were.
    count: u64,
}

/// A request that is over.
#[derive(Clone, Debug)]
pub struct Seen {
    /// Counted from the first of all, which is 1; the ring sets it.
    pub number: u64,
    /// When it was over.
    pub ended: Instant,
    /// Its method.
    pub method: Method,
    /// Its path; none where only the route may be written down.
    pub path: Option<String>,
    /// The route that took it.
    pub route: Option<Arc<Route>>,
    /// The target that it was for.
    pub target: Option<Arc<Target>>,
    /// The answer's status.
    pub status: Option<StatusCode>,
    /// Whose answer it was.
    pub origin: Origin,
    /// Our code for why it was not answered, or not whole.
    pub reason: Option<&'static str>,
    /// What to do about it.
    pub remedy: Option<&'static str>,
    /// Signed sends.
    pub attempts: u32,
    /// From head to last byte.
    pub took: Duration,
    /// From head to the head of the target's answer.
    pub first_byte: Option<Duration>,
    /// Bytes of its body.
    pub bytes_in: u64,
    /// Bytes of the answer's body.
    pub bytes_out: u64,
}

impl Recent {
    /// Keeps the last requests.
    pub fn kept() -> Self {
        Self(Some(Arc::default()))
    }

    /// Keeps nothing: where nobody can ask.
    pub fn off() -> Self {
        Self(None)
    }

    /// Whether there is anybody to write requests down for.
    pub fn is_kept(&self) -> bool {
        self.0.is_some()
    }

    /// Writes a request down. `path` is given apart: it is copied into the room of the one that
    /// makes way.
    pub fn push(&self, mut seen: Seen, path: Option<&str>) {
        let Some(ring) = &self.0 else { return };
        let mut ring = lock(ring);
        let oldest = if ring.seen.len() == KEPT { ring.seen.pop_front() } else { None };
        if let Some(path) = path {
            let mut room = oldest.and_then(|oldest| oldest.path).unwrap_or_default();
            room.clear();
            room.push_str(shortened(path));
            seen.path = Some(room);
        }
        ring.count += 1;
        seen.number = ring.count;
        ring.seen.push_back(seen);
    }

    /// What is kept, the last one first.
    pub fn latest(&self) -> Vec<Seen> {
        let ring = self.0.as_ref().map(|ring| lock(ring));
        ring.map(|ring| ring.seen.iter().rev().cloned().collect()).unwrap_or_default()
    }
}

fn lock(ring: &Mutex<Ring>) -> MutexGuard<'_, Ring> {
    ring.lock().unwrap_or_else(PoisonError::into_inner)
}

fn shortened(path: &str) -> &str {
    &path[..path.floor_char_boundary(PATH_KEPT)]
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use http::{Method, StatusCode};

    use super::{KEPT, PATH_KEPT, Recent, Seen};
    use crate::telemetry::Origin;

    fn seen() -> Seen {
        Seen {
            number: 0,
            ended: Instant::now(),
            method: Method::GET,
            path: None,
            route: None,
            target: None,
            status: Some(StatusCode::OK),
            origin: Origin::Target,
            reason: None,
            remedy: None,
            attempts: 1,
            took: Duration::ZERO,
            first_byte: None,
            bytes_in: 0,
            bytes_out: 0,
        }
    }

    #[test]
    fn keeps_the_last_ones_and_gives_the_newest_first() {
        let recent = Recent::kept();
        for number in 0..KEPT + 5 {
            recent.push(seen(), Some(&format!("/{number}")));
        }
        let latest = recent.latest();
        assert_eq!(latest.len(), KEPT);
        assert_eq!((latest[0].number, latest[0].path.as_deref()), (205, Some("/204")));
        assert_eq!(latest[KEPT - 1].path.as_deref(), Some("/5"));
    }

    #[test]
    fn keeps_no_path_where_there_is_to_be_none() {
        let recent = Recent::kept();
        for _ in 0..KEPT {
            recent.push(seen(), Some("/secret"));
        }
        for _ in 0..KEPT {
            recent.push(seen(), None);
        }
        assert!(recent.latest().iter().all(|seen| seen.path.is_none()));
    }

    #[test]
    fn shortens_a_long_path_between_letters() {
        let recent = Recent::kept();
        recent.push(seen(), Some(&"/é".repeat(PATH_KEPT)));
        let path = recent.latest()[0].path.clone().unwrap();
        assert!(path.len() <= PATH_KEPT && path.len() > PATH_KEPT - 3, "{}", path.len());
    }

    #[test]
    fn keeps_nothing_where_it_is_off() {
        let recent = Recent::off();
        recent.push(seen(), Some("/"));
        assert!(recent.latest().is_empty());
    }
}
