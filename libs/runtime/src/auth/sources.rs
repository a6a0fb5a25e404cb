//! Where key sets come from: files, directories and URLs, each bounded in size and time.

use remit_core::{Error, Kind, Result};
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::Path;
use std::time::{Duration, SystemTime};

/// The largest key set that is read, in bytes.
const MOST_BYTES: usize = 1 << 20;

/// A key set as it came, with the file or URL that it came from.
type Part = (String, Vec<u8>);

/// A file written within the last two seconds may be written again within the same time stamp.
pub(super) fn is_settled(stamp: Option<(SystemTime, u64)>) -> bool {
    stamp.is_some_and(|(modified, _)| modified.elapsed().is_ok_and(|age| age > Duration::from_secs(2)))
}

/// Whether a URL stays on this machine; one that leaves it must be `https`.
///
/// # Errors
/// `InvalidArgument` (`CONFIG_INVALID`) for any other.
pub(super) fn check_url(setting: &str, text: &str) -> Result<bool> {
    let wrong = |what: &str| Err(Error::invalid("CONFIG_INVALID", setting, what));
    let Ok(url) = reqwest::Url::parse(text) else { return wrong("must be a file or a URL") };
    if !url.username().is_empty() || url.password().is_some() {
        return wrong("must be a URL without a user and a password");
    }
    match url.scheme() {
        "http" if is_near(&url) => Ok(true),
        "https" => Ok(false),
        _ => wrong(&format!("{text} must be https, because whoever alters a key set can sign tokens")),
    }
}

/// Whether nobody can alter on the way what comes from a URL.
pub(super) fn is_safe(text: &str) -> bool {
    check_url("", text).is_ok()
}

/// Whether the host of a URL is this machine, by what it is and not by how it begins.
pub(crate) fn is_near(url: &reqwest::Url) -> bool {
    let host = url.host_str().unwrap_or_default();
    let address = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    host == "localhost" || address.is_ok_and(|address| address.is_loopback())
}

pub(super) fn unavailable(source: &str, error: impl std::error::Error + Send + Sync + 'static) -> Error {
    let what = format!("the key set {source} cannot be read: {error}");
    Error::new(Kind::Unavailable, "JWKS_UNAVAILABLE", what).with_source(error)
}

/// A key set in a file. One that is too large is as if it had no end: it is no key set.
pub(super) async fn file(path: &Path) -> std::io::Result<Part> {
    use tokio::io::AsyncReadExt as _;
    let mut text = Vec::new();
    let most = u64::try_from(MOST_BYTES).unwrap_or(u64::MAX);
    tokio::fs::File::open(path).await?.take(most).read_to_end(&mut text).await?;
    Ok((path.display().to_string(), text))
}

/// The key sets in the files `*.json` of a directory.
pub(super) async fn directory(path: &Path) -> std::io::Result<BTreeMap<String, Vec<u8>>> {
    let (mut parts, mut entries) = (BTreeMap::new(), tokio::fs::read_dir(path).await?);
    while let Some(entry) = entries.next_entry().await? {
        let path = entry.path();
        if path.extension().is_some_and(|extension| extension == "json") {
            match file(&path).await {
                // Taken away since the directory was listed.
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
                read => parts.extend([read?]),
            }
        }
    }
    Ok(parts)
}

pub(super) async fn fetch(client: &reqwest::Client, url: &str, patience: Duration) -> Result<Vec<u8>> {
    let failed = |error: reqwest::Error| unavailable(url, error.without_url());
    let mut response = client.get(url).timeout(patience).send().await.map_err(failed)?;
    if !response.status().is_success() {
        let what = format!("the key set {url} cannot be read: its server answers {}", response.status());
        return Err(Error::new(Kind::Unavailable, "JWKS_UNAVAILABLE", what));
    }
    let mut text = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(failed)? {
        text.extend_from_slice(&chunk);
        if text.len() > MOST_BYTES {
            let what = format!("the key set {url} is larger than {MOST_BYTES} bytes");
            return Err(Error::precondition("JWKS_INVALID", what));
        }
    }
    Ok(text)
}
