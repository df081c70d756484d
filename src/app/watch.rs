//! Files that are looked at until their content changes: a ConfigMap is swapped by renaming a
//! folder, an editor may write the same again, and neither their times nor their events tell.

use std::time::Duration;

use tokio::time::sleep;

use crate::app::beside::beside;
use crate::config::SourceFile;

/// How often the files are looked at.
const LOOK: Duration = Duration::from_secs(2);
/// How long they must have stayed the same before they are taken for whole: not every editor
/// writes a file at once, and half of one may be right by accident.
const SETTLE: Duration = Duration::from_millis(200);

/// Ends once the files hold something else than what was `seen`.
pub(super) async fn changed(seen: &[SourceFile]) {
    if seen.is_empty() {
        return std::future::pending().await;
    }
    loop {
        sleep(LOOK).await;
        let mut now = look(seen).await;
        while now != seen {
            sleep(SETTLE).await;
            let later = look(seen).await;
            if later == now {
                return;
            }
            now = later;
        }
    }
}

/// The files as they are now.
pub(super) async fn look(files: &[SourceFile]) -> Vec<SourceFile> {
    let same = files.to_vec();
    let read = move || same.iter().map(SourceFile::look).collect();
    beside(read).await.unwrap_or_else(|| files.to_vec()) // it is looked at again
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::path::PathBuf;

    use tokio::time::timeout;

    use super::*;

    /// A file and what it holds.
    async fn seen(path: PathBuf) -> Vec<SourceFile> {
        look(&[SourceFile { path, content: 0 }]).await
    }

    #[tokio::test(start_paused = true)]
    async fn the_same_content_is_no_change_whatever_was_written() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("t.toml");
        std::fs::write(&path, "one").unwrap();
        let seen = seen(path.clone()).await;
        std::fs::remove_file(&path).unwrap();
        std::fs::write(&path, "one").unwrap();
        assert!(timeout(LOOK * 10, changed(&seen)).await.is_err());
        std::fs::write(&path, "two").unwrap();
        timeout(LOOK * 2, changed(&seen)).await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn a_file_that_is_still_being_written_is_waited_for() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("t.toml");
        std::fs::write(&path, "whole").unwrap();
        let seen = seen(path.clone()).await;
        let writing = async {
            sleep(LOOK - SETTLE / 2).await;
            for half in ["", "an", "another "] {
                std::fs::write(&path, half).unwrap();
                sleep(SETTLE - SETTLE / 10).await;
            }
            std::fs::write(&path, "another whole").unwrap();
        };
        let taking = async {
            changed(&seen).await;
            std::fs::read_to_string(&path).unwrap()
        };
        let (taken, ()) = tokio::join!(taking, writing);
        assert_eq!(taken, "another whole");
    }

    #[tokio::test(start_paused = true)]
    async fn a_file_that_is_back_as_it_was_has_not_changed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("t.toml");
        std::fs::write(&path, "one").unwrap();
        let seen = seen(path.clone()).await;
        let writing = async {
            std::fs::remove_file(&path).unwrap();
            sleep(LOOK + SETTLE / 2).await;
            std::fs::write(&path, "one").unwrap();
            sleep(LOOK * 10).await;
        };
        tokio::select! {
            () = changed(&seen) => panic!("it is the same again"),
            () = writing => {}
        }
    }
}
