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
