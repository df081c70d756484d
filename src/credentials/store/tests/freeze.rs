//! A process that stood still, and found its credentials expired.

use super::*;

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
