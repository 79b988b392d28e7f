//! The functions that expressions may call.

/// A function, as people read of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Function {
    /// Its name.
    pub name: &'static str,
    /// Fewest and most arguments.
    pub arguments: (usize, usize),
    /// How it is written, and what it gives.
    pub about: &'static str,
}

const fn f(name: &'static str, least: usize, most: usize, about: &'static str) -> Function {
    Function {
        name,
        arguments: (least, most),
        about,
    }
}

/// All of them, by name.
pub const FUNCTIONS: [Function; 30] = [
    f("abs", 1, 1, "abs(number): without its sign"),
    f("all", 1, 1, "all(list): every item is true"),
    f("any", 1, 1, "any(list): some item is true"),
    f("at_least", 2, 2, "at_least(a, b): the greater number"),
    f("at_most", 2, 2, "at_most(a, b): the lesser number"),
    f(
        "avg",
        1,
        2,
        "avg(list, if_empty): mean of the numbers; null items don't count",
    ),
    f("bytes", 1, 1, "bytes(number): as text, such as `512 MiB`"),
    f("ceil", 1, 1, "ceil(number): rounded up"),
    f(
        "cut",
        1,
        1,
        "cut('step'): the step's result was too large, and lists or texts in it are shortened",
    ),
    f(
        "default",
        2,
        2,
        "default(a, b): a, or b where a is null or was skipped",
    ),
    f("duration", 1, 1, "duration(ms): as text, such as `2h 5m`"),
    f("failed", 1, 1, "failed('step'): the step failed"),
    f("first", 1, 2, "first(list, if_empty): the first item"),
    f("floor", 1, 1, "floor(number): rounded down"),
    f("join", 2, 2, "join(list, ', '): texts as one text"),
    f("last", 1, 2, "last(list, if_empty): the last item"),
    f(
        "len",
        1,
        1,
        "len(list or text): how many items or characters",
    ),
    f("lower", 1, 1, "lower(text): in small letters"),
    f(
        "max",
        1,
        2,
        "max(list, if_empty): the greatest number; null items don't count",
    ),
    f(
        "max_by",
        2,
        2,
        "max_by(list, 'field'): the item whose number is the greatest",
    ),
    f(
        "min",
        1,
        2,
        "min(list, if_empty): the least number; null items don't count",
    ),
    f(
        "min_by",
        2,
        2,
        "min_by(list, 'field'): the item whose number is the least",
    ),
    f(
        "number",
        1,
        1,
        "number(text): as a number; fails if it is none",
    ),
    f("round", 1, 2, "round(number, digits): rounded"),
    f("skipped", 1, 1, "skipped('step'): the step was not needed"),
    f("starts_with", 2, 2, "starts_with(text, start)"),
    f(
        "succeeded",
        1,
        1,
        "succeeded('step'): the step has been done and has a result",
    ),
    f(
        "sum",
        1,
        1,
        "sum(list): of the numbers; null items don't count",
    ),
    f("text", 1, 1, "text(value): as people read it"),
    f("unique", 1, 1, "unique(list): each item once"),
];

/// The function of this name.
pub(super) fn function(name: &str) -> Option<&'static Function> {
    FUNCTIONS.iter().find(|function| function.name == name)
}

/// Asks for something about a step itself; its argument is the step's id.
pub(super) fn asks_state(name: &str) -> bool {
    matches!(name, "succeeded" | "failed" | "skipped" | "cut")
}
