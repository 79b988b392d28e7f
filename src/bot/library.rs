//! The runbooks there are: those that come with the bot, and those of the operator's folder.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use crate::runbook::model::{Runbook, Work};
use crate::runbook::vocabulary::{Callable, Signature, Vocabulary};
use crate::runbook::{Finding, Severity, Source, check, check_in_part, read_in_part};

/// Those that come with the bot.
const EMBEDDED: &[(&str, &str)] = &[
    (
        "container-wont-start",
        include_str!("../../runbooks/container-wont-start.yml"),
    ),
    (
        "database-connection-failed",
        include_str!("../../runbooks/database-connection-failed.yml"),
    ),
    (
        "database-issues",
        include_str!("../../runbooks/database-issues.yml"),
    ),
    ("deploy", include_str!("../../runbooks/deploy.yml")),
    (
        "high-errors",
        include_str!("../../runbooks/high-errors.yml"),
    ),
    (
        "high-memory",
        include_str!("../../runbooks/high-memory.yml"),
    ),
    (
        "high-traffic",
        include_str!("../../runbooks/high-traffic.yml"),
    ),
    (
        "memory-leak",
        include_str!("../../runbooks/memory-leak.yml"),
    ),
    (
        "restart-service",
        include_str!("../../runbooks/restart-service.yml"),
    ),
    (
        "security-incident",
        include_str!("../../runbooks/security-incident.yml"),
    ),
    (
        "slow-responses",
        include_str!("../../runbooks/slow-responses.yml"),
    ),
];

/// Most files of a folder.
const MAX_FILES: usize = 200;

/// What is wrong with one file.
#[derive(Debug, Clone)]
pub struct Problem {
    /// The file.
    pub source: Source,
    /// What is wrong in it.
    pub findings: Vec<Finding>,
}

impl Problem {
    /// It keeps the runbook from being run.
    pub fn is_error(&self) -> bool {
        self.findings
            .iter()
            .any(|finding| finding.severity == Severity::Error)
    }
}

/// Runbooks by name, and what is wrong with those that can't be run.
#[derive(Debug, Clone, Default)]
pub struct Library {
    runbooks: BTreeMap<String, Runbook>,
    problems: Vec<Problem>,
    vocabulary: Vocabulary,
}

/// Why a folder can't be read.
#[derive(Debug, thiserror::Error)]
#[error("{path} can't be read")]
pub struct Unreadable {
    path: String,
    source: std::io::Error,
}

impl Library {
    /// The runbooks that come with the bot; those of the folder take the place of theirs. With the
    /// services, their names are checked as well. `callables` are what their steps can call.
    pub fn open(
        callables: BTreeMap<String, Callable>,
        folder: Option<&Path>,
        services: Option<BTreeSet<String>>,
    ) -> Result<Self, Unreadable> {
        let mut sources: BTreeMap<String, Source> = EMBEDDED
            .iter()
            .map(|(name, text)| {
                let file = format!("{name}.yml (comes with the bot)");
                ((*name).to_owned(), Source::new(&file, text))
            })
            .collect();
        if let Some(folder) = folder {
            for source in files(folder)? {
                sources.insert(stem(&source), source);
            }
        }
        Ok(Self::of(
            callables,
            sources.into_values().collect(),
            services,
        ))
    }

    /// The runbooks of these files and folders only.
    pub fn of_paths(
        callables: BTreeMap<String, Callable>,
        paths: &[impl AsRef<Path>],
        services: Option<BTreeSet<String>>,
    ) -> Result<Self, Unreadable> {
        let mut sources = Vec::new();
        for path in paths {
            let path = path.as_ref();
            if path.is_dir() {
                sources.extend(files(path)?);
            } else {
                sources.push(file(path)?);
            }
        }
        Ok(Self::of(callables, sources, services))
    }

    /// Reads and checks these texts.
    pub fn of(
        callables: BTreeMap<String, Callable>,
        sources: Vec<Source>,
        services: Option<BTreeSet<String>>,
    ) -> Self {
        let mut library = Self::default();
        let (mut read_ones, mut parts): (Vec<Runbook>, Vec<_>) = (Vec::new(), Vec::new());
        for source in sources {
            let mut part = read_in_part(&source);
            match part.runbook.take_if(|_| part.findings.is_empty()) {
                Some(runbook) => read_ones.push(runbook),
                None => parts.push((source, part)),
            }
        }
        library.vocabulary = Vocabulary {
            callables,
            services,
            runbooks: read_ones
                .iter()
                .map(|runbook| (runbook.name.value.clone(), signature(runbook)))
                .collect(),
        };
        for (source, part) in parts {
            let mut findings = check_in_part(&part, &library.vocabulary);
            findings.extend(part.findings);
            findings.sort_by_key(|finding| finding.span);
            library.problems.push(Problem { source, findings });
        }
        for runbook in read_ones {
            let mut findings = check(&runbook, &library.vocabulary);
            let name = runbook.name.value.clone();
            let stem = stem(&runbook.source);
            if stem != name {
                findings.push(
                    Finding::error(
                        runbook.name.span,
                        format!("the file of `{name}` is called `{stem}`"),
                    )
                    .help(format!("name it `{name}.yml`")),
                );
            }
            if library.runbooks.contains_key(&name) {
                findings.push(Finding::error(
                    runbook.name.span,
                    format!("there is another runbook `{name}`"),
                ));
            }
            let problem = Problem {
                source: runbook.source.clone(),
                findings,
            };
            if !problem.is_error() {
                library.runbooks.insert(name, runbook);
            }
            if !problem.findings.is_empty() {
                library.problems.push(problem);
            }
        }
        library
    }

    /// The runbook of this name, if there is one that can be run.
    pub fn find(&self, name: &str) -> Option<&Runbook> {
        self.runbooks.get(name)
    }

    /// All that can be run, by name.
    pub fn runbooks(&self) -> impl Iterator<Item = &Runbook> {
        self.runbooks.values()
    }

    /// What is wrong, file by file.
    pub fn problems(&self) -> &[Problem] {
        &self.problems
    }

    /// What they may speak of.
    pub fn vocabulary(&self) -> &Vocabulary {
        &self.vocabulary
    }
}

fn signature(runbook: &Runbook) -> Signature {
    Signature {
        params: runbook.params.clone(),
        calls: runbook
            .all_steps()
            .into_iter()
            .filter_map(|step| match &step.work {
                Work::Runbook { name, .. } => Some(name.value.clone()),
                _ => None,
            })
            .collect(),
    }
}

/// `memory-leak` of `runbooks/memory-leak.yml`.
fn stem(source: &Source) -> String {
    let file = source.name.rsplit('/').next().unwrap_or_default();
    file.split_once(".y")
        .map_or(file, |(stem, _)| stem)
        .to_owned()
}

/// The runbooks of a folder, by name.
fn files(folder: &Path) -> Result<Vec<Source>, Unreadable> {
    let wrong = |source| Unreadable {
        path: folder.display().to_string(),
        source,
    };
    let mut paths = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(wrong)? {
        let path = entry.map_err(wrong)?.path();
        let known = path
            .extension()
            .is_some_and(|extension| extension == "yml" || extension == "yaml");
        if known && path.is_file() {
            paths.push(path);
        }
    }
    paths.sort();
    if paths.len() > MAX_FILES {
        return Err(wrong(std::io::Error::other(format!(
            "it has more than {MAX_FILES} runbooks"
        ))));
    }
    paths.iter().map(|path| file(path)).collect()
}

fn file(path: &Path) -> Result<Source, Unreadable> {
    use std::io::Read;
    let wrong = |source| Unreadable {
        path: path.display().to_string(),
        source,
    };
    // One byte more than is allowed tells that it is too large.
    let most = crate::runbook::yaml::MAX_BYTES as u64 + 1;
    let mut bytes = Vec::new();
    std::fs::File::open(path)
        .map_err(wrong)?
        .take(most)
        .read_to_end(&mut bytes)
        .map_err(wrong)?;
    let text = String::from_utf8_lossy(&bytes);
    Ok(Source::new(&path.display().to_string(), &text))
}
