//! Revocations in replicas, and without a council.

use crate::support::{Connection, Site, eventually, reason};
use remit_api::council::v1::access_service_client::AccessServiceClient;
use remit_api::council::v1::{CreateRevocationRequest, Revocation};
use remit_api::system::v1::GetInfoRequest;
use remit_api::system::v1::system_service_client::SystemServiceClient;
use remit_core::ActorKind;
use remit_store::testing::TestDb;
use tonic::{Code, Status};

async fn ask(connection: &Connection) -> Result<(), Status> {
    SystemServiceClient::new(connection.clone()).get_info(GetInfoRequest {}).await.map(drop)
}

async fn refused(connection: &Connection) -> (Code, String) {
    ask(connection).await.err().map_or((Code::Ok, String::new()), |status| (status.code(), reason(&status)))
}

/// What is revoked at one replica of the council is refused by all processes. When the councils are gone, they go on
/// with what they know; one that starts then lets in nobody but the suite's own services.
#[tokio::test(flavor = "multi_thread")]
async fn a_revocation_reaches_every_replica_and_outlives_the_council() {
    let Some(database) = TestDb::postgres().await.expect("the test server can be used") else {
        return eprintln!("no PostgreSQL: not tested here");
    };
    let toml = format!("[database]\nurl = \"{}\"\nconnections = 4\n", database.url());
    let processes = ["audit", "one", "two"];
    let site = Site::new(&[("audit", "audit"), ("one", "council"), ("two", "council")], &toml);
    let mut audit = site.start("audit").await;
    let mut councils = [site.start("one").await, site.start("two").await];
    let to = |process: &str, subject: &str| site.to(process, subject, ActorKind::Human, &["admin"]);
    for process in processes {
        let mallory = to(process, "mallory");
        eventually("people are let in", || async { ask(&mallory).await.is_ok() }).await;
    }
    let revocation =
        Revocation { subject: "mallory".into(), block: true, reason: "a test".into(), ..Default::default() };
    let request =
        CreateRevocationRequest { revocation_id: "m".into(), revocation: Some(revocation), ..Default::default() };
    AccessServiceClient::new(to("two", "root")).create_revocation(request).await.expect("she is blocked");
    let revoked = (Code::Unauthenticated, "TOKEN_REVOKED".to_owned());
    for process in processes {
        let mallory = to(process, "mallory");
        eventually("she is refused", || async { refused(&mallory).await == revoked }).await;
    }

    councils.iter_mut().for_each(crate::support::Process::kill);
    assert_eq!(refused(&to("audit", "mallory")).await, revoked);
    ask(&to("audit", "root")).await.expect("what is known holds");
    audit.kill();
    let _audit = site.start("audit").await;
    assert_eq!(refused(&to("audit", "root")).await, (Code::Unavailable, "ACCESS_UNKNOWN".to_owned()));
    ask(&site.service("kpi", "audit")).await.expect("the suite's own services are let in");
}
