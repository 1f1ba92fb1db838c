//! What is printed.

use std::time::Duration;

/// What was found out about a row.
pub struct Figures {
    pub median: Duration,
    pub p99: Duration,
    /// How many requests the two are taken from.
    pub requests: usize,
    /// With eight connections.
    pub per_second: f64,
}

impl Figures {
    /// The better of two in everything.
    pub fn better(self, other: &Self) -> Self {
        Self {
            median: self.median.min(other.median),
            p99: self.p99.min(other.p99),
            requests: self.requests + other.requests,
            per_second: self.per_second.max(other.per_second),
        }
    }
}

/// What recording costs a row.
pub fn ratio(name: &str, without: &Figures, with: &Figures) {
    println!(
        "{name:<32} median {:>7.2} ms, recorded {:>7.2} ms: {:>5.2}; 8 connections {:>7.0} /s, recorded {:>7.0} /s: {:>5.2}",
        ms(without.median),
        ms(with.median),
        with.median.as_secs_f64() / without.median.as_secs_f64(),
        without.per_second,
        with.per_second,
        with.per_second / without.per_second,
    );
}

/// A row's name and its figures, or why there are none.
pub struct Measured {
    pub name: &'static str,
    pub result: anyhow::Result<Figures>,
}

fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

/// One table for one size.
pub fn print(size: u64, rows: &[Measured]) {
    println!("\n{size} resources");
    println!("{:<32} {:>10} {:>10} {:>9} {:>10}", "", "median ms", "p99 ms", "requests", "8 conn. /s");
    for row in rows {
        match &row.result {
            Ok(Figures { median, p99, requests, per_second }) => {
                println!("{:<32} {:>10.2} {:>10.2} {requests:>9} {per_second:>10.0}", row.name, ms(*median), ms(*p99));
            }
            Err(_) => println!("{:<32} {:>10}", row.name, "failed"),
        }
    }
}

/// How the medians grow from the first size to the last.
pub fn compare(columns: &[(u64, Vec<Measured>)]) {
    let [(small, first), .., (large, last)] = columns else { return };
    println!("\nmedian ms");
    println!("{:<32} {:>10} {:>10} {:>8}", "", small, large, "ratio");
    for (before, after) in first.iter().zip(last) {
        if let (Ok(before_found), Ok(after_found)) = (&before.result, &after.result) {
            let (low, high) = (ms(before_found.median), ms(after_found.median));
            println!("{:<32} {low:>10.2} {high:>10.2} {:>8.2}", before.name, high / low);
        }
    }
}
