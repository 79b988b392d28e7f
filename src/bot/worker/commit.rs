//! How a request ends: what it came to, what is said of it and its own end, in one transaction.

use serde_json::json;

use crate::bot::request::{Ask, Done, Effect, request_id};
use crate::bot::{Context, Failure, Fault, Refusal};
use crate::domain::timeline::Draft;
use crate::domain::{Audience, Button, Content, EntryKind, Line, Message, Outgoing, Stream, Tone};
use crate::store::StoreError;

/// One transaction: the audit, the work, the answer, the end of the request.
pub(super) async fn commit(
    context: &Context,
    inbox: i64,
    ask: &Ask,
    effect: Effect,
) -> Result<Done, Fault> {
    let asked = audit(ask, EntryKind::Asked, None);
    let owner = context.instance().to_owned();
    let answer_as = ask.outgoing(
        Content::Message(Message::new(Tone::Plain, "")),
        Audience::Requester,
    );
    context
        .store()
        .write(move |tx| {
            Box::pin(async move {
                tx.append(&Stream::Audit, asked).await?;
                let mut done = match effect {
                    Effect::Say(answer) => answer.into(),
                    Effect::Write(work) => work(tx).await?,
                };
                if let Some(answer) = done.answer.take() {
                    let outgoing = Outgoing {
                        content: answer.content,
                        audience: answer.audience,
                        ..answer_as
                    };
                    tx.outbox_put(&outgoing).await?;
                }
                tx.inbox_done(inbox, &owner).await?;
                Ok::<_, Fault>(done)
            })
        })
        .await
}

pub(super) async fn commit_refusal(
    context: &Context,
    inbox: i64,
    ask: &Ask,
    refusal: Refusal,
) -> Result<(), StoreError> {
    let entry = audit(
        ask,
        EntryKind::Refused,
        Some(("why", refusal.title.plain())),
    );
    commit_no(context, inbox, ask, entry, refusal.message()).await
}

pub(super) async fn commit_failure(
    context: &Context,
    inbox: i64,
    ask: &Ask,
    failure: &Failure,
    id: &str,
) -> Result<(), StoreError> {
    let entry = audit(ask, EntryKind::Asked, Some(("failed", failure.short())));
    let message = Message::new(Tone::Bad, "That did not work. Nothing was changed")
        .code(failure.short())
        .buttons(vec![Button::new("Try again", ask.request.text.clone())])
        .footer(Line::new().text("request ").code(id));
    commit_no(context, inbox, ask, entry, message).await
}

async fn commit_no(
    context: &Context,
    inbox: i64,
    ask: &Ask,
    entry: Draft,
    message: Message,
) -> Result<(), StoreError> {
    let outgoing = ask.outgoing(Content::Message(message), Audience::Requester);
    let owner = context.instance().to_owned();
    context
        .store()
        .write(move |tx| {
            Box::pin(async move {
                tx.append(&Stream::Audit, entry).await?;
                tx.outbox_put(&outgoing).await?;
                tx.inbox_done(inbox, &owner).await
            })
        })
        .await
}

/// The audit's entry for a request.
fn audit(ask: &Ask, kind: EntryKind, more: Option<(&str, String)>) -> Draft {
    let request = &ask.request;
    let mut data = json!({
        "request": request_id(&request.key),
        "door": request.door,
        "channel": request.place.channel,
        "role": ask.role,
    });
    if let (Some(map), Some((key, value))) = (data.as_object_mut(), more) {
        map.insert(key.to_owned(), value.into());
    }
    let text = if request.text.trim().is_empty() {
        "menu"
    } else {
        request.text.trim()
    };
    Draft::new(&request.person, kind, text).data(data)
}
