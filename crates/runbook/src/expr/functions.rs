//! The functions that expressions may call.

use Gives::{Bool, Number as ANumber, Own, Text as AText};
use Takes::{Field, Flags, Items, Nullable, Number, Numbers, Step, Text, Texts, Value};

/// A function.
#[derive(Debug, Clone, Copy)]
pub(super) struct Function {
    /// Its name.
    pub(super) name: &'static str,
    /// How many arguments it needs.
    pub(super) least: usize,
    /// What it takes, with what may be left out.
    pub(super) takes: &'static [Takes],
    /// The type of its result.
    pub(super) gives: Gives,
    /// How it is written, and what it gives, for people.
    pub(super) about: &'static str,
}

/// What an argument has to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Takes {
    /// A number.
    Number,
    /// A text.
    Text,
    /// Anything but null.
    Value,
    /// Anything.
    Nullable,
    /// A list of truth values.
    Flags,
    /// A list of numbers; null items don't count.
    Numbers,
    /// A list of texts.
    Texts,
    /// Any list.
    Items,
    /// The name of a field of the items, in quotes.
    Field,
    /// The id of a step, in quotes.
    Step,
}

/// The type of a result.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Gives {
    /// A number.
    Number,
    /// A text.
    Text,
    /// `true` or `false`.
    Bool,
    /// It depends on the arguments.
    Own,
}

const fn f(
    name: &'static str,
    least: usize,
    takes: &'static [Takes],
    gives: Gives,
    about: &'static str,
) -> Function {
    Function {
        name,
        least,
        takes,
        gives,
        about,
    }
}

/// All of them, by name.
#[rustfmt::skip] // a row each
pub(super) const FUNCTIONS: [Function; 30] = [
    f("abs", 1, &[Number], ANumber, "abs(number): without its sign"),
    f("all", 1, &[Flags], Bool, "all(list): every item is true"),
    f("any", 1, &[Flags], Bool, "any(list): some item is true"),
    f("at_least", 2, &[Number, Number], ANumber, "at_least(a, b): the greater number"),
    f("at_most", 2, &[Number, Number], ANumber, "at_most(a, b): the lesser number"),
    f("avg", 1, &[Numbers, Number], Own, "avg(list, if_empty): mean of the numbers; null items don't count"),
    f("bytes", 1, &[Number], AText, "bytes(number): as text, such as `512 MiB`"),
    f("ceil", 1, &[Number], ANumber, "ceil(number): rounded up"),
    f("cut", 1, &[Step], Bool, "cut('step'): the step's result was too large, and lists or texts in it are shortened"),
    f("default", 2, &[Nullable, Value], Own, "default(a, b): a, or b where a is null or was skipped"),
    f("duration", 1, &[Number], AText, "duration(ms): as text, such as `2h 5m`"),
    f("failed", 1, &[Step], Bool, "failed('step'): the step failed"),
    f("first", 1, &[Items, Value], Own, "first(list, if_empty): the first item"),
    f("floor", 1, &[Number], ANumber, "floor(number): rounded down"),
    f("join", 2, &[Texts, Text], AText, "join(list, ', '): texts as one text"),
    f("last", 1, &[Items, Value], Own, "last(list, if_empty): the last item"),
    f("len", 1, &[Value], ANumber, "len(list or text): how many items or characters"),
    f("lower", 1, &[Text], AText, "lower(text): in small letters"),
    f("max", 1, &[Numbers, Number], Own, "max(list, if_empty): the greatest number; null items don't count"),
    f("max_by", 2, &[Items, Field], Own, "max_by(list, 'field'): the item whose number is the greatest"),
    f("min", 1, &[Numbers, Number], Own, "min(list, if_empty): the least number; null items don't count"),
    f("min_by", 2, &[Items, Field], Own, "min_by(list, 'field'): the item whose number is the least"),
    f("number", 1, &[Text], ANumber, "number(text): as a number; fails if it is none"),
    f("round", 1, &[Number, Number], ANumber, "round(number, digits): rounded"),
    f("skipped", 1, &[Step], Bool, "skipped('step'): the step was not needed"),
    f("starts_with", 2, &[Text, Text], Bool, "starts_with(text, start)"),
    f("succeeded", 1, &[Step], Bool, "succeeded('step'): the step has been done and has a result"),
    f("sum", 1, &[Numbers], ANumber, "sum(list): of the numbers; null items don't count"),
    f("text", 1, &[Nullable], AText, "text(value): as people read it"),
    f("unique", 1, &[Items], Own, "unique(list): each item once"),
];

/// The function of this name.
pub(super) fn function(name: &str) -> Option<&'static Function> {
    FUNCTIONS.iter().find(|function| function.name == name)
}

impl Function {
    /// It takes so many arguments.
    pub(super) fn takes_count(&self, count: usize) -> bool {
        (self.least..=self.takes.len()).contains(&count)
    }

    /// Asks for something about a step itself; its argument is the step's id.
    pub(super) fn asks_state(&self) -> bool {
        self.takes == [Step]
    }
}
