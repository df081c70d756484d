//! The last good credentials, always at hand. One task asks the source, ahead of need; a request
//! reads what is there without a lock, and waits only where there is nothing at all.
//!
//! Credentials past their expiry are still given while the source is down: a service that takes
//! them is better than an answer that certainly fails. They are marked in [`Status`].

mod renewal;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use arc_swap::ArcSwapOption;
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, sleep, timeout, timeout_at};
use tokio_util::sync::CancellationToken;

use crate::clock::Clock;
use crate::credentials::failure::Failure;
use crate::credentials::source::{Loaded, Loading, Source};
use crate::credentials::store::renewal::Forced;
use crate::sigv4::SigningCredentials;

/// How long one load may take; STS and a `credential_process` are slow at worst.
const LOAD_LIMIT: Duration = Duration::from_secs(20);
/// How long a load may take that runs a program: a person may have to be found.
const PROGRAM_LIMIT: Duration = Duration::from_secs(300);
/// After a failed load: at first, doubling, at most.
const FIRST_BACK_OFF: Duration = Duration::from_secs(1);
const LAST_BACK_OFF: Duration = Duration::from_secs(10);
/// How often credentials are read again that carry no expiry: somebody may rotate their file.
const NO_EXPIRY: Duration = Duration::from_secs(60);
/// Loads are at least this far apart.
const LEAST_GAP: Duration = Duration::from_secs(1);
/// How often the wall clock is looked at: the timer of a suspended machine stands still.
const LOOK: Duration = Duration::from_secs(30);
/// How long a request waits where its credentials expired unnoticed (a process that was frozen);
/// a load that takes longer is no better than one that failed.
const THAW: Duration = Duration::from_secs(5);
/// How long a failure counts: a load that hangs and the pause after it take less. An older one
/// is from before the process was frozen.
const FAILURE_COUNTS: Duration = Duration::from_secs(45);

/// The credentials of one source.
#[derive(Clone, Debug)]
pub struct Store(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    source: Box<dyn Source>,
    clock: Clock,
    current: ArcSwapOption<Usable>,
    failure: ArcSwapOption<Failed>,
    /// Counts the loads that ended, well or not.
    loads: watch::Sender<u64>,
    /// Counts the loads that began.
    begun: AtomicU64,
    /// When the load under way began.
    asked: ArcSwapOption<SystemTime>,
    /// The last one that a refusal asked for.
    forced: Mutex<Option<Forced>>,
    /// Wakes the refresher early.
    nudge: Notify,
    succeeded: AtomicU64,
    failed: AtomicU64,
}

#[derive(Debug)]
struct Usable {
    credentials: Arc<SigningCredentials>,
    expires: Option<SystemTime>,
    loaded: SystemTime,
}

#[derive(Debug)]
struct Failed {
    why: Arc<Failure>,
    at: SystemTime,
}

/// There are no credentials, and there were none for as long as the request could wait.
#[derive(Debug, thiserror::Error)]
pub enum Unavailable {
    /// The source said why.
    #[error("no credentials ({}; hint: {})", .0.message, .0.hint)]
    Failed(Arc<Failure>),
    /// The source has not answered yet.
    #[error("the source of the credentials has not answered yet")]
    Pending,
}

/// How a store is.
#[derive(Clone, Debug)]
pub struct Status {
    /// It has credentials that have not expired.
    pub usable: bool,
    /// It gives credentials past their expiry.
    pub stale: bool,
    /// When they expire.
    pub expires: Option<SystemTime>,
    /// When they were loaded.
    pub loaded: Option<SystemTime>,
    /// The end of their access key's id, by which a person knows it again.
    pub key_ending: Option<String>,
    /// Loads that ended well.
    pub succeeded: u64,
    /// Loads that did not.
    pub failed: u64,
    /// Why the last load failed, if it did.
    pub failure: Option<Arc<Failure>>,
}

impl Store {
    /// An empty store; [`Store::run`] fills it.
    pub fn new(source: Box<dyn Source>, clock: Clock) -> Self {
        Self(Arc::new(Inner {
            source,
            clock,
            current: ArcSwapOption::empty(),
            failure: ArcSwapOption::empty(),
            loads: watch::Sender::new(0),
            begun: AtomicU64::new(0),
            asked: ArcSwapOption::empty(),
            forced: Mutex::new(None),
            nudge: Notify::new(),
            succeeded: AtomicU64::new(0),
            failed: AtomicU64::new(0),
        }))
    }

    /// Whether both are the same store.
    pub fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// Credentials: at once where there are any, else as soon as the source gives some.
    ///
    /// # Errors
    ///
    /// Where there are none within `patience`.
    pub async fn get(&self, patience: Duration) -> Result<Arc<SigningCredentials>, Unavailable> {
        match self.at_hand() {
            Some(credentials) => Ok(credentials),
            None => Box::pin(self.await_load(patience)).await,
        }
    }

    /// Waits until the source has answered once, well or not.
    pub(super) async fn answered(&self, limit: Duration) {
        let mut loads = self.0.loads.subscribe();
        let _ = timeout(limit, loads.wait_for(|count| *count > 0)).await;
    }

    /// Waits until a load ends well that came after one that had failed.
    pub(super) async fn recovered(&self) {
        let mut loads = self.0.loads.subscribe();
        loop {
            let was_down = self.failure().is_some();
            if loads.changed().await.is_err() || (was_down && self.failure().is_none()) {
                return;
            }
        }
    }

    /// What can be given without a wait: fresh ones, and old ones while the source is down.
    fn at_hand(&self) -> Option<Arc<SigningCredentials>> {
        let current = self.0.current.load();
        let usable = current.as_ref()?;
        self.will_do(usable).then(|| Arc::clone(&usable.credentials))
    }

    async fn await_load(&self, patience: Duration) -> Result<Arc<SigningCredentials>, Unavailable> {
        let old = self.0.current.load_full().map(|usable| Arc::clone(&usable.credentials));
        if old.is_some() {
            self.0.nudge.notify_one();
        }
        let patience = if old.is_some() { THAW } else { patience };
        self.wait(patience).await.or(old).ok_or_else(|| self.unavailable())
    }

    /// Waits for a load that ends well; once credentials are there, for any that ends.
    async fn wait(&self, patience: Duration) -> Option<Arc<SigningCredentials>> {
        let deadline = Instant::now() + patience;
        let mut loads = self.0.loads.subscribe();
        loop {
            loads.mark_unchanged();
            if let Some(credentials) = self.at_hand() {
                return Some(credentials);
            }
            let ended = timeout_at(deadline, loads.changed()).await;
            if !matches!(ended, Ok(Ok(()))) {
                return None;
            }
        }
    }

    /// Fresh, or the best there is while the source is down.
    fn will_do(&self, usable: &Usable) -> bool {
        self.is_fresh(usable) || self.is_down()
    }

    /// The last load failed, or the one under way hangs.
    fn is_down(&self) -> bool {
        let now = self.0.clock.now();
        let since = |at: SystemTime| now.duration_since(at).unwrap_or(Duration::MAX);
        let failed = self.0.failure.load();
        let asked = self.0.asked.load();
        failed.as_ref().is_some_and(|failed| since(failed.at) < FAILURE_COUNTS)
            || asked.as_ref().is_some_and(|at| (THAW..FAILURE_COUNTS).contains(&since(**at)))
    }

    fn failure(&self) -> Option<Arc<Failure>> {
        self.0.failure.load().as_ref().map(|failed| Arc::clone(&failed.why))
    }

    fn unavailable(&self) -> Unavailable {
        match self.failure() {
            Some(failure) => Unavailable::Failed(failure),
            None => Unavailable::Pending,
        }
    }

    /// Judged by the wall clock each time: no timer tells a frozen process that time has passed.
    fn is_fresh(&self, usable: &Usable) -> bool {
        usable.expires.is_none_or(|expires| self.0.clock.now() < expires)
    }

    /// How it is.
    pub fn status(&self) -> Status {
        let current = self.0.current.load();
        let usable = current.as_ref().is_some_and(|usable| self.is_fresh(usable));
        Status {
            usable,
            stale: current.is_some() && !usable,
            expires: current.as_ref().and_then(|usable| usable.expires),
            loaded: current.as_ref().map(|usable| usable.loaded),
            key_ending: current.as_ref().map(|usable| ending(usable.credentials.access_key_id())),
            succeeded: self.0.succeeded.load(Ordering::Relaxed),
            failed: self.0.failed.load(Ordering::Relaxed),
            failure: self.failure(),
        }
    }

    /// Asks the source, ahead of need, until `stop`. To be run once a store.
    pub async fn run(self, stop: CancellationToken) {
        let mut back_off = FIRST_BACK_OFF;
        let mut under_way = None;
        loop {
            let pause = tokio::select! {
                loaded = self.load(&mut under_way) => match loaded {
                    Ok(pause) => {
                        back_off = FIRST_BACK_OFF;
                        pause
                    }
                    Err(failure) if under_way.is_some() => {
                        self.note(failure);
                        Duration::ZERO
                    }
                    Err(failure) => {
                        self.0.failed.fetch_add(1, Ordering::Relaxed);
                        self.note(failure);
                        let pause = back_off.mul_f64(0.75 + fastrand::f64() * 0.25);
                        back_off = (back_off * 2).min(LAST_BACK_OFF);
                        pause
                    }
                },
                () = stop.cancelled() => return,
            };
            tokio::select! {
                () = self.rest(pause) => {}
                () = self.encouraged() => {}
                () = stop.cancelled() => return,
            }
        }
    }

    /// What the source needs has become better after it failed.
    async fn encouraged(&self) {
        if self.0.failure.load().is_none() {
            return std::future::pending().await;
        }
        self.0.source.encouraged().await;
        sleep(LEAST_GAP).await;
    }

    /// Requests wait, for what is there has expired or was refused.
    fn is_wanting(&self) -> bool {
        self.is_forced()
            || self.0.current.load().as_ref().is_some_and(|usable| !self.will_do(usable))
    }

    /// One load, or more of one that is still `under_way`; gives the time until the next one.
    async fn load<'s>(
        &'s self,
        under_way: &mut Option<(Instant, Loading<'s>)>,
    ) -> Result<Duration, Failure> {
        self.0.begun.fetch_add(1, Ordering::Relaxed);
        self.0.asked.store(Some(Arc::new(self.0.clock.now())));
        let anew = || (Instant::now(), self.0.source.load());
        let (began, mut loading) = under_way.take().unwrap_or_else(anew);
        let loaded = timeout(LOAD_LIMIT, &mut loading).await;
        self.0.asked.store(None);
        let loaded = loaded.unwrap_or_else(|_| {
            if self.0.source.is_program() && began.elapsed() < PROGRAM_LIMIT {
                *under_way = Some((began, loading));
            }
            Err(Failure::silent(LOAD_LIMIT))
        })?;
        let now = self.0.clock.now();
        let pause = until_next(&loaded, now, fastrand::f64());
        let Loaded { credentials, expires } = loaded;
        let key = credentials.access_key_id().to_owned();
        let usable = Usable { credentials: Arc::new(credentials), expires, loaded: now };
        if let Some(end) = expires.filter(|end| *end <= now) {
            self.keep_the_later(usable);
            return Err(Failure::expired(end));
        }
        if self.other_than(&usable.credentials).is_some() {
            self.settle_forced();
        }
        let before = self.0.current.swap(Some(Arc::new(usable)));
        let failed = self.0.failure.swap(None).is_some();
        self.0.succeeded.fetch_add(1, Ordering::Relaxed);
        self.0.loads.send_modify(|count| *count += 1);
        let is_new = before.is_none_or(|before| before.credentials.access_key_id() != key);
        let valid_for_s = expires.and_then(|end| end.duration_since(now).ok()).map(|d| d.as_secs());
        // A file is read each minute for a year: that it says the same is no news.
        if is_new || failed {
            tracing::info!(key_id = key, valid_for_s, "credentials loaded");
        } else {
            tracing::debug!(key_id = key, valid_for_s, "credentials loaded again");
        }
        Ok(pause)
    }

    /// Expired ones are given where there is nothing better.
    fn keep_the_later(&self, usable: Usable) {
        let is_later =
            self.0.current.load().as_ref().is_none_or(|current| {
                current.expires.is_some_and(|end| Some(end) < usable.expires)
            });
        if is_later {
            self.0.current.store(Some(Arc::new(usable)));
        }
    }

    /// Notes why there is nothing new: a load has failed, or takes long.
    fn note(&self, failure: Failure) {
        let kept = self.0.current.load().is_some();
        let known = self.failure().as_deref() == Some(&failure);
        if known {
            tracing::debug!(cause = failure.message, "credentials still could not be loaded");
        } else {
            tracing::warn!(
                cause = failure.message,
                hint = failure.hint,
                kept,
                "credentials could not be loaded"
            );
        }
        let failed = Failed { why: Arc::new(failure), at: self.0.clock.now() };
        self.0.failure.store(Some(Arc::new(failed)));
        self.0.loads.send_modify(|count| *count += 1);
    }

    /// Sleeps until either clock has moved on by `pause` (the timer of a suspended machine stands
    /// still, and the wall clock may be set back), or a request needs credentials now.
    async fn rest(&self, pause: Duration) {
        let began = Instant::now();
        let due = self.0.clock.now() + pause;
        loop {
            let left = due.duration_since(self.0.clock.now()).unwrap_or_default();
            let left = left.min(pause.saturating_sub(began.elapsed()));
            if left.is_zero() {
                return;
            }
            tokio::select! {
                () = sleep(left.min(LOOK)) => {}
                // What is left over of a nudge that the last load has answered wakes nobody.
                () = self.0.nudge.notified() => if self.is_wanting() {
                    let gap = LEAST_GAP.saturating_sub(began.elapsed());
                    sleep(gap).await;
                    return;
                }
            }
        }
    }
}

/// No more than four letters of a key's id, and never most of it.
fn ending(id: &str) -> String {
    let letters = id.chars().count();
    id.chars().skip(letters - (letters / 4).min(4)).collect()
}

/// The time until the next load: ahead of the expiry by a window that grows with the lifetime
/// (the AWS SDKs' own), and never more than half of it.
fn until_next(loaded: &Loaded, now: SystemTime, random: f64) -> Duration {
    let Some(expires) = loaded.expires else { return NO_EXPIRY };
    let lifetime = expires.duration_since(now).unwrap_or_default();
    let minutes = |count: u64| Duration::from_secs(60 * count);
    let window = match lifetime {
        short if short <= minutes(20) => minutes(5),
        medium if medium <= minutes(90) => minutes(15),
        _ => minutes(60),
    };
    // A fleet that started together should not ask together.
    let ahead = window.min(lifetime / 2).mul_f64(1.0 - random * 0.1);
    lifetime.saturating_sub(ahead).max(LEAST_GAP)
}

#[cfg(test)]
mod tests;
