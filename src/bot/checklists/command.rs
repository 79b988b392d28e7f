//! `checklist start|tick|untick|look|show|list|end`.

use futures_util::future::join_all;
use serde_json::json;

use super::course::{open, put, show, tick, unknown};
use super::lists::{LISTS, holds};
use super::words;
use crate::bot::request::{Answer, Ask, Done, Effect};
use crate::bot::{Context, Fault, Refusal, incidents};
use crate::domain::checklist::{Checklist, TickBox};
use crate::domain::timeline::cut;
use crate::domain::{Destination, Line, Message, Outgoing, Person, Tone, counted};

/// Checklists that are listed.
const LISTED: i64 = 15;

pub(crate) async fn checklist_start(
    context: &Context,
    ask: &Ask,
    name: &str,
    service: Option<&str>,
    incident: Option<&str>,
) -> Result<Effect, Fault> {
    let Some((name, phases)) = LISTS.iter().find(|(one, _)| *one == name.to_lowercase()) else {
        let line = Line::new()
            .text("There is no checklist ")
            .code(cut(name, 60));
        let all: Vec<&str> = LISTS.iter().map(|(name, _)| *name).collect();
        let refusal = Refusal::new(line).detail(format!("Checklists: {}", all.join(", ")));
        let start = |near: &str| format!("checklist start {near}");
        return Err(refusal.suggest_nearest(name, all, start).into());
    };
    let service = match service {
        Some(service) => {
            let again = |near: &str| format!("checklist start {name} --service {near}");
            Some(context.catalogue().find(service, again)?.0.name.clone())
        }
        None => None,
    };
    let incident = match (incident, &ask.here) {
        (None, None) => None,
        (given, _) => Some(incidents::meant(context, ask, given).await?.id),
    };
    let boxes = phases.iter().flat_map(|(phase, items)| {
        items.iter().map(|(text, probe)| TickBox {
            phase: (*phase).to_owned(),
            text: (*text).to_owned(),
            probe: probe.filter(|_| service.is_some()).map(str::to_owned),
            tick: None,
            found: None,
        })
    });
    let boxes: Vec<TickBox> = boxes.collect();
    let (name, by) = ((*name).to_owned(), ask.request.person.clone());
    let to = incident.map_or(Destination::Home, Destination::Incident);
    Ok(Effect::write(move |tx| {
        Box::pin(async move {
            let empty = Message::new(Tone::Plain, "");
            let mut list = Checklist {
                id: 0,
                name,
                service,
                incident,
                begun_by: by.clone(),
                begun_at: tx.now(),
                boxes,
                ended: None,
                message: Outgoing::announcement(String::new(), to, empty),
            };
            list.id = tx.checklist_begin(&list).await?;
            list.message.key = format!("checklist:{}", list.id);
            let text = format!("checklist {} ({}) begins", list.id, list.name);
            put(tx, &list, &by, text).await?;
            let title = format!("Checklist {} is begun", list.id);
            Ok(Answer::to_asker(Message::new(Tone::Good, title)).into())
        })
    }))
}

/// Ticks a box, or takes its tick back.
pub(crate) fn checklist_tick(ask: &Ask, id: i64, number: usize, ticks: bool) -> Effect {
    let by = ask.request.person.clone();
    Effect::write(move |tx| Box::pin(async move { tick(tx, id, number, &by, ticks).await }))
}

/// Asks the probes of the boxes that are not ticked: what they see to be so is ticked.
pub(crate) async fn checklist_look(context: &Context, id: i64) -> Result<Effect, Fault> {
    let Some(list) = context.store().checklist(id).await? else {
        return Err(unknown(id).into());
    };
    let service = list.service.clone();
    let params = json!({"service": service});
    let asked = list.boxes.iter().enumerate().filter_map(|(at, one)| {
        let probe = one.probe.clone().filter(|_| one.tick.is_none())?;
        let params = params.clone();
        Some(async move {
            let called = context.commands().call(context, &probe, params).await;
            let (so, said) = match called {
                Ok(called) => (holds(&probe, &called.value), called.message.title.plain()),
                Err(fault) => (None, fault.line()),
            };
            (at, so, said)
        })
    });
    let found = join_all(asked).await;
    if found.is_empty() {
        let title =
            format!("No box of checklist {id} that is not ticked can be looked at by the bot");
        return Err(Refusal::new(title).into());
    }
    Ok(Effect::write(move |tx| {
        Box::pin(async move {
            let mut list = open(tx, id).await?;
            let (now, bot) = (tx.now(), Person::bot());
            for (at, so, said) in found {
                let Some(one) = list.boxes.get_mut(at).filter(|one| one.tick.is_none()) else {
                    continue;
                };
                let said = match so {
                    Some(true) => said,
                    Some(false) => format!("not so: {said}"),
                    None => format!("unknown: {said}"),
                };
                one.found = Some((said.clone(), now));
                let text = format!("checklist {id}: looked at: {}: {said}", one.text);
                if so == Some(true) {
                    one.tick = Some((bot.clone(), now));
                }
                put(tx, &list, &bot, text).await?;
            }
            show(tx, &list).await?;
            Ok(Done::default())
        })
    }))
}

pub(crate) async fn checklist_show(context: &Context, id: i64) -> Result<Effect, Fault> {
    match context.store().checklist(id).await? {
        Some(list) => Ok(Effect::Say(Answer::to_all(words::message(&list)))),
        None => Err(unknown(id).into()),
    }
}

pub(crate) async fn checklist_list(context: &Context) -> Result<Effect, Fault> {
    let all = context.store().checklists(LISTED).await?;
    let open = all.iter().filter(|one| one.ended.is_none()).count();
    let mut message = match open {
        0 => Message::new(Tone::Plain, "No checklist is worked on"),
        n => Message::new(
            Tone::Plain,
            format!("{} worked on", counted(n, "checklist")),
        ),
    };
    for one in &all {
        message = message.text(words::line(one));
    }
    if all.is_empty() {
        message = message.text(format!(
            "Begin one: {}",
            context.typed("checklist start deploy --service NAME")
        ));
    }
    Ok(Effect::Say(Answer::to_all(message)))
}

pub(crate) fn checklist_end(ask: &Ask, id: i64) -> Effect {
    let by = ask.request.person.clone();
    Effect::write(move |tx| {
        Box::pin(async move {
            let mut list = open(tx, id).await?;
            list.ended = Some((by.clone(), tx.now()));
            let text = words::ended(&list);
            put(tx, &list, &by, text).await?;
            let title = format!("Checklist {id} is ended");
            Ok(Answer::to_asker(Message::new(Tone::Good, title)).into())
        })
    })
}
