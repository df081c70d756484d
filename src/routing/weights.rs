//! Which of several takes a request: by weight, in turn or by a value that the request brings. In
//! turn, any stretch of requests is shared out as nearly as whole numbers allow; by a value, the
//! same value finds the same one in every process, and a changed weight moves few of them.

use std::sync::atomic::{AtomicU64, Ordering};

use sha2::{Digest, Sha256};

/// What a turn goes on by: the golden ratio's part of 2^64. No other step leaves the points of any
/// stretch of turns so evenly spread (Knuth, The Art of Computer Programming, 6.4).
const STEP: u64 = 0x9E37_79B9_7F4A_7C15;

/// Names with a weight each, of which at least one is not 0.
#[derive(Clone, Debug)]
pub struct Weights {
    shares: Vec<Share>,
    sum: u64,
}

#[derive(Clone, Debug)]
struct Share {
    /// Stands for its name in front of each value.
    seed: [u8; 32],
    weight: u32,
}

/// Whose turn it is: a point that goes round a circle. Taking one is a single atomic addition.
#[derive(Debug)]
pub struct Turns(AtomicU64);

impl Turns {
    /// Turns from any point on; processes that begin at different ones do not go in step.
    pub fn from(point: u64) -> Self {
        Self(AtomicU64::new(point))
    }

    fn next(&self) -> u64 {
        self.0.fetch_add(STEP, Ordering::Relaxed)
    }
}

impl Weights {
    /// `None`: there is no weight but 0.
    pub fn new<'n>(shares: impl IntoIterator<Item = (&'n str, u32)>) -> Option<Self> {
        let share =
            |(name, weight): (&str, u32)| Share { seed: Sha256::digest(name).into(), weight };
        let shares: Vec<Share> = shares.into_iter().map(share).collect();
        let sum = shares.iter().map(|share| u64::from(share.weight)).sum();
        (sum > 0).then_some(Self { shares, sum })
    }

    /// The weights, in order.
    pub fn iter(&self) -> impl Iterator<Item = u32> {
        self.shares.iter().map(|share| share.weight)
    }

    /// Whether the one of a position has a weight but 0.
    pub fn weighs(&self, position: usize) -> bool {
        self.shares[position].weight > 0
    }

    /// All weights together.
    pub fn sum(&self) -> u64 {
        self.sum
    }

    /// The position of the one whose turn it is.
    pub fn in_turn(&self, turns: &Turns) -> usize {
        let point = (u128::from(turns.next()) * u128::from(self.sum)) >> 64;
        let mut end = 0;
        let holds = |share: &Share| {
            end += u128::from(share.weight);
            point < end
        };
        self.shares.iter().position(holds).expect("a point is less than the sum")
    }

    /// The position of the one that a value belongs to, by weighted rendezvous hashing: every name
    /// makes another number of the value, and the weights decide which wins. Where one weight
    /// grows, values move to its name alone; the order of the names says nothing.
    pub fn of_value(&self, value: &[u8]) -> usize {
        let due = |share: &Share| -share.number(value).ln() / f64::from(share.weight);
        let weighed = self.shares.iter().enumerate().filter(|(_, share)| share.weight > 0);
        let first = weighed.min_by(|(_, one), (_, other)| due(one).total_cmp(&due(other)));
        first.map(|(position, _)| position).expect("one weight is not 0")
    }
}

impl Share {
    /// A number between 0 and 1, neither of them, that name and value make.
    fn number(&self, value: &[u8]) -> f64 {
        let digest = Sha256::new().chain_update(self.seed).chain_update(value).finalize();
        let (beginning, _) = digest.split_first_chunk().expect("a digest has 32 bytes");
        let bits = u64::from_be_bytes(*beginning) >> (64 - f64::MANTISSA_DIGITS);
        (bits as f64 + 0.5) / (1_u64 << f64::MANTISSA_DIGITS) as f64
    }
}

#[cfg(test)]
mod tests;
