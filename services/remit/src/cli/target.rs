//! Where the bytes of an answer go: a file, or standard output.

use super::connect::unwritable;
use super::output::print_raw;
use remit_core::Result;
use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};

/// Takes pieces as they arrive.
pub(super) struct Target(Option<Partial>);

/// A file under another name until it is whole, so that a broken one is not taken for it.
struct Partial {
    path: PathBuf,
    partial: PathBuf,
    file: File,
}

impl Target {
    /// Opens a file; standard output if there is no path, or it is `-`.
    pub(super) fn open(path: Option<&Path>) -> Result<Self> {
        let Some(path) = path.filter(|path| *path != Path::new("-")) else { return Ok(Self(None)) };
        let mut partial = path.to_owned();
        // What is there and no file, such as /dev/null, is written to and not replaced.
        if path.is_file() || !path.exists() {
            partial.as_mut_os_string().push(".partial");
        }
        let file = File::create(&partial).map_err(|error| unwritable(&partial, error))?;
        Ok(Self(Some(Partial { path: path.to_owned(), partial, file })))
    }

    pub(super) fn write(&mut self, content: &[u8]) -> Result<()> {
        match &mut self.0 {
            Some(Partial { partial, file, .. }) => file.write_all(content).map_err(|error| unwritable(partial, error)),
            None => print_raw(content),
        }
    }

    /// Gives the file its name, which it returns if there is a file.
    pub(super) fn finish(self) -> Result<Option<PathBuf>> {
        let Some(Partial { path, partial, file }) = self.0 else { return Ok(None) };
        if partial != path {
            file.sync_all().map_err(|error| unwritable(&partial, error))?;
            std::fs::rename(&partial, &path).map_err(|error| unwritable(&path, error))?;
        }
        Ok(Some(path))
    }
}

/// Writes all of an answer at once.
///
/// # Errors
/// `Internal` if that fails.
pub(super) fn write(path: &Path, content: &[u8]) -> Result<()> {
    let mut target = Target::open(Some(path))?;
    target.write(content)?;
    target.finish().map(drop)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_file_has_its_name_only_when_it_is_whole() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("plan.csv");
        let mut target = Target::open(Some(&path)).unwrap();
        target.write(b"a,").unwrap();
        assert!(!path.exists());
        target.write(b"b").unwrap();
        target.finish().unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"a,b");
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
    }
}
