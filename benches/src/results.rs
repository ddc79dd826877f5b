//! The results, as they are written to `results.json`. All times are microseconds.

use crate::sampling::percentile;
use serde::Serialize;

/// The machine and the day.
#[derive(Debug, Clone, Serialize)]
pub struct Machine {
    /// The processor, as the kernel names it.
    pub processor: String,
    /// The cores that this process may use.
    pub cores: usize,
    /// The release of the kernel.
    pub kernel: String,
    /// The version of the sandboxes' Python, which is the original's, too.
    pub python: String,
    /// Year, month, day.
    pub date: String,
    /// The load average of the last minute before the run. If the machine is not quiet, the figures
    /// say little.
    pub load_average: f64,
}

/// Times of one contender with one workload.
#[derive(Debug, Clone, Serialize)]
pub struct Series {
    /// The workload, or the size.
    pub workload: String,
    /// The contender.
    pub contender: String,
    /// Each execution's time, in ascending order.
    pub sorted_us: Vec<u32>,
}

impl Series {
    /// Sorts the times.
    pub fn new(workload: &str, contender: &str, mut times_us: Vec<u32>) -> Self {
        times_us.sort_unstable();
        Self {
            workload: workload.to_owned(),
            contender: contender.to_owned(),
            sorted_us: times_us,
        }
    }

    /// This share of the executions took at most so many milliseconds.
    pub fn ms(&self, percent: f64) -> f64 {
        f64::from(percentile(&self.sorted_us, percent)) / 1e3
    }
}

/// Clients that ask again as soon as they have their answer.
#[derive(Debug, Clone, Serialize)]
pub struct Throughput {
    /// The workload.
    pub workload: String,
    /// The contender.
    pub contender: String,
    /// How many clients at a time.
    pub clients: usize,
    /// Executions per second.
    pub per_second: f64,
    /// The time of each execution.
    pub times: Series,
}

/// Requests that come at random moments, at half of the rate that the contender can take.
#[derive(Debug, Clone, Serialize)]
pub struct HalfLoad {
    /// The workload.
    pub workload: String,
    /// The contender.
    pub contender: String,
    /// Arrivals per second.
    pub per_second: f64,
    /// The time of each execution, from the moment at which it was due.
    pub times: Series,
}

/// What one execution uses in all processes of the contender.
#[derive(Debug, Clone, Serialize)]
pub struct Cost {
    /// The workload.
    pub workload: String,
    /// The contender, and what it preloads.
    pub contender: String,
    /// CPU time, user and system.
    pub cpu_us: f64,
    /// Page faults that needed no disk.
    pub faults: f64,
    /// The number of executions that were measured.
    pub executions: usize,
}

/// Memory of all processes.
#[derive(Debug, Clone, Serialize)]
pub struct Memory {
    /// The contender.
    pub contender: String,
    /// Whether the sandboxes wait or run code.
    pub state: String,
    /// The number of sandboxes, or of fresh interpreters.
    pub sandboxes: usize,
    /// The proportional set size of all processes.
    pub pss_bytes: u64,
}

/// This build beside another contender, round by round.
#[derive(Debug, Clone, Serialize)]
pub struct Comparison {
    /// The other contender.
    pub contender: String,
    /// The workload.
    pub workload: String,
    /// The measured quantity, with its unit.
    pub what: String,
    /// For each round the figure of this build, and that of the other contender.
    pub rounds: Vec<[f64; 2]>,
}

impl Comparison {
    /// A comparison without rounds.
    pub fn new(contender: &str, workload: &str, what: &str) -> Self {
        Self {
            contender: contender.to_owned(),
            workload: workload.to_owned(),
            what: what.to_owned(),
            rounds: Vec::new(),
        }
    }

    /// Adds a round: the figure of this build, and that of the other contender.
    pub fn add(&mut self, found: [f64; 2]) {
        self.rounds.push(found);
    }

    /// The median of this build's figures, or of the other contender's.
    pub fn median(&self, which: usize) -> f64 {
        self.median_by(|round| round[which])
    }

    /// This build's figure divided by the other's: the median of the rounds.
    pub fn ratio(&self) -> f64 {
        self.median_by(|[ours, before]| ours / before)
    }

    /// The smallest and the largest ratio of a round.
    pub fn ratio_range(&self) -> (f64, f64) {
        let ratios = self.rounds.iter().map(|[ours, before]| ours / before);
        let smallest = ratios.clone().fold(f64::INFINITY, f64::min);
        (smallest, ratios.fold(0.0, f64::max))
    }

    fn median_by(&self, value: impl Fn(&[f64; 2]) -> f64) -> f64 {
        let mut values: Vec<f64> = self.rounds.iter().map(value).collect();
        values.sort_by(f64::total_cmp);
        let half = values.len() / 2;
        match values.len() {
            0 => f64::NAN,
            len if len.is_multiple_of(2) => f64::midpoint(values[half - 1], values[half]),
            _ => values[half],
        }
    }
}

/// The time from a start to the first answer.
#[derive(Debug, Clone, Serialize)]
pub struct Start {
    /// The contender, and what it preloads.
    pub contender: String,
    /// Each start's time, in ascending order.
    pub times: Series,
    /// CPU time of all processes up to then; the median.
    pub cpu_us: f64,
}

/// A target of the issue, and what was measured.
#[derive(Debug, Clone, Serialize)]
pub struct Target {
    /// What the target is about.
    pub what: String,
    /// The bound, with its unit.
    pub bound: String,
    /// The measured value, in the same unit.
    pub found: String,
    /// Whether the value is within the bound.
    pub met: bool,
}

/// All results of one run. Measurements that were not made are empty.
#[derive(Debug, Clone, Serialize)]
pub struct Results {
    /// The machine and the day.
    pub machine: Machine,
    /// Whether it was a short run, whose figures are rough.
    pub quick: bool,
    /// Seconds that the whole run took.
    pub took_s: u64,
    /// One client.
    pub latency: Vec<Series>,
    /// Many clients.
    pub throughput: Vec<Throughput>,
    /// Beside an earlier build, or on other Pythons.
    pub before: Vec<Comparison>,
    /// Half of the best rate.
    pub half_load: Vec<HalfLoad>,
    /// CPU and page faults per execution.
    pub cost: Vec<Cost>,
    /// The same by what is preloaded, for `x = 1 + 1`; and its times.
    pub preload: Vec<Series>,
    /// Memory.
    pub memory: Vec<Memory>,
    /// Starts.
    pub start: Vec<Start>,
    /// By the size of the globals.
    pub globals: Vec<Series>,
    /// The targets.
    pub targets: Vec<Target>,
}

impl Results {
    /// Results without measurements.
    pub fn of(machine: Machine, quick: bool) -> Self {
        Self {
            machine,
            quick,
            took_s: 0,
            latency: Vec::new(),
            throughput: Vec::new(),
            before: Vec::new(),
            half_load: Vec::new(),
            cost: Vec::new(),
            preload: Vec::new(),
            memory: Vec::new(),
            start: Vec::new(),
            globals: Vec::new(),
            targets: Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_comparison_is_the_median_of_its_rounds() {
        let mut comparison = Comparison::new("before", "trivial", "p50 ms");
        for found in [[2.0, 1.0], [1.0, 1.0], [3.0, 4.0], [9.0, 6.0]] {
            comparison.add(found);
        }
        assert_eq!(comparison.ratio(), 1.25);
        assert_eq!(comparison.ratio_range(), (0.75, 2.0));
        assert_eq!((comparison.median(0), comparison.median(1)), (2.5, 2.5));
    }
}
