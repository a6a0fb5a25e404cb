//! Ten columns of a million rows beside a baseline of a million: what each distance costs, and what it is. `.ci/drills drift`
//! holds both against SciPy on the same rows, which are written to the directory that is given.

use remit_drift::{
    Edges, Histogram, jensen_shannon_distance, kolmogorov_smirnov, kolmogorov_smirnov_exact, psi, wasserstein,
    wasserstein_exact,
};
use std::io::{self, Write as _};
use std::path::Path;
use std::time::{Duration, Instant};

const COLUMNS: u64 = 10;
const ROWS: usize = 1_000_000;

/// SplitMix64 (Steele, Lea and Flood 2014) as a number in [0, 1).
fn uniform(state: &mut u64) -> f64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut z = *state;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    ((z ^ (z >> 31)) >> 11) as f64 / (1_u64 << 53) as f64
}

/// Scores of a rare outcome: most are small, and those of later columns less so.
fn rows(seed: u64, power: f64) -> Vec<f64> {
    let mut state = seed;
    (0..ROWS).map(|_| uniform(&mut state).powf(power)).collect()
}

fn write(dir: &Path, name: &str, rows: &[f64]) -> io::Result<()> {
    let mut file = io::BufWriter::new(std::fs::File::create(dir.join(name))?);
    rows.iter().try_for_each(|row| file.write_all(&row.to_le_bytes()))?;
    file.flush()
}

fn main() -> io::Result<()> {
    let dir = std::env::args().nth(1).ok_or_else(|| io::Error::other("columns DIRECTORY"))?;
    let (dir, mut counted, mut sorted) = (Path::new(&dir), Duration::ZERO, Duration::ZERO);
    let mut out = io::stdout().lock();
    let edges = Edges::score();
    let shown: Vec<String> = edges.as_slice().iter().map(f64::to_string).collect();
    writeln!(out, "edges,{}", shown.join(","))?;
    for column in 0..COLUMNS {
        let baseline = rows(column, 3.0);
        let window = rows(column + COLUMNS, 3.0 - column as f64 / 50.0);
        write(dir, &format!("{column}.baseline"), &baseline)?;
        write(dir, &format!("{column}.window"), &window)?;
        let begun = Instant::now();
        let (a, b) = (window.iter().copied(), baseline.iter().copied());
        let (a, b) = (Histogram::of(edges.clone(), a), Histogram::of(edges.clone(), b));
        let psi = psi(&a, &b).unwrap_or(f64::NAN);
        let jensen_shannon = jensen_shannon_distance(&a, &b).unwrap_or(f64::NAN);
        let ks_counted = kolmogorov_smirnov(&a, &b).map_or(f64::NAN, |test| test.statistic);
        let wasserstein_counted = wasserstein(&a, &b).unwrap_or(f64::NAN);
        counted += begun.elapsed();
        let begun = Instant::now();
        let ks = kolmogorov_smirnov_exact(&window, &baseline);
        let distance = wasserstein_exact(&window, &baseline).unwrap_or(f64::NAN);
        sorted += begun.elapsed();
        let (statistic, p) = ks.map_or((f64::NAN, f64::NAN), |test| (test.statistic, test.p_value));
        writeln!(out, "column,{psi},{jensen_shannon},{statistic},{p},{distance},{ks_counted},{wasserstein_counted}")?;
    }
    writeln!(out, "seconds,{},{}", counted.as_secs_f64(), sorted.as_secs_f64())
}
