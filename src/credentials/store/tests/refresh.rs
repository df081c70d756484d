//! Loads ahead of need.

use super::*;

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
