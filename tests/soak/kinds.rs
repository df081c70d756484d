//! The kinds of requests, and what becomes of each.

/// What is asked of the target; the first segment of the path.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    Get,
    Post,
    Upload,
    ChunkedUpload,
    StreamedUpload,
    Stream,
    LeftStream,
    Reset,
    Cut,
    Stall,
    StallWithin,
    TooMany,
    Unavailable,
    Retried,
}

use Kind::*;

/// Each kind with its share of all requests, in percent, and what it is.
pub(crate) const KINDS: [(Kind, u32, &str); 14] = [
    (Get, 38, "GET"),
    (Post, 20, "POST"),
    (Upload, 5, "upload, held"),
    (ChunkedUpload, 5, "upload, chunked"),
    (StreamedUpload, 5, "upload, streamed"),
    (Stream, 5, "streamed answer"),
    (LeftStream, 3, "client leaves"),
    (Reset, 4, "target resets"),
    (Cut, 4, "target cuts its answer"),
    (Stall, 1, "target is silent"),
    (StallWithin, 1, "target falls silent"),
    (TooMany, 4, "target answers 429"),
    (Unavailable, 2, "target answers 503"),
    (Retried, 3, "some 503, retried"),
];

impl Kind {
    /// One of them, by its share.
    pub(crate) fn any() -> Self {
        let mut at = fastrand::u32(0..100);
        let share = |(_, share, _): &&(Kind, u32, &str)| {
            let found = at < *share;
            at = at.saturating_sub(*share);
            found
        };
        KINDS.iter().find(share).map_or(Get, |(kind, ..)| *kind)
    }

    /// How a path names it.
    pub(crate) fn segment(self) -> String {
        format!("{self:?}").to_ascii_lowercase()
    }

    pub(crate) fn of_path(path: &str) -> Option<Self> {
        let segment = path.split('/').nth(1)?;
        KINDS.iter().map(|(kind, ..)| *kind).find(|kind| kind.segment() == segment)
    }

    /// Whether it has a body.
    pub(crate) fn posts(self) -> bool {
        matches!(self, Post | Upload | ChunkedUpload | StreamedUpload)
    }

    /// The bytes of its request's body, by its number.
    pub(crate) fn body_size(self, id: u64) -> usize {
        let mut random = fastrand::Rng::with_seed(id);
        match self {
            Post => random.usize(0..2_000),
            Upload => random.usize(0..500_000),
            ChunkedUpload | StreamedUpload => random.usize(0..100_000),
            _ => 0,
        }
    }

    /// The bytes of its answer's body.
    pub(crate) fn answer_size(self, id: u64) -> usize {
        let mut random = fastrand::Rng::with_seed(!id);
        match self {
            Cut | StallWithin => random.usize(2..50_000),
            Stream | LeftStream => random.usize(1..200_000),
            Get if id.is_multiple_of(100) => random.usize(0..500_000),
            _ => random.usize(0..4_000),
        }
    }
}

/// A body that no other request has.
pub(crate) fn content(id: u64, size: usize) -> Vec<u8> {
    let mut random = fastrand::Rng::with_seed(id);
    let mut block = [0; 251];
    random.fill(&mut block);
    let mut content = block.repeat(size / block.len() + 1);
    content.truncate(size);
    content
}
