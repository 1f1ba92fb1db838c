//! Chance that is the same on every machine and in every version: SplitMix64.

/// A stream of numbers decided by its seed.
#[derive(Clone, Debug)]
pub struct Chance(u64);

impl Chance {
    /// The stream that belongs to these numbers: one for each visit, person and place, so that any of them can be told
    /// without the ones before.
    pub fn of(seed: u64, what: u64, number: u64) -> Self {
        let mut mixed = Self(seed ^ what.wrapping_mul(0xD6E8_FEB8_6659_FD93));
        let start = mixed.draw().wrapping_add(number.wrapping_mul(0xA076_1D64_78BD_642F));
        Self(start)
    }

    /// 64 bits.
    pub fn draw(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// From 0 to below 1.
    pub fn unit(&mut self) -> f64 {
        // 53 bits are what an f64 holds.
        (self.draw() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// From 0 to below `end`, all alike; 0 for an empty range.
    pub fn below(&mut self, end: u64) -> u64 {
        ((u128::from(self.draw()) * u128::from(end)) >> 64) as u64
    }

    /// From `low` to `high`, both possible.
    pub fn between(&mut self, low: i64, high: i64) -> i64 {
        low + self.below(high.abs_diff(low) + 1) as i64
    }

    /// True in this share of cases.
    pub fn in_share(&mut self, share: f64) -> bool {
        self.unit() < share
    }

    /// Around `mean`, most within `spread`, none outside three times that: the sum of three throws.
    pub fn around(&mut self, mean: f64, spread: f64) -> f64 {
        mean + (self.unit() + self.unit() + self.unit() - 1.5) * 2.0 * spread
    }

    /// One of them, all alike.
    pub fn pick<'t, T>(&mut self, table: &'t [T]) -> &'t T {
        &table[self.below(table.len() as u64) as usize]
    }

    /// One of them, by Zipf: the first twice as often as the second, three times as often as the third.
    pub fn pick_skewed<'t, T>(&mut self, table: &'t [T]) -> &'t T {
        let whole: f64 = (1..=table.len()).map(|rank| 1.0 / rank as f64).sum();
        let mut left = self.unit() * whole;
        let last = table.len() - 1;
        let found = (0..last).find(|at| {
            left -= 1.0 / (at + 1) as f64;
            left < 0.0
        });
        &table[found.unwrap_or(last)]
    }
}

#[cfg(test)]
mod tests {
    use super::Chance;

    #[test]
    fn the_same_numbers_give_the_same_stream_and_others_another() {
        let first = |seed, what, number| Chance::of(seed, what, number).draw();
        assert_eq!(first(1, 2, 3), first(1, 2, 3));
        let others = [first(1, 2, 3), first(2, 2, 3), first(1, 3, 3), first(1, 2, 4)];
        for (at, one) in others.iter().enumerate() {
            assert!(!others[..at].contains(one), "{others:?}");
        }
    }

    #[test]
    fn numbers_stay_in_their_range_and_reach_both_ends() {
        let mut chance = Chance::of(7, 0, 0);
        let thrown: Vec<i64> = (0..1000).map(|_| chance.between(-2, 3)).collect();
        assert_eq!((thrown.iter().min(), thrown.iter().max()), (Some(&-2), Some(&3)));
        assert_eq!(chance.below(0), 0);
        assert!((0..1000).all(|_| (0.0..1.0).contains(&chance.unit())));
    }

    #[test]
    fn the_first_of_a_skewed_table_comes_twice_as_often_as_the_second() {
        let mut chance = Chance::of(7, 0, 0);
        let mut counts = [0; 4];
        for _ in 0..25_000 {
            counts[*chance.pick_skewed(&[0, 1, 2, 3])] += 1;
        }
        assert!((11_500..12_500).contains(&counts[0]) && (5_500..6_500).contains(&counts[1]), "{counts:?}");
        assert!(counts[3] > 2_500, "{counts:?}");
    }
}
