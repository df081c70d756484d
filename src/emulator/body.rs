//! The whole body of a request, within a bound: what is too long is still read a while, because
//! a client that is writing would see its connection break instead of the 413.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http_body::Body;
use http_body_util::BodyExt;

use super::INVOCATION_LIMIT;
use super::refusal::Refusal;

/// How much of a body that is too long is read and thrown away.
const LINGER_BYTES: u64 = 16 * 1024 * 1024;

/// The longest silence of a body.
const SILENCE: Duration = Duration::from_secs(30);

/// The body, or why there is none.
pub(super) async fn read<B>(mut body: B) -> Result<Bytes, Refusal>
where
    B: Body<Data = Bytes> + Unpin,
{
    if body.size_hint().lower() > LINGER_BYTES {
        return Err(Refusal::TooLarge);
    }
    let mut held = BytesMut::new();
    let mut received = 0;
    loop {
        let next = tokio::time::timeout(SILENCE, body.frame()).await;
        let frame = match next.map_err(|_| Refusal::BrokenBody)? {
            None if received > INVOCATION_LIMIT as u64 => return Err(Refusal::TooLarge),
            None => return Ok(held.freeze()),
            Some(frame) => frame.map_err(|_| Refusal::BrokenBody)?,
        };
        let Ok(data) = frame.into_data() else { continue };
        received += data.len() as u64;
        if received > LINGER_BYTES {
            return Err(Refusal::TooLarge);
        } else if received > INVOCATION_LIMIT as u64 {
            held = BytesMut::new();
        } else {
            held.extend_from_slice(&data);
        }
    }
}
