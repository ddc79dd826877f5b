//! The results of a run, as they are written to `results.json`. All times are microseconds.

use crate::sampling::percentile;
use serde::Serialize;

/// Where and when the run was.
#[derive(Debug, Clone, Serialize)]
pub struct Machine {
    /// The processor's name, from the kernel.
    pub processor: String,
    /// Processors that this process may use.
    pub cores: usize,
    /// The kernel's release.
    pub kernel: String,
    /// The Python of the sandboxes and of the original.
    pub python: String,
    /// Year, month, day.
    pub date: String,
    /// The load average of the last minute before the run. On a busy machine the figures say
    /// little.
    pub load_average: f64,
}

/// Times of one contender with one workload.
#[derive(Debug, Clone, Serialize)]
pub struct Series {
    /// The workload's name, or the size.
    pub workload: String,
    /// The contender's name.
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

    /// The percentile in milliseconds: this percentage of the executions took no longer.
    pub fn ms(&self, percent: f64) -> f64 {
        f64::from(percentile(&self.sorted_us, percent)) / 1e3
    }
}

/// Many clients, each of which asks again as soon as it has its answer.
#[derive(Debug, Clone, Serialize)]
pub struct Throughput {
    /// The workload's name.
    pub workload: String,
    /// The contender's name.
    pub contender: String,
    /// The number of clients.
    pub clients: usize,
    /// Executions per second.
    pub per_second: f64,
    /// The time of each execution.
    pub times: Series,
}

/// Requests that come at random moments, half as many as the contender can take at most.
#[derive(Debug, Clone, Serialize)]
pub struct HalfLoad {
    /// The workload's name.
    pub workload: String,
    /// The contender's name.
    pub contender: String,
    /// Arrivals per second.
    pub per_second: f64,
    /// The time of each execution, from the moment at which its request was due.
    pub times: Series,
}

/// What one execution uses in all processes of the contender together.
#[derive(Debug, Clone, Serialize)]
pub struct Cost {
    /// The workload's name.
    pub workload: String,
    /// The contender's name, or what was preloaded.
    pub contender: String,
    /// CPU time, user and system.
    pub cpu_us: f64,
    /// Page faults that needed no disk.
    pub faults: f64,
    /// The number of executions.
    pub executions: usize,
}

/// Memory of all processes of a contender.
#[derive(Debug, Clone, Serialize)]
pub struct Memory {
    /// The contender's name.
    pub contender: String,
    /// Whether the sandboxes wait or run something.
    pub state: String,
    /// The number of sandboxes, or of fresh interpreters.
    pub sandboxes: usize,
    /// The sum of the processes' proportional set sizes.
    pub pss_bytes: u64,
}

/// This build compared with another contender, round by round.
#[derive(Debug, Clone, Serialize)]
pub struct Comparison {
    /// The other contender's name.
    pub contender: String,
    /// The workload's name.
    pub workload: String,
    /// What is compared, with its unit.
    pub what: String,
    /// For each round the figure of this build, and the figure of the other contender.
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

    /// Adds a round: the figure of this build, and the figure of the other contender.
    pub fn add(&mut self, found: [f64; 2]) {
        self.rounds.push(found);
    }

    /// The median of this build's figures (0), or of the other contender's (1).
    pub fn median(&self, which: usize) -> f64 {
        self.median_by(|round| round[which])
    }

    /// This build's figure divided by the other one's: the median of the rounds.
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
    /// The contender's name, or what was preloaded.
    pub contender: String,
    /// The time of each start, in ascending order.
    pub times: Series,
    /// CPU time of all processes until then, the median.
    pub cpu_us: f64,
}

/// A target for the service's performance, and the figure that was found.
#[derive(Debug, Clone, Serialize)]
pub struct Target {
    /// The target in words.
    pub what: String,
    /// The bound, with its unit.
    pub bound: String,
    /// The figure that was found, with the same unit.
    pub found: String,
    /// Whether the figure is within the bound.
    pub met: bool,
}

/// Everything that one run has measured. A measurement that was left out is empty.
#[derive(Debug, Clone, Serialize)]
pub struct Results {
    /// Where and when the run was.
    pub machine: Machine,
    /// Whether it was a short run; its figures are rough.
    pub quick: bool,
    /// Seconds that the whole run took.
    pub took_s: u64,
    /// Times with one client.
    pub latency: Vec<Series>,
    /// Times with many clients.
    pub throughput: Vec<Throughput>,
    /// This build beside an earlier build, or on other Pythons.
    pub before: Vec<Comparison>,
    /// Times at half load.
    pub half_load: Vec<HalfLoad>,
    /// CPU and page faults per execution.
    pub cost: Vec<Cost>,
    /// Times by what is preloaded. Their CPU time and page faults are in `cost`.
    pub preload: Vec<Series>,
    /// Memory.
    pub memory: Vec<Memory>,
    /// Times of starts.
    pub start: Vec<Start>,
    /// Times by the size of the globals.
    pub globals: Vec<Series>,
    /// The targets for the service's performance.
    pub targets: Vec<Target>,
}

impl Results {
    /// Results without any measurement.
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
