//! Weighted random draws in constant time with Walker's alias method.

/// A table that draws index `i` in proportion to its weight.
#[derive(Debug, Clone)]
pub struct WeightTable {
    /// Threshold and alias of each column. A number below the threshold draws the column itself,
    /// any other its alias.
    columns: Vec<(u32, u32)>,
}

impl WeightTable {
    /// Builds the table. Weights must be finite, not negative, and not all zero.
    pub fn new(weights: &[f64]) -> Self {
        let count = weights.len();
        let total: f64 = weights.iter().sum();
        let mut scaled: Vec<f64> = weights.iter().map(|weight| weight * count as f64 / total).collect();
        let mut columns: Vec<(u32, u32)> = (0..count as u32).map(|index| (u32::MAX, index)).collect();
        let (mut small, mut large): (Vec<usize>, Vec<usize>) = (0..count).partition(|&index| scaled[index] < 1.0);
        while let (Some(low), Some(&high)) = (small.pop(), large.last()) {
            columns[low] = ((scaled[low] * 4_294_967_296.0) as u32, high as u32);
            scaled[high] -= 1.0 - scaled[low];
            if scaled[high] < 1.0 {
                large.pop();
                small.push(high);
            }
        }
        Self { columns }
    }

    /// Builds a table after Zipf's law: rank `r` of `count` has the weight `1 / r^exponent`. The
    /// exponent 0 gives all ranks the same weight.
    pub fn zipf(count: usize, exponent: f64) -> Self {
        let weights: Vec<f64> = (1..=count).map(|rank| (rank as f64).powf(-exponent)).collect();
        Self::new(&weights)
    }

    /// Returns the index for a random number.
    pub fn draw(&self, random: u64) -> usize {
        let column = ((u128::from(random >> 32) * self.columns.len() as u128) >> 32) as usize;
        let (threshold, alias) = self.columns[column];
        if random as u32 <= threshold { column } else { alias as usize }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::rngs::Xoshiro256PlusPlus;
    use rand::{Rng, SeedableRng};

    fn counts(weights: &WeightTable, size: usize, draws: usize) -> Vec<usize> {
        let mut random = Xoshiro256PlusPlus::seed_from_u64(42);
        let mut counts = vec![0; size];
        for _ in 0..draws {
            counts[weights.draw(random.next_u64())] += 1;
        }
        counts
    }

    #[test]
    fn draws_follow_the_weights() {
        for weights in [vec![1.0], vec![0.8, 0.1, 0.1], vec![0.0, 1.0, 3.0], vec![5.0, 5.0, 5.0, 5.0]] {
            let total: f64 = weights.iter().sum();
            let counts = counts(&WeightTable::new(&weights), weights.len(), 200_000);
            for (count, weight) in counts.iter().zip(&weights) {
                let expected = weight / total;
                assert!((*count as f64 / 200_000.0 - expected).abs() < 0.01, "{weights:?}: {counts:?}");
            }
        }
    }

    #[test]
    fn a_zipf_exponent_of_one_halves_from_the_first_rank_to_the_second() {
        let counts = counts(&WeightTable::zipf(1000, 1.0), 1000, 1_000_000);
        let ratio = |rank: usize| counts[0] as f64 / counts[rank - 1] as f64;
        assert!((ratio(2) - 2.0).abs() < 0.1, "{}", ratio(2));
        assert!((ratio(10) - 10.0).abs() < 1.0, "{}", ratio(10));
        // The harmonic number of 1000 is 7.485.
        assert!((counts[0] as f64 / 1e6 - 1.0 / 7.485).abs() < 0.005);
    }

    #[test]
    fn a_zipf_exponent_of_zero_draws_each_alike() {
        let counts = counts(&WeightTable::zipf(10, 0.0), 10, 100_000);
        assert!(counts.iter().all(|count| (9_000..11_000).contains(count)), "{counts:?}");
    }
}
