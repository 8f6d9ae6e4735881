//! Variables: what a step sees ([`Environment`]), and lists whose entries are replaced in place ([`Assignments`]).
//!
//! Both keep a look-up index only once they are long: in most builds comparing, which mostly tells names apart by their
//! lengths, is faster than any tree. Cloning copies pointers, and only where two stages build on one.

use std::cell::OnceCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;

/// So many entries are searched one by one.
const INDEX_FROM: usize = 64;

/// Variables of most steps.
const TYPICAL: usize = 8;

/// What a look-up finds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lookup<'e> {
    /// A value.
    Set(&'e str),
    /// Certainly nothing.
    Unset,
    /// A value or nothing: it depends on an answer that is missing.
    Unknown,
}

/// Where names of variables are looked up.
pub(super) trait Scope {
    /// What `name` is.
    fn get(&self, name: &str) -> Lookup<'_>;
}

/// No variables.
pub(super) struct Nothing;

impl Scope for Nothing {
    fn get(&self, _: &str) -> Lookup<'_> {
        Lookup::Unset
    }
}

/// A value; `None` is unknown.
pub(super) type Value = Option<Rc<str>>;

/// The variables of a step, in the order in which processes get them: one that is set again moves to the end.
#[derive(Clone, Debug, Default)]
pub(super) struct Environment {
    slots: Vec<Option<(Rc<str>, Value)>>,
    live: usize,
    index: Option<BTreeMap<Rc<str>, usize>>,
    /// As processes get them, once one asked: steps and stages between which nothing is set share the list.
    entries: OnceCell<Arc<[String]>>,
    /// Whether variables may exist that are not here, because the base is not known.
    pub(super) incomplete: bool,
}

impl Environment {
    /// Some variables, each of another name.
    pub(super) fn of(variables: impl Iterator<Item = (Rc<str>, Value)>) -> Self {
        let slots: Vec<_> = variables.map(Some).collect();
        let mut env = Self { live: slots.len(), slots, ..Self::default() };
        if env.slots.len() > INDEX_FROM {
            env.rebuild_index();
        }
        env
    }

    /// Sets a variable; it is now the last.
    pub(super) fn set(&mut self, key: Rc<str>, value: Value) {
        self.entries.take();
        match self.find(&key) {
            Some(at) if at + 1 == self.slots.len() => {
                self.slots[at] = Some((key, value));
                return;
            }
            Some(at) => {
                self.slots[at] = None;
                self.live -= 1;
            }
            None => {}
        }
        if self.slots.len() > 2 * self.live + INDEX_FROM {
            self.compact();
        }
        if let Some(index) = &mut self.index {
            index.insert(key.clone(), self.slots.len());
        }
        if self.slots.capacity() == 0 {
            self.slots.reserve(TYPICAL);
        }
        self.slots.push(Some((key, value)));
        self.live += 1;
        if self.index.is_none() && self.slots.len() > INDEX_FROM {
            self.rebuild_index();
        }
    }

    /// Forgets a variable.
    pub(super) fn remove(&mut self, key: &str) {
        let Some(at) = self.find(key) else { return };
        self.entries.take();
        self.slots[at] = None;
        self.live -= 1;
        if let Some(index) = &mut self.index {
            index.remove(key);
        }
    }

    /// The variables in order.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&Rc<str>, &Value)> {
        self.slots.iter().flatten().map(|(key, value)| (key, value))
    }

    /// Their names in order.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.iter().map(|(key, _)| &**key)
    }

    /// The variables as processes get them: `KEY=value`, in order; what is unknown is empty.
    pub(super) fn entries(&self) -> Arc<[String]> {
        let entry = |(key, value): (&Rc<str>, &Value)| [key, "=", value.as_deref().unwrap_or_default()].concat();
        self.entries.get_or_init(|| self.iter().map(entry).collect()).clone()
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.live
    }

    /// The value, if it is known.
    pub(super) fn value(&self, key: &str) -> Option<&Rc<str>> {
        self.slots[self.find(key)?].as_ref()?.1.as_ref()
    }

    fn find(&self, key: &str) -> Option<usize> {
        match &self.index {
            Some(index) => index.get(key).copied(),
            None => self.slots.iter().position(|slot| slot.as_ref().is_some_and(|(name, _)| **name == *key)),
        }
    }

    fn compact(&mut self) {
        self.slots.retain(Option::is_some);
        if self.index.is_some() {
            self.rebuild_index();
        }
    }

    fn rebuild_index(&mut self) {
        let entry = |(at, slot): (usize, &Option<(Rc<str>, Value)>)| Some((slot.as_ref()?.0.clone(), at));
        self.index = Some(self.slots.iter().enumerate().filter_map(entry).collect());
    }
}

impl Scope for Environment {
    fn get(&self, name: &str) -> Lookup<'_> {
        match self.find(name).and_then(|at| self.slots[at].as_ref()) {
            Some((_, Some(value))) => Lookup::Set(value),
            Some((_, None)) => Lookup::Unknown,
            None if self.incomplete => Lookup::Unknown,
            None => Lookup::Unset,
        }
    }
}

/// `key` with a value, in the order in which keys first came; setting again replaces in place.
#[derive(Clone, Debug)]
pub(super) struct Assignments<V> {
    entries: Vec<(Rc<str>, V)>,
    index: Option<BTreeMap<Rc<str>, usize>>,
}

impl<V> Default for Assignments<V> {
    fn default() -> Self {
        Self { entries: Vec::new(), index: None }
    }
}

impl<V> Assignments<V> {
    /// Sets the value of the first entry of this key, else adds one.
    pub(super) fn set(&mut self, key: Rc<str>, value: V) {
        match self.find(&key) {
            Some(at) => self.entries[at] = (key, value),
            None => self.push(key, value),
        }
    }

    /// Forgets the entry of this key.
    pub(super) fn remove(&mut self, key: &str) {
        self.entries.retain(|(known, _)| **known != *key);
        self.index = None;
    }

    /// Adds an entry, even if there is one of this key: look-ups find the first.
    pub(super) fn push(&mut self, key: Rc<str>, value: V) {
        let at = self.entries.len();
        if let Some(index) = &mut self.index {
            index.entry(key.clone()).or_insert(at);
        }
        self.entries.push((key, value));
        if self.index.is_none() && at >= INDEX_FROM {
            let mut index = BTreeMap::new();
            for (at, (key, _)) in self.entries.iter().enumerate() {
                index.entry(key.clone()).or_insert(at);
            }
            self.index = Some(index);
        }
    }

    /// The first value of this key.
    pub(super) fn get(&self, key: &str) -> Option<&V> {
        self.find(key).map(|at| &self.entries[at].1)
    }

    /// All entries in order.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&Rc<str>, &V)> {
        self.entries.iter().map(|(key, value)| (key, value))
    }

    /// How many entries there are.
    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    fn find(&self, key: &str) -> Option<usize> {
        match &self.index {
            Some(index) => index.get(key).copied(),
            None => self.entries.iter().position(|(name, _)| **name == *key),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(env: &mut Environment, key: &str, value: &str) {
        env.set(key.into(), Some(value.into()));
    }

    fn names(env: &Environment) -> String {
        env.names().collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn set_again_moves_to_the_end() {
        let mut env = Environment::default();
        for key in ["A", "B", "C", "A", "A"] {
            set(&mut env, key, key);
        }
        assert_eq!(names(&env), "B C A");
        env.remove("C");
        assert_eq!((names(&env), env.len(), env.get("C")), ("B A".into(), 2, Lookup::Unset));
    }

    #[test]
    fn processes_share_a_list_until_something_is_set() {
        let mut env = Environment::default();
        set(&mut env, "A", "1");
        env.set("B".into(), None);
        let heir = env.clone();
        assert_eq!(*env.entries(), ["A=1", "B="]);
        assert!(Arc::ptr_eq(&env.entries(), &env.clone().entries()));
        set(&mut env, "A", "2");
        assert_eq!((env.entries().join(" "), heir.entries().join(" ")), ("B= A=2".into(), "A=1 B=".into()));
        env.remove("B");
        assert_eq!(*env.entries(), ["A=2"]);
    }

    #[test]
    fn long_lists_behave_as_short_ones() {
        let mut env = Environment::default();
        for round in 0..3 {
            for key in 0..200 {
                set(&mut env, &format!("K{key}"), &format!("{round}"));
            }
        }
        env.remove("K0");
        set(&mut env, "K7", "x");
        assert_eq!((env.len(), env.iter().count()), (199, 199));
        assert_eq!((env.get("K7"), env.get("K8"), env.get("K0")), (Lookup::Set("x"), Lookup::Set("2"), Lookup::Unset));
        assert_eq!(env.names().last(), Some("K7"));
        assert!(env.slots.len() < 600, "forgotten entries are swept");
    }

    #[test]
    fn an_incomplete_environment_does_not_know_what_is_unset() {
        let mut env = Environment { incomplete: true, ..Environment::default() };
        set(&mut env, "A", "1");
        env.set("B".into(), None);
        assert_eq!((env.get("A"), env.get("B"), env.get("C")), (Lookup::Set("1"), Lookup::Unknown, Lookup::Unknown));
    }

    #[test]
    fn assignments_replace_the_first_of_a_key() {
        let mut list = Assignments::default();
        list.push("A".into(), 1);
        list.push("A".into(), 2);
        list.set("A".into(), 3);
        for key in 0..100 {
            list.set(format!("K{}", key % 50).as_str().into(), key);
        }
        assert_eq!((list.get("A"), list.get("K1"), list.len()), (Some(&3), Some(&51), 52));
        assert_eq!(list.iter().nth(1).map(|(_, value)| *value), Some(2));
    }
}
