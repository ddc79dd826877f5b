//! How time and cost grow with the libraries that are preloaded. The code is `x = 1 + 1`. Where
//! numpy is preloaded, code with numpy is measured, too.

use super::cost::of_service;
use super::latency::in_turn;
use super::{BenchPlan, Entrant, PAUSE, say};
use crate::contender::{Http, Ours};
use crate::results::{Cost, Series};
use crate::workload::{Suite, Workload};
use anyhow::Result;
use std::time::Duration;

/// What is preloaded: a name, and TOML that changes the development configuration.
pub const PRELOADS: [(&str, &str); 4] = [
    ("nothing", "python.preload = []"),
    (
        "numpy, scipy",
        "python.preload = ['numpy', 'scipy', 'scipy.integrate', 'scipy.optimize', 'six']",
    ),
    (
        "numpy, scipy, sympy",
        "python.preload = ['numpy', 'scipy', 'scipy.integrate', 'scipy.optimize', 'sympy', 'six']",
    ),
    ("everything", ""),
];

/// The time for all lists together.
const TIME: Duration = Duration::from_secs(15);
const EXECUTIONS: usize = 300;

/// Times and costs with each list. The name of the list takes the place of the contender's.
pub fn measure(plan: &BenchPlan, suite: &Suite) -> Result<(Vec<Series>, Vec<Cost>)> {
    let mut services = Vec::new();
    for (name, overrides) in PRELOADS {
        let overrides = format!("max_requests = 0\n{overrides}");
        services.push((name, plan.ours(&overrides)?));
    }
    say("preload: latency");
    let trivial = Workload::trivial()?;
    let mut times = of_all(&services, &trivial, plan.time(TIME))?;
    let numpy = suite.workload("numpy + scipy")?;
    times.extend(of_all(&services[1..], numpy, plan.time(TIME))?);
    let mut costs = Vec::new();
    for (name, service) in &services {
        say(&format!("preload: cost with {name}"));
        for workload in [&trivial, numpy] {
            if *name == "nothing" && workload.name != trivial.name {
                continue;
            }
            let executions = plan.count(EXECUTIONS);
            let client = &mut Http::new(service.address(), false);
            let (cpu, faults) = of_service(service.pid(), client, workload, executions)?;
            costs.push(Cost {
                workload: workload.name.clone(),
                contender: format!("{name} preloaded"),
                cpu_us: cpu.as_secs_f64() * 1e6,
                faults,
                executions,
            });
        }
    }
    for (_, service) in services {
        service.stop()?;
    }
    Ok((times, costs))
}

fn of_all(services: &[(&str, Ours)], workload: &Workload, time: Duration) -> Result<Vec<Series>> {
    let entrant = |(name, service): &(&str, Ours)| {
        let client = Http::new(service.address(), false);
        Entrant::new(&format!("{name} preloaded"), 8, PAUSE, Box::new(client))
    };
    in_turn(services.iter().map(entrant).collect(), workload, time)
}
