//! Any text at all is a configuration or has problems, and whoever reads a problem can mend it.

use std::time::{Duration, Instant};

use countersign::config::Config;
use countersign::config::problem::Problem;
use countersign::routing::{Found, Key};
use http::Method;

/// Paths that meet every kind of pattern.
const PATHS: [&str; 6] = ["/", "/a", "/a/b", "/orders/7/", "/%2F", "/a/b/c/d/e/f"];

/// It takes a thousandth of this, unless a pattern in it is compiled to something huge.
const PATIENCE: Duration = Duration::from_secs(10);

/// Loads the text.
pub(crate) fn holds(text: &[u8]) {
    let Ok(text) = std::str::from_utf8(text) else { return };
    let began = Instant::now();
    let loaded = super::of_text(text);
    assert!(began.elapsed() < PATIENCE, "it takes {:?}", began.elapsed());
    match loaded {
        Ok(config) => {
            config.warnings.iter().for_each(can_be_mended);
            routes(&config);
        }
        Err(problems) => {
            assert!(!problems.0.is_empty(), "refused without a reason");
            problems.0.iter().for_each(can_be_mended);
            assert!(!problems.to_string().is_empty());
        }
    }
}

fn can_be_mended(problem: &Problem) {
    assert!(!problem.message.trim().is_empty(), "no message: {problem:?}");
    assert!(!problem.message.ends_with('.'), "a trailing period: {problem:?}");
    let hint = problem.hint.as_deref().unwrap_or_default();
    assert!(!hint.trim().is_empty(), "no hint: {problem:?}");
}

/// What is valid serves: it listens and has routes, and those can be asked.
fn routes(config: &Config) {
    let rules = config.routes.rules().count();
    assert!(!config.listen.is_empty() && rules > 0, "nothing to serve");
    for path in PATHS {
        for host in [None, Some("localhost"), Some("orders.internal")] {
            let key = Key { host, method: &Method::GET, path };
            let explained = config.routes.explain(key);
            assert_eq!(explained.len(), rules, "a route is passed over in silence");
            if let Found::Route(index, _) = config.routes.find(key) {
                assert!(index < rules);
            }
        }
    }
}
