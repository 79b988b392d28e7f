//! Words to an expression.

use super::lex::{Token, words};
use super::{Expr, Kind, Op};
use crate::source::{Finding, Span};

/// Most bytes of an expression.
pub const MAX_BYTES: usize = 2_000;
/// Deepest nesting; keeps the recursion here, in the checker and in the evaluation small.
const MAX_DEPTH: usize = 24;
/// Most parts; chains such as `a + a + …` nest to the left without brackets.
const MAX_PARTS: usize = 200;

/// Reads an expression. Spans count from the start of `text`.
pub fn parse(text: &str) -> Result<Expr, Finding> {
    if text.len() > MAX_BYTES {
        return Err(Finding::error(
            Span::new(0, text.len()),
            format!("an expression has at most {MAX_BYTES} bytes"),
        )
        .help("split it over several steps"));
    }
    let mut parser = Parser {
        words: words(text)?,
        at: 0,
        depth: 0,
        parts: 0,
    };
    if parser.peek() == &Token::End {
        return Err(Finding::error(parser.span(), "an expression is missing"));
    }
    let expr = parser.binary(0)?;
    match parser.peek() {
        Token::End => Ok(expr),
        _ => Err(parser.unexpected("the expression should end here")),
    }
}

struct Parser {
    words: Vec<(Token, Span)>,
    at: usize,
    depth: usize,
    parts: usize,
}

/// How tightly an operator binds.
fn operator(token: &Token) -> Option<(Op, u8)> {
    Some(match token {
        Token::Name(name) => match name.as_str() {
            "or" => (Op::Or, 1),
            "and" => (Op::And, 2),
            "in" => (Op::In, 4),
            _ => return None,
        },
        Token::Sign(sign) => match *sign {
            "==" => (Op::Equal, 4),
            "!=" => (Op::Unequal, 4),
            "<" => (Op::Less, 4),
            "<=" => (Op::LessEqual, 4),
            ">" => (Op::Greater, 4),
            ">=" => (Op::GreaterEqual, 4),
            "+" => (Op::Add, 5),
            "-" => (Op::Subtract, 5),
            "*" => (Op::Multiply, 6),
            "/" => (Op::Divide, 6),
            "%" => (Op::Rest, 6),
            _ => return None,
        },
        _ => return None,
    })
}

fn expr(kind: Kind, start: Span, end: Span) -> Expr {
    Expr {
        kind,
        span: Span::new(start.start, end.end),
    }
}

impl Parser {
    fn peek(&self) -> &Token {
        &self.words[self.at.min(self.words.len() - 1)].0
    }

    fn span(&self) -> Span {
        self.words[self.at.min(self.words.len() - 1)].1
    }

    fn take(&mut self) -> (Token, Span) {
        let word = self.words[self.at.min(self.words.len() - 1)].clone();
        self.at += 1;
        word
    }

    fn is(&self, sign: &str) -> bool {
        matches!(self.peek(), Token::Sign(found) if *found == sign)
    }

    fn expect(&mut self, sign: &'static str) -> Result<Span, Finding> {
        if self.is(sign) {
            Ok(self.take().1)
        } else {
            Err(self.unexpected(&format!("`{sign}` is missing here")))
        }
    }

    fn unexpected(&self, what: &str) -> Finding {
        let span = self.span();
        let finding = Finding::error(Span::new(span.start, span.end.max(span.start + 1)), what);
        match self.peek() {
            Token::Name(name) if name == "is" || name == "equals" => {
                finding.help("two values are compared with `==`")
            }
            _ => finding,
        }
    }

    fn part(&mut self, span: Span) -> Result<(), Finding> {
        self.parts += 1;
        if self.parts > MAX_PARTS {
            return Err(Finding::error(
                span,
                format!("an expression has at most {MAX_PARTS} parts"),
            ));
        }
        Ok(())
    }

    fn deeper<T>(
        &mut self,
        inner: impl FnOnce(&mut Self) -> Result<T, Finding>,
    ) -> Result<T, Finding> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(Finding::error(
                self.span(),
                format!("nested more than {MAX_DEPTH} deep"),
            ));
        }
        let result = inner(self);
        self.depth -= 1;
        result
    }

    fn binary(&mut self, least: u8) -> Result<Expr, Finding> {
        self.deeper(|parser| {
            let mut left = parser.unary()?;
            let mut compared = false;
            loop {
                let span = parser.span();
                let (op, binds) = match operator(parser.peek()) {
                    Some((op, binds)) if binds >= least.max(1) => (op, binds),
                    // `a not in b`
                    None if matches!(parser.peek(), Token::Name(n) if n == "not")
                        && least <= 4
                        && matches!(parser.words.get(parser.at + 1), Some((Token::Name(n), _)) if n == "in") =>
                    {
                        parser.take();
                        parser.take();
                        parser.part(span)?;
                        let right = parser.binary(5)?;
                        let (start, end) = (left.span, right.span);
                        let inside = Kind::Binary(Op::In, Box::new(left), Box::new(right));
                        let inside = expr(inside, start, end);
                        left = expr(Kind::Not(Box::new(inside)), start, end);
                        continue;
                    }
                    _ => return Ok(left),
                };
                if binds == 4 && compared {
                    return Err(Finding::error(span, "comparisons can't be chained")
                        .help("write `a < b and b < c`"));
                }
                compared = binds == 4;
                parser.take();
                parser.part(span)?;
                let right = parser.binary(binds + 1)?;
                let (start, end) = (left.span, right.span);
                left = expr(Kind::Binary(op, Box::new(left), Box::new(right)), start, end);
            }
        })
    }

    fn unary(&mut self) -> Result<Expr, Finding> {
        let span = self.span();
        self.part(span)?;
        if matches!(self.peek(), Token::Name(name) if name == "not") {
            self.take();
            let inner = self.binary(3)?;
            let end = inner.span;
            return Ok(expr(Kind::Not(Box::new(inner)), span, end));
        }
        if self.is("-") {
            self.take();
            let inner = self.deeper(Self::unary)?;
            let end = inner.span;
            return Ok(expr(Kind::Minus(Box::new(inner)), span, end));
        }
        let start = self.primary()?;
        self.postfix(start)
    }

    fn primary(&mut self) -> Result<Expr, Finding> {
        let (token, span) = self.take();
        let kind = match token {
            Token::Number(number) => Kind::Number(number),
            Token::Text(text) => Kind::Text(text),
            Token::Name(name) => match name.as_str() {
                "true" => Kind::Bool(true),
                "false" => Kind::Bool(false),
                "null" | "none" | "None" => Kind::Null,
                "and" | "or" | "in" | "not" => {
                    self.at -= 1;
                    return Err(self.unexpected("a value is missing here"));
                }
                _ if self.is("(") => {
                    self.take();
                    let (arguments, end) = self.list(")")?;
                    return Ok(expr(Kind::Call(name, arguments), span, end));
                }
                _ => Kind::Name(name),
            },
            Token::Sign("(") => {
                let inner = self.binary(0)?;
                let end = self.expect(")")?;
                return Ok(expr(inner.kind, span, end));
            }
            Token::Sign("[") => {
                let (items, end) = self.list("]")?;
                return Ok(expr(Kind::List(items), span, end));
            }
            Token::Sign(_) | Token::End => {
                self.at -= 1;
                return Err(self.unexpected("a value is missing here"));
            }
        };
        Ok(Expr { kind, span })
    }

    fn list(&mut self, close: &'static str) -> Result<(Vec<Expr>, Span), Finding> {
        let mut items = Vec::new();
        loop {
            if self.is(close) {
                return Ok((items, self.take().1));
            }
            items.push(self.binary(0)?);
            if !self.is(close) {
                self.expect(",")?;
            }
        }
    }

    fn postfix(&mut self, mut of: Expr) -> Result<Expr, Finding> {
        loop {
            let (span, start) = (self.span(), of.span);
            let Some(sign) = [".", "[*", "[?", "["]
                .into_iter()
                .find(|sign| self.is(sign))
            else {
                return Ok(of);
            };
            self.part(span)?;
            self.take();
            let inner = Box::new(of);
            let (kind, end) = match sign {
                "." => match self.take() {
                    (Token::Name(field), at) => (Kind::Field(inner, field, at), at),
                    _ => {
                        self.at -= 1;
                        return Err(self.unexpected("a name is missing after the point"));
                    }
                },
                "[*" => (Kind::Each(inner), self.expect("]")?),
                _ => {
                    let within = Box::new(self.binary(0)?);
                    let kind = if sign == "[?" {
                        Kind::Where(inner, within)
                    } else {
                        Kind::Index(inner, within)
                    };
                    (kind, self.expect("]")?)
                }
            };
            of = expr(kind, start, end);
        }
    }
}
