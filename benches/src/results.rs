//! What was measured, as it is written to `results.json`. All times are microseconds.

use crate::sampling::percentile;
use serde::Serialize;

/// Where and when.
#[derive(Debug, Clone, Serialize)]
pub struct Machine {
    /// As the kernel names it.
    pub processor: String,
    /// Those that this process may use.
    pub cores: usize,
    /// Its release.
    pub kernel: String,
    /// The sandboxes' and the original's.
    pub python: String,
    /// Year, month, day.
    pub date: String,
    /// Of the last minute before the run: of a machine that is not quiet the figures say little.
    pub load_average: f64,
}

/// Times of one contender with one workload.
#[derive(Debug, Clone, Serialize)]
pub struct Series {
    /// Which workload, or which size.
    pub workload: String,
    /// Who executed.
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

    /// Milliseconds below which this share of the executions was.
    pub fn ms(&self, percent: f64) -> f64 {
        f64::from(percentile(&self.sorted_us, percent)) / 1e3
    }
}

/// Clients that ask again as soon as they have their answer.
#[derive(Debug, Clone, Serialize)]
pub struct Throughput {
    /// Which workload.
    pub workload: String,
    /// Who executed.
    pub contender: String,
    /// How many at a time.
    pub clients: usize,
    /// Executions per second.
    pub per_second: f64,
    /// How long each took.
    pub times: Series,
}

/// Requests that come at random moments, half as many as the contender can take at most.
#[derive(Debug, Clone, Serialize)]
pub struct HalfLoad {
    /// Which workload.
    pub workload: String,
    /// Who executed.
    pub contender: String,
    /// Arrivals per second.
    pub per_second: f64,
    /// How long each took, from the moment it was due.
    pub times: Series,
}

/// What one execution uses, in all processes of the contender.
#[derive(Debug, Clone, Serialize)]
pub struct Cost {
    /// Which workload.
    pub workload: String,
    /// Who executed, with what preloaded.
    pub contender: String,
    /// CPU, user and system.
    pub cpu_us: f64,
    /// Page faults that needed no disk.
    pub faults: f64,
    /// Over so many.
    pub executions: usize,
}

/// Memory of all processes.
#[derive(Debug, Clone, Serialize)]
pub struct Memory {
    /// Whose.
    pub contender: String,
    /// Whether the sandboxes wait, or run something.
    pub state: String,
    /// Sandboxes, or fresh interpreters.
    pub sandboxes: usize,
    /// The proportional set size of all processes.
    pub pss_bytes: u64,
}

/// This build beside another contender, round by round.
#[derive(Debug, Clone, Serialize)]
pub struct Comparison {
    /// With whom.
    pub contender: String,
    /// Which workload.
    pub workload: String,
    /// What is compared, with its unit.
    pub what: String,
    /// Of each round what was found of this build and of the other one.
    pub rounds: Vec<[f64; 2]>,
}

impl Comparison {
    /// No round yet.
    pub fn new(contender: &str, workload: &str, what: &str) -> Self {
        Self {
            contender: contender.to_owned(),
            workload: workload.to_owned(),
            what: what.to_owned(),
            rounds: Vec::new(),
        }
    }

    /// One more round: of this build, and of the other one.
    pub fn add(&mut self, found: [f64; 2]) {
        self.rounds.push(found);
    }

    /// The median of this build's figures, or of the other one's.
    pub fn median(&self, which: usize) -> f64 {
        self.median_by(|round| round[which])
    }

    /// This build's figure by the other one's: the median of the rounds.
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

/// From a start to the first answer.
#[derive(Debug, Clone, Serialize)]
pub struct Start {
    /// Who, with what preloaded.
    pub contender: String,
    /// Each start's time, in ascending order.
    pub times: Series,
    /// CPU of all processes up to then, the median.
    pub cpu_us: f64,
}

/// What the issue asks for, and what was found.
#[derive(Debug, Clone, Serialize)]
pub struct Target {
    /// What must be so.
    pub what: String,
    /// The bound, with its unit.
    pub bound: String,
    /// What was found, with the same unit.
    pub found: String,
    /// Whether that is within the bound.
    pub met: bool,
}

/// All of one run. What was not measured is empty.
#[derive(Debug, Clone, Serialize)]
pub struct Results {
    /// Where and when.
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
    /// Half as many as could be.
    pub half_load: Vec<HalfLoad>,
    /// CPU and page faults per execution.
    pub cost: Vec<Cost>,
    /// The same, by what is preloaded; `x = 1 + 1` and the times of it.
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
    /// Nothing yet.
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
