//! A time-out that is cheap to set once more: one timer sleeps on from request to request, and is
//! set anew only where it has fired, or would fire too late.

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::task::{Poll, ready};

use tokio::time::{Instant, Sleep, sleep_until};

/// The timer of one connection, for one request at a time.
#[derive(Debug, Default)]
pub(super) struct Alarm(Option<Pin<Box<Sleep>>>);

impl Alarm {
    /// What `future` comes to; nothing where it takes until `limit`.
    pub(super) async fn within<F: Future>(
        &mut self,
        limit: Instant,
        future: F,
    ) -> Option<F::Output> {
        let mut future = pin!(future);
        let timer = self.0.get_or_insert_with(|| Box::pin(sleep_until(limit)));
        if timer.deadline() > limit {
            timer.as_mut().reset(limit);
        }
        poll_fn(|cx| {
            if let Poll::Ready(output) = future.as_mut().poll(cx) {
                return Poll::Ready(Some(output));
            }
            loop {
                ready!(timer.as_mut().poll(cx));
                if timer.deadline() >= limit {
                    return Poll::Ready(None);
                }
                timer.as_mut().reset(limit); // it was set for an earlier request
            }
        })
        .await
    }
}

#[cfg(test)]
mod tests {
    use std::future::pending;
    use std::time::Duration;

    use tokio::time::{advance, sleep};

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[tokio::test(start_paused = true)]
    async fn each_limit_holds_whatever_the_ones_before_it_were() {
        let mut alarm = Alarm::default();
        for seconds in [10, 3, 20, 20, 1] {
            let (began, limit) = (Instant::now(), SECOND * seconds);
            assert_eq!(alarm.within(began + limit, pending::<()>()).await, None);
            assert!((limit..limit + SECOND / 10).contains(&began.elapsed()), "{seconds}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_comes_in_time_is_given_though_an_earlier_limit_has_passed() {
        let mut alarm = Alarm::default();
        let began = Instant::now();
        assert_eq!(alarm.within(began + SECOND * 2, async { 1 }).await, Some(1));
        advance(SECOND * 5).await;
        let slow = async {
            sleep(SECOND * 3).await;
            2
        };
        assert_eq!(alarm.within(Instant::now() + SECOND * 4, slow).await, Some(2));
        let slow = sleep(SECOND * 4);
        assert_eq!(alarm.within(Instant::now() + SECOND * 3, slow).await, None);
    }
}
