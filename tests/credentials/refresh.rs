//! How often a source is asked, what becomes of requests meanwhile, and what is never asked.

use std::net::TcpListener;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::support::*;

#[test]
fn a_thousand_requests_ask_the_agent_once() {
    let agent = Stub::agent("127.0.0.1:0");
    let running = Setup::new().with("AWS_CONTAINER_CREDENTIALS_FULL_URI", &agent.url()).start();
    thread::scope(|scope| {
        for _ in 0..20 {
            scope.spawn(|| (0..50).for_each(|_| assert_eq!(running.get("/").0, 200)));
        }
    });
    assert_eq!(running.target.arrived().len(), 1000);
    assert_eq!(agent.arrived().len(), 1);
}

#[test]
fn a_proxy_of_the_environment_is_never_used() {
    let hole = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", hole.local_addr().unwrap());
    let agent = Stub::agent("127.0.0.1:0");
    let mut setup = Setup::new().with("AWS_CONTAINER_CREDENTIALS_FULL_URI", &agent.url());
    for name in ["HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"]
    {
        setup = setup.with(name, &url);
    }
    setup.start().signs_with_the_known();
    hole.set_nonblocking(true).unwrap();
    assert!(hole.accept().is_err(), "somebody came to the proxy");
}

#[test]
fn an_agent_that_needs_a_moment_is_waited_for() {
    let asked = AtomicUsize::new(0);
    let agent = Stub::start("127.0.0.1:0", move |_| match asked.fetch_add(1, Ordering::SeqCst) {
        0 => (503, "not yet".into()),
        _ => (200, given(KEY)),
    });
    let running = Setup::new().with("AWS_CONTAINER_CREDENTIALS_FULL_URI", &agent.url()).start();
    let began = Instant::now();
    assert_eq!(running.get("/early").0, 200);
    assert!(began.elapsed() < Duration::from_secs(5));
    assert!(agent.arrived().len() >= 2);
    running.stop();
}
