//! A request on its way: who asks where, and what it comes to.

use futures_util::future::BoxFuture;

use super::refusal::Fault;
use crate::domain::action::ActionRow;
use crate::domain::question::QuestionRow;
use crate::domain::{
    Audience, Content, Destination, Incident, IncidentId, Message, Outgoing, Request, Role,
    ServiceName,
};
use crate::store::Tx;

/// A request with what is known about it before it is carried out.
#[derive(Clone)]
pub(in crate::bot) struct Ask {
    pub(in crate::bot) request: Request,
    pub(in crate::bot) role: Role,
    /// The incident that is worked on in this place.
    pub(in crate::bot) here: Option<Incident>,
    /// The question that this answers with yes.
    pub(in crate::bot) confirmed: Option<QuestionRow>,
}

impl Ask {
    /// Where the answer goes: the incident's own lane when asked in its very place.
    pub(in crate::bot) fn destination(&self) -> Destination {
        match &self.here {
            Some(incident) if incident.place.as_ref() == Some(&self.request.place) => {
                Destination::Incident(incident.id)
            }
            _ => Destination::Place(self.request.place.clone()),
        }
    }

    /// It is asked where this incident is worked on.
    pub(in crate::bot) fn is_in(&self, incident: IncidentId) -> bool {
        self.here.as_ref().is_some_and(|here| here.id == incident)
    }

    /// The answer as it goes into the outbox.
    pub(in crate::bot) fn outgoing(&self, content: Content, audience: Audience) -> Outgoing {
        Outgoing {
            key: answer_key(&self.request.key),
            to: self.destination(),
            audience,
            requester: Some(self.request.person.clone()),
            reply: self.request.reply.clone(),
            severity: None,
            content,
        }
    }
}

/// The answer to a request.
pub(in crate::bot) struct Answer {
    pub(in crate::bot) content: Content,
    pub(in crate::bot) audience: Audience,
}

impl Answer {
    /// For everybody in the channel.
    pub(in crate::bot) fn to_all(message: Message) -> Self {
        Self {
            content: Content::Message(message),
            audience: Audience::Everyone,
        }
    }

    /// What it says, in one line.
    pub(in crate::bot) fn title(&self) -> String {
        match &self.content {
            Content::Message(message) => message.title.plain(),
            _ => String::new(),
        }
    }

    /// For the asker only.
    pub(in crate::bot) fn to_asker(message: Message) -> Self {
        Self {
            content: Content::Message(message),
            audience: Audience::Requester,
        }
    }
}

/// What a write came to.
#[derive(Default)]
pub(in crate::bot) struct Done {
    /// The answer; `None` when another message, put within the write, tells all.
    pub(in crate::bot) answer: Option<Answer>,
    /// What the commit lets begin.
    pub(in crate::bot) next: Option<Next>,
    /// The incident that was declared.
    pub(in crate::bot) declared: Option<IncidentId>,
}

/// What begins once a write is committed.
pub(in crate::bot) enum Next {
    /// An action, whose intent is now recorded, is carried out.
    Drive(Box<ActionRow>),
    /// A run begins.
    Follow(i64),
    /// A run that has been told something goes on.
    Wake(i64),
    /// Figures of these services are told anew in this message, as soon as they are fresh.
    Refresh(Box<Outgoing>, Vec<ServiceName>),
}

impl From<Answer> for Done {
    fn from(answer: Answer) -> Self {
        Self {
            answer: Some(answer),
            ..Self::default()
        }
    }
}

type Work = Box<dyn for<'t> FnOnce(&'t mut Tx) -> BoxFuture<'t, Result<Done, Fault>> + Send>;

/// What carrying out a request comes to: an answer, or a write that gives one.
pub(in crate::bot) enum Effect {
    Say(Answer),
    Write(Work),
}

impl Effect {
    pub(in crate::bot) fn write<F>(work: F) -> Self
    where
        F: for<'t> FnOnce(&'t mut Tx) -> BoxFuture<'t, Result<Done, Fault>> + Send + 'static,
    {
        Self::Write(Box::new(work))
    }
}

/// The key of the message that answers a request.
pub fn answer_key(request_key: &str) -> String {
    format!("answer:{request_key}")
}

/// A short name for a request, shown with failures and logged with their cause.
pub(in crate::bot) fn request_id(request_key: &str) -> String {
    use sha2::{Digest, Sha256};
    crate::domain::timeline::hex(&Sha256::digest(request_key)[..4])
}
