//! Who can open a file, by name: what its groups of keys are, what they are to be, and how the one differs from the other.
//!
//! ```text
//! Metadata ─ KeyGroups::of ─┬─ add, remove, add_group, remove_group ─▶ KeyGroups ─ keys made of the names ─▶ rotate, or danger::wrap_again
//!                           └─ differences(other) ─▶ per group: common, added, removed
//! ```
//! Names only: nothing is unwrapped and nothing is called here.
//!
//! Source: sops 3.13.3 `cmd/sops/rotate.go`, `cmd/sops/subcommand/groups`, `cmd/sops/common/common.go` (`DiffKeyGroups`).

use bulla_keys::{KeyId, KeyName};

use crate::metadata::{KeyEntry, Metadata};

/// The keys of a file by group, and how many groups are needed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct KeyGroups {
    /// The names of the keys, group by group. With one group each of its keys opens the file.
    pub groups: Vec<Vec<KeyName>>,
    /// How many of several groups must give their share; 0 for all.
    pub threshold: usize,
}

/// How one group of a file differs from what it is to be.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct GroupDifference {
    /// Keys that stay, in the order in which they are to be.
    pub common: Vec<KeyId>,
    /// Keys that the group is to have, and lacks.
    pub added: Vec<KeyId>,
    /// Keys that the group has, and is not to have.
    pub removed: Vec<KeyId>,
}

impl GroupDifference {
    /// Are its keys those that they are to be?
    pub fn is_none(&self) -> bool {
        self.added.is_empty() && self.removed.is_empty()
    }
}

/// Why groups cannot be changed so. SOPS goes on, and leaves a file that nobody can open.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum GroupsError {
    /// There is no such group.
    #[error("there is no group {index}: the file has {groups}, counted from 0")]
    NoSuchGroup {
        /// The number that was given, from 0.
        index: usize,
        /// How many there are.
        groups: usize,
    },
    /// Nobody could open the file.
    #[error("it is the last group: without it, nobody could open the file")]
    LastGroup,
    /// Nobody could give this group's share.
    #[error("group {index} would have no key left, and nobody could give its share of the data key")]
    Emptied {
        /// Which, from 0.
        index: usize,
    },
    /// More shares would be needed than there are.
    #[error("shares of {threshold} groups are needed to open the file, and only {groups} would be left")]
    Threshold {
        /// How many are needed.
        threshold: usize,
        /// How many groups there would be.
        groups: usize,
    },
}

impl KeyGroups {
    /// Those of a file.
    pub fn of(metadata: &Metadata) -> Self {
        let names = |group: &Vec<KeyEntry>| group.iter().map(|entry| entry.name().clone()).collect();
        Self { groups: metadata.groups.iter().map(names).collect(), threshold: metadata.threshold() }
    }

    /// Adds keys to the first group; those that it has already are passed over.
    pub fn add(&mut self, names: impl IntoIterator<Item = KeyName>) {
        if self.groups.is_empty() {
            self.groups.push(Vec::new());
        }
        for name in names {
            if !self.groups[0].iter().any(|known| known.id() == name.id()) {
                self.groups[0].push(name);
            }
        }
    }

    /// Removes keys from every group that has them.
    ///
    /// # Errors
    /// [`GroupsError::Emptied`], [`GroupsError::LastGroup`]: nothing was removed.
    pub fn remove(&mut self, names: &[KeyName]) -> Result<(), GroupsError> {
        let mut groups = self.groups.clone();
        for group in &mut groups {
            group.retain(|key| !names.iter().any(|name| name.id() == key.id()));
        }
        let emptied = |(index, group): (usize, &Vec<KeyName>)| group.is_empty() && !self.groups[index].is_empty();
        match groups.iter().enumerate().position(emptied) {
            Some(_) if groups.len() == 1 => Err(GroupsError::LastGroup),
            Some(index) => Err(GroupsError::Emptied { index }),
            None => {
                self.groups = groups;
                Ok(())
            }
        }
    }

    /// Adds a group behind the others.
    ///
    /// # Errors
    /// [`GroupsError::Emptied`] if it has no key.
    pub fn add_group(&mut self, names: Vec<KeyName>) -> Result<(), GroupsError> {
        if names.is_empty() {
            return Err(GroupsError::Emptied { index: self.groups.len() });
        }
        self.groups.push(names);
        Ok(())
    }

    /// Removes the group `index`, counted from 0.
    ///
    /// # Errors
    /// [`GroupsError`]
    pub fn remove_group(&mut self, index: usize) -> Result<(), GroupsError> {
        let groups = self.groups.len();
        if index >= groups {
            return Err(GroupsError::NoSuchGroup { index, groups });
        }
        if groups == 1 {
            return Err(GroupsError::LastGroup);
        }
        if groups - 1 < self.threshold {
            return Err(GroupsError::Threshold { threshold: self.threshold, groups: groups - 1 });
        }
        self.groups.remove(index);
        Ok(())
    }

    /// How each group of a file with these differs from that of one with `wanted`, by their places.
    pub fn differences(&self, wanted: &Self) -> Vec<GroupDifference> {
        let ids = |groups: &Self, index: usize| -> Vec<KeyId> {
            groups.groups.get(index).into_iter().flatten().map(KeyName::id).collect()
        };
        let difference = |index| {
            let (here, there) = (ids(self, index), ids(wanted, index));
            let (common, added) = there.iter().cloned().partition(|id| here.contains(id));
            let removed = here.into_iter().filter(|id| !there.contains(id)).collect();
            GroupDifference { common, added, removed }
        };
        (0..self.groups.len().max(wanted.groups.len())).map(difference).collect()
    }
}
