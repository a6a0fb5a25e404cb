//! Step 3, its end: the council's monthly review, and what it decides.

use super::actors::{Actors, refused};
use super::models;
use remit_api::council::v1::review_service_client::ReviewServiceClient;
use remit_api::council::v1::{
    Attendance, DisposeFindingRequest, Disposition, DriftDetector, DriftResult, DriftVerdict, ExportFormat,
    ExportReviewRequest, GetReviewRequest, ListReviewsRequest, OpenReviewRequest, RecordAttendanceRequest, Review,
    ReviewState, SealReviewRequest, SignReviewRequest,
};
use remit_core::{Error, Result};
use remit_runtime::status::reason;
use std::time::Duration;

/// How often it is asked whether the evidence of a review is there.
const BETWEEN: Duration = Duration::from_millis(20);

/// The steering group: subject and role group.
const ATTENDEES: [(&str, &str); 3] = [("ada", "marketing_lead"), ("ben", "legal"), ("cleo", "data")];

/// The name of the review of the month `period`, such as `2008-05`.
pub(super) fn name_of(period: &str) -> String {
    format!("reviews/steering-group-{period}")
}

/// Returns the review of `period` if it has been sealed already, as after a run that was cut short.
///
/// # Errors
/// Whatever the service answers but that there is no such review.
pub(super) async fn sealed(actors: &Actors, period: &str) -> Result<Option<Review>> {
    let mut client = ReviewServiceClient::new(actors.to("council", "cleo")?);
    match client.get_review(GetReviewRequest { name: name_of(period) }).await {
        Ok(review) => Ok(Some(review.into_inner()).filter(|review| review.state() == ReviewState::Sealed)),
        Err(status) if status.code() == tonic::Code::NotFound => Ok(None),
        Err(status) => Err(refused(status)),
    }
}

/// The months of all reviews that are not sealed: those that the calendar opened and nobody held, as there was
/// nothing to review.
///
/// # Errors
/// Whatever the service refuses.
pub(super) async fn left_open(actors: &Actors) -> Result<Vec<String>> {
    let request = ListReviewsRequest { page_size: 1_000, ..Default::default() };
    let reviews = ReviewServiceClient::new(actors.to("council", "cleo")?).list_reviews(request).await;
    let reviews = reviews.map_err(refused)?.into_inner().reviews;
    Ok(reviews.into_iter().filter(|review| review.state() != ReviewState::Sealed).map(|review| review.period).collect())
}

/// Opens the review, and waits until the evidence of the month is collected and frozen.
///
/// # Errors
/// Whatever the service refuses.
pub(super) async fn open(actors: &Actors, period: &str) -> Result<Review> {
    let request = OpenReviewRequest {
        period: period.into(),
        body: models::STEERING_GROUP.into(),
        request_id: format!("demo-review-{period}"),
    };
    let mut client = ReviewServiceClient::new(actors.to("council", "cleo")?);
    let mut review = client.open_review(request).await.map_err(refused)?.into_inner();
    while review.state() == ReviewState::Collecting {
        tokio::time::sleep(BETWEEN).await;
        review = client.get_review(GetReviewRequest { name: review.name }).await.map_err(refused)?.into_inner();
    }
    Ok(review)
}

/// The drift of the lead scores that the review found for `model_version`.
pub(super) fn lead_score_drift<'a>(review: &'a Review, model_version: &str) -> Option<&'a DriftResult> {
    review.drift.iter().find(|result| result.detector() == DriftDetector::LeadScore && result.subject == model_version)
}

/// A verdict in the words of the table.
pub(super) fn words(verdict: DriftVerdict) -> &'static str {
    match verdict {
        DriftVerdict::Unspecified => "-",
        DriftVerdict::InsufficientData => "INSUFFICIENT_DATA",
        DriftVerdict::None => "NONE",
        DriftVerdict::Moderate => "MODERATE",
        DriftVerdict::Significant => "SIGNIFICANT",
    }
}

/// Records who is there, points the drift finding to its proposal if there is one, and has the group sign
/// and seal the pack.
///
/// # Errors
/// Whatever the service refuses.
pub(super) async fn conclude(actors: &Actors, review: &Review, period: &str, proposal: Option<&str>) -> Result<Review> {
    let mut cleo = ReviewServiceClient::new(actors.to("council", "cleo")?);
    let attendance = ATTENDEES.map(|(subject, group)| Attendance {
        subject: subject.into(),
        present: true,
        role_group: group.into(),
    });
    cleo.record_attendance(RecordAttendanceRequest {
        name: review.name.clone(),
        attendance: attendance.to_vec(),
        request_id: format!("demo-attendance-{period}"),
    })
    .await
    .map_err(refused)?;
    for finding in &review.findings {
        let drift = finding.code.contains("DRIFT") && proposal.is_some();
        let (disposition, reference, note) = match proposal {
            Some(proposal) if drift => (Disposition::Proposal, proposal, "the version is suspended by this proposal"),
            _ => (Disposition::Noted, "", "read in the meeting; no action this month"),
        };
        cleo.dispose_finding(DisposeFindingRequest {
            name: review.name.clone(),
            finding: finding.id.clone(),
            disposition: disposition.into(),
            reference: reference.into(),
            note: note.into(),
            request_id: format!("demo-finding-{period}-{}", finding.id),
        })
        .await
        .map_err(refused)?;
    }
    let current = cleo.get_review(GetReviewRequest { name: review.name.clone() }).await.map_err(refused)?.into_inner();
    for (subject, _) in ATTENDEES {
        let signed = ReviewServiceClient::new(actors.to("council", subject)?)
            .sign_review(SignReviewRequest {
                name: review.name.clone(),
                pack_digest: current.pack_digest.clone(),
                comment: "read".into(),
                request_id: format!("demo-sign-{period}-{subject}"),
            })
            .await;
        match signed {
            Ok(_) => {}
            // A run that was cut short may have sealed the pack before this signature.
            Err(status) if reason(&status) == "REVIEW_SEALED" => {}
            Err(status) => return Err(refused(status)),
        }
    }
    let sealed = cleo
        .seal_review(SealReviewRequest {
            name: review.name.clone(),
            request_id: format!("demo-seal-{period}"),
            ..Default::default()
        })
        .await;
    Ok(sealed.map_err(refused)?.into_inner())
}

/// The pack in one format: its bytes and the name that the service suggests for the file.
///
/// # Errors
/// Whatever the service refuses.
pub(super) async fn export(actors: &Actors, period: &str, format: ExportFormat) -> Result<(String, Vec<u8>)> {
    let request = ExportReviewRequest { name: name_of(period), format: format.into() };
    let answer = ReviewServiceClient::new(actors.to("council", "cleo")?).export_review(request).await;
    let answer = answer.map_err(refused)?.into_inner();
    if answer.content.is_empty() {
        return Err(Error::internal(format!("the pack of {period} is empty")));
    }
    Ok((answer.filename, answer.content))
}
