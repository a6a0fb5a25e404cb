//! What the process itself uses, under the names that dashboards of Prometheus know.

use opentelemetry::KeyValue;
use opentelemetry::metrics::Meter;
use std::fs;

/// Of Linux on every machine that it runs on: ticks of CPU time a second.
const TICKS: f64 = 100.0;

/// Registers the metrics; each is read when somebody asks for metrics. Where there is no `/proc`, they are absent.
pub(super) fn observe(meter: &Meter, services: &[&'static str]) {
    let labels = [KeyValue::new("version", env!("CARGO_PKG_VERSION")), KeyValue::new("services", services.join(","))];
    meter
        .u64_observable_gauge("remit.build.info")
        .with_description("1, with the version of the program and the services of the process.")
        .with_callback(move |seen| seen.observe(1, &labels))
        .build();
    meter
        .u64_observable_gauge("process.resident_memory")
        .with_unit("By")
        .with_description("The memory that the process has in RAM.")
        .with_callback(|seen| {
            if let Some(bytes) = resident() {
                seen.observe(bytes, &[]);
            }
        })
        .build();
    meter
        .f64_observable_counter("process.cpu")
        .with_unit("s")
        .with_description("The CPU time that the process has used, of its own and of the kernel for it.")
        .with_callback(|seen| {
            if let Some(seconds) = cpu() {
                seen.observe(seconds, &[]);
            }
        })
        .build();
    meter
        .u64_observable_gauge("process.open_fds")
        .with_description("The open file descriptors.")
        .with_callback(|seen| {
            if let Some(count) = fs::read_dir("/proc/self/fd").ok().and_then(|open| u64::try_from(open.count()).ok()) {
                seen.observe(count, &[]);
            }
        })
        .build();
}

fn resident() -> Option<u64> {
    // Not `statm`, which counts pages: how large those are depends on the machine. What is named kB are 1024 bytes.
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let size = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    Some(size.strip_suffix("kB")?.trim().parse::<u64>().ok()? * 1024)
}

fn cpu() -> Option<f64> {
    let stat = fs::read_to_string("/proc/self/stat").ok()?;
    // The name of the program, in parentheses, may hold blanks. After it, user time is the 12th field, system time the 13th.
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let ticks = fields.get(11)?.parse::<f64>().ok()? + fields.get(12)?.parse::<f64>().ok()?;
    Some(ticks / TICKS)
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_process_uses_something() {
        assert!(resident().unwrap() > 1 << 20);
        assert!(cpu().is_some());
    }
}
