//! Requests off a connection, read as the most suspicious of servers would (RFC 9112): whatever
//! two servers might understand in two ways is wrong.

use http::header::{CONTENT_LENGTH, HOST, TRANSFER_ENCODING};
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Uri, Version};
use tokio::io::{AsyncRead, AsyncReadExt};

/// One request.
#[derive(Debug)]
pub(crate) struct Asked {
    pub(crate) head: Parts,
    pub(crate) body: Vec<u8>,
}

/// Why there is no further request.
#[derive(Debug)]
pub(crate) enum Ended {
    /// The other side left between two of them.
    Closed,
    /// The other side left within one.
    Cut,
    /// What came is none.
    Wrong(String),
}

/// The receiving end of a connection.
#[derive(Debug)]
pub(crate) struct Requests<S> {
    stream: S,
    unread: Vec<u8>,
}

impl<S: AsyncRead + Unpin> Requests<S> {
    pub(crate) fn new(stream: S) -> Self {
        Self { stream, unread: Vec::new() }
    }

    /// The next request, whole.
    pub(crate) async fn next(&mut self) -> Result<Asked, Ended> {
        let head = self.until(b"\r\n\r\n").await?;
        let head = parse(&head)
            .map_err(|why| Ended::Wrong(format!("{why}: {:?}", String::from_utf8_lossy(&head))))?;
        let body = if head.headers.contains_key(TRANSFER_ENCODING) {
            self.chunks().await?
        } else {
            let length = head.headers.get(CONTENT_LENGTH);
            let length = length.and_then(|value| value.to_str().ok()?.parse().ok()).unwrap_or(0);
            self.exactly(length).await?
        };
        Ok(Asked { head, body })
    }

    /// Everything up to `mark`, and the mark.
    async fn until(&mut self, mark: &[u8]) -> Result<Vec<u8>, Ended> {
        loop {
            if let Some(at) = self.unread.windows(mark.len()).position(|part| part == mark) {
                return Ok(self.unread.drain(..at + mark.len()).collect());
            }
            self.more().await?;
        }
    }

    async fn exactly(&mut self, count: usize) -> Result<Vec<u8>, Ended> {
        while self.unread.len() < count {
            self.more().await.map_err(|_| Ended::Cut)?;
        }
        Ok(self.unread.drain(..count).collect())
    }

    async fn chunks(&mut self) -> Result<Vec<u8>, Ended> {
        let mut body = Vec::new();
        loop {
            let line = self.until(b"\r\n").await.map_err(|_| Ended::Cut)?;
            let digits = std::str::from_utf8(&line[..line.len() - 2]).unwrap_or_default();
            let size = match usize::from_str_radix(digits, 16) {
                Ok(size) if digits.bytes().all(|digit| digit.is_ascii_hexdigit()) => size,
                _ => return Err(Ended::Wrong(format!("chunk size {line:?}"))),
            };
            body.extend(self.exactly(size).await?);
            if self.exactly(2).await? != b"\r\n" {
                return Err(Ended::Wrong("a chunk longer than its size, or trailers".to_owned()));
            }
            if size == 0 {
                return Ok(body);
            }
        }
    }

    async fn more(&mut self) -> Result<(), Ended> {
        match self.stream.read_buf(&mut self.unread).await {
            Ok(1..) => Ok(()),
            _ if self.unread.is_empty() => Err(Ended::Closed),
            _ => Err(Ended::Cut),
        }
    }
}

/// A head with its blank line.
fn parse(head: &[u8]) -> Result<Parts, &'static str> {
    let end = head.windows(2).position(|pair| pair == b"\r\n").ok_or("request line")?;
    let words: Vec<&[u8]> = head[..end].split(|byte| *byte == b' ').collect();
    let [method, target, b"HTTP/1.1"] = words[..] else { return Err("request line") };
    let mut parts = Request::new(()).into_parts().0;
    parts.method = Method::from_bytes(method).map_err(|_| "method")?;
    parts.uri = Uri::try_from(target).map_err(|_| "target")?; // takes no control character
    parts.version = Version::HTTP_11;
    if !target.starts_with(b"/") {
        return Err("target");
    }
    parts.headers = headers(&head[end + 2..head.len() - 2])?;
    Ok(parts)
}

/// Header lines, each with its CRLF.
fn headers(mut lines: &[u8]) -> Result<HeaderMap, &'static str> {
    let mut headers = HeaderMap::new();
    while !lines.is_empty() {
        let end = lines.windows(2).position(|pair| pair == b"\r\n").ok_or("a line without end")?;
        let line = &lines[..end];
        let colon = line.iter().position(|byte| *byte == b':').ok_or("a line without colon")?;
        let name = HeaderName::from_bytes(&line[..colon]).map_err(|_| "header name")?;
        // takes no control character, so no bare CR or LF either
        let value = HeaderValue::from_bytes(line[colon + 1..].trim_ascii());
        headers.append(name, value.map_err(|_| "header value")?);
        lines = &lines[end + 2..];
    }
    is_unambiguous(&headers)?;
    Ok(headers)
}

fn is_unambiguous(headers: &HeaderMap) -> Result<(), &'static str> {
    let values = |name| headers.get_all(name).iter().map(HeaderValue::as_bytes).collect::<Vec<_>>();
    if values(HOST).len() != 1 {
        return Err("not one Host");
    }
    match (&values(CONTENT_LENGTH)[..], &values(TRANSFER_ENCODING)[..]) {
        ([], []) | ([], [b"chunked"]) => Ok(()),
        ([length], []) if length.iter().all(u8::is_ascii_digit) && !length.is_empty() => Ok(()),
        _ => Err("framing"),
    }
}
