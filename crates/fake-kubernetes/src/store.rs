//! Objects with one counter of versions, and what became of them.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use rand::RngExt;
use serde_json::{Value, json};

use crate::json::{number, set, text};
use crate::resource::Kind;

/// The most changes that are remembered, as etcd keeps five minutes of them.
const REMEMBERED: usize = 50_000;

/// Where an object is kept; both event kinds under one plural.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    pub plural: &'static str,
    /// Empty for what belongs to the cluster.
    pub namespace: String,
    pub name: String,
}

impl Key {
    pub fn new(plural: &str, namespace: &str, name: &str) -> Self {
        Self {
            plural: Kind::kept(plural).plural,
            namespace: namespace.to_owned(),
            name: name.to_owned(),
        }
    }

    pub fn of(plural: &str, object: &Value) -> Self {
        let namespace = text(object, "/metadata/namespace");
        Self::new(plural, namespace, text(object, "/metadata/name"))
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum What {
    Added,
    Modified,
    Deleted,
}

#[derive(Debug, Clone)]
pub struct Change {
    pub version: u64,
    pub key: Key,
    pub what: What,
    /// After the change; of a deletion the last state, with the version of the deletion.
    pub object: Arc<Value>,
    pub before: Option<Arc<Value>>,
}

#[derive(Debug, Default)]
pub struct Store {
    objects: BTreeMap<Key, Arc<Value>>,
    version: u64,
    /// Changes up to this version are forgotten.
    forgotten: u64,
    changes: VecDeque<Change>,
}

impl Store {
    /// The version of the newest change.
    pub fn version(&self) -> u64 {
        self.version
    }

    /// The version up to which changes are forgotten.
    pub fn forgotten(&self) -> u64 {
        self.forgotten
    }

    pub fn get(&self, key: &Key) -> Option<&Arc<Value>> {
        self.objects.get(key)
    }

    /// All objects of a plural, of one namespace where it is not empty, ordered by name.
    pub fn list(&self, plural: &str, namespace: &str) -> impl Iterator<Item = (&Key, &Arc<Value>)> {
        let from = Key::new(plural, namespace, "");
        let plural = from.plural;
        let namespace = namespace.to_owned();
        self.objects.range(from..).take_while(move |(key, _)| {
            key.plural == plural && (namespace.is_empty() || key.namespace == namespace)
        })
    }

    /// The objects of a plural in a namespace whose names begin so.
    pub fn named(&self, plural: &str, namespace: &str, prefix: &str) -> Vec<(&Key, &Arc<Value>)> {
        let from = Key::new(plural, namespace, prefix);
        let all = self.objects.range(from.clone()..);
        all.take_while(|(key, _)| {
            key.plural == from.plural
                && key.namespace == from.namespace
                && key.name.starts_with(prefix)
        })
        .collect()
    }

    /// The objects of a plural that this uid controls.
    pub fn owned(&self, plural: &str, namespace: &str, uid: &str) -> Vec<Arc<Value>> {
        let all = self.list(plural, namespace);
        let owned = all.filter(|(_, object)| crate::json::owner_uid(object) == uid);
        owned.map(|(_, object)| Arc::clone(object)).collect()
    }

    /// The changes after a version, oldest first.
    pub fn changes_after(&self, version: u64) -> impl Iterator<Item = &Change> {
        let at = self.changes.partition_point(|one| one.version <= version);
        self.changes.range(at..)
    }

    /// All objects of a plural as they were at a version that is not forgotten.
    pub fn at(&self, plural: &str, namespace: &str, version: u64) -> BTreeMap<Key, Arc<Value>> {
        let mut objects: BTreeMap<Key, Arc<Value>> = self
            .list(plural, namespace)
            .map(|(key, object)| (key.clone(), Arc::clone(object)))
            .collect();
        let later: Vec<&Change> = self.changes_after(version).collect();
        for change in later.into_iter().rev() {
            let asked = change.key.plural == plural
                && (namespace.is_empty() || change.key.namespace == namespace);
            match &change.before {
                _ if !asked => {}
                Some(before) => drop(objects.insert(change.key.clone(), Arc::clone(before))),
                None => drop(objects.remove(&change.key)),
            }
        }
        objects
    }

    /// Keeps a new object: gives it a uid, a time and a version.
    pub fn insert(&mut self, kind: &Kind, mut object: Value) -> Arc<Value> {
        set(&mut object, &["metadata", "uid"], json!(uid()));
        set(
            &mut object,
            &["metadata", "creationTimestamp"],
            json!(crate::json::now()),
        );
        let generation = if kind.generation {
            json!(1)
        } else {
            Value::Null
        };
        set(&mut object, &["metadata", "generation"], generation);
        let key = Key::of(kind.plural, &object);
        self.note(key, What::Added, object)
    }

    /// Keeps the new state of an object; nothing happens where it is the same. The generation
    /// counts where the spec is another, or where it was asked to go.
    pub fn replace(&mut self, key: &Key, mut object: Value) -> Option<Arc<Value>> {
        let before = Arc::clone(self.objects.get(key)?);
        let version = &["metadata", "resourceVersion"];
        set(
            &mut object,
            version,
            before["metadata"]["resourceVersion"].clone(),
        );
        if object == *before {
            return Some(before);
        }
        let going = |one: &Value| one.pointer("/metadata/deletionTimestamp").cloned();
        let other =
            without_status(&object) != without_status(&before) || going(&object) != going(&before);
        if Kind::kept(key.plural).generation && other {
            let generation = number(&before, "/metadata/generation").unwrap_or(0) + 1;
            set(&mut object, &["metadata", "generation"], json!(generation));
        }
        Some(self.note(key.clone(), What::Modified, object))
    }

    /// Changes an object in place; whether there was anything to change.
    pub fn modify(&mut self, key: &Key, change: impl FnOnce(&mut Value)) -> bool {
        let Some(before) = self.objects.get(key) else {
            return false;
        };
        let mut object = (**before).clone();
        change(&mut object);
        let version = self.version;
        self.replace(key, object);
        self.version != version
    }

    pub fn remove(&mut self, key: &Key) -> Option<Arc<Value>> {
        let object = (**self.objects.get(key)?).clone();
        Some(self.note(key.clone(), What::Deleted, object))
    }

    /// Forgets all changes, so that watches can only begin now.
    pub fn forget(&mut self) {
        self.version += 1;
        self.forgotten = self.version;
        self.changes.clear();
    }

    fn note(&mut self, key: Key, what: What, mut object: Value) -> Arc<Value> {
        self.version += 1;
        let version = json!(self.version.to_string());
        set(&mut object, &["metadata", "resourceVersion"], version);
        let object = Arc::new(object);
        let before = if what == What::Deleted {
            self.objects.remove(&key)
        } else {
            self.objects.insert(key.clone(), Arc::clone(&object))
        };
        self.changes.push_back(Change {
            version: self.version,
            key,
            what,
            object: Arc::clone(&object),
            before,
        });
        if self.changes.len() > REMEMBERED {
            let oldest = self.changes.pop_front().map(|one| one.version);
            self.forgotten = oldest.unwrap_or(self.forgotten);
        }
        object
    }
}

/// The part of an object whose changes the generation counts.
fn without_status(object: &Value) -> Vec<(&String, &Value)> {
    let all = object.as_object().into_iter().flatten();
    all.filter(|(key, _)| !matches!(key.as_str(), "metadata" | "status"))
        .collect()
}

/// A random uid.
pub fn uid() -> String {
    let number: u128 = rand::rng().random_range(0..=u128::MAX);
    let hex = format!("{number:032x}");
    format!(
        "{}-{}-4{}-a{}-{}",
        &hex[..8],
        &hex[8..12],
        &hex[13..16],
        &hex[17..20],
        &hex[20..]
    )
}

/// The end of a generated name: no vowels, nothing that looks like something else.
pub fn suffix(length: usize) -> String {
    const LETTERS: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";
    let mut rng = rand::rng();
    let letters = (0..length).map(|_| LETTERS[rng.random_range(0..LETTERS.len())]);
    letters.map(char::from).collect()
}

/// The hash of a template in the letters that Kubernetes uses.
pub fn hash(value: &Value) -> String {
    const LETTERS: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";
    use sha2::{Digest, Sha256};
    let digest = Sha256::digest(value.to_string());
    let letters = digest.iter().take(10);
    letters
        .map(|byte| char::from(LETTERS[usize::from(*byte) % LETTERS.len()]))
        .collect()
}
