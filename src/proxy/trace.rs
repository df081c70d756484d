//! The id of the trace that a request belongs to, for its log line. W3C and X-Ray write the same
//! 128 bits in two forms, and whoever searches has one of them in hand.

use http::{HeaderMap, HeaderName, HeaderValue};

/// W3C Trace Context, 3.2.
const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
/// X-Ray's.
const X_AMZN_TRACE_ID: HeaderName = HeaderName::from_static("x-amzn-trace-id");

/// What client and target said of the trace. Headers are kept as they came, and read once there
/// is a line to write.
#[derive(Debug, Default)]
pub(super) struct Trace {
    traceparent: Option<HeaderValue>,
    xray: Option<HeaderValue>,
}

/// A trace's id: 32 hex digits, lower case.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TraceId<'a> {
    /// X-Ray's first part: the second in which the trace began.
    began: &'a str,
    rest: &'a str,
}

impl Trace {
    /// What a request says.
    pub(super) fn of(headers: &HeaderMap) -> Self {
        let header = |name| headers.get(name).cloned();
        Self { traceparent: header(TRACEPARENT), xray: header(X_AMZN_TRACE_ID) }
    }

    /// What an answer says: Lambda names the trace that it wrote.
    pub(super) fn answered(&mut self, headers: &HeaderMap) {
        if let Some(xray) = headers.get(X_AMZN_TRACE_ID) {
            self.xray = Some(xray.clone());
        }
    }

    /// The id by which the client's own traces are found.
    pub(super) fn w3c(&self) -> Option<TraceId<'_>> {
        self.of_traceparent().or_else(|| self.of_xray())
    }

    /// The id by which X-Ray's are.
    pub(super) fn xray(&self) -> Option<TraceId<'_>> {
        self.of_xray().or_else(|| self.of_traceparent())
    }

    fn of_traceparent(&self) -> Option<TraceId<'_>> {
        let mut parts = self.traceparent.as_ref()?.to_str().ok()?.split('-');
        let (_version, id) = (parts.next()?, parts.next()?);
        let (began, rest) = id.split_at_checked(8)?;
        TraceId::new(began, rest)
    }

    fn of_xray(&self) -> Option<TraceId<'_>> {
        let fields = self.xray.as_ref()?.to_str().ok()?.split(';');
        let root = fields.filter_map(|field| field.trim().strip_prefix("Root=1-")).next()?;
        let (began, rest) = root.split_once('-')?;
        TraceId::new(began, rest)
    }
}

impl<'a> TraceId<'a> {
    fn new(began: &'a str, rest: &'a str) -> Option<Self> {
        let hex = |part: &str, length| {
            part.len() == length && part.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
        };
        (hex(began, 8) && hex(rest, 24)).then_some(Self { began, rest })
    }

    /// 32 hex digits.
    pub(super) fn in_w3c(self) -> String {
        format!("{}{}", self.began, self.rest)
    }

    /// `1-8 digits-24 digits`.
    pub(super) fn in_xray(self) -> String {
        format!("1-{}-{}", self.began, self.rest)
    }
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, HeaderValue};

    use super::{TRACEPARENT, Trace, TraceId, X_AMZN_TRACE_ID};

    fn trace(traceparent: &str, xray: &str) -> Trace {
        let mut headers = HeaderMap::new();
        for (name, value) in [(TRACEPARENT, traceparent), (X_AMZN_TRACE_ID, xray)] {
            if !value.is_empty() {
                headers.insert(name, HeaderValue::from_str(value).unwrap());
            }
        }
        Trace::of(&headers)
    }

    fn forms(trace: &Trace) -> Option<(String, String)> {
        Some((trace.w3c().map(TraceId::in_w3c)?, trace.xray().map(TraceId::in_xray)?))
    }

    #[test]
    fn either_header_gives_both_forms() {
        let w3c = "4bf92f3577b34da6a3ce929d0e0e4736".to_owned();
        let xray = "1-4bf92f35-77b34da6a3ce929d0e0e4736".to_owned();
        let both = Some((w3c, xray));
        let parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        assert_eq!(forms(&trace(parent, "")), both);
        let root = "Self=1-67891234-12456789abcdef012345678; Root=1-4bf92f35-77b34da6a3ce929d0e0e4736;Sampled=1";
        assert_eq!(forms(&trace("", root)), both);
    }

    #[test]
    fn each_form_is_that_of_its_own_header_where_they_differ() {
        let mut trace = trace("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", "");
        let mut answer = HeaderMap::new();
        let root = HeaderValue::from_static("Root=1-67891233-abcdef012345678912345678");
        answer.insert(X_AMZN_TRACE_ID, root);
        trace.answered(&answer);
        let (w3c, xray) = forms(&trace).unwrap();
        assert_eq!(w3c, "4bf92f3577b34da6a3ce929d0e0e4736");
        assert_eq!(xray, "1-67891233-abcdef012345678912345678");
    }

    #[test]
    fn what_is_no_trace_gives_none() {
        for (parent, xray) in [
            ("00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01", ""),
            ("00-4bf92f35-00f067aa0ba902b7-01", ""),
            ("nonsense", "Root=1-6789-abcdef"),
            ("", "Parent=53995c3f42cd8ad8;Sampled=1"),
            ("", "Root=1-67891233-abcdef01234567891234567\u{e9}"),
        ] {
            assert_eq!(forms(&trace(parent, xray)), None, "{parent} {xray}");
        }
    }
}
