//! What a runbook's words mean, checked before it runs: names, types, parameters, results that may
//! not exist, steps that can't be reached, loops, missing time-outs.

mod call;
mod scope;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use self::scope::Seen;
use super::expr::{self, Scope};
use super::model::{OnFailure, ParamKind, Retry, Runbook, Step, Wait, Work, walk};
use super::source::{Finding, Span};
use super::template::{Condition, Template};
use super::types::Type;
use super::vocabulary::Vocabulary;
use crate::domain::duration;

/// Most steps of a runbook.
const MAX_STEPS: usize = 200;
/// Deepest nesting of lists of steps.
const MAX_DEPTH: usize = 4;

/// All that is wrong in a runbook, in the order of its text.
pub fn check(runbook: &Runbook, vocabulary: &Vocabulary) -> Vec<Finding> {
    let mut checker = Checker {
        runbook,
        vocabulary,
        findings: Vec::new(),
        used: BTreeSet::new(),
    };
    checker.runbook();
    let mut findings = checker.findings;
    findings.sort_by(|a, b| a.span.cmp(&b.span).then(a.message.cmp(&b.message)));
    findings.dedup();
    findings
}

struct Checker<'a> {
    runbook: &'a Runbook,
    vocabulary: &'a Vocabulary,
    findings: Vec<Finding>,
    /// Parameters that something speaks of.
    used: BTreeSet<String>,
}

/// Where a list of steps stands.
#[derive(Clone)]
struct Place {
    scope: Scope,
    depth: usize,
    loops: usize,
    parallel: bool,
    at_end: bool,
    /// Something around may be left out or fail.
    unsure: bool,
}

impl Checker<'_> {
    fn wrong(&mut self, finding: Finding) {
        self.findings.push(finding);
    }

    fn runbook(&mut self) {
        let runbook = self.runbook;
        self.ids();
        self.params();
        self.cycle();
        let params = runbook
            .params
            .iter()
            .map(|param| (param.name.value.clone(), param.value_type()));
        let run = [
            ("id".to_owned(), Type::Number),
            ("by".to_owned(), Type::Text),
            ("started_at".to_owned(), Type::Text),
        ];
        let incident = [
            ("id".to_owned(), Type::Number),
            ("title".to_owned(), Type::Text),
        ];
        let names: BTreeMap<String, Type> = [
            ("params".to_owned(), Type::record(params)),
            ("run".to_owned(), Type::record(run)),
            ("incident".to_owned(), Type::record(incident).optional()),
            ("steps".to_owned(), Type::record([])),
        ]
        .into();
        let all = runbook.all_steps();
        let place = Place {
            scope: Scope {
                names,
                absent: all.iter().map(|step| step.id.value.clone()).collect(),
                present: BTreeSet::new(),
            },
            depth: 1,
            loops: 0,
            parallel: false,
            at_end: false,
            unsure: false,
        };
        let seen = self.list(&runbook.steps, &place);
        let mut end = place;
        end.at_end = true;
        end.scope.names.insert("verdict".to_owned(), Type::Text);
        for mut one in seen {
            one.found = one.found.optional();
            one.enter(&mut end.scope);
        }
        self.list(&runbook.finally, &end);
        for param in &runbook.params {
            if !self.used.contains(&param.name.value) {
                let finding = Finding::warning(
                    param.name.span,
                    format!("the parameter `{}` is never used", param.name.value),
                );
                self.wrong(finding);
            }
        }
    }

    fn ids(&mut self) {
        let all = self.runbook.all_steps();
        if all.len() > MAX_STEPS {
            self.wrong(
                Finding::error(
                    self.runbook.name.span,
                    format!(
                        "a runbook has at most {MAX_STEPS} steps; this one has {}",
                        all.len()
                    ),
                )
                .help("put some into a runbook of their own and call it with `runbook:`"),
            );
        }
        let mut known: BTreeMap<&str, Span> = BTreeMap::new();
        for step in all {
            if known.insert(&step.id.value, step.id.span).is_some() {
                self.wrong(Finding::error(
                    step.id.span,
                    format!("there is another step `{}`", step.id.value),
                ));
            }
        }
    }

    fn params(&mut self) {
        let Some(services) = &self.vocabulary.services else {
            return;
        };
        for param in &self.runbook.params {
            let service = param.default.as_ref().and_then(|value| value.as_str());
            if let (ParamKind::Service, Some(service)) = (param.kind, service)
                && !services.contains(service)
            {
                let finding = Finding::warning(
                    param.name.span,
                    format!("there is no service `{service}` here"),
                );
                let near = finding.near(service, services.iter().map(String::as_str));
                self.findings.push(near);
            }
        }
    }

    /// A runbook that calls itself, by whatever way.
    fn cycle(&mut self) {
        let own = &self.runbook.name.value;
        for step in self.runbook.all_steps() {
            let Work::Runbook { name, .. } = &step.work else {
                continue;
            };
            let mut todo = vec![name.value.clone()];
            let mut done = BTreeSet::new();
            while let Some(next) = todo.pop() {
                if next == *own {
                    let way = if name.value == *own {
                        format!("`{own}` calls itself: it would never end")
                    } else {
                        format!("`{}` calls `{own}` again: it would never end", name.value)
                    };
                    self.wrong(Finding::error(name.span, way));
                    break;
                }
                if done.insert(next.clone())
                    && let Some(called) = self.vocabulary.runbooks.get(&next)
                {
                    todo.extend(called.calls.iter().cloned());
                }
            }
        }
    }

    /// Checks a list and returns what those behind it see of it.
    fn list(&mut self, steps: &[Step], place: &Place) -> Vec<Seen> {
        let mut place = place.clone();
        if place.depth > MAX_DEPTH {
            if let Some(step) = steps.first() {
                self.wrong(Finding::error(
                    step.span,
                    format!("steps are nested more than {MAX_DEPTH} deep"),
                ));
            }
            return Vec::new();
        }
        let jumped = self.gotos(steps, &place);
        let mut all = Vec::new();
        let mut dead: Option<&Step> = None;
        for step in steps {
            if let Some(before) = dead.filter(|_| !jumped.targets.contains(&step.id.value)) {
                self.wrong(Finding::error(
                    step.span,
                    format!(
                        "this step is never reached: `{}` before it always fails",
                        before.id.value
                    ),
                ));
                dead = None;
            }
            let mut own = place.clone();
            own.unsure |= jumped.over.contains(&step.id.value);
            let seen = self.step(step, &own);
            for one in &seen {
                // In a parallel list nobody sees the others.
                if !place.parallel {
                    one.enter(&mut place.scope);
                }
            }
            all.extend(seen);
            if always_fails(step) && step.on_failure == OnFailure::Stop {
                dead = Some(step);
            }
        }
        all
    }

    fn gotos(&mut self, steps: &[Step], place: &Place) -> Jumps {
        let mut jumps = Jumps::default();
        for (from, step) in steps.iter().enumerate() {
            let OnFailure::Goto(to) = &step.on_failure else {
                continue;
            };
            if place.parallel {
                self.wrong(Finding::error(
                    to.span,
                    "there is no order between parallel steps to go on in",
                ));
                continue;
            }
            match steps.iter().position(|step| step.id.value == to.value) {
                Some(at) if at > from => {
                    jumps.targets.insert(to.value.clone());
                    jumps
                        .over
                        .extend(steps[from + 1..at].iter().map(|s| s.id.value.clone()));
                }
                Some(_) => self.wrong(
                    Finding::error(
                        to.span,
                        format!(
                            "`{}` stands before this step: that would be a loop",
                            to.value
                        ),
                    )
                    .help("`retry:` tries a step again; `wait: {until: …}` asks again"),
                ),
                None => {
                    let known = steps[from + 1..].iter().map(|s| s.id.value.as_str());
                    let finding = Finding::error(
                        to.span,
                        format!("there is no later step `{}` in this list", to.value),
                    );
                    self.wrong(finding.near(&to.value, known));
                }
            }
        }
        jumps
    }

    fn step(&mut self, step: &Step, place: &Place) -> Vec<Seen> {
        let mut place = place.clone();
        let unsure = place.unsure || step.when.is_some() || step.on_failure != OnFailure::Stop;
        if let Some(when) = &step.when {
            self.condition(when, &place.scope, "`when`");
            self.constant(when);
            place.scope = place.scope.given(&when.expr);
        }
        self.patience(step, &place);
        if let Some(list) = &step.for_each {
            let found = self.typed(list, &place.scope);
            let item = match found {
                Type::List(item) => *item,
                Type::Any => Type::Any,
                other => {
                    self.wrong(Finding::error(
                        list.span,
                        format!("`for_each` goes over a list; this is {other}"),
                    ));
                    Type::Any
                }
            };
            place.loops += 1;
            if place.loops > 2 {
                self.wrong(Finding::error(
                    list.span,
                    "more than two loops in each other",
                ));
            }
            place.scope.names.insert("item".to_owned(), item);
            place.scope.names.insert("index".to_owned(), Type::Number);
        }
        if let Some(title) = &step.title {
            self.template(title, &place.scope);
        }
        let mut inner = Vec::new();
        let result = match &step.work {
            Work::Parallel(steps) | Work::Block(steps) => {
                let mut within = place.clone();
                within.depth += 1;
                within.parallel = matches!(step.work, Work::Parallel(_));
                within.unsure = false;
                inner = self.list(steps, &within);
                if within.parallel {
                    self.same_service(steps);
                }
                Type::record([])
            }
            work => self.work(step, work, &place),
        };
        let own = if step.for_each.is_some() {
            let each = match &step.work {
                Work::Parallel(_) | Work::Block(_) => {
                    Type::record(inner.iter().map(|one| (one.id.clone(), one.found.clone())))
                }
                _ if step.on_failure == OnFailure::Stop => result,
                _ => result.optional(),
            };
            inner.clear();
            Type::List(Box::new(each))
        } else {
            result
        };
        let sure = |found: Type| if unsure { found.optional() } else { found };
        let mut seen = vec![Seen {
            id: step.id.value.clone(),
            found: sure(own),
        }];
        seen.extend(inner.into_iter().map(|one| Seen {
            found: sure(one.found),
            ..one
        }));
        seen
    }

    /// What a step does, and the type of what it gives.
    fn work(&mut self, step: &Step, work: &Work, place: &Place) -> Type {
        let scope = &place.scope;
        match work {
            Work::Use(call) => self.used_call(call, scope),
            Work::Runbook { name, with } => self.called_runbook(name, with, scope),
            Work::Wait(wait) => {
                if let Wait::Computed(template) = wait {
                    let found = self.template(template, scope);
                    if !(Type::Number.takes(&found) || Type::Text.takes(&found)) {
                        self.wrong(
                            Finding::error(template.span, format!("this is {found}"))
                                .help("a duration such as `2m`, or a number of milliseconds"),
                        );
                    }
                }
                Type::record([])
            }
            Work::Ask { text, choices, .. } => {
                self.template(text, scope);
                for (n, choice) in choices.iter().enumerate() {
                    if choices[..n].iter().any(|other| other.value == choice.value) {
                        self.wrong(Finding::error(choice.span, "this choice stands twice"));
                    }
                }
                Type::record([
                    ("answer".to_owned(), Type::Text),
                    ("by".to_owned(), Type::Text),
                ])
            }
            Work::Approve { text, .. } => {
                self.template(text, scope);
                Type::record([("by".to_owned(), Type::List(Box::new(Type::Text)))])
            }
            Work::Manual { text, .. } => {
                self.template(text, scope);
                Type::record([
                    ("by".to_owned(), Type::Text),
                    ("note".to_owned(), Type::Text.optional()),
                ])
            }
            Work::Assert { condition, message } => {
                self.condition(condition, scope, "`assert`");
                if let Some(message) = message {
                    self.template(message, scope);
                }
                if !always_fails(step) {
                    self.constant(condition);
                }
                Type::record([])
            }
            Work::Note(text) | Work::Notify(text) => {
                self.template(text, scope);
                Type::record([])
            }
            Work::Parallel(_) | Work::Block(_) => Type::record([]),
        }
    }

    /// Time-outs and attempts.
    fn patience(&mut self, step: &Step, place: &Place) {
        let asks = matches!(
            step.work,
            Work::Ask { .. } | Work::Approve { .. } | Work::Manual { .. }
        );
        let until = matches!(&step.work, Work::Use(call) if call.until.is_some());
        if (asks || until) && step.timeout.is_none() {
            let what = if asks { "people are" } else { "it is" };
            self.wrong(
                Finding::error(step.span, format!("{what} waited for without a time-out"))
                    .help("add `timeout: 30m`"),
            );
        }
        if asks && place.at_end {
            self.wrong(Finding::warning(
                step.span,
                "the steps at the end should not wait for people",
            ));
        }
        let waits = match &step.work {
            Work::Wait(Wait::Fixed(time)) => Some(*time),
            _ => step.timeout,
        };
        if let Some(time) = waits.filter(|time| *time > self.runbook.timeout) {
            self.wrong(
                Finding::error(
                    step.span,
                    format!(
                        "this takes up to {}, but the whole run only {}",
                        duration::text(time),
                        duration::text(self.runbook.timeout)
                    ),
                )
                .help("raise the runbook's `timeout`"),
            );
        }
        let again = matches!(step.work, Work::Use(_) | Work::Runbook { .. });
        if step.retry != Retry::ONCE && !again {
            self.wrong(Finding::error(
                step.span,
                format!("`{}` can't be tried again by itself", step.verb()),
            ));
        }
        if step.retry.delay > Duration::from_secs(3_600) {
            self.wrong(Finding::error(step.span, "`delay` is at most an hour"));
        }
    }

    /// Two changes of one service at the same time: the second only waits for the first.
    fn same_service(&mut self, steps: &[Step]) {
        let mut known: BTreeMap<String, Span> = BTreeMap::new();
        for step in walk(steps) {
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
            if let (true, Some(serde_json::Value::String(service))) = (changes, service)
                && known.insert(service.clone(), step.span).is_some()
            {
                self.wrong(Finding::warning(
                    call.name.span,
                    format!(
                        "another step beside this one changes `{service}` as well: they take turns"
                    ),
                ));
            }
        }
    }

    fn condition(&mut self, condition: &Condition, scope: &Scope, what: &str) {
        let found = self.typed(condition, scope);
        if !Type::Bool.takes(&found) {
            self.wrong(Finding::error(
                condition.span,
                format!("{what} is true or false; this is {found}"),
            ));
        }
    }

    fn constant(&mut self, condition: &Condition) {
        match condition.expr.kind {
            expr::Kind::Bool(true) => self.wrong(Finding::warning(
                condition.span,
                "this always holds: leave it out",
            )),
            expr::Kind::Bool(false) => self.wrong(Finding::error(
                condition.span,
                "this never holds: the step is never reached",
            )),
            _ => {}
        }
    }

    fn typed(&mut self, condition: &Condition, scope: &Scope) -> Type {
        self.mark(&condition.expr);
        condition.check(scope, &mut self.findings)
    }

    fn template(&mut self, template: &Template, scope: &Scope) -> Type {
        for expr in template.expressions() {
            self.mark(expr);
        }
        template.check(scope, &mut self.findings)
    }

    /// Remembers the parameters that an expression speaks of.
    fn mark(&mut self, expr: &expr::Expr) {
        scope::params_of(expr, &mut self.used);
    }
}

#[derive(Default)]
struct Jumps {
    /// Steps that are gone on at.
    targets: BTreeSet<String>,
    /// Steps that may be jumped over.
    over: BTreeSet<String>,
}

fn always_fails(step: &Step) -> bool {
    step.when.is_none()
        && matches!(
            &step.work,
            Work::Assert { condition, .. } if condition.expr.kind == expr::Kind::Bool(false)
        )
}
