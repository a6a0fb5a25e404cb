//! How much memory and processor time this process takes.

/// Forgets the greatest resident size so far; false where the kernel does not offer that.
pub fn reset_peak() -> bool {
    std::fs::write("/proc/self/clear_refs", "5").is_ok()
}

fn field(name: &str) -> Option<f64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with(name))?;
    Some(line.split_whitespace().nth(1)?.parse::<f64>().ok()? / 1_024.0)
}

/// The resident size now, in MiB.
pub fn resident() -> f64 {
    field("VmRSS:").unwrap_or(f64::NAN)
}

/// The greatest resident size since [`reset_peak`], in MiB.
pub fn peak() -> f64 {
    field("VmHWM:").unwrap_or(f64::NAN)
}

/// The processor time that this process has used, in seconds; to a hundredth.
pub fn cpu() -> f64 {
    let Ok(stat) = std::fs::read_to_string("/proc/self/stat") else { return f64::NAN };
    // The name of the program may hold spaces: what follows its closing bracket counts from the third field.
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let ticks = |at: usize| fields.get(at).and_then(|field| field.parse::<f64>().ok()).unwrap_or(f64::NAN);
    (ticks(11) + ticks(12)) / 100.0
}
