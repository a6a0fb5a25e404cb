//! The tlog-tiles read API (C2SP): checkpoint, tiles and entry bundles over plain HTTP, so that existing
//! monitors and verifiers can follow a log. The prefix of a tenant's log is `/tlog/{tenant}`; a bearer token
//! of that tenant is needed, as everywhere.

use crate::service::Service;
use crate::store::heads;
use crate::store::{entries, tiles};
use axum::Router;
use axum::extract::{Extension, Path, State};
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use flate2::Compression;
use flate2::write::GzEncoder;
use remit_core::{Error, Result};
use remit_runtime::layers::http_auth::{HttpCaller, problem};
use remit_tlog::Hash;
use remit_tlog::tile::{Tile, WIDTH};
use std::io::Write as _;

/// The routes.
pub fn router(log: Service) -> Router {
    Router::new()
        .route("/tlog/{tenant}/checkpoint", get(checkpoint))
        .route("/tlog/{tenant}/tile/{*path}", get(tile))
        .with_state(log)
}

/// A tile or bundle never changes once it is there.
const FOR_EVER: &str = "private, max-age=31536000, immutable";

fn respond(content: Result<(Vec<u8>, &'static str, &'static str)>) -> Response {
    match content {
        Ok((body, kind, cache)) => {
            let mut response = body.into_response();
            response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
            response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static(cache));
            response
        }
        Err(error) => problem(error),
    }
}

/// Another tenant's log is as absent as one that does not exist.
fn own(caller: &HttpCaller, tenant: &str, permission: &str) -> Result<()> {
    caller.require(permission)?;
    if caller.tenant.as_str() == tenant {
        Ok(())
    } else {
        Err(Error::not_found("LOG_NOT_FOUND", format!("tlog/{tenant}")))
    }
}

async fn checkpoint(
    State(log): State<Service>,
    Extension(caller): Extension<HttpCaller>,
    Path(tenant): Path<String>,
) -> Response {
    let content = async {
        own(&caller, &tenant, "audit.checkpoints.get")?;
        let checkpoint = log.checkpoint(&caller.tenant, 0).await?;
        Ok((checkpoint.note.into_bytes(), "text/plain; charset=utf-8", "no-cache"))
    };
    respond(content.await)
}

async fn tile(
    State(log): State<Service>,
    Extension(caller): Extension<HttpCaller>,
    Path((tenant, path)): Path<(String, String)>,
    headers: HeaderMap,
) -> Response {
    let packs = path.starts_with("entries/");
    let content = async {
        let path = format!("tile/{path}");
        let body = if path.starts_with("tile/entries/") {
            own(&caller, &tenant, "audit.entries.export")?;
            let bundle = bundle(&log, &caller, &path).await?;
            caller.on_record("audit.entries.export", &path).await?;
            bundle
        } else {
            own(&caller, &tenant, "audit.proofs.get")?;
            let tile = wanted(Tile::parse(&path), &log, &caller).await?;
            Hash::join(&tiles::content(&mut log.db.snapshot().await?, &caller.tenant, tile).await?)
        };
        Ok((body, "application/octet-stream", FOR_EVER))
    };
    let content = content.await;
    if !packs {
        return respond(content);
    }
    // Leaves are text and shrink to a fifth; hashes would not.
    let (content, encoding) = match content {
        Ok((body, kind, cache)) if accepts_gzip(&headers) => match gzip(&body) {
            Ok(packed) => (Ok((packed, kind, cache)), Some("gzip")),
            Err(_) => (Ok((body, kind, cache)), None),
        },
        content => (content, None),
    };
    let mut response = respond(content);
    response.headers_mut().insert(header::VARY, HeaderValue::from_static("accept-encoding"));
    if let Some(encoding) = encoding {
        response.headers_mut().insert(header::CONTENT_ENCODING, HeaderValue::from_static(encoding));
    }
    response
}

/// Whether a reader takes gzip: it says so, and does not say that it weighs nothing.
fn accepts_gzip(headers: &HeaderMap) -> bool {
    let named = headers.get_all(header::ACCEPT_ENCODING).iter().filter_map(|value| value.to_str().ok());
    let mut codings = named.flat_map(|value| value.split(','));
    codings.any(|coding| {
        let (name, weight) = coding.split_once(';').unwrap_or((coding, ""));
        let weight = weight.trim().strip_prefix("q=").and_then(|weight| weight.parse::<f32>().ok());
        name.trim().eq_ignore_ascii_case("gzip") && weight.is_none_or(|weight| weight > 0.0)
    })
}

fn gzip(body: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut packed = GzEncoder::new(Vec::new(), Compression::fast());
    packed.write_all(body)?;
    packed.finish()
}

/// A tile that the log has, full or of a width that it has reached.
async fn wanted(tile: remit_tlog::Result<Tile>, log: &Service, caller: &HttpCaller) -> Result<Tile> {
    let tile = tile.map_err(|error| Error::invalid("TILE_PATH_INVALID", "path", error.to_string()))?;
    let size = heads::size(&mut log.db.read().await?, &caller.tenant).await?;
    let there = Tile::of(tile.level, tile.index, size).is_some_and(|known| tile.width <= known.width);
    if there { Ok(tile) } else { Err(Error::not_found("TILE_NOT_FOUND", tile)) }
}

/// The leaves of a bundle, each after its length in two bytes.
async fn bundle(log: &Service, caller: &HttpCaller, path: &str) -> Result<Vec<u8>> {
    let tile = wanted(Tile::parse_bundle(path), log, caller).await?;
    let (start, width) = (tile.index * WIDTH, u64::from(tile.width));
    let found =
        entries::range(&mut log.db.read().await?, &caller.tenant, start, start + width, i64::from(tile.width)).await?;
    if found.len() as u64 != width {
        return Err(Error::not_found("BUNDLE_PRUNED", format!("{path}, of which retention has removed entries,")));
    }
    let mut body = Vec::new();
    for stored in found {
        let length =
            u16::try_from(stored.line.len()).map_err(|_| crate::store::damaged(format!("entry {}", stored.index)))?;
        body.extend_from_slice(&length.to_be_bytes());
        body.extend_from_slice(&stored.line);
    }
    Ok(body)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use flate2::read::GzDecoder;
    use std::io::Read as _;

    #[test]
    fn bundles_are_packed_for_whoever_takes_gzip() {
        let accepts = |value: &'static str| {
            accepts_gzip(&HeaderMap::from_iter([(header::ACCEPT_ENCODING, HeaderValue::from_static(value))]))
        };
        assert!(["gzip", "br, GZIP;q=0.5", "gzip ; q=1"].into_iter().all(accepts));
        assert!(!["", "br", "gzip;q=0", "x-gzip"].into_iter().any(accepts));
        assert!(!accepts_gzip(&HeaderMap::new()));
        let body = vec![7; 5_000];
        let packed = gzip(&body).unwrap();
        let mut read = Vec::new();
        GzDecoder::new(packed.as_slice()).read_to_end(&mut read).unwrap();
        assert!(packed.len() < 500 && read == body);
    }
}
