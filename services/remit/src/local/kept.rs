//! What `remit doctor` finds in what a machine keeps: room on the disk, certificates, the keys of the log, waiting events.

use remit_core::{Error, Ids, Kind, Result, Timestamp};
use remit_runtime::Config;
use remit_runtime::certificates::first_to_end;
use remit_runtime::room as disk;
use remit_store::{Db, outbox};
use std::path::Path;
use std::sync::Arc;

/// Below this a database may not get through the day.
const LITTLE_ROOM: u64 = 2 << 30;
const DAY: i64 = 86_400;
/// How long before its end a certificate is spoken of.
const SOON: i64 = 30 * DAY;
/// How long an event may wait for the audit log before something is wrong.
pub(super) const WAIT: i64 = 60;

/// A finding: all is well, or needs a look, or is wrong.
#[derive(Debug)]
pub(super) enum Finding {
    Good(String),
    Warn(String),
    Bad(Error),
}

/// How much room there is where the process writes.
pub(super) fn room(directory: &Path) -> Finding {
    match disk::free(directory) {
        Ok(free) => judge_room(directory, free),
        Err(error) => {
            let what = format!("cannot see how much room {} has", directory.display());
            Finding::Bad(Error::new(Kind::Unavailable, "DATA_DIR_FAILED", what).with_source(error))
        }
    }
}

fn judge_room(directory: &Path, free: u64) -> Finding {
    let text = format!("{} MiB are free for {}", free >> 20, directory.display());
    let remedy = "make room, or move data.dir to a larger disk while nothing runs";
    match free {
        _ if free < disk::TOO_LITTLE => Finding::Bad(Error::precondition("DISK_FULL", format!("{text}: {remedy}"))),
        _ if free < LITTLE_ROOM => Finding::Warn(format!("disk: {text}: {remedy}")),
        _ => Finding::Good(format!("disk: {text}")),
    }
}

/// When the certificates end that the process shows, and those that it believes.
pub(super) fn certificates(config: &Config, now: Timestamp) -> Vec<Finding> {
    config.certificates().map(|(setting, path)| judge_certificates(setting, path, now)).collect()
}

fn judge_certificates(setting: &str, path: &Path, now: Timestamp) -> Finding {
    let invalid = |why: &str| {
        let what = format!("{setting}: {}: {why}; name a PEM file of certificates", path.display());
        Finding::Bad(Error::precondition("CERTIFICATE_INVALID", what))
    };
    let end = match first_to_end(path) {
        Ok(ending) => ending.end,
        Err(why) => return invalid(why),
    };
    let left = (end.0 - now.0).div_euclid(1_000_000);
    let remedy = if setting.starts_with("notify.") || setting.starts_with("audit.") {
        "replace the file, and restart the process: it is read when the service starts"
    } else {
        "replace the file: it is read again within 3 s, without a restart"
    };
    match left {
        i64::MIN..0 => {
            let what = format!("{setting}: {} has ended: {remedy}", path.display());
            Finding::Bad(Error::precondition("CERTIFICATE_ENDED", what))
        }
        0..SOON => Finding::Warn(format!("{setting}: {} ends in {} days: {remedy}", path.display(), left / DAY)),
        _ => Finding::Good(format!("{setting}: {} holds for {} days", path.display(), left / DAY)),
    }
}

/// Whether the keys of the configuration are those of the logs in the audit service's database.
pub(super) async fn log_keys(config: &Config, db: &Db) -> Finding {
    let ids = Arc::new(Ids::new(Box::new(|bytes: &mut [u8]| rand::fill(bytes))));
    match remit_audit::look_at_keys(config, &ids, db).await {
        Ok(0) => Finding::Good("keys: there is no log yet, so any keys will do".to_owned()),
        Ok(logs) => Finding::Good(format!(
            "keys: those of the log of each tenant ({logs}), and nothing is sealed under another"
        )),
        Err(error) => Finding::Bad(error),
    }
}

/// What waits for the audit log in the database of a service.
///
/// # Errors
/// As the database says.
pub(super) async fn waiting(service: &str, db: &Db, now: Timestamp) -> Result<Finding> {
    let parked = outbox::with_parked(db).await?.len();
    if parked > 0 {
        let what = format!(
            "the audit log refuses events of {service} in {parked} tenants; search it for the action relay.events.park"
        );
        return Ok(Finding::Bad(Error::precondition("EVENTS_PARKED", what)));
    }
    let (mut events, mut oldest) = (0, now);
    for tenant in outbox::waiting(db).await? {
        let depth = outbox::depth(&mut db.read().await?, &tenant).await?;
        events += depth.events;
        oldest = depth.oldest.map_or(oldest, |time| time.min(oldest));
    }
    let waits = (now.0 - oldest.0) / 1_000_000;
    Ok(if events > 0 && waits > WAIT {
        Finding::Warn(format!(
            "outbox of {service}: {events} events wait for the audit log, the oldest for {waits} s; they are delivered \
             when {service} and audit run and reach each other"
        ))
    } else {
        Finding::Good(format!("outbox of {service}: {events} events wait"))
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use rcgen::{CertificateParams, KeyPair, date_time_ymd};

    #[test]
    fn room_is_judged_by_what_is_left() {
        let here = Path::new("data");
        assert!(matches!(judge_room(here, 1 << 20), Finding::Bad(error) if error.reason() == "DISK_FULL"));
        assert!(matches!(judge_room(here, 1 << 30), Finding::Warn(_)));
        assert!(matches!(judge_room(here, 1 << 40), Finding::Good(_)));
        assert!(
            !matches!(room(Path::new("not-there/yet")), Finding::Bad(error) if error.reason() == "DATA_DIR_FAILED")
        );
    }

    #[test]
    fn a_certificate_is_spoken_of_before_it_ends() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("leaf.pem");
        let mut params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        params.not_before = date_time_ymd(2026, 1, 1);
        params.not_after = date_time_ymd(2026, 12, 31);
        let pem = params.self_signed(&KeyPair::generate().unwrap()).unwrap().pem();
        std::fs::write(&path, &pem).unwrap();
        let at = |time: &str| Timestamp::from(time.parse::<jiff::Timestamp>().unwrap());
        let judge = |time: &str| judge_certificates("server.tls_certificate", &path, at(time));
        assert!(matches!(judge("2026-06-01T00:00:00Z"), Finding::Good(_)));
        assert!(matches!(judge("2026-12-20T00:00:00Z"), Finding::Warn(text) if text.contains("11 days")));
        assert!(
            matches!(judge("2027-01-01T00:00:00Z"), Finding::Bad(error) if error.message().contains("replace the file"))
        );
        // A chain ends with whichever of it ends first.
        params.not_after = date_time_ymd(2026, 6, 15);
        let other = params.self_signed(&KeyPair::generate().unwrap()).unwrap().pem();
        std::fs::write(&path, pem + &other).unwrap();
        assert!(matches!(judge("2026-06-01T00:00:00Z"), Finding::Warn(text) if text.contains("14 days")));
        std::fs::write(&path, "nothing").unwrap();
        assert!(matches!(judge("2026-06-01T00:00:00Z"), Finding::Bad(_)));
        assert!(matches!(
            judge_certificates("peer_tls.ca", Path::new("none.pem"), at("2026-06-01T00:00:00Z")),
            Finding::Bad(_)
        ));
    }
}
