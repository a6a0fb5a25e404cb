//! Which runs people look at: drawn by a hash that anyone can compute again (A24).

use sha2::{Digest as _, Sha256};

/// The name of the rule below.
pub const ALGORITHM: &str = "sha256-v1";

/// A draw and what it was made from.
#[derive(Debug, Clone, PartialEq)]
pub struct Draw {
    /// `remit-sampling-v1`, tenant, task and run id, joined by line feeds.
    pub input: String,
    /// SHA-256 of the input, 64 hexadecimal digits.
    pub hash: String,
    /// Whether people look at this run.
    pub drawn: bool,
}

/// Draws a run: it is drawn if the first 8 bytes of the hash, read big-endian and divided by 2^64, are less than
/// `ratio`. For one run id the runs drawn at a lower ratio are among those drawn at a higher one.
pub fn draw(tenant: &str, task: &str, run_id: &str, ratio: f64) -> Draw {
    let input = format!("remit-sampling-v1\n{tenant}\n{task}\n{run_id}");
    let hash = Sha256::digest(input.as_bytes());
    let mut first = [0; 8];
    first.copy_from_slice(&hash[..8]);
    let drawn = ratio >= 1.0 || (u64::from_be_bytes(first) as f64) / 18_446_744_073_709_551_616.0 < ratio;
    Draw { input, hash: hex::encode(hash), drawn }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_share_of_drawn_runs_is_the_ratio_and_a_draw_can_be_repeated() {
        let drawn = (0..10_000).filter(|i| draw("acme", "tasks/t", &format!("run-{i}"), 0.05).drawn).count();
        assert!((400..600).contains(&drawn), "{drawn}");
        assert_eq!(draw("acme", "tasks/t", "run-1", 0.05), draw("acme", "tasks/t", "run-1", 0.05));
        assert!((0..100).all(|i| draw("acme", "t", &i.to_string(), 1.0).drawn));
        assert!(!(0..100).any(|i| draw("acme", "t", &i.to_string(), 0.0).drawn));
    }

    /// The example of the contract, byte for byte: whoever makes the draw again relies on it.
    #[test]
    fn the_example_of_the_contract_comes_out() {
        let draw = |ratio| draw("acme", "tasks/t", "run-1", ratio);
        assert_eq!(draw(0.5).input, "remit-sampling-v1\nacme\ntasks/t\nrun-1");
        assert_eq!(draw(0.5).hash, "ee93c3b62c7df20e5b505cd90a1b04017e2ec7697fc08bc7f4bbc6205586fcde");
        assert_eq!([0.05, 0.9, 0.95, 1.0].map(|ratio| draw(ratio).drawn), [false, false, true, true]);
    }
}
