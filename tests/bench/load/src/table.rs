//! Medians, and the ratio to the best peer.

use std::collections::BTreeSet;
use std::io;

use crate::cases::{Case, Sample, Server, Unit};

struct Row {
    name: String,
    more_is_better: bool,
    values: Vec<Vec<f64>>,
}

pub struct Table {
    servers: Vec<String>,
    rows: Vec<Row>,
    failures: BTreeSet<String>,
}

impl Table {
    pub fn new(servers: &[Server]) -> Self {
        Self {
            servers: servers.iter().map(|server| server.name.clone()).collect(),
            rows: Vec::new(),
            failures: BTreeSet::new(),
        }
    }

    /// Notes a figure of the server `at`.
    pub fn set(&mut self, name: &str, at: usize, value: f64, more_is_better: bool) {
        let count = self.servers.len();
        let found = self.rows.iter().position(|row| row.name == name);
        let row = found.unwrap_or_else(|| {
            self.rows.push(Row {
                name: name.to_owned(),
                more_is_better,
                values: vec![Vec::new(); count],
            });
            self.rows.len() - 1
        });
        if let Some(values) = self
            .rows
            .get_mut(row)
            .and_then(|row| row.values.get_mut(at))
        {
            values.push(value);
        }
    }

    pub fn add(&mut self, case: &Case, at: usize, sample: Sample) {
        let name = &case.name;
        match case.unit {
            Unit::Octets => {
                self.set(&format!("{name}: MiB/s"), at, sample.value, true);
                self.set(&format!("{name}: CPU s/GiB"), at, sample.cpu, false);
            }
            Unit::Operations => {
                self.set(&format!("{name}: a second"), at, sample.value, true);
                self.set(&format!("{name}: CPU ms/1000"), at, sample.cpu, false);
            }
            Unit::Listing => {
                self.set(&format!("{name}: first ms"), at, sample.first, false);
                self.set(&format!("{name}: whole ms"), at, sample.value, false);
                self.set(&format!("{name}: CPU ms"), at, sample.cpu / 1e3, false);
            }
        }
    }

    /// Notes that a server does not do something.
    pub fn failed(&mut self, case: &str, server: &str, error: &io::Error) {
        self.failures.insert(format!("{server}: {case}: {error}"));
    }

    /// Prints the table: medians, and the first server's ratio to the best of the others.
    pub fn print(&self) {
        println!(
            "| case | {} | ratio | best peer |",
            self.servers.join(" | ")
        );
        println!("|---|{}---:|---|", "---:|".repeat(self.servers.len()));
        for row in &self.rows {
            let medians: Vec<Option<f64>> = row.values.iter().map(|all| median(all)).collect();
            let mut peers: Vec<(f64, &str)> = medians
                .iter()
                .zip(&self.servers)
                .skip(1)
                .filter_map(|(median, name)| Some(((*median)?, name.as_str())))
                .collect();
            peers.sort_by(|a, b| a.0.total_cmp(&b.0));
            let best = if row.more_is_better {
                peers.last()
            } else {
                peers.first()
            };
            let ours = medians.first().copied().flatten();
            let ratio = match (ours, best) {
                (Some(ours), Some((best, _))) if *best > 0.0 => format!("{:.2}", ours / best),
                _ => "-".to_owned(),
            };
            let cells: Vec<String> = medians.iter().map(|value| cell(*value)).collect();
            let sign = if row.more_is_better { '↑' } else { '↓' };
            println!(
                "| {} {sign} | {} | {ratio} | {} |",
                row.name,
                cells.join(" | "),
                best.map_or("-", |(_, name)| name)
            );
        }
        for failure in &self.failures {
            println!("\nnot measured: {failure}");
        }
    }
}

fn median(values: &[f64]) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let (low, high) = (sorted.len().checked_sub(1)? / 2, sorted.len() / 2);
    Some((sorted.get(low)? + sorted.get(high)?) / 2.0)
}

fn cell(value: Option<f64>) -> String {
    match value {
        None => "-".to_owned(),
        Some(value) if value >= 100.0 => format!("{value:.0}"),
        Some(value) if value >= 10.0 => format!("{value:.1}"),
        Some(value) => format!("{value:.2}"),
    }
}
