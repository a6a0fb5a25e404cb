//! From a notice to the people it is addressed to: what is sent to whom, where and when.

pub(crate) mod bounces;
pub(crate) mod calendar;
pub(crate) mod courier;
pub(crate) mod guests;
pub(crate) mod letter;
pub(crate) mod pace;
pub(crate) mod smtp;
pub(crate) mod unsubscribe;

use crate::duties;
use crate::people::pace::When;
use crate::service::name_of;
use crate::store::messages::{self, CANCEL, CHAT, EMAIL, Message, NOTICE};
use crate::store::{deadlines, notices, settings};
use remit_api::notify::v1::{DutyRule, Notice, NotificationSettings};
use remit_api::wire::time;
use remit_core::{Result, name};
use remit_store::{Mutation, Records as _};

/// The rule of the settings for a kind of duty, if they have one.
pub(crate) fn rule<'a>(settings: &'a NotificationSettings, duty: &str) -> Option<&'a DutyRule> {
    settings.rules.iter().find(|rule| rule.duty == duty)
}

/// Whether e-mail of a notice goes to the address of the settings. What a clock is put on does, whatever a rule says.
fn by_email(settings: &NotificationSettings, notice: &Notice) -> bool {
    let off = rule(settings, &notice.duty).is_some_and(|rule| rule.no_email) && !notice.statutory;
    reads_email(settings) && !off
}

/// Whether there is an address that e-mail may go to.
pub(crate) fn reads_email(settings: &NotificationSettings) -> bool {
    !settings.email.is_empty() && settings.email_confirmed && settings.email_problem.is_empty()
}

fn by_chat(settings: &NotificationSettings, notice: &Notice) -> bool {
    let off = rule(settings, &notice.duty).is_some_and(|rule| rule.no_chat) && !notice.statutory;
    reads_chat(settings) && !off
}

/// Whether there is a chat that messages may go to.
pub(crate) fn reads_chat(settings: &NotificationSettings) -> bool {
    !settings.chat_endpoint.is_empty() && settings.chat_problem.is_empty()
}

/// Writes a notice, unless it is there, and what is sent of it to those who are addressed. It is in their inboxes in any
/// case.
pub(crate) async fn tell(m: &mut Mutation, notice: &mut Notice) -> Result<()> {
    if !notices::write(m, notice).await? {
        return Ok(());
    }
    let now = m.now();
    if let Some(due) = notice.due_time.as_ref().map(time::of) {
        deadlines::set(m, notice, due).await?;
    }
    let done = if duties::is_of_each(&notice.duty) { notices::done_before(m, notice).await? } else { Vec::new() };
    let done: Vec<_> = done.iter().map(|subject| name_of(subject)).collect();
    let addressed = settings::addressed(m, &notice.audiences, now).await?;
    for to in addressed.into_iter().filter(|to| !done.contains(&to.name)) {
        let When { at, slot } = pace::when(&to, notice, now);
        for channel in [(EMAIL, by_email(&to, notice)), (CHAT, by_chat(&to, notice))] {
            if channel.1 {
                let message = Message {
                    settings: to.name.clone(),
                    name: format!("{}.{}", name::last(&notice.name), channel.0),
                    channel: channel.0.to_owned(),
                    kind: NOTICE.to_owned(),
                    notice: notice.name.clone(),
                    slot,
                    next_at: at,
                    start: at,
                    attempts: 0,
                    text: String::new(),
                };
                messages::keep(m, &message).await?;
            }
        }
    }
    Ok(())
}

/// Somebody has done what a kind of duty asked of her about something: the notices leave her inbox, and what was to be sent
/// to her of them is not.
pub(crate) async fn done(m: &mut Mutation, duty: &str, resource: &str, subject: &str) -> Result<()> {
    notices::done(m, duty, resource, subject).await?;
    let own = name_of(subject);
    if settings::Settings::try_claim(m, &own).await?.is_some() {
        messages::forget_done(m, &own, duty, resource).await?;
    }
    Ok(())
}

/// Ends the deadline of a kind of duty about something, and has it taken out of calendars by an e-mail.
pub(crate) async fn end(m: &mut Mutation, duty: &str, resource: &str) -> Result<()> {
    let now = m.now();
    let Some(notice) = deadlines::cancel(m, duty, resource, now).await? else { return Ok(()) };
    for to in settings::addressed(m, &notice.audiences, now).await? {
        if by_email(&to, &notice) {
            let message = Message {
                settings: to.name.clone(),
                name: format!("{}.{CANCEL}", name::last(&notice.name)),
                channel: EMAIL.to_owned(),
                kind: CANCEL.to_owned(),
                notice: notice.name.clone(),
                slot: 0,
                next_at: now,
                start: now,
                attempts: 0,
                text: String::new(),
            };
            messages::keep(m, &message).await?;
        }
    }
    Ok(())
}
