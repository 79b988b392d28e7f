//! A run that is driven by hand; simulated schedules are in `simulation`.

mod people;
mod simulation;
mod steps;

use jiff::Timestamp;
use serde_json::{Value, json};
use treasury_domain::Role;

use super::*;
use crate::model::Runbook;
use crate::source::Source;
use crate::types::Type;
use crate::vocabulary::{Callable, Vocabulary};

fn vocabulary() -> Vocabulary {
    let callable = |changes| Callable {
        summary: String::new(),
        changes,
        needs: Role::Responder,
        params: json!({"type": "object"}),
        result: Type::Any,
    };
    let names = [
        ("service.stats", false),
        ("service.status", false),
        ("service.restart", true),
        ("service.scale", true),
    ];
    Vocabulary {
        callables: names
            .into_iter()
            .map(|(name, changes)| (name.to_owned(), callable(changes)))
            .collect(),
        ..Vocabulary::default()
    }
}

fn runbook(text: &str) -> Runbook {
    let source = Source::new("test.yml", text);
    crate::read(&source).unwrap_or_else(|findings| {
        let all: Vec<String> = findings
            .iter()
            .map(|f| source.explain(f).to_string())
            .collect();
        panic!("{}", all.join("\n"))
    })
}

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + seconds).unwrap()
}

fn start(hold_ms: u64) -> Start {
    let Value::Object(params) = json!({"service": "api", "limit": 90}) else {
        panic!("a record");
    };
    Start {
        params,
        by_id: "U1".into(),
        by: "ana".into(),
        role: Role::Responder,
        callers: Vec::new(),
        approvals: Vec::new(),
        incident: None,
        rehearsal: false,
        at: at(0),
        hold_ms,
    }
}

/// A run that is driven by hand.
struct Hand<'r> {
    drive: Drive<'r>,
    now: i64,
    announcements: Vec<Announcement>,
}

impl<'r> Hand<'r> {
    fn new(runbook: &'r Runbook, vocabulary: &'r Vocabulary) -> Self {
        Self::with(runbook, vocabulary, start(0))
    }

    fn with(runbook: &'r Runbook, vocabulary: &'r Vocabulary, start: Start) -> Self {
        let mut hand = Self {
            drive: Drive::new(runbook, vocabulary, RunState::new(7, start)),
            now: 0,
            announcements: Vec::new(),
        };
        hand.go();
        hand
    }

    fn go(&mut self) {
        let batch = self.drive.advance(at(self.now));
        self.announcements.extend(batch.announcements);
    }

    /// What is started now, changes begun at once.
    fn calls(&mut self) -> Vec<String> {
        let mut calls = Vec::new();
        for wanted in self.drive.start(at(self.now)) {
            if wanted.begin {
                self.drive.started(&wanted.path);
            }
            calls.push(format!("{} {}", wanted.path, wanted.call.name));
        }
        // What has just been begun is wanted under way as well.
        self.drive.start(at(self.now));
        calls
    }

    fn good(&mut self, path: &str, result: Value) {
        self.tells(path, result, "good");
    }

    fn tells(&mut self, path: &str, result: Value, line: &str) {
        let attempt = self.drive.state().steps[path].attempt;
        let line = line.into();
        assert!(
            self.drive
                .finished(path, attempt, Outcome::Good { result, line }, at(self.now))
        );
        self.go();
    }

    fn bad(&mut self, path: &str) {
        let attempt = self.drive.state().steps[path].attempt;
        let (line, retry) = ("bad".into(), true);
        assert!(
            self.drive
                .finished(path, attempt, Outcome::Bad { line, retry }, at(self.now))
        );
        self.go();
    }

    fn wait(&mut self, seconds: i64) {
        self.now += seconds;
        self.go();
    }

    fn phase(&self, path: &str) -> Phase {
        self.drive.state().steps[path].phase
    }

    fn verdict(&self) -> Option<Verdict> {
        self.drive.state().verdict
    }
}

fn person(id: &str, answer: &str, role: Role) -> Vote {
    Vote {
        by_id: id.into(),
        by: id.to_lowercase(),
        answer: answer.into(),
        note: None,
        role,
    }
}
