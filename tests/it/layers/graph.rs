//! Which file uses which: read from the syntax of the code (`syn`), so that `use crate::{a, b}`,
//! `super::` and paths within expressions and macros count.
//!
//! A file uses another when it names something that is defined there; a re-export (`pub use`) is
//! followed to the definition. `mod x;` and re-exports themselves are no uses. Code under
//! `#[cfg(test)]` does not count, and neither do files of tests.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use proc_macro2::{TokenStream, TokenTree};
use syn::visit::Visit;

/// A module's path: the crate's name first, such as `["treasury_bot", "bot", "alerts"]`.
pub type Module = Vec<String>;

/// One module, from a file of its own or within one.
#[derive(Default)]
struct Scope {
    file: PathBuf,
    /// Names that are defined here.
    defined: BTreeSet<String>,
    /// Names that are brought here from elsewhere, with where from; `*` for all of a module.
    imported: Vec<(String, Module)>,
    /// Paths that the code here names, with their line.
    named: Vec<(Module, usize)>,
}

/// A use of one file by another.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Use {
    /// The file that names something.
    pub from: PathBuf,
    /// Its line.
    pub line: usize,
    /// The file in which that is defined.
    pub to: PathBuf,
}

/// All modules of some crates.
#[derive(Default)]
pub struct Sources {
    scopes: BTreeMap<Module, Scope>,
}

impl Sources {
    /// Reads a crate from its root file.
    pub fn read(&mut self, name: &str, root: &Path) {
        self.read_file(vec![name.to_owned()], root);
    }

    fn read_file(&mut self, module: Module, path: &Path) {
        let text = std::fs::read_to_string(path)
            .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let items = syn::parse_file(&text)
            .unwrap_or_else(|error| panic!("{}: {error}", path.display()))
            .items;
        let children = if path
            .file_name()
            .is_some_and(|name| name == "mod.rs" || name == "lib.rs" || name == "main.rs")
        {
            path.parent().unwrap().to_owned()
        } else {
            path.with_extension("")
        };
        self.add(module, path, &children, &items);
    }

    /// Takes up the items of one module whose files of children are in `folder`.
    fn add(&mut self, module: Module, file: &Path, folder: &Path, items: &[syn::Item]) {
        let mut scope = Scope {
            file: file.to_owned(),
            ..Scope::default()
        };
        for item in items {
            if is_test(attributes(item)) {
                continue;
            }
            if let syn::Item::Mod(inner) = item {
                // `mod r#override;` is in override.rs.
                let name = inner.ident.to_string().trim_start_matches("r#").to_owned();
                let path: Module = module.iter().cloned().chain([name.clone()]).collect();
                scope.defined.insert(name.clone());
                match &inner.content {
                    Some((_, items)) => self.add(path, file, &folder.join(&name), items),
                    None => {
                        let plain = folder.join(format!("{name}.rs"));
                        let nested = folder.join(&name).join("mod.rs");
                        self.read_file(path, if plain.exists() { &plain } else { &nested });
                    }
                }
                continue;
            }
            if let Some(name) = name_of(item) {
                scope.defined.insert(name);
            }
            let mut names = Names {
                scope: &mut scope,
                module: &module,
            };
            names.visit_item(item);
        }
        self.scopes.insert(module, scope);
    }

    /// The module that defines what a path names: the longest way along it that is known.
    fn resolve(&self, path: &[String], depth: usize) -> Option<&Module> {
        let known = (1..=path.len())
            .rev()
            .find(|end| self.scopes.contains_key(&path[..*end]))?;
        let (module, scope) = self.scopes.get_key_value(&path[..known])?;
        let Some(name) = path.get(known) else {
            return Some(module);
        };
        if scope.defined.contains(name) || depth > 8 {
            return Some(module);
        }
        let by_name = scope.imported.iter().filter(|(alias, _)| alias == name);
        let by_name = by_name.map(|(_, from)| [from, &path[known + 1..]].concat());
        let by_star = scope.imported.iter().filter(|(alias, _)| alias == "*");
        let by_star = by_star
            .filter(|(_, from)| self.defines(from, name))
            .map(|(_, from)| [from, &path[known..]].concat());
        by_name
            .chain(by_star)
            .find_map(|whole| self.resolve(&whole, depth + 1))
            .or(Some(module))
    }

    fn defines(&self, module: &Module, name: &str) -> bool {
        self.scopes
            .get(module)
            .is_some_and(|scope| scope.defined.contains(name))
    }

    /// Every use of a file by another.
    pub fn uses(&self) -> BTreeSet<Use> {
        let mut uses = BTreeSet::new();
        for scope in self.scopes.values() {
            for (path, line) in &scope.named {
                let Some(to) = self
                    .resolve(path, 0)
                    .map(|module| &self.scopes[module].file)
                else {
                    continue;
                };
                if *to != scope.file {
                    uses.insert(Use {
                        from: scope.file.clone(),
                        line: *line,
                        to: to.clone(),
                    });
                }
            }
        }
        uses
    }

    /// All files.
    pub fn files(&self) -> BTreeSet<PathBuf> {
        self.scopes
            .values()
            .map(|scope| scope.file.clone())
            .collect()
    }
}

/// Files that use each other in a circle, the largest circle first.
pub fn circles(uses: &BTreeSet<Use>) -> Vec<Vec<PathBuf>> {
    let mut next: BTreeMap<&Path, BTreeSet<&Path>> = BTreeMap::new();
    for one in uses {
        next.entry(&one.from).or_default().insert(&one.to);
    }
    let reached: BTreeMap<&Path, BTreeSet<&Path>> = next
        .keys()
        .map(|from| {
            let mut seen = BTreeSet::new();
            let mut open: Vec<&Path> = next[from].iter().copied().collect();
            while let Some(file) = open.pop() {
                if seen.insert(file) {
                    open.extend(next.get(file).into_iter().flatten().copied());
                }
            }
            (*from, seen)
        })
        .collect();
    let mut circles: BTreeSet<Vec<PathBuf>> = BTreeSet::new();
    for (file, seen) in reached.iter().filter(|(file, seen)| seen.contains(*file)) {
        let circle = seen
            .iter()
            .filter(|other| reached.get(*other).is_some_and(|back| back.contains(file)))
            .map(|other| (*other).to_owned())
            .collect();
        circles.insert(circle);
    }
    let mut circles: Vec<_> = circles.into_iter().collect();
    circles.sort_by_key(|circle| std::cmp::Reverse(circle.len()));
    circles
}

/// Collects the paths that an item names.
struct Names<'a> {
    scope: &'a mut Scope,
    module: &'a Module,
}

impl Names<'_> {
    /// The whole path of one that begins with `crate`, `self`, `super`, one of our crates or a
    /// child; `None` for others.
    fn whole(&self, path: &[String]) -> Option<Module> {
        let first = path.first()?;
        let mut whole = match first.as_str() {
            "crate" => self.module[..1].to_vec(),
            "self" | "super" => self.module.clone(),
            name if name.starts_with("treasury_") => vec![name.to_owned()],
            // A child's name is only known once all are read: it is tried, and harmless otherwise.
            name if path.len() > 1 => {
                let mut child = self.module.clone();
                child.push(name.to_owned());
                child
            }
            _ => return None,
        };
        let mut rest = path[1..].iter().peekable();
        if first == "super" {
            whole.pop();
            while rest.next_if(|segment| *segment == "super").is_some() {
                whole.pop();
            }
        }
        whole.extend(rest.cloned());
        Some(whole)
    }

    fn name(&mut self, path: &[String], line: usize) {
        if let Some(whole) = self.whole(path) {
            self.scope.named.push((whole, line));
        }
    }

    /// The leaves of a `use`.
    fn tree(&mut self, before: &[String], tree: &syn::UseTree, exported: bool) {
        let with = |name: &syn::Ident| {
            let mut path = before.to_vec();
            path.push(name.to_string().trim_start_matches("r#").to_owned());
            path
        };
        let (path, alias, line) = match tree {
            syn::UseTree::Path(path) => {
                return self.tree(&with(&path.ident), &path.tree, exported);
            }
            syn::UseTree::Group(group) => {
                for tree in &group.items {
                    self.tree(before, tree, exported);
                }
                return;
            }
            syn::UseTree::Name(name) if name.ident == "self" => {
                let alias = before.last().cloned().unwrap_or_default();
                (before.to_vec(), alias, name.ident.span().start().line)
            }
            syn::UseTree::Name(name) => (
                with(&name.ident),
                name.ident.to_string(),
                name.ident.span().start().line,
            ),
            syn::UseTree::Rename(name) => (
                with(&name.ident),
                name.rename.to_string(),
                name.ident.span().start().line,
            ),
            syn::UseTree::Glob(glob) => (
                before.to_vec(),
                "*".to_owned(),
                glob.star_token.spans[0].start().line,
            ),
        };
        let Some(whole) = self.whole(&path) else {
            return;
        };
        if !exported {
            self.scope.named.push((whole.clone(), line));
        }
        self.scope.imported.push((alias, whole));
    }

    /// Paths within the tokens of a macro's call.
    fn tokens(&mut self, tokens: TokenStream) {
        let mut path: Vec<String> = Vec::new();
        let (mut line, mut colons) = (0, 0);
        for token in tokens {
            match token {
                TokenTree::Ident(ident) => {
                    if colons != 2 {
                        self.name(&std::mem::take(&mut path), line);
                        line = ident.span().start().line;
                    }
                    path.push(ident.to_string());
                    colons = 0;
                }
                TokenTree::Punct(punct) if punct.as_char() == ':' => colons += 1,
                TokenTree::Group(group) => {
                    self.name(&std::mem::take(&mut path), line);
                    self.tokens(group.stream());
                    colons = 0;
                }
                _ => {
                    self.name(&std::mem::take(&mut path), line);
                    colons = 0;
                }
            }
        }
        self.name(&path, line);
    }
}

impl<'ast> Visit<'ast> for Names<'_> {
    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        let exported = !matches!(item.vis, syn::Visibility::Inherited);
        self.tree(&[], &item.tree, exported);
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        let names: Vec<String> = path
            .segments
            .iter()
            .map(|segment| {
                segment
                    .ident
                    .to_string()
                    .trim_start_matches("r#")
                    .to_owned()
            })
            .collect();
        let line = path
            .segments
            .first()
            .map_or(0, |first| first.ident.span().start().line);
        self.name(&names, line);
        syn::visit::visit_path(self, path);
    }

    fn visit_macro(&mut self, call: &'ast syn::Macro) {
        self.tokens(call.tokens.clone());
        syn::visit::visit_macro(self, call);
    }

    fn visit_visibility(&mut self, _: &'ast syn::Visibility) {
        // `pub(in crate::bot)` names nobody.
    }
}

fn attributes(item: &syn::Item) -> &[syn::Attribute] {
    use syn::Item as I;
    match item {
        I::Const(item) => &item.attrs,
        I::Enum(item) => &item.attrs,
        I::Fn(item) => &item.attrs,
        I::Impl(item) => &item.attrs,
        I::Macro(item) => &item.attrs,
        I::Mod(item) => &item.attrs,
        I::Static(item) => &item.attrs,
        I::Struct(item) => &item.attrs,
        I::Trait(item) => &item.attrs,
        I::Type(item) => &item.attrs,
        I::Use(item) => &item.attrs,
        _ => &[],
    }
}

/// The item is there for tests only.
pub fn is_test(attributes: &[syn::Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        attribute.path().is_ident("test")
            || (attribute.path().is_ident("cfg")
                && attribute
                    .parse_args::<syn::Path>()
                    .is_ok_and(|condition| condition.is_ident("test")))
    })
}

fn name_of(item: &syn::Item) -> Option<String> {
    use syn::Item as I;
    let ident = match item {
        I::Const(item) => &item.ident,
        I::Enum(item) => &item.ident,
        I::Fn(item) => &item.sig.ident,
        I::Macro(item) => item.ident.as_ref()?,
        I::Static(item) => &item.ident,
        I::Struct(item) => &item.ident,
        I::Trait(item) => &item.ident,
        I::Type(item) => &item.ident,
        _ => return None,
    };
    Some(ident.to_string())
}
