//! Random decisions, from a seed or a script only: the same one gives the same run on every
//! machine.

use std::collections::VecDeque;
use std::ops::RangeInclusive;
use std::time::Duration;

/// A splitmix64 generator, with an optional script of decisions.
#[derive(Clone, Debug)]
pub struct Rng {
    state: u64,
    script: Script,
}

/// Bytes that replace random numbers until they run out, so that a fuzzer that changes one of them
/// changes one decision.
#[derive(Clone, Debug, Default)]
pub struct Script {
    /// Used by the generator itself.
    bytes: VecDeque<u8>,
    /// The parts of generators forked from it, in order.
    forks: VecDeque<Vec<u8>>,
}

impl Script {
    /// A script of these bytes, with parts for forked generators, in order.
    pub fn new(bytes: &[u8], forks: &[&[u8]]) -> Script {
        let forks = forks.iter().map(|part| part.to_vec()).collect();
        Script { bytes: bytes.iter().copied().collect(), forks }
    }

    /// A number below `span`, if bytes are left: from one byte if that is enough, else from two.
    fn below(&mut self, span: u64) -> Option<u64> {
        let first = u64::from(self.bytes.pop_front()?);
        if span <= 1 << 8 {
            return Some(first % span);
        }
        let both = first << 8 | u64::from(self.bytes.pop_front().unwrap_or_default());
        Some(if span <= 1 << 16 { both % span } else { (span >> 16) * both })
    }
}

impl Rng {
    /// The sequence for `seed`.
    pub fn new(seed: u64) -> Rng {
        Rng::scripted(seed, Script::default())
    }

    /// Decisions by a script, then by `seed` once the script runs out.
    pub fn scripted(seed: u64, script: Script) -> Rng {
        let mut rng = Rng { state: seed ^ 0x6a09_e667_f3bc_c909, script };
        // Neighbouring seeds must not give neighbouring sequences.
        rng.next();
        rng.state = rng.next();
        rng
    }

    /// The generator's next 64 bits.
    fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `span`, which must not be 0.
    fn below(&mut self, span: u64) -> u64 {
        match self.script.below(span) {
            Some(number) => number,
            None => self.next() % span,
        }
    }

    /// A number in the range, both ends included.
    pub fn within(&mut self, range: RangeInclusive<usize>) -> usize {
        let span = (range.end() - range.start()) as u64 + 1;
        range.start() + self.below(span) as usize
    }

    /// True once in `n` times on average.
    pub fn one_in(&mut self, n: u32) -> bool {
        self.below(u64::from(n.max(1))) == 0
    }

    /// A duration in the range, both ends included, in nanoseconds.
    pub fn duration(&mut self, range: RangeInclusive<Duration>) -> Duration {
        let span = (*range.end() - *range.start()).as_nanos() as u64 + 1;
        *range.start() + Duration::from_nanos(self.below(span))
    }

    /// One of the choices, which must not be empty.
    pub fn pick<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.within(0..=choices.len() - 1)]
    }

    /// An independent generator, so that one actor's draws do not change another's.
    pub fn fork(&mut self) -> Rng {
        let part = self.script.forks.pop_front().unwrap_or_default();
        let script = Script { bytes: part.into(), forks: VecDeque::new() };
        Rng::scripted(self.next(), script)
    }

    /// Shuffles the items.
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

    fn draws(mut rng: Rng) -> Vec<usize> {
        (0..9).map(|_| rng.within(0..=99)).collect()
    }

    #[test]
    fn a_seed_always_gives_the_same_sequence() {
        assert_eq!(draws(Rng::new(7)), draws(Rng::new(7)));
        assert_ne!(draws(Rng::new(7)), draws(Rng::new(8)));
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

    #[test]
    fn a_script_decides_until_it_ends_and_the_seed_from_there() {
        let rng = Rng::scripted(7, Script::new(&[5, 199, 42], &[]));
        let expected: Vec<usize> = [5, 99, 42].into_iter().chain(draws(Rng::new(7))).collect();
        assert_eq!(draws(rng), expected[..9]);
    }

    #[test]
    fn a_script_reaches_every_part_of_a_wide_range() {
        let second = Duration::ZERO..=Duration::from_secs(1);
        for (bytes, millis) in [([0, 0], 0), ([0x80, 0], 499), ([0xff, 0xff], 999)] {
            let mut rng = Rng::scripted(7, Script::new(&bytes, &[]));
            assert_eq!(rng.duration(second.clone()).as_millis(), millis);
        }
    }

    #[test]
    fn each_fork_has_its_own_part_of_a_script() {
        let mut rng = Rng::scripted(7, Script::new(&[1], &[&[2], &[3]]));
        assert_eq!([rng.fork(), rng.fork()].map(|mut fork| fork.within(0..=9)), [2, 3]);
        assert_eq!(rng.within(0..=9), 1);
    }
}
