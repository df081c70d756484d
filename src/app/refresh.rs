//! The tasks that keep credentials fresh, one a store, over reloads.

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::credentials::{Store, Stores};

/// The stores that are being kept fresh.
#[derive(Debug, Default)]
pub(super) struct Refreshers {
    running: Vec<(Store, CancellationToken)>,
    tasks: TaskTracker,
    stop: CancellationToken,
}

impl Refreshers {
    /// None yet; all end with `stop`.
    pub(super) fn new(stop: CancellationToken) -> Self {
        Self { running: Vec::new(), tasks: TaskTracker::new(), stop }
    }

    /// Keeps these fresh too.
    pub(super) fn add(&mut self, stores: &Stores) {
        for store in stores.all() {
            if self.running.iter().all(|(running, _)| !running.is(store)) {
                let stop = self.stop.child_token();
                self.tasks.spawn(store.clone().run(stop.clone()));
                self.running.push((store.clone(), stop));
            }
        }
    }

    /// Stops asking for those that nobody needs any more.
    pub(super) fn leave_only(&mut self, stores: &Stores) {
        self.running.retain(|(running, stop)| {
            let needed = stores.all().any(|store| store.is(running));
            if !needed {
                stop.cancel();
            }
            needed
        });
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::clock::Clock;
    use crate::config::Config;
    use crate::config::load::{Inputs, load};

    /// A configuration with a target for each profile.
    fn config(profiles: &[&str]) -> Config {
        let target = |profile: &&str| {
            format!(
                "[targets.{profile}]\nurl = \"https://{profile}.lambda-url.us-east-1.on.aws\"\n\
                 credentials = {{ profile = \"{profile}\" }}\n"
            )
        };
        let targets: String = profiles.iter().map(target).collect();
        let text = format!("{targets}[[routes]]\ntarget = \"{}\"\n", profiles[0]);
        let environment = vec![("COUNTERSIGN_CONFIG_TOML".to_owned(), text)];
        load(&Inputs { environment, ..Inputs::default() }).unwrap()
    }

    #[tokio::test]
    async fn starts_for_new_sources_and_stops_for_those_that_are_gone() {
        let clock = Clock::system();
        let before = Stores::new(&config(&["one", "two"]), &[], &clock).unwrap();
        let after = before.renewed(&config(&["two", "three"]), &[], &clock).unwrap();
        let stop = CancellationToken::new();
        let mut refreshers = Refreshers::new(stop.clone());
        refreshers.add(&before);
        let running: Vec<_> = refreshers.running.iter().map(|(_, stop)| stop.clone()).collect();
        refreshers.add(&after);
        assert_eq!(refreshers.tasks.len(), 3, "the second is in both");
        refreshers.leave_only(&after);
        assert_eq!(
            running.iter().map(CancellationToken::is_cancelled).collect::<Vec<_>>(),
            [true, false]
        );
        assert_eq!(refreshers.running.len(), 2);
        while refreshers.tasks.len() > 2 {
            tokio::task::yield_now().await; // the first one ends
        }
        stop.cancel();
        refreshers.tasks.close();
        refreshers.tasks.wait().await;
    }
}
