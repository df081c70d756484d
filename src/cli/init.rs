//! `countersign init`: a commented file to start from.

use std::fs::OpenOptions;
use std::io::{ErrorKind, Write};
use std::path::Path;

use crate::cli::arguments::Init;
use crate::cli::{Exit, complain, print};

const STARTER: &str = include_str!("../../config/starter.toml");

pub(super) fn run(arguments: &Init) -> Exit {
    if arguments.file.as_os_str() == "-" {
        print(STARTER);
        return Exit::Success;
    }
    let name = arguments.file.display();
    match write(&arguments.file, arguments.force) {
        Ok(()) => {
            print(format!(
                "wrote {name}: put your function's URL into it, then `countersign check`\n"
            ));
            Exit::Success
        }
        Err(error) => {
            let hint = match error.kind() {
                _ if arguments.file.is_dir() => "this is a folder: name a file in it",
                ErrorKind::AlreadyExists => {
                    "`countersign init -` prints the starter; `--force` writes over what is there"
                }
                _ => "name a file in a folder that is there and that this user may write",
            };
            complain(&Unwritten(name.to_string(), error), Some(hint));
            Exit::Failure
        }
    }
}

#[derive(Debug, thiserror::Error)]
#[error("`{0}` was not written")]
struct Unwritten(String, #[source] std::io::Error);

/// Never over a file that is there, unless told so: not even over one that appears meanwhile.
fn write(path: &Path, force: bool) -> std::io::Result<()> {
    let mut options = OpenOptions::new();
    options.write(true);
    match force {
        true => options.create(true).truncate(true),
        false => options.create_new(true),
    };
    options.open(path)?.write_all(STARTER.as_bytes())
}
