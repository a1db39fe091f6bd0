//! Medians, and the ratios to the best peer and to the limit.

use std::collections::BTreeSet;
use std::io;

use crate::cases::{Case, Figure, Server};

/// The name of the server that is no peer: what no server can be faster than.
const LIMIT: &str = "limit";

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

    pub fn add(&mut self, case: &Case, at: usize, figures: &[Figure]) {
        for figure in figures {
            let name = format!("{}: {}", case.name, figure.what);
            self.set(&name, at, figure.value, figure.more_is_better);
        }
    }

    /// Notes that a server does not do something.
    pub fn failed(&mut self, case: &str, server: &str, error: &io::Error) {
        self.failures.insert(format!("{server}: {case}: {error}"));
    }

    /// Prints the table: medians, and the first server's ratio to the best of its peers and to the limit.
    pub fn print(&self) {
        println!(
            "| case | {} | ratio | best peer | to limit |",
            self.servers.join(" | ")
        );
        println!("|---|{}---:|---|---:|", "---:|".repeat(self.servers.len()));
        for row in &self.rows {
            let medians: Vec<Option<f64>> = row.values.iter().map(|all| median(all)).collect();
            let mut peers: Vec<(f64, &str)> = medians
                .iter()
                .zip(&self.servers)
                .skip(1)
                .filter(|(_, name)| *name != LIMIT)
                .filter_map(|(median, name)| Some(((*median)?, name.as_str())))
                .collect();
            peers.sort_by(|a, b| a.0.total_cmp(&b.0));
            let best = if row.more_is_better {
                peers.last()
            } else {
                peers.first()
            };
            let ours = medians.first().copied().flatten();
            let limit = self.servers.iter().position(|name| name == LIMIT);
            let limit = limit.and_then(|at| medians.get(at).copied().flatten());
            let ratio = |to: Option<f64>| match (ours, to) {
                (Some(ours), Some(to)) if to > 0.0 => format!("{:.2}", ours / to),
                _ => "-".to_owned(),
            };
            let cells: Vec<String> = medians.iter().map(|value| cell(*value)).collect();
            let sign = if row.more_is_better { '↑' } else { '↓' };
            println!(
                "| {} {sign} | {} | {} | {} | {} |",
                row.name,
                cells.join(" | "),
                ratio(best.map(|(best, _)| *best)),
                best.map_or("-", |(_, name)| name),
                ratio(limit),
            );
        }
        if !self.failures.is_empty() {
            println!();
        }
        for failure in &self.failures {
            println!("- not measured: {failure}");
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
