//! The store against a source that does what the test says. Tokio's time stands still unless a
//! test lets it pass; the wall clock moves with it, except where a test freezes the process.

mod freeze;
mod outage;
mod refresh;
mod refused;
mod start;

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::task::JoinSet;

use super::*;
use crate::credentials::source::Loading;
use crate::secret::Secret;

const HOUR: Duration = Duration::from_secs(3600);
const PATIENCE: Duration = Duration::from_secs(5);
/// The longest pause after a failure, and a second for the clock's coarseness.
const BACK_OFF: u64 = 11;

#[derive(Clone, Debug)]
enum Mode {
    Lives(Duration),
    Eternal,
    Fails(&'static str),
    Hangs,
    Expired,
}

#[derive(Clone, Debug)]
struct Scripted(Arc<Script>);

#[derive(Debug)]
struct Script {
    mode: Mutex<Mode>,
    loads: AtomicUsize,
    takes: Duration,
    is_program: bool,
    clock: Clock,
}

impl Scripted {
    fn set(&self, mode: Mode) {
        *self.0.mode.lock().unwrap() = mode;
    }

    fn loads(&self) -> usize {
        self.0.loads.load(Ordering::Relaxed)
    }
}

impl Source for Scripted {
    fn is_program(&self) -> bool {
        self.0.is_program
    }

    fn load(&self) -> Loading<'_> {
        Box::pin(async move {
            let number = self.0.loads.fetch_add(1, Ordering::Relaxed) + 1;
            sleep(self.0.takes).await;
            let now = self.0.clock.now();
            let mode = self.0.mode.lock().unwrap().clone();
            let expires = match mode {
                Mode::Lives(lifetime) => Some(now + lifetime),
                Mode::Expired => Some(now - HOUR),
                Mode::Eternal => None,
                Mode::Fails(message) => {
                    return Err(Failure { message: message.into(), hint: "wait".into() });
                }
                Mode::Hangs => std::future::pending().await,
            };
            let secret = Secret::new("secret");
            let credentials =
                SigningCredentials::new(format!("AKIA{number}"), secret, None).unwrap();
            Ok(Loaded { credentials, expires })
        })
    }
}

/// A store with its refresher running, and all that moves it.
struct Bench {
    store: Store,
    source: Scripted,
    clock: Clock,
    stop: CancellationToken,
}

impl Drop for Bench {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

impl Bench {
    /// The first load has not begun yet: that takes a yield.
    fn start(mode: Mode, takes: Duration) -> Self {
        Self::of(mode, takes, false)
    }

    fn of(mode: Mode, takes: Duration, is_program: bool) -> Self {
        let clock = Clock::set_to(SystemTime::UNIX_EPOCH + 400_000 * HOUR);
        let source = Scripted(Arc::new(Script {
            mode: Mutex::new(mode),
            loads: AtomicUsize::new(0),
            takes,
            is_program,
            clock: clock.clone(),
        }));
        let store = Store::new(Box::new(source.clone()), clock.clone());
        let stop = CancellationToken::new();
        tokio::spawn(store.clone().run(stop.clone()));
        Self { store, source, clock, stop }
    }

    /// With credentials in it.
    async fn filled(lifetime: Duration) -> Self {
        let bench = Self::start(Mode::Lives(lifetime), Duration::ZERO);
        bench.store.get(PATIENCE).await.unwrap();
        assert_eq!(bench.source.loads(), 1);
        bench
    }

    /// Lets both clocks go on, a second at a time.
    async fn pass(&self, seconds: u64) {
        for _ in 0..seconds {
            self.clock.advance(Duration::from_secs(1));
            tokio::time::advance(Duration::from_secs(1)).await;
            settle().await;
        }
    }

    /// The key that a request is given, which must not have waited.
    async fn key_at_once(&self) -> String {
        let (key, waited) = self.key().await;
        assert_eq!(waited, Duration::ZERO);
        key
    }

    /// The key that a request is given, and how long it waited.
    async fn key(&self) -> (String, Duration) {
        let began = Instant::now();
        let credentials = self.store.get(PATIENCE).await.unwrap();
        (credentials.access_key_id().to_owned(), began.elapsed())
    }
}

/// Lets every task go as far as it can without time.
async fn settle() {
    for _ in 0..20 {
        tokio::task::yield_now().await;
    }
}
