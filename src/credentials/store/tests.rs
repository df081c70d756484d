//! The store against a source that does what the test says. Tokio's time stands still unless a
//! test lets it pass; the wall clock moves with it, except where a test freezes the process.

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
        let clock = Clock::set_to(SystemTime::UNIX_EPOCH + 400_000 * HOUR);
        let source = Scripted(Arc::new(Script {
            mode: Mutex::new(mode),
            loads: AtomicUsize::new(0),
            takes,
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

#[tokio::test(start_paused = true)]
async fn a_thousand_gets_are_one_load() {
    let bench = Bench::filled(HOUR).await;
    for _ in 0..1000 {
        assert_eq!(bench.key_at_once().await, "AKIA1");
    }
    assert_eq!(bench.source.loads(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_hundred_cold_gets_share_one_load() {
    let bench = Bench::start(Mode::Lives(HOUR), Duration::from_secs(2));
    let mut gets = JoinSet::new();
    for _ in 0..100 {
        let store = bench.store.clone();
        gets.spawn(async move { store.get(PATIENCE).await.unwrap().access_key_id().to_owned() });
    }
    assert!(gets.join_all().await.iter().all(|key| key == "AKIA1"));
    assert_eq!(bench.source.loads(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_source_that_fails_at_start_is_named_after_the_patience() {
    let bench = Bench::start(Mode::Fails("the agent says 503"), Duration::ZERO);
    let began = Instant::now();
    let refused = bench.store.get(PATIENCE).await.unwrap_err();
    assert_eq!(began.elapsed(), PATIENCE);
    assert!(matches!(&refused, Unavailable::Failed(why) if why.message == "the agent says 503"));
    assert_eq!(refused.to_string(), "no credentials (the agent says 503; hint: wait)");

    let began = Instant::now();
    assert!(matches!(bench.store.get(Duration::ZERO).await, Err(Unavailable::Failed(_))));
    assert_eq!(began.elapsed(), Duration::ZERO);
    let status = bench.store.status();
    assert!(!status.usable && !status.stale && status.failure.is_some());
}

#[tokio::test(start_paused = true)]
async fn a_source_that_has_not_answered_is_pending() {
    let bench = Bench::start(Mode::Hangs, Duration::ZERO);
    assert!(matches!(bench.store.get(PATIENCE).await, Err(Unavailable::Pending)));
}

#[tokio::test(start_paused = true)]
async fn a_load_that_hangs_is_cut_off_and_tried_again() {
    let bench = Bench::start(Mode::Hangs, Duration::ZERO);
    settle().await;
    bench.pass(19).await;
    assert!(bench.store.status().failure.is_none());
    bench.pass(1).await;
    let failure = bench.store.status().failure.unwrap();
    assert!(failure.message.contains("nothing within 20s"), "{}", failure.message);

    bench.source.set(Mode::Lives(HOUR));
    bench.pass(2).await;
    assert_eq!(bench.key_at_once().await, "AKIA2");
    assert!(bench.store.status().failure.is_none());
}

#[tokio::test(start_paused = true)]
async fn the_back_off_doubles_from_one_second_to_ten() {
    let bench = Bench::start(Mode::Fails("down"), Duration::ZERO);
    settle().await;
    // Between three quarters and the whole of 1, 2, 4, 8, 10, 10 …
    let (mut earliest, mut latest) = (Duration::ZERO, Duration::ZERO);
    let began = Instant::now();
    for (number, pause) in [1, 2, 4, 8, 10, 10, 10].into_iter().enumerate() {
        let pause = Duration::from_secs(pause);
        assert_eq!(bench.source.loads(), number + 1);
        while bench.source.loads() == number + 1 {
            tokio::time::advance(Duration::from_millis(10)).await;
            settle().await;
        }
        earliest += pause.mul_f64(0.75);
        latest += pause + Duration::from_millis(10);
        let at = began.elapsed();
        assert!(earliest <= at && at <= latest, "{earliest:?} <= {at:?} <= {latest:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_source_that_comes_back_is_noticed_within_the_back_off() {
    let bench = Bench::start(Mode::Fails("down"), Duration::ZERO);
    settle().await;
    bench.pass(300).await;
    bench.source.set(Mode::Lives(HOUR));
    bench.pass(BACK_OFF).await;
    bench.key_at_once().await;
    assert!(bench.store.status().usable);
}

#[tokio::test(start_paused = true)]
async fn the_back_off_begins_anew_after_a_success() {
    let bench = Bench::start(Mode::Fails("down"), Duration::ZERO);
    settle().await;
    bench.pass(120).await;
    bench.source.set(Mode::Lives(Duration::from_secs(60)));
    bench.pass(BACK_OFF).await;
    bench.source.set(Mode::Fails("down"));
    let before = bench.source.loads();
    while bench.source.loads() == before {
        bench.pass(1).await;
    }
    bench.source.set(Mode::Eternal);
    bench.pass(2).await;
    assert_eq!(bench.source.loads(), before + 2);
}

#[tokio::test(start_paused = true)]
async fn nobody_waits_while_the_source_is_down() {
    let bench = Bench::filled(HOUR).await;
    bench.source.set(Mode::Fails("down"));
    for _ in 0..3599 {
        bench.pass(1).await;
        assert_eq!(bench.key_at_once().await, "AKIA1");
        assert!(bench.store.status().usable);
    }
    assert!(bench.source.loads() > 50, "it was asked all the while");
    bench.pass(1).await; // expired
    for _ in 0..600 {
        assert_eq!(bench.key_at_once().await, "AKIA1");
        let status = bench.store.status();
        assert!(status.stale && !status.usable && status.failure.is_some());
        bench.pass(1).await;
    }
    bench.source.set(Mode::Lives(HOUR));
    bench.pass(BACK_OFF).await;
    assert_ne!(bench.key_at_once().await, "AKIA1");
    let status = bench.store.status();
    assert!(status.usable && !status.stale && status.failure.is_none());
}

#[tokio::test(start_paused = true)]
async fn requests_do_not_hurry_a_source_that_is_down() {
    let bench = Bench::filled(Duration::from_secs(60)).await;
    bench.source.set(Mode::Fails("down"));
    bench.pass(120).await;
    let before = bench.source.loads();
    for _ in 0..60 {
        for _ in 0..20 {
            bench.key_at_once().await;
        }
        bench.pass(1).await;
    }
    assert!(bench.source.loads() - before <= 9, "{}", bench.source.loads() - before);
}

#[tokio::test(start_paused = true)]
async fn a_thawed_process_waits_for_new_credentials() {
    let bench = Bench::filled(HOUR).await;
    bench.clock.advance(2 * HOUR);
    let (key, waited) = bench.key().await;
    assert_eq!(key, "AKIA2");
    assert!(waited <= LEAST_GAP, "{waited:?}");
    settle().await;
    bench.pass(5).await;
    assert_eq!(bench.source.loads(), 2);
}

#[tokio::test(start_paused = true)]
async fn many_requests_after_a_thaw_are_one_load() {
    let bench = Bench::start(Mode::Lives(HOUR), Duration::from_secs(1));
    bench.store.get(PATIENCE).await.unwrap();
    bench.clock.advance(2 * HOUR);
    let mut gets = JoinSet::new();
    for _ in 0..50 {
        let store = bench.store.clone();
        gets.spawn(async move {
            // Some come while the load is already under way.
            sleep(Duration::from_millis(fastrand::u64(0..1800))).await;
            store.get(PATIENCE).await.unwrap().access_key_id().to_owned()
        });
    }
    assert!(gets.join_all().await.iter().all(|key| key == "AKIA2"));
    settle().await;
    bench.pass(30).await;
    assert_eq!(bench.source.loads(), 2, "a nudge was left over");
}

#[tokio::test(start_paused = true)]
async fn a_thawed_process_whose_source_fails_gives_the_old_ones() {
    let bench = Bench::filled(HOUR).await;
    bench.source.set(Mode::Fails("the network is not up yet"));
    bench.clock.advance(2 * HOUR);
    let (key, waited) = bench.key().await;
    assert_eq!(key, "AKIA1");
    assert!(waited <= LEAST_GAP, "{waited:?}");
    bench.source.set(Mode::Lives(HOUR));
    settle().await;
    bench.pass(2).await;
    assert_ne!(bench.key_at_once().await, "AKIA1");
}

#[tokio::test(start_paused = true)]
async fn a_failure_from_before_the_freeze_is_no_reason_to_give_old_ones() {
    let bench = Bench::filled(HOUR).await;
    bench.source.set(Mode::Fails("down"));
    bench.pass(2800).await;
    assert!(bench.store.status().failure.is_some());
    bench.source.set(Mode::Lives(HOUR));
    bench.clock.advance(2 * HOUR);
    let (key, waited) = bench.key().await;
    assert_ne!(key, "AKIA1");
    assert!(waited <= LEAST_GAP, "{waited:?}");
}

#[tokio::test(start_paused = true)]
async fn a_thawed_process_whose_source_hangs_gives_the_old_ones_in_the_end() {
    let bench = Bench::filled(HOUR).await;
    bench.source.set(Mode::Hangs);
    bench.clock.advance(2 * HOUR);
    let (key, waited) = bench.key().await;
    assert_eq!((key.as_str(), waited), ("AKIA1", THAW));
}

#[tokio::test(start_paused = true)]
async fn a_load_that_hangs_past_an_expiry_delays_nobody() {
    let bench = Bench::filled(Duration::from_secs(20)).await;
    bench.source.set(Mode::Hangs);
    for _ in 0..60 {
        bench.pass(1).await;
        assert_eq!(bench.key_at_once().await, "AKIA1");
    }
    assert!(bench.store.status().stale);
}

/// A source that is up while another store is.
#[derive(Debug)]
struct Chained(Store);

impl Source for Chained {
    fn load(&self) -> Loading<'_> {
        Box::pin(async move {
            self.0.answered(HOUR).await;
            let Status { usable: true, .. } = self.0.status() else {
                return Err(Failure { message: "the base is down".into(), hint: "wait".into() });
            };
            let secret = Secret::new("secret");
            let credentials = SigningCredentials::new("ASIA", secret, None).unwrap();
            Ok(Loaded { credentials, expires: None })
        })
    }

    fn encouraged(&self) -> std::pin::Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        Box::pin(self.0.recovered())
    }
}

#[tokio::test(start_paused = true)]
async fn what_hangs_on_another_store_is_back_a_second_after_it() {
    let bench = Bench::start(Mode::Fails("down"), Duration::ZERO);
    let chained = Store::new(Box::new(Chained(bench.store.clone())), bench.clock.clone());
    tokio::spawn(chained.clone().run(bench.stop.clone()));
    for _ in 0..5 {
        bench.source.set(Mode::Fails("down"));
        bench.pass(100).await;
        assert!(chained.status().failure.is_some());
        bench.source.set(Mode::Lives(Duration::from_secs(60)));
        while bench.store.status().failure.is_some() {
            bench.pass(1).await;
        }
        bench.pass(1).await;
        assert!(chained.status().usable && chained.status().failure.is_none());
    }
}

#[tokio::test(start_paused = true)]
async fn a_source_that_gives_expired_credentials_counts_as_down() {
    let bench = Bench::start(Mode::Expired, Duration::ZERO);
    settle().await;
    assert_eq!(bench.key_at_once().await, "AKIA1");
    let status = bench.store.status();
    assert!(status.stale && !status.usable);
    assert!(status.failure.unwrap().message.contains("expired"));
    for _ in 0..60 {
        bench.key_at_once().await;
        bench.pass(1).await;
    }
    assert!(bench.source.loads() <= 12, "{}", bench.source.loads());
}

#[tokio::test(start_paused = true)]
async fn expired_credentials_do_not_displace_later_ones() {
    let bench = Bench::filled(HOUR).await;
    bench.source.set(Mode::Expired);
    bench.pass(3000).await;
    assert!(bench.source.loads() > 1);
    assert_eq!(bench.key_at_once().await, "AKIA1");
    assert!(bench.store.status().usable);
}

#[tokio::test(start_paused = true)]
async fn credentials_are_renewed_before_they_expire() {
    let bench = Bench::filled(HOUR).await;
    let mut given = Vec::new();
    for _ in 0..6 * 60 {
        bench.pass(60).await;
        given.push(bench.key_at_once().await);
        assert!(bench.store.status().usable);
    }
    given.dedup();
    // Each lives for 45 to 46.5 minutes of its hour.
    assert!((8..=9).contains(&given.len()), "{}", given.len());
}

#[tokio::test(start_paused = true)]
async fn credentials_without_expiry_are_read_again_each_minute() {
    let bench = Bench::start(Mode::Eternal, Duration::ZERO);
    settle().await;
    bench.pass(59).await;
    assert_eq!(bench.source.loads(), 1);
    bench.pass(1).await;
    assert_eq!(bench.source.loads(), 2);
    assert_eq!(bench.key_at_once().await, "AKIA2");
    assert_eq!(bench.store.status().expires, None);
}

#[tokio::test(start_paused = true)]
async fn requests_cause_one_load_a_second_at_most() {
    let bench = Bench::start(Mode::Lives(Duration::from_secs(1)), Duration::ZERO);
    settle().await;
    for second in 1..=60 {
        for _ in 0..50 {
            let _ = timeout(Duration::ZERO, bench.store.get(Duration::ZERO)).await;
        }
        bench.pass(1).await;
        assert!(bench.source.loads() <= second + 1, "{} in {second} s", bench.source.loads());
    }
}

#[tokio::test(start_paused = true)]
async fn a_clock_that_is_set_back_does_not_stop_the_refresher() {
    let bench = Bench::start(Mode::Fails("down"), Duration::ZERO);
    settle().await;
    bench.source.set(Mode::Lives(HOUR));
    // The wall clock gains nothing, as after a step back.
    tokio::time::advance(Duration::from_secs(1)).await;
    settle().await;
    assert_eq!(bench.key_at_once().await, "AKIA2");
}

#[tokio::test(start_paused = true)]
async fn the_refresher_ends_when_told_to() {
    for mode in [Mode::Hangs, Mode::Eternal, Mode::Fails("down")] {
        let source = Bench::start(mode, Duration::ZERO);
        let stop = CancellationToken::new();
        let running = tokio::spawn(source.store.clone().run(stop.clone()));
        settle().await;
        stop.cancel();
        settle().await;
        assert!(running.is_finished());
    }
}

#[test]
fn the_next_load_comes_ahead_of_the_expiry_by_a_window() {
    let now = SystemTime::UNIX_EPOCH + 400_000 * HOUR;
    let at = |lifetime: u64, random: f64| {
        let expires = Some(now + Duration::from_secs(lifetime));
        let secret = Secret::new("secret");
        let credentials = SigningCredentials::new("AKIA", secret, None).unwrap();
        until_next(&Loaded { credentials, expires }, now, random).as_secs_f64()
    };
    // Lifetime, pause without jitter, pause with all of it.
    let table = [
        (0, 1.0, 1.0),
        (1, 1.0, 1.0),
        (2, 1.0, 1.1),
        (60, 30.0, 33.0),
        (5 * 60, 150.0, 165.0),
        (10 * 60, 300.0, 330.0),
        (15 * 60, 600.0, 630.0),
        (20 * 60, 900.0, 930.0),
        (20 * 60 + 2, 601.0, 661.1),
        (30 * 60, 900.0, 990.0),
        (60 * 60, 2700.0, 2790.0),
        (90 * 60, 4500.0, 4590.0),
        (90 * 60 + 2, 2701.0, 2971.1),
        (2 * 3600, 3600.0, 3960.0),
        (6 * 3600, 18000.0, 18360.0),
        (12 * 3600, 39600.0, 39960.0),
    ];
    for (lifetime, least, most) in table {
        assert!((at(lifetime, 0.0) - least).abs() < 0.001, "{lifetime}: {}", at(lifetime, 0.0));
        assert!((at(lifetime, 1.0) - most).abs() < 0.001, "{lifetime}: {}", at(lifetime, 1.0));
    }
    for lifetime in (2..50_000).step_by(7) {
        let pause = at(lifetime, fastrand::f64());
        let lifetime = lifetime as f64;
        assert!(lifetime / 10.0 <= pause && pause < lifetime, "{lifetime}: {pause}");
    }
}

/// What a service refused, as the store gave it.
async fn refused(bench: &Bench) -> Arc<SigningCredentials> {
    bench.store.get(PATIENCE).await.unwrap()
}

#[tokio::test(start_paused = true)]
async fn fifty_refused_requests_share_one_load() {
    let bench = Bench::filled(HOUR).await;
    let refused = refused(&bench).await;
    let mut renewals = JoinSet::new();
    for _ in 0..50 {
        let (store, refused) = (bench.store.clone(), Arc::clone(&refused));
        renewals.spawn(async move { store.renew(&refused).await.unwrap() });
    }
    let renewed = renewals.join_all().await;
    assert!(renewed.iter().all(|credentials| credentials.access_key_id() == "AKIA2"));
    assert_eq!(bench.source.loads(), 2);
    // One that was refused a little later finds them there.
    let began = Instant::now();
    assert_eq!(bench.store.renew(&refused).await.unwrap().access_key_id(), "AKIA2");
    assert_eq!((began.elapsed(), bench.source.loads()), (Duration::ZERO, 2));
}

#[tokio::test(start_paused = true)]
async fn a_service_that_refuses_everything_makes_a_load_every_half_minute() {
    let bench = Bench::filled(HOUR).await;
    for second in 0..95 {
        let refused = refused(&bench).await;
        let store = bench.store.clone();
        tokio::spawn(async move { store.renew(&refused).await });
        bench.pass(1).await;
        let loads = bench.source.loads();
        assert!(loads <= 2 + second / 30, "{loads} loads after {second} s");
    }
    assert_eq!(bench.source.loads(), 5);
}

#[tokio::test(start_paused = true)]
async fn a_renewal_that_brings_nothing_new_ends_with_its_load() {
    let bench = Bench::filled(HOUR).await;
    let refused = refused(&bench).await;
    bench.source.set(Mode::Fails("down"));
    let began = Instant::now();
    assert!(bench.store.renew(&refused).await.is_none());
    assert!(began.elapsed() <= Duration::from_secs(1), "{:?}", began.elapsed());
    let began = Instant::now();
    assert!(bench.store.renew(&refused).await.is_none());
    assert_eq!(began.elapsed(), Duration::ZERO);
    assert_eq!(bench.key_at_once().await, "AKIA1");
}

#[tokio::test(start_paused = true)]
async fn a_renewal_waits_five_seconds_at_most() {
    let bench = Bench::filled(HOUR).await;
    let refused = refused(&bench).await;
    bench.source.set(Mode::Hangs);
    let began = Instant::now();
    assert!(bench.store.renew(&refused).await.is_none());
    assert_eq!(began.elapsed(), Duration::from_secs(5));
}

#[tokio::test(start_paused = true)]
async fn a_load_under_way_will_do_for_a_renewal() {
    let bench = Bench::start(Mode::Lives(Duration::from_secs(20)), Duration::from_secs(2));
    let refused = refused(&bench).await;
    while bench.source.loads() == 1 {
        bench.pass(1).await; // until the next load is under way
    }
    let renewed = bench.store.renew(&refused).await.unwrap();
    assert_eq!(renewed.access_key_id(), "AKIA2");
    bench.pass(5).await;
    assert_eq!(bench.source.loads(), 2);
}

#[tokio::test(start_paused = true)]
async fn an_expiry_is_judged_by_the_corrected_clock() {
    let bench = Bench::filled(HOUR).await;
    assert!(bench.store.status().usable);
    bench.clock.correct(3601); // the machine was an hour behind
    assert!(bench.store.status().stale);
    assert_eq!(bench.key().await.0, "AKIA2");
}
