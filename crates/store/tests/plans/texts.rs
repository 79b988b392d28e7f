//! Every text of SQL that the sources of the store can come to, read from their syntax: what is put
//! together by `format!` from constants, variables and the arguments of callers is followed to its
//! literals. What can't be followed is an error, so that no statement is missed.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::path::Path;
use std::rc::Rc;

use syn::punctuated::Punctuated;
use syn::visit::{self, Visit};
use syn::{Expr, FnArg, Pat, Stmt, Token};

/// A statement, and where it is made.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Statement {
    pub text: String,
    pub place: String,
}

/// What a name stands for.
#[derive(Clone)]
enum Binding {
    Value(Rc<Expr>, Scope),
    /// An argument of this function, by its place; a whole number may be any.
    Argument(String, usize, bool),
    Unknown,
}

#[derive(Clone, Default)]
struct Scope {
    file: String,
    function: String,
    names: Rc<Vec<(String, Binding)>>,
    /// Within what is for PostgreSQL alone.
    postgres: bool,
}

impl Scope {
    /// The names of a `let`, from here on.
    fn bind(&mut self, local: &syn::Local) {
        let Some(init) = &local.init else { return };
        let pattern = match &local.pat {
            Pat::Type(typed) => &*typed.pat,
            pattern => pattern,
        };
        let pairs: Vec<(&Pat, &Expr)> = match (pattern, &*init.expr) {
            (Pat::Tuple(names), Expr::Tuple(values)) => {
                names.elems.iter().zip(&values.elems).collect()
            }
            (pattern, value) => vec![(pattern, value)],
        };
        let around = self.clone();
        for (name, value) in pairs {
            if let Pat::Ident(name) = name {
                let value = Binding::Value(Rc::new(value.clone()), around.clone());
                Rc::make_mut(&mut self.names).push((name.ident.to_string(), value));
            }
        }
    }
}

/// An expression and the names around it.
type Found = (Expr, Scope);

/// What the sources hold.
#[derive(Default)]
pub struct Sources {
    constants: BTreeMap<(String, String), Expr>,
    /// The arguments of each call, by the function's name.
    calls: BTreeMap<String, Vec<(Vec<Expr>, Scope)>>,
    queries: Vec<Found>,
    /// Functions that make a part of a text: the names of their arguments, and the body.
    functions: BTreeMap<String, (Vec<String>, syn::Block, Scope)>,
    scope: Scope,
    /// Which call of the function is looked at.
    call: Cell<usize>,
}

impl Sources {
    /// Reads all files of a folder and of those in it, but for tests.
    pub fn read(folder: &Path) -> Self {
        let mut sources = Self::default();
        let mut paths = vec![folder.to_owned()];
        while let Some(path) = paths.pop() {
            if path.is_dir() {
                let files = std::fs::read_dir(&path).unwrap();
                paths.extend(files.map(|file| file.unwrap().path()));
                continue;
            }
            if path.ends_with("tests.rs") {
                continue;
            }
            let text = std::fs::read_to_string(&path).unwrap();
            let before = sources.queries.len();
            sources.scope = Scope {
                file: path.file_stem().unwrap().to_string_lossy().into_owned(),
                ..Scope::default()
            };
            sources.visit_file(&syn::parse_file(&text).unwrap());
            // What stands in a macro is not seen above.
            let product = text.split("#[cfg(test)]").next().unwrap();
            let written = product.matches("query(").count()
                + product.matches("query_as").count()
                + product.matches("query_scalar").count();
            assert_eq!(
                sources.queries.len() - before,
                written,
                "{}",
                path.display()
            );
            for other in ["QueryBuilder", "raw_sql", "query_with", "query!"] {
                assert!(!product.contains(other), "{}: {other}", path.display());
            }
        }
        sources
    }

    /// Every statement for SQLite.
    pub fn statements(&self) -> Vec<Statement> {
        let mut all = Vec::new();
        for (query, scope) in self.queries.iter().filter(|(_, scope)| !scope.postgres) {
            let place = format!("{}.rs, {}", scope.file, scope.function);
            // The arguments of one call belong together.
            for call in 0..self.calls.get(&scope.function).map_or(1, Vec::len).max(1) {
                self.call.set(call);
                let texts = self.texts(query, scope);
                let texts = texts.unwrap_or_else(|why| panic!("{place}: {why} can't be followed"));
                all.extend(texts.into_iter().map(|text| Statement {
                    text,
                    place: place.clone(),
                }));
            }
        }
        all.sort();
        all.dedup_by(|a, b| a.text == b.text);
        all
    }

    fn texts(&self, expr: &Expr, scope: &Scope) -> Result<Vec<String>, String> {
        match expr {
            Expr::Lit(literal) => match &literal.lit {
                syn::Lit::Str(text) => Ok(vec![text.value()]),
                syn::Lit::Int(number) => Ok(vec![number.to_string()]),
                _ => Err("a literal".into()),
            },
            Expr::Reference(inner) => self.texts(&inner.expr, scope),
            Expr::Paren(inner) => self.texts(&inner.expr, scope),
            Expr::Closure(closure) => self.texts(&closure.body, scope),
            Expr::Binary(_) => Ok(vec!["1".into()]),
            Expr::Array(array) => self.all(array.elems.iter(), scope),
            Expr::Block(block) => self.last(&block.block, scope),
            Expr::If(choice) => {
                let mut texts = self.last(&choice.then_branch, scope)?;
                if let Some((_, other)) = &choice.else_branch {
                    texts.extend(self.texts(other, scope)?);
                }
                Ok(texts)
            }
            Expr::Match(choice) => {
                let arms = choice.arms.iter().filter(|arm| !is_postgres(&arm.pat));
                self.all(arms.map(|arm| &*arm.body), scope)
            }
            Expr::Call(call) => match &*call.func {
                Expr::Path(path) if path.path.is_ident("places") => {
                    Ok(vec![places(call.args.last())])
                }
                Expr::Path(path) if let Some(name) = path.path.get_ident() => {
                    self.called(&name.to_string(), call.args.iter(), scope)
                }
                _ => self.all(call.args.first().into_iter(), scope),
            },
            Expr::MethodCall(call) => match call.method.to_string().as_str() {
                name @ ("begin" | "clock" | "for_update" | "holds" | "skip_locked") => {
                    self.called(name, call.args.iter(), scope)
                }
                "max" | "as_micros" | "len" => Ok(vec!["1".into()]),
                "map_or" | "map" => self.all(call.args.iter(), scope),
                "join" | "collect" | "clone" | "as_str" | "to_owned" => {
                    self.texts(&call.receiver, scope)
                }
                other => Err(format!("`.{other}()`")),
            },
            Expr::Macro(made) if made.mac.path.is_ident("format") => {
                self.formatted(&made.mac, scope)
            }
            Expr::Path(path) => {
                let name = &path.path.segments.last().unwrap().ident;
                self.named(&name.to_string(), scope)
            }
            _ => Err("an expression".into()),
        }
    }

    /// What a function gives, with these arguments.
    fn called<'a>(
        &self,
        name: &str,
        arguments: impl Iterator<Item = &'a Expr>,
        scope: &Scope,
    ) -> Result<Vec<String>, String> {
        let Some((names, body, around)) = self.functions.get(name) else {
            return self.all(arguments.take(1), scope);
        };
        let mut within = around.clone();
        for (name, value) in names.iter().zip(arguments) {
            let value = Binding::Value(Rc::new(value.clone()), scope.clone());
            Rc::make_mut(&mut within.names).push((name.clone(), value));
        }
        self.last(body, &within)
    }

    fn all<'a>(
        &self,
        exprs: impl Iterator<Item = &'a Expr>,
        scope: &Scope,
    ) -> Result<Vec<String>, String> {
        let texts: Result<Vec<_>, _> = exprs.map(|expr| self.texts(expr, scope)).collect();
        Ok(texts?.concat())
    }

    fn last(&self, block: &syn::Block, scope: &Scope) -> Result<Vec<String>, String> {
        let mut within = scope.clone();
        for statement in &block.stmts {
            match statement {
                Stmt::Local(local) => within.bind(local),
                Stmt::Expr(expr, None) => return self.texts(expr, &within),
                _ => {}
            }
        }
        Err("a block".into())
    }

    fn named(&self, name: &str, scope: &Scope) -> Result<Vec<String>, String> {
        let bound = scope.names.iter().rev().find(|(bound, _)| bound == name);
        match bound {
            Some((_, Binding::Value(expr, around))) => self.texts(expr, around),
            Some((_, Binding::Argument(_, _, true))) => Ok(vec!["1".into()]),
            Some((_, Binding::Argument(function, place, false))) => {
                let calls = self.calls.get(function).ok_or(format!("`{name}`"))?;
                let mut texts = Vec::new();
                let one = (*function == scope.function).then(|| self.call.get());
                for (_, (arguments, around)) in calls
                    .iter()
                    .enumerate()
                    .filter(|(call, _)| one.is_none_or(|one| one == *call))
                {
                    if let Some(argument) = arguments.get(*place) {
                        texts.extend(self.texts(argument, around)?);
                    }
                }
                Ok(texts)
            }
            Some((_, Binding::Unknown)) => Err(format!("`{name}`")),
            None => {
                let here = (scope.file.clone(), name.to_owned());
                let constant = self.constants.get(&here).or_else(|| {
                    let mut all = self.constants.iter();
                    all.find(|((_, one), _)| one == name).map(|(_, expr)| expr)
                });
                let around = Scope {
                    file: scope.file.clone(),
                    ..Scope::default()
                };
                self.texts(constant.ok_or(format!("`{name}`"))?, &around)
            }
        }
    }

    fn formatted(&self, made: &syn::Macro, scope: &Scope) -> Result<Vec<String>, String> {
        let all = made.parse_body_with(Punctuated::<Expr, Token![,]>::parse_terminated);
        let all = all.map_err(|error| error.to_string())?;
        let mut arguments = all.iter();
        let mut texts = vec![String::new()];
        let format = self.all(arguments.next().into_iter(), scope)?.concat();
        let mut rest = format.as_str();
        while let Some((before, after)) = rest.split_once('{') {
            let (name, after) = after.split_once('}').ok_or("a format")?;
            let values = match name {
                "" => {
                    let value = arguments.next().ok_or("a format")?;
                    self.texts(value, scope)?
                }
                name => self.named(name, scope)?,
            };
            texts = texts
                .iter()
                .flat_map(|text| {
                    values
                        .iter()
                        .map(move |value| format!("{text}{before}{value}"))
                })
                .collect();
            rest = after;
        }
        Ok(texts.into_iter().map(|text| text + rest).collect())
    }

    fn bind(&mut self, name: &syn::Ident, binding: Binding) {
        Rc::make_mut(&mut self.scope.names).push((name.to_string(), binding));
    }

    fn bind_arguments<'a>(&mut self, function: &str, patterns: impl Iterator<Item = &'a Pat>) {
        for (place, pattern) in patterns.enumerate() {
            if let Pat::Type(typed) = pattern
                && let Pat::Ident(name) = &*typed.pat
            {
                let number = matches!(&*typed.ty, syn::Type::Path(path)
                    if ["i64", "u32", "usize"].iter().any(|one| path.path.is_ident(one)));
                let argument = Binding::Argument(function.to_owned(), place, number);
                self.bind(&name.ident, argument);
            } else if let Pat::Ident(name) = pattern {
                self.bind(&name.ident, Binding::Unknown);
            }
        }
    }

    fn function(&mut self, signature: &syn::Signature, body: &syn::Block) {
        let around = self.scope.clone();
        self.scope.function = signature.ident.to_string();
        let typed = signature.inputs.iter().filter_map(|input| match input {
            FnArg::Typed(typed) => Some(Pat::Type(typed.clone())),
            FnArg::Receiver(_) => None,
        });
        let typed: Vec<Pat> = typed.collect();
        let names = typed.iter().filter_map(|typed| match typed {
            Pat::Type(typed) => match &*typed.pat {
                Pat::Ident(name) => Some(name.ident.to_string()),
                _ => None,
            },
            _ => None,
        });
        let function = (names.collect(), body.clone(), self.scope.clone());
        self.functions.insert(signature.ident.to_string(), function);
        self.bind_arguments(&signature.ident.to_string(), typed.iter());
        self.visit_block(body);
        self.scope = around;
    }
}

fn is_postgres(pattern: &Pat) -> bool {
    matches!(pattern, Pat::Path(path)
        if path.path.segments.last().is_some_and(|last| last.ident == "Postgres"))
}

/// `… == Dialect::Postgres`, perhaps with more.
fn asks_for_postgres(condition: &Expr) -> bool {
    let Expr::Binary(binary) = condition else {
        return false;
    };
    match binary.op {
        syn::BinOp::And(_) => asks_for_postgres(&binary.left) || asks_for_postgres(&binary.right),
        syn::BinOp::Eq(_) => matches!(&*binary.right, Expr::Path(path)
            if path.path.segments.last().is_some_and(|last| last.ident == "Postgres")),
        _ => false,
    }
}

/// Places for one row of so many values; where the number is not written down, of one.
fn places(values: Option<&Expr>) -> String {
    let number = match values {
        Some(Expr::Lit(syn::ExprLit {
            lit: syn::Lit::Int(number),
            ..
        })) => number.base10_parse().unwrap(),
        _ => 1,
    };
    let places: Vec<String> = (1..=number).map(|place| format!("${place}")).collect();
    format!("({})", places.join(", "))
}

impl<'ast> Visit<'ast> for Sources {
    fn visit_item_mod(&mut self, module: &'ast syn::ItemMod) {
        if module.ident != "tests" {
            visit::visit_item_mod(self, module);
        }
    }

    fn visit_item_const(&mut self, item: &'ast syn::ItemConst) {
        let place = (self.scope.file.clone(), item.ident.to_string());
        self.constants.insert(place, (*item.expr).clone());
    }

    fn visit_impl_item_const(&mut self, item: &'ast syn::ImplItemConst) {
        let place = (self.scope.file.clone(), item.ident.to_string());
        self.constants.insert(place, item.expr.clone());
    }

    fn visit_item_fn(&mut self, item: &'ast syn::ItemFn) {
        self.function(&item.sig, &item.block);
    }

    fn visit_impl_item_fn(&mut self, item: &'ast syn::ImplItemFn) {
        self.function(&item.sig, &item.block);
    }

    fn visit_block(&mut self, block: &'ast syn::Block) {
        let names = self.scope.names.clone();
        visit::visit_block(self, block);
        self.scope.names = names;
    }

    fn visit_local(&mut self, local: &'ast syn::Local) {
        let pattern = match &local.pat {
            Pat::Type(typed) => &*typed.pat,
            pattern => pattern,
        };
        let (Pat::Ident(name), Some(init)) = (pattern, &local.init) else {
            visit::visit_local(self, local);
            return self.scope.bind(local);
        };
        if let Expr::Closure(closure) = &*init.expr {
            let names = self.scope.names.clone();
            self.bind_arguments(&name.ident.to_string(), closure.inputs.iter());
            self.visit_expr(&closure.body);
            self.scope.names = names;
        } else {
            visit::visit_local(self, local);
        }
        self.scope.bind(local);
    }

    fn visit_expr_for_loop(&mut self, each: &'ast syn::ExprForLoop) {
        let names = self.scope.names.clone();
        self.visit_expr(&each.expr);
        if let Pat::Ident(name) = &*each.pat {
            let value = Binding::Value(Rc::new((*each.expr).clone()), self.scope.clone());
            self.bind(&name.ident, value);
        }
        self.visit_block(&each.body);
        self.scope.names = names;
    }

    fn visit_expr_if(&mut self, choice: &'ast syn::ExprIf) {
        let before = self.scope.postgres;
        self.visit_expr(&choice.cond);
        self.scope.postgres |= asks_for_postgres(&choice.cond);
        self.visit_block(&choice.then_branch);
        self.scope.postgres = before;
        if let Some((_, other)) = &choice.else_branch {
            self.visit_expr(other);
        }
    }

    fn visit_arm(&mut self, arm: &'ast syn::Arm) {
        let before = self.scope.postgres;
        self.scope.postgres |= is_postgres(&arm.pat);
        visit::visit_arm(self, arm);
        self.scope.postgres = before;
    }

    fn visit_expr_call(&mut self, call: &'ast syn::ExprCall) {
        if let Expr::Path(path) = &*call.func
            && let Some(last) = path.path.segments.last()
        {
            let name = last.ident.to_string();
            let arguments: Vec<Expr> = call.args.iter().cloned().collect();
            if ["query", "query_as", "query_scalar"].contains(&name.as_str()) {
                self.queries
                    .push((arguments[0].clone(), self.scope.clone()));
            }
            let calls = self.calls.entry(name).or_default();
            calls.push((arguments, self.scope.clone()));
        }
        visit::visit_expr_call(self, call);
    }

    fn visit_expr_method_call(&mut self, call: &'ast syn::ExprMethodCall) {
        let arguments = call.args.iter().cloned().collect();
        let calls = self.calls.entry(call.method.to_string()).or_default();
        calls.push((arguments, self.scope.clone()));
        visit::visit_expr_method_call(self, call);
    }
}
