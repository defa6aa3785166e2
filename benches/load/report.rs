//! The result of a run: a table for people and one JSON line for programs.

use std::time::Duration;

use anyhow::Result;
use hdrhistogram::Histogram;

use crate::cpu;

/// CPU time of both sides since a moment.
pub(crate) struct Meter {
    /// The engine's processes; none when it is not known.
    engine: Vec<u32>,
    engine_before: Duration,
    /// As of the last sample.
    engine_now: Duration,
    us: u32,
    us_before: Duration,
}

impl Meter {
    /// Starts to count.
    pub(crate) fn start(pid: Option<u32>) -> Result<Self> {
        let engine = pid.map(cpu::tree).transpose()?.unwrap_or_default();
        let engine_before = cpu::used_by(&engine)?;
        let us = std::process::id();
        let us_before = cpu::used_by(&[us])?;
        Ok(Self { engine, engine_before, engine_now: engine_before, us, us_before })
    }

    /// Remembers the engine's time as it is now: an engine that ends takes the number with it.
    pub(crate) fn sample(&mut self) {
        if let Ok(now) = cpu::used_by(&self.engine) {
            self.engine_now = now;
        }
    }

    /// The engine's up to the last sample, when its process is known, and the generator's.
    fn read(&self) -> Result<(Option<Duration>, Duration)> {
        let engine = self.engine_now.saturating_sub(self.engine_before);
        let us = cpu::used_by(&[self.us])?.saturating_sub(self.us_before);
        Ok(((!self.engine.is_empty()).then_some(engine), us))
    }
}

/// Rows in order: name, value, and how the value is written in JSON.
pub(crate) struct Report {
    rows: Vec<(String, String)>,
}

impl Report {
    pub(crate) fn new(mode: &str) -> Self {
        Self { rows: vec![("mode".to_owned(), format!("{mode:?}"))] }
    }

    /// A whole number.
    pub(crate) fn count(&mut self, name: &str, value: u64) {
        self.rows.push((name.to_owned(), value.to_string()));
    }

    /// A measured number; `null` when there is none.
    pub(crate) fn number(&mut self, name: &str, value: Option<f64>) {
        let text = value.filter(|value| value.is_finite());
        self.rows.push((name.to_owned(), text.map_or("null".to_owned(), |v| format!("{v:.3}"))));
    }

    /// Bytes, time and CPU, with what follows from them.
    pub(crate) fn rate(&mut self, bytes: u64, took: Duration, meter: &Meter) -> Result<()> {
        let (engine, generator) = meter.read()?;
        let gib = bytes as f64 / f64::from(1 << 30);
        self.count("bytes", bytes);
        self.number("seconds", Some(took.as_secs_f64()));
        self.number("MB_per_s", Some(bytes as f64 / 1e6 / took.as_secs_f64()));
        self.number("engine_cpu_s", engine.map(|cpu| cpu.as_secs_f64()));
        self.number("engine_cpu_s_per_GiB", engine.map(|cpu| cpu.as_secs_f64() / gib));
        self.number("generator_cpu_s", Some(generator.as_secs_f64()));
        self.number("generator_cpu_s_per_GiB", Some(generator.as_secs_f64() / gib));
        Ok(())
    }

    /// Percentiles of latencies recorded in microseconds.
    pub(crate) fn latencies(&mut self, histogram: &Histogram<u64>) {
        for (name, quantile) in [("p50_ms", 0.5), ("p99_ms", 0.99), ("p99_9_ms", 0.999)] {
            let micros = histogram.value_at_quantile(quantile);
            let value = (!histogram.is_empty()).then_some(micros as f64 / 1000.0);
            self.number(name, value);
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
    pub(crate) fn print(&self) {
        for (name, value) in &self.rows {
            println!("{name:28} {value:>16}");
        }
        let fields: Vec<String> =
            self.rows.iter().map(|(name, value)| format!("{name:?}:{value}")).collect();
        println!("{{{}}}", fields.join(","));
    }
}
