//! Files and directories for their owner alone: keys, databases, and what lies beside them.
//!
//! Whoever reads a key can act in its name, and whoever reads a data directory has every tenant's records. So what others
//! can read is refused where it exists, and made without that where it does not, whatever the umask of the process.

use remit_core::{Error, Kind, Result};
use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Read as _, Write as _};
use std::path::{Path, PathBuf};

/// Reads a file that holds a secret.
///
/// # Errors
/// `FailedPrecondition`: `KEY_FILE_MISSING` if it cannot be read, `KEY_FILE_READABLE` if others than its owner can read
/// it, `KEY_FILE_OWNER` if it belongs to neither root nor the user of this process.
pub fn read(path: &Path) -> Result<String> {
    let failed = |error: std::io::Error| failed("read", path, error);
    let mut file = File::open(path).map_err(failed)?;
    // What was opened is what is looked at: the name may be another file's by now.
    refuse_readable(path, &file.metadata().map_err(failed)?)?;
    let mut text = String::new();
    file.read_to_string(&mut text).map_err(failed)?;
    Ok(text)
}

/// Reads a file that holds a secret, as [`read`]; makes it of what `make` gives if it is not there, and says so by `true`.
/// Of two processes that make it at once both read the one that was first.
///
/// # Errors
/// As [`read`]; `FailedPrecondition` (`KEY_FILE_FAILED`) if it cannot be made.
pub fn read_or_make(path: &Path, make: impl FnOnce() -> Result<String>) -> Result<(String, bool)> {
    if path.exists() {
        return Ok((read(path)?, false));
    }
    let made = create(path, &make()?)?;
    Ok((read(path)?, made))
}

/// Makes a file with its whole content that only its owner can read, and the directories above it where they are missing;
/// false if it is there already.
///
/// # Errors
/// `FailedPrecondition` (`KEY_FILE_FAILED`) if it cannot be made.
pub fn create(path: &Path, text: &str) -> Result<bool> {
    make_above(path)?;
    let new = beside(path);
    // Written whole under another name and then linked, so that a crash leaves no half of it.
    write(&new, text, 0o600).map_err(|error| failed("write", &new, error))?;
    let linked = fs::hard_link(&new, path);
    let _ = fs::remove_file(&new);
    match linked {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(false),
        Err(error) => Err(failed("create", path, error)),
    }
}

/// Replaces a file that only its owner can read in one step: readers see the old content or the new one.
///
/// # Errors
/// `FailedPrecondition` (`KEY_FILE_FAILED`) if it cannot be written.
pub fn replace(path: &Path, text: &str) -> Result<()> {
    exchange(path, text, 0o600)
}

/// The same of a file that everybody may read, such as a public key, whose directory is made if it is missing.
///
/// # Errors
/// `FailedPrecondition` (`KEY_FILE_FAILED`) if it cannot be written.
pub fn publish(path: &Path, text: &str) -> Result<()> {
    make_above(path)?;
    exchange(path, text, 0o644)
}

/// Makes an empty file that only its owner can read, and the directories above it where they are missing.
///
/// # Errors
/// `FailedPrecondition` (`KEY_FILE_FAILED`) if it is there already or cannot be made.
pub fn begin(path: &Path) -> Result<File> {
    make_above(path)?;
    new_file(path, 0o600).map_err(|error| failed("create", path, error))
}

/// Makes the directory, and those above it, for its owner alone, or finds that it is one.
///
/// # Errors
/// `Unavailable` (`DATA_DIR_FAILED`) if it cannot be made; `FailedPrecondition` (`DATA_DIR_READABLE`) if others than its
/// owner can read it.
pub fn directory(path: &Path) -> Result<()> {
    let failed = |error: std::io::Error| {
        let what = format!("cannot create the data directory {}: {error}", path.display());
        Error::new(Kind::Unavailable, "DATA_DIR_FAILED", what).with_source(error)
    };
    make(path).map_err(failed)?;
    check_directory(path)
}

/// What is wrong with a directory that others can read, if it is there and they can.
///
/// # Errors
/// `FailedPrecondition` (`DATA_DIR_READABLE`).
pub fn check_directory(path: &Path) -> Result<()> {
    match fs::metadata(path) {
        Ok(meta) if is_open(&meta) => Err(readable_directory(path)),
        _ => Ok(()),
    }
}

/// What is wrong with a file that holds a secret.
///
/// # Errors
/// As [`read`].
pub fn check(path: &Path) -> Result<()> {
    let failed = |error: std::io::Error| failed("read", path, error);
    let file = File::open(path).map_err(failed)?;
    refuse_readable(path, &file.metadata().map_err(failed)?)
}

/// Whether others than its owner can write a file or directory; false if it is not there, or on a file system that is
/// mounted read-only here: whatever its mode says, nobody can change it from here. Kubernetes mounts its volumes of
/// configuration and secrets like that, with directories that everybody could write.
#[cfg(unix)]
pub fn is_writable_by_others(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt as _;
    fs::metadata(path).is_ok_and(|meta| meta.permissions().mode() & 0o022 != 0) && !is_read_only(path)
}

#[cfg(unix)]
fn is_read_only(path: &Path) -> bool {
    let system = rustix::fs::statvfs(path);
    system.is_ok_and(|system| system.f_flag.contains(rustix::fs::StatVfsMountFlags::RDONLY))
}

/// Whether others than its owner can write a file or directory: not known on this system.
#[cfg(not(unix))]
pub fn is_writable_by_others(_: &Path) -> bool {
    false
}

/// Whether a file or directory belongs to somebody else than root and the user of this process, who can change it and
/// what may be done with it; false if it is not there.
pub fn is_anothers(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|meta| !is_ours(&meta))
}

/// Whether somebody else can put another file into the place of one in this directory: its owner, or whoever may write
/// it, unless it is one like `/tmp`, where everybody removes her own files only.
#[cfg(unix)]
pub fn is_exchangeable_in(directory: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt as _;
    let sticky = fs::metadata(directory).is_ok_and(|meta| meta.permissions().mode() & 0o1000 != 0);
    is_anothers(directory) || (is_writable_by_others(directory) && !sticky)
}

/// Whether somebody else can put another file into the place of one in this directory: not known on this system.
#[cfg(not(unix))]
pub fn is_exchangeable_in(_: &Path) -> bool {
    false
}

/// Makes an empty database file for its owner alone, or takes from others what they may do with the one that is there. It
/// never opens one that is there: closing it again would end the locks that this process may hold on it.
pub(crate) fn reserve(path: &Path) {
    // What cannot be made is told by SQLite, which needs it next.
    if new_file(path, 0o600).is_err() {
        tighten(path);
    }
}

/// Takes from others than its owner what they may do with a file, if there is one and they may.
#[cfg(unix)]
pub(crate) fn tighten(path: &Path) {
    use std::os::unix::fs::PermissionsExt as _;
    let Ok(meta) = fs::metadata(path) else { return };
    let mode = meta.permissions().mode();
    if mode & 0o077 != 0
        && let Err(error) = fs::set_permissions(path, fs::Permissions::from_mode(mode & 0o700))
    {
        tracing::warn!(path = %path.display(), %error, "others than its owner can read it, and that cannot be changed");
    }
}

#[cfg(not(unix))]
pub(crate) fn tighten(_: &Path) {}

fn make(directory: &Path) -> std::io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(directory)
}

fn make_above(path: &Path) -> Result<()> {
    let Some(parent) = path.parent().filter(|parent| !parent.as_os_str().is_empty()) else { return Ok(()) };
    make(parent).map_err(|error| failed("write", path, error))
}

fn exchange(path: &Path, text: &str, mode: u32) -> Result<()> {
    let new = beside(path);
    write(&new, text, mode).map_err(|error| failed("write", &new, error))?;
    fs::rename(&new, path).map_err(|error| failed("replace", path, error))
}

fn new_file(path: &Path, mode: u32) -> std::io::Result<File> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, mode);
    #[cfg(not(unix))]
    let _ = mode;
    options.open(path)
}

fn write(path: &Path, text: &str, mode: u32) -> std::io::Result<()> {
    let mut file = new_file(path, mode)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

/// A name of its own beside a file: another process may be at the same.
fn beside(path: &Path) -> PathBuf {
    static COUNT: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(0);
    let count = COUNT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    path.with_extension(format!("new-{}-{count}-{}", std::process::id(), now.as_nanos()))
}

fn failed(what: &str, path: &Path, error: std::io::Error) -> Error {
    let reason = if what == "read" { "KEY_FILE_MISSING" } else { "KEY_FILE_FAILED" };
    let message = format!("cannot {what} the key file {}: {error}", path.display());
    Error::new(Kind::FailedPrecondition, reason, message).with_source(error)
}

fn refuse_readable(path: &Path, meta: &fs::Metadata) -> Result<()> {
    if !is_ours(meta) {
        let what = format!(
            "{} belongs to another user, who can read and change it: chown it to the user of this process or to root",
            path.display()
        );
        return Err(Error::precondition("KEY_FILE_OWNER", what));
    }
    if !is_open(meta) {
        return Ok(());
    }
    let what = format!("{} can be read by others than its owner: chmod 600 it", path.display());
    Err(Error::precondition("KEY_FILE_READABLE", what))
}

fn readable_directory(path: &Path) -> Error {
    let what = format!(
        "{} can be read by others than its owner: chmod 700 it, or name a directory in it, which is then made so",
        path.display()
    );
    Error::precondition("DATA_DIR_READABLE", what)
}

/// Whether others than the owner may do anything. A file of root may be read by its group: that is how a system hands a
/// secret to one user, and the user cannot change it.
#[cfg(unix)]
fn is_open(meta: &fs::Metadata) -> bool {
    use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
    let others = if meta.is_file() && meta.uid() == 0 { 0o037 } else { 0o077 };
    meta.permissions().mode() & others != 0
}

/// Whether something is of root, who can do anything anyway, or of the user of this process.
#[cfg(unix)]
fn is_ours(meta: &fs::Metadata) -> bool {
    use std::os::unix::fs::MetadataExt as _;
    meta.uid() == 0 || meta.uid() == rustix::process::geteuid().as_raw()
}

#[cfg(not(unix))]
fn is_ours(_: &fs::Metadata) -> bool {
    true
}

#[cfg(not(unix))]
fn is_open(_: &fs::Metadata) -> bool {
    false
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    fn chmod(path: &Path, mode: u32) {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }

    #[test]
    fn a_secret_is_made_once_for_its_owner_and_refused_where_others_can_read_it() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("keys/a.key");
        assert_eq!(read(&path).unwrap_err().reason(), "KEY_FILE_MISSING");
        let make = |text: &str| read_or_make(&path, || Ok(text.to_owned())).unwrap();
        assert_eq!(make("first"), ("first".to_owned(), true));
        assert_eq!(make("second"), ("first".to_owned(), false));
        assert_eq!((mode(&path), mode(path.parent().unwrap())), (0o600, 0o700));
        assert!(!create(&path, "third").unwrap());
        replace(&path, "fourth").unwrap();
        assert_eq!((read(&path).unwrap().as_str(), mode(&path)), ("fourth", 0o600));
        assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1, "nothing else is left");
        for open in [0o604, 0o644, 0o620, 0o666] {
            chmod(&path, open);
            let error = read(&path).unwrap_err();
            assert_eq!(
                (error.reason(), check(&path).unwrap_err().reason()),
                ("KEY_FILE_READABLE", "KEY_FILE_READABLE")
            );
            assert!(error.message().ends_with("chmod 600 it"), "{error}");
            assert_eq!(is_writable_by_others(&path), open & 0o022 != 0, "{open:o}");
        }
        chmod(&path, 0o400);
        assert_eq!(read(&path).unwrap(), "fourth");
    }

    #[test]
    fn what_belongs_to_another_user_is_refused() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("a.key");
        create(&path, "secret").unwrap();
        assert!(!is_anothers(&path) && !is_exchangeable_in(home.path()) && !is_anothers(Path::new("/nowhere")));
        chmod(home.path(), 0o777);
        assert!(is_exchangeable_in(home.path()));
        chmod(home.path(), 0o1777);
        assert!(!is_exchangeable_in(home.path()), "as in /tmp");
        // Only root can give a file away.
        if std::os::unix::fs::chown(&path, Some(65_534), None).is_ok() {
            assert!(is_anothers(&path));
            assert_eq!(read(&path).unwrap_err().reason(), "KEY_FILE_OWNER");
            std::os::unix::fs::chown(home.path(), Some(65_534), None).unwrap();
            assert!(is_exchangeable_in(home.path()));
        }
    }

    #[test]
    fn a_database_file_is_its_owners_whether_it_is_new_or_not() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("a.db");
        reserve(&path);
        assert_eq!(mode(&path), 0o600);
        fs::write(&path, "content").unwrap();
        chmod(&path, 0o664);
        reserve(&path);
        assert_eq!((mode(&path), fs::read(&path).unwrap()), (0o600, b"content".to_vec()));
        reserve(&home.path().join("nowhere/a.db"));
    }

    #[test]
    fn a_directory_that_others_can_read_is_refused() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("a/b");
        check_directory(&path).unwrap();
        directory(&path).unwrap();
        assert_eq!((mode(&path), mode(path.parent().unwrap())), (0o700, 0o700));
        for open in [0o755, 0o750, 0o701] {
            chmod(&path, open);
            for error in [directory(&path).unwrap_err(), check_directory(&path).unwrap_err()] {
                assert_eq!(error.reason(), "DATA_DIR_READABLE");
                assert!(error.message().contains("chmod 700"), "{error}");
            }
        }
        chmod(&path, 0o700);
        directory(&path).unwrap();
    }
}
