//! `oncall show|set|override|clear`.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde_json::json;

use super::handover::{lock, note, schedule};
use super::people::served;
use super::words::{self, View};
use crate::bot::request::{Answer, Ask, Done, Effect};
use crate::bot::{Context, Fault, Refusal, incidents};
use crate::command::words::quote;
use crate::domain::oncall::{Length, Moment, Override, Rotation};
use crate::domain::timeline::{Draft, cut};
use crate::domain::{
    Destination, EntryKind, Incident, Line, Message, Outgoing, Person, Role, Stream, Tone, duration,
};
use crate::store::{StoreError, Tx};

/// No override is longer, and none begins later.
const LONGEST: Duration = Duration::from_secs(90 * 86_400);
/// What a change of the clocks may add to it.
const HOUR: Duration = Duration::from_secs(3_600);
/// Shifts that are listed for one rotation.
const LISTED: usize = 6;

/// How long somebody is put on call.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Span {
    UntilHandover,
    For(Length, Option<Moment>),
}

impl Span {
    /// What puts somebody on call for so long.
    fn sentence(self, who: &str) -> String {
        let who = quote(who);
        match self {
            Self::UntilHandover => format!("oncall set {who}"),
            Self::For(length, None) => format!("oncall override {who} {length}"),
            Self::For(length, Some(from)) => {
                format!("oncall override {who} {length} --from {from}")
            }
        }
    }
}

pub(crate) async fn oncall_show(context: &Context, given: Option<&str>) -> Result<Effect, Fault> {
    let on_call = context.on_call();
    let wanted: Vec<&Rotation> = match given {
        Some(name) => vec![rotation_named(context, name, "oncall show")?],
        None => on_call.rotations().iter().collect(),
    };
    let overrides = context.store().overrides().await?;
    let now = context.now();
    let listed = if wanted.len() == 1 { LISTED } else { 0 };
    let mut views = Vec::new();
    for rotation in wanted {
        let mut view = View {
            rotation,
            duty: rotation.duty(&overrides, now),
            escalation_order: on_call.escalation_order(rotation, &overrides, now),
            shifts: rotation.shifts(&overrides, now, listed + 1),
            overrides: overrides
                .iter()
                .filter(|one| one.rotation == rotation.name)
                .cloned()
                .collect(),
        };
        name_all(context, &mut view).await?;
        views.push(view);
    }
    let message = words::show(context, &views, now);
    Ok(Effect::Say(Answer::to_all(message)))
}

/// Puts the names that people know in place of ids.
async fn name_all(context: &Context, view: &mut View<'_>) -> Result<(), StoreError> {
    let mut known: BTreeMap<String, Person> = BTreeMap::new();
    let mut all: Vec<&mut Person> = vec![&mut view.duty.person];
    all.extend(view.duty.next.as_mut());
    all.extend(&mut view.escalation_order);
    all.extend(view.shifts.iter_mut().map(|shift| &mut shift.person));
    all.extend(view.overrides.iter_mut().map(|one| &mut one.person));
    for person in all {
        if let Some(found) = known.get(&person.id) {
            *person = found.clone();
            continue;
        }
        if let Some(found) = context.store().person(&person.id).await? {
            *person = found;
        }
        known.insert(person.id.clone(), person.clone());
    }
    Ok(())
}

fn rotation_named<'a>(
    context: &'a Context,
    name: &str,
    sentence: &str,
) -> Result<&'a Rotation, Refusal> {
    context.on_call().rotation(name).ok_or_else(|| {
        let line = Line::new().text("There is no rotation ");
        let line = line.code(cut(name, 60)).text(". Nothing was changed");
        let names = context.on_call().rotations().iter();
        let names = names.map(|one| one.name.as_str());
        Refusal::new(line)
            .suggest_nearest(name, names, |near| {
                format!("{sentence} --rotation {}", quote(near))
            })
            .suggest("Who is on call?", "oncall")
    })
}

/// The rotation that is meant: the one named, the only one, or that of this place's incident.
fn rotation_meant<'a>(
    context: &'a Context,
    ask: &Ask,
    given: Option<&str>,
    sentence: &str,
) -> Result<&'a Rotation, Refusal> {
    if let Some(name) = given {
        return rotation_named(context, name, sentence);
    }
    let all = context.on_call().rotations();
    if let [only] = all {
        return Ok(only);
    }
    let mut here: Vec<&Rotation> = Vec::new();
    for service in ask.here.iter().flat_map(|incident| &incident.services) {
        here.extend(context.on_call().rotation_for(Some(service), None));
    }
    here.dedup_by_key(|one| &one.name);
    if let [only] = here.as_slice() {
        return Ok(only);
    }
    if all.is_empty() {
        return Err(
            Refusal::new("Nobody is on call here: there are no rotations").detail(
                "Fix: add [[rotation]] to the configuration, or a list `on_call` under [alerts]",
            ),
        );
    }
    let refusal = Refusal::new("For which rotation? Nothing was changed").detail(format!(
        "Name one: {sentence} --rotation {}",
        quote(&all[0].name)
    ));
    Err(all.iter().take(5).fold(refusal, |refusal, one| {
        let says = format!("{sentence} --rotation {}", quote(&one.name));
        refusal.suggest(&one.name, says)
    }))
}

pub(crate) async fn put_on_call(
    context: &Context,
    ask: &Ask,
    who: &str,
    span: Span,
    given: Option<&str>,
) -> Result<Effect, Fault> {
    let sentence = span.sentence(who);
    let rotation = rotation_meant(context, ask, given, &sentence)?.clone();
    let person = match who {
        "me" | "@me" => ask.request.person.clone(),
        _ => incidents::person(context, who).await?,
    };
    may_be_on_call(context, &person).await?;
    let zone = zone(&rotation);
    let now = context.now();
    let too_long = |until: Timestamp| duration::between(now, until) > LONGEST + HOUR;
    let from = match span {
        Span::For(length, _) if length.after(now, &zone).is_none_or(too_long) => {
            return Err(Refusal::new("An override lasts from 1s to 90d").into());
        }
        Span::For(_, Some(when)) => {
            let from = when.resolve(now, &zone);
            let good = |from: &Timestamp| *from > now && duration::between(now, *from) <= LONGEST;
            Some(from.filter(good).ok_or_else(|| {
                Refusal::new("An override begins within the next 90 days. Nothing was changed")
            })?)
        }
        _ => None,
    };
    let open = served(context, &rotation).await?;
    let new = New {
        rotation,
        person,
        span,
        from,
        by: ask.request.person.clone(),
        commands: ask.role >= Role::Commander,
    };
    let bot = context.clone();
    Ok(Effect::write(move |tx| {
        Box::pin(async move { new.write(tx, &bot, &open).await })
    }))
}

/// The place whose clocks count for a rotation.
fn zone(rotation: &Rotation) -> TimeZone {
    let handover = rotation.handover.as_ref();
    handover.map_or(TimeZone::UTC, |handover| handover.zone().clone())
}

/// Whoever is on call has to be able to be mentioned, and to act.
async fn may_be_on_call(context: &Context, person: &Person) -> Result<(), Fault> {
    let nobody = |why: &str, hint: &str| {
        let line = Line::new()
            .bold(&person.name)
            .text(format!(" can't be on call: {why}. Nothing was changed"));
        Fault::from(Refusal::new(line).detail(hint))
    };
    if !person.is_on_slack() {
        return Err(nobody(
            "they can't be mentioned",
            "Name somebody by a mention, `@ana`, or by their user id",
        ));
    }
    let groups = context.store().groups_of(&person.id).await?;
    if context.settings().access.role(person, &groups) < Role::Responder {
        return Err(nobody(
            "they may not act",
            "Fix: have them added to `responders` under [access]",
        ));
    }
    Ok(())
}

pub(crate) async fn oncall_clear(
    context: &Context,
    ask: &Ask,
    number: Option<i64>,
    given: Option<&str>,
) -> Result<Effect, Fault> {
    if let Some(name) = given {
        rotation_named(context, name, "oncall clear")?;
    }
    let mut found = context.store().overrides().await?;
    found.retain(|one| {
        number.is_none_or(|number| number == one.id)
            && given.is_none_or(|name| name == one.rotation)
    });
    let one = match (found.pop(), found.is_empty()) {
        (Some(only), true) => only,
        (Some(last), false) => {
            found.push(last);
            let refusal = Refusal::new("Which override? Nothing was changed");
            let refusal = found.iter().rev().take(5).fold(refusal, |refusal, one| {
                let label = format!("{}: {} ({})", one.id, one.person, one.rotation);
                refusal.suggest(cut(&label, 70), format!("oncall clear {}", one.id))
            });
            return Err(refusal.into());
        }
        (None, _) => {
            let line = match number {
                Some(number) => Line::new()
                    .text("There is no override ")
                    .code(number)
                    .text(", or it is over"),
                None => "There is no override".into(),
            };
            let refusal = Refusal::new(line.text(". Nothing was changed"));
            return Err(refusal.suggest("Who is on call?", "oncall").into());
        }
    };
    let person = ask.request.person.clone();
    let own = one.by.id == person.id || one.person.id == person.id;
    if !own && ask.role < Role::Commander {
        return Err(Refusal::new(
            Line::new()
                .text("This override is by ")
                .bold(&one.by.name)
                .text(": only they, ")
                .bold(&one.person.name)
                .text(" or a commander can take it back. Nothing was changed"),
        )
        .into());
    }
    let rotation = context.on_call().rotation(&one.rotation).cloned();
    let open = match &rotation {
        Some(rotation) => served(context, rotation).await?,
        None => Vec::new(),
    };
    let bot = context.clone();
    Ok(Effect::write(move |tx| {
        Box::pin(async move { clear(tx, &bot, rotation, one, &person, &open).await })
    }))
}

/// Somebody is to be put on call.
struct New {
    rotation: Rotation,
    person: Person,
    span: Span,
    /// `None`: at once.
    from: Option<Timestamp>,
    by: Person,
    /// `by` may do this to others' shifts.
    commands: bool,
}

impl New {
    async fn write(self, tx: &mut Tx, bot: &Context, open: &[Incident]) -> Result<Done, Fault> {
        let rotation = &self.rotation;
        lock(tx, rotation).await?;
        let now = tx.now();
        let from = self.from.unwrap_or(now).max(now);
        let until = match self.span {
            Span::UntilHandover => rotation.planned(from).until,
            Span::For(length, _) => length.after(from, &zone(rotation)),
        };
        let mut overrides = tx.overrides().await?;
        let before = rotation.shift(&overrides, from).person;
        let before = tx.known_as(before).await?;
        let within = |at: Timestamp| until.is_none_or(|until| at < until);
        let already = rotation
            .shifts(&overrides, from, 64)
            .into_iter()
            .take_while(|shift| within(shift.from))
            .all(|shift| shift.person.id == self.person.id);
        if already {
            let mut line = Line::new()
                .bold(&self.person.name)
                .text(" is already on call for all of that time");
            if let Some(until) = rotation.duty(&overrides, from).until {
                line = line.text(", until ").time(until);
            }
            return Err(Refusal::new(line.text(". Nothing was changed")).into());
        }
        if !self.commands && ![&self.person.id, &before.id].contains(&&self.by.id) {
            return Err(Refusal::new(
                Line::new()
                    .text("It is the shift of ")
                    .bold(&before.name)
                    .text(": you can take it yourself, or ask a commander. Nothing was changed"),
            )
            .suggest(
                "Take it myself",
                format!(
                    "{} --rotation {}",
                    self.span.sentence("me"),
                    quote(&rotation.name)
                ),
            )
            .into());
        }
        let new = tx
            .override_insert(Override {
                id: 0,
                rotation: rotation.name.clone(),
                person: self.person.clone(),
                from,
                until,
                by: self.by.clone(),
            })
            .await?;
        overrides.push(new.clone());
        record(tx, &new, &self.by, (&before, &new.person), "override").await?;
        let at_once = from <= now;
        if at_once && before.id != new.person.id {
            note(tx, rotation, &self.by, (&before, &new.person), open).await?;
        }
        schedule(tx, rotation, &overrides).await?;
        let message = if at_once {
            let duty = rotation.duty(&overrides, now);
            words::comes_on(bot, rotation, &before, &duty, open)
        } else {
            words::will_be_on(bot, rotation, &before, &new)
        };
        let message = words::said_by(message, &self.by, Some(new.id));
        let key = format!("oncall:{}", new.id);
        let short = message.title.clone();
        tx.outbox_put(&Outgoing::announcement(key, Destination::Home, message))
            .await?;
        Ok(done(short))
    }
}

/// The one who asked sees it in short, wherever they asked; everybody sees it in the main channel.
fn done(short: Line) -> Done {
    Answer::to_asker(Message::new(Tone::Good, short)).into()
}

/// Onto the audit, what was and what is.
async fn record(
    tx: &mut Tx,
    one: &Override,
    by: &Person,
    (before, after): (&Person, &Person),
    what: &str,
) -> Result<(), StoreError> {
    let span = |at: Option<Timestamp>| at.map_or("further notice".to_owned(), duration::utc_text);
    let text = format!(
        "on call by {}: {before} → {after}, from {} until {}",
        one.rotation,
        duration::utc_text(one.from),
        span(one.until),
    );
    let draft = Draft::new(by, EntryKind::Assigned, text).data(json!({
        "rotation": one.rotation,
        "before": before,
        "after": after,
        "from": one.from,
        "until": one.until,
        what: one.id,
    }));
    tx.append(&Stream::Audit, draft).await?;
    Ok(())
}

async fn clear(
    tx: &mut Tx,
    bot: &Context,
    rotation: Option<Rotation>,
    mut one: Override,
    by: &Person,
    open: &[Incident],
) -> Result<Done, Fault> {
    if let Some(rotation) = &rotation {
        lock(tx, rotation).await?;
    }
    let mut overrides = tx.overrides().await?;
    if !tx.override_remove(one.id).await? {
        let line = Line::new().text("Override ").code(one.id);
        return Err(Refusal::new(line.text(" was taken back before")).into());
    }
    let Some(rotation) = rotation else {
        return Ok(done(
            Line::new().text("Override ").code(one.id).text(" is gone"),
        ));
    };
    let now = tx.now();
    let at = one.from.max(now);
    let before = rotation.shift(&overrides, at).person;
    overrides.retain(|other| other.id != one.id);
    let mut duty = rotation.duty(&overrides, at);
    duty.person = tx.known_as(duty.person).await?;
    let before = tx.known_as(before).await?;
    one.from = at;
    record(tx, &one, by, (&before, &duty.person), "removed").await?;
    let changes = before.id != duty.person.id;
    if changes && at <= now {
        note(tx, &rotation, by, (&before, &duty.person), open).await?;
    }
    schedule(tx, &rotation, &overrides).await?;
    let message = if at <= now {
        words::comes_on(bot, &rotation, &before, &duty, open)
    } else {
        words::stays_on(bot, &rotation, &before, &duty, at)
    };
    let message = words::said_by(message, by, None);
    let short = message.title.clone();
    tx.outbox_put(&Outgoing::announcement(
        format!("oncall:{}:removed", one.id),
        Destination::Home,
        message,
    ))
    .await?;
    Ok(done(short))
}
