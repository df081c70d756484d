//! What each bound lets in, what a reload carries on, and what a throttle says of the wait.

use super::{Gates, Permit};
use crate::config::Config;
use crate::config::load::{Inputs, load};
use crate::proxy::rejection::Rejection;

const ONE: &str = "url = \"https://one.lambda-url.us-east-1.on.aws\"";

fn config(text: &str) -> Config {
    let text = ("COUNTERSIGN_CONFIG_TOML".to_owned(), text.to_owned());
    load(&Inputs { environment: vec![text], ..Inputs::default() }).unwrap()
}

/// Two routes of one target, with keys for the limits, the target and the first route.
fn two_routes(limits: &str, target: &str, route: &str) -> Config {
    config(&format!(
        "[limits]\n{limits}\n[targets.one]\n{ONE}\n{target}\n\
         [[routes]]\nname = \"a\"\nprefix = \"/a\"\ntarget = \"one\"\n{route}\n\
         [[routes]]\nname = \"b\"\nprefix = \"/b\"\ntarget = \"one\"\n"
    ))
}

fn code(entered: Result<Permit, Rejection>) -> String {
    match entered {
        Ok(_) => "in".to_owned(),
        Err(rejection) => rejection.to_string(),
    }
}

#[test]
fn each_bound_turns_the_next_one_away_and_gives_its_place_back() {
    for (config, elsewhere, told) in [
        (two_routes("in_flight = 2", "", ""), false, "too many requests are under way"),
        (
            two_routes("", "max_in_flight = 2", ""),
            false,
            "too many requests to this target are under way",
        ),
        (
            two_routes("", "", "max_in_flight = 2"),
            true,
            "too many requests of this route are under way",
        ),
    ] {
        let gates = Gates::of(&config, None);
        let (first, _second) = (gates.enter(0, 0, None).unwrap(), gates.enter(0, 0, None).unwrap());
        assert_eq!(gates.in_flight(), 2);
        assert_eq!(code(gates.enter(0, 0, None)), told);
        assert_eq!(gates.enter(1, 0, None).is_ok(), elsewhere, "{told}");
        assert_eq!(gates.in_flight(), 2, "one that was turned away keeps nothing");
        drop(first);
        assert_eq!(code(gates.enter(0, 0, None)), "in");
    }
}

#[test]
fn whoever_crosses_to_another_target_gives_the_place_at_the_first_back() {
    let gates = Gates::of(
        &config(
            "[targets.one]\nurl = \"https://one.lambda-url.us-east-1.on.aws\"\nmax_in_flight = 1\n\
             [targets.two]\nurl = \"https://two.lambda-url.us-east-1.on.aws\"\nmax_in_flight = 1\n\
             [[routes]]\nmax_in_flight = 2\n\
             split = [{ target = \"one\", weight = 1 }, { target = \"two\", weight = 1 }]\n",
        ),
        None,
    );
    let mut first = gates.enter(0, 0, None).unwrap();
    assert!(!gates.has_room(0, 0) && gates.has_room(0, 1));
    gates.cross(&mut first, 0, 1).unwrap();
    assert!(gates.has_room(0, 0) && !gates.has_room(0, 1));
    let mut second = gates.enter(0, 0, None).unwrap();
    assert!(gates.cross(&mut second, 0, 1).is_err(), "it is full");
    assert!(!gates.has_room(0, 0), "who cannot cross stays");
    drop(first);
    gates.cross(&mut second, 0, 1).unwrap();
    assert_eq!(gates.in_flight(), 1);
}

#[test]
fn a_throttle_takes_its_burst_and_says_how_long_to_wait() {
    let config = two_routes("", "", "throttle = { rate = \"60/h\", burst = 3 }");
    let gates = Gates::of(&config, None);
    for _ in 0..3 {
        assert_eq!(code(gates.enter(0, 0, None)), "in");
    }
    let Err(Rejection::Throttled { wait }) = gates.enter(0, 0, None) else {
        panic!("it is let in")
    };
    assert!((50.0..=60.0).contains(&wait.as_secs_f64()), "{wait:?}");
    assert_eq!(code(gates.enter(1, 0, None)), "in", "another route has no throttle");
    assert_eq!(gates.in_flight(), 0);
}

#[test]
fn a_throttle_lets_the_next_one_in_after_its_wait() {
    let config = two_routes("", "", "throttle = { rate = \"20/s\", burst = 1 }");
    let gates = Gates::of(&config, None);
    assert_eq!(code(gates.enter(0, 0, None)), "in");
    let Err(Rejection::Throttled { wait }) = gates.enter(0, 0, None) else {
        panic!("it is let in")
    };
    std::thread::sleep(wait);
    assert_eq!(code(gates.enter(0, 0, None)), "in");
}

#[test]
fn a_burst_is_the_rate_s_number_unless_said() {
    let gates = Gates::of(&two_routes("", "", "throttle = { rate = \"2/h\" }"), None);
    let entered: Vec<bool> = (0..3).map(|_| gates.enter(0, 0, None).is_ok()).collect();
    assert_eq!(entered, [true, true, false]);
}

#[test]
fn what_finds_something_full_leaves_the_throttle_alone() {
    let route = "max_in_flight = 1\nthrottle = { rate = \"1/h\", burst = 2 }";
    let gates = Gates::of(&two_routes("", "", route), None);
    let first = gates.enter(0, 0, None).unwrap();
    assert!(matches!(gates.enter(0, 0, None), Err(Rejection::Overloaded(_))));
    drop(first);
    assert_eq!(code(gates.enter(0, 0, None)), "in");
    assert!(matches!(gates.enter(0, 0, None), Err(Rejection::Throttled { .. })));
}

#[test]
fn what_was_under_way_counts_in_the_next_configuration() {
    for (before, after) in [
        (two_routes("in_flight = 9", "", ""), two_routes("in_flight = 2", "", "")),
        (two_routes("", "max_in_flight = 9", ""), two_routes("", "max_in_flight = 2", "")),
        (two_routes("", "", "max_in_flight = 9"), two_routes("", "", "max_in_flight = 2")),
    ] {
        let old = Gates::of(&before, None);
        let held: Vec<Permit> = (0..3).map(|_| old.enter(0, 0, None).unwrap()).collect();
        let new = Gates::of(&after, Some(&old));
        drop(old);
        assert_eq!(new.in_flight(), 3);
        assert!(new.enter(0, 0, None).is_err());
        drop(held);
        assert_eq!(new.in_flight(), 0);
        assert!(new.enter(0, 0, None).is_ok());
    }
}

#[test]
fn an_unchanged_throttle_goes_on_and_a_changed_one_begins_anew() {
    let throttled =
        |rate: &str| two_routes("", "", &format!("throttle = {{ rate = \"{rate}\", burst = 1 }}"));
    let old = Gates::of(&throttled("1/h"), None);
    assert_eq!(code(old.enter(0, 0, None)), "in");
    let same = Gates::of(&throttled("1/h"), Some(&old));
    assert!(same.enter(0, 0, None).is_err());
    let other = Gates::of(&throttled("2/h"), Some(&same));
    assert_eq!(code(other.enter(0, 0, None)), "in");
}

/// The first route, with one API key of this throttle.
fn keyed(throttle: &str) -> Config {
    let hash = "5".repeat(64);
    config(&format!(
        "[api_keys.k]\nsha256 = \"{hash}\"\nthrottle = {throttle}\n[targets.one]\n{ONE}\n\
         [[routes]]\ntarget = \"one\"\nmax_in_flight = 1\napi_keys = \"any\"\n"
    ))
}

#[test]
fn an_unchanged_throttle_of_a_key_goes_on_and_a_changed_one_begins_anew() {
    let enter =
        |gates: &Gates, config: &Config| code(gates.enter(0, 0, Some(&*config.api_keys[0])));
    let config = keyed("{ rate = \"1/h\", burst = 2 }");
    let old = Gates::of(&config, None);
    let held = old.enter(0, 0, Some(&*config.api_keys[0])).unwrap();
    assert_eq!(enter(&old, &config), "too many requests of this route are under way");
    drop(held);
    assert_eq!(enter(&old, &config), "in", "what finds the route full leaves the throttle alone");
    let same = Gates::of(&config, Some(&old));
    assert_eq!(enter(&same, &config), "this API key calls too often");
    let config = keyed("{ rate = \"2/h\", burst = 2 }");
    let other = Gates::of(&config, Some(&same));
    assert_eq!(enter(&other, &config), "in");
}
