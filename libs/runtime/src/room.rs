//! How much room there is on a disk.

use std::io;
use std::path::Path;

/// Below so many bytes nothing large can be written, and a full disk stops every change.
pub const TOO_LITTLE: u64 = 256 << 20;

/// The bytes that are free for a directory; what is not there yet is made on the disk of what is above it.
///
/// # Errors
/// As the system says.
pub fn free(directory: &Path) -> io::Result<u64> {
    let there = directory.ancestors().find(|path| path.exists()).unwrap_or(Path::new("."));
    let there = if there.as_os_str().is_empty() { Path::new(".") } else { there };
    let disk = rustix::fs::statvfs(there)?;
    Ok(disk.f_bavail.saturating_mul(disk.f_frsize))
}
