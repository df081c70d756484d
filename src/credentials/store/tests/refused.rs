//! Credentials that a service no longer takes.

use super::*;

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
