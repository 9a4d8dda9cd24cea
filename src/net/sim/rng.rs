//! Chance, from a seed and nothing else: the same seed gives the same run on every machine.

use std::ops::RangeInclusive;
use std::time::Duration;

/// A splitmix64 generator.
#[derive(Clone, Debug)]
pub struct Rng(u64);

impl Rng {
    /// The sequence that belongs to `seed`.
    pub fn new(seed: u64) -> Rng {
        let mut rng = Rng(seed ^ 0x6a09_e667_f3bc_c909);
        // Neighbouring seeds must not give neighbouring sequences.
        rng.next();
        Rng(rng.next())
    }

    /// The next 64 bits.
    #[allow(clippy::should_implement_trait)] // endless: an iterator's `Option` would be noise
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number in the range, both ends included.
    pub fn within(&mut self, range: RangeInclusive<usize>) -> usize {
        let span = (range.end() - range.start()) as u64 + 1;
        range.start() + (self.next() % span) as usize
    }

    /// True once in `n` times.
    pub fn one_in(&mut self, n: u32) -> bool {
        self.next().is_multiple_of(u64::from(n.max(1)))
    }

    /// A duration in the range, both ends included, in nanoseconds.
    pub fn duration(&mut self, range: RangeInclusive<Duration>) -> Duration {
        let span = (*range.end() - *range.start()).as_nanos() as u64 + 1;
        *range.start() + Duration::from_nanos(self.next() % span)
    }

    /// One of the choices, of which there must be one.
    pub fn pick<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.within(0..=choices.len() - 1)]
    }

    /// A generator of its own, so that what one actor draws changes nothing for the others.
    pub fn fork(&mut self) -> Rng {
        Rng::new(self.next())
    }

    /// Puts the items into a random order.
    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            let other = self.within(0..=last);
            items.swap(last, other);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_always_gives_the_same_sequence() {
        let (mut a, mut b, mut c) = (Rng::new(7), Rng::new(7), Rng::new(8));
        let (one, same, other): (Vec<u64>, Vec<u64>, Vec<u64>) = (
            (0..9).map(|_| a.next()).collect(),
            (0..9).map(|_| b.next()).collect(),
            (0..9).map(|_| c.next()).collect(),
        );
        assert_eq!(one, same);
        assert_ne!(one, other);
    }

    #[test]
    fn ranges_include_both_their_ends() {
        let mut rng = Rng::new(1);
        let drawn: Vec<usize> = (0..200).map(|_| rng.within(3..=5)).collect();
        for number in 3..=5 {
            assert!(drawn.contains(&number), "{number} never came");
        }
        assert!(drawn.iter().all(|n| (3..=5).contains(n)));
    }
}
