//! A source of credentials as ECS has it: each load brings other keys, valid for seconds only, and
//! for some of the time it is out of order.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use aws_smithy_types::DateTime;
use aws_smithy_types::date_time::Format;
use countersign::emulator::{ContentSha256, Emulator, KnownCredentials, Settings};
use countersign::secret::Secret;
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::Instant;

use crate::wire::Requests;

/// How long a key is valid; it is asked for anew after half of that.
const VALID: Duration = Duration::from_secs(10);
/// Of each period, the last part is an outage; an outage outlives no key.
const PERIOD: Duration = Duration::from_secs(12);
const IN_ORDER: Duration = Duration::from_secs(8);

/// Every key given out, with the verifier that knows it and no other.
#[derive(Clone, Debug, Default)]
pub(crate) struct Keys(Arc<Mutex<Given>>);

#[derive(Debug, Default)]
struct Given {
    verifiers: Vec<(String, Emulator)>,
    refused: usize,
}

impl Keys {
    /// The verifier that knows the key of an `Authorization`.
    pub(crate) fn verifier(&self, authorization: &str) -> Option<Emulator> {
        let given = self.0.lock().unwrap();
        let mut found = given.verifiers.iter().rev();
        found.find(|(key, _)| authorization.contains(key)).map(|(_, verifier)| verifier.clone())
    }

    /// How many keys were given out, and how often there was none.
    pub(crate) fn count(&self) -> (usize, usize) {
        let given = self.0.lock().unwrap();
        (given.verifiers.len(), given.refused)
    }

    fn refuse(&self) {
        self.0.lock().unwrap().refused += 1;
    }

    /// A new key, as the endpoint tells it.
    fn give(&self) -> String {
        let mut given = self.0.lock().unwrap();
        let key = format!("ASIASOAK{:08}", given.verifiers.len());
        let (secret, token) = (format!("{:032x}", fastrand::u128(..)), format!("token/{key}+="));
        let known = KnownCredentials {
            access_key_id: key.clone(),
            secret_access_key: Secret::new(&secret),
            session_token: Some(Secret::new(&token)),
            expires: None,
            arn: "arn:aws:sts::111122223333:assumed-role/caller/soak".to_owned(),
        };
        let settings =
            Settings { content_sha256: ContentSha256::Required, ..Settings::new(vec![known]) };
        given.verifiers.push((key.clone(), Emulator::new(settings)));
        let expires = DateTime::from(now() + VALID).fmt(Format::DateTime).unwrap();
        serde_json::json!({
            "AccessKeyId": key, "SecretAccessKey": secret, "Token": token, "Expiration": expires,
        })
        .to_string()
    }
}

#[allow(clippy::disallowed_methods)] // the clock of the program under test is the machine's
fn now() -> SystemTime {
    SystemTime::now()
}

/// Starts it.
pub(crate) async fn serve(keys: Keys) -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    let started = Instant::now();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(answer(stream, keys.clone(), started));
        }
    });
    address
}

async fn answer(mut stream: TcpStream, keys: Keys, started: Instant) {
    let (read, mut write) = stream.split();
    if Requests::new(read).next().await.is_err() {
        return;
    }
    let in_period = started.elapsed().as_millis() % PERIOD.as_millis();
    let (status, body) = if in_period < IN_ORDER.as_millis() {
        ("200 OK", keys.give())
    } else {
        keys.refuse();
        ("500 Internal Server Error", r#"{"code":"Soak","message":"out of order"}"#.to_owned())
    };
    let head = format!(
        "HTTP/1.1 {status}\r\ncontent-type: application/json\r\nconnection: close\r\n\
         content-length: {}\r\n\r\n",
        body.len()
    );
    let _ = write.write_all((head + &body).as_bytes()).await; // who left needs no answer
}
