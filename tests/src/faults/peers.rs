//! Replicas of a service that come and go, and processes that show each other certificates.

use crate::support::{Authority, Connection, Site, eventually};
use remit_api::audit::v1::audit_service_client::AuditServiceClient;
use remit_api::audit::v1::{SearchOrder, SearchRequest};
use remit_api::registry::v1::model_service_client::ModelServiceClient;
use remit_api::registry::v1::{CreateModelRequest, Model};
use remit_core::SERVICES;
use remit_store::testing::TestDb;
use tonic::transport::Endpoint;

/// Somebody who may do everything that people may do.
fn admin(site: &Site, process: &str) -> Connection {
    site.human("ada", &["admin"], process)
}

async fn model(site: &Site, id: &str) {
    let model = Model { display_name: "A model".into(), owner: "dara".into(), ..Default::default() };
    let create = CreateModelRequest { model_id: id.into(), model: Some(model), ..Default::default() };
    let create = || async { ModelServiceClient::new(admin(site, "registry")).create_model(create.clone()).await };
    eventually("a model is made", || async { create().await.is_ok() }).await;
}

/// Waits until the log of `audit` has the entry of a model, which another process wrote.
async fn recorded(site: &Site, audit: &str, id: &str) {
    eventually("it is in the log", || async {
        let search = SearchRequest {
            filter: format!("resource = \"models/{id}\""),
            order: SearchOrder::OldestFirst.into(),
            ..Default::default()
        };
        let found = AuditServiceClient::new(admin(site, audit)).search(search).await;
        found.is_ok_and(|page| !page.into_inner().entries.is_empty())
    })
    .await;
}

/// What the registry records arrives while there is one replica of the log, whichever it is.
#[tokio::test(flavor = "multi_thread")]
async fn the_second_replica_is_used_when_the_first_is_gone() {
    let Some(database) = TestDb::postgres().await.expect("the test server can be used") else {
        return eprintln!("no PostgreSQL: not tested here");
    };
    let toml = format!("[database]\nurl = \"{}\"\nconnections = 4\n", database.url());
    let processes = [("one", "audit"), ("two", "audit"), ("council", "council"), ("registry", "registry")];
    let site = Site::new(&processes, &toml);
    let (mut one, mut two) = (site.start("one").await, site.start("two").await);
    let _others = [site.start("council").await, site.start("registry").await];
    model(&site, "both").await;
    recorded(&site, "two", "both").await;
    one.kill();
    model(&site, "second").await;
    recorded(&site, "two", "second").await;
    let _one = site.start("one").await;
    two.kill();
    model(&site, "first").await;
    recorded(&site, "one", "first").await;
}

/// Every service a process of its own, by certificates of an authority of one's own, which another one follows while all of
/// them run.
#[tokio::test(flavor = "multi_thread")]
async fn processes_show_each_other_certificates_and_take_over_new_ones() {
    let (old, new, stranger) = (Authority::new("old"), Authority::new("new"), Authority::new("stranger"));
    let site = Site::secured(&SERVICES.map(|service| (service, service)), "", &old);
    let mut running = Vec::new();
    for service in SERVICES {
        running.push(site.start(service).await);
    }
    model(&site, "secured").await;
    recorded(&site, "audit", "secured").await;
    let connect = async |tls: tonic::transport::ClientTlsConfig| {
        let endpoint = Endpoint::from_shared(site.url("audit")).expect("a URL").tls_config(tls).expect("certificates");
        let channel = endpoint.connect().await?;
        let mut health = tonic_health::pb::health_client::HealthClient::new(channel);
        // With TLS 1.3 a caller learns by the first answer that her certificate is missed.
        Ok::<_, Box<dyn std::error::Error>>(health.check(tonic_health::pb::HealthCheckRequest::default()).await?)
    };
    connect(site.tls(true)).await.expect("whoever shows a certificate may connect");
    assert!(connect(site.tls(false)).await.is_err(), "and nobody else");
    let (certificate, key) = stranger.issue("localhost");
    let stranger = site.tls(false).identity(tonic::transport::Identity::from_pem(certificate, key));
    assert!(connect(stranger).await.is_err(), "nor by another authority");

    // Believe the new authority beside the old one, then show its certificates, then believe it alone.
    site.security().write(&old, &[&old, &new]);
    site.security().write(&new, &[&old, &new]);
    site.security().write(&new, &[&new]);
    eventually("the certificate is the new one's", || async { connect(site.tls(true)).await.is_ok() }).await;
    let late = site.tls(true);
    model(&site, "later").await;
    recorded(&site, "audit", "later").await;
    let (certificate, key) = old.issue("localhost");
    let old = late.identity(tonic::transport::Identity::from_pem(certificate, key));
    eventually("the old authority counts no more", || async { connect(old.clone()).await.is_err() }).await;
    assert!(running.iter_mut().all(crate::support::Process::is_running), "and nobody was restarted");
}
