//! Resources as records.

use crate::{SCHEMA, call, tenant};
use prost::Message;
use remit_core::{Error, Kind, Result, Timestamp};
use remit_store::filter::Field;
use remit_store::record::Key;
use remit_store::testing::each_engine;
use remit_store::{Db, Order, Page, Records, Value, counted, feed};

#[derive(Clone, PartialEq, Message)]
struct Shelf {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(int64, tag = "2")]
    created: i64,
    #[prost(string, tag = "3")]
    state: String,
    #[prost(string, tag = "4")]
    etag: String,
}

struct Shelves;

impl Records for Shelves {
    type Message = Shelf;
    const TABLE: &'static str = "shelves";
    const NOT_FOUND: &'static str = "SHELF_NOT_FOUND";
    const EXISTS: &'static str = "SHELF_EXISTS";
    const SORT: &'static [Key] = &[Key::Int("create_time")];
    const ORDER: Order = Order::Descending;
    const FIELDS: &'static [Field] = &[Field::words("state", "state", &["FULL", "EMPTY"])];
    const FEED: &'static str = "shelves";

    fn name(message: &Shelf) -> &str {
        &message.name
    }
    fn create_time(message: &Shelf) -> Timestamp {
        Timestamp(message.created)
    }
    fn columns(message: &Shelf) -> Vec<(&'static str, Value)> {
        vec![("state", (&message.state).into())]
    }
    fn set_etag(message: &mut Shelf, etag: String) {
        message.etag = etag;
    }
}

async fn insert(db: &Db, name: &str, created: i64, state: &str) -> Result<Shelf> {
    let shelf = Shelf { name: name.to_owned(), created, state: state.to_owned(), etag: String::new() };
    db.mutate(&call("", 0), async |m| {
        let mut shelf = shelf.clone();
        Shelves::insert(m, &mut shelf).await?;
        Ok(shelf)
    })
    .await
}

fn page<'a>(filter: &'a str, size: i32, token: &'a str) -> Page<'a> {
    Page { method: "suite.shelves.list", parent: "", filter, size, token, only: Vec::new() }
}

#[tokio::test]
async fn a_record_is_inserted_claimed_saved_and_deleted() -> Result<()> {
    each_engine(|database| async move {
        let db = database.open(&SCHEMA).await?;
        let shelf = insert(&db, "shelves/a", 1, "EMPTY").await?;
        assert_eq!(shelf.etag, "r1");
        let error = insert(&db, "shelves/a", 1, "EMPTY").await.unwrap_err();
        assert_eq!((error.kind(), error.reason()), (Kind::AlreadyExists, "SHELF_EXISTS"));
        let saved = db
            .mutate(&call("", 0), async |m| {
                let mut shelf = Shelves::claim(m, "shelves/a").await?;
                shelf.state = "FULL".to_owned();
                Shelves::save(m, &mut shelf).await?;
                Ok(shelf)
            })
            .await?;
        assert_eq!((saved.etag.as_str(), saved.state.as_str()), ("r2", "FULL"));
        let (found, statements) = counted(async {
            let mut tx = db.read().await?;
            Shelves::get(&mut tx, &tenant(), "shelves/a").await
        })
        .await;
        assert_eq!((found?, statements), (saved, 1));
        let items = feed::snapshot(&mut db.read().await?, &tenant(), "shelves", "", 10).await?;
        assert_eq!((items.len(), items[0].key.as_str(), items[0].revision), (1, "shelves/a", 2));
        let gone = db.mutate(&call("", 0), async |m| Shelves::delete(m, "shelves/a").await).await?;
        assert!(gone && feed::snapshot(&mut db.read().await?, &tenant(), "shelves", "", 10).await?.is_empty());
        let error = Shelves::get(&mut db.read().await?, &tenant(), "shelves/a").await.unwrap_err();
        assert_eq!((error.kind(), error.reason()), (Kind::NotFound, "SHELF_NOT_FOUND"));
        let claimed = db.mutate(&call("", 0), async |m| Shelves::claim(m, "shelves/a").await).await;
        assert_eq!(claimed.unwrap_err().reason(), "SHELF_NOT_FOUND");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn records_are_listed_in_pages_and_by_state() -> Result<()> {
    each_engine(|database| async move {
        let db = database.open(&SCHEMA).await?;
        for (name, created, state) in [("a", 1, "FULL"), ("b", 3, "EMPTY"), ("c", 2, "FULL"), ("d", 3, "FULL")] {
            insert(&db, &format!("shelves/{name}"), created, state).await?;
        }
        let names = |shelves: &[Shelf]| shelves.iter().map(|shelf| shelf.name[8..].to_owned()).collect::<String>();
        let (first, token) = Shelves::list(&db, &tenant(), page("", 3, "")).await?;
        assert_eq!(names(&first), "dbc");
        let (rest, end) = Shelves::list(&db, &tenant(), page("", 3, &token)).await?;
        assert_eq!((names(&rest).as_str(), end.as_str()), ("a", ""));
        let (full, _) = Shelves::list(&db, &tenant(), page("state = \"FULL\"", 0, "")).await?;
        assert_eq!(names(&full), "dca");
        let (full, _) = Shelves::list(&db, &tenant(), page("", 5_000, "").only("state", "FULL")).await?;
        assert_eq!(names(&full), "dca");
        for wrong in [page("state = \"BROKEN\"", 0, ""), page("state = \"FULL\"", 3, &token)] {
            assert_eq!(Shelves::list(&db, &tenant(), wrong).await.unwrap_err().kind(), Kind::InvalidArgument);
        }
        let only = page("", 3, &token).only("state", "FULL");
        let error: Error = Shelves::list(&db, &tenant(), only).await.unwrap_err();
        assert_eq!(error.reason(), "PAGE_TOKEN_INVALID", "a token of the whole list is none of a part of it");
        let mut tx = db.read().await?;
        assert_eq!(names(&Shelves::in_states(&mut tx, &tenant(), &["FULL"]).await?), "acd");
        assert_eq!(names(&Shelves::in_states(&mut tx, &tenant(), &["FULL", "EMPTY"]).await?), "acbd");
        assert_eq!(names(&Shelves::all(&mut tx, &tenant(), &[("state", "EMPTY".into())]).await?), "b");
        Ok(())
    })
    .await
}
