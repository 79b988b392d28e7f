//! What a runbook's words mean, checked before it runs: names, types, parameters, results that may
//! not exist, steps that can't be reached, loops, missing time-outs.

mod call;
mod fixed;
mod order;
mod patience;
mod scope;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use self::scope::Seen;
use super::expr::{Expr, Scope};
use super::model::{OnFailure, ParamKind, Runbook, Step, Wait, Work};
use super::read::{InPart, LeftOut};
use super::source::{Finding, Severity, Span};
use super::template::{Condition, Template};
use super::types::Type;
use super::vocabulary::Vocabulary;
use treasury_domain::Role;

/// Most steps of a runbook.
const MAX_STEPS: usize = 200;
/// Deepest nesting of lists of steps.
const MAX_DEPTH: usize = 4;

/// All that is wrong in a runbook, in the order of its text.
pub fn check(runbook: &Runbook, vocabulary: &Vocabulary) -> Vec<Finding> {
    checked(runbook, &LeftOut::default(), vocabulary)
}

/// The errors in what could be read of a runbook, beside those of form: none is told twice, and none
/// comes of what was left out.
pub fn check_in_part(part: &InPart, vocabulary: &Vocabulary) -> Vec<Finding> {
    let Some(runbook) = &part.runbook else {
        return Vec::new();
    };
    let mut findings = checked(runbook, &part.left_out, vocabulary);
    // What could not be read may be what a warning misses.
    findings.retain(|finding| finding.severity == Severity::Error);
    findings
}

fn checked(runbook: &Runbook, left_out: &LeftOut, vocabulary: &Vocabulary) -> Vec<Finding> {
    let mut checker = Checker {
        runbook,
        left_out,
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
    left_out: &'a LeftOut,
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

impl Place {
    /// The list `finally` itself, not one within it.
    fn is_finally(&self) -> bool {
        self.at_end && self.depth == 1
    }
}

impl Checker<'_> {
    fn wrong(&mut self, finding: Finding) {
        self.findings.push(finding);
    }

    fn error(&mut self, span: Span, message: impl Into<String>) {
        self.wrong(Finding::error(span, message));
    }

    fn error_help(&mut self, span: Span, message: impl Into<String>, help: impl Into<String>) {
        self.wrong(Finding::error(span, message).help(help));
    }

    fn warning(&mut self, span: Span, message: impl Into<String>) {
        self.wrong(Finding::warning(span, message));
    }

    fn warning_help(&mut self, span: Span, message: impl Into<String>, help: impl Into<String>) {
        self.wrong(Finding::warning(span, message).help(help));
    }

    fn runbook(&mut self) {
        let runbook = self.runbook;
        if !self.ids() {
            // What its steps see of each other would cost too much.
            return;
        }
        self.params();
        self.cycle();
        self.approvals();
        let params = runbook
            .params
            .iter()
            .map(|param| (param.name.value.clone(), param.value_type()));
        let run = [
            ("id", Type::Number),
            ("by", Type::Text),
            ("started_at", Type::Text),
        ];
        let incident = [("id", Type::Number), ("title", Type::Text)];
        let params = if self.left_out.params {
            Type::Any
        } else {
            Type::record(params)
        };
        let left_out = self.left_out.steps.iter();
        let left_out = left_out.map(|id| (id.clone(), Type::Any));
        let names: BTreeMap<String, Type> = [
            ("params".to_owned(), params),
            ("run".to_owned(), Type::fields(run)),
            ("incident".to_owned(), Type::fields(incident).optional()),
            ("steps".to_owned(), Type::record(left_out)),
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

    /// Whether there are few enough steps for the rest of the check.
    fn ids(&mut self) -> bool {
        let all = self.runbook.all_steps();
        if all.len() > MAX_STEPS {
            self.error_help(
                self.runbook.name.span,
                format!(
                    "a runbook has at most {MAX_STEPS} steps; this one has {}",
                    all.len()
                ),
                "put some into a runbook of their own and call it with `runbook:`",
            );
            return false;
        }
        let mut known: BTreeMap<&str, Span> = BTreeMap::new();
        for step in all {
            if known.insert(&step.id.value, step.id.span).is_some() {
                self.error(
                    step.id.span,
                    format!("there is another step `{}`", step.id.value),
                );
            }
        }
        true
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

    /// Changes that not everybody who may start a run may make, and that nothing before them has
    /// approved.
    fn approvals(&mut self) {
        let mut approved = Role::Responder;
        for step in self.runbook.all_steps() {
            match &step.work {
                Work::Approve { by, .. } => approved = approved.max(*by),
                Work::Use(call) => {
                    let callable = self.vocabulary.callables.get(&call.name.value);
                    let Some(needs) = callable.map(|known| known.needs).filter(|n| *n > approved)
                    else {
                        continue;
                    };
                    let finding = Finding::warning(
                        call.name.span,
                        format!(
                            "`{}` needs a {needs}: a run waits here for one",
                            call.name.value
                        ),
                    );
                    self.wrong(finding.help(format!(
                        "say before it what it means: `approve: {{text: …, by: {needs}, timeout: 30m}}`"
                    )));
                }
                _ => {}
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
                    self.error(name.span, way);
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
                self.error(
                    step.span,
                    format!("steps are nested more than {MAX_DEPTH} deep"),
                );
            }
            return Vec::new();
        }
        let jumped = self.gotos(steps, &place);
        self.unreached(steps, &jumped);
        let mut all = Vec::new();
        for step in steps {
            let mut own = place.clone();
            // The steps at the end are done though one before them failed.
            own.unsure |= jumped.over.contains(&step.id.value) || place.is_finally();
            let seen = self.step(step, &own);
            for one in &seen {
                // In a parallel list nobody sees the others.
                if !place.parallel {
                    one.enter(&mut place.scope);
                }
            }
            all.extend(seen);
        }
        all
    }

    fn step(&mut self, step: &Step, place: &Place) -> Vec<Seen> {
        let mut place = place.clone();
        let unsure = place.unsure || step.when.is_some() || step.on_failure != OnFailure::Stop;
        if let Some(when) = &step.when {
            self.condition(when, &place.scope, "`when`");
            self.decides(when);
            place.scope = place.scope.given(&when.expr);
        }
        self.patience(step, &place);
        if let Some(list) = &step.for_each {
            let found = self.typed(list, &place.scope);
            let item = match found {
                Type::List(item) => *item,
                Type::Any => Type::Any,
                other => {
                    let finding = Finding::error(
                        list.span,
                        format!("`for_each` goes over a list; this is {other}"),
                    );
                    let null =
                        matches!(&other, Type::Optional(inner) if matches!(**inner, Type::List(_)));
                    self.wrong(if null {
                        finding.help("write `default(…, [])` around it")
                    } else {
                        finding
                    });
                    Type::Any
                }
            };
            place.loops += 1;
            if place.loops > 2 {
                self.error(list.span, "more than two loops in each other");
            }
            // What is known of the item of a loop around does not hold for this one's.
            place
                .scope
                .present
                .retain(|path| path != "item" && !path.starts_with("item."));
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
            work => self.work(work, &place),
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
    fn work(&mut self, work: &Work, place: &Place) -> Type {
        let scope = &place.scope;
        match work {
            Work::Use(call) => self.used_call(call, scope),
            Work::Runbook { name, with } => self.called_runbook(name, with, scope),
            Work::Wait(wait) => {
                if let Wait::Computed(template) = wait {
                    let found = self.template(template, scope);
                    if !(Type::Number.takes(&found) || Type::Text.takes(&found)) {
                        self.error_help(
                            template.span,
                            format!("this is {found}"),
                            "a duration such as `2m`, or a number of milliseconds",
                        );
                    }
                }
                Type::record([])
            }
            Work::Ask { text, choices, .. } => {
                self.template(text, scope);
                for (n, choice) in choices.iter().enumerate() {
                    if choices[..n].iter().any(|other| other.value == choice.value) {
                        self.error(choice.span, "this choice stands twice");
                    }
                }
                Type::fields([("answer", Type::Text), ("by", Type::Text)])
            }
            Work::Approve { text, .. } => {
                self.template(text, scope);
                Type::fields([("by", Type::List(Box::new(Type::Text)))])
            }
            Work::Manual { text, .. } => {
                self.template(text, scope);
                Type::fields([("by", Type::Text), ("note", Type::Text.optional())])
            }
            Work::Assert { condition, message } => {
                self.condition(condition, scope, "`assert`");
                if let Some(message) = message {
                    self.template(message, scope);
                }
                // `assert: false` is how a runbook gives up; what follows it is looked at by
                // `unreached`.
                if order::constant(&condition.expr) == Some(true) {
                    self.warning(condition.span, "this always holds: leave it out");
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

    fn condition(&mut self, condition: &Condition, scope: &Scope, what: &str) {
        let found = self.typed(condition, scope);
        if !Type::Bool.takes(&found) {
            self.error(
                condition.span,
                format!("{what} is true or false; this is {found}"),
            );
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
    fn mark(&mut self, expr: &Expr) {
        scope::params_of(expr, &mut self.used);
    }
}
