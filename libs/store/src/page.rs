//! Keyset pages: a page starts after the key of the last row of the page before, so that pages stay
//! right while rows come and go, and the hundredth costs what the first does.

use crate::db::Db;
use crate::query;
use crate::value::Value;
use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use remit_core::{Error, Result, Tenant};

/// How many items a page has if the request does not say.
pub const DEFAULT_SIZE: i64 = 50;
/// How many items a page has at most.
pub const MAX_SIZE: i64 = 1_000;

/// The size of a page: [`DEFAULT_SIZE`] for 0, at most [`MAX_SIZE`]. The rules of the contract refuse less than 0.
pub fn size(requested: i32) -> i64 {
    if requested > 0 { i64::from(requested).min(MAX_SIZE) } else { DEFAULT_SIZE }
}

/// Makes and reads the page tokens of one list: one tenant, one method, one filter, one order.
///
/// A token holds the key of the last row and an HMAC-SHA-256 over it and the list it belongs to, under
/// a key that is drawn once for each database. It is not secret; it cannot be altered, or used
/// for another list.
#[derive(Clone)]
pub struct Keyset {
    key: hmac::Key,
    context: Vec<u8>,
}

impl std::fmt::Debug for Keyset {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Keyset")
    }
}

/// The text that a list request and its answer carry. Empty: the first page, or no further page.
pub type PageToken = String;

const TAG: usize = 16;

impl Db {
    /// The page tokens of the list `method` of `tenant` under these `terms`: everything of the request
    /// that decides which rows there are and in which order, such as parent, filter and order.
    pub fn keyset(&self, tenant: &Tenant, method: &str, terms: &[&str]) -> Keyset {
        let mut context = Vec::new();
        for part in [tenant.as_str(), method].iter().chain(terms) {
            // With lengths, so that no two lists have the same context.
            context.extend_from_slice(&(part.len() as u64).to_le_bytes());
            context.extend_from_slice(part.as_bytes());
        }
        let key = self.shared.page_key.get().map_or(&[] as &[u8], Vec::as_slice);
        Keyset { key: hmac::Key::new(hmac::HMAC_SHA256, key), context }
    }
}

impl Keyset {
    /// The token for the page after the row with this key.
    pub fn token(&self, key: &[Value]) -> PageToken {
        let body = encode(key);
        let mut token = self.tag(&body).as_ref()[..TAG].to_vec();
        token.extend_from_slice(&body);
        URL_SAFE_NO_PAD.encode(token)
    }

    /// The key to go on after; `None` for an empty token, which asks for the first page.
    ///
    /// # Errors
    /// `InvalidArgument` (`PAGE_TOKEN_INVALID`), naming `page_token`, if the token was altered or belongs
    /// to another list.
    pub fn after(&self, page_token: &str) -> Result<Option<Vec<Value>>> {
        if page_token.is_empty() {
            return Ok(None);
        }
        let wrong = || {
            Error::invalid(
                "PAGE_TOKEN_INVALID",
                "page_token",
                "must be the next_page_token of the same request: same filter, order and parent",
            )
        };
        if page_token.len() > 4_096 {
            return Err(wrong());
        }
        let token = URL_SAFE_NO_PAD.decode(page_token).map_err(|_| wrong())?;
        let (tag, body) = token.split_at_checked(TAG).ok_or_else(wrong)?;
        let expected = self.tag(body);
        aws_lc_rs::constant_time::verify_slices_are_equal(tag, &expected.as_ref()[..TAG]).map_err(|_| wrong())?;
        decode(body).map(Some).ok_or_else(wrong)
    }

    /// Cuts what was fetched with `limit size + 1` down to the page, and makes the token for the next
    /// one if there is more.
    pub fn cut<T>(&self, mut rows: Vec<T>, size: i64, key: impl Fn(&T) -> Vec<Value>) -> (Vec<T>, PageToken) {
        let size = usize::try_from(size).unwrap_or(0);
        if rows.len() <= size {
            return (rows, PageToken::new());
        }
        rows.truncate(size);
        let token = rows.last().map_or_else(PageToken::new, |row| self.token(&key(row)));
        (rows, token)
    }

    fn tag(&self, body: &[u8]) -> hmac::Tag {
        let mut context = hmac::Context::with_key(&self.key);
        context.update(&(self.context.len() as u64).to_le_bytes());
        context.update(&self.context);
        context.update(body);
        context.sign()
    }
}

/// Each value as a letter for its type and presence, then 8 bytes, or a length and the content.
fn encode(values: &[Value]) -> Vec<u8> {
    let mut out = Vec::new();
    for value in values {
        match value {
            Value::Int(Some(v)) => {
                out.push(b'I');
                out.extend_from_slice(&v.to_le_bytes());
            }
            Value::Double(Some(v)) => {
                out.push(b'D');
                out.extend_from_slice(&v.to_bits().to_le_bytes());
            }
            Value::Text(Some(v)) => put(&mut out, b'T', v.as_bytes()),
            Value::Bytes(Some(v)) => put(&mut out, b'B', v),
            Value::Int(None) => out.push(b'i'),
            Value::Double(None) => out.push(b'd'),
            Value::Text(None) => out.push(b't'),
            Value::Bytes(None) => out.push(b'b'),
        }
    }
    out
}

fn put(out: &mut Vec<u8>, letter: u8, content: &[u8]) {
    out.push(letter);
    out.extend_from_slice(&(content.len() as u64).to_le_bytes());
    out.extend_from_slice(content);
}

fn decode(mut bytes: &[u8]) -> Option<Vec<Value>> {
    fn number(bytes: &mut &[u8]) -> Option<[u8; 8]> {
        let (number, rest) = bytes.split_first_chunk::<8>()?;
        *bytes = rest;
        Some(*number)
    }
    fn content<'a>(bytes: &mut &'a [u8]) -> Option<&'a [u8]> {
        let length = usize::try_from(u64::from_le_bytes(number(bytes)?)).ok()?;
        let (content, rest) = bytes.split_at_checked(length)?;
        *bytes = rest;
        Some(content)
    }
    let mut values = Vec::new();
    while let Some((letter, rest)) = bytes.split_first() {
        bytes = rest;
        values.push(match letter {
            b'I' => Value::Int(Some(i64::from_le_bytes(number(&mut bytes)?))),
            b'D' => Value::Double(Some(f64::from_bits(u64::from_le_bytes(number(&mut bytes)?)))),
            b'T' => Value::Text(Some(String::from_utf8(content(&mut bytes)?.to_vec()).ok()?)),
            b'B' => Value::Bytes(Some(content(&mut bytes)?.to_vec())),
            b'i' => Value::Int(None),
            b'd' => Value::Double(None),
            b't' => Value::Text(None),
            b'b' => Value::Bytes(None),
            _ => return None,
        });
    }
    Some(values)
}

/// Draws the key of this database's page tokens the first time, and reads it ever after, so that
/// replicas and restarts agree.
pub(crate) async fn load_key(db: &Db) -> Result<()> {
    let find = "select value from remit_settings where name = 'page_token_key'";
    let found = query(find).fetch_optional(&mut db.read().await?).await?;
    let key: Vec<u8> = match found {
        Some(row) => row.get("value")?,
        None => {
            let mut fresh = vec![0; 32];
            db.shared.ids.fill(&mut fresh);
            let mut tx = db.write().await?;
            query(
                "insert into remit_settings (name, value) values ('page_token_key', $1) on conflict (name) do nothing",
            )
            .bind(fresh)
            .execute(&mut tx)
            .await?;
            let key = query(find).fetch_one(&mut tx).await?.get("value")?;
            tx.commit().await?;
            key
        }
    };
    let _ = db.shared.page_key.set(key);
    Ok(())
}
