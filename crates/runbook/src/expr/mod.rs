//! Expressions: what a step decides by.
//!
//! ```text
//! max(steps.stats.replicas[*].memory_percent) > params.limit and not steps.status.out_of_memory
//! steps.locks.roots[? waits_ms > 5m].pid
//! default(steps.trend.hours_to_limit, 99) < 2
//! ```
//!
//! Numbers, texts, `true`, `false`, `null`, lists; `10m` is milliseconds, `512MiB` bytes, `90%` is
//! 90. Names with fields and indices, `[*]` for a field of every item, `[? …]` for the items that
//! fulfil something. `and or not`, comparisons, `in`, `+ - * / %`, a few functions.
//!
//! Of our own because strictness is the point, and was measured: minijinja 3.1 holds `'9' > 10` for
//! true, CEL (`cel` 0.15) holds `91.5 == '91.5'` for false without a word and overflows the stack
//! at 100 parentheses. Here an unknown name and a comparison of different types are errors, found
//! before a run where the types are known. There are no loops: an expression ends, and its fuel
//! bounds what projections may cost.

mod call;
mod check;
mod check_call;
mod eval;
mod functions;
mod lex;
mod parse;
mod scope;
mod shown;

#[cfg(test)]
mod tests;

use super::source::Span;

pub use check::check;
pub use eval::{EvalError, MAX_TEXT, Values, eval, text_of};
pub use parse::{MAX_BYTES, parse};
pub use scope::Scope;
pub use shown::shown;

/// An expression; spans are byte offsets in its own text, or in the runbook's that it is a part of.
#[derive(Debug, Clone, PartialEq)]
pub struct Expr {
    /// What it is.
    pub kind: Kind,
    /// Where it stands.
    pub span: Span,
}

/// What an expression is.
#[derive(Debug, Clone, PartialEq)]
pub enum Kind {
    /// `null`.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A number; units are multiplied in.
    Number(f64),
    /// A text in quotes.
    Text(String),
    /// `[a, b]`.
    List(Vec<Expr>),
    /// A name without a point before it.
    Name(String),
    /// `of.field`.
    Field(Box<Expr>, String, Span),
    /// `of[index]`.
    Index(Box<Expr>, Box<Expr>),
    /// `of[*]`: what follows applies to every item.
    Each(Box<Expr>),
    /// `of[? condition]`: the items for which the condition holds; names in it are fields of the
    /// item, or else what they mean outside.
    Where(Box<Expr>, Box<Expr>),
    /// `f(a, b)`.
    Call(String, Vec<Expr>),
    /// `not a`.
    Not(Box<Expr>),
    /// `-a`.
    Minus(Box<Expr>),
    /// `a op b`.
    Binary(Op, Box<Expr>, Box<Expr>),
}

/// An operator between two values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Op {
    /// Both hold; the right side is not looked at when the left does not.
    And,
    /// One holds; the right side is not looked at when the left does.
    Or,
    /// Equal.
    Equal,
    /// Not equal.
    Unequal,
    /// Less.
    Less,
    /// Less or equal.
    LessEqual,
    /// Greater.
    Greater,
    /// Greater or equal.
    GreaterEqual,
    /// In a list, or part of a text.
    In,
    /// Sum of numbers; texts one after the other.
    Add,
    /// Difference.
    Subtract,
    /// Product.
    Multiply,
    /// Quotient.
    Divide,
    /// Rest of a division.
    Rest,
}

impl Op {
    /// As it is written.
    pub fn sign(self) -> &'static str {
        match self {
            Self::And => "and",
            Self::Or => "or",
            Self::Equal => "==",
            Self::Unequal => "!=",
            Self::Less => "<",
            Self::LessEqual => "<=",
            Self::Greater => ">",
            Self::GreaterEqual => ">=",
            Self::In => "in",
            Self::Add => "+",
            Self::Subtract => "-",
            Self::Multiply => "*",
            Self::Divide => "/",
            Self::Rest => "%",
        }
    }
}

impl Expr {
    /// Says for each part where it stands in the whole text.
    pub(crate) fn stands(&mut self, place: &dyn Fn(Span) -> Span) {
        self.span = place(self.span);
        match &mut self.kind {
            Kind::Null | Kind::Bool(_) | Kind::Number(_) | Kind::Text(_) | Kind::Name(_) => {}
            Kind::List(items) | Kind::Call(_, items) => {
                for item in items {
                    item.stands(place);
                }
            }
            Kind::Field(of, _, at) => {
                *at = place(*at);
                of.stands(place);
            }
            Kind::Each(of) | Kind::Not(of) | Kind::Minus(of) => of.stands(place),
            Kind::Index(a, b) | Kind::Where(a, b) | Kind::Binary(_, a, b) => {
                a.stands(place);
                b.stands(place);
            }
        }
    }

    /// The expressions that it is made of.
    pub fn parts(&self) -> Vec<&Expr> {
        match &self.kind {
            Kind::Null | Kind::Bool(_) | Kind::Number(_) | Kind::Text(_) | Kind::Name(_) => vec![],
            Kind::List(items) | Kind::Call(_, items) => items.iter().collect(),
            Kind::Field(of, ..) | Kind::Each(of) | Kind::Not(of) | Kind::Minus(of) => vec![of],
            Kind::Index(a, b) | Kind::Where(a, b) | Kind::Binary(_, a, b) => vec![a, b],
        }
    }
}

/// The dotted name that an expression spells, such as `steps.stats.worst`; `None` for others.
pub fn path(expr: &Expr) -> Option<String> {
    match &expr.kind {
        Kind::Name(name) => Some(name.clone()),
        Kind::Field(of, field, _) => Some(format!("{}.{field}", path(of)?)),
        _ => None,
    }
}

/// What follows applies to every item.
fn projects(expr: &Expr) -> bool {
    match &expr.kind {
        Kind::Each(_) | Kind::Where(..) => true,
        Kind::Field(of, ..) => projects(of),
        _ => false,
    }
}
