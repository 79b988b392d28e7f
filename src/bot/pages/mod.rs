//! The incident pages: who may read them, and what is on them. The door itself is `web/`.
//!
//! A person asks for a link in the chat (or, when that is down, at the machine's terminal). The link
//! works once and soon ends; it begins a session of a browser. Both are 256 random bits, of which the
//! store keeps the digest. A link is in the clear only in the message that says it, and that forgets
//! it as soon as it is used or over. What somebody may is asked anew at each page.
//!
//! Nobody guesses 256 bits: attempts need not be counted, and nobody can be locked out by them.

pub(crate) mod acknowledge;
pub(crate) mod view;

use futures_util::stream::BoxStream;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::json;

use super::notify::LINK_FOR;
use super::request::{Answer, Ask, Done, Effect};
use super::tokens::digest;
use super::{Context, Fault, Refusal, answer_key};
use crate::domain::timeline::Draft;
use crate::domain::{
    Button, Content, EntryKind, IncidentId, Line, Message, Outgoing, Person, Role, Span, Stream,
    Tone, duration,
};
use crate::report::Format;
use crate::store::{PageLink, PageSession, StoreError};

pub use super::tokens::token;
pub use view::{Chain, Listed, Run, Shown, Work};

/// How long a browser stays signed in.
pub const SESSION_FOR: Duration = Duration::from_secs(12 * 3_600);

/// Why somebody is not let in.
#[derive(Debug, thiserror::Error)]
pub enum NoEntry {
    /// No session, or one that is over.
    #[error("you are not signed in")]
    SignedOut,
    /// Nobody was given such a link.
    #[error("there is no such link")]
    NoLink,
    /// The link was used before.
    #[error("this link was used already")]
    Used,
    /// The link was not used in time.
    #[error("this link is too old")]
    Expired,
    /// They may not read, or not any more.
    #[error("{} may not read incidents", .0.name)]
    NotAllowed(Person),
    /// A form came from another page than ours.
    #[error("this did not come from a page of this session")]
    Forged,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Somebody who is signed in and may read.
#[derive(Debug, Clone)]
pub struct Visitor {
    /// Who.
    pub person: Person,
    /// Until when.
    pub until: Timestamp,
    /// What a form has to carry to sign out: another site does not know it.
    pub check: String,
}

/// A browser that has just been signed in.
#[derive(Debug, Clone)]
pub struct Entered {
    /// The session's token, for the browser alone.
    pub token: String,
    /// The incident that the link led to.
    pub incident: Option<IncidentId>,
}

/// A file for a visitor.
pub struct File {
    /// Its name.
    pub name: String,
    /// Its media type.
    pub media_type: &'static str,
    /// Its content, piece by piece.
    pub pieces: BoxStream<'static, Result<String, StoreError>>,
}

/// `page [ID]`: a link, for the asker alone.
pub(super) async fn page(
    context: &Context,
    ask: &Ask,
    given: Option<&str>,
) -> Result<Effect, Fault> {
    let Some(url) = context.settings().public_url.clone() else {
        return Err(Refusal::new("The incident pages are not served here").into());
    };
    let incident = match given {
        Some(_) => Some(crate::bot::incidents::meant(context, ask, given).await?.id),
        None => ask.here.as_ref().map(|incident| incident.id),
    };
    let token = token();
    let what = incident.map_or_else(|| "the incident pages".to_owned(), |id| id.to_string());
    let mut message = Message::new(Tone::Plain, format!("Your link to {what}"))
            .text(Line(vec![Span::Link {
                url: format!("{url}/incidents/link/{token}"),
                text: format!("Open {what}"),
            }]))
            .footer(format!(
                "It works once, within {}; then your browser stays signed in for {}. Who opens it reads \
                 as you: don't pass it on",
                duration::text(LINK_FOR),
                duration::text(SESSION_FOR)
            ));
    if !context.store().is_served().await? {
        message =
            message.text("No `treasury-bot serve` runs: the link answers only when one does again");
    }
    let person = ask.request.person.clone();
    let key = answer_key(&ask.request.key);
    Ok(Effect::write(move |tx| {
        Box::pin(async move {
            let link = PageLink {
                digest: digest(&token),
                person,
                incident,
                message: Some(key),
                expires_at: tx.now() + LINK_FOR,
                used_at: None,
                used_by: None,
                sentence: None,
            };
            tx.pages_tidy().await?;
            tx.page_link_put(&link).await?;
            Ok(Done {
                answer: Some(Answer::to_asker(message)),
                ..Done::default()
            })
        })
    }))
}

/// Whether a link would let somebody in now. It is not used up by this.
pub async fn page_link(context: &Context, token: &str) -> Result<Option<IncidentId>, NoEntry> {
    let link = standing_link(context, token, None, false).await?;
    Ok(link.incident)
}

async fn standing_link(
    context: &Context,
    token: &str,
    browser: Option<&str>,
    says: bool,
) -> Result<PageLink, NoEntry> {
    let link = context.store().page_link(&digest(token)).await?;
    // What acknowledges signs nobody in, and the other way round.
    let link = link.filter(|link| link.sentence.is_some() == says);
    let link = link.ok_or(NoEntry::NoLink)?;
    let now = context.store().now();
    if link.used_at.is_some() && !link.is_pressed_again(browser, now) {
        return Err(NoEntry::Used);
    }
    if link.expires_at <= now {
        return Err(NoEntry::Expired);
    }
    may_read(context, &link.person).await?;
    Ok(link)
}

async fn may_read(context: &Context, person: &Person) -> Result<(), NoEntry> {
    let groups = context.store().groups_of(&person.id).await?;
    if context.settings().access.role(person, &groups) < Role::Viewer {
        return Err(NoEntry::NotAllowed(person.clone()));
    }
    Ok(())
}

/// Uses a link up and signs its person in. `browser`: what tells this browser from others; it may
/// press twice. `former`: the token of its session before, which ends.
pub async fn enter(
    context: &Context,
    token: &str,
    browser: Option<&str>,
    former: Option<&str>,
) -> Result<Entered, NoEntry> {
    let browser = browser.map(digest);
    let link = standing_link(context, token, browser.as_deref(), false).await?;
    let instead = forgotten(context, &link, "This link was used").await?;
    let entered = Entered {
        token: self::token(),
        incident: link.incident,
    };
    let session = digest(&entered.token);
    let former = former.map(digest);
    let used = context
        .store()
        .write(move |tx| {
            Box::pin(async move {
                if !tx.page_link_use(&link.digest, browser.as_deref()).await? {
                    return Ok(false);
                }
                let draft = Draft::new(
                    &link.person,
                    EntryKind::Asked,
                    "signed in to the incident pages",
                );
                let draft = draft.data(json!({"door": "page", "session": session[..8]}));
                tx.append(&Stream::Audit, draft).await?;
                tx.page_link_forget(&link.digest, instead.as_ref()).await?;
                if let Some(former) = former {
                    tx.page_session_end(&former).await?;
                }
                let session = PageSession {
                    digest: session,
                    person: link.person,
                    expires_at: tx.now() + SESSION_FOR,
                };
                tx.page_session_put(&session).await?;
                Ok::<_, StoreError>(true)
            })
        })
        .await?;
    // Another was faster, by a moment.
    if used {
        Ok(entered)
    } else {
        Err(NoEntry::Used)
    }
}

/// Whose session this is, if they may read: asked anew each time.
pub async fn visitor(context: &Context, token: &str) -> Result<Visitor, NoEntry> {
    let session = context.store().page_session(&digest(token)).await?;
    let session = session.ok_or(NoEntry::SignedOut)?;
    may_read(context, &session.person).await?;
    Ok(Visitor {
        person: session.person,
        until: session.expires_at,
        check: check(token),
    })
}

/// Ends a session. `given` has to be the visitor's [`Visitor::check`].
pub async fn leave(context: &Context, token: &str, given: &str) -> Result<(), NoEntry> {
    if digest(given) != digest(&check(token)) {
        return Err(NoEntry::Forged);
    }
    let session = digest(token);
    context
        .store()
        .write(move |tx| Box::pin(async move { tx.page_session_end(&session).await }))
        .await?;
    Ok(())
}

/// An incident's export, as `export` gives it in the chat. `None`: no such incident or format.
pub async fn page_export(
    context: &Context,
    visitor: &Visitor,
    id: IncidentId,
    extension: &str,
) -> Result<Option<File>, StoreError> {
    let Some(format) = Format::parse(extension) else {
        return Ok(None);
    };
    let Some(incident) = context.store().incident(id).await? else {
        return Ok(None);
    };
    let exported = crate::bot::history::exported(context, &incident, format).await?;
    let draft = Draft::new(&visitor.person, EntryKind::Exported, exported.said)
        .data(json!({"door": "page"}));
    context
        .store()
        .write(move |tx| {
            Box::pin(async move { tx.append(&Stream::Audit, draft).await.map(|_| ()) })
        })
        .await?;
    Ok(Some(File {
        name: exported.name,
        media_type: format.media_type(),
        pieces: crate::bot::file_pieces(context.store(), &exported.file),
    }))
}

/// The message that said a link, without it.
async fn forgotten(
    context: &Context,
    link: &PageLink,
    why: &str,
) -> Result<Option<Outgoing>, StoreError> {
    let Some(key) = &link.message else {
        return Ok(None);
    };
    let said = context.store().outbox_read(key).await?;
    Ok(said.map(|(outgoing, _)| {
        let message =
            Message::new(Tone::Plain, why).buttons(vec![Button::new("Get another link", "page")]);
        outgoing.with(Content::Message(message))
    }))
}

/// What proves that a form is of a page of this session.
fn check(token: &str) -> String {
    digest(&format!("sign out of {token}"))
}

/// Makes the store forget the links that nobody used in time. One whose message still waits for the
/// chat to come back is said to be too old.
pub(super) async fn expire(bot: &Context) -> Result<(), StoreError> {
    for link in bot.store().page_links_overdue().await? {
        let instead = forgotten(bot, &link, "This link is too old").await?;
        bot.store()
            .write(move |tx| {
                Box::pin(async move { tx.page_link_forget(&link.digest, instead.as_ref()).await })
            })
            .await?;
    }
    Ok(())
}
