//! The first load: who waits for it, and how long.

use super::*;

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
async fn a_program_that_takes_long_is_waited_for_and_not_started_beside_itself() {
    let bench = Bench::of(Mode::Lives(HOUR), Duration::from_secs(100), true);
    settle().await;
    bench.pass(21).await;
    let failure = bench.store.status().failure.unwrap();
    assert!(failure.message.contains("nothing within 20s"), "{}", failure.message);
    bench.pass(80).await;
    assert_eq!((bench.key_at_once().await.as_str(), bench.source.loads()), ("AKIA1", 1));
    let status = bench.store.status();
    assert_eq!((status.succeeded, status.failed), (1, 0), "it took long, and has not failed");
    assert!(status.failure.is_none());
}

#[tokio::test(start_paused = true)]
async fn a_program_that_never_ends_is_given_up_after_minutes() {
    let bench = Bench::of(Mode::Hangs, Duration::ZERO, true);
    settle().await;
    bench.pass(290).await;
    assert_eq!(bench.source.loads(), 1);
    bench.pass(30 + BACK_OFF).await;
    assert_eq!(bench.source.loads(), 2);
}
