//! Whatever request is signed, a verifier that shares no code with the signer takes it.
//!
//! The input is a request as HTTP/1.1 writes it; what is none is passed over.

use std::sync::LazyLock;

use countersign::config::Config;
use countersign::emulator::Emulator;
use countersign::proxy::{Choice, choose};
use countersign::sigv4::{PayloadHash, Scope, Signer, Unsigned};
use http::header::HOST;
use http::{HeaderName, HeaderValue, Method, Request, Uri, request::Parts};

/// Every request takes its only route, so that what is signed is what would go on the wire.
static CONFIG: LazyLock<Config> = LazyLock::new(|| {
    super::of_text("[[routes]]\ntarget = \"https://ID.lambda-url.us-east-1.on.aws\"\n")
        .expect("it is the smallest configuration")
});
static FUNCTION: LazyLock<Emulator> = LazyLock::new(super::function);
static SIGNER: LazyLock<Signer> = LazyLock::new(|| {
    Signer::new(Scope { region: "us-east-1".to_owned(), service: "lambda".to_owned() })
});

/// Signs the request and has it verified.
pub(crate) fn holds(request: &[u8]) {
    let Some((mut head, body)) = parse(request) else { return };
    let Ok(Choice { route, sent, .. }) = choose(&CONFIG, &head, None) else { return };
    let host = route.destination.foremost().host.clone();
    let unsigned = Unsigned {
        method: &head.method,
        path: sent.path(),
        query: sent.query(),
        host: &host,
        headers: &mut head.headers,
        payload: &PayloadHash::of(body),
    };
    SIGNER.sign(unsigned, &super::credentials(), super::clock().now());
    head.headers.insert(HOST, host);
    head.uri = sent.to_string().parse().expect("it came from a URI");
    if let Err(refusal) = FUNCTION.verify(&head, body) {
        panic!("{refusal}\n{head:?}\n{body:?}");
    }
}

/// Line by line, more kindly than HTTP/1.1 itself: what does not fit is left out.
fn parse(request: &[u8]) -> Option<(Parts, &[u8])> {
    let (head, body) = match request.windows(2).position(|pair| pair == b"\n\n") {
        Some(end) => (&request[..end], &request[end + 2..]),
        None => (request, &[][..]),
    };
    let mut lines = head.split(|byte| *byte == b'\n');
    let mut words = lines.next()?.splitn(2, |byte| *byte == b' ');
    let method = Method::from_bytes(words.next()?).ok()?;
    let uri = Uri::try_from(words.next()?).ok()?;
    let mut head = Request::new(()).into_parts().0;
    (head.method, head.uri) = (method, uri);
    for line in lines {
        let Some(colon) = line.iter().position(|byte| *byte == b':') else { continue };
        let name = HeaderName::from_bytes(&line[..colon]);
        // a server takes the spaces around a value away
        let value = HeaderValue::from_bytes(line[colon + 1..].trim_ascii());
        if let (Ok(name), Ok(value)) = (name, value) {
            head.headers.try_append(name, value).ok()?;
        }
    }
    Some((head, body))
}
