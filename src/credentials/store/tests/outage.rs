//! A source that is down, and back.

use super::*;

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
