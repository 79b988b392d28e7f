//! Who must have heard what by when: a plain model that knows the rules and nothing of the bot.
//!
//! It is told what came in and what the bot was seen to do, in the order of time, and says what was
//! wrong. Where the rules leave it open what is meant (a report of an alert that fires, a moment after
//! its end), nothing is wrong.

mod alert;
mod causes;

use std::collections::{BTreeMap, BTreeSet};

use super::history::{is_served_by, service_of};
use alert::Alert;

/// Seconds since a history began.
pub type Second = i64;

/// Something happens within a loaded machine's breath after it is due.
pub const GRACE: Second = 30;
/// What a process that died held in its hands is taken over after this.
const LEASE: Second = 100;
/// A report that contradicts the one before is surely a newer one when it comes this much later.
const CLEARLY: Second = 30;
/// Who is next is asked after this; once all were asked, they are again after [`EVERYBODY`].
pub const ACK_WITHIN: Second = 300;
pub const EVERYBODY: Second = 1_800;
/// Who took it up is asked whether they still have it; at SEV1 after a quarter of this.
pub const REASK: Second = 3_600;
/// The people of the longest ladder, and then everybody.
const RUNGS: u32 = 3;
/// So many are everybody.
const PEOPLE: usize = 4;
/// Nothing may fire for so long until what fires next is new.
pub const QUIET: Second = 300;
/// So bad, or worse, and somebody is asked.
const ASKED_FROM: u8 = 3;
/// An alert with so many changes within half an hour may count as flapping; it is calm after ten
/// minutes.
const FLAPS: usize = 5;

/// What came in, and what the bot was seen to do.
#[derive(Debug, Clone, PartialEq)]
pub enum Fact {
    /// A sender reported an alert.
    Report {
        alert: usize,
        /// Alerts of a kind are more of the same.
        kind: usize,
        firing: bool,
        start: Second,
        severity: u8,
    },
    /// Somebody took up what is told together there.
    Acknowledged { conversation: String },
    /// Somebody silenced an alert until then; or ended that, if it is now.
    Silenced { alert: usize, until: Second },
    /// Somebody said that it is over.
    ResolvedByHand { conversation: String },
    /// The bot is away.
    Died,
    /// The bot is there again; it died with work in its hands.
    Restarted { crashed: bool },
    /// The bot tells an alert there from now on.
    Joined { alert: usize, conversation: String },
    /// The bot posted a new message that mentions these people.
    Told {
        conversation: String,
        said: Said,
        whom: Vec<&'static str>,
    },
    /// Alertmanager left so many alerts of this one's group out of its report.
    LeftOut { alert: usize, count: u64 },
    /// The bot looked at what Alertmanager lists: whether this one is there.
    Listed { alert: usize, firing: bool },
    /// Somebody declared an incident so bad that people are asked about it.
    Declared { conversation: String, severity: u8 },
    /// The bot said that it is over.
    Resolved { conversation: String },
}

/// What a message is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Said {
    /// Please acknowledge.
    Ask,
    /// Do you still have it?
    StillYours,
    /// Something begins, or gets worse: nobody is asked for an answer.
    News,
}

/// What may be wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    NobodyAsked,
    NewsUnheard,
    ResolvedWhileFiring,
    AskedTwice,
    AskedForNothing,
    AskedOthers,
    AskedAboutConsequence,
}

/// Something that was wrong.
#[derive(Debug, Clone, PartialEq)]
pub struct Wrong {
    pub kind: Kind,
    pub at: Second,
    pub what: String,
}

#[derive(Default)]
struct Conversation {
    acknowledged_until: Second,
    /// Something of it fires that somebody has to be asked about, since then.
    since: Option<Second>,
    told_at: Option<Second>,
    /// The last ask of the ladder.
    asked_at: Option<Second>,
    rungs: u32,
    /// Something has changed since the last ask of the ladder.
    changed: bool,
    quiet_since: Option<Second>,
    /// Everything was over since it was taken up, if only for a moment: it may count as new.
    was_quiet: bool,
    /// What was told since it began, and the worst of it.
    kinds: BTreeSet<usize>,
    worst: Option<u8>,
    /// The worst that fired when somebody took it up.
    taken_up: Option<u8>,
    /// Somebody declared it, so bad: it is asked about until somebody has it or says that it is over.
    declared: Option<u8>,
    /// The first alert that was told there, and when; others at the same time may count as the first.
    first: Option<(usize, Second)>,
    /// Alerts of several services were the first.
    is_mixed: bool,
}

/// What is known at a moment.
#[derive(Default)]
pub struct Model {
    alerts: BTreeMap<usize, Alert>,
    conversations: BTreeMap<String, Conversation>,
    /// Until then nothing is late: the bot was away.
    excused_until: Second,
}

impl Model {
    /// Takes a fact up; what is wrong with it.
    pub fn learn(&mut self, at: Second, fact: &Fact) -> Option<Wrong> {
        match fact {
            Fact::Report {
                alert,
                kind,
                firing,
                start,
                severity,
            } => {
                let known = self.alerts.entry(*alert).or_default();
                (known.kind, known.number) = (*kind, *alert);
                // It began after it was last heard of: its end was lost, and it may count as new.
                let is_another = *firing && known.firing && *start > known.heard_at;
                let before = (known.firing, known.sure, known.severity);
                known.report(at, *firing, *start, *severity);
                let conversation = known.conversation.clone().filter(|_| is_another);
                if before != (known.firing, known.sure, known.severity) || !known.sure {
                    self.changed(*alert);
                }
                if let Some(conversation) = conversation {
                    self.conversation(&conversation).was_quiet = true;
                }
            }
            Fact::Silenced { alert, until } => {
                self.alerts.entry(*alert).or_default().silenced_until = *until;
                self.changed(*alert);
            }
            Fact::Joined {
                alert,
                conversation,
            } => {
                let known = self.alerts.entry(*alert).or_default();
                known.conversation = Some(conversation.clone());
                // It is new there.
                known.news = known.news.or(known.firing.then_some(at));
                self.changed(*alert);
                let conversation = self.conversation(conversation);
                let (first, since) = *conversation.first.get_or_insert((*alert, at));
                conversation.is_mixed |= at == since && service_of(first) != service_of(*alert);
            }
            Fact::LeftOut { alert, count } => {
                let kind = self.alerts.get(alert).map(|one| one.kind);
                let group = self
                    .alerts
                    .values_mut()
                    .filter(|one| Some(one.kind) == kind);
                let changed = group.filter_map(|one| {
                    let before = std::mem::replace(&mut one.left_out, *count);
                    (before != *count).then_some(one.number)
                });
                let changed: Vec<usize> = changed.collect();
                for alert in changed {
                    self.changed(alert);
                }
            }
            Fact::Listed { alert, firing } => {
                let known = self.alerts.entry(*alert).or_default();
                let before = (known.firing, known.sure);
                known.listed(at, *firing);
                if before != (known.firing, known.sure) || !known.sure {
                    self.changed(*alert);
                }
            }
            Fact::Declared {
                conversation,
                severity,
            } => {
                self.conversation(conversation).declared = Some(*severity);
            }
            Fact::Died => self.excused_until = Second::MAX / 2,
            Fact::Restarted { crashed } => {
                self.excused_until = at + if *crashed { LEASE } else { 0 };
            }
            Fact::Acknowledged { conversation } => self.acknowledged(at, conversation),
            Fact::ResolvedByHand { conversation } => self.dismissed(at, conversation),
            Fact::Told {
                conversation,
                said,
                whom,
            } => return self.told(at, conversation, *said, whom),
            Fact::Resolved { conversation } => {
                if self.conversation(conversation).declared.is_some() {
                    let what = "a person declared it, and nobody said that it is over";
                    return Some(wrong(Kind::ResolvedWhileFiring, at, conversation, what));
                }
                if self.members(conversation).any(|alert| alert.left_out > 0) {
                    let what = "some were left out";
                    return Some(wrong(Kind::ResolvedWhileFiring, at, conversation, what));
                }
                let firing = self.members(conversation).find(|alert| alert.fires(at))?;
                let what = format!("one that fires, last heard {} s ago", at - firing.heard_at);
                return Some(wrong(Kind::ResolvedWhileFiring, at, conversation, &what));
            }
        }
        None
    }

    fn dismissed(&mut self, at: Second, conversation: &str) {
        *self.conversation(conversation) = Conversation::default();
        for alert in self.members_mut(conversation) {
            alert.dismissed_at = Some(at);
            alert.news = None;
        }
    }

    fn acknowledged(&mut self, at: Second, conversation: &str) {
        let firing = self.members(conversation).filter(|alert| alert.firing);
        let taken_up = firing.map(|alert| alert.severity).min();
        // What may have fired may have been milder than all else.
        let is_sure = self.members(conversation).all(|alert| alert.sure);
        let taken_up = if is_sure { taken_up } else { Some(u8::MAX) };
        let known = self.conversation(conversation);
        known.taken_up = taken_up.or(known.worst);
        let worst = known.worst.into_iter().chain(known.declared).min();
        let reask = match worst {
            Some(1) => REASK / 4,
            _ => REASK,
        };
        known.acknowledged_until = at + reask;
        (known.told_at, known.changed, known.was_quiet) = (None, true, false);
        self.members_mut(conversation)
            .for_each(|alert| alert.news = None);
    }

    fn told(&mut self, at: Second, name: &str, said: Said, whom: &[&str]) -> Option<Wrong> {
        let by_ladder = said != Said::News;
        let needs_nobody = |alert: &Alert| alert.is_nothing(at) && alert.left_out == 0;
        let for_nothing = self.members(name).all(needs_nobody);
        let is_consequence = said == Said::Ask && self.is_consequence(at, name);
        let known = self.conversation(name);
        let for_nothing = for_nothing && known.declared.is_none();
        let soon = known
            .asked_at
            .is_some_and(|then| at - then < ACK_WITHIN - GRACE);
        let covered = known.acknowledged_until > at + GRACE && !known.changed && !known.was_quiet;
        let first = known.first.filter(|_| !known.is_mixed);
        let service = first.map(|(alert, _)| service_of(alert));
        let others = service.is_some_and(|service| !is_served_by(service, whom));
        let found = match (by_ladder, soon && !known.changed) {
            (true, true) => Some((Kind::AskedTwice, "nothing is new since the last ask")),
            (true, false) if for_nothing => Some((Kind::AskedForNothing, "nothing fires aloud")),
            (true, false) if covered => Some((Kind::AskedForNothing, "it is acknowledged")),
            _ if said == Said::Ask && others => {
                Some((Kind::AskedOthers, "another rotation serves it"))
            }
            _ if is_consequence => Some((Kind::AskedAboutConsequence, "its cause is asked about")),
            _ => None,
        };
        if by_ladder {
            known.told_at = Some(at);
            known.asked_at = Some(at);
            if said == Said::Ask && known.taken_up == Some(u8::MAX) {
                // It was worse than what was taken up, as is seen now.
                known.acknowledged_until = 0;
            }
            if said == Said::StillYours {
                // Whoever does not answer does not have it any more.
                known.acknowledged_until = known.acknowledged_until.min(at + ACK_WITHIN);
            }
            let is_everybody = whom.len() >= PEOPLE;
            known.rungs = if is_everybody { RUNGS } else { known.rungs + 1 };
            known.changed = false;
        }
        let known: Vec<(usize, u8)> = self
            .members_mut(name)
            .filter_map(|alert| alert.news.take().map(|_| (alert.kind, alert.severity)))
            .collect();
        let conversation = self.conversation(name);
        for (kind, severity) in known {
            conversation.kinds.insert(kind);
            match conversation.taken_up {
                // How bad it was is not known: it may be worse, or not.
                Some(u8::MAX) => conversation.changed = true,
                // It is worse than what was taken up: the ladder begins anew.
                Some(worst) if severity < worst => conversation.acknowledged_until = 0,
                _ => {}
            }
            let worst = conversation.worst.unwrap_or(severity);
            conversation.worst = Some(worst.min(severity));
        }
        found.map(|(kind, what)| wrong(kind, at, name, what))
    }

    /// Time has come to this; what has not been done by now.
    pub fn pass(&mut self, at: Second) -> Option<Wrong> {
        let alerts = self.alerts.values_mut();
        let settled = alerts.filter_map(|alert| alert.settle(at).then_some(alert.number));
        for alert in settled.collect::<Vec<_>>() {
            self.changed(alert);
        }
        let names: Vec<String> = self.conversations.keys().cloned().collect();
        names.iter().find_map(|name| self.pass_for(at, name))
    }

    fn pass_for(&mut self, at: Second, name: &str) -> Option<Wrong> {
        self.excuse(at, name);
        let declared = self.conversations.get(name);
        let declared = declared.is_some_and(|one| one.declared.is_some());
        let active = declared || self.members(name).any(|alert| alert.is_asked_about(at));
        let over =
            |alert: &Alert| !alert.firing && alert.sure && alert.left_out == 0 && !alert.flaps(at);
        let quiet = !declared && self.members(name).all(over);
        // What flaps may count as firing, or may not yet.
        let may_be_quiet = self.members(name).all(|alert| !alert.firing && alert.sure);
        let excused = self.excused_until;
        let known = self.conversation(name);
        known.was_quiet |= may_be_quiet;
        known.quiet_since = quiet.then(|| known.quiet_since.unwrap_or(at));
        if known.quiet_since.is_some_and(|since| at - since >= QUIET) {
            let quiet_since = known.quiet_since;
            *known = Conversation {
                quiet_since,
                first: known.first,
                is_mixed: known.is_mixed,
                ..Conversation::default()
            };
        }
        let covered = known.acknowledged_until > at;
        if known.acknowledged_until > 0 && !covered {
            (known.acknowledged_until, known.changed) = (0, true);
        }
        if !active || covered {
            known.since = None;
        } else {
            known.changed |= known.since.is_none();
            let since = *known.since.get_or_insert(at);
            let pause = if known.rungs < RUNGS {
                ACK_WITHIN
            } else {
                EVERYBODY
            };
            let again = known.told_at.map_or(0, |then| then + pause);
            if at > again.max(since).max(excused) + GRACE {
                let what = match known.told_at {
                    Some(then) => format!("it fires aloud; the last ask was {} s ago", at - then),
                    None => format!("it fires aloud for {} s", at - since),
                };
                return Some(wrong(Kind::NobodyAsked, at, name, &what));
            }
        }
        // Before it is told somewhere, it is not news there.
        (!name.is_empty()).then(|| self.news(at, name, covered))?
    }

    /// Who has taken it up hears of what is new to it, and of what makes it worse.
    fn news(&mut self, at: Second, name: &str, covered: bool) -> Option<Wrong> {
        let excused = self.excused_until;
        let known = self.conversation(name);
        let (mut kinds, mut worst) = (std::mem::take(&mut known.kinds), known.worst);
        // Who took it up when it was milder has to hear of it, whatever it was before that.
        let taken_up = known.taken_up.filter(|worst| covered && *worst < u8::MAX);
        let mut unheard = None;
        for alert in self.members_mut(name) {
            let Some(since) = alert.news.filter(|since| at > *since) else {
                continue;
            };
            let is_consequence = alert.excused_until > at;
            if !alert.is_loud(at) {
                // It is news once somebody is to be asked.
                alert.news = Some(at);
                continue;
            }
            let is_new = !kinds.contains(&alert.kind);
            let is_worse = [worst, taken_up]
                .into_iter()
                .flatten()
                .any(|before| alert.severity < before);
            let is_news = if is_consequence {
                // Whoever has the cause has this as well.
                false
            } else if alert.worse {
                is_worse
            } else {
                covered && (is_new || is_worse)
            };
            if is_news && at <= since.max(excused) + GRACE {
                // There is still time.
                continue;
            }
            if is_news {
                unheard = Some(alert.kind);
            }
            alert.news = None;
            kinds.insert(alert.kind);
            worst = Some(worst.unwrap_or(alert.severity).min(alert.severity));
        }
        let known = self.conversation(name);
        (known.kinds, known.worst) = (kinds, worst);
        let what = format!("alert {} began, or got worse", unheard?);
        Some(wrong(Kind::NewsUnheard, at, name, &what))
    }

    fn changed(&mut self, alert: usize) {
        let key = self
            .alerts
            .get(&alert)
            .and_then(|one| one.conversation.clone());
        self.conversation(&key.unwrap_or_default()).changed = true;
    }

    fn conversation(&mut self, name: &str) -> &mut Conversation {
        self.conversations.entry(name.to_owned()).or_default()
    }

    fn members(&self, name: &str) -> impl Iterator<Item = &Alert> {
        let all = self.alerts.values();
        all.filter(move |alert| alert.conversation.as_deref().unwrap_or_default() == name)
    }

    fn members_mut(&mut self, name: &str) -> impl Iterator<Item = &mut Alert> {
        let all = self.alerts.values_mut();
        all.filter(move |alert| alert.conversation.as_deref().unwrap_or_default() == name)
    }
}

fn wrong(kind: Kind, at: Second, conversation: &str, what: &str) -> Wrong {
    let what = format!("{conversation}: {what}");
    Wrong { kind, at, what }
}

/// Goes through facts, which are in the order of time, and further until `end`; the first wrong.
pub fn judge(facts: &[(Second, Fact)], end: Second) -> Option<Wrong> {
    let mut model = Model::default();
    let mut now = 0;
    for (at, fact) in facts {
        while now + 10 <= *at {
            now += 10;
            if let Some(wrong) = model.pass(now) {
                return Some(wrong);
            }
        }
        if let Some(wrong) = model.pass(*at).or_else(|| model.learn(*at, fact)) {
            return Some(wrong);
        }
    }
    while now < end {
        now += 10;
        if let Some(wrong) = model.pass(now) {
            return Some(wrong);
        }
    }
    None
}
