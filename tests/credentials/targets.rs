//! Targets whose credentials differ: each request carries its own.

use std::thread;

use crate::support::*;

#[test]
fn profiles_of_two_targets_never_mix() {
    let mut setup = Setup::new()
        .file(".aws/credentials", &(profile("one", "AKIAONE") + &profile("two", "AKIATWO")));
    let url = setup.target.url();
    setup.config = ["one", "two"]
        .map(|name| {
            format!(
                "[targets.{name}]\nurl = \"{url}\"\nservice = \"lambda\"\nregion = \"us-east-1\"\n\
         credentials = {{ profile = \"{name}\" }}\n\
         [[routes]]\npath = \"/{name}/{{proxy+}}\"\ntarget = \"{name}\"\n"
            )
        })
        .concat();
    let running = setup.start();
    thread::scope(|scope| {
        for connection in 0..64 {
            let running = &running;
            scope.spawn(move || {
                for number in 0..5 {
                    let name = if (connection + number) % 2 == 0 { "one" } else { "two" };
                    assert_eq!(running.get(&format!("/{name}/{connection}")).0, 200);
                }
            });
        }
    });
    let arrived = running.target.arrived();
    assert_eq!(arrived.len(), 64 * 5);
    for request in &arrived {
        let expected = if request.line.contains("/one/") { "AKIAONE" } else { "AKIATWO" };
        assert_eq!(request.key(), expected, "{}", request.line);
    }
    running.stop();
}

/// The SDK's own chain would take the keys of the environment first.
#[test]
fn a_profile_that_is_named_wins_over_the_environment() {
    let mut setup = Setup::new()
        .with("AWS_ACCESS_KEY_ID", "AKIAENVIRONMENT")
        .with("AWS_SECRET_ACCESS_KEY", SECRET)
        .file(".aws/credentials", &profile("dev", KEY));
    setup.config.insert_str(0, "credentials.profile = \"dev\"\n");
    setup.start().signs_with_the_known();
}

/// The SDK's own chain would go on to the agent, and sign as somebody else.
#[test]
fn a_profile_that_is_named_and_missing_is_replaced_by_nothing() {
    let agent = Stub::agent("127.0.0.1:0");
    let mut setup = Setup::new().with("AWS_CONTAINER_CREDENTIALS_FULL_URI", &agent.url());
    setup.config.insert_str(0, "credentials.profile = \"dev\"\n");
    let running = setup.start();
    let line = running.output.wait_for("credentials could not be loaded");
    assert!(line.contains("define profile `dev`"), "{line}");
    assert_eq!(running.get("/").0, 503);
    assert!(running.target.arrived().is_empty() && agent.arrived().is_empty());
    running.stop();
}
