//! What the program in a test logs. Test, program and target share one thread, and so the log of
//! a test is that of its thread. (A subscriber of each test's own would miss lines: whether a line
//! is wanted at all is remembered for the whole process.)

use std::cell::RefCell;
use std::io;
use std::sync::Once;
use std::time::Duration;

use serde_json::Value;
use tokio::time::sleep;
use tracing_subscriber::filter::dynamic_filter_fn;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::{Layer, fmt, registry};

use crate::support::soon;

thread_local! {
    static WRITTEN: RefCell<Option<Vec<u8>>> = const { RefCell::new(None) };
}

/// Everything that is logged on this thread from now on, at every level.
pub(crate) struct Log(());

impl Log {
    pub(crate) fn start() -> Self {
        static ONCE: Once = Once::new();
        ONCE.call_once(|| {
            let wanted = dynamic_filter_fn(|_, _| WRITTEN.with_borrow(Option::is_some));
            let lines = fmt::layer().json().flatten_event(true).with_writer(|| Thread);
            tracing::subscriber::set_global_default(registry().with(lines.with_filter(wanted)))
                .unwrap();
        });
        WRITTEN.set(Some(Vec::new()));
        Self(())
    }

    pub(crate) fn text(&self) -> String {
        WRITTEN.with_borrow(|written| String::from_utf8(written.clone().unwrap()).unwrap())
    }

    /// The lines with this message.
    pub(crate) fn lines(&self, message: &str) -> Vec<Value> {
        let text = self.text();
        let lines = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        lines.filter(|line| line["message"] == message).collect()
    }

    /// Waits for a line with this message.
    pub(crate) async fn says(&self, message: &str) {
        let said = async {
            while self.lines(message).is_empty() {
                sleep(Duration::from_millis(10)).await;
            }
        };
        soon(said).await;
    }

    /// The attempts of each request, once so many are over.
    pub(crate) async fn attempts(&self, requests: usize) -> Vec<u64> {
        loop {
            let lines = self.lines("request");
            if lines.len() >= requests {
                return lines.iter().map(|line| line["attempts"].as_u64().unwrap()).collect();
            }
            tokio::task::yield_now().await; // a line is written once the last byte has left
        }
    }
}

impl Drop for Log {
    fn drop(&mut self) {
        WRITTEN.set(None);
    }
}

/// The log of the thread that writes.
struct Thread;

impl io::Write for Thread {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        WRITTEN.with_borrow_mut(|written| {
            if let Some(written) = written {
                written.extend_from_slice(bytes);
            }
        });
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
