//! How long steps may take, how often they are tried, and what they do beside each other.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde_json::Value;

use super::{Checker, Place};
use crate::model::{Retry, Step, Wait, Work, walk};
use treasury_domain::duration;

impl Checker<'_> {
    /// Time-outs and attempts.
    pub(super) fn patience(&mut self, step: &Step, place: &Place) {
        let asks = matches!(
            step.work,
            Work::Ask { .. } | Work::Approve { .. } | Work::Manual { .. }
        );
        let until = match &step.work {
            Work::Use(call) => call.until.as_ref(),
            _ => None,
        };
        if (asks || until.is_some()) && step.timeout.is_none() {
            let what = if asks { "people are" } else { "it is" };
            self.error_help(
                step.span,
                format!("{what} waited for without a time-out"),
                "add `timeout: 30m`",
            );
        }
        if let (Some(until), Some(timeout)) = (until, step.timeout)
            && until.every >= timeout
        {
            self.warning_help(
                until.condition.span,
                format!(
                    "it is asked every {}, but for {} at most: only once",
                    duration::text(until.every),
                    duration::text(timeout)
                ),
                "make `every` shorter, or `timeout` longer",
            );
        }
        if asks && place.at_end {
            self.warning(step.span, "the steps at the end should not wait for people");
        }
        let timed = asks || matches!(step.work, Work::Use(_));
        if step.timeout.is_some() && !timed {
            let help = match step.work {
                Work::Parallel(_) | Work::Block(_) => "give it to the steps within",
                Work::Runbook { .. } => "the other runbook has a `timeout` of its own",
                _ => "leave it out",
            };
            self.warning_help(
                step.span,
                format!("`timeout` means nothing to `{}`", step.verb()),
                help,
            );
        }
        let waits = match &step.work {
            Work::Wait(Wait::Fixed(time)) => Some(*time),
            _ => step.timeout,
        };
        if let Some(time) = waits.filter(|time| *time > self.runbook.timeout) {
            self.error_help(
                step.span,
                format!(
                    "this takes up to {}, but the whole run only {}",
                    duration::text(time),
                    duration::text(self.runbook.timeout)
                ),
                "raise the runbook's `timeout`",
            );
        }
        let again = matches!(step.work, Work::Use(_) | Work::Runbook { .. });
        if step.retry != Retry::ONCE && !again {
            self.error(
                step.span,
                format!("`{}` can't be tried again by itself", step.verb()),
            );
        }
        if step.retry.delay > Duration::from_secs(3_600) {
            self.error(step.span, "`delay` is at most an hour");
        }
    }

    /// Two changes of one service at the same time: the second only waits for the first.
    pub(super) fn same_service(&mut self, branches: &[Step]) {
        let mut known: BTreeSet<String> = BTreeSet::new();
        for branch in branches {
            // Within a branch they come one after the other anyway.
            let mut own = BTreeMap::new();
            for step in walk(std::slice::from_ref(branch)) {
                let Work::Use(call) = &step.work else {
                    continue;
                };
                let changes = self
                    .vocabulary
                    .callables
                    .get(&call.name.value)
                    .is_some_and(|callable| callable.changes);
                let service = call
                    .with
                    .iter()
                    .find(|(name, _)| name.value == "service")
                    .and_then(|(_, shape)| shape.value.fixed());
                if let (true, Some(Value::String(service))) = (changes, service) {
                    own.entry(service).or_insert(call.name.span);
                }
            }
            for (service, span) in own {
                if known.contains(&service) {
                    self.warning(span, format!(
                            "another step beside this one changes `{service}` as well: they take turns"
                        ));
                }
                known.insert(service);
            }
        }
    }
}
