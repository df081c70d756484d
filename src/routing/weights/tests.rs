//! How shares come out: by turn, by value, and after a weight has changed.

use super::*;

fn weights(shares: &[(&str, u32)]) -> Weights {
    Weights::new(shares.iter().copied()).unwrap()
}

fn counted(shares: usize, chosen: impl Iterator<Item = usize>) -> Vec<usize> {
    let mut counts = vec![0; shares];
    chosen.for_each(|position| counts[position] += 1);
    counts
}

/// Where 10,000 values belong.
fn placed(weights: &Weights) -> Vec<usize> {
    (0..10_000).map(|number| weights.of_value(format!("user-{number}").as_bytes())).collect()
}

/// How many values go from one position to another, by both.
fn moved(before: &Weights, after: &Weights) -> Vec<((usize, usize), usize)> {
    let mut moves = std::collections::BTreeMap::new();
    for (from, to) in placed(before).into_iter().zip(placed(after)) {
        if from != to {
            *moves.entry((from, to)).or_default() += 1;
        }
    }
    moves.into_iter().collect()
}

#[test]
fn ninety_to_ten_is_so_over_ten_thousand_turns_and_over_a_hundred() {
    let weights = weights(&[("orders", 90), ("gateway", 10)]);
    for start in [0, 1, u64::MAX, 0x1234_5678_9ABC_DEF0] {
        let turns = Turns::from(start);
        for (count, most) in [(10_000, 3), (100, 2), (100, 2), (1000, 2)] {
            let counts = counted(2, (0..count).map(|_| weights.in_turn(&turns)));
            assert!(counts[1].abs_diff(count / 10) <= most, "{counts:?} of {count} from {start}");
        }
    }
}

#[test]
fn no_weight_is_never_chosen_and_a_single_one_always() {
    let weights = weights(&[("standby", 0), ("one", 3), ("other", 0)]);
    let turns = Turns::from(7);
    for number in 0..1000_u32 {
        assert_eq!(weights.in_turn(&turns), 1);
        assert_eq!(weights.of_value(&number.to_be_bytes()), 1);
    }
    assert!(Weights::new([("a", 0), ("b", 0)]).is_none() && Weights::new([]).is_none());
}

#[test]
fn the_largest_weights_are_shared_as_the_small_ones_are() {
    let weights = weights(&[("a", u32::MAX), ("b", u32::MAX), ("c", u32::MAX)]);
    let turns = Turns::from(0);
    let counts = counted(3, (0..3000).map(|_| weights.in_turn(&turns)));
    assert!(counts.iter().all(|count| count.abs_diff(1000) <= 3), "{counts:?}");
}

#[test]
fn many_threads_share_the_turns() {
    let (weights, turns) = (weights(&[("a", 90), ("b", 10)]), Turns::from(42));
    let of_thread = || counted(2, (0..2500).map(|_| weights.in_turn(&turns)))[1];
    let second: usize = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..4).map(|_| scope.spawn(of_thread)).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).sum()
    });
    assert!(second.abs_diff(1000) <= 3, "{second}");
}

#[test]
fn values_are_shared_by_weight() {
    let counts = counted(3, placed(&weights(&[("a", 70), ("b", 20), ("c", 10)])).into_iter());
    for (count, expected) in counts.iter().zip([7000, 2000, 1000_usize]) {
        assert!(count.abs_diff(expected) < 150, "{counts:?}");
    }
}

#[test]
fn a_growing_canary_moves_only_those_who_must() {
    let before = weights(&[("orders", 90), ("canary", 10)]);
    let moves = moved(&before, &weights(&[("orders", 80), ("canary", 20)]));
    let [((0, 1), count)] = moves[..] else { panic!("{moves:?}") };
    assert!(count.abs_diff(1000) < 150, "{count}");
    // Of three, the weights of the others stay in proportion.
    let three = weights(&[("a", 60), ("b", 30), ("canary", 10)]);
    let moves = moved(&three, &weights(&[("a", 60), ("b", 30), ("canary", 30)]));
    assert!(moves.iter().all(|((_, to), _)| *to == 2), "{moves:?}");
}

#[test]
fn a_target_that_goes_moves_nobody_elses_values_and_order_says_nothing() {
    let three = weights(&[("a", 50), ("b", 30), ("c", 20)]);
    let moves = moved(&three, &weights(&[("a", 50), ("b", 30), ("c", 0)]));
    assert!(!moves.is_empty() && moves.iter().all(|((from, _), _)| *from == 2), "{moves:?}");
    let turned: Vec<usize> = placed(&weights(&[("c", 20), ("b", 30), ("a", 50)]));
    let back: Vec<usize> = turned.into_iter().map(|position| 2 - position).collect();
    assert_eq!(back, placed(&three));
}

/// Another version of this program, and another sidecar, must come to the same.
#[test]
fn what_a_value_belongs_to_is_the_same_for_ever() {
    let weights = weights(&[("orders", 50), ("orders-gateway", 50)]);
    let users = ["", "alice", "bob", "carol", "dave", "erin", "frank", "grace", "heidi"];
    let found: Vec<usize> = users.iter().map(|user| weights.of_value(user.as_bytes())).collect();
    assert_eq!(found, [0, 0, 0, 0, 1, 1, 1, 1, 0]);
}
