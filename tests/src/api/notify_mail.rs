//! Notices by e-mail, through a real mail server with STARTTLS and a password: to whom, when, in which language, and how
//! they stop.

use super::cases;
use crate::support::{Caller, Connection, Mail, Suite, eventually, reason, stamp};
use remit_api::audit::v1::EraseSubjectRequest;
use remit_api::audit::v1::audit_service_client::AuditServiceClient;
use remit_api::council::v1::access_service_client::AccessServiceClient;
use remit_api::council::v1::action_item_service_client::ActionItemServiceClient;
use remit_api::council::v1::{
    ActionItem, CreateActionItemRequest, CreateRoleAssignmentRequest, DeleteRoleAssignmentRequest, RoleAssignment,
    UpdateRoleAssignmentRequest,
};
use remit_api::notify::v1::bounce_service_client::BounceServiceClient;
use remit_api::notify::v1::notice_service_client::NoticeServiceClient;
use remit_api::notify::v1::settings_service_client::SettingsServiceClient;
use remit_api::notify::v1::subscription_service_client::SubscriptionServiceClient;
use remit_api::notify::v1::*;
use remit_core::{Clock as _, SystemClock};
use remit_runtime::auth::DEVELOPMENT_ISSUER;
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

cases! {
    an_address_is_a_claim_until_its_code_is_said: UpdateNotificationSettings, ConfirmEmail;
    one_click_ends_what_may_end_and_nothing_else;
    the_settings_of_a_role_are_for_those_who_have_it;
    a_refused_address_is_broken_and_an_erased_person_has_none;
    a_digest_waits_for_its_hour_and_a_deadline_is_an_entry_of_a_calendar;
    a_subscription_goes_to_an_address;
    what_comes_back_breaks_its_address_and_nothing_else: ReportBounce;
}

const ME: &str = "notificationSettings/me";
const HOUR: Duration = Duration::from_secs(3_600);

fn client(caller: &Caller) -> SettingsServiceClient<Connection> {
    SettingsServiceClient::new(caller.to("notify"))
}

/// An address that no other tenant has.
fn address(suite: &Suite, who: &str) -> String {
    format!("{who}.{}@corp.example", suite.tenant_id())
}

fn change(settings: NotificationSettings, paths: &[&str]) -> UpdateNotificationSettingsRequest {
    let paths = paths.iter().map(|&path| path.to_owned()).collect();
    let update_mask = Some(prost_types::FieldMask { paths });
    let name = if settings.name.is_empty() { ME.to_owned() } else { settings.name.clone() };
    let notification_settings = Some(NotificationSettings { name, ..settings });
    UpdateNotificationSettingsRequest { notification_settings, update_mask, ..Default::default() }
}

async fn set(who: &Caller, settings: NotificationSettings, paths: &[&str]) -> NotificationSettings {
    client(who).update_notification_settings(change(settings, paths)).await.expect("it is set").into_inner()
}

async fn current(who: &Caller) -> NotificationSettings {
    let request = GetNotificationSettingsRequest { name: ME.to_owned() };
    client(who).get_notification_settings(request).await.expect("settings").into_inner()
}

async fn mails(suite: &Suite, to: &str, count: usize) -> Vec<Mail> {
    eventually(&format!("{count} e-mails to {to}"), || async { suite.mail().to(to).len() >= count }).await;
    suite.mail().to(to)
}

/// The code in an e-mail.
fn code(mail: &Mail) -> String {
    // Not of its headers, which have digits too.
    let text = mail.text();
    let text = text.split_once("\r\n\r\n").map_or("", |(_, body)| body);
    let digits = text.split(|c: char| !c.is_ascii_digit()).find(|run| run.len() == 8);
    digits.unwrap_or_else(|| panic!("no code: {text}")).to_owned()
}

async fn confirm(who: &Caller, code: &str) -> Result<NotificationSettings, String> {
    let request = ConfirmEmailRequest { name: ME.to_owned(), code: code.to_owned(), ..Default::default() };
    client(who).confirm_email(request).await.map(tonic::Response::into_inner).map_err(|status| reason(&status))
}

/// Somebody whose address is confirmed; the code is her first e-mail.
async fn reached(suite: &Suite, who: &Caller, name: &str) -> String {
    let address = address(suite, name);
    set(who, NotificationSettings { email: address.clone(), ..Default::default() }, &["email"]).await;
    let sent = mails(suite, &address, 1).await;
    assert!(confirm(who, &code(&sent[0])).await.expect("the code is right").email_confirmed);
    address
}

async fn item(suite: &Suite, id: &str) {
    let item = ActionItem {
        title: "Retrain".to_owned(),
        owner: "dan".to_owned(),
        due_time: Some(stamp(suite.now().await.plus(HOUR * 900))),
        ..ActionItem::default()
    };
    let request =
        CreateActionItemRequest { action_item_id: id.to_owned(), action_item: Some(item), ..Default::default() };
    let mut items = ActionItemServiceClient::new(suite.human("olga", &["operator"], &[]).to("council"));
    items.create_action_item(request).await.expect("an action item");
}

async fn inbox(who: &Caller) -> Vec<Notice> {
    let mut client = NoticeServiceClient::new(who.to("notify"));
    client.list_notices(ListNoticesRequest::default()).await.expect("an inbox").into_inner().notices
}

async fn an_address_is_a_claim_until_its_code_is_said(suite: Suite) {
    let mia = suite.human("mia", &["member"], &[]);
    let address = address(&suite, "mia");
    assert_eq!((current(&mia).await.etag.as_str(), current(&mia).await.email.as_str()), ("r0", ""));
    let wanted = NotificationSettings {
        email: address.to_uppercase(),
        language: "de".to_owned(),
        time_zone: "Europe/Berlin".to_owned(),
        ..Default::default()
    };
    let made = set(&mia, wanted, &["email", "language", "time_zone"]).await;
    assert_eq!((made.email.as_str(), made.email_confirmed, made.audience.as_str()), (&*address, false, "subject:mia"));
    let first = mails(&suite, &address, 1).await.remove(0);
    assert!(first.text().contains("Der Code, der diese Adresse bestätigt"), "{}", first.raw);
    // Until then nothing else is sent to it.
    item(&suite, "early").await;
    eventually("it is in her inbox", || async { inbox(&mia).await.len() == 1 }).await;
    let code = code(&first);
    let other = if code == "00000000" { "00000001" } else { "00000000" };
    assert_eq!(confirm(&mia, other).await, Err("CODE_WRONG".to_owned()));
    assert!(confirm(&mia, &code).await.expect("the code is right").email_confirmed);
    assert_eq!(confirm(&mia, &code).await, Err("CODE_WRONG".to_owned()), "it is good once");

    // A server that is busy is asked again, with the same letter.
    suite.mail().put_off(&address, 1);
    item(&suite, "i").await;
    eventually("it is put off", || async { suite.mail().turned_away(&address) == 1 }).await;
    eventually("it arrives", || async {
        suite.advance(Duration::from_secs(10)).await;
        suite.mail().to(&address).len() >= 2
    })
    .await;
    let mail = suite.mail().to(&address).remove(1);
    let text = mail.text();
    assert!(text.contains("actionItems/i ist zu tun.") && !text.contains("early"), "{text}");
    assert!(text.contains("Wenn nichts geschieht") && text.contains("role:member"));
    assert!(!mail.header("Message-ID").is_empty() && !mail.header("References").is_empty());
    assert!(mail.header("Subject").starts_with("actionItems/i ist zu tun"), "{}", mail.raw);
    assert!(inbox(&mia).await.iter().any(|notice| notice.text.starts_with("actionItems/i ist zu tun.")));

    // Guesses are counted, and codes too.
    for number in 0..4 {
        let email = self::address(&suite, &format!("new{number}"));
        set(&mia, NotificationSettings { email, ..Default::default() }, &["email"]).await;
    }
    let last = self::address(&suite, "new3");
    let right = self::code(&mails(&suite, &last, 1).await[0]);
    for _ in 0..5 {
        assert_eq!(confirm(&mia, "nothing").await, Err("CODE_WRONG".to_owned()));
    }
    assert_eq!(confirm(&mia, &right).await, Err("CODE_WRONG".to_owned()), "it was guessed five times");
    let more = change(NotificationSettings { email: address, ..Default::default() }, &["email"]);
    let refused = client(&mia).update_notification_settings(more).await.expect_err("five codes are enough");
    assert_eq!(reason(&refused), "CODES_EXHAUSTED");
    for entry in suite.entries("action = \"notify.settings.*\"").await {
        let event = entry.event.expect("an event");
        assert!(!event.details_json.contains("@"), "{}", event.details_json);
    }
}

/// Asks for a page without a token, and returns its status and text.
async fn page(suite: &Suite, method: &str, path: &str) -> (u16, String) {
    let host = suite.urls()["notify"].strip_prefix("http://").expect("a URL").to_owned();
    let mut stream = tokio::net::TcpStream::connect(&host).await.expect("a connection");
    let request = format!("{method} {path} HTTP/1.1\r\nhost: {host}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.expect("a request");
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.expect("an answer");
    let answer = String::from_utf8_lossy(&answer).into_owned();
    let status = answer.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status");
    (status, answer)
}

async fn one_click_ends_what_may_end_and_nothing_else(suite: Suite) {
    let mia = suite.human("mia", &["member"], &[]);
    let address = reached(&suite, &mia, "click").await;
    item(&suite, "one").await;
    let mail = mails(&suite, &address, 2).await.remove(1);
    assert_eq!(mail.header("List-Unsubscribe-Post"), "List-Unsubscribe=One-Click");
    let link = mail.header("List-Unsubscribe").replace(['<', '>'], "");
    let path = link.strip_prefix("https://remit.example").expect("the public URL").to_owned();
    // Programs that look at links change nothing.
    let (status, text) = page(&suite, "GET", &path).await;
    assert!(status == 200 && text.contains("<form method=\"post\">"), "{text}");
    assert!(current(&mia).await.rules.is_empty());
    let other = path.replace("duty=action_item_open", "duty=waiver_expired");
    for wrong in [&*other, &path[..path.len() - 1], "/notify/unsubscribe", "/notify/unsubscribe?tenant=x&settings=y"] {
        for method in ["GET", "POST"] {
            assert_eq!(page(&suite, method, wrong).await.0, 400, "{method} {wrong}");
        }
    }
    assert_eq!(page(&suite, "POST", &path).await.0, 200);
    assert_eq!(page(&suite, "POST", &path).await.0, 200, "again is the same");
    let rules = current(&mia).await.rules;
    assert!(rules.len() == 1 && rules[0].duty == "action_item_open" && rules[0].no_email, "{rules:?}");
    let ended = suite.entries("action = \"notify.settings.unsubscribe\"").await;
    assert_eq!(ended.len(), 1);
    item(&suite, "two").await;
    eventually("it is in her inbox", || async { inbox(&mia).await.len() == 2 }).await;

    let rule = |duty: &str| vec![DutyRule { duty: duty.to_owned(), no_email: true, ..DutyRule::default() }];
    let named = |name: &str| NotificationSettings { name: name.to_owned(), ..Default::default() };
    let zone = NotificationSettings { time_zone: "Mars/Olympus".to_owned(), ..Default::default() };
    let refusals = [
        (NotificationSettings { rules: rule("vote_wanted"), ..Default::default() }, "rules", "DUTY_STATUTORY"),
        (NotificationSettings { rules: rule("gardening"), ..Default::default() }, "rules", "DUTY_UNKNOWN"),
        (NotificationSettings { language: "tlh".to_owned(), ..Default::default() }, "language", "LANGUAGE_UNKNOWN"),
        (zone, "time_zone", "TIME_ZONE_UNKNOWN"),
        (NotificationSettings { email: "a\r\nb@x.example".to_owned(), ..Default::default() }, "email", "EMAIL_INVALID"),
        (NotificationSettings { email: "nobody".to_owned(), ..Default::default() }, "email", "EMAIL_INVALID"),
        (NotificationSettings { email: "mia@b.example".to_owned(), ..Default::default() }, "email", "EMAIL_INVALID"),
        (
            NotificationSettings { chat_endpoint: "https://169.254.169.254/".to_owned(), ..Default::default() },
            "chat_endpoint",
            "ENDPOINT_INVALID",
        ),
        (named("notificationSettings/role.member"), "language", "SETTINGS_SHARED"),
        (named("notificationSettings/subject.0123456789"), "language", "SETTINGS_NOT_FOUND"),
    ];
    for (wanted, path, expected) in refusals {
        let refused = client(&mia).update_notification_settings(change(wanted, &[path])).await.expect_err(expected);
        assert_eq!(reason(&refused), expected);
    }
    assert_eq!(suite.mail().to(&address).len(), 2, "nothing more was sent");
}

async fn the_settings_of_a_role_are_for_those_who_have_it(suite: Suite) {
    let name = |of: &str| format!("notificationSettings/{of}");
    let read = async |who: &Caller, of: &str| {
        let found = client(who).get_notification_settings(GetNotificationSettingsRequest { name: name(of) }).await;
        found.map(tonic::Response::into_inner).map_err(|status| reason(&status))
    };
    let speak = async |who: &Caller, of: &str| {
        let german = NotificationSettings { name: name(of), language: "de".to_owned(), ..Default::default() };
        let set = client(who).update_notification_settings(change(german, &["language"])).await;
        set.map(|set| set.into_inner().audience).map_err(|status| reason(&status))
    };
    let shared = || Err("SETTINGS_SHARED".to_owned());
    let (admin, olga) = (suite.admin(), suite.human("olga", &["operator"], &["legal"]));
    // Who may change subscriptions, and has neither the role nor the group, has nothing to say of it.
    for of in ["role.auditor", "group.sales_ops"] {
        assert_eq!(speak(&olga, of).await, shared(), "{of}");
        assert_eq!(read(&olga, of).await.map(|found| found.audience), shared(), "{of}");
        assert_eq!(speak(&admin, of).await, Ok(of.replace('.', ":")));
    }
    for of in ["role.operator", "group.legal"] {
        assert_eq!(speak(&olga, of).await, Ok(of.replace('.', ":")));
    }
    // Who has the role reads where its notices go, without what lets her write there.
    let chat_endpoint = "https://127.0.0.1/services/secret".to_owned();
    let chat = NotificationSettings { name: name("role.auditor"), chat_endpoint, ..Default::default() };
    let set = client(&admin).update_notification_settings(change(chat, &["chat_endpoint"])).await.expect("it is set");
    assert!(set.into_inner().chat_endpoint.ends_with("/secret"));
    let vera = suite.human("vera", &["auditor"], &[]);
    let found = read(&vera, "role.auditor").await.expect("hers");
    assert_eq!((found.chat_endpoint.as_str(), found.language.as_str()), ("https://127.0.0.1/…", "de"));
    assert_eq!(speak(&vera, "role.auditor").await, shared());
    assert_eq!(read(&vera, "role.member").await.map(|found| found.audience), shared());
}

async fn a_refused_address_is_broken_and_an_erased_person_has_none(suite: Suite) {
    let ben = suite.human("ben", &["member"], &[]);
    let address = reached(&suite, &ben, "ben").await;
    suite.mail().forget(&address, true);
    item(&suite, "r").await;
    eventually("it is broken", || async { current(&ben).await.email_problem.contains("550") }).await;
    assert!(!current(&ben).await.email_problem.contains(&address), "nor does the reason say the address");
    eventually("he hears of it", || async { inbox(&ben).await.iter().any(|notice| notice.duty == "delivery_stuck") })
        .await;
    let broken = suite.entries("action = \"notify.settings.break\"").await;
    let event = broken[0].event.clone().expect("an event");
    assert!(broken.len() == 1 && event.details_json.contains("550") && !event.details_json.contains('@'), "{event:?}");
    item(&suite, "s").await;
    eventually("it is in his inbox", || async { inbox(&ben).await.len() == 3 }).await;
    assert_eq!(suite.mail().turned_away(&address), 1, "nothing more is tried");

    let mut audit = AuditServiceClient::new(suite.human("pia", &["privacy"], &[]).to("audit"));
    let erase = EraseSubjectRequest { subject: "ben".to_owned(), reason: "asked".to_owned(), ..Default::default() };
    audit.erase_subject(erase).await.expect("he is erased");
    eventually("he has no address", || async {
        let now = current(&ben).await;
        now.email.is_empty() && now.etag == "r0"
    })
    .await;
}

/// The lines of the calendar in an e-mail or an answer, unfolded.
fn line(calendar: &str, name: &str) -> String {
    let text = calendar.replace("\r\n ", "");
    let found = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    found.unwrap_or_else(|| panic!("no {name}: {text}")).to_owned()
}

async fn a_digest_waits_for_its_hour_and_a_deadline_is_an_entry_of_a_calendar(suite: Suite) {
    let admin = suite.admin();
    let address = reached(&suite, &admin, "admin").await;
    let mut access = AccessServiceClient::new(admin.to("council"));
    // Roles count by the time of the machine, whatever a clock that is moved by hand shows.
    let end = SystemClock.now().plus(HOUR * 24 * 10);
    let assignment = RoleAssignment {
        subject: "gina".to_owned(),
        issuer: DEVELOPMENT_ISSUER.to_owned(),
        roles: vec!["viewer".to_owned()],
        reason: "a project".to_owned(),
        expire_time: Some(stamp(end)),
        ..RoleAssignment::default()
    };
    let request = CreateRoleAssignmentRequest {
        role_assignment_id: "gina".to_owned(),
        role_assignment: Some(assignment.clone()),
        ..Default::default()
    };
    let made = access.create_role_assignment(request).await.expect("roles").into_inner();
    let first = mails(&suite, &address, 2).await.remove(1).text();
    assert_eq!((line(&first, "METHOD"), line(&first, "SEQUENCE")), ("PUBLISH".to_owned(), "0".to_owned()));
    let later = RoleAssignment { name: made.name.clone(), expire_time: Some(stamp(end.plus(HOUR))), ..assignment };
    let mask = Some(prost_types::FieldMask { paths: vec!["expire_time".to_owned()] });
    let request = UpdateRoleAssignmentRequest { role_assignment: Some(later), update_mask: mask, ..Default::default() };
    access.update_role_assignment(request).await.expect("another time");
    let second = mails(&suite, &address, 3).await.remove(2);
    assert_eq!(line(&second.text(), "UID"), line(&first, "UID"));
    assert_eq!(line(&second.text(), "SEQUENCE"), "1");
    let request = DeleteRoleAssignmentRequest { name: made.name, ..Default::default() };
    access.delete_role_assignment(request).await.expect("they are taken back");
    let third = mails(&suite, &address, 4).await.remove(3);
    let gone = third.text();
    assert_eq!((line(&gone, "METHOD"), line(&gone, "UID")), ("CANCEL".to_owned(), line(&first, "UID")));
    assert_eq!((line(&gone, "SEQUENCE"), line(&gone, "STATUS")), ("2".to_owned(), "CANCELLED".to_owned()));
    assert_eq!(third.header("References"), second.header("References"), "one thing is one thread");
    assert_ne!(third.header("Message-ID"), second.header("Message-ID"));
    let calendar = NoticeServiceClient::new(admin.to("notify")).render_calendar(RenderCalendarRequest {}).await;
    let calendar = calendar.expect("a calendar").into_inner().calendar;
    assert_eq!((line(&calendar, "UID"), line(&calendar, "STATUS")), (line(&first, "UID"), "CANCELLED".to_owned()));

    let mia = suite.human("mia", &["member"], &[]);
    let address = reached(&suite, &mia, "digest").await;
    let hour = suite.now().await.0.div_euclid(3_600_000_000) % 24;
    let digest_hour = i32::try_from((hour + 2) % 24).expect("an hour");
    let digest = NotificationSettings { digest: true, digest_hour, ..Default::default() };
    set(&mia, digest, &["digest", "digest_hour"]).await;
    for id in ["p", "q"] {
        item(&suite, id).await;
    }
    eventually("both are in her inbox", || async { inbox(&mia).await.len() == 2 }).await;
    assert_eq!(suite.mail().to(&address).len(), 1, "only the code was sent");
    // What waits of a kind that she wants no more is not sent.
    let nils = suite.human("nils", &["member"], &[]);
    let other = reached(&suite, &nils, "other").await;
    let digest = NotificationSettings { digest: true, digest_hour, ..Default::default() };
    set(&nils, digest, &["digest", "digest_hour"]).await;
    item(&suite, "o").await;
    eventually("it is in his inbox", || async { inbox(&nils).await.len() == 3 }).await;
    let rules = vec![DutyRule { duty: "action_item_open".to_owned(), no_email: true, ..DutyRule::default() }];
    set(&nils, NotificationSettings { rules, ..Default::default() }, &["rules"]).await;
    suite.advance(HOUR * 2).await;
    let digest = mails(&suite, &address, 2).await.remove(1);
    assert_eq!(digest.header("Subject"), "Remit: 3 notices");
    assert_eq!(suite.mail().to(&other).len(), 1, "only the code was sent");
    assert!(digest.text().contains("actionItems/p is to be done") && digest.text().contains("actionItems/q"));
    assert!(digest.header("List-Unsubscribe").is_empty(), "it is of several kinds");
}

async fn a_subscription_goes_to_an_address(suite: Suite) {
    let mut client = SubscriptionServiceClient::new(suite.admin().to("notify"));
    let team = address(&suite, "team");
    let asked = |endpoint: &str| CreateSubscriptionRequest {
        subscription_id: "mail".to_owned(),
        subscription: Some(Subscription {
            endpoint: endpoint.to_owned(),
            filter: "action = \"council.actionItems.create\"".to_owned(),
            format: Format::Email.into(),
            ..Subscription::default()
        }),
        ..Default::default()
    };
    for wrong in [
        "https://a.example/",
        "mailto:a@corp.example?bcc=c@corp.example",
        "mailto:a@corp.example,c@corp.example",
        "mailto://a@corp.example",
        "mailto:a",
        // Nobody who reads there has said that she wants it.
        "mailto:a@b.example",
    ] {
        let refused = client.create_subscription(asked(wrong)).await.expect_err(wrong);
        assert_eq!(reason(&refused), "ENDPOINT_INVALID", "{wrong}");
    }
    let made = client.create_subscription(asked(&format!("mailto:{team}"))).await.expect("it is made").into_inner();
    let resume = ResumeSubscriptionRequest { name: made.name.clone(), ..Default::default() };
    client.resume_subscription(resume).await.expect("it needs no secret");
    item(&suite, "m").await;
    let mail = mails(&suite, &team, 1).await.remove(0);
    assert!(mail.header("Subject").starts_with("Remit: council.actionItems.create of actionItems/m"), "{}", mail.raw);
    suite.mail().forget(&team, true);
    item(&suite, "n").await;
    eventually("it is broken", || async {
        let request = GetSubscriptionRequest { name: made.name.clone() };
        let found = client.clone().get_subscription(request).await.expect("it is there").into_inner();
        found.state() == SubscriptionState::Broken && found.state_reason.contains("refuses the address")
    })
    .await;
}

/// A report of a mail server, come to `to`.
fn report(to: &str, action: &str, status: &str) -> ReportBounceRequest {
    let message = format!(
        "From: MAILER-DAEMON@mx.example\r\nTo: <{to}>\r\nSubject: Undelivered Mail\r\nContent-Type: multipart/report;\r\n \
         report-type=delivery-status; boundary=\"b1\"\r\n\r\n--b1\r\nContent-Type: text/plain\r\n\r\nSorry.\r\n--b1\r\n\
         Content-Type: message/delivery-status\r\n\r\nReporting-MTA: dns; mx.example\r\n\r\n\
         Final-Recipient: rfc822; somebody@elsewhere.example\r\nAction: {action}\r\nStatus: {status}\r\n\r\n--b1--\r\n"
    );
    ReportBounceRequest { message: message.into_bytes(), ..Default::default() }
}

async fn what_comes_back_breaks_its_address_and_nothing_else(suite: Suite) {
    let cora = suite.human("cora", &["member"], &[]);
    let usual = |settings| change(NotificationSettings { name: "notificationSettings/tenant".into(), ..settings }, &[]);
    let french = NotificationSettings { language: "fr".to_owned(), ..Default::default() };
    let refused = client(&cora).update_notification_settings(usual(french.clone())).await.expect_err("a member");
    assert_eq!(reason(&refused), "SETTINGS_SHARED");
    let more = NotificationSettings { digest: true, ..french.clone() };
    let refused = client(&suite.admin()).update_notification_settings(usual(more)).await.expect_err("a digest");
    assert_eq!(reason(&refused), "FIELD_INVALID");
    let set_usual = client(&suite.admin()).update_notification_settings(usual(french)).await.expect("it is set");
    assert_eq!(set_usual.into_inner().audience, "tenant");

    let address = reached(&suite, &cora, "cora").await;
    item(&suite, "b").await;
    let mail = mails(&suite, &address, 2).await.remove(1);
    // In the language of the tenant, for she has set none.
    assert!(mail.text().contains("Si rien n’est fait"), "{}", mail.text());
    assert!(inbox(&cora).await[0].text.starts_with("actionItems/b est à faire"), "{:?}", inbox(&cora).await[0]);
    let path = mail.from.clone();
    assert!(path.starts_with("bounce+") && path.len() <= 64 + "@corp.example".len(), "{path}");

    let mut postmaster = BounceServiceClient::new(suite.admin().to("notify"));
    let forged = format!("{}{}{}", &path[..20], if &path[20..21] == "0" { "1" } else { "0" }, &path[21..]);
    for (wrong, expected) in [
        (report("bounce@corp.example", "failed", "5.1.1"), "BOUNCE_UNKNOWN"),
        (report(&forged, "failed", "5.1.1"), "BOUNCE_UNKNOWN"),
        (report(&path, "failed", "soon"), "BOUNCE_INVALID"),
        (
            ReportBounceRequest { message: format!("To: {path}\r\n\r\n5.1.1").into_bytes(), ..Default::default() },
            "BOUNCE_INVALID",
        ),
    ] {
        assert_eq!(reason(&postmaster.report_bounce(wrong).await.expect_err(expected)), expected);
    }
    for (action, status) in [("delayed", "4.4.1"), ("failed", "4.2.2")] {
        let passing = postmaster.report_bounce(report(&path, action, status)).await.expect("it is read").into_inner();
        assert_eq!((passing.outcome(), passing.status.as_str()), (BounceOutcome::Passing, status));
    }
    assert_eq!(current(&cora).await.email_problem, "", "neither what is forged nor what passes breaks anything");
    // Whoever has seen one e-mail with its headers can put its address in doubt, and no more, however often.
    for _ in 0..2 {
        let doubted =
            postmaster.report_bounce(report(&path, "failed", "5.1.1")).await.expect("it is taken").into_inner();
        assert_eq!((doubted.outcome(), doubted.resource), (BounceOutcome::Doubted, current(&cora).await.name));
    }
    let told = mails(&suite, &address, 3).await.remove(2);
    assert!(told.text().contains("(5.1.1)") && current(&cora).await.email_problem.is_empty(), "{}", told.text());
    suite.advance(Duration::from_secs(2)).await;
    item(&suite, "d").await;
    let path = mails(&suite, &address, 4).await.remove(3).from;
    let broken = postmaster.report_bounce(report(&path, "failed", "5.1.1")).await.expect("it is taken").into_inner();
    assert_eq!((broken.outcome(), broken.resource), (BounceOutcome::Broken, current(&cora).await.name));
    assert_eq!(current(&cora).await.email_problem, "mail to it came back (5.1.1)");
    eventually("she hears of it", || async { inbox(&cora).await.iter().any(|notice| notice.duty == "delivery_stuck") })
        .await;
    let events = suite.entries("action = \"notify.settings.break\" OR action = \"notify.bounces.report\"").await;
    assert_eq!(events.len(), 6);
    for entry in events {
        let event = entry.event.expect("an event");
        assert!(event.details_json.contains('.') && !event.details_json.contains('@'), "{}", event.details_json);
    }
    // Given anew it is confirmed anew.
    set(&cora, NotificationSettings { email: address.clone(), ..Default::default() }, &["email"]).await;
    let again = mails(&suite, &address, 5).await.remove(4);
    assert!(confirm(&cora, &code(&again)).await.expect("the code is right").email_problem.is_empty());

    let (mut subscriptions, team) =
        (SubscriptionServiceClient::new(suite.admin().to("notify")), self::address(&suite, "list"));
    let subscription = Subscription {
        endpoint: format!("mailto:{team}"),
        filter: "action = \"council.actionItems.create\"".to_owned(),
        format: Format::Email.into(),
        ..Subscription::default()
    };
    let (subscription_id, subscription) = ("list".to_owned(), Some(subscription));
    let made = CreateSubscriptionRequest { subscription_id, subscription, ..Default::default() };
    let name = subscriptions.create_subscription(made).await.expect("it is made").into_inner().name;
    let resume = ResumeSubscriptionRequest { name: name.clone(), ..Default::default() };
    subscriptions.resume_subscription(resume).await.expect("it starts");
    item(&suite, "c").await;
    for (number, expected) in [BounceOutcome::Doubted, BounceOutcome::Broken].into_iter().enumerate() {
        let path = mails(&suite, &team, number + 1).await.remove(number).from;
        // The mail server says itself to whom it came; its headers say something else.
        let hard = ReportBounceRequest { recipient: path, ..report("postmaster@corp.example", "failed", "5.4.4") };
        let found = postmaster.report_bounce(hard).await.expect("it is taken").into_inner();
        assert_eq!((found.resource.as_str(), found.outcome()), (name.as_str(), expected));
        suite.advance(Duration::from_secs(2)).await;
        item(&suite, &format!("e{number}")).await;
    }
    let found = subscriptions.get_subscription(GetSubscriptionRequest { name }).await.expect("it is there");
    assert_eq!(found.into_inner().state(), SubscriptionState::Broken);
}
