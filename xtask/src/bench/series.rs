//! Several measurements of one thing.

use super::usage::Usage;

/// One measurement.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Sample {
    /// Seconds on the clock.
    pub(super) wall: f64,
    pub(super) used: Usage,
    /// Bytes of the result.
    pub(super) bytes: u64,
}

/// Measurements of one thing; in an interleaved set, those of the same index are neighbours in time.
#[derive(Debug, Clone, Default)]
pub(super) struct Series(Vec<Sample>);

impl Series {
    pub(super) fn push(&mut self, sample: Sample) {
        self.0.push(sample);
    }

    pub(super) fn samples(&self) -> &[Sample] {
        &self.0
    }

    /// The median of a figure; 0 of no measurement.
    pub(super) fn median(&self, figure: impl Fn(&Sample) -> f64) -> f64 {
        median(self.0.iter().map(figure).collect())
    }

    /// The median over neighbours of how many times longer this took than `other`.
    pub(super) fn wall_ratio(&self, other: &Series) -> f64 {
        median(self.0.iter().zip(&other.0).map(|(mine, theirs)| mine.wall / theirs.wall).collect())
    }
}

fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    match figures.len() {
        0 => 0.0,
        n if n % 2 == 1 => figures[n / 2],
        n => (figures[n / 2 - 1] + figures[n / 2]) / 2.0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn series(walls: &[f64]) -> Series {
        Series(walls.iter().map(|wall| Sample { wall: *wall, ..Sample::default() }).collect())
    }

    #[test]
    fn one_slow_run_moves_no_median() {
        assert_eq!(series(&[9.0, 1.0, 2.0]).median(|sample| sample.wall), 2.0);
        assert_eq!(series(&[4.0, 1.0]).median(|sample| sample.wall), 2.5);
    }

    #[test]
    fn ratios_are_taken_between_neighbours() {
        assert_eq!(series(&[2.0, 20.0, 3.0]).wall_ratio(&series(&[1.0, 10.0, 1.0])), 2.0);
    }
}
