//! `cargo bench -p codejail-benches`: the time of each pure part.

use criterion::{Criterion, criterion_group, criterion_main};

fn parts(criterion: &mut Criterion) {
    for mut part in codejail_benches::parts::all() {
        criterion.bench_function(part.name, |bencher| bencher.iter(|| (part.run)()));
    }
}

criterion_group!(benches, parts);
criterion_main!(benches);
