//! What every list command has in common: which items, how many, and page after page of them.

use super::connect::{Session, refused};
use super::output::{Column, Output};
use clap::Args;
use prost::{Message, Name};
use remit_core::Result;
use serde_json::Value;
use tonic::Status;

/// The most that a server gives in one page.
const PAGE: usize = 1_000;

/// Arguments of every list command.
#[derive(Debug, Args)]
pub(crate) struct ListArgs {
    /// Which of them, in the filter language of AIP-160; all if absent.
    #[arg(long, value_name = "FILTER", default_value = "", hide_default_value = true)]
    pub(super) filter: String,
    /// How many at most.
    #[arg(long, value_name = "N", default_value_t = 100)]
    pub(super) limit: usize,
}

/// One page of a list: what a request for it holds.
pub(super) struct Page {
    pub(super) size: i32,
    pub(super) token: String,
    pub(super) filter: String,
}

impl Session {
    /// Shows what `ask` gives for page after page, up to the limit.
    ///
    /// # Errors
    /// What the server answers.
    pub(super) async fn list<M: Message + Name>(
        &self,
        list: ListArgs,
        columns: &[Column],
        ask: impl AsyncFnMut(Page) -> Result<(Vec<M>, String), Status>,
    ) -> Result<()> {
        let items = pages(self.out, list, ask).await?;
        self.out.list(&items, columns)
    }

    /// The same, to people in `words`.
    ///
    /// # Errors
    /// What the server answers.
    pub(super) async fn list_in_words<M: Message + Name>(
        &self,
        list: ListArgs,
        columns: &[Column],
        words: impl Fn(Value) -> Value,
        ask: impl AsyncFnMut(Page) -> Result<(Vec<M>, String), Status>,
    ) -> Result<()> {
        let items = pages(self.out, list, ask).await?;
        self.out.in_words(&items, columns, words)
    }
}

/// Collects the pages of a list up to its limit; says so on standard error if there are more.
async fn pages<M>(
    out: Output,
    list: ListArgs,
    mut ask: impl AsyncFnMut(Page) -> Result<(Vec<M>, String), Status>,
) -> Result<Vec<M>> {
    let (mut items, mut token) = (Vec::new(), String::new());
    loop {
        let missing = list.limit.saturating_sub(items.len()).min(PAGE);
        if missing == 0 {
            out.note(&format!("more than {}: ask for more with --limit, or narrow with --filter", list.limit));
            return Ok(items);
        }
        let size = i32::try_from(missing).unwrap_or(i32::MAX);
        let (found, next) = ask(Page { size, token, filter: list.filter.clone() }).await.map_err(refused)?;
        items.extend(found);
        if next.is_empty() {
            return Ok(items);
        }
        token = next;
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[tokio::test]
    async fn pages_stop_at_the_limit() {
        let list = ListArgs { filter: "state = \"OPEN\"".into(), limit: 5 };
        let all = pages(Output { json: true }, list, async |page: Page| {
            assert_eq!(page.filter, "state = \"OPEN\"");
            let from: i32 = if page.token.is_empty() { 0 } else { page.token.parse().unwrap() };
            let to = from + page.size.min(2);
            Ok(((from..to).collect::<Vec<i32>>(), to.to_string()))
        });
        assert_eq!(all.await.unwrap(), [0, 1, 2, 3, 4]);
    }
}
