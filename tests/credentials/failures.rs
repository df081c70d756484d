//! What is told where there are no credentials.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::support::*;

#[test]
fn without_any_source_nothing_leaves() {
    let running = Setup::new().start();
    let (status, body) = running.get("/");
    assert_eq!(status, 503);
    assert!(body.contains("no_credentials"), "{body}");
    assert_eq!((running.admin("/readyz"), running.admin("/startupz")), (503, 503));
    assert_eq!(running.admin("/livez"), 200);
    let line = running.output.wait_for("credentials could not be loaded");
    for tried in ["environment", "profile", "web identity", "ECS", "EKS", "IMDS"] {
        assert!(line.contains(tried), "no {tried} in {line}");
    }
    assert!(running.target.arrived().is_empty());
    running.stop();
}

#[test]
fn a_profile_of_sso_without_login_says_how_to_log_in() {
    let start = |config: &str| {
        let by_variable = Setup::new().with("AWS_PROFILE", "dev");
        let mut by_file = Setup::new();
        by_file.config.insert_str(0, "credentials.profile = \"dev\"\n");
        for setup in [by_variable, by_file] {
            let running = setup.file(".aws/config", config).start();
            let line = running.output.wait_for("credentials could not be loaded");
            assert!(line.contains("aws sso login --profile dev"), "{line}");
            running.stop();
        }
    };
    start(
        "[profile dev]\nsso_session = corp\nsso_account_id = 111122223333\nsso_role_name = dev\n\
         [sso-session corp]\nsso_region = us-east-1\nsso_start_url = https://corp.example/start\n",
    );
    start(
        "[profile dev]\nsso_account_id = 111122223333\nsso_role_name = dev\n\
         sso_region = us-east-1\nsso_start_url = https://corp.example/start\n",
    );
}

#[test]
fn a_profile_that_is_nowhere_is_named() {
    let running = Setup::new().with("AWS_PROFILE", "nosuch").start();
    let line = running.output.wait_for("credentials could not be loaded");
    assert!(line.contains("define profile `nosuch`"), "{line}");
    running.stop();
}

#[test]
fn a_file_that_cannot_be_read_is_named() {
    let mut setup = Setup::new().file(".aws/config", "[default]\nregion = eu-west-1\n");
    let file = setup.home.path().join(".aws/config");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o000)).unwrap();
    if fs::File::open(&file).is_ok() {
        setup.uid = Some(65534); // no file is shut to root
        open_to_all(setup.home.path());
        if !can_be_started(&setup) {
            return; // the build's folder is shut to everybody else
        }
    }
    let running = setup.start();
    let line = running.output.wait_for("credentials could not be loaded");
    assert!(line.contains("/.aws/config` cannot be read by this user"), "{line}");
    running.stop();
}

fn open_to_all(folder: &Path) {
    for folder in [folder.to_owned(), folder.join(".aws")] {
        fs::set_permissions(folder, fs::Permissions::from_mode(0o755)).unwrap();
    }
}

fn can_be_started(setup: &Setup) -> bool {
    let mut command = Command::new(env!("CARGO_BIN_EXE_countersign"));
    command.arg("--version").uid(setup.uid.unwrap()).stdout(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}
