//! The result of a run: a table for people on stderr and one JSON line for programs on stdout.

use std::io;
use std::io::Write;
use std::time::Duration;

use anyhow::Result;
use serde_json::Value;

use crate::bench::latencies::Latencies;
use crate::bench::machine;
use crate::bench::machine::Machine;
use crate::bench::meter::Meter;
use crate::clock::wall;
use crate::utc::date_time;

/// A generator that is busy for so much of a run measures itself.
const BUSY_MAX: f64 = 0.95;

/// Rows in order; a key is the same in the table and in JSON, and says its unit.
pub(crate) struct Report {
    rows: Vec<(String, Value)>,
    notes: Vec<String>,
}

impl Report {
    /// Begins with what ran, when, and on what.
    pub(crate) fn new(mode: &str) -> Report {
        let mut report = Report { rows: Vec::new(), notes: Vec::new() };
        let machine = Machine::here();
        let seconds = wall().duration_since(std::time::UNIX_EPOCH).unwrap_or_default().as_secs();
        report.text("mode", mode);
        report.text("date", &date_time(i64::try_from(seconds).unwrap_or(0)));
        report.text("version", env!("CARGO_PKG_VERSION"));
        report.text("commit", machine::commit());
        report.text("cpu", &machine.cpu);
        report.count("cores", machine.cores);
        report.text("kernel", &machine.kernel);
        report
    }

    pub(crate) fn text(&mut self, key: &str, value: &str) {
        self.rows.push((key.to_owned(), value.into()));
    }

    /// A whole number.
    pub(crate) fn count(&mut self, key: &str, value: u64) {
        self.rows.push((key.to_owned(), value.into()));
    }

    /// A measured number, to three digits behind the point; `null` when there is none.
    pub(crate) fn number(&mut self, key: &str, value: Option<f64>) {
        let value = value.filter(|value| value.is_finite());
        let value = value.map_or(Value::Null, |value| ((value * 1000.0).round() / 1000.0).into());
        self.rows.push((key.to_owned(), value));
    }

    /// A whole number that may not be known.
    pub(crate) fn maybe(&mut self, key: &str, value: Option<u64>) {
        self.rows.push((key.to_owned(), value.map_or(Value::Null, Value::from)));
    }

    /// A sentence for people, below the table.
    pub(crate) fn note(&mut self, text: String) {
        self.notes.push(text);
    }

    /// Bytes of payload, time and CPU, with what follows from them.
    pub(crate) fn rate(&mut self, bytes: u64, took: Duration, meter: &Meter) {
        let gib = bytes as f64 / f64::from(1 << 30);
        self.count("bytes", bytes);
        self.number("seconds", Some(took.as_secs_f64()));
        self.number("MB_per_s", Some(bytes as f64 / 1e6 / took.as_secs_f64()));
        let cpu = meter.engine().map(|engine| engine.cpu.as_secs_f64());
        self.number("engine_cpu_s_per_GiB", cpu.map(|cpu| cpu / gib));
        self.number("generator_cpu_s_per_GiB", Some(meter.own_cpu().as_secs_f64() / gib));
        self.costs(took, meter);
    }

    /// What the run cost the engine (`null` when its process is not known) and the generator.
    pub(crate) fn costs(&mut self, took: Duration, meter: &Meter) {
        let engine = meter.engine();
        let (took, own) = (took.as_secs_f64(), meter.own_cpu().as_secs_f64());
        self.number("engine_cpu_s", engine.as_ref().map(|engine| engine.cpu.as_secs_f64()));
        let memory = engine.as_ref().map(|engine| engine.peak_private_bytes);
        self.maybe("engine_peak_private_bytes", memory);
        let switches = engine.as_ref().map(|engine| engine.switches);
        self.maybe("engine_voluntary_switches", switches);
        self.number("generator_cpu_s", Some(own));
        self.number("generator_busy_percent", Some(100.0 * own / took));
        if own > BUSY_MAX * took {
            self.note("the generator was busy all the time: the engine may be faster".to_owned());
        }
    }

    /// Percentiles of latencies.
    pub(crate) fn latencies(&mut self, latencies: &Latencies) {
        let shares =
            [("p50_ms", 0.5), ("p99_ms", 0.99), ("p99_9_ms", 0.999), ("latency_max_ms", 1.0)];
        for (key, share) in shares {
            self.number(key, latencies.millis_at(share));
        }
    }

    /// How many of `bytes` (one number per connection) are above zero, and their extremes.
    pub(crate) fn spread(&mut self, bytes: &[u64]) {
        self.count("connections", bytes.len() as u64);
        self.count("connections_served", bytes.iter().filter(|bytes| **bytes > 0).count() as u64);
        self.count("bytes_per_connection_min", bytes.iter().min().copied().unwrap_or(0));
        self.count("bytes_per_connection_max", bytes.iter().max().copied().unwrap_or(0));
    }

    /// Prints the table, then the JSON line.
    pub(crate) fn print(&self) -> Result<()> {
        let mut table = String::new();
        for (key, value) in &self.rows {
            let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            table.push_str(&format!("{key:28} {value:>16}\n"));
        }
        for note in &self.notes {
            table.push_str(&format!("note: {note}\n"));
        }
        // Nobody has to read the table.
        let _ = io::stderr().write_all(table.as_bytes());
        let mut out = io::stdout().lock();
        writeln!(out, "{}", self.json())?;
        Ok(out.flush()?)
    }

    /// One object in the order of the rows.
    fn json(&self) -> String {
        let field = |(key, value): &(String, Value)| format!("{}:{value}", Value::from(&**key));
        let fields: Vec<String> = self.rows.iter().map(field).collect();
        format!("{{{}}}", fields.join(","))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_is_one_json_object_with_what_was_measured_and_where() {
        let mut report = Report::new("test");
        report.number("third", Some(1.0 / 3.0));
        report.number("none", Some(f64::NAN));
        report.text("odd", "a \"quoted\"\nword");
        report.spread(&[0, 5, 7]);
        let line = report.json();
        assert_eq!(line.lines().count(), 1);
        let read: Value = serde_json::from_str(&line).unwrap();
        assert_eq!((&read["mode"], &read["third"]), (&"test".into(), &0.333.into()));
        assert!(read["none"].is_null() && read["cores"].as_u64() > Some(0));
        assert_eq!(read["odd"], "a \"quoted\"\nword");
        assert_eq!(
            (&read["connections_served"], &read["commit"]),
            (&2.into(), &machine::commit().into())
        );
    }

    #[test]
    fn without_a_process_the_engine_s_costs_are_null() {
        let mut report = Report::new("test");
        let meter = Meter::start(None, crate::clock::now()).unwrap();
        report.rate(1 << 30, Duration::from_secs(1), &meter);
        let read: Value = serde_json::from_str(&report.json()).unwrap();
        assert!(read["engine_cpu_s_per_GiB"].is_null());
        assert!(read["engine_peak_private_bytes"].is_null());
        assert_eq!(read["MB_per_s"], 1073.742);
    }
}
