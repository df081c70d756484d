//! Events that come one by one, and what Prometheus reads of them.

use std::time::{Duration, SystemTime};

use http::{Method, StatusCode};

use super::{ConnectionsReading, CredentialsReading, Head, Limit, Metrics, Outcome, Reload};
use crate::telemetry::Origin;

fn at(seconds: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
}

fn holds(metrics: &Metrics, samples: &[&str]) {
    let text = metrics.text(&[], at(2000));
    for sample in samples {
        assert!(text.lines().any(|line| line == *sample), "no `{sample}` in\n{text}");
    }
}

#[test]
fn a_failed_reload_leaves_the_last_success_where_it_was() {
    let metrics = Metrics::new(at(1000));
    metrics.reloaded(Reload::Failure, at(1010));
    holds(
        &metrics,
        &[
            "countersign_config_reloads_total{result=\"failure\"} 1",
            "countersign_config_last_reload_successful 0",
            "countersign_config_last_reload_success_timestamp_seconds 1000",
        ],
    );
    metrics.reloaded(Reload::Success, at(1020));
    holds(
        &metrics,
        &[
            "countersign_config_reloads_total{result=\"success\"} 1",
            "countersign_config_last_reload_successful 1",
            "countersign_config_last_reload_success_timestamp_seconds 1020",
        ],
    );
}

#[test]
fn counts_what_was_turned_away_and_what_was_refused() {
    let metrics = Metrics::new(at(0));
    for limit in [Limit::InFlight, Limit::BufferedBodies] {
        metrics.shed(limit);
    }
    let reading = ConnectionsReading {
        open: 7,
        turned_away: 1,
        malformed: 1,
        head_too_large: 1,
        head_timeout: 1,
        stalled: 1,
    };
    metrics.connections(&reading);
    metrics.connections(&reading); // a second scrape finds nothing new
    metrics.route("orders").throttled();
    let target = metrics.target("only");
    target.auth_failed("signature_expired");
    target.clock_offset(-301.5);
    holds(
        &metrics,
        &[
            "countersign_open_connections 7",
            "countersign_http_refusals_total{reason=\"stalled\"} 1",
            "countersign_shed_total{limit=\"connections\"} 1",
            "countersign_shed_total{limit=\"in_flight\"} 1",
            "countersign_shed_total{limit=\"buffered_bodies\"} 1",
            "countersign_http_refusals_total{reason=\"malformed\"} 1",
            "countersign_http_refusals_total{reason=\"head_too_large\"} 1",
            "countersign_http_refusals_total{reason=\"head_timeout\"} 1",
            "countersign_throttled_total{http_route=\"orders\"} 1",
            "countersign_upstream_auth_failures_total{reason=\"signature_expired\",target=\"only\"} 1",
            "countersign_clock_offset_seconds{target=\"only\"} -301.5",
        ],
    );
}

#[test]
fn a_duration_falls_into_the_buckets_from_its_own_up_to_fifteen_minutes() {
    let metrics = Metrics::new(at(0));
    let target = metrics.target("only");
    target.observe(&Method::GET, Head::Answered(StatusCode::OK), Duration::from_secs(600));
    let labels = "error_type=\"\",http_request_method=\"GET\",http_response_status_code=\"200\",\
                  target=\"only\"";
    let bucket = |le: &str, count: u32| {
        format!("http_client_request_duration_seconds_bucket{{{labels},le=\"{le}\"}} {count}")
    };
    holds(&metrics, &[&bucket("300", 0), &bucket("900", 1), &bucket("+Inf", 1)]);
}

#[test]
fn more_kinds_of_outcome_than_slots_are_all_counted() {
    let metrics = Metrics::new(at(0));
    let route = metrics.route("orders");
    for _ in 0..2 {
        for status in 200..240 {
            let outcome = Outcome {
                method: &Method::GET,
                status: StatusCode::from_u16(status).ok(),
                origin: Origin::Target,
                reason: None,
                proxy_error: None,
            };
            route.observe(&outcome, Duration::ZERO, (0, 0));
        }
    }
    let text = metrics.text(&[], at(0));
    let counts = text.lines().filter(|line| {
        line.starts_with("http_server_request_duration_seconds_count") && line.ends_with(" 2")
    });
    assert_eq!(counts.count(), 40);
    assert!(text.contains("origin=\"target\",proxy_error=\"\"} 80\n"), "{text}");
}

#[test]
fn credentials_that_are_gone_leave_nothing_behind() {
    let metrics = Metrics::new(at(0));
    let reading = CredentialsReading {
        source: "default".to_owned(),
        usable: false,
        stale: true,
        expires: Some(at(1900)),
        loaded: Some(at(1000)),
        succeeded: 3,
        failed: 4,
    };
    let text = metrics.text(&[reading], at(2000));
    for sample in [
        "countersign_credentials_expiration_timestamp_seconds{source=\"default\"} 1900",
        "countersign_credentials_age_seconds{source=\"default\"} 1000",
        "countersign_credentials_stale{source=\"default\"} 1",
        "countersign_credentials_usable{source=\"default\"} 0",
        "countersign_credentials_refreshes_total{result=\"failure\",source=\"default\"} 4",
    ] {
        assert!(text.lines().any(|line| line == sample), "no `{sample}` in\n{text}");
    }
    assert!(!metrics.text(&[], at(2000)).contains("countersign_credentials"));
}
