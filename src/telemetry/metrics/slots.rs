//! Series that were used before, found without a lock: the first few kinds of outcome keep a slot
//! each, in the order in which they came up.

use std::fmt;
use std::sync::OnceLock;

/// Kinds of outcome with a slot. A route with more of them finds the rest by their labels, which
/// takes a lock and a fraction of a microsecond.
const SLOTS: usize = 16;

/// A small map that only grows.
pub(super) struct Slots<K, V>([OnceLock<(K, V)>; SLOTS]);

impl<K: PartialEq + Copy, V> Slots<K, V> {
    pub(super) fn new() -> Self {
        Self([const { OnceLock::new() }; SLOTS])
    }

    /// Uses the value of `key`, which is made where it is not known.
    pub(super) fn with<R>(&self, key: K, make: impl Fn() -> V, used: impl FnOnce(&V) -> R) -> R {
        for slot in &self.0 {
            let (of, value) = slot.get_or_init(|| (key, make()));
            if *of == key {
                return used(value);
            }
        }
        used(&make())
    }
}

impl<K, V> fmt::Debug for Slots<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Slots")
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::{SLOTS, Slots};

    #[test]
    fn makes_a_value_once_and_finds_each_by_its_key() {
        let slots = Slots::new();
        let made = Cell::new(0);
        let ask = |key: usize| {
            let make = || {
                made.set(made.get() + 1);
                key * 10
            };
            slots.with(key, make, |value| *value)
        };
        for _ in 0..3 {
            for key in 0..SLOTS {
                assert_eq!(ask(key), key * 10);
            }
        }
        assert_eq!(made.get(), SLOTS);
        assert_eq!(ask(SLOTS), SLOTS * 10, "there is no slot left, and still a value");
    }
}
