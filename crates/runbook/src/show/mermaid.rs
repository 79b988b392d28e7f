//! A runbook as a Mermaid flow chart.

use super::words::{Style, description};
use crate::model::{OnFailure, Runbook, Step, Work};

/// Most characters of a label.
const LABEL: usize = 80;

/// A Mermaid flow chart. Boxes come first and arrows after all of them: an arrow within a
/// `subgraph` would draw what it leads from into it.
pub fn mermaid(runbook: &Runbook) -> String {
    let mut chart = Chart {
        boxes: String::new(),
        arrows: String::new(),
        depth: 1,
    };
    chart.line("begin([\"begin\"])");
    let mut ways = vec![Way::from("begin")];
    chart.list(&runbook.steps, &mut ways);
    if !runbook.finally.is_empty() {
        chart.open("finally", "At the end in any case");
        chart.list(&runbook.finally, &mut ways);
        chart.close();
    }
    chart.line("finish([\"end\"])");
    chart.lead(&ways, "finish");
    format!("flowchart TD\n{}{}", chart.boxes, chart.arrows)
}

/// Where what follows is come to from.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Way {
    from: String,
    label: Option<&'static str>,
}

impl Way {
    fn from(from: &str) -> Self {
        Self::labelled(from, None)
    }

    fn labelled(from: &str, label: Option<&'static str>) -> Self {
        Self {
            from: from.to_owned(),
            label,
        }
    }
}

struct Chart {
    boxes: String,
    arrows: String,
    depth: usize,
}

impl Chart {
    fn line(&mut self, line: &str) {
        self.boxes
            .push_str(&format!("{}{line}\n", "  ".repeat(self.depth)));
    }

    fn open(&mut self, id: &str, label: &str) {
        self.line(&format!("subgraph {id}[\"{}\"]", safe(label)));
        self.depth += 1;
    }

    fn close(&mut self) {
        self.depth -= 1;
        self.line("end");
    }

    fn lead(&mut self, ways: &[Way], to: &str) {
        for Way { from, label } in ways {
            let label = label.map(|label| format!("|{label}|")).unwrap_or_default();
            self.arrows.push_str(&format!("  {from} -->{label} {to}\n"));
        }
    }

    /// Draws a list; `ways` lead into it, and out of it afterwards.
    fn list(&mut self, steps: &[Step], ways: &mut Vec<Way>) {
        for step in steps {
            self.step(step, ways);
            if let OnFailure::Goto(to) = &step.on_failure
                && let Some(to) = steps.iter().find(|step| step.id.value == to.value)
            {
                let line = format!("  {} -.->|fails| {}\n", body(step), entry(to));
                self.arrows.push_str(&line);
            }
        }
    }

    fn step(&mut self, step: &Step, ways: &mut Vec<Way>) {
        let own = body(step);
        let mut around = Vec::new();
        if let Some(when) = &step.when {
            let ask = entry(step);
            self.line(&format!("{ask}{{\"{}?\"}}", safe(&when.written)));
            self.lead(ways, &ask);
            *ways = vec![Way::labelled(&ask, Some("yes"))];
            around.push(Way::labelled(&ask, Some("no")));
        }
        let looped = step.for_each.as_ref();
        let grouped = matches!(step.work, Work::Parallel(_) | Work::Block(_));
        if grouped || looped.is_some() {
            let each = looped.map(|list| format!("For each of {}: ", list.written));
            self.open(
                &own,
                &format!("{}{}", each.unwrap_or_default(), label(step)),
            );
        }
        match &step.work {
            Work::Parallel(inner) => {
                let from = std::mem::take(ways);
                for one in inner {
                    let mut branch = from.clone();
                    self.step(one, &mut branch);
                    ways.extend(branch);
                }
            }
            Work::Block(inner) => self.list(inner, ways),
            _ => {
                // Within the frame of a loop it needs a name of its own.
                let id = match looped {
                    Some(_) => format!("each_{}", step.id.value),
                    None => own,
                };
                let (open, close) = shape(step);
                self.line(&format!("{id}{open}\"{}\"{close}", safe(&label(step))));
                self.lead(ways, &id);
                let label = matches!(step.work, Work::Approve { .. }).then_some("approved");
                *ways = vec![Way::labelled(&id, label)];
            }
        }
        if grouped || looped.is_some() {
            self.close();
        }
        ways.extend(around);
    }
}

/// The brackets of a box: decisions of people are diamonds.
fn shape(step: &Step) -> (&'static str, &'static str) {
    match &step.work {
        Work::Approve { .. } | Work::Ask { .. } => ("{", "}"),
        Work::Assert { .. } => ("{{", "}}"),
        Work::Manual { .. } => ("[/", "/]"),
        _ => ("[", "]"),
    }
}

/// The box or the frame of a step. Its words can't meet those of [`entry`] or Mermaid's own.
fn body(step: &Step) -> String {
    format!("s_{}", step.id.value)
}

/// What leads into a step: its condition, if it has one.
fn entry(step: &Step) -> String {
    if step.when.is_some() {
        format!("if_{}", step.id.value)
    } else {
        body(step)
    }
}

fn label(step: &Step) -> String {
    match (&step.title, &step.work) {
        (Some(title), _) => title.written(),
        (None, Work::Approve { text, .. } | Work::Ask { text, .. }) => text.written(),
        (None, _) => description(step, Style::Plain),
    }
}

/// A label that can't end its box, and says nothing to Mermaid.
fn safe(label: &str) -> String {
    let words = super::one_line(label);
    let mut text: String = words
        .chars()
        .map(|c| match c {
            '"' | '`' => '\'',
            '[' | '{' => '(',
            ']' | '}' => ')',
            '<' => '‹',
            '>' => '›',
            '&' => '+',
            ';' => ',',
            '#' | '\\' => ' ',
            c if c.is_control() => ' ',
            c => c,
        })
        .take(LABEL)
        .collect();
    if words.chars().count() > LABEL {
        text.push('…');
    }
    if text.trim().is_empty() {
        "–".to_owned()
    } else {
        text
    }
}
