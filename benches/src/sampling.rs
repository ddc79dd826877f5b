//! Percentiles.

use std::time::Duration;

/// The percentile: this percentage of the values are not larger than the result (nearest rank). 0
/// if there are no values.
pub fn percentile(sorted_us: &[u32], percent: f64) -> u32 {
    let rank = (sorted_us.len() as f64 * percent / 100.0).ceil() as usize;
    sorted_us.get(rank.saturating_sub(1)).copied().unwrap_or(0)
}

/// The value in the middle. The values can be in any order.
pub fn median(values: &[u32]) -> u32 {
    let mut sorted = values.to_vec();
    sorted.sort_unstable();
    percentile(&sorted, 50.0)
}

/// A duration as whole microseconds.
pub fn micros(duration: Duration) -> u32 {
    u32::try_from(duration.as_micros()).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_percentile_is_one_of_the_values() {
        let values: Vec<u32> = (1..=100).collect();
        assert_eq!(percentile(&values, 50.0), 50);
        assert_eq!(percentile(&values, 99.0), 99);
        assert_eq!(percentile(&values, 100.0), 100);
        assert_eq!(percentile(&[7], 99.0), 7);
        assert_eq!(percentile(&[], 50.0), 0);
        assert_eq!(median(&[9, 1, 5]), 5);
    }
}
