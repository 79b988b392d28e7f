//! `silence ALERT SPAN`, `silence ALERT --end`.

use std::collections::BTreeSet;
use std::time::Duration;

use jiff::Timestamp;

use super::words::message;
use crate::bot::alerts::conversation::note;
use crate::bot::alerts::find::{Meant, alerts_meant};
use crate::bot::alerts::kinds::{MESSAGE, SILENCE, SILENCE_END};
use crate::bot::alerts::words;
use crate::bot::request::{Answer, Ask, Effect, request_id};
use crate::bot::{Context, Fault, Refusal};
use crate::domain::alert::{Alert, Silence};
use crate::domain::{
    Audience, Content, IncidentId, Line, Message, Outgoing, Person, Tone, counted, duration,
};
use crate::store::{StoreError, Tx};

/// Nothing is silenced for longer.
const LONGEST: Duration = Duration::from_secs(30 * 86_400);

/// A silence as it is wanted.
struct Wish {
    meant: Meant,
    fingerprints: Vec<String>,
    within: Duration,
    reason: Option<String>,
    by: Person,
    /// The id that a silence in Alertmanager gets, if there is an Alertmanager.
    id: Option<String>,
    answer: Outgoing,
}

pub(crate) async fn silence(
    context: &Context,
    ask: &Ask,
    given: &str,
    within: Duration,
    reason: Option<String>,
) -> Result<Effect, Fault> {
    if within > LONGEST || within.is_zero() {
        return Err(Refusal::new("Alerts are silenced for 1s to 30d").into());
    }
    let meant = alerts_meant(context, ask, Some(given)).await?;
    let has_alertmanager = context.catalogue().alertmanager().is_some();
    let empty = Content::Message(Message::new(Tone::Good, ""));
    let wish = Wish {
        fingerprints: meant.fingerprints(context).await?,
        meant,
        within,
        reason,
        by: ask.request.person.clone(),
        id: has_alertmanager.then(|| request_id(&ask.request.key)),
        answer: ask.outgoing(empty, Audience::Everyone),
    };
    Ok(Effect::write(move |tx| {
        Box::pin(async move { Ok(Answer::to_all(wish.record(tx).await?).into()) })
    }))
}

impl Wish {
    /// Silences the alerts here, and has it brought about in Alertmanager.
    async fn record(mut self, tx: &mut Tx) -> Result<Message, StoreError> {
        if let Some(reason) = &mut self.reason {
            // Alertmanager's own page shows it, too.
            *reason = tx.named(reason).await?;
        }
        let (now, span) = (tx.now(), duration::text(self.within));
        let until = now + self.within;
        let known = tx.alerts(&self.fingerprints).await?;
        let count = known.len();
        let alerts = known.iter().map(|(_, record)| &record.tracked.alert);
        let pieces = Silence::pieces(alerts);
        let mut conversations = BTreeSet::new();
        for (conversation, mut record) in known {
            record.tracked.silenced_until = Some(until);
            tx.alert_put(&conversation, &record).await?;
            conversations.insert(conversation);
        }
        let why = self.reason.as_ref();
        let why = why.map_or(String::new(), |why| format!(": {why}"));
        let what = words::alerts(count, "silenced", "silenced");
        let text = format!("{what} for {span}{why}");
        let incident = note_on_all(tx, &conversations, &self.by, &text, Some(until)).await?;
        let line = Line::new()
            .text(words::alerts(count, "of ", "of "))
            .code(&self.meant.name)
            .text(format!(" silenced for {span} by "))
            .person(&self.by);
        let said =
            Message::new(Tone::Good, line).text(Line::new().text("Until ").time(until).text(why));
        let Some(id) = self.id else {
            return Ok(said);
        };
        if pieces.is_empty() {
            // Alerts of others, or so many that what they share would silence too much.
            return Ok(said.text(
                "Alertmanager itself is not asked to be quiet: these alerts are not its \
                 own, or share too little",
            ));
        }
        let silence = Silence {
            id,
            by: self.by,
            reason: self.reason,
            incident,
            name: self.meant.name,
            since: now,
            until,
            conversations,
            pieces,
            answer: self.answer.with(Content::Message(said)),
            fault: None,
            attempts: 0,
            ended: None,
        };
        tx.silence_put(&silence, false).await?;
        SILENCE.set(tx, &silence.id, now).await?;
        Ok(message(&silence))
    }
}

/// `silence ALERT --end`
pub(crate) async fn unsilence(context: &Context, ask: &Ask, given: &str) -> Result<Effect, Fault> {
    let meant = alerts_meant(context, ask, Some(given)).await?;
    let fingerprints = meant.fingerprints(context).await?;
    let person = ask.request.person.clone();
    Ok(Effect::write(move |tx| {
        Box::pin(async move {
            let now = tx.now();
            let mut conversations = BTreeSet::new();
            let mut alerts = Vec::new();
            for (conversation, mut record) in tx.alerts(&fingerprints).await? {
                let until = record.tracked.silenced_until;
                if until.is_some_and(|until| until > now) {
                    record.tracked.silenced_until = Some(now);
                    tx.alert_put(&conversation, &record).await?;
                    conversations.insert(conversation);
                    alerts.push(record.tracked.alert);
                }
            }
            if alerts.is_empty() {
                let line = Line::new().text("No alert of ").code(&meant.name);
                return Err(Refusal::new(line.text(" is silenced")).into());
            }
            end_silences(tx, &conversations, &alerts, &person).await?;
            for key in conversations.iter().filter(|key| !key.is_empty()) {
                SILENCE_END.set(tx, key, now).await?;
            }
            let what = counted(alerts.len(), "alert");
            let verb = if alerts.len() == 1 { "is" } else { "are" };
            let text = format!("the silence of {what} was ended");
            note_on_all(tx, &conversations, &person, &text, None).await?;
            let line = Line::new()
                .text(format!("{what} of "))
                .code(&meant.name)
                .text(format!(" {verb} told again"));
            Ok(Answer::to_all(Message::new(Tone::Good, line)).into())
        })
    }))
}

/// Has the silences of these alerts ended in Alertmanager.
async fn end_silences(
    tx: &mut Tx,
    conversations: &BTreeSet<String>,
    alerts: &[Alert],
    by: &Person,
) -> Result<(), StoreError> {
    let now = tx.now();
    for mut silence in tx.silences_open().await? {
        if silence.conversations.is_disjoint(conversations) {
            continue;
        }
        let mut touched = false;
        for piece in silence.pieces.iter_mut().filter(|piece| !piece.ended) {
            if alerts.iter().any(|alert| Silence::covers(piece, alert)) {
                piece.end = true;
                touched = true;
            }
        }
        if touched {
            if silence.pieces.iter().all(|piece| piece.end || piece.ended) {
                silence.ended = Some(Some(by.clone()));
            }
            tx.silence_put(&silence, false).await?;
            SILENCE.set(tx, &silence.id, now).await?;
        }
    }
    Ok(())
}

/// Puts it on all timelines, and has the messages written: now, and once the silence is over. Gives
/// the first of the incidents.
async fn note_on_all(
    tx: &mut Tx,
    conversations: &BTreeSet<String>,
    by: &Person,
    text: &str,
    until: Option<Timestamp>,
) -> Result<Option<IncidentId>, StoreError> {
    let now = tx.now();
    let mut incident = None;
    for key in conversations.iter().filter(|key| !key.is_empty()) {
        MESSAGE.set(tx, key, now).await?;
        if let Some(until) = until {
            SILENCE_END.set(tx, key, until).await?;
        }
        if let Some(conversation) = tx.conversation(key).await? {
            note(tx, &conversation, by, text.to_owned()).await?;
            incident = incident.or(conversation.incident);
        }
    }
    Ok(incident)
}
