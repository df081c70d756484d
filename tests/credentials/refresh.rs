//! How often a source is asked, what becomes of requests meanwhile, and what is never asked.

use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

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
    assert_eq!(running.get("/early").0, 200);
    assert!(agent.arrived().len() >= 2);
    running.stop();
}

#[test]
fn our_own_listener_as_somebodys_http_proxy_is_never_asked() {
    let agent = Stub::agent("127.0.0.1:0");
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let ours = format!("http://{free}");
    let mut setup = Setup::new().with("AWS_CONTAINER_CREDENTIALS_FULL_URI", &agent.url());
    setup.listen = free;
    setup.with("HTTP_PROXY", &ours).with("http_proxy", &ours).start().signs_with_the_known();
    assert_eq!(agent.arrived().len(), 1);
}

#[test]
fn an_agent_that_is_not_ready_is_asked_until_it_is() {
    let ready = Arc::new(AtomicBool::new(false));
    let answers = Arc::clone(&ready);
    let agent = Stub::start("127.0.0.1:0", move |_| match answers.load(Ordering::SeqCst) {
        true => (200, given(KEY)),
        false => (503, "not yet".into()),
    });
    let mut running = Setup::new().with("AWS_CONTAINER_CREDENTIALS_FULL_URI", &agent.url()).start();
    running.output.wait_for("credentials still could not be loaded");
    for (path, status) in [("/readyz", 503), ("/startupz", 503), ("/livez", 200)] {
        assert_eq!(running.admin(path), status, "{path}");
    }
    assert!(running.child.try_wait().unwrap().is_none(), "it has ended");
    ready.store(true, Ordering::SeqCst);
    running.output.wait_for("credentials loaded");
    assert_eq!((running.admin("/readyz"), running.admin("/startupz")), (200, 200));
    running.signs_with_the_known();
}
