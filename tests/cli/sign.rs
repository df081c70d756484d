//! `sign`: a path is signed as its route sends it.

use crate::support::Program;

#[test]
fn a_path_is_signed_with_what_its_route_changes() {
    let program = Program::with_config(
        "[[routes]]\ntarget = \"https://a.execute-api.us-east-1.amazonaws.com\"\n\
         payload = \"unsigned\"\n\
         request_headers = { set = { x-amz-meta-a = \"it's\" }, remove = [\"x-amz-meta-b\"] }\n",
    );
    let arguments = ["sign", "POST", "/a", "-d", "{}", "-H", "X-Amz-Meta-B: 2", "-H", "accept: a"];
    let ran = program.run(&arguments);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert!(ran.out.contains("\nx-amz-meta-a:it's\n"), "{ran:?}");
    assert!(!ran.out.contains("x-amz-meta-b"), "{ran:?}");
    assert!(ran.out.contains("\nUNSIGNED-PAYLOAD\n\nstring to sign:"), "{ran:?}");
    let ran = program.run(&[&arguments[..], &["--curl"]].concat());
    let headers =
        " -H 'accept: a' -H 'x-amz-meta-a: it'\\''s' -H 'x-amz-content-sha256: UNSIGNED-PAYLOAD'";
    assert!(ran.out.contains(headers), "{ran:?}");
    assert!(!ran.out.to_ascii_lowercase().contains("x-amz-meta-b"), "{ran:?}");
}
